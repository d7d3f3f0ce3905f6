"""List incidents, their customers and sellers, and those that findings opened.

A name is tagged at the edge, by the search page or a terminal that holds the index keys; only tags
meet the store, and what was asked is written nowhere. What a sighting shows is the token under
match's capture key: it stays the same when an index key is turned over, so a history follows the
token.
"""

from __future__ import annotations

import csv
import io
import re
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from alerts.grouping.exposures import merge_by_customer
from alerts.records import (
    SEVERITIES,
    STATUSES,
    Decision,
    Exposure,
    Incident,
    Sighting,
    Status,
    incident_id,
)
from alerts.records.document import D, Excerpt, QueryError
from alerts.records.sighting import section_of
from alerts.store import MAX_PAGE, DocumentFilter, DocumentPage, IncidentStore
from alerts.store.queries import compute_status, find_merged_incidents, narrow_to_status, statuses
from ullage.clock import Clock
from ullage.errors import ConfigError
from ullage.incidents import IncidentReference
from ullage.lookup import values
from ullage.lookup.values import identifier_in
from ullage.phrase import Phrase
from ullage.security.keys import KeyStore
from ullage.security.masking import Secret

SELLERS_SHOWN = 10
"""Sellers of one incident whose history is shown, those who were seen most often in it."""
TOKENS = re.compile(r"@[0-9a-f]{8,16}(?:,@[0-9a-f]{8,16}){0,19}")


@dataclass(frozen=True, slots=True)
class Seller:
    """All that is known of an author: sightings and incidents of one tenant, since when, and the
    sections posted in.
    """

    author: str
    sightings: int
    incidents: int
    since: datetime
    last: datetime
    sections: tuple[str, ...]


class _SellerSighting(Excerpt):
    """Of a sighting, what a seller's history says of it."""

    incident: str
    fetched_at: datetime
    site: str
    url: str
    author: str


def sellers_of(
    store: IncidentStore, tenant: str, sightings: Sequence[Sighting]
) -> tuple[Seller, ...]:
    """The authors of `sightings` with their history, those who were seen most often first."""
    authors = [sighting.author for sighting in sightings if sighting.author]
    named = sorted(set(authors), key=lambda author: (-authors.count(author), author))[
        :SELLERS_SHOWN
    ]
    return tuple(seller for author in named if (seller := history(store, (author,), tenant)))


def history(store: IncidentStore, tokens: Sequence[str], tenant: str = "") -> Seller | None:
    """What was posted under `tokens`, for one tenant or all; None for nothing."""
    of_tenant: dict[str, Sequence[str]] = {"tenant": (tenant,)} if tenant else {}
    seen = list(
        store.excerpts(Sighting, DocumentFilter({**of_tenant, "seller": tokens}), _SellerSighting)
    )
    if not seen:
        return None
    return Seller(
        author=", ".join(tokens),
        sightings=len(seen),
        incidents=len({sighting.incident for sighting in seen}),
        since=min(sighting.fetched_at for sighting in seen),
        last=max(sighting.fetched_at for sighting in seen),
        sections=tuple(sorted({section_of(sighting.url) or sighting.site for sighting in seen})),
    )


def named(
    store: IncidentStore, keys: KeyStore, tenants: Iterable[str], name: Secret
) -> tuple[str, ...]:
    """The tokens under which the author called `name` stands in the store, () for nobody.

    QueryError for a name that is none; ConfigError where no tenant has an index key: "nobody" would
    be no answer.
    """
    if not values.normal(name.reveal()) or len(name.reveal()) > values.MAX_NAME:
        raise QueryError(
            Phrase("a seller's name must have 1 to %(most)s characters", most=values.MAX_NAME)
        )
    asked = [tag for tenant in tenants for tag in values.tags(keys, tenant, name)]
    if not asked:
        raise ConfigError(
            Phrase(
                "no index key here, so sellers cannot be found by name: load a customer list, or"
                " give this service its keys"
            )
        )
    return tuple(
        sorted(
            {
                sighting.author
                for sighting in store.excerpts(
                    Sighting, DocumentFilter({"seller": asked}), _SellerSighting
                )
            }
        )
    )


def tokens_of(text: str) -> tuple[str, ...]:
    """The tokens that a list is asked for, parted by commas; QueryError for what is none, which
    is not repeated.
    """
    if text and not TOKENS.fullmatch(text):
        raise QueryError(
            "a seller in an address must be the pseudonym shown by an incident (@ and hex digits);"
            " use the form to search by name",
            "seller",
        )
    return tuple(filter(None, text.split(",")))


