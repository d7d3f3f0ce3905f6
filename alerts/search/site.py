"""What the routes share: the store, the clock, the look-up, and the templates."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any

from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from prometheus_client import CollectorRegistry

from alerts import words
from alerts.clocks.duties import Duties
from alerts.decisions.checked_text import MAX_NOTE, checked_name
from alerts.export import formats
from alerts.incidents.status import CLOSED
from alerts.lookup.exposed import PURPOSES, Lookup, Question
from alerts.metrics import SearchMetrics
from alerts.noise.background import Rules
from alerts.read import view
from alerts.search.door import Door
from alerts.search.limits import Lookups
from alerts.store import IncidentStore, QueryError
from ullage.audit import Trail
from ullage.clock import Clock
from ullage.display.render import moment, safe
from ullage.lookup.free_text_check import identifier_in
from ullage.security.masking import Secret

CASE = re.compile(r"[A-Za-z0-9][A-Za-z0-9/_.\-]{0,31}")


@dataclass(frozen=True, slots=True)
class Site:
    """Handed to every group of routes. `zone` None shows times in this machine's zone."""

    store: IncidentStore
    lookup: Lookup
    clock: Clock
    metrics: SearchMetrics
    registry: CollectorRegistry
    pages: Environment
    trail: Trail
    duties: Duties
    background: Callable[[], Rules]
    known: Callable[[str], None]
    """UnknownTenantError for a tenant that is none of ours."""
    door: Door
    allowed: Lookups
    zone: tzinfo | None = None

    def page(self, name: str, status: int = 200, **values: Any) -> HTMLResponse:
        """A template as an answer."""
        return HTMLResponse(self.pages.get_template(name).render(values), status)

    def question(self, value: str, who: str, purpose: str, case: str) -> Question:
        """What was asked, checked; QueryError says what is missing and repeats nothing."""
        if purpose not in PURPOSES:
            raise QueryError(f"purpose is one of {', '.join(PURPOSES)}")
        if not CASE.fullmatch(case.strip()) or identifier_in(case, numbers=False):
            raise QueryError("the case number has 1 to 32 letters, digits and / _ . -, and is no one's phone, ID or card")
        return Question(Secret(value), checked_name(who), purpose, case.strip())


def templates(zone: tzinfo | None, tenants: Iterable[str], untold: Iterable[str] = ()) -> Environment:
    """The page's templates; everything is escaped, and a name that is missing is an error.

    `untold` are tenants of whose incidents nobody is told, which every page says.
    """
    pages = Environment(
        loader=PackageLoader("alerts.search"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    pages.filters |= {
        "shown": safe,
        "link": view.link,
        "brief": view.brief,
        "claimed": view.claimed,
        "offer": view.offer,
        "duration": view.duration,
        "incompleteness": view.incompleteness,
        "joined": view.joined,
        "moment": lambda when: moment(when, zone),
        "spaced": words.spaced,
    }
    pages.globals |= {
        "formats": formats.names(),
        "words": words,
        "tenants": sorted(tenants),
        "untold": sorted(untold),
        "purposes": PURPOSES,
        "note_length": MAX_NOTE,
        "closed": CLOSED,
    }
    return pages
