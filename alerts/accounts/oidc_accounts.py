"""Whose account somebody has for whom an identity provider vouches: made for their subject, or by their groups.

Nobody is taken for an account of the same name: that would be whoever may choose names at the provider. Who is of some tenants
alone is called after one of them (`wang.fang@bank`), so that no name of another tenant is in the way, or told. What no group
grants is nobody's, and roles and tenants of several groups are taken together only where that grants nothing that none of them
does.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from alerts.accounts.accounts import NAME, Accounts, User, checked_roles, checked_tenants, named_in
from alerts.accounts.desk import said
from alerts.accounts.journeys import LoginRefusedError
from alerts.accounts.roles import ALL
from ullage.audit import Trail
from ullage.errors import ConfigError
from ullage.lookup.free_text_check import identifier_in
from ullage.phrase import Phrase
from ullage.settings.roles import GrantSettings, OidcSettings
from ullage.settings.tenants import require_tenant

LONGEST_SUBJECT = 255
"""OpenID Connect Core, 2."""
BY = "identity provider"
"""Who makes accounts that follow from groups, and changes them, in the audit log."""
CLOSED = Phrase("Your account here is disabled.")
TOGETHER = Phrase("Your groups at the identity provider do not map to one account here: ask an operator.")


def subject_of(settings: OidcSettings, sub: str) -> str:
    """What somebody is known by: the same `sub` of another issuer is somebody else."""
    return f"{settings.issuer} {sub}"


def checked_subject(settings: OidcSettings, given: str) -> str:
    """A subject of the configured issuer, as accounts have it; ConfigError for what can be none."""
    if not settings.issuer:
        raise ConfigError("no identity provider is configured here: search.oidc in ullage.toml names one")
    if not 0 < len(given) <= LONGEST_SUBJECT or not given.isprintable():
        raise ConfigError(
            Phrase(
                "a subject must have 1 to %(most)s characters; the login page shows it to anybody without an account",
                most=LONGEST_SUBJECT,
            )
        )
    return subject_of(settings, given)


@dataclass(frozen=True, slots=True)
class OidcAccounts:
    """Turns claims that are believed into accounts."""

    settings: OidcSettings
    accounts: Accounts
    trail: Trail

    def user(self, claims: Mapping[str, Any]) -> User:
        """Their account, made or changed now where their groups say so; RefusedError for somebody who has none."""
        subject = subject_of(self.settings, claims["sub"])
        user = self.accounts.of_subject(subject)
        if user and user.is_disabled:
            raise LoginRefusedError(CLOSED, f"account {user.name}: is closed")
        if user and not user.is_mapped:
            return user
        try:
            roles, tenants = self._granted(claims, user)
        except LoginRefusedError:
            if user:
                self.trail.append("account.sessions", f"account {user.name}: its sessions end", actor=BY)
                self.accounts.end_sessions(user.name)
            raise
        if user is None:
            return self._made(claims, subject, roles, tenants)
        if (set(user.roles), set(user.tenants)) != (set(roles), set(tenants)):
            self._note("account.roles", f"account {user.name}: {said(roles, tenants)}; before: {said(user.roles, user.tenants)}")
            self.accounts.set_roles(user.name, roles, tenants)
        return self.accounts.named(user.name)

    def _granted(self, claims: Mapping[str, Any], user: User | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
        groups = claims.get(self.settings.claim)
        has = (
            {groups}
            if isinstance(groups, str)
            else {one for one in groups if isinstance(one, str)}
            if isinstance(groups, list)
            else ()
        )
        grants = [one for one in self.settings.grants.values() if one.value in has]
        who = f"account {user.name}" if user else "somebody without an account"
        if not grants:
            raise LoginRefusedError(
                Phrase(
                    "You have no account here. An operator can create one for your subject: %(subject)s", subject=claims["sub"]
                ),
                f"{who}: no group that grants anything here",
            )
        try:
            return together(grants)
        except ConfigError as error:
            raise LoginRefusedError(TOGETHER, f"{who}: {error}") from None

    def _made(self, claims: Mapping[str, Any], subject: str, roles: Collection[str], tenants: Collection[str]) -> User:
        given = claims.get(self.settings.name)
        name = unicodedata.normalize("NFKC", given).partition("@")[0].strip() if isinstance(given, str) else ""
        if not NAME.fullmatch(name) or identifier_in(name):
            raise LoginRefusedError(
                Phrase("The identity provider's name for you is not a valid account name here: ask an operator."),
                f"somebody without an account: claim {self.settings.name} has no name that can be one here",
            )
        name = named_in(name, tenants)
        if self.accounts.user(name):
            raise LoginRefusedError(
                Phrase("Another account here has your name: ask an operator to create one for you."),
                f"account {name}: the name is taken, and not by the subject that came",
            )
        self._note("account.add", f"account {name}: {said(roles, tenants)}; by its groups")
        return self.accounts.add(name, roles, tenants, digest=None, by=BY, subject=subject, is_mapped=True)

    def _note(self, action: str, what: str) -> None:
        self.trail.append(action, what, actor=BY)


def together(grants: Iterable[GrantSettings]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Roles and tenants of several grants as one account's; ConfigError where nobody may be that.

    An account has all its roles for all its tenants: of grants for different tenants that would be more than they grant.
    """
    of = [(checked_roles(one.roles), checked_tenants(one.tenants)) for one in grants]
    roles = checked_roles({role for ours, _ in of for role in ours})
    tenants = checked_tenants({tenant for _, theirs in of for tenant in theirs})
    for role in roles:
        for tenant in tenants:
            if not any(role in ours and (tenant in theirs or ALL in theirs) for ours, theirs in of):
                raise ConfigError("groups that grant different roles for different tenants are not one account")
    return roles, tenants


def check_grants(settings: OidcSettings, tenants: Collection[str]) -> None:
    """ConfigError for a grant that could never be given: a role that is none, two that nobody has, a tenant that is not known."""
    for name, grant in settings.grants.items():
        try:
            together([grant])
            for tenant in grant.tenants:
                if tenant != ALL:
                    require_tenant(tenant, tenants)
        except ConfigError as error:
            raise ConfigError(f"search.oidc.grants.{name}: {error}") from None
