"""Prune scores as files, with the graph that they belong to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sp_widget.errors import ArgumentError
from sp_widget.files import write_atomically
from sp_widget.graph.base_graph import BaseGraph

FORMAT = "sp_widget prune scores 1"


def to_json(scores: Mapping[str, Tensor], graph: BaseGraph) -> bytes:
    """The scores as text, exactly: a 32-bit number has its own decimal form."""
    content = {
        "format": FORMAT,
        "graph": identity(graph),
        "dtypes": {name: str(score.dtype).removeprefix("torch.") for name, score in scores.items()},
        "scores": {name: score.tolist() for name, score in scores.items()},
    }
    return json.dumps(content).encode()


def to_safetensors(scores: Mapping[str, Tensor], graph: BaseGraph) -> bytes:
    """The scores as a safetensors file, the graph in its metadata."""
    from safetensors.torch import save

    tensors = {name: score.detach().cpu().contiguous() for name, score in scores.items()}
    return save(tensors, {"format": FORMAT, "graph": json.dumps(identity(graph))})


def write(scores: Mapping[str, Tensor], graph: BaseGraph, path: str | Path) -> None:
    """Write a `.json` or `.safetensors` file. Raises `ArgumentError` for another ending."""
    content = to_json if _kind(path) == ".json" else to_safetensors
    write_atomically(path, content(scores, graph))


def read(path: str | Path, graph: BaseGraph) -> dict[str, Tensor]:
    """The scores of a file that `write` made, on the CPU.

    Raises `ArgumentError` for a file that is none, and for the scores of another model.
    """
    content, written_for = (_read_json if _kind(path) == ".json" else _read_safetensors)(Path(path))
    wanted = identity(graph)
    for name, value in wanted.items():
        if written_for.get(name) != value:
            raise ArgumentError(
                "path",
                f"scores of a model whose {name} are {_short(value)}",
                f"{path}, whose {name} are {_short(written_for.get(name))}",
            )
    # A safetensors file has an order of its own; the edges of equal scores go by that of the graph.
    return {module.name: content[module.name] for module in graph.modules}


def identity(graph: BaseGraph) -> dict[str, Any]:
    """What tells a graph from another: its nodes by name, and its token positions."""
    return {
        "sources": [src.name for src in graph.srcs],
        "destinations": [dest.name for dest in graph.dests],
        "token positions": graph.seq_len,
    }


def _read_json(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    try:
        content = json.loads(path.read_bytes())
    except ValueError:
        content = None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise _not_ours(path)
    scores = {
        name: torch.tensor(values, dtype=getattr(torch, content["dtypes"][name]))
        for name, values in content["scores"].items()
    }
    return scores, content["graph"]


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            scores = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError:
        raise _not_ours(path) from None
    if metadata.get("format") != FORMAT:
        raise _not_ours(path)
    return scores, json.loads(metadata["graph"])


def _not_ours(path: Path) -> ArgumentError:
    return ArgumentError("path", "a file that PruneScores.save wrote", str(path))


def _kind(path: str | Path) -> str:
    kind = Path(path).suffix.lower()
    if kind not in (".json", ".safetensors"):
        raise ArgumentError("path", "a file name that ends in .json or .safetensors", str(path))
    return kind


def _short(value: Any) -> str:
    if not isinstance(value, list):
        return repr(value)
    return f"{len(value)}: {', '.join(map(str, value[:3]))} … {', '.join(map(str, value[-2:]))}"
