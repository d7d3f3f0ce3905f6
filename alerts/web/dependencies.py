"""Give a route its console, narrowed to what the principal may see.

A turn asks the store and writes to the audit log, and takes a few milliseconds for one question,
hardly more for ten. Whoever comes during a turn waits for its end and is answered in the next with
all that came meanwhile (group commit).

    Reader = Annotated[Site, may("incident.read")]

    @router.get("/things")
    def things(site: Reader) -> HTMLResponse: ...

A route that names nothing is refused when the application is made (`require_named`), so none can be
forgotten. `anybody()` is for what needs no login, `logged_in()` for what is everybody's who has
one. Where it depends on what is asked, a route needs the least here and asks for the rest by
`site.principal.require`.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, tzinfo
from functools import cache
from typing import Annotated, Any, Generic, TypeVar, get_origin
from urllib.parse import unquote
from zoneinfo import ZoneInfo

from fastapi import Depends, FastAPI, Query, Request
from fastapi.dependencies.models import Dependant
from fastapi.responses import HTMLResponse
from fastapi.routing import APIRoute, iter_route_contexts
from jinja2 import Environment, PackageLoader, StrictUndefined
from prometheus_client import CollectorRegistry, Counter, Gauge
from starlette.concurrency import run_in_threadpool

from alerts import translation
from alerts.accounts import NOBODY, PERMISSIONS, Principal
from alerts.accounts.sign_on import SignOn
from alerts.cases import exports, incident_view
from alerts.cases.feed import EventFeed
from alerts.cases.incident_list import Filters
from alerts.cases.lookups.limits import Lookups, Occasions, Sweeps
from alerts.cases.lookups.lookup import PURPOSES, Lookup, LookupRequest
from alerts.cases.lookups.typed_value import selectable_kinds
from alerts.cases.queue import Shifts
from alerts.cases.screening import ExposureQuery, ExposureResult
from alerts.deadlines import render
from alerts.deadlines.outstanding import Duties
from alerts.deadlines.render import name_report
from alerts.grouping.benign import BenignRules
from alerts.records.decision import MAX_NOTE, validate_case, validate_name
from alerts.records.document import QueryError
from alerts.store import IncidentStore
from alerts.store.queries import CLOSED, require_known_tenant
from alerts.store.tenant_view import StoreWithin
from alerts.translation import TAGS
from alerts.web.auth import Authenticator
from alerts.web.dropped_files import AssessmentCache
from alerts.web.static_files import static_path
from alerts.web.templating import READER, MenuEntry, menu, speak
from ullage.audit import Trail
from ullage.clock import Clock
from ullage.display import moment, safe
from ullage.erasure import HANDLE
from ullage.errors import ConfigError, UllageError, UnavailableError
from ullage.lookup.values import identifier_in
from ullage.phrase import Phrase
from ullage.security.masking import Secret
from ullage.settings import Context, Language
from ullage.settings.tenants import require_tenant

Q = TypeVar("Q")
A = TypeVar("A")


@dataclass(slots=True, eq=False)
class _PendingRequest(Generic[Q, A]):
    question: Q
    size: int
    answer: A | UllageError | None = None


@dataclass(slots=True)
class Turns(Generic[Q, A]):
    """Questions of one event loop.

    `answer` is called in a thread, by one at a time, and gives one answer or error a question.
    """

    answer: Callable[[Sequence[Q]], Sequence[A | UllageError]]
    most: int
    """So much, by the sizes that are said, is answered in one turn; of one question more."""
    _waiting: deque[_PendingRequest[Q, A]] = field(default_factory=deque)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def ask(self, question: Q, size: int = 1) -> A:
        """The answer, or its error raised; an error of a whole turn is that of all its
        questions.
        """
        mine = _PendingRequest[Q, A](question, size)
        self._waiting.append(mine)
        async with self._turn:
            while mine.answer is None:
                await run_in_threadpool(self._answer, self._taken())
        if isinstance(mine.answer, UllageError):
            raise mine.answer
        return mine.answer

    def _taken(self) -> list[_PendingRequest[Q, A]]:
        """The next questions in the order in which they came."""
        some = [self._waiting.popleft()]
        size = some[0].size
        while self._waiting and (size := size + self._waiting[0].size) <= self.most:
            some.append(self._waiting.popleft())
        return some

    def _answer(self, some: Sequence[_PendingRequest[Q, A]]) -> None:
        answers: Sequence[A | UllageError] = [
            UnavailableError("the question could not be answered")
        ] * len(some)
        try:
            answers = self.answer([one.question for one in some])
        except UllageError as error:
            answers = [error] * len(some)
        finally:  # a fault of ours is raised to one of them, and leaves nobody waiting
            for one, answer in zip(some, answers, strict=True):
                one.answer = answer


PLACE = re.compile(r"/(?![/\\])[!-~]*")
"""A place of this page: a path, never another host."""
Text = Annotated[str, Query(max_length=1_000)]


def _filters(
    tenant: Text = "",
    severity: Text = "",
    status: Text = "",
    site: Text = "",
    kind: Text = "",
    q: Text = "",
    seller: Text = "",
) -> Filters:
    return Filters(tenant, severity, status, site, kind, q, seller)


Asked = Annotated[Filters, Depends(_filters)]
"""A route's parameter: its filters, as the query of the URL has them."""


