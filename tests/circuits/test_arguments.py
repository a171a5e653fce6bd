"""Wrong arguments are refused by name before anything runs, never by torch from inside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy
import pytest
import torch
from torch.utils.data import Subset

from sp_widget.circuits.ablations import src_ablations
from sp_widget.circuits.check_model import check_model
from sp_widget.circuits.run_circuits import run_circuits
from sp_widget.circuits.scores import PruneScores, top_edges
from sp_widget.data.prompts import PromptDataLoader, PromptDataset
from sp_widget.engine.patchable_model import PatchableModel, patch_mode, patchable_model
from sp_widget.errors import ArgumentError
from sp_widget.evaluation.roc import auroc
from sp_widget.methods.subnetwork_probing.trainer import SubnetworkProbing
from sp_widget.types import AblationType
from tests import model_kinds

N_VOCAB, N_CTX = model_kinds.N_VOCAB, 16


def _model(**changes: Any) -> PatchableModel:
    return patchable_model(model_kinds.bridge("gpt2"), **changes)


def _loader(token: int = 1, answer: int = 1, length: int = 6, prefix: int = 0) -> PromptDataLoader:
    tokens = torch.ones(2, length, dtype=torch.long)
    tokens[1, 2] = token
    answers = torch.tensor([[1], [answer]])
    return PromptDataLoader(
        PromptDataset(tokens, tokens, answers, answers),
        None,
        prefix,
        batch_size=2,
        prefix=torch.ones(prefix, dtype=torch.long) if prefix else None,
    )


def _refused(action: Callable[[], object], *arguments: str) -> ArgumentError:
    with pytest.raises(ArgumentError) as error:
        action()
    assert error.value.argument in arguments
    assert len(str(error.value)) < 500
    return error.value


# --- prompts ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "loader",
    [
        _loader(token=N_VOCAB),
        _loader(answer=N_VOCAB),
        _loader(length=N_CTX + 1),
        _loader(length=N_CTX - 2, prefix=3),
        None,
        [1, 2],
        PromptDataLoader(Subset(_loader().dataset, [])),
    ],
    ids=["token", "answer", "length", "prefix", "none", "list", "empty"],
)
def test_prompts_that_the_model_cannot_take_are_refused_everywhere(loader: Any) -> None:
    model = _model()
    scores = model.new_prune_scores()
    name = ("dataloader", "sample")
    _refused(lambda: SubnetworkProbing(model, loader), *name)
    if loader is not None:
        held_out = "validation_dataloader"
        _refused(lambda: SubnetworkProbing(model, _loader(), None, loader), held_out)
    _refused(lambda: run_circuits(model, loader, [1], scores), *name)
    _refused(lambda: check_model(model, loader), *name)
    _refused(lambda: src_ablations(model, loader, AblationType.TOKENWISE_MEAN_CLEAN), *name)


def test_prompts_of_the_longest_length_and_highest_ids_are_taken() -> None:
    for loader in (
        _loader(token=N_VOCAB - 1, answer=N_VOCAB - 1),
        _loader(length=N_CTX),
        _loader(length=N_CTX - 3, prefix=3),
    ):
        SubnetworkProbing(_model(), loader).step()


def test_prompts_that_a_subset_leaves_out_do_not_count() -> None:
    loader = PromptDataLoader(Subset(Subset(_loader(token=N_VOCAB).dataset, [1, 0]), [1]))
    SubnetworkProbing(_model(), loader).step()


def test_prompts_for_edges_of_another_length_are_refused() -> None:
    model = _model(seq_len=5)
    for action in (
        lambda: SubnetworkProbing(model, _loader()),
        lambda: run_circuits(model, _loader(), [1], model.new_prune_scores()),
    ):
        _refused(action, "seq_len")


@pytest.mark.parametrize(
    "tokens",
    [
        None,
        [[1, 2]],
        "text",
        torch.ones(3, dtype=torch.long),
        torch.ones(1, 0, dtype=torch.long),
        torch.ones(1, 3),
        torch.full((1, 3), -1),
        torch.full((1, 3), N_VOCAB),
        torch.ones(1, N_CTX + 1, dtype=torch.long),
        numpy.ones((1, 3), dtype=int),
    ],
    ids=repr,
)
def test_tokens_that_the_model_cannot_take_are_refused(tokens: Any) -> None:
    model = _model()
    _refused(lambda: model(tokens), "tokens")
    _refused(lambda: src_ablations(model, tokens), "sample")
    with patch_mode(model, torch.zeros(11, 1, 3, 32)):
        _refused(lambda: model(tokens), "tokens")


@pytest.mark.parametrize("kind", ["native-gqa-rotary", "gpt-j", "opt"])
def test_the_context_ends_where_the_models_tables_do(kind: str) -> None:
    model = patchable_model(model_kinds.bridge(kind))
    n_ctx = int(model.cfg.n_ctx)
    model(torch.ones(1, n_ctx, dtype=torch.long))
    _refused(lambda: model(torch.ones(1, n_ctx + 1, dtype=torch.long)), "tokens")


def test_rotations_without_a_table_go_on_beyond_the_context() -> None:
    model = patchable_model(model_kinds.bridge("llama"))
    assert model(torch.ones(1, int(model.cfg.n_ctx) + 1, dtype=torch.long)).isfinite().all()


@pytest.mark.parametrize("mask", [[1, 1, 1], torch.ones(1, 2), "x"])
def test_attention_masks_of_another_shape_are_refused(mask: Any) -> None:
    tokens = torch.ones(1, 3, dtype=torch.long)
    _refused(lambda: _model()(tokens, mask), "attention_mask")


@pytest.mark.parametrize("prefix", [[1], torch.ones(1, 1), torch.tensor([N_VOCAB]), 3])
def test_prefixes_that_are_none_are_refused(prefix: Any) -> None:
    tokens = torch.ones(1, 3, dtype=torch.long)
    _refused(lambda: _model()(tokens, prefix=prefix), "prefix")


# --- scores and numbers of edges ----------------------------------------------------------------


def _one_module_less(model: PatchableModel) -> Any:
    scores = model.new_prune_scores()
    scores.popitem()
    return scores


def _with_nan(model: PatchableModel) -> Any:
    scores = model.new_prune_scores()
    scores["blocks.1.hook_mlp_in"][2] = torch.nan
    return scores


@pytest.mark.parametrize(
    "wrong",
    [
        lambda model: None,
        lambda model: [1.0, 2.0],
        lambda model: {},
        lambda model: {name: score.tolist() for name, score in model.new_prune_scores().items()},
        lambda model: patchable_model(model_kinds.bridge("llama")).new_prune_scores(),
        lambda model: _model(seq_len=6).new_prune_scores(),
        _one_module_less,
        _with_nan,
    ],
)
def test_what_are_no_scores_of_the_model_is_refused(wrong: Callable[[PatchableModel], Any]) -> None:
    model = _model()
    scores = wrong(model)
    for action in (
        lambda: run_circuits(model, _loader(), [1], scores),
        lambda: PruneScores(scores, model.graph),
        lambda: auroc(model, scores, list(model.edges)[:2]),
    ):
        with pytest.raises(ArgumentError) as error:
            action()
        assert error.value.argument.split("[")[0] in ("prune_scores", "scores")


@pytest.mark.parametrize(
    "count", [-1, 1.5, True, None, "3", 10**9, numpy.array([1]), torch.ones(1)]
)
def test_what_is_no_number_of_edges_is_refused(count: Any) -> None:
    model = _model()
    scores = PruneScores(model.new_prune_scores(), model.graph)
    _refused(lambda: top_edges(scores, count), "n_edges")
    _refused(lambda: run_circuits(model, _loader(), [1, count], scores), "test_edge_counts")
    if count != 10**9:  # of fewer edges all are the top
        _refused(lambda: scores.top(count), "n_edges")
        _refused(lambda: scores.to_networkx(count), "n_edges")


@pytest.mark.parametrize("counts", [None, 3, "12"])
def test_numbers_of_edges_come_as_a_list(counts: Any) -> None:
    model = _model()
    _refused(
        lambda: run_circuits(model, _loader(), counts, model.new_prune_scores()), "test_edge_counts"
    )


def test_no_numbers_of_edges_give_no_outputs() -> None:
    model = _model()
    assert run_circuits(model, _loader(), [], model.new_prune_scores()) == {}


@pytest.mark.parametrize("word", [None, "EDGE_PATCH", 1, numpy.ones(2)])
def test_what_is_no_kind_of_patch_or_ablation_is_refused(word: Any) -> None:
    model = _model()
    scores = model.new_prune_scores()
    _refused(lambda: run_circuits(model, _loader(), [1], scores, word), "patch_type")
    _refused(
        lambda: run_circuits(model, _loader(), [1], scores, ablation_type=word), "ablation_type"
    )
    _refused(lambda: src_ablations(model, _loader(), word), "ablation_type")


@pytest.mark.parametrize("edges", [5, "MLP 0->MLP 1", ["MLP 9->MLP 1"], [1], None])
def test_what_are_no_official_edges_is_refused(edges: Any) -> None:
    model = _model()
    _refused(lambda: auroc(model, model.new_prune_scores(), edges), "official_edges")


# --- patch_mode and patchable_model -------------------------------------------------------------


def _enter(model: Any, *arguments: Any) -> None:
    with patch_mode(model, *arguments):
        pass


@pytest.mark.parametrize(
    "patch",
    [
        None,
        [1.0],
        torch.zeros(11, 1, 3),
        torch.zeros(11, 1, 3, 31),
        torch.zeros(12, 1, 3, 32),
        torch.zeros(11, 1, 3, 32, dtype=torch.long),
        numpy.zeros((11, 1, 3, 32)),
    ],
    ids=lambda patch: str(getattr(patch, "shape", patch)),
)
def test_what_are_no_patch_activations_is_refused(patch: Any) -> None:
    model = _model()
    _refused(lambda: _enter(model, patch), "patch_src_outs")
    _refused(lambda: _enter(model.wrapped_model, patch), "model")


@pytest.mark.parametrize(
    "edges", ["MLP 0->MLP 1", ["MLP 0->MLP 7"], ["0:MLP 0->MLP 1"], 5, [None], [1]]
)
def test_what_are_no_edges_of_the_model_is_refused(edges: Any) -> None:
    model = _model()
    before = model.patch_masks
    _refused(lambda: _enter(model, torch.zeros(11, 1, 3, 32), edges), "edges")
    assert model.patch_masks is before


@pytest.mark.parametrize("device", ["nope", "cuda:99", 5, "meta", ["cpu"]])
def test_devices_that_are_not_there_are_refused(device: Any) -> None:
    _refused(lambda: _model(device=device), "device")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_cuda_is_refused_where_there_is_none() -> None:
    _refused(lambda: _model(device="cuda"), "device")


@pytest.mark.parametrize("value", ["first", 3, ["last_seq"], numpy.array(["last_seq", "x"])])
def test_what_is_no_slice_of_the_output_is_refused(value: Any) -> None:
    _refused(lambda: _model(slice_output=value), "slice_output")


@pytest.mark.parametrize("model", [None, 3, "gpt2", torch.nn.Linear(2, 2)])
def test_what_is_no_model_is_refused(model: Any) -> None:
    _refused(lambda: patchable_model(model), "model")
    _refused(lambda: SubnetworkProbing(model, _loader()), "model")
    _refused(lambda: run_circuits(model, _loader(), [1], {}), "model")
    _refused(lambda: src_ablations(model, torch.ones(1, 3, dtype=torch.long)), "model")


def test_a_bad_value_for_new_scores_is_refused() -> None:
    for value in (None, "0", True, torch.ones(2)):
        _refused(lambda value=value: _model().new_prune_scores(value), "init_val")


def test_refusals_leave_the_model_as_it_was() -> None:
    bridge = model_kinds.new_bridge("gpt2")
    model = patchable_model(bridge)
    for tokens in (torch.full((1, 3), N_VOCAB), torch.ones(1, 3)):
        with pytest.raises(ArgumentError):
            model(tokens)
    SubnetworkProbing(model, _loader()).step()
