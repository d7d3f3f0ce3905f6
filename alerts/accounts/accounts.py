"""The accounts of a data folder: people with a password or of an identity provider, and tokens of
programs.

    DIR/accounts.sqlite   0600; of a password its Argon2id digest, of a token its SHA-256, never either of them

Whoever may write it makes the rules: it belongs to the user that search runs as. Each change of a
person counts one up, which ends the sessions that began before it. A token is shown once, when it
is made.
"""  # noqa: E501

# ruff: noqa: S608  names of columns are ours, values are bound
from __future__ import annotations

import contextlib
import json
import re
import secrets
import threading
import unicodedata
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alerts.accounts import (
    ALL,
    APART,
    PEOPLE_ALONE,
    PERMISSIONS,
    PURPOSES,
    ROLES,
    Principal,
    digest,
    permissions_of,
)
from ullage.clock import Clock
from ullage.errors import ConfigError
from ullage.files.database import SCHEMAS, check_database, open_database, sqlite_errors, transaction
from ullage.inventory import Inventory
from ullage.lookup.values import identifier_in
from ullage.phrase import Phrase
from ullage.settings import TENANT, Context
from ullage.setup import SetupWarning

FILE = "accounts.sqlite"
NAME = re.compile(rf"[^\W\d_][\w .·'\-]{{0,31}}(@{TENANT.pattern})?")
"""`Wang Fang`, or `Wang Fang@bank`: so are those called whom an operator of some tenants makes,
since a name without a tenant may be anybody's, and that it is taken would tell whom another tenant
employs.
"""
TAKEN = Phrase("an account with this name exists: choose another name, or change that account")
SUBJECT_TAKEN = Phrase("an account for this subject exists: see `ullage user list`")
NONE = Phrase("no account with that name: see `ullage user list`")
NO_PASSWORD = Phrase("this account has no password here: it is verified by an identity provider")
NO_TOKEN = Phrase("no token with that id can be revoked: see `ullage user list --tokens`")
UNUSED_HOURS = 72
"""A password that somebody else made is good for so long, until its person has changed it."""
LONGEST_DAYS = 366
MAX_PURPOSE = 200
MAX_TITLE = 40
SCHEMA = """
create table users (
    key text primary key, name text not null, digest text, subject text unique, roles text not null, tenants text not null,
    disabled integer not null, until real, changes integer not null, made_at real not null, made_by text not null,
    mapped integer not null default 0, login text, changed_by text not null default '[]'
) strict;
create unique index users_by_login on users (login);
create table tokens (
    id text primary key, name text not null, digest text not null unique, purpose text not null, permissions text not null,
    tenants text not null, made_at real not null, made_by text not null, expires real not null, revoked real
) strict;
"""  # noqa: E501
SAVED = """
create table if not exists saved_filters (
    key text not null, title text not null, query text not null, primary key (key, title)
) strict
"""
"""Beside the others in a file that an earlier release made."""
MOST_FILTERS = 20
_USER = (
    "name, digest, subject, roles, tenants, disabled, until, changes, made_at, made_by, mapped,"
    " login, changed_by"
)
_TOKEN = "id, name, purpose, permissions, tenants, made_at, made_by, expires, revoked"  # noqa: S105 - columns


@dataclass(frozen=True, slots=True)
class User:
    """A person. `digest` is None where an identity provider vouches for them, as `subject`.

    Roles and tenants of one who `is_mapped` follow from what it says of them, and are set at each
    login. `until` is set while the password is one that somebody else made: it must be changed, by
    then.
    """

    name: str
    digest: str | None
    subject: str | None
    roles: tuple[str, ...]
    tenants: tuple[str, ...]
    is_disabled: bool
    until: float | None
    changes: int
    made_at: float
    made_by: str
    is_mapped: bool = False
    login: str | None = None
    """The user of this machine whose decisions on a terminal are theirs."""
    changed_by: tuple[str, ...] = ()
    """Who else gave it a password, roles or a login, or opened it again: they may be able to use
    it.
    """

    def principal(self, session: str = "", *, is_proven: bool = False) -> Principal:
        """As who they ask; with a password of somebody else's they may do nothing but change it.

        `is_proven` is somebody of whom the machine knows who they are; a `session` proves it as
        well.
        """
        if self.until is not None:
            return Principal(self.name, session=session, must_change=True)
        whose = frozenset(self.roles), frozenset(self.tenants), permissions_of(self.roles)
        return Principal(self.name, *whose, session=session, is_proven=is_proven or bool(session))


