"""Runs of letters and digits, long enough for a digest or a code, that are not all digits."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from matcher.columns.batch import Batch, Places
from matcher.columns.bitset import BITS, behind, lowest, places, windows
from matcher.columns.classes import Classes, is_word

SHORTEST = 16


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
    """All words of a batch; `led` are those whose first 16 characters are digits, as numbers in one piece know them."""
    long = classes.words.of(SHORTEST)
    start = np.concatenate((places(long & ~behind(long, 1) & ~classes.digits.of(SHORTEST)), led))
    length = lowest(~windows(classes.word, start))
    return Words(start, length + ((length == BITS) & is_word(batch.data.take(start + length))))
