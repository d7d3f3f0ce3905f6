"""Record decisions, holds and outcomes of fraud; each is written to the audit log first.

A choice is given in words: `acknowledged`, `confirmed`, `resolved`, `false_positive` or `note`;
`reported REGIME STAGE`; `applies REGIME` or `waived REGIME`, for rules that no number decides; and
`telling_approved` or `telling_withdrawn`, by the data protection officer.

Each act is compared with the outstanding reports before it (`alerts.deadlines.comparison`). An act
that ends a reporting deadline is stored as a `PendingDecision` and has no effect until a second
person confirms it (`alerts.cases.second_person`).

Holds and releases are documents that are only added; the last one counts. Evidence is stored as
files by the match service. If its folder is on this machine, each sighting's file is marked, and
again every hour, because a new sighting may join an incident on hold.

A fraud system reports outcomes by customer pseudonym; the last one per customer counts. Nothing is
known of customers without a report, so every number is a lower limit.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from alerts.accounts.second_person import CONFIRM, Actor
from alerts.cases.incident_list import get_incident
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
    Band,
    Decision,
    Exposure,
    Fraud,
    FraudOutcome,
    Hold,
    Incident,
    PendingDecision,
    Sighting,
    Status,
    exposure_id,
)
from alerts.records.decision import validate_grounds, validate_name, validate_note
from alerts.records.document import QueryError
from alerts.store import DocumentFilter, IncidentStore
from alerts.store.queries import compute_status
from ullage.audit import Trail
from ullage.clock import Clock, ensure_after, in_range
from ullage.custody.vault import Vault
from ullage.errors import ConfigError
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
    """Describe a decision in one English phrase."""
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
    """Return the permission that deciding `chosen` needs; any, if `chosen` is invalid."""
    return PERMISSIONS.get(chosen.partition(" ")[0], "incident.decide")


def is_notice_approved(decisions: Iterable[Decision]) -> bool:
    """Return whether the DPO's latest ruling allows notifying the people in an incident.

    Rulings of the same time are ordered by id.
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
        """Record the decision `chosen` on `incident`, and return it.

        With a `token` it is one decision, however often it is sent. A report needs the authority's
        `reference`, or in `no_reference` the reason why there is none, and a `channel` of
        `alerts.deadlines.CHANNELS`; `sent_at` is now by default. A waiver rests on the current
        facts of the incident.
        """
        if incident.part_of:
            raise QueryError(
                Phrase(
                    "it is part of %(other)s: decide on that one instead", other=incident.part_of
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
        """Record an act that does not decide what an incident is.

        Only `excused` changes its status: to false positive.
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
        """Return the decision that records an act, without storing it."""
        if incident.part_of and act != "split_from":
            raise QueryError(
                Phrase("it is part of %(other)s: work on that one instead", other=incident.part_of)
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
        """Return a decision with these fields, checked but not stored.

        `former` are the earlier decisions on the incident.
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
        """Record an act that ends no deadline, and return the stored decision."""
        drafted = self.draft_act(incident, act, by=by, **said)
        if (stored := self.store.get(Decision, drafted.id)) is not None:
            return stored
        self.write([drafted])
        return drafted

    def _record_one(self, incident: Incident, drafted: Decision) -> Recorded:
        return self.record([drafted], DutyChange([incident], [incident], [drafted]))

    def record(self, drafts: Sequence[Decision], change: DutyChange) -> Recorded:
        """Store the drafts of an act, or a pending decision if the act ends a deadline.

        Return the stored decision on the first incident of `change`, or the pending decision, which
        has its id. An act that was sent before is returned as it was stored.
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
        """Write decisions to the audit log, then to the store."""
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
        """Store an act that waits for a second person, after writing it to the audit log.

        `written` are the other fields of the pending decision.
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
    """Return the status, regime and stage of a choice, if the incident's status is `now`."""
    action, *about = chosen
    if action in PLAIN and not about:
        return action, "", ""
    if action in TELLING and not about:
        return "note", "", action
    if action in RULINGS and len(about) == 1:
        return "note", _regime(about[0]).id, action
    if action == "reported" and not about:
        raise QueryError("say under which rule it was reported, and which report it was", "regime")
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
        raise QueryError("say by which channel the report was sent", "channel")
    if not number and not why:
        raise QueryError("give the authority's reference, or say why there is none", "reference")
    if not note and not is_same and _is_met(deadlines, regime, stage):
        raise QueryError(
            "this report was recorded before: say in the note what you correct", "note"
        )
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


def find_last_holds(store: IncidentStore) -> dict[str, Hold]:
    """Return the last hold or release of each incident."""
    return {
        hold.incident: hold
        for hold in sorted(
            store.scroll(Hold, DocumentFilter()), key=lambda hold: (hold.at, hold.id)
        )
    }


def find_held(store: IncidentStore) -> set[str]:
    """Return the ids of the incidents on hold, with their parts."""
    return with_parts(
        store, (incident for incident, hold in find_last_holds(store).items() if not hold.released)
    )


def with_parts(store: IncidentStore, incidents: Iterable[str]) -> set[str]:
    """Return these ids and the ids of the parts of these incidents."""
    ids = set(incidents)
    return ids.union(*(incident.family for incident in store.mget(Incident, ids).values()))


def find_findings(store: IncidentStore, incidents: Iterable[str]) -> set[str]:
    """Return the ids of the findings in these incidents and their parts.

    Evidence is named by them.
    """
    ids = with_parts(store, incidents)
    return (
        {sighting.id for sighting in store.scroll(Sighting, DocumentFilter({"incident": ids}))}
        if ids
        else set()
    )


def mark_evidence(store: IncidentStore, vault: Vault) -> int:
    """Mark the evidence of every incident on hold, and return the number of files."""
    return vault.hold(find_findings(store, find_held(store))) if vault.root.is_dir() else 0


@dataclass(frozen=True, slots=True)
class Holds:
    """The setting and ending of holds; each is written to the audit log first."""

    store: IncidentStore
    vault: Vault
    trail: Trail
    clock: Clock

    def set(self, incident: str, *, by: str, case: str, reason: str) -> int:
        """Put `incident` on hold, and return the number of files of evidence that are marked.

        Raises ConfigError if the incident does not exist.
        """
        self._append(incident, by, case, reason, released=False)
        return self.vault.hold(find_findings(self.store, [incident]))

    def release(self, incident: str, *, by: str, case: str, reason: str) -> int:
        """End a hold, and return the number of files that may expire again.

        Raises ConfigError if the incident is not on hold.
        """
        last = find_last_holds(self.store).get(incident)
        if last is None or last.released:
            raise ConfigError(Phrase("this incident is not on hold"))
        self._append(incident, by, case, reason, released=True)
        return self.vault.release(
            find_findings(self.store, [incident]) - find_findings(self.store, find_held(self.store))
        )

    def _append(self, incident: str, by: str, case: str, reason: str, *, released: bool) -> None:
        stored = get_incident(self.store, incident)
        what, former = "release" if released else "hold", find_last_holds(self.store).get(incident)
        now = ensure_after(self.clock.now(), [former.at] if former else ())
        self.trail.append(
            f"incident.{what}",
            incident,
            actor=by,
            tenant=stored.tenant,
            reason=f"case {case}: {reason}",
        )
        hold = Hold(
            id=f"{incident}:{now.timestamp():.6f}:{what}",
            tenant=stored.tenant,
            incident=incident,
            at=now,
            by=by,
            case=case,
            reason=reason,
            released=released,
        )
        self.store.create([hold])


MOST_MINOR = 10**15
MINOR = {"JPY": 0, "KRW": 0, "VND": 0}
"""Number of digits of a currency's minor unit (ISO 4217) if it is not two."""
BANDS = {
    "under_3000": "< 3,000",
    "3000_to_30000": "3,000–30,000",
    "30000_to_500000": "30,000–500,000",
    "from_500000": "≥ 500,000",
}


@dataclass(frozen=True, slots=True)
class FraudTally:
    """The customers of an incident, and for how many of them each outcome is known."""

    customers: int
    outcomes: Counter[Fraud] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    """Losses of known amount by currency, in minor units."""
    bands: Counter[str] = field(default_factory=Counter)
    """Losses of which only the band is known."""

    @property
    def reported(self) -> int:
        """Number of customers with a known outcome."""
        return self.outcomes.total()

    @property
    def loss_rate(self) -> float | None:
        """Lower limit of the share of customers who lost money, 0 to 1; None without reports."""
        return self.outcomes["loss"] / self.customers if self.customers and self.reported else None

    @property
    def losses(self) -> tuple[str, ...]:
        """The losses for people to read: amounts by currency, and counts by band in CNY."""
        sums = (_format_amount(amount, name) for name, amount in sorted(self.lost.items()))
        return (
            *sums,
            *(f"{count:,} × {BANDS[name]} CNY" for name, count in sorted(self.bands.items())),
        )

    def as_json(self) -> dict[str, Any]:
        """Return the numbers as JSON."""
        counts = {name: self.outcomes[name] for name in ("loss", "prevented", "none")}
        shared = {
            "customers": self.customers,
            "reported": self.reported,
            **counts,
            "loss_rate": self.loss_rate,
        }
        return {**shared, "lost_minor_units": dict(self.lost), "lost_bands": dict(self.bands)}


def _format_amount(amount: int, currency: str) -> str:
    """Format an amount in minor units for people.

    >>> _format_amount(1_250_000, "CNY"), _format_amount(3_000, "JPY")
    ('12,500.00 CNY', '3,000 JPY')
    """
    digits = MINOR.get(currency, 2)
    whole, minor = divmod(amount, 10**digits)
    return f"{whole:,}{f'.{minor:0{digits}}' if digits else ''} {currency}"


def tally(store: IncidentStore, incident: Incident) -> FraudTally:
    """Count the known outcomes of an incident's customers."""
    last = _last_by_customer(
        store.scroll(FraudOutcome, DocumentFilter({"incident": incident.family}))
    )
    losses = [outcome for outcome in last.values() if outcome.outcome == "loss"]
    lost = Counter[str]()
    for outcome in losses:
        if outcome.amount is not None:
            lost[outcome.currency] += outcome.amount
    outcomes = Counter[Fraud](outcome.outcome for outcome in last.values())
    return FraudTally(
        max(incident.customers, len(last)),
        outcomes,
        lost,
        Counter(outcome.band for outcome in losses if outcome.band),
    )


def _last_by_customer(outcomes: Iterable[FraudOutcome]) -> dict[str, FraudOutcome]:
    """Return the last outcome of each customer."""
    return {
        outcome.subject: outcome
        for outcome in sorted(outcomes, key=lambda outcome: (outcome.at, outcome.id))
    }


@dataclass(frozen=True, slots=True)
class Outcomes:
    """The recording of fraud outcomes.

    QueryErrors say what is missing or wrong, without repeating what was sent.
    """

    store: IncidentStore
    trail: Trail

    def report(
        self,
        incident: Incident,
        subject: str,
        outcome: Fraud,
        happened_at: datetime,
        *,
        by: str,
        amount: int | None = None,
        currency: str = "",
        band: Band | None = None,
    ) -> bool:
        """Append an outcome, in the audit log first.

        Return whether it is news: the same outcome again is not.
        """
        self._require(incident, subject, happened_at)
        if outcome == "none" and (amount is not None or band):
            raise QueryError(
                "without fraud there is no amount", "amount" if amount is not None else "band"
            )
        if (amount is None) != (not currency) or (amount is not None and band):
            raise QueryError(
                "enter an amount in minor units with its currency, or a band, or neither",
                "amount",
                "currency",
                "band",
            )
        fields = {
            "outcome": outcome,
            "happened_at": happened_at,
            "amount": amount,
            "currency": currency,
            "band": band or "",
        }
        former = list(
            self.store.scroll(
                FraudOutcome, DocumentFilter({"incident": (incident.id,), "subject": (subject,)})
            )
        )
        last = _last_by_customer(former).get(subject)
        if last is not None and last.model_dump(include=set(fields)) == fields:
            return False
        digest = hashlib.sha256(
            repr((last.id if last else "", *fields.values())).encode()
        ).hexdigest()[:16]
        at = ensure_after(self.trail.clock.now(), (former_outcome.at for former_outcome in former))
        whose = {"tenant": incident.tenant, "incident": incident.id, "subject": subject}
        stored = FraudOutcome.model_validate(
            {"id": f"{incident.id}:{subject}:{digest}", "at": at, "by": by, **whose, **fields}
        )
        self.trail.append(
            "outcome.report", f"incident {incident.id}: {outcome}", actor=by, tenant=incident.tenant
        )
        return self.store.create([stored]) == [True]

    def _require(self, incident: Incident, subject: str, happened_at: datetime) -> None:
        if incident.part_of:
            raise QueryError(
                Phrase(
                    "it is part of %(other)s: report on that one instead", other=incident.part_of
                ),
                "incident",
            )
        if in_range(happened_at) is None:
            raise QueryError("invalid time: enter when it happened", "when")
        if happened_at > self.trail.clock.now():
            raise QueryError("this time is in the future: enter when it happened", "when")
        there = self.store.mget(
            Exposure, [exposure_id(member, subject) for member in incident.family]
        )
        # an erased or expired customer must not be stored again
        if not there:
            raise QueryError(
                "no customer with that pseudonym is in this incident, or the data has expired",
                "pseudonym",
            )
