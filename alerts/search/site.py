"""What the routes share: the store, the clock, the look-up, and the templates; each narrowed to what whoever asks may see."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from functools import cache
from typing import Any
from urllib.parse import unquote
from zoneinfo import ZoneInfo

from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from prometheus_client import CollectorRegistry

from alerts import words
from alerts.accounts.roles import NOBODY, Principal
from alerts.accounts.sign_on import SignOn
from alerts.clocks.duties import Duties
from alerts.clocks.render import reported
from alerts.decisions.checked_text import MAX_NOTE, checked_name
from alerts.desk.feed import EventFeed
from alerts.desk.queue import Shifts
from alerts.export import formats
from alerts.incidents.status import CLOSED
from alerts.language import TAGS
from alerts.lookup.person_lookup import PURPOSES, Lookup, LookupRequest
from alerts.lookup.screening import ExposureQuery, ExposureResult
from alerts.lookup.sweeps import Sweeps
from alerts.lookup.turns import Turns
from alerts.metrics import SearchMetrics
from alerts.noise.background import BenignRules
from alerts.read import view
from alerts.read.tenants import require_known
from alerts.search.assessment_cache import AssessmentCache
from alerts.search.door import Authenticator
from alerts.search.language import READER, speak
from alerts.search.lookups import Lookups, Occasions
from alerts.search.menu import MenuEntry, menu
from alerts.store import IncidentStore, QueryError
from alerts.store.tenant_view import StoreWithin
from ullage.audit import Trail
from ullage.clock import Clock
from ullage.display.render import moment, safe
from ullage.lookup.free_text_check import identifier_in
from ullage.phrase import Phrase
from ullage.security.masking import Secret
from ullage.settings import Context, Language
from ullage.settings.tenants import require_tenant

CASE = re.compile(r"[A-Za-z0-9][A-Za-z0-9/_.\-]{0,31}")


@dataclass(frozen=True, slots=True)
class Console:
    """Handed to every route by what it needs (`alerts.search.permissions`), as whoever asks may see it: `principal`.

    `zone` None shows times in this machine's zone. `untold` are tenants of whose incidents nobody is told, which every page says.
    """

    context: Context
    store: IncidentStore
    lookup: Lookup
    clock: Clock
    metrics: SearchMetrics
    registry: CollectorRegistry
    pages: Callable[[Language], Environment]
    """Of a language."""
    trail: Trail
    duties: Duties
    background: Callable[[], BenignRules]
    door: Authenticator
    allowed: Lookups
    held: AssessmentCache
    sweeps: Sweeps
    occasions: Occasions
    shifts: Shifts
    feed: EventFeed
    screenings: Turns[ExposureQuery, ExposureResult]
    tenants: tuple[str, ...] = ()
    untold: tuple[str, ...] = ()
    zone: tzinfo | None = None
    principal: Principal = NOBODY
    entries: tuple[MenuEntry, ...] = ()
    sign_on: SignOn | None = None
    """By an identity provider, where one is configured."""

    def seen_by(self, principal: Principal) -> Console:
        """The same for `principal`: store, look-up and tenants without those that are none of theirs."""
        if principal.sees_all:
            return replace(self, principal=principal)
        store = StoreWithin(self.store, principal.tenants)
        return replace(
            self,
            principal=principal,
            store=store,
            lookup=replace(self.lookup, store=store, among=principal.tenants),
            duties=replace(self.duties, store=store),
            pages=self.pages if self.zone else templates(shown_in(self.context, principal)),
            tenants=tuple(one for one in self.tenants if principal.sees(one)),
            untold=tuple(one for one in self.untold if not one or principal.sees(one)),
        )

    def actor(self, typed: str = "") -> str:
        """In whose name something is done: a person's own, whatever was typed; for a program that which it says, and its own."""
        if not self.principal.is_program or not typed:
            return self.principal.name
        return f"{checked_name(typed)} via {self.principal.name}"

    def known(self, tenant: str) -> None:
        """UnknownTenantError for a tenant that is none of ours, or none that may be seen; "" is any."""
        if self.principal.sees_all:
            require_known(self.context, self.store, tenant)
        elif tenant:
            require_tenant(tenant, self.principal.tenants)

    def page(self, name: str, status: int = 200, **values: Any) -> HTMLResponse:
        """A template as an answer, in the language of whoever asks; it knows them as `principal`, and their tenants."""
        reader = READER.get()
        place = _repeatable(reader.place) if status < 400 else reader.place.partition("?")[0]  # what is refused is not repeated
        who = {"principal": self.principal, "tenants": self.tenants, "untold": self.untold, "place": place, "path": reader.path}
        who["menu"] = menu(self.entries, self.principal)
        text = self.pages(reader.language).get_template(name).render({**who, **values})
        return HTMLResponse(text, status, {"content-language": TAGS[reader.language]})

    def missing(self, message: Phrase) -> HTMLResponse:
        """The answer where what was asked for is not there."""
        return self.page("problem.html", 404, title=Phrase("Not found"), message=message)

    def question(self, value: str, who: str, purpose: str, case: str) -> LookupRequest:
        """What was asked, checked; QueryError says what is missing and repeats nothing."""
        if purpose not in PURPOSES:
            raise QueryError(Phrase("purpose must be one of %(known)s", known=", ".join(PURPOSES)))
        if not CASE.fullmatch(case.strip()) or identifier_in(case, numbers=False):
            raise QueryError(
                "the case number must have 1 to 32 letters, digits and / _ . -, and must not be a phone number, ID or card"
            )
        return LookupRequest(Secret(value), checked_name(who), purpose, case.strip())


