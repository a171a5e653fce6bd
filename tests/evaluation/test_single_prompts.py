"""What is said of single prompts: predictions, a node's attention and output, the worst prompts."""

from __future__ import annotations

from functools import cache
from itertools import combinations
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import sp_widget as sp
from sp_widget.data.token_text import prompt_text, token_text
from sp_widget.errors import ArgumentError
from sp_widget.evaluation.node_on_prompt import find_node, node_names
from sp_widget.evaluation.per_prompt import PromptLoss, _tail, in_common
from sp_widget.evaluation.prompt_pair import pair_at, typed_pair
from sp_widget.types import PatchType
from tests import model_kinds

N_EDGES = 40


@cache
def _model(kind: str = "llama", **settings: Any) -> sp.PatchableModel:
    return sp.patchable_model(model_kinds.bridge(kind), **settings)


@cache
def _float64(kind: str) -> sp.PatchableModel:
    return sp.patchable_model(nn.Module.to(model_kinds.new_bridge(kind), torch.float64))


def _scores(model: sp.PatchableModel) -> sp.PruneScores:
    return sp.random_prune_scores(model, model_kinds.dataloader(), seed=1)


def _slow_logits(
    model: sp.PatchableModel, pair: sp.PromptPair, patch_type: PatchType, zero: bool = False
) -> Tensor:
    """Of the circuit, by `patch_mode`, at the last position."""
    circuit = {edge for edge, _ in _scores(model).top(N_EDGES)}
    tree = patch_type is PatchType.TREE_PATCH
    run, other = (pair.clean, pair.corrupt) if tree else (pair.corrupt, pair.clean)
    kind = sp.AblationType.ZERO if zero else sp.AblationType.RESAMPLE
    patch = sp.src_ablations(model, other[None], kind)
    patched = model.edges - circuit if tree else circuit
    with torch.no_grad(), sp.patch_mode(model, patch, edges=patched):
        return model(run[None])[0, -1]


@pytest.mark.parametrize("patch_type", PatchType)
def test_predictions_are_the_most_probable_tokens_of_each_run(patch_type: PatchType) -> None:
    model = _model()
    pair = model_kinds.dataloader().dataset[2]
    found = sp.predictions(model, pair, _scores(model), N_EDGES, patch_type=patch_type)
    with torch.no_grad():
        clean, corrupt = (model(row[None])[0, -1] for row in (pair.clean, pair.corrupt))
    inside = _slow_logits(model, pair, patch_type)
    runs = ((found.whole_model, clean), (found.circuit, inside), (found.corrupt_run, corrupt))
    for predicted, logits in runs:
        probability = logits.softmax(-1)
        order = probability.argsort(descending=True)[:5].tolist()
        assert [each.token for each in predicted] == order
        assert [each.text for each in predicted] == [
            {0: "<s>", 1: "</s>", 2: "<unk>"}.get(token, f"w{token}") for token in order
        ]
        expected = pytest.approx(probability[order].tolist(), abs=1e-5)
        assert [each.probability for each in predicted] == expected
    p, q = clean.softmax(-1), inside.softmax(-1)
    assert found.kl_div == pytest.approx(float((p * (p / q).log()).sum()), abs=1e-5)
    assert [each.differs for each in found.tokens] == (pair.clean != pair.corrupt).tolist()
    frame = found.frame
    assert list(frame["run"].unique()) == ["whole model", "circuit", "corrupt run"]
    assert frame["answer"].tolist() == [token in pair.answers for token in frame["token"]]
    assert "whole model" in repr(found)

    by_hand = [edge for edge, _ in _scores(model).top(N_EDGES)]
    again = sp.predictions(model, pair, by_hand, patch_type=patch_type)
    assert (again.circuit, again.n_edges) == (found.circuit, N_EDGES)


def test_all_edges_are_the_whole_model_and_none_the_corrupt_run() -> None:
    model = _model()
    pair = model_kinds.dataloader().dataset[0]
    scores = _scores(model)
    for n_edges, same in ((model.n_edges, "whole_model"), (0, "corrupt_run")):
        found = sp.predictions(model, pair, scores, n_edges)
        expected = getattr(found, same)
        assert [each.token for each in found.circuit] == [each.token for each in expected]
    everything = sp.predictions(model, pair, scores, model.n_edges)
    assert everything.kl_div == pytest.approx(0, abs=1e-6)


