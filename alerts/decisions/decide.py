"""What people decide of an incident, on the page and on a terminal: checked, in the audit log first, and only ever appended.

What is chosen is said in words: `acknowledged`, `confirmed`, `resolved`, `false_positive`, `note`; `reported REGIME STAGE`, or
`reported` of every rule; `applies REGIME` or `waived REGIME`, of a rule that no number decides on; `telling_approved`
or `telling_withdrawn`, by the data protection officer.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from alerts.clocks.duties import HALVES, RULINGS, Duties, ruled, status_with_report
from alerts.clocks.regimes import Regime, regimes
from alerts.clocks.render import reported
from alerts.decisions.checked_text import checked_ground, checked_name, checked_note
from alerts.incidents.status import CLOSED, status_of
from alerts.records import Act, Decision, Incident, Status
from alerts.store import DocumentFilter, IncidentStore, QueryError
from ullage.audit import Trail
from ullage.clock import behind
from ullage.lookup.free_text_check import identifier_in
from ullage.phrase import Phrase

PLAIN = ("acknowledged", "confirmed", "resolved", "false_positive", "note")
TELLING = {"telling_approved": True, "telling_withdrawn": False}
"""What the data protection officer decides of telling the people in an incident; it stands in the place of a report's stage."""
TOKEN_BYTES = 8
MAX_REFERENCE = 64


def said(decision: Decision) -> str:
    """A decision in words."""
    if decision.act and decision.act != "excused":
        return " ".join(filter(None, (decision.act, decision.value, decision.about)))
    if decision.stage in TELLING:
        return decision.stage.replace("_", " ")
    if decision.stage in RULINGS:
        return f"{decision.regime} {decision.stage}{f', as {decision.value}' if decision.value else ''}"
    return f"reported under {decision.regime}, {decision.stage} report" if decision.regime else decision.status


def needed_for(chosen: str) -> str:
    """The permission that deciding `chosen` needs; for what is none it does not matter."""
    action = chosen.partition(" ")[0]
    if action in TELLING:
        return "telling.approve"
    if action == "waived":
        return "duty.waive"
    return "incident.close" if action in CLOSED else "incident.decide"


def may_be_told(decisions: Iterable[Decision]) -> bool:
    """Whether the last decision on telling the people in an incident approved it; equal times are ordered by id."""
    last = max((one for one in decisions if one.stage in TELLING), key=lambda one: (one.at, one.id), default=None)
    return last is not None and TELLING[last.stage]


def ends_deadlines(said: Mapping[str, Any]) -> bool:
    """Whether a decision would end or hide the deadlines of its incident: it closes it, or takes something out of it."""
    return said.get("status") in CLOSED or said.get("act") in ("detached", "unlinked")


def refuse_running(duties: Duties, incident: Incident) -> None:
    """QueryError while a deadline of `incident` runs, whoever asks.

    A report ends it, or a waiver, which takes a lead and the DPO, two people.
    """
    if running := duties.running([incident]).get(incident.id):
        clocks = tuple(reported(f"{duty.regime.id} {duty.stage.id}") for duty in running)
        raise QueryError(
            Phrase(
                "reporting deadlines are open: %(clocks)s. Record the reports, or have a lead and the DPO waive them",
                clocks=clocks,
            )
        )


