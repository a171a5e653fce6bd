"""A head or an MLP on one prompt: what it attends to, and what it writes towards."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sp_widget.circuits.metrics import in_full_precision
from sp_widget.data.prompts import PromptDataLoader, is_whole_number
from sp_widget.data.token_text import token_text
from sp_widget.engine.patchable_model import PatchableModel, require_patchable
from sp_widget.engine.protocol import ObservedBlock
from sp_widget.errors import ArgumentError
from sp_widget.evaluation.predictions import TOP, pair_runs
from sp_widget.evaluation.prompt_pair import AnyPair, PairRuns
from sp_widget.evaluation.prompt_scores import Circuit, any_circuit_of
from sp_widget.evaluation.result_table import html_table, text_table
from sp_widget.types import AblationType, PatchType, Side

if TYPE_CHECKING:
    from pandas import DataFrame

NodeKind = Literal["head", "attention", "mlp"]
"""`attention`: all heads of a block, where a norm makes one source of them."""

_NAME = re.compile(r"(?:\d+:)?(?:MLP (?P<mlp>\d+)|A(?P<block>\d+)(?:\.(?P<head>\d+))?)(?:\.[QKV])?")


@dataclass(frozen=True)
class NodeOfModel:
    """A head, an MLP, or the attention of a block."""

    name: str
    kind: NodeKind
    block: int
    head: int | None
    writes: str
    """The source that has what it writes; of a head whose output a norm mixes with others, `A2`."""


class WrittenToken(NamedTuple):
    """A token that a node's output raises or lowers."""

    token: int
    text: str
    logit: float
    """What the output adds to the token's logit, compared with the mean over all tokens."""


class ConnectedEdge(NamedTuple):
    """An edge of the circuit into or out of a node."""

    edge: str
    direction: Literal["in", "out"]
    score: float
    rank: int
    """Its place among all edges, from 1."""


@dataclass(frozen=True, kw_only=True, eq=False)
class NodeRun:
    """A node in one run."""

    tokens: tuple[str, ...]
    """Of the prompt that runs, without padding: the keys, and the last of them the queries."""
    pattern: Float[Tensor, "queries keys"] | None
    """How much each query attends to each key; `None`: it is no single head. Where prompts share a
    prefix, its tokens are keys and no queries."""
    up: tuple[WrittenToken, ...]
    """The tokens that its output raises most at the last position, the first most."""
    down: tuple[WrittenToken, ...]
    """Those that it lowers most, the first most."""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class NodeOnPrompt:
    """One node on one prompt, in the whole model and inside a circuit; made by `look_into`."""

    node: NodeOfModel
    whole_model: NodeRun
    """On the clean prompt."""
    circuit: NodeRun
    edges: tuple[ConnectedEdge, ...]
    """Of the circuit, those into it and out of it, the most important first."""
    n_edges: int
    """Edges of the circuit."""

    @property
    def frame(self) -> DataFrame:
        """Return what it writes towards as a pandas table.

        Columns: `run` ("whole model" or "circuit"), `direction` ("up" or "down"), `rank` (from 1),
        `token` (its number), `text`, `logit`.
        """
        import pandas

        rows = [
            (name, direction, rank, *each)
            for name, run in self._runs
            for direction, written in (("up", run.up), ("down", run.down))
            for rank, each in enumerate(written, start=1)
        ]
        columns = ["run", "direction", "rank", "token", "text", "logit"]
        return pandas.DataFrame(rows, columns=columns)

    @property
    def pattern_frame(self) -> DataFrame:
        """Return the attention as a pandas table: `run`, `query`, `key` (positions), `query_text`,
        `key_text`, `attention`. Empty where there is no pattern."""
        import pandas

        rows = [
            (name, query, key, run.tokens[query], run.tokens[key], value)
            for name, run in self._runs
            if run.pattern is not None
            # The last tokens are the queries: a prefix is before them.
            for query, row in enumerate(
                run.pattern.tolist(), run.pattern.shape[1] - run.pattern.shape[0]
            )
            for key, value in enumerate(row)
        ]
        columns = ["run", "query", "key", "query_text", "key_text", "attention"]
        return pandas.DataFrame(rows, columns=columns)

    @property
    def edge_frame(self) -> DataFrame:
        """Return its edges as a pandas table: `edge`, `direction`, `score`, `rank`."""
        import pandas

        return pandas.DataFrame(list(self.edges), columns=list(ConnectedEdge._fields))

    @property
    def _runs(self) -> tuple[tuple[str, NodeRun], ...]:
        return ("whole model", self.whole_model), ("circuit", self.circuit)

    def _table(self) -> tuple[str, tuple[str, ...], list[tuple[str, ...]]]:
        caption = (
            f"{self.node.name} in the whole model and in a circuit of {self.n_edges:,} edges, "
            f"{len(self.edges):,} of them at this node"
        )
        titles = [f"{name}, {direction}" for name, _ in self._runs for direction in ("up", "down")]
        columns = [written for _, run in self._runs for written in (run.up, run.down)]
        rows = [
            tuple(f"{each.logit:+.2f} {each.text!r}" for each in row)
            for row in zip(*columns, strict=True)
        ]
        return caption, tuple(titles), rows

    def __repr__(self) -> str:
        return text_table(*self._table())

    def _repr_html_(self) -> str:
        return html_table(*self._table())


