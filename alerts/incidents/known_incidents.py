"""Which incidents hold what a finding looks for, as a search finds it after a refresh.

The refresh shows every write that has returned, of this process or another, as reading by id would: what the batch before this
one wrote a millisecond ago is found.
"""

from __future__ import annotations

from collections.abc import Collection

from alerts.records import Holding
from alerts.store import DocumentFilter, IncidentStore


def held(store: IncidentStore, values: Collection[str]) -> dict[str, Holding]:
    """By value, of those that any incident has, what holds it."""
    if not values:
        return {}
    store.refresh(Holding)
    wanted = frozenset(values)
    found = list(store.scroll(Holding, DocumentFilter({"values": wanted})))
    found.sort(key=lambda one: (-one.turn, one.at, one.id), reverse=True)  # the last of a value is the one that counts
    return {value: one for one in found for value in one.values if value in wanted}
