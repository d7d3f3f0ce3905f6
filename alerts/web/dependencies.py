"""Give each route of the web console what it works with, limited to what its caller may see.

    Reader = Annotated[Console, require_permission("incident.read")]

    @router.get("/things")
    def things(site: Reader) -> HTMLResponse: ...

`Console` holds the store, the settings and the page templates. FastAPI calls the declared
dependency before the route: it raises ForbiddenError unless the *principal*, the person or program
behind the request, has the permission, and ProblemError for a query parameter that the route does
not know; then it passes the console with only the principal's tenants. Every route declares what it
needs in this way; `require_declared` refuses an application with a route that does not.
`allow_anybody()` is for routes without a login, `require_login()` for those of everybody who has
one. If the permission depends on the request, a route declares the least here and checks the rest
with `site.principal.require`.

`Turns` batches concurrent questions (group commit): one batch reads the store and writes the audit
log once, so that ten questions take hardly longer than one.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, tzinfo
from difflib import get_close_matches
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
from alerts.cases.lookups.screening import ExposureQuery, ExposureResult
from alerts.cases.lookups.typed_value import selectable_kinds
from alerts.cases.queue import Shifts
from alerts.cases.two_officers import OpeningRequests
from alerts.deadlines import render
from alerts.deadlines.outstanding import Duties
from alerts.deadlines.render import name_report
from alerts.grouping.benign import BenignRules
from alerts.records.decision import MAX_NOTE, validate_case, validate_name
from alerts.records.document import QueryError
from alerts.store import IncidentStore
from alerts.store.queries import CLOSED, require_known_tenant
from alerts.store.tenant_view import StoreWithin
from alerts.translation import TAGS, named
from alerts.web.auth import Authenticator
from alerts.web.dropped_files import AssessmentCache
from alerts.web.problems import MemberProblem, ProblemError
from alerts.web.static_files import find_static_path
from alerts.web.templating import READER, MenuEntry, build_menu, speak
from ullage.audit import Trail
from ullage.clock import Clock
from ullage.display import moment, safe
from ullage.erasure import HANDLE
from ullage.errors import ConfigError, UllageError, UnavailableError
from ullage.lookup.values import identifier_in, mask_identifiers
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
    """Batches the questions of one event loop.

    `answer` runs in a worker thread, one batch at a time, and returns one answer or error per
    question, in the same order.
    """

    answer: Callable[[Sequence[Q]], Sequence[A | UllageError]]
    most: int
    """Upper limit of a batch's total size; a single larger question forms a batch of its own."""
    _waiting: deque[_PendingRequest[Q, A]] = field(default_factory=deque)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def ask(self, question: Q, size: int = 1) -> A:
        """Return the answer to `question`, which is processed in a batch with others that wait.

        `size` counts towards the limit of a batch. Raises the error of this question, or that of
        its whole batch.
        """
        pending = _PendingRequest[Q, A](question, size)
        self._waiting.append(pending)
        async with self._turn:
            while pending.answer is None:
                await run_in_threadpool(self._process_batch, self._next_batch())
        if isinstance(pending.answer, UllageError):
            raise pending.answer
        return pending.answer

    def _next_batch(self) -> list[_PendingRequest[Q, A]]:
        """Remove the oldest questions that fit into one batch; always at least one."""
        batch = [self._waiting.popleft()]
        size = batch[0].size
        while self._waiting and (size := size + self._waiting[0].size) <= self.most:
            batch.append(self._waiting.popleft())
        return batch

    def _process_batch(self, batch: Sequence[_PendingRequest[Q, A]]) -> None:
        answers: Sequence[A | UllageError] = [
            UnavailableError("the request could not be processed")
        ] * len(batch)
        try:
            answers = self.answer([pending.question for pending in batch])
        except UllageError as error:
            answers = [error] * len(batch)
        finally:  # a fault of ours is raised to one of them, and leaves nobody waiting
            for pending, answer in zip(batch, answers, strict=True):
                pending.answer = answer