def _repeatable(place: str) -> str:
    """A place of the desk as a page may say it again: without a query that holds what looks like somebody's identifier."""
    return place.partition("?")[0] if identifier_in(unquote(place)) else place


def shown_in(context: Context, principal: Principal | None = None) -> ZoneInfo:
    """The zone of the tenants that are seen, where they have one; else that of the hours that people type and read."""
    tenants = context.settings.tenants.items()
    zones = {tenant.zone for name, tenant in tenants if principal is None or principal.sees(name)}
    zones = zones or {context.settings.coverage.zone}
    return ZoneInfo(zones.pop() if len(zones) == 1 else context.settings.coverage.zone)


@cache
def templates(zone: tzinfo | None) -> Callable[[Language], Environment]:
    """The page's templates in each language; everything is escaped, and a name that is missing is an error."""
    shared = {
        "formats": formats.names(),
        "words": words,
        "purposes": PURPOSES,
        "note_length": MAX_NOTE,
        "closed": CLOSED,
        "reported": reported,
        "zone": str(zone) if zone else "",
    }

    @cache
    def speaking(language: Language) -> Environment:
        pages = Environment(
            loader=PackageLoader("alerts.search"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        pages.filters |= {
            "shown": safe,
            "link": view.link,
            "duration": lambda seconds: pages.filters["said"](view.duration(seconds)),
            "unsearched": view.unsearched,
            "moment": lambda when: when.astimezone(zone).strftime("%Y-%m-%d %H:%M") if zone and when else moment(when, zone),
        }
        pages.globals |= shared
        speak(pages, language, zone)
        pages.filters["shown_cell"] = lambda value: _in_a_cell(value, pages)
        return pages

    return speaking


def _in_a_cell(value: object, pages: Environment) -> str:
    """What stands in a table: phrases in the language, moments in the zone; text from outside as it is, and escaped."""
    if isinstance(value, datetime):
        return str(pages.filters["moment"](value))
    if isinstance(value, Phrase | tuple):
        return str(pages.filters["said"](value))
    if isinstance(value, int):
        return f"{value:,}"
    return safe(str(value))
