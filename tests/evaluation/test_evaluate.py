"""Evaluations against the reference's numbers and slow definitions of every area."""

from __future__ import annotations

import json
import math
from collections import Counter
from functools import cache
from itertools import pairwise
from typing import Any

import networkx
import numpy as np
import pytest
import torch
from torch import Tensor

import sp_widget as sp
from sp_widget.circuits.metrics import METRICS
from sp_widget.circuits.paths import edges_on_paths
from sp_widget.types import PatchType
from tests import model_kinds, reference

SHARES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1)


@cache
def _scores() -> sp.PruneScores:
    """Those that the reference cut its circuits from; of both signs."""
    with np.load(reference.FOLDER / "methods.npz") as stored:
        names = [name for name in stored.files if name.startswith("curve_scores/")]
        parts = {name.removeprefix("curve_scores/"): stored[name] for name in names}
    tensors = {name: torch.from_numpy(part) for name, part in parts.items()}
    return sp.PruneScores(tensors, reference.model("comp").graph)


@cache
def _evaluation(patch_type: PatchType = PatchType.TREE_PATCH) -> sp.Evaluation:
    return sp.evaluate(
        reference.model("comp"),
        reference.dataloader(),
        _scores(),
        sizes=[0, 1, 3, 10, 30, 60, 100, 110],
        random=3,
        patch_type=patch_type,
        seed=0,
        progress=False,
    )


def _at(evaluation: sp.Evaluation, circuit: str, metric: str) -> dict[int, float]:
    frame = evaluation.frame
    rows = frame[(frame["circuit"] == circuit) & (frame["metric"] == metric)]
    return dict(zip(rows["size"], rows["value"], strict=True))


@pytest.mark.parametrize("patch_type", PatchType)
def test_the_curve_is_the_reference_s(patch_type: PatchType) -> None:
    recorded = json.loads((reference.FOLDER / "methods.json").read_text())["curve"]
    expected = {e["edges"]: e for e in recorded if e["patch_type"] == patch_type.name}
    assert len(expected) == 8
    evaluation = _evaluation(patch_type)
    for ours, theirs in (("kl_div", "kl"), ("logit_diff", "logit_diff"), ("accuracy", "accuracy")):
        found = _at(evaluation, "circuit", ours)
        for size, row in expected.items():
            assert found[size] == pytest.approx(row[theirs], abs=1e-4)
            assert found[size] >= 0 or ours != "kl_div"


def _slow_logit_diffs(edges: set[sp.Edge], side: str = "clean") -> list[float]:
    """Of every prompt, with all edges ablated but these."""
    model = reference.model("comp")
    diffs: list[float] = []
    for batch in reference.dataloader():
        patch = sp.src_ablations(model, batch.corrupt)
        with torch.no_grad(), sp.patch_mode(model, patch, edges=model.edges - edges):
            logits = model(batch.clean)[:, -1]
        for row, right, wrong in zip(logits, batch.answers, batch.wrong_answers, strict=True):
            diffs.append((row[right].mean() - row[wrong].mean()).item())
    return diffs


def _without_dangling(edges: list[sp.Edge]) -> set[sp.Edge]:
    """Those on a path, found in a graph of names."""
    graph = networkx.DiGraph()
    graph.add_nodes_from(["Resid Start", "Resid End"])

    def into(edge: sp.Edge) -> str:
        name = edge.dest.name
        return name[:-2] if name.endswith((".Q", ".K", ".V")) else name

    graph.add_edges_from((edge.src.name, into(edge)) for edge in edges)
    fed = networkx.descendants(graph, "Resid Start") | {"Resid Start"}
    read = networkx.ancestors(graph, "Resid End") | {"Resid End"}
    return {edge for edge in edges if edge.src.name in fed and into(edge) in read}


def test_cpr_cmd_and_acc_auc_are_what_their_formulas_say() -> None:
    model, scores = reference.model("comp"), _scores()
    value = {edge: edge.prune_score(scores).item() for edge in model.edges}
    assert min(value.values()) < 0 < max(value.values())
    by_size = sorted(value, key=lambda edge: -abs(value[edge]))
    by_sign = sorted(value, key=lambda edge: -value[edge])

    def mean(diffs: list[float]) -> float:
        return sum(diffs) / len(diffs)

    empty, whole = mean(_slow_logit_diffs(set())), mean(_slow_logit_diffs(model.edges))
    kept: dict[str, list[float]] = {"size": [], "sign": []}
    right = []
    for name, ranked in (("size", by_size), ("sign", by_sign)):
        for share in SHARES:
            diffs = _slow_logit_diffs(_without_dangling(ranked[: int(share * len(ranked))]))
            kept[name].append((mean(diffs) - empty) / (whole - empty))
            if name == "size":
                right.append(sum(diff > 0 for diff in diffs) / len(diffs))
    widths = [high - low for low, high in pairwise(SHARES)]
    f, g = kept["sign"], kept["size"]
    cpr = sum(w * (f[i] + f[i + 1]) / 2 for i, w in enumerate(widths))
    cmd = sum(w * (abs(1 - g[i]) + abs(1 - g[i + 1])) / 2 for i, w in enumerate(widths))
    auc = np.trapezoid(right, np.log(SHARES)) / math.log(1000)
    found = _evaluation()
    assert found.cpr == pytest.approx(cpr, rel=1e-4)
    assert found.cmd == pytest.approx(cmd, rel=1e-4)
    assert found.acc_auc == pytest.approx(auc)
    assert 0 < auc < 1


