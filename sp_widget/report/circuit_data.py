"""What the circuit view draws, as plain data: the graph once, the scores whenever they change."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, TypeAlias, TypedDict

import numpy as np
import torch
from torch import Tensor

from sp_widget.circuits.paths import is_causal, output_positions
from sp_widget.circuits.scores import finite
from sp_widget.engine.patchable_model import PatchableModel, find_edges
from sp_widget.errors import ArgumentError
from sp_widget.evaluation.roc import auroc
from sp_widget.graph.base_graph import BaseGraph
from sp_widget.graph.edge_graph import DestNode, Edge, Graph, Node
from sp_widget.report.plain_text import plain

Kind = Literal["start", "shared", "head", "attention", "mid", "mlp", "post", "end"]
Port = Literal["", "Q", "K", "V"]
Stretch: TypeAlias = Annotated[list[int], 2]
"""`[first, first that does not belong to it]`."""

KNOWN = "Known circuit"
"""What the official edges are called, to compare with."""

_FROM_BELOW: tuple[Kind, ...] = (
    "start",
    "shared",
    "head",
    "attention",
    "mid",
    "mlp",
    "post",
    "end",
)
_PORTS: dict[str, Port] = {"hook_q_input": "Q", "hook_k_input": "K", "hook_v_input": "V"}


class BoxData(TypedDict):
    """A box of the picture. The source and the destinations of a head are one box."""

    name: str
    kind: Kind
    """`shared`: a key and value head that serves several heads, a box of its own. `attention`:
    the output of all heads of a block, where that is one source. `mid`, `post`: the residual
    stream behind attention and behind the block, where streams are nodes."""
    block: int
    """That of the first and of the last block for `Resid Start` and `Resid End`."""
    head: int | None
    layer: int
    """As in the graph: an MLP that reads what its block's heads write is a layer above them."""


class FeedData(TypedDict):
    """Sources that a destination helps to compute."""

    sources: Stretch
    moves: bool
    """Whether attention carries what the destination reads to other positions."""


class DestinationData(TypedDict):
    """Where edges end."""

    name: str
    box: int
    port: Port
    feeds: list[FeedData]


class ModuleData(TypedDict):
    """The destinations that share one tensor of scores, `[positions, rows, sources]`."""

    first: int
    """Its first destination."""
    rows: int
    sources: Stretch
    """The sources that they read."""


class GraphData(TypedDict):
    """The structure. The flat vector of all edges goes through the modules in their order."""

    boxes: list[BoxData]
    sources: list[int]
    """The box of each source, in writing order."""
    inputs: Stretch
    """The sources that are computed from the prompt without passing a destination."""
    destinations: list[DestinationData]
    modules: list[ModuleData]
    positions: list[str] | None
    """A label for each token position, where each has its own edges."""
    outputs: Stretch
    """The positions whose logits count."""
    causal: bool
    official: list[int] | None
    """The edges of the known circuit, by their places in the flat vector."""


def known_circuit(
    model: PatchableModel, official_edges: Iterable[Edge | str] | None
) -> frozenset[Edge] | None:
    """Return the edges of a known circuit, some of which may be given by their names.

    Raises `ArgumentError` for anything but edges of this model.
    """
    if official_edges is None:
        return None
    edges = find_edges(model, official_edges, "official_edges")
    _places(model.graph, edges)
    return frozenset(edges)


def graph_data(
    model: PatchableModel,
    official_edges: Collection[Edge] | None = None,
    seq_labels: Sequence[str] | None = None,
) -> GraphData:
    """Return the structure of a model's graph, and the known edges in it.

    Raises `ArgumentError` for edges of another model, and for labels that do not fit.
    """
    return structure(
        model.graph,
        positions=_labels(model.seq_len, seq_labels),
        outputs=output_positions(model),
        causal=is_causal(model),
        official=None if official_edges is None else _places(model.graph, official_edges),
    )


def structure(
    graph: BaseGraph,
    *,
    positions: list[str] | None,
    outputs: range,
    causal: bool,
    official: list[int] | None,
) -> GraphData:
    """`graph_data` from its parts."""
    shared = _shared_rows(graph) if isinstance(graph, Graph) else set()
    of_sources = [_box(src) for src in graph.srcs]
    of_dests = [_box(dest, row in shared) for row, dest in enumerate(graph.dests)]
    boxes = {box["name"]: box for box in of_sources + of_dests}
    ordered = sorted(boxes.values(), key=_from_below)
    index = {box["name"]: i for i, box in enumerate(ordered)}
    return GraphData(
        boxes=ordered,
        sources=[index[box["name"]] for box in of_sources],
        inputs=_range(graph.from_input),
        destinations=[
            DestinationData(
                name=dest.name,
                box=index[box["name"]],
                port=_port(dest),
                feeds=[FeedData(sources=_range(each.srcs), moves=each.moves) for each in feeds],
            )
            for dest, box, feeds in zip(graph.dests, of_dests, graph.feeds, strict=True)
        ],
        modules=[
            ModuleData(
                first=module.rows.start,
                rows=len(module.rows),
                sources=_range(module.srcs),
            )
            for module in graph.modules
        ],
        positions=positions,
        outputs=_range(outputs),
        causal=causal,
        official=official,
    )


