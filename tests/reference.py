"""The outputs of the reference implementation, as recorded in `fixtures/reference_gpt2`."""

from __future__ import annotations

import json
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sp_widget.data.prompts import PromptDataLoader, PromptDataset
from sp_widget.engine.patchable_model import PatchableModel, patchable_model
from sp_widget.methods.subnetwork_probing.function import subnetwork_probing_prune_scores
from sp_widget.types import AblationType

FOLDER = Path(__file__).parent / "fixtures" / "reference_gpt2"
EDGES = ("comp", "tok")


@cache
def facts() -> dict[str, Any]:
    """`golden.json`."""
    return json.loads((FOLDER / "golden.json").read_text())


@cache
def _arrays() -> dict[str, np.ndarray]:
    with np.load(FOLDER / "golden.npz") as stored:
        return {name: stored[name] for name in stored.files}


def array(name: str) -> Tensor:
    """One array of `golden.npz`."""
    return torch.from_numpy(_arrays()[name].copy())


def arrays_under(prefix: str) -> dict[str, Tensor]:
    """The arrays of a folder of `golden.npz`, by the rest of their names."""
    return {name.removeprefix(prefix): array(name) for name in _arrays() if name.startswith(prefix)}


@cache
def bridge() -> Any:
    """The small GPT-2, booted the way a user boots a checkpoint."""
    from transformer_lens.model_bridge import TransformerBridge

    return TransformerBridge.boot_transformers(str(FOLDER / "model"), device="cpu")


def model(edges: str) -> PatchableModel:
    """`comp`: one edge for all positions; `tok`: one for each token position."""
    return patchable_model(bridge(), seq_len=6 if edges == "tok" else None)


def dataloader() -> PromptDataLoader:
    """All 16 prompt pairs, in batches of 8."""
    dataset = PromptDataset(
        array("clean"), array("corrupt"), array("answers"), array("wrong_answers")
    )
    return PromptDataLoader(dataset, batch_size=facts()["batch_size"])


def assert_training_agrees(model: PatchableModel, case: dict[str, Any]) -> None:
    """A deterministic training ends with the reference's scores."""
    avoid = set(case["avoid"] or ())
    with warnings.catch_warnings():
        # Some cases train towards what no circuit can reach, as the reference does.
        warnings.filterwarnings("ignore", "ablation_type", UserWarning)
        scores = subnetwork_probing_prune_scores(
            model,
            dataloader(),
            avoid_edges={edge for edge in model.edges if edge.name in avoid},
            ablation_type=AblationType[case["ablation"]],
            progress=False,
            **case["kwargs"],
        )
    expected = arrays_under(f"sp/{case['id']}/")
    assert set(scores) == set(expected)
    for name, score in scores.items():
        torch.testing.assert_close(score, expected[name], atol=1e-3, rtol=0)
