"""Retention and erasure: by scroll and delete from our side, so that every store does it alike.

Exposures name a customer's handle and go first. Before the first of an incident's goes its numbers are frozen: from then on
they cannot be counted again. Erasing one customer is different: the numbers then follow what is left.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import islice

from alerts.records import Audit, Claim, D, Decision, Document, Exposure, Incident, Notification, Sighting
from alerts.store import IncidentStore, Where
from ullage.settings import StoreSettings

BATCH = 1_000
RECORDS: tuple[type[Document], ...] = (Sighting, Claim, Decision, Audit, Notification, Incident)
"""What is kept as long as incidents are, the incident itself last."""


def expire(store: IncidentStore, keep: StoreSettings, now: datetime) -> int:
    """Remove what retention no longer keeps; returns how many documents went."""
    removed = 0
    for exposures in _batches(store, Exposure, Where(before=now - timedelta(days=keep.exposures_days))):
        _freeze(store, {exposure.incident for exposure in exposures}, now)
        removed += store.delete(Exposure, [exposure.id for exposure in exposures])
    for kind in RECORDS:
        for documents in _batches(store, kind, Where(before=now - timedelta(days=keep.incidents_days))):
            removed += store.delete(kind, [document.id for document in documents])
    return removed


def erase(store: IncidentStore, tenant: str, subject: str) -> int:
    """Remove every exposure of one customer, now; returns how many there were."""
    where = Where({"tenant": (tenant,), "subject": (subject,)})
    return sum(store.delete(Exposure, [exposure.id for exposure in found]) for found in _batches(store, Exposure, where))


def _freeze(store: IncidentStore, ids: Iterable[str], now: datetime) -> None:
    incidents = store.mget(Incident, list(ids)).values()
    store.put([i.model_copy(update={"frozen_at": now}) for i in incidents if i.frozen_at is None])


def _batches(store: IncidentStore, kind: type[D], where: Where) -> Iterator[list[D]]:
    documents = store.scroll(kind, where)
    while batch := list(islice(documents, BATCH)):
        yield batch
