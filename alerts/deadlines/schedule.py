"""Keep lists of open work and of due reports up to date, so that no page has to compute them.

`Duties` (`alerts.deadlines.outstanding`) computes the reports of one incident from its facts and is
the authority: an incident's own page uses it. Pages over all incidents read two documents that are
derived from it: a *work item* is an incident's row in the queue, a *duty record* the state of one
report. `Work` writes the items, `Book` the records; writing one again does no harm.

    facts ── Duties ──┬── Work ──▶ WorkItem     one per incident
                      └── Book ──▶ DutyRecord   one per incident, regime and stage

Alert writes the items of the incidents that it writes and of those that it notifies somebody of;
whoever decides on an incident writes its item. If there are fewer items than incidents, the queue
makes the missing ones before it answers, and a row whose facts have changed is written again when
it is shown (`alerts.cases.queue`).

Alert alone writes duty records, within about a minute: of each incident that it wrote, notified
somebody of, or that somebody decided on. It also goes through all incidents, a slice at a time, at
the start and regularly afterwards: settings, rules and the calendar change with a start, and
pending writes are lost in a crash. A mark (`DutiesKnown`) says until when all notifications and
decisions are in the records. It does not exist until alert has gone through all incidents once, and
it stands still during the first round after a start. Readers state how far it reaches.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from functools import partial
from itertools import islice
from typing import NamedTuple, TypeVar

from alerts.deadlines import check_regimes, get_sent_at
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
from alerts.translation import LANGUAGES, named
from ullage import log
from ullage.errors import RecordError
from ullage.settings import Context

BATCH = 500
T = TypeVar("T")
DECIDE = "decide"


class Due(NamedTuple):
    """The next thing that is due: when, what, and whether it counts as late after that time.

    `what` is `REGIME STAGE` of a report, `decide`, or `task` for a date that a person set.
    `is_sure` is False for a report under a rule whose text nobody verified.
    """

    at: datetime
    what: str
    is_sure: bool


def format_duty(duty: Duty) -> str:
    """Return the ids of a duty's regime and stage, separated by a space: `REGIME STAGE`."""
    return f"{duty.regime.id} {duty.stage.id}"


def find_assignee(decisions: Iterable[Decision]) -> str:
    """Return the name of the person whom the incident is assigned to; "" for nobody.

    It is the latest assignment among `decisions` that nobody has undone.
    """
    last = _last(decisions, "assigned")
    return last.value if last else ""


def find_task_date(decisions: Iterable[Decision]) -> datetime | None:
    """Return the due date that a person set for the incident; None if there is none.

    It is that of the latest act `due` among `decisions` that nobody has undone. If that act cleared
    the date, the result is None.
    """
    last = _last(decisions, "due")
    return last.until if last else None


def find_takedown_state(decisions: Iterable[Decision]) -> str:
    """Return the state that the takedown of the post has reached; "" if nobody requested one.

    It is that of the latest act `takedown` among `decisions` that nobody has undone.
    """
    last = _last(decisions, "takedown")
    return last.value if last else ""


def _last(decisions: Iterable[Decision], act: str) -> Decision | None:
    return max(
        (decision for decision in in_force(decisions) if decision.act == act),
        key=lambda decision: (decision.at, decision.id),
        default=None,
    )


def find_next_due(deadlines: IncidentDeadlines) -> Due | None:
    """Return what is due first for an incident, overdue or not; None if nothing is due.

    It may be a report whose deadline runs, a decision that a deadline waits for, or, until the
    incident is closed, a date that a person set. A decision without a time, because nobody was
    notified yet, does not count.
    """
    candidates = [
        Due(duty.due, format_duty(duty), duty.regime.verified)
        for duty in deadlines.running
        if duty.due
    ]
    if deadlines.decide and deadlines.decide.by:
        candidates.append(Due(deadlines.decide.by, DECIDE, True))
    task = find_task_date(deadlines.decisions)
    if task and deadlines.status not in CLOSED:
        candidates.append(Due(task, TASK, True))
    return min(candidates, default=None)


