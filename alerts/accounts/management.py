"""Change accounts and tokens, in the audit log first."""

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
    checked_home,
    checked_name,
    checked_roles,
    checked_scope,
    checked_tenants,
    key_of,
    named_in,
)
from alerts.accounts.sessions import Passwords, checked, made
from ullage.audit import Trail
from ullage.errors import ConfigError
from ullage.phrase import Phrase

NAME = "admin"
ROLES = ("operator", "lead")
"""Enough to make the other accounts and to see that all works; give both away when there are
others.
"""
HOURS = 24


def first_login(accounts: Accounts, trail: Trail) -> str | None:
    """Name and password of a new account, as a line for whoever starts the desk first; None where
    there is one already.

    The password is good for `HOURS`, to log in and to change it; nothing else can be done with it.
    """
    if accounts.users():
        return None
    password = made()
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
    """Changes in the name of `by`.

    ConfigError and PasswordError say what is not taken; nothing is changed or noted then.

    Somebody who does it on the page is `principal`: accounts and tokens that see a tenant which
    they do not see are none to them, and nobody gives anything to themselves. Whoever does it on a
    terminal of this machine has no such bounds.
    """

    accounts: Accounts
    passwords: Passwords
    trail: Trail
    by: str
    principal: Principal | None = None

    def users(self) -> list[User]:
        """Those that may be seen, by name."""
        return [one for one in self.accounts.users() if self._sees(one.tenants)]

    def tokens(self) -> list[Token]:
        """Those that may be seen, the newest first."""
        return [one for one in self.accounts.tokens() if self._sees(one.tenants)]

    def named(self, name: str) -> User:
        """The account of that name; ConfigError for one that there is not, or that may not be
        seen.
        """
        user = self.accounts.named(name)
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
        """Make an account; see `named_in` for how it is called."""
        name, whose = self.check_new(name, roles, tenants)
        checked(password, name.partition("@")[0])
        self._note("account.add", f"account {name}: {whose}")
        return self.accounts.add(
            name, roles, tenants, digest=self.passwords.digest(password), by=self.by, is_own=is_own
        )

    def check_new(
        self, name: str, roles: Collection[str], tenants: Collection[str]
    ) -> tuple[str, str]:
        """What a new account would be called, and be in words; ConfigError where `add` would not
        take it.
        """
        name = self._called(name, tenants)
        return name, self._for_new(name, roles, tenants)

    def add_vouched(
        self, name: str, roles: Collection[str], tenants: Collection[str], subject: str
    ) -> User:
        """Make an account without a password, for whom an identity provider vouches as `subject`.

        For somebody who sees all tenants: that a subject has an account would tell others whom
        another tenant employs.
        """
        if self.principal is not None and not self.principal.sees_all:
            raise ConfigError(
                Phrase("only an operator who sees all tenants can create accounts by subject")
            )
        whose = self._for_new(name, roles, tenants)
        if self.accounts.of_subject(subject):
            raise ConfigError(SUBJECT_TAKEN)
        self._note("account.add", f"account {name}: {whose}; by a subject")
        return self.accounts.add(name, roles, tenants, digest=None, by=self.by, subject=subject)

    def set_password(self, name: str, password: str, *, is_own: bool) -> None:
        """Give an account another password, which ends its sessions."""
        user = self.named(name)
        if user.digest is None:
            raise ConfigError(NO_PASSWORD)
        checked(password, user.name.partition("@")[0])
        if not is_own:
            self._keep_a_manager(user, frozenset())
        self._note("account.password", f"account {user.name}")
        self.accounts.set_password(
            user.name, self.passwords.digest(password), is_own=is_own, by=self.by
        )

    def set_roles(self, name: str, roles: Collection[str], tenants: Collection[str]) -> None:
        """Give an account other roles and tenants."""
        user = self.named(name)
        now, then = (
            said(user.roles, user.tenants),
            said(checked_roles(roles), checked_tenants(tenants)),
        )
        self._require(tenants)
        is_self = self.principal is not None and key_of(self.principal.name) == key_of(user.name)
        if is_self and not (
            {*roles} <= {*user.roles} and (ALL in user.tenants or {*tenants} <= {*user.tenants})
        ):
            raise ConfigError(
                Phrase("you cannot give yourself a role or tenant: ask another operator")
            )
        self._keep_a_manager(user, permissions_of(roles))
        self._note("account.roles", f"account {user.name}: {then}; before: {now}")
        self.accounts.set_roles(user.name, roles, tenants, by=self.by)

    def disable(self, name: str, *, undo: bool = False) -> None:
        """Close an account, or open it again."""
        user = self.named(name)
        if not undo:
            self._keep_a_manager(user, frozenset())
        self._note("account.enable" if undo else "account.disable", f"account {user.name}")
        self.accounts.set_disabled(user.name, is_disabled=not undo, by=self.by)

    def set_login(self, name: str, login: str | None) -> None:
        """Say which user of this machine somebody is, whose decisions on a terminal are theirs;
        None is none.
        """
        user = self.named(name)
        self._note(
            "account.login_of",
            f"account {user.name}: {f'user {login}' if login else 'no user'} of this machine",
        )
        self.accounts.set_login(user.name, login, by=self.by)

    def end_sessions(self, name: str) -> None:
        """End the sessions of an account now."""
        user = self.named(name)
        self._note("account.sessions", f"account {user.name}: its sessions end")
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
        """Make a token: it, and the secret that is shown once.

        Noted once it is whole, before anybody has it.
        """
        checked_scope(permissions, purpose)
        self._require(checked_tenants(tenants))
        token, secret = self.accounts.add_token(
            name, permissions, tenants, purpose=purpose, days=days, by=self.by
        )
        self._note(
            "token.add",
            f"token {token.id} of {name}: {said(token.permissions, token.tenants)}",
            token.purpose,
        )
        return token, secret

    def revoke(self, id_: str) -> None:
        """End a token."""
        found = next((one for one in self.tokens() if one.id == id_ and one.revoked is None), None)
        if found is None:
            raise ConfigError(NO_TOKEN)
        self._note("token.revoke", f"token {found.id} of {found.name}")
        self.accounts.revoke(id_)

    def _for_new(self, name: str, roles: Collection[str], tenants: Collection[str]) -> str:
        """What a new account is to be, in words, if it may be made."""
        checked_name(name)
        whose = said(checked_roles(roles), checked_tenants(tenants))
        self._require(tenants)
        checked_home(name, tenants)
        if self.accounts.user(name):
            raise ConfigError(TAKEN)
        return whose

    def _called(self, name: str, tenants: Collection[str]) -> str:
        """What a new account is called: whoever does not see all tenants has the names of their
        own alone to give.
        """
        return (
            name if self.principal is None or self.principal.sees_all else named_in(name, tenants)
        )

    def _sees(self, tenants: Collection[str]) -> bool:
        return self.principal is None or all(map(self.principal.sees, tenants))

    def _require(self, tenants: Collection[str]) -> None:
        if not self._sees(tenants):
            raise ConfigError(Phrase("you can grant only tenants that you can see"))

    def _keep_a_manager(self, user: User, left: Collection[str]) -> None:
        """ConfigError where nobody could manage accounts any more, once `user` may do no more than
        `left`.

        Whoever has not chosen a password yet does not count, nor anybody whom whoever asks does not
        see.
        """
        if MANAGE in left or not _manages(user):
            return
        if not any(_manages(one) for one in self.users() if one.name != user.name):
            raise ConfigError(
                Phrase(
                    "then nobody could manage accounts: first have another operator log in and"
                    " choose a password"
                )
            )

    def _note(self, action: str, what: str, reason: str = "") -> None:
        self.trail.append(action, what, actor=self.by, reason=reason)


MANAGE = "account.manage"


def _manages(user: User) -> bool:
    return not user.is_disabled and user.until is None and MANAGE in permissions_of(user.roles)


def said(roles: Collection[str], tenants: Collection[str]) -> str:
    """Roles or permissions, and tenants, in words for the audit log."""
    return f"{', '.join(roles)} of {'all tenants' if ALL in tenants else ', '.join(tenants)}"