@dataclass(frozen=True, slots=True)
class Decisions:
    """Where decisions are made. QueryError says what is missing or wrong, without repeating what was typed.

    Whatever would end or hide a deadline is refused here while one runs, so it is of every page, command and program.
    """

    duties: Duties
    trail: Trail

    @property
    def store(self) -> IncidentStore:
        """Where they are kept."""
        return self.duties.store

    def make(
        self,
        incident: Incident,
        chosen: str,
        *,
        by: str,
        note: str = "",
        reference: str = "",
        sent_at: datetime | None = None,
        token: str = "",
        roles: Collection[str] = (),
    ) -> Decision:
        """Decide `chosen` of `incident`. With a `token` it is one decision however often it is sent.

        `roles` are those in which `by` decides: a waiver takes the decisions of two people, one of each of `HALVES`.
        """
        if incident.part_of:
            raise QueryError(Phrase("it is part of %(other)s: decide on that one instead", other=incident.part_of))
        former = list(self.store.scroll(Decision, DocumentFilter({"incident": (incident.id,)})))
        status, regime, stage = _read(chosen.split(" "), status_of(former))
        if status == "note" and not regime and not note.strip():
            raise QueryError("a note must not be empty")
        said = {"status": status, "regime": regime, "stage": stage, "reference": _reference(reference), "sent_at": sent_at}
        if stage == "waived":
            said["value"] = _half(regimes()[regime], former, checked_name(by), roles)
        return self._append(incident, former, by, note, token, said)

    def act(
        self,
        incident: Incident,
        act: Act,
        *,
        by: str,
        value: str = "",
        about: str = "",
        until: datetime | None = None,
        note: str = "",
        token: str = "",
    ) -> Decision:
        """Write that something was done of `incident` which is no decision on what it is; an excuse alone makes it none."""
        if incident.part_of:
            raise QueryError(Phrase("it is part of %(other)s: work on that one instead", other=incident.part_of))
        former = list(self.store.scroll(Decision, DocumentFilter({"incident": (incident.id,)})))
        status = "false_positive" if act == "excused" else "open" if act == "returned" else "note"
        return self._append(
            incident, former, by, note, token, {"status": status, "act": act, "value": value, "about": about, "until": until}
        )

    def _append(
        self, incident: Incident, former: Sequence[Decision], by: str, note: str, token: str, said: dict[str, Any]
    ) -> Decision:
        """Append what was `said`, in the audit log first; what was sent before under the same `token` is given back."""
        explained = said.get("stage") in (*RULINGS, *TELLING)
        decision = Decision.model_validate(
            {
                "id": f"{incident.id}:{token or secrets.token_hex(TOKEN_BYTES)}",
                "tenant": incident.tenant,
                "incident": incident.id,
                "at": behind(self.trail.clock.now(), (one.at for one in former)),
                "by": checked_name(by),
                "note": checked_ground(note) if explained else checked_note(note),
                **said,
            }
        )
        if (made := self.store.get(Decision, decision.id)) is not None:
            return made
        if ends_deadlines(said):
            refuse_running(self.duties, incident)
        self._audit(decision)
        self.store.create([decision])
        return decision

    def _audit(self, decision: Decision) -> None:
        placed = "telling" if decision.stage in TELLING else "duty" if decision.stage in RULINGS else decision.act
        action = placed or ("reported" if decision.regime else "decide")
        what = f"incident {decision.incident}: {said(decision)}"
        self.trail.append(f"incident.{action}", what, actor=decision.by, tenant=decision.tenant, reason=decision.note)


def _read(chosen: Sequence[str], now: Status) -> tuple[str, str, str]:
    """Status, regime and stage of what was chosen for an incident whose status is `now`."""
    action, *about = chosen
    if action in PLAIN and not about:
        return action, "", ""
    if action in TELLING and not about:
        return "note", "", action
    if action in RULINGS and len(about) == 1:
        return "note", _regime(about[0]).id, action
    if action != "reported" or len(about) not in (0, 2):
        raise QueryError(Phrase("a decision must be one of %(known)s, or a report under a regime", known=", ".join(PLAIN)))
    if not about and now in CLOSED:
        raise QueryError("the incident is closed: use --regime to say which report was sent")
    regime, stage = (_regime(about[0]).id, _stage(*about)) if about else ("", "")
    return status_with_report(now), regime, stage


def _half(regime: Regime, former: Sequence[Decision], by: str, roles: Collection[str]) -> str:
    """Which half of a waiver `by` decides: the one that is missing, if it is theirs."""
    theirs = [half for half in HALVES if half in roles]
    if not theirs:
        raise QueryError("a report is waived by a lead and the DPO, two people: say in which role you decide")
    half = ruled(regime, former)[1]
    is_others = half is not None and half.by != by
    return next((one for one in theirs if is_others and half is not None and one != half.value), theirs[0])


def _regime(id_: str) -> Regime:
    if id_ not in regimes():
        raise QueryError(Phrase("no regime with that id: use %(known)s", known=", ".join(regimes())))
    return regimes()[id_]


def _stage(regime: str, stage: str) -> str:
    known = [s.id for s in regimes()[regime].stages]
    if stage not in known:
        raise QueryError(Phrase("%(regime)s has no such stage: use %(known)s", regime=regime, known=", ".join(known)))
    return stage


def _reference(reference: str) -> str:
    if len(reference) > MAX_REFERENCE or identifier_in(reference, numbers=False):
        raise QueryError(
            Phrase(
                "a reference must have at most %(most)s characters and must not be a phone number, ID or card", most=MAX_REFERENCE
            )
        )
    return reference.strip()
