"""The vocabulary shared by every floor: ablation types, patch types, mask functions, score types.

Names and members follow auto-circuit (Miller, Chughtai & Saunders 2024).
"""

from __future__ import annotations

from enum import Enum
from typing import Literal, TypeAlias

import torch
from jaxtyping import Bool
from torch import Tensor

BatchKey: TypeAlias = int
"""A unique key of a `PromptPairBatch` within its dataloader."""

MaskFn: TypeAlias = Literal["hard_concrete", "sigmoid"] | None
"""How a trained parameter becomes a mask value: see `sp_widget.methods.mask_functions`."""

OutputSlice: TypeAlias = Literal["last_seq", "not_first_seq"] | None
"""Which token positions of the logits count for the task (`None`: all of them)."""

FaithfulnessTarget: TypeAlias = Literal[
    "kl_div",
    "mse",
    "answer",
    "wrong_answer",
    "logit_diff",
    "correct_percent",
    "logit_diff_percent",
]
"""What the training makes the circuit faithful to: see `sp_widget.circuits.metrics`."""

MetricName: TypeAlias = Literal[
    "kl_div",
    "mse",
    "logit_diff",
    "positive_logit_diff",
    "logit_diff_percent",
    "answer_probability",
    "accuracy",
]
"""What an evaluation can report of a circuit: see `sp_widget.circuits.metrics`."""

BatchOutputs: TypeAlias = dict[BatchKey, torch.Tensor]
"""Batch key to the sliced logits of that batch."""

CircuitOutputs: TypeAlias = dict[int, BatchOutputs]
"""Number of edges in the circuit to the outputs of that circuit."""


Side: TypeAlias = Literal["clean", "corrupt"]
"""One of the two prompts of a pair."""


def other_side(side: Side) -> Side:
    """Return the other prompt of the pair."""
    return "corrupt" if side == "clean" else "clean"


class PatchType(Enum):
    """Whether to patch the edges in the circuit or the complement of the circuit."""

    EDGE_PATCH = 1
    """Run the corrupt prompt and patch the circuit's edges with clean activations."""

    TREE_PATCH = 2
    """Run the clean prompt and ablate every edge that is *not* in the circuit."""

    def __str__(self) -> str:
        return self.name.replace("_", " ").title()

    @property
    def run_side(self) -> Side:
        """The prompt that runs through the model; patch activations come from the other one."""
        return "clean" if self is PatchType.TREE_PATCH else "corrupt"

    def patched(self, circuits: Bool[Tensor, "*n edges"]) -> Bool[Tensor, "*n edges"]:
        """Return which edges are patched when a circuit is run."""
        return ~circuits if self is PatchType.TREE_PATCH else circuits


class AblationType(Enum):
    """The activations that replace those of the current run on a patched edge."""

    RESAMPLE = 1
    """The same source on the other prompt of the pair, example by example."""

    ZERO = 2
    """Zeros."""

    TOKENWISE_MEAN_CLEAN = 3
    """Mean per token position over the clean prompts of the whole dataset."""

    TOKENWISE_MEAN_CORRUPT = 4
    """Mean per token position over the corrupt prompts of the whole dataset."""

    TOKENWISE_MEAN_CLEAN_AND_CORRUPT = 5
    """Mean per token position over the clean and corrupt prompts of the whole dataset."""

    BATCH_TOKENWISE_MEAN = 6
    """Mean per token position over the other prompts of this batch."""

    BATCH_ALL_TOK_MEAN = 7
    """Mean over all tokens of the other prompts of this batch."""

    def __str__(self) -> str:
        return self.name.replace("_", " ").title()

    @property
    def mean_over_dataset(self) -> bool:
        """Whether the activations are one mean over the dataset instead of one per batch."""
        return self.clean_dataset or self.corrupt_dataset

    @property
    def clean_dataset(self) -> bool:
        """Whether the dataset mean includes the clean prompts."""
        return self in (
            AblationType.TOKENWISE_MEAN_CLEAN,
            AblationType.TOKENWISE_MEAN_CLEAN_AND_CORRUPT,
        )

    @property
    def corrupt_dataset(self) -> bool:
        """Whether the dataset mean includes the corrupt prompts."""
        return self in (
            AblationType.TOKENWISE_MEAN_CORRUPT,
            AblationType.TOKENWISE_MEAN_CLEAN_AND_CORRUPT,
        )
