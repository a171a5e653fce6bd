"""Read files that anybody may have written: either what they should be, or an error."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from sp_widget.checked_json import MalformedError, parse_json
from sp_widget.errors import ArgumentError
from sp_widget.files import is_path

MOST_JSON = 64 * 2**20
"""Bytes of a JSON file that is read."""

MOST_LINE = 2**20
"""Bytes of a line that is read."""

MOST_TENSORS = 2**32
"""Bytes of a safetensors file that is read."""

DTYPES = ("F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U8", "BOOL")
"""Of tensors that are read, as safetensors calls them."""


def file_path(path: object, endings: Sequence[str], argument: str = "path") -> tuple[Path, str]:
    """Return the path of a file, and which of the `endings` (`".json"`) it has, in small letters.

    Raises `ArgumentError` for what is no path, for another ending, and for an ending alone: a file
    `.json` is one that is hidden and has no ending.
    """
    listed = ", ".join(endings[:-1]) + f" or {endings[-1]}" if len(endings) > 1 else endings[0]
    if not is_path(path):
        raise ArgumentError(argument, f"the path of a file that ends in {listed}", path)
    found = Path(str(path))
    if found.name.lower() in endings:
        raise ArgumentError(argument, f"a file name before its ending {found.name}", str(path))
    if found.suffix.lower() not in endings:
        raise ArgumentError(argument, f"a file name that ends in {listed}", str(path))
    return found, found.suffix.lower()


def require_file(path: Path, most: int | None = None) -> None:
    """Raise `ArgumentError` unless `path` is a file of at most `most` bytes, and no link.

    A link could lead out of the folder, and a pipe would never end.
    """
    try:
        found = path.lstat()
    except (OSError, ValueError) as error:
        raise _bad("a file that can be read", path, _reason(error)) from None
    if not stat.S_ISREG(found.st_mode):
        raise _bad("a file", path, "something else")
    if most is not None and found.st_size > most:
        raise _bad(f"a file of at most {most:,} bytes", path, f"{found.st_size:,} bytes")


def read_json(path: Path, file_format: str) -> dict[str, Any]:
    """Return the JSON object that a file holds, whose `format` is `file_format`.

    Raises `ArgumentError` for anything else.
    """
    require_file(path, MOST_JSON)
    try:
        content = parse_json(path.read_bytes())
    except MalformedError as error:
        place = f"JSON, {error.place}: " if error.place else "JSON: "
        raise _bad(place + error.wanted, path, error.got) from None
    except OSError as error:
        raise _bad("a file that can be read", path, _reason(error)) from None
    if not isinstance(content, dict) or content.get("format") != file_format:
        got = content.get("format") if isinstance(content, dict) else type(content)
        raise _bad(f"the format {file_format!r}", path, got)
    return content


def read_json_lines(path: Path, n_lines: int) -> Iterator[Any]:
    """Yield what the first `n_lines` lines of a file hold; what follows them is not looked at.

    Raises `ArgumentError` where a line is missing, torn or no JSON.
    """
    require_file(path)
    try:
        with path.open("rb") as file:
            for number in range(1, n_lines + 1):
                line = file.readline(MOST_LINE)
                if not line.endswith(b"\n"):
                    raise _bad(f"{n_lines:,} lines", path, f"{number - 1:,} whole ones")
                try:
                    yield parse_json(line)
                except MalformedError:
                    raise _bad(
                        "JSON in every line", path, f"something else in {number:,}"
                    ) from None
    except OSError as error:
        raise _bad("a file that can be read", path, _reason(error)) from None


def read_tensors(path: Path, file_format: str) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file whose format is `file_format`, on the CPU.

    Raises `ArgumentError` for anything else.
    """
    from safetensors import SafetensorError, safe_open

    require_file(path, MOST_TENSORS)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != file_format:
                raise _bad(f"the format {file_format!r}", path, metadata.get("format"))
            names = list(file.keys())
            for name in names:
                dtype = file.get_slice(name).get_dtype()
                if dtype not in DTYPES:
                    raise _bad(f"tensors of {', '.join(DTYPES)}", path, dtype)
            # Copies: else they would change when the file does.
            return {name: file.get_tensor(name).clone() for name in names}
    except SafetensorError:
        raise _bad("a safetensors file", path, "something else, or a part of it") from None
    except OSError as error:
        raise _bad("a file that can be read", path, _reason(error)) from None


def _bad(wanted: str, path: Path, got: object) -> ArgumentError:
    # By the file's own name: where the folder lies is known to whoever gave it.
    return ArgumentError("folder", f"{path.name}: {wanted}", got)


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
