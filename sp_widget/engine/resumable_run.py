"""A run that is taken up again at a block, with other masks from there on.

Masks of edges into a block change nothing before it: `D_s` of all sources before block b stay what
they are, and with them what every destination from b on reads of these sources,

    x_d = base_d + sum_{s before b} k_ds D_s  +  sum_{s in b or later} k_ds D_s

The first two terms are made once for all runs that are tried from b. Each of these adds to them
where its own `k_ds` differ, which is in few destinations, and runs block b and those behind it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor

from sp_widget.engine.buffers import padded_rows
from sp_widget.engine.patched_run import PatchedRun, RunSetup, of_sources
from sp_widget.engine.protocol import Patch, Positions
from sp_widget.models.architecture import RunInputs

if TYPE_CHECKING:
    from sp_widget.engine.edge_engine import EdgeEngine

_Differing: TypeAlias = dict[int, Int[Tensor, " sources"]]
"""Destinations that read any source by another weight, and these sources."""


class ResumableEdgeRun:
    """The `ResumableRun` of the edge engine.

    It has buffers of its own; other runs of the engine do not disturb it.
    """

    def __init__(
        self,
        engine: EdgeEngine,
        masks: Float[Tensor, " edges"],
        inputs: RunInputs,
        patch: Patch,
        positions: Positions,
    ) -> None:
        self._engine, self._inputs = engine, inputs
        self._patch, self._positions = patch, positions
        self._kept = _KeptRun(self._setup(masks.unsqueeze(0)))
        # A first run may begin at block 0, with no block run before it.
        self._kept.write_start()
        self._done = 0
        """Blocks before this one have been run with the masks that are kept."""
        self._before: _ReadBefore | None = None

    @torch.no_grad()
    def run(self, masks: Float[Tensor, "n edges"]) -> Float[Tensor, "n batch positions d_vocab"]:
        """Return the logits with each of these rows of masks; all rows run together.

        No block is run before the first one into which any row has another mask than those that
        are kept. `engine.runs_at_once(inputs)` says how many rows are worth putting together.
        """
        setup = self._setup(masks)
        differing = self._kept.differing(setup.weights)
        before = self._read_before(self._kept.first_block(differing))
        run = _ResumedRun(setup, before, differing)
        logits = run.forward()
        self._engine.release(run)
        return logits.view(len(masks), -1, *logits.shape[1:])

    @torch.no_grad()
    def keep(self, masks: Float[Tensor, " edges"]) -> None:
        """Let the next runs start from these masks; runs no block until one of them needs it."""
        weights = self._engine.weights(masks.unsqueeze(0), self._inputs)
        self._done = min(self._done, self._kept.first_block(self._kept.differing(weights)))
        self._kept.set_weights(weights)
        self._before = None

    def _read_before(self, block: int) -> _ReadBefore:
        """Return what is read from this block on of the sources before it, made once."""
        if self._before is None or self._before.block != block:
            if self._done < block:
                self._kept.run_blocks(range(self._done, block))
                self._done = block
            self._before = self._kept.read_before(block)
        return self._before

    def _setup(self, masks: Float[Tensor, "n edges"]) -> RunSetup:
        inputs = self._inputs if len(masks) == 1 else self._inputs.repeated(len(masks))
        return self._engine.setup(masks, inputs, self._patch, self._positions)


@dataclass(frozen=True)
class _ReadBefore:
    """What the destinations from a block on read of the sources before it, and their bases."""

    block: int
    n_sources: int
    """Sources before the block."""
    first_row: int
    """The first destination of the block."""
    streams: Float[Tensor, "rows batch seq d_model"]
    """Of each destination but `Resid End`."""
    end: Float[Tensor, "batch positions d_model"]
    """Of `Resid End`."""
    diff: Float[Tensor, "sources batch seq d_model"]
    """D_s of these sources."""
    kept: Float[Tensor, "groups dests sources"]
    """The weights by which they are read here."""


class _KeptRun(PatchedRun):
    """The run whose first blocks those that resume it share."""

    def set_weights(self, weights: Float[Tensor, "groups dests bases+sources"]) -> None:
        """Take other weights; blocks into which they differ must be run again."""
        self._weights, self._kept = weights, of_sources(weights)

    def differing(self, weights: Float[Tensor, "runs*groups dests bases+sources"]) -> _Differing:
        """Return where weights, perhaps of several runs, are not those of this run."""
        other = of_sources(weights).unflatten(0, (-1, self._groups))
        differs = (other != self._kept).flatten(0, 1).any(0)
        rows = torch.nonzero(differs.any(1)).flatten().tolist()
        return {row: torch.nonzero(differs[row]).flatten() for row in rows}

    def first_block(self, differing: _Differing) -> int:
        """Return the first block with a differing destination; the number of blocks if none."""
        first = min(differing, default=self._graph.end_row)
        return sum(span.rows.stop <= first for span in self._graph.spans)

    def read_before(self, block: int) -> _ReadBefore:
        """Return what is read from this block on of the sources before it."""
        spans, end_row = self._graph.spans, self._graph.end_row
        inside = block < len(spans)
        n_sources = spans[block].n_sources if inside else len(self._graph.srcs)
        first_row = spans[block].rows.start if inside else end_row
        streams = padded_rows(end_row - first_row, self.inputs.embed)
        for together in self._chunks_of(range(block, len(spans))):
            rows = self._rows(together)
            out = streams[rows.start - first_row : rows.stop - first_row]
            self._read_from(n_sources, together, out)
        return _ReadBefore(
            block=block,
            n_sources=n_sources,
            first_row=first_row,
            streams=streams,
            end=self._end_base() + self._end_from(range(n_sources)),
            diff=self.buffers.diff[:n_sources],
            kept=self._kept[..., :n_sources],
        )


class _ResumedRun(PatchedRun):
    """Several runs as one, from a block on: the buffers lack what is before it."""

    def __init__(self, setup: RunSetup, before: _ReadBefore, differing: _Differing) -> None:
        super().__init__(setup)
        self._before = before
        self._first_block = before.block
        earlier = {row: srcs[srcs < before.n_sources] for row, srcs in differing.items()}
        self._differing = {row: srcs for row, srcs in earlier.items() if len(srcs)}

    def _read(self, blocks: range) -> None:
        before, rows = self._before, self._rows(blocks)
        self.buffers.start_at(rows.start)
        streams = self.buffers.streams(rows)
        shared = before.streams[rows.start - before.first_row : rows.stop - before.first_row]
        streams.unflatten(1, (-1, shared.shape[1])).copy_(shared.unsqueeze(1))
        for row, srcs in self._differing.items():
            if row not in rows:
                continue
            ours, kept = self._kept[:, row, srcs], before.kept[:, row, srcs]
            streams[row - rows.start] += _read_more(ours, kept, before.diff[srcs])
        n_sources = self._graph.spans[blocks.start].n_sources
        self._add_product(rows, range(before.n_sources, n_sources))

    def _read_end(self) -> Float[Tensor, "batch positions d_model"]:
        before = self._before
        runs = len(self.inputs.embed) // len(before.end)
        resid = before.end.repeat(runs, 1, 1)
        srcs = self._differing.get(self._graph.end_row)
        if srcs is not None:
            ours = self._end_row(self._kept[..., srcs]).flatten(0, -2)
            kept = self._end_row(before.kept[..., srcs]).flatten(0, -2)
            resid += _read_more(ours, kept, before.diff[srcs][:, :, self._positions])
        return resid + self._end_from(range(before.n_sources, len(self._graph.srcs)))


def _read_more(
    weights: Float[Tensor, "runs*groups sources"],
    kept: Float[Tensor, "groups sources"],
    diff: Float[Tensor, "sources batch positions d_model"],
) -> Float[Tensor, "runs*batch positions d_model"]:
    """Return how much more several runs read of some sources than the kept one does."""
    more = weights.unflatten(0, (-1, len(kept))) - kept  # [runs, groups, sources]
    by_group = diff.reshape(len(diff), len(kept), -1).transpose(0, 1)
    read = torch.bmm(more.transpose(0, 1), by_group).transpose(0, 1)  # [runs, groups, the rest]
    return read.reshape(-1, *diff.shape[2:])
