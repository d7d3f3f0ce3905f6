"""The search on one screen: a buffer in, columns of candidates out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from matcher.columns.batch import Batch
from matcher.columns.bitset import Classes, places
from matcher.detect.candidates import Segment, without_overlaps
from matcher.detect.kinds import card, email, fixed_width, phone, qq, resident_id, uscc
from matcher.detect.numbers import DigitRuns, find_grouped
from matcher.detect.regex_fallback import find_by_pattern
from matcher.detect.words import find_digests, find_words

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
    numbers += fixed_width.find(batch, runs)
    numbers += [segment for segment in (*rare, *beside) if segment.kind not in APART and not segment.weak]
    others = [segment for segment in beside if segment.kind in APART or segment.weak]
    known = np.concatenate([np.empty(0, np.int64), *(segment.start for segment in others if segment.kind == "qq")])
    boxes = [segment.where(~np.isin(segment.start, known)) for segment in qq.find(mail)]  # `QQ: 12345@qq.com` is one number
    return [*without_overlaps(numbers), *mail, *boxes, *find_digests(batch, words), *others]
