"""Numbers that are counted up: what a generated list shows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

LARGEST_STEP = 1000
MODULUS = 10**18
"""Of longer numbers the last 18 digits count: a run shows in the last ones."""


def longest_run(numbers: npt.NDArray[np.int64]) -> int:
    """Length of the longest run with one constant step of at most 1,000; `numbers` ascend, each once. 0 where there is none.

    >>> longest_run(np.array([13800000001, 13800000002, 13800000003, 15900000000]))
    3
    """
    steps = np.diff(numbers)
    small = steps <= LARGEST_STEP
    if not small.any():
        return 0
    goes_on = np.zeros(len(steps) + 1, bool)  # whether a small step is followed by the same: seldom, so little is made of it
    np.equal(steps[1:], steps[:-1], out=goes_on[1:-1])
    goes_on[1:-1] &= small[1:]
    edges = np.flatnonzero(goes_on[1:] != goes_on[:-1])
    return int(np.diff(edges)[::2].max(initial=0)) + 2


def numbers_of(normal: npt.NDArray[np.uint8], lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The digits of each row as one number, modulo 10^18: i64[n]. `normal` u8[n, width] are texts of `lengths` ≤ 19 digits."""
    found = np.zeros(len(normal), np.uint64)
    for length in np.flatnonzero(np.bincount(lengths)).tolist():
        own = np.flatnonzero(lengths == length)
        texts = normal if len(own) == len(normal) else normal.take(own, axis=0)
        found[own] = _number(np.ascontiguousarray(texts[:, :length].T) - np.uint8(ord("0")))
    return (found % np.uint64(MODULUS)).astype(np.int64)


def _number(digits: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint64]:
    """The number in each column of `digits` u8[length, n], of which those count that are less than ten: u64[n]."""
    found = np.zeros(digits.shape[1], np.uint64)
    is_plain = bool((digits < 10).all())
    for row in digits:
        if is_plain:
            found *= np.uint64(10)
            found += row
        else:
            found = np.where(row < 10, found * np.uint64(10) + row, found)
    return found
