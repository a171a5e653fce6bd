"""Random paths are paths, and circuits of them have the size asked for."""

from __future__ import annotations

import pytest
import torch

from sp_widget.circuits.paths import edges_on_paths
from sp_widget.engine.patchable_model import patchable_model
from sp_widget.evaluation.random_paths import RandomPaths
from tests import model_kinds


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("gpt2", {}),
        ("gpt2", {"seq_len": 3}),
        ("native-bidirectional", {"seq_len": 3}),
        ("native-gqa-rotary", {"separate_qkv": True}),
        ("neox-parallel", {"factorized": False}),
    ],
)
def test_every_edge_of_a_path_is_on_a_path(kind: str, settings: dict[str, object]) -> None:
    model = patchable_model(model_kinds.bridge(kind), **settings)  # type: ignore[arg-type]
    paths, drawn = RandomPaths(model, 0), set()
    for _ in range(20):
        alone = torch.zeros(model.n_edges, dtype=torch.bool)
        path = paths.path()
        alone[path] = True
        kept = model.graph.flatten(edges_on_paths(model, model.graph.split(alone)))
        assert torch.equal(kept, alone)
        drawn.add(tuple(path))
    assert len(drawn) > 5
    again = RandomPaths(model, 0)
    assert torch.equal(again.circuit(9), RandomPaths(model, 0).circuit(9))
    for size in (1, 10, model.n_edges - 1, model.n_edges):
        assert int(paths.circuit(size).sum()) == size


def test_an_inflated_circuit_has_new_edges_of_which_one_is_knocked_out() -> None:
    model = patchable_model(model_kinds.bridge("gpt2"))
    paths = RandomPaths(model, 0)
    circuit = paths.circuit(20)
    inflated = paths.inflated(circuit)
    assert inflated is not None
    larger, without = inflated
    assert bool((larger | circuit).eq(larger).all())
    assert int((larger & ~without).sum()) == 1
    assert int((larger & ~without & circuit).sum()) == 0
    assert paths.inflated(torch.ones_like(circuit)) is None
