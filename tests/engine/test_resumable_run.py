"""Runs taken up again at a block: equal to whole runs, without the blocks before."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from sp_widget.engine.patchable_model import PatchableModel, patchable_model
from sp_widget.errors import ArgumentError
from sp_widget.models.nodes import Attention
from tests import model_kinds
from tests.engine.test_edge_engine import _bridge, _model, _normal, _prepared

N_ROWS = 3


def _whole_runs(model: PatchableModel, masks: Tensor, positions: slice) -> Tensor:
    """Every row in a run of its own."""
    inputs, patch = _prepared(model)
    with torch.no_grad():
        return torch.stack(
            [model.engine.run(row.unsqueeze(0), inputs, patch, positions) for row in masks]
        )


def _changed_from(model: PatchableModel, masks: Tensor, block: int) -> Tensor:
    """Rows with other masks for some edges into every block from this one on."""
    rows = masks.repeat(N_ROWS, 1)
    first = _first_edge_into(model, block)
    draw = torch.Generator().manual_seed(block)
    changes = torch.rand(rows[:, first:].shape, generator=draw) < 0.2
    changes[:, 0] = True
    rows[:, first:] += changes * _normal(*changes.shape, seed=block)
    return rows


def _first_edge_into(model: PatchableModel, block: int) -> int:
    """Place of the first edge that changes something in this block; behind the last one, of the
    first edge into `Resid End`."""
    edges = model.graph.edges_at(range(model.n_edges))
    layers = [int(edge.dest.module_name.split(".")[1]) for edge in edges]
    ends = [edge.dest.name == "Resid End" for edge in edges]
    n_blocks = len(model.engine.architecture.blocks)
    return ends.index(True) if block == n_blocks else layers.index(block)


def _cases() -> Iterator[tuple[str, bool, int | None]]:
    for kind in ("gpt2", "neox-parallel", "gemma2", "native-gqa-rotary", "native-attention-only"):
        yield kind, True, None
        yield kind, False, model_kinds.N_TOKENS
    yield "gpt2-deep", True, None
    yield "neox-deep", True, model_kinds.N_TOKENS
    yield "neox-deep", False, None


def _check_from_every_block(model: PatchableModel, positions: slice) -> None:
    """In an order that goes back and forth, and after the masks that are kept have moved."""
    masks = _normal(model.n_edges, seed=30)
    run = model.engine.resumable(masks, *_prepared(model), positions)
    blocks = range(len(model.engine.architecture.blocks) + 1)
    for block in (*reversed(blocks), *blocks):
        rows = _changed_from(model, masks, block)
        expected = _whole_runs(model, rows, positions)
        torch.testing.assert_close(run.run(rows), expected, rtol=1e-6, atol=1e-6)
        if block in (blocks[-1], blocks[1], blocks[0]):
            masks = rows[1]
            run.keep(masks)
    same = _whole_runs(model, masks.unsqueeze(0), positions)
    torch.testing.assert_close(run.run(masks.unsqueeze(0)), same, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("kind", "separate_qkv", "seq_len"), list(_cases()))
def test_a_resumed_run_equals_a_whole_one(
    kind: str, separate_qkv: bool, seq_len: int | None
) -> None:
    positions = slice(-1, None) if seq_len is None else slice(1, None)
    _check_from_every_block(_model(kind, separate_qkv, seq_len), positions)


@pytest.mark.parametrize("seq_len", [None, model_kinds.N_TOKENS])
@pytest.mark.parametrize("kind", ["gpt2", "neox-parallel", "native-attention-only"])
def test_a_resumed_run_over_nodes_equals_a_whole_one(kind: str, seq_len: int | None) -> None:
    model = patchable_model(_bridge(kind), factorized=False, seq_len=seq_len)
    _check_from_every_block(model, slice(-1, None))


@pytest.mark.parametrize("factorized", [True, False])
def test_only_the_blocks_behind_a_changed_edge_are_run(
    factorized: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = patchable_model(_bridge("gpt2-deep"), factorized=factorized)
    layers = {id(b.attention): i for i, b in enumerate(model.engine.architecture.blocks)}
    run_blocks: list[int] = []
    mix = Attention.mix

    def recorded(self: Attention, *args: Any) -> Tensor:
        run_blocks.append(layers[id(self)])
        return mix(self, *args)

    masks = torch.zeros(model.n_edges, dtype=torch.float64)
    run = model.engine.resumable(masks, *_prepared(model))
    run.run(masks.unsqueeze(0))
    monkeypatch.setattr(Attention, "mix", recorded)
    n_blocks = len(layers)
    for block in (n_blocks - 1, n_blocks - 2, 5, 4, 4, 0):
        changed = masks.clone()
        changed[_first_edge_into(model, block)] = 1
        run_blocks.clear()
        run.run(changed.unsqueeze(0))
        assert run_blocks == list(range(block, n_blocks))
        # Kept masks cost nothing as long as the next runs differ before them, too.
        run.keep(changed)
        masks = changed
        assert run_blocks == list(range(block, n_blocks))


@pytest.mark.parametrize("factorized", [True, False])
def test_a_resumable_run_that_begins_at_block_0_equals_a_whole_one(factorized: bool) -> None:
    """Nothing was run with the masks that are kept."""
    model = patchable_model(_bridge("gpt2"), factorized=factorized)
    masks = _normal(model.n_edges, seed=33)
    run = model.engine.resumable(masks, *_prepared(model))
    rows = _changed_from(model, masks, 0)
    expected = _whole_runs(model, rows, slice(None))
    torch.testing.assert_close(run.run(rows), expected, rtol=1e-6, atol=1e-6)


def test_other_runs_of_the_engine_do_not_disturb_a_resumable_one() -> None:
    model = _model("gpt2")
    inputs, patch = _prepared(model)
    masks = _normal(model.n_edges, seed=31)
    run = model.engine.resumable(masks, inputs, patch)
    rows = _changed_from(model, masks, 1)
    before = run.run(rows)
    leaf = _normal(1, model.n_edges, seed=32).requires_grad_()
    model.engine.run(leaf, inputs, patch).sum().backward()
    with torch.no_grad():
        model.engine.run(leaf, inputs.repeated(N_ROWS), patch)
        model.engine.run(leaf, inputs, patch)
    torch.testing.assert_close(run.run(rows), before, rtol=0, atol=0)


def test_prompts_of_another_length_than_seq_len_are_refused() -> None:
    model = _model("gpt2", seq_len=3)
    with pytest.raises(ArgumentError, match=r"3 tokens.*got 6"):
        model.engine.resumable(torch.zeros(model.n_edges), *_prepared(model))
