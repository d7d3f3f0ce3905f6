"""The calendar, over columns of years, months and days."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.int64]
DAYS = np.array((0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31))
"""Days of each month of a leap year, from 1 on."""


def is_date(year: Numbers, month: Numbers, day: Numbers) -> npt.NDArray[np.bool_]:
    """Whether there is such a day in the Gregorian calendar: bool[n]. Any number that is not negative is allowed."""
    exists: npt.NDArray[np.bool_] = (month >= 1) & (month <= 12) & (day >= 1) & (day <= DAYS.take(month, mode="clip"))
    last = np.flatnonzero(exists & (month == 2) & (day == 29))
    leap = year.take(last)
    exists[last] = (leap % 4 == 0) & ((leap % 100 != 0) | (leap % 400 == 0))
    return exists
