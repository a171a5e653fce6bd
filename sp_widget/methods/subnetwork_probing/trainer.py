"""Subnetwork probing: train a mask on every edge until a sparse, faithful circuit is left.

After Miller, Chughtai & Saunders 2024 (arXiv 2407.08734), loosely after Cao, Sanh & Rush 2021
(arXiv 2104.03514).
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sp_widget.circuits.scores import scores_from_parameters
from sp_widget.data.prompts import PromptDataLoader
from sp_widget.engine.patchable_model import PatchableModel
from sp_widget.errors import ArgumentError
from sp_widget.methods.mask_functions import mask_values
from sp_widget.methods.mask_training import MaskTrainer
from sp_widget.methods.record import HardEvaluation
from sp_widget.methods.subnetwork_probing.config import SubnetworkProbingConfig
from sp_widget.methods.subnetwork_probing.hard_circuit import chosen, sparsity_of
from sp_widget.methods.subnetwork_probing.regularizer import regularizer, soft_edge_count


class SubnetworkProbing(MaskTrainer[SubnetworkProbingConfig]):
    """The trainer: one optimiser step a batch, `epochs` passes over the dataloader.

    Synchronous and, on the CPU, deterministic for a given seed. Nothing of the model changes.

    Raises `ArgumentError` with the name of a bad argument.
    """

    title = "Subnetwork probing"
    Config = SubnetworkProbingConfig

    def __init__(
        self,
        model: PatchableModel,
        dataloader: PromptDataLoader,
        config: SubnetworkProbingConfig | None = None,
        validation_dataloader: PromptDataLoader | None = None,
    ) -> None:
        super().__init__(model, dataloader, config, validation_dataloader)
        self.run_side = "clean" if self.config.tree_optimisation else "corrupt"
        self._avoided = model.graph.flat_index(self.config.avoid_edges).to(model.device)
        self.tensors["soft_edge_count"] = torch.zeros((), device=model.device)

    def check_config(self) -> None:
        """Raise `ArgumentError` for edges, or a number of them, that the model does not have."""
        super().check_config()
        foreign = self.config.avoid_edges - self.model.edges if self.config.avoid_edges else ()
        for edge in foreign:
            raise ArgumentError("avoid_edges", "edges of the model", str(edge))

    # --- the method -------------------------------------------------------------------------

    def start(self) -> Float[Tensor, " edges"]:
        """Return the same parameter for every edge: see `init_val`."""
        sign = 1 if self.config.tree_optimisation else -1
        return torch.full((self.n_edges,), float(sign * self.config.init_val))

    def sample_masks(self, n_prompts: int, generator: torch.Generator) -> Float[Tensor, "n edges"]:
        """Return mask values: one independent sample for each prompt, where they are random."""
        return mask_values(
            self.theta, self.config.mask_fn, n_prompts, generator, self.config.dropout_p
        )

    def loss(
        self,
        faithfulness: Float[Tensor, ""],
        masks: Float[Tensor, "n edges"],
        step: int,
        generator: torch.Generator,
    ) -> tuple[Float[Tensor, ""], dict[str, Tensor | float]]:
        """Return faithfulness + lambda × regularizer, the latter of a fresh sample."""
        edge_count = soft_edge_count(self.theta, self.config, generator)
        self.tensors["soft_edge_count"].copy_(edge_count.detach())
        sparsity = regularizer(self.theta, edge_count, self.config, self._avoided)
        loss = faithfulness + self.config.regularize_lambda * sparsity
        return loss, {
            "regularizer": sparsity,
            "soft_edge_count": edge_count,
            "regularize_lambda": self.config.regularize_lambda,
        }

    def scores(self) -> Float[Tensor, " edges"]:
        """Return `|x| ± theta`, all of one sign: see docs/method.md."""
        return scores_from_parameters(self.theta.detach(), self.config.tree_optimisation)

    def hard_circuit(self) -> Bool[Tensor, " edges"]:
        """Return the edges whose masks round to "in the circuit", or the top k of them."""
        return chosen(self.theta, self.config, self.tensors["soft_edge_count"])

    def sparsity_of(self, circuit: Bool[Tensor, " edges"]) -> float:
        """Return the regularizer of exactly these edges."""
        return sparsity_of(circuit, self.config, self._avoided)

    def objective(self, evaluation: HardEvaluation) -> float:
        """Return the loss with nothing sampled."""
        return evaluation.objective(self.config.regularize_lambda)

    # --- settings that may change between two steps -----------------------------------------

    @property
    def learning_rate(self) -> float:
        """Adam's learning rate; a change is effective from the next step."""
        return self.config.learning_rate

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        self.change(learning_rate=value)

    @property
    def regularize_lambda(self) -> float:
        """Weight of the regularizer; a change is effective from the next step."""
        return self.config.regularize_lambda

    @regularize_lambda.setter
    def regularize_lambda(self, value: float) -> None:
        self.change(regularize_lambda=value)
