"""The store as somebody may see it who is not concerned with every tenant: of the others there is
nothing.

Every reading and every writing of the desk goes through here, so that no page has to think of it.
What is of no tenant, such as when crawl was last heard, is everybody's, but for what counts
customers; what has several `tenants` is for whoever sees one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from alerts.records.document import D, Document, E, QueryError
from alerts.records.sighting import CollectorHeartbeat
from alerts.store import (
    DocumentFilter,
    DocumentPage,
    First,
    GroupCount,
    IncidentStore,
    VersionedDocument,
    Versions,
    WriteResult,
)


@dataclass(frozen=True, slots=True)
class StoreWithin:
    """`whole` narrowed to the documents of `tenants`.

    It is an `IncidentStore`, but for keeping it: that is its owner's.
    """

    whole: IncidentStore
    tenants: frozenset[str]

    def get(self, kind: type[D], id_: str) -> D | None:
        """The document if it is theirs, or None."""
        found = self.whole.get(kind, id_)
        return self._seen(found) if found is not None and self._sees(found) else None

    def mget(self, kind: type[D], ids: Collection[str]) -> dict[str, D]:
        """Those of the documents that exist and are theirs, by id."""
        return {
            id_: self._seen(one)
            for id_, one in self.whole.mget(kind, ids).items()
            if self._sees(one)
        }

    def read(self, kind: type[D], ids: Collection[str]) -> dict[str, VersionedDocument[D]]:
        """As `mget`, each with its version."""
        return {
            id_: one for id_, one in self.whole.read(kind, ids).items() if self._sees(one.document)
        }

    def create(self, documents: Sequence[Document]) -> list[bool]:
        """Write each unless its id exists; QueryError, with nothing written, where one is not
        theirs.
        """
        self._require(documents)
        return self.whole.create(documents)

    def put(self, documents: Sequence[Document], over: Versions | None = None) -> list[WriteResult]:
        """Write each; QueryError, with nothing written, where one is not theirs."""
        self._require(documents)
        return self.whole.put(documents, over)

    def count(self, kind: type[Document], where: DocumentFilter) -> int:
        """How many of theirs there are, exactly."""
        narrowed = self._counted(kind, where)
        return self.whole.count(kind, narrowed) if narrowed else 0

    def search(
        self,
        kind: type[D],
        where: DocumentFilter,
        limit: int = 50,
        after: str = "",
        order: str = "",
    ) -> DocumentPage[D]:
        """A page of theirs."""
        narrowed = self._counted(kind, where)
        return (
            self.whole.search(kind, narrowed, limit, after, order)
            if narrowed
            else DocumentPage((), "")
        )

    def counts(
        self, kind: type[Document], where: DocumentFilter, parts: Sequence[DocumentFilter]
    ) -> list[int]:
        """How many of theirs fit each of `parts`."""
        narrowed = self._counted(kind, where)
        return self.whole.counts(kind, narrowed, parts) if narrowed else [0] * len(parts)

    def tally(
        self,
        kind: type[Document],
        where: DocumentFilter,
        by: Sequence[str],
        total: str = "",
        moments: Sequence[datetime] = (),
    ) -> list[GroupCount]:
        """How many of theirs there are of each combination of values."""
        narrowed = self._counted(kind, where)
        return self.whole.tally(kind, narrowed, by, total, moments) if narrowed else []

    def firsts(
        self,
        kind: type[Document],
        where: DocumentFilter,
        name: str,
        values: Collection[str],
        order: str,
    ) -> dict[str, First]:
        """Of theirs that have each of `values` in a set, the first."""
        narrowed = self._counted(kind, where)
        return self.whole.firsts(kind, narrowed, name, values, order) if narrowed else {}

    def scroll(self, kind: type[D], where: DocumentFilter) -> Iterator[D]:
        """All of theirs, in no promised order."""
        narrowed = self._narrowed(kind, where)
        if narrowed:
            yield from (
                self._seen(one) for one in self.whole.scroll(kind, narrowed) if self._sees(one)
            )

    def excerpts(self, kind: type[Document], where: DocumentFilter, shape: type[E]) -> Iterator[E]:
        """Excerpts of all of theirs, in no promised order."""
        narrowed = self._counted(kind, where)
        if narrowed:
            yield from self.whole.excerpts(kind, narrowed, shape)

    def delete(
        self, kind: type[Document], ids: Collection[str], over: Versions | None = None
    ) -> int:
        """Nothing on the desk is removed."""
        raise NotImplementedError

    def expunge(self, kinds: Collection[type[Document]]) -> None:
        """Nothing on the desk is removed."""
        raise NotImplementedError

    def refresh(self, *kinds: type[Document]) -> None:
        """Make every write that has returned visible."""
        self.whole.refresh(*kinds)

    def check(self) -> str:
        """What this process may do with it."""
        return self.whole.check()

    def close(self) -> None:
        """It stays open: others use it as well."""

    def _sees(self, document: Document) -> bool:
        tenant, several = getattr(document, "tenant", None), getattr(document, "tenants", ())
        return (tenant is None or tenant in self.tenants) and (
            not several or not self.tenants.isdisjoint(several)
        )

    def _seen(self, document: D) -> D:
        """The document without what it counts of others' customers."""
        if not isinstance(document, CollectorHeartbeat) or document.enrolled is None:
            return document
        theirs = document.customers and {
            one: count for one, count in document.customers.items() if one in self.tenants
        }
        told = None if theirs is None else sum(theirs.values())
        return document.model_copy(update={"customers": theirs, "enrolled": told})

    def _require(self, documents: Sequence[Document]) -> None:
        """What is of no tenant, such as that somebody was looked up, may be written and not be
        read.
        """
        if not all(self._sees(one) or getattr(one, "tenant", None) == "" for one in documents):
            raise QueryError("this belongs to another tenant")

    def _counted(self, kind: type[Document], where: DocumentFilter) -> DocumentFilter | None:
        """As `_narrowed`, of a class that a store can narrow by itself; any other is read
        document by document.
        """
        if kind is CollectorHeartbeat or "tenants" in kind.model_fields:
            raise NotImplementedError
        return self._narrowed(kind, where)

    def _narrowed(self, kind: type[Document], where: DocumentFilter) -> DocumentFilter | None:
        """`where` for their tenants alone, None where nothing can be left.

        Of a class without tenants it stays as it is.
        """
        if "tenant" not in kind.model_fields:
            return where
        asked = where.equals.get("tenant")
        left = self.tenants if asked is None else self.tenants.intersection(asked)
        return replace(where, equals={**where.equals, "tenant": sorted(left)}) if left else None
