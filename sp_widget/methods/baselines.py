"""Baselines: scores that a method has to beat, and the ones that nothing can beat.

Each is one step. Activation magnitude is auto-circuit's.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sp_widget.circuits.arguments import check_model_and_prompts
from sp_widget.circuits.scores import PruneScores
from sp_widget.data.prompts import PromptDataLoader
from sp_widget.engine.patchable_model import PatchableModel, find_edges
from sp_widget.errors import ArgumentError
from sp_widget.graph.base_graph import BaseGraph
from sp_widget.graph.edge_graph import Edge, Graph
from sp_widget.methods.base import Method, MethodConfig, Trainer
from sp_widget.methods.parameter import from_code
from sp_widget.methods.ranking import circuit_size
from sp_widget.methods.series import EDGES, LOSS


@dataclass(frozen=True, kw_only=True)
class BaselineConfig(MethodConfig):
    """The settings of a baseline.

    Raises `ArgumentError` (a `ValueError`) that names the first bad field.
    """

    circuit_size: int | None = circuit_size()


class Baseline(Trainer[BaselineConfig]):
    """Scores all edges in one step, whose loss is the faithfulness of the circuit on the first
    batch."""

    def __init__(
        self,
        model: PatchableModel,
        dataloader: PromptDataLoader,
        config: Any = None,
        validation_dataloader: PromptDataLoader | None = None,
    ) -> None:
        super().__init__(model, dataloader, config, validation_dataloader)
        self.tensors["scores"] = torch.zeros(model.n_edges, device=model.device)

    @property
    def n_steps(self) -> int:
        """One."""
        return 1

    @abstractmethod
    def score_edges(self) -> Float[Tensor, " edges"]:
        """Return the scores."""

    @torch.no_grad()
    def make_step(self, step: int) -> dict[str, Tensor | float]:
        """Score all edges."""
        self.tensors["scores"].copy_(self.score_edges())
        return {"loss": self.mean_faithfulness(self.hard_circuit(), self.batches[:1])}

    def scores(self) -> Float[Tensor, " edges"]:
        """Return the scores; 0 before the step."""
        return self.tensors["scores"]


@dataclass(frozen=True, kw_only=True)
class ActivationMagnitudeConfig(BaselineConfig):
    """The settings of activation magnitude."""


class ActivationMagnitude(Baseline):
    """Scores an edge by the mean of what its source writes on the clean prompts."""

    title = "Activation magnitude"
    Config = ActivationMagnitudeConfig

    def score_edges(self) -> Float[Tensor, " edges"]:
        """Return the absolute mean output of each source, averaged over batches."""
        engine = self.model.engine
        means = [
            engine.source_outputs(here.inputs).flatten(1).mean(1).abs() for here in self.batches
        ]
        return by_source(self.model.graph, torch.stack(means).mean(0))


@dataclass(frozen=True, kw_only=True)
class WeightMagnitudeConfig(BaselineConfig):
    """The settings of weight magnitude."""


class WeightMagnitude(Baseline):
    """Scores an edge by the size of the weights through which its source writes."""

    title = "Weight magnitude"
    Config = WeightMagnitudeConfig

    def check_config(self) -> None:
        """Raise `ArgumentError` for a model whose sources do not each have such weights."""
        super().check_config()
        if not isinstance(self.model.graph, Graph):
            raise ArgumentError("model", "one with factorized=True", "factorized=False")

    def score_edges(self) -> Float[Tensor, " edges"]:
        """Return, for each source, the root mean square of the weights that make its output.

        Those of a head's rows of W_O, of an MLP's W_out and of the token embedding W_E.
        """
        wrapped, graph = self.model.wrapped_model, self.model.graph
        assert isinstance(graph, Graph)
        sizes = torch.zeros(len(graph.srcs), device=self.model.device)
        sizes[0] = _root_mean_square(wrapped.W_E)
        blocks = zip(self.model.engine.architecture.blocks, graph.spans, strict=True)
        for index, (block, span) in enumerate(blocks):
            heads = range(span.attn_srcs.start, span.attn_srcs.stop)
            for weights, src in zip(_parts(block.attention.w_out, len(heads)), heads, strict=True):
                sizes[src] = _root_mean_square(weights)
            if span.mlp_src is not None:
                sizes[span.mlp_src] = _root_mean_square(wrapped.blocks[index].mlp.W_out)
        return by_source(graph, sizes)


def _parts(w_out: Float[Tensor, "heads d_head d_model"], n_sources: int) -> list[Tensor]:
    """Return the weights of each source: a head's, or all of them where attention is one source."""
    return list(w_out) if n_sources == len(w_out) else [w_out]


def _root_mean_square(weights: Tensor) -> Float[Tensor, ""]:
    return weights.detach().float().square().mean().sqrt()


@dataclass(frozen=True, kw_only=True)
class RandomConfig(BaselineConfig):
    """The settings of random scores."""