def list_texts(incident: Incident, decisions: Sequence[Decision], zone: tzinfo) -> tuple[str, ...]:
    """Return the texts by which a search finds an incident: what its page shows of it.

    Fields and kinds are named in every language. A day in `zone` is the word `20260922`, and
    `posted20260922` or `seen20260922` where it is the day of a post or of a sighting; so is a
    month. Amounts are without separators.
    """
    named_data = (
        named(word, category, language)
        for words, category in ((incident.fields, "field"), (incident.kinds, "kind"))
        for word in words
        for language in LANGUAGES
    )
    claims = incident.claims
    numbers = (incident.customers, incident.rows, claims.volume, claims.price)
    amounts = (f"{number:.15g}" for number in numbers if number)
    written = (text for decision in decisions for text in (decision.note, decision.reference))
    return tuple(
        dict.fromkeys(
            filter(
                None,
                (
                    *incident.words(),
                    *named_data,
                    *amounts,
                    *_list_days(incident, zone),
                    find_assignee(decisions),
                    *written,
                ),
            )
        )
    )


def _list_days(incident: Incident, zone: tzinfo) -> Iterator[str]:
    for name, at in (
        ("posted", incident.published_at),
        ("seen", incident.first_seen),
        ("seen", incident.last_seen),
    ):
        if at is not None:
            day = at.astimezone(zone).strftime("%Y%m%d")
            yield from (day, day[:6], f"{name}{day}", f"{name}{day[:6]}")


def build_item(incident: Incident, deadlines: IncidentDeadlines, zone: tzinfo) -> WorkItem:
    """Return the work item of `incident`, which lists show; nothing is written.

    `deadlines` are those of this incident, `zone` is its tenant's. The item's stage is `part` if
    the incident is part of another one, `closed` if it is closed and no deadline runs, and `open`
    otherwise.
    """
    due = find_next_due(deadlines)
    is_done = deadlines.status in CLOSED and not deadlines.running
    return WorkItem(
        id=incident.id,
        tenant=incident.tenant,
        opened_at=incident.opened_at,
        stage="part" if incident.part_of else "closed" if is_done else "open",
        status=deadlines.status,
        severity=incident.severity,
        origin=incident.origin,
        scenario=incident.scenario,
        sites=incident.sites,
        kinds=incident.kinds,
        series=incident.series,
        exposure=incident.exposure,
        customers=incident.customers,
        texts=list_texts(incident, deadlines.decisions, zone),
        assignee=find_assignee(deadlines.decisions),
        due_at=due.at if due else None,
        due_for=due.what if due else "",
        is_sure=bool(due and due.is_sure),
        running=tuple(map(format_duty, deadlines.running)),
    )


@dataclass(frozen=True, slots=True)
class Work:
    """Writes work items. It needs the tenants' settings, because deadlines follow from them."""

    duties: Duties

    @property
    def store(self) -> IncidentStore:
        """The store of the duties."""
        return self.duties.store

    def write(
        self, incidents: Sequence[Incident], made: Iterable[Decision] = ()
    ) -> dict[str, WorkItem]:
        """Compute the work items of `incidents`, write them, and return them by incident id.

        They replace stored items. `made` are decisions that a search may not show yet; they count
        like stored ones. A search shows the items only after the next refresh. Raises ConfigError
        if a tenant names an unknown regime.
        """
        deadlines = self.duties.find_deadlines(incidents, made)
        items = {
            incident.id: build_item(
                incident, deadlines[incident.id], self.duties.zone(incident.tenant)
            )
            for incident in incidents
        }
        self.store.put([*items.values()])
        return items

    def renew(self, ids: Collection[str]) -> None:
        """Compute and write the items of these incidents again.

        The store is refreshed first, so that all decisions count. Ids without an incident are
        skipped.
        """
        self.store.refresh()
        for batch in _batches(ids):
            self.write([*self.store.mget(Incident, batch).values()])

    def complete(self) -> int:
        """Write missing work items, make them searchable, and return how many were written.

        Items are missing if the store has fewer of them than incidents. Incidents are then examined
        from the newest on, until as many were written as are missing.
        """
        if not self._count_missing():
            return 0
        self.store.refresh(WorkItem)
        missing = self._count_missing()
        return self._make(missing) if missing else 0

    def _count_missing(self) -> int:
        """Return how many items are missing, as far as a search shows."""
        return max(
            0,
            self.store.count(Incident, DocumentFilter())
            - self.store.count(WorkItem, DocumentFilter()),
        )

    def _make(self, missing: int) -> int:
        count, after, more = 0, "", True
        while more and count < missing:
            page = self.store.search(Incident, DocumentFilter(), BATCH, after)
            existing = self.store.mget(WorkItem, [incident.id for incident in page.items])
            lacking = [incident for incident in page.items if incident.id not in existing]
            self.write(lacking)
            count, after, more = count + len(lacking), page.after, bool(page.after)
        self.store.refresh(WorkItem)
        return count


