"""The patched run against the definition of edge patching, and its buffers."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sp_widget.engine.patchable_model import PatchableModel, patchable_model
from sp_widget.engine.protocol import Patch
from sp_widget.errors import ArgumentError
from sp_widget.graph.edge_graph import Graph
from sp_widget.models.architecture import RunInputs
from tests import model_kinds
from tests.engine.slow_patching import EdgeMasks, SlowRun

N_PROMPTS = 3


@cache
def _bridge(kind: str) -> Any:
    # The bridge's own `to` prints. A new bridge, because copies of one that has run share state.
    return nn.Module.to(model_kinds.bridge.__wrapped__(kind), torch.float64)


def _model(kind: str, separate_qkv: bool = True, seq_len: int | None = None) -> PatchableModel:
    return patchable_model(_bridge(kind), separate_qkv=separate_qkv, seq_len=seq_len)


def _tolerance(kind: str) -> float:
    """Some norms, softmaxes and rotary tables are in float32 in a float64 model, too."""
    in_float32 = "rms" in kind or kind == "native-gqa-rotary"
    exact = kind.startswith(("gpt2", "neox", "native")) and not in_float32
    return 1e-9 if exact else 1e-5


def _tokens(seed: int, n_prompts: int = N_PROMPTS) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randint(model_kinds.N_VOCAB, (n_prompts, model_kinds.N_TOKENS), generator=draw)


def _normal(*shape: int, seed: int) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=draw, dtype=torch.float64)


def _prepared(model: PatchableModel, n_prompts: int = N_PROMPTS) -> tuple[RunInputs, Patch]:
    architecture = model.engine.architecture
    inputs, _ = architecture.run_inputs(_tokens(1, n_prompts))
    other, _ = architecture.run_inputs(_tokens(2, n_prompts))
    return inputs, model.engine.patch(model.engine.source_outputs(other))


def _by_edge(graph: Graph, masks: Tensor) -> EdgeMasks:
    rows = [graph.split(row) for row in masks]
    return {edge: torch.stack([edge.prune_score(row) for row in rows]) for edge in graph.edges}


def _cases() -> Iterator[tuple[str, bool, int | None]]:
    """Every kind with separate queries, keys and values and with joint ones."""
    for kind in model_kinds.KINDS:
        yield kind, True, None
        # OLMo 2 norms the keys of all heads together: there is no one right way to give every
        # query head keys of its own.
        if kind != "olmo2":
            yield kind, False, model_kinds.N_TOKENS
    for kind in ("gpt2", "neox-parallel", "gemma2", "native-gqa-rotary"):
        yield kind, True, model_kinds.N_TOKENS
        yield kind, False, None
    yield "gpt2-deep", True, None
    yield "neox-deep", True, model_kinds.N_TOKENS


@pytest.mark.parametrize(("kind", "separate_qkv", "seq_len"), list(_cases()))
def test_logits_and_mask_gradients_are_those_of_the_definition(
    kind: str, separate_qkv: bool, seq_len: int | None
) -> None:
    """Masks of any real value, different for every prompt."""
    model = _model(kind, separate_qkv, seq_len)
    masks = _normal(N_PROMPTS, model.n_edges, seed=3).requires_grad_()
    other = SlowRun(_bridge(kind))
    with torch.no_grad():
        other.logits(_tokens(2))
    slow = SlowRun(_bridge(kind), _by_edge(model.graph, masks), other.written).logits(_tokens(1))
    fast = model.engine.run(masks, *_prepared(model))
    tolerance = _tolerance(kind)
    torch.testing.assert_close(fast, slow, rtol=tolerance, atol=tolerance)

    weights = _normal(*slow.shape, seed=4)
    (slow_gradient,) = torch.autograd.grad((slow * weights).sum(), masks)
    (fast_gradient,) = torch.autograd.grad((fast * weights).sum(), masks)
    size = slow_gradient.abs().max().item()
    torch.testing.assert_close(fast_gradient, slow_gradient, rtol=tolerance, atol=tolerance * size)


@pytest.mark.parametrize("kind", ["gpt2", "neox-parallel", "native-gqa-rotary"])
def test_plain_run_through_the_nodes_gives_every_source_s_output(kind: str) -> None:
    model = _model(kind)
    slow = SlowRun(_bridge(kind))
    with torch.no_grad():
        slow.logits(_tokens(1))
    inputs, _ = model.engine.architecture.run_inputs(_tokens(1))
    outputs = model.engine.source_outputs(inputs)
    for src, output in zip(model.srcs, outputs, strict=True):
        tolerance = _tolerance(kind)
        torch.testing.assert_close(output, slow.written[src.name], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("kind", ["gpt2-deep", "neox-parallel", "gemma2", "native-attention-only"])
def test_recomputing_the_nodes_on_the_way_back_changes_nothing_but_memory(kind: str) -> None:
    model = _model(kind)
    masks = _normal(N_PROMPTS, model.n_edges, seed=20).requires_grad_()
    weights = _normal(N_PROMPTS, model_kinds.N_TOKENS, model_kinds.N_VOCAB, seed=21)
    results = []
    for recompute in (False, True):
        logits = model.engine.run(masks, *_prepared(model), recompute=recompute)
        results.append((logits, torch.autograd.grad((logits * weights).sum(), masks)[0]))
    torch.testing.assert_close(results[0], results[1], rtol=0, atol=0)


@pytest.mark.parametrize("seq_len", [None, model_kinds.N_TOKENS])
def test_a_batch_of_masks_equals_each_prompt_alone_with_its_own(seq_len: int | None) -> None:
    model = _model("gpt2", seq_len=seq_len)
    inputs, patch = _prepared(model)
    masks = _normal(N_PROMPTS, model.n_edges, seed=5)
    together = model.engine.run(masks, inputs, patch)
    for i in range(N_PROMPTS):
        alone, _ = model.engine.architecture.run_inputs(_tokens(1)[i : i + 1])
        own_patch = model.engine.patch(patch.sources[:, i : i + 1])
        logits = model.engine.run(masks[i : i + 1], alone, own_patch)
        torch.testing.assert_close(logits[0], together[i], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("seq_len", [None, model_kinds.N_TOKENS])
def test_one_row_of_masks_stands_for_every_prompt(seq_len: int | None) -> None:
    """Values, and gradients summed over the prompts."""
    model = _model("native-gqa-rotary", seq_len=seq_len)
    inputs, patch = _prepared(model)
    shared = _normal(1, model.n_edges, seed=6).requires_grad_()
    repeated = shared.detach().repeat(N_PROMPTS, 1).requires_grad_()
    weights = _normal(N_PROMPTS, model_kinds.N_TOKENS, model_kinds.N_VOCAB, seed=7)
    logits = {masks: model.engine.run(masks, inputs, patch) for masks in (shared, repeated)}
    torch.testing.assert_close(logits[shared], logits[repeated], rtol=1e-9, atol=1e-9)
    gradients = {
        masks: torch.autograd.grad((out * weights).sum(), masks)[0] for masks, out in logits.items()
    }
    torch.testing.assert_close(gradients[shared][0], gradients[repeated].sum(0))


@pytest.mark.parametrize("seq_len", [None, model_kinds.N_TOKENS])
def test_rows_of_masks_for_equal_parts_of_the_batch(seq_len: int | None) -> None:
    """Two rows for six prompts: the first three, and the others. Values and gradients."""
    model = _model("gpt2", seq_len=seq_len)
    inputs, patch = _prepared(model)
    twice = inputs.repeated(2)
    rows = _normal(2, model.n_edges, seed=6).requires_grad_()
    each = rows.detach().repeat_interleave(N_PROMPTS, dim=0).requires_grad_()
    weights = _normal(2 * N_PROMPTS, 2, model_kinds.N_VOCAB, seed=7)
    logits = {m: model.engine.run(m, twice, patch, slice(-2, None)) for m in (rows, each)}
    torch.testing.assert_close(logits[rows], logits[each], rtol=1e-9, atol=1e-9)
    gradients = {
        masks: torch.autograd.grad((out * weights).sum(), masks)[0] for masks, out in logits.items()
    }
    expected = gradients[each].unflatten(0, (2, N_PROMPTS)).sum(1)
    torch.testing.assert_close(gradients[rows], expected)


@pytest.mark.parametrize("n_rows", [1, N_PROMPTS])
def test_gradients_at_masks_of_zero_attribute_the_plain_run(n_rows: int) -> None:
    """Edge attribution patching: (a_s - c_s) . dL/dx_d, with c and dL/dx of a run without masks."""
    model = _model("native-gqa-rotary")
    inputs, patch = _prepared(model)
    masks = torch.zeros(n_rows, model.n_edges, dtype=torch.float64, requires_grad=True)
    logits = model.engine.run(masks, inputs, patch, slice(-1, None))
    (gradient,) = torch.autograd.grad(logits.logsumexp(-1).sum(), masks)

    plain = SlowRun(_bridge("native-gqa-rotary"))
    streams: dict[str, Tensor] = {}

    def read(dest: str, stream: Tensor) -> Tensor:
        streams[dest] = stream.detach().clone().requires_grad_()
        return streams[dest] + (stream - stream.detach())

    plain.read = read  # type: ignore[method-assign]
    plain.row = lambda layer, head, letter: f"A{layer}.{head}.{letter}"  # type: ignore[method-assign]
    last = plain.logits(_tokens(1))[:, -1]
    wanted = torch.autograd.grad(last.logsumexp(-1).sum(), list(streams.values()))
    at_stream = dict(zip(streams, wanted, strict=True))
    for edge in model.edges:
        difference = patch.sources[edge.src.src_idx] - plain.written[edge.src.name].detach()
        expected = (at_stream[edge.dest.name] * difference).sum((1, 2))
        got = edge.prune_score(model.graph.split(gradient.sum(0)))
        torch.testing.assert_close(got, expected.sum(), rtol=1e-5, atol=1e-6)


def test_edges_of_one_position_change_only_that_position_of_what_they_enter() -> None:
    """Patching Resid Start -> Resid End at one position leaves the other logits as they were."""
    model = _model("gpt2", seq_len=model_kinds.N_TOKENS)
    inputs, patch = _prepared(model)
    edge = next(e for e in model.edges if e.name == "Resid Start->Resid End" and e.seq_idx == 2)
    masks = torch.zeros(1, model.n_edges, dtype=torch.float64)
    plain = model.engine.run(masks.clone(), inputs, patch)
    masks[0, model.graph.flat_index([edge])] = 1
    changed = (model.engine.run(masks, inputs, patch) - plain).abs().amax((0, 2))
    assert changed[2] > 1e-3
    assert changed[[0, 1, 3, 4, 5]].max() < 1e-12


def test_a_shared_patch_equals_the_same_patch_for_every_prompt() -> None:
    """The means over a dataset come as one row."""
    model = _model("gpt2")
    inputs, patch = _prepared(model)
    one = patch.sources[:, :1]
    masks = _normal(N_PROMPTS, model.n_edges, seed=8)
    shared = model.engine.run(masks, inputs, model.engine.patch(one))
    repeated = model.engine.run(masks, inputs, model.engine.patch(one.repeat(1, N_PROMPTS, 1, 1)))
    torch.testing.assert_close(shared, repeated, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("positions", [slice(-1, None), slice(1, None)])
def test_logits_of_some_positions_are_part_of_all_logits(positions: slice) -> None:
    """Values and gradients: only the unembedding leaves positions out."""
    model = _model("native-ln")
    inputs, patch = _prepared(model)
    masks = _normal(1, model.n_edges, seed=9).requires_grad_()
    some = model.engine.run(masks, inputs, patch, positions)
    every = model.engine.run(masks, inputs, patch)[:, positions]
    torch.testing.assert_close(some, every, rtol=1e-12, atol=1e-12)
    weights = _normal(*some.shape, seed=10)
    (gradient,) = torch.autograd.grad((some * weights).sum(), masks)
    (expected,) = torch.autograd.grad((every * weights).sum(), masks)
    torch.testing.assert_close(gradient, expected)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_two_runs_before_a_backward_do_not_disturb_each_other(order: tuple[int, int]) -> None:
    model = _model("gpt2")
    inputs, patch = _prepared(model)
    masks = [_normal(1, model.n_edges, seed=seed).requires_grad_() for seed in (11, 12)]
    alone = []
    for mask in masks:
        (gradient,) = torch.autograd.grad(
            model.engine.run(mask, inputs, patch).square().sum(), mask
        )
        alone.append(gradient)
    losses = [model.engine.run(mask, inputs, patch).square().sum() for mask in masks]
    for i in order:
        (gradient,) = torch.autograd.grad(losses[i], masks[i])
        torch.testing.assert_close(gradient, alone[i], rtol=0, atol=0)


def test_a_run_without_gradient_between_forward_and_backward_disturbs_nothing() -> None:
    """Validation happens while the training's run waits for its backward."""
    model = _model("gpt2")
    inputs, patch = _prepared(model)
    mask = _normal(1, model.n_edges, seed=13).requires_grad_()
    (expected,) = torch.autograd.grad(model.engine.run(mask, inputs, patch).square().sum(), mask)
    loss = model.engine.run(mask, inputs, patch).square().sum()
    with torch.no_grad():
        model.engine.run(_normal(1, model.n_edges, seed=14), inputs, patch)
        model.engine.run(_normal(1, model.n_edges, seed=15), inputs, patch)
    (gradient,) = torch.autograd.grad(loss, mask)
    torch.testing.assert_close(gradient, expected, rtol=0, atol=0)


