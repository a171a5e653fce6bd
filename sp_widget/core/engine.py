"""The patched run: forward and backward over the graph, at about the cost of a plain run.

Notation, for one example at one token position (method and names: see `docs/method.md`):

    c_s   what source s writes in the current run        a_s   its patch activation
    D_s   = a_s - c_s, the buffer of differences         m_ds  mask value of the edge s -> d
    x_d   = r_d + sum_s m_ds D_s                         what destination d reads

With `k = 1 - m` (how much of an edge is *kept*) and `base_d = sum_s a_s + biases`, the residual
stream that d would read if every edge were patched,

    x_d   = base_d - sum_s k_ds D_s

so the ordinary stream r need not be carried along, and its gradient comes for free:

    dL/dk_ds = -x_d' . D_s            dL/dc_s = sum_d k_ds x_d'        (' : gradient)

D holds every source once, written right after it is computed. Each block reads it in one
product for the inputs of all its heads' queries, keys and values together (the MLP's share of
it rides along), and the gradients of all sources collect in a second buffer of the same shape.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from sp_widget.core.architecture import Architecture, RunInputs
from sp_widget.core.graph import BlockSpan, Graph
from sp_widget.core.nodes import Attention
from sp_widget.core.tape import BlockTape, Patch, Positions, Tape, Workspace
from sp_widget.errors import ArgumentError

ALL_POSITIONS = slice(None)

_MLP_COPIES = 8
"""Tensors of the MLP's hidden size that autograd keeps at most: GELU in its tanh form keeps six."""

