"""EAP-IG: attribution patching with gradients averaged along a path of activations.

After Hanna, Pezzelle & Belinkov 2024 (arXiv 2403.17806). The score of an edge is what its source
writes on the corrupt prompt minus what it writes on the clean one, times the mean gradient at its
destination over n points k/n, k = 1 … n:

- `inputs`: the embeddings go from the corrupt prompt (k = 0) to the clean one;
- `activations`: the outputs of the sources of one module (the embedding, the heads of one attention
  layer, one MLP) go from clean to corrupt, module by module, and their edges are scored.

With every mask at 0 the run does not depend on the patch activations, so the gradient with respect
to a mask, `x_d' · (a_s − c_s)`, with the corrupt sources as `a` minus that with the clean ones is
`x_d' · (corrupt_s − clean_s)`: two backward runs a point give all edges at once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from sp_widget.circuits.ablations import prompts
from sp_widget.circuits.metrics import in_full_precision
from sp_widget.circuits.prepared import PreparedBatch
from sp_widget.circuits.scores import PruneScores
from sp_widget.data.prompts import PromptDataLoader
from sp_widget.engine.patchable_model import PatchableModel
from sp_widget.engine.protocol import Patch
from sp_widget.errors import ArgumentError
from sp_widget.methods.base import Method, MethodConfig, Trainer, settings_of
from sp_widget.methods.mask_gradient import AnswerFunction, GradFunction, answer_loss
from sp_widget.methods.parameter import choice, whole_number
from sp_widget.methods.ranking import circuit_size
from sp_widget.methods.series import EDGES, LOSS
from sp_widget.models.architecture import RunInputs
from sp_widget.types import AblationType


@dataclass(frozen=True, kw_only=True)
class EapIgConfig(MethodConfig):
    """Which path to integrate along.

    Raises `ArgumentError` (a `ValueError`) that names the first bad field.
    """

    interpolate: Literal["inputs", "activations"] = choice(
        "inputs",
        "Interpolate",
        "What goes from one prompt to the other along the path.",
        {"inputs": "The embeddings", "activations": "Each source's own output"},
    )
    points: int = whole_number(
        5, "Points of the path", "How many points gradients are averaged over.", at_most=10_000
    )
    grad_function: GradFunction = choice(
        "logit",
        "Output",
        "What is made of the logits before the answer function.",
        {"logit": "Logits", "prob": "Probabilities", "logprob": "Log probabilities"},
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
    circuit_size: int | None = circuit_size()


class EapIg(Trainer[EapIgConfig]):
    """Adds up attributions: a step is one point of the path of one batch (and one module)."""

    title = "EAP-IG"
    Config = EapIgConfig

    def __init__(
        self,
        model: PatchableModel,
        dataloader: PromptDataLoader,
        config: EapIgConfig | None = None,
        validation_dataloader: PromptDataLoader | None = None,
    ) -> None:
        super().__init__(model, dataloader, config, validation_dataloader)
        self.tensors["attribution"] = torch.zeros(model.n_edges, device=model.device)
        self._modules = list(dict.fromkeys(src.module_name for src in model.srcs))

    def check_config(self) -> None:
        """Raise `ArgumentError` for what the path cannot be taken with."""
        super().check_config()
        resample = self.config.ablation_type is AblationType.RESAMPLE
        if self.config.interpolate == "inputs":
            if not resample:
                wanted = "RESAMPLE: the path of the embeddings ends in the corrupt prompt"
                raise ArgumentError("ablation_type", wanted, self.config.ablation_type)
            if not self.model.is_factorized:
                wanted = "'activations' for a model with factorized=False"
                raise ArgumentError("interpolate", wanted, self.config.interpolate)

    @property
    def n_paths(self) -> int:
        """Paths of a batch: one of its inputs, or one for each module of sources."""
        return 1 if self.config.interpolate == "inputs" else len(self._modules)

    @property
    def n_steps(self) -> int:
        """Batches times points times paths."""
        return self.config.points * self.n_paths * len(self.dataloader)

    def make_step(self, step: int) -> dict[str, Tensor | float]:
        """Add the attribution at one point."""
        rest, index = divmod(step - 1, len(self.batches))
        path, point = divmod(rest, self.config.points)
        here, share = self.batches[index], (point + 1) / self.config.points
        if self.config.interpolate == "inputs":
            loss, attribution = self._along_the_inputs(here, share)
        else:
            loss, attribution = self._along_a_module(here, self._modules[path], share)
        # A mean over points, and over batches by their number of prompts.
        n_prompts = sum(len(each.inputs.embed) for each in self.batches)
        weight = len(here.inputs.embed) / n_prompts / self.config.points
        self.tensors["attribution"] += weight * attribution
        return {"loss": loss, "share_of_path": share}

    def _along_the_inputs(
        self, here: PreparedBatch, share: float
    ) -> tuple[Tensor, Float[Tensor, " edges"]]:
        engine = self.model.engine
        clean = here.inputs
        with torch.no_grad():
            corrupt, _ = engine.architecture.run_inputs(*prompts(here.batch, "corrupt"))
            clean_patch = engine.patch(engine.source_outputs(clean))
        embed = corrupt.embed + share * (clean.embed - corrupt.embed)
        between = replace(clean, embed=embed)
        loss, to_corrupt = self._gradient(self._no_masks(), between, here.patch(), here)
        _, to_clean = self._gradient(self._no_masks(), between, clean_patch, here)
        return loss, to_corrupt - to_clean

    def _along_a_module(
        self, here: PreparedBatch, module: str, share: float
    ) -> tuple[Tensor, Float[Tensor, " edges"]]:
        # An edge's mask is the share of the way that its source has gone.
        own = self._edges_from(module)
        loss, gradient = self._gradient(share * own, here.inputs, here.patch(), here)
        return loss, gradient * own[0]

    def _gradient(
        self, masks: Float[Tensor, "1 edges"], inputs: RunInputs, patch: Patch, here: PreparedBatch
    ) -> tuple[Tensor, Float[Tensor, " edges"]]:
        masks.requires_grad_()
        logits = self.model.engine.run(masks, inputs, patch, self.model.out_positions)
        loss = answer_loss(
            in_full_precision(self.model.sliced(logits)),
            here.batch,
            self.config.grad_function,
            self.config.answer_function,
        )
        (gradient,) = torch.autograd.grad(loss, masks)
        return loss.detach(), gradient[0]

    def _no_masks(self) -> Float[Tensor, "1 edges"]:
        return torch.zeros(1, self.n_edges, device=self.model.device)

    def _edges_from(self, module: str) -> Float[Tensor, "1 edges"]:
        """Return 1 for the edges whose source belongs to a module, else 0."""
        of_module = torch.tensor([src.module_name == module for src in self.model.srcs])
        graph = self.model.graph
        masks = {
            each.name: of_module[each.srcs.start : each.srcs.stop]
            .float()
            .expand(each.mask_shape(graph.seq_len))
            for each in graph.modules
        }
        return graph.flatten(masks).to(self.model.device).unsqueeze(0)

    def scores(self) -> Float[Tensor, " edges"]:
        """Return the attributions so far. Their sign tells whether ablating does harm (+)."""
        return self.tensors["attribution"]


def eap_ig_prune_scores(
    model: PatchableModel,
    dataloader: PromptDataLoader,
    official_edges: object = None,
    *,
    validation_dataloader: PromptDataLoader | None = None,
    progress: bool = True,
    **settings: Any,
) -> PruneScores:
    """Return EAP-IG scores, signed (Hanna, Pezzelle & Belinkov 2024, arXiv 2403.17806).

    `settings` are the fields of `EapIgConfig`. `official_edges` is not used. Raises
    `ArgumentError` for a bad argument.
    """
    config = settings_of(EapIgConfig, settings)
    return EapIg(model, dataloader, config, validation_dataloader).run(progress=progress)


METHOD = Method(
    name="eap_ig",
    title=EapIg.title,
    summary="Attribution averaged along a path: a better first look, still without training.",
    Config=EapIgConfig,
    trainer=EapIg,
    series=(LOSS, EDGES),
)
