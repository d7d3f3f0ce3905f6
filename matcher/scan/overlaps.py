"""Who wins where two candidates claim one stretch of text: a valid one before an invalid one, then the kind of lower rank."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from matcher.scan.batch import Places
from matcher.scan.segment import Segment, by_place
from ullage.identifiers import kinds


def without_overlaps(segments: Sequence[Segment]) -> list[Segment]:
    """`segments` without the candidates that lose to another; linear but for the sort, and free where nothing overlaps."""
    if not segments:
        return []
    start, end = np.concatenate([s.start for s in segments]), np.concatenate([s.end for s in segments])
    if are_apart(start, end):
        return list(segments)
    order = by_place(start)
    ascending, ends = start.take(order), end.take(order)
    inside = np.flatnonzero(ascending[1:] < np.maximum.accumulate(ends)[:-1]) + 1
    ranks = {name: kind.rank for name, kind in kinds().items()}
    claims = np.concatenate([np.where(s.valid, 0, 100) + ranks.get(s.kind, len(ranks)) for s in segments])
    losers = _losers(start, end, claims, order, np.union1d(inside, inside - 1))
    kept = np.ones(len(start), bool)
    kept[losers] = False
    cuts = np.cumsum([len(s) for s in segments])[:-1]
    return [segment.where(own) for segment, own in zip(segments, np.split(kept, cuts), strict=True) if own.any()]


def are_apart(start: Places, end: Places) -> bool:
    """Whether no two of the stretches [start, end), in any order, overlap; False where they are too long or too far to be sure.

    Place and length are sorted as one number each, of half a word, which takes half the time. Where none reaches the next, none
    reaches another.
    """
    bits = 32 - int(end.max(initial=1)).bit_length()
    length = end - start
    if bits < 1 or length.max(initial=0) >= 1 << bits:
        return False
    keys = start.astype(np.uint32) << np.uint32(bits)
    keys |= length.astype(np.uint32)
    keys.sort()
    ascending = keys >> np.uint32(bits)
    keys &= np.uint32((1 << bits) - 1)
    return bool((ascending[:-1] + keys[:-1] <= ascending[1:]).all())


def _losers(start: Places, end: Places, claims: Places, order: Places, touched: Places) -> list[int]:
    """Numbers of the candidates that lose, among those at the places `touched` of `order`; few, so one by one."""
    lost: list[int] = []
    cluster: list[int] = []
    reach = -1
    for number in [*order[touched].tolist(), -1]:
        if number < 0 or start[number] >= reach:
            lost += _beaten(cluster, start, end, claims)
            cluster = []
        cluster.append(number)
        reach = max(reach, int(end[number]))
    return lost


def _beaten(cluster: list[int], start: Places, end: Places, claims: Places) -> list[int]:
    """Those of a cluster that overlap with a stronger one."""
    kept: list[int] = []
    lost = []
    for number in sorted(cluster, key=lambda n: (claims[n], start[n], -end[n])):
        if all(end[number] <= start[k] or start[number] >= end[k] for k in kept):
            kept.append(number)
        else:
            lost.append(number)
    return lost