@dataclass(frozen=True, slots=True)
class Token:
    """What a program may do, for which purpose, until when (seconds since 1970)."""

    id: str
    name: str
    purpose: str
    permissions: tuple[str, ...]
    tenants: tuple[str, ...]
    made_at: float
    made_by: str
    expires: float
    revoked: float | None

    def state(self, now: float) -> str:
        """Whether it is good at `now`, in seconds since 1970."""
        if self.revoked is not None:
            return "revoked"
        return "good" if now < self.expires else "expired"

    def principal(self) -> Principal:
        """As who the program asks."""
        scope = frozenset(self.tenants), frozenset(self.permissions)
        behind = frozenset({self.made_by})
        return Principal(
            self.name, frozenset(), *scope, is_program=True, purpose=self.purpose, behind=behind
        )


class Accounts:
    """Threads and processes share the file. ConfigError says what cannot be made so."""

    def __init__(self, data: Path, clock: Clock, inventory: Inventory | None = None) -> None:
        self._path, self._clock, self._lock = data / FILE, clock, threading.Lock()
        self._connection = open_database(
            self._path, SCHEMA, SCHEMAS["accounts"], inventory=inventory
        )
        if not self._rows("select 1 from sqlite_schema where name = 'saved_filters'"):
            with self._changing():
                self._connection.execute(SAVED)

    def close(self) -> None:
        """Release the file."""
        self._connection.close()

    def check(self) -> None:
        """CorruptError unless every page is what was written; reads the whole file."""
        with self._lock:
            check_database(self._connection, self._path)

    def user(self, name: str) -> User | None:
        """The person of that name, however it is written; None for nobody."""
        found = self._rows(f"select {_USER} from users where key = ?", key_of(name))
        return _user(found[0]) if found else None

    def of_subject(self, subject: str) -> User | None:
        """The person for whom an identity provider vouches so."""
        found = self._rows(f"select {_USER} from users where subject = ?", subject)
        return _user(found[0]) if found else None

    def of_login(self, login: str) -> User | None:
        """The person whom this user of the machine is."""
        found = self._rows(f"select {_USER} from users where login = ?", login)
        return _user(found[0]) if found else None

    def users(self) -> list[User]:
        """Everybody, by name."""
        return [_user(row) for row in self._rows(f"select {_USER} from users order by key")]

    def who_may(self, permission: str, tenant: str) -> list[str]:
        """The names of those who have `permission` and see `tenant`."""
        open_ = [
            user
            for user in self.users()
            if not user.is_disabled and {ALL, tenant} & {*user.tenants}
        ]
        return [user.name for user in open_ if permission in permissions_of(user.roles)]

    def add(
        self,
        name: str,
        roles: Collection[str],
        tenants: Collection[str],
        *,
        digest: str | None,
        by: str,
        is_own: bool = False,
        subject: str | None = None,
        is_mapped: bool = False,
        hours: float = UNUSED_HOURS,
    ) -> User:
        """Make an account; unless `is_own` the password has to be changed within `hours`."""
        checked_home(checked_name(name), tenants)
        now = self._clock.wall()
        until = None if is_own or digest is None else now + hours * 3600
        whose = (_words(checked_roles(roles)), _words(checked_tenants(tenants)))
        row = (key_of(name), name, digest, subject, *whose, 0, until, 1, now, by, int(is_mapped))
        with self._changing():
            if self._connection.execute("select 1 from users where key = ?", (row[0],)).get:
                raise ConfigError(TAKEN)
            if (
                subject
                and self._connection.execute(
                    "select 1 from users where subject = ?", (subject,)
                ).get
            ):
                raise ConfigError(SUBJECT_TAKEN)
            self._connection.execute(
                "insert into users values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, null, '[]')", row
            )
        return self.named(name)

    def named(self, name: str) -> User:
        """The person of that name; ConfigError for nobody."""
        found = self.user(name)
        if found is None:
            raise ConfigError(NONE)
        return found

    def set_password(self, name: str, digest: str, *, is_own: bool, by: str = "") -> None:
        """Another password; one that is not the person's own has to be changed within
        `UNUSED_HOURS`.
        """
        if self.named(name).digest is None:
            raise ConfigError(NO_PASSWORD)
        self._change(
            name,
            by,
            digest=digest,
            until=None if is_own else self._clock.wall() + UNUSED_HOURS * 3600,
        )

    def renew(self, name: str, digest: str) -> None:
        """The same password, digested at another cost; it ends no session."""
        with self._changing():
            self._connection.execute(
                "update users set digest = ? where key = ?", (digest, key_of(name))
            )

    def set_roles(
        self, name: str, roles: Collection[str], tenants: Collection[str], *, by: str = ""
    ) -> None:
        """Other roles and tenants."""
        checked_home(self.named(name).name, tenants)
        self._change(
            name, by, roles=_words(checked_roles(roles)), tenants=_words(checked_tenants(tenants))
        )

    def set_disabled(self, name: str, *, is_disabled: bool, by: str = "") -> None:
        """Close an account, or open it again."""
        self._change(name, "" if is_disabled else by, disabled=int(is_disabled))

    def set_login(self, name: str, login: str | None, *, by: str = "") -> None:
        """Which user of this machine they are, None for none; whoever it was before is it no
        more.
        """
        changed = _words({*self.named(name).changed_by, *filter(None, [by if login else ""])})
        with self._changing():
            self._connection.execute("update users set login = null where login = ?", (login,))
            self._connection.execute(
                "update users set login = ?, changed_by = ? where key = ?",
                (login, changed, key_of(name)),
            )

    def end_sessions(self, name: str) -> None:
        """End the sessions of an account; it stays as it is."""
        self._change(name)

    def _change(self, name: str, by: str = "", **columns: Any) -> None:
        """Change an account; `by` is remembered unless it is the person."""
        user = self.named(name)
        if by and key_of(by) != key_of(user.name):
            columns["changed_by"] = _words({*user.changed_by, by})
        chosen = ", ".join([*(f"{column} = ?" for column in columns), "changes = changes + 1"])
        with self._changing():
            self._connection.execute(
                f"update users set {chosen} where key = ?", (*columns.values(), key_of(name))
            )

    def saved_filters(self, name: str) -> dict[str, str]:
        """The queries that somebody keeps for the incident list, by their titles."""
        return dict(
            self._rows(
                "select title, query from saved_filters where key = ? order by title", key_of(name)
            )
        )

    def save_filter(self, name: str, title: str, query: str) -> None:
        """Keep a query under a title, in place of another of that title; ConfigError says why
        not.
        """
        if not title.strip() or len(title) > MAX_TITLE or identifier_in(title):
            raise ConfigError(
                Phrase(
                    "enter a name of at most %(most)s characters without an identifier",
                    most=MAX_TITLE,
                )
            )
        if len({*self.saved_filters(name), title.strip()}) > MOST_FILTERS:
            raise ConfigError(
                Phrase("at most %(most)s filters can be saved: remove one first", most=MOST_FILTERS)
            )
        with self._changing():
            row = (key_of(name), title.strip(), query)
            self._connection.execute("insert or replace into saved_filters values (?, ?, ?)", row)

    def remove_filter(self, name: str, title: str) -> None:
        """Forget a saved filter, if there is one of that title."""
        with self._changing():
            self._connection.execute(
                "delete from saved_filters where key = ? and title = ?", (key_of(name), title)
            )

    def tokens(self) -> list[Token]:
        """Every token, the newest first; those that expired or were revoked included."""
        return [
            _token(row)
            for row in self._rows(f"select {_TOKEN} from tokens order by made_at desc, id")
        ]

    def add_token(
        self,
        name: str,
        permissions: Collection[str],
        tenants: Collection[str],
        *,
        purpose: str,
        days: float,
        by: str,
    ) -> tuple[Token, str]:
        """Make a token; it is given once, here, and only its digest is kept."""
        checked_name(name)
        if not purpose.strip() or len(purpose) > MAX_PURPOSE or identifier_in(purpose):
            raise ConfigError(
                Phrase(
                    "enter the purpose of the token, in at most %(most)s characters without an"
                    " identifier",
                    most=MAX_PURPOSE,
                )
            )
        if not 0 < days <= LONGEST_DAYS:
            raise ConfigError(Phrase("a token must expire within %(most)s days", most=LONGEST_DAYS))
        id_, now = secrets.token_hex(4), self._clock.wall()
        secret = f"ullage_{id_}_{secrets.token_urlsafe(32)}"
        chosen = (_words(checked_scope(permissions, purpose)), _words(checked_tenants(tenants)))
        row = (
            id_,
            name,
            digest(secret),
            purpose.strip(),
            *chosen,
            now,
            by,
            now + days * 86_400,
            None,
        )
        with self._changing():
            self._connection.execute(
                "insert into tokens values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row
            )
        return _token((row[0], row[1], *row[3:])), secret

    def revoke(self, id_: str) -> Token:
        """End a token now; ConfigError for one that is none or was ended."""
        with self._changing():
            sql = "update tokens set revoked = ? where id = ? and revoked is null returning id"
            if not self._connection.execute(sql, (self._clock.wall(), id_)).get:
                raise ConfigError(NO_TOKEN)
        return next(one for one in self.tokens() if one.id == id_)

    def program(self, secret: str) -> Token | None:
        """The token that `secret` is, if it is good now."""
        found = self._rows(f"select {_TOKEN} from tokens where digest = ?", digest(secret))
        token = _token(found[0]) if found else None
        return token if token and token.state(self._clock.wall()) == "good" else None

    def _rows(self, sql: str, *values: str) -> list[tuple[Any, ...]]:
        with self._lock, sqlite_errors(self._path):
            return list(self._connection.execute(sql, values))

    @contextlib.contextmanager
    def _changing(self) -> Iterator[None]:
        """All of a block or nothing, one thread at a time."""
        with self._lock, sqlite_errors(self._path), transaction(self._connection):
            yield


