"""The tracr tasks: compiled models with outputs and circuits that are known exactly."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import sp_widget as sp
from sp_widget.graph.edge_graph import Edge
from sp_widget.tasks import Task
from sp_widget.types import PatchType
from tests.tasks.loaded import ASSETS, circuit_logits, prompts_of, script, task

X, REVERSE = "tracr-xproportion", "tracr-reverse"
SORT, HISTOGRAM, BALANCE = "tracr-sort", "tracr-histogram", "tracr-pair-balance"
ALL = (X, REVERSE, SORT, HISTOGRAM, BALANCE)
FIXTURE = Path(__file__).parent / "fixtures" / "tracr_outputs.safetensors"


def metadata_of(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((ASSETS / name / "metadata.json").read_text("utf-8"))
    return content


def vocabulary(name: str) -> dict[str, int]:
    ids: dict[str, int] = metadata_of(name)["vocabulary"]
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


@pytest.mark.parametrize("name", ALL)
def test_logits_are_those_of_tracrs_own_model(name: str) -> None:
    tokens = torch.tensor([prompt["clean"] for prompt in prompts_of(name)["prompts"]])
    with torch.no_grad():
        logits = task(name).model(tokens)
    torch.testing.assert_close(logits, load_file(FIXTURE)[name], atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ALL)
def test_prompts_are_reproduced_from_the_seed(name: str) -> None:
    module = script("make_tracr")
    (made,) = (made for made in module.TASKS if made.name == name)
    # As JSON reads it: 1 and 1.0 are not the same there.
    made_again = module.make_prompts(made, vocabulary(name), metadata_of(name)["outputs"])
    again = json.dumps(made_again)
    assert again == json.dumps(prompts_of(name))


def sort_by_counting(tokens: tuple[str, ...]) -> list[int]:
    """Token values in ascending order: as many of each as there are."""
    return [value for value in (1, 2, 3) for _ in range(tokens.count(str(value)))]


def pairwise_counts(tokens: tuple[str, ...]) -> list[int]:
    """How many tokens are equal to each token, itself included."""
    return [sum(one == other for other in tokens) for one in tokens]


def running_balance(tokens: tuple[str, ...]) -> list[float]:
    """Brackets opened minus brackets closed, per token so far."""
    balance, depth = [], 0
    for position, token in enumerate(tokens, start=1):
        depth += {"(": 1, ")": -1}.get(token, 0)
        balance.append(float(Fraction(depth, position)))
    return balance


@pytest.mark.parametrize(
    ("name", "vocab", "program"),
    [(SORT, "123", sort_by_counting), (HISTOGRAM, "abcd", pairwise_counts)],
)
def test_the_logits_are_one_at_the_programs_output_and_zero_elsewhere(
    name: str, vocab: str, program: Callable[[tuple[str, ...]], list[int]]
) -> None:
    inputs, logits = run_on_all_inputs(name, vocab)
    index = metadata_of(name)["outputs"]
    wanted = torch.tensor([[index[str(output)] for output in program(row)] for row in inputs])
    one_hot = torch.nn.functional.one_hot(wanted, len(index)).float()
    assert len(inputs) == len(vocab) ** 5
    # A lookup by a steep step is exact to about 1e-5: tracr's `mlp_exactness`.
    torch.testing.assert_close(logits, one_hot, atol=2e-5, rtol=0)


def test_pair_balance_returns_the_running_balance_for_every_input() -> None:
    inputs, logits = run_on_all_inputs(BALANCE, "()x")
    wanted = torch.tensor([running_balance(row) for row in inputs])
    torch.testing.assert_close(logits[..., 0], wanted, atol=1e-5, rtol=0)


def test_pair_balance_uses_both_heads_of_one_layer() -> None:
    official = task(BALANCE).official_edges
    assert official is not None
    assert {edge.src.name for edge in official} >= {"A1.0", "A1.1"}


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


@pytest.mark.parametrize("name", ALL)
def test_corrupt_prompts_do_not_give_the_answer(name: str) -> None:
    """Each is another input; in reverse, another input always has another answer."""
    prompts = prompts_of(name)["prompts"]
    assert all(prompt["clean"] != prompt["corrupt"] for prompt in prompts)
    same = sum(prompt["answers"] == prompt["wrong_answers"] for prompt in prompts)
    assert same <= (0 if name == REVERSE else 0.1) * len(prompts)


def named(loaded: Task, names: set[str], positions: set[int]) -> set[Edge]:
    return {edge for edge in loaded.model.edges if edge.name in names and edge.seq_idx in positions}


def test_official_edges_of_x_proportion() -> None:
    names = {"Resid Start->MLP 0", "MLP 0->A1.0.V", "A1.0->Resid End"}
    assert task(X).official_edges == named(task(X), names, {1, 2, 3, 4, 5})


def test_official_edges_of_reverse() -> None:
    names = {"Resid Start->A3.0.V", "A3.0->Resid End"}
    assert task(REVERSE).official_edges == named(task(REVERSE), names, {1, 2, 4, 5})


SOME = 32
"""Prompts of a task that suffice to see every edge that matters."""


def some_prompts(name: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Clean and corrupt tokens, spread over the enumeration of all inputs."""
    prompts = prompts_of(name)["prompts"]
    chosen = prompts[:: len(prompts) // SOME][:SOME]
    clean, corrupt = ([prompt[side] for prompt in chosen] for side in ("clean", "corrupt"))
    return torch.tensor(clean), torch.tensor(corrupt)


@cache
@torch.no_grad()
def effects(name: str) -> tuple[list[Edge], torch.Tensor]:
    """The edges, and the largest change of a logit when each of them alone is patched: first on
    the clean prompt with its corrupt value, then on the corrupt prompt, `[2, edges]`.
    """
    model = task(name).model
    engine, n_edges = model.engine, model.n_edges
    inputs = [engine.architecture.run_inputs(tokens)[0] for tokens in some_prompts(name)]
    patches = [engine.patch(engine.source_outputs(each)) for each in reversed(inputs)]
    found = []
    for run, patch in zip(inputs, patches, strict=True):
        plain = engine.run(torch.zeros(1, n_edges), run, patch, model.out_positions)
        changes = []
        for masks in torch.eye(n_edges).split(16):
            rows = masks.repeat_interleave(SOME, dim=0)
            together = run.repeated(len(masks))
            logits = engine.run(rows, together, patch, model.out_positions)
            changes.append((logits.unflatten(0, (-1, SOME)) - plain).abs().amax(dim=(1, 2, 3)))
        found.append(torch.cat(changes))
    return model.graph.edges_at(range(n_edges)), torch.stack(found)


def at_positions(loaded: Task, edges: dict[str, Sequence[int]]) -> set[Edge]:
    return {edge for edge in loaded.model.edges if edge.seq_idx in edges.get(edge.name, ())}


@pytest.mark.parametrize("name", ALL)
def test_edges_matter_alone_as_the_script_found_in_numpy(name: str) -> None:
    """Edge by edge, in both directions of patching, from two independent programs."""
    numpy = script("single_edges")
    config = json.loads((ASSETS / name / "config.json").read_text("utf-8"))
    weights = load_file(ASSETS / name / "model.safetensors")
    compiled = numpy.CompiledModel(config, {key: w.numpy() for key, w in weights.items()})
    clean, corrupt = (tokens.numpy() for tokens in some_prompts(name))
    measured = {
        (edge.name, edge.position): effect
        for edge, effect in numpy.single_edge_effects(compiled, clean, corrupt).items()
    }
    edges, ours = effects(name)
    assert measured.keys() == {(edge.name, edge.seq_idx) for edge in edges}
    theirs = torch.tensor([measured[edge.name, edge.seq_idx] for edge in edges]).T
    torch.testing.assert_close(ours, theirs.float(), atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", ALL)
def test_the_known_circuit_is_what_matters_alone_in_either_direction(name: str) -> None:
    edges, measured = effects(name)
    recorded = metadata_of(name)["single_edges"]
    for direction, sizes in zip(("ablate", "restore"), measured, strict=True):
        matters = {edge for edge, size in zip(edges, sizes, strict=True) if size > 1e-4}
        assert matters == at_positions(task(name), recorded[direction]["edges"])
        # No edge is near the border.
        assert recorded[direction]["gap"]["largest_outside"] < 1e-6
        assert recorded[direction]["gap"]["smallest_inside"] > 0.19
    assert recorded["ablate"]["edges"] == recorded["restore"]["edges"]


@pytest.mark.parametrize("name", [X, SORT, HISTOGRAM, BALANCE])
def test_the_official_edges_are_all_that_matters_alone(name: str) -> None:
    recorded = metadata_of(name)["single_edges"]["ablate"]["edges"]
    assert task(name).official_edges == at_positions(task(name), recorded)


def test_the_published_edges_of_reverse_lack_two_that_matter() -> None:
    recorded = metadata_of(REVERSE)["single_edges"]["ablate"]["edges"]
    missing = at_positions(task(REVERSE), recorded) - (task(REVERSE).official_edges or set())
    names = {"Resid Start->A3.0.V", "A3.0->Resid End"}
    assert missing == named(task(REVERSE), names, {3})


def clean_logits(loaded: Task) -> torch.Tensor:
    with torch.no_grad():
        return torch.cat([loaded.model(batch.clean)[:, 1:] for batch in loaded.test_loader])


@pytest.mark.parametrize("patch_type", list(PatchType))
@pytest.mark.parametrize("name", [X, SORT, HISTOGRAM, BALANCE])
def test_the_official_circuit_computes_the_answer(name: str, patch_type: PatchType) -> None:
    loaded = task(name)
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


# The two others are trained in notebooks/03_known_circuits.ipynb, whose figures are compared.
@pytest.mark.parametrize("name", [SORT, HISTOGRAM, BALANCE])
def test_probing_finds_the_circuit_with_settings_that_nobody_tuned(name: str) -> None:
    loaded, method = task(name), sp.methods.get("subnetwork_probing")
    config = replace(method.first_config(loaded.model, loaded.train_loader), seed=0)
    trainer = method.trainer(loaded.model, loaded.train_loader, config)
    scores = trainer.run(progress=False)
    known = loaded.official_edges
    assert known is not None
    assert sp.auroc(loaded.model, scores, known) == 1.0
