"""Prune scores as files, with the graph that they belong to."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import torch
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from torch import Tensor

from sp_widget.checked_files import file_path
from sp_widget.checked_json import MalformedError, checked, cut, parse_json
from sp_widget.errors import ArgumentError
from sp_widget.files import write_atomically
from sp_widget.graph.base_graph import BaseGraph

FORMAT = "sp_widget prune scores 1"

KINDS = (".json", ".safetensors")
"""Endings of a file of scores."""

DTYPES: dict[str, tuple[str, torch.dtype]] = {
    "float64": ("F64", torch.float64),
    "float32": ("F32", torch.float32),
    "float16": ("F16", torch.float16),
    "bfloat16": ("BF16", torch.bfloat16),
}
"""What scores may be, by the name in JSON: the name in safetensors, and the dtype."""


class _GraphSchema(BaseModel):
    """What `identity` makes."""

    model_config = ConfigDict(extra="forbid")

    sources: list[str]
    destinations: list[str]
    seq_len: Annotated[int, Field(gt=0)] | None = Field(alias="token positions")


class _FileSchema(BaseModel):
    """What `to_json` makes; of the scores only that they have names."""

    model_config = ConfigDict(extra="forbid")

    format: Literal["sp_widget prune scores 1"]
    graph: dict[str, Any]
    dtypes: dict[str, Literal["float64", "float32", "float16", "bfloat16"]]
    scores: dict[str, Any]


_GRAPH, _FILE = TypeAdapter(_GraphSchema), TypeAdapter(_FileSchema)


def to_json(scores: Mapping[str, Tensor], graph: BaseGraph) -> bytes:
    """Return the scores as text, exactly: a 32-bit number has its own decimal form."""
    content = {
        "format": FORMAT,
        "graph": identity(graph),
        "dtypes": {name: str(score.dtype).removeprefix("torch.") for name, score in scores.items()},
        "scores": {name: score.tolist() for name, score in scores.items()},
    }
    return json.dumps(content).encode()


def to_safetensors(scores: Mapping[str, Tensor], graph: BaseGraph) -> bytes:
    """Return the scores as a safetensors file, the graph in its metadata."""
    from safetensors.torch import save

    tensors = {name: score.detach().cpu().contiguous() for name, score in scores.items()}
    return save(tensors, {"format": FORMAT, "graph": json.dumps(identity(graph))})


def write(scores: Mapping[str, Tensor], graph: BaseGraph, path: str | Path) -> None:
    """Write a `.json` or `.safetensors` file. Raises `ArgumentError` for another ending."""
    found, kind = file_path(path, KINDS)
    content = to_json if kind == ".json" else to_safetensors
    write_atomically(found, content(scores, graph))


def read(path: str | Path, graph: BaseGraph) -> dict[str, Tensor]:
    """Return the scores of a file that `write` made, on the CPU.

    A score may be infinite, as those of ACDC are for edges that it never removes, but not NaN.

    Raises `ArgumentError` for a file that is none, with the place where it is not; for a score that
    is NaN or does not fit its dtype; and for the scores of another model.
    """
    found, kind = file_path(path, KINDS)
    reader = _read_json if kind == ".json" else _read_safetensors
    try:
        content = reader(found, graph)
    except MalformedError as error:
        place = ", ".join(filter(None, [cut(found.name), error.place]))
        raise ArgumentError("path", f"{place}: {error.wanted}", _Words(error.got)) from None
    except (OSError, ValueError) as error:
        if isinstance(error, ArgumentError):
            raise
        got = getattr(error, "strerror", None) or str(error)
        raise ArgumentError("path", f"{cut(found.name)}: a file that can be read", got) from None
    # A safetensors file has an order of its own; the edges of equal scores go by that of the graph.
    return {module.name: content[module.name] for module in graph.modules}


def identity(graph: BaseGraph) -> dict[str, Any]:
    """Return what tells a graph from another: its nodes by name, and its token positions."""
    return {
        "sources": [src.name for src in graph.srcs],
        "destinations": [dest.name for dest in graph.dests],
        "token positions": graph.seq_len,
    }


class _Words(str):
    """Words of an error, not a value that came: shown without quotation marks."""

    def __repr__(self) -> str:
        return str(self)


def _read_json(path: Path, graph: BaseGraph) -> dict[str, Tensor]:
    _require_file(path)
    content = parse_json(path.read_bytes())
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        _not_ours(path)
    _check_graph(path, content.get("graph"), graph)
    checked(_FILE, content)
    names = [module.name for module in graph.modules]
    _check_names(content["dtypes"], names, '"dtypes"')
    _check_names(content["scores"], names, '"scores"')
    scores = {}
    for module in graph.modules:
        shape, place = module.mask_shape(graph.seq_len), f'"scores"[{json.dumps(module.name)}]'
        values = checked(_numbers(shape), content["scores"][module.name], place)
        _, dtype = DTYPES[content["dtypes"][module.name]]
        scores[module.name] = torch.tensor(values, dtype=torch.float64).to(dtype)
        _check_numbers(scores[module.name], torch.tensor(values, dtype=torch.float64), place)
    return scores


def _read_safetensors(path: Path, graph: BaseGraph) -> dict[str, Tensor]:
    from safetensors import SafetensorError, safe_open

    _require_file(path)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                _not_ours(path)
            _check_graph(path, _graph_of(metadata), graph)
            names = list(file.keys())
            _check_names(names, [module.name for module in graph.modules], "tensors")
            scores = {}
            for module in graph.modules:
                tensor, place = file.get_slice(module.name), f"tensors[{json.dumps(module.name)}]"
                wanted = module.mask_shape(graph.seq_len)
                if tuple(tensor.get_shape()) != wanted:
                    shape = str(tuple(tensor.get_shape()))
                    raise MalformedError(place, f"numbers of shape {wanted}", shape)
                kinds = [name for name, _ in DTYPES.values()]
                if tensor.get_dtype() not in kinds:
                    raise MalformedError(place, f"one of {', '.join(kinds)}", tensor.get_dtype())
                # A copy: else it would change when the file does.
                scores[module.name] = file.get_tensor(module.name).clone()
                _check_numbers(scores[module.name], scores[module.name], place)
    except SafetensorError:
        _not_ours(path)
    return scores


def _graph_of(metadata: Mapping[str, str]) -> object:
    try:
        return parse_json(metadata.get("graph", "null").encode())
    except MalformedError as error:
        raise MalformedError("graph", error.wanted, error.got) from None


def _check_graph(path: Path, written: object, graph: BaseGraph) -> None:
    """Fail unless a file says that it is for this graph."""
    checked(_GRAPH, written, '"graph"')
    assert isinstance(written, dict)
    for name, value in identity(graph).items():
        if written[name] != value:
            raise ArgumentError(
                "path",
                f"scores of a model whose {name} are {_short(value)}",
                f"{cut(path.name)}, whose {name} are {_short(written[name])}",
            )


def _check_names(got: Mapping[str, Any] | list[str], wanted: list[str], place: str) -> None:
    for name in wanted:
        if name not in got:
            raise MalformedError(f"{place}[{json.dumps(name)}]", "this key", "nothing")
    if len(got) > len(wanted):
        extra = next(name for name in got if name not in wanted)
        raise MalformedError(place, "no other than the model's modules", repr(extra[:80]))


def _check_numbers(score: Tensor, written: Tensor, place: str) -> None:
    """Fail at NaN, which has no rank, and at a number that became infinite in its dtype."""
    for wanted, bad in (
        ("numbers", score.isnan()),
        (f"numbers of {str(score.dtype).removeprefix('torch.')}", score.isinf() & ~written.isinf()),
    ):
        if bool(bad.any()):
            where = bad.nonzero()[0].tolist()
            at = place + "".join(f"[{index}]" for index in where)
            got = written[tuple(where)].item()
            raise MalformedError(at, wanted, "NaN" if math.isnan(got) else repr(got))


@cache
def _numbers(shape: tuple[int, ...]) -> TypeAdapter[Any]:
    """Return nested lists of numbers of this shape."""
    kind: Any = float
    for size in reversed(shape):
        kind = Annotated[list[kind], Field(min_length=size, max_length=size)]
    return TypeAdapter(kind)


def _require_file(path: Path) -> None:
    if path.exists() and not path.is_file():
        # A pipe would never end.
        raise ArgumentError("path", "a file", cut(path.name))


def _not_ours(path: Path) -> NoReturn:
    raise ArgumentError("path", "a file that PruneScores.save wrote", cut(path.name))


def _short(value: Any) -> str:
    if not isinstance(value, list):
        return repr(value)
    names = [name if len(name) <= 40 else f"{name[:39]}…" for name in value]
    return f"{len(names)}: {', '.join(names[:3])} … {', '.join(names[-2:])}"
