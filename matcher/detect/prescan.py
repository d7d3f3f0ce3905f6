"""One pass over a batch for all that is known by its letters: words of the lexicon, labels with values, masks, what is to undo.

Hyperscan costs by the pass and hardly by the pattern: they all together take a third more than the lexicon alone (measured).
"""

from __future__ import annotations

from typing import NamedTuple

from matcher.columns.batch import Bytes, Places
from matcher.columns.literals import Joined, Patterns
from matcher.detect import labelled
from matcher.detect.kinds import masked
from matcher.text.unescape import patterns as escapes

Hits = tuple[Places, Places]
"""Numbers of patterns, and where each ends in the buffer."""


class Seen(NamedTuple):
    """What was seen in one buffer. Of `undone` one hit a pattern is enough."""

    words: Hits
    labelled: Hits
    undone: Hits
    card_headers: Hits
    masked: Hits


class Sieve:
    """The pass over words of the lexicon, and over what is the same for every lexicon."""

    def __init__(self, words: Patterns) -> None:
        self._joined = Joined((words, labelled.patterns(), escapes(), labelled.card_headers(), masked.patterns()))

    def find(self, data: Bytes) -> Seen:
        """What is seen in `data`, UTF-8 between line ends as in `Batch`."""
        return Seen(*self._joined.find(data))
