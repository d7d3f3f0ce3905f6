"""What `ullage erase` takes out of the incident store, and of the folder of sealed evidence.

A hold stands in its way: what a case needs is not taken from it. The tombstone is set first, so that alert, which may be folding,
brings nobody back (`alerts.incidents.tombstones`). Incidents keep their numbers and the digests by which posts are compared:
these name nobody, and follow what is left when an incident is written again. What a process had sent before, and the store writes
only now, alert removes within the hour (`remove_late`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from datetime import datetime, timedelta
from functools import partial

from alerts.decisions.holds import last_words, with_parts
from alerts.incidents.tombstones import Tombstone, awaited, bury, grave_id, marker_id, wait_for
from alerts.maintenance.retention import NAMING, erase, remove
from alerts.records import CLASSES, Audit, Claim, Exposure, Incident, Original, Sighting
from alerts.records.document import Document
from alerts.store import DocumentFilter, IncidentStore, configured_store
from ullage.audit import Trail
from ullage.bus import FINDINGS
from ullage.custody.vault import Vault
from ullage.erasure import ErasureReport, ErasureStage, Order
from ullage.lookup.tombstones import EVERYBODY, SETTLED, tombstone
from ullage.running_time import ClockReading
from ullage.settings import Context

EMBEDDED = "sqlite:///"


def parts(context: Context) -> Iterator[ErasureStage]:
    """See `ullage.erasure`."""
    yield ErasureStage(partial(_hinders, context), partial(_erase, context))


def _opened(context: Context) -> contextlib.AbstractContextManager[IncidentStore | None]:
    """The store, made where alert may yet fold what lies on a bus; None on a host that has neither."""
    store, bus = context.settings.store.url, context.settings.bus.url
    store_is_here = not store.startswith(EMBEDDED) or (context.data / store.removeprefix(EMBEDDED)).is_file()
    bus_is_here = not bus.startswith(EMBEDDED) or (context.data / bus.removeprefix(EMBEDDED) / f"{FINDINGS}.sqlite").is_file()
    return contextlib.closing(configured_store(context)) if store_is_here or bus_is_here else contextlib.nullcontext()


def _vault(context: Context) -> Vault:
    return Vault(context.data / context.settings.evidence.folder)


def _hinders(context: Context, order: Order) -> Iterator[str]:
    """A line a hold."""
    with _opened(context) as store:
        if store is None:
            return
        store.refresh()
        for incident, hold in sorted(last_words(store).items()):
            if hold.released or hold.tenant != order.tenant:
                continue
            theirs = DocumentFilter({"incident": with_parts(store, [incident]), "subject": (order.handle,)})
            if order.is_whole or store.count(Exposure, theirs):
                yield (
                    f"incident {incident} is held for case {hold.case} since {hold.at:%Y-%m-%d}, so nothing was erased:"
                    f" `ullage incidents hold {incident} --end` first, or erase when the case is over"
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
    bury(store, order.tenant, order.handle, order.now)
    store.refresh()
    seen = store.scroll(Exposure, DocumentFilter({"tenant": (order.tenant,), "subject": (order.handle,)}))
    sightings = {sighting for exposure in seen for sighting in exposure.sightings}
    wait_for(store, order.tenant, order.handle, order.now, sightings)
    removed = erase(store, order.tenant, order.handle)
    for kind, count in sorted((kind.__name__, count) for kind, count in removed.items()):
        yield ErasureReport(f"incident store, {kind}", count)
    if not removed:
        yield ErasureReport("incident store", 0, "nothing there named this customer")
    yield _awaited(order)
    yield from _evidence_with(context, sightings)


def _evidence_with(context: Context, findings: Collection[str]) -> Iterator[ErasureReport]:
    """Sealed evidence of posts in which they stood: proof of a crime against everybody in it, which expires by itself."""
    items = [one for one in _vault(context).looked_through()[0] if one.head.finding in findings]
    if items:
        last = max(one.head.sealed_at for one in items) + timedelta(days=context.settings.evidence.days)
        stays = f"{len(items)} files of posts with many people stay: two officers can open them together, for a court"
        yield ErasureReport("evidence", 0, stays, last.date())


def _tenant(store: IncidentStore, order: Order) -> Iterator[ErasureReport]:
    """Every document of the tenant but the records of the audit and the tombstones; incidents last, as they name the others."""
    bury(store, order.tenant, EVERYBODY, order.now)
    store.refresh()
    for kind, count in remove(store, _of_tenant(store, order.tenant)).items():
        yield ErasureReport(f"incident store, {kind.__name__}", count)
    yield ErasureReport("incident store, deletion mark", 0, "two claims stay, by which nothing of the tenant is stored again")
    yield _awaited(order)


def _of_tenant(store: IncidentStore, tenant: str, before: datetime | None = None) -> Iterator[tuple[type[Document], list[str]]]:
    """The ids of all that goes with a tenant, a class; of a time `before` where that is given."""
    graves = {marker_id(tenant), grave_id(tenant, EVERYBODY)}
    last: list[type[Document]] = [Sighting, Incident]
    kinds = [kind for kind in CLASSES if "tenant" in kind.columns and kind not in (Audit, *last)]
    for kind in [*kinds, *last]:
        yield (
            kind,
            [one.id for one in store.scroll(kind, DocumentFilter({"tenant": (tenant,)}, before=before)) if one.id not in graves],
        )


def _awaited(order: Order) -> ErasureReport:
    stays = "what a process had sent before and is written only now goes as well, when alert looks for it, every hour"
    return ErasureReport("incident store, what comes late", 0, stays, (order.now + SETTLED).date())


def remove_late(store: IncidentStore, trail: Trail, reading: ClockReading) -> set[type[Document]]:
    """Remove what the store wrote after an erasure though it should not; returns of which classes.

    Once more when `SETTLED` is over, for alert may not have been there: what was seen since is of who is a customer again, and
    stays. The audit log has it before it goes.
    """
    store.refresh()
    gone = set[type[Document]]()
    for one in awaited(store):
        is_settled = one.at in reading.older(SETTLED.total_seconds())
        before = one.at + SETTLED + timedelta.resolution if is_settled else None
        late = _late(store, one, before) if one.beginning else _of_tenant(store, one.tenant, before)
        found = [(kind, ids) for kind, ids in late if ids]
        if found:
            said = f"tombstone {one.mark}: {sum(len(ids) for _, ids in found)} that came after it are removed"
            action = "subject.erased" if one.beginning else "tenant.erased"
            trail.append(action, said, actor="alert", tenant=one.tenant)
            gone |= remove(store, found).keys()
        if before:
            store.delete(Claim, one.claims)
    return gone


def _late(store: IncidentStore, one: Tombstone, before: datetime | None) -> Iterator[tuple[type[Document], list[str]]]:
    """The ids of what names a customer again, and of the originals of posts in which they stood."""
    originals = {*one.originals}
    for kind in NAMING:
        some = store.scroll(kind, DocumentFilter(begins={"subject": one.beginning}, before=before))
        theirs = [d for d in some if d.tenant == one.tenant and tombstone(d.tenant, d.subject) == one.mark]
        originals |= {sighting for d in theirs if isinstance(d, Exposure) for sighting in d.sightings}
        yield kind, [d.id for d in theirs]
    yield Original, [*store.mget(Original, originals)]


def _evidence_of(vault: Vault, tenant: str) -> ErasureReport:
    """The folder of a tenant: holds were looked for before."""
    folder = vault.root / tenant
    files = [path for path in folder.glob("*") if path.is_file()] if folder.is_dir() else []
    for path in files:
        path.unlink()
    return ErasureReport("evidence", len(files))
