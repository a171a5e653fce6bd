"""What the panel says of each parameter: its label, its choices, its bounds and what it does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypedDict

from sp_widget.methods.subnetwork_probing.config import (
    FAITHFULNESS_TARGETS,
    HARD_CIRCUITS,
    MASK_FNS,
    MAX_LEARNING_RATE,
)
from sp_widget.types import AblationType

Raw = str | bool
"""What the browser holds for a field: text, or the state of a checkbox."""

Kind = Literal["number", "integer", "select", "checkbox"]

Section = Literal["Patching an edge", "Masks and loss", "Held-out truth"]
"""A heading of docs/method.md."""


class Option(TypedDict):
    """One choice of a select field."""

    value: str
    label: str


class Field(TypedDict):
    """One parameter as the panel shows it."""

    name: str
    """The field's name in `SubnetworkProbingConfig`."""
    label: str
    kind: Kind
    value: Raw
    """The value in the config that the form was made from."""
    options: list[Option]
    """The choices of a select field, otherwise empty."""
    optional: bool
    """Whether the field may be left empty."""
    placeholder: str
    """What an empty field stands for."""
    help: str
    section: Section
    """Where the documentation says more."""
    min: float | None
    max: float | None
    step: float
    """What an arrow key adds or takes away; 0: it goes through 1, 2, 5, 10, 20 ..."""
    live: bool
    """Whether a change takes effect while the training runs, from the next step."""
    group: Literal["main", "more"]
    """`more`: under the heading "More settings"."""
    unavailable: str
    """Why the field cannot be used at all; empty: it can."""


NO_MASK_FN = "none"
"""The option for `mask_fn=None`: an option's value is text in the browser."""

NEEDS_VALIDATION = ("evaluate_every", "hard_circuit")
"""Parameters that do something only where there is validation data."""

MASK_FN_LABELS: Mapping[str, str] = {
    "hard_concrete": "Hard concrete",
    "sigmoid": "Sigmoid",
    NO_MASK_FN: "None (the parameter itself)",
}

_TARGET_LABELS: Mapping[str, str] = {
    "kl_div": "KL divergence",
    "mse": "Mean squared error",
    "answer": "Answer logit",
    "wrong_answer": "Wrong answer logit",
    "correct_percent": "Correct percent",
    "logit_diff_percent": "Logit difference percent",
}

_ABLATION_LABELS: Mapping[AblationType, str] = {
    AblationType.RESAMPLE: "Resample",
    AblationType.ZERO: "Zero",
    AblationType.TOKENWISE_MEAN_CLEAN: "Tokenwise mean, clean",
    AblationType.TOKENWISE_MEAN_CORRUPT: "Tokenwise mean, corrupt",
    AblationType.TOKENWISE_MEAN_CLEAN_AND_CORRUPT: "Tokenwise mean, clean and corrupt",
    AblationType.BATCH_TOKENWISE_MEAN: "Batch tokenwise mean",
    AblationType.BATCH_ALL_TOK_MEAN: "Batch mean over all tokens",
}

_HARD_CIRCUIT_LABELS: Mapping[str, str] = {
    "threshold": "Rounded masks",
    "top_k": "Top k edges",
}


def _field(
    name: str,
    label: str,
    kind: Kind,
    help: str,
    *,
    section: Section = "Masks and loss",
    options: list[Option] | None = None,
    placeholder: str = "",
    bounds: tuple[float | None, float | None] = (None, None),
    step: float = 0.0,
    live: bool = False,
    group: Literal["main", "more"] = "main",
) -> Field:
    return Field(
        name=name,
        label=label,
        kind=kind,
        value="",
        options=options or [],
        optional=bool(placeholder),
        placeholder=placeholder,
        help=help,
        section=section,
        min=bounds[0],
        max=bounds[1],
        step=step,
        live=live,
        group=group,
        unavailable="",
    )


