"""Keep work items and records of deadlines in step with the facts.

An item follows from facts alone, so writing it again never harms. Alert writes those of the
incidents that it writes and those of which somebody was told; whoever decides writes that one's. A
queue that has fewer items than incidents makes the missing ones before it answers, and a row whose
facts have moved on is written anew when it is shown (`alerts.cases.queue`).

`Duties` works one incident out from its facts and stays the authority: an incident's own page asks
it. What is counted and found over all of them, such as what is due next, or which reports of a
night were in time, is read from duty records. Alert alone writes these, within about a minute: of
each incident that it wrote, of those of which somebody was told, and of those on which somebody
decided. It also goes through all incidents, a slice at a time, when it starts and from then on:
settings, rules and the calendar change with a start, and what it had still to write is lost in a
crash.

A mark says until when all that was told and decided is in the records (`DutiesKnown`). There is
none before alert has gone through all incidents once, and it stands still while alert goes through
them after a start: who reads it says how far it goes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from typing import NamedTuple, TypeVar

from alerts.deadlines import check_regimes, sent_at
from alerts.deadlines.outstanding import Duties, Duty, IncidentDeadlines
from alerts.records import (
    HEARD,
    SEVERITIES,
    Decision,
    DutiesKnown,
    DutyRecord,
    Incident,
    Notification,
    WorkItem,
    clock_of,
)
from alerts.records.decision import in_force
from alerts.records.document import Excerpt
from alerts.records.incident import TASK
from alerts.store import DocumentFilter, IncidentStore, Merge, merge
from alerts.store.queries import CLOSED, UNDECIDED, compute_status, find_deleted_tenants
from ullage import log
from ullage.errors import RecordError
from ullage.settings import Context

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
    return max(
        (one for one in in_force(decisions) if one.act == act),
        key=lambda one: (one.at, one.id),
        default=None,
    )


def next_due(owed: IncidentDeadlines) -> Due | None:
    """What is due next of an incident: a report whose clock runs, a decision, or what a person
    has set.
    """
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

    def write(
        self, incidents: Sequence[Incident], made: Iterable[Decision] = ()
    ) -> dict[str, WorkItem]:
        """Work the items of `incidents` out and write them; `made` are decisions that a search
        may not show yet.
        """
        owed = self.duties.owed(incidents, made)
        items = {incident.id: item_of(incident, owed[incident.id]) for incident in incidents}
        self.store.put([*items.values()])
        return items

    def renew(self, ids: Collection[str]) -> None:
        """Write those of these incidents that there are, after what was written of them can be
        searched.
        """
        self.store.refresh()
        for some in _batches(ids):
            self.write([*self.store.mget(Incident, some).values()])

    def complete(self) -> int:
        """Make the items that are missing, and see to it that a search shows them; returns how many
        that were.

        Mostly those of the newest incidents are, which alert has written and is about to file:
        these are looked at first, and no more than until as many were made as are missing.
        """
        if not self._missing():
            return 0
        self.store.refresh(WorkItem)
        missing = self._missing()
        return self._make(missing) if missing else 0

    def _missing(self) -> int:
        """How many there are too few, as far as a search sees."""
        return max(
            0,
            self.store.count(Incident, DocumentFilter())
            - self.store.count(WorkItem, DocumentFilter()),
        )

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


THE_MARK = "duties"
SLICE = 200
"""Incidents of one step: some 0.1 s, in which findings wait."""
LATELY = timedelta(hours=1)
"""Decisions are looked for so far back behind the last look, each once: clocks of hosts differ,
and a write may show late.
"""
AGAIN = timedelta(minutes=5)
"""What was decided since then is written again: another alert process may have written what it
had read before.
"""
MARGIN = timedelta(minutes=1)
"""The mark stays so far behind: a decision has its time before it is written."""
ROUND_SECONDS = 3600.0
"""How often all incidents are gone through."""
ASK_SECONDS = 60.0
"""How often a process that does not look asks whether it is to."""
FRESH = timedelta(minutes=5)
"""Older than this, what is known of duties is told with its time."""


@dataclass(slots=True)
class Book:
    """Writes duty records: `turn` and `step` are one thread's, `changed` is anybody's.

    `holds` tells whether, of several alert processes, this is the one that looks at decisions and
    goes through all incidents.
    """

    duties: Duties
    holds: Callable[[], bool] = lambda: True
    _changed: set[str] = field(default_factory=set)
    """Incidents whose records are to be written."""
    _asked: datetime | None = None
    """All that was decided until then is in `_changed`, or written."""
    _looked: datetime | None = None
    """When decisions were looked for last."""
    _seen: frozenset[str] = frozenset()
    """Decisions whose incidents came into `_changed`."""
    _after: str | None = None
    """Where the next slice of a round begins; None between two."""
    _sweeping: bool = False
    """The round has come to the records whose incidents are gone."""
    _next: float = float("-inf")
    _whole: bool = False
    """Since this process looks, it has been through all incidents."""
    _refused: bool = False
    """In this round the store did not take a record."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def store(self) -> IncidentStore:
        """Where everything is."""
        return self.duties.store

    def changed(self, ids: Collection[str]) -> None:
        """Something of these incidents was written, or somebody was told of them."""
        with self._lock:
            self._changed |= {*ids}

    def turn(self) -> None:
        """Once a minute: see what people decided since, and write as much as one step does."""
        if self.holds():
            now = self.duties.clock.now()
            self.store.refresh(Decision)
            since = min(self._looked or now, now) - LATELY
            lately = list(self.store.scroll(Decision, DocumentFilter(since=since)))
            self.changed(
                {
                    one.incident
                    for one in lately
                    if one.id not in self._seen or one.at >= now - AGAIN
                }
            )
            self._seen, self._looked, self._asked = frozenset(one.id for one in lately), now, now
        else:
            self._looked, self._asked, self._whole, self._after = None, None, False, None
        self._write_changed()

    def step(self) -> None:
        """At every turn of the loop: write some of what changed, else a slice of a round if one
        is due.
        """
        if self._changed:
            self._write_changed()
        elif self._after is not None or self.duties.clock.monotonic() >= self._next:
            self._goes_on()

    def complete(self) -> None:
        """See what was decided, write it all and go through all incidents at once, for a process
        that ends.
        """
        self._after = None
        while self._goes_on():
            pass
        self.turn()
        while self._changed:
            self._write_changed()

    def _write_changed(self) -> None:
        """Some of it; when nothing is left, the mark moves."""
        with self._lock:
            some = [*islice(self._changed, SLICE)]
        self._renew(some)
        with self._lock:
            self._changed.difference_update(some)
        if not self._changed and self._whole and self._asked:
            self.store.put([DutiesKnown(id=THE_MARK, at=self._asked - MARGIN)])
            self._asked = None

    def _goes_on(self) -> bool:
        """A slice of the round; False when that was the last, or another process goes round."""
        now = self.duties.clock.monotonic()
        if not self.holds():
            self._whole, self._after, self._next = False, None, now + ASK_SECONDS
            return False
        if self._after is None:
            self._after, self._sweeping, self._refused, self._next = (
                "",
                False,
                False,
                now + ROUND_SECONDS,
            )
            self.store.refresh(Incident, DutyRecord)
        self._after = self._swept(self._after) if self._sweeping else self._worked(self._after)
        if not self._after:
            self._sweeping = not self._sweeping
            if not self._sweeping:
                self._after, self._whole = None, not self._refused
        return self._after is not None

    def _worked(self, after: str) -> str:
        page = self.store.search(Incident, DocumentFilter(), SLICE, after, "time")
        self._write([incident.id for incident in page.items])
        return page.after

    def _swept(self, after: str) -> str:
        """Records of incidents that are gone go too."""
        page = self.store.search(DutyRecord, DocumentFilter(), SLICE, after, "time")
        known = (
            self.store.mget(Incident, {one.incident for one in page.items}) if page.items else {}
        )
        self._remove([one.id for one in page.items if one.incident not in known])
        return page.after

    def _renew(self, ids: Collection[str]) -> None:
        """Write those of these incidents that there are; of a part, the one that answers for it
        as well.
        """
        found = self.store.mget(Incident, ids) if ids else {}
        self._write(found.keys() | {one.part_of for one in found.values() if one.part_of})

    def _write(self, ids: Collection[str]) -> None:
        """Bring the records of these incidents up to what is owed now, whatever another process
        writes of them meanwhile.
        """
        if not ids:
            return
        try:
            merge(self.store, partial(self._bring_up, ids))
        except RecordError:
            log.get("alert").error("duties_refused")
            self._whole, self._refused = False, True  # the mark stands still

    def _bring_up(self, ids: Collection[str], merging: Merge) -> None:
        """The versions are read before what the records follow from, so what was worked out of
        less replaces none of more.
        """
        self.store.refresh(Decision, Notification, DutyRecord)
        theirs = self.store.excerpts(DutyRecord, DocumentFilter({"incident": [*ids]}), Excerpt)
        there = merging.mget(DutyRecord, {one.id for one in theirs})
        incidents = [*self.store.mget(Incident, ids).values()]
        now = {one.id: one for one in records(self.duties, incidents)}
        changed = [one for id_, one in now.items() if there.get(id_) != one]
        merging.delete(DutyRecord, there.keys() - now.keys())
        merging.put(changed)
        # a tenant may be deleted meanwhile
        gone = find_deleted_tenants(self.store, incidents) if changed else set()
        self._remove([one.id for one in changed if one.incident in gone])

    def _remove(self, ids: Collection[str]) -> None:
        if ids:
            self.store.delete(DutyRecord, [*ids])


