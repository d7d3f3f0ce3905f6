"""Assemble the console: its routes, its guard, and the answers to errors.

`create_app` connects pages and API to the store and the accounts, and wraps them in the middleware
that checks every request (`alerts.web.middleware`). An error that a route raises becomes a page, or
for the API a problem document, that repeats nothing of the request. A route that declares no
permission raises ConfigError here, at the start.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import tzinfo
from functools import cache, partial

from argon2 import PasswordHasher
from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import PlainTextResponse, RedirectResponse, Response
from prometheus_client import CollectorRegistry, generate_latest
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute

from alerts.accounts import ForbiddenError
from alerts.accounts.accounts import Accounts
from alerts.accounts.sessions import Passwords, Sessions
from alerts.accounts.sign_on import SignOn, open_sign_on
from alerts.cases.feed import EventFeed
from alerts.cases.lookups.limits import Lookups, Occasions, Sweeps
from alerts.cases.lookups.lookup import Lookup
from alerts.cases.lookups.screening import MOST, screen_customers
from alerts.cases.queue import Shifts
from alerts.cases.two_officers import OpeningRequests
from alerts.deadlines.schedule import duties_of
from alerts.grouping.benign import BACKGROUND
from alerts.notify.plan import find_channels
from alerts.records import KeyCheck
from alerts.store import DocumentFilter, IncidentStore
from alerts.web import api, middleware, pages, problems
from alerts.web.auth import Authenticator, Reach
from alerts.web.dependencies import (
    Console,
    SearchMetrics,
    Turns,
    allow_anybody,
    choose_zone,
    load_templates,
    require_declared,
)
from alerts.web.dropped_files import AssessmentCache
from alerts.web.middleware import Guard, HeadAnswers, PathPrefix
from alerts.web.pages.login import deny_access
from alerts.web.problems import ProblemError
from alerts.web.static_files import MEDIA_TYPES, load_static_file
from alerts.web.templating import InLanguage, build_menu
from ullage import __version__, log
from ullage.audit import Trail
from ullage.audit.trail import REQUEST
from ullage.errors import ConfigError, UllageError, UnavailableError
from ullage.files.rule_files import Live
from ullage.lookup.list_index import EnrolledLists
from ullage.monitoring.metrics import readiness
from ullage.phrase import Phrase
from ullage.runtime.service import ServiceFaults
from ullage.settings import Context
from ullage.settings.tenants import find_tenants

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def create_app(
    context: Context,
    store: IncidentStore,
    accounts: Accounts,
    registry: CollectorRegistry,
    hosts: frozenset[str],
    zone: tzinfo | None = None,
    hasher: PasswordHasher | None = None,
) -> HeadAnswers:
    """Return the console and its API over `store`, for the people and programs in `accounts`.

    `hosts` are the `name:port` that it listens on; `zone` is that of all pages, None for that of
    the reader's tenants; `hasher` sets the cost of password digests. Raises ConfigError if a route
    declares no permission.
    """
    site = _create_console(context, store, accounts, registry, zone, hasher)
    app = FastAPI(
        title="ullage", version=__version__, docs_url=None, redoc_url=None, openapi_url=None
    )
    app.state.site = site
    app.router.routes.extend(_collect_routes())
    for kind, answer in _build_error_handlers(site).items():
        app.add_exception_handler(kind, answer)
    reach = Reach.from_settings(context.settings, hosts)
    guard = Guard(
        app,
        reach,
        site.metrics.requests,
        site.door.principal,
        partial(deny_access, site),
        require_declared(app),
        middleware.list_stream_limits(app),
        middleware.list_body_limits(app),
        methods=partial(middleware.list_methods, app),
    )
    return HeadAnswers(PathPrefix(InLanguage(guard), reach))


def _create_console(
    context: Context,
    store: IncidentStore,
    accounts: Accounts,
    registry: CollectorRegistry,
    zone: tzinfo | None,
    hasher: PasswordHasher | None,
) -> Console:
    """Create what the pages and the API work with, once the keys have been checked.

    Registers the metrics. Single sign-on that cannot be set up does not raise: it is off, and
    marked as broken.
    """
    settings, metrics, trail = (
        context.settings.search,
        SearchMetrics.make(registry),
        context.trail("search"),
    )
    lists = EnrolledLists(context.data, context.keys)
    lookup = Lookup(
        store, context.keys, tuple(context.settings.tenants), context.clock, trail, lists
    )
    lookup.check_keys()
    tenants, background = find_tenants(context), Live(BACKGROUND, context.data)
    sign_on = _sign_on(context, accounts, trail)
    metrics.sign_on.set(sign_on is not None or not settings.oidc.issuer)
    return Console(
        context=context,
        store=store,
        lookup=lookup,
        clock=context.clock,
        metrics=metrics,
        registry=registry,
        pages=load_templates(zone or choose_zone(context)),
        tenants=tuple(sorted(tenants)),
        untold=tuple(
            tenant
            for tenant in sorted(tenants or {""})
            if not find_channels(context.settings.notify, tenant)
        ),
        trail=trail,
        duties=duties_of(context, store),
        background=background,
        door=Authenticator(
            accounts,
            Passwords(hasher),
            Sessions(settings.idle_minutes * 60, settings.session_hours * 3600, context.clock),
            context.clock,
            trail,
            metrics.logins,
        ),
        allowed=Lookups(settings.lookups_per_minute, settings.lookups_per_day, context.clock),
        held=AssessmentCache(context.clock, len(tenants)),
        sweeps=Sweeps(context.clock),
        occasions=Occasions(),
        shifts=Shifts(context.clock),
        openings=OpeningRequests(),
        feed=EventFeed(context.data, store, context.keys, context.clock),
        screenings=Turns(
            partial(screen_customers, trail=trail, life_days=context.settings.store.exposures_days),
            MOST,
        ),
        zone=zone,
        entries=pages.entries(),
        sign_on=sign_on,
        is_sign_on_broken=sign_on is None and bool(settings.oidc.issuer),
    )


def _sign_on(context: Context, accounts: Accounts, trail: Trail) -> SignOn | None:
    """Return the configured single sign-on; None, with a line in the log, if it cannot be used:
    passwords still work.
    """
    try:
        return open_sign_on(context, accounts, trail)
    except ConfigError as error:
        log.get("search").error("sign_on_unusable", error=str(error))
        return None


@cache
def _collect_routes() -> tuple[BaseRoute, ...]:
    """Return every route; those of the API come first, since they are tried in order.

    Routes find their console in the request (`alerts.web.dependencies`), so that this slow step is
    done once per process.
    """
    routers = (*api.routers(), *pages.routers(), _build_operations())
    # included, each would be worked out a second time
    return tuple(route for router in routers for route in router.routes)


def _build_operations() -> APIRouter:
    """Build the routes of static files and of metrics and health checks."""
    router = APIRouter(include_in_schema=False)
    for file in map(load_static_file, MEDIA_TYPES):
        router.add_api_route(file.path, file.serve, dependencies=[allow_anybody()])

    @router.get("/metrics", dependencies=[allow_anybody()])
    def metrics(request: Request) -> Response:
        return Response(generate_latest(request.app.state.site.registry), media_type=METRICS_TYPE)

    @router.get("/healthz", dependencies=[allow_anybody()])
    def alive() -> PlainTextResponse:
        return PlainTextResponse("alive\n")

    @router.get("/readyz", dependencies=[allow_anybody()])
    def ready(request: Request) -> PlainTextResponse:
        site: Console = request.app.state.site
        context = site.context
        text, status = readiness(
            ServiceFaults(context.data, context.inventory), context.find_audit_fault
        )
        site.store.count(KeyCheck, DocumentFilter())
        return PlainTextResponse(text, status)

    return router


def _build_error_handlers(
    site: Console,
) -> dict[type[Exception], Callable[[Request, Exception], Response]]:
    """Return a handler for each kind of error: a problem for programs, a page for people.

    Metrics and health checks get plain text. A person who may not see the first page is led to one
    that they may see. An unexpected error is logged by its type. No answer repeats what was sent.
    """

    def answer(
        request: Request, problem: ProblemError, message: str | Phrase | Exception
    ) -> Response:
        if problems.is_api_path(request.url.path):
            return problem.response()
        if request.url.path in ("/metrics", "/healthz", "/readyz"):
            return PlainTextResponse(f"{message}\n", problem.status)
        title = Phrase("The action failed")
        page = site.restrict_to(request.state.principal).page(
            "problem.html", problem.status, title=title, message=message
        )
        page.headers.update(problem.headers or {})
        return page

    def ours(request: Request, error: Exception) -> Response:
        assert isinstance(error, UllageError)
        if (
            isinstance(error, ForbiddenError)
            and request.url.path == "/"
            and (home := _find_home(request))
        ):
            return RedirectResponse(home, 303)
        is_away = isinstance(error, UnavailableError)
        return answer(
            request, problems.convert_error(error), problems.UNREACHABLE if is_away else error
        )

    def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        problem = problems.convert_validation_faults(
            error.errors(), request.scope["route"].dependant
        )
        return answer(request, problem, problem.detail)

    def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        missing = error.status_code == 404
        headers = dict(error.headers or {})
        if error.status_code == 405:
            headers = {"allow": ", ".join(middleware.list_methods(request.app, request.url.path))}
        problem = problems.convert_status(
            error.status_code, "this path does not exist" if missing else "", headers
        )
        return answer(
            request,
            problem,
            Phrase("this page does not exist") if missing else Phrase("not allowed"),
        )

    def answer_unexpected(request: Request, error: Exception) -> Response:
        log.get("search").error("request_failed", error=type(error).__name__, request=REQUEST.get())
        problem = ProblemError("internal_error", Phrase("internal error; see the log"))
        return answer(request, problem, problem.detail)

    return {
        UllageError: ours,
        RequestValidationError: invalid,
        HTTPException: http,
        Exception: answer_unexpected,
    }


def _find_home(request: Request) -> str:
    """Return the reader's first page in the navigation, or "" if there is none."""
    shown = build_menu(request.app.state.site.entries, request.state.principal)
    return shown[0][1][0].path if shown else ""
