"""Subnetwork probing: train a mask on every edge until a sparse, faithful circuit is left.

After Miller, Chughtai & Saunders 2024 (arXiv 2407.08734), loosely after Cao, Sanh & Rush 2021
(arXiv 2104.03514).
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sp_widget.circuits.metrics import log_probabilities
from sp_widget.circuits.prepared import PreparedBatch
from sp_widget.circuits.scores import largest, scores_from_parameters
from sp_widget.data.prompts import PromptDataLoader
from sp_widget.engine.patchable_model import PatchableModel
from sp_widget.errors import ArgumentError
from sp_widget.methods.eap_ig import EapIg, EapIgConfig
from sp_widget.methods.faithfulness_curve import size_of_least_cost, sizes_of, unmeasured
from sp_widget.methods.mask_functions import mask_values
from sp_widget.methods.mask_training import MaskTrainer
from sp_widget.methods.ranking import circuit_size_of, share_of_ranks
from sp_widget.methods.record import HardEvaluation
from sp_widget.methods.subnetwork_probing.config import SubnetworkProbingConfig
from sp_widget.methods.subnetwork_probing.sparsity import (
    chosen,
    draw_prices,
    log_odds_at,
    regularizer,
    share_of_lambda,
    soft_edge_count,
    sparsity_of,
)
from sp_widget.types import AblationType

STEPS_BETWEEN_SIZES = 4
"""Every so many steps the ranking is measured at one size: a run without gradient."""


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
        self.tensors["curve"] = unmeasured(model.n_edges, model.device)
        self._unit = 1.0
        """What lambda is measured in, in the unit of the target."""

    def check_config(self) -> None:
        """Raise `ArgumentError` for edges, or a number of them, that the model does not have."""
        super().check_config()
        foreign = self.config.avoid_edges - self.model.edges if self.config.avoid_edges else ()
        for edge in foreign:
            raise ArgumentError("avoid_edges", "edges of the model", str(edge))

    # --- the method -------------------------------------------------------------------------

    def start(self) -> Float[Tensor, " edges"]:
        """Return the same parameter for every edge: see `init_val` and `start`."""
        # A parameter of this sign puts an edge into the circuit.
        inside = -1 if self.config.tree_optimisation else 1
        value = -inside * self.config.init_val
        if self.config.start is not None:
            value = abs(self.config.init_val) * (
                inside if self.config.start == "whole_model" else -inside
            )
        return torch.full((self.n_edges,), float(value))

    def begin(self) -> None:
        """Measure what lambda and completeness are relative to, and take a warm start."""
        config = self.config
        if config.lambda_unit == "empty_circuit":
            none = torch.zeros(self.n_edges, dtype=torch.bool, device=self.model.device)
            lost = self.mean_faithfulness(none, self.batches)
            lost -= self.mean_faithfulness(~none, self.batches)
            self._unit = abs(lost)
        if config.completeness_lambda > 0:
            self._ablated = [log_probabilities(self._empty_logits(here)) for here in self.batches]
        if config.warm_start and not self.history:
            self._start_from_attribution()

    def sample_masks(self, n_prompts: int, generator: torch.Generator) -> Float[Tensor, "n edges"]:
        """Return mask values: one independent sample for each prompt, where they are random."""
        theta: Tensor = self.theta
        if self.config.lambda_schedule == "per_prompt":
            prices = draw_prices(n_prompts, generator, theta.device)
            theta = self._parameters_at(prices)
            if torch.is_grad_enabled():
                self._prices = prices
        return mask_values(theta, self.config.mask_fn, n_prompts, generator, self.config.dropout_p)

    def sample_validation_masks(
        self, n_prompts: int, generator: torch.Generator
    ) -> Float[Tensor, "n edges"]:
        """Return mask values as for a step, but without dropout."""
        return mask_values(self.theta, self.config.mask_fn, n_prompts, generator)

    def loss(
        self,
        faithfulness: Float[Tensor, ""],
        masks: Float[Tensor, "n edges"],
        step: int,
        generator: torch.Generator,
    ) -> tuple[Float[Tensor, ""], dict[str, Tensor | float]]:
        """Return faithfulness + lambda × regularizer, the latter of a fresh sample.

        With a lambda for every prompt: faithfulness + unit × mean of price × expected edges.
        """
        config = self.config
        if config.lambda_schedule == "per_prompt":
            sign = -1 if config.tree_optimisation else 1
            counts = torch.sigmoid(sign * self._parameters_at(self._prices)).sum(1)
            penalty = self._unit * (self._prices * counts).mean()
            edge_count = counts.mean()
            sparsity = regularizer(self.theta, edge_count, config, self._avoided)
        else:
            edge_count = soft_edge_count(self.theta, config, generator)
            sparsity = regularizer(self.theta, edge_count, config, self._avoided)
            weight = self._weight * share_of_lambda(config, step, self.n_steps)
            penalty = weight * sparsity
        self.tensors["soft_edge_count"].copy_(edge_count.detach())
        loss = faithfulness + penalty
        terms: dict[str, Tensor | float] = {
            "regularizer": sparsity,
            "penalty": penalty,
            "soft_edge_count": edge_count,
            "regularize_lambda": config.regularize_lambda,
        }
        if config.completeness_lambda > 0:
            terms["completeness"] = self._completeness(masks, step)
            loss = loss + config.completeness_lambda * terms["completeness"]
        return loss, terms

    def after_update(self, step: int) -> None:
        """Measure the ranking at one of several sizes, with a lambda for every prompt."""
        if self.config.lambda_schedule != "per_prompt" or step % STEPS_BETWEEN_SIZES:
            return
        sizes, curve = sizes_of(self.n_edges), self.tensors["curve"]
        index = (step // STEPS_BETWEEN_SIZES - 1) % len(sizes)
        here = self.batches[(step - 1) % len(self.batches)]
        masks = self.masks_of(largest(self.scores(), sizes[index]))
        curve[index] = self.faithfulness(self.run_masks(masks, here), here)

    def scores(self) -> Float[Tensor, " edges"]:
        """Return `|x| ± theta`, all of one sign: see docs/method.md."""
        return scores_from_parameters(self.theta.detach(), self.config.tree_optimisation)

    def hard_circuit(self) -> Bool[Tensor, " edges"]:
        """Return the edges whose masks round to "in the circuit", or the top k of them.

        With a lambda for every prompt: the top ones, as many as cost least at lambda.
        """
        if self.config.lambda_schedule == "per_prompt" and self.config.hard_circuit == "threshold":
            return largest(self.scores(), self._size())
        return chosen(self.theta, self.config, self.tensors["soft_edge_count"])

    def sparsity_of(self, circuit: Bool[Tensor, " edges"]) -> float:
        """Return the regularizer of exactly these edges."""
        return sparsity_of(circuit, self.config, self._avoided)

    def objective(self, evaluation: HardEvaluation) -> float:
        """Return the loss with nothing sampled."""
        return evaluation.objective(self._weight)

    # --- its parts --------------------------------------------------------------------------

    @property
    def _weight(self) -> float:
        """Lambda in the unit of the target."""
        return self.config.regularize_lambda * self._unit

    def _size(self) -> int:
        """Return how many edges the circuit has that is cut from the ranking."""
        if self.config.circuit_size is not None:
            return self.config.circuit_size
        return size_of_least_cost(self.tensors["curve"], self.n_edges, self._weight)

    def _parameters_at(self, prices: Float[Tensor, " n"]) -> Float[Tensor, "n edges"]:
        """Return the parameters of the masks at each price of an edge."""
        sign = -1 if self.config.tree_optimisation else 1
        return sign * log_odds_at(sign * self.theta, prices)

    def _empty_logits(self, here: PreparedBatch) -> Tensor:
        none = torch.zeros(self.n_edges, dtype=torch.bool, device=self.model.device)
        with torch.no_grad():
            return self.run_masks(self.masks_of(none), here)

    def _completeness(self, masks: Float[Tensor, "n edges"], step: int) -> Float[Tensor, ""]:
        """Return KL(everything ablated || complement): 0 where the complement knows nothing.

        After Yu et al. 2024, DiscoGP (arXiv 2407.03779), whose target is the uniform distribution.
        """
        index = (step - 1) % len(self.batches)
        wanted = self._ablated[index]
        complement = log_probabilities(self.run_masks(1 - masks, self.batches[index]))
        return (wanted.exp() * (wanted - complement)).sum(-1).mean()

    def _start_from_attribution(self) -> None:
        """Set the log-odds from EAP-IG: p = σ((rank − b) / 0.2), with mean p the wanted share."""
        inputs = self.config.ablation_type is AblationType.RESAMPLE and self.model.is_factorized
        attribution = EapIg(
            self.model,
            self.dataloader,
            EapIgConfig(
                interpolate="inputs" if inputs else "activations",
                ablation_type=self.config.ablation_type,
                evaluate_every=None,
            ),
        )
        if self.run_side == attribution.run_side:
            attribution.batches, attribution.prepared = self.batches, True
        importance = attribution.run(progress=False)
        flat = self.model.graph.flatten(dict(importance)).abs()
        ranks = flat.argsort().argsort() / max(1, self.n_edges - 1)
        share = circuit_size_of(self.config.circuit_size, self.n_edges) / self.n_edges
        p = share_of_ranks(ranks, share)
        log_odds = (torch.logit(p) * 2 / 3).clamp(-10, 10).to(self.theta)
        with torch.no_grad():
            self.theta.copy_(-log_odds if self.config.tree_optimisation else log_odds)

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
