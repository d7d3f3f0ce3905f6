"""Find incidents by filter, by seller and by finding, and load one with all that belongs to it.

`find_page` lists incidents, `load_details` returns one with its sightings, customers and decisions,
and `wait_for` finds the incident of a finding that was just sent. Several incidents may have been
merged: the *head* stands for its *parts*, lists show heads only, and a head's pages include what
belongs to its parts.

A *seller* is an author of posts. The search page or a terminal with the index keys converts a name
to keyed hashes, so the store never sees the name, and the query is written nowhere. Sightings show
the author's token (`@` and hex digits) under match's capture key. That token stays the same when an
index key is rotated, so a seller's history follows the token.

    name ── index key ──▶ hashes ── find_tokens ──▶ tokens ── find_history ──▶ Seller

An invalid filter, token or page mark raises QueryError, which does not repeat it.
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
"""Number of sellers of an incident whose history is shown, most frequent first."""
PSEUDONYM = re.compile(r"\b(?=[0-9]*[a-f])[0-9a-f]{32}\b")
TOKENS = re.compile(r"@[0-9a-f]{8,16}(?:,@[0-9a-f]{8,16}){0,19}")


@dataclass(frozen=True, slots=True)
class Seller:
    """The history of an author: sightings and incidents of one tenant, since when, and sections."""

    author: str
    sightings: int
    incidents: int
    since: datetime
    last: datetime
    sections: tuple[str, ...]


class _SellerSighting(Excerpt):
    """The fields of a sighting that a seller's history needs."""

    incident: str
    fetched_at: datetime
    site: str
    url: str
    author: str


def find_sellers(
    store: IncidentStore, tenant: str, sightings: Sequence[Sighting]
) -> tuple[Seller, ...]:
    """Return the posting history of each author of `sightings`, most frequent author first.

    At most `SELLERS_SHOWN` authors are returned; a sighting without an author is ignored.
    """
    authors = [sighting.author for sighting in sightings if sighting.author]
    authors_shown = sorted(set(authors), key=lambda author: (-authors.count(author), author))[
        :SELLERS_SHOWN
    ]
    return tuple(
        seller for author in authors_shown if (seller := find_history(store, (author,), tenant))
    )


def find_history(store: IncidentStore, tokens: Sequence[str], tenant: str = "") -> Seller | None:
    """Return the history of the posts by the authors with these pseudonyms (`tokens`).

    Only posts about `tenant` count, or of all tenants if that is "". Returns None if there are
    none.
    """
    of_tenant: dict[str, Sequence[str]] = {"tenant": (tenant,)} if tenant else {}
    sightings = list(
        store.excerpts(Sighting, DocumentFilter({**of_tenant, "seller": tokens}), _SellerSighting)
    )
    if not sightings:
        return None
    return Seller(
        author=", ".join(tokens),
        sightings=len(sightings),
        incidents=len({sighting.incident for sighting in sightings}),
        since=min(sighting.fetched_at for sighting in sightings),
        last=max(sighting.fetched_at for sighting in sightings),
        sections=tuple(
            sorted({section_of(sighting.url) or sighting.site for sighting in sightings})
        ),
    )


def find_tokens(
    store: IncidentStore, keys: KeyStore, tenants: Iterable[str], name: Secret
) -> tuple[str, ...]:
    """Return the pseudonyms of all stored authors that are called `name`, sorted; () if none is.

    Raises QueryError if the name is empty or too long, and ConfigError if no tenant has an index
    key, because then an empty answer would be wrong.
    """
    if not values.normal(name.reveal()) or len(name.reveal()) > values.MAX_NAME:
        raise QueryError(
            Phrase("a seller's name must have 1 to %(most)s characters", most=values.MAX_NAME)
        )
    tags = [tag for tenant in tenants for tag in values.tags(keys, tenant, name)]
    if not tags:
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
                    Sighting, DocumentFilter({"seller": tags}), _SellerSighting
                )
            }
        )
    )


def parse_tokens(text: str) -> tuple[str, ...]:
    """Return the author pseudonyms in a comma-separated list; () for "".

    Raises QueryError, which does not repeat `text`, if it is anything else.
    """
    if text and not TOKENS.fullmatch(text):
        raise QueryError(
            "a seller in an address must be the pseudonym shown by an incident (@ and hex digits);"
            " use the form to search by name",
            "seller",
        )
    return tuple(filter(None, text.split(",")))


CUSTOMERS_SHOWN = 200
"""Number of sightings and customers on one page; an incident's numbers count all."""


def require_no_identifier(text: str, name: str = "q") -> None:
    """Raise QueryError, which does not repeat `text`, if it contains an identifier of a person.

    `name` is the field that it was typed into. Customer pseudonyms are no identifiers, although one
    may have nine digits in a row.
    """
    if what := identifier_in(PSEUDONYM.sub("", text)):
        raise QueryError(
            Phrase(
                "this looks like %(what)s: look people up under 'Check a person', where it"
                " is not stored",
                what=Phrase(what),
            ),
            name,
        )


