"""Record decisions, holds and outcomes of fraud, in the audit log first.

What is chosen is said in words: `acknowledged`, `confirmed`, `resolved`, `false_positive`, `note`;
`reported REGIME STAGE`; `applies REGIME` or `waived REGIME`, of a rule that no number decides on;
`telling_approved` or `telling_withdrawn`, by the data protection officer.

Whatever is written here is compared with what was owed before (`alerts.deadlines.comparison`). An
act that ends a reporting deadline is stored as a `PendingDecision` and has no effect until a second
person confirms it (`alerts.cases.second_person`).

A hold and its end are documents that are only ever added; the last one counts. Evidence lies with
match, as files: where its folder is here each sighting's file is marked, again every hour, because
an incident that is held may be seen once more.

A fraud system reports outcomes by handle. The last of a customer counts. Of customers of whom
nothing was reported nothing is known, so every number is "at least".
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
from alerts.cases.incident_list import incident_named
from alerts.deadlines import Regime, Stage, checked_channel, checked_reference, regimes
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
from alerts.records.decision import checked_ground, checked_name, checked_note
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
"""What the data protection officer decides of telling the people in an incident; it stands in
the place of a report's stage.
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
"""What an act leaves: its decision, or that it waits for a second person."""
PERMISSIONS: Mapping[str, str] = {
    "resolved": "incident.close",
    "false_positive": "incident.close",
    "telling_approved": "notification.approve",
    "telling_withdrawn": "notification.approve",
    "waived": CONFIRM,
}
"""Who may propose a decision, by its first word, where that is not whoever may decide at all."""


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
    """Return the permission that deciding `chosen` needs; for what is none it does not matter."""
    return PERMISSIONS.get(chosen.partition(" ")[0], "incident.decide")


def may_be_told(decisions: Iterable[Decision]) -> bool:
    """Return whether the DPO's latest ruling allows notifying the people in an incident; equal
    times are ordered by id.
    """
    last = max(
        (one for one in decisions if one.stage in TELLING),
        key=lambda one: (one.at, one.id),
        default=None,
    )
    return last is not None and TELLING[last.stage]


