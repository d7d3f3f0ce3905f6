"""What the last month's incidents expose, for gauges and pictures: customers by scenario, incidents by origin and by day.

Counted in the store by the incidents' work items, which follow from facts and decisions: no incident is read. Whoever asks has
seen to it that there is an item of each (`alerts.desk.work.Work.complete`). What an analyst has marked as a false positive is
left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from alerts.records import STATUSES, Sighting, WorkItem
from alerts.store import DocumentFilter, IncidentStore

WINDOW = timedelta(days=30)
NO_SCENARIO = "none"
REAL = tuple(status for status in STATUSES if status != "false_positive")


@dataclass(slots=True)
class Recent:
    """Counts by (tenant, scenario, severity) and (tenant, origin, severity); a customer in two incidents counts in both."""

    customers: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    incidents: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    opened: Counter[tuple[date, str]] = field(default_factory=Counter)
    """By the day, in the zone that was asked for, and severity."""


def recent(store: IncidentStore, now: datetime, zone: tzinfo = UTC, tenant: str = "") -> Recent:
    """The counts of the incidents, of one tenant or of all, that were opened in the `WINDOW` before `now`."""
    found, days = Recent(), _days(now, zone, whole=False)
    begins = [now - WINDOW, *(_begins(day, zone) for day in days[1:]), now + timedelta(days=1)]
    where = DocumentFilter({**_of(tenant), "stage": ("open", "closed"), "status": REAL})
    by = ("tenant", "scenario", "origin", "severity")
    for one in store.tally(WorkItem, where, by, "customers", begins):
        whose, scenario, origin, severity = one.values
        found.customers[whose, scenario or NO_SCENARIO, severity] += one.total
        found.incidents[whose, origin, severity] += one.count
        found.opened[days[one.span], severity] += one.count
    return found


def days_of(now: datetime, zone: tzinfo) -> list[date]:
    """The days of the `WINDOW`, the present one last."""
    return _days(now, zone, whole=True)


def seen_on(store: IncidentStore, days: Sequence[date], zone: tzinfo, tenant: str = "") -> list[int]:
    """How many sightings each of `days`, which follow one another, has, of one tenant or of all."""
    edges = [_begins(day, zone) for day in (*days, days[-1] + timedelta(days=1))]
    found = {one.span: one.count for one in store.tally(Sighting, DocumentFilter(_of(tenant)), (), "", edges)}
    return [found.get(n, 0) for n in range(len(days))]


def _of(tenant: str) -> dict[str, tuple[str, ...]]:
    return {"tenant": (tenant,)} if tenant else {}


def _begins(day: date, zone: tzinfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)


def _days(now: datetime, zone: tzinfo, *, whole: bool) -> list[date]:
    """The days that the `WINDOW` has; of the first, unless it is to be `whole`, a part."""
    today = now.astimezone(zone).date()
    first = (now - WINDOW).astimezone(zone).date()
    count = WINDOW.days if whole else (today - first).days + 1
    return [today - timedelta(days=back) for back in reversed(range(count))]
