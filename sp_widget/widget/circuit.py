"""The circuit view: the most important edges, drawn through the layers of the model.

The view is TypeScript (`js/src/circuit/`). Here are the traits that it shows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, TypeAlias, TypedDict

import torch
import traitlets
from jaxtyping import Bool, Int
from torch import Tensor

from sp_widget.circuits.arguments import check_scores
from sp_widget.circuits.scores import PruneScores
from sp_widget.data.prompts import PromptDataLoader, is_whole_number
from sp_widget.engine.patchable_model import PatchableModel, find_edges, require_patchable
from sp_widget.errors import ArgumentError
from sp_widget.evaluation.circuit_meter import CircuitMeter
from sp_widget.graph.edge_graph import Edge
from sp_widget.report.circuit_data import (
    KNOWN,
    GraphData,
    graph_data,
    known_circuit,
    score_bytes,
    score_traits,
)
from sp_widget.report.edited_circuit import check_switch, edges_of, edited_circuit
from sp_widget.report.groups import (
    LONGEST_NAME,
    GroupData,
    NodeGroup,
    check_groups,
    groups_from_data,
)
from sp_widget.report.top_circuit import DEFAULT_SIZE
from sp_widget.types import AblationType, PatchType
from sp_widget.widget.arguments import checked_size
from sp_widget.widget.circuit_effects import (
    NOT_MEASURED,
    CircuitEffects,
    MeasuredData,
    Question,
)
from sp_widget.widget.comm_routing import deliver_where_addressed
from sp_widget.widget.locked import LockedWidget

MESSAGES_PER_UPDATE = 1

OTHER = "Other circuit"
"""That of the argument `compare`."""
Circuit: TypeAlias = list[Edge] | PruneScores
"""A circuit that another is compared with: its edges; or scores, from which one of the same size is
cut."""


class KeptData(TypedDict):
    """A circuit that is kept under a name."""

    name: str
    edges: int | None
    """`None`: these are scores, from which circuits of all sizes are cut."""


class CircuitView(LockedWidget, bundle="circuit"):
    """The circuit of the most important edges; a slider says how many.

    All state is in traits, so a reload and a second view show it. `show_scores` may be called
    from any thread, and as often as the picture should change: each call is one message.

    Args:
        model: what `sp_widget.patchable_model` returns.
        official_edges: the edges of a known circuit, or their names; the view then tells hits,
            misses and extras apart.
        seq_labels: a label for each token position, for a model with `seq_len`.
        prune_scores: the scores to begin with; see `show_scores`.
        frequencies: how often each edge appears in other runs; see `show_frequencies`.
        n_edges: the number of edges to begin with; see `n_edges`.
        dataloader: prompts to measure on what a circuit loses; see `measure_on`.
        compare: a circuit to compare with, which `circuits` then has as "Other circuit": scores, or
            edges or their names. Others can be added with `keep`.
        groups: nodes that are gathered under a name; see `node_groups`.

    Raises `ArgumentError` with the name of a bad argument.
    """

    graph = traitlets.Dict().tag(sync=True, holds=GraphData)
    scores = traitlets.Bytes(b"").tag(sync=True, holds=bytes | None)
    """A 32-bit float for every edge in flat order; empty: there are none yet. A notebook that was
    saved without them has nothing here."""
    frequencies = traitlets.Bytes(b"").tag(sync=True, holds=bytes | None)
    """A 32-bit float from 0 to 1 for every edge in flat order: the share of runs that it is in,
    which the colours then show instead of the score. Empty: they show the score."""
    training_edges = traitlets.Int(None, allow_none=True).tag(sync=True)
    """Edges in the circuit as the training counts them; the picture follows it."""
    auroc = traitlets.Float(None, allow_none=True).tag(sync=True)
    """How well the scores find the known circuit."""
    n_edges = traitlets.Int(None, allow_none=True).tag(sync=True, browser=True)
    """Edges in the picture, as a person or code chose; `None`: as many as `training_edges`, or
    as the known circuit has, or 50."""
    only_paths = traitlets.Bool(True).tag(sync=True, browser=True)
    """Leave out what lies on no path from the input to the output, instead of fading it."""
    compare = traitlets.Unicode("").tag(sync=True, browser=True)
    """With which of `comparable` the circuit is compared: what both have, and what one of them
    has. Empty: with none."""
    comparable = traitlets.List(traitlets.Unicode()).tag(sync=True)
    """The known circuit, those in `circuits`, and finished runs, by name."""
    other = traitlets.Bytes(b"").tag(sync=True, holds=bytes | None)
    """Scores of the circuit that is compared with, as in `scores`; empty: it is the known one."""
    other_size = traitlets.Int(None, allow_none=True).tag(sync=True)
    """Edges of that circuit; `None`: as many as the picture has."""
    search = traitlets.Unicode("").tag(sync=True, browser=True)
    pinned = traitlets.Unicode("").tag(sync=True, browser=True)
    """What stays in view: a node such as `A9.6`, `A9.6.Q` or `3:A9.6` (at position 3), or an edge
    such as `A9.6->Resid End`."""
    switches = traitlets.List(traitlets.Unicode()).tag(sync=True, browser=True)
    """What is switched by hand, in order: `-A9.6`, off, `+A9.6->Resid End`, on, or `=A9.6`, as the
    scores have it."""
    undone = traitlets.List(traitlets.Unicode()).tag(sync=True, browser=True)
    """Switches that were taken back; the last of them is made again first."""
    asked = traitlets.Unicode("").tag(sync=True, browser=True)
    """The edge of which a person wants to know what switching it alone does."""
    measured = traitlets.Dict(dict(NOT_MEASURED)).tag(sync=True, holds=MeasuredData)
    groups = traitlets.List(traitlets.Dict()).tag(sync=True, browser=True, holds=list[GroupData])
    """Nodes that a person gathered under a name; `node_groups` in code."""
    kept = traitlets.List(traitlets.Dict()).tag(sync=True, holds=list[KeptData])
    """The circuits in `circuits`."""

    def __init__(
        self,
        model: PatchableModel,
        official_edges: Collection[Edge | str] | None = None,
        seq_labels: Sequence[str] | None = None,
        *,
        prune_scores: Mapping[str, Tensor] | None = None,
        n_edges: int | None = None,
        frequencies: Mapping[str, Tensor] | None = None,
        dataloader: PromptDataLoader | None = None,
        compare: Mapping[str, Tensor] | Iterable[Edge | str] | None = None,
        groups: Sequence[NodeGroup] = (),
    ) -> None:
        require_patchable(model)
        _check_count("n_edges", n_edges, model.n_edges)
        self._model = model
        self._official_edges = known_circuit(model, official_edges)
        self._data = graph_data(model, self._official_edges, seq_labels)
        self._circuits: dict[str, Circuit] = {}
        self._runs: dict[str, Circuit] = {}
        self._effects = CircuitEffects(self)
        super().__init__(
            graph=dict(self._data),
            n_edges=n_edges,
            frequencies=self._frequency_bytes(frequencies),
            **({} if prune_scores is None else self._shown(prune_scores)),
        )
        self.observe(self._send_other, "compare")
        self._show_circuits()
        if self._official_edges is not None:
            self.compare = KNOWN
        if compare is not None:
            try:
                self.keep(OTHER, compare)
            except ArgumentError as error:
                raise ArgumentError("compare", error.wanted, error.got) from None
            self.compare = OTHER
        self.node_groups = check_groups(self._data, groups)
        if dataloader is not None:
            self.measure_on(dataloader)
        self.on_msg(self._handle_message)
        self.observe(
            lambda _: self._effects.look(),
            ["switches", "asked", "n_edges", "training_edges", "scores"],
        )
        # A switch is answered while a cell runs.
        deliver_where_addressed(self.comm)

    @property
    def messages_per_update(self) -> int:
        """Messages that one `show_scores` sends to the browser."""
        return MESSAGES_PER_UPDATE

    def show_scores(self, prune_scores: Mapping[str, Tensor], n_edges: int | None = None) -> None:
        """Show other scores. Safe from any thread.

        `n_edges`: edges in the circuit as the training counts them. The picture follows it until
        a person moves the slider.

        Raises `ArgumentError` for scores of another model.
        """
        _check_count("n_edges", n_edges, self._model.n_edges)
        self.update(training_edges=n_edges, **self._shown(prune_scores))

    def show_frequencies(self, frequencies: Mapping[str, Tensor] | None) -> None:
        """Colour the edges by how often they appear, such as `Stability.frequencies`.

        From 0 (in no run) to 1 (in all of them). Which edges are drawn still follows from the
        scores, as the circuit is one of them. `None`: by their scores again. Safe from any thread.

        Raises `ArgumentError` for the frequencies of another model, and for what is no share.
        """
        self.update(frequencies=self._frequency_bytes(frequencies))

    def measure_on(
        self,
        dataloader: PromptDataLoader,
        ablation_type: AblationType = AblationType.RESAMPLE,
        patch_type: PatchType = PatchType.TREE_PATCH,
    ) -> None:
        """Measure on the first 32 of these prompts what a switched edge or node changes.

        In the background, as soon as anything is switched or asked for. Arguments and errors are
        those of `run_circuits`.
        """
        self._effects.measure_with(CircuitMeter(self._model, dataloader, ablation_type, patch_type))

    @property
    def data(self) -> GraphData:
        """The nodes and edges that are drawn."""
        return self._data

    @property
    def effects(self) -> CircuitEffects:
        """What measures the circuit in view."""
        return self._effects

    @property
    def edges(self) -> list[Edge]:
        """The edges of the circuit in view, switches included, the most important first."""
        with self._lock:
            return self._edges(self._size, self.switches)

    @property
    def node_groups(self) -> list[NodeGroup]:
        """Nodes gathered under a name, as they are outlined; a person in the view may change them.

        Setting them raises `ArgumentError` for names that nodes of this model do not have, and for
        a node in two groups.
        """
        with self._lock:
            return groups_from_data(self._data, self.groups)

    @node_groups.setter
    def node_groups(self, groups: Sequence[NodeGroup]) -> None:
        checked = check_groups(self._data, groups)
        self.update(groups=[group.data for group in checked])

    @property
    def circuits(self) -> dict[str, Circuit]:
        """The circuits that are kept, by name: `sp.evaluate` takes each of them."""
        with self._lock:
            return dict(self._circuits)

    def keep(
        self, name: str, circuit: Mapping[str, Tensor] | Iterable[Edge | str] | None = None
    ) -> None:
        """Keep a circuit under a name, in place of one that has it; it is then in `circuits`.

        `circuit`: edges or their names, or scores; by default the edges of the circuit in view.
        Safe from any thread. Raises `ArgumentError` for a name without letters or that of a run,
        and for a circuit of another model.
        """
        name = name.strip() if isinstance(name, str) else name
        if not isinstance(name, str) or not 0 < len(name) <= LONGEST_NAME:
            raise ArgumentError("name", f"a name of 1 to {LONGEST_NAME} letters", name)
        if name == KNOWN or name in self._runs:
            raise ArgumentError("name", "a name that no other circuit or run has", name)
        kept: Circuit
        if isinstance(circuit, Mapping):
            score_bytes(self._model.graph, circuit, "circuit")
            kept = PruneScores(circuit, self._model.graph)
        else:
            kept = self.edges if circuit is None else find_edges(self._model, circuit, "circuit")
            _require_edges(self._model, kept)
        with self._lock:
            self._circuits[name] = kept
            self._show_circuits()

    def show_runs(self, runs: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Let a person compare with the circuits of these runs too. Safe from any thread.

        Raises `ArgumentError` for scores of another model.
        """
        if not isinstance(runs, Mapping) or not all(isinstance(name, str) for name in runs):
            raise ArgumentError("runs", "scores by the name of their run", runs)
        for name, scores in runs.items():
            check_scores(scores, self._model.graph, f"runs[{name!r}]")
        found = {name: PruneScores(scores, self._model.graph) for name, scores in runs.items()}
        with self._lock:
            self._runs = {**found}
            self._show_circuits()

    def forget(self, name: str) -> None:
        """Keep a circuit no longer. Raises `ArgumentError` for a name that none has."""
        with self._lock:
            if self._circuits.pop(name, None) is None:
                raise ArgumentError("name", f"one of {sorted(self._circuits)}", name)
            self._show_circuits()

    def close(self) -> None:
        """Remove the view from the page, and measure no more."""
        # Also called when the constructor refused its arguments.
        if "_effects" in vars(self):
            self._effects.close()
        super().close()

    def clear(self) -> None:
        """Show the model without scores, as before the training. Safe from any thread."""
        self.update(scores=b"", auroc=None, training_edges=None)

    def question(self) -> Question | None:
        """Return what is to be measured now; `None`: nothing was switched or asked for."""
        with self._lock:
            if not (self.switches or self.asked):
                return None
            circuit, unedited = self._edited(self._size, self.switches), self._top(self._size)
            if circuit is None or unedited is None:
                return None
            other = None
            if self.asked:
                edge = edges_of(self._model.graph, self._data, self.asked)
                other = circuit ^ edge
            # As `js/src/circuit/what-if.ts` writes it.
            key = " ".join([str(self._size), *self.switches])
            return Question(key, self.scores, circuit, unedited, self.asked, other)

    def answer(self, question: Question | None, measured: MeasuredData) -> None:
        """Show what was measured, unless the scores have changed since it was asked."""
        with self._lock:
            if question is None or question.scores is self.scores:
                self.update(measured=measured)

    @traitlets.validate("switches", "undone")
    def _check_switches(self, proposal: Any) -> list[str]:
        switches: list[str] = proposal["value"]
        for switch in switches:
            _, name = check_switch(switch)
            edges_of(self._model.graph, self._data, name)
        return switches

    @traitlets.validate("groups")
    def _check_groups(self, proposal: Any) -> list[GroupData]:
        return [group.data for group in groups_from_data(self._data, proposal["value"])]

    @traitlets.validate("compare")
    def _check_compare(self, proposal: Any) -> str:
        name: str = proposal["value"]
        if name and name not in self.comparable:
            raise traitlets.TraitError(f"compare: one of {self.comparable}, got {name!r}")
        return name

    @traitlets.validate("asked")
    def _check_asked(self, proposal: Any) -> str:
        name: str = proposal["value"]
        if name:
            edges_of(self._model.graph, self._data, name)
        return name

    @traitlets.validate("n_edges")
    def _check_n_edges(self, proposal: Any) -> int | None:
        return checked_size(proposal["value"], self._model.n_edges)

    @property
    def _size(self) -> int:
        """Edges of the circuit that the slider cuts, as the browser has it."""
        official = self._official_edges
        chosen = self.training_edges if self.n_edges is None else self.n_edges
        size = chosen if chosen is not None else len(official or ()) or DEFAULT_SIZE
        return min(size, self._model.n_edges)

    def _order(self) -> Int[Tensor, " edges"]:
        """The places of all edges by importance, among equals the earlier one first."""
        scores = torch.frombuffer(bytearray(self.scores), dtype=torch.float32)
        return scores.abs().argsort(descending=True, stable=True)

    def _top(self, size: int) -> Bool[Tensor, " edges"] | None:
        """The circuit that a slider cuts; `None`: there are no scores."""
        if not self.scores:
            return None
        circuit = torch.zeros(self._model.n_edges, dtype=torch.bool)
        circuit[self._order()[:size]] = True
        return circuit

    def _edited(self, size: int, switches: Sequence[str]) -> Bool[Tensor, " edges"] | None:
        top = self._top(size)
        return top if top is None else edited_circuit(self._model.graph, self._data, top, switches)

    def _edges(self, size: int, switches: Sequence[str]) -> list[Edge]:
        """The edges of a circuit, the most important first."""
        circuit = self._edited(size, switches)
        if circuit is None:
            return []
        order = self._order()
        return self._model.graph.edges_at(order[circuit[order]].tolist())

    def _show_circuits(self) -> None:
        known = [] if self._official_edges is None else [KNOWN]
        names = list(dict.fromkeys([*known, *self._circuits, *self._runs]))
        self.update(
            kept=[
                KeptData(name=name, edges=len(kept) if isinstance(kept, list) else None)
                for name, kept in self._circuits.items()
            ],
            comparable=names,
        )
        if self.compare not in names:
            self.update(compare="")
        self._send_other()

    def _send_other(self, _: object = None) -> None:
        """Send the circuit that is compared with, if it is another one than was sent."""
        with self._lock:
            circuit = self._circuits.get(self.compare) or self._runs.get(self.compare)
            graph, size = self._model.graph, None
            if circuit is None:
                scores = b""
            elif isinstance(circuit, list):
                flat = torch.zeros(graph.n_edges)
                places = graph.flat_index(circuit).unique()
                flat[places], size = 1, len(places)
                scores = score_bytes(graph, graph.split(flat))
            else:
                scores = score_bytes(graph, circuit)
            self.update(other=scores, other_size=size)

    def _handle_message(self, _: object, content: Any, buffers: object) -> None:
        try:
            match content:
                case {
                    "type": "keep",
                    "name": str(name),
                    "size": int(size),
                    "switches": list(switches),
                } if self.scores:
                    if not 0 <= size <= self._model.n_edges:
                        raise ArgumentError("size", "a number of edges", size)
                    with self._lock:
                        self.keep(name, self._edges(size, switches))
                case _:
                    self.drop("a message that it does not know", content)
        except ArgumentError as error:
            self.drop(f"a message with a bad {error.argument}", content)

    def _frequency_bytes(self, frequencies: Mapping[str, Tensor] | None) -> bytes:
        if frequencies is None:
            return b""
        data = score_bytes(self._model.graph, frequencies, "frequencies")
        if not all(bool(((each >= 0) & (each <= 1)).all()) for each in frequencies.values()):
            raise ArgumentError("frequencies", "shares from 0 to 1", dict(frequencies))
        return data

    def _shown(self, prune_scores: Mapping[str, Tensor]) -> dict[str, Any]:
        return score_traits(self._model, prune_scores, self._official_edges)

    def __repr__(self) -> str:
        state = "scores shown" if self.scores else "no scores yet"
        return f"CircuitView({self._model.n_edges:,} edges, {state})"


def _require_edges(model: PatchableModel, edges: Iterable[Edge]) -> None:
    try:
        model.graph.flat_index(edges)
    except ArgumentError as error:
        raise ArgumentError("circuit", "edges of this model", error.got) from None


def _check_count(argument: str, count: int | None, most: int) -> None:
    if count is not None and not (is_whole_number(count) and 0 <= count <= most):
        raise ArgumentError(argument, f"None or a whole number from 0 to {most}", count)