def _batches(items: Iterable[T]) -> Iterator[list[T]]:
    iterator = iter(items)
    while batch := list(islice(iterator, BATCH)):
        yield batch


THE_MARK = "duties"
SLICE = 200
"""Incidents per step; a step takes about 0.1 s, during which findings wait."""
LATELY = timedelta(hours=1)
"""How far before the last look decisions are searched, each one time.

Clocks of hosts differ, and a write may become visible late.
"""
AGAIN = timedelta(minutes=5)
"""Incidents decided within this time are written again.

Another alert process may have written what it read before the decision.
"""
MARGIN = timedelta(minutes=1)
"""The mark stays this far behind, because a decision gets its time before it is written."""
ROUND_SECONDS = 3600.0
"""Time between the starts of two rounds through all incidents."""
ASK_SECONDS = 60.0
"""How often a process that is not in charge checks whether it is."""
FRESH = timedelta(minutes=5)
"""If the mark is older than this, its time is shown."""


@dataclass(slots=True)
class Book:
    """Writes duty records. One thread calls `turn` and `step`; any thread may call `mark_changed`.

    `holds` says whether this one, of several alert processes, examines decisions and goes through
    all incidents.
    """

    duties: Duties
    holds: Callable[[], bool] = lambda: True
    _changed: set[str] = field(default_factory=set)
    """Incidents whose records have to be written."""
    _decided_until: datetime | None = None
    """All decisions until then are in `_changed` or written."""
    _looked: datetime | None = None
    """When decisions were searched last."""
    _recent: frozenset[str] = frozenset()
    """Decisions whose incidents are already in `_changed`."""
    _after: str | None = None
    """Where the next slice of a round begins; None between rounds."""
    _sweeping: bool = False
    """Whether the round has reached the removal of records without incidents."""
    _next: float = float("-inf")
    _whole: bool = False
    """Whether this process has gone through all incidents since it is in charge."""
    _refused: bool = False
    """Whether the store rejected a record in this round."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def store(self) -> IncidentStore:
        """The store of the duties."""
        return self.duties.store

    def mark_changed(self, ids: Collection[str]) -> None:
        """Remember that the duty records of these incidents must be written again.

        Call it when an incident was written or somebody was notified of it; `turn` and `step`
        write.
        """
        with self._lock:
            self._changed |= {*ids}

    def turn(self) -> None:
        """Queue incidents with recent decisions, and write a slice of the queue.

        Call it once a minute. If this process is in charge (`holds`), decisions are searched from
        an hour before the last search on. A slice has at most 200 incidents. A process that is not
        in charge searches no decisions and forgets how far it had come, but writes what is queued.
        When the queue is empty, the mark moves, if all incidents were gone through.
        """
        if self.holds():
            now = self.duties.clock.now()
            self.store.refresh(Decision)
            since = min(self._looked or now, now) - LATELY
            recent = list(self.store.scroll(Decision, DocumentFilter(since=since)))
            self.mark_changed(
                {
                    decision.incident
                    for decision in recent
                    if decision.id not in self._recent or decision.at >= now - AGAIN
                }
            )
            self._recent, self._looked, self._decided_until = (
                frozenset(decision.id for decision in recent),
                now,
                now,
            )
        else:
            self._looked, self._decided_until, self._whole, self._after = None, None, False, None
        self._write_changed()

    def step(self) -> None:
        """Write up to 200 queued incidents, or continue the round through all of them if due.

        A round begins every hour and processes 200 documents per call. Call it in every turn of the
        main loop.
        """
        if self._changed:
            self._write_changed()
        elif self._after is not None or self.duties.clock.monotonic() >= self._next:
            self._continue_round()

    def complete(self) -> None:
        """Go through all incidents, then write all queued changes, for a process that ends.

        A process that is not in charge writes only the queued changes.
        """
        self._after = None
        while self._continue_round():
            pass
        self.turn()
        while self._changed:
            self._write_changed()

    def _write_changed(self) -> None:
        """Write one slice of at most SLICE (200) changed incidents.

        When none is left, move the mark.

        The mark is moved only after a complete look at all decisions; it is MARGIN behind, so that
        late ones are seen.
        """
        with self._lock:
            slice_ids = [*islice(self._changed, SLICE)]
        self._renew(slice_ids)
        with self._lock:
            self._changed.difference_update(slice_ids)
        if not self._changed and self._whole and self._decided_until:
            self.store.put([DutiesKnown(id=THE_MARK, at=self._decided_until - MARGIN)])
            self._decided_until = None

    def _continue_round(self) -> bool:
        """Process a slice of the round through all incidents, and begin a round if there is none.

        Returns False if it was the last one, or if another process goes through all incidents.
        """
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
        self._after = (
            self._remove_orphans(self._after) if self._sweeping else self._write_slice(self._after)
        )
        if not self._after:
            self._sweeping = not self._sweeping
            if not self._sweeping:
                self._after, self._whole = None, not self._refused
        return self._after is not None

    def _write_slice(self, after: str) -> str:
        page = self.store.search(Incident, DocumentFilter(), SLICE, after, "time")
        self._write([incident.id for incident in page.items])
        return page.after

    def _remove_orphans(self, after: str) -> str:
        """Remove a slice of the records whose incidents are gone."""
        page = self.store.search(DutyRecord, DocumentFilter(), SLICE, after, "time")
        existing = (
            self.store.mget(Incident, {record.incident for record in page.items})
            if page.items
            else {}
        )
        self._remove([record.id for record in page.items if record.incident not in existing])
        return page.after

    def _renew(self, ids: Collection[str]) -> None:
        """Write the records of these incidents that exist, and of the heads of parts."""
        incidents = self.store.mget(Incident, ids) if ids else {}
        self._write(
            incidents.keys()
            | {incident.part_of for incident in incidents.values() if incident.part_of}
        )

    def _write(self, ids: Collection[str]) -> None:
        """Update the records of these incidents, even if another process writes them meanwhile."""
        if not ids:
            return
        try:
            merge(self.store, partial(self._update, ids))
        except RecordError:
            log.get("alert").error("duties_refused")
            self._whole, self._refused = False, True  # the mark stands still

    def _update(self, ids: Collection[str], merging: Merge) -> None:
        """Write and remove the duty records of the incidents `ids` so that they match the facts.

        The records' versions are read before the facts, so a result from older facts never replaces
        one from newer facts. Records of a tenant that is deleted meanwhile are removed again.
        """
        self.store.refresh(Decision, Notification, DutyRecord)
        excerpts = self.store.excerpts(DutyRecord, DocumentFilter({"incident": [*ids]}), Excerpt)
        existing = merging.mget(DutyRecord, {record.id for record in excerpts})
        incidents = [*self.store.mget(Incident, ids).values()]
        now = {record.id: record for record in build_records(self.duties, incidents)}
        changed = [record for id_, record in now.items() if existing.get(id_) != record]
        merging.delete(DutyRecord, existing.keys() - now.keys())
        merging.put(changed)
        # a tenant may be deleted meanwhile
        gone = find_deleted_tenants(self.store, incidents) if changed else set()
        self._remove([record.id for record in changed if record.incident in gone])

    def _remove(self, ids: Collection[str]) -> None:
        if ids:
            self.store.delete(DutyRecord, [*ids])


def build_records(duties: Duties, incidents: Sequence[Incident]) -> Iterator[DutyRecord]:
    """Yield the duty records of these incidents, computed from the store; nothing is written.

    There is one for each duty. There is another one for the acknowledgement of an open incident of
    severity `low` or above whose severity row starts deadlines (`clock` is `run`). A part yields
    none, because its head has the records.
    """
    heads = [incident for incident in incidents if not incident.part_of]
    deadlines = duties.find_deadlines(heads)
    acknowledge_by = duties.find_acknowledgement_deadlines(
        [head for head in heads if _needs_acknowledgement(head, deadlines[head.id])]
    )
    for incident in heads:
        for duty in deadlines[incident.id].duties:
            yield _record(incident, duty)
        if incident.id in acknowledge_by:
            yield DutyRecord(
                id=f"{incident.id}:{HEARD}",
                tenant=incident.tenant,
                incident=incident.id,
                regime="",
                stage=HEARD,
                state="running",
                opened_at=incident.opened_at,
                due=acknowledge_by[incident.id],
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
        met_at=get_sent_at(duty.report) if duty.report else None,
        late=duty.late,
    )


def _needs_acknowledgement(incident: Incident, deadlines: IncidentDeadlines) -> bool:
    """Return whether an incident starts deadlines, is at least `low`, and is undecided."""
    is_severe = SEVERITIES.index(incident.severity) >= SEVERITIES.index("low")
    return (
        incident.clock == "run" and is_severe and compute_status(deadlines.decisions) == UNDECIDED
    )


def read_known_until(store: IncidentStore) -> datetime | None:
    """Return the moment up to which all notifications and decisions are in the duty records.

    Returns None until alert has gone through all incidents one time.
    """
    mark = store.get(DutiesKnown, THE_MARK)
    return mark.at if mark else None


def find_earliest(
    store: IncidentStore, tenant: str, regimes: Iterable[str], now: datetime
) -> dict[str, float]:
    """Return when the first running report of a tenant is due, in Unix seconds, by regime id.

    A time in the past is an overdue report. Reports under a rule that nobody verified are never
    overdue: for such a rule it is the first time from `now` on. A regime without such a report is
    left out.
    """
    by_regime = dict[str, float]()
    for regime in regimes:
        running = DocumentFilter({"runs": (clock_of(tenant, regime),)})
        first = store.search(DutyRecord, running, 1, order="time").items
        if first and not first[0].verified and first[0].at < now:
            first = store.search(
                DutyRecord, DocumentFilter(running.equals, since=now), 1, order="time"
            ).items
        if first:
            by_regime[regime] = first[0].at.timestamp()
    return by_regime


def find_running(store: IncidentStore) -> set[str]:
    """Return the ids of the incidents for which a reporting deadline runs.

    Duty records say so, which may be about a minute old. Missing acknowledgements do not count.
    Parts are not included, because their heads have the records.
    """
    clocks = {item.values[0] for item in store.tally(DutyRecord, DocumentFilter(), ("runs",))} - {
        ""
    }
    runs = DocumentFilter({"runs": sorted(clocks)})
    return (
        {item.incident for item in store.scroll(DutyRecord, runs) if item.regime}
        if clocks
        else set()
    )


def count_unacknowledged(
    store: IncidentStore, tenant: str, silent: Collection[str], now: datetime
) -> int:
    """Return how many incidents of a tenant should have been acknowledged by `now` and were not.

    Their duty records say so: an acknowledgement is due after half of the time until the next
    deadline. Incidents whose ids are in `silent` do not count, because whoever silenced one knows
    of it.
    """
    late = DocumentFilter(
        {"runs": (clock_of(tenant, HEARD),)}, before=now + timedelta(microseconds=1)
    )
    return store.count(DutyRecord, late.but(without=[f"{incident}:{HEARD}" for incident in silent]))


def count_reports(store: IncidentStore, since: datetime, until: datetime) -> dict[str, int]:
    """Return how many reports fell due from `since` until before `until`, by outcome.

    The keys are `kept` (sent in time), `late` (sent after that) and `missed` (not sent yet); an
    outcome without reports is left out. Only reports under verified rules count. If `until` is in
    the future, reports that are not due yet and not sent count as `missed`.
    """
    where = DocumentFilter({"counts": ("kept", "late", "missed")}, since=since, before=until)
    return {row.values[0]: row.count for row in store.tally(DutyRecord, where, ("counts",))}


def duties_of(context: Context, store: IncidentStore) -> Duties:
    """Return `Duties` with the tenants and clock of `context`.

    Raises ConfigError if a tenant names an unknown regime.
    """
    check_regimes(context.settings.tenants)
    return Duties(store, context.tenant, context.clock)


def work_of(context: Context, store: IncidentStore) -> Work:
    """Return `Work` with the tenants and clock of `context`.

    Raises ConfigError if a tenant names an unknown regime.
    """
    check_regimes(context.settings.tenants)
    return Work(Duties(store, context.tenant, context.clock))
