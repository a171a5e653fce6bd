"""Left padding changes nothing: not plain logits, not patched ones, not scores, not means."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sp_widget.circuits.ablations import ablate_batch, dataset_mean, src_ablations
from sp_widget.circuits.check_model import check_model
from sp_widget.circuits.run_circuits import run_circuits
from sp_widget.data.prompts import PromptDataLoader, PromptDataset
from sp_widget.engine.patchable_model import patch_mode, patchable_model
from sp_widget.methods.subnetwork_probing.config import SubnetworkProbingConfig
from sp_widget.methods.subnetwork_probing.trainer import SubnetworkProbing
from sp_widget.types import AblationType
from tests import model_kinds

KINDS = pytest.mark.parametrize("kind", model_kinds.POSITION_KINDS)
LENGTHS = (6, 4, 5, 3)


def _tokens(seed: int) -> list[Tensor]:
    draw = torch.Generator().manual_seed(seed)
    return [torch.randint(model_kinds.N_VOCAB, (n,), generator=draw) for n in LENGTHS]


def _padded(prompts: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Tokens and attention mask; the padding is a token that the model knows."""
    longest = max(len(prompt) for prompt in prompts)
    tokens = torch.full((len(prompts), longest), 7)
    mask = torch.zeros(len(prompts), longest, dtype=torch.long)
    for i, prompt in enumerate(prompts):
        tokens[i, longest - len(prompt) :] = prompt
        mask[i, longest - len(prompt) :] = 1
    return tokens, mask


def _loader(clean: list[Tensor], corrupt: list[Tensor], batch_size: int) -> PromptDataLoader:
    tokens, mask = zip(_padded(clean), _padded(corrupt), strict=True)
    answers = torch.arange(len(clean))[:, None]
    dataset = PromptDataset(
        *tokens, answers, answers + 9, clean_attention_mask=mask[0], corrupt_attention_mask=mask[1]
    )
    return PromptDataLoader(dataset, batch_size=batch_size)


@KINDS
def test_plain_logits_at_real_tokens_are_those_without_padding(kind: str) -> None:
    model = patchable_model(model_kinds.bridge(kind))
    prompts = _tokens(0)
    tokens, mask = _padded(prompts)
    with torch.no_grad():
        together = model(tokens, mask)
        for i, prompt in enumerate(prompts):
            alone = model(prompt[None])
            torch.testing.assert_close(together[i, -len(prompt) :], alone[0], atol=1e-5, rtol=1e-5)


