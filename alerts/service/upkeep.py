"""Work between batches: gauges, retention, erasure.

Exposures name a customer's pseudonym and are removed first. Before the first exposure of an
incident is removed the incident's numbers are frozen, because they cannot be counted afterwards.
After erasing one customer the numbers do follow the remaining exposures. After the last delete the
store is asked to expunge the bytes (`IncidentStore.expunge`). Whatever belongs to an incident on
hold for a case stays, however old it is.

A hold prevents an erasure: nothing that a case needs is removed. The tombstone is set first, so
that alert does not store the customer again meanwhile (`alerts.store.queries`). Incidents retain
their numbers and the digests by which posts are compared: these name nobody, and are recomputed
when an incident is written again. A write that a process sent before, and that the store applies
only now, is removed by alert within the hour (`remove_late`).
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from itertools import islice

from alerts.cases.evidence import find_held, find_last_holds, mark_evidence, with_parts
from alerts.cases.fraud_cases import find_last_reports, without_customer
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
    FraudCase,
    GapReason,
    Hold,
    Holding,
    Incident,
    Notification,
    Original,
    PendingDecision,
    Presence,
    ShiftHandover,
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
"""Retention of a post that is gone without a sighting of it: a finding may be on the bus for a
week, and in the dead letters for another.
"""
COVERAGE_DAYS = 400.0
"""Retention of the coverage log, which names nobody: a year's proof and a month to request it."""
NAMING: tuple[type[Exposure | Background | FraudCase], ...] = (
    Exposure,
    Background,
    FraudCase,
)
"""Classes with the pseudonym of a customer."""
LEDGER: tuple[type[Document], ...] = (SiteDay, DaySheet, GapReason)
RECORDS: tuple[type[Document], ...] = (
    Sighting, Claim, Holding, Presence, Decision, PendingDecision, Suppression, Hold, Audit,
    ShiftHandover,
    Notification, CollectorHeartbeat,
    WorkItem,
    FraudCase, DutyRecord, Incident,
)  # fmt: skip
"""Classes with the retention of incidents, the incident itself last.

A fraud case is without its customer by then (`_expire_fraud_cases`).
"""


def expire(
    store: IncidentStore,
    keep: StoreSettings,
    reading: ClockReading,
    owed: Collection[type[Document]] = (),
    originals: OriginalSettings | None = None,
) -> Counter[type[Document]]:
    """Delete documents that are past their retention, and return how many, by class.

    Age is measured by running time (`reading`); nothing is deleted while the clocks disagree, nor
    what a hold or a running deadline needs. `owed` are the classes that the last run deleted
    documents of: their bytes are expunged again.
    """
    removed, retained = Counter[type[Document]](), find_held(store)

    def old(
        kind: type[D], days: float, retained: Collection[str] = (), **equals: Collection[str]
    ) -> Iterator[list[D]]:
        for since, before in reading.older(days * DAY_SECONDS).moments():
            yield from _batches(
                store, kind, DocumentFilter(equals, since=since, before=before), retained
            )

    for sealed in old(Original, (originals or OriginalSettings()).days, retained):
        removed[Original] += store.delete(Original, [original.id for original in sealed])
    for exposures in old(Exposure, keep.exposures_days, retained):
        removed[Exposure] += _expire_exposures(
            store, [exposure.id for exposure in exposures], reading, keep.exposures_days
        )
    for background in old(Background, keep.exposures_days):
        removed[Background] += store.delete(Background, [document.id for document in background])
    for cases in old(FraudCase, keep.exposures_days, retained):
        removed[FraudCase] += _expire_fraud_cases(store, cases)
    for presences in old(Presence, WAITING_DAYS, state=("waiting",)):
        removed[Presence] += store.delete(Presence, [presence.id for presence in presences])
    days = [
        *((kind, COVERAGE_DAYS) for kind in LEDGER),
        *((kind, keep.incidents_days) for kind in RECORDS),
    ]
    # retention never ends a deadline by removing the facts that it is counted from
    retained = retained | with_parts(store, find_running(store))
    for kind, kept_days in days:
        for documents in old(kind, kept_days, retained):
            removed[kind] += store.delete(kind, [document.id for document in documents])
    return _expunge(store, removed, owed)


