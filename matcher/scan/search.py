"""The search on one screen: a buffer in, columns of candidates out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from matcher.scan.batch import Batch
from matcher.scan.bits import places
from matcher.scan.classes import classes
from matcher.scan.codes import find_codes
from matcher.scan.digests import find_digests
from matcher.scan.mail import find_mail, find_qq
from matcher.scan.numbers import Whole, find_numbers
from matcher.scan.rare import find_rare
from matcher.scan.segment import Segment, without_overlaps
from matcher.scan.separated import find_separated
from matcher.scan.words import find_words

APART = ("email", "qq", "digest")
"""Kinds that may overlap with others: an address holds a phone (`13800138000@qq.com`)."""


def search(batch: Batch, beside: Sequence[Segment] = ()) -> list[Segment]:
    """Candidates of every kind, `beside` a label or one another too; only kinds that are APART overlap with others."""
    seen = classes(batch)
    whole = Whole(batch, seen)
    words = find_words(batch, seen, whole.led)
    mail, strange_at = find_mail(batch, places(seen.at))
    rare = find_rare(batch, seen, strange_at)
    mail += [segment for segment in rare if segment.kind == "email"]
    numbers = find_codes(batch, whole, words) + find_numbers(batch, whole) + find_separated(batch, seen)
    numbers += [segment for segment in (*rare, *beside) if segment.kind not in APART and not segment.weak]
    others = [segment for segment in beside if segment.kind in APART or segment.weak]
    known = np.concatenate([np.empty(0, np.int64), *(segment.start for segment in others if segment.kind == "qq")])
    boxes = [segment.where(~np.isin(segment.start, known)) for segment in find_qq(mail)]  # `QQ: 12345@qq.com` is one number
    return [*without_overlaps(numbers), *mail, *boxes, *find_digests(batch, words), *others]
