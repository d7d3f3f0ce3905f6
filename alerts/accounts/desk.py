"""Changes of accounts and tokens, on a terminal and on the page: in the audit log first, then made."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from alerts.accounts.accounts import Accounts, Token, User, checked_name, checked_roles, checked_scope, checked_tenants
from alerts.accounts.passwords import Passwords, checked
from ullage.audit import Trail
from ullage.errors import ConfigError


@dataclass(frozen=True, slots=True)
class AccountDesk:
    """Changes in the name of `by`. ConfigError and PasswordError say what is not taken; nothing is changed or noted then."""

    accounts: Accounts
    passwords: Passwords
    trail: Trail
    by: str

    def add(self, name: str, roles: Collection[str], tenants: Collection[str], password: str, *, is_own: bool) -> User:
        """Make an account."""
        if self.accounts.user(checked_name(name)):
            raise ConfigError("there is an account of that name: choose another name, or change that one")
        checked(password, name)
        self._note("account.add", f"account {name}: {said(checked_roles(roles), checked_tenants(tenants))}")
        return self.accounts.add(name, roles, tenants, digest=self.passwords.digest(password), by=self.by, is_own=is_own)

    def add_vouched(self, name: str, roles: Collection[str], tenants: Collection[str], subject: str) -> User:
        """Make an account without a password, for whom an identity provider vouches as `subject`."""
        if self.accounts.user(checked_name(name)):
            raise ConfigError("there is an account of that name: choose another name, or change that one")
        if self.accounts.of_subject(subject):
            raise ConfigError("there is an account for that subject: `ullage user list` shows it")
        self._note("account.add", f"account {name}: {said(checked_roles(roles), checked_tenants(tenants))}; by a subject")
        return self.accounts.add(name, roles, tenants, digest=None, by=self.by, subject=subject)

    def set_password(self, name: str, password: str, *, is_own: bool) -> None:
        """Give an account another password."""
        user = self.accounts.named(name)
        if user.digest is None:
            raise ConfigError("that account has no password here: an identity provider vouches for it")
        checked(password, user.name)
        self._note("account.password", f"account {user.name}")
        self.accounts.set_password(user.name, self.passwords.digest(password), is_own=is_own)

    def set_roles(self, name: str, roles: Collection[str], tenants: Collection[str]) -> None:
        """Give an account other roles and tenants."""
        user = self.accounts.named(name)
        now, then = said(user.roles, user.tenants), said(checked_roles(roles), checked_tenants(tenants))
        self._note("account.roles", f"account {user.name}: {then}; before: {now}")
        self.accounts.set_roles(user.name, roles, tenants)

    def disable(self, name: str, *, undo: bool = False) -> None:
        """Close an account, or open it again."""
        user = self.accounts.named(name)
        self._note("account.enable" if undo else "account.disable", f"account {user.name}")
        self.accounts.set_disabled(user.name, is_disabled=not undo)

    def add_token(
        self, name: str, permissions: Collection[str], tenants: Collection[str], *, purpose: str, days: float
    ) -> tuple[Token, str]:
        """Make a token: it, and the secret that is shown once. Noted once it is whole, before anybody has it."""
        checked_scope(permissions)
        token, secret = self.accounts.add_token(name, permissions, tenants, purpose=purpose, days=days, by=self.by)
        self._note("token.add", f"token {token.id} of {name}: {said(token.permissions, token.tenants)}", token.purpose)
        return token, secret

    def revoke(self, id_: str) -> None:
        """End a token."""
        found = next((one for one in self.accounts.tokens() if one.id == id_ and one.revoked is None), None)
        if found is None:
            raise ConfigError("there is no token of that id that could be revoked: `ullage token list` shows them")
        self._note("token.revoke", f"token {found.id} of {found.name}")
        self.accounts.revoke(id_)

    def _note(self, action: str, what: str, reason: str = "") -> None:
        self.trail.append(action, what, actor=self.by, reason=reason)


def said(roles: Collection[str], tenants: Collection[str]) -> str:
    """Roles or permissions, and tenants, in words for the audit log."""
    return f"{', '.join(roles)} of {'all tenants' if '*' in tenants else ', '.join(tenants)}"
