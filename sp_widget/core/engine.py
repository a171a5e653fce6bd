"""The patched run: forward and backward over the graph, at about the cost of a plain run.

Notation, for one example at one token position (method and names: see `docs/method.md`):

    c_s   what source s writes in the current run        a_s   its patch activation
    D_s   = a_s - c_s, the buffer of differences         m_ds  mask value of the edge s -> d
    x_d   = r_d + sum_s m_ds D_s                         what destination d reads

With `base_d = sum_s a_s + biases`, the stream that d would read if every edge were patched,

    x_d   = base_d + sum_s (m_ds - 1) D_s

so the ordinary stream r need not be carried along, and its gradient comes for free:

    dL/dm_ds = x_d' . D_s            dL/dc_s = sum_d (1 - m_ds) x_d'        (' : gradient)

A few blocks go together. What all of them read from the blocks before is one product: the inputs
of all heads' queries, keys and values, and the MLPs' share of it. Their bases are rows of the
buffer like any source, each read with weight 1 by its own block. Going back, the gradient of a
stream takes the stream's place, and what the sources of a few blocks get is collected from all
later streams at once.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from sp_widget.core.architecture import Architecture, RunInputs
from sp_widget.core.graph import Graph, on_device
from sp_widget.core.nodes import Attention
from sp_widget.core.tape import BlockTape, Patch, Positions, Tape, Workspace, by_group

ALL_POSITIONS = slice(None)

_TOKENS_AT_ONCE = 512
"""Matrix products of fewer rows are slower, and of more rows not much quicker."""

_MLP_COPIES = 8
"""Tensors of the MLP's hidden size that autograd keeps at most."""

_BLOCKS_AT_ONCE = 4
"""Blocks that go together. More of them make larger and quicker products, but larger buffers."""


