"""Unified social credit codes: runs of exactly 18 letters and digits that pass MOD 31 (the rule is in `identifiers/uscc.py`)."""

from __future__ import annotations

from functools import cache
from itertools import product

import numpy as np

from matcher.columns.batch import Batch, Bytes, Flags, Places
from matcher.columns.bitset import is_one_of
from matcher.detect.candidates import Segment, cut
from matcher.detect.numbers import WIDTH, DigitRuns, WordRuns, pair, pair_table
from ullage.identifiers import uscc

LENGTH = 18
UPPER = 0xDF
NONE = 255
USUAL = b"159"
"""What a code of digits alone begins with: companies, associations, public bodies. Resident IDs mostly begin otherwise."""


@cache
def _values() -> Bytes:
    """u8[256]: the value of each character of the alphabet, NONE for any other."""
    table = np.full(256, NONE, np.uint8)
    table[np.frombuffer(uscc.ALPHABET.encode(), np.uint8)] = np.arange(len(uscc.ALPHABET))
    return table


@cache
def _beginnings() -> Flags:
    """bool[65536]: which two characters, of either case, are a department and a category."""
    either = (set(may + may.lower()) for may in (uscc.DEPARTMENTS, uscc.CATEGORIES))
    return pair_table(map("".join, product(*either)))


@cache
def _provinces() -> Flags:
    """bool[65536]: which two digits a region begins with."""
    return pair_table(uscc.PROVINCES)


def find(batch: Batch, runs: DigitRuns, words: WordRuns) -> list[Segment]:
    """Codes whose check holds; and those of letters and digits whose check fails, as failures. Digits alone may be anything."""
    plain, mixed = runs.of(LENGTH), words.of(LENGTH)
    if not len(plain.start) and not len(mixed):
        return []
    plain = plain.where(is_one_of(plain.text[:, 0], USUAL))
    start, text, shaped = _shaped(plain.start, plain.text)
    holds = _holds(shaped)
    more, mixed_text, mixed_values = _shaped(mixed, batch.windows(mixed, WIDTH))
    start = np.concatenate((start[holds], more))
    text = np.concatenate((text[holds], mixed_text))
    valid = np.concatenate((holds[holds], _holds(mixed_values)))
    length = np.full(len(start), LENGTH, np.int64)
    return [Segment("uscc", "plain", start, start + LENGTH, cut(text, LENGTH), length, valid)] if len(start) else []


def _shaped(start: Places, text: Bytes) -> tuple[Places, Bytes, Bytes]:
    """Those of `text` u8[n, 24] that are shaped like a code: where they begin, in upper case, and each character's value."""
    regional = np.flatnonzero(_beginnings().take(pair(text, 0)) & _provinces().take(pair(text, 2)))
    start, text = start.take(regional), text.take(regional, axis=0)
    text &= np.where(text > ord("Z"), UPPER, NONE).astype(np.uint8)
    values = _values().take(text[:, :LENGTH])
    shaped = (values != NONE).all(1) & (values[:, 2:8] < 10).all(1)
    return start[shaped], text[shaped], values[shaped]


def _holds(values: Bytes) -> Flags:
    """Whether the last of 18 values is what MOD 31 of the others asks for."""
    total = values[:, :17].astype(np.int64) @ np.array(uscc.WEIGHTS)
    holds: Flags = values[:, 17] == -total % 31
    return holds
