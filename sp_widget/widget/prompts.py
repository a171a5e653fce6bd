"""The view of single prompts: what circuits predict on them, and what a node does.

The view is TypeScript (`js/src/prompts/`). Here are the traits that it shows and the message
that it sends.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypedDict

import traitlets
from ipywidgets import CallbackDispatcher

from sp_widget.engine.patchable_model import PatchableModel
from sp_widget.errors import ArgumentError
from sp_widget.evaluation.node_on_prompt import (
    ConnectedEdge,
    NodeKind,
    NodeOnPrompt,
    NodeRun,
    find_node,
    node_names,
)
from sp_widget.evaluation.per_prompt import PerPrompt, PromptDescription
from sp_widget.evaluation.predictions import Predictions
from sp_widget.report.prompt_data import (
    LOSSES,
    PromptData,
    StripData,
    prompt_data,
    strip_data,
)
from sp_widget.widget.comm_routing import deliver_where_addressed
from sp_widget.widget.locked import LockedWidget

TYPED = -1
"""`PromptsView.chosen` where the pair was typed."""

MOST_LISTED = 100
"""Prompts of the list that are sent to the browser."""

MOST_TOKENS = 256
"""Of an attention pattern that is shown; of longer prompts the last ones."""

MOST_EDGES = 60
"""Of a node that are listed, the most important ones."""

LONGEST_TYPED = 8_000
"""Letters of a prompt that a person types."""


class WrittenData(TypedDict):
    """A token that a node raises or lowers."""

    text: str
    logit: float


class NodeRunData(TypedDict):
    """A node in one run."""

    tokens: list[str]
    """The keys of its pattern, and the last of them the queries."""
    up: list[WrittenData]
    down: list[WrittenData]


class EdgeData(TypedDict):
    """An edge of the circuit at the node in view."""

    name: str
    score: float
    rank: int


class NodeData(TypedDict):
    """The node in view."""

    name: str
    kind: NodeKind
    n_edges: int
    """Edges of the circuit."""
    n_switched: int
    """Those that it has or lacks because they were switched by hand."""
    n_left_out: int
    """Tokens before those of the patterns."""
    whole_model: NodeRunData
    circuit: NodeRunData
    edges_in: list[EdgeData]
    edges_out: list[EdgeData]
    n_in: int
    n_out: int
    note: str


class PromptsView(LockedWidget, bundle="prompts"):
    """A list of prompts, what circuits predict after one of them, and what a node does there.

    Args:
        model: What `sp_widget.patchable_model` returns.
        n_prompts: How many prompts there are in all.
    """

    prompts = traitlets.List(traitlets.Dict()).tag(sync=True, holds=list[PromptData])
    """The worst first, where they are measured."""
    loss = traitlets.Unicode("").tag(sync=True)
    """What the list is sorted by; empty: not measured yet."""
    list_note = traitlets.Unicode("").tag(sync=True)
    """Which prompts are in the list, and with which circuit they were measured."""
    in_common = traitlets.List(traitlets.Unicode()).tag(sync=True)
    """Plain lines on the worst prompts."""
    chosen = traitlets.Int(0).tag(sync=True, browser=True)
    """The place of the prompt in view; -1: the pair that was typed."""
    typed = traitlets.List(traitlets.Unicode(), ["", ""]).tag(sync=True)
    """The clean and the corrupt text that were typed."""
    typed_problem = traitlets.Unicode("").tag(sync=True)
    """Why what was typed is refused; empty: it is not."""
    typed_field = traitlets.Unicode("").tag(sync=True)
    """`clean` or `corrupt`: which text the problem is about."""
    strip = traitlets.Dict(default_value=None, allow_none=True).tag(
        sync=True, holds=StripData | None
    )
    """`None`: there is nothing to show yet."""
    nodes = traitlets.List(traitlets.Unicode()).tag(sync=True)
    """The heads and MLPs of the model."""
    node = traitlets.Unicode("").tag(sync=True, browser=True)
    """The node in view; empty: none."""
    node_data = traitlets.Dict(default_value=None, allow_none=True).tag(
        sync=True, holds=NodeData | None
    )
    whole_pattern = traitlets.Bytes(b"").tag(sync=True, holds=bytes | None)
    """32-bit floats `[queries, keys]`: how much each query of the node attends to each key in the
    whole model; empty: it is no head."""
    circuit_pattern = traitlets.Bytes(b"").tag(sync=True, holds=bytes | None)
    """The same inside the circuit."""
    note = traitlets.Unicode("").tag(sync=True)
    """What is going on, or what there is to do."""

    def __init__(self, model: PatchableModel, n_prompts: int) -> None:
        self._model = model
        self._n_prompts = n_prompts
        self._typed_pairs = CallbackDispatcher()
        super().__init__(nodes=node_names(model))
        self.on_msg(self._handle_message)
        # A click is answered while a cell runs.
        deliver_where_addressed(self.comm)

    def on_typed(self, callback: Callable[[str, str], object]) -> None:
        """Call `callback` with each clean and corrupt text that a person types."""
        self._typed_pairs.register_callback(callback)

    def show_predictions(self, found: Predictions | None, n_switched: int, note: str) -> None:
        """Show what comes next, and a note. Safe from any thread.

        `n_switched`: edges of the circuit that were switched by hand.
        """
        self.update(strip=None if found is None else strip_data(found, n_switched), note=note)

    def show_node(self, found: NodeOnPrompt | None, n_switched: int) -> None:
        """Show a node. `n_switched` as in `show_predictions`. Safe from any thread."""
        if found is None:
            self.update(node_data=None, whole_pattern=b"", circuit_pattern=b"")
            return
        self.update(
            node_data=_node(found, n_switched),
            whole_pattern=_pattern_bytes(found.whole_model),
            circuit_pattern=_pattern_bytes(found.circuit),
        )

    def show_list(self, found: PerPrompt, n_switched: int) -> None:
        """Show the prompts, the worst first. `n_switched` as in `show_predictions`. Safe from any
        thread."""
        edges = f"{found.n_edges:,} edge{'' if found.n_edges == 1 else 's'}"
        edges += f", {n_switched:,} switched by hand" if n_switched else ""
        self.update(
            prompts=[prompt_data(each) for each in found.prompts[:MOST_LISTED]],
            loss=LOSSES[found.metric],
            list_note=(
                f"{self._listed(len(found.prompts), 'worst')} Measured on "
                f"{len(found.prompts):,} prompts with {edges}."
            ),
            in_common=list(found.in_common),
        )

    def show_unmeasured(self, prompts: Sequence[PromptDescription]) -> None:
        """Show the prompts in their own order. Safe from any thread."""
        self.update(
            prompts=[prompt_data(each) for each in prompts[:MOST_LISTED]],
            loss="",
            list_note=self._listed(self._n_prompts, "first"),
            in_common=[],
        )

    @staticmethod
    def _listed(n_prompts: int, which: str) -> str:
        if n_prompts <= MOST_LISTED:
            return f"All {n_prompts:,} prompts." if n_prompts > 1 else "One prompt."
        return f"The {MOST_LISTED} {which} of {n_prompts:,} prompts."

    @traitlets.validate("chosen")
    def _check_chosen(self, proposal: Any) -> int:
        place: int = proposal["value"]
        if place != TYPED and not 0 <= place < max(1, self._n_prompts):
            raise traitlets.TraitError(f"chosen: no prompt of {self._n_prompts}: {place}")
        return place

    @traitlets.validate("node")
    def _check_node(self, proposal: Any) -> str:
        name: str = proposal["value"]
        try:
            return find_node(self._model, name).name if name else ""
        except ArgumentError as error:
            raise traitlets.TraitError(str(error)) from error

    def _handle_message(self, _: object, content: Any, buffers: object) -> None:
        match content:
            case {"type": "typed", "clean": str(clean), "corrupt": str(corrupt)} if (
                max(len(clean), len(corrupt)) <= LONGEST_TYPED
            ):
                self._typed_pairs(clean, corrupt)
            case _:
                self.drop("a message that it does not know", content)

    def __repr__(self) -> str:
        return f"PromptsView({self._n_prompts:,} prompts, prompt {self.chosen}, node {self.node!r})"


def _node(found: NodeOnPrompt, n_switched: int) -> NodeData:
    node = found.node
    edges_in = [each for each in found.edges if each.direction == "in"]
    edges_out = [each for each in found.edges if each.direction == "out"]
    together = node.kind == "head" and node.writes != node.name
    return NodeData(
        name=node.name,
        kind=node.kind,
        n_edges=found.n_edges,
        n_switched=n_switched,
        n_left_out=max(0, len(found.whole_model.tokens) - MOST_TOKENS),
        whole_model=_node_run(found.whole_model),
        circuit=_node_run(found.circuit),
        edges_in=[_edge(each) for each in edges_in[:MOST_EDGES]],
        edges_out=[_edge(each) for each in edges_out[:MOST_EDGES]],
        n_in=len(edges_in),
        n_out=len(edges_out),
        note=(
            f"A norm mixes what the heads of this block write: {node.writes} is what all of them "
            "write together."
            if together
            else ""
        ),
    )


def _node_run(run: NodeRun) -> NodeRunData:
    def written(tokens: Sequence[Any]) -> list[WrittenData]:
        return [WrittenData(text=each.text, logit=each.logit) for each in tokens]

    return NodeRunData(
        tokens=list(run.tokens[-MOST_TOKENS:]), up=written(run.up), down=written(run.down)
    )


def _edge(each: ConnectedEdge) -> EdgeData:
    return EdgeData(name=each.edge, score=each.score, rank=each.rank)


def _pattern_bytes(run: NodeRun) -> bytes:
    if run.pattern is None:
        return b""
    shown = run.pattern[-MOST_TOKENS:, -MOST_TOKENS:]
    data: bytes = shown.float().contiguous().numpy().astype("<f4").tobytes()
    return data