class RandomScores(Baseline):
    """Scores every edge by chance."""

    title = "Random"
    Config = RandomConfig

    def score_edges(self) -> Float[Tensor, " edges"]:
        """Return numbers between 0 and 1."""
        return torch.rand(self.n_edges, generator=self.generator(1), device=self.model.device)


def by_source(graph: BaseGraph, values: Float[Tensor, " sources"]) -> Float[Tensor, " edges"]:
    """Return for every edge the value of its source."""
    return graph.flatten(
        {
            module.name: values[module.srcs.start : module.srcs.stop]
            .expand(module.mask_shape(graph.seq_len))
            .contiguous()
            for module in graph.modules
        }
    )


@dataclass(frozen=True, kw_only=True)
class GroundTruthConfig(BaselineConfig):
    """Which edges are known.

    Raises `ArgumentError` (a `ValueError`) that names the first bad field.
    """

    official_edges: frozenset[Edge] = from_code(
        frozenset(),
        "Known edges",
        "The edges of the known circuit.",
        "a frozenset of edges",
        lambda value: isinstance(value, frozenset) and all(isinstance(e, Edge) for e in value),
    )


class GroundTruth(Baseline):
    """Scores the edges of a known circuit 1 and all others 0."""

    title = "Ground truth"
    Config = GroundTruthConfig
    config: GroundTruthConfig

    def check_config(self) -> None:
        """Raise `ArgumentError` without known edges, or for those of another model."""
        super().check_config()
        if not self.config.official_edges:
            raise ArgumentError("official_edges", "the edges of the known circuit", "none")
        for edge in self.config.official_edges - self.model.edges:
            raise ArgumentError("official_edges", "edges of the model", str(edge))

    def score_edges(self) -> Float[Tensor, " edges"]:
        """Return 1 for the known edges."""
        scores = torch.zeros(self.n_edges, device=self.model.device)
        scores[self.model.graph.flat_index(self.config.official_edges).to(scores.device)] = 1
        return scores

    def hard_circuit(self) -> Bool[Tensor, " edges"]:
        """Return the known edges, once they are scored."""
        return self.scores() > 0


def activation_magnitude_prune_scores(
    model: PatchableModel, dataloader: PromptDataLoader, official_edges: object = None
) -> PruneScores:
    """Return the absolute mean output of each edge's source on the clean prompts.

    `official_edges` is not used.
    """
    return ActivationMagnitude(model, dataloader).run(progress=False)


def weight_magnitude_prune_scores(
    model: PatchableModel, dataloader: PromptDataLoader, official_edges: object = None
) -> PruneScores:
    """Return the root mean square of the weights that make the output of each edge's source.

    `official_edges` is not used.
    """
    return WeightMagnitude(model, dataloader).run(progress=False)


def random_prune_scores(
    model: PatchableModel,
    dataloader: PromptDataLoader,
    official_edges: object = None,
    *,
    seed: int | None = None,
) -> PruneScores:
    """Return a random number between 0 and 1 for each edge. `official_edges` is not used."""
    return RandomScores(model, dataloader, RandomConfig(seed=seed)).run(progress=False)


def ground_truth_prune_scores(
    model: PatchableModel,
    dataloader: PromptDataLoader,
    official_edges: Collection[Edge] | None = None,
) -> PruneScores:
    """Return 1 for each of the `official_edges` and 0 for all others.

    Raises `ArgumentError` without known edges.
    """
    check_model_and_prompts(model, dataloader)
    if official_edges is None:
        raise ArgumentError("official_edges", "the edges of the known circuit", None)
    known = find_edges(model, official_edges, "official_edges")
    config = GroundTruthConfig(official_edges=frozenset(known))
    return GroundTruth(model, dataloader, config).run(progress=False)


ACTIVATION_MAGNITUDE = Method(
    name="activation_magnitude",
    title=ActivationMagnitude.title,
    summary="A baseline: how much each source writes on average.",
    Config=ActivationMagnitudeConfig,
    trainer=ActivationMagnitude,
    series=(LOSS, EDGES),
)
WEIGHT_MAGNITUDE = Method(
    name="weight_magnitude",
    title=WeightMagnitude.title,
    summary="A baseline: how large the weights of each source are.",
    Config=WeightMagnitudeConfig,
    trainer=WeightMagnitude,
    series=(LOSS, EDGES),
)
RANDOM = Method(
    name="random",
    title=RandomScores.title,
    summary="A baseline: scores by chance, which every method has to beat.",
    Config=RandomConfig,
    trainer=RandomScores,
    series=(LOSS, EDGES),
)
GROUND_TRUTH = Method(
    name="ground_truth",
    title=GroundTruth.title,
    summary="The known circuit itself, to compare with.",
    Config=GroundTruthConfig,
    trainer=GroundTruth,
    series=(LOSS, EDGES),
)
