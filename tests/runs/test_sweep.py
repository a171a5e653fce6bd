"""Points of a sweep become runs in folders; what is done is skipped, what fails sinks no other."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch

import sp_widget as sp
from sp_widget.errors import ArgumentError, StateError
from sp_widget.evaluation.stability import bootstrap_sample
from sp_widget.methods.base import Trainer
from sp_widget.runs.draw_sweep import pareto_front
from sp_widget.runs.point import points_of
from tests.methods import toy_method
from tests.runs import sweeping
from tests.runs.sweeping import the_same

GRID = {"method": ["random", "walk"], "seed": [0, 1]}


@pytest.fixture(autouse=True)
def _walk(monkeypatch: pytest.MonkeyPatch) -> None:
    sweeping.know_walk(monkeypatch)


@pytest.fixture
def here() -> Iterator[ThreadPoolExecutor]:
    """Another thread of this process."""
    with ThreadPoolExecutor(1) as pool:
        yield pool


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_point_becomes_a_run_that_is_measured_and_then_skipped(
    tmp_path: Path, here: ThreadPoolExecutor
) -> None:
    sweep = sp.sweep(the_same, GRID, tmp_path, here).wait()
    frame = sweep.frame
    assert list(frame.columns) == [
        "run", "method", "seed", "state", "progress", "edges", "kl_div", "log_area", "acc_auc",
        "cpr", "cmd", "auroc", "seconds", "processor_seconds", "seconds_left", "error",
    ]  # fmt: skip
    assert list(zip(frame["method"], frame["seed"], strict=True)) == [
        ("random", 0), ("random", 1), ("walk", 0), ("walk", 1),
    ]  # fmt: skip
    assert (frame["state"] == "done").all()
    assert (frame["progress"] == 1).all()

    model, loader, validation = the_same()
    for row, run, scores in zip(
        frame.itertuples(), sweep.runs, sweep.prune_scores(model), strict=True
    ):
        method = sp.methods.get(row.method)
        config = method.Config(seed=int(row.seed))
        expected = method.trainer(model, loader, config).run(progress=False)
        assert all(torch.equal(scores[name], expected[name]) for name in expected)
        assert (run.path.name, run.method, run.seed) == (row.run, row.method, row.seed)
        # What it loses, from the slow way: one circuit, run by itself.
        outputs = sp.run_circuits(
            model, validation, [int(row.edges)], scores, patch_type=sp.PatchType.TREE_PATCH
        )[row.edges]
        kl = []
        for batch in validation:
            log_p = model(batch.clean)[model.out_slice].log_softmax(-1)
            log_q = outputs[batch.key].log_softmax(-1)
            kl += (log_p.exp() * (log_p - log_q)).sum(-1).tolist()
        assert row.kl_div == pytest.approx(sum(kl) / len(kl), abs=1e-5)
        found = sp.evaluate(model, validation, scores, complement=False, random=0, progress=False)
        assert run.evaluation is not None
        assert run.evaluation["on"] == "validation"
        assert run.evaluation["acc_auc"] == pytest.approx(found.acc_auc)
        assert row.log_area == pytest.approx(found.log_kl, abs=0.02 * found.log_kl)
    assert [len(sweep.prune_scores(model, method=name)) for name in GRID["method"]] == [2, 2]

    written = contents(tmp_path)
    # One more point: only that is made, and stands last.
    more = sp.sweep(the_same, {**GRID, "seed": [2, 1, 0]}, tmp_path, here).wait()
    assert written.items() <= contents(tmp_path).items()
    assert list(more.frame["seed"]) == [0, 1, 0, 1, 2, 2]
    assert repr(sp.Sweep(tmp_path)).startswith("Sweep of 6 points: 6 done\n")
    assert "6 done" in more._repr_html_()
    assert sp.Sweep(tmp_path).wait().frame.equals(more.frame)


def test_what_fails_keeps_its_traceback_and_sinks_no_other(
    tmp_path: Path, here: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_step = sweeping.Walk.make_step

    def failing(self: Any, step: int) -> Any:
        if self.seed == 1 and step == 3:
            raise RuntimeError("in the third step")
        return make_step(self, step)

    too_large = {"method": "walk", "seed": 0, "circuit_size": 10**6}
    grid = [{"method": "walk", "seed": 1}, too_large, {"method": "walk", "seed": 2}]
    with monkeypatch.context() as patch:
        patch.setattr(sweeping.Walk, "make_step", failing)
        sweep = sp.sweep(the_same, grid, tmp_path, here).wait()
    failed, refused, done = sweep.results
    assert (failed.state, failed.step, failed.error) == (
        "failed", 2, "RuntimeError: in the third step",
    )  # fmt: skip
    assert "in failing" in failed.traceback
    assert sweep.runs[0].status.traceback == failed.traceback
    assert "check_config" in refused.traceback
    assert (refused.state, refused.step) == ("failed", 0)
    assert refused.error.startswith("ArgumentError: circuit_size: wanted at most")
    assert done.finished
    assert sweep.frame["kl_div"].isna().tolist() == [True, True, False]
    assert "in the third step" in repr(sweep)
    sweep.plot()

    # Once the reason is gone, it goes on from its last checkpoint.
    again = sp.sweep(the_same, grid, tmp_path, here).wait()
    assert [each.state for each in again.results] == ["done", "failed", "done"]
    model, loader, _ = the_same()
    whole = sweeping.Walk(model, loader, sweeping.WalkConfig(seed=1)).run(progress=False)
    (scores, _) = again.prune_scores(model)
    assert all(torch.equal(scores[name], whole[name]) for name in whole)


def test_a_factory_that_fails_or_makes_something_else_is_told_in_every_point(
    tmp_path: Path, here: ThreadPoolExecutor
) -> None:
    def broken() -> Any:
        raise OSError("no weights")

    def nothing() -> Any:
        return 3

    def other_prompts() -> Any:
        model, _, validation = the_same()
        return model, validation

    for factory, said in (
        (broken, "OSError: no weights"),
        (nothing, "ArgumentError: model_factory: wanted a function that returns (patchable model"),
    ):
        sweep = sp.sweep(factory, GRID, tmp_path, here).wait()
        assert [each.state for each in sweep.results] == ["failed"] * 4
        assert all(each.error.startswith(said) for each in sweep.results)
    sp.sweep(the_same, {"method": ["walk"]}, tmp_path, here).wait()
    sweep = sp.sweep(other_prompts, GRID, tmp_path, here).wait()
    errors = {each.error.split(", got")[0] for each in sweep.results if each.error}
    (said,) = errors
    assert said.startswith("ArgumentError: model_factory: wanted that of the other points in the")
    assert "with dataloader" in said


def test_a_cancelled_sweep_pauses_and_goes_on_exactly(
    tmp_path: Path, here: ThreadPoolExecutor
) -> None:
    begun, go_on = threading.Event(), threading.Event()
    model, loader, validation = the_same()

    def waits_once() -> Any:
        begun.set()
        assert go_on.wait(60)
        return model, loader, validation

    grid = {"method": ["walk"], "seed": [0, 1]}
    sweep = sp.sweep(waits_once, grid, tmp_path, here)
    assert begun.wait(60)
    assert [each.state for each in sweep.results] == ["waiting", "waiting"]
    with pytest.raises(TimeoutError, match="2 waiting"):
        sweep.wait(timeout=0)
    sweep.cancel()
    go_on.set()
    sweep.wait()
    assert [(each.state, each.step) for each in sweep.results] == [("paused", 1), ("waiting", 0)]
    reader = sp.Sweep(tmp_path)
    with pytest.raises(StateError, match="only read"):
        reader.cancel()
    sp.sweep(waits_once, grid, tmp_path, here).wait()
    for seed, scores in enumerate(reader.prune_scores(model)):
        whole = sweeping.Walk(model, loader, sweeping.WalkConfig(seed=seed))
        expected = whole.run(progress=False)
        assert all(torch.equal(scores[name], expected[name]) for name in expected)


def test_a_run_that_is_under_way_is_paused_by_cancel(
    tmp_path: Path, here: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And left to its process by any other that comes to it."""
    monkeypatch.setattr("sp_widget.runs.sweep_worker.SECONDS_BETWEEN_LOOKS", 0.0)
    at_3, go_on = threading.Event(), threading.Event()
    make_step = sweeping.Walk.make_step

    def waiting(self: Any, step: int) -> Any:
        if step == 3:
            at_3.set()
            assert go_on.wait(60)
        return make_step(self, step)

    grid = {"method": ["walk"], "seed": [0]}
    with monkeypatch.context() as patch:
        patch.setattr(sweeping.Walk, "make_step", waiting)
        sweep = sp.sweep(the_same, grid, tmp_path, here)
        assert at_3.wait(60)
        (row,) = sp.Sweep(tmp_path).results
        assert (row.state, row.n_steps) == ("running", 6)
        assert row.seconds_left is None or row.seconds_left >= 0
        with ThreadPoolExecutor(1) as another:
            sp.sweep(the_same, grid, tmp_path, another).wait()
        assert sweep.results[0].state == "running"
        sweep.cancel()
        go_on.set()
        sweep.wait()
    (paused,) = sweep.results
    assert (paused.state, paused.step, paused.seconds_left) == ("paused", 3, None)
    done = sp.sweep(the_same, grid, tmp_path, here).wait()
    assert done.results[0].finished
    # A mark of the call that was cancelled does not stop the next.
    assert sweep.results == done.results