def score_bytes(
    graph: BaseGraph, prune_scores: Mapping[str, Tensor], argument: str = "prune_scores"
) -> bytes:
    """Return the scores of all edges in flat order, as 32-bit floats; see `finite`.

    Raises `ArgumentError` for scores of another model, and for any that is not a number.
    """
    wanted = {module.name: module.mask_shape(graph.seq_len) for module in graph.modules}
    try:
        got = {name: tuple(score.shape) for name, score in prune_scores.items()}
    except AttributeError:
        raise ArgumentError(argument, "scores by module", type(prune_scores)) from None
    if got != wanted:
        odd = next(name for name in (*wanted, *got) if got.get(name) != wanted.get(name))
        raise ArgumentError(argument, f"the shape {wanted.get(odd)} for {odd!r}", got.get(odd))
    flat = finite(graph.flatten(dict(prune_scores)).detach().to("cpu", torch.float32))
    if flat.isnan().any():
        raise ArgumentError(argument, "numbers", "nan")
    return flat.numpy().astype(np.dtype("<f4"), copy=False).tobytes()


def score_traits(
    model: PatchableModel,
    prune_scores: Mapping[str, Tensor],
    official_edges: Collection[Edge] | None,
) -> dict[str, Any]:
    """Return what the circuit view shows of scores, by the names of its traits.

    Raises `ArgumentError` for scores of another model.
    """
    return {
        "scores": score_bytes(model.graph, prune_scores),
        "auroc": known_auroc(model, prune_scores, official_edges),
    }


def known_auroc(
    model: PatchableModel,
    prune_scores: Mapping[str, Tensor],
    official_edges: Collection[Edge] | None,
) -> float | None:
    """Return how well scores find the known edges.

    `None`: none are known, or there is no curve, without edges on either side.
    """
    if official_edges is None or len(official_edges) in (0, model.n_edges):
        return None
    return auroc(model, prune_scores, official_edges)


def _range(places: range) -> Stretch:
    return [places.start, places.stop]


def _labels(seq_len: int | None, seq_labels: Sequence[str] | None) -> list[str] | None:
    if seq_len is None:
        if seq_labels is not None:
            wanted = "None, as the model's edges stand for all positions"
            raise ArgumentError("seq_labels", wanted, seq_labels)
        return None
    if seq_labels is None:
        return [str(position) for position in range(seq_len)]
    good = isinstance(seq_labels, Sequence) and all(isinstance(each, str) for each in seq_labels)
    if not good or isinstance(seq_labels, str) or len(seq_labels) != seq_len:
        raise ArgumentError("seq_labels", f"one label for each of {seq_len} positions", seq_labels)
    return [plain(label) for label in seq_labels]


def _places(graph: BaseGraph, edges: Collection[Edge]) -> list[int]:
    odd = next((edge for edge in edges if not isinstance(edge, Edge)), None)
    if odd is not None:
        raise ArgumentError("official_edges", "a collection of edges", odd)
    try:
        return sorted(set(graph.flat_index(edges).tolist()))
    except ArgumentError:
        odd = next(edge for edge in edges if edge not in graph.edges)
        raise ArgumentError("official_edges", "edges of this model", odd) from None


def _shared_rows(graph: Graph) -> set[int]:
    """Rows of the keys and values that several heads share."""
    shared: set[int] = set()
    for span in graph.spans:
        modules = [m for m in graph.modules if m.rows.start in span.attn_rows]
        n_heads = max(len(m.rows) for m in modules)
        shared.update(row for m in modules if len(m.rows) < n_heads for row in m.rows)
    return shared


def _box(node: Node, shared: bool = False) -> BoxData:
    name, kind = node.name, _kind(node, shared)
    block = int(node.module_name.split(".")[1])
    if kind in ("head", "shared"):
        name = f"A{block}.{node.head_idx}" + (".KV" if shared else "")
    return BoxData(name=name, kind=kind, block=block, head=node.head_idx, layer=node.layer)


def _kind(node: Node, shared: bool) -> Kind:
    if node.head_idx is not None:
        return "shared" if shared else "head"
    ends: dict[str, Kind] = {"Resid Start": "start", "Resid End": "end"}
    kinds: dict[str, Kind] = {"MLP": "mlp", "Resid Mid": "mid", "Resid Post": "post"}
    return ends.get(node.name) or kinds.get(node.name.rpartition(" ")[0], "attention")


def _from_below(box: BoxData) -> tuple[int, int, int, int]:
    """Sorts as the picture is read: upwards, and from left to right."""
    ends = {"start": -1, "end": 1}
    return (
        ends.get(box["kind"], 0),
        box["block"],
        _FROM_BELOW.index(box["kind"]),
        box["head"] or 0,
    )


def _port(dest: DestNode) -> Port:
    return _PORTS.get(dest.module_name.rsplit(".", 1)[-1], "")