def look_into(
    model: PatchableModel,
    node: str,
    pair: AnyPair,
    prune_scores: Circuit,
    n_edges: int | None = None,
    *,
    patch_type: PatchType = PatchType.TREE_PATCH,
    ablation_type: AblationType = AblationType.RESAMPLE,
    dataloader: PromptDataLoader | None = None,
    top: int = TOP,
) -> NodeOnPrompt:
    """Return what a head or an MLP does on a prompt, in the whole model and inside a circuit.

    The whole model runs the clean prompt. Inside the circuit, the pattern is that of the queries
    and keys which the head reads in the patched run. What its output writes towards is the logit
    lens of that output at the last position: with the scale that the final norm has in the same
    run, through norm weights and unembedding, before a soft cap of the logits. (Elhage et al. 2021,
    "A Mathematical Framework for Transformer Circuits"; nostalgebraist 2020, "interpreting GPT: the
    logit lens".) A constant for all tokens changes no probability, so it is taken off.

    Args:
        node: `"A2.1"` (head 1 of block 2), `"MLP 3"`, or `"A2"` where a norm makes one source of
            all heads of a block.

    The other arguments, and errors, are those of `predictions`.
    """
    if not is_whole_number(top) or top < 1:
        raise ArgumentError("top", "a whole number of at least 1", top)
    found = find_node(require_patchable(model), node)
    circuit = any_circuit_of(model, prune_scores, n_edges, "prune_scores")
    runs = pair_runs(model, pair, patch_type, ablation_type, dataloader)
    scores = (
        prune_scores
        if isinstance(prune_scores, Mapping)
        else model.graph.split(circuit.to(torch.float32))
    )
    return node_on_prompt(runs, found, circuit, scores, top)


def find_node(model: PatchableModel, name: object) -> NodeOfModel:
    """Return the node of a name, which may also be that of what it reads (`A2.1.Q`).

    Keys and values that several heads share stand for the first of these heads. Raises
    `ArgumentError` for a name that is none.
    """
    shapes = model.engine.architecture.shapes
    found = _NAME.fullmatch(name) if isinstance(name, str) else None
    if found is not None and found["mlp"] is not None:
        block = int(found["mlp"])
        if block < len(shapes) and shapes[block].has_mlp and not str(name).endswith(tuple("QKV")):
            return NodeOfModel(f"MLP {block}", "mlp", block, None, f"MLP {block}")
    elif found is not None and int(found["block"]) < len(shapes):
        block = int(found["block"])
        shape = shapes[block]
        together = not shape.heads_are_sources
        if found["head"] is None and together:
            return NodeOfModel(f"A{block}", "attention", block, None, f"A{block}")
        head = int(found["head"] or shape.n_heads)
        if shape.n_kv_heads < shape.n_heads and str(name).endswith((".K", ".V")):
            head *= shape.n_heads // shape.n_kv_heads
        if head < shape.n_heads:
            own = f"A{block}.{head}"
            return NodeOfModel(own, "head", block, head, f"A{block}" if together else own)
    raise ArgumentError("node", "a head (A2.1) or an MLP (MLP 2) of the model", name)


