"""The tracr tasks: compiled models with outputs and circuits that are known exactly."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from itertools import product
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import sp_widget as sp
from sp_widget.graph.edge_graph import Edge
from sp_widget.tasks import Task
from sp_widget.types import PatchType
from tests.tasks.loaded import ASSETS, circuit_logits, prompts_of, script, task

X, REVERSE = "tracr-xproportion", "tracr-reverse"
FIXTURE = Path(__file__).parent / "fixtures" / "tracr_outputs.safetensors"


def vocabulary(name: str) -> dict[str, int]:
    metadata = json.loads((ASSETS / name / "metadata.json").read_text("utf-8"))
    ids: dict[str, int] = metadata["vocabulary"]
    return ids


def x_proportion(tokens: tuple[str, ...]) -> list[float]:
    """Share of x among the tokens so far, by counting along."""
    shares, count = [], 0
    for position, token in enumerate(tokens, start=1):
        count += token == "x"
        shares.append(float(Fraction(count, position)))
    return shares


def run_on_all_inputs(name: str, vocab: str) -> tuple[list[tuple[str, ...]], torch.Tensor]:
    """Every input of length 5 and the logits after BOS, `[inputs, 5, d_vocab_out]`."""
    ids = vocabulary(name)
    inputs = list(product(vocab, repeat=5))
    tokens = torch.tensor([[ids["BOS"], *(ids[token] for token in row)] for row in inputs])
    with torch.no_grad():
        return inputs, task(name).model(tokens)[:, 1:]


def test_x_proportion_returns_the_share_of_x_for_every_input() -> None:
    inputs, logits = run_on_all_inputs(X, "wxyz")
    wanted = torch.tensor([x_proportion(row) for row in inputs])
    assert len(inputs) == 1024
    torch.testing.assert_close(logits[..., 0], wanted, atol=1e-5, rtol=0)


def test_reverse_returns_every_input_backwards() -> None:
    inputs, logits = run_on_all_inputs(REVERSE, "123")
    ids = vocabulary(REVERSE)
    wanted = torch.tensor([[ids[token] for token in row[::-1]] for row in inputs])
    one_hot = torch.nn.functional.one_hot(wanted, 3).float()
    assert len(inputs) == 243
    torch.testing.assert_close(logits, one_hot, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", [X, REVERSE])
def test_logits_are_those_of_tracrs_own_model(name: str) -> None:
    tokens = torch.tensor([prompt["clean"] for prompt in prompts_of(name)["prompts"]])
    with torch.no_grad():
        logits = task(name).model(tokens)
    torch.testing.assert_close(logits, load_file(FIXTURE)[name], atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", [X, REVERSE])
def test_prompts_are_reproduced_from_the_seed(name: str) -> None:
    module = script("make_tracr")
    (made,) = (made for made in module.TASKS if made.name == name)
    # As JSON reads it: 1 and 1.0 are not the same there.
    again = json.dumps(module.make_prompts(made, vocabulary(name)))
    assert again == json.dumps(prompts_of(name))


def test_answers_of_x_proportion_are_the_shares() -> None:
    tokens = {index: token for token, index in vocabulary(X).items()}
    for prompt in prompts_of(X)["prompts"]:
        for text, answers in (("clean", "answers"), ("corrupt", "wrong_answers")):
            row = tuple(tokens[index] for index in prompt[text][1:])
            assert prompt[answers] == [[share] for share in x_proportion(row)]


def test_answers_of_reverse_are_the_tokens_backwards() -> None:
    for prompt in prompts_of(REVERSE)["prompts"]:
        for text, answers in (("clean", "answers"), ("corrupt", "wrong_answers")):
            assert prompt[answers] == [[index] for index in reversed(prompt[text][1:])]


@pytest.mark.parametrize("name", [X, REVERSE])
def test_corrupt_prompts_do_not_give_the_answer(name: str) -> None:
    """Each is another input; in reverse, another input always has another answer."""
    prompts = prompts_of(name)["prompts"]
    assert all(prompt["clean"] != prompt["corrupt"] for prompt in prompts)
    same = sum(prompt["answers"] == prompt["wrong_answers"] for prompt in prompts)
    assert same <= {X: 0.1, REVERSE: 0}[name] * len(prompts)


def named(loaded: Task, names: set[str], positions: set[int]) -> set[Edge]:
    return {edge for edge in loaded.model.edges if edge.name in names and edge.seq_idx in positions}


def test_official_edges_of_x_proportion() -> None:
    names = {"Resid Start->MLP 0", "MLP 0->A1.0.V", "A1.0->Resid End"}
    assert task(X).official_edges == named(task(X), names, {1, 2, 3, 4, 5})


def test_official_edges_of_reverse() -> None:
    names = {"Resid Start->A3.0.V", "A3.0->Resid End"}
    assert task(REVERSE).official_edges == named(task(REVERSE), names, {1, 2, 4, 5})


def clean_logits(loaded: Task) -> torch.Tensor:
    with torch.no_grad():
        return torch.cat([loaded.model(batch.clean)[:, 1:] for batch in loaded.test_loader])


@pytest.mark.parametrize("patch_type", list(PatchType))
def test_the_official_circuit_of_x_proportion_computes_the_answer(patch_type: PatchType) -> None:
    loaded = task(X)
    assert loaded.official_edges is not None
    circuit = circuit_logits(loaded, loaded.official_edges, patch_type)
    torch.testing.assert_close(circuit, clean_logits(loaded), atol=1e-5, rtol=0)


@pytest.mark.parametrize("patch_type", list(PatchType))
def test_the_published_circuit_of_reverse_lacks_the_middle(patch_type: PatchType) -> None:
    """Right at positions 1, 2, 4 and 5; the corrupt prompt's token at 3."""
    loaded = task(REVERSE)
    assert loaded.official_edges is not None
    circuit = circuit_logits(loaded, loaded.official_edges, patch_type)
    kept = [0, 1, 3, 4]
    torch.testing.assert_close(circuit[:, kept], clean_logits(loaded)[:, kept], atol=1e-5, rtol=0)
    corrupt = torch.cat([batch.corrupt for batch in loaded.test_loader])
    assert torch.equal(circuit[:, 2].argmax(dim=-1), corrupt[:, 3])


