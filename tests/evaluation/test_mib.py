"""Graph files of EAP-IG and MIB: read from a file made by hand, and written as described there."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from sp_widget.circuits.paths import edges_on_paths
from sp_widget.circuits.scores import PruneScores, top_edges
from sp_widget.engine.patchable_model import PatchableModel, patchable_model
from sp_widget.errors import ArgumentError
from sp_widget.evaluation.mib import (
    export_mib,
    export_mib_submission,
    import_mib,
    import_mib_circuit,
)
from tests import model_kinds

BY_HAND = Path(__file__).parents[1] / "fixtures/mib/one_block.json"


@pytest.fixture(scope="module")
def one_block() -> PatchableModel:
    bridge = model_kinds._native(n_layers=1, n_heads=2, d_head=16, n_key_value_heads=1)
    return patchable_model(bridge)


def _scores(model: PatchableModel) -> PruneScores:
    draw = torch.Generator().manual_seed(0)
    return PruneScores(model.graph.split(torch.randn(model.n_edges, generator=draw)), model.graph)


def _by_name(scores: PruneScores) -> dict[str, float]:
    return {edge.name: score for edge, score in scores.top(scores.graph.n_edges)}


def test_a_file_made_by_hand_is_read_edge_by_edge(one_block: PatchableModel) -> None:
    """Of what heads share, the score of largest absolute value; an edge marked once is marked."""
    single = {
        "Resid Start->A0.0.Q": 0.5,
        "Resid Start->A0.1.Q": -1.5,
        "Resid Start->A0.0.K": -0.75,
        "Resid Start->A0.0.V": 2.0,
        "Resid Start->MLP 0": 4.0,
        "Resid Start->Resid End": 0.0,
        "A0.0->MLP 0": 8.0,
        "A0.0->Resid End": -16.0,
        "A0.1->MLP 0": 32.0,
        "A0.1->Resid End": 64.5,
        "MLP 0->Resid End": -0.1,
    }
    assert _by_name(import_mib(BY_HAND, one_block)) == pytest.approx(single)
    names = {edge.name for edge in import_mib_circuit(BY_HAND, one_block)}
    assert names == {"Resid Start->A0.0.V", "A0.1->MLP 0", "MLP 0->Resid End"}


@pytest.mark.parametrize("kind", [".json", ".pt"])
def test_round_trips_are_exact(kind: str, tmp_path: Path, one_block: PatchableModel) -> None:
    path = tmp_path / f"scores{kind}"
    joint = patchable_model(model_kinds.bridge("gpt2"), separate_qkv=False)
    models = [patchable_model(model_kinds.bridge(name)) for name in ("gpt2", "llama")]
    parallel = patchable_model(model_kinds.bridge("neox-parallel"))
    dangling = 0
    for model in (*models, parallel, joint, one_block):
        scores = _scores(model)
        export_mib(path, model, scores, n_edges=model.n_edges // 2)
        back = import_mib(path, model)
        assert list(back) == list(scores)
        assert all(torch.equal(back[name], scores[name]) for name in scores)
        # The circuit without its dangling edges.
        on_path = edges_on_paths(model, top_edges(scores, model.n_edges // 2))
        places = model.graph.flatten(on_path).nonzero().flatten().tolist()
        assert places
        dangling += model.n_edges // 2 - len(places)
        assert import_mib_circuit(path, model) == set(model.graph.edges_at(places))
    assert dangling > 0


def test_a_written_file_holds_what_the_format_asks_for(tmp_path: Path) -> None:
    """Counts and places by the formulas of the format, for two blocks of four heads."""
    model = patchable_model(model_kinds.bridge("llama"))
    scores = _scores(model)
    ours = _by_name(scores)
    path, layers, heads = tmp_path / "x.json", 2, 4
    export_mib(path, model, scores, n_edges=30)
    content = json.loads(path.read_text())
    assert content["cfg"] == {
        "n_layers": 2, "n_heads": 4, "parallel_attn_mlp": False, "d_model": 32,
    }  # fmt: skip
    nodes = ["input"]
    for layer in range(layers):
        nodes += [f"a{layer}.h{head}" for head in range(heads)] + [f"m{layer}"]
    assert list(content["nodes"]) == [*nodes, "logits"]
    edges = content["edges"]
    per_block = [1 + layer * (heads + 1) for layer in range(layers)]
    assert len(edges) == sum(3 * heads * n + n + heads for n in per_block) + len(nodes)
    # Two query heads share each key and value, of a source as of any other.
    for letter in "kv":
        for head in range(heads):
            name = f"a0.h3->a1.h{head}<{letter}>"
            assert edges[name]["score"] == ours[f"A0.3->A1.{head // 2}.{letter.upper()}"]
    assert edges["m0->a1.h3<q>"]["score"] == ours["MLP 0->A1.3.Q"]
    assert edges["m1->logits"]["score"] == ours["MLP 1->Resid End"]
    for node in nodes:
        leaving = [edge["in_graph"] for name, edge in edges.items() if name.startswith(f"{node}->")]
        assert content["nodes"][node]["in_graph"] == any(leaving)
    assert content["nodes"]["logits"]["in_graph"]

    export_mib(tmp_path / "x.pt", model, scores, n_edges=30)
    tensors = torch.load(tmp_path / "x.pt", weights_only=True)
    assert tensors["src_nodes"] == nodes
    matrix, marked = tensors["edges_scores"], tensors["edges_in_graph"]
    assert matrix.shape == marked.shape == (1 + layers * (heads + 1), layers * (3 * heads + 1) + 1)
    for name, edge in edges.items():
        source, dest = name.split("->")
        row = 0 if source == "input" else nodes.index(source)
        column = -1
        if dest != "logits":
            start = int(dest[1]) * (3 * heads + 1)
            column = start + 3 * heads
            if dest[0] == "a":
                column = start + "qkv".index(dest[-2]) * heads + int(dest.split(".h")[1][0])
                assert tensors["dst_nodes"][column] == dest
        assert matrix[row, column].item() == edge["score"]
        assert marked[row, column].item() == edge["in_graph"]
    assert int(marked.sum()) == sum(edge["in_graph"] for edge in edges.values())
    assert tensors["nodes_in_graph"].tolist() == [content["nodes"][n]["in_graph"] for n in nodes]


def test_without_a_size_no_circuit_is_marked(tmp_path: Path, one_block: PatchableModel) -> None:
    path = tmp_path / "x.pt"
    export_mib(path, one_block, _scores(one_block))
    with pytest.raises(ArgumentError, match="marks the edges of a circuit"):
        import_mib_circuit(path, one_block)


def test_a_submission_is_a_folder_for_each_task_and_model(
    tmp_path: Path, one_block: PatchableModel
) -> None:
    path = export_mib_submission(tmp_path / "s", one_block, _scores(one_block), "ioi_gpt2")
    assert path == tmp_path / "s" / "ioi_gpt2" / "importances.json"
    assert _by_name(import_mib(path, one_block)) == _by_name(_scores(one_block))
    export_mib_submission(tmp_path / "s", one_block, _scores(one_block), "arc-easy_llama3", ".pt")
    assert sorted(str(each.relative_to(tmp_path)) for each in tmp_path.rglob("*.*")) == [
        "s/arc-easy_llama3/importances.pt",
        "s/ioi_gpt2/importances.json",
    ]
    for name, kind in (("ioi", ".json"), ("ioi_gpt2", ".csv")):
        with pytest.raises(ArgumentError):
            export_mib_submission(tmp_path, one_block, _scores(one_block), name, kind)


def test_models_that_the_format_cannot_describe_are_refused_with_the_reason(tmp_path: Path) -> None:
    gpt2 = model_kinds.bridge("gpt2")
    for model, reason in (
        (patchable_model(model_kinds.bridge("gemma2")), "mixes the heads"),
        (patchable_model(model_kinds.bridge("native-attention-only")), "an MLP in every block"),
        (patchable_model(gpt2, seq_len=3), "3 token positions"),
        (patchable_model(gpt2, factorized=False), "factorized=False"),
    ):
        with pytest.raises(ArgumentError, match=reason) as error:
            export_mib(tmp_path / "x.json", model, model.new_prune_scores())
        assert error.value.argument == "model"
        with pytest.raises(ArgumentError, match=reason):
            import_mib(BY_HAND, model)
    assert list(tmp_path.iterdir()) == []


def _without(content: dict[str, Any], *keys: str) -> None:
    for key in keys[:-1]:
        content = content[key]
    del content[keys[-1]]


MALFORMED: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "no edges": (lambda c: _without(c, "edges"), "`edges`"),
    "an edge missing": (lambda c: _without(c, "edges", "input->m0"), "input->m0"),
    "an edge of another model": (lambda c: c["edges"].update({"m0->m1": {}}), "m0->m1"),
    "another number of heads": (lambda c: c["cfg"].update(n_heads=3), "`n_heads`"),
    "no configuration": (lambda c: c.update(cfg=[]), "`n_layers`"),
    "a parallel block": (lambda c: c["cfg"].update(parallel_attn_mlp=True), "parallel"),
    "a score in words": (lambda c: c["edges"]["input->m0"].update(score="1"), "input->m0"),
    "a score that is none": (
        lambda c: c["edges"]["input->m0"].update(score=float("nan")),
        "input->m0.*NaN",
    ),
    "one score missing": (lambda c: _without(c, "edges", "input->m0", "score"), "input->m0"),
    "a mark that is none": (lambda c: c["edges"]["input->m0"].update(in_graph=1), "input->m0"),
    "edges as a list": (lambda c: c.update(edges=[1]), "`edges`"),
    "neurons": (lambda c: c["nodes"]["m0"].update(neurons=[True]), "neurons"),
    "scores of nodes": (
        lambda c: [
            c["nodes"]["m0"].update(score=1.0),
            *(edge.update(score=0.0) for edge in c["edges"].values()),
        ],
        "scores of nodes",
    ),
}


def test_a_malformed_json_file_is_refused_by_what_is_wrong(
    tmp_path: Path, one_block: PatchableModel
) -> None:
    path = tmp_path / "odd.json"
    for what, (spoil, named) in MALFORMED.items():
        content = json.loads(BY_HAND.read_text())
        spoil(content)
        path.write_text(json.dumps(content))
        with pytest.raises(ArgumentError, match=f"(?s)odd.json.*{named}") as error:
            import_mib(path, one_block)
        assert error.value.argument == "path", what
    path.write_text("{")
    with pytest.raises(ArgumentError, match="JSON"):
        import_mib(path, one_block)
    content = json.loads(BY_HAND.read_text())
    for edge in content["edges"].values():
        del edge["score"]
    path.write_text(json.dumps(content))
    assert len(import_mib_circuit(path, one_block)) == 3
    with pytest.raises(ArgumentError, match="import_mib_circuit"):
        import_mib(path, one_block)
    for name in ("odd.csv", "missing.json"):
        with pytest.raises(ArgumentError):
            import_mib(tmp_path / name, one_block)


def test_a_malformed_tensor_file_is_refused_by_what_is_wrong(
    tmp_path: Path, one_block: PatchableModel
) -> None:
    good, path = tmp_path / "good.pt", tmp_path / "odd.pt"
    export_mib(good, one_block, _scores(one_block), n_edges=5)
    nan = torch.load(good, weights_only=True)["edges_scores"]
    nan[0, 0] = torch.nan
    for change, named in (
        ({"edges_scores": torch.zeros(3, 3)}, "`edges_scores`"),
        ({"edges_in_graph": [True]}, "`edges_in_graph`"),
        ({"edges_scores": nan}, "NaN"),
        ({"src_nodes": ["input"]}, "`src_nodes`"),
        ({"dst_nodes": ["logits"]}, "`dst_nodes`"),
        ({"cfg": {}}, "`n_layers`"),
        ({"neurons_in_graph": torch.ones(4, 32)}, "neurons"),
    ):
        torch.save({**torch.load(good, weights_only=True), **change}, path)
        with pytest.raises(ArgumentError, match=f"(?s)odd.pt.*{named}"):
            import_mib(path, one_block)
    # Places that are no edge may hold anything.
    junk = torch.load(good, weights_only=True)
    junk["edges_scores"][3, 0] = torch.nan
    torch.save(junk, path)
    assert _by_name(import_mib(path, one_block)) == _by_name(import_mib(good, one_block))
    path.write_bytes(b"no archive")
    with pytest.raises(ArgumentError, match="tensors"):
        import_mib(path, one_block)
    # A class in the file, which reading would have to run, is not.
    torch.save({"cfg": Path("x")}, path)
    with pytest.raises(ArgumentError, match="tensors"):
        import_mib(path, one_block)
