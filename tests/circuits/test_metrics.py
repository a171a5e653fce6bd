"""Every faithfulness target by numbers worked out by hand."""

from __future__ import annotations

import math
from typing import Any, get_args

import pytest
import torch
from torch import Tensor

from sp_widget.circuits.metrics import FAITHFULNESS, METRICS, accuracy
from sp_widget.data.prompts import PromptPairBatch
from sp_widget.errors import ArgumentError
from sp_widget.types import FaithfulnessTarget, MetricName

LN2, LN3 = math.log(2), math.log(3)


def _batch(answers: Any, wrong_answers: Any) -> PromptPairBatch:
    tokens = torch.zeros(2, 1, dtype=torch.long)
    return PromptPairBatch(0, 0, tokens, tokens, answers, wrong_answers)


def _measure(target: Any, logits: Any, clean: Any = None, batch: Any = None) -> float:
    logits = torch.as_tensor(logits, dtype=torch.float64)
    clean = logits if clean is None else torch.as_tensor(clean, dtype=torch.float64)
    return FAITHFULNESS[target](logits, clean, batch or _batch(None, None)).item()


def _ids(*rows: list[int]) -> Tensor:
    return torch.tensor(rows)


def _lists(*rows: list[int]) -> list[Tensor]:
    return [torch.tensor(row) for row in rows]


def test_there_is_a_measure_for_every_target_that_the_config_knows() -> None:
    assert tuple(FAITHFULNESS) == get_args(FaithfulnessTarget)
    assert tuple(METRICS) == get_args(MetricName)


def test_kl_div_is_clean_against_circuit_averaged_over_prompts() -> None:
    """Clean (1/2, 1/2), circuit (3/4, 1/4): 1/2 ln 2/3 + 1/2 ln 2 = ln 2 - ln(3) / 2."""
    clean = [[0, 0], [0, 0]]
    circuit = [[LN3, 0], [5, 5]]
    assert _measure("kl_div", circuit, clean) == pytest.approx((LN2 - LN3 / 2) / 2)
    # The other way round is another number: 3/4 ln 3/2 + 1/4 ln 1/2.
    other = 0.75 * math.log(1.5) - 0.25 * LN2
    assert _measure("kl_div", clean, circuit) == pytest.approx(other / 2)


def test_kl_div_is_averaged_over_positions_too() -> None:
    clean = [[[0, 0], [1, 1], [2, 2]]]
    circuit = [[[LN3, 0], [0, 0], [7, 7]]]
    assert _measure("kl_div", circuit, clean) == pytest.approx((LN2 - LN3 / 2) / 3)


def test_mse_is_against_the_answers_not_against_the_clean_logits() -> None:
    batch = _batch(torch.tensor([[1.0, 2.0], [0.0, 0.0]]), None)
    logits, clean = [[1, 4], [1, 1]], [[9, 9], [9, 9]]
    assert _measure("mse", logits, clean, batch) == pytest.approx((0 + 4 + 1 + 1) / 4)


@pytest.mark.parametrize(
    ("answers", "got"),
    [
        (torch.zeros(2, 3), r"\(2, 3\)"),
        (torch.zeros(2), r"\(2,\)"),
        ([torch.zeros(2), torch.zeros(1)], "answers of unequal number"),
    ],
)
def test_mse_refuses_answers_of_another_shape_than_the_output(answers: Any, got: str) -> None:
    """Broadcasting would make a number of no meaning."""
    with pytest.raises(ArgumentError, match=rf"answers: wanted values of shape \(2, 2\).*{got}"):
        _measure("mse", torch.zeros(2, 2), None, _batch(answers, None))


LOGITS = [[1.0, 2.0, 4.0, 8.0], [3.0, 5.0, 7.0, 0.0]]


@pytest.mark.parametrize(
    ("answers", "mean"),
    [
        (_ids([3], [0]), (8 + 3) / 2),
        (_ids([0, 3], [1, 2]), (4.5 + 6) / 2),
        (_lists([0, 1, 2], [3]), (7 / 3 + 0) / 2),
    ],
)
def test_answer_targets_are_minus_the_mean_logit(answers: Any, mean: float) -> None:
    """Each prompt counts the same, however many answers it has."""
    other = _ids([0], [0])
    assert _measure("answer", LOGITS, None, _batch(answers, other)) == pytest.approx(-mean)
    assert _measure("wrong_answer", LOGITS, None, _batch(other, answers)) == pytest.approx(-mean)


@pytest.mark.parametrize(
    ("answers", "wrong", "expected"),
    [
        # Differences: circuit 8 - 1 = 7 and 3 - 5 = -2; clean 10 - 0 and 4 - 0.
        (_ids([3], [0]), _ids([0], [1]), (abs(100 - 70) + abs(100 + 50)) / 2),
        # Circuit 8 - 1.5 and 3 - 6; clean 10 - 0 and 4 - 0.5.
        (
            _lists([3], [0]),
            _ids([0, 1], [1, 2]),
            (abs(100 - 65) + abs(100 + 300 / 3.5)) / 2,
        ),
        # Circuit 8 - 7/3 and 3 - 5; clean 10 - 0 and 4 - 0.
        (
            _lists([3], [0]),
            _lists([0, 1, 2], [1]),
            (abs(100 - 100 * (17 / 3) / 10) + 150) / 2,
        ),
    ],
)
def test_logit_diff_percent_is_the_mean_distance_from_100_percent(
    answers: Any, wrong: Any, expected: float
) -> None:
    clean = [[0.0, 0.0, 0.0, 10.0], [4.0, 0.0, 1.0, 0.0]]
    batch = _batch(answers, wrong)
    assert _measure("logit_diff_percent", LOGITS, clean, batch) == pytest.approx(expected)
    assert _measure("logit_diff_percent", clean, clean, batch) == pytest.approx(0)


