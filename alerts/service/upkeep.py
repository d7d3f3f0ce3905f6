"""Work between batches: gauges, retention, erasure.

Exposures name a customer's handle and go first. Before the first of an incident's goes its numbers
are frozen: from then on they cannot be counted again. Erasing one customer is different: the
numbers then follow what is left. After the last delete the store is asked once to let the bytes go
as well (`IncidentStore.expunge`). What belongs to an incident that somebody holds for a case stays,
however old it is.

A hold stands in its way: what a case needs is not taken from it. The tombstone is set first, so
that alert, which may be folding, brings nobody back (`alerts.store.queries`). Incidents keep their
numbers and the digests by which posts are compared: these name nobody, and follow what is left when
an incident is written again. What a process had sent before, and the store writes only now, alert
removes within the hour (`remove_late`).
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from itertools import islice

from alerts.cases.decisions import find_held, find_last_holds, mark_evidence, with_parts
from alerts.deadlines.schedule import find_running
from alerts.records import (
    CLASSES,
    Audit,
    Background,
    Claim,
    CollectorHeartbeat,
    DaySheet,
    Decision,
    DutyRecord,
    Exposure,
    FraudOutcome,
    GapReason,
    Hold,
    Holding,
    Incident,
    Notification,
    Original,
    PendingDecision,
    Presence,
    Sighting,
    SiteDay,
    Suppression,
    WorkItem,
)
from alerts.records.document import D, Document
from alerts.service.metrics import AlertMetrics
from alerts.store import DocumentFilter, IncidentStore, Merge, merge, open_configured_store
from alerts.store.queries import (
    Tombstone,
    expect_late_writes,
    find_expected,
    marker_id,
    set_tombstone,
    tombstone_id,
)
from ullage import log
from ullage.audit import Trail
from ullage.bus import FINDINGS, Lag
from ullage.custody.vault import FOLDER, Vault
from ullage.erasure import ErasureReport, ErasureStage, Order
from ullage.errors import UnavailableError
from ullage.lookup.erased_customers import EVERYBODY, SETTLED, tombstone
from ullage.monitoring.metrics import BUS, STORE
from ullage.running_time import DAY_SECONDS, ClockReading, RunningTime
from ullage.settings import Context, OriginalSettings, StoreSettings

BATCH = 1_000
WAITING_DAYS = 15
COVERAGE_DAYS = 400.0
"""Of the coverage log, which names nobody: a year's proof and a month to ask for it."""
"""That a post is gone is kept for so long without a sighting of it: a finding may lie on the bus
for a week, and as a dead letter for another.
"""
NAMING: tuple[type[Exposure | Background | FraudOutcome], ...] = (
    Exposure,
    Background,
    FraudOutcome,
)
"""What has the handle of a customer in it."""
LEDGER: tuple[type[Document], ...] = (SiteDay, DaySheet, GapReason)
RECORDS: tuple[type[Document], ...] = (
    Sighting, Claim, Holding, Presence, Decision, PendingDecision, Suppression, Hold, Audit,
    Notification, CollectorHeartbeat,
    WorkItem,
    FraudOutcome, DutyRecord, Incident,
)  # fmt: skip
"""What is kept as long as incidents are, the incident itself last."""


def expire(
    store: IncidentStore,
    keep: StoreSettings,
    reading: ClockReading,
    owed: Collection[type[Document]] = (),
    originals: OriginalSettings | None = None,
) -> Counter[type[Document]]:
    """Remove what retention no longer keeps, by running time; returns how many documents of each
    class went.

    `owed` are the classes that the last run removed something of: their bytes are asked to go once
    more.
    """
    removed, kept = Counter[type[Document]](), find_held(store)

    def old(
        kind: type[D], days: float, kept: Collection[str] = (), **equals: Collection[str]
    ) -> Iterator[list[D]]:
        for since, before in reading.older(days * DAY_SECONDS).moments():
            yield from _batches(
                store, kind, DocumentFilter(equals, since=since, before=before), kept
            )

    for sealed in old(Original, (originals or OriginalSettings()).days, kept):
        removed[Original] += store.delete(Original, [one.id for one in sealed])
    for exposures in old(Exposure, keep.exposures_days, kept):
        removed[Exposure] += _expired(
            store, [exposure.id for exposure in exposures], reading, keep.exposures_days
        )
    for background in old(Background, keep.exposures_days):
        removed[Background] += store.delete(Background, [document.id for document in background])
    for presences in old(Presence, WAITING_DAYS, state=("waiting",)):
        removed[Presence] += store.delete(Presence, [presence.id for presence in presences])
    days = [
        *((kind, COVERAGE_DAYS) for kind in LEDGER),
        *((kind, keep.incidents_days) for kind in RECORDS),
    ]
    # no setting ends a deadline by removing what it is counted from
    kept = kept | with_parts(store, find_running(store))
    for kind, kept_days in days:
        for documents in old(kind, kept_days, kept):
            removed[kind] += store.delete(kind, [document.id for document in documents])
    return _expunged(store, removed, owed)


