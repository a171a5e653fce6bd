"""Both engines are what `protocol.Engine` says, and the node engine nothing more."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from sp_widget.engine.edge_engine import EdgeEngine
from sp_widget.engine.node_engine import NodeEngine, ResumableNodeRun
from sp_widget.engine.patchable_model import patchable_model
from sp_widget.engine.protocol import Engine, ResumableRun
from sp_widget.engine.resumable_run import ResumableEdgeRun
from tests import model_kinds

ATTRIBUTES = {"architecture", "graph"}
"""Of an engine, set when it is made."""


def _public(kind: Any) -> set[str]:
    return {name for name in vars(kind) if not name.startswith("_")}


def _parameters(function: Any) -> list[tuple[str, Any, Any]]:
    found = inspect.signature(function).parameters.values()
    return [(p.name, p.kind, p.default) for p in found]


@pytest.mark.parametrize("kind", [EdgeEngine, NodeEngine])
def test_an_engine_takes_what_the_protocol_gives_it(kind: Any) -> None:
    for name in _public(Engine) - ATTRIBUTES - {"patch_streams"}:
        assert _parameters(getattr(kind, name)) == _parameters(getattr(Engine, name)), name


def test_the_node_engine_has_nothing_that_the_protocol_does_not_know() -> None:
    engine = patchable_model(model_kinds.bridge("gpt2"), factorized=False).engine
    assert {name for name in vars(engine) if not name.startswith("_")} == ATTRIBUTES
    assert _public(NodeEngine) == _public(Engine) - ATTRIBUTES


@pytest.mark.parametrize("kind", [ResumableEdgeRun, ResumableNodeRun])
def test_a_resumable_run_is_what_the_protocol_says(kind: Any) -> None:
    assert _public(kind) == _public(ResumableRun)
    for name in _public(ResumableRun):
        assert _parameters(getattr(kind, name)) == _parameters(getattr(ResumableRun, name)), name