FIELDS: tuple[Field, ...] = (
    _field(
        "learning_rate",
        "Learning rate",
        "number",
        "Adam's learning rate on the mask parameters θ, which are log-odds: about how far each "
        "moves in a step. May be changed while training: takes effect at the next step.",
        bounds=(0, MAX_LEARNING_RATE),
        live=True,
    ),
    _field(
        "epochs",
        "Epochs",
        "integer",
        "Passes over the prompts. Each batch is one step: steps = epochs × batches.",
        bounds=(1, None),
        step=1,
    ),
    _field(
        "regularize_lambda",
        "Lambda",
        "number",
        "Weight of the regularizer: loss = faithfulness + lambda × regularizer. "
        "Larger finds a smaller circuit. "
        "May be changed while training: takes effect at the next step.",
        bounds=(0, None),
        live=True,
    ),
    _field(
        "circuit_size",
        "Circuit size",
        "integer",
        "Number of edges to aim for: regularizer = edges above it ÷ this number. Left empty, "
        "it is edges in the circuit ÷ all edges, and lambda decides how small the circuit gets.",
        placeholder="as few as possible",
        bounds=(1, None),
        step=1,
    ),
    _field(
        "faithfulness_target",
        "Faithfulness target",
        "select",
        "What the circuit must preserve of the whole model's output: the faithfulness "
        "term of the loss. KL divergence: Σ p log(p ÷ q), of the model's p and the circuit's q.",
        options=[Option(value=name, label=_TARGET_LABELS[name]) for name in FAITHFULNESS_TARGETS],
    ),
    _field(
        "ablation_type",
        "Ablation",
        "select",
        "The activations that replace a source's output on a patched edge. "
        "Resample takes them from the other prompt of the pair.",
        section="Patching an edge",
        options=[Option(value=kind.name, label=_ABLATION_LABELS[kind]) for kind in AblationType],
    ),
    _field(
        "mask_fn",
        "Mask function",
        "select",
        "How a trained parameter θ becomes a mask value: hard concrete samples values that "
        "are often exactly 0 or 1, sigmoid takes σ(θ), none takes θ itself.",
        options=[
            Option(value=text, label=MASK_FN_LABELS[text])
            for text in (NO_MASK_FN if fn is None else fn for fn in MASK_FNS)
        ],
        group="more",
    ),
    _field(
        "dropout_p",
        "Dropout",
        "number",
        "Probability of setting a mask value to 0 during training, from 0 to below 1; the "
        "others are divided by 1 − probability.",
        bounds=(0, 0.99),
        step=0.05,
        group="more",
    ),
    _field(
        "init_val",
        "Initial mask value",
        "number",
        "Size of the parameter θ at the start: masks start at minus this value, or at plus "
        "this value with tree optimisation. The default is ln 5.",
        step=0.5,
        group="more",
    ),
    _field(
        "avoid_lambda",
        "Avoid lambda",
        "number",
        "Weight of the penalty on the edges to avoid; without such edges it has no effect.",
        bounds=(0, None),
        group="more",
    ),
    _field(
        "seed",
        "Seed",
        "integer",
        "Seed of mask samples and dropout: the same seed gives the same scores. "
        "Left empty, one is drawn.",
        placeholder="random",
        bounds=(0, None),
        step=1,
        group="more",
    ),
    _field(
        "evaluate_every",
        "Evaluate every",
        "integer",
        "Steps between two measurements of the hard circuit on all validation data. They change "
        "nothing about the training. Left empty, only Evaluate now measures.",
        section="Held-out truth",
        placeholder="never",
        bounds=(1, None),
        group="more",
    ),
    _field(
        "hard_circuit",
        "Hard circuit",
        "select",
        "Which edges are measured on the validation data. Rounded masks: those whose mask is "
        "above one half. Top k: the most important ones, where k is the circuit size or else "
        "the regularizer's count of edges.",
        section="Held-out truth",
        options=[Option(value=kind, label=_HARD_CIRCUIT_LABELS[kind]) for kind in HARD_CIRCUITS],
        group="more",
    ),
    _field(
        "tree_optimisation",
        "Tree optimisation",
        "checkbox",
        "On: run the clean prompt and learn which edges to ablate. "
        "Off: run the corrupt prompt and learn which edges must carry the clean value.",
        section="Patching an edge",
        group="more",
    ),
)
"""Every parameter that can be typed, in display order."""
