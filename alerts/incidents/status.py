"""The status of an incident: what its decisions, which are only ever appended, add up to.

Statuses are read from decisions each time, so nothing can get out of step with them; they are counted by work items.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import cast

from alerts.records import Decision, Incident, Status, WorkItem
from alerts.records.incident import PART
from alerts.store import DocumentFilter, IncidentStore

UNDECIDED: Status = "open"
CLOSED: tuple[Status, ...] = ("resolved", "false_positive")


def _standing(decisions: Iterable[Decision]) -> Decision | None:
    """The last decision that is not a mere note; equal times are ordered by id."""
    return max((d for d in decisions if d.status != "note"), key=lambda d: (d.at, d.id), default=None)


def _status(standing: Decision | None) -> Status:
    return standing.status if standing is not None and standing.status != "note" else UNDECIDED


def status_of(decisions: Iterable[Decision]) -> Status:
    """What these decisions add up to."""
    return _status(_standing(decisions))


def standing(store: IncidentStore, incidents: Iterable[str] | None = None) -> dict[str, Decision]:
    """The decision that gives an incident its status, of every one that a person has decided on; all others are open."""
    where = DocumentFilter() if incidents is None else DocumentFilter({"incident": tuple(incidents)})
    by_incident: dict[str, list[Decision]] = {}
    for decision in store.scroll(Decision, where):
        by_incident.setdefault(decision.incident, []).append(decision)
    found = {incident: _standing(decisions) for incident, decisions in by_incident.items()}
    return {incident: decision for incident, decision in found.items() if decision is not None}


def statuses(store: IncidentStore, incidents: Iterable[str] | None = None) -> dict[str, Status]:
    """The status of every incident that a person has decided on; all others are open."""
    return {incident: _status(decision) for incident, decision in standing(store, incidents).items()}


def parts_in(store: IncidentStore) -> dict[str, Incident]:
    """The incidents that another one answers for, by id: lists and counts leave them out. They are few, see `fold`."""
    return {incident.id: incident for incident in store.scroll(Incident, DocumentFilter({"folded": (PART,)}))}


def tally(store: IncidentStore) -> Counter[tuple[str, str, Status]]:
    """How many incidents there are by tenant, severity and status as people see it, counted in the store by their work items.

    Whoever asks has seen to it that there is an item of each (`alerts.desk.work.Work.complete`).
    """
    found = store.tally(WorkItem, DocumentFilter({"stage": ("open", "closed")}), ("tenant", "severity", "status"))
    return Counter({(one.values[0], one.values[1], cast("Status", one.values[2])): one.count for one in found})


def narrowed(where: DocumentFilter, wanted: str, decided: Mapping[str, Status]) -> DocumentFilter:
    """`where`, for incidents of status `wanted` alone ("" for any)."""
    if not wanted:
        return where
    if wanted == UNDECIDED:
        return where.but(without=[incident for incident, status in decided.items() if status != UNDECIDED])
    return where.but(ids=[incident for incident, status in decided.items() if status == wanted])