def parts(context: Context) -> Iterator[tuple[str, Callable[[], str]]]:
    """What `ullage check` looks at here: the accounts, where there are some."""

    def look() -> str:
        with contextlib.closing(
            Accounts(context.data, context.clock, context.inventory)
        ) as accounts:
            accounts.check()
            now, people = context.clock.wall(), accounts.users()
            good = [one for one in accounts.tokens() if one.state(now) == "good"]
            return (
                f"{sum(not one.is_disabled for one in people)} of {len(people)} open, {len(good)}"
                " tokens good"
            )

    def second_person() -> str:
        with contextlib.closing(Accounts(context.data, context.clock)) as accounts:
            known = {
                name: accounts.who_may("deadline.waive", name) for name in context.settings.tenants
            }
        return (
            ", ".join(f"{name} {len(people)}" for name, people in known.items())
            + " accounts may confirm"
        )

    if (context.data / FILE).exists():
        yield "accounts", look
    alone = [name for name in context.settings.tenants if not context.tenant(name).second_person]
    if alone:
        yield (
            "second person",
            lambda: SetupWarning(
                f"{', '.join(alone)}: decided by one person (second_person = false)"
            ),
        )
    elif context.settings.tenants and (context.data / FILE).exists():
        yield "second person", second_person


def key_of(name: str) -> str:
    """The same for every way of writing a name."""
    return unicodedata.normalize("NFKC", name).strip().casefold()