def erase(store: IncidentStore, tenant: str, subject: str) -> Counter[type[Document]]:
    """Remove what names one customer, now: exposures, where else they were seen, what came of
    fraud; returns what went, a class.

    What is sealed of the posts in which they stood goes as well: a title or the name of a file may
    be theirs.
    """
    where = DocumentFilter({"tenant": (tenant,), "subject": (subject,)})
    removed = Counter[type[Document]]()
    for kind in NAMING:
        for some in _batches(store, kind, where):
            if originals := {
                sighting for one in some if isinstance(one, Exposure) for sighting in one.sightings
            }:
                removed[Original] += store.delete(Original, originals)
            removed[kind] += store.delete(kind, [one.id for one in some])
    return _expunged(store, removed)


def remove(
    store: IncidentStore, found: Iterable[tuple[type[Document], Sequence[str]]]
) -> Counter[type[Document]]:
    """Remove the documents of these ids, class by class, and have their bytes go; returns what
    went, a class.
    """
    removed = Counter[type[Document]]()
    for kind, ids in found:
        removed[kind] += sum(
            store.delete(kind, ids[at : at + BATCH]) for at in range(0, len(ids), BATCH)
        )
    return _expunged(store, removed)


def _expunged(
    store: IncidentStore, removed: Counter[type[Document]], owed: Collection[type[Document]] = ()
) -> Counter[type[Document]]:
    """`removed` without its zeros, after asking for the bytes to go."""
    removed = +removed
    if kinds := {*removed, *owed}:
        store.expunge(kinds)
    return removed


def _freeze(ids: Collection[str], now: datetime, merging: Merge) -> None:
    incidents = merging.mget(Incident, ids).values()
    merging.put(i.model_copy(update={"frozen_at": now}) for i in incidents if i.frozen_at is None)


def _expired(store: IncidentStore, ids: Collection[str], reading: ClockReading, days: float) -> int:
    """Remove those of these exposures in which nothing was seen for so many days; one into which
    a finding is merged stays.
    """
    read, long_ago = store.read(Exposure, ids), reading.older(days * DAY_SECONDS)
    old = {id_: one.version for id_, one in read.items() if one.document.last_seen in long_ago}
    merge(store, partial(_freeze, {read[id_].document.incident for id_ in old}, reading.now()))
    return store.delete(Exposure, [*old], old)


def _batches(
    store: IncidentStore, kind: type[D], where: DocumentFilter, kept: Collection[str] = ()
) -> Iterator[list[D]]:
    """Documents by the thousand, without those of the incidents `kept`."""
    documents = (
        document for document in store.scroll(kind, where) if _incident_of(document) not in kept
    )
    while batch := list(islice(documents, BATCH)):
        yield batch


def _incident_of(document: Document) -> str:
    """The incident that a document belongs to, "" for none."""
    return (
        document.id
        if isinstance(document, Incident | WorkItem)
        else getattr(document, "incident", "")
    )


EMBEDDED = "sqlite:///"


def parts(context: Context) -> Iterator[ErasureStage]:
    """See `ullage.erasure`."""
    yield ErasureStage(partial(_hinders, context), partial(_erase, context))


def _opened(context: Context) -> contextlib.AbstractContextManager[IncidentStore | None]:
    """The store, made where alert may yet fold what lies on a bus; None on a host that has
    neither.
    """
    store, bus = context.settings.store.url, context.settings.bus.url
    store_is_here = (
        not store.startswith(EMBEDDED) or (context.data / store.removeprefix(EMBEDDED)).is_file()
    )
    bus_is_here = (
        not bus.startswith(EMBEDDED)
        or (context.data / bus.removeprefix(EMBEDDED) / f"{FINDINGS}.sqlite").is_file()
    )
    return (
        contextlib.closing(open_configured_store(context))
        if store_is_here or bus_is_here
        else contextlib.nullcontext()
    )


def _vault(context: Context) -> Vault:
    return Vault(context.data / FOLDER)


def _hinders(context: Context, order: Order) -> Iterator[str]:
    """A line a hold."""
    with _opened(context) as store:
        if store is None:
            return
        store.refresh()
        for incident, hold in sorted(find_last_holds(store).items()):
            if hold.released or hold.tenant != order.tenant:
                continue
            theirs = DocumentFilter(
                {"incident": with_parts(store, [incident]), "subject": (order.handle,)}
            )
            if order.is_whole or store.count(Exposure, theirs):
                yield (
                    f"incident {incident} is held for case {hold.case} since {hold.at:%Y-%m-%d}, so"
                    f" nothing was erased: `ullage incidents hold {incident} --end` first, or erase"
                    " when the case is over"
                )


