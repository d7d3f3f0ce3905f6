"""Change accounts and tokens; each change is in the audit log first, a new token right after."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from alerts.accounts import ALL, Principal, permissions_of
from alerts.accounts.accounts import (
    NO_PASSWORD,
    NO_TOKEN,
    NONE,
    SUBJECT_TAKEN,
    TAKEN,
    Accounts,
    Token,
    User,
    normalize_name,
    qualify_name,
    validate_home,
    validate_name,
    validate_roles,
    validate_scope,
    validate_tenants,
)
from alerts.accounts.sessions import Passwords, generate_password, validate_password
from ullage.audit import Trail
from ullage.errors import ConfigError
from ullage.phrase import Phrase

NAME = "admin"
ROLES = ("operator", "lead")
"""Roles of the first account, enough to create the others and to see that everything works.

Remove both when other accounts have them.
"""
HOURS = 24


def first_login(accounts: Accounts, trail: Trail) -> str | None:
    """Create the first account and return its name and password in one line, in English.

    Returns None if there is an account already. The creation is written to the audit log first. The
    password is valid for 24 hours and only for logging in and changing it.
    """
    if accounts.users():
        return None
    password = generate_password()
    trail.append(
        "account.add",
        f"account {NAME}: {', '.join(ROLES)} of all tenants, the first one",
        actor=trail.chain,
    )
    accounts.add(
        NAME, ROLES, [ALL], digest=Passwords().digest(password), by=trail.chain, hours=HOURS
    )
    return f"{NAME} with the password {password}, to be changed within {HOURS} hours"


@dataclass(frozen=True, slots=True)
class AccountDesk:
    """Changes accounts and tokens on behalf of `by`.

    Methods raise ConfigError or PasswordError for invalid input, before anything is changed or
    logged.

    On the console, `principal` is the person who makes the change: accounts and tokens of tenants
    that this person does not see count as missing, and nobody can grant anything to themselves. On
    a terminal of this machine `principal` is None and there are no such limits.
    """

    accounts: Accounts
    passwords: Passwords
    trail: Trail
    by: str
    principal: Principal | None = None

    def users(self) -> list[User]:
        """Return the accounts that the principal may see, by name."""
        return [user for user in self.accounts.users() if self._sees(user.tenants)]

    def tokens(self) -> list[Token]:
        """Return the tokens that the principal may see, newest first."""
        return [token for token in self.accounts.tokens() if self._sees(token.tenants)]

    def get_user(self, name: str) -> User:
        """Return the visible account of that name; raise ConfigError if there is none."""
        user = self.accounts.get_user(name)
        if not self._sees(user.tenants):
            raise ConfigError(NONE)
        return user

    def add(
        self,
        name: str,
        roles: Collection[str],
        tenants: Collection[str],
        password: str,
        *,
        is_own: bool,
    ) -> User:
        """Create an account and return it; see `qualify_name` for its full name.

        Unless the password `is_own`, it must be changed within 72 hours. Raises ConfigError if the
        name, roles or tenants are invalid, the name is taken or the principal may not grant the
        tenants, and PasswordError if the password is invalid.
        """
        name, whose = self.check_new(name, roles, tenants)
        validate_password(password, name.partition("@")[0])
        self._record("account.add", f"account {name}: {whose}")
        return self.accounts.add(
            name, roles, tenants, digest=self.passwords.digest(password), by=self.by, is_own=is_own
        )

    def check_new(
        self, name: str, roles: Collection[str], tenants: Collection[str]
    ) -> tuple[str, str]:
        """Return the full name of a new account and a description of its scope.

        The account is not created. Raises ConfigError if `add` would because of the name, roles or
        tenants.
        """
        name = self._full_name(name, tenants)
        return name, self._describe_new(name, roles, tenants)

    def add_vouched(
        self, name: str, roles: Collection[str], tenants: Collection[str], subject: str
    ) -> User:
        """Create an account without a password and return it.

        An identity provider vouches for it as `subject`. Only a principal who sees all tenants may
        do so: whether a subject has an account would reveal whom another tenant employs. Raises
        ConfigError if the principal may not, roles or tenants are invalid, or the name or the
        subject is taken.
        """
        if self.principal is not None and not self.principal.sees_all:
            raise ConfigError(
                Phrase(
                    "only an operator who sees all tenants can create accounts by"
                    " subject: ask one of them"
                )
            )
        whose = self._describe_new(name, roles, tenants)
        if self.accounts.find_by_subject(subject):
            raise ConfigError(SUBJECT_TAKEN)
        self._record("account.add", f"account {name}: {whose}; by a subject")
        return self.accounts.add(name, roles, tenants, digest=None, by=self.by, subject=subject)

    def set_password(self, name: str, password: str, *, is_own: bool) -> None:
        """Replace the password of an account, which ends its sessions.

        Unless it `is_own`, it must be changed within 72 hours. Raises ConfigError if there is no
        such account, it has no password here, or nobody else could manage accounts until the
        password is changed. Raises PasswordError if the new password is invalid.
        """
        user = self.get_user(name)
        if user.digest is None:
            raise ConfigError(NO_PASSWORD)
        validate_password(password, user.name.partition("@")[0])
        if not is_own:
            self._require_other_manager(user, frozenset())
        self._record("account.password", f"account {user.name}")
        self.accounts.set_password(
            user.name, self.passwords.digest(password), is_own=is_own, by=self.by
        )

    def set_roles(self, name: str, roles: Collection[str], tenants: Collection[str]) -> None:
        """Replace the roles and tenants of an account, which ends its sessions.

        Raises ConfigError if there is no such account, roles or tenants are invalid, the principal
        may not grant them, or nobody could manage accounts afterwards.
        """
        user = self.get_user(name)
        now, then = (
            describe_scope(user.roles, user.tenants),
            describe_scope(validate_roles(roles), validate_tenants(tenants)),
        )
        self._require(tenants)
        is_self = self.principal is not None and normalize_name(
            self.principal.name
        ) == normalize_name(user.name)
        if is_self and not (
            {*roles} <= {*user.roles} and (ALL in user.tenants or {*tenants} <= {*user.tenants})
        ):
            raise ConfigError(
                Phrase("you cannot give yourself a role or tenant: ask another operator")
            )
        self._require_other_manager(user, permissions_of(roles))
        self._record("account.roles", f"account {user.name}: {then}; before: {now}")
        self.accounts.set_roles(user.name, roles, tenants, by=self.by)

    def disable(self, name: str, *, undo: bool = False) -> None:
        """Disable an account, or enable it again with `undo`; its sessions end.

        Raises ConfigError if there is no such account, or nobody else could manage accounts.
        """
        user = self.get_user(name)
        if not undo:
            self._require_other_manager(user, frozenset())
        self._record("account.enable" if undo else "account.disable", f"account {user.name}")
        self.accounts.set_disabled(user.name, is_disabled=not undo, by=self.by)

    def set_login(self, name: str, login: str | None) -> None:
        """Link an account to a user of this machine, or to none if `login` is None.

        Decisions that this user makes on a terminal are then recorded under the account's name.
        Another account that had this login loses it. Sessions go on. Raises ConfigError if there is
        no such account.
        """
        user = self.get_user(name)
        self._record(
            "account.login_of",
            f"account {user.name}: {f'user {login}' if login else 'no user'} of this machine",
        )
        self.accounts.set_login(user.name, login, by=self.by)

    def end_sessions(self, name: str) -> None:
        """End the sessions of an account now; raise ConfigError if there is no such account."""
        user = self.get_user(name)
        self._record("account.sessions", f"account {user.name}: its sessions end")
        self.accounts.end_sessions(user.name)

    def add_token(
        self,
        name: str,
        permissions: Collection[str],
        tenants: Collection[str],
        *,
        purpose: str,
        days: float,
    ) -> tuple[Token, str]:
        """Create a token; return it and its secret, which cannot be read again.

        It expires after `days`. It is logged when it is stored, before anybody receives it. Raises
        ConfigError if a value is invalid or the principal may not grant the tenants.
        """
        validate_scope(permissions, purpose)
        self._require(validate_tenants(tenants))
        token, secret = self.accounts.add_token(
            name, permissions, tenants, purpose=purpose, days=days, by=self.by
        )
        self._record(
            "token.add",
            f"token {token.id} of {name}: {describe_scope(token.permissions, token.tenants)}",
            token.purpose,
        )
        return token, secret

    def revoke(self, id_: str) -> None:
        """Revoke a visible token, which may have expired.

        Raises ConfigError if there is none with that id, or it is revoked already.
        """
        match = next(
            (token for token in self.tokens() if token.id == id_ and token.revoked is None), None
        )
        if match is None:
            raise ConfigError(NO_TOKEN)
        self._record("token.revoke", f"token {match.id} of {match.name}")
        self.accounts.revoke(id_)

    def _describe_new(self, name: str, roles: Collection[str], tenants: Collection[str]) -> str:
        """Return the scope of a new account in words.

        Raises ConfigError if name, roles or tenants are invalid, the principal may not grant them,
        or the name is taken. Creates nothing.
        """
        validate_name(name)
        whose = describe_scope(validate_roles(roles), validate_tenants(tenants))
        self._require(tenants)
        validate_home(name, tenants)
        if self.accounts.user(name):
            raise ConfigError(TAKEN)
        return whose

    def _full_name(self, name: str, tenants: Collection[str]) -> str:
        """Return the name of a new account, with a tenant appended where it is required.

        A principal who does not see all tenants may assign names of visible tenants only.
        """
        return (
            name
            if self.principal is None or self.principal.sees_all
            else qualify_name(name, tenants)
        )

    def _sees(self, tenants: Collection[str]) -> bool:
        return self.principal is None or all(map(self.principal.sees, tenants))

    def _require(self, tenants: Collection[str]) -> None:
        if not self._sees(tenants):
            raise ConfigError(
                Phrase("you can grant only tenants that you can see: choose from those")
            )

    def _require_other_manager(self, user: User, remaining: Collection[str]) -> None:
        """Raise ConfigError if nobody could manage accounts without `user`.

        `remaining` are the permissions that `user` would have afterwards. Accounts whose password
        is still to be changed do not count, nor do accounts that the principal does not see.
        """
        if MANAGE in remaining or not _manages(user):
            return
        if not any(_manages(account) for account in self.users() if account.name != user.name):
            raise ConfigError(
                Phrase(
                    "nobody else could manage accounts: have another operator log in and"
                    " choose a password first"
                )
            )

    def _record(self, action: str, what: str, reason: str = "") -> None:
        self.trail.append(action, what, actor=self.by, reason=reason)


MANAGE = "account.manage"


def _manages(user: User) -> bool:
    return not user.is_disabled and user.until is None and MANAGE in permissions_of(user.roles)


def describe_scope(roles: Collection[str], tenants: Collection[str]) -> str:
    """Return roles or permissions, and tenants, as an English phrase: `ROLES of TENANTS`."""
    return f"{', '.join(roles)} of {'all tenants' if ALL in tenants else ', '.join(tenants)}"
