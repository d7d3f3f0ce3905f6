"""Which decisions can be undone: those without legal effect, as long as no later decision says
something of the same matter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from alerts.records import Decision
from alerts.records.decision import in_force

UNDOABLE: Mapping[str, str] = {
    "assigned": "incident.assign",
    "due": "incident.assign",
    "linked": "incident.decide",
    "unlinked": "incident.decide",
}
"""Acts without legal effect, with the permission that doing and undoing them needs."""


def find_undoable(decisions: Iterable[Decision]) -> set[str]:
    """Return the ids of the decisions that can be undone now."""
    left = in_force(decisions)
    return {one.id for one in left if one.act in UNDOABLE and latest_alike(one, left) == one}


def latest_alike(entry: Decision, decisions: Iterable[Decision]) -> Decision | None:
    """Return the last of `decisions` on the matter of `entry`: its owner, its due date, or its
    link with one incident.
    """
    acts = ("linked", "unlinked") if entry.act in ("linked", "unlinked") else (entry.act,)
    alike = (one for one in decisions if one.act in acts and one.about == entry.about)
    return max(alike, key=lambda one: (one.at, one.id), default=None)
