"""One pass over a batch for every pattern of letters: words of the lexicon, labels with values, masks, what is to be unescaped.

Hyperscan costs by the pass and hardly by the pattern: they all together take a third more than the lexicon alone (measured). What
it sees says where to look; `lexicon`, `labelled`, `kinds.masked` and `text.unescape` look there.
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
    """What was seen in one buffer, by who asked. Of `undone`, what is to be unescaped, there is one hit a pattern at most."""

    words: Hits
    labelled: Hits
    undone: Hits
    card_headers: Hits
    masked: Hits


class Prescan:
    """The pass for `words`, those of a lexicon, and for what is the same with every lexicon."""

    def __init__(self, words: Patterns) -> None:
        self._joined = Joined((words, labelled.patterns(), escapes(), labelled.card_headers(), masked.patterns()))

    def find(self, data: Bytes) -> Seen:
        """What is seen in `data`, UTF-8 between line ends as in `Batch`."""
        return Seen(*self._joined.find(data))
