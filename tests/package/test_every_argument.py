"""Whatever is given for an argument of a public function: it works, or our own error names it.

Each argument of each function in turn is replaced by each of the values that were found to end in
somebody else's error, all others being right (`right_arguments.py`). What an argument may be beside
these values is in tests/circuits/test_arguments.py.
"""

from __future__ import annotations

import inspect
import math
import re
import warnings
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch

import sp_widget as sp
from sp_widget.errors import ArgumentError, shown
from tests.package.right_arguments import calls

OURS = (ArgumentError, sp.PromptFileError, sp.UnsupportedModelError, sp.StateError)

RESULT = "a result, which functions of this package make"
ERROR = "an error, which is raised here"
CHOICE = "names of choices"

NOT_CALLED = {
    "__version__": "a text",
    **dict.fromkeys(("AblationType", "MaskFn", "PatchType"), CHOICE),
    **dict.fromkeys(("DestNode", "SrcNode"), "parts of a graph, which `patchable_model` makes"),
    **dict.fromkeys(
        ("PromptPair", "PromptPairBatch"),
        "what a dataset or a dataloader gives; checked where it is taken, such as `predictions`",
    ),
    **dict.fromkeys(
        (
            "CircuitTest",
            "CircuitTests",
            "CrossTask",
            "Estimate",
            "Evaluation",
            "HardEvaluation",
            "KnockedOut",
            "ModelCheck",
            "NodeOnPrompt",
            "OnTask",
            "Overlap",
            "PerPrompt",
            "PrecisionRecall",
            "Predictions",
            "RocCurve",
            "Stability",
            "StepRecord",
        ),
        RESULT,
    ),
    **dict.fromkeys(
        (
            "ArgumentError",
            "ModelChangedError",
            "ModelCheckError",
            "NonFiniteLossError",
            "PromptFileError",
            "StateError",
            "UnsupportedModelError",
        ),
        ERROR,
    ),
}
"""Public names that are not called here, and why."""

NOT_USED = {"official_edges": "object"}
"""A parameter, with its annotation, that is there for the reference's sake and not looked at."""

CALLED = {"score", "metrics", "after_step"}
"""Arguments that are functions of the user's: what they raise is theirs."""

NAMED = {"methods.get": {"method"}, "methods.of": {"config"}}
"""Functions whose errors name the argument as their callers have it."""


class Unreadable:
    """Something whose text raises, as anybody's may."""

    def __repr__(self) -> str:
        raise RuntimeError("no text")


WRONG: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    1.5,
    2**64,
    10**6000,
    1e40,
    1e308,
    1e-320,
    math.nan,
    math.inf,
    "",
    "nope",
    "cuda:99",
    "a\0b",
    "\ud800",
    "x" * 100_000,
    b"bytes",
    [],
    [1, 2],
    ["x"],
    [None],
    {},
    {"x": 1},
    {"blocks.0.hook_q_input": "x"},
    (),
    (1, 2, 3),
    numpy.ones(2),
    numpy.array(["kl_div"]),
    numpy.float32(0.5),
    torch.ones(2),
    torch.ones(2, 3),
    torch.tensor(math.nan),
    torch.ones(2, 3, dtype=torch.long) * 10**6,
    torch.ones(1, device="meta"),
    torch.ones(2, 2).to_sparse(),
    torch.nn.Linear(2, 2),
    range(3),
    object(),
    int,
    lambda: None,
    Unreadable(),
)


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the test's own: some of the values are names of files that can be written."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_whatever_is_given_for_an_argument_works_or_is_refused_by_name(elsewhere: Path) -> None:
    functions = calls(elsewhere)
    called = {name.split(",")[0].split(".")[0] for name in functions}
    assert set(sp.__all__) - called == NOT_CALLED.keys()
    failures, n_calls = [], 0
    for name, (function, right) in functions.items():
        function(**right)
        parameters = inspect.signature(function).parameters
        for argument in right:
            parameter = parameters.get(argument)
            for value in WRONG:
                if parameter is not None and parameter.default is value:
                    continue
                if argument in CALLED and callable(value):
                    continue
                n_calls += 1
                problem = ""
                try:
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore")
                        function(**{**right, argument: value})
                except ArgumentError as error:
                    named = re.split(r"\W", error.argument)[0]
                    if named not in right.keys() | NAMED.get(name, set()):
                        problem = f"it names {error.argument!r}"
                    if len(str(error)) > 1000:
                        problem = f"{len(str(error))} letters"
                except OURS as error:
                    if len(str(error)) > 1000:
                        problem = f"{len(str(error))} letters"
                except Exception as error:
                    problem = f"{type(error).__name__}: {str(error)[:80]}"
                if problem:
                    failures.append(f"{name}({argument}={shown(value)[:60]}): {problem}")
    assert not failures, f"{len(failures)} of {n_calls} calls:\n" + "\n".join(failures)


def test_every_parameter_of_a_public_function_is_tried(elsewhere: Path) -> None:
    missing = [
        f"{name}({parameter.name})"
        for name, (function, right) in calls(elsewhere).items()
        for parameter in inspect.signature(function).parameters.values()
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD
        and parameter.name not in right
        and NOT_USED.get(parameter.name) != parameter.annotation
    ]
    assert not missing
