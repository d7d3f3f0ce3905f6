"""The list of incidents as people ask for it: filters, words and pages. The same for terminal, page and API."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from alerts.incidents.exposures import one_each
from alerts.incidents.status import narrowed, parts_in, status_of, statuses
from alerts.read.sellers import Seller, sellers_of, tokens_of
from alerts.records import SEVERITIES, STATUSES, Decision, Exposure, Incident, Sighting, Status
from alerts.records.document import D
from alerts.store import MAX_PAGE, DocumentFilter, DocumentPage, IncidentStore, QueryError
from ullage.errors import ConfigError
from ullage.lookup.free_text_check import identifier_in
from ullage.phrase import Phrase

SHOWN = 200
"""Sightings of one incident, and customers at a time; its numbers count all of them."""


@dataclass(frozen=True, slots=True)
class Filters:
    """What to list; "" is any. `text` must not hold an identifier: it stands in a URL or a shell's history."""

    tenant: str = ""
    severity: str = ""
    status: str = ""
    site: str = ""
    kind: str = ""
    text: str = ""
    seller: str = ""
    """Tokens of authors, parted by commas."""

    def where(self) -> DocumentFilter:
        """As a condition, without status and seller; QueryError says what cannot be asked, never repeating it."""
        if self.severity not in ("", *SEVERITIES):
            raise QueryError(Phrase("severity must be one of %(known)s", known=", ".join(SEVERITIES)))
        if self.status not in ("", *STATUSES):
            raise QueryError(Phrase("status must be one of %(known)s", known=", ".join(STATUSES)))
        for value in (self.text, self.tenant, self.site, self.kind):
            if what := identifier_in(value):
                raise QueryError(
                    Phrase(
                        "this looks like %(what)s: look people up under 'Check a person', where it is not stored",
                        what=Phrase(what),
                    )
                )
        tokens_of(self.seller)
        chosen = {"tenant": self.tenant, "severity": self.severity, "sites": self.site, "kinds": self.kind}
        return DocumentFilter({name: (value,) for name, value in chosen.items() if value}, text=self.text.strip())


@dataclass(frozen=True, slots=True)
class IncidentDetails:
    """One incident with what belongs to it, each newest first."""

    incident: Incident
    status: Status
    sightings: tuple[Sighting, ...]
    exposures: tuple[Exposure, ...]
    decisions: tuple[Decision, ...]
    sellers: tuple[Seller, ...] = ()
    more: str = ""
    """Where the customers go on that are not among `exposures`, "" where all are."""


Statuses = Callable[[Iterable[str] | None], Mapping[str, Status]]
"""Gives the statuses of some incidents, or of all that somebody decided on, by id; one that is not in it is open."""


def page_of(
    store: IncidentStore, filters: Filters, limit: int, after: str = "", known: Statuses | None = None
) -> DocumentPage[Incident]:
    """A page of incidents, newest first; of those that others answer for these stand in it.

    `known` gives the statuses, by default those that decisions in the store add up to.
    """
    where = filters.where()
    if filters.status:
        where = narrowed(where, filters.status, (known or partial(statuses, store))(None))
    parts = parts_in(store)
    if filters.seller:
        sold = {seen.incident for seen in store.scroll(Sighting, DocumentFilter({"seller": tokens_of(filters.seller)}))}
        sold |= {parts[id_].part_of for id_ in sold & parts.keys()}
        where = where.but(ids=sold if where.ids is None else sold.intersection(where.ids))
    return store.search(Incident, where.but(without={*where.without, *parts}), limit, after)


def incident_named(store: IncidentStore, id_: str) -> Incident:
    """The incident of that id; ConfigError when there is none."""
    found = store.get(Incident, id_)
    if found is None:
        raise ConfigError(Phrase("no incident with that id: see `ullage incidents list`"))
    return found


def decisions_of(store: IncidentStore, id_: str) -> tuple[Decision, ...]:
    """What was decided of an incident, newest first."""
    return tuple(sorted(store.scroll(Decision, DocumentFilter({"incident": (id_,)})), key=lambda d: (d.at, d.id), reverse=True))


def whole(store: IncidentStore, id_: str, shown: int | None = SHOWN, after: str = "") -> IncidentDetails | None:
    """One incident, or None; with at most `shown` sightings and customers, None for all of them.

    The customers are those behind the mark `after`; QueryError when it is none of ours.
    """
    incident = store.get(Incident, id_)
    if incident is None:
        return None
    of_it = DocumentFilter({"incident": incident.family})
    decisions = decisions_of(store, id_)
    seen = _newest(store, Sighting, of_it, shown)
    if shown is None:
        page = DocumentPage(tuple(one_each(_newest(store, Exposure, of_it, None))), "")
    else:
        page = customers_of(store, incident, shown, after)
    sellers = sellers_of(store, incident.tenant, seen)
    return IncidentDetails(incident, status_of(decisions), seen, page.items, decisions, sellers, page.after)


def customers_of(store: IncidentStore, incident: Incident, limit: int, after: str = "", kind: str = "") -> DocumentPage[Exposure]:
    """A page of the customers in an incident, newest first; who is in a part of it as well may stand on two pages.

    With a `kind` of those alone of whom an identifier of that kind stood there.
    """
    of_kind = {"kinds": (kind,)} if kind else {}
    page = store.search(Exposure, DocumentFilter({"incident": incident.family, **of_kind}), limit, after)
    return DocumentPage(tuple(one_each(page.items)), page.after) if incident.parts else page


def other_customers(store: IncidentStore, found: IncidentDetails) -> Iterator[tuple[Exposure, ...]]:
    """The customers of an incident that are not in `found`, some at a time, newest first."""
    after = found.more
    while after:
        page = customers_of(store, found.incident, MAX_PAGE, after)
        yield page.items
        after = page.after


def _newest(store: IncidentStore, kind: type[D], where: DocumentFilter, shown: int | None) -> tuple[D, ...]:
    if shown is not None:
        return store.search(kind, where, shown).items
    return tuple(
        sorted(store.scroll(kind, where), key=lambda document: (getattr(document, kind.time), document.id), reverse=True)
    )
