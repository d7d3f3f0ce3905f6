"""Accounts and tokens: who may use the desk and its API, made, changed and closed on the page as
on a terminal.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from alerts.accounts import ALL, PEOPLE_ALONE, PERMISSIONS, ROLES
from alerts.accounts.accounts import LONGEST_DAYS, MAX_PURPOSE, UNUSED_HOURS, User
from alerts.accounts.management import AccountDesk
from alerts.accounts.sessions import PasswordError, generate_password
from alerts.accounts.sign_on import validate_subject
from alerts.web.dependencies import Console, redact_form, require_permission
from alerts.web.templating import MenuEntry
from ullage.errors import ConfigError
from ullage.phrase import Phrase
from ullage.settings.tenants import require_tenant

MENU = MenuEntry("/accounts", Phrase("Accounts"), "account.read", "state", 6)
Reader = Annotated[Console, require_permission("account.read")]
Manager = Annotated[Console, require_permission("account.manage")]
Typed = Annotated[str, Form(max_length=1_000)]
Chosen = Annotated[list[str], Form()]
WITHOUT = Phrase("verified by an identity provider")


def routes() -> APIRouter:
    """The routes of this page."""
    router = APIRouter(include_in_schema=False)
    _read(router)
    _people(router)
    _tokens(router)
    return router


def _read(router: APIRouter) -> None:
    @router.get("/accounts")
    def shown(site: Reader) -> HTMLResponse:
        return _list(site)

    @router.get("/accounts/one")
    def one(site: Reader, name: Annotated[str, Query(max_length=100)] = "") -> Response:
        return _one(site, name) if name else RedirectResponse("/accounts", 303)


def _people(router: APIRouter) -> None:
    @router.post("/accounts/add")
    def add(
        site: Manager,
        name: Typed = "",
        subject: Typed = "",
        role: Chosen = [],  # noqa: B006
        tenant: Chosen = [],  # noqa: B006
    ) -> Response:
        typed = {"name": name, "subject": subject, "role": role, "tenant": tenant}

        def act() -> Response:
            whose = _tenants(site, tenant)
            if subject:
                settings = site.context.settings.search.oidc
                _desk(site).add_vouched(name, role, whose, validate_subject(settings, subject))
                return _one(site, name)
            password = generate_password()
            user = _desk(site).add(name, role, whose, password, is_own=False)
            return _one(site, user.name, secret=password)

        return _done(act, lambda error: _list(site, error, "account", typed))

    @router.post("/accounts/roles")
    def roles(site: Manager, name: Typed = "", role: Chosen = [], tenant: Chosen = []) -> Response:  # noqa: B006
        return _changed(site, name, lambda desk: desk.set_roles(name, role, _tenants(site, tenant)))

    @router.post("/accounts/close")
    def close(site: Manager, name: Typed = "") -> Response:
        return _changed(site, name, lambda desk: desk.disable(name))

    @router.post("/accounts/open")
    def reopen(site: Manager, name: Typed = "") -> Response:
        return _changed(site, name, lambda desk: desk.disable(name, undo=True))

    @router.post("/accounts/sessions")
    def sessions(site: Manager, name: Typed = "") -> Response:
        return _changed(site, name, lambda desk: desk.end_sessions(name))

    @router.post("/accounts/password")
    def password(site: Manager, name: Typed = "") -> Response:
        def act() -> Response:
            another = generate_password()
            _desk(site).set_password(name, another, is_own=False)
            return _one(site, name, secret=another)

        return _done(act, lambda error: _refused(site, name, error))


def _tokens(router: APIRouter) -> None:
    @router.post("/accounts/tokens")
    def add_token(
        site: Manager,
        name: Typed = "",
        purpose: Typed = "",
        days: Annotated[float, Form()] = 0,
        permission: Chosen = [],  # noqa: B006
        tenant: Chosen = [],  # noqa: B006
    ) -> Response:
        typed = {
            "name": name,
            "purpose": purpose,
            "days": days,
            "permission": permission,
            "tenant": tenant,
        }

        def act() -> Response:
            desk = _desk(site)
            token, secret = desk.add_token(
                name, permission, _tenants(site, tenant), purpose=purpose, days=days
            )
            return _list(site, shown=(token, secret))

        return _done(act, lambda error: _list(site, error, "token", typed))

    @router.post("/accounts/revoke")
    def revoke(site: Manager, id: Typed = "") -> Response:  # noqa: A002 - the field's name
        def act() -> Response:
            _desk(site).revoke(id)
            return RedirectResponse("/accounts", 303)

        return _done(act, lambda error: _list(site, error, "top"))


def _desk(site: Console) -> AccountDesk:
    return AccountDesk(
        site.door.accounts, site.door.passwords, site.trail, site.principal.name, site.principal
    )


def _done(act: Callable[[], Response], refused: Callable[[Exception], Response]) -> Response:
    try:
        return act()
    except (ConfigError, PasswordError) as error:
        return refused(error)


def _changed(site: Console, name: str, change: Callable[[AccountDesk], None]) -> Response:
    def act() -> Response:
        change(_desk(site))
        if name == site.principal.name:  # whose session has ended by that
            return RedirectResponse("/login", 303)
        return _one(site, name, done=Phrase("Done, and recorded in the audit log."))

    return _done(act, lambda error: _refused(site, name, error))


def _refused(site: Console, name: str, error: Exception) -> Response:
    """On the account's own page, where it is one that may be seen."""
    page = _one(site, name, error)
    return page if page.status_code != 404 else _list(site, error, "top")


