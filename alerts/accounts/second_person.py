"""Decide who may confirm, as a second person, what somebody else does.

A second person is a human being of whom the console or the operating system knows who they are, who
may waive reports of the tenant, and who cannot be the first person: no program and not who made its
token, no name that was only typed and not the user of the machine who typed another's, and no
account of which one of both made the other's, opened it, or gave it a password, roles or a login,
through however many accounts between them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from alerts.accounts import ALL, NOBODY, ForbiddenError, Principal, permissions_of
from alerts.accounts.accounts import User, key_of
from ullage.phrase import Phrase

CONFIRM = "deadline.waive"
"""The permission that a second person needs."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts, and the accounts of this console by which it is known who else could confirm it."""

    principal: Principal = NOBODY
    users: tuple[User, ...] = ()

    def proposers(self, by: str) -> tuple[str, ...]:
        """Return every name by which whoever acts in the name `by` may be known."""
        names = {*by.split(" via "), self.principal.name, *self.principal.behind} - {""}
        keys = {*map(key_of, names)}
        for user in self.users:
            if keys & _names(user):
                names |= {user.name, *filter(None, [user.login])}
        return tuple(sorted(names))

    def second_persons(self, tenant: str, by: str, proposers: Collection[str]) -> tuple[str, ...]:
        """Return the names of those who may confirm what was proposed for `tenant` in the name
        `by`, by one of `proposers`.
        """
        keys, names = {*map(key_of, proposers)}, by.split(" via ")
        return tuple(
            user.name
            for user in self.users
            if CONFIRM in permissions_of(user.roles)
            and {ALL, tenant} & {*user.tenants}
            and not user.is_disabled
            and user.until is None
            and not keys & _names(user)
            and not self._is_of(user.name, names)
            and not any(self._is_of(name, _names(user)) for name in names)
        )

    def require_second(self, tenant: str, by: str, proposers: Collection[str]) -> None:
        """Raise ForbiddenError unless whoever acts is a second person to whoever proposed it;
        see `second_persons`.
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
            *map(key_of, who.behind)
        } & {*map(key_of, proposers)}:
            raise ForbiddenError(
                Phrase(
                    "somebody else must confirm this: you proposed it, or one of both accounts was"
                    " made or changed by the other"
                )
            )

    def _is_of(self, name: str, others: Collection[str]) -> bool:
        """Return whether an account is one of `others`, or in their hands, by whatever chain of
        accounts.
        """
        keys, known = (
            {*map(key_of, others)},
            {key: user for user in self.users for key in _names(user)},
        )
        waiting, checked = [key_of(name)], set[str]()
        while waiting:
            key = waiting.pop()
            if key in keys:
                return True
            if key not in checked and (user := known.get(key)):
                waiting += [*_names(user), *map(key_of, (user.made_by, *user.changed_by))]
            checked.add(key)
        return False


def _names(user: User) -> set[str]:
    """Return an account's name and its user of the machine, as they are compared."""
    return {key_of(name) for name in (user.name, user.login) if name}


def list_names(names: Iterable[str]) -> Phrase | str:
    """Return the names of second persons in one line, or that there is nobody."""
    return ", ".join(names) or Phrase("nobody: add an account with role lead or dpo")
