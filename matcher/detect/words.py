"""Runs of letters and digits that are not all digits, and which of them are digests.

Digests are hexadecimal, of a dump that calls itself anonymous: 32 digits are MD5, 16 its middle, 40 SHA-1, 64 SHA-256.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from matcher.columns.batch import Batch, Places
from matcher.columns.bitset import BITS, CASE, A, Classes, behind, is_digit, is_word, lowest, places, windows
from matcher.detect.candidates import Segment, every
from ullage.lookup.written_forms import FORM_OF_LENGTH

SHORTEST = 16
DIGEST = "digest"
F = 5
"""The last letter, counted from the first."""


class Words(NamedTuple):
    """Runs of at least SHORTEST letters and digits, not all digits: where they begin and how long they are, i64[n].

    Those of more than 64 characters have length 65.
    """

    start: Places
    length: Places

    def of(self, length: int) -> Places:
        """Where those of exactly `length` characters, at most 64, begin."""
        own: Places = self.start[self.length == length]
        return own


def find_words(batch: Batch, classes: Classes, led: Places) -> Words:
    """All words of a batch; `led` are those whose first 16 characters are digits, as `numbers.DigitRuns` knows them."""
    long = classes.words.of(SHORTEST)
    start = np.concatenate((places(long & ~behind(long, 1) & ~classes.digits.of(SHORTEST)), led))
    length = lowest(~windows(classes.word, start))
    return Words(start, length + ((length == BITS) & is_word(batch.data.take(start + length))))


def find_digests(batch: Batch, words: Words) -> list[Segment]:
    """Words of exactly so many hexadecimal digits; since they are words, a letter is among them."""
    found = []
    for length, form in FORM_OF_LENGTH.items():
        start = words.of(length)
        if not len(start):
            continue
        text = batch.windows(start, length)
        text |= np.uint8(CASE)  # which every digit has
        hexadecimal = every(is_digit(text) | (text - np.uint8(A) <= F))
        filled, valid = np.full(len(start), length, np.int64), np.ones(len(start), bool)
        found.append(Segment(DIGEST, form, start, start + length, text, filled, valid).where(hexadecimal))
    return [segment for segment in found if len(segment)]