def _erase(context: Context, order: Order) -> Iterator[ErasureReport]:
    with _opened(context) as store:
        if store is None:
            yield ErasureReport("incident store", 0, "none is on this host")
        elif order.is_whole:
            yield from _tenant(store, order)
        else:
            yield from _customer(context, store, order)
    if order.is_whole:
        yield _evidence_of(_vault(context), order.tenant)


def _customer(context: Context, store: IncidentStore, order: Order) -> Iterator[ErasureReport]:
    set_tombstone(store, order.tenant, order.handle, order.now)
    store.refresh()
    seen = store.scroll(
        Exposure, DocumentFilter({"tenant": (order.tenant,), "subject": (order.handle,)})
    )
    sightings = {sighting for exposure in seen for sighting in exposure.sightings}
    expect_late_writes(store, order.tenant, order.handle, order.now, sightings)
    removed = erase(store, order.tenant, order.handle)
    for kind, count in sorted((kind.__name__, count) for kind, count in removed.items()):
        yield ErasureReport(f"incident store, {kind}", count)
    if not removed:
        yield ErasureReport("incident store", 0, "nothing there named this customer")
    yield _awaited(order)
    yield from _evidence_with(context, sightings)


def _evidence_with(context: Context, findings: Collection[str]) -> Iterator[ErasureReport]:
    """Sealed evidence of posts in which they stood: proof of a crime against everybody in it,
    which expires by itself.
    """
    items = [one for one in _vault(context).looked_through()[0] if one.head.finding in findings]
    if items:
        last = max(one.head.sealed_at for one in items) + timedelta(
            days=context.settings.evidence.days
        )
        stays = (
            f"{len(items)} files of posts with many people stay: two officers can open them"
            " together, for a court"
        )
        yield ErasureReport("evidence", 0, stays, last.date())


def _tenant(store: IncidentStore, order: Order) -> Iterator[ErasureReport]:
    """Every document of the tenant but the records of the audit and the tombstones; incidents
    last, as they name the others.
    """
    set_tombstone(store, order.tenant, EVERYBODY, order.now)
    store.refresh()
    for kind, count in remove(store, _of_tenant(store, order.tenant)).items():
        yield ErasureReport(f"incident store, {kind.__name__}", count)
    yield ErasureReport(
        "incident store, deletion mark",
        0,
        "two claims stay, by which nothing of the tenant is stored again",
    )
    yield _awaited(order)


def _of_tenant(
    store: IncidentStore, tenant: str, before: datetime | None = None
) -> Iterator[tuple[type[Document], list[str]]]:
    """The ids of all that goes with a tenant, a class; of a time `before` where that is given."""
    graves = {marker_id(tenant), tombstone_id(tenant, EVERYBODY)}
    last: list[type[Document]] = [Sighting, Incident]
    kinds = [kind for kind in CLASSES if "tenant" in kind.columns and kind not in (Audit, *last)]
    for kind in [*kinds, *last]:
        yield (
            kind,
            [
                one.id
                for one in store.scroll(kind, DocumentFilter({"tenant": (tenant,)}, before=before))
                if one.id not in graves
            ],
        )


def _awaited(order: Order) -> ErasureReport:
    stays = (
        "what a process had sent before and is written only now goes as well, when alert looks for"
        " it, every hour"
    )
    return ErasureReport("incident store, what comes late", 0, stays, (order.now + SETTLED).date())


def remove_late(store: IncidentStore, trail: Trail, reading: ClockReading) -> set[type[Document]]:
    """Remove what the store wrote after an erasure though it should not; returns of which classes.

    Once more when `SETTLED` is over, for alert may not have been there: what was seen since is of
    who is a customer again, and stays. The audit log has it before it goes.
    """
    store.refresh()
    gone = set[type[Document]]()
    for one in find_expected(store):
        is_settled = one.at in reading.older(SETTLED.total_seconds())
        before = one.at + SETTLED + timedelta.resolution if is_settled else None
        late = _late(store, one, before) if one.beginning else _of_tenant(store, one.tenant, before)
        found = [(kind, ids) for kind, ids in late if ids]
        if found:
            said = (
                f"tombstone {one.mark}: {sum(len(ids) for _, ids in found)} that came after it are"
                " removed"
            )
            action = "subject.erased" if one.beginning else "tenant.erased"
            trail.append(action, said, actor="alert", tenant=one.tenant)
            gone |= remove(store, found).keys()
        if before:
            store.delete(Claim, one.claims)
    return gone


