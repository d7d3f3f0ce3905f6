"""Mobile numbers of China: eleven digits in one piece or in groups, with or without 86, 0086 or 0 before them.

A plus sign or brackets before 86 are not read: what stands before digits does not change them. Numbers of other countries are
rare and found by their pattern (`search.find_by_pattern`).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

import numpy as np

from matcher.columns.batch import Batch, Bytes, Flags, Places
from matcher.columns.bitset import DOT, Classes, ahead, is_digit, places
from matcher.detect.candidates import Segment
from matcher.detect.numbers import WIDTH, DigitRuns, NumberColumns, NumberShape, all_digits, of_shapes, pair, pair_table
from ullage.identifiers import phone

LENGTH = phone.LENGTH


@cache
def _digits_of_letters() -> Bytes:
    """u8[256]: the digit for each letter that looks like one, any other byte itself."""
    table = np.arange(256, dtype=np.uint8)
    for letter, digit in phone.LETTERS.items():
        table[ord(letter)] = ord(digit)
    return table


@cache
def _beginnings() -> Flags:
    """bool[65536]: which two digits a mobile number begins with."""
    return pair_table(two for two in map("{:02}".format, range(100)) if phone.SHAPE.fullmatch(two.ljust(LENGTH, "0")))


def is_mobile(text: Bytes) -> Flags:
    """Whether digits, u8[n, an even width], begin as a mobile number does."""
    return _beginnings().take(pair(text, 0))


def are_normal(text: Bytes, length: Places) -> Flags:
    """Which cells, the first `length` i64[n] bytes of `text` u8[n, w], are mobile numbers as they are enrolled."""
    normal: Flags = (length == LENGTH) & all_digits(text, LENGTH) & is_mobile(text)
    return normal


def _accepts(batch: Batch, _classes: Classes, shape: NumberShape, start: Places) -> Flags:
    return _has_prefix(batch.windows(start, 8), shape.prefix) & ~_is_fraction(batch.data, start)


SHAPES = tuple(
    NumberShape("phone", (first + len(prefix), *others), _accepts, prefix.encode())
    for prefix in phone.PREFIXES
    for first, *others in phone.GROUPS
)


def find(batch: Batch, classes: Classes, runs: DigitRuns, grouped: Iterable[tuple[NumberShape, NumberColumns]]) -> list[Segment]:
    """Mobile numbers of a batch; what stands behind a digit and a dot is a decimal fraction, and none."""
    found = []
    for prefix in phone.PREFIXES:
        some = runs.of(LENGTH + len(prefix))
        if prefix:
            some = some.where(_has_prefix(some.text, prefix.encode()))
            some = some._replace(text=batch.windows(some.end - LENGTH, WIDTH))
        found.append(some.where(is_mobile(some.text) & ~_is_fraction(batch.data, some.start)))
    found += [numbers.where(is_mobile(numbers.text)) for _, numbers in of_shapes(grouped, "phone")]
    found.append(_with_letters(batch, classes))
    return [numbers.segment("phone", LENGTH) for numbers in found if len(numbers.start)]


def _with_letters(batch: Batch, classes: Classes) -> NumberColumns:
    """Words of eleven characters, letters among them that look like digits, and that are a mobile number with these."""
    whole = classes.words.of(LENGTH) & classes.free & ~ahead(classes.word, LENGTH)
    start = places(whole & ahead(classes.digit, 1) & ~classes.digits.of(LENGTH))
    text = batch.windows(start, WIDTH)
    enough = is_digit(text[:, :LENGTH]).sum(1) >= phone.FEWEST_DIGITS
    text = _digits_of_letters().take(text)
    numbers = NumberColumns(start, start + LENGTH, text)
    return numbers.where(enough & all_digits(text, LENGTH) & is_mobile(text) & ~_is_fraction(batch.data, start))


def _has_prefix(text: Bytes, prefix: bytes) -> Flags:
    """Which rows begin with `prefix`, which may be nothing."""
    return np.asarray((text[:, : len(prefix)] == np.frombuffer(prefix, np.uint8)).all(1))


def _is_fraction(data: Bytes, start: Places) -> Flags:
    """Whether a digit and a dot stand before."""
    fraction: Flags = data.take(start - 1) == DOT
    dotted = np.flatnonzero(fraction)
    fraction[dotted] = is_digit(data.take(start.take(dotted) - 2))
    return fraction
