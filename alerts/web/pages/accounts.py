"""Manage accounts and tokens: the page that shows, creates, changes and disables them.

The same can be done on a terminal; both call `alerts.accounts.management`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from alerts.accounts import ALL, ROLE_PURPOSES, TOKEN_PERMISSIONS
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
    """Return the routes of this page."""
    router = APIRouter(include_in_schema=False)
    _add_views(router)
    _add_account_forms(router)
    _add_token_forms(router)
    return router


def _add_views(router: APIRouter) -> None:
    @router.get("/accounts")
    def show_accounts(site: Reader) -> HTMLResponse:
        return _show_list(site)

    @router.get("/accounts/one")
    def show_account(site: Reader, name: Annotated[str, Query(max_length=100)] = "") -> Response:
        return _show_account(site, name) if name else RedirectResponse("/accounts", 303)


def _add_account_forms(router: APIRouter) -> None:
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
            whose = _require_tenants(site, tenant)
            if subject:
                settings = site.context.settings.search.oidc
                _desk(site).add_vouched(name, role, whose, validate_subject(settings, subject))
                return _show_account(site, name)
            password = generate_password()
            user = _desk(site).add(name, role, whose, password, is_own=False)
            return _show_account(site, user.name, secret=password)

        return _answer_form(act, lambda error: _show_list(site, error, "account", typed))

    @router.post("/accounts/roles")
    def roles(
        site: Manager,
        name: Typed = "",
        role: Chosen = [],  # noqa: B006
        tenant: Chosen = [],  # noqa: B006
    ) -> Response:
        return _change_account(
            site, name, lambda desk: desk.set_roles(name, role, _require_tenants(site, tenant))
        )

    @router.post("/accounts/close")
    def close(site: Manager, name: Typed = "") -> Response:
        return _change_account(site, name, lambda desk: desk.disable(name))

    @router.post("/accounts/open")
    def reopen(site: Manager, name: Typed = "") -> Response:
        return _change_account(site, name, lambda desk: desk.disable(name, undo=True))

    @router.post("/accounts/sessions")
    def sessions(site: Manager, name: Typed = "") -> Response:
        return _change_account(site, name, lambda desk: desk.end_sessions(name))

    @router.post("/accounts/password")
    def password(site: Manager, name: Typed = "") -> Response:
        def act() -> Response:
            another = generate_password()
            _desk(site).set_password(name, another, is_own=False)
            return _show_account(site, name, secret=another)

        return _answer_form(act, lambda error: _show_refusal(site, name, error))


def _add_token_forms(router: APIRouter) -> None:
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
                name, permission, _require_tenants(site, tenant), purpose=purpose, days=days
            )
            return _show_list(site, shown=(token, secret))

        return _answer_form(act, lambda error: _show_list(site, error, "token", typed))

    @router.post("/accounts/revoke")
    def revoke(site: Manager, id: Typed = "") -> Response:  # noqa: A002 - the field's name
        def act() -> Response:
            _desk(site).revoke(id)
            return RedirectResponse("/accounts", 303)

        return _answer_form(act, lambda error: _show_list(site, error, "top"))


def _desk(site: Console) -> AccountDesk:
    return AccountDesk(
        site.door.accounts, site.door.passwords, site.trail, site.principal.name, site.principal
    )


def _answer_form(act: Callable[[], Response], refused: Callable[[Exception], Response]) -> Response:
    try:
        return act()
    except (ConfigError, PasswordError) as error:
        return refused(error)


def _change_account(site: Console, name: str, change: Callable[[AccountDesk], None]) -> Response:
    def act() -> Response:
        change(_desk(site))
        if name == site.principal.name:  # whose session has ended by that
            return RedirectResponse("/login", 303)
        return _show_account(site, name, done=Phrase("Done, and recorded in the audit log."))

    return _answer_form(act, lambda error: _show_refusal(site, name, error))


def _show_refusal(site: Console, name: str, error: Exception) -> Response:
    """Show an error on the account's page, or on the list if it is not visible."""
    page = _show_account(site, name, error)
    return page if page.status_code != 404 else _show_list(site, error, "top")


def _require_tenants(site: Console, chosen: list[str]) -> list[str]:
    """Return `chosen`; raise ConfigError for a tenant that the principal cannot see."""
    for tenant in chosen:
        if tenant != ALL:
            require_tenant(tenant, site.tenants)
    return chosen


def _show_list(
    site: Console,
    refused: Exception | None = None,
    where: str = "",
    typed: dict[str, Any] | None = None,
    shown: Any = None,
) -> HTMLResponse:
    """Show all accounts and tokens.

    `where` names a refused form, which gets back what was `typed`; `shown` is a new token and its
    secret, shown only now.
    """
    desk, now = _desk(site), site.clock.wall()
    tokens = [(item, item.state(now), _moment(item.expires)) for item in desk.tokens()]
    scope = TOKEN_PERMISSIONS
    users = [(item, *_describe_state(item, now)) for item in desk.users()]
    values = {
        "users": users, "tokens": tokens, "scope": scope, "refused": refused, "where": where,
        "new": shown,
        "typed": redact_form(typed or {}), "longest": LONGEST_DAYS, "most": MAX_PURPOSE,
        "unused": UNUSED_HOURS,
        "by_provider": site.sign_on is not None, **_choices(site),
        "settings": site.context.settings, "shown_tenants": site.tenants,
        "tenant_of": site.duties.tenant,
    }  # fmt: skip
    return site.page("accounts.html", 400 if refused else 200, **values)


def _show_account(
    site: Console,
    name: str,
    refused: Exception | None = None,
    *,
    secret: str = "",
    done: Phrase | None = None,
) -> HTMLResponse:
    """Show one account, with a newly generated password if there is one."""
    try:
        user = _desk(site).get_user(name)
    except ConfigError as error:
        return site.missing(error.args[0])
    state, tone = _describe_state(user, site.clock.wall())
    values = {
        "user": user, "state": state, "tone": tone, "made_at": _moment(user.made_at),
        "secret": secret, "done": done,
        "refused": refused, "unused": UNUSED_HOURS, **_choices(site),
    }  # fmt: skip
    return site.page("account.html", 400 if refused else 200, **values)


def _choices(site: Console) -> dict[str, Any]:
    return {"roles": ROLE_PURPOSES, "givable": site.tenants, "everyone": site.principal.sees_all}


def _describe_state(user: User, now: float) -> tuple[Phrase, str]:
    """Describe whether somebody can log in, and the tone of that."""
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
