"""Define who may do what: permissions, the roles that bundle them, and the principal of a request.

A *permission*, such as `incident.read`, allows one kind of act; `PERMISSIONS` describes each. A
person has *roles*, whose permissions add up; a program has a token that lists its own. Both become
a `Principal`, which also says which tenants it sees, and `principal.require` raises ForbiddenError
for a missing permission. Nobody may have two of the roles `operator`, `resolver` and `auditor`:
whoever runs the machine must not resolve pseudonyms to customers, and neither of them may review
their own work. Roles that can waive a report (`lead`, `dpo`) can also confirm a colleague's act
that ends a reporting deadline (`alerts.accounts.second_person`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from ullage.errors import UllageError
from ullage.phrase import Phrase, mark_for_translation

PERMISSIONS: Mapping[str, str] = {
    "incident.read": mark_for_translation("view incidents (people only by pseudonym)"),
    "incident.decide": mark_for_translation("acknowledge, confirm, note, record a report"),
    "incident.assign": mark_for_translation("assign incidents"),
    "incident.close": mark_for_translation("resolve incidents or mark them as false positive"),
    "incident.export": mark_for_translation("export incidents, without the people in them"),
    "customers.export": mark_for_translation("export the customer pseudonyms of an incident"),
    "references.ask": mark_for_translation("request the customer references of an incident"),
    "references.approve": mark_for_translation("approve or refuse such requests of others"),
    "address.reveal": mark_for_translation("reveal the address of a post"),
    "seller.find": mark_for_translation("find a seller by name"),
    "deadline.waive": mark_for_translation(
        "waive a report, and confirm or refuse what others do that ends a reporting deadline"
    ),
    "notification.approve": mark_for_translation("decide whether affected people may be notified"),
    "person.check": mark_for_translation("ask whether a person is exposed"),
    "exposure.ask": mark_for_translation(
        "ask whether customer pseudonyms are exposed (risk engine)"
    ),
    "outcome.report": mark_for_translation("report fraud cases"),
    "file.assess": mark_for_translation("assess files"),
    "coverage.read": mark_for_translation("view coverage"),
    "coverage.explain": mark_for_translation("explain coverage gaps"),
    "noise.read": mark_for_translation("view suppressed incidents and benign posts"),
    "noise.change": mark_for_translation("add and lift suppressions"),
    "rules.change": mark_for_translation("activate rules and lexicons"),
    "watchlist.read": mark_for_translation(
        "view the state of customer lists, without their customers"
    ),
    "channel.read": mark_for_translation("view notification channels and recipients"),
    "evidence.read": mark_for_translation("view the list of evidence"),
    "evidence.hold": mark_for_translation("put incidents on hold, and end holds"),
    "evidence.open": mark_for_translation("open or export evidence with the keys of two officers"),
    "audit.read": mark_for_translation("read the audit log"),
    "account.read": mark_for_translation("view accounts and API tokens"),
    "account.manage": mark_for_translation("create, change and disable accounts and API tokens"),
}
"""Every permission and what it allows. Checking any other name is a programming error."""
_STATE = frozenset("coverage.read watchlist.read channel.read noise.read".split())
"""Permissions to view the state of the machine and its rules, without incident data."""
_WORK = frozenset(
    "incident.read incident.decide incident.assign incident.close incident.export seller.find"
    " file.assess noise.change".split()
)
ROLES: Mapping[str, frozenset[str]] = {
    "operator": _STATE | {"account.read", "account.manage", "rules.change"},
    "agent": frozenset({"person.check"}),
    "fraud": (
        frozenset(
            "person.check incident.read incident.decide incident.export customers.export"
            " seller.find file.assess".split()
        )
        | _STATE
        | {"outcome.report", "references.ask"}
    ),
    "analyst": _WORK | _STATE | {"coverage.explain", "address.reveal"},
    "lead": (
        _WORK
        | _STATE
        | {
            "coverage.explain",
            "address.reveal",
            "customers.export",
            "person.check",
            "deadline.waive",
            "outcome.report",
        }
        | {"rules.change", "evidence.hold", "references.ask"}
    ),
    "dpo": (
        frozenset(
            "incident.read incident.decide incident.export person.check customers.export".split()
        )
        | _STATE
        | {
            "deadline.waive",
            "notification.approve",
            "audit.read",
            "evidence.hold",
            "references.ask",
        }
    ),
    "resolver": frozenset(
        {"incident.read", "customers.export", "watchlist.read", "references.approve"}
    ),
    "evidence": frozenset(
        "incident.read address.reveal evidence.read evidence.hold evidence.open"
        " coverage.read".split()
    ),
    "auditor": frozenset("incident.read audit.read account.read evidence.read".split()) | _STATE,
}
"""The permissions of each role."""
ROLE_PURPOSES: Mapping[str, str] = {
    "operator": mark_for_translation("runs the machine: accounts, tokens, rules; no incidents"),
    "agent": mark_for_translation("checks whether a caller is affected; sees no incidents"),
    "fraud": mark_for_translation("works incidents, exports pseudonyms, reports fraud cases"),
    "analyst": mark_for_translation("works and closes incidents, explains coverage gaps"),
    "lead": mark_for_translation("as analyst; also waives reports and confirms others' acts"),
    "dpo": mark_for_translation("decides on reports and on notifying customers; reads the audit"),
    "resolver": mark_for_translation("approves requests for customer references"),
    "evidence": mark_for_translation("opens encrypted originals, together with a second officer"),
    "auditor": mark_for_translation("reads incidents, accounts and the audit log; changes nothing"),
}
"""What each role is for, in a few words; `ROLES` has its permissions."""
APART = frozenset({"operator", "resolver", "auditor"})
"""Roles of which nobody may have two."""
PEOPLE_ALONE = frozenset(
    {
        "deadline.waive",
        "notification.approve",
        "account.manage",
        "address.reveal",
        "rules.change",
        "evidence.open",
    }
    | {"references.ask", "references.approve"}
)
"""Permissions that no token can grant, because only people may take these decisions."""
TOKEN_PERMISSIONS: Mapping[str, str] = {
    name: text for name, text in PERMISSIONS.items() if name not in PEOPLE_ALONE
}
"""Permissions that a token can grant."""
PURPOSES: Mapping[str, str] = {"exposure.ask": "risk_engine"}
"""Permissions that only a token with this purpose may have, and no other permission beside it.

