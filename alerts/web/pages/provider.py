"""Logging in by the identity provider: to it, back from it, and out of it as well."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response

from alerts.accounts.sign_on import JOURNEY_SECONDS, LoginRefusedError
from alerts.web.dependencies import PLACE, Console, any_query, anybody
from alerts.web.login import entering, limited, login_form
from alerts.web.middleware import BACK
from ullage.errors import UnavailableError
from ullage.phrase import Phrase
from ullage.runtime.rate_limit import LimitedError

COOKIE, SECURE_COOKIE = "ullage_journey", "__Host-ullage_journey"
Everybody = Annotated[Console, anybody()]
NONE = Phrase("this page does not exist")


def routes() -> APIRouter:
    """The routes of this page."""
    router = APIRouter(include_in_schema=False)

    @router.get("/login/provider")
    def to_it(request: Request, site: Everybody, then: str = "/") -> Response:
        if site.sign_on is None:
            return site.missing(NONE)
        place, asked = then if PLACE.fullmatch(then) else "/", request.state.asked
        try:
            address, browser = site.sign_on.begin(f"{asked.origin}{asked.base}{BACK}", place, asked.source)
        except LimitedError as error:
            return limited(site, error, place)
        except LoginRefusedError as error:
            return _refused(site, error, place)
        answer = RedirectResponse(address, 303)
        # The way back begins at another site, with which browsers send no cookie that is Strict.
        secure, age = asked.is_secure, int(JOURNEY_SECONDS)
        answer.set_cookie(_cookie(secure=secure), browser, max_age=age, httponly=True, samesite="lax", secure=secure)
        return answer

    @router.get(BACK, dependencies=[Depends(any_query)])
    def back(request: Request, site: Everybody) -> Response:
        if site.sign_on is None:
            return site.missing(NONE)
        name = _cookie(secure=request.state.asked.is_secure)
        try:
            user, place = site.sign_on.finish(request.query_params, request.cookies.get(name, ""))
        except LoginRefusedError as error:
            answer = _refused(site, error, "/")
        else:
            session = site.door.open(user, "the identity provider")
            answer = entering(request, session, site.page("entered.html", then=place))
        answer.delete_cookie(name, httponly=True, samesite="lax", secure=request.state.asked.is_secure)
        return answer

    @router.get("/login/away")
    def out_of_it(request: Request, site: Everybody) -> Response:
        address = site.sign_on.left(f"{request.state.asked.origin}{request.state.asked.base}/login") if site.sign_on else ""
        return RedirectResponse(address, 303) if address else site.missing(Phrase("The identity provider has no logout page."))

    return router


def _cookie(*, secure: bool) -> str:
    return SECURE_COOKIE if secure else COOKIE


def _refused(site: Console, error: LoginRefusedError, place: str) -> Response:
    down = isinstance(error.__cause__, UnavailableError)
    site.door.logins.labels("unavailable" if down else "refused").inc()
    return login_form(site, 503 if down else 403, place, error)
