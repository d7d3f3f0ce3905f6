"""Work items kept in step with their facts: incidents, what was decided of them, and what was told.

An item follows from facts alone, so writing it again never harms. Alert writes those of the incidents that it writes and those
of which somebody was told; whoever decides writes that one's. A queue that has fewer items than incidents makes the missing ones
before it answers, and a row whose facts have moved on is written anew when it is shown (`alerts.desk.queue`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import NamedTuple, TypeVar

from alerts.clocks.duties import Duties, Duty, IncidentDeadlines
from alerts.incidents.status import CLOSED
from alerts.records import Decision, Incident, WorkItem
from alerts.records.work import TASK
from alerts.store import DocumentFilter, IncidentStore

BATCH = 500
T = TypeVar("T")
DECIDE = "decide"


class Due(NamedTuple):
    """The next thing that is due: when, what, and whether it is late once that has passed."""

    at: datetime
    what: str
    is_sure: bool


def named(duty: Duty) -> str:
    """A duty in two words: its regime and stage."""
    return f"{duty.regime.id} {duty.stage.id}"


def assignee_of(decisions: Iterable[Decision]) -> str:
    """Whose it is; "" for nobody's."""
    last = _last(decisions, "assigned")
    return last.value if last else ""


def task_of(decisions: Iterable[Decision]) -> datetime | None:
    """The date that a person has set last, if it was not taken back."""
    last = _last(decisions, "due")
    return last.until if last else None


def takedown_of(decisions: Iterable[Decision]) -> str:
    """The state that its takedown has reached; "" where nobody asked for one."""
    last = _last(decisions, "takedown")
    return last.value if last else ""


def _last(decisions: Iterable[Decision], act: str) -> Decision | None:
    return max((one for one in decisions if one.act == act), key=lambda one: (one.at, one.id), default=None)


def next_due(owed: IncidentDeadlines) -> Due | None:
    """What is due next of an incident: a report whose clock runs, a decision, or what a person has set."""
    found = [Due(duty.due, named(duty), duty.regime.verified) for duty in owed.running if duty.due]
    if owed.decide and owed.decide.by:
        found.append(Due(owed.decide.by, DECIDE, True))
    task = task_of(owed.decisions)
    if task and owed.status not in CLOSED:
        found.append(Due(task, TASK, True))
    return min(found, default=None)


def item_of(incident: Incident, owed: IncidentDeadlines) -> WorkItem:
    """The line of one incident."""
    due = next_due(owed)
    is_done = owed.status in CLOSED and not owed.running
    return WorkItem(
        id=incident.id,
        tenant=incident.tenant,
        opened_at=incident.opened_at,
        stage="part" if incident.part_of else "closed" if is_done else "open",
        status=owed.status,
        severity=incident.severity,
        origin=incident.origin,
        scenario=incident.scenario,
        sites=incident.sites,
        kinds=incident.kinds,
        series=incident.series,
        exposure=incident.exposure,
        customers=incident.customers,
        texts=tuple(incident.words()),
        assignee=assignee_of(owed.decisions),
        due_at=due.at if due else None,
        due_for=due.what if due else "",
        is_sure=bool(due and due.is_sure),
        running=tuple(map(named, owed.running)),
    )


@dataclass(frozen=True, slots=True)
class Work:
    """Writes work items. It needs the tenants' settings, for what is due follows from them."""

    duties: Duties

    @property
    def store(self) -> IncidentStore:
        """Where everything is."""
        return self.duties.store

    def write(self, incidents: Sequence[Incident], made: Iterable[Decision] = ()) -> dict[str, WorkItem]:
        """Work the items of `incidents` out and write them; `made` are decisions that a search may not show yet."""
        owed = self.duties.owed(incidents, made)
        items = {incident.id: item_of(incident, owed[incident.id]) for incident in incidents}
        self.store.put([*items.values()])
        return items

    def renew(self, ids: Collection[str]) -> None:
        """Write those of these incidents that there are, after what was written of them can be searched."""
        self.store.refresh()
        for some in _batches(ids):
            self.write([*self.store.mget(Incident, some).values()])

    def complete(self) -> int:
        """Make the items that are missing, and see to it that a search shows them; returns how many that were.

        Mostly those of the newest incidents are, which alert has written and is about to file: these are looked at first, and no
        more than until as many were made as are missing.
        """
        if not self._missing():
            return 0
        self.store.refresh(WorkItem)
        missing = self._missing()
        return self._make(missing) if missing else 0

    def _missing(self) -> int:
        """How many there are too few, as far as a search sees."""
        return max(0, self.store.count(Incident, DocumentFilter()) - self.store.count(WorkItem, DocumentFilter()))

    def _make(self, missing: int) -> int:
        made, after, more = 0, "", True
        while more and made < missing:
            page = self.store.search(Incident, DocumentFilter(), BATCH, after)
            there = self.store.mget(WorkItem, [incident.id for incident in page.items])
            lacking = [incident for incident in page.items if incident.id not in there]
            self.write(lacking)
            made, after, more = made + len(lacking), page.after, bool(page.after)
        self.store.refresh(WorkItem)
        return made


def _batches(some: Iterable[T]) -> Iterator[list[T]]:
    rest = iter(some)
    while batch := list(islice(rest, BATCH)):
        yield batch
