"""A run that was saved goes on bit by bit; whatever else a folder holds is refused by name."""

from __future__ import annotations

import json
import os
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from sp_widget import methods
from sp_widget.circuits.scores import PruneScores
from sp_widget.data.prompts import PromptDataLoader
from sp_widget.engine.patchable_model import PatchableModel, patchable_model
from sp_widget.errors import ArgumentError
from sp_widget.files import TEMPORARY
from sp_widget.methods.acdc import Acdc
from sp_widget.methods.base import Trainer
from sp_widget.methods.run_files import RunWriter, moment_of
from sp_widget.methods.subnetwork_probing.trainer import SubnetworkProbing
from tests import model_kinds
from tests.methods.test_exactness import _model, course, moment, same, trainer_of


def load(
    folder: Path,
    cls: type[Trainer[Any]] = Trainer,
    model: PatchableModel | None = None,
    prompts: PromptDataLoader | None = None,
    validation: PromptDataLoader | None = None,
) -> Trainer[Any]:
    return cls.load(
        folder,
        model or _model(),
        prompts or model_kinds.dataloader(),
        validation or model_kinds.dataloader(2, 4),
    )


def test_every_method_goes_on_exactly_from_its_folder_after_every_step(tmp_path: Path) -> None:
    for name in methods.names():
        folder, moments = tmp_path / name, course(name)
        trainer = trainer_of(name)
        for step in range(len(moments)):
            # ACDC has many steps that are alike.
            if step % max(1, len(moments) // 10) == 0 or trainer.done:
                trainer.save(folder)
                loaded = load(folder)
                assert type(loaded) is methods.get(name).trainer
                assert same(moment(loaded), moments[step]), (name, step)
                if not loaded.done:
                    # And so on: every further step follows from a moment that is the same.
                    loaded.step()
                    assert same(moment(loaded), moments[step + 1]), (name, step)
            if not trainer.done:
                trainer.step()
        scores = PruneScores.load(folder / "scores.safetensors", _model().graph)
        expected = trainer.prune_scores
        assert all(torch.equal(scores[module], expected[module]) for module in expected)
        lines = (folder / "history.jsonl").read_text().splitlines()
        assert [json.loads(line)["step"] for line in lines] == list(range(1, len(moments)))


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX")
def test_a_full_disk_leaves_the_moment_before(tmp_path: Path) -> None:
    from tests.killing import full_disk

    moments, trainer = course("subnetwork_probing"), trainer_of("subnetwork_probing")
    trainer.step()
    trainer.save(tmp_path)
    sizes = [each.stat().st_size for each in tmp_path.iterdir()]
    trainer.step()
    for limit in sorted({0, *(size + extra for size in sizes for extra in (-1, 20)), 10**9}):
        try:
            with full_disk(limit):
                trainer.save(tmp_path)
            whole = True
        except OSError:
            whole = False
        step = load(tmp_path).step_count
        # Where the checkpoint had space and the scores had not, the run is there.
        assert step in ({2} if whole else {1, 2})
        assert same(moment(load(tmp_path)), moments[step]), limit
        if whole:
            break
    assert whole
    assert not list(tmp_path.glob(TEMPORARY))


def test_settings_that_were_changed_on_the_way_come_back(tmp_path: Path) -> None:
    trainer = trainer_of("subnetwork_probing")
    trainer.save(tmp_path)
    trainer.step()
    trainer.change(learning_rate=0.01)
    trainer.save(tmp_path)
    loaded = load(tmp_path)
    assert loaded.config.learning_rate == 0.01
    # The file says how the run began.
    assert json.loads((tmp_path / "config.json").read_text())["parameters"]["learning_rate"] == 0.5
    loaded.save(tmp_path / "copy")
    assert (tmp_path / "copy" / "config.json").read_bytes() == (
        tmp_path / "config.json"
    ).read_bytes()
    for each in (trainer, loaded):
        each.run(progress=False)
    assert same(moment(loaded), moment(trainer))


def test_another_model_other_data_and_another_method_are_refused_by_name(tmp_path: Path) -> None:
    trainer_of("subnetwork_probing").save(tmp_path)
    other_weights = patchable_model(model_kinds._native(attn_only=True, seed=7))
    other_edges = patchable_model(model_kinds.bridge("gpt2"))
    attempts: list[tuple[dict[str, Any], str, str]] = [
        ({"model": other_weights}, "model", "weights"),
        ({"model": other_edges}, "model", "edges"),
        ({"prompts": model_kinds.dataloader(2)}, "dataloader", "dataloader"),
        ({"validation": model_kinds.dataloader()}, "validation_dataloader", "validation"),
        ({"cls": Acdc}, "folder", "a run of ACDC"),
    ]
    for changes, argument, said in attempts:
        with pytest.raises(ArgumentError, match=said) as raised:
            load(tmp_path, **changes)
        assert raised.value.argument == argument
    assert isinstance(load(tmp_path, SubnetworkProbing), SubnetworkProbing)


def test_a_folder_with_another_run_or_a_later_step_is_left_alone(tmp_path: Path) -> None:
    trainer = trainer_of("subnetwork_probing")
    trainer.step()
    earlier = trainer.state_dict()
    trainer.step()
    trainer.save(tmp_path)
    before = contents(tmp_path)
    other_course = trainer_of("subnetwork_probing")
    other_course.change(learning_rate=0.01)
    other_course.run(progress=False)
    back = trainer_of("subnetwork_probing")
    back.load_state_dict(earlier)
    for other, said in (
        (trainer_of("subnetwork_probing", seed=4), "seed 4"),
        (trainer_of("subnetwork_probing", steps=4), "parameters.steps 4"),
        (trainer_of("acdc"), "parameters"),
        (back, "later step"),
        (other_course, "another run"),
    ):
        with pytest.raises(ArgumentError, match=said):
            other.save(tmp_path)
        assert contents(tmp_path) == before
    for folder in (None, "", 3, "a\0b", tmp_path / "config.json"):
        with pytest.raises(ArgumentError, match="folder"):
            trainer.save(folder)  # type: ignore[arg-type]


def test_a_writer_that_failed_may_try_again(tmp_path: Path) -> None:
    trainer = trainer_of("subnetwork_probing")
    trainer.run(progress=False, until_step=2)
    trainer.save(tmp_path)
    history = (tmp_path / "history.jsonl").read_bytes()
    (tmp_path / "history.jsonl").write_bytes(history[:-1])
    trainer.step()
    writer = RunWriter(tmp_path)
    with pytest.raises(ArgumentError, match="1 whole"):
        writer.write(moment_of(trainer))
    (tmp_path / "history.jsonl").write_bytes(history + b"torn")
    writer.write(moment_of(trainer))
    assert same(moment(load(tmp_path)), course("subnetwork_probing")[3])


def contents(folder: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in folder.iterdir()}


def test_damaged_files_are_refused_with_what_is_wrong(tmp_path: Path) -> None:
    trainer = trainer_of("subnetwork_probing")
    trainer.run(progress=False, until_step=2)
    trainer.save(tmp_path)
    whole = contents(tmp_path)

    def refused(said: str = "") -> None:
        with pytest.raises(ArgumentError, match=said):
            load(tmp_path)

    for name in ("config.json", "checkpoint.safetensors", "history.jsonl"):
        path = tmp_path / name
        replace: list[Callable[[], object]] = [
            path.unlink,
            lambda path=path: path.symlink_to("/dev/zero"),
            lambda path=path: path.mkdir(),
            lambda path=path: os.mkfifo(path),
        ]
        for change in replace[: 3 if sys.platform == "win32" else 4]:
            if path.exists() and change != path.unlink:
                path.unlink()
            change()
            refused(name)
            if path.is_dir() and not path.is_symlink():
                path.rmdir()
            else:
                path.unlink(missing_ok=True)
            path.write_bytes(whole[name])
        with path.open("r+b") as file:  # Of no size on the disk, but more than can be read.
            file.truncate(2**40)
        if name == "history.jsonl":
            assert load(tmp_path).step_count == 2
        else:
            refused(name)
        path.write_bytes(whole[name])

    config = json.loads(whole["config.json"])
    for key, value, said in (
        ("format", "sp_widget run 2", "sp_widget run 1"),
        ("method", "nonsense", "method"),
        ("method", 3, "method"),
        ("seed", -1, "seed"),
        ("seed", float("nan"), "seed"),
        ("parameters", {**config["parameters"], "learning_rate": float("nan")}, "learning_rate"),
        ("parameters", {**config["parameters"], "more": 1}, "parameters"),
        ("parameters", {**config["parameters"], "ablation_type": "eval"}, "ablation_type"),
        ("parameters", {**config["parameters"], "avoid_edges": [["A0.0"]]}, "avoid_edges"),
        ("fingerprints", {}, "model"),
    ):
        (tmp_path / "config.json").write_text(json.dumps({**config, key: value}))
        refused(said)
    (tmp_path / "config.json").write_text("[" * 100_000)
    refused("JSON")
    (tmp_path / "config.json").write_bytes(whole["config.json"])
    for line in ("", "null", "{}", '{"step": 2', "\udcff"):
        text = whole["history.jsonl"].splitlines()[0] + b"\n" + line.encode("utf-8", "replace")
        (tmp_path / "history.jsonl").write_bytes(text + b"\n")
        refused("histor")
    (tmp_path / "history.jsonl").write_bytes(whole["history.jsonl"] + b'{"torn')
    assert load(tmp_path).step_count == 2


def test_no_change_of_a_byte_brings_more_than_our_own_error(tmp_path: Path) -> None:
    trainer = trainer_of("subnetwork_probing")
    trainer.run(progress=False, until_step=2)
    trainer.save(tmp_path)
    whole, chance, refused = contents(tmp_path), random.Random(0), 0
    for case in range(150):
        name = ("config.json", "checkpoint.safetensors", "history.jsonl")[case % 3]
        damaged = bytearray(whole[name])
        for _ in range(chance.choice((1, 1, 3))):
            # The beginning of a safetensors file says where everything else is.
            end = 700 if name.startswith("checkpoint") and chance.random() < 0.7 else len(damaged)
            place = chance.randrange(min(end, len(damaged)))
            match chance.randrange(4):
                case 0:
                    damaged[place] = chance.randrange(256)
                case 1:
                    del damaged[place : place + chance.choice((1, 40))]
                case 2:
                    damaged[place:place] = bytes([chance.choice(b'0e-9"{}[],:')])
                case 3:
                    del damaged[place:]
            if not damaged:
                break
        (tmp_path / name).write_bytes(damaged)
        try:
            load(tmp_path)
        except ArgumentError:
            refused += 1
        (tmp_path / name).write_bytes(whole[name])
    assert refused > 75
    assert same(moment(load(tmp_path)), moment(trainer))