CUSTOMERS_SHOWN = 200
"""Sightings of one incident, and customers at a time; its numbers count all of them."""


@dataclass(frozen=True, slots=True)
class Filters:
    """What to list; "" is any.

    `text` must not hold an identifier: it stands in a URL or a shell's history.
    """

    tenant: str = ""
    severity: str = ""
    status: str = ""
    site: str = ""
    kind: str = ""
    text: str = ""
    seller: str = ""
    """Tokens of authors, parted by commas."""

    def where(self) -> DocumentFilter:
        """As a condition, without status and seller; QueryError says what cannot be asked, never
        repeating it.
        """
        if self.severity not in ("", *SEVERITIES):
            raise QueryError(
                Phrase("severity must be one of %(known)s", known=", ".join(SEVERITIES)), "severity"
            )
        if self.status not in ("", *STATUSES):
            raise QueryError(
                Phrase("status must be one of %(known)s", known=", ".join(STATUSES)), "status"
            )
        for name, value in (
            ("q", self.text),
            ("tenant", self.tenant),
            ("site", self.site),
            ("kind", self.kind),
        ):
            if what := identifier_in(value):
                raise QueryError(
                    Phrase(
                        "this looks like %(what)s: look people up under 'Check a person', where it"
                        " is not stored",
                        what=Phrase(what),
                    ),
                    name,
                )
        tokens_of(self.seller)
        chosen = {
            "tenant": self.tenant,
            "severity": self.severity,
            "sites": self.site,
            "kinds": self.kind,
        }
        return DocumentFilter(
            {name: (value,) for name, value in chosen.items() if value}, text=self.text.strip()
        )


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
    more_sightings: str = ""
    """The same of `sightings`."""


Statuses = Callable[[Iterable[str] | None], Mapping[str, Status]]
"""Gives the statuses of some incidents, or of all that somebody decided on, by id; one that is
not in it is open.
"""


def page_of(
    store: IncidentStore,
    filters: Filters,
    limit: int,
    after: str = "",
    known: Statuses | None = None,
) -> DocumentPage[Incident]:
    """A page of incidents, newest first; of those that others answer for these stand in it.

    `known` gives the statuses, by default those that decisions in the store add up to.
    """
    return store.search(Incident, where_of(store, filters, known), limit, after)


def where_of(
    store: IncidentStore, filters: Filters, known: Statuses | None = None
) -> DocumentFilter:
    """What `page_of` asks the store for."""
    where = filters.where()
    if filters.status:
        where = narrow_to_status(where, filters.status, (known or partial(statuses, store))(None))
    parts = find_merged_incidents(store)
    if filters.seller:
        sold = {
            seen.incident
            for seen in store.scroll(
                Sighting, DocumentFilter({"seller": tokens_of(filters.seller)})
            )
        }
        sold |= {parts[id_].part_of for id_ in sold & parts.keys()}
        where = where.but(ids=sold if where.ids is None else sold.intersection(where.ids))
    return where.but(without={*where.without, *parts})


def incident_named(store: IncidentStore, id_: str) -> Incident:
    """The incident of that id; ConfigError when there is none."""
    found = store.get(Incident, id_)
    if found is None:
        raise ConfigError(Phrase("no incident with that id: see `ullage incidents list`"))
    return found


def decisions_of(store: IncidentStore, id_: str) -> tuple[Decision, ...]:
    """What was decided of an incident, newest first."""
    return tuple(
        sorted(
            store.scroll(Decision, DocumentFilter({"incident": (id_,)})),
            key=lambda d: (d.at, d.id),
            reverse=True,
        )
    )


def whole(
    store: IncidentStore, id_: str, shown: int | None = CUSTOMERS_SHOWN, after: str = ""
) -> IncidentDetails | None:
    """One incident, or None; with at most `shown` sightings and customers, None for all of them.

    The customers are those behind the mark `after`; QueryError when it is none of ours.
    """
    incident = store.get(Incident, id_)
    if incident is None:
        return None
    decisions = decisions_of(store, id_)
    if shown is None:
        of_it = DocumentFilter({"incident": incident.family})
        seen = DocumentPage(_newest(store, Sighting, of_it), "")
        page = DocumentPage(tuple(merge_by_customer(_newest(store, Exposure, of_it))), "")
    else:
        seen = sightings_of(store, incident, shown)
        page = customers_of(store, incident, shown, after)
    sellers = sellers_of(store, incident.tenant, seen.items)
    return IncidentDetails(
        incident,
        compute_status(decisions),
        seen.items,
        page.items,
        decisions,
        sellers,
        page.after,
        seen.after,
    )


