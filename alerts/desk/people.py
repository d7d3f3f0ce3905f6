"""The customers in an incident, by handle: as a file for whoever turns handles back."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from alerts.read.query import customers_of
from alerts.records import Exposure, Incident
from alerts.store import MAX_PAGE, IncidentStore

COLUMNS = ("handle", "kinds", "fields", "confidence", "corroborated", "first_seen", "last_seen")


def customers(store: IncidentStore, incident: Incident, kind: str = "") -> Iterator[Exposure]:
    """Everybody in it once, or those of whom an identifier of `kind` stood there; newest first."""
    after, more, seen = "", True, set[str]()
    while more:
        page = customers_of(store, incident, MAX_PAGE, after, kind)
        yield from (one for one in page.items if one.subject not in seen)
        seen.update(one.subject for one in page.items)
        after, more = page.after, bool(page.after)


def handles(store: IncidentStore, incident: Incident, kind: str = "") -> tuple[str, int]:
    """The customers as CSV, and how many there are; no value of theirs is in it."""
    out, found = io.StringIO(), list(customers(store, incident, kind))
    write = csv.writer(out)
    write.writerow(COLUMNS)
    for one in found:
        seen = one.first_seen.isoformat(), one.last_seen.isoformat()
        write.writerow((one.subject, " ".join(one.kinds), " ".join(one.fields), one.confidence, int(one.corroborated), *seen))
    return out.getvalue(), len(found)