def records(duties: Duties, incidents: Sequence[Incident]) -> Iterator[DutyRecord]:
    """What is owed of these incidents, worked out now; nothing of a part, for which its head
    answers.
    """
    heads = [incident for incident in incidents if not incident.part_of]
    owed = duties.owed(heads)
    heard = duties.heard_by([one for one in heads if _is_to_be_heard(one, owed[one.id])])
    for incident in heads:
        for duty in owed[incident.id].duties:
            yield _record(incident, duty)
        if incident.id in heard:
            yield DutyRecord(
                id=f"{incident.id}:{HEARD}",
                tenant=incident.tenant,
                incident=incident.id,
                regime="",
                stage=HEARD,
                state="running",
                opened_at=incident.opened_at,
                due=heard[incident.id],
            )


def _record(incident: Incident, duty: Duty) -> DutyRecord:
    return DutyRecord(
        id=f"{incident.id}:{duty.regime.id}:{duty.stage.id}",
        tenant=incident.tenant,
        incident=incident.id,
        regime=duty.regime.id,
        stage=duty.stage.id,
        state=duty.state,
        opened_at=incident.opened_at,
        since=duty.since,
        due=duty.due,
        verified=duty.regime.verified,
        met_at=sent_at(duty.report) if duty.report else None,
        late=duty.late,
    )