class _Lost:
    """An executor whose process is gone, as one whose memory was too small."""

    def submit(self, job: Callable[[], None], /) -> Future[None]:
        future: Future[None] = Future()
        if not hasattr(self, "first"):
            self.first = future
            job()
            future.set_result(None)
        else:
            future.set_exception(MemoryError("gone"))
        return future


def test_what_the_executor_loses_is_told_when_all_others_are_made(tmp_path: Path) -> None:
    sweep = sp.sweep(the_same, GRID, tmp_path, _Lost())
    with pytest.raises(StateError, match=r"lost 3 of 4 points, .* MemoryError: gone"):
        sweep.wait()
    assert [each.state for each in sweep.results] == ["done", *["waiting"] * 3]


def test_runs_on_bootstrap_samples_are_those_of_stability(
    tmp_path: Path, here: ThreadPoolExecutor
) -> None:
    model, loader, _ = the_same()
    grid = {"method": ["mask_gradient"], "bootstrap_sample": [None, *range(3)]}
    sweep = sp.sweep(the_same, grid, tmp_path, here).wait()
    whole, *sampled = sweep.prune_scores(model)
    config = sp.methods.get("mask_gradient").first_config(model, loader)
    for sample, scores in enumerate(sampled):
        prompts = bootstrap_sample(loader, sample)
        expected = sp.methods.get("mask_gradient").trainer(model, prompts, config)
        values = expected.run(progress=False)
        assert all(torch.equal(scores[name], values[name]) for name in values)
    made = sp.stability(
        model, loader, "mask_gradient", n_edges=20, n_bootstrap=3, executor=here, progress=False
    )
    assert sp.stability(sampled, n_edges=20).jaccard == made.jaccard
    assert any(not torch.equal(whole[name], sampled[0][name]) for name in whole)
    assert sweep.frame["bootstrap_sample"].isna().tolist() == [True, False, False, False]


