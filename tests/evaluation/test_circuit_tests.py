"""The tests of a circuit, where it is known what they must find."""

from __future__ import annotations

import html

import pytest
import torch
from torch import Tensor
from torch.utils.data import Subset

from sp_widget.circuits.ablations import src_ablations
from sp_widget.circuits.scores import PruneScores
from sp_widget.data.prompts import PromptDataLoader, PromptPairBatch
from sp_widget.engine.patchable_model import patch_mode, patchable_model
from sp_widget.errors import ArgumentError
from sp_widget.evaluation.circuit_tests import TESTS, circuit_tests
from sp_widget.evaluation.cross_task import cross_task
from sp_widget.evaluation.prompt_scores import PromptScores, prompt_score
from sp_widget.evaluation.random_paths import RandomPaths
from sp_widget.evaluation.tested_circuit import CircuitTests
from sp_widget.graph.base_graph import Edge
from sp_widget.types import AblationType
from tests import model_kinds
from tests.tasks.loaded import task


def _loader(name: str, n_prompts: int) -> PromptDataLoader:
    loader = task(name).test_loader
    some = Subset(loader.dataset, list(range(n_prompts)))
    return PromptDataLoader(some, loader.seq_len, batch_size=n_prompts)


def _mean_output(logits: Tensor, batch: PromptPairBatch) -> Tensor:
    """What the program returns, without a look at the right answer."""
    return logits.flatten(1).mean(1)


def _verdicts(result: CircuitTests) -> dict[str, bool | None]:
    return {test.name: test.passed for test in result}


def test_the_circuit_of_a_program_passes_and_a_random_one_fails() -> None:
    program = task("tracr-xproportion")
    known = program.official_edges
    assert known is not None
    model, loader = program.model, _loader("tracr-xproportion", 96)
    scores = PruneScores(model.new_prune_scores(), model.graph)
    for edge in known:
        scores[edge.dest.module_name][edge.patch_idx] = -1

    of_scores = circuit_tests(model, loader, scores, len(known), n_random=30, progress=False)
    verdicts = dict.fromkeys(TESTS, True) | {"independence": None}
    # By its squared error the program is the same for all prompts: right.
    assert _verdicts(of_scores) == verdicts
    assert of_scores["equivalence"].statistic == 0.5
    assert set(of_scores.edges["edge"]) == {repr(edge) for edge in known}
    assert (of_scores.n_edges, of_scores.n_prompts) == (len(known), 96)

    by_hand = circuit_tests(
        model, loader, {edge.name if edge.seq_idx is None else repr(edge) for edge in known},
        score=_mean_output, tests=["independence"], progress=False,
    )  # fmt: skip
    assert _verdicts(by_hand) == {"independence": True}

    drawn = RandomPaths(model, seed=5).circuit(len(known))
    edges = model.graph.edges_at(drawn.nonzero().flatten().tolist())
    wrong = circuit_tests(model, loader, edges, n_random=30, progress=False)
    assert _verdicts(wrong) == dict.fromkeys(TESTS, False) | {"independence": None}
    left = circuit_tests(
        model, loader, edges, score=_mean_output, tests=["independence"], progress=False
    )
    assert _verdicts(left) == {"independence": False}


def test_a_circuit_with_an_edge_too_few_or_too_many_is_found_out() -> None:
    """The published circuit of this program lacks two edges at position 3."""
    program = task("tracr-reverse")
    known = program.official_edges
    assert known is not None
    names = {edge.name for edge in known}
    missing = {edge for edge in program.model.edges if edge.seq_idx == 3 and edge.name in names}
    idle = next(edge for edge in program.model.edges if repr(edge) == "2:Resid Start->A0.0.Q")
    loader = _loader("tracr-reverse", 122)

    def verdict(circuit: set[Edge], name: str) -> CircuitTests:
        return circuit_tests(
            program.model, loader, circuit, tests=[name], n_random=30, progress=False
        )

    assert verdict(known, "equivalence")["equivalence"].passed is False
    assert verdict(known | missing, "equivalence")["equivalence"].passed is True
    minimal = verdict(known | missing | {idle}, "minimality")
    assert minimal["minimality"].statistic == 1
    assert list(minimal.edges.query("redundant")["edge"]) == [repr(idle)]


