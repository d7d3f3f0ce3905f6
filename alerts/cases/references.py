"""Customer references of an incident: somebody asks for them, others approve, and who asked may have them for a day.

The request, its approvals and refusals are decisions of the incident. The references are never stored: match resolves them anew
each time (`alerts.web.pages.references`), and a request covers no more customers than the approvers were told of.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from alerts.cases.decisions import Decisions
from alerts.cases.incident_list import customers
from alerts.records import Decision, Incident
from alerts.records.decision import checked_case
from alerts.records.document import QueryError
from alerts.store import DocumentFilter, IncidentStore
from ullage.clock import Clock
from ullage.phrase import Phrase

WAITS, LASTS = timedelta(days=7), timedelta(hours=24)
"""So long a request waits for its approval, and so long the approval lasts."""
State = Literal["waiting", "approved", "refused", "expired"]


@dataclass(frozen=True, slots=True)
class ReferenceRequest:
    """What somebody asked for, and what others have said of it, the oldest first."""

    asked: Decision
    approvals: tuple[Decision, ...] = ()
    refusal: Decision | None = None

    @property
    def customers(self) -> int:
        """How many customers it is about, at most."""
        return int(self.asked.value)

    @property
    def approved_by(self) -> tuple[str, ...]:
        """Who approved it."""
        return tuple(one.by for one in self.approvals)

    def until(self, needed: int) -> datetime:
        """When it ends, as it stands, where so many approvals are needed."""
        last = self.approvals[needed - 1] if 0 < needed <= len(self.approvals) else self.asked
        return last.until or last.at

    def state(self, needed: int, now: datetime) -> State:
        """How far it has come, where so many approvals are needed."""
        if self.refusal is not None:
            return "refused"
        if not needed or now >= self.until(needed):  # where none is needed, none is handed out any more
            return "expired"
        return "approved" if len(self.approvals) >= needed else "waiting"


def requests_of(decisions: Iterable[Decision]) -> list[ReferenceRequest]:
    """The requests for references among the decisions of an incident, the newest first."""
    made = sorted(decisions, key=lambda one: (one.at, one.id))

    def said(act: str, asked: Decision) -> tuple[Decision, ...]:
        return tuple(one for one in made if one.act == act and one.about == asked.id)

    asked = [one for one in made if one.act == "references_asked"]
    return [
        ReferenceRequest(one, said("references_approved", one), next(iter(said("references_refused", one)), None))
        for one in reversed(asked)
    ]


@dataclass(frozen=True, slots=True)
class References:
    """Where they are asked for, approved and handed out, for a tenant that needs so many approvals.

    QueryError says what is missing or not so.
    """

    decisions: Decisions
    clock: Clock
    needed: int

    @property
    def _store(self) -> IncidentStore:
        return self.decisions.store

    def ask(self, incident: Incident, *, by: str, case: str, reason: str, token: str) -> Decision:
        """Ask for the references of all customers that an incident has now."""
        if not self.needed:
            raise QueryError("customer references of this tenant are not handed out here")
        now, number = self.clock.now(), checked_case(case)
        if any(one.asked.by == by and one.state(self.needed, now) in ("waiting", "approved") for one in self._requests(incident)):
            raise QueryError("you have a request for this incident already", "case")
        count = sum(1 for _ in customers(self._store, incident))
        if not count:
            raise QueryError("this incident has no customers", "case")
        until, value = now + WAITS, str(count)
        return self.decisions.note_act(
            incident, "references_asked", by=by, value=value, reference=number, until=until, note=reason, token=token
        )

    def answer(self, incident: Incident, entry: str, *, by: str, approve: bool, note: str, token: str) -> Decision:
        """Approve the request `entry` of somebody else, or refuse it."""
        request, now = self.request(incident, entry), self.clock.now()
        if request.asked.by == by:
            raise QueryError("somebody else has to decide on your request", "note")
        if request.state(self.needed, now) != "waiting":
            raise QueryError("this request waits for no decision", "note")
        if by in request.approved_by:
            raise QueryError("you have approved it: somebody else has to do so too", "note")
        if not approve:
            return self.decisions.note_act(incident, "references_refused", by=by, about=entry, note=note, token=token)
        return self.decisions.note_act(
            incident, "references_approved", by=by, about=entry, until=now + LASTS, note=note, token=token
        )

    def approved(self, incident: Incident, entry: str, *, by: str) -> tuple[ReferenceRequest, list[str]]:
        """The request `entry` of `by` whose approval lasts, and the pseudonyms to be resolved for it."""
        request = self.request(incident, entry)
        if request.asked.by != by:
            raise QueryError("only who asked may download the customer references")
        if request.state(self.needed, self.clock.now()) != "approved":
            raise QueryError("this request is not approved, or no longer")
        found = [one.subject for one in customers(self._store, incident)]
        if len(found) > request.customers:
            more = Phrase(
                "the incident has %(now)s customers now, and %(then)s were approved: ask again",
                now=len(found),
                then=request.customers,
            )
            raise QueryError(more)
        return request, found

    def request(self, incident: Incident, entry: str) -> ReferenceRequest:
        """The request `entry` of an incident."""
        found = next((one for one in self._requests(incident) if one.asked.id == entry), None)
        if found is None:
            raise QueryError("there is no such request")
        return found

    def _requests(self, incident: Incident) -> list[ReferenceRequest]:
        return requests_of(self._store.scroll(Decision, DocumentFilter({"incident": (incident.id,)})))
