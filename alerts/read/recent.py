"""What the last month's incidents expose, for gauges and pictures: customers by scenario, incidents by origin and by day.

Read newest first from the store and stopped at the window's edge, so that it costs the month and not the years that are kept.
What an analyst has marked as a false positive is left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from alerts.incidents.status import statuses
from alerts.records import Incident, Sighting
from alerts.store import MAX_PAGE, IncidentStore, Where

WINDOW = timedelta(days=30)
NO_SCENARIO = "none"


@dataclass(slots=True)
class Recent:
    """Counts by (tenant, scenario, severity) and (tenant, origin, severity); a customer in two incidents counts in both."""

    customers: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    incidents: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    opened: Counter[tuple[date, str]] = field(default_factory=Counter)
    """By the day, in the zone that was asked for, and severity."""


def recent(store: IncidentStore, now: datetime, zone: tzinfo = UTC, tenant: str = "") -> Recent:
    """The counts of the incidents, of one tenant or of all, that were opened in the `WINDOW` before `now`."""
    found = Recent()
    for page in _pages(store, now - WINDOW, tenant):
        decided = statuses(store, [incident.id for incident in page])
        for incident in page:
            if not incident.part_of and decided.get(incident.id) != "false_positive":
                found.customers[incident.tenant, incident.scenario or NO_SCENARIO, incident.severity] += incident.customers
                found.incidents[incident.tenant, incident.origin, incident.severity] += 1
                found.opened[incident.opened_at.astimezone(zone).date(), incident.severity] += 1
    return found


def days_of(now: datetime, zone: tzinfo) -> list[date]:
    """The days of the `WINDOW`, the present one last."""
    today = now.astimezone(zone).date()
    return [today - timedelta(days=back) for back in reversed(range(WINDOW.days))]


def seen_on(store: IncidentStore, day: date, zone: tzinfo, tenant: str = "") -> int:
    """How many sightings a day has, of one tenant or of all."""
    begins, ends = (datetime.combine(one, time(), zone).astimezone(UTC) for one in (day, day + timedelta(days=1)))
    return store.count(Sighting, Where({"tenant": (tenant,)} if tenant else {}, since=begins, before=ends))


def _pages(store: IncidentStore, since: datetime, tenant: str) -> Iterator[list[Incident]]:
    """Incidents opened after `since`, a page at a time."""
    after, more = "", True
    while more:
        page = store.search(Incident, Where({"tenant": (tenant,)} if tenant else {}), MAX_PAGE, after)
        inside = [incident for incident in page.items if incident.opened_at > since]
        if inside:
            yield inside
        after, more = page.after, bool(page.after) and len(inside) == len(page.items)