def test_logit_difference_and_the_share_of_prompts_on_which_it_is_positive() -> None:
    """Differences 8 - 1 = 7 and 3 - 5 = -2."""
    batch = _batch(_ids([3], [0]), _ids([0], [1]))
    logits = torch.tensor(LOGITS)
    assert METRICS["logit_diff"](logits, logits, batch).item() == pytest.approx(2.5)
    assert _measure("logit_diff", LOGITS, None, batch) == pytest.approx(-2.5)
    assert METRICS["positive_logit_diff"](logits, logits, batch).item() == 0.5


def test_correct_percent_is_the_probability_of_anything_but_an_answer() -> None:
    """Softmax of (0, ln 2, ln 3) is (1, 2, 3) / 6."""
    logits = [[0, LN2, LN3], [LN3, 0, LN2]]
    one = _batch(_ids([2], [1]), None)
    assert _measure("correct_percent", logits, None, one) == pytest.approx(1 - (3 / 6 + 1 / 6) / 2)
    several = _batch(_lists([0, 2], [1]), None)
    expected = 1 - (4 / 6 + 1 / 6) / 2
    assert _measure("correct_percent", logits, None, several) == pytest.approx(expected)
    found = METRICS["answer_probability"](torch.tensor(logits), torch.tensor(logits), several)
    assert found.item() == pytest.approx(1 - expected)


def test_correct_percent_has_a_gradient_towards_the_answer() -> None:
    """The share of prompts whose argmax is right has none."""
    logits = torch.tensor([[0, LN2, LN3]], requires_grad=True)
    FAITHFULNESS["correct_percent"](logits, logits, _batch(_ids([2]), None)).backward()
    # d(1 - p) / d logits of softmax: p_i p for the others, -p (1 - p) for the answer.
    assert logits.grad is not None
    expected = [1 / 6 * 1 / 2, 2 / 6 * 1 / 2, -1 / 2 * 1 / 2]
    assert logits.grad[0].tolist() == pytest.approx(expected)


# Two prompts, two positions, three tokens; the argmax is 2, 0 and 1, 1.
POSITIONS = [[[0, 1, 3], [6, 4, 2]], [[1, 5, 0], [0, 9, 3]]]


@pytest.mark.parametrize(
    ("answers", "mean", "right"),
    [
        # One set of answers a prompt, the same at each position.
        (_ids([2], [1]), (3 + 2 + 5 + 9) / 4, 3 / 4),
        (_ids([0, 2], [0, 2]), (1.5 + 4 + 0.5 + 1.5) / 4, 2 / 4),
        (_lists([0, 2], [1]), (1.5 + 4 + 5 + 9) / 4, 4 / 4),
        # A set of answers for each position.
        (torch.tensor([[[2], [0]], [[0], [1]]]), (3 + 6 + 1 + 9) / 4, 3 / 4),
        ([torch.tensor([[2], [1]]), torch.tensor([[0, 1], [0, 2]])], (3 + 4 + 3 + 1.5) / 4, 2 / 4),
    ],
)
def test_answers_count_at_every_output_position(answers: Any, mean: float, right: float) -> None:
    logits = torch.tensor(POSITIONS, dtype=torch.float64)
    batch = _batch(answers, None)
    assert _measure("answer", logits, None, batch) == pytest.approx(-mean)
    assert accuracy(logits, logits, batch).item() == pytest.approx(right)


@pytest.mark.parametrize(
    ("answers", "right"),
    [
        (_ids([3], [0]), 1 / 2),
        (_ids([0, 3], [1, 2]), 2 / 2),
        (_lists([0, 1, 2], [3]), 0),
        (_lists([3], [0, 1, 2]), 2 / 2),
    ],
)
def test_accuracy_is_the_share_of_prompts_whose_argmax_is_an_answer(
    answers: Any, right: float
) -> None:
    batch = _batch(answers, None)
    assert accuracy(torch.tensor(LOGITS), torch.tensor(LOGITS), batch).item() == pytest.approx(
        right
    )


@pytest.mark.parametrize("target", FAITHFULNESS)
def test_every_target_has_the_gradient_of_its_finite_differences(target: Any) -> None:
    draw = torch.Generator().manual_seed(0)
    logits, clean = (torch.randn(2, 3, 5, generator=draw, dtype=torch.float64) for _ in range(2))
    answers: Any = _lists([0, 4], [2])
    if target == "mse":
        answers = torch.randn(2, 3, 5, generator=draw, dtype=torch.float64)
    batch = _batch(answers, _lists([1], [3, 0]))
    assert torch.autograd.gradcheck(
        lambda x: FAITHFULNESS[target](x, clean, batch), logits.requires_grad_()
    )
