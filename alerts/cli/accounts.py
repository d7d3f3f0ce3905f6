"""`ullage user` and `ullage token`: manage who may use the console and its API.

Every change is written to the audit log before it is made.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Annotated

import typer

from alerts.accounts import ALL, ROLES, TOKEN_PERMISSIONS
from alerts.accounts.accounts import UNUSED_HOURS, Accounts, Token, User
from alerts.accounts.management import AccountDesk
from alerts.accounts.sessions import Passwords, generate_password
from alerts.accounts.sign_on import validate_subject
from ullage.audit import current_user
from ullage.display import moment
from ullage.display.listing import Listing
from ullage.display.screen import AsJson, print_list
from ullage.errors import ConfigError
from ullage.files.ownership import read_trusted
from ullage.settings import Context
from ullage.settings.tenants import find_tenants, require_tenant

user = typer.Typer(
    no_args_is_help=True, help="Add, list and change accounts: roles, password, sessions."
)
token = typer.Typer(no_args_is_help=True, help="Add, list and revoke API tokens of programs.")
Named = Annotated[
    str, typer.Argument(metavar="NAME", help="The account's name; decisions are made in it.")
]
Roles = Annotated[
    list[str], typer.Option("--role", help=f"{', '.join(ROLES)}; several with several options.")
]
Tenants = Annotated[
    list[str],
    typer.Option("--tenant", help="The tenant whose data the account sees; repeat for several."),
]
Everyone = Annotated[bool, typer.Option("--all-tenants", help="All tenants, now and later.")]
FromFile = Annotated[
    Path | None,
    typer.Option(
        "--password-file",
        help=(
            "A file with one line, mode 0600, or - for standard input; by default you are asked."
        ),
    ),
]
Own = Annotated[
    bool,
    typer.Option(
        "--own",
        help=(
            "The person chose it. Any other must be changed at the first login, within"
            f" {UNUSED_HOURS} h."
        ),
    ),
]
LOGIN = re.compile(r"[a-z_][a-z0-9_.-]{0,31}\$?")
Make = Annotated[
    bool,
    typer.Option("--make", help=("Create a password and print only it, once, on standard output.")),
]


@user.command("add")
def add(
    ctx: typer.Context,
    name: Named,
    roles: Roles,
    tenants: Tenants = [],  # noqa: B006 - typer's way to say none
    everyone: Everyone = False,
    password_file: FromFile = None,
    *,
    own: Own = False,
    make: Make = False,
    subject: Annotated[
        str,
        typer.Option(
            metavar="SUB",
            help=(
                "The person's subject at the identity provider; the account then has no password."
            ),
        ),
    ] = "",
) -> None:
    """Add an account; its password is typed or read from a file, never from the command line."""
    context: Context = ctx.obj
    with _desk(context) as desk:
        whose = _tenants(context, tenants, everyone)
        if subject:
            if password_file or own or make:
                raise ConfigError(
                    "--subject takes no password: leave out --password-file, --own and --make"
                )
            desk.add_vouched(
                name, roles, whose, validate_subject(context.settings.search.oidc, subject)
            )
        else:
            desk.check_new(name, roles, whose)  # before somebody types a password
            password = _password(password_file, own=own, make=make)
            desk.add(name, roles, whose, password, is_own=own)
            _show(password, make=make)
    typer.echo(f"account {name}: {', '.join(roles)}", err=make)


@user.command("list")
def list_accounts(
    ctx: typer.Context,
    as_json: AsJson = False,
) -> None:
    """List accounts with roles, tenants and state."""
    context: Context = ctx.obj
    with _accounts(context) as accounts:
        print_list(
            accounts.users(),
            as_json=as_json,
            row=_user_row,
            table=lambda users: _user_table(users, context.zone),
            none="No account yet.",
        )


@user.command("change")
def change(
    ctx: typer.Context,
    name: Named,
    roles: Roles = [],  # noqa: B006 - as above
    tenants: Tenants = [],  # noqa: B006 - as above
    everyone: Everyone = False,
    *,
    login: Annotated[
        str,
        typer.Option(
            metavar="USER",
            help=("The user of this machine who acts as this account without --by; - for nobody."),
        ),
    ] = "",
    end_sessions: Annotated[
        bool, typer.Option("--end-sessions", help="End their sessions now.")
    ] = False,
    close: Annotated[
        bool | None, typer.Option("--close/--open", help="Close the account, or open it again.")
    ] = None,
    password: Annotated[bool, typer.Option("--password", help="Set another password.")] = False,
    password_file: FromFile = None,
    own: Own = False,
    make: Make = False,
) -> None:
    """Change an account: its roles and tenants, password, system user, sessions, or disable it.

    Other roles or another password end its sessions; a closed account's end too, and its name stays
    taken.
    """
    is_secret = password or password_file is not None or make
    if not (roles or login or end_sessions or close is not None or is_secret):
        raise ConfigError(
            "give what to change: --role with --tenant, --password, --login,"
            " --end-sessions, --close or --open"
        )
    if (tenants or everyone) and not roles:
        raise ConfigError("--tenant needs --role: add --role for each role")
    if login not in ("", "-") and not LOGIN.fullmatch(login):
        raise ConfigError("--login: give the name of a user of this machine")
    with _desk(ctx.obj) as desk:
        if roles:
            desk.set_roles(name, roles, _tenants(ctx.obj, tenants, everyone))
            typer.echo(f"account {name}: {', '.join(roles)}")
        if login:
            desk.set_login(name, None if login == "-" else login)
            typer.echo(
                f"account {name} is {'no user' if login == '-' else f'user {login}'} of this"
                " machine"
            )
        if is_secret:
            desk.get_user(name)
            secret = _password(password_file, own=own, make=make)
            desk.set_password(name, secret, is_own=own)
            _show(secret, make=make)
            typer.echo(f"account {name} has another password", err=make)
        if end_sessions:
            desk.end_sessions(name)
            typer.echo(f"the sessions of account {name} have ended")
        if close is not None:
            desk.disable(name, undo=not close)
            typer.echo(f"account {name} is {'closed' if close else 'open'}")


@token.command("add")
def add_token(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The program's name.")],
    may: Annotated[
        list[str],
        typer.Option(
            "--may", help=f"{', '.join(TOKEN_PERMISSIONS)}; several with several options."
        ),
    ],
    purpose: Annotated[str, typer.Option(help="What it is for.")],
    days: Annotated[float, typer.Option(help="Days until it expires, at most 366.")] = 90,
    tenants: Tenants = [],  # noqa: B006 - as above
    everyone: Everyone = False,
) -> None:
    """Make a token and print it once; only a digest of it is kept."""
    with _desk(ctx.obj) as desk:
        new_token, secret = desk.add_token(
            name, may, _tenants(ctx.obj, tenants, everyone), purpose=purpose, days=days
        )
    context: Context = ctx.obj
    until = moment(datetime.fromtimestamp(new_token.expires, UTC), context.zone)
    typer.echo(f"token {new_token.id} of {name}, until {until}; it is shown this once:", err=True)
    typer.echo(secret)


@token.command("list")
def tokens_list(ctx: typer.Context, as_json: AsJson = False) -> None:
    """List tokens with scope, purpose and expiry, without their secrets."""
    context: Context = ctx.obj
    now = context.clock.wall()
    with _accounts(context) as accounts:
        print_list(
            accounts.tokens(),
            as_json=as_json,
            row=lambda row: _token_row(row, now),
            table=lambda tokens: _token_table(tokens, now, context.zone),
            none="No token yet.",
        )


@token.command("revoke")
def revoke(ctx: typer.Context, id_: Annotated[str, typer.Argument(metavar="ID")]) -> None:
    """Revoke a token."""
    with _desk(ctx.obj) as desk:
        desk.revoke(id_)
    typer.echo(f"token {id_} is revoked")


@contextlib.contextmanager
def _accounts(context: Context) -> Iterator[Accounts]:
    context.require_data()
    with contextlib.closing(Accounts(context.data, context.clock, context.inventory)) as accounts:
        yield accounts


@contextlib.contextmanager
def _desk(context: Context) -> Iterator[AccountDesk]:
    with _accounts(context) as accounts:
        yield AccountDesk(accounts, Passwords(), context.trail(), current_user())


def _tenants(context: Context, named: Sequence[str], everyone: bool) -> list[str]:
    """Return the named tenants, or all; raises ConfigError if one is unknown here."""
    if everyone:
        return [ALL]
    for tenant in named:
        require_tenant(tenant, find_tenants(context))
    return list(named)


def _show(password: str, *, make: bool) -> None:
    """Print a password that was made here, one time, alone on standard output."""
    if make:
        typer.echo(password)


def _password(file: Path | None, *, own: bool, make: bool) -> str:
    """Return a password: typed twice without echo, read from a file, or generated here.

    `make` generates one; `own` is only checked, because a person's own password cannot be
    generated. For the file "-", the first line of standard input is read. The file must have one
    line and be readable only by its owner. Otherwise raises ConfigError, as for `make` with another
    source.
    """
    if make:
        if file or own:
            raise ConfigError("--make creates a password: leave out --password-file and --own")
        return generate_password()
    if file is None:
        return str(typer.prompt("password", hide_input=True, confirmation_prompt=True))
    if file == Path("-"):
        return typer.get_text_stream("stdin").readline().rstrip("\n")
    try:
        lines = read_trusted(file.absolute(), secret=True).decode("utf-8-sig").splitlines()
    except (FileNotFoundError, UnicodeDecodeError):
        raise ConfigError(f"{file} must exist and be text in UTF-8") from None
    if len(lines) != 1:
        raise ConfigError(f"{file} has {len(lines)} lines: it must have one, the password")
    return lines[0]


def _user_row(one: User) -> dict[str, object]:
    return {
        "name": one.name,
        "roles": one.roles,
        "tenants": one.tenants,
        "state": state_of(one),
        "by": (
            "password"
            if one.digest
            else "groups at the identity provider"
            if one.is_mapped
            else "identity provider"
        ),
        "login": one.login,
        "made_at": datetime.fromtimestamp(one.made_at, UTC).isoformat(),
        "made_by": one.made_by,
    }


def state_of(one: User) -> str:
    """Return `open`, `closed` or `password to be changed`, the state of an account."""
    if one.is_disabled:
        return "closed"
    return "open" if one.until is None else "password to be changed"


def _user_table(users: Sequence[User], zone: tzinfo) -> Listing:
    table = Listing(("name", "made", "by", "state", "roles", "tenants"), whole=("name", "made"))
    for user in users:
        made_at = moment(datetime.fromtimestamp(user.made_at, UTC), zone)
        scope = (", ".join(user.roles), ", ".join(user.tenants))
        table.add_row(user.name, made_at, user.made_by, state_of(user), *scope)
    return table


def _token_row(one: Token, now: float) -> dict[str, object]:
    return {
        "id": one.id,
        "name": one.name,
        "purpose": one.purpose,
        "may": one.permissions,
        "tenants": one.tenants,
        "state": one.state(now),
        "expires": datetime.fromtimestamp(one.expires, UTC).isoformat(),
        "made_by": one.made_by,
    }


def _token_table(tokens: Sequence[Token], now: float, zone: tzinfo) -> Listing:
    table = Listing(
        ("id", "until", "state", "name", "for", "tenants", "may"), whole=("id", "until")
    )
    for token in tokens:
        until = moment(datetime.fromtimestamp(token.expires, UTC), zone)
        scope = (", ".join(token.tenants), ", ".join(token.permissions))
        table.add_row(token.id, until, token.state(now), token.name, token.purpose, *scope)
    return table