@dataclass(frozen=True, slots=True)
class Filters:
    """The filters of a list; "" is any.

    `text` must not contain an identifier, because it is part of a URL or of a shell's history.
    """

    tenant: str = ""
    severity: str = ""
    status: str = ""
    site: str = ""
    kind: str = ""
    text: str = ""
    seller: str = ""
    """Tokens of authors, separated by commas."""

    def to_filter(self) -> DocumentFilter:
        """Return the filter for the store, except for the status and the seller.

        Raises QueryError, which does not repeat the value, for an unknown severity or status, an
        invalid seller, or a field that contains an identifier of a person.
        """
        if self.severity not in ("", *SEVERITIES):
            raise QueryError(
                Phrase("severity must be one of %(known)s", known=", ".join(SEVERITIES)), "severity"
            )
        if self.status not in ("", *STATUSES):
            raise QueryError(
                Phrase("status must be one of %(known)s", known=", ".join(STATUSES)), "status"
            )
        require_no_identifier(self.text)
        for name, value in (("tenant", self.tenant), ("site", self.site), ("kind", self.kind)):
            require_no_identifier(value, name)
        parse_tokens(self.seller)
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
    """One incident with everything that belongs to it, each newest first."""

    incident: Incident
    status: Status
    sightings: tuple[Sighting, ...]
    exposures: tuple[Exposure, ...]
    decisions: tuple[Decision, ...]
    sellers: tuple[Seller, ...] = ()
    more: str = ""
    """Mark of the next page of customers, "" if `exposures` has all."""
    more_sightings: str = ""
    """Mark of the next page of sightings."""


Statuses = Callable[[Iterable[str] | None], Mapping[str, Status]]
"""Returns the statuses of some incidents, or of all decided ones, by id; all others are open."""


def find_page(
    store: IncidentStore,
    filters: Filters,
    limit: int,
    after: str = "",
    get_statuses: Statuses | None = None,
) -> DocumentPage[Incident]:
    """Return a page of at most `limit` incidents, newest first.

    A merged incident appears only as part of its head. `after` is the cursor of the page before, ""
    for the first page. `get_statuses` returns the status of incidents; by default they follow from
    the stored decisions. Raises QueryError for an invalid filter or cursor.
    """
    return store.search(Incident, build_filter(store, filters, get_statuses), limit, after)


def build_filter(
    store: IncidentStore, filters: Filters, get_statuses: Statuses | None = None
) -> DocumentFilter:
    """Return the store filter of `find_page`.

    Incidents that were merged into another are left out; a seller finds the incident that theirs
    was merged into. `get_statuses` returns the present statuses, by default from the store. Raises
    QueryError for an invalid filter.
    """
    where = filters.to_filter()
    if filters.status:
        where = narrow_to_status(
            where, filters.status, (get_statuses or partial(statuses, store))(None)
        )
    parts = find_merged_incidents(store)
    if filters.seller:
        sold = {
            sighting.incident
            for sighting in store.scroll(
                Sighting, DocumentFilter({"seller": parse_tokens(filters.seller)})
            )
        }
        sold |= {parts[id_].part_of for id_ in sold & parts.keys()}
        where = where.but(ids=sold if where.ids is None else sold.intersection(where.ids))
    return where.but(without={*where.without, *parts})


def get_incident(store: IncidentStore, id_: str) -> Incident:
    """Return the stored incident with the id `id_`. Raises ConfigError if it does not exist."""
    incident = store.get(Incident, id_)
    if incident is None:
        raise ConfigError(Phrase("no incident with that id: see `ullage incidents list`"))
    return incident


def find_decisions(store: IncidentStore, id_: str) -> tuple[Decision, ...]:
    """Return the decisions on an incident, newest first."""
    return tuple(
        sorted(
            store.scroll(Decision, DocumentFilter({"incident": (id_,)})),
            key=lambda d: (d.at, d.id),
            reverse=True,
        )
    )


def load_details(
    store: IncidentStore, id_: str, shown: int | None = CUSTOMERS_SHOWN, after: str = ""
) -> IncidentDetails | None:
    """Return one incident with its sightings, customers, decisions and sellers; None if unknown.

    At most `shown` sightings and customers are loaded, newest first, or all if that is None. The
    customers are those after the cursor `after`; an invalid cursor raises QueryError.
    """
    incident = store.get(Incident, id_)
    if incident is None:
        return None
    decisions = find_decisions(store, id_)
    if shown is None:
        of_it = DocumentFilter({"incident": incident.family})
        sightings = DocumentPage(_newest(store, Sighting, of_it), "")
        page = DocumentPage(tuple(merge_by_customer(_newest(store, Exposure, of_it))), "")
    else:
        sightings = find_sightings_page(store, incident, shown)
        page = find_customers_page(store, incident, shown, after)
    sellers = find_sellers(store, incident.tenant, sightings.items)
    return IncidentDetails(
        incident,
        compute_status(decisions),
        sightings.items,
        page.items,
        decisions,
        sellers,
        page.after,
        sightings.after,
    )


