"""How many threads to use: found from the seconds that steps took."""

from __future__ import annotations

import pytest

from sp_widget.errors import ArgumentError
from sp_widget.session.threads import Pace, Trial, candidates, check_threads, spinning_note


def tried(seconds: dict[int, float]) -> tuple[Trial, list[int]]:
    """A trial in which a step always takes these seconds, and the numbers in its order."""
    trial, order = Trial(tuple(seconds)), []
    while (number := trial.next()) is not None:
        order.append(number)
        trial.take(number, seconds[number])
    return trial, order


@pytest.mark.parametrize(
    ("available", "expected"),
    [(1, (1,)), (2, (1, 2)), (6, (1, 2, 4, 6)), (8, (1, 2, 4, 8))],
)
def test_powers_of_two_and_all_that_are_available_are_tried(
    available: int, expected: tuple[int, ...]
) -> None:
    assert candidates(available) == expected


def test_where_there_is_one_number_nothing_is_tried() -> None:
    trial, order = tried({1: 0.1})
    assert (trial.best, order, trial.seconds) == (1, [], 0)


def test_numbers_are_tried_in_turn_and_the_quickest_wins() -> None:
    trial, order = tried({1: 0.03, 2: 0.02})
    # Clear after three rounds.
    assert order == [1, 2] * 3
    assert trial.best == 2


def test_steps_of_varying_length_are_tried_more_often() -> None:
    trial, order, seconds = Trial((1, 2)), [], iter([0.03, 0.04, 0.02, 0.01] * 6)
    while (number := trial.next()) is not None:
        order.append(number)
        trial.take(number, next(seconds))
    assert order == [1, 2] * 12
    # Medians of 25 and 25 ms.
    assert trial.best == 1


def test_fewer_threads_win_where_more_gain_little() -> None:
    assert tried({1: 0.0204, 2: 0.02})[0].best == 1


@pytest.mark.parametrize("hiccup", range(1, 14))
def test_a_hiccup_does_not_decide(hiccup: int) -> None:
    trial, n_tried = Trial((1, 2)), 0
    while (number := trial.next()) is not None:
        n_tried += 1
        trial.take(number, 0.2 if n_tried == hiccup else 0.03 / number)
    assert trial.best == 2


def test_a_hopeless_number_is_tried_twice_and_more_threads_not_at_all() -> None:
    trial, order = tried({1: 0.04, 2: 0.2, 4: 9.0, 8: 9.0})
    assert order == [1, 2, 1, 2]
    assert trial.best == 1


def test_threads_that_take_seconds_are_tried_once() -> None:
    trial, order = tried({1: 0.04, 2: 2.0, 4: 9.0})
    assert order == [1, 2]
    assert trial.best == 1


def test_few_threads_that_are_hopeless_say_nothing_about_more() -> None:
    trial, order = tried({1: 0.08, 2: 0.035, 4: 0.02})
    assert trial.best == 4
    assert order[:3] == [1, 2, 4]
    assert order.count(1) == 2


def test_long_steps_are_tried_once_each() -> None:
    trial, order = tried({1: 4.0, 2: 2.5})
    assert order == [1, 2]
    assert trial.best == 2


def test_spinning_threads_are_told_with_what_to_set() -> None:
    trial, _ = tried({1: 0.04, 2: 0.84})
    note = spinning_note(trial, {})
    assert "21 times as long with 2 threads as with 1" in note
    assert "OMP_WAIT_POLICY=PASSIVE" in note


@pytest.mark.parametrize("policy", ["PASSIVE", "passive "])
def test_where_the_policy_is_passive_there_is_nothing_to_tell(policy: str) -> None:
    trial, _ = tried({1: 0.04, 2: 0.84})
    assert spinning_note(trial, {"OMP_WAIT_POLICY": policy}) == ""
    assert spinning_note(trial, {"OMP_WAIT_POLICY": "ACTIVE"})


@pytest.mark.parametrize("seconds", [{1: 0.04, 2: 0.03}, {1: 0.09, 2: 0.03}, {1: 0.04, 2: 0.07}])
def test_nothing_is_told_where_more_threads_do_no_great_harm(seconds: dict[int, float]) -> None:
    assert spinning_note(tried(seconds)[0], {}) == ""


def test_steps_that_become_much_slower_are_noticed() -> None:
    pace = Pace(trial_seconds=0.0)
    assert not any(pace.take(0.04) for _ in range(20))
    # Not at a hiccup, and at the third of five.
    assert [pace.take(seconds) for seconds in (2.0, 2.0, 0.04, 2.0)] == [False] * 3 + [True]


def test_slower_than_the_first_steps_is_not_needed_but_than_the_best() -> None:
    pace = Pace(trial_seconds=0.0)
    assert not any(pace.take(seconds) for seconds in [0.4] * 5 + [0.1] * 5)
    assert [pace.take(0.3) for _ in range(3)] == [False, False, True]


def test_trials_take_a_twentieth_of_the_time_at_most() -> None:
    pace = Pace(trial_seconds=1.0)
    answers = [pace.take(seconds) for seconds in [0.1] * 10 + [1.0] * 30]
    assert answers.index(True) == 10 + 19 - 1


@pytest.mark.parametrize("threads", [0, -1, 1.0, True, "two", None])
def test_what_is_no_number_of_threads_is_refused(threads: object) -> None:
    with pytest.raises(ArgumentError, match="threads"):
        check_threads(threads)
