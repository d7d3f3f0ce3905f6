"""Dates in a batch, all at once: the newest that counts of each document and is not in the future."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import numpy as np
import numpy.typing as npt

from matcher.columns.batch import Batch, Bytes, Places
from matcher.columns.calendar import is_date

STRETCH = 1 << 16
WIDTH = 16
"""Bytes of the longest date, 2024年10月31, and the one behind it."""
YEAR, MONTH = b"\xe5\xb9\xb4", b"\xe6\x9c\x88"
"""年 and 月: a sign as well as - / and . are."""
Values = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


def newest_dates(batch: Batch, today: date, counts: Callable[[Places], Flags]) -> list[date | None]:
    """The newest date of each document, None where there is none up to `today`; `counts` says which places do.

    A date is 20YY, a sign, a month, a sign and a day, not within a longer number: `2024-05-01`, `2024/5/1`, `2024年5月1日`.
    """
    places = _years(batch)
    places = places[counts(places)]
    values = _values(batch.windows(places, WIDTH))
    values[batch.data[places - 1] - np.uint8(ord("0")) < 10] = 0
    values[values > int(today.strftime("%Y%m%d"))] = 0
    newest = np.zeros(len(batch.starts), np.int64)
    np.maximum.at(newest, batch.documents(places), values)
    return [date(v // 10_000, v // 100 % 100, v % 100) if v else None for v in newest.tolist()]


def _years(batch: Batch) -> Places:
    """Where `20` stands and, four bytes on, a sign may begin: i64[n]; a stretch at a time, to keep the masks in the cache."""
    last = len(batch.data) - WIDTH
    found = [np.empty(0, np.int64)]
    for first in range(0, last, STRETCH):
        length = min(STRETCH, last - first)
        two, zero, sign = (batch.data[first + offset : first + offset + length] for offset in (0, 1, 4))
        mask = (two == ord("2")) & (zero == ord("0"))
        mask &= (sign - np.uint8(ord("-")) < 3) | (sign == YEAR[0])
        found.append(np.flatnonzero(mask) + first)
    return np.concatenate(found)


def _values(windows: Bytes) -> Values:
    """The date that each window u8[n, 16] begins with as YYYYMMDD, 0 for none: i64[n]."""
    rows = np.arange(len(windows))
    digits = windows - np.uint8(ord("0"))
    is_digit = digits < 10
    year = digits[:, :4].astype(np.int64) @ np.array([1000, 100, 10, 1])
    valid = is_digit[:, :4].all(1)
    at, has_sign = _behind_sign(windows, np.full(len(rows), 4), YEAR)
    valid &= has_sign
    month, at, is_number = _number(digits, is_digit, at)
    valid &= is_number
    at, has_sign = _behind_sign(windows, at, MONTH)
    valid &= has_sign
    day, at, is_number = _number(digits, is_digit, at)
    valid &= is_number & ~is_digit[rows, at]
    valid &= is_date(np.where(valid, year, 0), np.where(valid, month, 0), day)
    return np.where(valid, year * 10_000 + month * 100 + day, 0)


def _behind_sign(windows: Bytes, at: Values, word: bytes) -> tuple[Values, Flags]:
    """The place behind the sign at `at`, and whether there is one: - / . or `word` of three bytes."""
    rows = np.arange(len(windows))
    is_word = np.ones(len(rows), bool)
    for offset, byte in enumerate(word):
        is_word &= windows[rows, at + offset] == byte
    is_sign = windows[rows, at] - np.uint8(ord("-")) < 3
    return at + np.where(is_word, len(word), 1), is_word | is_sign


def _number(digits: Bytes, is_digit: Flags, at: Values) -> tuple[Values, Values, Flags]:
    """A number of one or two digits at `at`: its value, the place behind it, and whether there is one."""
    rows = np.arange(len(digits))
    first, second = digits[rows, at].astype(np.int64), digits[rows, at + 1].astype(np.int64)
    is_two = is_digit[rows, at + 1]
    return np.where(is_two, first * 10 + second, first), at + 1 + is_two, is_digit[rows, at]
