"""Measure circuits on prompts that are prepared once: what one circuit after another loses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sp_widget.circuits.arguments import check_model_and_prompts
from sp_widget.circuits.metrics import METRICS, Metric, in_full_precision
from sp_widget.circuits.prepared import PreparedBatch, prepare_batches
from sp_widget.circuits.run_circuits import run_masks
from sp_widget.data.prompts import PromptDataLoader
from sp_widget.engine.patchable_model import PatchableModel
from sp_widget.errors import require_member
from sp_widget.methods.mask_training import target_for
from sp_widget.types import AblationType, MetricName, PatchType

N_PROMPTS = 32
"""Few enough that a small model answers at once."""
MOST_KEPT = 4096
"""Circuits whose values are remembered."""


class CircuitMeter:
    """Measures circuits on the same few prompts again and again, and remembers what it measured.

    The metric is the KL divergence of the whole model's predictions to the circuit's, or the mean
    squared error where the answers are numbers. Used by one thread at a time.

    Args:
        model: What `patchable_model` returns.
        dataloader: The prompts; the first batches that hold `n_prompts` of them are taken.
        ablation_type: What an edge outside the circuit carries.
        patch_type: `TREE_PATCH`: the clean prompt runs and all edges outside the circuit are
            ablated. `EDGE_PATCH`: the corrupt prompt runs and the circuit's edges are patched.

    Raises `ArgumentError` with the name of a bad argument.
    """

    def __init__(
        self,
        model: PatchableModel,
        dataloader: PromptDataLoader,
        ablation_type: AblationType = AblationType.RESAMPLE,
        patch_type: PatchType = PatchType.TREE_PATCH,
        n_prompts: int = N_PROMPTS,
    ) -> None:
        self._model, self._dataloader = check_model_and_prompts(model, dataloader)
        require_member("ablation_type", ablation_type, AblationType)
        require_member("patch_type", patch_type, PatchType)
        self._ablation_type = ablation_type
        self._patch_type = patch_type
        self._n_prompts = n_prompts
        self._batches: list[PreparedBatch] = []
        self._known: dict[bytes, float] = {}
        self.metric: MetricName = "mse" if target_for(dataloader) == "mse" else "kl_div"

    def known(self, circuit: Bool[Tensor, " edges"]) -> float | None:
        """Return what a circuit was measured to; `None`: it was not measured yet."""
        return self._known.get(_key(circuit))

    @torch.no_grad()
    def measure(self, circuit: Bool[Tensor, " edges"]) -> float:
        """Return what a circuit loses, a mean over the prompts.

        Raises `ModelChangedError` when a weight has changed since the model was made patchable.
        """
        value = self.known(circuit)
        if value is None:
            masks = self._masks(circuit[None])
            found = mean_metrics(
                self._model, masks, self._prepared(), {self.metric: METRICS[self.metric]}
            )
            value = printable(self.metric, found.item())
            if len(self._known) >= MOST_KEPT:
                del self._known[next(iter(self._known))]
            self._known[_key(circuit)] = value
        return value

    def _masks(self, circuits: Bool[Tensor, "n edges"]) -> Bool[Tensor, "n edges"]:
        return self._patch_type.patched(circuits).to(self._model.device)

    def _prepared(self) -> Sequence[PreparedBatch]:
        if not self._batches:
            n_batches = -(-self._n_prompts // (self._dataloader.batch_size or 1))
            self._batches = list(
                islice(
                    prepare_batches(
                        self._model,
                        self._dataloader,
                        run_side=self._patch_type.run_side,
                        ablation_type=self._ablation_type,
                    ),
                    n_batches,
                )
            )
        return self._batches


def mean_metrics(
    model: PatchableModel,
    masks: Bool[Tensor, "n edges"],
    batches: Sequence[PreparedBatch],
    metrics: Mapping[str, Metric],
) -> Float[Tensor, "n metrics"]:
    """Return the means of metrics over all prompts, for each row of masks."""
    total = torch.zeros(len(masks), len(metrics), dtype=torch.float64)
    n_prompts = 0
    for here in batches:
        runs = run_masks(model, masks, here.inputs, here.patch())
        rows = [
            torch.stack(
                [
                    torch.as_tensor(metric(logits, here.clean_logits, here.batch)).double().mean()
                    for metric in metrics.values()
                ]
            )
            for logits in map(in_full_precision, runs)
        ]
        n = len(here.inputs.embed)
        total += n * torch.stack(rows).cpu()
        n_prompts += n
    return total / n_prompts


def printable(metric: str, value: float) -> float:
    """Return a mean without the rounding errors that make a divergence negative."""
    return max(0.0, value) if metric == "kl_div" else value


def _key(circuit: Bool[Tensor, " edges"]) -> bytes:
    return np.packbits(circuit.cpu().numpy()).tobytes()