def _tenants(site: Console, chosen: list[str]) -> list[str]:
    """ConfigError for a tenant that is not known to whoever asks."""
    for tenant in chosen:
        if tenant != ALL:
            require_tenant(tenant, site.tenants)
    return chosen


def _list(
    site: Console,
    refused: Exception | None = None,
    where: str = "",
    typed: dict[str, Any] | None = None,
    shown: Any = None,
) -> HTMLResponse:
    """All accounts and tokens; a form that was refused, `where`, has what was `typed`, and a new
    token is `shown` this once.
    """
    desk, now = _desk(site), site.clock.wall()
    tokens = [(one, one.state(now), _moment(one.expires)) for one in desk.tokens()]
    scope = {name: text for name, text in PERMISSIONS.items() if name not in PEOPLE_ALONE}
    users = [(one, *_state(one, now)) for one in desk.users()]
    values = {
        "users": users, "tokens": tokens, "scope": scope, "refused": refused, "where": where,
        "new": shown,
        "typed": redact_form(typed or {}), "longest": LONGEST_DAYS, "most": MAX_PURPOSE,
        "unused": UNUSED_HOURS,
        "by_provider": site.sign_on is not None, **_choices(site),
    }  # fmt: skip
    return site.page("accounts.html", 400 if refused else 200, **values)


def _one(
    site: Console,
    name: str,
    refused: Exception | None = None,
    *,
    secret: str = "",
    done: Phrase | None = None,
) -> HTMLResponse:
    """One account; a password that was made now is shown this once."""
    try:
        user = _desk(site).get_user(name)
    except ConfigError as error:
        return site.missing(error.args[0])
    state, tone = _state(user, site.clock.wall())
    values = {
        "user": user, "state": state, "tone": tone, "made_at": _moment(user.made_at),
        "secret": secret, "done": done,
        "refused": refused, "unused": UNUSED_HOURS, **_choices(site),
    }  # fmt: skip
    return site.page("account.html", 400 if refused else 200, **values)


def _choices(site: Console) -> dict[str, Any]:
    return {"roles": list(ROLES), "givable": site.tenants, "everyone": site.principal.sees_all}


def _state(user: User, now: float) -> tuple[Phrase, str]:
    """Whether somebody can log in, in words, and how good that is."""
    if user.is_disabled:
        return Phrase("disabled"), "bad"
    if user.until is None:
        return Phrase("open"), "good"
    return (
        (Phrase("password to be changed"), "unsure")
        if now < user.until
        else (Phrase("initial password expired"), "bad")
    )


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