def test_log_kl_is_the_mean_over_the_logarithm_of_the_size() -> None:
    evaluation = _evaluation()
    curve = {size: kl for size, kl in _at(evaluation, "circuit", "kl_div").items() if size}
    expected = np.trapezoid(list(curve.values()), np.log(list(curve))) / math.log(110)
    assert evaluation.log_kl == pytest.approx(expected)
    assert evaluation.summary.loc["RESAMPLE", "log_kl"] == pytest.approx(expected)


def test_the_share_of_the_logit_difference_is_0_without_edges_and_1_with_all() -> None:
    shares = _at(_evaluation(), "circuit", "logit_diff_share")
    diffs = _at(_evaluation(), "circuit", "logit_diff")
    assert (shares[0], shares[110]) == (0, 1)
    expected = (diffs[30] - diffs[0]) / (diffs[110] - diffs[0])
    assert shares[30] == pytest.approx(expected)


def test_the_complement_is_all_other_edges() -> None:
    model, evaluation = reference.model("comp"), _evaluation()
    frame = evaluation.frame.query("circuit == 'complement' and metric == 'logit_diff'")
    assert (frame["edges"] == 110 - frame["size"]).all()
    top = {edge for edge, _ in _scores().top(30)}
    diffs = _slow_logit_diffs(model.edges - top)
    found = frame.set_index("size")["value"]
    assert found[30] == pytest.approx(sum(diffs) / len(diffs), abs=1e-5)
    assert found[0] == pytest.approx(_at(evaluation, "circuit", "logit_diff")[110], abs=1e-6)


def test_edges_are_counted_before_and_after_pruning_what_has_no_path() -> None:
    model = reference.model("comp")
    frame = _evaluation().frame.query("circuit == 'circuit' and metric == 'kl_div'")
    assert list(frame["edges"]) == list(frame["size"]) == [0, 1, 3, 10, 30, 60, 100, 110]
    for size, on_paths in zip(frame["size"], frame["edges_on_paths"], strict=True):
        left = edges_on_paths(model, sp.top_edges(_scores(), size))
        assert on_paths == sum(int(mask.sum()) for mask in left.values())
    assert (frame["edges_on_paths"] < frame["edges"]).any()


