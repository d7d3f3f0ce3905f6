"""Record outcomes of fraud, and count them for an incident.

A fraud system reports outcomes by customer pseudonym; the last one per customer counts. Nothing is
known of customers without a report, so every number is a lower limit.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from alerts.records import (
    Band,
    Exposure,
    Fraud,
    FraudOutcome,
    Incident,
    exposure_id,
)
from alerts.records.document import QueryError
from alerts.store import DocumentFilter, IncidentStore
from ullage.audit import Trail
from ullage.clock import ensure_after, in_range
from ullage.phrase import Phrase

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
        """Return the numbers of customers by outcome, the loss rate and the losses as JSON."""
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
    """Count the customers of an incident by the outcome of their fraud cases, and add up losses.

    Incidents merged into this one are included. The latest outcome of each customer counts. Losses
    are per currency, in minor units; only reported amounts are added.
    """
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
        """Store the outcome of a fraud case of one customer; return whether anything was stored.

        False means that the customer's latest outcome is already this one. An audit log entry is
        written first. `subject` is the customer's pseudonym, `amount` is in minor units of
        `currency`. Raises QueryError if amount, currency and band do not fit together, or the
        customer is not in the incident.
        """
        self._require(incident, subject, happened_at)
        if outcome == "none" and (amount is not None or band):
            raise QueryError(
                "an amount is recorded only with fraud: remove it, or report fraud",
                "amount" if amount is not None else "band",
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
                (
                    "no customer with that pseudonym is in this incident, or the data has"
                    " expired: check the pseudonym"
                ),
                "pseudonym",
            )
