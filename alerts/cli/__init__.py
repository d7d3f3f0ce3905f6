"""Define the options that several commands share, and check who may decide on a terminal.

A decision on a terminal needs an account with the same permissions as on the page. This does not
protect the data folder: anybody who can write to it can change everything. It ensures that each
decision carries the name of the person who made it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated

import typer

from alerts.accounts import ALL, PERMISSIONS, Principal
from alerts.accounts.accounts import FILE, Accounts
from alerts.accounts.second_person import Actor
from alerts.records.decision import validate_name
from alerts.store import IncidentStore, open_configured_store
from alerts.store.tenant_view import StoreWithin
from ullage.audit import current_user
from ullage.errors import ConfigError
from ullage.settings import Context

Tenant = Annotated[str, typer.Option(help="Only this tenant.")]
Severity = Annotated[str, typer.Option(help="noise, notice, low, medium, high or statutory.")]
Status = Annotated[
    str, typer.Option(help="open, acknowledged, confirmed, reported, resolved or false_positive.")
]
Words = Annotated[
    str, typer.Option("--text", help="Words in title, site or terms; never an identifier.")
]
Author = Annotated[
    str,
    typer.Option(
        help=(
            "Posts by this seller: a name (converted to a keyed hash and not stored), - to read it,"
            " or a pseudonym (@…)."
        )
    ),
]
PAST = '"yesterday 18:00", 2026-11-25T18:00, 18:00, 12h or 3d ago, in `coverage.zone`'
"""The times that options accept (`alerts.records.typed_time`)."""
Reason = Annotated[str, typer.Option(help="The reason, without any identifier.")]
Case = Annotated[str, typer.Option(help="The case's number.")]


def name_of(by: str) -> str:
    """Return the name given in `by`, stripped, or that of this machine's user if it is empty.

    Raises QueryError if it is not valid as a person's name.
    """
    return validate_name(by or current_user())


def decider(context: Context, by: str, permission: str) -> Principal:
    """Return the principal of the account `by`, or for "" of this machine's user.

    Raises ConfigError if there is no such account or it cannot be used, and ForbiddenError if it
    lacks the permission. If the machine has no account at all, nothing is checked: a note on stderr
    says so, and the principal has all permissions.
    """
    name = name_of(by)
    if not (context.data / FILE).exists():
        return _allow_unchecked(name)
    with contextlib.closing(Accounts(context.data, context.clock, context.inventory)) as accounts:
        if not accounts.users():
            return _allow_unchecked(name)
        user = accounts.user(name) if by else (accounts.find_by_login(name) or accounts.user(name))
    if user is None:
        raise ConfigError(
            "no account has the name in --by: see `ullage user list`"
            if by
            else "this machine's user has no account: give --by NAME, or run `ullage user change"
            " NAME --login USER`"
        )
    if user.is_disabled or user.until is not None:
        raise ConfigError(
            f"account {user.name} is closed: `ullage user change NAME --open` opens it"
            if user.is_disabled
            else f"account {user.name} has no password yet: log in to the console once"
        )
    principal = replace(user.principal(is_proven=not by), behind=frozenset({current_user()}))
    principal.require(permission)
    return principal


def actor_of(context: Context, principal: Principal) -> Actor:
    """Return the acting person, with the accounts that show who else could confirm an act.

    Without accounts there is nobody else.
    """
    if not (context.data / FILE).exists():
        return Actor(principal)
    with contextlib.closing(Accounts(context.data, context.clock)) as accounts:
        return Actor(principal, tuple(accounts.users()))


@contextlib.contextmanager
def deciding(
    context: Context, by: str, permission: str
) -> Iterator[tuple[IncidentStore, Principal]]:
    """Yield the incident store as the deciding person may see it, and that person's principal.

    The arguments and errors are those of `decider`. The store is closed at the end of the block.
    """
    principal = decider(context, by, permission)
    with contextlib.closing(open_configured_store(context)) as store:
        yield store if principal.sees_all else StoreWithin(store, principal.tenants), principal


def _allow_unchecked(name: str) -> Principal:
    """Print that no account exists to check, and return a principal with all permissions."""
    typer.echo(
        (
            "note: there is no account here, so permissions were not checked; `ullage user"
            " add` creates the first"
        ),
        err=True,
    )
    return Principal(
        name,
        frozenset(),
        frozenset({ALL}),
        frozenset(PERMISSIONS),
        behind=frozenset({current_user()}),
    )