def test_a_setting_that_is_called_as_a_column_keeps_a_column_of_its_own(
    tmp_path: Path, here: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sp.methods._ADDED, "toy", toy_method.METHOD)
    grid = {"method": ["toy"], "edges": [2, 3]}
    frame = sp.sweep(the_same, grid, tmp_path, here).wait().frame
    assert frame["edges_setting"].tolist() == [2, 3]
    assert (frame["edges"] <= frame["edges_setting"]).all()
    assert frame["state"].tolist() == ["done", "done"]


def test_points_have_names_of_their_own_that_do_not_depend_on_order() -> None:
    first, second = points_of({"seed": [1, 2], "method": ["walk"]})
    assert first.name != second.name
    again = points_of([{"method": "walk", "seed": 1, "bootstrap_sample": None}])[0]
    assert again.name == first.name
    assert len(points_of({"seed": [1, 1, 2]})) == 2
    settings = {
        "ablation_type": [sp.AblationType.ZERO],
        "regularize_lambda": numpy.logspace(0, 1, 2),
    }
    points = points_of(settings)
    assert [point.fields["regularize_lambda"] for point in points] == [1.0, 10.0]
    model, loader, _ = the_same()
    config = points[1].config(model, loader)
    assert (config.ablation_type, config.regularize_lambda) == (sp.AblationType.ZERO, 10.0)
    assert json.dumps(dict(points[1].fields))


