"""Whatever is read or sent: it is taken, or our own error says what was wanted and what came.

Hypothesis chooses seeds, and each seed is `BATCH` changed files: to build files by its strategies
would take most of the time. In `make test` the seeds are the same every time. `SP_WIDGET_FUZZ=20`
tries twenty times as many, other ones each time.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sp_widget.circuits.scores import PruneScores
from sp_widget.data.prompt_file import PromptFileError, check_one_kind, read_prompt_file
from sp_widget.data.prompt_tokens import ModelLimits, tokenize
from sp_widget.engine.patchable_model import PatchableModel, patchable_model
from sp_widget.errors import ArgumentError
from sp_widget.graph.edge_graph import BlockShape, Graph
from sp_widget.methods.base import Trainer
from sp_widget.methods.subnetwork_probing.config import SubnetworkProbingConfig
from sp_widget.methods.subnetwork_probing.trainer import SubnetworkProbing
from sp_widget.runs.folder import RunFolder
from sp_widget.runs.status import status_now, write_status
from sp_widget.widget.sweep_view import SweepTable
from sp_widget.widget.widget import SubnetworkProbingWidget
from tests.fuzz.mutations import changed, changed_json, changed_safetensors, disturbed
from tests.model_kinds import bridge, dataloader

TIMES = int(os.environ.get("SP_WIDGET_FUZZ", "1"))
BATCH = 50
LONGEST_ERROR = 1000


def seeds(cases: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Call a test with the seeds of so many changed files, in all."""

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        chosen = settings(
            max_examples=max(1, TIMES * cases // BATCH),
            derandomize=TIMES == 1,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        seed = st.integers(0, 2**32 - 1)
        decorated: Callable[..., None] = chosen(given(seed=seed)(test))
        return decorated

    return decorate


def attempt(action: Callable[[], object], errors: tuple[type[Exception], ...]) -> bool:
    """Return whether it succeeds. Fails for an error that is not one of these, or a long one."""
    try:
        action()
    except errors as error:
        said = str(error)
    else:
        return True
    assert 10 < len(said) < LONGEST_ERROR, said[:2000]
    assert "wanted" in said
    assert "got" in said
    return False


PROMPTS: tuple[dict[str, Any], ...] = (
    {
        "seq_labels": ["a", "b"],
        "word_idxs": {"a": 1},
        "prompts": [
            {"clean": "When Mary", "corrupt": "If Tom", "answers": [" a"], "wrong_answers": [" b"]}
        ]
        * 2,
    },
    {
        "prompts": [
            {"clean": [1, 2], "corrupt": [3, 4], "answers": [[1, 2]], "wrong_answers": [[3]]},
            {"clean": [1], "corrupt": [3], "answers": [1], "wrong_answers": [3, 4]},
        ]
    },
    {
        "prompts": [
            {"clean": [1, 2], "corrupt": [3, 4], "answers": [[0.5] * 9], "wrong_answers": [[1.0]]}
        ]
        * 2
    },
)


@seeds(9_000)
def test_prompt_files(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    random, path = Random(seed), tmp_path_factory.getbasetemp() / "prompts.json"

    def read() -> None:
        prompts = read_prompt_file(path).prompts
        check_one_kind(prompts)
        if not prompts[0].is_text:
            tokenize(prompts, None, ModelLimits(50, 9, 16))

    for _ in range(BATCH):
        path.write_bytes(changed_json(random.choice(PROMPTS), random))
        attempt(read, (PromptFileError,))


def small_graph() -> Graph:
    return Graph([BlockShape(2, 2)], seq_len=None)


def small_scores() -> PruneScores:
    graph = small_graph()
    return PruneScores(graph.split(torch.arange(graph.n_edges).float()), graph)


@pytest.fixture(scope="module")
def score_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("scores")
    for ending in ("json", "safetensors"):
        small_scores().save(folder / f"scores.{ending}")
    return {path.suffix: path.read_bytes() for path in folder.iterdir()}


@seeds(9_000)
def test_score_files(
    tmp_path_factory: pytest.TempPathFactory, score_files: dict[str, bytes], seed: int
) -> None:
    random, folder, graph = Random(seed), tmp_path_factory.getbasetemp(), small_graph()
    text, shapes = json.loads(score_files[".json"]), {k: v.shape for k, v in small_scores().items()}
    for _ in range(BATCH):
        if random.random() < 0.5:
            path, content = folder / "fuzz.json", changed_json(text, random)
        else:
            path = folder / "fuzz.safetensors"
            content = changed_safetensors(score_files[".safetensors"], random)
        path.write_bytes(content)

        def load(path: Path = path) -> None:
            scores = PruneScores.load(path, graph)
            assert {name: score.shape for name, score in scores.items()} == shapes
            assert not any(bool(score.isnan().any()) for score in scores.values())

        attempt(load, (ArgumentError,))


@pytest.fixture(scope="module")
def model() -> PatchableModel:
    return patchable_model(bridge("native-attention-only"))


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory, model: PatchableModel) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    config = SubnetworkProbingConfig(epochs=2, seed=1, evaluate_every=2)
    trainer = SubnetworkProbing(model, dataloader(), config, dataloader(2, 4))
    trainer.step()
    trainer.step()
    trainer.save(folder)
    write_status(folder, status_now("paused", 2, trainer.n_steps, None))
    RunFolder(folder).write_evaluation({"auroc": 0.5})
    return folder


@seeds(1_000)
def test_run_folders(
    tmp_path_factory: pytest.TempPathFactory, run_folder: Path, model: PatchableModel, seed: int
) -> None:
    random, folder = Random(seed), tmp_path_factory.getbasetemp() / "fuzzed-run"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(run_folder, folder)
    data = dataloader(), dataloader(2, 4)
    names = sorted(path.name for path in run_folder.iterdir() if path.suffix != ".lock")
    for number in range(BATCH):
        name = random.choice(names)
        good, path = (run_folder / name).read_bytes(), folder / name
        if name.endswith(".safetensors"):
            path.write_bytes(changed_safetensors(good, random))
        elif name.endswith(".json"):
            path.write_bytes(changed_json(json.loads(good), random))
        else:
            path.write_bytes(disturbed(good, random))

        def read() -> None:
            run = RunFolder(folder)
            for part in ("status", "history", "evaluations", "scores", "evaluation"):
                attempt(lambda part=part: getattr(run, part), (ArgumentError,))
            repr(run)

        attempt(read, (ArgumentError,))
        if number % 5 == 0:
            attempt(lambda: Trainer.load(folder, model, *data), (ArgumentError,))
        path.write_bytes(good)


@pytest.fixture(scope="module")
def probe(model: PatchableModel) -> Iterator[SubnetworkProbingWidget]:
    probe = SubnetworkProbingWidget(model, dataloader())
    yield probe
    probe.close()


@pytest.fixture(scope="module")
def table() -> SweepTable:
    return SweepTable()


MESSAGES: tuple[Any, ...] = (
    {"type": "method", "method": "acdc"},
    {"type": "preset", "preset": "1"},
    {"type": "run", "number": 1, "name": "a"},
    {"type": "command", "command": "pause"},
    {"type": "export", "format": "history_csv", "request": "1"},
    {"type": "typed", "clean": "1 2", "corrupt": "1 3"},
    {"type": "measure"},
)


@seeds(2_000)
def test_messages_of_the_browser(
    probe: SubnetworkProbingWidget, table: SweepTable, seed: int
) -> None:
    random = Random(seed)
    parts = (
        probe.panel,
        probe.chart.tools,
        probe.circuit,
        probe.export,
        probe.prompts,
        probe.faithfulness,
        table,
    )
    seen: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: seen.append(handler.format(record))  # type: ignore[method-assign]
    logger = logging.getLogger("traitlets")
    logger.addHandler(handler)
    try:
        for _ in range(BATCH):
            part = random.choice(parts)
            if random.random() < 0.5:
                data: Any = {"method": "custom", "content": random.choice(MESSAGES)}
            else:
                names = random.sample(sorted(part.keys), 2)
                state = {name: json.loads(json.dumps(_plain(part, name))) for name in names}
                data = {"method": "update", "state": state}
            part._handle_msg({"content": {"data": changed(data, random)}, "buffers": []})
    finally:
        logger.removeHandler(handler)
    assert all(len(line) < LONGEST_ERROR and "Traceback" not in line for line in seen)
    assert probe.state == "idle"


def _plain(part: Any, name: str) -> Any:
    """Return the value of a trait, or something else where JSON has no form for it."""
    value = getattr(part, name)
    try:
        json.dumps(value)
    except TypeError:
        return 1
    return value