def _late(
    store: IncidentStore, one: Tombstone, before: datetime | None
) -> Iterator[tuple[type[Document], list[str]]]:
    """The ids of what names a customer again, and of the originals of posts in which they stood."""
    originals = {*one.originals}
    for kind in NAMING:
        some = store.scroll(kind, DocumentFilter(begins={"subject": one.beginning}, before=before))
        theirs = [
            d for d in some if d.tenant == one.tenant and tombstone(d.tenant, d.subject) == one.mark
        ]
        originals |= {
            sighting for d in theirs if isinstance(d, Exposure) for sighting in d.sightings
        }
        yield kind, [d.id for d in theirs]
    yield Original, [*store.mget(Original, originals)]


def _evidence_of(vault: Vault, tenant: str) -> ErasureReport:
    """The folder of a tenant: holds were looked for before."""
    folder = vault.root / tenant
    files = [path for path in folder.glob("*") if path.is_file()] if folder.is_dir() else []
    for path in files:
        path.unlink()
    return ErasureReport("evidence", len(files))


RECOUNT_SECONDS = 15.0
RECENT_SECONDS = 60.0
EXPIRE_SECONDS = 3600.0
STALLED_SECONDS = 300.0
SHARE = 0.1
"""Of alert's time, what each work may take that grows with the history."""


@dataclass(slots=True)
class Maintenance:
    """Called at every turn of the loop; a store that is down is the loop's to wait for, so it is
    only skipped here.
    """

    store: IncidentStore
    keep: StoreSettings
    running_time: RunningTime
    metrics: AlertMetrics
    lag: Callable[[], Lag]
    recount_more: Callable[[], object] = lambda: None
    """Other gauges that are worked out from the store, once a minute as well: that reads much of
    what people decided.
    """
    also: Callable[[], None] = lambda: None
    """What else looks after itself at every turn; it does not wait for anything."""
    originals: OriginalSettings = field(default_factory=OriginalSettings)
    vault: Vault | None = None
    """Where sealed evidence may lie on this machine: what belongs to a held incident is marked."""
    late: Callable[[], Collection[type[Document]]] = tuple
    """Removes what reached the store after it was erased, and says of which classes that was."""
    ledger: Sequence[Callable[[], object]] = ()
    """What looks after the ledger of coverage, once a minute."""
    step: Callable[[], None] = lambda: None
    """One step of a work without end, at every turn."""
    _next: dict[str, float] = field(default_factory=dict)
    _turned: float = 0.0
    _owed: frozenset[type[Document]] = frozenset()

    def turn(self) -> None:
        """Do what is due."""
        self._turned = self.running_time.clock.monotonic()
        self.metrics.loop.record_turn()
        self.also()
        asked = BUS
        try:
            self.metrics.turned(self.lag())
            asked = STORE
            if self._due("expire", EXPIRE_SECONDS):
                self._expire()
            if self._due("recent", RECENT_SECONDS):
                for look in self.ledger:
                    look()
                # behind what sees to it that there is a work item of each incident
                self.metrics.recount_recent(self.store)
            if self._due("recount", RECOUNT_SECONDS):
                self.metrics.recount(self.store)  # as above
                self.metrics.loop.record_reachability(STORE, True)
            if self._due("more", RECENT_SECONDS):
                with self._sparing("more"):
                    self.recount_more()
            if self._due("step", 0.0):
                with self._sparing("step"):
                    self.step()
        except UnavailableError as error:
            self.metrics.loop.record_reachability(asked, False)
            log.get("alert").warning("upkeep_skipped", error=str(error))

    def _expire(self) -> None:
        if self.vault is not None:
            mark_evidence(self.store, self.vault)
        removed = expire(
            self.store, self.keep, self.running_time.read(), self._owed, self.originals
        )
        self._owed = frozenset(removed)
        self._owed |= {*self.late()}
        if removed:
            log.get("alert").info("expired", count=removed.total())

    def ready(self) -> bool:
        """Whether the loop has turned lately."""
        return self.running_time.clock.monotonic() - self._turned < STALLED_SECONDS

    @contextlib.contextmanager
    def _sparing(self, what: str) -> Iterator[None]:
        """However much there is to count, findings wait for no more than SHARE of the time: it
        is then done less often.
        """
        began = self.running_time.clock.monotonic()
        yield
        ended = self.running_time.clock.monotonic()
        self._next[what] = max(self._next[what], ended + (ended - began) * (1 / SHARE - 1))

    def _due(self, what: str, every: float) -> bool:
        now = self.running_time.clock.monotonic()
        if now < self._next.get(what, float("-inf")):
            return False
        self._next[what] = now + every
        return True
