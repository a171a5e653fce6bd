"""Stability and overlap: counted by hand, and made by real runs."""

from __future__ import annotations

import itertools
import math
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
import torch

from sp_widget import methods
from sp_widget.circuits.scores import PruneScores
from sp_widget.engine.patchable_model import PatchableModel, patchable_model
from sp_widget.errors import ArgumentError
from sp_widget.evaluation.overlap import overlap
from sp_widget.evaluation.stability import Stability, bootstrap_sample, stability, wilson_interval
from tests import model_kinds


def _model() -> PatchableModel:
    return patchable_model(model_kinds.bridge("gpt2"))


def _ranking(model: PatchableModel, first: list[int]) -> PruneScores:
    """Scores that put these edges first, in this order, with signs, and the others below."""
    flat = torch.linspace(0.5, 0.1, model.n_edges)
    for rank, edge in enumerate(first):
        flat[edge] = (-1.0) ** rank * (100 - rank)
    return PruneScores(model.graph.split(flat), model.graph)


def test_frequencies_and_jaccard_are_those_of_the_sets_of_top_edges() -> None:
    model = _model()
    tops = [[0, 1, 2, 3], [0, 1, 2, 9], [0, 1, 7, 8]]
    found = stability([_ranking(model, top) for top in tops], n_edges=4, sizes=[2, 4])
    flat = model.graph.flatten(found.frequencies)
    assert {edge: round(3 * flat[edge].item()) for edge in flat.nonzero().flatten().tolist()} == {
        0: 3, 1: 3, 2: 2, 3: 1, 9: 1, 7: 1, 8: 1,
    }  # fmt: skip
    pairs = [
        len(set(a) & set(b)) / len(set(a) | set(b)) for a, b in itertools.combinations(tops, 2)
    ]
    assert found.jaccard == pytest.approx((1.0, sum(pairs) / 3))
    share = 4 / model.n_edges
    assert found.chance[1] == pytest.approx(share / (2 - share))
    assert set(found.core) == set(model.graph.edges_at([0, 1]))
    # Two or one of three runs: even one is more than 4 edges of so many would be by chance.
    assert set(found.contingent) == set(model.graph.edges_at([2, 3, 7, 8, 9]))
    assert found.noise == []
    assert list(found.frame["part"])[:2] == ["core", "core"]
    assert "random" in repr(found)
    assert "Jaccard" in found._repr_html_()


def test_what_chance_explains_is_noise() -> None:
    """Rankings drawn at random have no core, and the overlap of random sets."""
    model = _model()
    draw = torch.Generator().manual_seed(0)
    runs = [
        PruneScores(model.graph.split(torch.randn(model.n_edges, generator=draw)), model.graph)
        for _ in range(30)
    ]
    size = model.n_edges // 4
    found = stability(runs, n_edges=size)
    assert found.core == []
    assert len(found.noise) > 0.9 * model.n_edges
    for jaccard, chance, edges in zip(found.jaccard, found.chance, found.sizes, strict=True):
        if edges >= size:
            assert jaccard == pytest.approx(chance, rel=0.1)
    assert found.sizes[0] == 1
    assert found.sizes[-1] == model.n_edges
    assert size in found.sizes


def test_wilson_intervals_hold_the_closed_form() -> None:
    z = 1.959963984540054
    for k, n in ((0, 20), (13, 20), (20, 20)):
        share = k / n
        middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
        half = z / (1 + z**2 / n) * (share * (1 - share) / n + z**2 / (4 * n**2)) ** 0.5
        assert wilson_interval(k, n) == pytest.approx((middle - half, middle + half))


def test_a_bootstrap_sample_draws_prompts_of_the_loader_with_replacement() -> None:
    loader = model_kinds.dataloader(batch_size=3, n_prompts=7)
    known = {tuple(row) for batch in loader for row in batch.clean.tolist()}
    samples = []
    for seed in (0, 0, 1):
        sample = bootstrap_sample(loader, seed)
        rows = [tuple(row) for batch in sample for row in batch.clean.tolist()]
        assert len(rows) == 7
        assert set(rows) < known
        samples.append(rows)
    assert samples[0] == samples[1] != samples[2]