@pytest.mark.parametrize("patch_type", list(PatchType))
def test_with_the_middle_the_circuit_of_reverse_computes_the_answer(
    patch_type: PatchType,
) -> None:
    loaded = task(REVERSE)
    names = {"Resid Start->A3.0.V", "A3.0->Resid End"}
    circuit = circuit_logits(loaded, named(loaded, names, {1, 2, 3, 4, 5}), patch_type)
    torch.testing.assert_close(circuit, clean_logits(loaded), atol=1e-5, rtol=0)


def test_probing_finds_the_circuit_of_x_proportion() -> None:
    """In half of the recommended epochs, like the next one."""
    loaded = task(X)
    assert loaded.official_edges is not None
    config = replace(loaded.config, seed=0, epochs=25)
    scores = sp.SubnetworkProbing(loaded.model, loaded.train_loader, config).run(progress=False)
    assert sp.auroc(loaded.model, scores, loaded.official_edges) == 1.0


def test_probing_finds_the_circuit_of_reverse_with_its_middle() -> None:
    """0.997 to 0.999 is what the reference reaches against the published list."""
    loaded = task(REVERSE)
    assert loaded.official_edges is not None
    config = replace(loaded.config, seed=0, epochs=25)
    scores = sp.SubnetworkProbing(loaded.model, loaded.train_loader, config).run(progress=False)
    names = {"Resid Start->A3.0.V", "A3.0->Resid End"}
    assert sp.auroc(loaded.model, scores, named(loaded, names, {1, 2, 3, 4, 5})) == 1.0
    assert sp.auroc(loaded.model, scores, loaded.official_edges) >= 0.997
