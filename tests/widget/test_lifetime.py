"""A widget lives as long as a variable or an output refers to it, or it trains; then it is gone."""

from __future__ import annotations

import gc
import json
import os
import statistics
import time
import weakref
from collections.abc import Iterator
from typing import Any

import ipywidgets
import pytest
from ipywidgets.widgets import widget as registry

from sp_widget.data.prompts import PromptDataLoader
from sp_widget.engine.patchable_model import PatchableModel
from sp_widget.methods.subnetwork_probing.config import SubnetworkProbingConfig
from sp_widget.widget.lifetime import widgets_in
from sp_widget.widget.widget import SubnetworkProbingWidget
from tests.widget.kernel import PATIENCE, Kernel

RERUNS = int(os.environ.get("SP_WIDGET_RERUNS", "4"))

SETUP = """
import gc, threading, time, weakref
import psutil
import sp_widget as sp
from comm import get_comm_manager
from IPython.display import display
from ipywidgets.widgets import widget as registry
from tests.model_kinds import bridge, dataloader
from sp_widget.widget import publisher
publisher.PATIENCE = 0.1
pipes = get_ipython().kernel.iopub_thread._event_pipes
get_ipython().kernel.iopub_thread._event_pipe_gc_seconds = 0.1
prompts = dataloader()
made = []

def make(epochs=4):
    model = sp.patchable_model(bridge("native-attention-only"))
    config = sp.SubnetworkProbingConfig(epochs=epochs, seed=1)
    probe = sp.SubnetworkProbingWidget(model, prompts, config=config)
    made.extend([weakref.ref(probe), weakref.ref(model)])
    return probe

def counts():
    return {
        "widgets": len(registry._instances),
        "comms": len(get_comm_manager().comms),
        "objects": sum(each() is not None for each in made),
        "training": sum(t.name == "sp-widget-training" for t in threading.enumerate()),
    }

def totals():
    # The kernel closes the sockets of threads that are over from time to time.
    end = time.monotonic() + 60
    while any(
        not thread.is_alive() or thread.name in ("sp-widget-publisher", "sp-widget-evaluation")
        for thread in [*pipes, *threading.enumerate()]
    ):
        assert time.monotonic() < end
        time.sleep(0.05)
    process = psutil.Process()
    return {
        "threads": threading.active_count(),
        "handles": process.num_fds(),
        "memory": process.memory_info().rss,
    }
"""

CELL = "probe = make()\ndisplay(probe)\nprobe.start()\nprobe.wait()\nprobe"


MOST_GROWTH = 1.02 if RERUNS >= 50 else 1.1
"""Of the memory: what a few re-runs need varies by as much as many may leave behind."""

CLOSE_ALL = """
for reference in made:
    if isinstance(reference(), sp.SubnetworkProbingWidget):
        reference().close()
made.clear()
"""


@pytest.fixture(scope="module")
def lasting_kernel() -> Iterator[Kernel]:
    kernel = Kernel()
    kernel.run(SETUP)
    yield kernel
    kernel.close()


@pytest.fixture
def kernel(lasting_kernel: Kernel) -> Iterator[Kernel]:
    """A kernel without any widget, also where the former test has failed."""
    yield lasting_kernel
    lasting_kernel.run(CLOSE_ALL)


def told(kernel: Kernel, expression: str) -> Any:
    return json.loads(kernel.run(f"import json\nprint(json.dumps({expression}))"))


def until_counts(kernel: Kernel, **wanted: int) -> None:
    """Wait until the counts are those; a thread may be about to end."""
    end = time.monotonic() + PATIENCE
    counts: dict[str, int] = {}
    while wanted.items() - counts.items():
        assert time.monotonic() < end, counts
        kernel.run("gc.collect()")
        counts = told(kernel, "counts()")


