"""Normal forms of labelled values over columns; rules and sources stand with each kind in `ullage/identifiers`.

Values come as rows: `text` u8[n, w], zero behind their `length` i64[n]. A rule gives the rows in their normal form, their
length, and which of them have one. A kind without a rule here is normalised value by value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from matcher.columns.batch import Bytes, Flags, Places
from matcher.columns.classes import CASE, is_digit, is_letter
from matcher.detect.checks import is_mobile
from ullage.identifiers import Kind

UNDERSCORE, HYPHEN = b"_-"
RENEWALS = 9
"""Characters of a home return permit before those that count its renewals."""


class Normals(NamedTuple):
    """Rows in normal form, their lengths, and which of them have one: u8[n, w], i64[n], bool[n]."""

    text: Bytes
    length: Places
    good: Flags


Rule = Callable[[Bytes, Places], Normals]


def normals(kind: Kind, text: Bytes, length: Places) -> Normals:
    """The normal forms of `kind`."""
    rule = RULES.get(kind.name)
    return rule(text, length) if rule else _one_by_one(kind, text, length)


def _qq(text: Bytes, length: Places) -> Normals:
    """Five to eleven digits, no zero first, and no mobile."""
    mobile = (length == 11) & is_mobile(text)
    good = _digits(text, length, 0) & (text[:, 0] > ord("0")) & (length >= 5) & (length <= 11) & ~mobile
    return Normals(text, length, good)


def _wechat(text: Bytes, length: Places) -> Normals:
    """A letter and 5 to 19 letters, digits, underscores or hyphens, but not two hyphens together; in lower case."""
    letter = is_letter(text)
    inner = letter | is_digit(text) | (text == UNDERSCORE) | (text == HYPHEN) | _behind(text, length)
    hyphens = ((text[:, :-1] == HYPHEN) & (text[:, 1:] == HYPHEN)).any(1)
    good = letter[:, 0] & inner.all(1) & ~hyphens & (length >= 6) & (length <= 20)
    return Normals(text | (is_letter(text) * np.uint8(CASE)), length, good)


def _passport(text: Bytes, length: Places) -> Normals:
    """E, G, or D, S and P, with the digits and the second letter that each has."""
    text = text & ~(is_letter(text) * np.uint8(CASE))
    first, second = text[:, 0], text[:, 1]
    one, two = _digits(text, length, 1), _digits(text, length, 2)
    lettered = is_letter(second) & (second != ord("I")) & (second != ord("O")) & two
    ordinary = ((first == ord("E")) & (one | lettered) | (first == ord("G")) & one) & (length == 9)
    service = np.isin(first, np.frombuffer(b"DSP", np.uint8))
    official = service & (one & (length >= 8) & (length <= 9) | (second == ord("E")) & two & (length >= 9) & (length <= 10))
    return Normals(text, length, ordinary | official)


def _permit(text: Bytes, length: Places) -> Normals:
    """H or M and eight digits; two more count renewals and are cut off."""
    text = text & ~(is_letter(text) * np.uint8(CASE))
    good = ((text[:, 0] == ord("H")) | (text[:, 0] == ord("M"))) & _digits(text, length, 1) & ((length == 9) | (length == 11))
    cut = text.copy()
    cut[:, RENEWALS:] = 0
    return Normals(cut, np.minimum(length, RENEWALS), good)


RULES: Mapping[str, Rule] = {"qq": _qq, "wechat": _wechat, "passport": _passport, "home_return_permit": _permit}


def _one_by_one(kind: Kind, text: Bytes, length: Places) -> Normals:
    """As the kind itself says."""
    made = [kind.normalise(row[:size].decode("latin-1")) for row, size in zip(map(bytes, text), length.tolist(), strict=True)]
    width = max([text.shape[1], *map(len, made)])
    rows = np.array([normal.encode() for normal in made], f"S{width}").view(np.uint8).reshape(-1, width)
    return Normals(rows, np.array([len(normal) for normal in made], np.int64), np.array([bool(normal) for normal in made], bool))


def _digits(text: Bytes, length: Places, first: int) -> Flags:
    """Whether all from column `first` on are digits, up to the length: bool[n]."""
    return np.asarray((is_digit(text) | _behind(text, length))[:, first:].all(axis=1))


def _behind(text: Bytes, length: Places) -> Flags:
    """Which columns are behind the value: bool[n, w]."""
    return np.arange(text.shape[1]) >= length[:, None]
