"""The way in and out: a form that takes the token, shown in the place of whatever was asked for."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import Scope

from alerts.search.asked import PLACE
from alerts.search.door import COOKIE
from alerts.search.may import anybody, logged_in
from alerts.search.site import Site
from ullage.errors import UllageError
from ullage.phrase import Phrase
from ullage.runtime.allowance import LimitedError

Typed = Annotated[str, Form(max_length=2_000)]
Everybody = Annotated[Site, anybody()]


def routes() -> APIRouter:
    """The routes of this module."""
    router = APIRouter(include_in_schema=False)

    @router.get("/login")
    def form(site: Everybody) -> HTMLResponse:
        return _form(site, 200)

    @router.post("/login")
    def enter(site: Everybody, token: Typed = "", then: Typed = "/") -> Response:
        place = then if PLACE.fullmatch(then) else "/"
        try:
            session = site.door.enter(token.strip())
        except LimitedError as error:
            return _limited(site, error, place)
        if session is None:
            return _form(site, 401, place, Phrase("That is not the token of this page."))
        answer = RedirectResponse(place, 303)
        answer.set_cookie(COOKIE, session, path="/", httponly=True, samesite="strict")
        return answer

    @router.post("/logout")
    def leave(request: Request, site: Annotated[Site, logged_in()]) -> Response:
        site.door.leave({"cookie": request.headers.get("cookie", "")})
        answer = RedirectResponse("/login", 303)
        answer.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
        return answer

    return router


def denied(site: Site, scope: Scope, error: UllageError | None) -> Response:
    """The answer to a request of nobody who may ask; a page is asked for again once its reader has logged in."""
    path = scope["path"]
    if path.startswith("/api/"):
        if isinstance(error, LimitedError):
            return JSONResponse({"error": str(error)}, 429, {"retry-after": str(error.retry_after)})
        says = "send the token of this page, which lies in the key folder, as `Authorization: Bearer TOKEN`"
        return JSONResponse({"error": says}, 401, {"www-authenticate": "Bearer"})
    place = b"?".join(filter(None, (scope["raw_path"], scope["query_string"]))).decode("latin-1")
    place = place if scope["method"] == "GET" and PLACE.fullmatch(place) else "/"
    if isinstance(error, LimitedError):
        return _limited(site, error, place)
    return _form(site, 401, place, crossed=(b"sec-fetch-site", b"cross-site") in scope["headers"])


def _form(site: Site, status: int, place: str = "/", refused: object = "", *, crossed: bool = False) -> HTMLResponse:
    """The form. `crossed` says that a link of another site led here: browsers then keep the cookie of a session back."""
    return site.page("login.html", status, then=place, refused=refused, crossed=crossed)


def _limited(site: Site, error: LimitedError, place: str) -> HTMLResponse:
    answer = _form(site, 429, place, error)
    answer.headers["retry-after"] = str(error.retry_after)
    return answer
