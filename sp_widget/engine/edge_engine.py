"""Runs one model, plain or patched edge by edge.

`README.md` beside this file says what is computed. To follow a run: `EdgeEngine.run` takes masks
through `_Differentiable`, which makes a `PatchedRun` (`patched_run.py`) of their weights
(`KeptWeights`, below) and of buffers that are kept (`buffers.py`), and takes it forward and, when
autograd asks, backward; inside single blocks that is `block_run.py`.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from sp_widget.engine.block_run import numbers_on_tapes
from sp_widget.engine.buffers import Buffers, scratch_size
from sp_widget.engine.patched_run import BLOCKS_AT_ONCE, PatchedRun, RunSetup, chunks_of
from sp_widget.engine.plain_run import observe_plain_run, patch_of_edges, plain_run
from sp_widget.engine.protocol import ALL_POSITIONS, ObservedBlock, Patch, Positions
from sp_widget.engine.resumable_run import ResumableEdgeRun
from sp_widget.graph.edge_graph import Graph
from sp_widget.models.architecture import Architecture, RunInputs

_TOKENS_AT_ONCE = 512
"""Matrix products of fewer rows are slower, and of more rows not much quicker."""


class EdgeEngine:
    """The `Engine` that patches edge by edge."""

    def __init__(self, architecture: Architecture, graph: Graph) -> None:
        self.architecture = architecture
        self.graph = graph
        self._free: dict[tuple[object, ...], Buffers] = {}
        self._chunks = chunks_of(graph)
        self._kept_weights = KeptWeights(graph)

    def on(self, model: Any) -> EdgeEngine:
        """Return an engine with the same graph for a copy of the model."""
        return EdgeEngine(Architecture(model, self.graph.separate_qkv), self.graph)

    # --- plain runs -------------------------------------------------------------------------

    @torch.no_grad()
    def plain(self, inputs: RunInputs) -> tuple[Tensor, Tensor, Tensor]:
        """Run every node unpatched: return source outputs, the stream at each read, logits."""
        return plain_run(self.architecture, self.graph, inputs)

    def source_outputs(self, inputs: RunInputs) -> Float[Tensor, "sources batch seq d_model"]:
        """Return what every source writes when nothing is patched."""
        outputs, _, _ = self.plain(inputs)
        return outputs

    @torch.no_grad()
    def observe_plain(self, inputs: RunInputs, block: int) -> ObservedBlock:
        """Run every node unpatched: return what those of a block read and wrote."""
        return observe_plain_run(self.architecture, self.graph, inputs, block)

    def patch(self, sources: Float[Tensor, "sources batch seq d_model"]) -> Patch:
        """Prepare patch activations for `run`."""
        return patch_of_edges(self.architecture, self.graph, sources)

    @property
    def patch_streams(self) -> int:
        """Return how many residual streams a patch holds."""
        return len(self.graph.srcs) + 2 * len(self.graph.spans) + 1

    def runs_at_once(self, inputs: RunInputs) -> int:
        """Return how many runs of a small batch should go together as one."""
        n_prompts, n_tokens, _ = inputs.embed.shape
        return max(1, _TOKENS_AT_ONCE // (n_prompts * n_tokens))

    # --- the patched run --------------------------------------------------------------------

    def run(
        self,
        masks: Float[Tensor, "n edges"],
        inputs: RunInputs,
        patch: Patch,
        positions: Positions = ALL_POSITIONS,
        recompute: bool = False,
    ) -> Float[Tensor, "batch positions d_vocab"]:
        """Return the logits with every edge patched by its mask value; differentiable in `masks`.

        `masks`: one row for all prompts, one for each, or one for each of `n` equal parts of the
        batch. `inputs` may be those of the patch several times over. `recompute`: run every node
        again in the backward pass instead of keeping what autograd needs of it.

        Raises `ArgumentError` when each position has its own edges and the prompts have another
        number of them, and `ModelChangedError` when a weight has changed since the nodes were
        read.
        """
        if not torch.is_grad_enabled():
            # A leaf would make the run keep what only a backward pass needs.
            masks = masks.detach()
        logits: Tensor = _Differentiable.apply(  # type: ignore[no-untyped-call]
            masks, self, inputs, patch, positions, recompute
        )
        return logits

    @torch.no_grad()
    def observe(
        self, masks: Float[Tensor, "n edges"], inputs: RunInputs, patch: Patch, block: int
    ) -> ObservedBlock:
        """Return what the nodes of a block read and wrote in the run that `run` makes of these."""
        run = PatchedRun(self.setup(masks.detach(), inputs, patch, ALL_POSITIONS))
        run.forward()
        observed = run.observed(block)
        self.release(run)
        return observed

    def resumable(
        self,
        masks: Float[Tensor, " edges"],
        inputs: RunInputs,
        patch: Patch,
        positions: Positions = ALL_POSITIONS,
    ) -> ResumableEdgeRun:
        """Return a run whose last blocks can be run again with other masks; without gradient.

        Raises `ArgumentError` as `run` does.
        """
        return ResumableEdgeRun(self, masks, inputs, patch, positions)

    # --- for the runs of this package -------------------------------------------------------

    def setup(
        self,
        masks: Float[Tensor, "n edges"],
        inputs: RunInputs,
        patch: Patch,
        positions: Positions,
        *,
        recompute: bool = False,
        backward: bool = False,
    ) -> RunSetup:
        """Return all that a run needs, with buffers that nobody else uses; see `release`.

        `backward`: whether the run will go backward.
        """
        self.architecture.unchanged.check()
        return RunSetup(
            architecture=self.architecture,
            graph=self.graph,
            chunks=self._chunks,
            buffers=self._buffers(inputs.embed, backward),
            weights=self.weights(masks, inputs),
            inputs=inputs,
            patch=patch,
            positions=positions,
            recompute=recompute,
        )

    def weights(
        self, masks: Float[Tensor, "n edges"], inputs: RunInputs
    ) -> Float[Tensor, "groups dests bases+sources"]:
        """Return the matrices that a run multiplies with."""
        return self._kept_weights.matrices(self._rows(masks, inputs), inputs.embed.dtype)

    def release(self, run: PatchedRun) -> None:
        """Keep the buffers of a run for the next one."""
        key = (run.buffers.backward, *run.inputs.embed.shape)
        self._free[key] = run.buffers

    def _rows(
        self, masks: Float[Tensor, "n edges"], inputs: RunInputs
    ) -> Float[Tensor, "n_or_batch edges"]:
        """Return a row for each prompt where each of its tokens has edges of its own."""
        if self.graph.seq_len is None:
            return masks
        batch, seq, _ = inputs.embed.shape
        self.graph.check_prompts(seq)
        return masks.repeat_interleave(batch // len(masks), dim=0)

    # --- buffers ----------------------------------------------------------------------------

    def _buffers(self, embed: Tensor, backward: bool) -> Buffers:
        """Return buffers for a batch of this shape: those kept, unless another run has them."""
        kept = self._free.pop((backward, *embed.shape), None)
        return Buffers(embed, **self._sizes(backward), backward=backward) if kept is None else kept

    def _sizes(self, backward: bool) -> dict[str, int]:
        """Return how many residual streams the buffers of a run have room for."""
        chunk_rows = [len(chunk.rows) for chunk in self._chunks]
        return {
            "bases": BLOCKS_AT_ONCE,
            "sources": len(self.graph.srcs),
            "streams": sum(chunk_rows) if backward else max(chunk_rows),
            "source_grads": max(len(chunk.srcs) for chunk in self._chunks) if backward else 0,
            "scratch": max(
                max(len(span.attn_rows), len(span.attn_srcs)) for span in self.graph.spans
            ),
        }

    def run_bytes(self, embed: Float[Tensor, "batch seq d_model"], recompute: bool) -> int:
        """Estimate the bytes that a differentiable run takes beside its inputs.

        Exact for the buffers; for what autograd keeps inside the nodes, an upper estimate.
        """
        batch, seq, d_model = embed.shape
        sizes = self._sizes(backward=True)
        scratch = scratch_size(embed, embed.device, sizes.pop("scratch"))
        on_tapes = numbers_on_tapes(self.architecture, seq)
        kept = max(on_tapes) if recompute else sum(on_tapes)
        numbers = batch * seq * (sum(sizes.values()) * d_model + kept) + scratch
        return numbers * embed.element_size()


class KeptWeights:
    """From mask values to the weights of what is kept, `k_ds = 1 - m_ds`, and back with gradients.

    The weights are a `destinations x sources` matrix. The columns of the sources stand behind those
    of the bases, one for each block of a chunk: 1 where a destination reads that base. Where there
    is no edge the weight is 0.
    """

    def __init__(self, graph: Graph) -> None:
        n_dests, n_columns = len(graph.dests), BLOCKS_AT_ONCE + len(graph.srcs)
        no_edge = torch.zeros(graph.n_positions, n_dests, n_columns)
        for index, span in enumerate(graph.spans):
            no_edge[:, span.rows.start : span.rows.stop, index % BLOCKS_AT_ONCE] = 1
        places = torch.arange(no_edge.numel()).view_as(no_edge)[..., BLOCKS_AT_ONCE:]
        edges = [
            places[:, m.rows.start : m.rows.stop, : m.n_sources].flatten() for m in graph.modules
        ]
        self._by_device = {no_edge.device: (no_edge, torch.cat(edges))}

    def matrices(
        self, masks: Float[Tensor, "n edges"], dtype: torch.dtype
    ) -> Float[Tensor, "n*positions dests bases+sources"]:
        """Return the weights of each row of mask values, in the precision of the model."""
        no_edge, edges = self._on(masks.device)
        weights = no_edge.to(dtype).flatten().repeat(len(masks), 1)
        weights.index_copy_(1, edges, (1 - masks).to(dtype))
        return weights.view(-1, *no_edge.shape[1:])

    def mask_gradient(
        self, grad: Float[Tensor, "n*positions dests bases+sources"]
    ) -> Float[Tensor, "n edges"]:
        """Return the gradient with respect to the mask values, from that of the matrices."""
        no_edge, edges = self._on(grad.device)
        return grad.view(-1, no_edge.numel()).index_select(1, edges).neg_()

    def _on(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Return the constants on this device, copied once: copying waits for the device."""
        if device not in self._by_device:
            no_edge, edges = next(iter(self._by_device.values()))
            self._by_device[device] = no_edge.to(device), edges.to(device)
        return self._by_device[device]


