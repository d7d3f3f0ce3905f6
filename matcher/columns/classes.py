"""One pass over the buffer's bytes for each class that the search asks about, packed to bits.

Only what must be known everywhere is a class; what matters near a number or an at sign is asked there. Of bytes `<=` is asked and
not `<`, for which numpy takes twice the time (measured with 2.4).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np

from matcher.columns.batch import Batch, Bytes, Flags
from matcher.columns.bitset import WINDOW, Chain, Words, behind, empty

SPACE, PLUS, DASH, DOT, ZERO, AT, A = 32, 43, 45, 46, 48, 64, 97
NINE, Z = 9, 25
"""The last digit and the last letter, counted from the first."""
CASE = 32
"""The bit that makes a letter lower case."""


def is_digit(data: Bytes) -> Flags:
    """Whether these bytes are digits."""
    return data - np.uint8(ZERO) <= NINE


def is_word(data: Bytes) -> Flags:
    """Whether these bytes are ASCII letters or digits."""
    return is_letter(data) | is_digit(data)


def is_letter(data: Bytes) -> Flags:
    """Whether these bytes are ASCII letters."""
    return (data | CASE) - np.uint8(A) <= Z


def is_separator(data: Bytes) -> Flags:
    """Whether these bytes may stand between the groups of a number: space, dash or dot."""
    separates: Flags = (data - np.uint8(DASH) <= 1) | (data == SPACE)  # the dot stands behind the dash
    return separates


@cache
def _table(signs: bytes) -> Flags:
    """bool[256]: which bytes are `signs`."""
    table = np.zeros(256, bool)
    table[list(signs)] = True
    return table


def is_one_of(data: Bytes, signs: bytes) -> Flags:
    """Whether these bytes are among `signs`."""
    return _table(signs).take(data)


@dataclass(frozen=True)
class Classes:
    """Where digits, zeros, letters, at signs and plus signs stand."""

    digit: Words
    zero: Words
    letter: Words
    at: Words
    plus: Words

    @cached_property
    def word(self) -> Words:
        """Letters and digits: what a candidate may not be glued to."""
        return self.digit | self.letter

    @cached_property
    def free(self) -> Words:
        """Places before which no letter or digit stands."""
        return ~behind(self.word, 1)

    @cached_property
    def digits(self) -> Chain:
        """Neighbouring digits."""
        return Chain(self.digit)

    @cached_property
    def words(self) -> Chain:
        """Neighbouring letters and digits."""
        return Chain(self.word)


def classes(batch: Batch) -> Classes:
    """The classes of a batch's bytes, a window at a time: what is made on the way stays in the processor's cache."""
    size = len(batch.data)
    found = [empty(size) for _ in range(5)]
    digit, zero, letter, at, plus = (words.view(np.uint8) for words in found)
    scratch, mask = np.empty(WINDOW, np.uint8), np.empty(WINDOW, bool)
    for first in range(0, size, WINDOW):
        data = batch.data[first : first + WINDOW]
        offset, is_ = scratch[: len(data)], mask[: len(data)]
        part = slice(first // 8, -(-(first + len(data)) // 8))
        np.less_equal(np.subtract(data, ZERO, out=offset), NINE, out=is_)
        digit[part] = np.packbits(is_, bitorder="little")
        np.subtract(np.bitwise_or(data, CASE, out=offset), A, out=offset)
        letter[part] = np.packbits(np.less_equal(offset, Z, out=is_), bitorder="little")
        for words, sign in ((zero, ZERO), (at, AT), (plus, PLUS)):
            words[part] = np.packbits(np.equal(data, sign, out=is_), bitorder="little")
    return Classes(*found)
