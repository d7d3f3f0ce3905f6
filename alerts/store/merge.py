"""What is merged from what was read is written over just that: optimistic concurrency (Kung and Robinson, 1981).

Two processes may for a moment both own a partition, around a rebalance, and what a process sent before it stalled or was killed
may reach the store seconds late. Whoever writes a document that they read and changed would then take away what another added
in between. So `Merge` remembers the version of each document that it read and writes over these versions alone; where one has
another by now it raises `ConflictError`, and `merge` does it all again from reading, which finds what the other added.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from alerts.records.document import D, Document
from alerts.store import IncidentStore, WriteResult
from ullage.errors import RecordError, UnavailableError

T = TypeVar("T")
TRIES = 4
"""How often in a row it is done before whoever asked waits and tries again."""


class ConflictError(UnavailableError):
    """Somebody else wrote what was to be written over; doing it again from reading mends that."""


@dataclass(slots=True)
class Merge:
    """Reads by id, and writes over what it read."""

    store: IncidentStore
    _versions: dict[type[Document], dict[str, str]] = field(default_factory=dict)

    def mget(self, kind: type[D], ids: Collection[str]) -> dict[str, D]:
        """See `IncidentStore.mget`. What is read twice is written over what it was at first."""
        found, known = self.store.read(kind, ids), self._versions.setdefault(kind, {})
        for id_ in ids:
            known.setdefault(id_, found[id_].version if id_ in found else "")
        return {id_: one.document for id_, one in found.items()}

    def put(self, documents: Iterable[Document]) -> None:
        """Write each over what was read of it, or create it where nothing was there; no two of them have the same id.

        ConflictError when one is not as it was read, RecordError when the store can never take one; others may be written then.
        """
        some = [*documents]
        outcomes = self.store.put(some, self._over(*{type(one) for one in some}))
        if WriteResult.REJECTED in outcomes:
            raise RecordError("rejected")
        if WriteResult.CONFLICT in outcomes:
            raise ConflictError(_overtaken(type(some[outcomes.index(WriteResult.CONFLICT)])))

    def delete(self, kind: type[Document], ids: Collection[str]) -> int:
        """Remove what was read; returns how many that were. ConflictError when one is not as it was read, or gone."""
        removed = self.store.delete(kind, ids, self._over(kind)) if ids else 0
        if removed < len({*ids}):
            raise ConflictError(_overtaken(kind))
        return removed

    def _over(self, *kinds: type[Document]) -> dict[str, str]:
        return {id_: version for kind in kinds for id_, version in self._versions.get(kind, {}).items() if version}


def merge(store: IncidentStore, act: Callable[[Merge], T]) -> T:
    """What `act` returns, which is done again from reading as long as others write the same, `TRIES` times at most.

    ConflictError after that. `act` must bear being done again after any of its writes.
    """
    for _ in range(TRIES - 1):
        try:
            return act(Merge(store))
        except ConflictError:
            continue
    return act(Merge(store))


def _overtaken(kind: type[Document]) -> str:
    return f"another process writes the same {kind.__name__.lower()} documents of the store: it is tried again"