def test_a_second_backward_through_one_run_is_refused() -> None:
    """Its buffers may hold another run by then: an error, never wrong numbers."""
    model = _model("gpt2")
    mask = _normal(1, model.n_edges, seed=16).requires_grad_()
    loss = model.engine.run(mask, *_prepared(model)).sum()
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="second time"):
        loss.backward()


def _buffers(engine: Any) -> set[int]:
    """Where the buffers lie that the engine keeps."""
    spaces = engine._free.values()
    tensors = [x for space in spaces for x in vars(space).values() if isinstance(x, Tensor)]
    scratch = [space.scratch(torch.device("cpu")) for space in spaces]
    return {x.data_ptr() for x in tensors + scratch}


def test_buffers_are_reused_from_step_to_step() -> None:
    model = _model("gpt2")
    inputs, patch = _prepared(model)
    masks = _normal(N_PROMPTS, model.n_edges, seed=17).requires_grad_()

    def step() -> None:
        model.engine.run(masks, inputs, patch).sum().backward()
        with torch.no_grad():
            model.engine.run(masks, inputs, patch)

    step()
    before = _buffers(model.engine)
    for _ in range(3):
        step()
    assert before
    assert _buffers(model.engine) == before


def test_batches_of_different_sizes_take_turns() -> None:
    """As when the last batch of an epoch is smaller."""
    model = _model("gpt2")
    runs = {n: _prepared(model, n) for n in (3, 1, 2)}
    masks = _normal(1, model.n_edges, seed=18)
    first = {n: model.engine.run(masks, *run) for n, run in runs.items()}
    before = _buffers(model.engine)
    for n in (1, 3, 2, 2, 1):
        torch.testing.assert_close(model.engine.run(masks, *runs[n]), first[n], rtol=0, atol=0)
    assert _buffers(model.engine) == before


