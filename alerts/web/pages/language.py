"""The switch between the languages. It stands on the page that one logs in on as well."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form
from fastapi.responses import RedirectResponse

from alerts.translation import LANGUAGES
from alerts.web.dependencies import PLACE, anybody
from alerts.web.templating import COOKIE

YEAR_SECONDS = 365 * 86_400


def routes() -> APIRouter:
    """The route of this page."""
    router = APIRouter(include_in_schema=False)

    @router.post("/language", dependencies=[anybody()])
    def switch(language: Annotated[str, Form()] = "", then: Annotated[str, Form(max_length=4_000)] = "/") -> RedirectResponse:
        answer = RedirectResponse(then if PLACE.fullmatch(then) else "/", 303)
        if language in LANGUAGES:
            answer.set_cookie(COOKIE, language, max_age=YEAR_SECONDS, path="/", httponly=True, samesite="strict")
        return answer

    return router
