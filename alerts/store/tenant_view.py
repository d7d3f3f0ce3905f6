"""Narrow the incident store to some tenants; documents of any different tenant do not exist there.

The console reads and writes only through this view, so no page needs its own check. Documents
without a tenant, such as heartbeats, are visible to everybody, without the customer counts of
further tenants. A document with several `tenants` is visible to whoever may see one of them.
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
    """The incident store `whole`, narrowed to the documents of `tenants`.

    It is an `IncidentStore` without maintenance, which is left to the owner of `whole`.
    """

    whole: IncidentStore
    tenants: frozenset[str]

    def get(self, kind: type[D], id_: str) -> D | None:
        """Return the document if it belongs to a visible tenant, else None.

        Numbers that count other tenants are removed from the copy.
        """
        document = self.whole.get(kind, id_)
        return (
            self._without_foreign_counts(document)
            if document is not None and self._is_visible(document)
            else None
        )

    def mget(self, kind: type[D], ids: Collection[str]) -> dict[str, D]:
        """Return the visible documents that exist, by id."""
        return {
            id_: self._without_foreign_counts(document)
            for id_, document in self.whole.mget(kind, ids).items()
            if self._is_visible(document)
        }

    def read(self, kind: type[D], ids: Collection[str]) -> dict[str, VersionedDocument[D]]:
        """Return the visible documents that exist with their versions, by id."""
        return {
            id_: versioned
            for id_, versioned in self.whole.read(kind, ids).items()
            if self._is_visible(versioned.document)
        }

    def create(self, documents: Sequence[Document]) -> list[bool]:
        """Store each document whose id is new; return for each whether it was written.

        Raises QueryError, and writes nothing, if a document belongs to a tenant outside this view.
        """
        self._require_visible(documents)
        return self.whole.create(documents)

    def put(self, documents: Sequence[Document], over: Versions | None = None) -> list[WriteResult]:
        """Write each document, as `IncidentStore.put` does, and return the result for each.

        Raises QueryError, and writes nothing, where a document belongs to another tenant.
        """
        self._require_visible(documents)
        return self.whole.put(documents, over)

    def count(self, kind: type[Document], where: DocumentFilter) -> int:
        """Count the visible matching documents exactly."""
        narrowed = self._narrow_in_store(kind, where)
        return self.whole.count(kind, narrowed) if narrowed else 0

    def search(
        self,
        kind: type[D],
        where: DocumentFilter,
        limit: int = 50,
        after: str = "",
        order: str = "",
    ) -> DocumentPage[D]:
        """Return a page of visible documents; see `IncidentStore.search`."""
        narrowed = self._narrow_in_store(kind, where)
        return (
            self.whole.search(kind, narrowed, limit, after, order)
            if narrowed
            else DocumentPage((), "")
        )

    def counts(
        self, kind: type[Document], where: DocumentFilter, parts: Sequence[DocumentFilter]
    ) -> list[int]:
        """Count the visible documents that match each of `parts`."""
        narrowed = self._narrow_in_store(kind, where)
        return self.whole.counts(kind, narrowed, parts) if narrowed else [0] * len(parts)

    def tally(
        self,
        kind: type[Document],
        where: DocumentFilter,
        by: Sequence[str],
        total: str = "",
        moments: Sequence[datetime] = (),
    ) -> list[GroupCount]:
        """Count the visible documents by combination of values."""
        narrowed = self._narrow_in_store(kind, where)
        return self.whole.tally(kind, narrowed, by, total, moments) if narrowed else []

    def firsts(
        self,
        kind: type[Document],
        where: DocumentFilter,
        name: str,
        values: Collection[str],
        order: str,
    ) -> dict[str, First]:
        """Return, for each of `values`, the first visible document that has it in a set."""
        narrowed = self._narrow_in_store(kind, where)
        return self.whole.firsts(kind, narrowed, name, values, order) if narrowed else {}

    def scroll(self, kind: type[D], where: DocumentFilter) -> Iterator[D]:
        """Yield all visible matching documents, in no promised order."""
        narrowed = self._narrow(kind, where)
        if narrowed:
            yield from (
                self._without_foreign_counts(document)
                for document in self.whole.scroll(kind, narrowed)
                if self._is_visible(document)
            )

    def excerpts(self, kind: type[Document], where: DocumentFilter, shape: type[E]) -> Iterator[E]:
        """Yield excerpts of all visible matching documents, in no promised order."""
        narrowed = self._narrow_in_store(kind, where)
        if narrowed:
            yield from self.whole.excerpts(kind, narrowed, shape)

    def delete(
        self, kind: type[Document], ids: Collection[str], over: Versions | None = None
    ) -> int:
        """Raise NotImplementedError: the console deletes nothing."""
        raise NotImplementedError

    def expunge(self, kinds: Collection[type[Document]]) -> None:
        """Raise NotImplementedError: the console deletes nothing."""
        raise NotImplementedError

    def refresh(self, *kinds: type[Document]) -> None:
        """Make every write that has returned visible."""
        self.whole.refresh(*kinds)

    def check(self) -> str:
        """Return the rights of this process; see `IncidentStore.check`."""
        return self.whole.check()

    def close(self) -> None:
        """Do nothing: the underlying store has more users."""

    def _is_visible(self, document: Document) -> bool:
        tenant, several = getattr(document, "tenant", None), getattr(document, "tenants", ())
        return (tenant is None or tenant in self.tenants) and (
            not several or not self.tenants.isdisjoint(several)
        )

    def _without_foreign_counts(self, document: D) -> D:
        """Return the document without counts of customers of further tenants."""
        if not isinstance(document, CollectorHeartbeat) or document.enrolled is None:
            return document
        customers = document.customers and {
            tenant: count for tenant, count in document.customers.items() if tenant in self.tenants
        }
        enrolled = None if customers is None else sum(customers.values())
        return document.model_copy(update={"customers": customers, "enrolled": enrolled})

    def _require_visible(self, documents: Sequence[Document]) -> None:
        """Raise QueryError if a document belongs to another tenant.

        A document of no tenant, such as an audit entry of a lookup, may be written but not read.
        """
        if not all(
            self._is_visible(document) or getattr(document, "tenant", None) == ""
            for document in documents
        ):
            raise QueryError("this belongs to another tenant: choose a tenant that you can see")

    def _narrow_in_store(
        self, kind: type[Document], where: DocumentFilter
    ) -> DocumentFilter | None:
        """Return `where` for the visible tenants, as `_narrow`, of a class that a store can narrow.

        Raises NotImplementedError for a class that must be read document by document.
        """
        if kind is CollectorHeartbeat or "tenants" in kind.model_fields:
            raise NotImplementedError
        return self._narrow(kind, where)

    def _narrow(self, kind: type[Document], where: DocumentFilter) -> DocumentFilter | None:
        """Return `where` for the visible tenants alone, or None where nothing can match.

        The filter of a class without tenants is unchanged.
        """
        if "tenant" not in kind.model_fields:
            return where
        requested = where.equals.get("tenant")
        visible = self.tenants if requested is None else self.tenants.intersection(requested)
        return (
            replace(where, equals={**where.equals, "tenant": sorted(visible)}) if visible else None
        )
