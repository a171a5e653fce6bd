"""Attribution by the gradient of the masks, of which edge attribution patching is a case.

The score of an edge is the gradient, with respect to its mask, of minus an answer function of the
output: of masks that are all `mask_val`, or summed over points of the straight path from 0 (the
plain run) to 1 (everything ablated), as in auto-circuit (Miller, Chughtai & Saunders 2024, arXiv
2407.08734) and Sundararajan et al. 2017 (arXiv 1703.01365). With the logit difference at 0 it is
edge attribution patching (Syed et al. 2023, arXiv 2310.10348):

    score = ∂L/∂m_ds = x_d' · (a_s − c_s)

All edges come from one forward and backward run a batch and point.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from sp_widget.circuits.metrics import answer_means, logit_diffs
from sp_widget.circuits.prepared import PreparedBatch
from sp_widget.circuits.scores import PruneScores
from sp_widget.data.prompts import PromptDataLoader, PromptPairBatch
from sp_widget.engine.patchable_model import PatchableModel
from sp_widget.errors import ArgumentError, require_switches
from sp_widget.methods.base import Method, MethodConfig, Trainer, settings_of
from sp_widget.methods.parameter import choice, number, whole_number
from sp_widget.methods.ranking import circuit_size
from sp_widget.methods.series import EDGES, LOSS
from sp_widget.types import AblationType

GradFunction: TypeAlias = Literal["logit", "prob", "logprob", "logit_exp"]
AnswerFunction: TypeAlias = Literal["avg_diff", "avg_val", "mse"]


@dataclass(frozen=True, kw_only=True)
class MaskGradientConfig(MethodConfig):
    """Which gradient to take.

    Raises `ArgumentError` (a `ValueError`) that names the first bad field.
    """

    grad_function: GradFunction = choice(
        "logit",
        "Output",
        "What is made of the logits before the answer function.",
        {
            "logit": "Logits",
            "prob": "Probabilities",
            "logprob": "Log probabilities",
            "logit_exp": "Exponentials over a constant sum",
        },
    )
    answer_function: AnswerFunction = choice(
        "avg_diff",
        "Answer function",
        "The quantity whose gradient is taken, of the output at the answers.",
        {
            "avg_diff": "Answers minus wrong answers",
            "avg_val": "Answers",
            "mse": "Mean squared error",
        },
    )
    integrated_grad_samples: int | None = whole_number(
        None,
        "Points of the path",
        "Gradients are summed over this many equal steps of the path on which all masks go from 0 "
        "to 1, both ends included. Left empty, there is one point, the mask value.",
        at_most=10_000,
        optional="one, at the mask value",
    )
    mask_val: float | None = number(
        None,
        "Mask value",
        "Value of every mask where the gradient is taken; 0 is the plain run.",
        optional="0",
        group="more",
    )
    circuit_size: int | None = circuit_size()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mask_val is not None and self.integrated_grad_samples is not None:
            raise ArgumentError("mask_val", "None with integrated_grad_samples", self.mask_val)

    @property
    def points(self) -> tuple[float, ...]:
        """The values of the masks at which gradients are taken."""
        n = self.integrated_grad_samples
        if n is None:
            return (float(self.mask_val or 0),)
        return tuple(point / n for point in range(n + 1))


class MaskGradient(Trainer[MaskGradientConfig]):
    """Adds up mask gradients: a step is one batch at one point of the path."""

    title = "Mask gradients"
    Config = MaskGradientConfig

    def __init__(
        self,
        model: PatchableModel,
        dataloader: PromptDataLoader,
        config: MaskGradientConfig | None = None,
        validation_dataloader: PromptDataLoader | None = None,
    ) -> None:
        super().__init__(model, dataloader, config, validation_dataloader)
        self.tensors["gradient"] = torch.zeros(model.n_edges, device=model.device)

    @property
    def n_steps(self) -> int:
        """Batches times points."""
        return len(self.config.points) * len(self.dataloader)

    def make_step(self, step: int) -> dict[str, Tensor | float]:
        """Add the gradient of one batch at one point."""
        point, index = divmod(step - 1, len(self.batches))
        here = self.batches[index]
        masks = torch.full((1, self.n_edges), self.config.points[point], device=self.model.device)
        loss, gradient = self.gradient_at(masks, here)
        self.tensors["gradient"] += gradient[0]
        return {"loss": loss, "mask_value": self.config.points[point]}

    def gradient_at(
        self, masks: Float[Tensor, "n edges"], here: PreparedBatch
    ) -> tuple[Float[Tensor, ""], Float[Tensor, "n edges"]]:
        """Return minus the answer function of a batch, and its gradient."""
        masks.requires_grad_()
        loss = answer_loss(
            self.run_masks(masks, here),
            here.batch,
            self.config.grad_function,
            self.config.answer_function,
        )
        (gradient,) = torch.autograd.grad(loss, masks)
        return loss.detach(), gradient

    def scores(self) -> Float[Tensor, " edges"]:
        """Return the gradients so far. Their sign tells whether ablating the edge does harm (+)."""
        return self.tensors["gradient"]


def answer_loss(
    logits: Float[Tensor, "batch *positions d_vocab"],
    batch: PromptPairBatch,
    grad_function: GradFunction,
    answer_function: AnswerFunction,
) -> Float[Tensor, ""]:
    """Return minus the answer function of the output, averaged over prompts; or the squared error.

    Raises `ArgumentError` for answers that do not have the shape of the output with `mse`.
    """
    if grad_function == "prob":
        values = logits.softmax(-1)
    elif grad_function == "logprob":
        values = logits.log_softmax(-1)
    elif grad_function == "logit_exp":
        exponentials = (logits - logits.detach().amax(-1, keepdim=True)).exp()
        values = exponentials / exponentials.sum(-1, keepdim=True).detach()
    else:
        values = logits
    if answer_function == "avg_diff":
        return -logit_diffs(values, batch).mean()
    if answer_function == "avg_val":
        return -answer_means(values, batch.answers).mean()
    answers = batch.answers
    if not isinstance(answers, Tensor) or answers.shape != values.shape:
        got = tuple(answers.shape) if isinstance(answers, Tensor) else "answers of unequal number"
        raise ArgumentError("answers", f"values of shape {tuple(values.shape)} for 'mse'", got)
    return (values - answers).square().mean()


def mask_gradient_prune_scores(
    model: PatchableModel,
    dataloader: PromptDataLoader,
    official_edges: object = None,
    grad_function: GradFunction = "logit",
    answer_function: AnswerFunction = "avg_diff",
    mask_val: float | None = None,
    integrated_grad_samples: int | None = None,
    ablation_type: AblationType = AblationType.RESAMPLE,
    clean_corrupt: Literal["clean", "corrupt"] | None = "corrupt",
    *,
    validation_dataloader: PromptDataLoader | None = None,
    progress: bool = True,
    **settings: Any,
) -> PruneScores:
    """Return the gradient of every mask as its edge's prune score; signature as in auto-circuit.

    `mask_val` or `integrated_grad_samples`: where the gradient is taken, see
    `MaskGradientConfig`; with neither, at 0. `clean_corrupt`: the prompts that patch activations
    come from, `"corrupt"` (or `None` for an ablation that needs none). `settings` are further
    fields of the config. `official_edges` is not used.

    Raises `ArgumentError` for a bad argument.
    """
    if clean_corrupt is not None and not (
        isinstance(clean_corrupt, str) and clean_corrupt == "corrupt"
    ):
        wanted = "'corrupt' or None: clean prompts run, patched from the corrupt ones"
        raise ArgumentError("clean_corrupt", wanted, clean_corrupt)
    config = settings_of(
        MaskGradientConfig,
        {
            "grad_function": grad_function,
            "answer_function": answer_function,
            "mask_val": mask_val,
            "integrated_grad_samples": integrated_grad_samples,
            "ablation_type": ablation_type,
            **settings,
        },
    )
    trainer = MaskGradient(model, dataloader, config, validation_dataloader)
    return trainer.run(progress=progress)


def edge_attribution_patching_prune_scores(
    model: PatchableModel,
    dataloader: PromptDataLoader,
    official_edges: object = None,
    answer_diff: bool = True,
    *,
    progress: bool = True,
) -> PruneScores:
    """Return edge attribution patching scores (Syed et al. 2023, arXiv 2310.10348).

    The mask gradient of the logit difference (`answer_diff`) or of the answers' logits, at the
    plain run. `official_edges` is not used. Raises `ArgumentError` for a bad argument.
    """
    require_switches(answer_diff=answer_diff)
    return mask_gradient_prune_scores(
        model,
        dataloader,
        official_edges,
        grad_function="logit",
        answer_function="avg_diff" if answer_diff else "avg_val",
        mask_val=0.0,
        progress=progress,
    )


METHOD = Method(
    name="mask_gradient",
    title=MaskGradient.title,
    summary="Gradients of the masks, one run a batch: a quick first look (attribution patching).",
    Config=MaskGradientConfig,
    trainer=MaskGradient,
    series=(LOSS, EDGES),
)
