"""Find the decisions that can be undone.

They are those without legal effect, unless a later decision concerns the same matter.
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
"""Acts without legal effect, with the permission needed to do and undo them."""


def find_undoable(decisions: Iterable[Decision]) -> set[str]:
    """Return the ids of the decisions that can be undone now."""
    effective = in_force(decisions)
    return {
        decision.id
        for decision in effective
        if decision.act in UNDOABLE and latest_alike(decision, effective) == decision
    }


def latest_alike(entry: Decision, decisions: Iterable[Decision]) -> Decision | None:
    """Return the latest of `decisions` on the same matter as `entry`, often `entry` itself.

    The matter is the assignee, the due date, or the link with one incident. None if there is none.
    """
    acts = ("linked", "unlinked") if entry.act in ("linked", "unlinked") else (entry.act,)
    alike = (
        decision for decision in decisions if decision.act in acts and decision.about == entry.about
    )
    return max(alike, key=lambda decision: (decision.at, decision.id), default=None)
