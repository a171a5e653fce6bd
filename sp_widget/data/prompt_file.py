"""Reading and checking a file of prompts in auto-circuit's JSON format.

    {
      "seq_labels": ["When", "Mary", ...],           optional: a label for each token position
      "word_idxs": {"IO": 1, "S1": 3, ...},          optional: token positions of named words
      "prompts": [
        {"clean": "When Mary and", "corrupt": "When Tom and",
         "answers": [" John"], "wrong_answers": [" Mary"]},
        ...
      ]
    }

Prompts are strings with strings as answers, or lists of token ids with token ids as answers.
Beside token ids, answers may be numbers with a decimal point in (nested) lists of the shape of
the output: the targets of a regression.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

from sp_widget.checked_json import MalformedError, parse_json
from sp_widget.checked_json import json_text as shown
from sp_widget.data.prompts import is_whole_number

Nested: TypeAlias = int | float | list["Nested"]
"""A number or a list of lists of numbers."""


_LONGEST_PATH = 250


class PromptFileError(ValueError):
    """A file of prompts that cannot be used as it is.

    The message reads "<file>, <place>: wanted <wanted>, got <got>". `file` and `place` (such as
    `prompts[3]["answers"][0]`, counted from 0; empty for the file as a whole) say where.
    """

    def __init__(self, file: Path, place: str, wanted: str, got: str) -> None:
        self.file = file
        self.place = place
        where = ", ".join(filter(None, [file_shown(file), place]))
        super().__init__(f"{where}: wanted {wanted}, got {got}")


def file_shown(file: Path) -> str:
    """Return the path of a file as it is given, or of a very long one the end."""
    text = str(file)
    return text if len(text) <= _LONGEST_PATH else f"…{text[1 - _LONGEST_PATH :]}"


@dataclass(frozen=True)
class Prompt:
    """One entry of "prompts", and where it came from."""

    file: Path
    index: int
    clean: str | list[int]
    corrupt: str | list[int]
    answers: list[Any]
    wrong_answers: list[Any]

    @property
    def is_text(self) -> bool:
        return isinstance(self.clean, str)

    def fail(self, key: str, wanted: str, got: str) -> NoReturn:
        raise PromptFileError(self.file, f"prompts[{self.index}]{key}", wanted, got)


@dataclass(frozen=True)
class PromptFile:
    """A file whose structure has been checked."""

    path: Path
    prompts: list[Prompt]
    seq_labels: list[str] | None
    word_idxs: dict[str, int]


def read_prompt_file(file: Path) -> PromptFile:
    """Read a file and check all that can be told without model and tokenizer.

    Raises:
        PromptFileError: If there is no such file, or it is not JSON, or not of the format above.
    """
    data = _read_json(file)
    if not isinstance(data, dict):
        raise PromptFileError(file, "", 'an object with the key "prompts"', shown(data))
    if "prompts" not in data:
        raise PromptFileError(file, "", 'the key "prompts"', f"the keys {shown(list(data))}")
    entries = data["prompts"]
    if not isinstance(entries, list) or not entries:
        raise PromptFileError(file, '"prompts"', "a list of at least one prompt", shown(entries))
    return PromptFile(
        path=file,
        prompts=[_read_prompt(file, index, entry) for index, entry in enumerate(entries)],
        seq_labels=_read_seq_labels(file, data.get("seq_labels")),
        word_idxs=_read_word_idxs(file, data.get("word_idxs")),
    )


def _read_json(file: Path) -> Any:
    try:
        return parse_json(file.read_bytes())
    except MalformedError as error:
        raise PromptFileError(file, error.place, error.wanted, error.got) from error
    except (OSError, ValueError) as error:
        got = (getattr(error, "strerror", None) or str(error)).lower()
        raise PromptFileError(file, "", "a file that can be read", got) from error


def _read_seq_labels(file: Path, value: object) -> list[str] | None:
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(label, str) for label in value):
        raise PromptFileError(file, '"seq_labels"', "a list of strings", shown(value))
    return value


def _read_word_idxs(file: Path, value: object) -> dict[str, int]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise PromptFileError(
            file, '"word_idxs"', "an object of words and token positions", shown(value)
        )
    for word, position in value.items():
        if not is_whole_number(position) or position < 0:
            raise PromptFileError(
                file,
                f'"word_idxs"[{shown(word)}]',
                "a token position, a whole number of at least 0",
                shown(position),
            )
    return value


def _read_prompt(file: Path, index: int, entry: object) -> Prompt:
    place = f"prompts[{index}]"
    keys = ("clean", "corrupt", "answers", "wrong_answers")
    if not isinstance(entry, dict):
        raise PromptFileError(
            file, place, f"an object with the keys {', '.join(keys)}", shown(entry)
        )
    for key in keys:
        if key not in entry:
            raise PromptFileError(file, place, f'the key "{key}"', f"the keys {shown(list(entry))}")
    prompt = Prompt(file, index, **{key: entry[key] for key in keys})
    _check_text_or_ids(prompt, "clean", prompt.clean)
    _check_text_or_ids(prompt, "corrupt", prompt.corrupt)
    if isinstance(prompt.corrupt, str) != prompt.is_text:
        prompt.fail(
            '["corrupt"]',
            f"{'a string' if prompt.is_text else 'token ids'} like the clean prompt",
            shown(prompt.corrupt),
        )
    for key in ("answers", "wrong_answers"):
        _check_answers(prompt, key, entry[key])
    if not prompt.is_text and len(prompt.clean) != len(prompt.corrupt):
        prompt.fail(
            '["corrupt"]',
            f"as many token ids as the clean prompt ({len(prompt.clean)})",
            str(len(prompt.corrupt)),
        )
    return prompt


def _check_text_or_ids(prompt: Prompt, key: str, value: object) -> None:
    if isinstance(value, str):
        if not value.strip():
            prompt.fail(f'["{key}"]', "a text that is not blank", shown(value))
        return
    if not isinstance(value, list):
        prompt.fail(f'["{key}"]', "a string or a list of token ids", shown(value))
    if not value:
        prompt.fail(f'["{key}"]', "at least one token id", "an empty list")
    for i, token in enumerate(value):
        if not is_whole_number(token) or token < 0:
            prompt.fail(f'["{key}"][{i}]', "a token id, a whole number of at least 0", shown(token))


def _check_answers(prompt: Prompt, key: str, value: object) -> None:
    wanted = "strings" if prompt.is_text else "token ids or numbers"
    if not isinstance(value, list):
        prompt.fail(f'["{key}"]', f"a list of {wanted}", shown(value))
    if not value:
        prompt.fail(f'["{key}"]', f"a list of {wanted}, at least one", "an empty list")
    if prompt.is_text:
        for i, answer in enumerate(value):
            if not isinstance(answer, str):
                prompt.fail(f'["{key}"][{i}]', "a string like the prompt", shown(answer))
        return
    for i, answer in enumerate(value):
        if isinstance(answer, str):
            prompt.fail(
                f'["{key}"][{i}]', "a number, because the prompt is token ids", shown(answer)
            )
    nested_shape(prompt, f'["{key}"]', value)


def nested_shape(prompt: Prompt, place: str, value: object) -> tuple[int, ...]:
    """The shape of nested lists of numbers; fails where they are ragged or hold other things."""
    if not isinstance(value, list):
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            prompt.fail(place, "a number", shown(value))
        if not math.isfinite(value):
            prompt.fail(place, "a finite number", shown(value))
        return ()
    if not value:
        prompt.fail(place, "a list of numbers, at least one", "an empty list")
    shapes = [nested_shape(prompt, f"{place}[{i}]", item) for i, item in enumerate(value)]
    for i, shape in enumerate(shapes):
        if shape != shapes[0]:
            prompt.fail(
                f"{place}[{i}]", f"the shape of the first one {list(shapes[0])}", str(list(shape))
            )
    return (len(value), *shapes[0])


def numbers(value: Nested) -> Iterator[int | float]:
    """All numbers in nested lists."""
    if isinstance(value, list):
        for item in value:
            yield from numbers(item)
    else:
        yield value


def has_float(value: Nested) -> bool:
    """Whether a number is written with a decimal point: answers are then targets, not ids."""
    return any(isinstance(number, float) for number in numbers(value))


def check_one_kind(prompts: list[Prompt]) -> None:
    """Fail at the first prompt that is a string among token ids, or the reverse, and where it
    cannot be told whether answers are token ids or targets."""
    first = prompts[0]
    for prompt in prompts:
        if prompt.is_text != first.is_text:
            prompt.fail(
                '["clean"]',
                f"{'a string' if first.is_text else 'token ids'} like prompts[0] of {first.file}",
                shown(prompt.clean),
            )
    if not first.is_text:
        _check_one_kind_of_answers(prompts)


def _check_one_kind_of_answers(prompts: list[Prompt]) -> None:
    """Fail where 2.0 stands among whole numbers: a token id that a tool wrote so, or a target?

    A number with a fraction is no token id; beside it 1 and 1.0 are the same target.
    """
    found = [
        (prompt, key, number)
        for prompt in prompts
        for key, answers in (("answers", prompt.answers), ("wrong_answers", prompt.wrong_answers))
        for number in numbers(answers)
    ]
    floats = [entry for entry in found if isinstance(entry[2], float)]
    if (
        floats
        and len(floats) < len(found)
        and all(float(number).is_integer() for *_, number in floats)
    ):
        prompt, key, number = floats[0]
        prompt.fail(
            f'["{key}"]',
            "token ids, which are whole numbers, or targets, all with a decimal point",
            f"{shown(number)} in a file with whole numbers, too",
        )
