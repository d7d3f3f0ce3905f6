"""The way in and out: a form for name and password, shown in the place of whatever was asked for."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import Scope

from alerts.accounts import NOBODY, sessions
from alerts.web.auth import COOKIE, SECURE_COOKIE
from alerts.web.dependencies import PLACE, Console, anybody, logged_in
from alerts.web.problems import ProblemError, is_of_api, of_error
from ullage.errors import UllageError, UnavailableError
from ullage.phrase import Phrase
from ullage.runtime.rate_limit import LimitedError

Typed = Annotated[str, Form(max_length=2_000)]
Everybody = Annotated[Console, anybody()]
Known = Annotated[Console, logged_in()]
SINGLE = Phrase("single sign-on")
VOUCHED = "provider"
"""How somebody was logged in who is led to the login page after logging out."""
WRONG = Phrase("The name or password is wrong, or the account is disabled.")


def routes() -> APIRouter:
    """The routes of this module."""
    router = APIRouter(include_in_schema=False)

    @router.get("/login")
    def form(site: Everybody, left: str = "") -> HTMLResponse:
        return login_form(site, 200, has_left=left == VOUCHED)

    @router.post("/login")
    def enter(request: Request, site: Everybody, name: Typed = "", password: Typed = "", then: Typed = "/") -> Response:
        place = then if PLACE.fullmatch(then) else "/"
        try:
            session = site.door.enter(name, password, request.state.asked.source, _device(request))
        except LimitedError as error:
            return limited(site, error, place)
        return entered(request, session, place, site.door.device(name)) if session else login_form(site, 401, place, WRONG)

    @router.post("/logout")
    def leave(site: Known) -> Response:
        user = site.door.accounts.user(site.principal.name)
        site.door.leave(site.principal)
        answer = RedirectResponse(f"/login?left={VOUCHED}" if user and user.subject else "/login", 303)
        for name in (COOKIE, SECURE_COOKIE):
            answer.delete_cookie(name, path="/", httponly=True, samesite="strict", secure=name == SECURE_COOKIE)
        return answer

    return router


def entered(request: Request, session: str, place: str, device: str) -> Response:
    """Leads somebody who was let in to `place`, with the session's cookie: for encrypted connections alone where this is one.

    `device` is what the browser keeps, to be known again.
    """
    answer, is_secure = entering(request, session, RedirectResponse(place, 303)), request.state.asked.is_secure
    name = sessions.SECURE_COOKIE if is_secure else sessions.COOKIE
    answer.set_cookie(name, device, max_age=sessions.SECONDS, path="/", httponly=True, samesite="strict", secure=is_secure)
    return answer


def _device(request: Request) -> str:
    """What the browser has kept of an earlier login; "" for none."""
    return request.cookies.get(sessions.SECURE_COOKIE if request.state.asked.is_secure else sessions.COOKIE, "")


def entering(request: Request, session: str, answer: Response) -> Response:
    """`answer` with the cookie of a session."""
    is_secure = request.state.asked.is_secure
    name = SECURE_COOKIE if is_secure else COOKIE
    answer.set_cookie(name, session, path="/", httponly=True, samesite="strict", secure=is_secure)
    return answer


def denied(site: Console, scope: Scope, error: UllageError | None) -> Response:
    """The answer to a request of nobody who may ask; a page is asked for again once its reader has logged in."""
    path, principal = scope["path"], scope["state"].get("principal", NOBODY)
    if is_of_api(path):
        return _denied_program(error)
    if principal.must_change:
        return RedirectResponse("/password", 303)
    place = b"?".join(filter(None, (scope["raw_path"], scope["query_string"]))).decode("latin-1")
    place = place if scope["method"] == "GET" and PLACE.fullmatch(place) else "/"
    if not error and site.sign_on and scope["method"] == "GET" and _is_to_be_vouched(site, scope):
        return RedirectResponse(f"/login/provider?{urlencode({'then': place})}", 303)
    if isinstance(error, LimitedError):
        return limited(site, error, place)
    if error:
        return site.page("problem.html", _status(error), title=Phrase("The action failed"), message=error)
    return login_form(site, 401, place, crossed=(b"sec-fetch-site", b"cross-site") in scope["headers"])


def _is_to_be_vouched(site: Console, scope: Scope) -> bool:
    cookies = "; ".join([value.decode("latin-1") for name, value in scope["headers"] if name == b"cookie"])
    return site.door.is_to_be_vouched({"cookie": cookies}, scope["state"]["asked"])


def _denied_program(error: UllageError | None) -> Response:
    if error:
        return of_error(error).response()
    says = "send a token that is good now, of `ullage token add`, as `Authorization: Bearer TOKEN`"
    return ProblemError("unauthenticated", says, headers={"www-authenticate": "Bearer"}).response()


def _status(error: UllageError) -> int:
    return 503 if isinstance(error, UnavailableError) else 500


def login_form(
    site: Console, status: int, place: str = "/", refused: object = "", *, crossed: bool = False, has_left: bool = False
) -> HTMLResponse:
    """The form. `crossed` says that a link of another site led here: browsers then keep the cookie of a session back.

    `has_left` is somebody who has logged out here, and perhaps not of the identity provider.
    """
    provider = site.sign_on and (site.sign_on.label or SINGLE)
    values = {"crossed": crossed, "provider": provider, "has_left": has_left and bool(provider)}
    return site.page("login.html", status, then=place, refused=refused, **values)


def limited(site: Console, error: LimitedError, place: str) -> HTMLResponse:
    """The form, for somebody who has to wait."""
    answer = login_form(site, 429, place, error)
    answer.headers["retry-after"] = str(error.retry_after)
    return answer
