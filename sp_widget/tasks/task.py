"""What a task consists of."""

from __future__ import annotations

from dataclasses import dataclass

from sp_widget.data.prompts import PromptDataLoader
from sp_widget.engine.patchable_model import PatchableModel
from sp_widget.graph.edge_graph import Edge
from sp_widget.methods.base import MethodConfig


@dataclass(frozen=True, eq=False)
class Task:
    """A model, prompts that show what it does, and what is known of how."""

    name: str
    """As passed to `load`."""
    model: PatchableModel
    """The model, its edges patchable; the bridge itself is `model.wrapped_model`."""
    train_loader: PromptDataLoader
    """Prompt pairs to train masks on."""
    test_loader: PromptDataLoader
    """Other prompt pairs of the same kind."""
    official_edges: set[Edge] | None
    """The edges known to be the circuit, or `None` where nobody can know."""
    description: str
    """What the model does, what the corrupt prompts are and which circuit to expect."""
    config: MethodConfig
    """Settings with which subnetwork probing does well on this task."""
    left_out: tuple[str, ...] = ()
    """Words that the prompts of a standard task go without, because the model's tokenizer does not
    have them as single tokens."""

    def __repr__(self) -> str:
        known = "unknown" if self.official_edges is None else f"{len(self.official_edges)} edges"
        return (
            f"Task({self.name!r}: {self.model.n_edges:,} edges, known circuit: {known}, "
            f"{len(self.train_loader)} train batches, {len(self.test_loader)} test batches)"
        )