class Engine:
    """Runs one model, patched edge by edge."""

    def __init__(self, architecture: Architecture, graph: Graph) -> None:
        self.architecture = architecture
        self.graph = graph
        self._free: dict[tuple[object, ...], Workspace] = {}
        n_blocks = len(graph.spans)
        self._chunks = [
            range(start, min(start + _BLOCKS_AT_ONCE, n_blocks))
            for start in range(0, n_blocks, _BLOCKS_AT_ONCE)
        ]
        base_weights = torch.zeros(len(graph.dests), _BLOCKS_AT_ONCE)
        for index, span in enumerate(graph.spans):
            base_weights[span.rows.start : span.rows.stop, index % _BLOCKS_AT_ONCE] = 1
        self._base_weights = {base_weights.device: base_weights}

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
            x = resid.to(block.device).reshape(1, -1, d_model).expand(len(span.attn_rows), -1, -1)
            z = attention.mix(attention.project_in.forward(x)[0], batch, given)
            written = outputs[span.attn_srcs.start : span.attn_srcs.stop]
            if attention.post_norm is None:
                written.view(len(written), -1, d_model).copy_(torch.bmm(z, attention.w_out))
            else:
                written[0] = attention.post_norm(self._attention_out(z, attention, resid))
            after = self._after_attention(resid, written, attention)
            reads.append(resid if block.parallel else after)
            if block.mlp is not None and span.mlp_src is not None:
                outputs[span.mlp_src] = block.mlp(reads[-1].to(block.device))
                after = after + outputs[span.mlp_src]
            resid = after
        reads.append(resid)
        return outputs, torch.stack(reads), self.architecture.unembed(resid)

    @staticmethod
    def _attention_out(z: Tensor, attention: Attention, like: Tensor) -> Tensor:
        out = torch.bmm(z, attention.w_out).sum(0).view_as(like)
        return out if attention.b_out is None else out + attention.b_out

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
        of them.
        """
        batch, seq, _ = inputs.embed.shape
        self.graph.check_prompts(seq)
        dense = self.graph.to_dense(masks)  # [n, positions, dests, sources]
        base_weights = on_device(self._base_weights, dense.device).to(dense.dtype)
        base_weights = base_weights.expand(*dense.shape[:3], -1)
        weights = torch.cat((base_weights, dense - 1), dim=-1)
        if self.graph.seq_len is not None:
            weights = weights.expand(batch, -1, -1, -1)
        weights = weights.reshape(-1, *weights.shape[2:])
        logits: Tensor = _PatchedRun.apply(  # type: ignore[no-untyped-call]
            weights, self, inputs, patch, positions, recompute
        )
        return logits

    def forward(
        self,
        weights: Tensor,
        inputs: RunInputs,
        patch: Patch,
        positions: Positions,
        graph: bool,
        recompute: bool,
    ) -> tuple[Tensor, Tape]:
        """Logits, and the tape for `backward` (which only works with `graph`).

        `weights`: `[groups, dests, bases + sources]`, where a group is what shares its mask
        values: all prompts (1), each prompt (batch) or each token of each prompt (batch x seq).
        """
        space = self._workspace(inputs.embed, graph)
        patch.write_difference(slice(1), inputs.embed.unsqueeze(0), space.diff[:1])
        blocks = []
        for chunk in self._chunks:
            self._read(space, weights, patch, chunk)
            first = self.graph.spans[chunk.start]
            for index in chunk:
                span = self.graph.spans[index]
                own = range(first.n_sources, span.n_sources)
                self._add_product(space, weights, span.rows, own)
                at = self._mlp_positions(index, positions)
                block_tape = self._block_forward(space, weights, inputs, patch, index, at, graph)
                blocks.append(None if recompute else block_tape)
        # Only where logits are wanted: `Resid End` reads every source, and often needs one token.
        resid = patch.base(-1, len(inputs.embed))[:, positions] + self._read_end(
            space.mask_weights(weights), space.diff, positions
        )
        with torch.set_grad_enabled(graph):
            resid.requires_grad_(graph)
            logits = self.architecture.unembed(resid)
        tape = Tape(space, weights, inputs, patch, positions, blocks, (resid, logits))
        return logits.detach(), tape

    def _block_forward(
        self,
        space: Workspace,
        weights: Tensor,
        inputs: RunInputs,
        patch: Patch,
        index: int,
        at: Positions,
        graph: bool,
    ) -> BlockTape:
        """Run the nodes of one block, and write their differences to `space.diff`.

        `at`: where the MLP runs.
        """
        block, span, diff = self.architecture.blocks[index], self.graph.spans[index], space.diff
        streams = space.streams(span.rows)
        attended = self._attend(index, streams, inputs, graph)
        written = attended.mixed.detach()
        if block.attention.post_norm is None:
            written = torch.bmm(written, block.attention.w_out)
        heads = slice(span.attn_srcs.start, span.attn_srcs.stop)
        written = written.view_as(diff[heads]).to(diff.device)
        patch.write_difference(heads, written, diff[heads])
        if span.mlp_row is None or span.mlp_src is None:
            return attended
        if not block.parallel:
            # Its base has the attention of its own block in it.
            before, after = patch.base(slice(2 * index, 2 * index + 2), len(inputs.embed))
            streams[-1] += after - before
            row = range(span.mlp_row, span.mlp_row + 1)
            self._add_product(space, weights, row, span.attn_srcs)
        tape = self._with_mlp(index, attended, streams[-1][:, at], graph)
        assert tape.mlp_out is not None
        written = tape.mlp_out.detach().to(diff.device).unsqueeze(0)
        own = slice(span.mlp_src, span.mlp_src + 1)
        patch.write_difference(own, written, diff[own][:, :, at], at)
        return tape

    def _mlp_positions(self, index: int, positions: Positions) -> Positions:
        """The last MLP is read by `Resid End` alone: it runs only where logits are wanted."""
        return positions if index == len(self.graph.spans) - 1 else ALL_POSITIONS

    def _attend(self, index: int, streams: Tensor, inputs: RunInputs, graph: bool) -> BlockTape:
        """Attention up to what its heads mix."""
        block, n_rows = self.architecture.blocks[index], len(self.graph.spans[index].attn_rows)
        attention, x = block.attention, streams[:n_rows].flatten(1, 2).to(block.device)
        projected, saved = attention.project_in.forward(x)
        with torch.set_grad_enabled(graph):
            projected.requires_grad_(graph)
            mixed = attention.mix(projected, len(inputs.embed), inputs.attention[index])
            if attention.post_norm is not None:
                mixed = attention.post_norm(self._attention_out(mixed, attention, inputs.embed))
        return BlockTape(saved, projected, mixed)

    def _with_mlp(self, index: int, tape: BlockTape, stream: Tensor, graph: bool) -> BlockTape:
        """The tape of a block with that of its MLP, if it has one; `stream` is what that reads."""
        block = self.architecture.blocks[index]
        if block.mlp is None:
            return tape
        with torch.set_grad_enabled(graph):
            # `data`, as autograd counts changes of the whole buffer: other blocks write to it.
            mlp_in = stream.data.to(block.device).requires_grad_(graph)
            return replace(tape, mlp_in=mlp_in, mlp_out=block.mlp(mlp_in))

    def backward(
        self, tape: Tape, grad_logits: Tensor, dtype: torch.dtype
    ) -> Float[Tensor, "groups dests bases+sources"]:
        """Gradient of the loss with respect to `weights`, in `dtype`; those of the bases are left
        out."""
        space, spans = tape.space, self.graph.spans
        (grad_resid,) = torch.autograd.grad(tape.end[1], tape.end[0], grad_logits)
        grad_weights = torch.zeros_like(
            tape.weights, dtype=dtype, memory_format=torch.contiguous_format
        )
        grad_masks = space.mask_weights(grad_weights)
        self._end_masks(tape, grad_resid, grad_masks)

        for chunk in reversed(self._chunks):
            rows, srcs = self._chunk_rows(chunk), self._chunk_srcs(chunk)
            grad = space.grad[: len(srcs)]
            self._collect(tape, grad, grad_resid, srcs, range(rows.stop, self.graph.end_row))
            for index in reversed(chunk):
                span = spans[index]
                own = slice(span.n_sources - srcs.start, None)
                self._block_backward(tape, index, grad[own], grad_masks)
                # What it read from the earlier blocks of its chunk, whose turn comes next ...
                before = range(srcs.start, span.n_sources)
                self._pull_masks(tape, grad_masks, span.rows, before)
                self._pull_sources(tape, grad[: len(before)], span.rows, before)
            # ... and what the whole chunk read from all blocks before it, in one product.
            self._pull_masks(tape, grad_masks, rows, range(srcs.start))
        self.release(tape)
        return grad_weights

    def _block_backward(self, tape: Tape, index: int, grad: Tensor, grad_masks: Tensor) -> None:
        """Turn the streams that a block reads into their gradients, from those of what it writes.

        `grad`: `[sources of this block and later ones, batch, seq, d_model]`.
        """
        block, span = self.architecture.blocks[index], self.graph.spans[index]
        attention, streams = block.attention, tape.space.streams(span.rows)
        at = self._mlp_positions(index, tape.positions)
        block_tape = tape.blocks.pop()  # What a block kept is free as soon as its turn is over.
        if block_tape is None:
            block_tape = self._attend(index, streams, tape.inputs, graph=True)
            block_tape = self._with_mlp(index, block_tape, streams[-1][:, at], graph=True)
        n_heads = len(span.attn_srcs)
        if block_tape.mlp_in is not None and block_tape.mlp_out is not None:
            assert span.mlp_row is not None
            (grad_mlp_in,) = torch.autograd.grad(
                block_tape.mlp_out, block_tape.mlp_in, grad[n_heads][:, at].to(block.device)
            )
            if at != ALL_POSITIONS:
                streams[-1].zero_()
            streams[-1][:, at] = grad_mlp_in
            if not block.parallel:
                row = range(span.mlp_row, span.mlp_row + 1)
                self._pull_masks(tape, grad_masks, row, span.attn_srcs)
                self._pull_sources(tape, grad[:n_heads], row, span.attn_srcs)

        grad_mixed = grad[:n_heads].flatten(1, 2).to(block.device)
        if attention.post_norm is None:
            grad_mixed = torch.bmm(grad_mixed, attention.w_out.transpose(1, 2))
        mixed, projected = block_tape.mixed, block_tape.projected
        (grad_projected,) = torch.autograd.grad(mixed, projected, grad_mixed.view_as(mixed))
        streams = streams[: len(span.attn_rows)].flatten(1, 2)
        x = streams.to(block.device)
        attention.project_in.backward(grad_projected, x, projected.detach(), block_tape.saved)
        if x is not streams:
            streams.copy_(x)

    # --- products with the masks ------------------------------------------------------------

    def _read(self, space: Workspace, weights: Tensor, patch: Patch, chunk: range) -> None:
        """What the blocks of a chunk read from their bases and from the blocks before them."""
        rows, groups = self._chunk_rows(chunk), weights.shape[0]
        space.start_at(rows.start)
        bases = slice(2 * chunk.start, 2 * chunk.stop, 2)
        space.bases[: len(chunk)] = patch.base(bases, space.bases.shape[1])
        n_cols = len(space.bases) + self.graph.spans[chunk.start].n_sources
        torch.bmm(
            weights[:, rows.start : rows.stop, :n_cols],
            by_group(space.rows[:n_cols], groups),
            out=by_group(space.streams(rows), groups),
        )

    @staticmethod
    def _add_product(space: Workspace, weights: Tensor, rows: range, srcs: range) -> None:
        """Add to the streams of `rows` what they read from `srcs`."""
        if len(srcs) == 0:
            return
        groups = weights.shape[0]
        diff = by_group(space.diff[srcs.start : srcs.stop], groups)
        cut = space.mask_weights(weights)[:, rows.start : rows.stop, srcs.start : srcs.stop]
        by_group(space.streams(rows), groups).baddbmm_(cut, diff)

    @staticmethod
    def _pull_masks(tape: Tape, grad_masks: Tensor, rows: range, srcs: range) -> None:
        """Gradients of the masks between `srcs` and `rows`, whose streams are gradients by now."""
        if len(srcs) == 0:
            return
        groups = tape.weights.shape[0]
        pulled = by_group(tape.space.streams(rows), groups)
        diff = by_group(tape.space.diff[srcs.start : srcs.stop], groups)
        target = grad_masks[:, rows.start : rows.stop, srcs.start : srcs.stop]
        target.copy_(torch.bmm(pulled, diff.transpose(1, 2)))

    @staticmethod
    def _pull_sources(tape: Tape, grad: Tensor, rows: range, srcs: range, beta: float = 1) -> None:
        """Add to `beta grad` what `rows` give back to `srcs`.

        `grad`: `[srcs, batch, seq, d_model]`.
        """
        if len(srcs) == 0:
            return
        space, groups = tape.space, tape.weights.shape[0]
        weights = space.mask_weights(tape.weights)
        weights = weights[:, rows.start : rows.stop, srcs.start : srcs.stop]
        pulled = by_group(space.streams(rows), groups)
        by_group(grad, groups).baddbmm_(weights.transpose(1, 2), pulled, beta=beta, alpha=-1)

    def _collect(
        self, tape: Tape, grad: Tensor, grad_resid: Tensor, srcs: range, later: range
    ) -> None:
        """Write what the rows `later` and `Resid End` give back to `srcs` to `grad`."""
        if len(later) == 0:
            grad.zero_()
        else:
            self._pull_sources(tape, grad, later, srcs, beta=0)
        row = self._end_row(tape.space.mask_weights(tape.weights), len(grad_resid), tape.positions)
        weights = row[..., srcs.start : srcs.stop].movedim(-1, 0)  # [srcs, groups...]
        shape = (len(srcs), *weights.shape[1:], *[1] * (grad_resid.dim() - weights.dim() + 1))
        grad[:, :, tape.positions].addcmul_(weights.reshape(shape), grad_resid, value=-1)

    def _end_row(self, weights: Tensor, batch: int, positions: Positions) -> Tensor:
        """A view of the row of `Resid End`: `[groups, sources]`, or for token-wise edges
        `[batch, positions, sources]`."""
        row = weights[:, -1]
        if self.graph.seq_len is None:
            return row
        return row.view(batch, -1, row.shape[-1])[:, positions]

    def _read_end(self, weights: Tensor, diff: Tensor, positions: Positions) -> Tensor:
        """What `Resid End` reads beside its base at `positions`: `[batch, positions, d_model]`."""
        at = diff[:, :, positions]
        row = self._end_row(weights, diff.shape[1], positions).flatten(0, -2)
        out = row.unsqueeze(1) @ at.reshape(len(at), len(row), -1).transpose(0, 1)
        return out.view(at.shape[1:])

    def _end_masks(self, tape: Tape, grad_resid: Tensor, grad_masks: Tensor) -> None:
        """Gradients of the masks of `Resid End`."""
        at = tape.space.diff[:, :, tape.positions]
        target = self._end_row(grad_masks, len(grad_resid), tape.positions)
        n_groups = target.shape[:-1].numel()
        flat = at.reshape(len(at), n_groups, -1).transpose(0, 1)
        pulled = grad_resid.reshape(n_groups, 1, -1)
        target.copy_((pulled @ flat.transpose(1, 2)).view_as(target))

    # --- buffers ----------------------------------------------------------------------------

    def _chunk_rows(self, chunk: range) -> range:
        """All destinations of the blocks of a chunk."""
        spans = self.graph.spans
        return range(spans[chunk.start].rows.start, spans[chunk.stop - 1].rows.stop)

    def _chunk_srcs(self, chunk: range) -> range:
        """All sources of the blocks of a chunk."""
        spans = self.graph.spans
        end = spans[chunk.stop].n_sources if chunk.stop < len(spans) else len(self.graph.srcs)
        return range(spans[chunk.start].n_sources, end)

    def _workspace(self, embed: Tensor, graph: bool) -> Workspace:
        """Buffers for a batch of this shape: the kept ones, unless another run holds them."""
        kept = self._free.pop((graph, *embed.shape), None)
        if kept is not None:
            return kept
        n_sources, n_streams, n_grad = self._buffer_rows(graph)
        return Workspace(embed, _BLOCKS_AT_ONCE, n_sources, n_streams, n_grad, graph)

    def _buffer_rows(self, graph: bool) -> tuple[int, int, int]:
        """Rows of a run's buffers: sources, streams, and sources that go backward together."""
        chunk_rows = [len(self._chunk_rows(chunk)) for chunk in self._chunks]
        n_streams = sum(chunk_rows) if graph else max(chunk_rows)
        n_grad = max(len(self._chunk_srcs(chunk)) for chunk in self._chunks) if graph else 0
        return len(self.graph.srcs), n_streams, n_grad

    def run_bytes(self, embed: Float[Tensor, "batch seq d_model"], recompute: bool) -> int:
        """About how many bytes a differentiable run takes beside its inputs.

        Exact for the buffers; for what autograd keeps inside the nodes, an upper estimate.
        """
        batch, seq, d_model = embed.shape
        buffers = (_BLOCKS_AT_ONCE + sum(self._buffer_rows(graph=True))) * d_model
        inside = self.kept_inside(seq)
        kept = max(inside) if recompute else sum(inside)
        return batch * seq * (buffers + kept) * embed.element_size()

    def kept_inside(self, seq: int) -> list[int]:
        """How many numbers a token autograd keeps inside the nodes of each block, at most."""
        return [
            4 * block.attention.project_in.bias.numel()
            + 4 * block.attention.n_heads * seq
            + _MLP_COPIES * (self.architecture.d_mlp if block.mlp is not None else 0)
            for block in self.architecture.blocks
        ]

    def release(self, tape: Tape) -> None:
        """Give back the buffers of a run."""
        key = (tape.space.graph, *tape.inputs.embed.shape)
        self._free[key] = tape.space


