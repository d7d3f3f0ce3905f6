"""One pass over the buffer's bytes for each class that the search asks about, packed to bits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from matcher.scan.batch import Batch, Bytes
from matcher.scan.bits import Words, empty
from matcher.scan.segment import Flags

SPACE, PLUS, DASH, DOT, ZERO, AT, A = 32, 43, 45, 46, 48, 64, 97
CASE = 32
"""The bit that makes a letter lower case."""
WINDOW = 1 << 17
"""Bytes a step, a multiple of 8."""


def is_digit(data: Bytes) -> Flags:
    """Whether these bytes are digits."""
    return data - np.uint8(48) < 10


def is_word(data: Bytes) -> Flags:
    """Whether these bytes are ASCII letters or digits."""
    return ((data | 32) - np.uint8(97) < 26) | is_digit(data)


@dataclass(frozen=True, slots=True)
class Classes:
    """Where digits, zeros, letters, hexadecimal letters, at signs, plus signs and separators (space, dash, dot) stand."""

    digit: Words
    zero: Words
    letter: Words
    hex_letter: Words
    at: Words
    plus: Words
    separator: Words

    @property
    def word(self) -> Words:
        """Letters and digits: what a candidate may not be glued to."""
        return self.digit | self.letter


def classes(batch: Batch) -> Classes:
    """The classes of a batch's bytes, a window at a time: what is made on the way stays in the processor's cache."""
    size = len(batch.data)
    found = [empty(size) for _ in range(7)]
    digit, zero, letter, hex_letter, at, plus, separator = (words.view(np.uint8) for words in found)
    scratch, mask, other = np.empty(WINDOW, np.uint8), np.empty(WINDOW, bool), np.empty(WINDOW, bool)
    for first in range(0, size, WINDOW):
        data = batch.data[first : first + WINDOW]
        offset, is_, too = scratch[: len(data)], mask[: len(data)], other[: len(data)]
        part = slice(first // 8, -(-(first + len(data)) // 8))
        np.less(np.subtract(data, ZERO, out=offset), 10, out=is_)
        digit[part] = np.packbits(is_, bitorder="little")
        np.less(np.subtract(data, DASH, out=offset), 2, out=is_)  # the dot stands behind the dash
        np.bitwise_or(is_, np.equal(data, SPACE, out=too), out=is_)
        separator[part] = np.packbits(is_, bitorder="little")
        zero[part] = np.packbits(np.equal(data, ZERO, out=is_), bitorder="little")
        at[part] = np.packbits(np.equal(data, AT, out=is_), bitorder="little")
        plus[part] = np.packbits(np.equal(data, PLUS, out=is_), bitorder="little")
        np.subtract(np.bitwise_or(data, CASE, out=offset), A, out=offset)
        letter[part] = np.packbits(np.less(offset, 26, out=is_), bitorder="little")
        hex_letter[part] = np.packbits(np.less(offset, 6, out=is_), bitorder="little")
    return Classes(*found)
