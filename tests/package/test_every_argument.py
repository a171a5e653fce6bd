"""Whatever is given for an argument of a public function: it works, or our own error names it.

Each argument of each function in turn is replaced by each of the values that were found to end in
somebody else's error, all others being right. Functions that train are here by their configs, which
check all settings; what they take beside these is in tests/circuits/test_arguments.py.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy
import torch

import sp_widget as sp
from sp_widget.errors import ArgumentError
from tests.model_kinds import bridge, dataloader

OURS = (ArgumentError, sp.PromptFileError, sp.UnsupportedModelError, sp.StateError)


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


def test_whatever_is_given_for_an_argument_works_or_is_refused_by_name(tmp_path: Path) -> None:
    failures, n_calls = [], 0
    for name, (function, right) in calls(tmp_path).items():
        for argument in right:
            for value in WRONG:
                n_calls += 1
                try:
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore")
                        function(**{**right, argument: value})
                except OURS as error:
                    if len(str(error)) > 1000:
                        failures.append(f"{name}({argument}=…): {len(str(error))} letters")
                except Exception as error:
                    shown = str(type(value)) if isinstance(value, Unreadable) else repr(value)[:60]
                    text = f"{type(error).__name__}: {str(error)[:80]}"
                    failures.append(f"{name}({argument}={shown}): {text}")
    assert not failures, f"{len(failures)} of {n_calls} calls:\n" + "\n".join(failures)
