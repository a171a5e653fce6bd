"""What an engine is: all that circuits, methods and evaluation ask of one.

`EdgeEngine` patches edge by edge, `NodeEngine` node by node.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from jaxtyping import Float
from torch import Tensor

from sp_widget.graph.base_graph import BaseGraph
from sp_widget.models.architecture import Architecture, RunInputs

Positions: TypeAlias = slice
"""The token positions whose logits are wanted."""

ALL_POSITIONS: Positions = slice(None)


@dataclass(frozen=True)
class Patch:
    """Patch activations, prepared for a run by `Engine.patch`."""

    sources: Float[Tensor, "sources batch seq d_model"]
    """a_s. `batch` may be 1 where all prompts share their patch activations."""
    bases: Float[Tensor, "reads batch seq d_model"]
    """base_d, the streams that they alone would make: two for each block (attention, MLP), then
    `Resid End`. A node engine needs none."""


@dataclass(frozen=True)
class ObservedBlock:
    """What the nodes of one block read and wrote in a run."""

    attention_reads: Float[Tensor, "rows_or_1 batch seq d_model"]
    """A row for each of `Attention.project_in`, or one where all of them read the same."""
    attention_writes: Float[Tensor, "sources batch seq d_model"]
    """Of each head; of all heads together where a norm mixes them."""
    mlp_writes: Float[Tensor, "batch seq d_model"] | None
    """`None` in an attention-only block."""
    end: Float[Tensor, "batch seq d_model"]
    """The stream that is unembedded: what `Resid End` reads."""


class Engine(Protocol):
    """Runs one model, plain or patched. Nothing of the model is changed."""

    architecture: Architecture

    @property
    def graph(self) -> BaseGraph:
        """Return the graph whose edges are patched."""

    def on(self, model: Any) -> Engine:
        """Return an engine with the same graph for a copy of the model."""

    def plain(self, inputs: RunInputs) -> tuple[Tensor, Tensor, Tensor]:
        """Run every node unpatched: return source outputs, the stream at each read, logits."""

    def source_outputs(self, inputs: RunInputs) -> Float[Tensor, "sources batch seq d_model"]:
        """Return what every source writes when nothing is patched."""

    def patch(self, sources: Float[Tensor, "sources batch seq d_model"]) -> Patch:
        """Prepare patch activations for `run`."""

    @property
    def patch_streams(self) -> int:
        """Return how many residual streams a patch holds."""

    def run(
        self,
        masks: Float[Tensor, "n edges"],
        inputs: RunInputs,
        patch: Patch,
        positions: Positions = ALL_POSITIONS,
        recompute: bool = False,
    ) -> Float[Tensor, "batch positions d_vocab"]:
        """Return the logits with every edge patched by its mask value.

        Differentiable in `masks`, at any real values: one row for all prompts or one for each.
        `recompute`: run every node again in the backward pass instead of keeping what autograd
        needs of it.

        Raises `ArgumentError` when each position has its own edges and the prompts have another
        number of them.
        """

    def runs_at_once(self, inputs: RunInputs) -> int:
        """Return how many runs of a batch should go together as one.

        With `n` of them `run` takes `inputs.repeated(n)`, the patch of one, and `n` rows of masks.
        """

    def resumable(
        self,
        masks: Float[Tensor, " edges"],
        inputs: RunInputs,
        patch: Patch,
        positions: Positions = ALL_POSITIONS,
    ) -> ResumableRun:
        """Return a run whose last blocks can be run again with other masks; without gradient.

        Raises `ArgumentError` as `run` does.
        """

    def observe_plain(self, inputs: RunInputs, block: int) -> ObservedBlock:
        """Run every node unpatched: return what those of a block read and wrote."""

    def observe(
        self, masks: Float[Tensor, "n edges"], inputs: RunInputs, patch: Patch, block: int
    ) -> ObservedBlock:
        """Return what the nodes of a block read and wrote in the run that `run` makes of these.

        Without gradient. Raises `ArgumentError` as `run` does.
        """

    def run_bytes(self, embed: Float[Tensor, "batch seq d_model"], recompute: bool) -> int:
        """Estimate the bytes that a differentiable run takes beside its inputs, rather too high."""


class ResumableRun(Protocol):
    """A run without gradient, of which the last blocks can be run again with other masks."""

    def run(self, masks: Float[Tensor, "n edges"]) -> Float[Tensor, "n batch positions d_vocab"]:
        """Return the logits with each of these rows of masks.

        No block is run before the first one into which any row has another mask than those that
        are kept. `Engine.runs_at_once` says how many rows are worth putting together.
        """

    def keep(self, masks: Float[Tensor, " edges"]) -> None:
        """Let the next runs start from these masks; runs no block until one of them needs it."""