def test_the_front_is_what_no_other_point_beats() -> None:
    draw = torch.Generator().manual_seed(0)
    for _ in range(20):
        points = [tuple(each) for each in torch.randint(6, (12, 2), generator=draw).tolist()]
        front = [points[index] for index in pareto_front(points)]
        beaten = {a for a in points for b in points if a != b and b[0] <= a[0] and b[1] <= a[1]}
        assert front == sorted(set(points) - beaten)


def test_bad_arguments_are_refused_by_name_before_anything_is_begun(tmp_path: Path) -> None:
    good: dict[str, Any] = {"model_factory": the_same, "grid": GRID, "folder": tmp_path / "new"}
    for argument, wrong in (
        ("model_factory", {"model_factory": 3}),
        ("model_factory", {"model_factory": lambda: the_same()}),
        ("model_factory", {"model_factory": partial(lambda: the_same())}),
        ("grid", {"grid": []}),
        ("grid", {"grid": 3}),
        ("grid", {"grid": {"seed": []}}),
        ("grid", {"grid": {"seed": 3}}),
        ("grid", {"grid": {"method": "walk"}}),
        ("grid", {"grid": {"sed": [3]}}),
        ("grid", {"grid": {"seed": range(10**9)}}),
        ("grid", {"grid": [{"method": "random", "learning_rate": 0.1}]}),
        ("seed", {"grid": {"seed": [-1]}}),
        ("method", {"grid": {"method": ["none"]}}),
        ("bootstrap_sample", {"grid": {"bootstrap_sample": [0.5]}}),
        ("executor", {"executor": 3}),
        ("threads", {"threads": 0}),
        ("folder", {"folder": 3}),
    ):
        with pytest.raises(ArgumentError) as error:
            sp.sweep(**{**good, **wrong})
        assert error.value.argument == argument, wrong
    assert not (tmp_path / "new").exists()
    with pytest.raises(ArgumentError, match="a folder with a sweep"):
        sp.Sweep(tmp_path)


def test_a_damaged_point_is_told_by_name(tmp_path: Path, here: ThreadPoolExecutor) -> None:
    sweep = sp.sweep(the_same, {"method": ["random"], "seed": [0]}, tmp_path, here).wait()
    (run,) = sweep.runs
    for name, content in (
        ("point.json", b"{}"),
        ("point.json", b'{"format": "sp_widget point 1", "fields": {}, "place": 0}'),
        ("status.json", b"{}"),
        ("evaluation.json", b"[]"),
    ):
        before = (run.path / name).read_bytes()
        (run.path / name).write_bytes(content)
        with pytest.raises(ArgumentError, match=name.removesuffix(".json")):
            sp.Sweep(tmp_path).frame  # noqa: B018
        (run.path / name).write_bytes(before)
    # What somebody else wrote about the scores is no result of the sweep.
    run.write_evaluation({"cpr": math.nan})
    assert not sp.Sweep(tmp_path).results[0].finished
    assert isinstance(Trainer.load(run.path, *the_same()), Trainer)
