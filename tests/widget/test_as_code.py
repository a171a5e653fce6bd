"""The code of a run is executed, and gives the same scores to the last bit."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch

from sp_widget.circuits.scores import PruneScores
from sp_widget.data.prompts import PromptDataLoader
from sp_widget.engine.patchable_model import PatchableModel
from sp_widget.errors import StateError
from sp_widget.methods.subnetwork_probing.config import SubnetworkProbingConfig
from sp_widget.session import Intervention
from sp_widget.types import AblationType
from sp_widget.widget.as_code import Names, as_code, name_of
from sp_widget.widget.widget import SubnetworkProbingWidget
from tests.session.watching import PATIENCE, Watch
from tests.widget.browser_messages import click, edit
from tests.widget.conftest import CONFIG

MakeProbe = Callable[..., SubnetworkProbingWidget]


@pytest.fixture
def execute(model: PatchableModel, prompts: PromptDataLoader) -> Callable[[str], PruneScores]:
    def run(code: str) -> PruneScores:
        names = {"model": model, "dataloader": prompts, "validation_dataloader": prompts}
        exec(compile(code, "<code of the run>", "exec"), names)
        scores: Any = names["prune_scores"]
        assert isinstance(scores, PruneScores)
        return scores

    return run


def same(a: PruneScores, b: PruneScores) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def pause_at(probe: SubnetworkProbingWidget, step: int) -> None:
    watching = Watch(probe._session)
    while probe._session.snapshot().step < step:
        done = probe._session.snapshot().step
        probe.step()
        watching.until(lambda s, done=done: s.state == "paused" and s.step == done + 1)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"seed": None},
        {"mask_fn": None, "init_val": -math.pi / 7, "learning_rate": 1 / 3},
        {"tree_optimisation": True, "ablation_type": AblationType.ZERO, "dropout_p": 0.1},
        {"circuit_size": 5, "faithfulness_target": "answer", "cache": "recompute"},
    ],
)
def test_it_repeats_a_run(
    make_probe: MakeProbe, execute: Callable[[str], PruneScores], changes: dict[str, Any]
) -> None:
    probe = make_probe(replace(CONFIG, **changes))
    probe.start()
    probe.wait(PATIENCE)
    assert same(execute(probe.as_code()), probe.prune_scores)


def test_it_repeats_avoided_edges(
    make_probe: MakeProbe, model: PatchableModel, execute: Callable[[str], PruneScores]
) -> None:
    avoided = frozenset(sorted(model.edges, key=str)[:4])
    probe = make_probe(replace(CONFIG, avoid_edges=avoided, avoid_lambda=30))
    probe.start()
    probe.wait(PATIENCE)
    assert same(execute(probe.as_code()), probe.prune_scores)


def test_it_repeats_what_was_changed_on_the_way_and_a_stop(
    make_probe: MakeProbe, execute: Callable[[str], PruneScores]
) -> None:
    probe = make_probe()
    pause_at(probe, 2)
    edit(probe, regularize_lambda="0.25", learning_rate="0.3")
    pause_at(probe, 5)
    edit(probe, regularize_lambda="3")
    pause_at(probe, 7)
    assert same(execute(probe.as_code()), probe.prune_scores), "also while it is paused"
    probe.stop()
    probe.wait(PATIENCE)
    assert [r.regularize_lambda for r in probe.history] == [10.0] * 2 + [0.25] * 3 + [3.0] * 2
    assert same(execute(probe.as_code()), probe.prune_scores)


@pytest.mark.parametrize("end", [False, True])
def test_it_repeats_evaluations_and_the_way_back_to_the_best(
    make_probe: MakeProbe,
    prompts: PromptDataLoader,
    execute: Callable[[str], PruneScores],
    end: bool,
) -> None:
    config = replace(CONFIG, evaluate_every=2, learning_rate=0.5, regularize_lambda=0.1)
    probe = make_probe(config, validation_dataloader=prompts)
    pause_at(probe, 3)
    probe.evaluate()
    pause_at(probe, 6)
    # Now the best is another one.
    edit(probe, regularize_lambda="100")
    probe.evaluate()
    probe.restore_best()
    if end:
        probe.resume()
        probe.wait(PATIENCE)
        probe.restore_best()
    assert same(execute(probe.as_code()), probe.prune_scores)


def test_it_repeats_a_run_with_a_number_of_threads_and_leaves_that_of_the_caller(
    make_probe: MakeProbe, execute: Callable[[str], PruneScores]
) -> None:
    assert torch.get_num_threads() == 1
    probe = make_probe(threads=2)
    probe.start()
    probe.wait(PATIENCE)
    code = probe.as_code()
    assert "torch.set_num_threads(2)" in code
    assert same(execute(code), probe.prune_scores)
    assert torch.get_num_threads() == 1


def test_numbers_of_threads_are_set_where_the_run_set_them() -> None:
    changes = (Intervention(0, "threads", 4), Intervention(7, "threads", 1))
    config = SubnetworkProbingConfig()
    code = as_code(config, Names(model="m", dataloader="d"), interventions=changes)
    assert code == (
        "import torch\n"
        "\n"
        "import sp_widget as sp\n"
        "\n"
        "method = sp.methods.get('subnetwork_probing')\n"
        "config = method.Config(\n"
        ")\n"
        "trainer = method.trainer(m, d, config)\n"
        "# The last bits depend on the number of threads.\n"
        "threads_before = torch.get_num_threads()\n"
        "torch.set_num_threads(4)\n"
        "trainer.run(until_step=7)\n"
        "torch.set_num_threads(1)\n"
        "prune_scores = trainer.run()\n"
        "torch.set_num_threads(threads_before)\n"
    )


def test_before_the_start_it_is_the_run_that_would_start(make_probe: MakeProbe) -> None:
    probe = make_probe()
    edit(probe, epochs="7")
    assert "epochs=7," in probe.as_code()
    assert probe.panel.code == "", "nobody has asked for it"
    assert requested_code(probe) == probe.as_code()


def requested_code(probe: SubnetworkProbingWidget) -> str:
    click(probe, "code")
    return str(probe.panel.code)


def test_the_panel_shows_the_code_of_the_run(
    make_probe: MakeProbe, execute: Callable[[str], PruneScores]
) -> None:
    probe = make_probe(replace(CONFIG, seed=None))
    click(probe, "start")
    probe.wait(PATIENCE)
    assert same(execute(requested_code(probe)), probe.prune_scores)


def test_only_what_differs_from_the_defaults_is_stated() -> None:
    code = as_code(SubnetworkProbingConfig(seed=3), Names(model="m", dataloader="d"))
    assert code == (
        "import sp_widget as sp\n"
        "\n"
        "method = sp.methods.get('subnetwork_probing')\n"
        "config = method.Config(\n"
        "    seed=3,\n"
        ")\n"
        "trainer = method.trainer(m, d, config)\n"
        "prune_scores = trainer.run()\n"
    )


def test_things_are_called_what_they_are_called_in_the_notebook() -> None:
    @dataclass(frozen=True)
    class Task:
        model: object
        loader: object

    model, loader, other = object(), object(), object()
    variables = {"_": model, "_3": loader, "x": 1, "task": Task(model, loader), "mine": loader}
    assert name_of(model, variables, "model") == "task.model"
    assert name_of(loader, variables, "dataloader") == "mine"
    assert name_of(other, variables, "dataloader") == "dataloader"


def test_an_unfinished_object_in_the_notebook_is_passed_over() -> None:
    @dataclass
    class Unfinished:
        later: object = field(init=False)

    model = object()
    assert name_of(model, {"mine": Unfinished(), "bridge": model}, "model") == "bridge"


def test_a_start_that_is_refused_leaves_the_code_of_the_run_at_hand(
    probe: SubnetworkProbingWidget,
) -> None:
    probe.start()
    probe.wait(PATIENCE)
    code = probe.as_code()
    edit(probe, epochs="7", seed="99")
    with pytest.raises(StateError, match="reset it first"):
        probe.start()
    assert probe.as_code() == code
    probe.reset()
    assert probe.runs[0].config == CONFIG
    assert "epochs=7," in probe.as_code()
