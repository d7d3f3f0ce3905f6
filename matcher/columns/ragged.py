"""Groups of unlike sizes, laid one behind the other in a flat array: what a loop over each would give, without the loop.

>>> ranges(np.array([10, 20, 30]), np.array([2, 0, 3]))
array([10, 11, 30, 31, 32])
>>> within(np.array([2, 0, 3]))
array([0, 1, 0, 1, 2])
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.int64]


def within(count: Numbers) -> Numbers:
    """For groups of `count` members each, the number of every member in its group, from 0 on: i64[count.sum()]."""
    end = np.cumsum(count)
    return np.arange(count.sum()) - np.repeat(end - count, count)


def ranges(first: Numbers, count: Numbers) -> Numbers:
    """The numbers [first, first + count) of every group, one group behind the other: i64[count.sum()]."""
    end = np.cumsum(count)
    return np.arange(count.sum()) + np.repeat(first - end + count, count)