def test_typed_prompts_are_those_of_a_file_and_are_refused_in_words() -> None:
    model = _model()
    pair = typed_pair(model, "w5 w6 w7", "w5 w9 w7")
    assert pair.clean.tolist() == [0, 5, 6, 7]
    assert pair.corrupt.tolist() == [0, 5, 9, 7]
    bare = typed_pair(model, "<s> w5 w6", "w5 w9", prepend_bos=True)
    assert (bare.clean.tolist(), bare.corrupt.tolist()) == ([0, 5, 6], [0, 5, 9])
    whole = sp.predictions(model, ("w5 w6 w7", "w5 w9 w7"), _scores(model), N_EDGES)
    assert "".join(each.clean for each in whole.tokens) == "<s>w5w6w7"

    without = _model("native-ln")
    assert without.tokenizer is None
    assert typed_pair(without, " 5  6", "5 7").clean.tolist() == [5, 6]
    shown = sp.predictions(without, ("5 6", "5 7"), _scores(without), N_EDGES)
    assert [each.corrupt for each in shown.tokens] == ["5", "7"]

    at_positions = _model("llama", seq_len=model_kinds.N_TOKENS)
    for refused, clean, corrupt, argument, words in (
        (model, "w5 w6", "w5", "corrupt", "as many tokens as the clean prompt has, 3, got 2"),
        (model, "", "w5", "clean", "at least one token"),
        (model, "w5", "w5 rabbit", "corrupt", "words that the tokenizer knows, got 'rabbit'"),
        (model, "w5", "\ud800", "corrupt", "letters are whole"),
        (without, "five", "5", "clean", "token ids with spaces between them"),
        (without, "5", "50", "corrupt", "token ids from 0 to 49"),
        (without, "1 " * 17, "1 " * 17, "clean", "at most 16 tokens"),
        (at_positions, "w5 w6", "w5 w7", "clean", "prompts of 6 tokens"),
    ):
        with pytest.raises(ArgumentError, match=words) as error:
            typed_pair(refused, clean, corrupt)
        assert error.value.argument == argument
    for pair in (5, ("w5",), ("w5", 6)):
        with pytest.raises(ArgumentError):
            sp.predictions(model, pair, _scores(model), N_EDGES)  # type: ignore[arg-type]


def test_the_logit_lens_of_all_that_is_written_is_the_logits() -> None:
    """A closed form: the parts of the last stream and the biases sum to the logits."""
    for kind in ("gpt2", "llama", "opt", "gemma", "neox-parallel", "native-rms", "native-no-norm"):
        model = _float64(kind)
        engine, unembed = model.engine, model.engine.architecture.unembed
        inputs, logits = engine.architecture.run_inputs(
            model_kinds.dataloader().dataset[0].clean[None]
        )
        sources, reads, _ = engine.plain(inputs)
        end = reads[-1]
        with torch.no_grad():
            parts = sum(unembed.of_part(source, end) for source in sources)
            biases = end - sources.sum(0)
            nothing = torch.zeros_like(end)
            norm_bias = nothing if unembed.norm.bias is None else nothing + unembed.norm.bias
            total = parts + unembed.of_part(biases, end) + unembed.project(norm_bias)
        torch.testing.assert_close(total, logits, rtol=1e-5, atol=1e-5)


def test_a_head_attends_and_writes_as_the_definition_says() -> None:
    model = _model()
    loader = model_kinds.dataloader()
    pair, scores = loader.dataset[1], _scores(model)
    n_edges = 75
    found = sp.look_into(model, "A1.3", pair, scores, n_edges)
    _, cache = model.wrapped_model.run_with_cache(pair.clean[None])
    assert found.whole_model.pattern is not None
    torch.testing.assert_close(
        found.whole_model.pattern, cache["blocks.1.attn.hook_pattern"][0, 3], rtol=0, atol=1e-5
    )
    assert found.circuit.pattern is not None
    assert found.circuit.pattern.shape == (model_kinds.N_TOKENS, model_kinds.N_TOKENS)
    # Its output by hand: through the norm of the last stream, without the mean over all tokens.
    engine = model.engine
    inputs, _ = engine.architecture.run_inputs(pair.clean[None])
    sources, reads, _ = engine.plain(inputs)
    (source,) = [src for src in model.srcs if src.name == "A1.3"]
    end, written = reads[-1][0, -1], sources[source.src_idx][0, -1]
    norm = engine.architecture.unembed.norm
    assert norm.kind == "rms"
    assert norm.weight is not None
    normed = norm.weight * written / (end.square().mean() + norm.eps).sqrt()
    logits = normed @ model.wrapped_model.W_U
    logits = logits - logits.mean()
    order = logits.argsort(descending=True).tolist()
    assert [each.token for each in found.whole_model.up] == order[:5]
    assert [each.token for each in found.whole_model.down] == order[:-6:-1]
    assert found.whole_model.up[0].logit == pytest.approx(logits[order[0]].item(), abs=1e-4)

    # Two heads share keys and values.
    ranked = [edge for edge, _ in scores.top(model.n_edges)]
    into = {"A1.3.Q", "A1.1.K", "A1.1.V"}
    expected = [
        (repr(edge), "out" if edge.src.name == "A1.3" else "in", rank)
        for rank, edge in enumerate(ranked[:n_edges], start=1)
        if edge.src.name == "A1.3" or edge.dest.name in into
    ]
    assert [(each.edge, each.direction, each.rank) for each in found.edges] == expected
    assert {each.direction for each in found.edges} == {"in", "out"}
    assert set(found.frame["direction"]) == {"up", "down"}
    assert len(found.pattern_frame) == 2 * model_kinds.N_TOKENS**2
    assert len(found.edge_frame) == len(expected)
    assert "A1.3" in repr(found)

    mlp = sp.look_into(model, "MLP 0", pair, scores, N_EDGES)
    assert mlp.whole_model.pattern is None
    assert mlp.pattern_frame.empty
    assert len(mlp.circuit.up) == 5


