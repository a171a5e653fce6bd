"""Nodes, edges, and where each edge's value lies in masks, vectors and matrices."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from sp_widget.engine.edge_engine import KeptWeights
from sp_widget.errors import ArgumentError
from sp_widget.graph.edge_graph import BlockShape, DestNode, Edge, Graph, SrcNode

PLAIN = BlockShape(n_heads=2, n_kv_heads=2)
SHAPES = {
    "plain": PLAIN,
    "grouped-query": BlockShape(n_heads=4, n_kv_heads=2),
    "attention-only": BlockShape(n_heads=2, n_kv_heads=2, has_mlp=False),
    "parallel": BlockShape(n_heads=2, n_kv_heads=2, parallel=True),
    "post-norm": BlockShape(n_heads=2, n_kv_heads=2, heads_are_sources=False),
}
KINDS = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
QKV = pytest.mark.parametrize("separate_qkv", [True, False])
SEQ = pytest.mark.parametrize("seq_len", [None, 3])


def _names(graph: Graph) -> set[str]:
    return {edge.name for edge in graph.edges}


@pytest.mark.parametrize(("separate_qkv", "n_edges"), [(True, 32_491), (False, 11_611)])
def test_gpt2_small_has_as_many_edges_as_in_the_literature(
    separate_qkv: bool, n_edges: int
) -> None:
    graph = Graph([BlockShape(12, 12)] * 12, separate_qkv)
    assert graph.n_edges == n_edges
    assert len(graph.edges) == n_edges


@QKV
def test_every_token_position_has_the_same_edges_of_its_own(separate_qkv: bool) -> None:
    once = Graph([PLAIN] * 2, separate_qkv)
    each = Graph([PLAIN] * 2, separate_qkv, seq_len=5)
    assert each.n_edges == 5 * once.n_edges
    assert list(each.edge_dict) == [0, 1, 2, 3, 4]
    for seq_idx, edges in each.edge_dict.items():
        assert {edge.seq_idx for edge in edges} == {seq_idx}
        assert [edge.name for edge in edges] == [edge.name for edge in once.edge_dict[None]]


def test_a_small_graph_in_full() -> None:
    """Sources in writing order, destinations in reading order, every edge by name."""
    graph = Graph([BlockShape(1, 1), BlockShape(1, 1, has_mlp=False)])
    assert [str(src) for src in graph.srcs] == ["Resid Start", "A0.0", "MLP 0", "A1.0"]
    assert [src.src_idx for src in graph.srcs] == [0, 1, 2, 3]
    assert [str(dest) for dest in graph.dests] == [
        *("A0.0.Q", "A0.0.K", "A0.0.V", "MLP 0"),
        *("A1.0.Q", "A1.0.K", "A1.0.V", "Resid End"),
    ]
    reads = {
        **{f"A0.0.{letter}": ["Resid Start"] for letter in "QKV"},
        "MLP 0": ["Resid Start", "A0.0"],
        **{f"A1.0.{letter}": ["Resid Start", "A0.0", "MLP 0"] for letter in "QKV"},
        "Resid End": ["Resid Start", "A0.0", "MLP 0", "A1.0"],
    }
    assert _names(graph) == {f"{src}->{dest}" for dest, srcs in reads.items() for src in srcs}
    assert graph.n_edges == 18


@SEQ
@QKV
@KINDS
def test_an_edge_exists_exactly_where_the_source_is_in_an_earlier_layer(
    shape: BlockShape, separate_qkv: bool, seq_len: int | None
) -> None:
    graph = Graph([shape, PLAIN, shape], separate_qkv, seq_len)
    positions = [None] if seq_len is None else range(seq_len)
    expected = {
        Edge(src, dest, seq_idx)
        for src in graph.srcs
        for dest in graph.dests
        for seq_idx in positions
        if src.layer < dest.layer
    }
    assert graph.edges == expected
    assert graph.n_edges == len(expected)


def test_a_head_feeds_the_mlp_of_its_own_block_unless_they_are_parallel() -> None:
    sequential, parallel = (_names(Graph([SHAPES[kind]] * 2)) for kind in ("plain", "parallel"))
    assert "A0.1->MLP 0" in sequential
    assert sequential - parallel == {f"A{i}.{h}->MLP {i}" for i in (0, 1) for h in (0, 1)}
    assert parallel < sequential
    assert {"A0.1->MLP 1", "MLP 0->A1.0.Q", "MLP 0->MLP 1"} <= parallel


def test_keys_and_values_are_destinations_once_for_each_key_value_head() -> None:
    graph = Graph([SHAPES["grouped-query"]])
    shapes = {module.name: module.mask_shape(None) for module in graph.modules}
    assert shapes["blocks.0.hook_q_input"] == (4, 1)
    assert shapes["blocks.0.hook_k_input"] == shapes["blocks.0.hook_v_input"] == (2, 1)
    kv = [dest.name for dest in graph.dests if dest.name[-1] in "KV"]
    assert kv == ["A0.0.K", "A0.1.K", "A0.0.V", "A0.1.V"]
    # What the heads write does not depend on how they share keys and values.
    assert [src.name for src in graph.srcs[1:5]] == ["A0.0", "A0.1", "A0.2", "A0.3"]


def test_heads_that_read_one_stream_are_destinations_once_for_each_query_head() -> None:
    graph = Graph([SHAPES["grouped-query"]], separate_qkv=False)
    assert [dest.name for dest in graph.dests[:4]] == ["A0.0", "A0.1", "A0.2", "A0.3"]
    assert {dest.module_name for dest in graph.dests[:4]} == {"blocks.0.hook_attn_in"}


def test_heads_behind_a_norm_are_one_source() -> None:
    graph = Graph([SHAPES["post-norm"]])
    assert [src.name for src in graph.srcs] == ["Resid Start", "A0", "MLP 0"]
    assert graph.srcs[1].head_idx is None
    assert {dest.name for dest in graph.dests} >= {"A0.0.Q", "A0.1.Q"}


@SEQ
@QKV
@KINDS
def test_every_way_to_find_an_edge_s_value_finds_the_same(
    shape: BlockShape, separate_qkv: bool, seq_len: int | None
) -> None:
    """`patch_idx`, `prune_score`, `flat_index`, `split`, `flatten`, and the matrices of a run."""
    graph = Graph([shape, PLAIN], separate_qkv, seq_len)
    flat = torch.arange(1.0, graph.n_edges + 1)
    parts = graph.split(flat)
    matrices = KeptWeights(graph).matrices(1 - flat.unsqueeze(0), torch.float32)
    dense = matrices[..., -len(graph.srcs) :]
    assert dense.shape == (seq_len or 1, len(graph.dests), len(graph.srcs))
    torch.testing.assert_close(graph.flatten(parts), flat, rtol=0, atol=0)
    edges = [edge for at in graph.edge_dict.values() for edge in at]
    places = graph.flat_index(edges)
    assert sorted(places.tolist()) == list(range(graph.n_edges))
    for edge, place in zip(edges, places.tolist(), strict=True):
        value = place + 1
        assert edge.prune_score(parts).item() == value
        assert parts[edge.dest.module_name][edge.patch_idx].item() == value
        row = graph.dests.index(edge.dest)
        assert dense[edge.seq_idx or 0, row, edge.src.src_idx].item() == value
    assert dense.count_nonzero() == graph.n_edges


def test_mask_tensors_have_position_then_head_then_source() -> None:
    graph = Graph([SHAPES["grouped-query"]], seq_len=5)
    parts = graph.split(torch.zeros(graph.n_edges))
    assert {name: tuple(part.shape) for name, part in parts.items()} == {
        "blocks.0.hook_q_input": (5, 4, 1),
        "blocks.0.hook_k_input": (5, 2, 1),
        "blocks.0.hook_v_input": (5, 2, 1),
        "blocks.0.hook_mlp_in": (5, 5),
        "blocks.0.hook_resid_post": (5, 6),
    }


def test_an_edge_s_index_has_only_the_dimensions_that_its_module_has() -> None:
    src = SrcNode("A0.1", "blocks.0.attn.hook_result", 1, 1, src_idx=2)
    head = DestNode("A1.3.K", "blocks.1.hook_k_input", 3, 3)
    mlp = DestNode("MLP 1", "blocks.1.hook_mlp_in", 4)
    assert Edge(src, head).patch_idx == (3, 2)
    assert Edge(src, head, 7).patch_idx == (7, 3, 2)
    assert Edge(src, mlp).patch_idx == (2,)
    assert Edge(src, mlp, 7).patch_idx == (7, 2)


def test_an_edge_is_written_with_its_position_where_it_has_one() -> None:
    graph = Graph([PLAIN], seq_len=2)
    edge = graph.edge_dict[1][0]
    assert edge.name == "Resid Start->A0.0.Q"
    assert str(edge) == "1:Resid Start->A0.0.Q"
    assert str(replace(edge, seq_idx=None)) == edge.name


def test_parts_of_a_vector_are_views_of_it() -> None:
    graph = Graph([PLAIN])
    flat = torch.zeros(graph.n_edges)
    graph.split(flat)["blocks.0.hook_mlp_in"].fill_(1)
    assert flat.sum() == 3


@pytest.mark.parametrize(
    "change",
    [
        {"seq_idx": 0},
        {"src": SrcNode("A0.7", "blocks.0.attn.hook_result", 1, 7, src_idx=8)},
        {"src": SrcNode("A0.1", "blocks.0.attn.hook_result", 1, 1, src_idx=1)},
        {"dest": DestNode("A7.0.Q", "blocks.7.hook_q_input", 15, 0)},
        {"dest": DestNode("A1.7.Q", "blocks.1.hook_q_input", 3, 7)},
    ],
    ids=["position", "no such source", "other source", "no such module", "no such head"],
)
def test_an_edge_of_another_graph_is_refused_by_name(change: dict[str, object]) -> None:
    """It would otherwise stand for some other edge of this graph."""
    graph = Graph([PLAIN] * 2)
    edge = next(e for e in graph.edges if e.name == "A0.0->A1.0.Q")
    foreign = replace(edge, **change)
    with pytest.raises(ArgumentError, match=r"edges: wanted edges of this model") as error:
        graph.flat_index([edge, foreign])
    assert str(foreign) in str(error.value)


def test_an_edge_at_a_position_beyond_seq_len_is_refused() -> None:
    graph = Graph([PLAIN], seq_len=2)
    edge = graph.edge_dict[1][0]
    for seq_idx in (2, -1, None):
        with pytest.raises(ArgumentError, match="edges of this model"):
            graph.flat_index([replace(edge, seq_idx=seq_idx)])