def test_scores_are_those_of_circuits_run_one_by_one() -> None:
    model, loader = patchable_model(model_kinds.bridge("gpt2")), model_kinds.dataloader()
    paths = RandomPaths(model, 0)
    circuits = [paths.circuit(size) for size in (5, 40, 100)]
    scores = PromptScores(model, loader, None, AblationType.RESAMPLE).of(circuits, lambda *_: None)
    for circuit, found in zip(circuits, scores, strict=True):
        ablated = model.graph.edges_at((~circuit).nonzero().flatten().tolist())
        expected = []
        for batch in loader:
            patch = src_ablations(model, batch.corrupt)
            with torch.no_grad(), patch_mode(model, patch, ablated):
                expected.append(prompt_score(model(batch.clean)[model.out_slice], batch))
        torch.testing.assert_close(found, torch.cat(expected), atol=1e-5, rtol=1e-4)


def test_the_table_tells_each_null_and_what_the_result_means() -> None:
    model, loader = patchable_model(model_kinds.bridge("gpt2")), model_kinds.dataloader()
    result = circuit_tests(model, loader, ["Resid Start->MLP 0"], n_random=3, progress=False)
    for test in result:
        for text in (repr(result), html.unescape(result._repr_html_())):
            for part in (test.title, test.null, test.meaning):
                assert part in text
    assert list(result.frame.index) == list(TESTS)
    with pytest.raises(KeyError):
        result["necessity"]


def test_arguments_that_make_no_sense_are_refused_by_name() -> None:
    model, loader = patchable_model(model_kinds.bridge("gpt2")), model_kinds.dataloader()
    scores = PruneScores(model.new_prune_scores(), model.graph)
    one = ["Resid Start->MLP 0"]
    refused: list[tuple[str, object, dict[str, object]]] = [
        ("n_edges", scores, {}),
        ("n_edges", one, {"n_edges": 3}),
        ("circuit", scores, {"n_edges": 0}),
        ("circuit", model.edges, {}),
        ("circuit", ["Resid Start->MLP 9"], {}),
        ("tests", one, {"tests": ["t"]}),
        ("tests", one, {"tests": "minimality"}),
        ("epsilon", one, {"epsilon": 0.5}),
        ("quantile", one, {"quantile": 1}),
        ("alpha", one, {"alpha": 0}),
        ("n_random", one, {"n_random": 0}),
        ("n_permutations", one, {"n_permutations": 1.5}),
        ("ablation_type", one, {"ablation_type": "zero"}),
        ("score", one, {"score": lambda logits, batch: logits.mean()}),
    ]
    for name, circuit, settings in refused:
        with pytest.raises(ArgumentError) as error:
            circuit_tests(model, loader, circuit, **settings, progress=False)  # type: ignore[arg-type]
        assert error.value.argument == name, settings


def test_a_circuit_does_on_its_own_task_what_another_does_not() -> None:
    program = task("tracr-xproportion")
    known = program.official_edges
    assert known is not None
    other = {edge for edge in program.model.edges if edge.name == "A0.0->MLP 1"}
    loader = _loader("tracr-xproportion", 64)
    table = cross_task(
        program.model, {"own": known, "other": other}, {"x": loader}, n_random=30, progress=False
    )
    own, wrong = table.results
    assert own.kept == pytest.approx(1, abs=1e-3)
    assert own.p == pytest.approx(0.9**30)
    assert (own.circuit, own.task, wrong.circuit) == ("own", "x", "other")
    assert wrong.kept == pytest.approx(0, abs=1e-3)
    assert wrong.p > 0.5
    assert "random circuits of its size" in repr(table)
    assert list(table.frame["circuit"]) == ["own", "other"]
    with pytest.raises(ArgumentError, match="circuits"):
        cross_task(program.model, {}, {"x": loader})