def erase(store: IncidentStore, tenant: str, subject: str) -> Counter[type[Document]]:
    """Delete all documents that name one customer, and return how many, by class.

    These are exposures, records of benign posts, fraud cases and the sealed originals of posts with
    the customer, because a title or file name may be personal. `subject` is the pseudonym.
    """
    where = DocumentFilter({"tenant": (tenant,), "subject": (subject,)})
    removed = Counter[type[Document]]()
    for kind in NAMING:
        for batch in _batches(store, kind, where):
            if originals := {
                sighting
                for document in batch
                if isinstance(document, Exposure)
                for sighting in document.sightings
            }:
                removed[Original] += store.delete(Original, originals)
            removed[kind] += store.delete(kind, [document.id for document in batch])
    return _expunge(store, removed)


def remove(
    store: IncidentStore, ids_by_class: Iterable[tuple[type[Document], Sequence[str]]]
) -> Counter[type[Document]]:
    """Delete the documents with these ids, class by class; return how many were deleted, by class.

    The store then overwrites the deleted bytes.
    """
    removed = Counter[type[Document]]()
    for kind, ids in ids_by_class:
        removed[kind] += sum(
            store.delete(kind, ids[at : at + BATCH]) for at in range(0, len(ids), BATCH)
        )
    return _expunge(store, removed)


def _expunge(
    store: IncidentStore, removed: Counter[type[Document]], owed: Collection[type[Document]] = ()
) -> Counter[type[Document]]:
    """Expunge the bytes of removed documents; return `removed` without its zeros."""
    removed = +removed
    if kinds := {*removed, *owed}:
        store.expunge(kinds)
    return removed


def _freeze(ids: Collection[str], now: datetime, merging: Merge) -> None:
    incidents = merging.mget(Incident, ids).values()
    merging.put(i.model_copy(update={"frozen_at": now}) for i in incidents if i.frozen_at is None)


def _expire_exposures(
    store: IncidentStore, ids: Collection[str], reading: ClockReading, days: float
) -> int:
    """Remove those of these exposures without a sighting for so many days.

    One into which a finding is merged meanwhile stays.
    """
    read, long_ago = store.read(Exposure, ids), reading.older(days * DAY_SECONDS)
    old = {
        id_: versioned.version
        for id_, versioned in read.items()
        if versioned.document.last_seen in long_ago
    }
    merge(store, partial(_freeze, {read[id_].document.incident for id_ in old}, reading.now()))
    return store.delete(Exposure, [*old], old)


def _expire_fraud_cases(store: IncidentStore, cases: Sequence[FraudCase]) -> int:
    """Remove fraud cases that name their customer, and return how many.

    The last report of each customer of an incident is first stored again without the customer, so
    that the incident's numbers stay.
    """
    named = [case for case in cases if case.subject]
    whose = {(case.tenant, case.incident, case.subject) for case in named if case.incident}
    last = {
        report.id
        for tenant, incident, subject in whose
        for report in find_last_reports(
            store.scroll(
                FraudCase,
                DocumentFilter(
                    {"tenant": (tenant,), "incident": (incident,), "subject": (subject,)}
                ),
            )
        )
    }
    store.create([without_customer(case) for case in named if case.id in last])
    return store.delete(FraudCase, [case.id for case in named])


def _batches(
    store: IncidentStore, kind: type[D], where: DocumentFilter, retained: Collection[str] = ()
) -> Iterator[list[D]]:
    """Yield documents in batches, without those of the incidents `retained`."""
    documents = (
        document for document in store.scroll(kind, where) if _incident_id(document) not in retained
    )
    while batch := list(islice(documents, BATCH)):
        yield batch


def _incident_id(document: Document) -> str:
    """Return the id of the incident that a document belongs to, "" for none."""
    return (
        document.id
        if isinstance(document, Incident | WorkItem)
        else getattr(document, "incident", "")
    )


EMBEDDED = "sqlite:///"


def parts(context: Context) -> Iterator[ErasureStage]:
    """Yield the erasure stages of the incident store; see `ullage.erasure`."""
    yield ErasureStage(partial(_find_holds, context), partial(_erase, context))


