"""Check and record what people decide about incidents.

`Decisions.make` records a choice and `Decisions.act` any other act, such as an assignment; both
return a stored `Decision`, which is never changed. Each is written to the audit log first. A choice
is given in words:

    acknowledged | confirmed | resolved | false_positive | note
    reported REGIME STAGE                a report was sent
    applies REGIME | waived REGIME       for rules that no number decides
    telling_approved | telling_withdrawn by the data protection officer

Each act is compared with the outstanding reports before it (`alerts.deadlines.comparison`). An act
that ends a reporting deadline is stored as a `PendingDecision` and has no effect until a second
person confirms it (`alerts.cases.second_person`). Anything missing or wrong raises QueryError,
which names the field and never repeats what was typed.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from alerts.accounts.second_person import CONFIRM, Actor
from alerts.deadlines import Regime, Stage, regimes, validate_channel, validate_reference
from alerts.deadlines.comparison import DutyChange, EndedDuty, find_ended
from alerts.deadlines.outstanding import (
    RULINGS,
    Duties,
    IncidentDeadlines,
    status_with_report,
    waiver_facts,
)
from alerts.records import (
    Act,
    Decision,
    Incident,
    PendingDecision,
    Status,
)
from alerts.records.decision import validate_grounds, validate_name, validate_note
from alerts.records.document import QueryError
from alerts.store import DocumentFilter, IncidentStore
from alerts.store.queries import compute_status
from ullage.audit import Trail
from ullage.clock import ensure_after
from ullage.phrase import Phrase

PLAIN = ("acknowledged", "confirmed", "resolved", "false_positive", "note")
TELLING = {"telling_approved": True, "telling_withdrawn": False}
"""Rulings of the data protection officer on telling the people in an incident.