PLACE = re.compile(r"/(?![/\\])[!-~]*")
"""A place of the console: a path, never another host."""
MOST_ROWS = 10**9
"""Highest number of a row in an address."""
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
"""A route's filters, read from the query of its URL."""


ID_FIELDS = frozenset({"status", "token", "seen", "entry"})
"""Fields of forms that contain ids, which no person types."""
FORM_ID = re.compile(r"[A-Za-z0-9 :_-]{1,120}")


def redact_form(typed: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a form as they may be shown again, by name.

    Pages never repeat an identifier or a long number: in a text, its kind stands in its place.
    Values that are not text are unchanged.
    """
    return {
        name: mask_field(name, value) if isinstance(value, str) else value
        for name, value in typed.items()
    }


def mask_field(name: str, text: str) -> str:
    """Return the text of a form's field with its identifiers masked.

    A field that people do not type in has an id, whose digits may look like a number.
    """
    return text if name in ID_FIELDS and FORM_ID.fullmatch(text) else mask_typed(text)


def mask_typed(text: str) -> str:
    """Return `text` with its identifiers masked, in the language of the reader."""
    language = READER.get().language
    return mask_identifiers(text, lambda kind: named(kind, "kind", language))


MOST_NAME = 32
"""Characters of an unknown parameter's name that are compared with the known names."""


def allow_any_query() -> None:
    """Mark a route, as its dependency, that ignores unknown query parameters."""


def require_known_query(request: Request) -> None:
    """Raise an error for a query parameter that is unknown, or given twice, to the route.

    Ignoring it would make the answer wrong. Neither ProblemError nor QueryError repeats unknown
    names, which may contain anything.
    """
    if any(
        dependency.call is allow_any_query
        for dependency in request.scope["route"].dependant.dependencies
    ):
        return
    repeatable = dict(_list_parameters(request.scope["route"].dependant))
    names = [name for name, _ in request.query_params.multi_items()]
    if unknown := [name for name in names if name not in repeatable]:
        accepted = (
            Phrase("use only %(known)s", known=", ".join(sorted(repeatable)))
            if repeatable
            else Phrase("remove them")
        )
        raise ProblemError(
            "invalid_request",
            Phrase(
                "unknown parameters in the address (%(count)s): %(taken)s",
                count=len(unknown),
                taken=accepted,
            ),
            [
                _locate_unknown(place, name, repeatable)
                for place, name in enumerate(names, 1)
                if name not in repeatable
            ],
        )
    if twice := sorted({name for name in names if names.count(name) > 1 and not repeatable[name]}):
        raise QueryError(
            Phrase("%(names)s: given more than once: give it once", names=", ".join(twice)), *twice
        )


def _locate_unknown(place: int, name: str, known: Collection[str]) -> MemberProblem:
    """Return the problem of an unknown parameter: its place, and the known name nearest to it."""
    nearest = get_close_matches(name[:MOST_NAME], known, 1)
    advice = f"did you mean {nearest[0]}?" if nearest else "remove it"
    return MemberProblem(
        member="",
        code="unknown",
        detail=f"parameter {place} of the address is unknown: {advice}",
    )


def _list_parameters(dependant: Any) -> Iterator[tuple[str, bool]]:
    """Yield each query parameter of a route and whether it may be repeated."""
    for parameter in dependant.query_params:
        yield parameter.alias, get_origin(parameter.field_info.annotation) is not None
    for nested in dependant.dependencies:
        yield from _list_parameters(nested)


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
        """Declare the metrics in `registry`."""
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
    """What a route works with, restricted to what `principal` may see.

    If `zone` is None, times are in this machine's zone. `untold` are tenants without a recipient
    for notifications, which every page mentions.
    """

    context: Context
    store: IncidentStore
    lookup: Lookup
    clock: Clock
    metrics: SearchMetrics
    registry: CollectorRegistry
    pages: Callable[[Language], Environment]
    """Returns the page templates of a language."""
    trail: Trail
    duties: Duties
    background: Callable[[], BenignRules]
    door: Authenticator
    allowed: Lookups
    held: AssessmentCache
    sweeps: Sweeps
    occasions: Occasions
    shifts: Shifts
    openings: OpeningRequests
    feed: EventFeed
    screenings: Turns[ExposureQuery, ExposureResult]
    tenants: tuple[str, ...] = ()
    untold: tuple[str, ...] = ()
    zone: tzinfo | None = None
    principal: Principal = NOBODY
    entries: tuple[MenuEntry, ...] = ()
    sign_on: SignOn | None = None
    """The login through an identity provider, if one is configured."""
    is_sign_on_broken: bool = False
    """Whether single sign-on is configured but unusable, for example without its secret."""

    def restrict_to(self, principal: Principal) -> Console:
        """Return a copy of this console for `principal`.

        Its store, lookup, deadlines and tenants contain only what the principal may see.
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
            pages=self.pages if self.zone else load_templates(choose_zone(self.context, principal)),
            tenants=tuple(tenant for tenant in self.tenants if principal.sees(tenant)),
            untold=tuple(tenant for tenant in self.untold if not tenant or principal.sees(tenant)),
        )

    def actor(self, typed: str = "", *members: str) -> str:
        """Return the name under which an act is recorded.

        For a person it is their own, whatever was `typed`. For a program it is `TYPED via PROGRAM`,
        or its own name if nothing was typed. Raises QueryError about the fields `members` if a
        program's typed name is invalid.
        """
        if not self.principal.is_program or not typed:
            return self.principal.name
        return f"{validate_name(typed, *members)} via {self.principal.name}"

    def require_known_tenant(self, tenant: str) -> None:
        """Raise UnknownTenantError if a tenant is unknown or invisible.

        "" stands for any tenant and is valid.
        """
        if self.principal.sees_all:
            require_known_tenant(self.context, self.store, tenant)
        elif tenant:
            require_tenant(tenant, self.principal.tenants)

    def page(self, name: str, status: int = 200, **values: Any) -> HTMLResponse:
        """Return a page: the template `name`, rendered in the reader's language with `values`.

        The template also receives `principal`, `tenants`, `untold`, `place`, `path` and `menu`.
        `status` is the HTTP status; from 400 on the query of the request is not repeated.
        """
        reader = READER.get()
        # what is refused is not repeated
        place = _redact_place(reader.place) if status < 400 else reader.place.partition("?")[0]
        who = {
            "principal": self.principal,
            "tenants": self.tenants,
            "untold": self.untold,
            "place": place,
            "path": reader.path,
        }
        who["menu"] = build_menu(self.entries, self.principal)
        text = self.pages(reader.language).get_template(name).render({**who, **values})
        return HTMLResponse(text, status, {"content-language": TAGS[reader.language]})

    def missing(self, message: Phrase) -> HTMLResponse:
        """Return the page, with status 404, for something that was not found."""
        return self.page("problem.html", 404, title=Phrase("Not found"), message=message)

    def question(
        self, value: str, who: str, purpose: str, case: str, *, kind: str = "", pseudonym: str = ""
    ) -> LookupRequest:
        """Return the validated lookup request of a form; nothing is looked up.

        Raises QueryError, which names the faulty field and repeats no value.
        """
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
            raise QueryError(
                Phrase("a customer pseudonym must have 32 hexadecimal digits"), "pseudonym"
            )
        return LookupRequest(
            Secret(value), validate_name(who), purpose, validate_case(case), kind, customer
        )


def _redact_place(place: str) -> str:
    """Return a place without its query if that contains an identifier."""
    return place.partition("?")[0] if identifier_in(unquote(place)) else place


def choose_zone(context: Context, principal: Principal | None = None) -> ZoneInfo:
    """Return the time zone for the pages of `principal`; for None, for those of everybody.

    It is the zone of all visible tenants if they share one, otherwise `coverage.zone`.
    """
    tenants = context.settings.tenants.items()
    zones = {tenant.zone for name, tenant in tenants if principal is None or principal.sees(name)}
    zones = zones or {context.settings.coverage.zone}
    return ZoneInfo(zones.pop() if len(zones) == 1 else context.settings.coverage.zone)


@cache
def load_templates(zone: tzinfo | None) -> Callable[[Language], Environment]:
    """Return a function that gives the page templates of a language, with times in `zone`.

    Everything is escaped, and an undefined name in a template raises an error.
    """
    shared = {
        "formats": exports.names(),
        "words": translation,
        "purposes": PURPOSES,
        "note_length": MAX_NOTE,
        "closed": CLOSED,
        "static": find_static_path,
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
            "unsearched": incident_view.list_unsearched_reasons,
            "moment": lambda when: (
                when.astimezone(zone).strftime("%Y-%m-%d %H:%M")
                if zone and when
                else moment(when, zone)
            ),
        }
        pages.globals |= shared
        speak(pages, language, zone)
        pages.filters["shown_cell"] = lambda value: _format_cell(value, pages)
        return pages

    return speaking


def _format_cell(value: object, pages: Environment) -> str:
    """Format the value of a table cell.

    Phrases are translated and times are in the page's zone; text is sanitised.
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

    Called with a request, it returns the console restricted to the principal.
    """

    permission: str

    # in the loop: a thread would cost more than what it does
    async def __call__(self, request: Request) -> Console:
        """Return the console restricted to the principal of the request.

        Raises ForbiddenError without the permission, ProblemError for an unknown query parameter.
        That somebody is logged in has been checked before (`alerts.web.middleware`).
        """
        principal = request.state.principal
        if self.permission in PERMISSIONS:
            principal.require(self.permission)
        require_known_query(request)
        site: Console = request.app.state.site
        return site.restrict_to(principal)


def require_permission(permission: str) -> Any:
    """Return the dependency of a route that needs `permission`.

    Raises ConfigError if the permission is undefined.
    """
    if permission not in PERMISSIONS:
        raise ConfigError(f"{permission} is not a permission: see alerts/accounts/__init__.py")
    return Depends(Needs(permission))


def allow_anybody() -> Any:
    """Return the dependency of a route that needs no login.

    Without a login the route's console sees no tenant.
    """
    return Depends(Needs(ANYBODY))


def require_login() -> Any:
    """Return the dependency of a route for everybody who has logged in."""
    return Depends(Needs(LOGGED_IN))


def list_permissions(route: APIRoute) -> frozenset[str]:
    """Return what a route needs, by its dependencies: permissions, `ANYBODY` or `LOGGED_IN`.

    The set is empty if the route declares nothing.
    """
    return frozenset(
        dependency.call.permission
        for dependency in walk_dependencies(route.dependant)
        if isinstance(dependency.call, Needs)
    )


def list_routes(app: FastAPI) -> Iterator[APIRoute]:
    """Yield every route of the application.

    Raises ConfigError for a route of a kind that cannot declare what it needs.
    """
    for context in iter_route_contexts(app.routes):
        if not isinstance(context.original_route, APIRoute):
            raise ConfigError(
                f"{context.path} cannot declare a permission: make it an"
                " APIRoute, see alerts/web/dependencies.py"
            )
        yield context.original_route


def require_declared(app: FastAPI) -> frozenset[str]:
    """Check that every route declares what it needs, and return the paths that need no login.

    Raises ConfigError if a route declares nothing, or is of a kind that cannot.
    """
    for route in list_routes(app):
        if not list_permissions(route):
            raise ConfigError(
                f"the route {route.path} declares no permission: give it"
                " `require_permission(...)`, see alerts/web/dependencies.py"
            )
    return frozenset(
        route.path for route in list_routes(app) if list_permissions(route) == {ANYBODY}
    )


def walk_dependencies(dependant: Dependant) -> Iterator[Dependant]:
    """Yield the dependencies of a route, including nested ones, each before those that it has."""
    for nested in dependant.dependencies:
        yield nested
        yield from walk_dependencies(nested)
