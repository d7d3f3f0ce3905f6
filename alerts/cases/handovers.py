"""Hand a shift over to one person, and accept what somebody handed over.

A handover is a note with what was undecided and due at that moment. The person who is named in it
accepts it. Both are documents that are never changed (`ShiftHandover`), and both are written to the
audit log first.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from alerts.cases.queue import Handover
from alerts.records import ShiftHandover
from alerts.records.decision import validate_note
from alerts.records.document import QueryError
from alerts.store import DocumentFilter, IncidentStore
from ullage.audit import Trail

PREFIX = "HND-"
WAITS = timedelta(days=7)
"""How long a handover waits to be accepted, and how long it is shown."""


@dataclass(frozen=True, slots=True)
class HandoverEntry:
    """A handover, and when its receiver accepted it; None until then."""

    handover: ShiftHandover
    accepted_at: datetime | None

    def is_waiting_for(self, who: str) -> bool:
        """Return whether the person `who` has still to accept it."""
        return self.accepted_at is None and self.handover.receiver == who


@dataclass(frozen=True, slots=True)
class ShiftHandovers:
    """The handovers of shifts. QueryErrors say what is missing or wrong, and name the field."""

    store: IncidentStore
    trail: Trail

    def write(
        self, summary: Handover, *, by: str, to: str, receivers: Collection[str], note: str,
        token: str,
    ) -> None:  # fmt: skip
        """Hand over what `summary` shows to the person `to`, who must be one of `receivers`.

        A form's `token` takes effect one time. Raises QueryError if the person may not take over or
        the note contains an identifier.
        """
        note = validate_note(note)
        if to == by or to not in receivers:
            raise QueryError("choose who takes over: somebody else who may decide", "to")
        urgent = {row.incident.id: row for row in (*summary.due.rows, *summary.undecided.rows)}
        handover = ShiftHandover(
            id=f"{PREFIX}{token}",
            at=self.trail.clock.now(),
            by=by,
            receiver=to,
            note=note,
            undecided=summary.undecided.count,
            due=summary.due.count,
            incidents=tuple(urgent),
        )
        self.trail.append("handover.write", f"handover {handover.id} to {to}", actor=by)
        self.store.create([handover])

    def accept(self, entry: str, *, by: str) -> None:
        """Accept the handover with the id `entry`; accepting it twice changes nothing.

        Raises QueryError unless it was made to the person `by`.
        """
        handover = self.store.get(ShiftHandover, entry)
        if handover is None or handover.receiver != by or handover.accepts:
            raise QueryError(
                "no handover with that id waits for you: open the page of handovers again", "entry"
            )
        accepted = handover.model_copy(
            update={
                "id": _acceptance_id(entry),
                "at": self.trail.clock.now(),
                "accepts": entry,
                "note": "",
            }
        )
        if self.store.get(ShiftHandover, accepted.id) is None:
            self.trail.append("handover.accept", f"handover {entry}", actor=by)
            self.store.create([accepted])

    def list_own(self, who: str) -> list[HandoverEntry]:
        """Return the handovers of the last days by or to the person `who`, newest first."""
        since = self.trail.clock.now() - WAITS
        recent = [
            handover
            for handover in self.store.scroll(ShiftHandover, DocumentFilter(since=since))
            if who in (handover.by, handover.receiver)
        ]
        accepted = {handover.accepts: handover.at for handover in recent if handover.accepts}
        return [
            HandoverEntry(handover, accepted.get(handover.id))
            for handover in sorted(recent, key=lambda handover: handover.at, reverse=True)
            if not handover.accepts
        ]

    def find_waiting(self, who: str) -> list[ShiftHandover]:
        """Return the handovers that wait for the person `who`, newest first."""
        return [entry.handover for entry in self.list_own(who) if entry.is_waiting_for(who)]


def _acceptance_id(entry: str) -> str:
    return f"{entry}:accepted"
