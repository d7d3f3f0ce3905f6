"""Retention and erasure: by scroll and delete from our side, so that every store does it alike.

Exposures name a customer's handle and go first. Before the first of an incident's goes its numbers are frozen: from then on
they cannot be counted again. Erasing one customer is different: the numbers then follow what is left. After the last delete
the store is asked once to let the bytes go as well (`IncidentStore.expunge`). What belongs to an incident that somebody holds
for a case stays, however old it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from functools import partial
from itertools import islice

from alerts.decisions.holds import held
from alerts.records import (
    Audit,
    Background,
    Claim,
    DaySheet,
    Decision,
    DutyRecord,
    Exposure,
    FraudOutcome,
    GapReason,
    Heard,
    Hold,
    Holding,
    Incident,
    Notification,
    Original,
    Presence,
    Sighting,
    SiteDay,
    Suppression,
    WorkItem,
)
from alerts.records.document import D, Document
from alerts.store import DocumentFilter, IncidentStore
from alerts.store.merge import Merge, merge
from ullage.running_time import DAY_SECONDS, ClockReading
from ullage.settings import OriginalSettings, StoreSettings

BATCH = 1_000
WAITING_DAYS = 15
"""That a post is gone is kept for so long without a sighting of it: a finding may lie on the bus for a week, and as a dead letter
for another."""
NAMING: tuple[type[Exposure | Background | FraudOutcome], ...] = (Exposure, Background, FraudOutcome)
"""What has the handle of a customer in it."""
LEDGER: tuple[type[Document], ...] = (SiteDay, DaySheet, GapReason)
RECORDS: tuple[type[Document], ...] = (
    Sighting, Claim, Holding, Presence, Decision, Suppression, Hold, Audit, Notification, Heard, WorkItem, FraudOutcome,
    DutyRecord, Incident,
)  # fmt: skip
"""What is kept as long as incidents are, the incident itself last."""


def expire(
    store: IncidentStore,
    keep: StoreSettings,
    reading: ClockReading,
    owed: Collection[type[Document]] = (),
    originals: OriginalSettings | None = None,
) -> Counter[type[Document]]:
    """Remove what retention no longer keeps, by running time; returns how many documents of each class went.

    `owed` are the classes that the last run removed something of: their bytes are asked to go once more.
    """
    removed, kept = Counter[type[Document]](), held(store)

    def old(kind: type[D], days: float, kept: Collection[str] = (), **equals: Collection[str]) -> Iterator[list[D]]:
        for since, before in reading.older(days * DAY_SECONDS).moments():
            yield from _batches(store, kind, DocumentFilter(equals, since=since, before=before), kept)

    for sealed in old(Original, (originals or OriginalSettings()).days, kept):
        removed[Original] += store.delete(Original, [one.id for one in sealed])
    for exposures in old(Exposure, keep.exposures_days, kept):
        removed[Exposure] += _expired(store, [exposure.id for exposure in exposures], reading, keep.exposures_days)
    for background in old(Background, keep.exposures_days):
        removed[Background] += store.delete(Background, [document.id for document in background])
    for presences in old(Presence, WAITING_DAYS, state=("waiting",)):
        removed[Presence] += store.delete(Presence, [presence.id for presence in presences])
    days = [*((kind, keep.coverage_days) for kind in LEDGER), *((kind, keep.incidents_days) for kind in RECORDS)]
    for kind, kept_days in days:
        for documents in old(kind, kept_days, kept):
            removed[kind] += store.delete(kind, [document.id for document in documents])
    return _expunged(store, removed, owed)


def erase(store: IncidentStore, tenant: str, subject: str) -> Counter[type[Document]]:
    """Remove what names one customer, now: exposures, where else they were seen, what came of fraud; returns what went, a class.

    What is sealed of the posts in which they stood goes as well: a title or the name of a file may be theirs.
    """
    where = DocumentFilter({"tenant": (tenant,), "subject": (subject,)})
    removed = Counter[type[Document]]()
    for kind in NAMING:
        for some in _batches(store, kind, where):
            if originals := {sighting for one in some if isinstance(one, Exposure) for sighting in one.sightings}:
                removed[Original] += store.delete(Original, originals)
            removed[kind] += store.delete(kind, [one.id for one in some])
    return _expunged(store, removed)


def remove(store: IncidentStore, found: Iterable[tuple[type[Document], Sequence[str]]]) -> Counter[type[Document]]:
    """Remove the documents of these ids, class by class, and have their bytes go; returns what went, a class."""
    removed = Counter[type[Document]]()
    for kind, ids in found:
        removed[kind] += sum(store.delete(kind, ids[at : at + BATCH]) for at in range(0, len(ids), BATCH))
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
    """Remove those of these exposures in which nothing was seen for so many days; one into which a finding is merged stays."""
    read, long_ago = store.read(Exposure, ids), reading.older(days * DAY_SECONDS)
    old = {id_: one.version for id_, one in read.items() if one.document.last_seen in long_ago}
    merge(store, partial(_freeze, {read[id_].document.incident for id_ in old}, reading.now()))
    return store.delete(Exposure, [*old], old)


def _batches(store: IncidentStore, kind: type[D], where: DocumentFilter, kept: Collection[str] = ()) -> Iterator[list[D]]:
    """Documents by the thousand, without those of the incidents `kept`."""
    documents = (document for document in store.scroll(kind, where) if _incident_of(document) not in kept)
    while batch := list(islice(documents, BATCH)):
        yield batch


def _incident_of(document: Document) -> str:
    """The incident that a document belongs to, "" for none."""
    return document.id if isinstance(document, Incident | WorkItem) else getattr(document, "incident", "")
