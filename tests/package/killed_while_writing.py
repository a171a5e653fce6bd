"""python -m tests.package.killed_while_writing FOLDER TIMES

Kills a process that writes one file again and again, and says what it found.
"""

from __future__ import annotations

import itertools
import random
import sys
from collections.abc import Callable
from pathlib import Path

from sp_widget.files import TEMPORARY, remove_leftovers, write_atomically
from tests.killing import killed

SIZE = 2_000_000


def content(number: int) -> bytes:
    return str(number % 10).encode() * (SIZE + number)


def main(folder: Path, times: int) -> None:
    path, chance, left = folder / "file", random.Random(0), 0
    last = 1
    write_atomically(path, content(last))
    for _ in range(times):

        def work(tell: Callable[[int], None], last: int = last) -> None:
            for number in itertools.count(last + 1):
                write_atomically(path, content(number))
                tell(number)

        heard = killed(work, chance)
        found = path.read_bytes()
        last = len(found) - SIZE
        assert found == content(last), "a torn file"
        assert last >= heard, "a finished file was lost"
        left += len(list(folder.glob(TEMPORARY)))
        remove_leftovers(folder)
    assert [each.name for each in folder.iterdir()] == ["file"]
    print(f"killed {times} times, {left} times in the middle of a file")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
