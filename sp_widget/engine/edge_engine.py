"""Runs one model, plain or patched edge by edge: `patched_run` has the formulas."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from sp_widget.engine.block_run import heads_together
from sp_widget.engine.chunks import BLOCKS_AT_ONCE, chunks_of
from sp_widget.engine.kept_weights import KeptWeights
from sp_widget.engine.patch import ALL_POSITIONS, Patch, Positions
from sp_widget.engine.patched_run import PatchedRun
from sp_widget.engine.workspace import Workspace
from sp_widget.graph.edge_graph import Graph
from sp_widget.models.architecture import Architecture, RunInputs
from sp_widget.models.nodes import Attention
from sp_widget.models.scratch import scratch_size

_TOKENS_AT_ONCE = 512
"""Matrix products of fewer rows are slower, and of more rows not much quicker."""

_MLP_COPIES = 8
"""Tensors of the MLP's hidden size that autograd keeps at most."""


class Engine:
    """Runs one model, patched edge by edge."""

    def __init__(self, architecture: Architecture, graph: Graph) -> None:
        self.architecture = architecture
        self.graph = graph
        self._free: dict[tuple[object, ...], Workspace] = {}
        self._chunks = chunks_of(graph)
        self.kept_weights = KeptWeights(graph)

    def on(self, model: Any) -> Engine:
        """The same graph on a copy of the model."""
        return Engine(Architecture(model, self.graph.separate_qkv), self.graph)

    # --- plain runs -------------------------------------------------------------------------

    @torch.no_grad()
    def source_outputs(self, run: RunInputs) -> Float[Tensor, "sources batch seq d_model"]:
        """What every source writes when nothing is patched."""
        outputs, _, _ = self.plain(run)
        return outputs

    @torch.no_grad()
    def plain(self, run: RunInputs) -> tuple[Tensor, Tensor, Tensor]:
        """A plain run through the nodes: source outputs, the stream at each read, logits."""
        batch, seq, d_model = run.embed.shape
        outputs = run.embed.new_empty(len(self.graph.srcs), batch, seq, d_model)
        outputs[0] = resid = run.embed
        reads = []
        for block, span, given in zip(
            self.architecture.blocks, self.graph.spans, run.attention, strict=True
        ):
            attention = block.attention
            reads.append(resid)
            x = resid.to(block.device).reshape(1, -1, d_model)  # the same for all destinations
            z = attention.mix(attention.project_in.forward(x)[0], batch, given)
            written = outputs[span.attn_srcs.start : span.attn_srcs.stop]
            if attention.post_norm is None:
                written.view(len(written), -1, d_model).copy_(torch.bmm(z, attention.w_out))
            else:
                written[0] = attention.post_norm(heads_together(z, attention, batch))
            after = self._after_attention(resid, written, attention)
            reads.append(resid if block.parallel else after)
            if block.mlp is not None and span.mlp_src is not None:
                outputs[span.mlp_src] = block.mlp(reads[-1].to(block.device))
                after = after + outputs[span.mlp_src]
            resid = after
        reads.append(resid)
        return outputs, torch.stack(reads), self.architecture.unembed(resid)

    @staticmethod
    def _after_attention(resid: Tensor, written: Tensor, attention: Attention) -> Tensor:
        """The stream behind attention; its bias belongs to no head."""
        after = resid + written.sum(0)
        if attention.post_norm is None and attention.b_out is not None:
            after = after + attention.b_out.to(resid.device)
        return after

    def patch(self, sources: Float[Tensor, "sources batch seq d_model"]) -> Patch:
        """Prepare patch activations for `forward`."""
        bases = []
        resid = sources[0].clone()
        for block, span in zip(self.architecture.blocks, self.graph.spans, strict=True):
            attention = block.attention
            bases.append(resid)
            written = sources[span.attn_srcs.start : span.attn_srcs.stop]
            after = self._after_attention(resid, written, attention)
            bases.append(resid if block.parallel else after)
            if span.mlp_src is not None:
                after = after + sources[span.mlp_src]
            resid = after
        bases.append(resid)
        return Patch(sources, torch.stack(bases))

    @property
    def patch_streams(self) -> int:
        """How many residual streams a patch holds."""
        return len(self.graph.srcs) + 2 * len(self.graph.spans) + 1

    def runs_at_once(self, inputs: RunInputs) -> int:
        """How many runs of a small batch should go together as one: see `RunInputs.repeated`."""
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
        """Logits with every edge patched by its mask value; differentiable in `masks`.

        `masks`: one row an example, or one row for all of them. `inputs` may be those of the
        patch several times over. `recompute`: run every node
        again in the backward pass instead of keeping what autograd needs of it. Raises
        `ArgumentError` when each position has its own edges and the prompts have another number
        of them, and `ModelChangedError` when a weight has changed since the nodes were read.
        """
        batch, seq, _ = inputs.embed.shape
        self.architecture.unchanged.check()
        self.graph.check_prompts(seq)
        if self.graph.seq_len is not None:
            masks = masks.expand(batch, -1)
        if not torch.is_grad_enabled():
            # A leaf would make the run keep what only a backward pass needs.
            masks = masks.detach()
        logits: Tensor = _Differentiable.apply(  # type: ignore[no-untyped-call]
            masks, self, inputs, patch, positions, recompute
        )
        return logits

    # --- buffers ----------------------------------------------------------------------------

    def _workspace(self, embed: Tensor, graph: bool) -> Workspace:
        """Buffers for a batch of this shape: the kept ones, unless another run holds them."""
        kept = self._free.pop((graph, *embed.shape), None)
        if kept is not None:
            return kept
        n_sources, n_streams, n_grad = self._buffer_rows(graph)
        n_scratch = self._scratch_rows
        return Workspace(embed, BLOCKS_AT_ONCE, n_sources, n_streams, n_grad, n_scratch, graph)

    def release(self, run: PatchedRun) -> None:
        """Keep the buffers of a run for the next one."""
        key = (run.space.graph, *run.inputs.embed.shape)
        self._free[key] = run.space

    def patched_run(
        self,
        masks: Float[Tensor, "n edges"],
        inputs: RunInputs,
        patch: Patch,
        positions: Positions,
        recompute: bool,
        graph: bool,
    ) -> PatchedRun:
        """A run in buffers that nobody else uses; see `release`."""
        return PatchedRun(
            self.architecture,
            self.graph,
            self._chunks,
            self._workspace(inputs.embed, graph),
            self.kept_weights.matrices(masks, inputs.embed.dtype),
            inputs,
            patch,
            positions,
            recompute,
        )

    def _buffer_rows(self, graph: bool) -> tuple[int, int, int]:
        """Rows of a run's buffers: sources, streams, and sources that go backward together."""
        chunk_rows = [len(chunk.rows) for chunk in self._chunks]
        n_streams = sum(chunk_rows) if graph else max(chunk_rows)
        n_grad = max(len(chunk.srcs) for chunk in self._chunks) if graph else 0
        return len(self.graph.srcs), n_streams, n_grad

    @property
    def _scratch_rows(self) -> int:
        """What a block reads or writes at once, at most."""
        return max(max(len(span.attn_rows), len(span.attn_srcs)) for span in self.graph.spans)

    def run_bytes(self, embed: Float[Tensor, "batch seq d_model"], recompute: bool) -> int:
        """About how many bytes a differentiable run takes beside its inputs.

        Exact for the buffers; for what autograd keeps inside the nodes, an upper estimate.
        """
        batch, seq, d_model = embed.shape
        buffers = (BLOCKS_AT_ONCE + sum(self._buffer_rows(graph=True))) * d_model
        inside = self.kept_inside(seq)
        kept = max(inside) if recompute else sum(inside)
        scratch = scratch_size(embed, embed.device, self._scratch_rows)
        return (batch * seq * (buffers + kept) + scratch) * embed.element_size()

    def kept_inside(self, seq: int) -> list[int]:
        """How many numbers a token autograd keeps inside the nodes of each block, at most."""
        return [
            4 * block.attention.project_in.bias.numel()
            + 4 * block.attention.n_heads * seq
            + _MLP_COPIES * (self.architecture.d_mlp if block.mlp is not None else 0)
            for block in self.architecture.blocks
        ]


class _Differentiable(torch.autograd.Function):
    """A `PatchedRun` as one differentiable operation."""

    @staticmethod
    def forward(
        ctx: Any,
        masks: Tensor,
        engine: Engine,
        inputs: RunInputs,
        patch: Patch,
        positions: Positions,
        recompute: bool,
    ) -> Tensor:
        needs_grad = bool(ctx.needs_input_grad[0])
        run = engine.patched_run(masks, inputs, patch, positions, recompute, needs_grad)
        logits = run.forward()
        if needs_grad:
            ctx.engine, ctx.run, ctx.dtype = engine, run, masks.dtype
        else:
            engine.release(run)
        return logits

    @staticmethod
    def backward(ctx: Any, grad_logits: Tensor) -> tuple[Tensor | None, ...]:
        # Masks are trained in float32 whatever the precision of the model.
        grad_masks = ctx.engine.kept_weights.mask_gradient(ctx.run.backward(grad_logits, ctx.dtype))
        ctx.engine.release(ctx.run)
        return grad_masks, None, None, None, None, None