class _PatchedRun(torch.autograd.Function):
    """`Engine.forward` and `Engine.backward` as one differentiable operation."""

    @staticmethod
    def forward(
        ctx: torch.autograd.function.FunctionCtx,
        weights: Tensor,
        engine: Engine,
        inputs: RunInputs,
        patch: Patch,
        positions: Positions,
        recompute: bool,
    ) -> Tensor:
        needs_grad = ctx.needs_input_grad[0]  # type: ignore[attr-defined]
        # Masks are trained in float32 whatever the precision of the model.
        ctx.dtype = weights.dtype  # type: ignore[attr-defined]
        weights = weights.to(inputs.embed.dtype)
        logits, tape = engine.forward(weights, inputs, patch, positions, needs_grad, recompute)
        if needs_grad:
            ctx.engine, ctx.tape = engine, tape  # type: ignore[attr-defined]
        else:
            engine.release(tape)
        return logits

    @staticmethod
    def backward(
        ctx: torch.autograd.function.FunctionCtx, grad_logits: Tensor
    ) -> tuple[Tensor | None, ...]:
        engine: Engine = ctx.engine  # type: ignore[attr-defined]
        tape: Tape = ctx.tape  # type: ignore[attr-defined]
        dtype: torch.dtype = ctx.dtype  # type: ignore[attr-defined]
        return engine.backward(tape, grad_logits, dtype), None, None, None, None, None
