"""The patched run: forward and backward over the graph, at about the cost of a plain run.

Notation, for one example at one token position (README.md beside this file has more of it):

    c_s    what source s writes in the current run       a_s    its patch activation
    D_s    = c_s - a_s, the buffer of differences        m_ds   mask value of the edge s -> d
    k_ds   = 1 - m_ds, the weight of what is kept        x_d    what destination d reads

With `base_d = sum_s a_s + biases`, the stream that d would read if every edge were patched,

    x_d      = base_d + sum_s k_ds D_s
    dL/dk_ds = x_d' . D_s            dL/dc_s = sum_d k_ds x_d'              (' : gradient)

so the ordinary stream need not be carried along, and its gradient comes for free.

1. `forward`, a few blocks at a time: what all of them read of the blocks before is one product.
   Their bases are rows of the buffer like any source, each read with weight 1 by its own block.
   Inside such a chunk the second half reads of the first in one product, and so on down to single
   blocks, which run their nodes and write their D_s.
2. `Resid End` reads every D_s; its logits are those of the run.
3. `backward`, from the last chunk to the first: what the sources of a chunk get from all later
   destinations is one product. Inside the chunk, the halves in the opposite order; each block
   overwrites the streams that it read with their gradients. One more product of these with the
   D_s gives the gradients of the chunk's weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from sp_widget.engine.block_run import (
    BlockTape,
    attend,
    attention_backward_in_place,
    mlp_backward,
    with_mlp,
    written_by_attention,
)
from sp_widget.engine.buffers import Buffers, by_group, multiply
from sp_widget.engine.protocol import ALL_POSITIONS, ObservedBlock, Patch, Positions
from sp_widget.graph.edge_graph import Graph
from sp_widget.models.architecture import Architecture, RunInputs

BLOCKS_AT_ONCE = 4
"""More of them make larger and quicker products with the masks, but larger buffers."""


@dataclass(frozen=True)
class Chunk:
    """Blocks that go together."""

    blocks: range
    rows: range
    """All their destinations."""
    later_rows: range
    """The destinations of all later blocks."""
    srcs: range
    """All their sources; those before are what the blocks before them write."""
    n_read: int
    """The first so many sources are read by one of their destinations."""


def chunks_of(graph: Graph) -> tuple[Chunk, ...]:
    """Return all blocks, a few at a time."""
    spans = graph.spans
    chunks = []
    for start in range(0, len(spans), BLOCKS_AT_ONCE):
        stop = min(start + BLOCKS_AT_ONCE, len(spans))
        n_sources = spans[stop].n_sources if stop < len(spans) else len(graph.srcs)
        rows = range(spans[start].rows.start, spans[stop - 1].rows.stop)
        chunks.append(
            Chunk(
                blocks=range(start, stop),
                rows=rows,
                later_rows=range(rows.stop, graph.end_row),
                srcs=range(spans[start].n_sources, n_sources),
                n_read=max(m.n_sources for m in graph.modules if m.rows.start in rows),
            )
        )
    return tuple(chunks)


@dataclass(frozen=True)
class RunSetup:
    """What a patched run is made of."""

    architecture: Architecture
    graph: Graph
    chunks: tuple[Chunk, ...]
    buffers: Buffers
    """No other run uses them."""
    weights: Float[Tensor, "groups dests bases+sources"]
    """A group is what shares its mask values: all prompts (1), each of some equal parts of the
    batch, each prompt (batch), or each token of each prompt (batch x seq)."""
    inputs: RunInputs
    patch: Patch
    positions: Positions
    """Where logits are wanted."""
    recompute: bool


class PatchedRun:
    """One run: `forward`, and then once `backward`, if its buffers are for both."""

    def __init__(self, setup: RunSetup) -> None:
        self._architecture, self._graph = setup.architecture, setup.graph
        self._chunks, self.buffers, self.inputs = setup.chunks, setup.buffers, setup.inputs
        self._weights, self._groups = setup.weights, len(setup.weights)
        self._kept = of_sources(setup.weights)
        self._patch, self._positions = setup.patch, setup.positions
        self._first_block = 0
        self._keeps_tapes = self.buffers.backward and not setup.recompute
        self._tapes: list[BlockTape | None] = []
        """`None` where the nodes of a block are run again in `backward`, which empties the list."""
        self._end: tuple[Tensor, Tensor]
        """The stream that `Resid End` reads, and the logits."""

    def forward(self) -> Float[Tensor, "batch positions d_vocab"]:
        """Return the logits, without a graph: `backward` is written out."""
        self.write_start()
        self.run_blocks(range(self._first_block, len(self._graph.spans)))
        resid, backward = self._read_end(), self.buffers.backward
        with torch.set_grad_enabled(backward):
            resid.requires_grad_(backward)
            logits = self._architecture.unembed(resid)
        self._end = resid, logits
        return logits.detach()

    def observed(self, block: int) -> ObservedBlock:
        """Return what the nodes of a block read and wrote, after `forward` at all positions."""
        span, n_prompts = self._graph.spans[block], len(self.inputs.embed)
        rows, before = span.attn_rows, range(span.n_sources)
        diff = by_group(self.buffers.diff[: span.n_sources], self._groups)
        read = torch.bmm(self._between(rows, before), diff).transpose(0, 1)
        base = _bases(self._patch, 2 * block, n_prompts)
        return ObservedBlock(
            attention_reads=read.reshape(len(rows), *base.shape) + base,
            attention_writes=self._written(span.attn_srcs),
            mlp_writes=None
            if span.mlp_src is None
            else self._written(range(span.mlp_src, span.mlp_src + 1))[0],
            end=self._end[0].detach(),
        )

    def _written(self, srcs: range) -> Float[Tensor, "srcs batch seq d_model"]:
        """Return what sources wrote: c_s = D_s + a_s."""
        diff = self.buffers.diff[srcs.start : srcs.stop]
        patched = self._patch.sources[srcs.start : srcs.stop]
        return diff + patched.repeat(1, diff.shape[1] // patched.shape[1], 1, 1)

    def write_start(self) -> None:
        """Write the difference of what enters block 0, the one source before all blocks."""
        start = self.inputs.embed.unsqueeze(0)
        _write_difference(self._patch, slice(1), start, self.buffers.diff[:1])

    def run_blocks(self, blocks: range) -> None:
        """Run these blocks; the start and the blocks before them have been run."""
        for together in self._chunks_of(blocks):
            self._read(together)
            self._blocks_forward(together)

    def _chunks_of(self, blocks: range) -> Iterator[range]:
        """Yield these blocks, as many at a time as go together."""
        for chunk in self._chunks:
            together = range(
                max(blocks.start, chunk.blocks.start), min(blocks.stop, chunk.blocks.stop)
            )
            if together:
                yield together

    def _blocks_forward(self, blocks: range) -> None:
        """Run these blocks, whose streams lack what these blocks write."""
        if len(blocks) == 1:
            tape = self._block_forward(blocks[0])
            if self.buffers.backward:
                self._tapes.append(tape if self._keeps_tapes else None)
            return
        first, second = _halves(blocks)
        self._blocks_forward(first)
        self._add_product(self._rows(second), self._srcs(first))
        self._blocks_forward(second)

    def _block_forward(self, index: int) -> BlockTape:
        """Run the nodes of one block, and write their differences."""
        block, span = self._architecture.blocks[index], self._graph.spans[index]
        diff, streams = self.buffers.diff, self.buffers.streams(span.rows)
        attended, graph = streams[: len(span.attn_rows)], self._keeps_tapes
        tape = attend(block, attended, self.inputs.attention[index], graph)
        first, scratch = span.attn_srcs.start, self.buffers.scratch(block.device)
        for heads, written in written_by_attention(block, tape, scratch):
            srcs = slice(first + heads.start, first + heads.stop)
            written = written.to(diff.device).view_as(diff[srcs])
            _write_difference(self._patch, srcs, written, diff[srcs])
        if span.mlp_row is None or span.mlp_src is None:
            return tape
        if not block.parallel:
            # Its base has the attention of its own block in it.
            both = slice(2 * index, 2 * index + 2)
            before, after = _bases(self._patch, both, len(self.inputs.embed))
            streams[-1] += after - before
            self._add_product(range(span.mlp_row, span.mlp_row + 1), span.attn_srcs)
        at = self._mlp_positions(index)
        tape = with_mlp(block, tape, streams[-1][:, at], graph)
        assert tape.mlp_out is not None
        own = slice(span.mlp_src, span.mlp_src + 1)
        written = tape.mlp_out.detach().to(diff.device).unsqueeze(0)
        _write_difference(self._patch, own, written, diff[own][:, :, at], at)
        return tape

    def _mlp_positions(self, index: int) -> Positions:
        """Return where the MLP of a block runs: the last one, which `Resid End` alone reads, only
        where logits are wanted."""
        return self._positions if index == len(self._graph.spans) - 1 else ALL_POSITIONS

    def backward(
        self, grad_logits: Float[Tensor, "batch positions d_vocab"], dtype: torch.dtype
    ) -> Float[Tensor, "groups dests bases+sources"]:
        """Return the gradient of the loss with respect to the weights, in `dtype`; only where there
        is an edge does it mean anything."""
        resid, logits = self._end
        (grad_resid,) = torch.autograd.grad(logits, resid, grad_logits)
        grad_weights = torch.empty_like(self._weights, dtype=dtype)
        grad_kept = of_sources(grad_weights)
        grad_kept[:, -1] = 0  # Of `Resid End` where no logits are wanted.
        self._end_weight_grads(grad_resid, grad_kept)

        for chunk in reversed(self._chunks):
            grad = self.buffers.source_grads[: len(chunk.srcs)]
            self._later_source_grads(grad, grad_resid, chunk)
            self._blocks_backward(chunk.blocks, grad)
            self._weight_grads(grad_kept, chunk)
        return grad_weights

    def _blocks_backward(self, blocks: range, grad: Tensor) -> None:
        """Overwrite the streams that these blocks read with their gradients.

        `grad`: of what they write, `[their sources, batch, seq, d_model]`, from all later blocks.
        """
        if len(blocks) == 1:
            self._block_backward(blocks[0], grad)
            return
        first, second = _halves(blocks)
        rows, srcs = self._rows(second), self._srcs(first)
        self._blocks_backward(second, grad[len(srcs) :])
        self._source_grads(grad[: len(srcs)], rows, srcs)
        self._blocks_backward(first, grad[: len(srcs)])

    def _rows(self, blocks: range) -> range:
        """Return all destinations of consecutive blocks."""
        spans = self._graph.spans
        return range(spans[blocks[0]].rows.start, spans[blocks[-1]].rows.stop)

    def _srcs(self, blocks: range) -> range:
        """Return what consecutive blocks write, where blocks of the same chunk follow."""
        spans = self._graph.spans
        return range(spans[blocks[0]].n_sources, spans[blocks.stop].n_sources)

    def _block_backward(self, index: int, grad: Tensor) -> None:
        """Overwrite the streams that a block reads with their gradients.

        `grad`: of what they write, `[sources of this block and later ones, batch, seq, d_model]`.
        """
        block, span = self._architecture.blocks[index], self._graph.spans[index]
        streams, at = self.buffers.streams(span.rows), self._mlp_positions(index)
        attended, n_sources = streams[: len(span.attn_rows)], len(span.attn_srcs)
        tape = self._tapes.pop()  # What a block kept is free as soon as its turn is over.
        if tape is None:
            tape = attend(block, attended, self.inputs.attention[index], graph=True)
            tape = with_mlp(block, tape, streams[-1][:, at], graph=True)
        if span.mlp_row is not None:
            grad_mlp_in = mlp_backward(block, tape, grad[n_sources][:, at])
            if at != ALL_POSITIONS:
                streams[-1].zero_()
            streams[-1][:, at] = grad_mlp_in
            if not block.parallel:
                row = range(span.mlp_row, span.mlp_row + 1)
                self._source_grads(grad[:n_sources], row, span.attn_srcs)
        scratch = self.buffers.scratch(block.device)
        attention_backward_in_place(block, tape, attended, grad[:n_sources], scratch)

    # --- products with the masks ------------------------------------------------------------

    def _read(self, blocks: range) -> None:
        """Write what blocks of a chunk read from their bases and from the blocks before them."""
        rows = self._rows(blocks)
        self.buffers.start_at(rows.start)
        n_sources = self._graph.spans[blocks.start].n_sources
        self._read_from(n_sources, blocks, self.buffers.streams(rows))

    def _read_from(
        self, n_sources: int, blocks: range, out: Float[Tensor, "rows batch seq d_model"]
    ) -> None:
        """Write what blocks of a chunk read from their bases and from so many first sources."""
        rows, n_cols = self._rows(blocks), BLOCKS_AT_ONCE + n_sources
        first = blocks.start % BLOCKS_AT_ONCE
        bases = _bases(self._patch, slice(2 * blocks.start, 2 * blocks.stop, 2), out.shape[1])
        self.buffers.bases[first : first + len(blocks)] = bases
        self._multiply(
            self._weights[:, rows.start : rows.stop, :n_cols],
            by_group(self.buffers.read[:n_cols], self._groups),
            by_group(out, self._groups),
            add=False,
        )

    def _add_product(self, rows: range, srcs: range) -> None:
        """Add to the streams of `rows` what they read from `srcs`."""
        if len(srcs) == 0:
            return
        diff = by_group(self.buffers.diff[srcs.start : srcs.stop], self._groups)
        streams = by_group(self.buffers.streams(rows), self._groups)
        self._multiply(self._between(rows, srcs), diff, streams, add=True)

    def _weight_grads(self, grad_kept: Tensor, chunk: Chunk) -> None:
        """Write the gradients of the weights of all that a chunk reads, which has gone backward.

        In one product, although a block reads no later one of its chunk: that is as quick.
        """
        srcs = slice(chunk.n_read)
        stream_grads = by_group(self.buffers.stream_grads(chunk.rows), self._groups)
        diff = by_group(self.buffers.diff[srcs], self._groups)
        target = grad_kept[:, chunk.rows.start : chunk.rows.stop, srcs]
        target.copy_(torch.bmm(stream_grads, diff.transpose(1, 2)))

    def _source_grads(self, grad: Tensor, rows: range, srcs: range, add: bool = True) -> None:
        """Write to `grad`, or add to it, the gradients of `srcs` that come from `rows`.

        `grad`: `[srcs, batch, seq, d_model]`.
        """
        if len(srcs) == 0:
            return
        stream_grads = by_group(self.buffers.stream_grads(rows), self._groups)
        weights = self._between(rows, srcs).transpose(1, 2)
        self._multiply(weights, stream_grads, by_group(grad, self._groups), add=add)

    def _multiply(self, left: Tensor, right: Tensor, out: Tensor, add: bool) -> None:
        multiply(left, right, out, self.buffers.scratch(out.device), add=add)

    def _between(self, rows: range, srcs: range) -> Float[Tensor, "groups rows srcs"]:
        return self._kept[:, rows.start : rows.stop, srcs.start : srcs.stop]

    def _later_source_grads(self, grad: Tensor, grad_resid: Tensor, chunk: Chunk) -> None:
        """Write to `grad` the gradients of a chunk's sources that come from later destinations."""
        srcs = chunk.srcs
        if chunk.later_rows:
            self._source_grads(grad, chunk.later_rows, srcs, add=False)
        else:
            grad.zero_()
        # A group is some prompts, or a token of one: [srcs, groups, prompts, positions, d_model].
        row = self._end_row(self._kept[..., srcs.start : srcs.stop]).movedim(-1, 0)
        weights = row.unsqueeze(2).reshape(*row.shape[:2], 1, -1, 1)
        at = grad[:, :, self._positions].unflatten(1, (row.shape[1], -1))
        at.addcmul_(weights, grad_resid.unflatten(0, (row.shape[1], -1)))

    def _end_row(self, weights: Float[Tensor, "groups dests sources"]) -> Tensor:
        """Return a view of the row of `Resid End`: `[groups, sources]`, or for token-wise edges
        `[batch, positions, sources]`."""
        row = weights[:, -1]
        if self._graph.seq_len is None:
            return row
        tokens: Tensor = row.unflatten(0, (-1, self._graph.n_positions))
        return tokens[:, self._positions]

    def _read_end(self) -> Float[Tensor, "batch positions d_model"]:
        """Return the stream that `Resid End` reads.

        Only where logits are wanted: it reads every source, and often needs one token.
        """
        return self._end_base() + self._end_from(range(len(self.buffers.diff)))

    def _end_base(self) -> Float[Tensor, "batch positions d_model"]:
        """Return the base of `Resid End`."""
        return _bases(self._patch, -1, len(self.inputs.embed))[:, self._positions]

    def _end_from(self, srcs: range) -> Float[Tensor, "batch positions d_model"]:
        """Return what `Resid End` reads from some sources beside its base."""
        at = self.buffers.diff[srcs.start : srcs.stop, :, self._positions]
        row = self._end_row(self._kept[..., srcs.start : srcs.stop]).flatten(0, -2)
        columns = at.shape[1:].numel() // len(row)
        out = row.unsqueeze(1) @ at.reshape(len(at), len(row), columns).transpose(0, 1)
        return out.view(at.shape[1:])

    def _end_weight_grads(self, grad_resid: Tensor, grad_kept: Tensor) -> None:
        """Write the gradients of the weights of `Resid End`."""
        at = self.buffers.diff[:, :, self._positions]
        target = self._end_row(grad_kept)
        n_groups = target.shape[:-1].numel()
        flat = at.reshape(len(at), n_groups, -1).transpose(0, 1)
        stream_grads = grad_resid.reshape(n_groups, 1, -1)
        target.copy_((stream_grads @ flat.transpose(1, 2)).view_as(target))


