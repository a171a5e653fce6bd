"""Prune scores in files: exact, and only for the model that they belong to."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
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
    for name in ("list.json", "tensors.safetensors", "text.safetensors"):
        with pytest.raises(ArgumentError, match=r"path: wanted a file that PruneScores\.save"):
            PruneScores.load(tmp_path / name, graph())
    with pytest.raises(
        ArgumentError, match=r"path: wanted text\.json, line 1, column 1: JSON, got"
    ):
        PruneScores.load(tmp_path / "text.json", graph())


FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)

HEADS, MLP = "blocks.1.hook_q_input", "blocks.1.hook_mlp_in"


def changed(content: dict[str, Any], *keys: str | int, to: Any) -> bytes:
    """A file of scores in which the value under these keys is another."""
    content = json.loads(json.dumps(content))
    at: Any = content
    for key in keys[:-1]:
        at = at[key]
    at[keys[-1]] = to
    return json.dumps(content).encode()


def test_a_malformed_text_is_refused_with_the_place(tmp_path: Path) -> None:
    """Every way in which a file of scores was found to be wrong, and what is said of it."""
    random_scores(graph()).save(tmp_path / "good.json")
    text = (tmp_path / "good.json").read_bytes()
    good = json.loads(text)
    one_less = {name: value for name, value in good["scores"].items() if name != MLP}
    row = good["scores"][HEADS]
    for content, said in (
        (b"", "line 1, column 1: JSON"),
        (text[: len(text) // 2], "JSON"),
        (b"\xff", "byte 0: text in UTF-8"),
        (b"[" * 100_000 + b"]" * 100_000, "lists within lists at most 16 deep"),
        (text.replace(b'"format"', b'"format": "", "format"'), "every key once in an object"),
        (changed(good, "format", to="sp_widget prune scores 2"), "a file that PruneScores.save"),
        (changed(good, "more", to=1), '"more": no such key, got 1'),
        (changed(good, "graph", to=None), '"graph"'),
        (changed(good, "graph", "sources", to=[[1]]), '"graph"["sources"][0]: a valid string'),
        (changed(good, "graph", "token positions", to=True), '"graph"["token positions"]'),
        (changed(good, "graph", "sources", to=["\ud800"]), "surrogate"),
        (changed(good, "dtypes", to=[]), '"dtypes": a valid dictionary'),
        (changed(good, "dtypes", MLP, to="Tensor"), f'"dtypes"["{MLP}"]'),
        (changed(good, "dtypes", MLP, to="int64"), "'float64', 'float32'"),
        (changed(good, "dtypes", MLP, to=["float32"]), f'"dtypes"["{MLP}"]'),
        (changed(good, "scores", to=None), '"scores": a valid dictionary, got null'),
        (changed(good, "scores", to=one_less), f'"scores"["{MLP}"]: this key, got nothing'),
        (changed(good, "scores", "else", to=[1.0]), '"scores": no other than the model'),
        (changed(good, "scores", MLP, to=1.0), f'"scores"["{MLP}"]: a valid list, got 1.0'),
        (changed(good, "scores", HEADS, to=row[1:]), "a list of 3 items, not 2"),
        (changed(good, "scores", HEADS, 2, to=[1.0]), f'"scores"["{HEADS}"][2]: a list of'),
        (changed(good, "scores", HEADS, 2, 0, to="1"), 'a valid number, got "1"'),
        (changed(good, "scores", HEADS, 2, 0, to=None), "a valid number, got null"),
        (changed(good, "scores", HEADS, 2, 0, to=True), "a valid number, got true"),
        (changed(good, "scores", HEADS, 2, 0, to=2**64), "whole numbers of 64 bits"),
        (changed(good, "scores", HEADS, 2, 0, to=1e39), "[2][0]: numbers of float32, got 1e+39"),
        (changed(good, "scores", HEADS, 2, 0, to=math.nan), "[2][0]: numbers, got NaN"),
    ):
        (tmp_path / "bad.json").write_bytes(content)
        with pytest.raises(ArgumentError) as caught:
            PruneScores.load(tmp_path / "bad.json", graph())
        assert caught.value.argument == "path", content[:200]
        assert said in str(caught.value), content[:200]
        assert len(str(caught.value)) < 500


def test_a_malformed_safetensors_file_is_refused_with_the_place(tmp_path: Path) -> None:
    path = tmp_path / "scores.safetensors"
    random_scores(graph()).save(path)
    content = path.read_bytes()
    with safe_open(path, framework="pt") as file:
        about = file.metadata()
    tensors = load_file(path)
    others = [about | {"graph": text} for text in ("", "[" * 9999, "null", '{"sources": 1}')]
    for changes, metadata, said in (
        ({MLP: tensors[MLP].to(torch.int32)}, about, "one of F64, F32, F16, BF16, got I32"),
        ({MLP: tensors[MLP].to(torch.complex64)}, about, "one of F64, F32, F16, BF16, got C64"),
        ({MLP: tensors[MLP][1:]}, about, f'tensors["{MLP}"]: numbers of shape'),
        ({MLP: tensors[MLP] * math.nan}, about, f'tensors["{MLP}"][0]: numbers, got NaN'),
        ({"more": tensors[MLP].clone()}, about, "no other than the model's modules"),
        *(({}, other, "scores.safetensors, ") for other in others),
        ({}, {"format": about["format"]}, '"graph"'),
        ({}, {}, "a file that PruneScores.save wrote"),
    ):
        save_file(tensors | changes, path, metadata)
        with pytest.raises(ArgumentError) as caught:
            PruneScores.load(path, graph())
        assert said in str(caught.value)
    save_file({HEADS: tensors[HEADS]}, path, about)
    with pytest.raises(ArgumentError, match="this key, got nothing"):
        PruneScores.load(path, graph())
    for part in range(0, len(content), 97):
        path.write_bytes(content[:part])
        with pytest.raises(
            ArgumentError, match=r"path: wanted a file that PruneScores\.save wrote"
        ):
            PruneScores.load(path, graph())


def test_infinite_scores_of_any_width_are_kept(tmp_path: Path) -> None:
    """Those of ACDC are infinite for edges that it never removes."""
    for dtype in FLOATS:
        scores = random_scores(graph(), dtype)
        scores[MLP][:2] = torch.tensor([math.inf, -math.inf])
        for ending in ENDINGS:
            scores.save(tmp_path / f"scores.{ending}")
            loaded = PruneScores.load(tmp_path / f"scores.{ending}", graph())
            assert loaded[MLP].dtype == dtype
            assert torch.equal(loaded[MLP], scores[MLP])


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.json").mkdir()
    paths: list[Any] = [None, 3, b"scores.json", "folder.json", "none.json", "a\0.json"]
    paths += ["none.safetensors", "a" * 5000 + ".json", "\ud800.json"]
    for path in paths:
        with pytest.raises(ArgumentError) as caught:
            PruneScores.load(tmp_path / path if isinstance(path, str) else path, graph())
        assert caught.value.argument == "path"
        assert len(str(caught.value)) < 500


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
