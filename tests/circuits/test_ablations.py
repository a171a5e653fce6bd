"""Each kind of patch activations, worked out from the bridge's own hooks, prompt by prompt."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from torch import Tensor

from sp_widget.circuits.ablations import src_ablations
from sp_widget.engine.patchable_model import PatchableModel, patch_mode, patchable_model
from sp_widget.errors import ArgumentError
from sp_widget.types import AblationType
from tests import model_kinds
from tests.engine.slow_patching import SlowRun

KIND = "gpt2"


def _model() -> PatchableModel:
    return patchable_model(model_kinds.bridge(KIND))


@cache
def _sources(side: str) -> Tensor:
    """What every source writes on each of the 7 prompts: `[sources, prompts, seq, d_model]`."""
    model, found = _model(), []
    for batch in model_kinds.dataloader():
        for prompt in getattr(batch, side):
            run = SlowRun(model_kinds.bridge(KIND))
            with torch.no_grad():
                run.logits(prompt[None])
            found.append(torch.cat([run.written[src.name] for src in model.srcs]))
    return torch.stack(found, dim=1)


def _mean(sources: Tensor) -> Tensor:
    """Over prompts, one after the other."""
    total = torch.zeros_like(sources[:, 0])
    for prompt in range(sources.shape[1]):
        total += sources[:, prompt]
    return total / sources.shape[1]


def _assert_same(ablations: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(ablations, expected.expand_as(ablations), atol=1e-5, rtol=1e-5)


def _first_prompts() -> Tensor:
    return next(iter(model_kinds.dataloader())).corrupt


def test_resample_is_each_prompt_s_own_activations() -> None:
    ablations = src_ablations(_model(), _first_prompts(), AblationType.RESAMPLE)
    _assert_same(ablations, _sources("corrupt")[:, :3])


def test_resample_is_the_default() -> None:
    model, tokens = _model(), _first_prompts()
    resample = src_ablations(model, tokens, AblationType.RESAMPLE)
    assert torch.equal(src_ablations(model, tokens), resample)


def test_zero_is_zero_and_leaves_output_biases_in_place() -> None:
    """All sources at zero leave the sum of the blocks' output biases in the stream."""
    model, bridge = _model(), model_kinds.bridge(KIND)
    ablations = src_ablations(model, _first_prompts(), AblationType.ZERO)
    assert ablations.count_nonzero() == 0
    with torch.no_grad():
        biases = sum(block.attn.b_O for block in bridge.blocks)
        # The MLP's output bias belongs to its source and is ablated with it.
        expected = bridge.unembed(bridge.ln_final(biases.expand(3, 6, -1)))
        with patch_mode(model, ablations, edges=model.edges):
            torch.testing.assert_close(model(_first_prompts()), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("ablation_type", "sides"),
    [
        (AblationType.TOKENWISE_MEAN_CLEAN, ["clean"]),
        (AblationType.TOKENWISE_MEAN_CORRUPT, ["corrupt"]),
        (AblationType.TOKENWISE_MEAN_CLEAN_AND_CORRUPT, ["clean", "corrupt"]),
    ],
)
@pytest.mark.parametrize("batch_size", [3, 7])
def test_a_dataset_mean_weighs_every_prompt_the_same(
    ablation_type: AblationType, sides: list[str], batch_size: int
) -> None:
    """However they are batched: the last of three batches holds one prompt."""
    loader = model_kinds.dataloader(batch_size=batch_size)
    ablations = src_ablations(_model(), loader, ablation_type)
    assert ablations.shape[1] == batch_size
    _assert_same(ablations, _mean(torch.cat([_sources(side) for side in sides], dim=1))[:, None])


def test_a_tokenwise_batch_mean_is_over_the_prompts_of_the_batch() -> None:
    ablations = src_ablations(_model(), _first_prompts(), AblationType.BATCH_TOKENWISE_MEAN)
    _assert_same(ablations, _mean(_sources("corrupt")[:, :3])[:, None])


def test_an_all_token_batch_mean_is_over_its_positions_too() -> None:
    ablations = src_ablations(_model(), _first_prompts(), AblationType.BATCH_ALL_TOK_MEAN)
    over_prompts = _mean(_sources("corrupt")[:, :3])
    over_tokens = sum(over_prompts[:, position] for position in range(6)) / 6
    _assert_same(ablations, over_tokens[:, None, None])


@pytest.mark.parametrize("ablation_type", AblationType)
def test_every_kind_has_one_shape(ablation_type: AblationType) -> None:
    model = _model()
    sample = model_kinds.dataloader() if ablation_type.mean_over_dataset else _first_prompts()
    assert src_ablations(model, sample, ablation_type).shape == (len(model.srcs), 3, 6, 32)


def test_a_dataset_mean_of_tokens_and_a_batch_mean_of_a_loader_are_refused() -> None:
    model = _model()
    with pytest.raises(ArgumentError, match="sample: wanted a PromptDataLoader for TOKENWISE"):
        src_ablations(model, _first_prompts(), AblationType.TOKENWISE_MEAN_CLEAN)
    with pytest.raises(ArgumentError, match="sample: wanted a tensor of token ids"):
        src_ablations(model, model_kinds.dataloader(), AblationType.BATCH_TOKENWISE_MEAN)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ArgumentError, match="ablation_type: wanted a member of AblationType"):
        src_ablations(_model(), _first_prompts(), "Resample")  # type: ignore[arg-type]
