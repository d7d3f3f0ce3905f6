"""Decide who may confirm, as a second person, an act that somebody else proposed.

A second person is a human being whom the console or the operating system has identified, who may
waive reports of the tenant, and who cannot be the proposer in another guise. Excluded are therefore
programs and the makers of their tokens, names that were only typed and the machine's user who typed
them, and every account that is linked to the proposer's: one of the two created or reopened the
other, or gave it a password, roles or a login, directly or through a chain of accounts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from alerts.accounts import ALL, NOBODY, ForbiddenError, Principal, permissions_of
from alerts.accounts.accounts import User, normalize_name
from ullage.phrase import Phrase

CONFIRM = "deadline.waive"
"""The permission that a second person needs."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts, and all accounts of the console.

    The accounts show who else could confirm the act.
    """

    principal: Principal = NOBODY
    users: tuple[User, ...] = ()

    def proposers(self, by: str) -> tuple[str, ...]:
        """Return all names that the person acting as `by` may have, sorted.

        They are names of accounts and of this machine's users. `by` is a person's name, or `PERSON
        via PROGRAM`. The names are those in it, those of the principal, and the names and logins of
        every account that has one of them in any spelling.
        """
        names = {*by.split(" via "), self.principal.name, *self.principal.behind} - {""}
        keys = {*map(normalize_name, names)}
        for user in self.users:
            if keys & _names(user):
                names |= {user.name, *filter(None, [user.login])}
        return tuple(sorted(names))

    def second_persons(self, tenant: str, by: str, proposers: Collection[str]) -> tuple[str, ...]:
        """Return the names of the accounts that may confirm an act for `tenant`.

        () if there is none. The act was proposed under the name `by`, by somebody with one of the
        names `proposers`. An account may confirm it if it is enabled, has a password of its own or
        none, may waive reports, sees the tenant and has none of these names. Neither account may
        have made or changed the other, directly or through a chain of accounts.
        """
        keys, names = {*map(normalize_name, proposers)}, by.split(" via ")
        return tuple(
            user.name
            for user in self.users
            if CONFIRM in permissions_of(user.roles)
            and {ALL, tenant} & {*user.tenants}
            and not user.is_disabled
            and user.until is None
            and not keys & _names(user)
            and not self._is_controlled_by(user.name, names)
            and not any(self._is_controlled_by(name, _names(user)) for name in names)
        )

    def require_second(self, tenant: str, by: str, proposers: Collection[str]) -> None:
        """Raise ForbiddenError unless the principal may confirm an act that `by` proposed.

        The principal must be a person whose identity is proven, not a program or a typed name, and
        have one of the accounts that `second_persons` returns for the same arguments. None of the
        principal's other names may be among `proposers`.
        """
        who = self.principal
        who.require(CONFIRM)
        if who.is_program or not who.is_proven:
            raise ForbiddenError(
                Phrase(
                    "a second person must log in to the console, or be a user of this machine with"
                    " an account of their own"
                )
            )
        if who.name not in self.second_persons(tenant, by, proposers) or {
            *map(normalize_name, who.behind)
        } & {*map(normalize_name, proposers)}:
            raise ForbiddenError(
                Phrase(
                    "somebody else must confirm this: you proposed it, or one of both accounts was"
                    " made or changed by the other"
                )
            )

    def _is_controlled_by(self, name: str, controllers: Collection[str]) -> bool:
        """Return whether an account is one of `controllers`, or controlled by one of them.

        An account is controlled by those who created or changed it, and by those who control these
        in turn. Names are compared in normal form; a name without an account is controlled only if
        it is named itself.
        """
        keys, by_key = (
            {*map(normalize_name, controllers)},
            {key: user for user in self.users for key in _names(user)},
        )
        waiting, checked = [normalize_name(name)], set[str]()
        while waiting:
            key = waiting.pop()
            if key in keys:
                return True
            if key not in checked and (user := by_key.get(key)):
                waiting += [*_names(user), *map(normalize_name, (user.made_by, *user.changed_by))]
            checked.add(key)
        return False


def _names(user: User) -> set[str]:
    """Return an account's name and its user of the machine, as comparison keys."""
    return {normalize_name(name) for name in (user.name, user.login) if name}


def list_names(names: Iterable[str]) -> Phrase | str:
    """Return the names of second persons, joined by commas, or a phrase that there is nobody."""
    return ", ".join(names) or Phrase("nobody: add an account with role lead or dpo")
