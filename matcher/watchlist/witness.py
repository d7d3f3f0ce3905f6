"""Witnesses: a loan's amount and date of a random 5 % of customers, as keyed pairs, enrolled to tell whose list a leak is.

Another lender may have our customers, but not the amount and the day of their loans with us: of a list that was taken from us the
pairs agree, of another's they do not. Enrolled are for a chosen customer a tag of the handle (it says that there is a pair) and
one of handle and pair, two entries of 24 bytes: so 2.4 bytes a customer on the average. Never an amount itself, nor a tag of one
without the handle, so that equal loans of two customers have nothing in common.

Who is chosen is decided by a keyed tag of the customer's reference under a key that only the building host has: at random to
everybody else, and the same people at every load and in every epoch, so that nobody's amounts are enrolled by and by.

The one form of an amount is a number of cents, 1,234.50 is 123450; that of a date is YYYYMMDD. Beyond the bounds below a number
is hardly a loan or a day of one: it is compared with nothing.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from ullage.regex import compile_later
from ullage.security.tags import Tags

KIND = "witness"
HOLDER, PAIR = "holder", "amount-date"
"""Forms: that a customer has a pair, and the pair."""
SHARE = 0.05
"""Of the customers, those who are chosen. Policy: enough for ten among 200 people of a leak, and 95 % have nothing enrolled."""
CENTS = range(100_00, 10_000_000_00 + 1)
"""100 to 10,000,000 yuan: smaller are fees, ages and months, larger are numbers of something; a day as YYYYMMDD is above."""
YEARS = range(2000, 2050)
LONGEST = 64
"""Characters of a cell that is an amount or a date and nothing else."""

TIMES = {"": 1, "k": 1_000, "千": 1_000, "w": 10_000, "万": 10_000, "百万": 1_000_000}
_NUMBER = r"(?P<whole>\d{1,3}(?:[, ]\d{3}){1,2}|\d{1,8})(?P<part>\.\d{1,6})?"
_MONEY = rf"(?:(?:¥|rmb|cny|人民币)\s?)?{_NUMBER}\s?(?P<times>百万|[kw千万])?\s?(?:元整?|圆整?|块钱?|rmb|cny)?"
AMOUNT = re.compile(rf"\+?{_MONEY}")
_ALONE = r"(?<![0-9a-z.,/_@%+$\-])(?<!\d:)", r"(?![0-9a-z.,:/_@%\-][0-9a-z]|[0-9a-z_@%万千百亿期岁天个月年日号/\-])"
IN_TEXT = re.compile(_MONEY.join(_ALONE))
"""An amount within a text, alone: no piece of another number or word, and no count of something else."""
_TIME = r"(?:[t ]{0,2}(?:\d{1,2}[:时]\d{1,2}(?:[:分](?:\d{1,2}秒?(?:\.\d{1,9})?)?)?)(?:\s?(?:z|[+\-]\d\d:?\d\d))?)?"
_DAY = (
    r"(?P<year>\d{4})(?:(?P<sign>[\-/.])(?P<month>\d{1,2})(?P=sign)(?P<day>\d{1,2})"
    r"|年(?P<month_2>\d{1,2})月(?P<day_2>\d{1,2})[日号]|(?P<month_3>\d{2})(?P<day_3>\d{2})(?:\d{6})?)"
)
DATE = re.compile(_DAY + _TIME)
DATE_IN_TEXT = re.compile(rf"(?<![0-9a-z.,/_\-]){_DAY}(?![0-9])(?![\-/.,][0-9])")
WORD = compile_later(r"([一-鿿a-z][一-鿿a-z_ ]{0,23})[\s\"'`】\])}]{0,3}[:=是为]?[\s\"'`【(\[{]{0,3}$")
BEFORE = 36
"""Characters before a value in which the word that names it stands."""


class Value(NamedTuple):
    """An amount in cents or a date as YYYYMMDD, in memory only, with the word before it, "" for none."""

    value: int
    word: str

    def __repr__(self) -> str:
        """What names it, never what it is."""
        return f"Value({self.word!r})"


def folded(text: str) -> str:
    """`text` with ASCII digits and signs, in lower case."""
    return text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).lower().replace("￥", "¥")


def amount_of(text: str) -> int | None:
    """The cents that a cell says, None for what is no plausible amount.

    >>> [amount_of(text) for text in ("1,234.50", "￥1234.5", "0.12万", "12期")]
    [123450, 123450, 120000, None]
    """
    match = AMOUNT.fullmatch(folded(text).strip()) if len(text) <= LONGEST else None
    return _cents(match) if match else None


def date_of(text: str) -> int | None:
    """The day that a cell says, as YYYYMMDD; None for what is no plausible one. A time behind it counts for nothing.

    >>> [date_of(text) for text in ("2026-01-05", "2026/1/5", "2026年1月5日 10:20", "2026-02-30")]
    [20260105, 20260105, 20260105, None]
    """
    match = DATE.fullmatch(folded(text).strip()) if len(text) <= LONGEST else None
    return _day(match) if match else None


def amounts_in(text: str) -> Iterator[Value]:
    """The amounts in a cell or a piece of text, in order; nothing that is a date."""
    left = DATE_IN_TEXT.sub("\0", folded(text))
    for match in IN_TEXT.finditer(left):
        cents = _cents(match)
        if cents is not None:
            yield Value(cents, _word(left, match.start()))


def dates_in(text: str) -> Iterator[Value]:
    """The dates in a cell or a piece of text, in order."""
    read = folded(text)
    for match in DATE_IN_TEXT.finditer(read):
        day = _day(match)
        if day is not None:
            yield Value(day, _word(read, match.start()))


def entries(handles: Tags, cents: Sequence[int], days: Sequence[int]) -> Iterator[tuple[str, list[bytes]]]:
    """What is tagged in each form of customers, whose handles are (n, 16), and a pair of each."""
    yield HOLDER, holders(handles)
    yield PAIR, pairs(handles, cents, days)


def holders(handles: Tags) -> list[bytes]:
    """What is tagged of customers who have a pair."""
    return [handle.tobytes() for handle in handles]


def pairs(handles: Tags, cents: Sequence[int], days: Sequence[int]) -> list[bytes]:
    """What is tagged of customers and a pair of each."""
    return [handle.tobytes() + b"%d/%d" % (amount, day) for handle, amount, day in zip(handles, cents, days, strict=True)]


def _cents(match: re.Match[str]) -> int | None:
    digits = match["whole"].replace(",", "").replace(" ", "") + (match["part"] or "")
    cents = Decimal(digits) * TIMES[match["times"] or ""] * 100
    return int(cents) if cents == int(cents) and int(cents) in CENTS else None


def _day(match: re.Match[str]) -> int | None:
    month, day = (match[name] or match[f"{name}_2"] or match[f"{name}_3"] for name in ("month", "day"))
    try:
        found = date(int(match["year"]), int(month), int(day))
    except ValueError:
        return None
    return found.year * 10_000 + found.month * 100 + found.day if found.year in YEARS else None


def _word(text: str, place: int) -> str:
    match = WORD.search(text[max(0, place - BEFORE) : place])
    return match[1].strip() if match else ""