def _open_store(context: Context) -> contextlib.AbstractContextManager[IncidentStore | None]:
    """Open the store, creating it where alert may yet read records from a bus.

    The context is None on a host that has neither.
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


def _open_vault(context: Context) -> Vault:
    return Vault(context.data / FOLDER)


def _find_holds(context: Context, order: Order) -> Iterator[str]:
    """Yield a line for each hold that prevents the erasure.

    For one customer only holds of incidents with that customer do; for a whole tenant all of its
    holds. Yields nothing without a store here.
    """
    with _open_store(context) as store:
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
    with _open_store(context) as store:
        if store is None:
            yield ErasureReport("incident store", 0, "none is on this host")
        elif order.is_whole:
            yield from _erase_tenant(store, order)
        else:
            yield from _erase_customer(context, store, order)
    if order.is_whole:
        yield _delete_evidence(_open_vault(context), order.tenant)


def _erase_customer(
    context: Context, store: IncidentStore, order: Order
) -> Iterator[ErasureReport]:
    set_tombstone(store, order.tenant, order.handle, order.now)
    store.refresh()
    exposures = store.scroll(
        Exposure, DocumentFilter({"tenant": (order.tenant,), "subject": (order.handle,)})
    )
    sightings = {sighting for exposure in exposures for sighting in exposure.sightings}
    expect_late_writes(store, order.tenant, order.handle, order.now, sightings)
    removed = erase(store, order.tenant, order.handle)
    for kind, count in sorted((kind.__name__, count) for kind, count in removed.items()):
        yield ErasureReport(f"incident store, {kind}", count)
    if not removed:
        yield ErasureReport("incident store", 0, "nothing there named this customer")
    yield _report_late_writes(order)
    yield from _report_evidence(context, sightings)


def _report_evidence(context: Context, findings: Collection[str]) -> Iterator[ErasureReport]:
    """Report encrypted evidence of posts with the customer.

    It is proof of a crime against everybody in it, and expires on its own.
    """
    items = [item for item in _open_vault(context).scan()[0] if item.head.finding in findings]
    if items:
        last = max(item.head.sealed_at for item in items) + timedelta(
            days=context.settings.evidence.days
        )
        stays = (
            f"{len(items)} files of posts with many people stay: two officers can open them"
            " together, for a court"
        )
        yield ErasureReport("evidence", 0, stays, last.date())


def _erase_tenant(store: IncidentStore, order: Order) -> Iterator[ErasureReport]:
    """Erase every document of the tenant except audit records and tombstones.

    Incidents are last, because they name the remaining documents.
    """
    set_tombstone(store, order.tenant, EVERYBODY, order.now)
    store.refresh()
    for kind, count in remove(store, _iterate_tenant_ids(store, order.tenant)).items():
        yield ErasureReport(f"incident store, {kind.__name__}", count)
    yield ErasureReport(
        "incident store, deletion mark",
        0,
        "two claims stay, by which nothing of the tenant is stored again",
    )
    yield _report_late_writes(order)


def _iterate_tenant_ids(
    store: IncidentStore, tenant: str, before: datetime | None = None
) -> Iterator[tuple[type[Document], list[str]]]:
    """Yield the ids of a tenant's documents by class, `before` a time if given."""
    graves = {marker_id(tenant), tombstone_id(tenant, EVERYBODY)}
    last: list[type[Document]] = [Sighting, Incident]
    kinds = [kind for kind in CLASSES if "tenant" in kind.columns and kind not in (Audit, *last)]
    for kind in [*kinds, *last]:
        yield (
            kind,
            [
                document.id
                for document in store.scroll(
                    kind, DocumentFilter({"tenant": (tenant,)}, before=before)
                )
                if document.id not in graves
            ],
        )


def _report_late_writes(order: Order) -> ErasureReport:
    stays = (
        "what a process had sent before and is written only now goes as well, when alert looks for"
        " it, every hour"
    )
    return ErasureReport("incident store, what comes late", 0, stays, (order.now + SETTLED).date())


def remove_late(store: IncidentStore, trail: Trail, reading: ClockReading) -> set[type[Document]]:
    """Delete documents that arrived after the erasure they fall under; return the affected classes.

    Repeated for `SETTLED` after each erasure, because alert may have been down; later documents are
    of somebody who is a customer again. An audit log entry is written before each removal.
    """
    store.refresh()
    gone = set[type[Document]]()
    for erased in find_expected(store):
        is_settled = erased.at in reading.older(SETTLED.total_seconds())
        before = erased.at + SETTLED + timedelta.resolution if is_settled else None
        late = (
            _iterate_late_ids(store, erased, before)
            if erased.beginning
            else _iterate_tenant_ids(store, erased.tenant, before)
        )
        ids_by_class = [(kind, ids) for kind, ids in late if ids]
        if ids_by_class:
            description = (
                f"deletion mark {erased.mark}: {sum(len(ids) for _, ids in ids_by_class)}"
                " that came after it are removed"
            )
            action = "subject.erased" if erased.beginning else "tenant.erased"
            trail.append(action, description, actor="alert", tenant=erased.tenant)
            gone |= remove(store, ids_by_class).keys()
        if before:
            store.delete(Claim, erased.claims)
    return gone