def repeatable(typed: Mapping[str, Any]) -> dict[str, Any]:
    """What was typed into a form that is shown again, without texts that hold an identifier:
    those are not repeated.
    """
    return {
        name: "" if isinstance(value, str) and identifier_in(value) else value
        for name, value in typed.items()
    }


def any_query() -> None:
    """The dependency of a route whose query is another's to choose: what it does not know is
    passed over.
    """


def known_query(request: Request) -> None:
    """QueryError for a parameter that the route does not know, or for two of one: it would be
    ignored, and the answer be wrong.

    What was asked is not repeated: a name that is not ours may hold anything.
    """
    if any(one.call is any_query for one in request.scope["route"].dependant.dependencies):
        return
    known = dict(_parameters(request.scope["route"].dependant))
    given = [name for name, _ in request.query_params.multi_items()]
    if unknown := [name for name in given if name not in known]:
        taken = (
            Phrase("this page accepts %(known)s", known=", ".join(sorted(known)))
            if known
            else Phrase("this page accepts none")
        )
        raise QueryError(
            Phrase(
                "unknown parameters in the address: %(count)s; %(taken)s",
                count=len(unknown),
                taken=taken,
            )
        )
    if twice := sorted({name for name in given if given.count(name) > 1 and not known[name]}):
        raise QueryError(Phrase("%(names)s: given more than once", names=", ".join(twice)), *twice)


def _parameters(dependant: Any) -> Iterator[tuple[str, bool]]:
    """What a route and what it depends on take from the query, and whether they take several of
    it.
    """
    for one in dependant.query_params:
        yield one.alias, get_origin(one.field_info.annotation) is not None
    for nested in dependant.dependencies:
        yield from _parameters(nested)


@dataclass(frozen=True, slots=True)
class SearchMetrics:
    """The metrics of one search process."""

    requests: Counter
    lookups: Counter
    logins: Counter
    sweeps: Counter
    sign_on: Gauge

    @classmethod
    def make(cls, registry: CollectorRegistry) -> SearchMetrics:
        """Declare them in `registry`."""
        requests = Counter(
            "ullage_search_requests_total",
            "Requests by response class.",
            ["answer"],
            registry=registry,
        )
        lookups = Counter(
            "ullage_search_lookups_total",
            "Checks of a person by outcome.",
            ["outcome"],
            registry=registry,
        )
        for answer in ("2xx", "3xx", "4xx", "5xx"):
            requests.labels(answer)
        logins = Counter(
            "ullage_search_logins_total",
            "Login attempts by outcome.",
            ["outcome"],
            registry=registry,
        )
        for outcome in ("exposed", "recorded", "not_found", "refused", "limited"):
            lookups.labels(outcome)
        for outcome in ("in", "refused", "limited"):
            logins.labels(outcome)
        sweeps = Counter(
            "ullage_search_sweeps_total",
            "Ranges of numbers that were checked systematically within an hour.",
            registry=registry,
        )
        sign_on = Gauge(
            "ullage_search_sign_on_usable",
            "0 while configured single sign-on cannot be used, 1 otherwise.",
            registry=registry,
        )
        sign_on.set(1)
        return cls(requests, lookups, logins, sweeps, sign_on)


