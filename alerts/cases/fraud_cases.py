"""Record fraud cases, and count them for an incident.

A fraud system reports cases by customer pseudonym, with the leak that they came from or without
one: most of the trade with data runs in closed groups, where a platform sees its victims and never
the post. The last report per customer and leak counts. Nothing is known of customers without a
report, so every number is a lower limit.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from alerts.records import (
    Band,
    Exposure,
    Fraud,
    FraudCase,
    Incident,
    exposure_id,
)
from alerts.records.document import QueryError
from alerts.store import DocumentFilter, IncidentStore
from alerts.store.queries import is_customer_erased
from ullage.audit import Trail
from ullage.clock import ensure_after, in_range
from ullage.phrase import Phrase
from ullage.verdict.rules import load_verdict_rules
from ullage.vocabulary.fields import FieldLabel

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
    """Return the numbers of customers by outcome of their fraud cases, and the losses.

    Of each customer of the incident and its parts the last report counts. Nothing is estimated.
    """
    cases = store.scroll(FraudCase, DocumentFilter({"incident": incident.family}))
    counted = find_last_reports(cases)
    losses = [case for case in counted if case.outcome == "loss"]
    lost = Counter[str]()
    for case in losses:
        if case.amount is not None:
            lost[case.currency] += case.amount
    return FraudTally(
        max(incident.customers, len(counted)),
        Counter[Fraud](case.outcome for case in counted),
        lost,
        Counter(case.band for case in losses if case.band),
    )


def find_last_reports(cases: Iterable[FraudCase]) -> list[FraudCase]:
    """Return the last report of each customer, and every case that no longer names its customer."""
    last, nameless = dict[str, FraudCase](), list[FraudCase]()
    for case in sorted(cases, key=lambda case: (case.at, case.id)):
        if case.subject:
            last[case.subject] = case
        else:
            nameless.append(case)
    return [*nameless, *last.values()]


def without_customer(case: FraudCase) -> FraudCase:
    """Return the case as it is kept when its customer's retention ends: it names nobody.

    Its id is derived from the case's, so that a repeated run writes the same document.
    """
    digest = hashlib.sha256(case.id.encode()).hexdigest()[:32]
    changes = {"id": f"{case.tenant}:{case.incident}::{digest}", "subject": "", "known_fields": ()}
    return case.model_copy(update=changes)


@dataclass(frozen=True, slots=True)
class FraudReport:
    """What a fraud system reports of one customer's case.

    `incident` is the leak that it came from, None where none is known. `amount` is in minor units
    of `currency`.
    """

    tenant: str
    subject: str
    outcome: Fraud
    first_contact: date
    incident: Incident | None = None
    scam: str = ""
    known_fields: Sequence[FieldLabel] = ()
    amount: int | None = None
    currency: str = ""
    band: Band | None = None

    def as_members(self) -> dict[str, Any]:
        """Return the members of a `FraudCase` that a later report may change."""
        return {
            "outcome": self.outcome,
            "first_contact": self.first_contact,
            "scam": self.scam,
            "known_fields": tuple(sorted(set(self.known_fields))),
            "amount": self.amount,
            "currency": self.currency,
            "band": self.band or "",
        }


@dataclass(frozen=True, slots=True)
class FraudCases:
    """The recording of fraud cases.

    QueryErrors say what is missing or wrong, without repeating what was sent.
    """

    store: IncidentStore
    trail: Trail

    def record(self, report: FraudReport, by: str) -> bool:
        """Store a fraud case; return whether it says anything new.

        It is written to the audit log first, without the pseudonym. Raises QueryError if the day,
        the scam or the loss is invalid, or if the customer is not in the incident or was erased.
        """
        _require_loss(report)
        self._require_contact(report)
        self._require_customer(report)
        incident = report.incident.id if report.incident else ""
        whose = {"tenant": report.tenant, "incident": incident, "subject": report.subject}
        where = DocumentFilter({name: (value,) for name, value in whose.items()})
        former = find_last_reports(self.store.scroll(FraudCase, where))
        members = report.as_members()
        if former and former[-1].model_dump(include=set(members)) == members:
            return False
        digest = hashlib.sha256(
            repr((former[-1].id if former else "", *members.values())).encode()
        ).hexdigest()[:16]
        at = ensure_after(self.trail.clock.now(), (case.at for case in former))
        case = FraudCase.model_validate(
            {"id": ":".join((*whose.values(), digest)), "at": at, "by": by, **whose, **members}
        )
        target = f"incident {incident}: {report.outcome}" if incident else report.outcome
        self.trail.append("outcome.report", target, actor=by, tenant=report.tenant)
        return self.store.create([case]) == [True]

    def _require_contact(self, report: FraudReport) -> None:
        if in_range(datetime.combine(report.first_contact, time(), UTC)) is None:
            raise QueryError("invalid day: enter the day of first contact", "first_contact")
        # the reporter's day may be a day ahead of UTC
        latest = (self.trail.clock.now() + timedelta(hours=14)).date()
        if report.first_contact > latest:
            raise QueryError(
                "this day is in the future: enter the day of first contact", "first_contact"
            )
        if report.scam and report.scam not in list_scams():
            raise QueryError(
                Phrase(
                    "unknown scam: choose one of %(scams)s, or leave it out",
                    scams=", ".join(list_scams()),
                ),
                "scam",
            )

    def _require_customer(self, report: FraudReport) -> None:
        incident = report.incident
        if incident is None:
            if is_customer_erased(
                self.store, report.tenant, report.subject, self.trail.clock.now()
            ):
                raise QueryError("this customer was erased: do not report them", "pseudonym")
            return
        if incident.part_of:
            raise QueryError(
                Phrase(
                    "this incident is part of %(other)s: report on that one instead",
                    other=incident.part_of,
                ),
                "incident",
            )
        there = self.store.mget(
            Exposure, [exposure_id(member, report.subject) for member in incident.family]
        )
        # an erased or expired customer must not be stored again
        if not there:
            raise QueryError(
                "no customer with that pseudonym is in this incident, or the data has"
                " expired: check the pseudonym",
                "pseudonym",
            )


def _require_loss(report: FraudReport) -> None:
    """Raise QueryError unless outcome, amount, currency and band fit together."""
    if report.outcome == "none" and (report.amount is not None or report.band):
        raise QueryError(
            "an amount is recorded only with fraud: remove it, or report fraud",
            "amount" if report.amount is not None else "band",
        )
    has_amount = report.amount is not None
    if has_amount != bool(report.currency) or (has_amount and report.band):
        raise QueryError(
            "enter an amount in minor units with its currency, or a band, or neither",
            "amount",
            "currency",
            "band",
        )


def list_scams() -> list[str]:
    """Return the ids of the scams that the shipped rules know, sorted."""
    return sorted(scenario.id for scenario in load_verdict_rules().scenario)