def test_random_circuits_are_as_large_and_within_layers_spread_like_the_circuit() -> None:
    from sp_widget.evaluation.random_circuits import (
        layer_pairs,
        random_circuit,
        random_circuit_within_layers,
    )

    model = sp.patchable_model(model_kinds.bridge("gpt2"), seq_len=6)
    n = model.n_edges
    circuit = torch.zeros(n, dtype=torch.bool)
    circuit[: n // 3] = True
    order = torch.randperm(n, generator=torch.Generator().manual_seed(0))
    assert random_circuit(order, circuit).sum() == n // 3
    drawn = random_circuit_within_layers(order, circuit, layer_pairs(model.graph))

    def spread(chosen: Tensor) -> Counter[tuple[int, int]]:
        edges = model.graph.edges_at(chosen.nonzero().flatten().tolist())
        return Counter((edge.src.layer, edge.dest.layer) for edge in edges)

    assert spread(drawn) == spread(circuit)
    assert not torch.equal(drawn, circuit)


def test_the_draws_of_random_circuits_differ_and_follow_from_the_seed() -> None:
    model, loader = reference.model("comp"), reference.dataloader()

    def values(seed: int) -> list[float]:
        found = sp.evaluate(
            model, loader, _scores(), [30], random=3, metrics=["kl_div"], seed=seed, progress=False
        )
        rows = found.frame.query("size == 30 and draw >= 0")
        assert list(rows["circuit"]) == ["random", "random_within_layers"] * 3
        assert found.band()[1] == (30, min(rows["value"][::2]), max(rows["value"][::2]))
        return list(rows["value"])

    first = values(0)
    assert len(set(first)) == 6
    assert values(0) == first != values(1)


def test_a_circuit_made_by_hand_is_evaluated_like_a_trained_one() -> None:
    """By edges, by names, and by scores that say the same."""
    model, loader = reference.model("comp"), reference.dataloader()
    edges = [edge for edge, _ in _scores().top(40)][::2]
    settings: Any = {"random": 0, "progress": False}
    by_name = sp.evaluate(model, loader, [edge.name for edge in edges], **settings)
    by_edge = sp.evaluate(model, loader, set(edges), **settings)
    by_score = sp.evaluate(
        model, loader, sp.ground_truth_prune_scores(model, loader, edges), **settings
    )
    diffs = _slow_logit_diffs(set(edges))
    assert _at(by_name, "circuit", "logit_diff")[20] == pytest.approx(sum(diffs) / 16, abs=1e-5)
    assert by_name.log_kl == by_edge.log_kl
    assert by_name.cmd == by_score.cmd


def test_several_ablations_and_a_metric_of_one_s_own() -> None:
    """One number a batch or one a prompt: both are means over all prompts, of unequal batches."""
    model = sp.patchable_model(model_kinds.bridge("gpt2"))
    loader = model_kinds.dataloader()
    scores = sp.random_prune_scores(model, loader, seed=0)

    def first_logit(logits: Tensor, clean_logits: Tensor, batch: sp.PromptPairBatch) -> Tensor:
        return logits[:, 0]

    def moved(logits: Tensor, clean_logits: Tensor, batch: sp.PromptPairBatch) -> Tensor:
        return (logits - clean_logits).abs().max()

    ablations = [sp.AblationType.ZERO, sp.AblationType.TOKENWISE_MEAN_CLEAN]
    found = sp.evaluate(
        model,
        loader,
        scores,
        [9],
        ablations,
        metrics=[first_logit, moved, "kl_div"],
        progress=False,
    )
    for ablation in ablations:
        outputs = sp.run_circuits(model, loader, [9], scores, sp.PatchType.TREE_PATCH, ablation)[9]
        logits = torch.cat(list(outputs.values()))
        curve = dict(found.curve("first_logit", ablation=ablation))
        assert curve[9] == pytest.approx(logits[:, 0].mean().item(), abs=1e-5)
        assert dict(found.curve("moved", ablation=ablation))[model.n_edges] < 1e-4
    assert list(found.summary.index) == ["ZERO", "TOKENWISE_MEAN_CLEAN"]
    assert found.summary["log_kl"].notna().all()
    with pytest.raises(sp.StateError, match="metrics were first_logit, moved, kl_div"):
        _ = found.cpr


def test_an_interrupt_leaves_what_is_measured_the_circuits_first() -> None:
    model, loader = reference.model("comp"), reference.dataloader()
    calls = 0

    def interrupting(logits: Tensor, clean_logits: Tensor, batch: sp.PromptPairBatch) -> Tensor:
        nonlocal calls
        calls += 1
        if calls == last:
            raise KeyboardInterrupt
        return METRICS["kl_div"](logits, clean_logits, batch)

    def evaluate() -> sp.Evaluation:
        return sp.evaluate(
            model, loader, _scores(), metrics=[interrupting, "kl_div"], seed=0, progress=False
        )

    last = 400
    with pytest.warns(UserWarning, match=r"interrupted: \d+ of \d+ circuits"):
        found = evaluate()
    assert not found.complete
    assert "interrupted" in repr(found)
    assert 0 < len(found.measured) < found.n_circuits
    whole = sp.evaluate(model, loader, _scores(), random=0, metrics=["kl_div"], progress=False)
    assert found.log_kl == pytest.approx(whole.log_kl)
    calls, last = 0, 1
    with pytest.raises(KeyboardInterrupt):
        evaluate()


def test_targets_of_a_regression_are_measured_by_their_squared_error() -> None:
    task = sp.tasks.load("tracr-xproportion")
    assert task.config.faithfulness_target == "mse"
    scores = sp.random_prune_scores(task.model, task.test_loader, seed=0)
    found = sp.evaluate(task.model, task.test_loader, scores, random=0, progress=False)
    assert found.metrics == ("mse",)
    assert found.log_area("mse") > 0
    assert math.isnan(found.summary["cpr"].iloc[0])


def test_it_is_shown_as_a_table_and_drawn() -> None:
    evaluation = _evaluation()
    for text in (repr(evaluation), evaluation._repr_html_()):
        assert "110 edges in all" in text
        assert f"{evaluation.log_kl:.3f}"[:5] in text
    axes = evaluation.plot("logit_diff_share", label="mask gradient")
    lines = {line.get_label(): line for line in axes.get_lines()}
    drawn = dict(zip(*lines["mask gradient"].get_data(), strict=True))
    shares = _at(evaluation, "circuit", "logit_diff_share")
    assert drawn == {size: share for size, share in shares.items() if size}
    assert "complement of mask gradient" in lines
    assert axes.get_xscale() == "log"
    again = evaluation.plot(axes=axes, label="again")
    assert again is axes
    import matplotlib.pyplot as plt

    plt.close(axes.figure)


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("prune_scores", "MLP 0->MLP 1"),
        ("prune_scores", ["MLP 0->MLP 9"]),
        ("sizes", [111]),
        ("ablations", ["zero"]),
        ("random", -1),
        ("metrics", ["kl"]),
        ("metrics", ["kl_div", "kl_div"]),
        ("patch_type", "tree"),
        ("seed", -1),
    ],
)
def test_bad_arguments_are_named(argument: str, value: Any) -> None:
    given = {"prune_scores": _scores(), argument: value}
    with pytest.raises(sp.ArgumentError) as error:
        sp.evaluate(reference.model("comp"), reference.dataloader(), progress=False, **given)
    assert error.value.argument == argument