def of_sources(
    weights: Float[Tensor, "groups dests bases+sources"],
) -> Float[Tensor, "groups dests sources"]:
    """Return weights without those of the bases."""
    return weights[..., BLOCKS_AT_ONCE:]


def _halves(blocks: range) -> tuple[range, range]:
    """Return two or more blocks, cut in the middle."""
    middle = blocks.start + len(blocks) // 2
    return range(blocks.start, middle), range(middle, blocks.stop)


def _write_difference(
    patch: Patch,
    srcs: slice,
    values: Float[Tensor, "srcs batch positions d_model"],
    out: Float[Tensor, "srcs batch positions d_model"],
    positions: Positions = ALL_POSITIONS,
) -> None:
    """Write c_s - a_s. The batch may be that of the patch several times, one after the other."""
    patched = patch.sources[srcs][:, :, positions].unsqueeze(1)
    runs = (-1, patched.shape[2])
    torch.sub(values.unflatten(1, runs), patched, out=out.unflatten(1, runs))


def _bases(patch: Patch, index: int | slice, batch: int) -> Float[Tensor, "... batch seq d_model"]:
    """Return bases, for a batch of so many prompts."""
    bases = patch.bases[index]
    return bases.repeat(*[1] * (bases.dim() - 3), batch // bases.shape[-3], 1, 1)
