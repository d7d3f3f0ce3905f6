"""Changing one's own password: the only page there is for somebody whose password somebody else made."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, Response

from alerts.accounts.sessions import SHORTEST, PasswordError
from alerts.web.dependencies import Console, logged_in
from alerts.web.login import entered
from ullage.phrase import Phrase
from ullage.runtime.rate_limit import LimitedError

Typed = Annotated[str, Form(max_length=2_000)]
Known = Annotated[Console, logged_in()]


def routes() -> APIRouter:
    """The routes of this page."""
    router = APIRouter(include_in_schema=False)

    @router.get("/password")
    def other_password(site: Known) -> HTMLResponse:
        return _page(site, 200)

    @router.post("/password")
    def change(request: Request, site: Known, old: Typed = "", new: Typed = "", again: Typed = "") -> Response:
        if new != again:
            return _page(site, 400, Phrase("The two new passwords differ."))
        try:
            session = site.door.change(site.principal, old, new, request.state.asked.source)
        except PasswordError as error:
            return _page(site, 400, error)
        except LimitedError as error:
            return _page(site, 429, error)
        if not session:
            return _page(site, 401, Phrase("The current password is wrong."))
        return entered(request, session, "/", site.door.device(site.principal.name))

    return router


def _page(site: Console, status: int, refused: object = "") -> HTMLResponse:
    return site.page("password.html", status, refused=refused, shortest=SHORTEST)
