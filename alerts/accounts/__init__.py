"""Roles, permissions, and who asks.

Nobody has two of `operator`, `resolver` and `auditor`: who runs the machine does not turn
pseudonyms into customers, and neither reviews their own work. Whoever may waive a report (`lead`,
`dpo`) may confirm what others do that ends a reporting deadline (`alerts.accounts.second_person`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from ullage.errors import UllageError
from ullage.phrase import Phrase, marked

PERMISSIONS: Mapping[str, str] = {
    "incident.read": marked("view incidents (people only by pseudonym)"),
    "incident.decide": marked("acknowledge, confirm, note, record a report"),
    "incident.assign": marked("assign incidents"),
    "incident.close": marked("resolve incidents or mark them as false positive"),
    "incident.export": marked("export incidents, without the people in them"),
    "customers.export": marked("export the customer pseudonyms of an incident"),
    "references.ask": marked("request the customer references of an incident"),
    "references.approve": marked("approve or refuse such requests of others"),
    "address.reveal": marked("reveal the address of a post"),
    "seller.find": marked("find a seller by name"),
    "deadline.waive": marked(
        "waive a report, and confirm or refuse what others do that ends a reporting deadline"
    ),
    "notification.approve": marked("decide whether affected people may be notified"),
    "person.check": marked("ask whether a person is exposed"),
    "exposure.ask": marked("ask whether customer pseudonyms are exposed (risk engine)"),
    "outcome.report": marked("report outcomes of fraud cases"),
    "file.assess": marked("assess files"),
    "coverage.read": marked("view coverage"),
    "coverage.explain": marked("explain coverage gaps"),
    "noise.read": marked("view suppressed incidents and benign posts"),
    "noise.change": marked("add and lift suppressions"),
    "rules.change": marked("activate rules and lexicons"),
    "watchlist.read": marked("view the state of customer lists, without their customers"),
    "channel.read": marked("view notification channels and recipients"),
    "evidence.read": marked("view the list of evidence"),
    "evidence.hold": marked("put incidents on hold, and end holds"),
    "evidence.open": marked("open or export evidence with the keys of two officers"),
    "audit.read": marked("read the audit log"),
    "account.read": marked("view accounts and API tokens"),
    "account.manage": marked("create, change and disable accounts and API tokens"),
}
"""Every permission with what it allows. A name that is not here is a fault of ours."""
_STATE = frozenset("coverage.read watchlist.read channel.read noise.read".split())
"""The state of the machine and of its rules: nothing of an incident."""
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
        "incident.read address.reveal evidence.read evidence.hold evidence.open coverage.read".split()  # noqa: E501
    ),
    "auditor": frozenset("incident.read audit.read account.read evidence.read".split()) | _STATE,
}
"""Role to permissions."""
APART = frozenset({"operator", "resolver", "auditor"})
"""Of these nobody has two."""
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
"""What no program may have by a token: these decisions are people's."""
PURPOSES: Mapping[str, str] = {"exposure.ask": "risk_engine"}
"""What a token alone may have whose purpose is this word, and nothing beside it: what is learned
so is for nothing else.
"""
ALL = "*"
"""In the place of tenants: all there are, and will be."""


class ForbiddenError(UllageError):
    """Somebody known asked for what their roles do not allow."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks: a person, or a program with a token.

    `tenants` holds `ALL` for somebody who sees all of them.

    `permissions` are those of the roles, or a token's own scope. Decisions are made in the `name`
    of whoever asks.
    """

    name: str
    roles: frozenset[str] = frozenset()
    tenants: frozenset[str] = frozenset()
    permissions: frozenset[str] = frozenset()
    is_program: bool = False
    must_change: bool = False
    """Their password is one that somebody else made: nothing but changing it is theirs."""
    purpose: str = ""
    """What a program's token was made for."""
    session: str = ""
    """Tells sessions of one person apart, and is good for nothing else."""
    is_proven: bool = False
    """A password, an identity provider or the operating system says who it is, not a name that
    was typed.
    """
    behind: frozenset[str] = frozenset()
    """Names of others that it may be: who made a program's token, which user of the machine
    types.
    """

    @classmethod
    def person(cls, name: str, roles: Collection[str], tenants: Collection[str]) -> Principal:
        """Somebody with these roles, as they stand in the table."""
        return cls(name, frozenset(roles), frozenset(tenants), permissions_of(roles))

    @property
    def sees_all(self) -> bool:
        """Whether every tenant is theirs."""
        return ALL in self.tenants

    @property
    def whose(self) -> str:
        """The tenants that they see, as one word: what is counted or kept for these is not for
        others'.
        """
        return " ".join(sorted(self.tenants))

    def sees(self, tenant: str) -> bool:
        """Whether they may know anything of `tenant`."""
        return self.sees_all or tenant in self.tenants

    def may(self, permission: str) -> bool:
        """Whether they have `permission`; KeyError for one that there is not."""
        return bool(PERMISSIONS[permission]) and permission in self.permissions

    def require(self, permission: str) -> None:
        """ForbiddenError without `permission`."""
        if not self.may(permission):
            raise ForbiddenError(
                Phrase(
                    "your roles do not allow this: %(permission)s is required",
                    permission=permission,
                )
            )


NOBODY = Principal("")
"""Who has not logged in: no permission, no tenant."""


def permissions_of(roles: Collection[str]) -> frozenset[str]:
    """What `roles` allow together; KeyError for one that there is not."""
    return frozenset().union(*(ROLES[role] for role in roles))


def digest(secret: str) -> str:
    """Of one length whatever the text, so that comparing tells nothing; what it is made of has
    128 bits or more.
    """
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