def _is_to_be_heard(incident: Incident, owed: IncidentDeadlines) -> bool:
    """Whether its clock runs, and nobody has decided anything."""
    is_grave = SEVERITIES.index(incident.severity) >= SEVERITIES.index("low")
    return incident.clock == "run" and is_grave and compute_status(owed.decisions) == UNDECIDED


def known(store: IncidentStore) -> datetime | None:
    """Until when all that was decided is in the records; None while alert has not gone through
    all incidents.
    """
    mark = store.get(DutiesKnown, THE_MARK)
    return mark.at if mark else None


def earliest(
    store: IncidentStore, tenant: str, regimes: Iterable[str], now: datetime
) -> dict[str, float]:
    """By regime the earliest running duty of a tenant, in seconds since 1970; a regime with none is
    not in it.

    Of a rule whose text was not read the earliest that is still to come, for nothing of it is ever
    late.
    """
    found = dict[str, float]()
    for regime in regimes:
        running = DocumentFilter({"runs": (clock_of(tenant, regime),)})
        first = store.search(DutyRecord, running, 1, order="time").items
        if first and not first[0].verified and first[0].at < now:
            first = store.search(
                DutyRecord, DocumentFilter(running.equals, since=now), 1, order="time"
            ).items
        if first:
            found[regime] = first[0].at.timestamp()
    return found


def find_running(store: IncidentStore) -> set[str]:
    """Return the ids of the incidents of which a deadline runs, as far as duty records say."""
    clocks = {one.values[0] for one in store.tally(DutyRecord, DocumentFilter(), ("runs",))} - {""}
    runs = DocumentFilter({"runs": sorted(clocks)})
    return (
        {one.incident for one in store.scroll(DutyRecord, runs) if one.regime} if clocks else set()
    )


def unheard(store: IncidentStore, tenant: str, silent: Collection[str], now: datetime) -> int:
    """How many incidents of a tenant have a clock that runs, and nobody who acknowledged it by half
    of the time left.

    Without those `silent`, by id: whoever silenced one knows of it.
    """
    late = DocumentFilter(
        {"runs": (clock_of(tenant, HEARD),)}, before=now + timedelta(microseconds=1)
    )
    return store.count(DutyRecord, late.but(without=[f"{incident}:{HEARD}" for incident in silent]))


def reports(store: IncidentStore, since: datetime, until: datetime) -> dict[str, int]:
    """How many reports that fell due from `since` until `until` were kept in time, late or missed
    (not sent yet).

    Of rules whose text was read.
    """
    where = DocumentFilter({"counts": ("kept", "late", "missed")}, since=since, before=until)
    return {one.values[0]: one.count for one in store.tally(DutyRecord, where, ("counts",))}


def duties_of(context: Context, store: IncidentStore) -> Duties:
    """Duties under the settings; ConfigError when a tenant names a regime that is not known."""
    check_regimes(context.settings.tenants)
    return Duties(store, context.tenant, context.clock)


def work_of(context: Context, store: IncidentStore) -> Work:
    """Work items under the settings; ConfigError when a tenant names a regime that is not known."""
    check_regimes(context.settings.tenants)
    return Work(Duties(store, context.tenant, context.clock))
