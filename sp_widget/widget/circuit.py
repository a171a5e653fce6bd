"""The circuit view: the most important edges, drawn through the layers of the model.

The view is TypeScript (`js/src/circuit/`). Here are the traits that it shows.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import traitlets
from torch import Tensor

from sp_widget.data.prompts import is_whole_number
from sp_widget.engine.patchable_model import PatchableModel
from sp_widget.errors import ArgumentError
from sp_widget.graph.edge_graph import Edge
from sp_widget.report.circuit_data import (
    NOT_DRAWN,
    GraphData,
    graph_data,
    score_bytes,
    score_traits,
)
from sp_widget.widget.locked import LockedWidget

MESSAGES_PER_UPDATE = 1


class CircuitView(LockedWidget, bundle="circuit"):
    """The circuit of the most important edges; a slider says how many.

    All state is in traits, so a reload and a second view show it. `show_scores` may be called
    from any thread, and as often as the picture should change: each call is one message.

    Args:
        model: what `sp_widget.patchable_model` returns.
        official_edges: the edges of a known circuit; the view then tells hits, misses and
            extras apart.
        seq_labels: a label for each token position, for a model with `seq_len`.
        prune_scores: the scores to begin with; see `show_scores`.
        frequencies: how often each edge appears in other runs; see `show_frequencies`.
        n_edges: the number of edges to begin with; see `n_edges`.

    Raises `ArgumentError` with the name of a bad argument.
    """

    graph = traitlets.Dict().tag(sync=True, holds=GraphData)
    """Empty where there is no picture."""
    no_picture = traitlets.Unicode("").tag(sync=True)
    """Why there is none."""
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
    only_paths = traitlets.Bool(False).tag(sync=True, browser=True)
    """Leave out what lies on no path from the input to the output, instead of fading it."""
    compare = traitlets.Bool(True).tag(sync=True, browser=True)
    """Show hits, misses and extras, where a known circuit is given."""
    search = traitlets.Unicode("").tag(sync=True, browser=True)
    pinned = traitlets.Unicode("").tag(sync=True, browser=True)
    """The node whose edges stay in view, such as `A9.6`, `A9.6.Q` or `3:A9.6` (at position 3)."""

    def __init__(
        self,
        model: PatchableModel,
        official_edges: Collection[Edge] | None = None,
        seq_labels: Sequence[str] | None = None,
        *,
        prune_scores: Mapping[str, Tensor] | None = None,
        n_edges: int | None = None,
        frequencies: Mapping[str, Tensor] | None = None,
    ) -> None:
        if not isinstance(model, PatchableModel):
            raise ArgumentError("model", "what sp_widget.patchable_model returns", type(model))
        _check_count("n_edges", n_edges, model.n_edges)
        self._model = model
        self._official_edges = None if official_edges is None else frozenset(official_edges)
        graph = graph_data(model, self._official_edges, seq_labels)
        super().__init__(
            graph=graph or {},
            no_picture="" if graph else NOT_DRAWN,
            n_edges=n_edges,
            frequencies=self._frequency_bytes(frequencies),
            **({} if prune_scores is None else self._shown(prune_scores)),
        )

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

    def clear(self) -> None:
        """Show the model without scores, as before the training. Safe from any thread."""
        self.update(scores=b"", auroc=None, training_edges=None)

    @traitlets.validate("n_edges")
    def _check_n_edges(self, proposal: Any) -> int | None:
        count: int | None = proposal["value"]
        if count is not None and not 0 <= count <= self._model.n_edges:
            raise traitlets.TraitError(f"n_edges: from 0 to {self._model.n_edges}, got {count}")
        return count

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


def _check_count(argument: str, count: int | None, most: int) -> None:
    if count is not None and not (is_whole_number(count) and 0 <= count <= most):
        raise ArgumentError(argument, f"None or a whole number from 0 to {most}", count)
