"""Sets of places as bits against plain lists of truth values."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matcher.columns import bitset as bits

MASKS = st.lists(st.booleans(), max_size=300)
NARROW = st.integers(1, 63)


def pack(mask: list[bool]) -> bits.Words:
    words = bits.empty(len(mask))
    octets = np.packbits(np.array(mask, bool), bitorder="little")
    words.view(np.uint8)[: len(octets)] = octets
    return words


def list_places(words: bits.Words) -> list[int]:
    return bits.places(words).tolist()


def runs_of(mask: list[bool]) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.array([False, *mask, False]).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


@given(MASKS, NARROW)
def test_shift_moves_places_back_and_forward(mask: list[bool], by: int) -> None:
    true = [i for i, is_in in enumerate(mask) if is_in]
    assert list_places(pack(mask)) == true
    assert list_places(bits.shift_back(pack(mask), by)) == [i - by for i in true if i >= by]
    assert list_places(bits.shift_back(pack(mask), 64)) == [i - 64 for i in true if i >= 64]
    assert [i for i in list_places(bits.shift_forward(pack(mask), by)) if i < len(mask)] == [
        i + by for i in true if i + by < len(mask)
    ]


@given(
    st.sets(st.integers(0, 4000), max_size=40),
    st.lists(st.tuples(st.integers(0, 3900), st.integers(1, 90)), max_size=3),
)
def test_list_places_finds_sparse_and_dense_places(
    few: set[int], runs: list[tuple[int, int]]
) -> None:
    expected = few.union(*(range(first, first + size) for first, size in runs))
    assert list_places(pack([i in expected for i in range(4001)])) == sorted(expected)


@given(st.binary(max_size=200), st.integers(1, 5))
def test_find_places_locates_every_byte(data: bytes, windows: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bits, "WINDOW", 64 * windows)
        places = bits.find_places(np.frombuffer(data, np.uint8), lambda part: part == 10)
    assert list_places(places) == [i for i, byte in enumerate(data) if byte == 10]


@given(MASKS, st.lists(st.integers(0, 300), max_size=20))
def test_ranks_count_preceding_places(mask: list[bool], asked: list[int]) -> None:
    ranks = bits.Ranks(pack([*mask, *[False] * (301 - len(mask))]))
    assert ranks.count_below(np.array(asked, np.int64)).tolist() == [
        sum(mask[:place]) for place in asked
    ]


@given(
    st.lists(st.tuples(st.booleans(), st.integers(1, 70)), max_size=8),
    st.lists(st.integers(1, 64), min_size=1, max_size=4),
)
def test_runs_of_several_lengths_are_found(
    parts: list[tuple[bool, int]], lengths: list[int]
) -> None:
    mask = [is_in for is_in, size in parts for _ in range(size)]
    chain = bits.NeighbourRuns(pack(mask))
    for shortest in lengths:
        long = [run for run in runs_of(mask) if run[1] - run[0] >= shortest]
        start, end = chain.runs(shortest)
        assert list(zip(start.tolist(), end.tolist(), strict=True)) == long
        assert list_places(chain.find_starts(shortest)) == [
            i for first, last in long for i in range(first, last - shortest + 1)
        ]


@given(MASKS, st.integers(0, 299))
def test_window_packs_64_places_into_one_number(mask: list[bool], start: int) -> None:
    start = min(start, max(0, len(mask) - 1))
    [window] = bits.windows(pack(mask), np.array([start])).tolist()
    assert window == sum(1 << i for i, is_in in enumerate(mask[start : start + 64]) if is_in)


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=20), st.integers(0, 64))
def test_lowest_and_highest_bit_are_found(numbers: list[int], count: int) -> None:
    words = np.array(numbers, np.uint64)
    assert bits.lowest(words).tolist() == [(n & -n).bit_length() - 1 if n else 64 for n in numbers]
    assert bits.highest(words).tolist() == [n.bit_length() - 1 for n in numbers]
    assert int(bits.below(count)) == bits.under(np.array([count])).tolist()[0] == (1 << count) - 1