def checked_name(name: str) -> str:
    """A name that an account may have: what is decided is decided in it."""
    if not NAME.fullmatch(name) or identifier_in(name):
        raise ConfigError(
            Phrase(
                "a name starts with a letter and has at most 32 letters, digits, spaces and . · '"
                " -, optionally followed by @ and a tenant"
            )
        )
    return name


def named_in(name: str, tenants: Collection[str]) -> str:
    """The name as one of these tenants: as it is where it says one, and for somebody who sees
    all.
    """
    return name if "@" in name or ALL in tenants or not tenants else f"{name}@{min(tenants)}"


def checked_home(name: str, tenants: Collection[str]) -> None:
    """ConfigError for an account that is called after a tenant and is none of that tenant's: the
    name is for those to give.
    """
    home = name.partition("@")[2]
    if home and not {home, ALL} & {*tenants}:
        raise ConfigError(
            Phrase("an account with @%(tenant)s in its name must see that tenant", tenant=home)
        )


def checked_roles(roles: Collection[str]) -> tuple[str, ...]:
    """Roles that one person may have; ConfigError says which not."""
    if unknown := sorted({*roles} - ROLES.keys()):
        raise ConfigError(
            Phrase(
                "unknown roles (%(count)s): use %(roles)s",
                count=len(unknown),
                roles=", ".join(ROLES),
            )
        )
    if not roles:
        raise ConfigError(Phrase("choose at least one role: %(roles)s", roles=", ".join(ROLES)))
    if len(both := sorted(APART.intersection(roles))) > 1:
        raise ConfigError(
            Phrase("the same person cannot be %(one)s and %(other)s", one=both[0], other=both[1])
        )
    return tuple(role for role in ROLES if role in roles)


