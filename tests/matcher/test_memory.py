"""Memory is kept, and the part of the heap that is asked for in large pages is one piece, all of
it given back.
"""

import ctypes
import mmap

import pytest

from matcher.cli.loading import BLOCK, BLOCKS, ask_for_large_pages, keep_freed_memory

PAGE = mmap.PAGESIZE
FIRST = 7 * PAGE + 16


def asked(places: list[int | None]) -> tuple[list[tuple[int, int]], list[int]]:
    """What is asked to lie in large pages, as (start, size), and what is freed, where blocks
    come to lie at `places`.
    """
    told, freed, coming = list[tuple[int, int]](), list[int](), iter(places)
    ask_for_large_pages(
        lambda _: next(coming), freed.append, lambda start, size: told.append((start, size))
    )
    return told, freed


@pytest.mark.parametrize("order", [1, -1])
def test_blocks_side_by_side_are_one_piece_of_whole_pages(order: int) -> None:
    places = [FIRST + number * (BLOCK + 16) for number in range(BLOCKS)]
    [(start, size)], freed = asked([*places[::order]])
    assert freed == places
    assert (start % PAGE, size % PAGE) == (0, 0)
    assert places[0] <= start < places[0] + PAGE
    assert places[-1] + BLOCK - PAGE < start + size <= places[-1] + BLOCK


@pytest.mark.parametrize("last", [FIRST + BLOCKS * (BLOCK + 16), None])
def test_of_blocks_apart_nothing_is_asked_and_all_are_freed(last: int | None) -> None:
    places = [*(FIRST + number * (BLOCK + 16) for number in range(BLOCKS - 1)), last]
    told, freed = asked(places)
    assert told == []
    assert freed == [place for place in places if place]


def test_the_c_library_here_is_told() -> None:
    assert keep_freed_memory() == hasattr(ctypes.CDLL(None), "mallopt")