def test_nodes_are_found_by_the_names_that_the_circuit_view_has() -> None:
    llama, gemma, bare = _model(), _model("gemma2"), _model("native-attention-only")
    for model, name, expected in (
        (llama, "A1.2", "A1.2"),
        (llama, "3:A1.2.Q", "A1.2"),
        (llama, "A1.1.K", "A1.2"),
        (llama, "MLP 1", "MLP 1"),
        (gemma, "A1", "A1"),
        (gemma, "A1.2", "A1.2"),
    ):
        assert find_node(model, name).name == expected
    for model, name in (
        (llama, "A1"), (llama, "A2.0"), (llama, "A1.4"), (llama, "Resid End"), (llama, ""),
        (llama, "A1.2.V"), (bare, "MLP 0"), (llama, "MLP 0.Q"), (llama, 5),
    ):  # fmt: skip
        with pytest.raises(ArgumentError, match="a head"):
            find_node(model, name)
    assert node_names(bare)[:5] == ["A0.0", "A0.1", "A0.2", "A0.3", "A1.0"]
    pair = model_kinds.dataloader().dataset[0]
    together = sp.look_into(gemma, "A1", pair, _scores(gemma), N_EDGES)
    head = sp.look_into(gemma, "A1.2", pair, _scores(gemma), N_EDGES)
    # A norm mixes the heads: only together do they write.
    assert together.whole_model.pattern is None
    assert head.whole_model.pattern is not None
    assert head.whole_model.up == together.whole_model.up


def test_a_prefix_and_padding_change_nothing_but_their_place() -> None:
    model = _model("gpt2")
    draw = torch.Generator().manual_seed(5)
    prefix, clean, corrupt = (
        torch.randint(model_kinds.N_VOCAB, (n,), generator=draw) for n in (2, 4, 4)
    )
    one = torch.tensor([[3]])
    whole = sp.PromptDataset(
        torch.cat((prefix, clean))[None], torch.cat((prefix, corrupt))[None], one, one
    )
    tails = sp.PromptDataset(clean[None], corrupt[None], one, one)
    pad = torch.tensor([7, 8])
    mask = torch.tensor([[0, 0, 1, 1, 1, 1, 1, 1]])
    padded = sp.PromptDataset(
        *(torch.cat((pad, *rows))[None] for rows in ((prefix, clean), (prefix, corrupt))),
        one, one, clean_attention_mask=mask, corrupt_attention_mask=mask,
    )  # fmt: skip
    loaders = (
        sp.PromptDataLoader(whole),
        sp.PromptDataLoader(tails, diverge_idx=2, prefix=prefix),
        sp.PromptDataLoader(padded),
    )
    scores = _scores(model)
    seen = [
        (
            sp.predictions(model, pair_at(loader, 0), scores, N_EDGES),
            sp.look_into(model, "A1.0", pair_at(loader, 0), scores, N_EDGES),
            sp.per_prompt(model, loader, scores, N_EDGES).prompts[0],
        )
        for loader in loaders
    ]
    (predicted, node, lost), *others = seen
    assert node.circuit.pattern is not None
    for other_predicted, other_node, other_lost in others:
        assert other_predicted.tokens == predicted.tokens
        assert other_predicted.kl_div == pytest.approx(predicted.kl_div, abs=1e-5)
        assert other_lost.loss == pytest.approx(lost.loss, abs=1e-5)
        assert (other_lost.clean, other_lost.corrupt) == (lost.clean, lost.corrupt)
        assert other_node.circuit.tokens == node.circuit.tokens
        assert other_node.circuit.pattern is not None
        rows = len(other_node.circuit.pattern)
        torch.testing.assert_close(
            other_node.circuit.pattern, node.circuit.pattern[-rows:], rtol=0, atol=1e-5
        )
    assert len(others[0][1].pattern_frame) == 2 * 4 * 6


