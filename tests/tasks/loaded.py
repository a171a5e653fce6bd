"""The bundled tasks, each loaded once for all tests, and with the network out of reach."""

from __future__ import annotations

import importlib.util
import json
import socket
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import torch

import sp_widget as sp
from sp_widget.graph.edge_graph import Edge
from sp_widget.tasks import Task
from sp_widget.types import PatchType

ROOT = Path(__file__).resolve().parents[2]
ASSETS = ROOT / "sp_widget" / "tasks" / "assets"


def _refuse(*_: Any) -> None:
    raise AssertionError("a bundled task reached for the network")


@cache
def task(name: str) -> Task:
    with (
        patch.object(socket.socket, "connect", _refuse),
        patch.object(socket, "getaddrinfo", _refuse),
    ):
        return sp.tasks.load(name)


def prompts_of(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((ASSETS / name / "prompts.json").read_text("utf-8"))
    return content


@cache
def script(name: str) -> ModuleType:
    """One of the scripts that made the assets, as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools/make_tasks" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up there.
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def circuit_logits(task: Task, edges: set[Edge], patch_type: PatchType) -> torch.Tensor:
    """Logits of exactly this circuit on the test prompts, `[prompts, ...]`."""
    scores = {name: torch.zeros_like(mask) for name, mask in task.model.patch_masks.items()}
    for edge in edges:
        scores[edge.dest.module_name][edge.patch_idx] = 1
    outputs = sp.run_circuits(
        task.model, task.test_loader, [len(edges)], scores, patch_type=patch_type
    )[len(edges)]
    return torch.cat([outputs[batch.key] for batch in task.test_loader])


def answers_of_test_prompts(task: Task) -> torch.Tensor:
    """Answers of the test prompts, in the same order."""
    return torch.cat([batch.answers for batch in task.test_loader])
