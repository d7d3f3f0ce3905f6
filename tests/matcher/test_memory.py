"""Memory is kept, and the part of the heap that is asked for in large pages is one piece, all of
it given back.
"""

import ctypes
import mmap

import pytest

from matcher.cli.loading import BLOCK, BLOCKS, ask_for_large_pages, keep_freed_memory

PAGE = mmap.PAGESIZE
FIRST = 7 * PAGE + 16


def request_blocks(places: list[int | None]) -> tuple[list[tuple[int, int]], list[int]]:
    """Return the ranges that should lie in large pages, as (start, size), and the freed blocks.

    Blocks are allocated at `places`.
    """
    requested, freed, coming = list[tuple[int, int]](), list[int](), iter(places)
    ask_for_large_pages(
        lambda _: next(coming), freed.append, lambda start, size: requested.append((start, size))
    )
    return requested, freed


@pytest.mark.parametrize("order", [1, -1])
def test_adjacent_blocks_are_requested_as_whole_pages(order: int) -> None:
    places = [FIRST + number * (BLOCK + 16) for number in range(BLOCKS)]
    [(start, size)], freed = request_blocks([*places[::order]])
    assert freed == places
    assert (start % PAGE, size % PAGE) == (0, 0)
    assert places[0] <= start < places[0] + PAGE
    assert places[-1] + BLOCK - PAGE < start + size <= places[-1] + BLOCK


@pytest.mark.parametrize("last", [FIRST + BLOCKS * (BLOCK + 16), None])
def test_separate_blocks_are_only_freed(last: int | None) -> None:
    places = [*(FIRST + number * (BLOCK + 16) for number in range(BLOCKS - 1)), last]
    requested, freed = request_blocks(places)
    assert requested == []
    assert freed == [place for place in places if place]


def test_keep_freed_memory_reports_whether_libc_supports_it() -> None:
    assert keep_freed_memory() == hasattr(ctypes.CDLL(None), "mallopt")
