"""The status of an incident: what its decisions, which are only ever appended, add up to.

Statuses are read from decisions each time. People decide some dozens of times a day, so the whole list is small; and nothing can
get out of step with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from alerts.records import Decision, Status
from alerts.store import IncidentStore, Where

UNDECIDED: Status = "open"


def status_of(decisions: Iterable[Decision]) -> Status:
    """The last decision that is not a mere note; equal times are ordered by id."""
    statuses = [d.status for d in sorted(decisions, key=lambda d: (d.at, d.id)) if d.status != "note"]
    return statuses[-1] if statuses else UNDECIDED


def statuses(store: IncidentStore, incidents: Iterable[str] | None = None) -> dict[str, Status]:
    """The status of every incident that a person has decided on; all others are open."""
    where = Where() if incidents is None else Where({"incident": tuple(incidents)})
    by_incident: dict[str, list[Decision]] = {}
    for decision in store.scroll(Decision, where):
        by_incident.setdefault(decision.incident, []).append(decision)
    return {incident: status_of(decisions) for incident, decisions in by_incident.items()}


def narrowed(where: Where, wanted: str, decided: Mapping[str, Status]) -> Where:
    """`where`, for incidents of status `wanted` alone ("" for any)."""
    if not wanted:
        return where
    if wanted == UNDECIDED:
        return where.but(without=[incident for incident, status in decided.items() if status != UNDECIDED])
    return where.but(ids=[incident for incident, status in decided.items() if status == wanted])
