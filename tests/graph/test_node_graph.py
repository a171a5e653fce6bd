"""The graph of residual-stream nodes: names, order and numbers as auto-circuit has them."""

from __future__ import annotations

import pytest
import torch

from sp_widget.errors import ArgumentError
from sp_widget.graph.edge_graph import BlockShape, Graph
from sp_widget.graph.node_graph import NodeGraph

PLAIN = BlockShape(n_heads=2, n_kv_heads=2)
SHAPES = {
    "plain": PLAIN,
    "attention-only": BlockShape(n_heads=2, n_kv_heads=2, has_mlp=False),
    "parallel": BlockShape(n_heads=2, n_kv_heads=2, parallel=True),
    "post-norm": BlockShape(n_heads=2, n_kv_heads=2, heads_are_sources=False),
}


def test_a_gpt2_of_two_blocks_in_full() -> None:
    """Written out by hand from `simple_graph_nodes` and `graph_edges` of auto-circuit 1.0.1."""
    graph = NodeGraph([PLAIN] * 2)
    assert [(s.name, s.module_name, s.layer, s.head_idx, s.src_idx) for s in graph.srcs] == [
        ("Resid Start", "blocks.0.hook_resid_pre", 0, None, 0),
        ("A0.0", "blocks.0.attn.hook_result", 0, 0, 1),
        ("A0.1", "blocks.0.attn.hook_result", 0, 1, 2),
        ("Resid Mid 0", "blocks.0.hook_resid_mid", 1, None, 3),
        ("MLP 0", "blocks.0.hook_mlp_out", 1, None, 4),
        ("Resid Post 0", "blocks.0.hook_resid_post", 2, None, 5),
        ("A1.0", "blocks.1.attn.hook_result", 2, 0, 6),
        ("A1.1", "blocks.1.attn.hook_result", 2, 1, 7),
        ("Resid Mid 1", "blocks.1.hook_resid_mid", 3, None, 8),
        ("MLP 1", "blocks.1.hook_mlp_out", 3, None, 9),
    ]
    assert [(d.name, d.module_name, d.layer, d.head_idx, d.min_src_idx) for d in graph.dests] == [
        ("Resid Mid 0", "blocks.0.hook_resid_mid", 1, None, 0),
        ("Resid Post 0", "blocks.0.hook_resid_post", 2, None, 3),
        ("Resid Mid 1", "blocks.1.hook_resid_mid", 3, None, 5),
        ("Resid End", "blocks.1.hook_resid_post", 4, None, 8),
    ]
    assert [(edge.name, edge.patch_idx) for edge in graph.edge_dict[None]] == [
        ("Resid Start->Resid Mid 0", (0,)),
        ("A0.0->Resid Mid 0", (1,)),
        ("A0.1->Resid Mid 0", (2,)),
        ("Resid Mid 0->Resid Post 0", (0,)),
        ("MLP 0->Resid Post 0", (1,)),
        ("Resid Post 0->Resid Mid 1", (0,)),
        ("A1.0->Resid Mid 1", (1,)),
        ("A1.1->Resid Mid 1", (2,)),
        ("Resid Mid 1->Resid End", (0,)),
        ("MLP 1->Resid End", (1,)),
    ]


@pytest.mark.parametrize(
    ("kind", "sources"),
    [
        ("attention-only", {"Resid Post 0": ["Resid Start", "A0.0", "A0.1"]}),
        ("parallel", {"Resid Post 0": ["Resid Start", "A0.0", "A0.1", "MLP 0"]}),
        (
            "post-norm",
            {"Resid Mid 0": ["Resid Start", "A0"], "Resid Post 0": ["Resid Mid 0", "MLP 0"]},
        ),
    ],
)
def test_other_blocks_have_the_streams_that_they_make(
    kind: str, sources: dict[str, list[str]]
) -> None:
    graph = NodeGraph([SHAPES[kind], PLAIN])
    found = {
        name: [edge.src.name for edge in graph.edge_dict[None] if edge.dest.name == name]
        for name in sources
    }
    assert found == sources
    assert len(graph.blocks[0]) == len(sources)


@pytest.mark.parametrize("seq_len", [None, 3])
@pytest.mark.parametrize("kind", SHAPES)
def test_an_edge_exists_exactly_between_a_layer_and_the_next(
    kind: str, seq_len: int | None
) -> None:
    graph = NodeGraph([SHAPES[kind], PLAIN, SHAPES[kind]], seq_len)
    pairs = {
        (src.name, dest.name, seq_idx)
        for src in graph.srcs
        for dest in graph.dests
        for seq_idx in ([None] if seq_len is None else range(seq_len))
        if src.layer + 1 == dest.layer
    }
    assert {(e.src.name, e.dest.name, e.seq_idx) for e in graph.edges} == pairs
    assert graph.n_edges == len(pairs)


@pytest.mark.parametrize("seq_len", [None, 3])
@pytest.mark.parametrize("kind", SHAPES)
def test_every_way_to_find_an_edge_s_value_finds_the_same(kind: str, seq_len: int | None) -> None:
    graph = NodeGraph([SHAPES[kind], PLAIN], seq_len)
    flat = torch.arange(1.0, graph.n_edges + 1)
    parts = graph.split(flat)
    torch.testing.assert_close(graph.flatten(parts), flat, rtol=0, atol=0)
    edges = [edge for at in graph.edge_dict.values() for edge in at]
    places = graph.flat_index(edges).tolist()
    assert sorted(places) == list(range(graph.n_edges))
    assert graph.edges_at(places) == edges
    for edge, place in zip(edges, places, strict=True):
        assert edge.prune_score(parts).item() == place + 1


def test_an_edge_of_the_factorized_graph_is_refused() -> None:
    edge = next(e for e in Graph([PLAIN] * 2).edges if e.name == "MLP 1->Resid End")
    with pytest.raises(ArgumentError, match="edges of this model"):
        NodeGraph([PLAIN] * 2).flat_index([edge])
