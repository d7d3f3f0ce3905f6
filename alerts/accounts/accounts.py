"""Store people's accounts and programs' tokens in the data folder.

A person logs in with a password, or through an identity provider that vouches for them; a program
sends a token. Both are rows of `DIR/accounts.sqlite` (mode 0600), which holds only the Argon2id
digest of a password and the SHA-256 of a token: neither can be read back, and a token is shown
once, when it is created. `User.principal` and `Token.principal` say what each may do
(`alerts.accounts`). A change of password, roles, tenants or state increases the change counter of
an account, which ends the sessions that began before. The file belongs to the user that runs
search: whoever can write it can grant any right. Methods that change something raise ConfigError,
with a message for the user, if it is invalid; a damaged file raises CorruptError.
"""

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
    PERMISSIONS,
    PURPOSES,
    ROLES,
    TOKEN_PERMISSIONS,
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
"""`Wang Fang`, or `Wang Fang@bank`.

An operator of some tenants can only create names of the second form. A name without a tenant may
belong to anybody, and the message that it is taken would reveal whom another tenant employs.
"""
TAKEN = Phrase("an account with this name exists: choose another name, or change that account")
SUBJECT_TAKEN = Phrase("an account for this subject exists: see `ullage user list`")
NONE = Phrase("no account with that name: see `ullage user list`")
NO_PASSWORD = Phrase("this account has no password here: change it at the identity provider")
NO_TOKEN = Phrase("no token with that id can be revoked: see `ullage token list`")
UNUSED_HOURS = 72
"""Hours within which a password made by somebody else must be changed."""
LONGEST_DAYS = 366
MAX_PURPOSE = 200
MAX_TITLE = 40
SCHEMA = """
create table users (
    key text primary key, name text not null, digest text, subject text unique, \
roles text not null, tenants text not null,
    disabled integer not null, until real, changes integer not null, made_at real not null, \
made_by text not null,
    mapped integer not null default 0, login text, changed_by text not null default '[]'
) strict;
create unique index users_by_login on users (login);
create table tokens (
    id text primary key, name text not null, digest text not null unique, \
purpose text not null, permissions text not null,
    tenants text not null, made_at real not null, made_by text not null, expires real not null, \
revoked real
) strict;
"""
SAVED = """
create table if not exists saved_filters (
    key text not null, title text not null, query text not null, primary key (key, title)
) strict
"""
"""Added to files that an earlier release created."""
MOST_FILTERS = 20
_USER = (
    "name, digest, subject, roles, tenants, disabled, until, changes, made_at, made_by, mapped,"
    " login, changed_by"
)
_TOKEN = "id, name, purpose, permissions, tenants, made_at, made_by, expires, revoked"  # noqa: S105


