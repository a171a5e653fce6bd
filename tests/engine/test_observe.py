"""What the nodes of a block read and write, seen in a run: against the slow definition."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sp_widget.engine.patchable_model import PatchableModel, patchable_model
from sp_widget.engine.protocol import ObservedBlock
from sp_widget.models.architecture import RunInputs
from tests import model_kinds
from tests.engine.slow_nodes import SlowNodeRun
from tests.engine.slow_patching import SlowRun

N_PROMPTS = 2


@cache
def _bridge(kind: str) -> Any:
    return nn.Module.to(model_kinds.bridge.__wrapped__(kind), torch.float64)


def _tokens(seed: int) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randint(model_kinds.N_VOCAB, (N_PROMPTS, model_kinds.N_TOKENS), generator=draw)


def _pattern(
    model: PatchableModel, observed: ObservedBlock, inputs: RunInputs, block: int
) -> Tensor:
    attention = model.engine.architecture.blocks[block].attention
    projected, _ = attention.project_in.forward(observed.attention_reads.flatten(1, 2))
    return attention.pattern(projected, N_PROMPTS, inputs.attention[block])


def _with_patterns(slow: SlowRun, tokens: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Run it; return the logits and the pattern that the bridge itself computes in each block."""
    patterns: list[Tensor] = []

    def keep(_module: Any, _args: Any, out: Tensor) -> None:
        patterns.append(out.detach())

    handles = [block.attn.hook_pattern.register_forward_hook(keep) for block in slow.bridge.blocks]
    try:
        with torch.no_grad():
            return slow.logits(tokens), patterns
    finally:
        for handle in handles:
            handle.remove()


@pytest.mark.parametrize("factorized", [True, False])
@pytest.mark.parametrize(
    "kind",
    [
        "gpt2",
        "gpt-neo",
        "llama",
        "gemma2",
        "neox-parallel",
        "native-gqa-rotary",
        "native-soft-caps",
    ],
)
def test_a_block_reads_and_writes_what_the_definition_says(kind: str, factorized: bool) -> None:
    """Plain, and with half of the edges patched."""
    bridge = _bridge(kind)
    model = patchable_model(bridge, factorized=factorized)
    engine = model.engine
    inputs, _ = engine.architecture.run_inputs(_tokens(1))
    other, _ = engine.architecture.run_inputs(_tokens(2))
    patch = engine.patch(engine.source_outputs(other))
    draw = torch.Generator().manual_seed(3)
    circuit = torch.rand(model.n_edges, generator=draw) < 0.5
    masks = (~circuit).double().unsqueeze(0)

    run = SlowRun if factorized else SlowNodeRun
    slow_other = run(bridge)
    with torch.no_grad():
        slow_other.logits(_tokens(2))
    rows = model.graph.split(masks[0])
    by_edge = {edge: edge.prune_score(rows).expand(N_PROMPTS) for edge in model.edges}
    exact = kind.startswith(("gpt2", "neox", "native")) and "rotary" not in kind
    tolerance = 1e-9 if exact else 1e-5

    for slow, observe in (
        (run(bridge), lambda block: engine.observe_plain(inputs, block)),
        (
            run(bridge, by_edge, slow_other.written),
            lambda block: engine.observe(masks, inputs, patch, block),
        ),
    ):
        logits, patterns = _with_patterns(slow, _tokens(1))
        assert len(patterns) == len(bridge.blocks)
        # In some models the softmax is in float32.
        for block, pattern in enumerate(patterns):
            observed = observe(block)
            torch.testing.assert_close(
                _pattern(model, observed, inputs, block), pattern.double(), rtol=0, atol=1e-5
            )
            names = [f"A{block}"]
            if model.engine.architecture.shapes[block].heads_are_sources:
                names = [f"A{block}.{head}" for head in range(bridge.cfg.n_heads)]
            written = dict(zip(names, observed.attention_writes, strict=True))
            if observed.mlp_writes is not None:
                written[f"MLP {block}"] = observed.mlp_writes
            for name, found in written.items():
                torch.testing.assert_close(
                    found, slow.written[name], rtol=tolerance, atol=tolerance
                )
            torch.testing.assert_close(
                engine.architecture.unembed(observed.end), logits, rtol=tolerance, atol=tolerance
            )


@pytest.mark.parametrize("seq_len", [None, model_kinds.N_TOKENS])
def test_with_joint_streams_and_edges_at_positions_the_run_is_the_same(seq_len: int | None) -> None:
    """What is observed unembeds to the logits of `run`, and no edge patched is the plain run."""
    model = patchable_model(_bridge("gpt2"), separate_qkv=False, seq_len=seq_len)
    engine = model.engine
    inputs, _ = engine.architecture.run_inputs(_tokens(1))
    other, _ = engine.architecture.run_inputs(_tokens(2))
    patch = engine.patch(engine.source_outputs(other))
    draw = torch.Generator().manual_seed(3)
    masks = torch.rand(1, model.n_edges, generator=draw, dtype=torch.float64)
    observed = engine.observe(masks, inputs, patch, 1)
    with torch.no_grad():
        torch.testing.assert_close(
            engine.architecture.unembed(observed.end), engine.run(masks, inputs, patch)
        )
    nothing = engine.observe(torch.zeros_like(masks), inputs, patch, 1)
    plain = engine.observe_plain(inputs, 1)
    pattern = _pattern(model, plain, inputs, 1)
    torch.testing.assert_close(_pattern(model, nothing, inputs, 1), pattern)
    torch.testing.assert_close(nothing.attention_writes, plain.attention_writes)
    torch.testing.assert_close(nothing.mlp_writes, plain.mlp_writes)
    # Each query's shares sum to one.
    torch.testing.assert_close(pattern.sum(-1), torch.ones_like(pattern[..., 0]))
