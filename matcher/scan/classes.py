"""One pass over the buffer's bytes for each class that the search asks about, packed to bits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from matcher.scan.batch import Batch, Bytes
from matcher.scan.bits import Words, pack
from matcher.scan.segment import Flags

SPACE, DASH, DOT, AT = 32, 45, 46, 64
WINDOW = 1 << 17
"""Bytes a step: what it writes stays in the processor's cache."""


def is_digit(data: Bytes) -> Flags:
    """Whether these bytes are digits."""
    return data - np.uint8(48) < 10


def is_word(data: Bytes) -> Flags:
    """Whether these bytes are ASCII letters or digits."""
    return ((data | 32) - np.uint8(97) < 26) | is_digit(data)


@dataclass(frozen=True, slots=True)
class Classes:
    """Where digits, letters, hexadecimal letters, at signs and separators (space, dash, dot) stand; letters are ASCII."""

    digit: Words
    letter: Words
    hex_letter: Words
    at: Words
    separator: Words

    @property
    def word(self) -> Words:
        """Letters and digits: what a candidate may not be glued to."""
        return self.digit | self.letter


def classes(batch: Batch) -> Classes:
    """The classes of a batch's bytes."""
    size = len(batch.data)
    digit, letter, hex_letter, at, separator = (np.empty(size, bool) for _ in range(5))
    scratch, space = np.empty(WINDOW, np.uint8), np.empty(WINDOW, bool)
    for first in range(0, size, WINDOW):
        part = slice(first, min(first + WINDOW, size))
        data, offset = batch.data[part], scratch[: part.stop - first]
        np.less(np.subtract(data, 48, out=offset), 10, out=digit[part])
        np.equal(data, AT, out=at[part])
        np.less(np.subtract(data, DASH, out=offset), 2, out=separator[part])  # the dot stands behind the dash
        np.bitwise_or(separator[part], np.equal(data, SPACE, out=space[: len(data)]), out=separator[part])
        np.subtract(np.bitwise_or(data, 32, out=offset), 97, out=offset)
        np.less(offset, 26, out=letter[part])
        np.less(offset, 6, out=hex_letter[part])
    return Classes(pack(digit), pack(letter), pack(hex_letter), pack(at), pack(separator))
