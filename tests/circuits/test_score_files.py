"""Prune scores in files: exact, and only for the model that they belong to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from sp_widget.circuits.scores import PruneScores
from sp_widget.errors import ArgumentError
from sp_widget.graph.edge_graph import BlockShape, Graph

ENDINGS = ("json", "safetensors", "JSON")


def graph(n_heads: int = 3, seq_len: int | None = None) -> Graph:
    return Graph([BlockShape(n_heads, n_heads)] * 2, seq_len=seq_len)


def random_scores(graph: Graph, dtype: torch.dtype = torch.float32) -> PruneScores:
    draw = torch.Generator().manual_seed(3)
    flat = torch.randn(graph.n_edges, generator=draw, dtype=torch.float64).to(dtype)
    return PruneScores(graph.split(flat), graph)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("seq_len", [None, 2])
def test_what_is_loaded_is_bit_for_bit_what_was_saved(
    tmp_path: Path, ending: str, dtype: torch.dtype, seq_len: int | None
) -> None:
    scores = random_scores(graph(seq_len=seq_len), dtype)
    scores.save(tmp_path / f"scores.{ending}")
    loaded = PruneScores.load(tmp_path / f"scores.{ending}", graph(seq_len=seq_len))
    assert list(loaded) == list(scores)
    for name, score in scores.items():
        assert loaded[name].dtype == dtype
        assert torch.equal(loaded[name], score)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(
    ("other", "difference"),
    [
        (graph(n_heads=4), "sources are 11: Resid Start, A0.0, A0.1"),
        (graph(seq_len=2), "token positions are 2"),
    ],
)
def test_scores_of_another_model_are_refused_with_the_difference(
    tmp_path: Path, ending: str, other: Graph, difference: str
) -> None:
    random_scores(graph()).save(tmp_path / f"scores.{ending}")
    with pytest.raises(ArgumentError, match=f"path: wanted scores of a model whose {difference}"):
        PruneScores.load(tmp_path / f"scores.{ending}", other)


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "list.json").write_text(json.dumps([1, 2]))
    (tmp_path / "text.json").write_text("no json")
    save_file({"a": torch.zeros(1)}, tmp_path / "tensors.safetensors")
    (tmp_path / "text.safetensors").write_text("none")
    for name in ("list.json", "text.json", "tensors.safetensors", "text.safetensors"):
        with pytest.raises(ArgumentError, match=r"path: wanted a file that PruneScores\.save"):
            PruneScores.load(tmp_path / name, graph())


def test_another_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"ends in \.json or \.safetensors"):
        random_scores(graph()).save(tmp_path / "scores.pt")


def test_other_programs_read_the_tensors(tmp_path: Path) -> None:
    scores = random_scores(graph())
    scores.save(tmp_path / "scores.safetensors")
    tensors = load_file(tmp_path / "scores.safetensors")
    assert all(torch.equal(tensors[name], score) for name, score in scores.items())
    scores.save(tmp_path / "scores.json")
    content = json.loads((tmp_path / "scores.json").read_text())
    assert content["graph"]["sources"][0] == "Resid Start"
    (last,) = content["scores"]["blocks.1.hook_resid_post"][-1:]
    assert last == scores["blocks.1.hook_resid_post"][-1].item()