@dataclass(frozen=True, slots=True)
class Decisions:
    """Where decisions are made.

    QueryError says what is missing or wrong, without repeating what was typed.

    What ends a deadline waits for a second person here, so it does by every page, command and
    program. `actor` is who acts.
    """

    duties: Duties
    trail: Trail
    actor: Actor = field(default_factory=Actor)

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
        no_reference: str = "",
        sent_at: datetime | None = None,
        channel: str = "",
        token: str = "",
    ) -> Recorded:
        """Decide `chosen` of `incident`.

        With a `token` it is one decision however often it is sent.

        Of a report: the authority's `reference`, or why there is none, when it was `sent_at`, now
        by default, and by which of `reports.CHANNELS`. A waiver is decided on the facts of the
        incident as it is.
        """
        if incident.part_of:
            raise QueryError(
                Phrase(
                    "it is part of %(other)s: decide on that one instead", other=incident.part_of
                )
            )
        owed = self.duties.owed([incident])[incident.id]
        status, regime, stage = _read(chosen.split(" "), compute_status(owed.decisions))
        if status == "note" and not regime and not note.strip():
            raise QueryError("a note must not be empty", "note")
        said: dict[str, Any] = {"status": status, "regime": regime, "stage": stage}
        if stage == "waived":
            said["facts"] = waiver_facts(
                regimes()[regime], incident, self.duties.tenant(incident.tenant)
            )
        elif regime and stage not in RULINGS:
            given = {
                "reference": reference,
                "no_reference": no_reference,
                "channel": channel,
                "note": note,
            }
            is_same = any(one.id == f"{incident.id}:{token}" for one in owed.decisions)
            said |= {**_report(owed, regime, stage, given, is_same=is_same), "sent_at": sent_at}
        return self._record_one(
            incident, self.draft(incident, owed.decisions, by, note, token, said)
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
        """Record an act that is no decision on what an incident is; an excuse alone makes it
        none.
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
        """Return the decision by which an act is recorded, which is not stored."""
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
        said: Mapping[str, Any],
    ) -> Decision:
        """Return the decision that is made of what was `said` of an incident, checked; `former`
        are those before it.
        """
        explained = said.get("stage") in (*RULINGS, *TELLING) or said.get("act") in EXPLAINED
        return Decision.model_validate(
            {
                "id": f"{incident.id}:{token or secrets.token_hex(TOKEN_BYTES)}",
                "tenant": incident.tenant,
                "incident": incident.id,
                "at": ensure_after(self.trail.clock.now(), (one.at for one in former)),
                "by": checked_name(by),
                "note": checked_ground(note) if explained else checked_note(note),
                **said,
            }
        )

    def note_act(self, incident: Incident, act: Act, *, by: str, **said: Any) -> Decision:
        """Record an act that changes nothing of what is owed."""
        drafted = self.draft_act(incident, act, by=by, **said)
        if (made := self.store.get(Decision, drafted.id)) is not None:
            return made
        self.write([drafted])
        return drafted

    def _record_one(self, incident: Incident, drafted: Decision) -> Recorded:
        return self.record([drafted], DutyChange([incident], [incident], [drafted]))

    def record(self, drafts: Sequence[Decision], change: DutyChange) -> Recorded:
        """Store what an act writes, or that it waits for a second person; what was sent before is
        given back.

        Returns the draft on the first incident of `change` as it is stored, or the pending
        decision, which has its id.
        """
        first = next(one for one in drafts if one.incident == change.before[0].id)
        if (
            made := self.store.get(Decision, first.id) or self.store.get(PendingDecision, first.id)
        ) is not None:
            return made
        ended = find_ended(self.duties, change)
        if ended and self.duties.tenant(first.tenant).second_person:
            whose = {
                "id": first.id,
                "incident": first.incident,
                "tenant": first.tenant,
                "by": first.by,
            }
            return self.propose(
                {**whose, "decisions": tuple(drafts)}, describe(first), ended, first.note
            )
        self.write(
            [one.model_copy(update={"ends": tuple(duty.name for duty in ended)}) for one in drafts]
        )
        return self.store.get(Decision, first.id) or first

    def write(self, decisions: Sequence[Decision]) -> None:
        """Store decisions, in the audit log first."""
        for one in decisions:
            self._audit(one)
        self.store.create(decisions)

    def propose(
        self,
        written: Mapping[str, Any],
        what: str,
        ended: Sequence[EndedDuty],
        reason: str,
        proposers: Sequence[str] = (),
    ) -> PendingDecision:
        """Store an act that waits for a second person, in the audit log first; `written` are the
        other members of it.
        """
        names = tuple(duty.name for duty in ended)
        waiting = PendingDecision(
            **written,
            at=self.trail.clock.now(),
            proposers=tuple(proposers) or self.actor.proposers(written["by"]),
            ends=names,
            due=min((duty.due for duty in ended if duty.due), default=None),
        )
        said = (
            f"incident {waiting.incident}: {what}; it ends {', '.join(names)} and waits for a"
            " second person"
        )
        self.trail.append(
            "incident.proposed", said, actor=waiting.by, tenant=waiting.tenant, reason=reason
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


def _read(chosen: Sequence[str], now: Status) -> tuple[str, str, str]:
    """Status, regime and stage of what was chosen for an incident whose status is `now`."""
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


def _report(
    owed: IncidentDeadlines, regime: str, stage: str, given: Mapping[str, str], *, is_same: bool
) -> dict[str, str]:
    """Return what is recorded of a report; QueryError where something is missing, or its deadline
    cannot have begun.

    `is_same` is one that was recorded before under the same token, and so corrects nothing.
    """
    number, why = checked_reference(given["reference"]), checked_note(given["no_reference"])
    channel, note = checked_channel(given["channel"]), checked_note(given["note"])
    since = _stage(regime, stage).since
    if since in ("determined", "resolved") and owed.moments.at(since) is None:
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
    if not note and not is_same and _is_met(owed, regime, stage):
        raise QueryError(
            "this report was recorded before: say in the note what you correct", "note"
        )
    return {"value": channel, "reference": number, "no_reference": "" if number else why}


def _is_met(owed: IncidentDeadlines, regime: str, stage: str) -> bool:
    """Return whether a report of this very stage is recorded and counts."""
    reports = [
        duty.report for duty in owed.duties if (duty.regime.id, duty.stage.id) == (regime, stage)
    ]
    return any(one is not None and (one.regime, one.stage) == (regime, stage) for one in reports)


def _regime(id_: str) -> Regime:
    if id_ not in regimes():
        raise QueryError(
            Phrase("no regime with that id: use %(known)s", known=", ".join(regimes())), "regime"
        )
    return regimes()[id_]


def _stage(regime: str, stage: str) -> Stage:
    stages = {one.id: one for one in regimes()[regime].stages}
    if (found := next((one for id_, one in stages.items() if id_ == stage), None)) is None:
        raise QueryError(
            Phrase(
                "%(regime)s has no such stage: use %(known)s",
                regime=regime,
                known=", ".join(stages),
            ),
            "stage",
        )
    return found


def last_words(store: IncidentStore) -> dict[str, Hold]:
    """The hold, or the end of one, that counts now, by incident."""
    return {
        one.incident: one
        for one in sorted(store.scroll(Hold, DocumentFilter()), key=lambda one: (one.at, one.id))
    }


def held(store: IncidentStore) -> set[str]:
    """The ids of the incidents that are held now, with their parts."""
    return with_parts(
        store, (incident for incident, one in last_words(store).items() if not one.released)
    )


def with_parts(store: IncidentStore, incidents: Iterable[str]) -> set[str]:
    """These ids and those of their parts, whose facts are theirs."""
    wanted = set(incidents)
    return wanted.union(*(one.family for one in store.mget(Incident, wanted).values()))


def findings_of(store: IncidentStore, incidents: Iterable[str]) -> set[str]:
    """The findings that were folded into them and their parts, by which evidence is named."""
    wanted = with_parts(store, incidents)
    return (
        {sighting.id for sighting in store.scroll(Sighting, DocumentFilter({"incident": wanted}))}
        if wanted
        else set()
    )


def mark(store: IncidentStore, vault: Vault) -> int:
    """Mark the evidence of every held incident; returns how many files that are."""
    return vault.hold(findings_of(store, held(store))) if vault.root.is_dir() else 0


@dataclass(frozen=True, slots=True)
class Holds:
    """Where holds are set and ended: each is in the audit log first."""

    store: IncidentStore
    vault: Vault
    trail: Trail
    clock: Clock

    def set(self, incident: str, *, by: str, case: str, reason: str) -> int:
        """Hold `incident`; returns how many files of evidence are marked.

        ConfigError when there is no such incident.
        """
        self._append(incident, by, case, reason, released=False)
        return self.vault.hold(findings_of(self.store, [incident]))

    def release(self, incident: str, *, by: str, case: str, reason: str) -> int:
        """End a hold; returns how many files may expire again. ConfigError when it is not held."""
        last = last_words(self.store).get(incident)
        if last is None or last.released:
            raise ConfigError(Phrase("this incident is not on hold"))
        self._append(incident, by, case, reason, released=True)
        return self.vault.release(
            findings_of(self.store, [incident]) - findings_of(self.store, held(self.store))
        )

    def _append(self, incident: str, by: str, case: str, reason: str, *, released: bool) -> None:
        found = incident_named(self.store, incident)
        what, former = "release" if released else "hold", last_words(self.store).get(incident)
        now = ensure_after(self.clock.now(), [former.at] if former else ())
        self.trail.append(
            f"incident.{what}",
            incident,
            actor=by,
            tenant=found.tenant,
            reason=f"case {case}: {reason}",
        )
        made = Hold(
            id=f"{incident}:{now.timestamp():.6f}:{what}", tenant=found.tenant, incident=incident,
            at=now, by=by, case=case,
            reason=reason, released=released,
        )  # fmt: skip
        self.store.create([made])


MOST_MINOR = 10**15
MINOR = {"JPY": 0, "KRW": 0, "VND": 0}
"""Digits of a currency's minor unit (ISO 4217) where they are not two."""
BANDS = {
    "under_3000": "< 3,000",
    "3000_to_30000": "3,000–30,000",
    "30000_to_500000": "30,000–500,000",
    "from_500000": "≥ 500,000",
}


@dataclass(frozen=True, slots=True)
class FraudTally:
    """Of an incident: its customers, and of how many of them which outcome is known."""

    customers: int
    outcomes: Counter[Fraud] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    """By currency, in minor units; of losses whose amount is known."""
    bands: Counter[str] = field(default_factory=Counter)
    """Losses of which a band alone is known."""

    @property
    def reported(self) -> int:
        """Customers of whom an outcome is known."""
        return self.outcomes.total()

    @property
    def loss_rate(self) -> float | None:
        """Share of the customers who lost money, at least, 0 to 1; None where nothing was
        reported.
        """
        return self.outcomes["loss"] / self.customers if self.customers and self.reported else None

    @property
    def losses(self) -> tuple[str, ...]:
        """What was lost, by currency in its minor units, and by bands in CNY, as a person reads
        it.
        """
        sums = (_shown(amount, name) for name, amount in sorted(self.lost.items()))
        return (
            *sums,
            *(f"{count:,} × {BANDS[name]} CNY" for name, count in sorted(self.bands.items())),
        )

    def as_json(self) -> dict[str, Any]:
        """As programs read it."""
        counts = {name: self.outcomes[name] for name in ("loss", "prevented", "none")}
        shared = {
            "customers": self.customers,
            "reported": self.reported,
            **counts,
            "loss_rate": self.loss_rate,
        }
        return {**shared, "lost_minor_units": dict(self.lost), "lost_bands": dict(self.bands)}


def _shown(amount: int, currency: str) -> str:
    """Minor units as people write them.

    >>> _shown(1_250_000, "CNY"), _shown(3_000, "JPY")
    ('12,500.00 CNY', '3,000 JPY')
    """
    digits = MINOR.get(currency, 2)
    whole, rest = divmod(amount, 10**digits)
    return f"{whole:,}{f'.{rest:0{digits}}' if digits else ''} {currency}"


def tally(store: IncidentStore, incident: Incident) -> FraudTally:
    """What is known of an incident's customers."""
    last = _last(store.scroll(FraudOutcome, DocumentFilter({"incident": incident.family})))
    losses = [one for one in last.values() if one.outcome == "loss"]
    lost = Counter[str]()
    for one in losses:
        if one.amount is not None:
            lost[one.currency] += one.amount
    outcomes = Counter[Fraud](one.outcome for one in last.values())
    return FraudTally(
        max(incident.customers, len(last)),
        outcomes,
        lost,
        Counter(one.band for one in losses if one.band),
    )


def _last(outcomes: Iterable[FraudOutcome]) -> dict[str, FraudOutcome]:
    """The last outcome of each customer."""
    return {one.subject: one for one in sorted(outcomes, key=lambda one: (one.at, one.id))}


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Where outcomes are reported.

    QueryError says what is missing or wrong, without repeating what was sent.
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
        """Append an outcome, in the audit log first; whether it is news: the same again is not."""
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
        said = {
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
        last = _last(former).get(subject)
        if last is not None and last.model_dump(include=set(said)) == said:
            return False
        digest = hashlib.sha256(
            repr((last.id if last else "", *said.values())).encode()
        ).hexdigest()[:16]
        at = ensure_after(self.trail.clock.now(), (one.at for one in former))
        whose = {"tenant": incident.tenant, "incident": incident.id, "subject": subject}
        made = FraudOutcome.model_validate(
            {"id": f"{incident.id}:{subject}:{digest}", "at": at, "by": by, **whose, **said}
        )
        self.trail.append(
            "outcome.report", f"incident {incident.id}: {outcome}", actor=by, tenant=incident.tenant
        )
        return self.store.create([made]) == [True]

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
        there = self.store.mget(Exposure, [exposure_id(one, subject) for one in incident.family])
        # somebody who was erased, or is not kept any longer, does not come back this way
        if not there:
            raise QueryError(
                "no customer with that pseudonym is in this incident, or the data has expired",
                "pseudonym",
            )
