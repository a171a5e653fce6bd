"""Read JSON that anybody may have written: either what it should be, or where it is not."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

T = TypeVar("T")

MOST_NESTED = 16
"""Objects and lists within each other."""

_WORDS = {
    "Input should be ": "",
    "List should have at least ": "a list of ",
    "List should have at most ": "a list of ",
    "Field required": "this key",
    "Extra inputs are not permitted": "no such key",
    " after validation": "",
}
"""What pydantic says of a value, and how it reads after "wanted"."""


class MalformedError(ValueError):
    """A part of a file that is not as it should be; `place` is empty for the file as a whole."""

    def __init__(self, place: str, wanted: str, got: str) -> None:
        self.place, self.wanted, self.got = place, wanted, got
        super().__init__(f"{place or 'the file'}: wanted {wanted}, got {got}")


def parse_json(content: bytes) -> Any:
    """Return what JSON says.

    Raises `MalformedError` for what is no JSON, and for what programs read in different ways: a key
    that stands twice in one object, an integer beyond 64 bits, half of a surrogate pair, and
    objects and lists too deep to be gone through.
    """
    try:
        value = json.loads(content, parse_int=_whole_number, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise MalformedError(place, "JSON", f"a syntax error ({error.msg})") from None
    except UnicodeDecodeError as error:
        raise MalformedError(f"byte {error.start}", "text in UTF-8", error.reason) from None
    except RecursionError:
        raise MalformedError("", _FLAT, "thousands") from None
    _check_values(value)
    return value


def checked(kind: TypeAdapter[T], value: object, place: str = "") -> T:
    """Return a value that was parsed if it is of this kind, strictly: a text is no number.

    Raises `MalformedError` with the place of the first thing that is not.
    """
    try:
        return kind.validate_python(value, strict=True)
    except ValidationError as error:
        # Not its input: that of a missing key is the whole object.
        first = error.errors(include_url=False, include_context=False)[0]
        got = "nothing" if first["type"] == "missing" else json_text(first["input"])
        raise MalformedError(_place(place, first["loc"]), _wanted(first["msg"]), got) from None


def json_text(value: object) -> str:
    """Return a value as it stands in the file, cut where it is long."""
    return cut(json.dumps(value, ensure_ascii=False))


def cut(text: str) -> str:
    """Return the text, cut where it is long."""
    return text if len(text) <= _SHOWN_LENGTH else text[: _SHOWN_LENGTH - 1] + "…"


_SHOWN_LENGTH = 80
_FLAT = f"lists within lists at most {MOST_NESTED} deep"


def _whole_number(digits: str) -> int:
    # Python refuses very long ones with an error of its own.
    if len(digits) > 20 or not -(2**63) <= int(digits) < 2**63:
        raise MalformedError("", "whole numbers of 64 bits", cut(digits))
    return int(digits)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        names = Counter(name for name, _ in pairs)
        ((twice, _),) = names.most_common(1)
        raise MalformedError("", "every key once in an object", f"{cut(ascii(twice))} twice")
    return content


def _check_values(content: object) -> None:
    """Fail at text that is none in any encoding, and at lists too deep to be gone through."""
    waiting = [(content, 0)]
    while waiting:
        value, depth = waiting.pop()
        if depth > MOST_NESTED:
            raise MalformedError("", _FLAT, f"more than {MOST_NESTED}")
        if isinstance(value, dict):
            waiting += [(inner, depth + 1) for pair in value.items() for inner in pair]
        elif isinstance(value, list):
            waiting += [(inner, depth + 1) for inner in value]
        elif isinstance(value, str) and not _is_text(value):
            wanted = "text (half of a surrogate pair is no character)"
            raise MalformedError("", wanted, cut(ascii(value)))


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _place(start: str, parts: Sequence[str | int]) -> str:
    if not start and parts:
        start, parts = json_text(parts[0]), parts[1:]
    return start + "".join(f"[{json_text(part)}]" for part in parts)


def _wanted(message: str) -> str:
    for theirs, ours in _WORDS.items():
        message = message.replace(theirs, ours)
    return message
