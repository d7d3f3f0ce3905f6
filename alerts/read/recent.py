"""What the last month's incidents expose, for gauges: customers by scenario, incidents by origin.

Read newest first from the store and stopped at the window's edge, so that it costs the month and not the years that are kept.
What an analyst has marked as a false positive is left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from alerts.incidents.status import statuses
from alerts.records import Incident
from alerts.store import MAX_PAGE, IncidentStore, Where

WINDOW = timedelta(days=30)
NO_SCENARIO = "none"


@dataclass(slots=True)
class Recent:
    """Counts by (tenant, scenario, severity) and (tenant, origin, severity); a customer in two incidents counts in both."""

    customers: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    incidents: Counter[tuple[str, str, str]] = field(default_factory=Counter)


def recent(store: IncidentStore, now: datetime) -> Recent:
    """The counts of all incidents opened in the `WINDOW` before `now`."""
    found = Recent()
    for page in _pages(store, now - WINDOW):
        decided = statuses(store, [incident.id for incident in page])
        for incident in page:
            if not incident.part_of and decided.get(incident.id) != "false_positive":
                found.customers[incident.tenant, incident.scenario or NO_SCENARIO, incident.severity] += incident.customers
                found.incidents[incident.tenant, incident.origin, incident.severity] += 1
    return found


def _pages(store: IncidentStore, since: datetime) -> Iterator[list[Incident]]:
    """Incidents opened after `since`, a page at a time."""
    after, more = "", True
    while more:
        page = store.search(Incident, Where(), MAX_PAGE, after)
        inside = [incident for incident in page.items if incident.opened_at > since]
        if inside:
            yield inside
        after, more = page.after, bool(page.after) and len(inside) == len(page.items)