@dataclass(frozen=True, slots=True)
class Console:
    """Handed to every route by what it needs (`alerts.web.dependencies`), as whoever asks may see
    it: `principal`.

    `zone` None shows times in this machine's zone. `untold` are tenants of whose incidents nobody
    is told, which every page says.
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
    is_sign_on_broken: bool = False
    """Whether one is configured that cannot be used, such as without its secret."""

    def seen_by(self, principal: Principal) -> Console:
        """The same for `principal`: store, look-up and tenants without those that are none of
        theirs.
        """
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

    def actor(self, typed: str = "", *members: str) -> str:
        """In whose name something is done: a person's own, whatever was typed; for a program that
        which it says, and its own.

        QueryError about `members` for what is no name.
        """
        if not self.principal.is_program or not typed:
            return self.principal.name
        return f"{validate_name(typed, *members)} via {self.principal.name}"

    def known(self, tenant: str) -> None:
        """UnknownTenantError for a tenant that is none of ours, or none that may be seen; "" is
        any.
        """
        if self.principal.sees_all:
            require_known_tenant(self.context, self.store, tenant)
        elif tenant:
            require_tenant(tenant, self.principal.tenants)

    def page(self, name: str, status: int = 200, **values: Any) -> HTMLResponse:
        """A template as an answer, in the language of whoever asks; it knows them as
        `principal`, and their tenants.
        """
        reader = READER.get()
        # what is refused is not repeated
        place = _repeatable(reader.place) if status < 400 else reader.place.partition("?")[0]
        who = {
            "principal": self.principal,
            "tenants": self.tenants,
            "untold": self.untold,
            "place": place,
            "path": reader.path,
        }
        who["menu"] = menu(self.entries, self.principal)
        text = self.pages(reader.language).get_template(name).render({**who, **values})
        return HTMLResponse(text, status, {"content-language": TAGS[reader.language]})

    def missing(self, message: Phrase) -> HTMLResponse:
        """The answer where what was asked for is not there."""
        return self.page("problem.html", 404, title=Phrase("Not found"), message=message)

    def question(
        self, value: str, who: str, purpose: str, case: str, *, kind: str = "", pseudonym: str = ""
    ) -> LookupRequest:
        """Return the checked request; QueryError says what is missing and repeats nothing."""
        if purpose not in PURPOSES:
            raise QueryError(
                Phrase("purpose must be one of %(known)s", known=", ".join(PURPOSES)), "purpose"
            )
        if kind and kind not in selectable_kinds():
            raise QueryError(
                Phrase("kind must be one of %(known)s", known=", ".join(selectable_kinds())), "kind"
            )
        customer = pseudonym.strip().lower()
        if customer and not HANDLE.fullmatch(customer):
            raise QueryError(Phrase("a customer pseudonym has 32 hexadecimal digits"), "pseudonym")
        return LookupRequest(
            Secret(value), validate_name(who), purpose, validate_case(case), kind, customer
        )


def _repeatable(place: str) -> str:
    """A place of the desk as a page may say it again: without a query that holds what looks like
    somebody's identifier.
    """
    return place.partition("?")[0] if identifier_in(unquote(place)) else place


def shown_in(context: Context, principal: Principal | None = None) -> ZoneInfo:
    """The zone of the tenants that are seen, where they have one; else that of the hours that
    people type and read.
    """
    tenants = context.settings.tenants.items()
    zones = {tenant.zone for name, tenant in tenants if principal is None or principal.sees(name)}
    zones = zones or {context.settings.coverage.zone}
    return ZoneInfo(zones.pop() if len(zones) == 1 else context.settings.coverage.zone)


@cache
def templates(zone: tzinfo | None) -> Callable[[Language], Environment]:
    """The page's templates in each language; everything is escaped, and a name that is missing
    is an error.
    """
    shared = {
        "formats": exports.names(),
        "words": translation,
        "purposes": PURPOSES,
        "note_length": MAX_NOTE,
        "closed": CLOSED,
        "static": static_path,
        "reported": name_report,
        "zone": str(zone) if zone else "",
    }

    @cache
    def speaking(language: Language) -> Environment:
        pages = Environment(
            loader=PackageLoader("alerts.web"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        pages.filters |= {
            "shown": safe,
            "link": incident_view.link,
            "duration": lambda seconds: pages.filters["said"](render.duration(seconds)),
            "unsearched": incident_view.unsearched,
            "moment": lambda when: (
                when.astimezone(zone).strftime("%Y-%m-%d %H:%M")
                if zone and when
                else moment(when, zone)
            ),
        }
        pages.globals |= shared
        speak(pages, language, zone)
        pages.filters["shown_cell"] = lambda value: _in_a_cell(value, pages)
        return pages

    return speaking


def _in_a_cell(value: object, pages: Environment) -> str:
    """What stands in a table: phrases in the language, moments in the zone; text from outside as
    it is, and escaped.
    """
    if isinstance(value, datetime):
        return str(pages.filters["moment"](value))
    if isinstance(value, Phrase | tuple):
        return str(pages.filters["said"](value))
    if isinstance(value, int):
        return f"{value:,}"
    return safe(str(value))


ANYBODY, LOGGED_IN = "anybody", "logged in"


@dataclass(frozen=True, slots=True)
class Needs:
    """What a route needs: a permission, `ANYBODY` or `LOGGED_IN`.

    Called with a request it gives the site as it may be seen.
    """

    permission: str

    # in the loop: a thread would cost more than what it does
    async def __call__(self, request: Request) -> Console:
        """The site narrowed to who asks; ForbiddenError where they may not, QueryError for what
        the route does not know.
        """
        principal = request.state.principal
        if self.permission in PERMISSIONS:
            principal.require(self.permission)
        known_query(request)
        site: Console = request.app.state.site
        return site.seen_by(principal)


def may(permission: str) -> Any:
    """The dependency of a route that needs `permission`; ConfigError for one that is not in the
    table.
    """
    if permission not in PERMISSIONS:
        raise ConfigError(f"{permission} is no permission: see alerts/accounts/__init__.py")
    return Depends(Needs(permission))


def anybody() -> Any:
    """The dependency of a route that needs no login; what it gets sees nothing of any tenant
    unless somebody has logged in.
    """
    return Depends(Needs(ANYBODY))


def logged_in() -> Any:
    """The dependency of a route that is for whoever has logged in."""
    return Depends(Needs(LOGGED_IN))


def needed(route: APIRoute) -> frozenset[str]:
    """All that a route needs; empty where it names nothing."""
    return frozenset(
        one.call.permission
        for one in dependencies_of(route.dependant)
        if isinstance(one.call, Needs)
    )


def routes_of(app: FastAPI) -> Iterator[APIRoute]:
    """Every route of the application; ConfigError for what is none that could name what it
    needs.
    """
    for context in iter_route_contexts(app.routes):
        if not isinstance(context.original_route, APIRoute):
            raise ConfigError(f"{context.path} is no route that names what it needs")
        yield context.original_route


def require_named(app: FastAPI) -> frozenset[str]:
    """ConfigError for a route that names no permission; returns the paths that need no login."""
    for route in routes_of(app):
        if not needed(route):
            raise ConfigError(
                f"the route {route.path} names no permission: give it `may(...)`, see"
                " alerts/web/dependencies.py"
            )
    return frozenset(route.path for route in routes_of(app) if needed(route) == {ANYBODY})


def dependencies_of(dependant: Dependant) -> Iterator[Dependant]:
    """Whatever a route depends on, at whatever depth."""
    for nested in dependant.dependencies:
        yield nested
        yield from dependencies_of(nested)
