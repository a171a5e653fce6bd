"""From prompts in words to scores in the notebook, with a HookedTransformer and its tokenizer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import sp_widget as sp
from tests import model_kinds
from tests.legacy import hooked_models

pytestmark = hooked_models.MARKS


@pytest.fixture
def model(tmp_path: Path) -> Any:
    from transformers import AutoTokenizer

    model_kinds.tokenizer().save_pretrained(tmp_path / "tokenizer")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "tokenizer", add_bos_token=True)
    return hooked_models.hooked(tokenizer=tokenizer)


def _prompt(clean: str, corrupt: str) -> dict[str, Any]:
    return {"clean": clean, "corrupt": corrupt, "answers": ["w5"], "wrong_answers": ["w6"]}


def test_prompts_of_unequal_length_train_in_the_panel(tmp_path: Path, model: Any) -> None:
    prompts = [
        _prompt("w3 w4 w5 w6", "w7 w4 w8 w6"),
        _prompt("w9 w5", "w8 w5"),
        _prompt("w4 w7 w9", "w3 w7 w9"),
    ]
    path = tmp_path / "prompts.json"
    path.write_text(json.dumps({"prompts": prompts}))
    patchable = sp.patchable_model(model)
    loader, test_loader = sp.load_datasets_from_json(
        patchable, path, batch_size=2, train_test_size=(2, 1)
    )
    sp.check_model(patchable, loader)
    config = sp.SubnetworkProbingConfig(epochs=3, seed=0)
    probe = sp.SubnetworkProbingWidget(patchable, loader, test_loader, config=config)
    try:
        probe.start()
        probe.wait(60)
        scores = probe.prune_scores
        assert [record.step for record in probe.history] == [1, 2, 3]
    finally:
        probe.close()
    outputs = sp.run_circuits(patchable, test_loader, [patchable.n_edges], scores)
    (batch,) = test_loader
    with torch.no_grad():
        expected = model(batch.clean, attention_mask=batch.clean_attention_mask)[:, -1]
    (logits,) = outputs[patchable.n_edges].values()
    torch.testing.assert_close(logits, expected, atol=1e-4, rtol=0)