def sightings_of(
    store: IncidentStore, incident: Incident, limit: int, after: str = ""
) -> DocumentPage[Sighting]:
    """A page of the sightings of an incident, newest first; QueryError for a mark that is none
    of ours.
    """
    return store.search(Sighting, DocumentFilter({"incident": incident.family}), limit, after)


def customers_of(
    store: IncidentStore, incident: Incident, limit: int, after: str = "", kind: str = ""
) -> DocumentPage[Exposure]:
    """A page of the customers in an incident, newest first; who is in a part of it as well may
    stand on two pages.

    With a `kind` of those alone of whom an identifier of that kind stood there.
    """
    of_kind = {"kinds": (kind,)} if kind else {}
    page = store.search(
        Exposure, DocumentFilter({"incident": incident.family, **of_kind}), limit, after
    )
    return (
        DocumentPage(tuple(merge_by_customer(page.items)), page.after) if incident.parts else page
    )


def other_customers(store: IncidentStore, found: IncidentDetails) -> Iterator[tuple[Exposure, ...]]:
    """The customers of an incident that are not in `found`, some at a time, newest first."""
    after = found.more
    while after:
        page = customers_of(store, found.incident, MAX_PAGE, after)
        yield page.items
        after = page.after


def _newest(store: IncidentStore, kind: type[D], where: DocumentFilter) -> tuple[D, ...]:
    return tuple(
        sorted(
            store.scroll(kind, where),
            key=lambda document: (getattr(document, kind.time), document.id),
            reverse=True,
        )
    )


SECONDS_BETWEEN_LOOKS = 0.2


def opened_by(store: IncidentStore, findings: Collection[str]) -> dict[str, IncidentReference]:
    """What became of those findings that were dealt with by now."""
    sightings = store.mget(Sighting, findings)
    stored = store.mget(Incident, {sighting.incident for sighting in sightings.values()})
    return {
        id_: IncidentReference(
            seen.incident, seen.incident == incident_id(id_), stored[seen.incident].severity
        )
        for id_, seen in sightings.items()
        if seen.incident in stored  # the incident is written last
    }


def wait_for(
    store: IncidentStore, clock: Clock, findings: Collection[str], seconds: float
) -> dict[str, IncidentReference]:
    """What became of the findings by the time that all were folded, or that `seconds` have
    passed.
    """
    deadline, never = clock.monotonic() + seconds, threading.Event()
    found = opened_by(store, findings)
    while len(found) < len(findings) and clock.monotonic() < deadline:
        never.wait(SECONDS_BETWEEN_LOOKS)
        found = opened_by(store, findings)
    return found


COLUMNS = ("handle", "kinds", "fields", "confidence", "corroborated", "first_seen", "last_seen")


def customers(store: IncidentStore, incident: Incident, kind: str = "") -> Iterator[Exposure]:
    """Everybody in it once, or those of whom an identifier of `kind` stood there; newest first."""
    after, more, seen = "", True, set[str]()
    while more:
        page = customers_of(store, incident, MAX_PAGE, after, kind)
        yield from (one for one in page.items if one.subject not in seen)
        seen.update(one.subject for one in page.items)
        after, more = page.after, bool(page.after)


def handles(
    store: IncidentStore,
    incident: Incident,
    kind: str = "",
    references: Mapping[str, str] | None = None,
) -> tuple[str, int]:
    """The customers as CSV, and how many there are; no value of theirs is in it, unless their
    `references` are given.
    """
    out, found = io.StringIO(), list(customers(store, incident, kind))
    write = csv.writer(out)
    write.writerow(COLUMNS if references is None else ("customer_ref", *COLUMNS))
    for one in found:
        seen = one.first_seen.isoformat(), one.last_seen.isoformat()
        row = (
            one.subject,
            " ".join(one.kinds),
            " ".join(one.fields),
            one.confidence,
            int(one.corroborated),
            *seen,
        )
        write.writerow(row if references is None else (references.get(one.subject, ""), *row))
    return out.getvalue(), len(found)
