"""What else proves a night: how late incidents were, what of them could not be read whole, which reports were in time."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

from alerts.clocks.duties import Duties, sent_at
from alerts.records import Incident
from alerts.store import IncidentStore, Where

BEFORE = timedelta(days=45)
"""Incidents are asked for their reports that were opened so long before: the longest rule leaves 30 working days."""
BATCH = 500


@dataclass(frozen=True, slots=True)
class Night:
    """Of the incidents of a time: `lag` is seconds from publication to the incident, the median and the most; None of none.

    `unread` are ids of incidents of which not all was read. Reports that fell due in it, of rules whose text was read: `kept` in
    time, `late`, and `missed`, which were not sent yet.
    """

    incidents: int
    timed: int
    lag: tuple[float, float] | None
    unread: tuple[str, ...]
    kept: int
    late: int
    missed: int


def night(store: IncidentStore, duties: Duties, since: datetime, until: datetime) -> Night:
    """What is known of the time from `since` until `until`."""
    opened = list(store.scroll(Incident, Where(since=since, before=until)))
    lags = [one.publish_seconds for one in opened if one.publish_seconds is not None]
    count = Counter[str]()
    waiting = [one for one in store.scroll(Incident, Where(since=since - BEFORE, before=until)) if one.starts != "none"]
    for first in range(0, len(waiting), BATCH):
        for owed in duties.owed(waiting[first : first + BATCH]).values():
            for duty in owed.duties:
                if duty.due is None or not since <= duty.due < until or not duty.regime.verified:
                    continue
                if duty.state == "met" and duty.report is not None:
                    count["late" if sent_at(duty.report) > duty.due else "kept"] += 1
                elif duty.state == "running":
                    count["missed"] += 1
    unread = tuple(sorted(one.id for one in opened if one.incomplete))
    lag = (median(lags), max(lags)) if lags else None
    return Night(len(opened), len(lags), lag, unread, count["kept"], count["late"], count["missed"])