def test_steps_leave_no_tensor_behind() -> None:
    """Also when a run's backward never comes."""
    model = _model("gpt2")
    inputs, patch = _prepared(model)
    masks = _normal(1, model.n_edges, seed=19).requires_grad_()

    def n_tensors() -> int:
        gc.collect()
        return sum(issubclass(type(thing), Tensor) for thing in gc.get_objects())

    def steps(n: int) -> None:
        for _ in range(n):
            model.engine.run(masks, inputs, patch).sum().backward()
            model.engine.run(masks, inputs, patch)

    steps(2)
    before = n_tensors()
    steps(5)
    assert n_tensors() == before


def test_prompts_of_another_length_than_seq_len_are_refused() -> None:
    """Six tokens would divide by three positions without an error, to no meaning."""
    model = _model("gpt2", seq_len=3)
    with pytest.raises(ArgumentError, match=r"3 tokens.*got 6"):
        model.engine.run(torch.zeros(1, model.n_edges, dtype=torch.float64), *_prepared(model))


def test_a_run_resumed_at_the_first_block_does_not_depend_on_what_ran_before() -> None:
    """Its buffers come from another run, with other activations in them."""
    model = _model("gpt2")
    inputs, patch = _prepared(model)
    masks = torch.zeros(model.n_edges, dtype=torch.float64)
    row = masks.clone()
    row[0] = 1  # An edge into block 0.
    with torch.no_grad():
        expected = model.engine.run(row.unsqueeze(0), inputs, patch)
        other = replace(inputs, embed=torch.full_like(inputs.embed, 1e3))
        model.engine.run(masks.unsqueeze(0), other, patch)
    resumed = model.engine.resumable(masks, inputs, patch).run(row.unsqueeze(0))
    torch.testing.assert_close(resumed[0], expected, rtol=1e-9, atol=1e-9)
