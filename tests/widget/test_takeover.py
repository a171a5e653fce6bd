"""In a kernel: a cell is run again while it trains, and ■ at whatever goes on.

`SP_WIDGET_INTERRUPTS` says how often each kind of work is interrupted.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.widget.kernel import Kernel, is_idle, update_of

INTERRUPTS = int(os.environ.get("SP_WIDGET_INTERRUPTS", "2"))

SETUP = """
import signal, threading, time
import sp_widget as sp
from tests.model_kinds import bridge, dataloader
# A kernel that a script started in the background would ignore interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)
model = sp.patchable_model(bridge("native-attention-only"))
prompts = dataloader()

def make(epochs, **arguments):
    config = sp.SubnetworkProbingConfig(epochs=epochs, seed=1)
    return sp.SubnetworkProbingWidget(model, prompts, config=config, **arguments)
"""

LONG = 10**6


@pytest.fixture(scope="module")
def kernel() -> Iterator[Kernel]:
    kernel = Kernel()
    kernel.run(SETUP)
    yield kernel
    kernel.close()


def says(panel: str, text: str) -> Any:
    def holds(message: dict[str, Any]) -> bool:
        return text in update_of(message, panel).get("status", {}).get("message", "")

    return holds


def test_the_cell_that_is_run_again_gets_the_name_and_both_panels_say_so(kernel: Kernel) -> None:
    cell = f"probe = make({LONG}); probe.start(); print(probe.panel.model_id)"
    former = kernel.run_cell(cell, "c1")
    # Its own end is the test's: a probe that trains lives without a variable.
    kernel.run("former = probe")
    later = kernel.run_cell("probe = make(2); print(probe.panel.model_id)", "c1")
    start = len(kernel.seen)
    kernel.run("probe.start()")
    if not any(says(former, "belongs to a training that began later")(m) for _, m in kernel.seen):
        kernel.until(says(former, "belongs to a training that began later"))
    kernel.run("probe.wait(60); time.sleep(0.3)")
    assert any(
        says(later, "It gets those of this one instead")(message)
        or says(later, "The scores are in the variable prune_scores")(message)
        for _, message in kernel.seen[start:]
    )
    kernel.run("mine = prune_scores; former.stop(); former.wait(60)")
    assert kernel.run("print(prune_scores is mine, former.state)") == "True stopped"
    assert "in .prune_scores of this widget" in kernel.run("print(former.panel.status['message'])")
    assert kernel.run("print(type(former.prune_scores).__name__)") == "PruneScores"
    kernel.run("former.close(); del former")


WORK = {
    # What runs in the cell, and what holds after an interrupt at any time.
    "wait": ("probe.wait()", "probe.state == 'running'"),
    "another cell": ("while True: time.sleep(0.001)", "probe.state == 'running'"),
    "evaluation": (
        "while True: probe.evaluate()",
        "probe.state == 'running' and probe.evaluate() in probe.evaluations",
    ),
    "scores": ("while True: probe.prune_scores", "probe.state == 'running'"),
    "preparation": (
        "while True: other = make(5); other.start(); other.wait()",
        "probe.state == 'running'",
    ),
    "run()": (
        "while True:\n"
        "    config = sp.SubnetworkProbingConfig(epochs=3, seed=2)\n"
        "    trainer = sp.SubnetworkProbing(model, prompts, config)\n"
        "    trainer.run(progress=False)",
        "all((trainer.run(progress=False)[k] == expected[k]).all().item() for k in expected)",
    ),
}


def begin_training(kernel: Kernel) -> None:
    kernel.run(
        "trainer = sp.SubnetworkProbing(model, prompts, "
        "sp.SubnetworkProbingConfig(epochs=3, seed=2))\n"
        "expected = trainer.run(progress=False)\n"
        f"probe = make({LONG}, validation_dataloader=prompts); probe.start()\n"
        "while probe.state != 'running': time.sleep(0.01)\n"
        "probe.evaluate()"
    )


def interrupt(kernel: Kernel, code: str, seconds: float) -> None:
    """Press ■ so long after a cell with `code` began; the cell ends with `KeyboardInterrupt`."""
    start = len(kernel.seen)
    request = kernel.begin(f"print('begun', flush=True)\n{code}")
    kernel.until(lambda m: m["msg_type"] == "stream" and "begun" in m["content"]["text"])
    time.sleep(seconds)
    kernel.interrupt()
    kernel.until(lambda m: is_idle(m, request))
    raised = [m["content"]["ename"] for _, m in kernel.seen[start:] if m["msg_type"] == "error"]
    assert raised == ["KeyboardInterrupt"], code


def end_training(kernel: Kernel) -> None:
    kernel.run("probe.stop(); probe.wait(60)")
    told = kernel.run("print(probe.state, len(probe.history) == probe.history[-1].step)")
    assert told == "stopped True"


def test_an_interrupt_has_one_outcome_whatever_it_meets(kernel: Kernel) -> None:
    """`KeyboardInterrupt` in the cell; the training goes on, or is paused where a cell waits."""
    begin_training(kernel)
    chance = random.Random(0)
    for name, (code, holds) in WORK.items():
        for _ in range(INTERRUPTS):
            interrupt(kernel, code, chance.uniform(0, 0.1))
            if name == "wait":
                kernel.run("while probe.state == 'running': time.sleep(0.001)\nprobe.resume()")
                kernel.run("while probe.state != 'running': time.sleep(0.001)")
            assert kernel.run(f"print({holds})") == "True", name
    end_training(kernel)


def test_a_save_that_is_interrupted_leaves_a_whole_file(kernel: Kernel, tmp_path: Path) -> None:
    begin_training(kernel)
    kernel.run(
        f"from pathlib import Path\nfolder = Path({str(tmp_path)!r})\n"
        "saved, scores = folder / 'scores.json', probe.prune_scores\nscores.save(saved)"
    )
    chance = random.Random(0)
    for _ in range(2 * INTERRUPTS):
        interrupt(kernel, "while True: scores.save(saved)", chance.uniform(0, 0.05))
        kernel.run("again = sp.PruneScores.load(saved, model.graph)")
        same = "all((again[name] == scores[name]).all().item() for name in scores)"
        assert kernel.run(f"print({same})") == "True"
        assert kernel.run("print([path.name for path in folder.iterdir()])") == "['scores.json']"
    end_training(kernel)
