"""Who may: every route names what it needs, and gets the site as whoever asks may see it.

    Reader = Annotated[Site, may("incident.read")]

    @router.get("/things")
    def things(site: Reader) -> HTMLResponse: ...

A route that names nothing is refused when the application is made (`require_named`), so none can be forgotten. `anybody()` is for
what needs no login, `logged_in()` for what is everybody's who has one. Where it depends on what is asked, a route needs the least
here and asks for the rest by `site.principal.require`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fastapi import Depends, FastAPI, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts

from alerts.accounts.roles import PERMISSIONS
from alerts.search.query_words import known_query
from alerts.search.site import Console
from ullage.errors import ConfigError

ANYBODY, LOGGED_IN = "anybody", "logged in"


@dataclass(frozen=True, slots=True)
class Needs:
    """What a route needs: a permission, `ANYBODY` or `LOGGED_IN`. Called with a request it gives the site as it may be seen."""

    permission: str

    async def __call__(self, request: Request) -> Console:  # in the loop: a thread would cost more than what it does
        """The site narrowed to who asks; ForbiddenError where they may not, QueryError for what the route does not know."""
        principal = request.state.principal
        if self.permission in PERMISSIONS:
            principal.require(self.permission)
        known_query(request)
        site: Console = request.app.state.site
        return site.seen_by(principal)


def may(permission: str) -> Any:
    """The dependency of a route that needs `permission`; ConfigError for one that is not in the table."""
    if permission not in PERMISSIONS:
        raise ConfigError(f"{permission} is no permission: see alerts/accounts/roles.py")
    return Depends(Needs(permission))


def anybody() -> Any:
    """The dependency of a route that needs no login; what it gets sees nothing of any tenant unless somebody has logged in."""
    return Depends(Needs(ANYBODY))


def logged_in() -> Any:
    """The dependency of a route that is for whoever has logged in."""
    return Depends(Needs(LOGGED_IN))


def needed(route: APIRoute) -> frozenset[str]:
    """All that a route needs; empty where it names nothing."""
    return frozenset(one.call.permission for one in dependencies_of(route.dependant) if isinstance(one.call, Needs))


def routes_of(app: FastAPI) -> Iterator[APIRoute]:
    """Every route of the application; ConfigError for what is none that could name what it needs."""
    for context in iter_route_contexts(app.routes):
        if not isinstance(context.original_route, APIRoute):
            raise ConfigError(f"{context.path} is no route that names what it needs")
        yield context.original_route


def require_named(app: FastAPI) -> frozenset[str]:
    """ConfigError for a route that names no permission; returns the paths that need no login."""
    for route in routes_of(app):
        if not needed(route):
            raise ConfigError(f"the route {route.path} names no permission: give it `may(...)`, see alerts/search/permissions.py")
    return frozenset(route.path for route in routes_of(app) if needed(route) == {ANYBODY})


def dependencies_of(dependant: Dependant) -> Iterator[Dependant]:
    """Whatever a route depends on, at whatever depth."""
    for nested in dependant.dependencies:
        yield nested
        yield from dependencies_of(nested)