def find_sightings_page(
    store: IncidentStore, incident: Incident, limit: int, after: str = ""
) -> DocumentPage[Sighting]:
    """Return at most `limit` sightings of an incident and of those merged into it, newest first.

    `after` is the cursor of the page before, "" for the first. Raises QueryError if it is invalid.
    """
    return store.search(Sighting, DocumentFilter({"incident": incident.family}), limit, after)


def find_customers_page(
    store: IncidentStore,
    incident: Incident,
    limit: int,
    after: str = "",
    kind: str = "",
    pseudonym: str = "",
) -> DocumentPage[Exposure]:
    """Return at most `limit` customers of an incident and of those merged into it, newest first.

    A customer who is in several of these incidents may be on two pages. With a `kind`, only
    customers with an identifier of that kind are returned; with a `pseudonym`, only those whose
    pseudonym begins with it. Raises QueryError for an invalid cursor `after`.
    """
    page = store.search(Exposure, _customers_filter(incident, kind, pseudonym), limit, after)
    return (
        DocumentPage(tuple(merge_by_customer(page.items)), page.after) if incident.parts else page
    )


def count_customers(
    store: IncidentStore, incident: Incident, kind: str = "", pseudonym: str = ""
) -> int:
    """Return how many customers `find_customers_page` returns on all pages together.

    A customer counts one time for each of the merged incidents that they are in.
    """
    return store.count(Exposure, _customers_filter(incident, kind, pseudonym))


def _customers_filter(incident: Incident, kind: str, pseudonym: str) -> DocumentFilter:
    of_kind = {"kinds": (kind,)} if kind else {}
    begins = {"subject": pseudonym} if pseudonym else {}
    return DocumentFilter({"incident": incident.family, **of_kind}, begins=begins)


def read_further_customers(
    store: IncidentStore, details: IncidentDetails
) -> Iterator[tuple[Exposure, ...]]:
    """Yield pages of the customers that are not in `details`, newest first."""
    after = details.more
    while after:
        page = find_customers_page(store, details.incident, MAX_PAGE, after)
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


def find_results(store: IncidentStore, findings: Collection[str]) -> dict[str, IncidentReference]:
    """Return the incident to which alert has added each finding, by finding id.

    A finding that alert has not processed, or whose incident is not stored, is missing.
    """
    sightings = store.mget(Sighting, findings)
    stored = store.mget(Incident, {sighting.incident for sighting in sightings.values()})
    return {
        id_: IncidentReference(
            sighting.incident,
            sighting.incident == incident_id(id_),
            stored[sighting.incident].severity,
        )
        for id_, sighting in sightings.items()
        if sighting.incident in stored  # the incident is written last
    }


def wait_for(
    store: IncidentStore, clock: Clock, findings: Collection[str], seconds: float
) -> dict[str, IncidentReference]:
    """Return the incident of each finding, when all are processed or `seconds` have passed.

    Findings that are not processed in time are missing.
    """
    deadline, never = clock.monotonic() + seconds, threading.Event()
    results = find_results(store, findings)
    while len(results) < len(findings) and clock.monotonic() < deadline:
        never.wait(SECONDS_BETWEEN_LOOKS)
        results = find_results(store, findings)
    return results


COLUMNS = ("handle", "kinds", "fields", "confidence", "corroborated", "first_seen", "last_seen")


def read_customers(store: IncidentStore, incident: Incident, kind: str = "") -> Iterator[Exposure]:
    """Yield every customer of an incident and of those merged into it, one time, newest first.

    With a `kind`, only customers with an identifier of that kind.
    """
    after, more, subjects = "", True, set[str]()
    while more:
        page = find_customers_page(store, incident, MAX_PAGE, after, kind)
        yield from (exposure for exposure in page.items if exposure.subject not in subjects)
        subjects.update(exposure.subject for exposure in page.items)
        after, more = page.after, bool(page.after)


def customers_csv(
    store: IncidentStore,
    incident: Incident,
    kind: str = "",
    references: Mapping[str, str] | None = None,
) -> tuple[str, int]:
    """Return the customers of an incident as CSV text with a header line, and their number.

    Customers are named by pseudonym; no leaked value is included. With `references`, which maps
    pseudonyms to customer references, a first column has these. With a `kind`, only customers with
    an identifier of that kind are included.
    """
    out, exposures = io.StringIO(), list(read_customers(store, incident, kind))
    write = csv.writer(out)
    write.writerow(COLUMNS if references is None else ("customer_ref", *COLUMNS))
    for exposure in exposures:
        dates = exposure.first_seen.isoformat(), exposure.last_seen.isoformat()
        row = (
            exposure.subject,
            " ".join(exposure.kinds),
            " ".join(exposure.fields),
            exposure.confidence,
            int(exposure.corroborated),
            *dates,
        )
        write.writerow(row if references is None else (references.get(exposure.subject, ""), *row))
    return out.getvalue(), len(exposures)
