"""Confirm or refuse, as a second person, an act that ends a reporting deadline.

The answer to a pending decision is a decision on the same incident under a fixed id, which the
store creates only one time; if two people answer, only the first answer counts. A confirmed act is
written after the answer. If a crash prevents that, the alert service writes it (`complete`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from alerts.accounts.accounts import normalize_name
from alerts.accounts.second_person import Actor, list_names
from alerts.cases.decisions import Decisions
from alerts.deadlines import regimes
from alerts.deadlines.comparison import DutyChange, find_ended
from alerts.deadlines.outstanding import RULINGS, waiver_holds
from alerts.deadlines.render import name_report
from alerts.records import Decision, Incident, PendingDecision, Suppression
from alerts.records.document import QueryError
from alerts.store import DocumentFilter
from ullage.phrase import Phrase


def waits_for(actor: Actor, pending: PendingDecision) -> Phrase:
    """Return a phrase that names the people who can confirm a pending decision."""
    names = actor.second_persons(pending.tenant, pending.by, pending.proposers)
    return Phrase("waiting for a second person: %(names)s", names=list_names(names))


def ends_of(names: Iterable[str]) -> tuple[Phrase | str, ...]:
    """Return the display name of each deadline in `names`, which have the form `REGIME STAGE`."""
    return tuple(map(name_report, names))


@dataclass(frozen=True, slots=True)
class SecondPersons:
    """The answers to pending decisions. QueryError and ForbiddenError say why one is rejected."""

    decisions: Decisions

    def answer(
        self, incident: Incident, entry: str, *, by: str, confirm: bool, note: str = ""
    ) -> Decision:
        """Confirm or refuse the pending decision with the id `entry`, and return the stored answer.

        Confirming also stores the act. The proposer cannot confirm, but may withdraw the act by
        refusing. Repeating an answer returns the stored one. Raises QueryError if nothing with that
        id waits on this incident, a refusal has no `note`, the facts changed meanwhile, or somebody
        else has answered; ForbiddenError if the person may not answer.
        """
        store, actor = self.decisions.store, self.decisions.actor
        pending = store.get(PendingDecision, entry)
        if pending is None or pending.incident != incident.id:
            raise QueryError(
                "nothing with that id is waiting for a second person: see the incident", "entry"
            )
        is_own = normalize_name(actor.principal.name) in map(normalize_name, pending.proposers)
        if confirm or not is_own:
            actor.require_second(pending.tenant, pending.by, pending.proposers)
        if not confirm and not note.strip():
            raise QueryError("give the reason for refusing it in the note", "note")
        act = "second_confirmed" if confirm else "second_refused"
        answered = store.get(Decision, pending.answer_id)
        if answered is None:
            if confirm:
                self._require_same(pending)
            former = store.scroll(Decision, DocumentFilter({"incident": (incident.id,)}))
            fields = {"id": pending.answer_id, "status": "note", "act": act, "about": pending.id}
            self.decisions.write([self.decisions.draft(incident, [*former], by, note, "", fields)])
            answered = store.get(Decision, pending.answer_id)
        if answered is None or (answered.act, answered.by) != (act, by):
            raise QueryError(
                "somebody else has already answered this: read the incident again", "entry"
            )
        self.complete(pending, answered)
        return answered

    def complete(self, pending: PendingDecision, answer: Decision) -> bool:
        """Write the act that `answer` confirms, unless it is stored; return whether it was written.

        A refusal writes nothing and returns False.
        """
        if answer.act != "second_confirmed":
            return False
        store = self.decisions.store
        stored = (
            store.mget(Decision, [decision.id for decision in pending.decisions])
            if pending.decisions
            else {}
        )
        missing = [
            _confirm(decision, pending, answer)
            for decision in pending.decisions
            if decision.id not in stored
        ]
        self.decisions.write(missing)
        silence = pending.suppression
        if silence is None or store.get(Suppression, silence.id) is not None:
            return bool(missing)
        store.create([silence.model_copy(update={"ends": pending.ends, "confirmed_by": answer.by})])
        return True

    def _require_same(self, pending: PendingDecision) -> None:
        """Raise QueryError if the act would now end more deadlines than were proposed.

        The same applies if the facts of a waiver have changed.
        """
        store, duties = self.decisions.store, self.decisions.duties
        incidents = [
            *store.mget(
                Incident, {pending.incident, *(decision.incident for decision in pending.decisions)}
            ).values()
        ]
        by_id = {incident.id: incident for incident in incidents}
        ended = find_ended(duties, DutyChange(incidents, incidents, pending.decisions))
        waivers = [decision for decision in pending.decisions if decision.stage == "waived"]
        holds = all(
            waiver_holds(
                decision,
                regimes()[decision.regime],
                by_id[decision.incident],
                duties.tenant(decision.tenant),
            )
            for decision in waivers
        )
        if not holds or not {duty.name for duty in ended} <= {*pending.ends}:
            raise QueryError(
                "the incident has changed since this was proposed: refuse it, and propose it again",
                "entry",
            )


def _confirm(decision: Decision, pending: PendingDecision, answer: Decision) -> Decision:
    """Return a decision in the form in which it is written after confirmation.

    It counts from the confirmation, but a report counts as sent when it was proposed.
    """
    sent = decision.sent_at or (
        decision.at if decision.regime and decision.stage not in RULINGS else None
    )
    return decision.model_copy(
        update={"at": answer.at, "sent_at": sent, "ends": pending.ends, "confirmed_by": answer.by}
    )