def test_runs_are_made_on_samples_with_every_seed_here_or_on_an_executor() -> None:
    model, loader = _model(), model_kinds.dataloader()
    config = methods.get("mask_gradient").Config(seed=7)
    settings: dict[str, Any] = {"n_edges": 20, "n_bootstrap": 3, "progress": False}
    here = stability(model, loader, config, **settings)
    with ThreadPoolExecutor(1) as pool:
        there = stability(model, loader, config, executor=pool, **settings)
        made = stability(lambda: (model, loader), config=config, executor=pool, **settings)
    assert here.n_runs == here.asked == 3
    assert here.jaccard == there.jaccard == made.jaccard
    expected = [
        methods.get("mask_gradient")
        .trainer(model, bootstrap_sample(loader, sample), config)
        .run(progress=False)
        for sample in range(3)
    ]
    assert here.jaccard == stability(expected, n_edges=20).jaccard
    crossed = stability(model, loader, "random", seeds=(1, 2), **settings)
    assert crossed.n_runs == 6
    # What is drawn from the seed alone is the same on all samples.
    counts = (6 * model.graph.flatten(crossed.frequencies)).round().unique().tolist()
    assert counts == [0, 3, 6]


class _Interrupted:
    """An executor whose third run is interrupted."""

    def __init__(self) -> None:
        self.futures: list[Future[Any]] = []

    def submit(self, job: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        if len(self.futures) < 2:
            future.set_result(job(*args, **kwargs))
        elif len(self.futures) == 2:
            future.set_exception(KeyboardInterrupt())
        self.futures.append(future)
        return future


def test_an_interrupt_keeps_the_runs_that_are_done_and_cancels_the_others() -> None:
    executor = _Interrupted()
    found = stability(
        _model(), model_kinds.dataloader(), "random",
        n_edges=5, n_bootstrap=4, executor=executor, progress=False,
    )  # fmt: skip
    assert (found.n_runs, found.asked) == (2, 4)
    assert "4 were asked for" in repr(found)
    assert executor.futures[3].cancelled()


def test_overlap_is_the_hypergeometric_tail() -> None:
    """Against every way to choose the second circuit, on a graph of few edges."""
    a = {"x": torch.tensor([9.0, -8.0, 7.0, 1.0, 2.0, 3.0, 0.5])}
    b = {"x": torch.tensor([5.0, 6.0, 0.1, 7.0, 0.2, 0.3, 0.4])}
    found = overlap(a, b, 3)
    assert (found.shared, found.jaccard, found.of) == (2, 0.5, 7)
    ways = list(itertools.combinations(range(7), 3))
    as_many = sum(len({0, 1, 2} & set(way)) >= 2 for way in ways)
    assert found.p == pytest.approx(as_many / len(ways))
    shared = [len({0, 1, 2} & set(way)) for way in ways]
    assert found.expected == pytest.approx(sum(shared) / len(ways))
    assert found.chance_jaccard == pytest.approx((3 / 7) / (2 - 3 / 7))
    assert overlap(a, {"x": -a["x"]}, 3).spearman == pytest.approx(1)
    assert math.isnan(overlap(a, {"x": torch.ones(7)}, 3).spearman)
    ranks = [sorted(s["x"].abs().tolist()).index(v) for s in (a, b) for v in s["x"].abs().tolist()]
    d = sum((ranks[i] - ranks[7 + i]) ** 2 for i in range(7))
    assert found.spearman == pytest.approx(1 - 6 * d / (7 * (49 - 1)))
    assert "random choice" in found._repr_html_()


def test_arguments_that_make_no_sense_are_refused_by_name() -> None:
    model = _model()
    scores = _ranking(model, [1])
    other = patchable_model(model_kinds.bridge("native-attention-only"))
    one = PruneScores(other.new_prune_scores(), other.graph)
    for name, runs, settings in (
        ("runs", [scores], {}),
        ("runs", [scores, one], {}),
        ("runs", [dict(scores)] * 2, {}),
        ("config", [scores] * 2, {"config": "random"}),
        ("runs", model.wrapped_model, {}),
        ("sizes", model, {"dataloader": model_kinds.dataloader(), "sizes": [10**6]}),
        ("n_edges", [scores] * 2, {"n_edges": -1}),
        ("dataloader", model, {}),
        ("dataloader", _model, {"dataloader": model_kinds.dataloader()}),
        ("runs", _model, {}),
        ("seeds", model, {"dataloader": model_kinds.dataloader(), "seeds": (-1,)}),
        ("config", model, {"dataloader": model_kinds.dataloader(), "config": "no method"}),
        ("n_bootstrap", model, {"dataloader": model_kinds.dataloader(), "n_bootstrap": 0}),
    ):
        with pytest.raises(ArgumentError) as error:
            stability(runs, **{"n_edges": 5, "progress": False, **settings})  # type: ignore[arg-type]
        assert error.value.argument == name, settings
    with pytest.raises(ArgumentError, match=r"^b: "):
        overlap(scores, one, 3)
    assert isinstance(stability([scores] * 2, n_edges=5), Stability)