def node_names(model: PatchableModel) -> list[str]:
    """Return the names of all heads and MLPs, block by block."""
    return [
        name
        for block, shape in enumerate(model.engine.architecture.shapes)
        for name in (
            *(f"A{block}.{head}" for head in range(shape.n_heads)),
            *([f"MLP {block}"] if shape.has_mlp else []),
        )
    ]


@torch.no_grad()
def node_on_prompt(
    runs: PairRuns,
    node: NodeOfModel,
    circuit: Bool[Tensor, " edges"],
    scores: Mapping[str, Tensor],
    top: int = TOP,
) -> NodeOnPrompt:
    """Return what a node does in both runs, and its edges in the circuit with their scores."""
    whole = runs.observe_plain(node.block)
    inside = runs.observe(circuit, node.block)
    return NodeOnPrompt(
        node=node,
        whole_model=_node_run(runs, node, "clean", whole, top),
        circuit=_node_run(runs, node, runs.run_side, inside, top),
        edges=_connected(runs.model, node, circuit, scores),
        n_edges=int(circuit.sum()),
    )


def _node_run(
    runs: PairRuns, node: NodeOfModel, side: Side, observed: ObservedBlock, top: int
) -> NodeRun:
    tokenizer, n_padding = runs.model.tokenizer, runs.n_padding(side)
    prefix, tokens = runs.tokens(side)
    pattern = None
    if node.head is not None:
        found = runs.pattern(side, observed, node.block, node.head)
        pattern = in_full_precision(found[n_padding:, n_padding:]).cpu()
    up, down = _written(runs, node, observed, top)
    return NodeRun(
        tokens=tuple(token_text(tokenizer, token) for token in (*prefix, *tokens)),
        pattern=pattern,
        up=up,
        down=down,
    )


def _written(
    runs: PairRuns, node: NodeOfModel, observed: ObservedBlock, top: int
) -> tuple[tuple[WrittenToken, ...], tuple[WrittenToken, ...]]:
    """Return the tokens that the output of a node raises most and lowers most."""
    if node.kind == "mlp":
        output = observed.mlp_writes
        assert output is not None
    else:
        alone = node.kind == "head" and node.writes == node.name
        output = observed.attention_writes[node.head if alone else 0]
    unembed = runs.model.engine.architecture.unembed
    logits = in_full_precision(unembed.of_part(output[:, -1:], observed.end[:, -1:])[0, 0])
    logits = logits - logits.mean()
    tokenizer = runs.model.tokenizer

    def most(values: Float[Tensor, " d_vocab"]) -> tuple[WrittenToken, ...]:
        found = torch.topk(values, min(top, len(values))).indices.tolist()
        return tuple(
            WrittenToken(token, token_text(tokenizer, token), float(logits[token]))
            for token in found
        )

    return most(logits), most(-logits)


def _connected(
    model: PatchableModel,
    node: NodeOfModel,
    circuit: Bool[Tensor, " edges"],
    scores: Mapping[str, Tensor],
) -> tuple[ConnectedEdge, ...]:
    """Return the edges of the circuit at a node, the most important first."""
    graph = model.graph
    flat = graph.flatten(dict(scores)).detach().cpu()
    ranks = torch.empty(len(flat), dtype=torch.long)
    ranks[flat.abs().argsort(descending=True, stable=True)] = torch.arange(1, len(flat) + 1)
    places = circuit.nonzero().flatten().tolist()
    reads = _reads(model, node)
    found = []
    for place, edge in zip(places, graph.edges_at(places), strict=True):
        direction: Literal["in", "out"]
        if edge.src.name == node.writes:
            direction = "out"
        elif edge.dest.name in reads:
            direction = "in"
        else:
            continue
        found.append(ConnectedEdge(repr(edge), direction, float(flat[place]), int(ranks[place])))
    return tuple(sorted(found, key=lambda each: each.rank))


def _reads(model: PatchableModel, node: NodeOfModel) -> set[str]:
    """Return the names of the destinations that compute a node."""
    if node.kind == "mlp":
        return {node.name}
    shape = model.engine.architecture.shapes[node.block]
    group = shape.n_heads // shape.n_kv_heads
    heads = range(shape.n_heads) if node.head is None else (node.head,)
    names = set()
    for head in heads:
        own, shared = f"A{node.block}.{head}", f"A{node.block}.{head // group}"
        names |= {own, f"{own}.Q", f"{shared}.K", f"{shared}.V"}
    return names