_BLOCKS_AT_ONCE = 4
"""Blocks whose gradients go back to the sources before them in one product: the sources'
buffers, the largest of all, are read and written a quarter as often."""


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
            x = resid.reshape(1, -1, d_model).expand(len(span.attn_rows), -1, -1)
            z = attention.mix(attention.project_in.forward(x)[0], batch, given)
            written = outputs[span.attn_srcs.start : span.attn_srcs.stop]
            if attention.post_norm is None:
                torch.bmm(z, attention.w_out, out=written.view(len(written), -1, d_model))
            else:
                written[0] = attention.post_norm(self._attention_out(z, attention, resid))
            after = self._after_attention(resid, written, attention)
            reads.append(resid if block.parallel else after)
            if block.mlp is not None and span.mlp_src is not None:
                outputs[span.mlp_src] = block.mlp(reads[-1])
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
            after = after + attention.b_out
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

        `masks`: one row an example, or one row for all of them. `recompute`: run every block
        again in the backward pass instead of keeping what it needs. Raises `ArgumentError` when
        each position has its own edges and the prompts have another number of them.
        """
        batch, seq, _ = inputs.embed.shape
        if self.graph.seq_len not in (None, seq):
            raise ArgumentError("seq_len", f"prompts of {self.graph.seq_len} tokens", seq)
        keep = self.graph.to_dense(masks).neg().add(1)  # [n, positions, dests, sources]
        if self.graph.seq_len is not None:
            keep = keep.expand(batch, -1, -1, -1)
        keep = keep.reshape(-1, *keep.shape[2:])
        logits: Tensor = _PatchedRun.apply(  # type: ignore[no-untyped-call]
            keep, self, inputs, patch, positions, recompute
        )
        return logits

    def forward(
        self,
        keep: Tensor,
        inputs: RunInputs,
        patch: Patch,
        positions: Positions,
        graph: bool,
        recompute: bool,
    ) -> tuple[Tensor, Tape]:
        """Logits, and the tape for `backward` (which only works with `graph`).

        `keep`: `[groups, dests, sources]`, where a group is what shares its mask values: all
        prompts (1), each prompt (batch) or each token of each prompt (batch x seq).
        """
        keep_all = graph and not recompute
        space = self._workspace(inputs.embed, keep_all)
        torch.sub(patch.sources[0], inputs.embed, out=space.diff[0])
        blocks = []
        for index in range(len(self.architecture.blocks)):
            block_tape = self._block_forward(space, keep, inputs, patch, index, keep_all)
            if keep_all:
                blocks.append(block_tape)
        # Only where logits are wanted: `Resid End` reads every source, and often needs one token.
        resid = patch.bases[-1][:, positions] - self._read_end(keep, space.diff, positions)
        with torch.set_grad_enabled(graph):
            resid.requires_grad_(graph)
            logits = self.architecture.unembed(resid)
        tape = Tape(space, keep, inputs, patch, positions, blocks, (resid, logits))
        return logits.detach(), tape

    def _block_forward(
        self,
        space: Workspace,
        keep: Tensor,
        inputs: RunInputs,
        patch: Patch,
        index: int,
        graph: bool,
    ) -> BlockTape:
        """Run one block from the sources before it, and write what it adds to `space.diff`."""
        block, span = self.architecture.blocks[index], self.graph.spans[index]
        diff, attention = space.diff, block.attention
        streams = space.streams(index, len(span.rows))
        self._read(keep, span, diff, patch.bases[2 * index : 2 * index + 2], streams)

        projected, saved = attention.project_in.forward(
            streams[: len(span.attn_rows)].flatten(1, 2)
        )
        with torch.set_grad_enabled(graph):
            projected.requires_grad_(graph)
            mixed = attention.mix(projected, len(inputs.embed), inputs.attention[index])
            if attention.post_norm is not None:
                mixed = attention.post_norm(self._attention_out(mixed, attention, inputs.embed))
        written = mixed.detach()
        if attention.post_norm is None:
            written = torch.bmm(written, attention.w_out)
        heads = slice(span.attn_srcs.start, span.attn_srcs.stop)
        torch.sub(patch.sources[heads], written.view_as(diff[heads]), out=diff[heads])

        if block.mlp is None or span.mlp_row is None or span.mlp_src is None:
            return BlockTape(streams, saved, projected, mixed)
        stream = streams[-1]
        if not block.parallel:
            own = keep[:, span.mlp_row : span.mlp_row + 1, heads]
            self._subtract(own, diff[heads], stream.unsqueeze(0))
        with torch.set_grad_enabled(graph):
            # A detached view: `requires_grad_` must not stick to the kept buffer.
            mlp_in = stream.detach().requires_grad_(graph)
            mlp_out = block.mlp(mlp_in)
        torch.sub(patch.sources[span.mlp_src], mlp_out.detach(), out=diff[span.mlp_src])
        return BlockTape(streams, saved, projected, mixed, mlp_in, mlp_out)

    def backward(self, tape: Tape, grad_logits: Tensor) -> Float[Tensor, "groups dests sources"]:
        """Gradient of the loss with respect to `keep`."""
        space = tape.space
        grad_keep = torch.zeros_like(tape.keep, memory_format=torch.contiguous_format)
        (grad_resid,) = torch.autograd.grad(tape.end[1], tape.end[0], grad_logits)
        space.grad.zero_()
        self._pull_end(tape, grad_resid, grad_keep)

        for chunk in reversed(self._chunks):
            rows = self._chunk_rows(chunk)
            before = self.graph.spans[chunk.start].n_sources
            for index in reversed(chunk):
                span = self.graph.spans[index]
                at = slice(span.rows.start - rows.start, span.rows.stop - rows.start)
                grad_streams = space.grad_streams[at]
                # What a block kept is free as soon as its turn is over.
                block_tape = tape.blocks.pop() if tape.blocks else self._again(tape, index)
                self._block_backward(tape, block_tape, index, grad_streams, grad_keep)
                # What it read from the earlier blocks of its chunk, whose turn comes next ...
                self._pull(tape, grad_keep, grad_streams, span.rows, range(before, span.n_sources))
            # ... and what the whole chunk read from all blocks before it, in one product.
            grad_streams = space.grad_streams[: len(rows)]
            self._pull(tape, grad_keep, grad_streams, rows, range(before))
        self.release(tape)
        return grad_keep

    def _again(self, tape: Tape, index: int) -> BlockTape:
        """The forward pass of a block once more: the same numbers, with a graph this time."""
        return self._block_forward(
            tape.space, tape.keep, tape.inputs, tape.patch, index, graph=True
        )

    def _block_backward(
        self, tape: Tape, block_tape: BlockTape, index: int, grad_streams: Tensor, grad_keep: Tensor
    ) -> None:
        """Gradients of the streams that a block reads, from those of what it writes."""
        block, span = self.architecture.blocks[index], self.graph.spans[index]
        space, attention = tape.space, block.attention
        mlp_in, mlp_out = block_tape.mlp_in, block_tape.mlp_out
        if mlp_in is not None and mlp_out is not None:
            assert span.mlp_row is not None
            assert span.mlp_src is not None
            (grad_streams[-1],) = torch.autograd.grad(mlp_out, mlp_in, space.grad[span.mlp_src])
            if not block.parallel:
                row = range(span.mlp_row, span.mlp_row + 1)
                self._pull(tape, grad_keep, grad_streams[-1:], row, span.attn_srcs)

        grad_mixed = space.grad[span.attn_srcs.start : span.attn_srcs.stop].flatten(1, 2)
        if attention.post_norm is None:
            grad_mixed = torch.bmm(grad_mixed, attention.w_out.transpose(1, 2))
        mixed, projected = block_tape.mixed, block_tape.projected
        (grad_projected,) = torch.autograd.grad(mixed, projected, grad_mixed.view_as(mixed))
        heads = slice(len(span.attn_rows))
        attention.project_in.backward(
            grad_projected,
            block_tape.streams[heads].flatten(1, 2),
            block_tape.saved,
            out=grad_streams[heads].flatten(1, 2),
        )

    def _chunk_rows(self, chunk: range) -> range:
        """All destinations of the blocks of a chunk."""
        spans = self.graph.spans
        return range(spans[chunk.start].rows.start, spans[chunk.stop - 1].rows.stop)

    def _read(
        self, keep: Tensor, span: BlockSpan, diff: Tensor, bases: Tensor, streams: Tensor
    ) -> None:
        """The streams that a block reads, from the sources before it."""
        n_heads = len(span.attn_rows)
        streams[:n_heads] = bases[0]
        streams[n_heads:] = bases[1]
        rows = slice(span.rows.start, span.rows.stop)
        self._subtract(keep[:, rows, : span.n_sources], diff[: span.n_sources], streams)

    def _end_row(self, keep: Tensor, batch: int, positions: Positions) -> Tensor:
        """A view of the row of `Resid End`: `[groups, sources]`, or for token-wise edges
        `[batch, positions, sources]`."""
        row = keep[:, -1]
        return (
            row if self.graph.seq_len is None else row.view(batch, -1, row.shape[-1])[:, positions]
        )

    def _read_end(self, keep: Tensor, diff: Tensor, positions: Positions) -> Tensor:
        """`keep @ diff` for `Resid End` at `positions`: `[batch, positions, d_model]`."""
        at = diff[:, :, positions]
        row = self._end_row(keep, diff.shape[1], positions).flatten(0, -2)
        out = row.unsqueeze(1) @ at.reshape(len(at), len(row), -1).transpose(0, 1)
        return out.view(at.shape[1:])

    def _pull_end(self, tape: Tape, grad_resid: Tensor, grad_keep: Tensor) -> None:
        """Gradients of `_read_end`, written to both."""
        space, positions = tape.space, tape.positions
        at, batch = space.diff[:, :, positions], space.diff.shape[1]
        row = self._end_row(tape.keep, batch, positions).flatten(0, -2)
        pulled = grad_resid.reshape(len(row), 1, -1)
        flat = at.reshape(len(at), len(row), -1).transpose(0, 1)
        target = self._end_row(grad_keep, batch, positions)
        target.copy_((pulled @ flat.transpose(1, 2)).neg().view_as(target))
        space.grad[:, :, positions] = (row.unsqueeze(2) * pulled).transpose(0, 1).reshape(at.shape)

    @staticmethod
    def _subtract(keep: Tensor, diff: Tensor, streams: Tensor) -> None:
        """`streams -= keep @ diff`, in place. `streams`: `[rows, batch, seq, d_model]`."""
        groups = keep.shape[0]
        diff = diff.view(diff.shape[0], groups, -1).transpose(0, 1)
        target = streams.view(streams.shape[0], groups, -1).transpose(0, 1)
        target.baddbmm_(keep, diff, alpha=-1)

    @staticmethod
    def _pull(
        tape: Tape, grad_keep: Tensor, grad_streams: Tensor, rows: range, srcs: range
    ) -> None:
        """Gradients of what `rows` read from `srcs`: written to `grad_keep`, and added to the
        sources' gradients. `grad_streams`: `[rows, batch, seq, d_model]`."""
        if len(srcs) == 0:
            return
        keep, groups = tape.keep, tape.keep.shape[0]
        dests, sources = slice(rows.start, rows.stop), slice(srcs.start, srcs.stop)
        diff = tape.space.diff[sources].view(len(srcs), groups, -1).transpose(0, 1)
        grad = tape.space.grad[sources].view(len(srcs), groups, -1).transpose(0, 1)
        pulled = grad_streams.view(len(rows), groups, -1).transpose(0, 1)
        grad_keep[:, dests, sources].baddbmm_(pulled, diff.transpose(1, 2), alpha=-1)
        grad.baddbmm_(keep[:, dests, sources].transpose(1, 2), pulled)

    def _workspace(self, embed: Tensor, keep_all: bool) -> Workspace:
        """Buffers for a batch of this shape: the kept ones, unless another run holds them."""
        kept = self._free.pop((keep_all, *embed.shape), None)
        if kept is not None:
            return kept
        block_rows = [len(span.rows) for span in self.graph.spans]
        chunk_rows = max(len(self._chunk_rows(chunk)) for chunk in self._chunks)
        return Workspace(embed, len(self.graph.srcs), block_rows, chunk_rows, keep_all)

    def run_bytes(self, embed: Float[Tensor, "batch seq d_model"], recompute: bool) -> int:
        """About how many bytes a differentiable run takes beside its inputs.

        Exact for the buffers; for what autograd keeps inside the nodes, an upper estimate.
        """
        batch, seq, d_model = embed.shape
        block_rows = [len(span.rows) for span in self.graph.spans]
        chunk_rows = max(len(self._chunk_rows(chunk)) for chunk in self._chunks)
        streams = max(block_rows) if recompute else sum(block_rows)
        buffers = (2 * len(self.graph.srcs) + streams + chunk_rows) * d_model
        inside = [
            4 * block.attention.project_in.bias.numel()
            + 4 * block.attention.n_heads * seq
            + _MLP_COPIES * (self.architecture.d_mlp if block.mlp is not None else 0)
            for block in self.architecture.blocks
        ]
        kept = max(inside) if recompute else sum(inside)
        return batch * seq * (buffers + kept) * embed.element_size()

    def release(self, tape: Tape) -> None:
        """Give back the buffers of a run."""
        space = tape.space
        key = (space.keeps_all, *tape.inputs.embed.shape)
        self._free[key] = space


class _PatchedRun(torch.autograd.Function):
    """`Engine.forward` and `Engine.backward` as one differentiable operation."""

    @staticmethod
    def forward(
        ctx: torch.autograd.function.FunctionCtx,
        keep: Tensor,
        engine: Engine,
        inputs: RunInputs,
        patch: Patch,
        positions: Positions,
        recompute: bool,
    ) -> Tensor:
        needs_grad = ctx.needs_input_grad[0]  # type: ignore[attr-defined]
        logits, tape = engine.forward(keep, inputs, patch, positions, needs_grad, recompute)
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
        return engine.backward(tape, grad_logits), None, None, None, None, None
