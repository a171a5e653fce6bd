"""The graph files of EAP-IG and of the MIB circuit track: nodes, matrices, and how ours fit in.

Sources are `input`, `a0.h0`, …, `m0`, `a1.h0`, …; destinations the queries, then the keys, then the
values of a block's heads, its MLP, and last `logits`. A graph has one edge from every source to
every destination behind it, none of which may be missing from a file. There are no token
positions, keys and values belong to query heads, and every block has an MLP.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Shaped
from torch import Tensor

from sp_widget.engine.patchable_model import PatchableModel, require_patchable
from sp_widget.errors import ArgumentError
from sp_widget.graph.base_graph import DestNode, SrcNode
from sp_widget.graph.edge_graph import Graph


@dataclass(frozen=True)
class MibGraph:
    """The shape of a graph file."""

    n_layers: int
    n_heads: int
    parallel: bool
    d_model: int

    @property
    def cfg(self) -> dict[str, Any]:
        """Return it as a file states it."""
        return {
            "n_layers": self.n_layers,
            "n_heads": self.n_heads,
            "parallel_attn_mlp": self.parallel,
            "d_model": self.d_model,
        }

    @property
    def sources(self) -> list[str]:
        """Return the rows of a matrix."""
        blocks = [
            [*(f"a{layer}.h{head}" for head in range(self.n_heads)), f"m{layer}"]
            for layer in range(self.n_layers)
        ]
        return ["input", *(name for block in blocks for name in block)]

    @property
    def destinations(self) -> list[str]:
        """Return the columns of a matrix."""
        blocks = [
            [*(f"a{layer}.h{head}<{letter}>" for letter in "qkv" for head in range(self.n_heads)),
             f"m{layer}"]
            for layer in range(self.n_layers)
        ]  # fmt: skip
        return [*(name for block in blocks for name in block), "logits"]

    def real_edges(self) -> Bool[Tensor, "sources destinations"]:
        """Return which places of a matrix are edges: those from a source to what comes later."""
        per_block, width = self.n_heads + 1, 3 * self.n_heads + 1
        read = []
        for layer in range(self.n_layers):
            before = 1 + layer * per_block
            of_mlp = before if self.parallel else before + self.n_heads
            read += [before] * (width - 1) + [of_mlp]
        read.append(1 + self.n_layers * per_block)
        return torch.arange(read[-1])[:, None] < torch.tensor(read)[None, :]

    def edge_names(self) -> list[tuple[str, int, int]]:
        """Return the name of each edge with its row and its column, source after source."""
        sources, destinations = self.sources, self.destinations
        places = self.real_edges().nonzero().tolist()
        return [(f"{sources[row]}->{destinations[column]}", row, column) for row, column in places]


class Correspondence:
    """Where the edges of a model lie in such a matrix.

    A destination of ours may be several of theirs: keys and values that a group of heads shares
    are one for each query head there, and a head without separate queries, keys and values is all
    three. Raises `ArgumentError` with the reason for a model that the files cannot describe.
    """

    def __init__(self, model: PatchableModel) -> None:
        graph = _described(model)
        shapes = model.engine.architecture.shapes
        self.shape = MibGraph(
            len(shapes), shapes[0].n_heads, shapes[0].parallel, int(model.cfg.d_model)
        )
        rows = {name: row for row, name in enumerate(self.shape.sources)}
        columns = {name: column for column, name in enumerate(self.shape.destinations)}
        places = graph.split(torch.arange(graph.n_edges))
        ours, row_of, column_of = [], [], []
        for module in graph.modules:
            of_module = places[module.name].view(len(module.rows), -1)
            of_srcs = [rows[_source(graph.srcs[src])] for src in module.srcs]
            for own, row in zip(of_module.tolist(), module.rows, strict=True):
                for name in _destinations(graph.dests[row], self.shape.n_heads, len(module.rows)):
                    ours += own
                    row_of += of_srcs
                    column_of += [columns[name]] * len(own)
        self._n_edges = graph.n_edges
        self._ours = torch.tensor(ours)
        self._theirs = torch.tensor(row_of), torch.tensor(column_of)

    def to_matrix(self, flat: Shaped[Tensor, " edges"]) -> Shaped[Tensor, "sources destinations"]:
        """Return values of our edges as a matrix; the same value for all that stand for one."""
        size = len(self.shape.sources), len(self.shape.destinations)
        matrix = torch.zeros(size, dtype=flat.dtype)
        matrix[self._theirs] = flat[self._ours]
        return matrix

    def from_matrix(
        self, matrix: Shaped[Tensor, "sources destinations"]
    ) -> Shaped[Tensor, " edges"]:
        """Return the values of our edges: of several, the one of largest absolute value."""
        values = matrix[self._theirs]
        # Stable sorts: first the smallest in size, then by edge; the last one written stays.
        order = values.float().abs().argsort(stable=True)
        order = order[self._ours[order].argsort(stable=True)]
        edges = self._ours[order]
        last = torch.ones_like(edges, dtype=torch.bool)
        last[:-1] = edges[1:] != edges[:-1]
        flat = torch.zeros(self._n_edges, dtype=matrix.dtype)
        flat[edges[last]] = values[order[last]]
        return flat


def _described(model: PatchableModel) -> Graph:
    """Return the graph of a model that the files can describe."""
    require_patchable(model)
    shapes = model.engine.architecture.shapes

    def refuse(wanted: str, got: str) -> ArgumentError:
        return ArgumentError("model", f"a model that a graph file can describe: {wanted}", got)

    graph = model.graph
    if not isinstance(graph, Graph):
        wanted = "edges between heads and MLPs (factorized=True)"
        raise refuse(wanted, "factorized=False, whose edges lead to residual streams")
    if graph.seq_len is not None:
        wanted = "edges that stand for all token positions (seq_len=None)"
        raise refuse(wanted, f"edges at {graph.seq_len} token positions")
    if not all(shape.heads_are_sources for shape in shapes):
        wanted = "heads that write to the residual stream one by one"
        raise refuse(wanted, "a norm behind attention, which mixes the heads of a block")
    if not all(shape.has_mlp for shape in shapes):
        raise refuse("an MLP in every block", "a block without one")
    if len({(shape.n_heads, shape.parallel) for shape in shapes}) > 1:
        raise refuse("blocks of one kind", "blocks of several kinds")
    return graph


def _source(node: SrcNode) -> str:
    if node.name == "Resid Start":
        return "input"
    layer = node.module_name.split(".")[1]
    return f"m{layer}" if node.head_idx is None else f"a{layer}.h{node.head_idx}"


def _destinations(node: DestNode, n_heads: int, n_own: int) -> list[str]:
    """Return what stands for a destination; `n_own`: how many of its kind its block has."""
    if node.name == "Resid End":
        return ["logits"]
    layer, hook = node.module_name.split(".")[1:3]
    if node.head_idx is None:
        return [f"m{layer}"]
    group = n_heads // n_own
    heads = range(node.head_idx * group, (node.head_idx + 1) * group)
    letters = "qkv" if hook == "hook_attn_in" else hook[len("hook_")]
    return [f"a{layer}.h{head}<{letter}>" for letter in letters for head in heads]
