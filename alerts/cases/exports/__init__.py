"""Choose incidents for export, and find the formats: one file each.

Of titles and addresses match keeps known words and the section alone. Here they are looked through
once more, because an export leaves the house: one in which an identifier can be read is left out.
CSV and ECS are for the house's own sheets and SIEM; MISP and STIX are for exchange, and are made
from `SharedIncident` alone.

It has `MEDIA`, the media type of an answer over HTTP, `ENDING`, that of a file, and `write`. Its
libraries are imported when the format is asked for and not before. What every format must do is in
`tests/alerts/test_export.py`.
"""

from __future__ import annotations

import pkgutil
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from importlib import import_module
from typing import Protocol, cast

from alerts.cases.incident_list import Filters, Statuses, find_page
from alerts.cases.incident_view import link
from alerts.cases.outgoing import OutgoingIncident
from alerts.records import Decision, Incident, Sighting, Status
from alerts.records.document import QueryError
from alerts.store import DocumentFilter, IncidentStore
from alerts.store.queries import UNDECIDED, statuses
from ullage.display import safe
from ullage.errors import ConfigError
from ullage.lookup.values import identifier_in
from ullage.phrase import Phrase

PAGE = 100
NAMESPACE = uuid.UUID("6f0c1d7e-0a57-5c3b-9a53-2f4d0b8a1c11")
"""Of our ids in other systems.

It never changes: whoever imported an incident once would have it twice.
"""


@dataclass(frozen=True, slots=True)
class ExportedSighting:
    """One sighting. `address` and `title` are "" where they cannot be followed or passed on."""

    id: str
    site: str
    at: datetime
    published: datetime | None
    address: str
    title: str
    rows: int
    customers: int
    gone: datetime | None = None
    """Since when its post is gone, taken away or edited."""


@dataclass(frozen=True, slots=True)
class ExportedIncident:
    """One incident.

    `modified` is when it was last changed, by a finding, a post that is gone or back, or a person.
    """

    incident: Incident
    status: Status
    modified: datetime
    seen: tuple[ExportedSighting, ...]

    @property
    def sites(self) -> tuple[str, ...]:
        """Where it was seen, as it can be shown."""
        return tuple(_shown(site) for site in self.incident.sites)

    @property
    def headline(self) -> str:
        """What it is, in one line."""
        incident = self.incident
        what = incident.scenario_title or (
            "customer data offered" if incident.alarm else "customer data"
        )
        return f"{incident.id}: {what}; {incident.counted} customers, origin {incident.origin}"

    def shared(self) -> SharedIncident:
        """Return what of it may be exchanged with others."""
        return SharedIncident(
            OutgoingIncident.of(self.incident),
            self.incident.tenant,
            self.status,
            self.modified,
            self.seen,
            self.sites,
        )


@dataclass(frozen=True, slots=True)
class SharedIncident:
    """One incident in a format for exchange with others (MISP, STIX): the outgoing facts alone,
    no scores and no reasons.
    """

    incident: OutgoingIncident
    tenant: str
    status: Status
    modified: datetime
    seen: tuple[ExportedSighting, ...]
    sites: tuple[str, ...]

    @property
    def headline(self) -> str:
        """What it is, in one line."""
        incident = self.incident
        what = incident.scenario_title or (
            "customer data offered" if incident.is_offer else "customer data"
        )
        return f"{incident.id}: {what}; {incident.counted} customers"

    def uuid(self, kind: str, of: str = "") -> uuid.UUID:
        """Return the id in another system of this incident's object of `kind`, or of one thing
        in it.
        """
        return uuid.uuid5(NAMESPACE, f"{kind}:{of or self.incident.id}")


def chosen(
    store: IncidentStore, ids: Sequence[str], filters: Filters, known: Statuses | None = None
) -> Iterator[ExportedIncident]:
    """The incidents named, or all that pass the filters, newest first, with the statuses that
    `known` gives.

    QueryError for one that is not there.
    """
    known = known or partial(statuses, store)
    if ids:
        found = store.mget(Incident, ids)
        if missing := [id_ for id_ in ids if id_ not in found]:
            raise QueryError(
                Phrase(
                    "%(count)s of these incidents do not exist: see `ullage incidents list`",
                    count=len(missing),
                )
            )
        yield from _exported(store, [found[id_] for id_ in dict.fromkeys(ids)], known)
        return
    after, more = "", True
    while more:
        page = find_page(store, filters, PAGE, after, known)
        yield from _exported(store, page.items, known)
        after, more = page.after, bool(page.after)


def _exported(
    store: IncidentStore, incidents: Sequence[Incident], known: Statuses
) -> Iterator[ExportedIncident]:
    ids = [incident.id for incident in incidents]
    where, standing = DocumentFilter({"incident": ids}), known(ids) if ids else {}
    sightings, decisions = (
        _by_incident(store.scroll(kind, where)) if incidents else {}
        for kind in (Sighting, Decision)
    )
    for incident in incidents:
        decided = [d for d in decisions.get(incident.id, ()) if isinstance(d, Decision)]
        seen = [s for s in sightings.get(incident.id, ()) if isinstance(s, Sighting)]
        yield ExportedIncident(
            incident,
            standing.get(incident.id, UNDECIDED),
            max(
                [
                    incident.updated_at,
                    *(d.at for d in decided),
                    *(at for s in seen for at in (s.gone_at, s.back_at) if at),
                ]
            ),
            tuple(_seen(s) for s in sorted(seen, key=lambda s: (s.fetched_at, s.id))),
        )


def _by_incident(documents: Iterable[Sighting | Decision]) -> dict[str, list[Sighting | Decision]]:
    found: dict[str, list[Sighting | Decision]] = {}
    for document in documents:
        found.setdefault(document.incident, []).append(document)
    return found


def _seen(s: Sighting) -> ExportedSighting:
    title = "" if identifier_in(s.title) else safe(s.title).strip()
    return ExportedSighting(
        s.id,
        _shown(s.site),
        s.fetched_at,
        s.published_at,
        _address(s.url),
        title,
        s.rows,
        s.customers,
        s.gone_at,
    )


def _shown(site: str) -> str:
    """A site's name without what has no shape; never empty, because MISP takes no empty value."""
    return safe(site).strip() or "unknown"


def _address(url: str) -> str:
    """The section that `url` names, if it can be followed."""
    return "" if "<" in url or identifier_in(url, numbers=False) else link(url)


class ExportFormat(Protocol):
    """What the module of a format offers."""

    MEDIA: str
    ENDING: str

    def write(self, incidents: Iterable[ExportedIncident]) -> Iterator[str]:
        """The export in pieces."""


def names() -> tuple[str, ...]:
    """The formats that there are, in alphabetical order; none is imported."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def format_named(name: str) -> ExportFormat:
    """The format of that name; QueryError lists them, ConfigError says what to install where a
    library is missing.
    """
    if name not in names():
        raise QueryError(Phrase("unknown format: use %(known)s", known=", ".join(names())), "form")
    try:
        return cast("ExportFormat", import_module(f"{__name__}.{name}"))
    except ModuleNotFoundError as error:
        raise ConfigError(f"this format needs {error.name}: install ullage[export]") from None
