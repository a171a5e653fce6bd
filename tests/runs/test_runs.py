"""A run in a folder is read without its model, and made to its end from wherever it stands."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from sp_widget import runs
from sp_widget.circuits.scores import PruneScores
from sp_widget.engine.patchable_model import patchable_model
from sp_widget.errors import ArgumentError, StateError
from sp_widget.methods.base import Trainer
from sp_widget.methods.subnetwork_probing.config import SubnetworkProbingConfig
from sp_widget.methods.subnetwork_probing.trainer import SubnetworkProbing
from sp_widget.runs.folder import new_run_folder
from sp_widget.runs.keeper import RunKeeper
from tests import model_kinds
from tests.killing import full_disk
from tests.methods.test_exactness import _model, moment, same, trainer_of

CONFIG = SubnetworkProbingConfig(steps=4, seed=1, evaluate_every=2)


def make(folder: Path, config: SubnetworkProbingConfig = CONFIG) -> PruneScores:
    data = model_kinds.dataloader(), config, model_kinds.dataloader(2, 4)
    return runs.run_in_folder(folder, _model(), *data)


def undisturbed() -> SubnetworkProbing:
    data = model_kinds.dataloader(), CONFIG, model_kinds.dataloader(2, 4)
    trainer = SubnetworkProbing(_model(), *data)
    trainer.run(progress=False)
    return trainer


def load(folder: Path) -> Trainer[Any]:
    return Trainer.load(folder, _model(), model_kinds.dataloader(), model_kinds.dataloader(2, 4))


def test_a_run_that_fails_or_is_interrupted_goes_on_to_the_same_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, make_step = undisturbed(), SubnetworkProbing.make_step
    for error, at, state in ((KeyboardInterrupt, 2, "paused"), (RuntimeError, 4, "failed")):

        def failing(self: Any, step: int, error: Any = error, at: int = at) -> Any:
            if step == at:
                raise error("on the way")
            return make_step(self, step)

        with monkeypatch.context() as patch:
            patch.setattr(SubnetworkProbing, "make_step", failing)
            with pytest.raises(error, match="on the way"):
                make(tmp_path)
        status = runs.RunFolder(tmp_path).status
        assert (status.state, status.step, status.n_steps) == (state, at - 1, 4)
    assert status.error == "RuntimeError: on the way"
    assert "in failing" in status.traceback
    scores = make(tmp_path)
    assert all(torch.equal(scores[name], whole.prune_scores[name]) for name in scores)
    assert same(moment(load(tmp_path)), moment(whole))

    folder = runs.RunFolder(tmp_path)
    assert (folder.status.state, folder.status.error, folder.under_way) == ("done", "", False)
    written = {each.name: each.read_bytes() for each in tmp_path.iterdir()}
    make(tmp_path)
    assert written == {each.name: each.read_bytes() for each in tmp_path.iterdir()}
    for other, argument in (
        (replace(CONFIG, seed=2), "seed"),
        (replace(CONFIG, steps=5), "steps=4"),
    ):
        with pytest.raises(ArgumentError, match=argument):
            make(tmp_path, other)


def test_a_folder_says_everything_without_the_model(tmp_path: Path) -> None:
    positions = patchable_model(model_kinds.bridge("gpt2"), seq_len=model_kinds.N_TOKENS)
    for name, model in (("plain", _model()), ("positions", positions)):
        trainer = SubnetworkProbing(model, model_kinds.dataloader(), CONFIG)
        trainer.run(progress=False, until_step=3)
        trainer.evaluations = []
        trainer.save(tmp_path / name)
        folder = runs.RunFolder(tmp_path / name)
        assert (folder.method, folder.seed) == ("subnetwork_probing", 1)
        assert folder.parameters["ablation_type"] == "RESAMPLE"
        assert (folder.status.state, folder.status.step) == ("paused", 3)
        assert folder.history == trainer.history
        scores = trainer.prune_scores
        expected = {str(edge): edge.prune_score(scores).item() for edge in model.edges}
        assert folder.scores == expected
        assert folder.evaluation is None
        folder.write_evaluation({"cpr": 0.5})
        assert folder.evaluation == {"cpr": 0.5}
    assert [each.path.name for each in runs.runs_in(tmp_path)] == ["plain", "positions"]
    validated = trainer_of("subnetwork_probing")
    validated.run(progress=False)
    validated.save(tmp_path / "validated")
    assert runs.RunFolder(tmp_path / "validated").evaluations == validated.evaluations
    assert len(validated.evaluations) == 3


def everything(path: Path) -> tuple[Any, ...]:
    folder = runs.RunFolder(path)
    return folder.status, folder.evaluation, folder.scores, folder.history


def test_what_is_damaged_is_told_by_name(tmp_path: Path) -> None:
    make(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    whole = {each.name: each.read_bytes() for each in tmp_path.iterdir()}
    graph = config["graph"]
    damages: list[tuple[str, bytes, str]] = [
        ("status.json", b"{}", "status"),
        ("evaluation.json", b"[1]", "evaluation"),
        ("scores.safetensors", whole["checkpoint.safetensors"], "scores"),
        ("scores.safetensors", whole["scores.safetensors"][:-1], "scores"),
        ("history.jsonl", b'{"step": NaN}\n' * 4, "history"),
        ("checkpoint.safetensors", b"", "checkpoint"),
    ]
    status = json.loads(whole["status.json"])
    damages += [
        ("status.json", json.dumps({**status, key: value}).encode(), "status")
        for key, value in (("state", "idle"), ("step", -1), ("step", True), ("error", None))
    ]
    damages += [
        ("config.json", json.dumps({**config, "graph": {**graph, key: value}}).encode(), "graph")
        for key, value in (
            ("modules", [{"name": "a", "sources": [0, 10**9], "destinations": [0, 1]}] * 100),
            ("modules", [3]),
            ("sources", None),
            ("token positions", 10**12),
        )
    ]
    for name, content, said in damages:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ArgumentError, match=said):
            everything(tmp_path)
        (tmp_path / name).unlink()
        if name in whole:
            (tmp_path / name).write_bytes(whole[name])
    assert runs.RunFolder(tmp_path).status.state == "done"
    with pytest.raises(ArgumentError, match="folder"):
        runs.RunFolder(tmp_path / "none")


def test_one_run_at_a_time_has_a_folder_and_one_without_a_process_is_paused(tmp_path: Path) -> None:
    trainer = trainer_of("subnetwork_probing")
    keeper = RunKeeper(tmp_path)
    keeper.take()
    keeper.save(trainer, "running")
    assert runs.RunFolder(tmp_path).status.state == "running"
    with pytest.raises(StateError, match="under way"):
        make(tmp_path)
    keeper.let_go()
    assert runs.RunFolder(tmp_path).status.state == "paused"
    folders: list[Path] = []
    threads = [
        threading.Thread(target=lambda: folders.append(new_run_folder(tmp_path / "all")))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(each.name for each in folders) == [f"run-{n}" for n in range(1, 9)]


def test_checkpoints_are_written_meanwhile_and_a_full_disk_ends_no_training(tmp_path: Path) -> None:
    trainer = trainer_of("subnetwork_probing")
    keeper = RunKeeper(tmp_path, seconds_between=0)
    keeper.take()
    for _ in range(3):
        keeper.after_step(trainer)
        keeper.let_go()
        assert load(tmp_path).step_count == trainer.step_count
        # Not before a hundred times what the last one took.
        keeper._due = 0
        trainer.step()
    with full_disk(10):
        keeper.after_step(trainer)
        keeper.let_go()
    assert keeper.problem.startswith("The run could not be saved")
    assert load(tmp_path).step_count == 2
    keeper.save(trainer, "done")
    assert not keeper.problem
    assert load(tmp_path).step_count == 3