class _Differentiable(torch.autograd.Function):
    """A `PatchedRun` as one differentiable operation."""

    @staticmethod
    def forward(
        ctx: Any,
        masks: Tensor,
        engine: EdgeEngine,
        inputs: RunInputs,
        patch: Patch,
        positions: Positions,
        recompute: bool,
    ) -> Tensor:
        needs_grad = bool(ctx.needs_input_grad[0])
        setup = engine.setup(
            masks, inputs, patch, positions, recompute=recompute, backward=needs_grad
        )
        run = PatchedRun(setup)
        logits = run.forward()
        if needs_grad:
            ctx.engine, ctx.run, ctx.rows, ctx.dtype = engine, run, len(masks), masks.dtype
        else:
            engine.release(run)
        return logits

    @staticmethod
    def backward(ctx: Any, grad_logits: Tensor) -> tuple[Tensor | None, ...]:
        # Masks are trained in float32 whatever the precision of the model.
        grad_weights = ctx.run.backward(grad_logits, ctx.dtype)
        grad_masks = ctx.engine._kept_weights.mask_gradient(grad_weights)
        ctx.engine.release(ctx.run)
        if len(grad_masks) != ctx.rows:  # One row stands for several prompts.
            grad_masks = grad_masks.unflatten(0, (ctx.rows, -1)).sum(1)
        return grad_masks, None, None, None, None, None
