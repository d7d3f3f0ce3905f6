"""Cohorts and bait among the customers who were found: counts by label, for a verdict."""

from __future__ import annotations

from typing import NamedTuple

from matcher.columns.batch import Places
from matcher.match.counts import Found
from matcher.watchlist.cohorts import FEW, Label
from matcher.watchlist.installed import TenantLists
from matcher.watchlist.live import Watchlist
from matcher.watchlist.source import CANARY
from ullage.records import Canary, Cohort

MOST_COHORTS = 64


class Labelled(NamedTuple):
    """What a finding tells of labels; as the fields of `Finding`."""

    cohorts: tuple[Cohort, ...] = ()
    cohort_labels: int = 0
    canaries: tuple[Canary, ...] = ()
    canaries_enrolled: int = 0


def labelled(lists: TenantLists, found: Found) -> Labelled:
    """The labels of the customers in `found`. Cohorts of fewer than 20 of them are not told, bait is."""
    listed = next((epoch.list for epoch in lists.epochs if epoch.number == found.epoch), None)
    enrolled = listed.enrolled_labels() if listed else {}
    if listed is None or not enrolled:
        return Labelled()
    matched, sure = _count(listed, found.subjects.subjects), _count(listed, found.verified)
    cohorts = [
        Cohort(dimension=dimension, label=label, matched=number, enrolled=enrolled[dimension, label])
        for (dimension, label), number in matched.items()
        if dimension != CANARY and number >= FEW
    ]
    cohorts.sort(key=lambda c: (-c.matched / c.enrolled, c.dimension, c.label))
    canaries = [
        Canary(label=label, customers=number, verified=sure.get((dimension, label), 0))
        for (dimension, label), number in sorted(matched.items())
        if dimension == CANARY
    ]
    bait = [number for (dimension, _), number in enrolled.items() if dimension == CANARY]
    return Labelled(tuple(cohorts[:MOST_COHORTS]), len(enrolled) - len(bait), tuple(canaries), sum(bait))


def _count(listed: Watchlist, subjects: Places) -> dict[Label, int]:
    return listed.labels(subjects)
