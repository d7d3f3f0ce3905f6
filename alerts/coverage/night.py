"""What else proves a night: how late incidents were, what of them could not be read whole, which reports were in time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from statistics import median

from alerts.clocks.book import FRESH, known, reports
from alerts.records import Incident
from alerts.records.document import Excerpt
from alerts.store import DocumentFilter, IncidentStore


@dataclass(frozen=True, slots=True)
class Night:
    """Of the incidents of a time: `lag` is seconds from publication to the incident, the median and the most; None of none.

    `unread` are ids of incidents of which not all was read. Reports that fell due in it, of rules whose text was read: `kept` in
    time, `late`, and `missed`, which were not sent yet. What was decided after `known` is not in these three; None is where
    nobody has counted them.
    """

    incidents: int
    timed: int
    lag: tuple[float, float] | None
    unread: tuple[str, ...]
    kept: int
    late: int
    missed: int
    known: datetime | None
    is_fresh: bool
    """All that was decided until now, but for some minutes, is in what is said of reports."""


class _NightIncident(Excerpt):
    """What of an incident tells of a night."""

    id: str
    publish_seconds: float | None
    incomplete: tuple[str, ...] = ()


def night(store: IncidentStore, since: datetime, until: datetime, now: datetime) -> Night:
    """What is known of the time from `since` until `until`."""
    opened = list(store.excerpts(Incident, DocumentFilter(since=since, before=until), _NightIncident))
    lags = [one.publish_seconds for one in opened if one.publish_seconds is not None]
    unread = tuple(sorted(one.id for one in opened if one.incomplete))
    lag = (median(lags), max(lags)) if lags else None
    counted_until = known(store)  # before what it is said of
    count = reports(store, since, until) if counted_until else {}
    return Night(
        len(opened),
        len(lags),
        lag,
        unread,
        count.get("kept", 0),
        count.get("late", 0),
        count.get("missed", 0),
        counted_until,
        counted_until is not None and now - counted_until <= FRESH,
    )
