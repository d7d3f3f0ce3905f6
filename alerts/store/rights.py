"""What the processes may do on which index of an Elasticsearch cluster, and nothing beyond it.

Alert folds, counts and removes what has passed its retention. Search reads, and appends decisions, suppressions and records of
audit: its right is `create_doc`, so that not even a page that was broken into can change or remove one; the work items, which
follow from those, it may write. Alert appends a decision where a false positive comes back. The desk reveals
originals (`ullage evidence open`), which search does not see. None may create an index, and none sees another index.
`maintenance` is refresh, flush and merge; `view_index_metadata` is the least named right that lets `ullage check` compare the
mapping's version.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from alerts.records import (
    Audit,
    Background,
    Claim,
    DaySheet,
    Decision,
    DutiesKnown,
    DutyRecord,
    Exposure,
    FraudOutcome,
    GapReason,
    Heard,
    Hold,
    Holding,
    Incident,
    KeyCheck,
    Notification,
    Original,
    Presence,
    Sighting,
    SiteDay,
    Suppression,
    WorkItem,
)
from alerts.records.document import Document
from alerts.store.mapping import index_name

Rights = Sequence[tuple[Sequence[type[Document]], Sequence[str]]]
SEEN = ("read", "view_index_metadata")
FOLDED = (
    Sighting, Exposure, Background, Original, Claim, Presence, KeyCheck, Heard, SiteDay, DaySheet, Incident, Notification,
    WorkItem, DutyRecord, DutiesKnown, Holding,
)  # fmt: skip
SAID = (Decision, Suppression, Hold, GapReason, Audit, FraudOutcome)
ALERT: Rights = (
    (FOLDED, (*SEEN, "index", "delete", "maintenance")),
    (SAID, (*SEEN, "delete", "maintenance")),
    ((Decision,), ("create_doc",)),
)
SEARCH: Rights = (
    ((Incident, Sighting, Exposure, Background, KeyCheck, Heard, SiteDay, DaySheet), SEEN),
    (SAID, (*SEEN, "create_doc")),
    ((Notification, DutyRecord, DutiesKnown), SEEN),
    ((WorkItem,), (*SEEN, "index", "maintenance")),
)
DESK: Rights = (((Incident, Original), SEEN),)
PROCESSES: Mapping[str, Rights] = {"alert": ALERT, "search": SEARCH, "desk": DESK}
IMPLIED_BY: Mapping[str, Sequence[str]] = {"create_doc": ("create_doc", "index")}
"""Who has one of these has the right too; any other right only by its own name."""


def role(prefix: str, rights: Rights) -> dict[str, Any]:
    """`rights` on the indexes of `prefix`, as the body of a role."""
    return {
        "cluster": [],
        "indices": [
            {"names": [index_name(prefix, kind) for kind in kinds], "privileges": list(privileges)}
            for kinds, privileges in rights
        ],
    }


def roles(prefix: str) -> dict[str, dict[str, Any]]:
    """Every role by name: one a process, for a user that has that process's password file."""
    return {prefix + process: role(prefix, rights) for process, rights in PROCESSES.items()}


def who_may(privilege: str, kinds: Collection[type[Document]]) -> list[str]:
    """The processes that have `privilege` on every one of `kinds`."""

    def may(rights: Rights, kind: type[Document]) -> bool:
        having = IMPLIED_BY.get(privilege, (privilege,))
        return any(kind in granted and not set(having).isdisjoint(privileges) for granted, privileges in rights)

    return [process for process, rights in PROCESSES.items() if all(may(rights, kind) for kind in kinds)]
