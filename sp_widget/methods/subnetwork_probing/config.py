"""The settings of subnetwork probing: one frozen, validated dataclass."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from torch import Tensor

from sp_widget.errors import ArgumentError
from sp_widget.graph.edge_graph import Edge
from sp_widget.methods.mask_functions import DEFAULT_INIT_VAL
from sp_widget.methods.mask_training import MaskTrainingConfig
from sp_widget.methods.parameter import choice, from_code, number, switch, whole_number
from sp_widget.types import AblationType, MaskFn

HardCircuit: TypeAlias = Literal["threshold", "top_k"]
LambdaSchedule: TypeAlias = Literal["constant", "linear", "exponential", "per_prompt"]


@dataclass(frozen=True, kw_only=True)
class SubnetworkProbingConfig(MaskTrainingConfig):
    """How to train the masks. Defaults are those of the reference (auto-circuit).

    Raises `ArgumentError` (a `ValueError`) that names the first bad field.
    """

    regularize_lambda: float = number(
        10.0,
        "Lambda",
        "Weight of the regularizer: loss = faithfulness + lambda × regularizer. "
        "Larger finds a smaller circuit. "
        "May be changed while training: takes effect at the next step.",
        at_least=0,
        live=True,
    )
    circuit_size: int | None = whole_number(
        None,
        "Circuit size",
        "Number of edges to aim for: regularizer = edges above it ÷ this number. Left empty, "
        "it is edges in the circuit ÷ all edges, and lambda decides how small the circuit gets.",
        optional="as few as possible",
    )
    lambda_schedule: LambdaSchedule = choice(
        "constant",
        "Lambda schedule",
        "Linear and exponential let lambda rise to its value in the course of the training. "
        "A lambda for every prompt trains circuits of all sizes at once: each prompt draws its "
        "own, and lambda only says which of these circuits is shown.",
        {
            "constant": "Constant",
            "linear": "Rising linearly",
            "exponential": "Rising exponentially",
            "per_prompt": "A lambda for every prompt",
        },
        group="more",
    )
    lambda_unit: Literal["target", "empty_circuit"] = choice(
        "target",
        "Lambda unit",
        "What lambda is measured in: the faithfulness target itself, or what the target loses "
        "when every edge is ablated, so that the same lambda suits every target and model.",
        {"target": "The target's own unit", "empty_circuit": "The loss of the empty circuit"},
        group="more",
    )
    expected_l0: bool = switch(
        False,
        "Expected L0",
        "Regularize the expected number of edges whose mask is not fully off, instead of a sum "
        "of sampled masks: the same on average up to a shift, and without noise.",
        group="more",
    )
    completeness_lambda: float = number(
        0.0,
        "Completeness",
        "Weight of a term that makes the complement fail: the model without the circuit should "
        "predict what the model predicts when every edge is ablated. 0: no such term, and half "
        "the time.",
        at_least=0,
        live=True,
        group="more",
    )
    warm_start: bool = switch(
        False,
        "Warm start",
        "Start from EAP-IG scores instead of the same value for every edge.",
        group="more",
    )
    start: Literal["whole_model", "empty"] | None = choice(
        None,
        "Starting circuit",
        "Whether every edge is in the circuit before the first step, or none. As the initial "
        "mask value says: its sign decides.",
        {
            None: "As the initial mask value says",
            "whole_model": "The whole model",
            "empty": "The empty circuit",
        },
        group="more",
    )
    mask_fn: MaskFn = choice(
        "hard_concrete",
        "Mask function",
        "How a trained parameter θ becomes a mask value: hard concrete samples values that "
        "are often exactly 0 or 1, sigmoid takes σ(θ), none takes θ itself.",
        {
            "hard_concrete": "Hard concrete",
            "sigmoid": "Sigmoid",
            None: "None (the parameter itself)",
        },
        group="more",
    )
    dropout_p: float = number(
        0.0,
        "Dropout",
        "Probability of setting a mask value to 0 during training, from 0 to below 1; the "
        "others are divided by 1 − probability.",
        at_least=0,
        below=1,
        step=0.05,
        group="more",
    )
    init_val: float = number(
        DEFAULT_INIT_VAL,
        "Initial mask value",
        "Size of the parameter θ at the start: masks start at minus this value, or at plus "
        "this value with tree optimisation. The default is ln 5, where a hard-concrete mask is "
        "on with odds 5.",
        step=0.5,
        group="more",
    )
    avoid_edges: frozenset[Edge] = from_code(
        frozenset(),
        "Edges to avoid",
        "Edges that cost extra when they are in the circuit.",
        "a collection of edges or None",
        lambda value: isinstance(value, frozenset),
    )
    avoid_lambda: float = number(
        1.0,
        "Avoid lambda",
        "Weight of the penalty on the edges to avoid; without such edges it has no effect.",
        at_least=0,
        group="more",
    )
    hard_circuit: HardCircuit = choice(
        "threshold",
        "Hard circuit",
        "Which edges are measured on the validation data. Rounded masks: those whose mask is "
        "above one half. Top k: the most important ones, where k is the circuit size or else "
        "the regularizer's count of edges.",
        {"threshold": "Rounded masks", "top_k": "Top k edges"},
        group="more",
        section="Validation",
        needs_validation=True,
    )
    tree_optimisation: bool = switch(
        False,
        "Tree optimisation",
        "On: run the clean prompt and learn which edges to ablate. "
        "Off: run the corrupt prompt and learn which edges must carry the clean value.",
        section="Patching an edge",
        group="more",
    )

    def __post_init__(self) -> None:
        # Accept any collection of edges, and the reference's None.
        object.__setattr__(self, "avoid_edges", _as_edges(self.avoid_edges))
        super().__post_init__()
        if self.lambda_schedule == "per_prompt" and self.mask_fn is None:
            wanted = "'hard_concrete' or 'sigmoid' with a lambda for every prompt"
            raise ArgumentError("mask_fn", wanted, self.mask_fn)

    @property
    def caution(self) -> str:
        """What is legal but cannot work; empty when there is nothing to say."""
        if self.tree_optimisation or self.ablation_type is AblationType.RESAMPLE:
            return ""
        return (
            f"ablation_type {self.ablation_type.name} with tree_optimisation=False: the circuit's "
            "edges carry ablated values on a corrupt prompt, so no circuit can show the clean "
            "behaviour. Use RESAMPLE or tree_optimisation=True."
        )


def _as_edges(edges: Any) -> frozenset[Edge]:
    edges = frozenset() if edges is None else edges
    if isinstance(edges, str | Tensor) or not isinstance(edges, Collection):
        raise ArgumentError("avoid_edges", "a collection of edges or None", edges)
    for edge in edges:
        if not isinstance(edge, Edge):
            raise ArgumentError("avoid_edges", "only sp_widget.Edge objects", edge)
    return frozenset(edges)