@pytest.mark.parametrize("patch_type", PatchType)
def test_the_loss_of_each_prompt_is_its_kl_divergence_and_their_mean_that_of_evaluate(
    patch_type: PatchType,
) -> None:
    model, loader = _model(), model_kinds.dataloader()
    scores = _scores(model)
    found = sp.per_prompt(model, loader, scores, N_EDGES, patch_type=patch_type)
    losses = [each.loss for each in found.prompts]
    assert losses == sorted(losses, reverse=True)
    for each in found.prompts:
        pair = loader.dataset[each.place]
        with torch.no_grad():
            p = model(pair.clean[None])[0, -1].softmax(-1)
        q = _slow_logits(model, pair, patch_type).softmax(-1)
        assert each.loss == pytest.approx(float((p * (p / q).log()).sum()), abs=1e-5)
        assert each.clean == prompt_text(model.tokenizer, pair.clean.tolist())
        assert each.answers == (token_text(model.tokenizer, int(pair.answers[0])),)
    evaluation = sp.evaluate(
        model, loader, scores, [N_EDGES], random=0, patch_type=patch_type, progress=False
    )
    mean = sum(losses) / len(losses)
    assert dict(evaluation.curve("kl_div"))[N_EDGES] == pytest.approx(mean, abs=1e-6)
    assert found.frame["prompt"].tolist() == [each.place for each in found.prompts]
    assert "worst first" in repr(found)


def test_answers_that_are_values_have_errors_and_no_predictions() -> None:
    model = _model("native-ln")
    draw = torch.Generator().manual_seed(0)
    tokens = torch.randint(model_kinds.N_VOCAB, (2, 4, 6), generator=draw)
    targets = torch.randn(4, model_kinds.N_VOCAB, generator=draw)
    loader = sp.PromptDataLoader(sp.PromptDataset(*tokens, targets, targets))
    found = sp.per_prompt(model, loader, _scores(model), model.n_edges)
    with torch.no_grad():
        expected = (model(tokens[0])[:, -1] - targets).square().mean(-1)
    for each in found.prompts:
        assert each.loss == pytest.approx(expected[each.place].item(), rel=1e-4)
    assert (found.metric, found.prompts[0].answers) == ("mse", ())
    with pytest.raises(ArgumentError, match="answers are tokens"):
        sp.predictions(model, loader.dataset[0], _scores(model), N_EDGES)


def test_a_mean_over_the_dataset_needs_the_dataset() -> None:
    model, loader = _model(), model_kinds.dataloader()
    kind = sp.AblationType.TOKENWISE_MEAN_CORRUPT
    pair, scores = loader.dataset[0], _scores(model)
    with pytest.raises(ArgumentError, match="dataloader"):
        sp.predictions(model, pair, scores, N_EDGES, ablation_type=kind)
    found = sp.predictions(model, pair, scores, N_EDGES, ablation_type=kind, dataloader=loader)
    listed = sp.per_prompt(model, loader, scores, N_EDGES, ablation_type=kind)
    (own,) = [each for each in listed.prompts if each.place == 0]
    assert found.kl_div == pytest.approx(own.loss, abs=1e-5)


def _losses(answers: list[str], bad: list[bool]) -> list[PromptLoss]:
    """Prompts whose losses are large where they are bad, the worst first."""
    found = [
        PromptLoss(
            place=place, clean="", corrupt="", answers=(answer,), wrong_answers=(),
            words=(("IO", answer, answer), ("end", " to", " to")), loss=1.0 + is_bad + place / 1000,
        )
        for place, (answer, is_bad) in enumerate(zip(answers, bad, strict=True))
    ]  # fmt: skip
    return sorted(found, key=lambda each: -each.loss)


def test_what_the_worst_prompts_have_in_common_is_said_only_if_it_is_not_by_chance() -> None:
    names = [" Tom", " Mary", " John", " Ann"] * 10
    planted = in_common(_losses(names, [name == " Tom" for name in names]))
    assert planted[1] == "10 of the 10 worst have ' Tom' as answer and IO, 10 of all 40 do."
    assert len(planted) == 2
    spread = in_common(_losses(names, [place < 10 for place in range(40)]))
    assert spread[1:] == (
        "No answer and no named word is more frequent among them than chance explains.",
    )
    assert spread[0] == "The 10 worst prompts lose 2 on average, all 40 lose 1.27."
    assert in_common(_losses(names[:7], [True] * 7)) == ()


def test_the_chance_is_that_of_drawing_without_putting_back() -> None:
    n, having, drawn = 9, 4, 3
    draws = list(combinations(range(n), drawn))
    for at_least in range(drawn + 1):
        hits = sum(sum(each < having for each in draw) >= at_least for draw in draws)
        assert _tail(n, having, drawn, at_least) == pytest.approx(hits / len(draws))
