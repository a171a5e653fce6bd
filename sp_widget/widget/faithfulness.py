"""The faithfulness view: what circuits of all sizes lose, on a log axis, for several runs.

The view is TypeScript (`js/src/faithfulness/`). Here are the traits that it shows and the message
that it sends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import traitlets
from ipywidgets import CallbackDispatcher

from sp_widget.evaluation.evaluation import Evaluation
from sp_widget.report.curve_data import CurveData, curve_traits, named_evaluations
from sp_widget.widget.comm_routing import deliver_where_addressed
from sp_widget.widget.locked import LockedWidget


class FaithfulnessView(LockedWidget, bundle="faithfulness"):
    """What circuits, their complements and random circuits lose, against their number of edges.

    The first of the evaluations is drawn with complement and random circuits, the others with the
    circuit alone, each in its own colour. A click sets `n_edges`.

    Args:
        evaluations: What `sp.evaluate` returned, by the name that the legend shows; one of them
            needs no name.
        metric: The metric that is drawn; by default the first of the first evaluation.

    Raises `ArgumentError` with the name of a bad argument.
    """

    curves = traitlets.List(traitlets.Dict()).tag(sync=True, holds=list[CurveData])
    """Of the present run first, where that was measured."""
    metric = traitlets.Unicode("").tag(sync=True)
    """What stands beside the axis."""
    most = traitlets.Int(0).tag(sync=True)
    """Edges of the model."""
    n_edges = traitlets.Int(None, allow_none=True).tag(sync=True, browser=True)
    """The size that is marked, as a person or code chose; `None`: `training_edges`."""
    training_edges = traitlets.Int(None, allow_none=True).tag(sync=True, browser=True)
    """Edges in the circuit as the training counts them; in the browser it is linked to that of the
    circuit view, which sends it back."""
    note = traitlets.Unicode("").tag(sync=True)
    """What is going on, or what there is to do."""
    measure = traitlets.Enum(["never", "later", "now"], "never").tag(
        sync=True, holds=Literal["never", "later", "now"]
    )
    """Whether the present scores can be measured; `never`: there is no button."""

    def __init__(
        self,
        evaluations: Evaluation | Mapping[str, Evaluation] | None = None,
        metric: str | None = None,
    ) -> None:
        named = named_evaluations(evaluations, "evaluations")
        self._clicks = CallbackDispatcher()
        super().__init__(**curve_traits(named, metric))
        self.on_msg(self._handle_message)
        # A click is answered while a cell runs.
        deliver_where_addressed(self.comm)

    def on_measure(self, callback: Callable[[], object]) -> None:
        """Call `callback` when a person asks for the curve of the present scores."""
        self._clicks.register_callback(callback)

    def show(
        self,
        evaluations: Mapping[str, Evaluation],
        *,
        note: str = "",
        measure: Literal["never", "later", "now"] = "never",
    ) -> None:
        """Show other evaluations. Safe from any thread; sends nothing if nothing changed."""
        self.update(**curve_traits(evaluations), note=note, measure=measure)

    def _handle_message(self, _: object, content: Any, buffers: object) -> None:
        if isinstance(content, dict) and content.get("type") == "measure":
            self._clicks()
        else:
            self.drop("a message that it does not know", content)

    def __repr__(self) -> str:
        names = ", ".join(curve["name"] for curve in self.curves)
        return f"FaithfulnessView({names or 'nothing measured yet'})"