What such a program learns must not be used for anything else.
"""
ALL = "*"
"""Stands for all tenants, present and future."""


class ForbiddenError(UllageError):
    """A known principal asked for something that it has no permission for."""


@dataclass(frozen=True, slots=True)
class Principal:
    """A person, or a program with a token, that makes a request.

    `tenants` contains `ALL` for a principal that sees every tenant. `permissions` are those of the
    roles, or the scope of the token. Decisions are recorded under `name`.
    """

    name: str
    roles: frozenset[str] = frozenset()
    tenants: frozenset[str] = frozenset()
    permissions: frozenset[str] = frozenset()
    is_program: bool = False
    must_change: bool = False
    """The password was made by somebody else; nothing but changing it is allowed."""
    purpose: str = ""
    """The purpose of a program's token."""
    session: str = ""
    """Distinguishes sessions of one person; it cannot be used to log in."""
    is_proven: bool = False
    """Verified by a password, an identity provider or the operating system; not a typed name."""
    behind: frozenset[str] = frozenset()
    """Other names that the same person may have.

    For a program, the maker of its token; on a terminal, the user of the machine.
    """

    @classmethod
    def person(cls, name: str, roles: Collection[str], tenants: Collection[str]) -> Principal:
        """Return the principal of a person with these roles and tenants.

        Raises KeyError for an unknown role.
        """
        return cls(name, frozenset(roles), frozenset(tenants), permissions_of(roles))

    @property
    def sees_all(self) -> bool:
        """Return whether this principal sees every tenant."""
        return ALL in self.tenants

    @property
    def whose(self) -> str:
        """Return the visible tenants as one string, sorted and separated by spaces.

        Counters and caches use it as a key, so that they are not shared between different views.
        """
        return " ".join(sorted(self.tenants))

    def sees(self, tenant: str) -> bool:
        """Return whether this principal may know anything about `tenant`."""
        return self.sees_all or tenant in self.tenants

    def can(self, permission: str) -> bool:
        """Return whether this principal has `permission`; raises KeyError if it is undefined."""
        return bool(PERMISSIONS[permission]) and permission in self.permissions

    def require(self, permission: str) -> None:
        """Raise ForbiddenError if this principal lacks `permission`.

        Raises KeyError if it is undefined.
        """
        if not self.can(permission):
            raise ForbiddenError(
                Phrase(
                    "your roles do not allow %(permission)s: ask an operator for a role that does",
                    permission=permission,
                )
            )


NOBODY = Principal("")
"""A principal that has not logged in, without permissions or tenants."""


def permissions_of(roles: Collection[str]) -> frozenset[str]:
    """Return the union of the permissions of `roles`; raises KeyError for an unknown role."""
    return frozenset().union(*(ROLES[role] for role in roles))


def digest(secret: str) -> str:
    """Return the SHA-256 of a secret, 64 hex digits.

    Digests have one length, so that comparing them reveals nothing. Secrets are random and have at
    least 128 bits, so that they need no slow hash.
    """
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
