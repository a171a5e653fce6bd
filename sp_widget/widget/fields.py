"""The parameters as a form: what the panel shows for each, and what its text means.

Both directions are pure functions: `fields_for` and `values_for` turn a config into what the
browser shows, `parse_values` turns what a person typed into typed Python values.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Literal, TypedDict

from sp_widget.core.types import AblationType
from sp_widget.errors import ArgumentError
from sp_widget.training.config import (
    FAITHFULNESS_TARGETS,
    MASK_FNS,
    SubnetworkProbingConfig,
)

Raw = str | bool
"""What the browser holds for a field: text, or the state of a checkbox."""


class Option(TypedDict):
    """One choice of a select field."""

    value: str
    label: str


class Field(TypedDict):
    """One parameter as the panel shows it."""

    name: str
    """The field's name in `SubnetworkProbingConfig`."""
    label: str
    kind: Literal["number", "integer", "select", "checkbox"]
    value: Raw
    """The value in the config that the form was made from."""
    options: list[Option]
    """The choices of a select field, otherwise empty."""
    optional: bool
    """Whether the field may be left empty."""
    placeholder: str
    """What an empty field stands for."""
    help: str
    live: bool
    """Whether a change takes effect while the training runs, from the next step."""
    group: Literal["main", "more"]
    """`more`: under the heading "More settings"."""


NO_MASK_FN = "none"
"""The option for `mask_fn=None`: an option's value is text in the browser."""

_MAX_DIGITS = 30
"""More digits than any whole number in a config needs; "1e999999999" would not fit in memory."""

_MASK_FN_LABELS = {
    "hard_concrete": "Hard concrete",
    "sigmoid": "Sigmoid",
    NO_MASK_FN: "None (the parameter itself)",
}

_TARGET_LABELS = {
    "kl_div": "KL divergence",
    "mse": "Mean squared error",
    "answer": "Answer logit",
    "wrong_answer": "Wrong answer logit",
    "correct_percent": "Correct percent",
    "logit_diff_percent": "Logit difference percent",
}

_ABLATION_LABELS = {
    AblationType.RESAMPLE: "Resample",
    AblationType.ZERO: "Zero",
    AblationType.TOKENWISE_MEAN_CLEAN: "Tokenwise mean, clean",
    AblationType.TOKENWISE_MEAN_CORRUPT: "Tokenwise mean, corrupt",
    AblationType.TOKENWISE_MEAN_CLEAN_AND_CORRUPT: "Tokenwise mean, clean and corrupt",
    AblationType.BATCH_TOKENWISE_MEAN: "Batch tokenwise mean",
    AblationType.BATCH_ALL_TOK_MEAN: "Batch mean over all tokens",
}


def _mask_fn_text(mask_fn: str | None) -> str:
    return NO_MASK_FN if mask_fn is None else mask_fn


def _field(
    name: str,
    label: str,
    kind: Literal["number", "integer", "select", "checkbox"],
    help: str,
    *,
    options: list[Option] | None = None,
    placeholder: str = "",
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
        live=live,
        group=group,
    )


_FIELDS: tuple[Field, ...] = (
    _field(
        "learning_rate",
        "Learning rate",
        "number",
        "Adam's learning rate on the mask parameters, which are log-odds. "
        "May be changed while training: takes effect at the next step.",
        live=True,
    ),
    _field(
        "epochs",
        "Epochs",
        "integer",
        "Passes over the prompts. Each batch is one step.",
    ),
    _field(
        "regularize_lambda",
        "Lambda",
        "number",
        "Weight of the regularizer: loss = faithfulness + lambda × regularizer. "
        "Larger finds a smaller circuit. "
        "May be changed while training: takes effect at the next step.",
        live=True,
    ),
    _field(
        "circuit_size",
        "Circuit size",
        "integer",
        "Number of edges to aim for: only edges above it are penalised. "
        "Left empty, the circuit becomes as small as lambda makes it.",
        placeholder="as few as possible",
    ),
    _field(
        "faithfulness_target",
        "Faithfulness target",
        "select",
        "What the circuit must preserve of the whole model's output: the faithfulness "
        "term of the loss.",
        options=[Option(value=name, label=_TARGET_LABELS[name]) for name in FAITHFULNESS_TARGETS],
    ),
    _field(
        "ablation_type",
        "Ablation",
        "select",
        "The activations that replace a source's output on a patched edge. "
        "Resample takes them from the other prompt of the pair.",
        options=[Option(value=kind.name, label=_ABLATION_LABELS[kind]) for kind in AblationType],
    ),
    _field(
        "mask_fn",
        "Mask function",
        "select",
        "How a trained parameter θ becomes a mask value: hard concrete samples values that "
        "are often exactly 0 or 1, sigmoid takes σ(θ), none takes θ itself.",
        options=[
            Option(value=_mask_fn_text(fn), label=_MASK_FN_LABELS[_mask_fn_text(fn)])
            for fn in MASK_FNS
        ],
        group="more",
    ),
    _field(
        "dropout_p",
        "Dropout",
        "number",
        "Probability of setting a mask value to 0 during training, from 0 to below 1.",
        group="more",
    ),
    _field(
        "init_val",
        "Initial mask value",
        "number",
        "Size of the parameter θ at the start: masks start at minus this value, or at plus "
        "this value with tree optimisation. The default is ln 5.",
        group="more",
    ),
    _field(
        "avoid_lambda",
        "Avoid lambda",
        "number",
        "Weight of the penalty on the edges to avoid; without such edges it has no effect.",
        group="more",
    ),
    _field(
        "seed",
        "Seed",
        "integer",
        "Seed of mask samples and dropout: the same seed gives the same scores. "
        "Left empty, one is drawn.",
        placeholder="random",
        group="more",
    ),
    _field(
        "tree_optimisation",
        "Tree optimisation",
        "checkbox",
        "On: run the clean prompt and learn which edges to ablate. "
        "Off: run the corrupt prompt and learn which edges must carry the clean value.",
        group="more",
    ),
)


