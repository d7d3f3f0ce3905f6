"""Numbers written backwards, last digit first, whether the whole line is or the digits alone.

A number whose check holds backwards and not forwards is looked up so. What a mobile number is backwards is any other number too:
these are looked up where at least FEWEST stand in a text and nearly all of its numbers of that length are such, or where it says
that it is reversed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

import numpy as np

from matcher.columns.batch import Batch, Bytes, Flags
from matcher.detect.candidates import Segment
from matcher.detect.kinds import card, phone, resident_id
from matcher.detect.numbers import DigitRuns, NumberColumns
from ullage.identifiers.card import LENGTHS

FEWEST, SHARE, HINT = 3, 0.8, 4096
"""Numbers of a text that may be mobile numbers backwards, their share of all that long, and bytes at whose ends a hint may be."""
SAYS_SO = re.compile(
    rb"(?i)revers|backward|mirrored|r\xc3\xbcckw\xc3\xa4rts|umgekehrt|invers|envers|al rev"
    + "|".join(
        ("", *"倒序 倒着 倒过来 反过来 反着 反写 反向 倒写 倒叙 颠倒 逆序 enohp elibom liam 机手 话电 号卡 证份身".split())
    ).encode()
)
"""Words that say that something is reversed, and labels that are."""
Holds = Callable[[Bytes], Flags]


def find_backwards(batch: Batch, runs: DigitRuns) -> list[Segment]:
    """Such numbers, as they are forwards; each is told as valid."""
    found = [_backwards(runs.of(size), size, card.KIND, partial(card.is_valid, length=size)) for size in LENGTHS]
    found.append(_backwards(runs.of(resident_id.LENGTH), resident_id.LENGTH, resident_id.KIND, _is_id))
    found.append(_phones(batch, runs.of(phone.LENGTH)))
    return [segment for segment in found if len(segment)]


def _is_id(text: Bytes) -> Flags:
    last = text[:, resident_id.LENGTH - 1]
    held = np.flatnonzero(resident_id.is_id(text))
    valid = np.zeros(len(text), bool)
    valid[held] = resident_id.check_characters(text[held]) == last[held]
    return valid


def _reversed(text: Bytes, size: int) -> Bytes:
    made = np.zeros_like(text)
    made[:, :size] = text[:, size - 1 :: -1]
    return made


def _backwards(numbers: NumberColumns, size: int, kind: str, holds: Holds) -> Segment:
    """Those of `numbers` that are valid backwards alone; of an odd length Luhn's sum is the same either way."""
    if size % 2 == 0:
        numbers = numbers.where(~holds(numbers.text))
    numbers = numbers._replace(text=_reversed(numbers.text, size))
    return numbers.where(holds(numbers.text)).segment(kind, size)


def _phones(batch: Batch, numbers: NumberColumns) -> Segment:
    """The mobile numbers among those of eleven digits that are some backwards, in texts in which they are meant."""
    text = _reversed(numbers.text, phone.LENGTH)
    may_be = phone.is_mobile(text) & ~phone.is_mobile(numbers.text)
    if may_be.any():
        document = batch.documents(numbers.start)
        every, count = np.bincount(document), np.bincount(document, may_be)
        meant = (count >= FEWEST) & (count >= SHARE * every)
        for number in np.flatnonzero((count > 0) & ~meant).tolist():
            meant[number] = _says_so(batch, number)
        may_be &= meant.take(document)
    return numbers._replace(text=text).where(may_be).segment("phone", phone.LENGTH)


def _says_so(batch: Batch, number: int) -> bool:
    """Whether a text says at its beginning or end that it is reversed."""
    start, end = int(batch.starts[number]), int(batch.ends[number])
    ends = (batch.text(start, min(end, start + HINT)), batch.text(max(start, end - HINT), end))
    return any(SAYS_SO.search(part) is not None for part in ends)
