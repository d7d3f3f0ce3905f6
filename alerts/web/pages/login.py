"""Log people in and out: with name and password, or through the identity provider.

Whoever requests a page without being logged in sees the form in its place. Two further routes are
for everybody: to change one's own password, which is the only page for a person whose password
somebody else made, and to switch the language, which works on the login page too.
"""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import Scope

from alerts.accounts import NOBODY, sessions
from alerts.accounts.sessions import SHORTEST, PasswordError
from alerts.accounts.sign_on import JOURNEY_SECONDS, LoginRefusedError
from alerts.translation import LANGUAGES
from alerts.web.auth import COOKIE, SECURE_COOKIE
from alerts.web.dependencies import PLACE, Console, allow_any_query, allow_anybody, require_login
from alerts.web.kept_form import MAX_KEPT, KeptForm, load, read_request
from alerts.web.middleware import BACK
from alerts.web.problems import ProblemError, convert_error, is_api_path
from alerts.web.templating import COOKIE as LANGUAGE_COOKIE
from ullage.errors import UllageError, UnavailableError
from ullage.phrase import Phrase
from ullage.runtime.rate_limit import LimitedError

Typed = Annotated[str, Form(max_length=2_000)]
Everybody = Annotated[Console, allow_anybody()]
Known = Annotated[Console, require_login()]
SINGLE = Phrase("single sign-on")
VOUCHED = "provider"
"""How somebody was logged in who is led to the login page after logging out."""
WRONG = Phrase("The name or password is wrong, or the account is disabled.")


def _add_login(router: APIRouter) -> None:
    @router.get("/login")
    def form(site: Everybody, left: str = "") -> HTMLResponse:
        return show_login(site, 200, has_left=left == VOUCHED)

    @router.post("/login")
    def enter(
        request: Request,
        site: Everybody,
        name: Typed = "",
        password: Typed = "",
        then: Typed = "/",
        kept: Annotated[str, Form(max_length=MAX_KEPT)] = "",
    ) -> Response:
        place, form = then if PLACE.fullmatch(then) else "/", load(kept)
        try:
            session = site.door.log_in(
                name, password, request.state.asked.source, _read_device_cookie(request)
            )
        except LimitedError as error:
            return show_limit(site, error, place, form)
        if not session:
            return show_login(site, 401, place, WRONG, kept=form)
        answer: Response = RedirectResponse(place, 303)
        if form:
            answer = site.page("resume.html", kept=form, who=name)
        return complete_login(request, session, answer, site.door.device(name))

    @router.post("/logout")
    def leave(site: Known) -> Response:
        user = site.door.accounts.user(site.principal.name)
        site.door.leave(site.principal)
        answer = RedirectResponse(
            f"/login?left={VOUCHED}" if user and user.subject else "/login", 303
        )
        for name in (COOKIE, SECURE_COOKIE):
            answer.delete_cookie(
                name, path="/", httponly=True, samesite="strict", secure=name == SECURE_COOKIE
            )
        return answer


def complete_login(request: Request, session: str, answer: Response, device: str) -> Response:
    """Return `answer` with the cookies of session and device set.

    On an encrypted connection the cookies are sent over encrypted connections only.
    """
    answer, is_secure = (
        set_session_cookie(request, session, answer),
        request.state.asked.is_secure,
    )
    name = sessions.SECURE_COOKIE if is_secure else sessions.COOKIE
    answer.set_cookie(
        name,
        device,
        max_age=sessions.SECONDS,
        path="/",
        httponly=True,
        samesite="strict",
        secure=is_secure,
    )
    return answer


def _read_device_cookie(request: Request) -> str:
    """Return the device cookie of an earlier login, or ""."""
    return request.cookies.get(
        sessions.SECURE_COOKIE if request.state.asked.is_secure else sessions.COOKIE, ""
    )


def set_session_cookie(request: Request, session: str, answer: Response) -> Response:
    """Return `answer` with the session cookie set."""
    is_secure = request.state.asked.is_secure
    name = SECURE_COOKIE if is_secure else COOKIE
    answer.set_cookie(name, session, path="/", httponly=True, samesite="strict", secure=is_secure)
    return answer


