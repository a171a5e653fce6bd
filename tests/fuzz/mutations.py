"""Changes to a right file or message, most of which make it wrong."""

from __future__ import annotations

import copy
import json
import math
from random import Random
from typing import Any

JUNK: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    2**31,
    2**63 - 1,
    2**63,
    2**64,
    -(2**65),
    0.0,
    1.5,
    -2.5,
    1e39,
    1e308,
    5e-324,
    math.nan,
    math.inf,
    -math.inf,
    "",
    " ",
    "a",
    "float32",
    "Tensor",
    "IPY_MODEL_x",
    "\0",
    "\ud800",
    "é\u2028😀",
    "x" * 300,
    [],
    {},
    [[]],
    [None],
    [1, "a"],
    {"": None},
    {"format": 1},
    [[[[[[1]]]]]],
)


def changed(value: Any, random: Random) -> Any:
    """Return a copy of what JSON holds with one to three places changed."""
    value = copy.deepcopy(value)
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        value = _changed_once(value, random)
    return value


def _changed_once(value: Any, random: Random) -> Any:
    if not isinstance(value, dict | list) or not value or random.random() < 0.25:
        return copy.deepcopy(random.choice(JUNK))
    if isinstance(value, list):
        place: Any = random.randrange(len(value))
    else:
        place = random.choice(list(value))
    match random.randrange(8):
        case 0:
            del value[place]
        case 1 if isinstance(value, list):
            value.insert(place, copy.deepcopy(value[place]))
        case 1:
            value[random.choice(("more", "", "x" * 300, "\ud800"))] = value[place]
        case 2 if isinstance(value, list):
            random.shuffle(value)
        case _:
            value[place] = _changed_once(value[place], random)
    return value


def written(value: Any, random: Random) -> bytes:
    """Return JSON; now and then such as only some programs write."""
    text = json.dumps(value, ensure_ascii=random.random() < 0.9)
    match random.randrange(24):
        case 0:
            text = text.replace(": ", f": {'9' * random.choice((30, 5000))}, ", 1)
        case 1:
            depth = random.choice((15, 20, 900, 5000))
            text = text.replace(": ", f": {'[' * depth}1{']' * depth}, ", 1)
        case 2:
            text = text.replace('"', '"a": 1, "', 1) if random.random() < 0.5 else text + text
        case 3:
            text = text.replace("{", '{"format": 1, "format": 2, ', 1)
    return text.encode("utf-8", "surrogatepass")


def disturbed(content: bytes, random: Random) -> bytes:
    """Return bytes of which some are others, missing or there twice."""
    data = bytearray(content)
    for _ in range(random.choice((1, 1, 2, 8))):
        at = random.randrange(len(data) + 1)
        # The beginning says what the rest is.
        at = at if random.random() < 0.5 else min(at, random.randrange(64))
        length = random.choice((1, 1, 4, 100))
        match random.randrange(5):
            case 0:
                del data[at:]
            case 1:
                del data[at : at + length]
            case 2:
                data[at:at] = data[at : at + length]
            case 3:
                data[at : at + 1] = bytes([random.randrange(256)])
            case _:
                data[at:at] = random.randbytes(length)
    return bytes(data)


def changed_json(value: Any, random: Random) -> bytes:
    """Return the JSON of a changed value, or its disturbed text."""
    if random.random() < 0.8:
        return written(changed(value, random), random)
    return disturbed(json.dumps(value).encode(), random)


def changed_safetensors(content: bytes, random: Random) -> bytes:
    """Return a safetensors file with another header that fits, or disturbed."""
    if random.random() < 0.4:
        return disturbed(content, random)
    length = int.from_bytes(content[:8], "little")
    header = written(changed(json.loads(content[8 : 8 + length]), random), random)
    return len(header).to_bytes(8, "little") + header + content[8 + length :]
