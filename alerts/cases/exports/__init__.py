"""Choose incidents for export, and find the export formats: one module each.

Match already reduces titles to known words and addresses to the section. Because an export leaves
the organization, both are checked again here: a text in which an identifier can be read is left
out. CSV and ECS are for our own spreadsheets and SIEM. MISP and STIX are for exchange with others
and are made only from `SharedIncident`.

The module of a format has `MEDIA`, the media type over HTTP, `ENDING`, the file suffix, and
`write`. Its libraries are imported only when the format is requested. The rules for every format
are in `tests/alerts/test_export.py`.
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
"""Namespace of our ids in other systems.

It must never change, or a second import would duplicate every incident.
"""


@dataclass(frozen=True, slots=True)
class ExportedSighting:
    """One sighting. `address` and `title` are "" if they are no valid link or may not leave."""

    id: str
    site: str
    at: datetime
    published: datetime | None
    address: str
    title: str
    rows: int
    customers: int
    gone: datetime | None = None
    """Since when its post has been removed or edited."""


@dataclass(frozen=True, slots=True)
class ExportedIncident:
    """One incident.

    `modified` is when it last changed: by a finding, by the removal or return of a post, or by a
    person.
    """

    incident: Incident
    status: Status
    modified: datetime
    sightings: tuple[ExportedSighting, ...]

    @property
    def sites(self) -> tuple[str, ...]:
        """The sites on which the incident was seen, in displayable form."""
        return tuple(_to_displayable(site) for site in self.incident.sites)

    @property
    def headline(self) -> str:
        """One line that names the incident: id, scenario, number of customers, and leak source."""
        incident = self.incident
        what = incident.scenario_title or (
            "customer data offered" if incident.alarm else "customer data"
        )
        return f"{incident.id}: {what}; {incident.counted} customers, origin {incident.origin}"

    def to_shared(self) -> SharedIncident:
        """Return the part of the incident that may be exchanged with others."""
        return SharedIncident(
            OutgoingIncident.from_incident(self.incident),
            self.incident.tenant,
            self.status,
            self.modified,
            self.sightings,
            self.sites,
        )


@dataclass(frozen=True, slots=True)
class SharedIncident:
    """One incident for formats of exchange (MISP, STIX).

    It holds only facts that may leave the organization, without scores and reasons.
    """

    incident: OutgoingIncident
    tenant: str
    status: Status
    modified: datetime
    sightings: tuple[ExportedSighting, ...]
    sites: tuple[str, ...]

    @property
    def headline(self) -> str:
        """One line that names the incident: its id, scenario, and number of customers."""
        incident = self.incident
        what = incident.scenario_title or (
            "customer data offered" if incident.is_offer else "customer data"
        )
        return f"{incident.id}: {what}; {incident.counted} customers"

    def uuid(self, kind: str, of: str = "") -> uuid.UUID:
        """Return the id that another system uses for this incident's object of `kind`.

        With `of`, the id of one thing in the incident, such as a sighting, the result is that
        thing's. Equal arguments always give an equal UUID.
        """
        return uuid.uuid5(NAMESPACE, f"{kind}:{of or self.incident.id}")


def chosen(
    store: IncidentStore,
    ids: Sequence[str],
    filters: Filters,
    find_statuses: Statuses | None = None,
) -> Iterator[ExportedIncident]:
    """Yield the incidents named by `ids` in that order, or without ids all that pass `filters`.

    Without ids, the newest comes first. A named incident comes one time, whatever `filters` say.
    `find_statuses` returns the status of incidents; by default they follow from the stored
    decisions. Raises QueryError, when the first is asked for, if a named incident does not exist.
    """
    find_statuses = find_statuses or partial(statuses, store)
    if ids:
        incidents = store.mget(Incident, ids)
        if missing := [id_ for id_ in ids if id_ not in incidents]:
            raise QueryError(
                Phrase(
                    "%(count)s of these incidents do not exist: see `ullage incidents list`",
                    count=len(missing),
                )
            )
        yield from _build_exports(
            store, [incidents[id_] for id_ in dict.fromkeys(ids)], find_statuses
        )
        return
    after, more = "", True
    while more:
        page = find_page(store, filters, PAGE, after, find_statuses)
        yield from _build_exports(store, page.items, find_statuses)
        after, more = page.after, bool(page.after)


def _build_exports(
    store: IncidentStore, incidents: Sequence[Incident], find_statuses: Statuses
) -> Iterator[ExportedIncident]:
    ids = [incident.id for incident in incidents]
    where, statuses_by_id = DocumentFilter({"incident": ids}), find_statuses(ids) if ids else {}
    sightings, decisions = (
        _by_incident(store.scroll(kind, where)) if incidents else {}
        for kind in (Sighting, Decision)
    )
    for incident in incidents:
        decided = [d for d in decisions.get(incident.id, ()) if isinstance(d, Decision)]
        incident_sightings = [s for s in sightings.get(incident.id, ()) if isinstance(s, Sighting)]
        yield ExportedIncident(
            incident,
            statuses_by_id.get(incident.id, UNDECIDED),
            max(
                [
                    incident.updated_at,
                    *(d.at for d in decided),
                    *(at for s in incident_sightings for at in (s.gone_at, s.back_at) if at),
                ]
            ),
            tuple(
                build_exported_sighting(s)
                for s in sorted(incident_sightings, key=lambda s: (s.fetched_at, s.id))
            ),
        )


def _by_incident(documents: Iterable[Sighting | Decision]) -> dict[str, list[Sighting | Decision]]:
    grouped: dict[str, list[Sighting | Decision]] = {}
    for document in documents:
        grouped.setdefault(document.incident, []).append(document)
    return grouped


def build_exported_sighting(s: Sighting) -> ExportedSighting:
    """Return the facts of a sighting that may leave; unsafe titles and addresses are left out."""
    title = "" if identifier_in(s.title) else safe(s.title).strip()
    return ExportedSighting(
        s.id,
        _to_displayable(s.site),
        s.fetched_at,
        s.published_at,
        _address(s.url),
        title,
        s.rows,
        s.customers,
        s.gone_at,
    )


def _to_displayable(site: str) -> str:
    """Return a site's name without characters that cannot be displayed.

    It is never empty, because MISP rejects empty values.
    """
    return safe(site).strip() or "unknown"


def _address(url: str) -> str:
    """Return the section that `url` names, or "" if it is no link or holds an identifier."""
    return "" if "<" in url or identifier_in(url, numbers=False) else link(url)


class ExportFormat(Protocol):
    """The members of a format's module."""

    MEDIA: str
    ENDING: str

    def write(self, incidents: Iterable[ExportedIncident]) -> Iterator[str]:
        """Yield the export in pieces."""


def names() -> tuple[str, ...]:
    """Return the names of the formats in alphabetical order, without importing any."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def format_named(name: str) -> ExportFormat:
    """Return the module of the export format called `name`, such as `csv`.

    Raises QueryError, listing the formats, if the name is unknown, and ConfigError if a Python
    package that the format needs is not installed.
    """
    if name not in names():
        raise QueryError(Phrase("unknown format: use %(known)s", known=", ".join(names())), "form")
    try:
        return cast("ExportFormat", import_module(f"{__name__}.{name}"))
    except ModuleNotFoundError as error:
        raise ConfigError(f"this format needs {error.name}: install ullage[export]") from None
