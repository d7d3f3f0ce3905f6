"""The search on one screen: a buffer in, columns of candidates out.

Before it goes one pass over a batch for every pattern of letters: words of the lexicon, labels with values, masks, what is to be
unescaped. Hyperscan costs by the pass and hardly by the pattern: they all together take a third more than the lexicon alone
(measured). What it sees says where to look; `lexicon`, `labelled`, `kinds.masked` and `text.unescape` look there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from matcher.columns.batch import Batch, Bytes, Places
from matcher.columns.bitset import Classes, places
from matcher.columns.literals import Joined, Patterns
from matcher.detect import labelled
from matcher.detect.candidates import Segment, without_overlaps
from matcher.detect.kinds import card, email, masked, phone, qq, resident_id, uscc
from matcher.detect.numbers import DigitRuns, find_digests, find_grouped, find_words
from matcher.detect.regex_fallback import find_by_pattern
from matcher.text.unescape import patterns as escapes

SHAPES = (*phone.SHAPES, *resident_id.SHAPES, *card.SHAPES)
"""How numbers are grouped."""
APART = ("email", "qq", "wechat", "digest")
"""Kinds that may overlap with others: an address holds a phone (`13800138000@qq.com`), as does a name (`wx13800138000`)."""


def search(batch: Batch, beside: Sequence[Segment] = ()) -> list[Segment]:
    """Candidates of every kind, `beside` a label or one another too; only kinds that are APART overlap with others."""
    seen = Classes.of(batch.data)
    runs, grouped = DigitRuns(batch, seen), find_grouped(batch, seen, SHAPES)
    words = find_words(batch, seen, runs.led)
    mail, strange_at = email.find(batch, places(seen.at))
    rare = find_by_pattern(batch, seen, strange_at)
    mail += [segment for segment in rare if segment.kind == "email"]
    ids, eighteens = resident_id.find(runs, grouped)
    numbers = uscc.find(batch, runs, words) + phone.find(batch, seen, runs, grouped) + ids + card.find(runs, eighteens, grouped)
    numbers += resident_id.find_fixed_width(batch, runs)
    numbers += [segment for segment in (*rare, *beside) if segment.kind not in APART and not segment.weak]
    others = [segment for segment in beside if segment.kind in APART or segment.weak]
    known = np.concatenate([np.empty(0, np.int64), *(segment.start for segment in others if segment.kind == "qq")])
    boxes = [segment.where(~np.isin(segment.start, known)) for segment in qq.find(mail)]  # `QQ: 12345@qq.com` is one number
    return [*without_overlaps(numbers), *mail, *boxes, *find_digests(batch, words), *others]


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