def test_a_cell_that_is_run_again_leaves_nothing_behind(kernel: Kernel) -> None:
    kernel.run(CELL)
    first = told(kernel, "counts()")
    assert first["widgets"] == first["comms"] > 20
    totals: list[dict[str, int]] = []
    for _ in range(RERUNS):
        kernel.run(CELL)
        assert told(kernel, "counts()") == first
        totals.append(told(kernel, "totals()"))
    for what in ("threads", "handles"):
        seen = [each[what] for each in totals]
        # Some sockets are closed a little later than the threads that needed them.
        assert min(seen[RERUNS // 2 :]) <= max(seen[: RERUNS // 2]), what
    memory = [each["memory"] for each in totals]
    # Not the first third: caches fill up, and the C library keeps what threads have freed.
    earlier, later = memory[RERUNS // 3 : 2 * RERUNS // 3], memory[2 * RERUNS // 3 :]
    assert statistics.median(later) <= MOST_GROWTH * statistics.median(earlier)

    kernel.run("probe.close(); del probe")
    until_counts(kernel, widgets=0, comms=0, objects=0, training=0)


def test_what_an_output_shows_lives_until_its_cell_is_run_again_or_deleted(kernel: Kernel) -> None:
    show = "def show(): display(make())\nshow()"
    kernel.run_cell(show, "c2")
    kernel.run("gc.collect()")
    assert told(kernel, "counts()")["objects"] == 2
    # Another probe is made: the one that is shown stays.
    kernel.run_cell(show + " # another cell", "c3")
    assert told(kernel, "counts()")["objects"] == 4
    kernel.run_cell("pass", "c2")
    until_counts(kernel, objects=2)
    kernel.run_cell("pass", "c4", deleted=["c3"])
    until_counts(kernel, objects=0, widgets=0, comms=0)


def test_a_training_that_nothing_refers_to_goes_on_to_its_end(kernel: Kernel) -> None:
    kernel.run_cell("probe = make(200); probe.start()", "c5")
    kernel.run("threads = [t for t in threading.enumerate() if t.name == 'sp-widget-training']")
    kernel.run("del probe; globals().pop('prune_scores', None); gc.collect()")
    kernel.run(f"[thread.join({PATIENCE}) for thread in threads]")
    assert kernel.run("print(type(prune_scores).__name__)") == "PruneScores"
    until_counts(kernel, objects=0, widgets=0, training=0)


def test_a_pause_that_nobody_can_end_ends_without_a_result(kernel: Kernel) -> None:
    kernel.run_cell("probe = make(10**6); probe.step()", "c6")
    kernel.run("while probe.state != 'paused': time.sleep(0.01)")
    kernel.run("del probe; globals().pop('prune_scores', None)")
    until_counts(kernel, objects=0, widgets=0, comms=0, training=0)
    assert kernel.run("print('prune_scores' in globals())") == "False"


def test_close_closes_every_part(model: PatchableModel, prompts: PromptDataLoader) -> None:
    before = set(registry._instances)
    probe = SubnetworkProbingWidget(model, prompts, config=SubnetworkProbingConfig(epochs=1))
    probe.start()
    probe.wait()
    # Earlier runs have marks of their own.
    probe.reset()
    probe.start()
    probe.wait()
    parts = widgets_in(probe)
    kinds = {type(part).__name__ for part in parts}
    assert {"Layout", "LinearScale", "Lines", "Figure", "VBox", "ControlPanel"} <= kinds
    assert {part.model_id for part in parts} <= set(registry._instances) - before
    probe.close()
    assert all(part.comm is None for part in parts)
    assert set(registry._instances) == before


def test_a_widget_that_nothing_refers_to_is_gone_with_its_model(
    prompts: PromptDataLoader, model: PatchableModel
) -> None:
    probe = SubnetworkProbingWidget(model, prompts, config=SubnetworkProbingConfig(epochs=1))
    around = ipywidgets.VBox([probe])
    reference = weakref.ref(probe)
    del probe
    gc.collect()
    # Not within the assertion, which would hold what it shows.
    alive = reference() is not None
    assert alive, "another widget shows it"
    around.close()
    del around
    gc.collect()
    alive = reference() is not None
    assert not alive
