"""The view of a sweep reads a folder that others write, and shows the circuit of a chosen run."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy
import pytest

import sp_widget as sp
from sp_widget.widget.publisher import THREAD_NAME
from sp_widget.widget.sweep_view import SweepView
from tests.runs import sweeping
from tests.runs.sweeping import the_same

GRID = [
    {"method": "walk", "seed": 0},
    {"method": "walk", "seed": 1, "circuit_size": 9},
    {"method": "walk", "seed": 2, "circuit_size": 10**6},
]


@pytest.fixture(autouse=True)
def _walk(monkeypatch: pytest.MonkeyPatch) -> None:
    sweeping.know_walk(monkeypatch)


def until(view: SweepView, holds: Callable[[], bool]) -> None:
    """Wait for a look at the folder."""
    for _ in range(600):
        view._publisher.wake()
        view._publisher.flush()
        if holds():
            return
    raise AssertionError(view.table.rows)


def test_it_shows_how_the_runs_stand_and_the_circuit_of_the_one_that_is_chosen(
    tmp_path: Path,
) -> None:
    model, _, _ = the_same()
    go_on = threading.Event()

    def waits() -> object:
        assert go_on.wait(60)
        return the_same()

    with ThreadPoolExecutor(1) as pool:
        sweep = sp.sweep(waits, GRID, tmp_path, pool)
        view = SweepView(tmp_path, model)
        until(view, lambda: view.table.summary == "3 waiting")
        assert view.table.fields == ["method", "seed", "circuit_size"]
        assert [row["fields"] for row in view.table.rows] == [
            ["walk", "0", ""], ["walk", "1", "9"], ["walk", "2", "1000000"],
        ]  # fmt: skip
        go_on.set()
        sweep.wait()
    until(view, lambda: view.table.summary == "2 done, 1 failed")
    first, second, failed = view.table.rows
    assert (first["progress"], first["edges"], second["edges"]) == (1.0, 5, 9)
    frame = sweep.frame
    assert first["value"] == frame["kl_div"][0]
    # Few edges that lose less beat all others.
    assert first["front"]
    assert second["front"] == (second["value"] < first["value"])
    assert not failed["front"]

    view.choose(second["name"])
    assert view.circuit is not None
    circuit = view.circuit
    until(view, lambda: circuit.training_edges == 9)
    shown = numpy.frombuffer(circuit.scores, dtype="<f4")
    scores = sweep.prune_scores(model, seed=1)[0]
    assert shown == pytest.approx(model.graph.flatten(scores).numpy())
    view.choose(failed["name"])
    until(view, lambda: "Traceback" in view.table.detail)
    # It has no circuit, and that of another run is not to be taken for its own.
    until(view, lambda: circuit.scores == b"")
    view.choose(first["name"])
    until(view, lambda: circuit.training_edges == 5)
    view.close()


def test_its_thread_ends_with_it(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        sp.sweep(the_same, GRID[:1], tmp_path, pool).wait()
    others = [thread for thread in threading.enumerate() if thread.name == THREAD_NAME]
    for closes in (True, False):
        view = SweepView(tmp_path)
        gone = weakref.ref(view)
        mine = [
            thread
            for thread in threading.enumerate()
            if thread.name == THREAD_NAME and thread not in others
        ]
        if closes:
            view.close()
        del view
        gc.collect()
        for thread in mine:
            thread.join(60)
            assert not thread.is_alive()
        # The thread may have held it while the garbage was collected.
        gc.collect()
        still = gone()
        assert still is None


def test_the_browser_may_choose_and_no_more(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        sp.sweep(the_same, GRID[:1], tmp_path, pool).wait()
    view = SweepView(tmp_path)
    view.table.set_state({"chosen": "x", "summary": "nonsense", "rows": []})
    until(view, lambda: view.table.summary == "1 done")
    assert view.chosen == "x"
    assert len(view.table.rows) == 1
    assert view.table.detail == ""
    view.close()
