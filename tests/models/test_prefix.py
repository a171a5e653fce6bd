"""A shared prefix is left out of every step, and changes no number."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sp_widget.circuits.ablations import src_ablations
from sp_widget.circuits.run_circuits import run_circuits
from sp_widget.data.json_data import load_datasets_from_json
from sp_widget.data.prompt_file import PromptFileError
from sp_widget.data.prompts import PromptDataLoader, PromptDataset
from sp_widget.engine.patchable_model import PatchableModel, patch_mode, patchable_model
from sp_widget.errors import ArgumentError, UnsupportedModelError
from sp_widget.methods.subnetwork_probing.config import SubnetworkProbingConfig
from sp_widget.methods.subnetwork_probing.trainer import SubnetworkProbing
from tests import model_kinds

N_PROMPTS, N_PREFIX, N_TAIL = 5, 3, 4
CAUSAL = [kind for kind in model_kinds.POSITION_KINDS if kind != "native-bidirectional"]


@cache
def _bridge(kind: str) -> Any:
    return nn.Module.to(model_kinds.bridge.__wrapped__(kind), torch.float64)


def _tokens(seed: int, *shape: int) -> Tensor:
    return torch.randint(model_kinds.N_VOCAB, shape, generator=torch.Generator().manual_seed(seed))


def _loaders() -> tuple[PromptDataLoader, PromptDataLoader]:
    """The same prompts whole, and with the prefix taken out."""
    prefix, clean, corrupt = (
        _tokens(0, N_PREFIX),
        _tokens(1, N_PROMPTS, N_TAIL),
        _tokens(2, N_PROMPTS, N_TAIL),
    )
    answers = _tokens(3, N_PROMPTS, 1), _tokens(4, N_PROMPTS, 1)
    before = prefix.expand(N_PROMPTS, -1)
    whole = PromptDataset(torch.cat((before, clean), 1), torch.cat((before, corrupt), 1), *answers)
    tails = PromptDataset(clean, corrupt, *answers)
    return (
        PromptDataLoader(whole, batch_size=3),
        PromptDataLoader(tails, None, N_PREFIX, batch_size=3, prefix=prefix),
    )


def _trained(model: PatchableModel, loader: PromptDataLoader) -> SubnetworkProbing:
    config = SubnetworkProbingConfig(epochs=3, tree_optimisation=True, seed=5)
    trainer = SubnetworkProbing(model, loader, config)
    trainer.run(progress=False)
    return trainer


@pytest.mark.parametrize(
    ("kind", "separate_qkv"),
    [*((kind, True) for kind in CAUSAL), ("gpt2", False), ("gemma3", False), ("llama", False)],
)
def test_training_without_the_prefix_gives_the_scores_of_whole_prompts(
    kind: str, separate_qkv: bool
) -> None:
    """Under resample ablation the prefix carries no difference, so its edges do nothing."""
    model = patchable_model(_bridge(kind), separate_qkv=separate_qkv)
    whole, tails = (_trained(model, loader) for loader in _loaders())
    in_float32 = not kind.startswith(("gpt2", "neox", "native-ln", "native-att"))
    tolerance = 1e-3 if in_float32 else 1e-8  # Adam magnifies what float32 norms round
    for expected, record in zip(whole.history, tails.history, strict=True):
        assert record.loss == pytest.approx(expected.loss, rel=tolerance, abs=tolerance)
    for name, scores in whole.prune_scores.items():
        torch.testing.assert_close(tails.prune_scores[name], scores, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("kind", ["gpt2", "neox-sequential"])
def test_a_step_runs_the_tail_only(kind: str) -> None:
    trainer = _trained(patchable_model(_bridge(kind)), _loaders()[1])
    inputs = trainer.batches[0].inputs
    assert inputs.embed.shape[1] == N_TAIL
    assert inputs.attention[0].past is not None
    keys, values = inputs.attention[0].past
    # Once, and not for every prompt.
    assert keys.shape == values.shape == (1, 4, N_PREFIX, 8)


def test_every_position_behind_the_prefix_can_have_its_own_edges() -> None:
    model = patchable_model(_bridge("gpt2"), seq_len=N_TAIL)
    assert _trained(model, _loaders()[1]).prune_scores["blocks.1.hook_mlp_in"].shape[0] == N_TAIL


def test_circuits_of_tails_are_circuits_of_whole_prompts() -> None:
    model = patchable_model(_bridge("gpt2"))
    scores = _trained(model, _loaders()[0]).prune_scores
    whole, tails = (run_circuits(model, loader, [0, 20], scores) for loader in _loaders())
    for n_edges in (0, 20):
        for expected, logits in zip(whole[n_edges].values(), tails[n_edges].values(), strict=True):
            torch.testing.assert_close(logits, expected)


def test_a_model_runs_and_is_patched_behind_a_prefix() -> None:
    model = patchable_model(_bridge("neox-parallel"))
    whole, tails = (next(iter(loader)) for loader in _loaders())
    plain = model(whole.clean)[:, N_PREFIX:]
    torch.testing.assert_close(model(tails.clean, prefix=tails.prefix), plain)

    sources = src_ablations(model, tails.clean, prefix=tails.prefix)
    with patch_mode(model, sources, edges=model.edges):
        patched = model(tails.corrupt, prefix=tails.prefix)
    torch.testing.assert_close(patched, plain, rtol=1e-6, atol=1e-6)


def test_prompts_of_a_batch_bring_their_prefix_with_them() -> None:
    """As they do in the reference; without it they would be other prompts."""
    model = patchable_model(_bridge("gpt2"))
    whole, tails = (next(iter(loader)) for loader in _loaders())
    plain = model(whole.clean)[:, N_PREFIX:]
    torch.testing.assert_close(model(tails.clean), plain)
    with patch_mode(model, src_ablations(model, tails.clean), edges=model.edges):
        torch.testing.assert_close(model(tails.corrupt), plain, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    "change",
    [
        lambda tokens: tokens[:2],
        lambda tokens: tokens[[2, 0]],
        lambda tokens: tokens[tokens[:, 0] >= 0],
        lambda tokens: tokens[1:2].clone(),
        lambda tokens: tokens.to("cpu", torch.long).flip(0),
        lambda tokens: torch.cat((tokens, tokens)),
        lambda tokens: torch.stack([tokens[1], tokens[0]]),
        lambda tokens: tokens.repeat(2, 1),
        lambda tokens: tokens.repeat_interleave(2, dim=0),
        lambda tokens: tokens[:, :2],
        lambda tokens: tokens[0].unsqueeze(0),
        copy.copy,
        copy.deepcopy,
        lambda tokens: pickle.loads(pickle.dumps(tokens)),
    ],
)
def test_prompts_that_are_chosen_and_copied_keep_their_prefix(
    change: Callable[[Tensor], Tensor],
) -> None:
    model = patchable_model(_bridge("gpt2"))
    tails = next(iter(_loaders()[1]))
    assert tails.prefix is not None
    changed = change(tails.clean)
    ordinary = torch.tensor(changed.tolist())
    expected = model(torch.cat((tails.prefix.expand(len(ordinary), -1), ordinary), 1))
    torch.testing.assert_close(model(changed), expected[:, N_PREFIX:])


def test_what_is_computed_from_prompts_is_an_ordinary_tensor() -> None:
    tails = next(iter(_loaders()[1]))
    for value in (
        tails.clean == tails.corrupt,
        tails.clean.float(),
        tails.clean[:, 1:],
        tails.clean[:, -1],
        model_kinds.bridge("gpt2")(tails.clean),
    ):
        assert type(value) is Tensor


def test_a_model_whose_tokens_see_later_ones_is_refused() -> None:
    model = patchable_model(_bridge("native-bidirectional"))
    with pytest.raises(UnsupportedModelError, match="tokens see those behind them"):
        _trained(model, _loaders()[1])


@pytest.mark.parametrize(
    ("diverge_idx", "prefix"),
    [
        (2, None),
        (0, torch.tensor([1, 2])),
        (3, torch.tensor([1, 2])),
        (2, [1, 2]),
        (2, torch.tensor([0.5, 1.0])),
        (1, torch.tensor([[1]])),
    ],
)
def test_a_prefix_that_does_not_fit_is_refused(diverge_idx: int, prefix: Any) -> None:
    dataset = PromptDataset(*(_tokens(i, 2, 3) for i in range(4)))
    with pytest.raises(ArgumentError) as caught:
        PromptDataLoader(dataset, None, diverge_idx, prefix=prefix)
    assert caught.value.argument == "prefix"


def test_padded_prompts_have_no_common_prefix() -> None:
    mask = torch.tensor([[1, 1, 1], [0, 1, 1]])
    dataset = PromptDataset(*(_tokens(i, 2, 3) for i in range(4)), clean_attention_mask=mask)
    with pytest.raises(ArgumentError, match="prompt 1 is padded"):
        PromptDataLoader(dataset, None, 1, prefix=torch.tensor([1]))


def _file(folder: Path, prompts: list[tuple[list[int], list[int]]], **more: Any) -> Path:
    path = folder / "prompts.json"
    written = [
        {"clean": clean, "corrupt": corrupt, "answers": [1], "wrong_answers": [2]}
        for clean, corrupt in prompts
    ]
    path.write_text(json.dumps({"prompts": written, **more}))
    return path


def test_what_all_prompts_begin_with_is_taken_out_of_them(tmp_path: Path) -> None:
    """The second pair diverges later than all prompts together do."""
    path = _file(
        tmp_path,
        [([7, 8, 3, 4, 5], [7, 8, 3, 9, 5]), ([7, 8, 6, 4, 1], [7, 8, 6, 4, 2])],
        seq_labels=["a", "b", "c", "d", "e"],
        word_idxs={"name": 3},
    )
    train, test = load_datasets_from_json(
        None, path, prepend_bos=False, tail_divergence=True, train_test_size=(1, 1), shuffle=False
    )
    for loader in (train, test):
        assert loader.prefix is not None
        assert loader.prefix.tolist() == [7, 8]
        assert (loader.diverge_idx, loader.seq_len) == (2, 3)
        assert (loader.seq_labels, loader.word_idxs) == (["c", "d", "e"], {"name": 3})
    batch = next(iter(train))
    assert batch.clean.tolist() == [[3, 4, 5]]
    assert batch.prefix is train.prefix


def test_equal_prompts_keep_their_last_token(tmp_path: Path) -> None:
    path = _file(tmp_path, [([7, 8], [7, 8])])
    train, _ = load_datasets_from_json(
        None, path, prepend_bos=False, tail_divergence=True, train_test_size=(1, 0)
    )
    assert next(iter(train)).clean.tolist() == [[8]]


def test_without_a_common_token_nothing_is_taken_out(tmp_path: Path) -> None:
    path = _file(tmp_path, [([7, 8], [6, 8])])
    train, _ = load_datasets_from_json(
        None, path, prepend_bos=False, tail_divergence=True, train_test_size=(1, 0)
    )
    assert (train.prefix, train.diverge_idx) == (None, 0)
    assert next(iter(train)).clean.tolist() == [[7, 8]]


def test_a_prefix_is_looked_for_in_prompts_of_one_length_only(tmp_path: Path) -> None:
    path = _file(tmp_path, [([7, 8], [7, 8]), ([7, 8, 9], [7, 8, 9])])
    with pytest.raises(PromptFileError, match="tail_divergence=True"):
        load_datasets_from_json(
            None, path, prepend_bos=False, tail_divergence=True, train_test_size=(2, 0)
        )