They are stored in the field for a report's stage.
"""
EXPLAINED = (
    "detached",
    "merged",
    "merged_into",
    "split",
    "split_from",
    "references_asked",
    "references_refused",
)
"""Acts that change what an incident consists of, or ask for its customers: each needs a reason."""
TOKEN_BYTES = 8
Recorded = Decision | PendingDecision
"""The result of an act: its decision, or a pending decision."""
PERMISSIONS: Mapping[str, str] = {
    "resolved": "incident.close",
    "false_positive": "incident.close",
    "telling_approved": "notification.approve",
    "telling_withdrawn": "notification.approve",
    "waived": CONFIRM,
}
"""The permission to propose a decision, by its first word, if it is not the usual one."""


def describe(decision: Decision) -> str:
    """Describe a decision in one short English phrase for the audit log, such as `assigned li`.

    A report is named by its regime and stage, an act by its name and value, any other by its
    status.
    """
    if decision.act and decision.act != "excused":
        case = decision.reference and f"case {decision.reference}"
        return " ".join(filter(None, (decision.act, decision.value, decision.about, case)))
    if decision.stage in TELLING:
        return decision.stage.replace("_", " ")
    if decision.stage in RULINGS:
        return f"{decision.regime} {decision.stage}"
    return (
        f"reported under {decision.regime}, {decision.stage} report"
        if decision.regime
        else decision.status
    )


def permission_for(chosen: str) -> str:
    """Return the name of the permission that a person needs to decide `chosen`.

    Any choice that is not in `PERMISSIONS`, even an invalid one, needs `incident.decide`;
    `Decisions.make` rejects invalid choices.
    """
    return PERMISSIONS.get(chosen.partition(" ")[0], "incident.decide")


def is_notice_approved(decisions: Iterable[Decision]) -> bool:
    """Return whether the data protection officer's latest ruling allows notifying customers.

    Other decisions are ignored. Without a ruling the answer is False; of two rulings at one time,
    the one with the greater id counts.
    """
    last = max(
        (decision for decision in decisions if decision.stage in TELLING),
        key=lambda decision: (decision.at, decision.id),
        default=None,
    )
    return last is not None and TELLING[last.stage]


@dataclass(frozen=True, slots=True)
class Decisions:
    """The checks and the recording of decisions.

    QueryErrors say what is missing or wrong, without repeating what was typed. A decision that
    ends a deadline waits for a second person, whichever page, command or program it comes from.
    `actor` is the acting person or program.
    """

    duties: Duties
    trail: Trail
    actor: Actor = field(default_factory=Actor)

    @property
    def store(self) -> IncidentStore:
        """The store of the decisions."""
        return self.duties.store

    def make(
        self,
        incident: Incident,
        chosen: str,
        *,
        by: str,
        note: str = "",
        reference: str = "",
        no_reference: str = "",
        sent_at: datetime | None = None,
        channel: str = "",
        token: str = "",
    ) -> Recorded:
        """Store the decision `chosen` on `incident` and in the audit log, and return it as stored.

        Repeated calls with one `token` store one decision. A report needs the authority's
        `reference`, or in `no_reference` the reason why there is none, and a `channel` of
        `alerts.deadlines.CHANNELS`; `sent_at` is now by default. A waiver keeps the facts of the
        incident on which it rests. Returns a `PendingDecision` instead if the decision ends a
        deadline and the tenant requires a second person. Raises QueryError if a value is missing or
        invalid, or the incident is part of another one.
        """
        if incident.part_of:
            raise QueryError(
                Phrase(
                    "this incident is part of %(other)s: decide on that one instead",
                    other=incident.part_of,
                )
            )
        deadlines = self.duties.find_deadlines([incident])[incident.id]
        status, regime, stage = _parse_choice(
            chosen.split(" "), compute_status(deadlines.decisions)
        )
        if status == "note" and not regime and not note.strip():
            raise QueryError("a note must not be empty", "note")
        fields: dict[str, Any] = {"status": status, "regime": regime, "stage": stage}
        if stage == "waived":
            fields["facts"] = waiver_facts(
                regimes()[regime], incident, self.duties.tenant(incident.tenant)
            )
        elif regime and stage not in RULINGS:
            report_fields = {
                "reference": reference,
                "no_reference": no_reference,
                "channel": channel,
                "note": note,
            }
            is_same = any(
                decision.id == f"{incident.id}:{token}" for decision in deadlines.decisions
            )
            fields |= {
                **_check_report(deadlines, regime, stage, report_fields, is_same=is_same),
                "sent_at": sent_at,
            }
        return self._record_one(
            incident, self.draft(incident, deadlines.decisions, by, note, token, fields)
        )

    def act(
        self,
        incident: Incident,
        act: Act,
        *,
        by: str,
        value: str = "",
        about: str = "",
        until: datetime | None = None,
        reference: str = "",
        note: str = "",
        token: str = "",
    ) -> Recorded:
        """Store an act on an incident, such as an assignment, and return the decision as stored.

        The act `excused` sets the status to false positive and `returned` reopens; other acts leave
        the status as it is. Returns a `PendingDecision` instead if the act ends a deadline and the
        tenant requires a second person. Raises QueryError if a value is invalid, or the incident is
        part of another one.
        """
        drafted = self.draft_act(
            incident,
            act,
            by=by,
            value=value,
            about=about,
            until=until,
            reference=reference,
            note=note,
            token=token,
        )
        return self._record_one(incident, drafted)

    def draft_act(
        self,
        incident: Incident,
        act: Act,
        *,
        by: str,
        note: str = "",
        token: str = "",
        reference: str = "",
        **said: Any,
    ) -> Decision:
        """Return the decision that would record an act on an incident, checked but not stored.

        Raises QueryError if the name or note is invalid, or if the incident is part of another one
        (except for `split_from`).
        """
        if incident.part_of and act != "split_from":
            raise QueryError(
                Phrase(
                    "this incident is part of %(other)s: work on that one instead",
                    other=incident.part_of,
                )
            )
        former = list(self.store.scroll(Decision, DocumentFilter({"incident": (incident.id,)})))
        status = "false_positive" if act == "excused" else "open" if act == "returned" else "note"
        return self.draft(
            incident,
            former,
            by,
            note,
            token,
            {"status": status, "act": act, "reference": reference, **said},
        )

    def draft(
        self,
        incident: Incident,
        former: Sequence[Decision],
        by: str,
        note: str,
        token: str,
        fields: Mapping[str, Any],
    ) -> Decision:
        """Return a decision on an incident with the given `fields`, checked but not stored.

        The time is now, or just after the latest of the `former` decisions if that is later. Raises
        QueryError if the name `by` or the note is invalid, or if a required note is missing.
        """
        explained = fields.get("stage") in (*RULINGS, *TELLING) or fields.get("act") in EXPLAINED
        return Decision.model_validate(
            {
                "id": f"{incident.id}:{token or secrets.token_hex(TOKEN_BYTES)}",
                "tenant": incident.tenant,
                "incident": incident.id,
                "at": ensure_after(self.trail.clock.now(), (decision.at for decision in former)),
                "by": validate_name(by),
                "note": validate_grounds(note) if explained else validate_note(note),
                **fields,
            }
        )

    def note_act(self, incident: Incident, act: Act, *, by: str, **said: Any) -> Decision:
        """Store an act that ends no deadline, first in the audit log, and return the decision.

        If a decision with this token is already stored, that one is returned and nothing is
        written. Raises QueryError as `draft_act` does.
        """
        drafted = self.draft_act(incident, act, by=by, **said)
        if (stored := self.store.get(Decision, drafted.id)) is not None:
            return stored
        self.write([drafted])
        return drafted

    def _record_one(self, incident: Incident, drafted: Decision) -> Recorded:
        return self.record([drafted], DutyChange([incident], [incident], [drafted]))

    def record(self, drafts: Sequence[Decision], change: DutyChange) -> Recorded:
        """Store the drafts of an act, or one pending decision if the act ends a deadline.

        It is pending only if the tenant requires a second person. `change` has the incidents before
        and after the act. Returns the decision on the first of these incidents, or the pending
        decision, which has the same id; if that id is already stored, the stored one is returned
        and nothing is written.
        """
        first = next(draft for draft in drafts if draft.incident == change.before[0].id)
        if (
            stored := self.store.get(Decision, first.id)
            or self.store.get(PendingDecision, first.id)
        ) is not None:
            return stored
        ended = find_ended(self.duties, change)
        if ended and self.duties.tenant(first.tenant).second_person:
            fields = {
                "id": first.id,
                "incident": first.incident,
                "tenant": first.tenant,
                "by": first.by,
            }
            return self.propose(
                {**fields, "decisions": tuple(drafts)}, describe(first), ended, first.note
            )
        self.write(
            [
                draft.model_copy(update={"ends": tuple(duty.name for duty in ended)})
                for draft in drafts
            ]
        )
        return self.store.get(Decision, first.id) or first

    def write(self, decisions: Sequence[Decision]) -> None:
        """Write decisions to the audit log, then to the store; a stored id is never overwritten."""
        for decision in decisions:
            self._audit(decision)
        self.store.create(decisions)

    def propose(
        self,
        written: Mapping[str, Any],
        what: str,
        ended: Sequence[EndedDuty],
        reason: str,
        proposers: Sequence[str] = (),
    ) -> PendingDecision:
        """Store an act that waits for a second person, and return it as stored.

        An audit log entry is written first. `written` are the id, incident, tenant and author of
        the pending decision and the act itself; `what` describes the act, `ended` are the deadlines
        that it would end, and `proposers` all names of the proposer (default: those of the present
        user).
        """
        names = tuple(duty.name for duty in ended)
        waiting = PendingDecision(
            **written,
            at=self.trail.clock.now(),
            proposers=tuple(proposers) or self.actor.proposers(written["by"]),
            ends=names,
            due=min((duty.due for duty in ended if duty.due), default=None),
        )
        text = (
            f"incident {waiting.incident}: {what}; it ends {', '.join(names)} and waits for a"
            " second person"
        )
        self.trail.append(
            "incident.proposed", text, actor=waiting.by, tenant=waiting.tenant, reason=reason
        )
        self.store.create([waiting])
        return self.store.get(PendingDecision, waiting.id) or waiting

    def _audit(self, decision: Decision) -> None:
        placed = (
            "telling"
            if decision.stage in TELLING
            else "duty"
            if decision.stage in RULINGS
            else decision.act
        )
        action = placed or ("reported" if decision.regime else "decide")
        what = f"incident {decision.incident}: {describe(decision)}"
        what += ", decided by one person" if decision.is_by_one_person else ""
        what += f", confirmed by {decision.confirmed_by}" if decision.confirmed_by else ""
        self.trail.append(
            f"incident.{action}",
            what,
            actor=decision.by,
            tenant=decision.tenant,
            reason=decision.note,
        )


def _parse_choice(chosen: Sequence[str], now: Status) -> tuple[str, str, str]:
    """Return the status, regime and stage of a choice, if the incident's status is `now`.

    Raises QueryError if the choice is unknown, or names no regime and stage of a report.
    """
    action, *about = chosen
    if action in PLAIN and not about:
        return action, "", ""
    if action in TELLING and not about:
        return "note", "", action
    if action in RULINGS and len(about) == 1:
        return "note", _regime(about[0]).id, action
    if action == "reported" and not about:
        raise QueryError(
            "give the regime under which it was reported, and the stage of the report", "regime"
        )
    if action != "reported" or len(about) != 2:
        raise QueryError(
            Phrase(
                "a decision must be one of %(known)s, or a report under a regime",
                known=", ".join(PLAIN),
            ),
            "decision",
        )
    return status_with_report(now), _regime(about[0]).id, _stage(*about).id


def _check_report(
    deadlines: IncidentDeadlines,
    regime: str,
    stage: str,
    fields: Mapping[str, str],
    *,
    is_same: bool,
) -> dict[str, str]:
    """Return the fields to record for a report.

    Raises QueryError if something is missing or its deadline cannot have begun. With `is_same`, the
    report was recorded before under the same token, and so corrects nothing.
    """
    number, why = validate_reference(fields["reference"]), validate_note(fields["no_reference"])
    channel, note = validate_channel(fields["channel"]), validate_note(fields["note"])
    since = _stage(regime, stage).since
    if since in ("determined", "resolved") and deadlines.moments.get(since) is None:
        first = (
            Phrase("resolve the incident first")
            if since == "resolved"
            else Phrase("confirm the leak first")
        )
        raise QueryError(
            Phrase("this report cannot have been sent yet: %(first)s", first=first), "stage"
        )
    if not channel:
        raise QueryError("give the channel by which the report was sent", "channel")
    if not number and not why:
        raise QueryError(
            "give the authority's reference, or the reason why there is none", "reference"
        )
    if not note and not is_same and _is_met(deadlines, regime, stage):
        raise QueryError("this report was recorded before: give the correction in the note", "note")
    return {"value": channel, "reference": number, "no_reference": "" if number else why}


def _is_met(deadlines: IncidentDeadlines, regime: str, stage: str) -> bool:
    """Return whether a report of exactly this stage is recorded and counts."""
    reports = [
        duty.report
        for duty in deadlines.duties
        if (duty.regime.id, duty.stage.id) == (regime, stage)
    ]
    return any(
        report is not None and (report.regime, report.stage) == (regime, stage)
        for report in reports
    )


def _regime(id_: str) -> Regime:
    if id_ not in regimes():
        raise QueryError(
            Phrase("no regime with that id: use %(known)s", known=", ".join(regimes())), "regime"
        )
    return regimes()[id_]


def _stage(regime: str, stage: str) -> Stage:
    stages = {item.id: item for item in regimes()[regime].stages}
    if (stage_ := next((item for id_, item in stages.items() if id_ == stage), None)) is None:
        raise QueryError(
            Phrase(
                "%(regime)s has no such stage: use %(known)s",
                regime=regime,
                known=", ".join(stages),
            ),
            "stage",
        )
    return stage_
