"""The area under the ROC curve by closed forms and by counting pairs."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from sp_widget.circuits.scores import PruneScores
from sp_widget.engine.patchable_model import PatchableModel, patchable_model
from sp_widget.errors import ArgumentError
from sp_widget.evaluation.roc import auroc, precision_recall, roc_curve
from sp_widget.graph.edge_graph import Edge
from tests import model_kinds


def _model(seq_len: int | None = None) -> PatchableModel:
    return patchable_model(model_kinds.bridge("native-attention-only"), seq_len=seq_len)


def _edges(model: PatchableModel) -> list[Edge]:
    return [edge for edges in model.edge_dict.values() for edge in edges]


def _scores(model: PatchableModel, values: Sequence[float]) -> PruneScores:
    """One value an edge, in the order of `_edges`."""
    flat = torch.zeros(model.n_edges)
    flat[model.graph.flat_index(_edges(model))] = torch.tensor(values)
    return PruneScores(model.graph.split(flat), model.graph)


def test_a_perfect_ranking_has_1_a_reversed_one_0_and_no_ranking_one_half() -> None:
    model = _model()
    n = model.n_edges
    known = _edges(model)[:10]
    assert auroc(model, _scores(model, [*[2.0] * 10, *[1.0] * (n - 10)]), known) == 1
    assert auroc(model, _scores(model, [*[1.0] * 10, *[2.0] * (n - 10)]), known) == 0
    assert auroc(model, _scores(model, [3.0] * n), known) == 0.5


def test_importance_is_the_absolute_score() -> None:
    model = _model()
    known = _edges(model)[:10]
    values = [*[-2.0] * 10, *[1.0] * (model.n_edges - 10)]
    assert auroc(model, _scores(model, values), known) == 1


def test_one_known_edge_has_the_share_of_edges_below_it() -> None:
    """Ties counted half: 3 below, 2 equal of n - 1 others."""
    model = _model()
    n = model.n_edges
    values = [5.0, 1.0, 2.0, 3.0, 5.0, 5.0, *[9.0] * (n - 6)]
    assert auroc(model, _scores(model, values), _edges(model)[:1]) == pytest.approx(4 / (n - 1))


@pytest.mark.parametrize("seq_len", [None, 2])
@pytest.mark.parametrize("n_values", [3, 1000])
def test_it_is_the_chance_that_a_known_edge_ranks_above_another(
    n_values: int, seq_len: int | None
) -> None:
    """Every pair counted, with many ties and with hardly any."""
    model = _model(seq_len)
    draw = torch.Generator().manual_seed(0)
    values = torch.randint(n_values, (model.n_edges,), generator=draw).float().tolist()
    edges = _edges(model)
    known = edges[::4]
    others = set(edges) - set(known)
    by_edge = dict(zip(edges, values, strict=True))
    pairs = [(by_edge[a], by_edge[b]) for a in known for b in others]
    expected = sum((a > b) + 0.5 * (a == b) for a, b in pairs) / len(pairs)
    assert auroc(model, _scores(model, values), known) == pytest.approx(expected)


@pytest.mark.parametrize("which", ["none", "all"])
def test_known_edges_that_leave_nothing_to_rank_are_refused(which: str) -> None:
    model = _model()
    known = model.edges if which == "all" else []
    with pytest.raises(ArgumentError, match=f"official_edges.*{model.n_edges} edges"):
        auroc(model, _scores(model, [1.0] * model.n_edges), known)


def test_known_edges_of_another_model_are_refused() -> None:
    """Their positions would stand for other edges."""
    model = _model()
    with pytest.raises(ArgumentError, match="edges of this model"):
        auroc(model, _scores(model, [1.0] * model.n_edges), _edges(_model(seq_len=2))[:3])


def test_precision_and_recall_are_counted_at_every_different_score() -> None:
    """By going through all thresholds; the average is the sum over them."""
    model = _model()
    draw = torch.Generator().manual_seed(1)
    values = torch.randint(9, (model.n_edges,), generator=draw).float().tolist()
    edges = _edges(model)
    known = set(edges[::5])
    found = precision_recall(model, _scores(model, values), [edge.name for edge in known])
    expected, average, before = [], 0.0, 0.0
    for threshold in sorted(set(values), reverse=True):
        chosen = {edge for edge, value in zip(edges, values, strict=True) if value >= threshold}
        precision = len(chosen & known) / len(chosen)
        recall = len(chosen & known) / len(known)
        expected.append((len(chosen), precision, recall))
        average += (recall - before) * precision
        before = recall
    assert found.n_chosen.tolist() == [n for n, _, _ in expected]
    assert found.precision.tolist() == pytest.approx([p for _, p, _ in expected])
    assert found.recall.tolist() == pytest.approx([r for _, _, r in expected])
    assert found.average_precision == pytest.approx(average)


def test_the_roc_curve_goes_from_nothing_to_everything() -> None:
    """Two known edges first, one of them tied with an edge outside: by hand."""
    model = _model()
    n = model.n_edges
    curve = roc_curve(model, _scores(model, [3.0, 2.0, 2.0, *[1.0] * (n - 3)]), _edges(model)[:2])
    assert curve.n_chosen.tolist() == [0, 1, 3, n]
    assert curve.true_positive_rate.tolist() == [0, 0.5, 1, 1]
    assert curve.false_positive_rate.tolist() == pytest.approx([0, 0, 1 / (n - 2), 1])
    assert curve.area == pytest.approx(1 - 0.25 / (n - 2))


@pytest.mark.parametrize("seq_len", [None, 2])
def test_a_node_is_as_good_as_the_best_of_its_edges(seq_len: int | None) -> None:
    """Names alone say which node an edge leaves and which one it leads into."""
    model = _model(seq_len)
    edges = _edges(model)
    draw = torch.Generator().manual_seed(2)
    values = torch.rand(model.n_edges, generator=draw).tolist()
    known = edges[3:40:9]

    def touched(edge: Edge) -> set[str]:
        return {
            edge.src.name,
            edge.dest.name.removesuffix(".Q").removesuffix(".K").removesuffix(".V"),
        }

    best: dict[str, float] = {}
    for edge, value in zip(edges, values, strict=True):
        for node in touched(edge):
            best[node] = max(best.get(node, 0.0), value)
    is_known = set().union(*map(touched, known))
    pairs = [(best[a], best[b]) for a in is_known for b in best.keys() - is_known]
    expected = sum((a > b) + 0.5 * (a == b) for a, b in pairs) / len(pairs)
    assert auroc(model, _scores(model, values), known, per="node") == pytest.approx(expected)
