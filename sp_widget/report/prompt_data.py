"""Single prompts as plain data: what the tab *Prompts* and the page to explore show of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from sp_widget.evaluation.per_prompt import PromptDescription, PromptLoss
from sp_widget.evaluation.predictions import PairToken, Prediction, Predictions

LOSSES = {"kl_div": "KL(model ‖ circuit), nats", "mse": "squared error"}
"""What a list of prompts is sorted by, in words."""

LONGEST_PROMPT = 300
"""Letters of a prompt in the list; of a longer one the last ones."""


class PromptData(TypedDict):
    """One prompt of the list."""

    place: int
    loss: float | None
    """`None`: not measured yet."""
    text: str
    answers: list[str]


class TokenData(TypedDict):
    """One position of the pair in view; "" where a prompt has padding."""

    clean: str
    corrupt: str
    differs: bool


class PredictionData(TypedDict):
    """A token that may come next."""

    text: str
    probability: float
    is_answer: bool


class StripData(TypedDict):
    """The pair in view and what comes next."""

    tokens: list[TokenData]
    whole_model: list[PredictionData]
    circuit: list[PredictionData]
    corrupt_run: list[PredictionData]
    kl_div: float
    n_edges: int
    n_switched: int
    """Edges that the circuit has or lacks because they were switched by hand."""


def prompt_data(each: PromptDescription) -> PromptData:
    """Return a prompt of the list."""
    text = each.clean
    return PromptData(
        place=each.place,
        loss=each.loss if isinstance(each, PromptLoss) else None,
        text=text if len(text) <= LONGEST_PROMPT else f"…{text[-LONGEST_PROMPT:]}",
        answers=list(each.answers),
    )


def strip_data(found: Predictions, n_switched: int) -> StripData:
    """Return what comes next. `n_switched`: edges of the circuit that were switched by hand."""
    return StripData(
        tokens=[token_data(each) for each in found.tokens],
        whole_model=prediction_data(found.whole_model, found.answers),
        circuit=prediction_data(found.circuit, found.answers),
        corrupt_run=prediction_data(found.corrupt_run, found.answers),
        kl_div=found.kl_div,
        n_edges=found.n_edges,
        n_switched=n_switched,
    )


def token_data(token: PairToken) -> TokenData:
    """Return one position of a pair."""
    return TokenData(clean=token.clean, corrupt=token.corrupt, differs=token.differs)


def prediction_data(found: Sequence[Prediction], answers: Sequence[int]) -> list[PredictionData]:
    """Return the tokens that may come next in one run. `answers`: the right ones."""
    return [
        PredictionData(
            text=each.text, probability=each.probability, is_answer=each.token in answers
        )
        for each in found
    ]