@KINDS
def test_patched_logits_at_real_tokens_are_those_without_padding(kind: str) -> None:
    model = patchable_model(model_kinds.bridge(kind))
    draw = torch.Generator().manual_seed(1)
    for mask in model.patch_masks.values():
        mask.copy_(torch.randn(mask.shape, generator=draw))
    clean, corrupt = _tokens(0), _tokens(1)
    tokens, attention_mask = _padded(corrupt)
    other, other_mask = _padded(clean)
    patch = src_ablations(model, other, attention_mask=other_mask)
    with torch.no_grad():
        with patch_mode(model, patch):
            together = model(tokens, attention_mask)
        assert together.isfinite().all()
        for i, prompt in enumerate(corrupt):
            with patch_mode(model, src_ablations(model, clean[i][None])):
                alone = model(prompt[None])
            torch.testing.assert_close(together[i, -len(prompt) :], alone[0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", ["gpt2", "mistral-sliding", "native-bidirectional"])
def test_trained_scores_are_those_without_padding(kind: str) -> None:
    """The same four-token prompts, once as they are and once padded to six."""
    draw = torch.Generator().manual_seed(2)
    clean, corrupt = (torch.randint(model_kinds.N_VOCAB, (3, 4), generator=draw) for _ in range(2))
    answers = torch.tensor([[1], [2], [3]])
    plain = PromptDataset(clean, corrupt, answers, answers + 9)
    pad = torch.full((3, 2), 7)
    mask = torch.tensor([[0, 0, 1, 1, 1, 1]] * 3)
    padded = PromptDataset(
        torch.cat((pad, clean), 1),
        torch.cat((pad, corrupt), 1),
        answers,
        answers + 9,
        clean_attention_mask=mask,
        corrupt_attention_mask=mask,
    )
    model = patchable_model(model_kinds.bridge(kind))
    config = SubnetworkProbingConfig(epochs=4, regularize_lambda=0.1, seed=0)
    trainers = [
        SubnetworkProbing(model, PromptDataLoader(dataset, batch_size=3), config)
        for dataset in (plain, padded)
    ]
    scores = [trainer.run(progress=False) for trainer in trainers]
    for name, score in scores[0].items():
        torch.testing.assert_close(scores[1][name], score, atol=1e-3, rtol=0)
    losses = [[record.loss for record in trainer.history] for trainer in trainers]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)


@KINDS
def test_the_invariants_hold_on_padded_prompts(kind: str) -> None:
    loader = _loader(_tokens(0), _tokens(1), batch_size=4)
    check_model(patchable_model(model_kinds.bridge(kind)), loader)


def test_circuits_of_padded_prompts_give_the_logits_without_padding() -> None:
    bridge = model_kinds.bridge("gpt2")
    model = patchable_model(bridge)
    clean = _tokens(0)
    loader = _loader(clean, _tokens(1), batch_size=2)
    scores = {name: torch.ones_like(mask) for name, mask in model.patch_masks.items()}
    all_edges = run_circuits(model, loader, [model.n_edges], scores)[model.n_edges]
    outputs = torch.cat(list(all_edges.values()))
    with torch.no_grad():
        for prompt, logits in zip(clean, outputs, strict=True):
            torch.testing.assert_close(logits, bridge(prompt[None])[0, -1], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("batch_size", [4, 3])
def test_means_over_the_dataset_leave_padding_out(batch_size: int) -> None:
    """Position by position over those prompts that have a token there."""
    model = patchable_model(model_kinds.bridge("gpt2"))
    clean, corrupt = _tokens(0), _tokens(1)
    longest = max(LENGTHS)
    for ablation_type, prompts in (
        (AblationType.TOKENWISE_MEAN_CLEAN, clean),
        (AblationType.TOKENWISE_MEAN_CORRUPT, corrupt),
        (AblationType.TOKENWISE_MEAN_CLEAN_AND_CORRUPT, clean + corrupt),
    ):
        mean = dataset_mean(model, _loader(clean, corrupt, batch_size), ablation_type)
        alone = [src_ablations(model, prompt[None])[:, 0] for prompt in prompts]
        for position in range(longest):
            there = [
                sources[:, position - longest + sources.shape[1]]
                for sources in alone
                if position - longest + sources.shape[1] >= 0
            ]
            expected = sum(there) / len(there)
            torch.testing.assert_close(mean[:, 0, position], expected, atol=1e-5, rtol=1e-5)


def test_means_over_a_batch_leave_padding_out() -> None:
    sources = torch.randn(5, 4, 6, 3, generator=torch.Generator().manual_seed(3))
    _, mask = _padded(_tokens(0))
    tokenwise = ablate_batch(sources, AblationType.BATCH_TOKENWISE_MEAN, mask)
    overall = ablate_batch(sources, AblationType.BATCH_ALL_TOK_MEAN, mask)
    real = [(i, position) for i in range(4) for position in range(6) if mask[i, position]]
    everything = sum(sources[:, i, position] for i, position in real) / len(real)
    torch.testing.assert_close(overall, everything[:, None, None].expand_as(sources))
    for position in range(6):
        there = [sources[:, i, position] for i, p in real if p == position]
        expected = (sum(there) / len(there))[:, None].expand(5, 4, 3)
        torch.testing.assert_close(tokenwise[:, :, position], expected)


def test_a_position_that_is_padding_in_every_prompt_has_mean_zero_not_nan() -> None:
    mask = torch.tensor([[0, 1, 1], [0, 1, 1]])
    mean = ablate_batch(torch.ones(5, 2, 3, 4), AblationType.BATCH_TOKENWISE_MEAN, mask)
    assert mean[:, :, 0].count_nonzero() == 0
    assert (mean[:, :, 1:] == 1).all()
