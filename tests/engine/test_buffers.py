"""Products with the masks, in tiles and in one go, and the room for them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sp_widget.engine.buffers import multiply, pieces, scratch_size

CPU = torch.device("cpu")


def _normal(*shape: int, seed: int) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=draw, dtype=torch.float64)


def _rows_of_a_buffer(groups: int, rows: int, columns: int) -> Tensor:
    """As the streams of a run lie in memory: between the rows of a group are other numbers."""
    buffer = _normal(rows, groups * columns + 3, seed=2)
    return buffer[:, : groups * columns].view(rows, groups, columns).transpose(0, 1)


@pytest.mark.parametrize("n", [6, 70])
@pytest.mark.parametrize("add", [True, False])
@pytest.mark.parametrize("groups", [1, 5])
@pytest.mark.parametrize("room", [4, 7 * 16, 3 * 7 * 512, 10**6])
@pytest.mark.parametrize("columns", [1, 40, 1300])
def test_a_product_in_tiles_is_the_product(
    columns: int, room: int, groups: int, add: bool, n: int
) -> None:
    """`room`: for less than a column, for some, for tiles of several groups, for all. `n`: terms of
    a sum, many and few."""
    rows = 4 if room == 4 else 7
    left, right = _normal(groups, rows, n, seed=0), _normal(groups, n, columns, seed=1)
    out = _rows_of_a_buffer(groups, rows, columns)
    expected = left @ right + (out if add else 0)
    multiply(left, right, out, out.new_empty(room), add=add)
    torch.testing.assert_close(out, expected)


def test_what_was_in_memory_before_does_not_matter() -> None:
    left, right = _normal(2, 3, 70, seed=0), _normal(2, 70, 5, seed=1)
    for groups in (1, 2):
        out = torch.full((groups, 3, 5), torch.nan, dtype=torch.float64)
        multiply(left[:groups], right[:groups], out, out.new_empty(out.numel()), add=False)
        torch.testing.assert_close(out, left[:groups] @ right[:groups])


@pytest.mark.parametrize(("n", "at_most"), [(0, 3), (1, 3), (3, 3), (7, 3), (7, 1)])
def test_pieces_cover_everything_once(n: int, at_most: int) -> None:
    covered = [i for piece in pieces(n, at_most) for i in range(n)[piece]]
    assert covered == list(range(n))
    assert all(piece.stop - piece.start <= at_most for piece in pieces(n, at_most))


def test_scratch_holds_no_more_than_a_cache_but_for_one_row() -> None:
    meta, large = torch.device("meta"), torch.empty(3 * 2**20)
    small = large[: 2**18]
    assert scratch_size(small, CPU, 3) == 3 * small.numel()
    assert scratch_size(small, CPU, 50) == 4 * small.numel()
    assert scratch_size(large, CPU, 50) == large.numel()
    assert scratch_size(large, meta, 50) == 50 * large.numel()