@dataclass(frozen=True, slots=True)
class User:
    """A person's account.

    `digest` is None if an identity provider vouches for them as `subject`. If `is_mapped`, roles
    and tenants follow from the provider's claims and are set at each login. `until` is the time
    (Unix seconds) by which a password made by somebody else must be changed; None for the person's
    own password.
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
    """The user of this machine whose decisions on a terminal are recorded under this account."""
    changed_by: tuple[str, ...] = ()
    """Other accounts that gave it a password, roles or a login, or enabled it again.

    They may be able to use it.
    """

    def principal(self, session: str = "", *, is_proven: bool = False) -> Principal:
        """Return the principal for requests of this person.

        While the password is one that somebody else made, the principal may only change it.
        `is_proven` says that the machine has verified who it is; a `session` proves it too.
        """
        if self.until is not None:
            return Principal(self.name, session=session, must_change=True)
        whose = frozenset(self.roles), frozenset(self.tenants), permissions_of(self.roles)
        return Principal(self.name, *whose, session=session, is_proven=is_proven or bool(session))


@dataclass(frozen=True, slots=True)
class Token:
    """What a program may do, for which purpose, and until when.

    `made_at`, `expires` and `revoked` are in Unix seconds; `revoked` is None for a token that is
    not revoked. The secret is not here.
    """

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
        """Return `good`, `expired` or `revoked`; `now` is in Unix seconds."""
        if self.revoked is not None:
            return "revoked"
        return "good" if now < self.expires else "expired"

    def principal(self) -> Principal:
        """Return the principal for requests of the program."""
        scope = frozenset(self.tenants), frozenset(self.permissions)
        behind = frozenset({self.made_by})
        return Principal(
            self.name, frozenset(), *scope, is_program=True, purpose=self.purpose, behind=behind
        )


class Accounts:
    """The accounts and tokens of a data folder. Threads and processes share the file.

    Methods that change something raise ConfigError, with a message for the user, if it is invalid.
    """

    def __init__(self, data: Path, clock: Clock, inventory: Inventory | None = None) -> None:
        self._path, self._clock, self._lock = data / FILE, clock, threading.Lock()
        self._connection = open_database(
            self._path, SCHEMA, SCHEMAS["accounts"], inventory=inventory
        )
        if not self._rows("select 1 from sqlite_schema where name = 'saved_filters'"):
            with self._write_transaction():
                self._connection.execute(SAVED)

    def close(self) -> None:
        """Close the database."""
        self._connection.close()

    def check(self) -> None:
        """Read the whole file and raise CorruptError if a page was altered."""
        with self._lock:
            check_database(self._connection, self._path)

    def user(self, name: str) -> User | None:
        """Return the account of that name in any spelling, disabled or not; None for none."""
        rows = self._rows(f"select {_USER} from users where key = ?", normalize_name(name))
        return _user(rows[0]) if rows else None

    def find_by_subject(self, subject: str) -> User | None:
        """Return the account with this identity provider subject, or None."""
        rows = self._rows(f"select {_USER} from users where subject = ?", subject)
        return _user(rows[0]) if rows else None

    def find_by_login(self, login: str) -> User | None:
        """Return the account of this operating system user, or None."""
        rows = self._rows(f"select {_USER} from users where login = ?", login)
        return _user(rows[0]) if rows else None

    def users(self) -> list[User]:
        """Return all accounts, sorted by name."""
        return [_user(row) for row in self._rows(f"select {_USER} from users order by key")]

    def list_names_with(self, permission: str, tenant: str) -> list[str]:
        """Return the names of the enabled accounts that have `permission` and see `tenant`, sorted.

        Accounts whose password is still to be changed are included.
        """
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
        """Create an account and return it.

        `digest` is that of the password, None for an account that an identity provider vouches for
        as `subject`. Unless `is_own`, the password must be changed within `hours`. `by` is recorded
        as the maker. Raises ConfigError if the name, roles or tenants are invalid, or the name or
        the subject is taken.
        """
        validate_home(validate_name(name), tenants)
        now = self._clock.wall()
        until = None if is_own or digest is None else now + hours * 3600
        whose = (_words(validate_roles(roles)), _words(validate_tenants(tenants)))
        row = (
            normalize_name(name),
            name,
            digest,
            subject,
            *whose,
            0,
            until,
            1,
            now,
            by,
            int(is_mapped),
        )
        with self._write_transaction():
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
        return self.get_user(name)

    def get_user(self, name: str) -> User:
        """Return the account of that name; raise ConfigError if there is none."""
        user = self.user(name)
        if user is None:
            raise ConfigError(NONE)
        return user

    def set_password(self, name: str, digest: str, *, is_own: bool, by: str = "") -> None:
        """Replace the password, by its digest, and end the account's sessions.

        One that is not the person's own must be changed within 72 hours. `by` is recorded as
        somebody who may be able to use the account. Raises ConfigError if there is no such account,
        or an identity provider vouches for it.
        """
        if self.get_user(name).digest is None:
            raise ConfigError(NO_PASSWORD)
        self._change(
            name,
            by,
            digest=digest,
            until=None if is_own else self._clock.wall() + UNUSED_HOURS * 3600,
        )

    def rehash_password(self, name: str, digest: str) -> None:
        """Replace the digest of an unchanged password; sessions go on.

        An unknown name changes nothing.
        """
        with self._write_transaction():
            self._connection.execute(
                "update users set digest = ? where key = ?", (digest, normalize_name(name))
            )

    def set_roles(
        self, name: str, roles: Collection[str], tenants: Collection[str], *, by: str = ""
    ) -> None:
        """Replace the roles and tenants of an account, and end its sessions.

        `by` is recorded as somebody who may be able to use the account. Raises ConfigError if there
        is no such account, or roles or tenants are invalid.
        """
        validate_home(self.get_user(name).name, tenants)
        self._change(
            name, by, roles=_words(validate_roles(roles)), tenants=_words(validate_tenants(tenants))
        )

    def set_disabled(self, name: str, *, is_disabled: bool, by: str = "") -> None:
        """Disable an account, or enable it again, and end its sessions.

        If it is enabled, `by` is recorded as somebody who may be able to use it. Raises ConfigError
        if there is no such account.
        """
        self._change(name, "" if is_disabled else by, disabled=int(is_disabled))

    def set_login(self, name: str, login: str | None, *, by: str = "") -> None:
        """Link an account to a user of this machine, or to none if `login` is None.

        Another account that had this login loses it. Sessions go on. Raises ConfigError if there is
        no such account.
        """
        changed = _words({*self.get_user(name).changed_by, *filter(None, [by if login else ""])})
        with self._write_transaction():
            self._connection.execute("update users set login = null where login = ?", (login,))
            self._connection.execute(
                "update users set login = ?, changed_by = ? where key = ?",
                (login, changed, normalize_name(name)),
            )

    def end_sessions(self, name: str) -> None:
        """End the sessions of an account without changing it.

        Raises ConfigError if there is no such account.
        """
        self._change(name)

    def _change(self, name: str, by: str = "", **columns: Any) -> None:
        """Update columns of an account and end its sessions.

        `by` is added to `changed_by` unless it is the account itself.
        """
        user = self.get_user(name)
        if by and normalize_name(by) != normalize_name(user.name):
            columns["changed_by"] = _words({*user.changed_by, by})
        chosen = ", ".join([*(f"{column} = ?" for column in columns), "changes = changes + 1"])
        with self._write_transaction():
            self._connection.execute(
                f"update users set {chosen} where key = ?",
                (*columns.values(), normalize_name(name)),
            )

    def list_filters(self, name: str) -> dict[str, str]:
        """Return the saved query strings of the incident list of an account, by title, sorted.

        An unknown name has none.
        """
        return dict(
            self._rows(
                "select title, query from saved_filters where key = ? order by title",
                normalize_name(name),
            )
        )

    def save_filter(self, name: str, title: str, query: str) -> None:
        """Save a query under a title and replace one with the same title.

        Raises ConfigError if the title is empty, has more than 40 characters or contains an
        identifier, or if the account would have more than 20 filters.
        """
        if not title.strip() or len(title) > MAX_TITLE or identifier_in(title):
            raise ConfigError(
                Phrase(
                    "enter a name of at most %(most)s characters without an identifier",
                    most=MAX_TITLE,
                )
            )
        if len({*self.list_filters(name), title.strip()}) > MOST_FILTERS:
            raise ConfigError(
                Phrase("at most %(most)s filters can be saved: remove one first", most=MOST_FILTERS)
            )
        with self._write_transaction():
            row = (normalize_name(name), title.strip(), query)
            self._connection.execute("insert or replace into saved_filters values (?, ?, ?)", row)

    def remove_filter(self, name: str, title: str) -> None:
        """Delete the saved filter with that title, if there is one."""
        with self._write_transaction():
            self._connection.execute(
                "delete from saved_filters where key = ? and title = ?",
                (normalize_name(name), title),
            )

    def tokens(self) -> list[Token]:
        """Return all tokens, newest first, including expired and revoked ones."""
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
        """Create a token and return it with its secret.

        The secret is returned only here; the file contains its digest. The token expires after
        `days`, at most 366. Raises ConfigError if the name, purpose, permissions, tenants or days
        are invalid.
        """
        validate_name(name)
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
        chosen = (_words(validate_scope(permissions, purpose)), _words(validate_tenants(tenants)))
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
        with self._write_transaction():
            self._connection.execute(
                "insert into tokens values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row
            )
        return _token((row[0], row[1], *row[3:])), secret

    def revoke(self, id_: str) -> Token:
        """Revoke a token and return it.

        Raises ConfigError if it is unknown or already revoked.
        """
        with self._write_transaction():
            sql = "update tokens set revoked = ? where id = ? and revoked is null returning id"
            if not self._connection.execute(sql, (self._clock.wall(), id_)).get:
                raise ConfigError(NO_TOKEN)
        return next(token for token in self.tokens() if token.id == id_)

    def find_token(self, secret: str) -> Token | None:
        """Return the token with this secret; None if it is unknown, expired or revoked."""
        rows = self._rows(f"select {_TOKEN} from tokens where digest = ?", digest(secret))
        token = _token(rows[0]) if rows else None
        return token if token and token.state(self._clock.wall()) == "good" else None

    def _rows(self, sql: str, *values: str) -> list[tuple[Any, ...]]:
        with self._lock, sqlite_errors(self._path):
            return list(self._connection.execute(sql, values))

    @contextlib.contextmanager
    def _write_transaction(self) -> Iterator[None]:
        """Hold the lock and commit everything in the block, or nothing."""
        with self._lock, sqlite_errors(self._path), transaction(self._connection):
            yield


def parts(context: Context) -> Iterator[tuple[str, Callable[[], str]]]:
    """Yield the checks of accounts and of second persons for `ullage check`, each with its name.

    A check returns one line or raises an error. Without an account file there is only the warning
    about tenants that require no second person, if there are any.
    """

    def check_accounts() -> str:
        with contextlib.closing(
            Accounts(context.data, context.clock, context.inventory)
        ) as accounts:
            accounts.check()
            now, people = context.clock.wall(), accounts.users()
            good = [token for token in accounts.tokens() if token.state(now) == "good"]
            enabled = [user for user in people if not user.is_disabled]
            return f"{len(enabled)} of {len(people)} open, {len(good)} tokens good"

    def count_second_persons() -> str:
        with contextlib.closing(Accounts(context.data, context.clock)) as accounts:
            confirmers = {
                name: accounts.list_names_with("deadline.waive", name)
                for name in context.settings.tenants
            }
        return (
            ", ".join(f"{name} {len(people)}" for name, people in confirmers.items())
            + " accounts may confirm"
        )

    if (context.data / FILE).exists():
        yield "accounts", check_accounts
    alone = [name for name in context.settings.tenants if not context.tenant(name).second_person]
    if alone:
        yield (
            "second person",
            lambda: SetupWarning(
                f"{', '.join(alone)}: decided by one person (second_person = false)"
            ),
        )
    elif context.settings.tenants and (context.data / FILE).exists():
        yield "second person", count_second_persons


def normalize_name(name: str) -> str:
    """Return a name in the form by which names are compared, equal for all its spellings.

    Case, width (NFKC) and blanks around it do not count.
    """
    return unicodedata.normalize("NFKC", name).strip().casefold()


def validate_name(name: str) -> str:
    """Return `name` unchanged if an account may have it.

    Raises ConfigError if it is malformed, looks like an identifier or contains a number of nine or
    more digits.
    """
    if not NAME.fullmatch(name) or identifier_in(name):
        raise ConfigError(
            Phrase(
                "a name must start with a letter and have at most 32 letters, digits,"
                " spaces and . · ' -, optionally followed by @ and a tenant"
            )
        )
    return name


def qualify_name(name: str, tenants: Collection[str]) -> str:
    """Return the name with a tenant appended, as in `wang.fang@bank`.

    It is the first of `tenants` in alphabetical order. A name that has a tenant already, or is for
    somebody who sees all tenants, is returned unchanged.
    """
    return name if "@" in name or ALL in tenants or not tenants else f"{name}@{min(tenants)}"


def validate_home(name: str, tenants: Collection[str]) -> None:
    """Raise ConfigError if the name contains a tenant (after the `@`) that is not among `tenants`.

    Only that tenant's operators may assign such a name. A name without a tenant is always valid.
    """
    home = name.partition("@")[2]
    if home and not {home, ALL} & {*tenants}:
        raise ConfigError(
            Phrase("an account with @%(tenant)s in its name must see that tenant", tenant=home)
        )


def validate_roles(roles: Collection[str]) -> tuple[str, ...]:
    """Return the roles in the order of `ROLES`, each one time.

    Raises ConfigError if a role is unknown, there is none, or two exclude each other.
    """
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
    if len(exclusive := sorted(APART.intersection(roles))) > 1:
        raise ConfigError(
            Phrase(
                "the same person cannot be %(one)s and %(other)s: remove one of the two roles",
                one=exclusive[0],
                other=exclusive[1],
            )
        )
    return tuple(role for role in ROLES if role in roles)


def validate_tenants(tenants: Collection[str]) -> tuple[str, ...]:
    """Return the tenants sorted, each one time, or `*` alone if it is among them.

    Raises ConfigError if there is none or a name is malformed. Whether a tenant exists is not
    checked.
    """
    if not tenants or not all(name == ALL or TENANT.fullmatch(name) for name in tenants):
        raise ConfigError(Phrase("choose whose data they may see: tenants by name, or all"))
    return (ALL,) if ALL in tenants else tuple(sorted({*tenants}))


def validate_scope(permissions: Collection[str], purpose: str) -> tuple[str, ...]:
    """Return the permissions of a token with this purpose, in the order of `PERMISSIONS`.

    Raises ConfigError for permissions that a program may not have, or not for this purpose, and for
    none.
    """
    allowed = [permission for permission in PERMISSIONS if permission in TOKEN_PERMISSIONS]
    if not permissions or not {*permissions} <= {*allowed}:
        raise ConfigError(
            Phrase(
                "the permissions of a token must be from: %(permissions)s",
                permissions=", ".join(allowed),
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
    return tuple(permission for permission in allowed if permission in permissions)


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