def deny_access(
    site: Console, scope: Scope, error: UllageError | None, body: bytes = b""
) -> Response:
    """Return the answer to a request that may not pass: a login page, a redirect or a problem.

    A program gets a problem document. A person who must change the password is led there, one for
    whom the identity provider must vouch again is led to the provider, and others get the login
    form, or the page of `error`. After logging in, the person returns to the requested page, or to
    the form in `body`.
    """
    path, principal = scope["path"], scope["state"].get("principal", NOBODY)
    if is_api_path(path):
        return _deny_program(error)
    if principal.must_change:
        return RedirectResponse("/password", 303)
    place = b"?".join(filter(None, (scope["raw_path"], scope["query_string"]))).decode("latin-1")
    place = place if scope["method"] == "GET" and PLACE.fullmatch(place) else "/"
    if not error and site.sign_on and scope["method"] == "GET" and _needs_vouching(site, scope):
        return RedirectResponse(f"/login/provider?{urlencode({'then': place})}", 303)
    if isinstance(error, LimitedError):
        return show_limit(site, error, place)
    if error:
        return site.page(
            "problem.html", _choose_status(error), title=Phrase("The action failed"), message=error
        )
    form = read_request(path, body) if scope["method"] == "POST" else None
    return show_login(
        site,
        401,
        form.place if form else place,
        crossed=(b"sec-fetch-site", b"cross-site") in scope["headers"],
        kept=form,
    )


def _needs_vouching(site: Console, scope: Scope) -> bool:
    cookies = "; ".join(
        [value.decode("latin-1") for name, value in scope["headers"] if name == b"cookie"]
    )
    return site.door.needs_vouching({"cookie": cookies}, scope["state"]["asked"])


def _deny_program(error: UllageError | None) -> Response:
    if error:
        return convert_error(error).response()
    says = "send a valid token as `Authorization: Bearer TOKEN`; `ullage token add` creates one"
    return ProblemError("unauthenticated", says, headers={"www-authenticate": "Bearer"}).response()


def _choose_status(error: UllageError) -> int:
    return 503 if isinstance(error, UnavailableError) else 500


def show_login(
    site: Console,
    status: int,
    place: str = "/",
    refused: object = "",
    *,
    crossed: bool = False,
    has_left: bool = False,
    kept: KeptForm | None = None,
) -> HTMLResponse:
    """Return the login form with the HTTP `status`; it leads to `place` and shows `refused`.

    `kept` is a form that was not sent for want of a login.

    `crossed` says that a link of another site led here, for which browsers withhold the session
    cookie. `has_left` says that somebody logged out here, but perhaps not of the identity provider.
    """
    provider = SINGLE if site.sign_on else None
    values = {
        "crossed": crossed,
        "provider": provider,
        "is_sign_on_broken": site.is_sign_on_broken,
        "has_left": has_left and bool(provider),
        "kept": kept,
    }
    return site.page("login.html", status, then=place, refused=refused, **values)


def show_limit(
    site: Console, error: LimitedError, place: str, kept: KeptForm | None = None
) -> HTMLResponse:
    """Return the login form for somebody who has to wait, with status 429 and Retry-After."""
    answer = show_login(site, 429, place, error, kept=kept)
    answer.headers["retry-after"] = str(error.retry_after)
    return answer


JOURNEY_COOKIE, SECURE_JOURNEY_COOKIE = "ullage_journey", "__Host-ullage_journey"
NO_PROVIDER = Phrase("this page does not exist")


