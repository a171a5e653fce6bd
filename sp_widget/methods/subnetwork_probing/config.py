"""The parameters of subnetwork probing: one frozen, validated dataclass."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeAlias, get_args

from sp_widget.circuits.patch_cache import CACHE_MODES, CacheMode
from sp_widget.errors import ArgumentError
from sp_widget.graph.edge_graph import Edge
from sp_widget.methods.mask_functions import DEFAULT_INIT_VAL
from sp_widget.types import AblationType, FaithfulnessTarget, MaskFn

FAITHFULNESS_TARGETS: tuple[str, ...] = get_args(FaithfulnessTarget)
MASK_FNS: tuple[str | None, ...] = ("hard_concrete", "sigmoid", None)
HardCircuit: TypeAlias = Literal["threshold", "top_k"]
HARD_CIRCUITS: tuple[str, ...] = get_args(HardCircuit)
MAX_LEARNING_RATE = 1e30
"""Beyond it a step does not fit into the 32 bits that Adam computes with."""


@dataclass(frozen=True, kw_only=True)
class SubnetworkProbingConfig:
    """How to train the masks. Defaults are those of the reference (auto-circuit).

    Raises `ArgumentError` (a `ValueError`) that names the first bad field.
    """

    learning_rate: float = 0.1
    """Adam's learning rate on the mask parameters (log-odds), per step. Above 0."""
    epochs: int = 20
    """Passes over the dataloader. At least 1."""
    regularize_lambda: float = 10.0
    """Weight of the regularizer in the loss. At least 0."""
    mask_fn: MaskFn = "hard_concrete"
    """How a parameter becomes a mask value: see `sp_widget.methods.mask_functions`."""
    dropout_p: float = 0.0
    """Probability of dropping a mask value during training. In [0, 1)."""
    init_val: float = DEFAULT_INIT_VAL
    """Size of the starting parameter: masks start at `-init_val`, or `+init_val` with
    `tree_optimisation`. The default is ln 5, where a hard-concrete mask is on with odds 5."""
    circuit_size: int | None = None
    """Number of edges to aim for; only edges above it are penalised. `None`: as few as possible."""
    tree_optimisation: bool = False
    """`True`: run the clean prompt and learn which edges to ablate. `False`: run the corrupt
    prompt and learn which edges must carry the clean value."""
    avoid_edges: frozenset[Edge] = frozenset()
    """Edges that cost extra when they are in the circuit."""
    avoid_lambda: float = 1.0
    """Weight of the penalty on `avoid_edges`. At least 0."""
    faithfulness_target: FaithfulnessTarget = "kl_div"
    """What to be faithful to: see `sp_widget.circuits.metrics`."""
    ablation_type: AblationType = AblationType.RESAMPLE
    """The activations that a patched edge carries."""
    seed: int | None = None
    """Seed of mask samples and dropout. `None` draws one; the trainer tells which."""
    evaluate_every: int | None = 20
    """Steps between two evaluations of the hard circuit on all validation data; there is one more
    after the last step. `None`: none by itself. It changes nothing about the training."""
    hard_circuit: HardCircuit = "threshold"
    """Which edges these evaluations take: see `hard_circuit.py` beside this file."""
    cache: CacheMode = "auto"
    """Where patch activations wait between steps: see `sp_widget.circuits.patch_cache`. The
    result is the same."""
    recompute: bool = False
    """Run every node again in the backward pass instead of keeping what autograd needs of it: less
    memory, more time, the same result."""

    def __post_init__(self) -> None:
        # Accept any collection of edges, and the reference's None.
        object.__setattr__(self, "avoid_edges", _as_edges(self.avoid_edges))
        for name, check in _CHECKS.items():
            check(name, getattr(self, name))

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

    @classmethod
    def problems(cls, values: Mapping[str, Any]) -> dict[str, str]:
        """What is wrong with `values`, field by field: an empty dict when nothing is.

        Unknown names are problems too. Used by the control panel, which explains each
        problem beside its field.
        """
        found: dict[str, str] = {}
        known = {field.name for field in fields(cls)}
        for name, value in values.items():
            if name not in known:
                found[name] = f"wanted one of {sorted(known)}, got {name!r}"
            elif name in _CHECKS:
                try:
                    _CHECKS[name](name, value)
                except ArgumentError as error:
                    found[name] = error.reason
        return found


def _as_edges(edges: Any) -> frozenset[Edge]:
    edges = frozenset() if edges is None else edges
    if isinstance(edges, str) or not isinstance(edges, Collection):
        raise ArgumentError("avoid_edges", "a collection of edges or None", edges)
    for edge in edges:
        if not isinstance(edge, Edge):
            raise ArgumentError("avoid_edges", "only sp_widget.Edge objects", edge)
    return frozenset(edges)


def _number(
    wanted: str, accept: Callable[[float], bool], integer: bool = False
) -> Callable[[str, Any], None]:
    kinds: tuple[type, ...] = (int,) if integer else (int, float)

    def check(name: str, value: Any) -> None:
        # bool is an int in Python, and never what was meant for a number.
        is_number = isinstance(value, kinds) and not isinstance(value, bool)
        if not is_number or not _is_finite(value) or not accept(value):
            raise ArgumentError(name, wanted, value)

    return check


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # An int beyond the largest float.
        return False


def _optional(check: Callable[[str, Any], None]) -> Callable[[str, Any], None]:
    def check_optional(name: str, value: Any) -> None:
        if value is not None:
            check(name, value)

    return check_optional


def _one_of(options: tuple[Any, ...]) -> Callable[[str, Any], None]:
    def check(name: str, value: Any) -> None:
        if not any(value is option or value == option for option in options):
            raise ArgumentError(name, f"one of {list(options)}", value)

    return check


def _boolean(name: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise ArgumentError(name, "True or False", value)


_CHECKS: dict[str, Callable[[str, Any], None]] = {
    "learning_rate": _number(
        f"a number above 0, at most {MAX_LEARNING_RATE:g}", lambda x: 0 < x <= MAX_LEARNING_RATE
    ),
    "epochs": _number("a whole number of at least 1", lambda x: x >= 1, integer=True),
    "regularize_lambda": _number("a number of at least 0", lambda x: x >= 0),
    "mask_fn": _one_of(MASK_FNS),
    "dropout_p": _number("a number from 0 to below 1", lambda x: 0 <= x < 1),
    "init_val": _number("a finite number", lambda x: True),
    "circuit_size": _optional(
        _number("None or a whole number of at least 1", lambda x: x >= 1, integer=True)
    ),
    "tree_optimisation": _boolean,
    "avoid_lambda": _number("a number of at least 0", lambda x: x >= 0),
    "faithfulness_target": _one_of(FAITHFULNESS_TARGETS),
    "ablation_type": _one_of(tuple(AblationType)),
    "seed": _optional(
        _number("None or a whole number from 0 to 2**63 - 1", lambda x: 0 <= x < 2**63, True)
    ),
    "evaluate_every": _optional(
        _number("None or a whole number of at least 1", lambda x: x >= 1, integer=True)
    ),
    "hard_circuit": _one_of(HARD_CIRCUITS),
    "cache": _one_of(CACHE_MODES),
    "recompute": _boolean,
}
