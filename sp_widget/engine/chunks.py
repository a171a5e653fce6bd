"""The few blocks that go together through a patched run."""

from __future__ import annotations

from dataclasses import dataclass

from sp_widget.graph.edge_graph import Graph

BLOCKS_AT_ONCE = 4
"""More of them make larger and quicker products with the masks, but larger buffers."""


@dataclass(frozen=True)
class Chunk:
    """Blocks that go together."""

    blocks: range
    rows: range
    """All their destinations."""
    srcs: range
    """All their sources; those before are what the blocks before them write."""
    n_read: int
    """The first so many sources are read by one of their destinations."""


def chunks_of(graph: Graph) -> tuple[Chunk, ...]:
    """All blocks, a few at a time."""
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
                srcs=range(spans[start].n_sources, n_sources),
                n_read=max(m.n_sources for m in graph.modules if m.rows.start in rows),
            )
        )
    return tuple(chunks)


def halves(blocks: range) -> tuple[range, range]:
    """Two or more blocks, cut in the middle."""
    middle = blocks.start + len(blocks) // 2
    return range(blocks.start, middle), range(middle, blocks.stop)
