"""A circuit on a few prompts: its KL divergence by the slow way round."""

from __future__ import annotations

import pytest
import torch

import sp_widget as sp
from sp_widget.circuits.metrics import in_full_precision
from sp_widget.evaluation.circuit_meter import CircuitMeter
from tests.model_kinds import bridge, dataloader


@pytest.mark.parametrize("patch_type", list(sp.PatchType))
def test_a_circuit_is_measured_by_its_kl_divergence(patch_type: sp.PatchType) -> None:
    model, prompts = sp.patchable_model(bridge("native-attention-only")), dataloader()
    scores = model.graph.split(torch.arange(model.n_edges).float())
    n_edges = model.n_edges // 2
    circuit = torch.arange(model.n_edges) >= model.n_edges - n_edges

    outputs = sp.run_circuits(model, prompts, [n_edges], scores, patch_type)[n_edges]
    total, n_prompts = 0.0, 0
    for batch in list(prompts)[:2]:
        clean = in_full_precision(model(batch.clean)[model.out_slice]).log_softmax(-1)
        found = in_full_precision(outputs[batch.key]).log_softmax(-1)
        total += (clean.exp() * (clean - found)).sum().item()
        n_prompts += len(clean)

    meter = CircuitMeter(model, prompts, patch_type=patch_type, n_prompts=4)
    assert meter.known(circuit) is None
    # Two whole batches of three prompts hold four.
    assert n_prompts == 6
    assert meter.measure(circuit) == pytest.approx(total / n_prompts, rel=1e-5)
    assert meter.known(circuit) == meter.measure(circuit)
    assert meter.measure(torch.ones_like(circuit)) == pytest.approx(0, abs=1e-6)