def _add_sign_on(router: APIRouter) -> None:
    @router.get("/login/provider")
    def redirect_to_provider(request: Request, site: Everybody, then: str = "/") -> Response:
        if site.sign_on is None:
            return site.missing(NO_PROVIDER)
        place, request_source = then if PLACE.fullmatch(then) else "/", request.state.asked
        try:
            address, browser = site.sign_on.begin(
                f"{request_source.origin}{request_source.base}{BACK}", place, request_source.source
            )
        except LimitedError as error:
            return show_limit(site, error, place)
        except LoginRefusedError as error:
            return _show_refused_sign_on(site, error, place)
        answer = RedirectResponse(address, 303)
        # The way back begins at another site, with which browsers send no cookie that is Strict.
        secure, age = request_source.is_secure, int(JOURNEY_SECONDS)
        answer.set_cookie(
            _journey_cookie(secure=secure),
            browser,
            max_age=age,
            httponly=True,
            samesite="lax",
            secure=secure,
        )
        return answer

    @router.get(BACK, dependencies=[Depends(allow_any_query)])
    def back(request: Request, site: Everybody) -> Response:
        if site.sign_on is None:
            return site.missing(NO_PROVIDER)
        name = _journey_cookie(secure=request.state.asked.is_secure)
        try:
            user, place = site.sign_on.finish(request.query_params, request.cookies.get(name, ""))
        except LoginRefusedError as error:
            answer = _show_refused_sign_on(site, error, "/")
        else:
            session = site.door.open(user, "the identity provider")
            answer = set_session_cookie(request, session, site.page("entered.html", then=place))
        answer.delete_cookie(
            name, httponly=True, samesite="lax", secure=request.state.asked.is_secure
        )
        return answer

    @router.get("/login/away")
    def log_out_of_provider(request: Request, site: Everybody) -> Response:
        address = (
            site.sign_on.logout_address(
                f"{request.state.asked.origin}{request.state.asked.base}/login"
            )
            if site.sign_on
            else ""
        )
        return (
            RedirectResponse(address, 303)
            if address
            else site.missing(Phrase("The identity provider has no logout page."))
        )


def _journey_cookie(*, secure: bool) -> str:
    return SECURE_JOURNEY_COOKIE if secure else JOURNEY_COOKIE


def _show_refused_sign_on(site: Console, error: LoginRefusedError, place: str) -> Response:
    down = isinstance(error.__cause__, UnavailableError)
    site.door.logins.labels("unavailable" if down else "refused").inc()
    return show_login(site, 503 if down else 403, place, error)


def _add_password_change(router: APIRouter) -> None:
    @router.get("/password")
    def other_password(site: Known) -> HTMLResponse:
        return _password_page(site, 200)

    @router.post("/password")
    def change(
        request: Request, site: Known, old: Typed = "", new: Typed = "", again: Typed = ""
    ) -> Response:
        if new != again:
            return _password_page(site, 400, Phrase("The two new passwords differ."))
        try:
            session = site.door.change(site.principal, old, new, request.state.asked.source)
        except PasswordError as error:
            return _password_page(site, 400, error)
        except LimitedError as error:
            return _password_page(site, 429, error)
        if not session:
            return _password_page(site, 401, Phrase("The current password is wrong."))
        answer = RedirectResponse("/", 303)
        return complete_login(request, session, answer, site.door.device(site.principal.name))


def _password_page(site: Console, status: int, refused: object = "") -> HTMLResponse:
    return site.page("password.html", status, refused=refused, shortest=SHORTEST)


YEAR_SECONDS = 365 * 86_400


def _add_language_switch(router: APIRouter) -> None:
    @router.post("/language", dependencies=[allow_anybody()])
    def switch(
        language: Annotated[str, Form()] = "", then: Annotated[str, Form(max_length=4_000)] = "/"
    ) -> RedirectResponse:
        answer = RedirectResponse(then if PLACE.fullmatch(then) else "/", 303)
        if language in LANGUAGES:
            answer.set_cookie(
                LANGUAGE_COOKIE,
                language,
                max_age=YEAR_SECONDS,
                path="/",
                httponly=True,
                samesite="strict",
            )
        return answer


def routes() -> APIRouter:
    """Return the routes of this module."""
    router = APIRouter(include_in_schema=False)
    for add in (_add_login, _add_sign_on, _add_password_change, _add_language_switch):
        add(router)
    return router