_FIELDS_BY_NAME = {field["name"]: field for field in _FIELDS}


def fields_for(config: SubnetworkProbingConfig) -> list[Field]:
    """The panel's fields in display order, holding the values of `config`.

    `avoid_edges`, `cache` and `recompute` have no field: they are given from code.
    """
    values = values_for(config)
    return [Field(**{**field, "value": values[field["name"]]}) for field in _FIELDS]


def values_for(config: SubnetworkProbingConfig) -> dict[str, Raw]:
    """The values of `config` as the browser holds them, by field name.

    Text that `parse_values` turns back into exactly the same values.
    """
    return {field["name"]: _raw(field, getattr(config, field["name"])) for field in _FIELDS}


def parse_values(raw: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """What a person typed, as typed values for `SubnetworkProbingConfig`.

    Numbers may be written as `0.001` or `1e-3`; an empty optional field is `None`. Returns
    the values that are right and, by field name, what is wrong with the others; every name
    in `raw` is in one of the two. A name without a field is a problem.
    """
    parsed: dict[str, Any] = {}
    problems: dict[str, str] = {}
    for name, value in raw.items():
        try:
            parsed[name] = _parse(name, value)
        except ArgumentError as error:
            problems[name] = error.reason
    problems |= SubnetworkProbingConfig.problems(parsed)
    return {name: value for name, value in parsed.items() if name not in problems}, problems


def _raw(field: Field, value: Any) -> Raw:
    if field["kind"] == "select":
        return value.name if isinstance(value, AblationType) else str(value or NO_MASK_FN)
    if value is None:
        return ""
    if isinstance(value, bool):
        return value
    # repr is the shortest text that gives the same number back; "10" reads better than "10.0".
    return repr(value).removesuffix(".0")


def _parse(name: str, value: Any) -> Any:
    field = _FIELDS_BY_NAME.get(name)
    if field is None:
        raise ArgumentError(name, f"one of {sorted(_FIELDS_BY_NAME)}", name)
    if not isinstance(value, str):
        # Already typed: a checkbox, or a number set from code. The config judges it.
        return value
    text = value.strip()
    if field["kind"] == "select":
        return _parse_option(name, text)
    if not text and field["optional"]:
        return None
    if field["kind"] == "number":
        return _parse_number(name, text)
    if field["kind"] == "integer":
        return _parse_integer(name, text)
    return value


def _parse_option(name: str, text: str) -> Any:
    if name == "ablation_type" and text in AblationType.__members__:
        return AblationType[text]
    if name == "mask_fn" and text == NO_MASK_FN:
        return None
    return text


def _parse_number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ArgumentError(name, "a number such as 0.001 or 1e-3", text) from None


def _parse_integer(name: str, text: str) -> int:
    try:
        # Decimal reads "1e3" and "20.0" without rounding a 64-bit seed as a float would.
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal("NaN")
    if (
        not number.is_finite()
        or number.adjusted() > _MAX_DIGITS
        or number != number.to_integral_value()
    ):
        raise ArgumentError(name, "a whole number", text)
    return int(number)