def checked_tenants(tenants: Collection[str]) -> tuple[str, ...]:
    """Tenants by their names, or `*` alone; ConfigError for none."""
    if not tenants or not all(one == ALL or TENANT.fullmatch(one) for one in tenants):
        raise ConfigError(Phrase("choose whose data they may see: tenants by name, or all"))
    return (ALL,) if ALL in tenants else tuple(sorted({*tenants}))


def checked_scope(permissions: Collection[str], purpose: str) -> tuple[str, ...]:
    """Permissions that a program may have for a purpose; ConfigError says which not."""
    may = [one for one in PERMISSIONS if one not in PEOPLE_ALONE]
    if not permissions or not {*permissions} <= {*may}:
        raise ConfigError(
            Phrase(
                "the permissions of a token must be from: %(permissions)s",
                permissions=", ".join(may),
            )
        )
    for name, word in PURPOSES.items():
        if (name in permissions) != (purpose.strip() == word) or (
            name in permissions and len({*permissions}) > 1
        ):
            raise ConfigError(
                Phrase(
                    "a token with %(name)s must have the purpose %(purpose)s and no other"
                    " permission",
                    name=name,
                    purpose=word,
                )
            )
    return tuple(one for one in may if one in permissions)


def _words(words: Collection[str]) -> str:
    return json.dumps(sorted(words) if isinstance(words, set) else list(words))


def _user(row: tuple[Any, ...]) -> User:
    (
        name,
        digest_,
        subject,
        roles,
        tenants,
        disabled,
        until,
        changes,
        made_at,
        made_by,
        mapped,
        login,
        changed_by,
    ) = row
    lists, changed = (
        (tuple(json.loads(roles)), tuple(json.loads(tenants))),
        tuple(json.loads(changed_by)),
    )
    return User(
        name,
        digest_,
        subject,
        *lists,
        bool(disabled),
        until,
        changes,
        made_at,
        made_by,
        bool(mapped),
        login,
        changed,
    )


def _token(row: tuple[Any, ...]) -> Token:
    id_, name, purpose, permissions, tenants, made_at, made_by, expires, revoked = row
    lists = (tuple(json.loads(permissions)), tuple(json.loads(tenants)))
    return Token(id_, name, purpose, *lists, made_at, made_by, expires, revoked)