def _iterate_late_ids(
    store: IncidentStore, erased: Tombstone, before: datetime | None
) -> Iterator[tuple[type[Document], list[str]]]:
    """Yield ids of documents that name a customer again, and of the originals of their posts.

    One list for each class of documents, which may be empty; with `before`, only older documents.
    """
    originals = {*erased.originals}
    for kind in NAMING:
        candidates = store.scroll(
            kind, DocumentFilter(begins={"subject": erased.beginning}, before=before)
        )
        theirs = [
            d
            for d in candidates
            if d.tenant == erased.tenant and tombstone(d.tenant, d.subject) == erased.mark
        ]
        originals |= {
            sighting for d in theirs if isinstance(d, Exposure) for sighting in d.sightings
        }
        yield kind, [d.id for d in theirs]
    yield Original, [*store.mget(Original, originals)]


def _delete_evidence(vault: Vault, tenant: str) -> ErasureReport:
    """Delete the files in a tenant's evidence folder; holds were checked before."""
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
"""Share of alert's time that each work may take that grows with the history."""


@dataclass(slots=True)
class Maintenance:
    """The work at every turn of the loop.

    If the store is down the loop waits for it, and the work is only skipped here.
    """

    store: IncidentStore
    keep: StoreSettings
    running_time: RunningTime
    metrics: AlertMetrics
    lag: Callable[[], Lag]
    recount_more: Callable[[], object] = lambda: None
    """Updates further gauges from the store each minute; this reads many decisions."""
    also: Callable[[], None] = lambda: None
    """Further work at every turn that never waits."""
    originals: OriginalSettings = field(default_factory=OriginalSettings)
    vault: Vault | None = None
    """Encrypted evidence on this machine; files of an incident on hold are marked."""
    late: Callable[[], Collection[type[Document]]] = tuple
    """Removes late writes of erased customers, and returns the affected classes."""
    ledger: Sequence[Callable[[], object]] = ()
    """Work on the coverage log, each minute."""
    step: Callable[[], None] = lambda: None
    """One step of an endless work, at every turn."""
    _next: dict[str, float] = field(default_factory=dict)
    _turned: float = 0.0
    _owed: frozenset[type[Document]] = frozenset()

    def turn(self) -> None:
        """Do the periodic work that is due: metrics, expiry, and a slice of longer work.

        If the bus or the store is unavailable, the rest is skipped and a warning is logged.
        """
        self._turned = self.running_time.clock.monotonic()
        self.metrics.loop.record_turn()
        self.also()
        dependency = BUS
        try:
            self.metrics.set_lag(self.lag())
            dependency = STORE
            if self._is_due("expire", EXPIRE_SECONDS):
                self._expire()
            if self._is_due("recent", RECENT_SECONDS):
                for look in self.ledger:
                    look()
                # after the work that ensures a work item for each incident
                self.metrics.recount_recent(self.store)
            if self._is_due("recount", RECOUNT_SECONDS):
                self.metrics.recount(self.store)  # as above
                self.metrics.loop.record_reachability(STORE, True)
            if self._is_due("more", RECENT_SECONDS):
                with self._limit_share("more"):
                    self.recount_more()
            if self._is_due("step", 0.0):
                with self._limit_share("step"):
                    self.step()
        except UnavailableError as error:
            self.metrics.loop.record_reachability(dependency, False)
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
        """Return whether the loop has turned recently."""
        return self.running_time.clock.monotonic() - self._turned < STALLED_SECONDS

    @contextlib.contextmanager
    def _limit_share(self, what: str) -> Iterator[None]:
        """Limit a work to SHARE of the time, however much there is to count.

        It is then done less often.
        """
        began = self.running_time.clock.monotonic()
        yield
        ended = self.running_time.clock.monotonic()
        self._next[what] = max(self._next[what], ended + (ended - began) * (1 / SHARE - 1))

    def _is_due(self, what: str, every: float) -> bool:
        now = self.running_time.clock.monotonic()
        if now < self._next.get(what, float("-inf")):
            return False
        self._next[what] = now + every
        return True
