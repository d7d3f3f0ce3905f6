"""What came of fraud cases of customers in an incident: how many were defrauded, of how many, and how much is gone.

A fraud system reports outcomes by handle. The last of a customer counts. Of customers of whom nothing was reported nothing is
known, so every number is "at least".
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from alerts.records import Band, Exposure, Fraud, FraudOutcome, Incident, exposure_id
from alerts.store import DocumentFilter, IncidentStore, QueryError
from ullage.audit import Trail
from ullage.clock import behind, in_range
from ullage.phrase import Phrase

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
        """Share of the customers who lost money, at least, 0 to 1; None where nothing was reported."""
        return self.outcomes["loss"] / self.customers if self.customers and self.reported else None

    @property
    def losses(self) -> tuple[str, ...]:
        """What was lost, by currency in its minor units, and by bands in CNY, as a person reads it."""
        sums = (_shown(amount, name) for name, amount in sorted(self.lost.items()))
        return (*sums, *(f"{count:,} × {BANDS[name]} CNY" for name, count in sorted(self.bands.items())))

    def as_json(self) -> dict[str, Any]:
        """As programs read it."""
        counts = {name: self.outcomes[name] for name in ("loss", "prevented", "none")}
        shared = {"customers": self.customers, "reported": self.reported, **counts, "loss_rate": self.loss_rate}
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
    return FraudTally(max(incident.customers, len(last)), outcomes, lost, Counter(one.band for one in losses if one.band))


def _last(outcomes: Iterable[FraudOutcome]) -> dict[str, FraudOutcome]:
    """The last outcome of each customer."""
    return {one.subject: one for one in sorted(outcomes, key=lambda one: (one.at, one.id))}


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Where outcomes are reported. QueryError says what is missing or wrong, without repeating what was sent."""

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
            raise QueryError("without fraud there is no amount")
        if (amount is None) != (not currency) or (amount is not None and band):
            raise QueryError("enter an amount in minor units with its currency, or a band, or neither")
        said = {"outcome": outcome, "happened_at": happened_at, "amount": amount, "currency": currency, "band": band or ""}
        former = list(self.store.scroll(FraudOutcome, DocumentFilter({"incident": (incident.id,), "subject": (subject,)})))
        last = _last(former).get(subject)
        if last is not None and last.model_dump(include=set(said)) == said:
            return False
        digest = hashlib.sha256(repr((last.id if last else "", *said.values())).encode()).hexdigest()[:16]
        at = behind(self.trail.clock.now(), (one.at for one in former))
        whose = {"tenant": incident.tenant, "incident": incident.id, "subject": subject}
        made = FraudOutcome.model_validate({"id": f"{incident.id}:{subject}:{digest}", "at": at, "by": by, **whose, **said})
        self.trail.append("outcome.report", f"incident {incident.id}: {outcome}", actor=by, tenant=incident.tenant)
        return self.store.create([made]) == [True]

    def _require(self, incident: Incident, subject: str, happened_at: datetime) -> None:
        if incident.part_of:
            raise QueryError(Phrase("it is part of %(other)s: report on that one instead", other=incident.part_of))
        if in_range(happened_at) is None:
            raise QueryError("invalid time: enter when it happened")
        if happened_at > self.trail.clock.now():
            raise QueryError("this time is in the future: enter when it happened")
        there = self.store.mget(Exposure, [exposure_id(one, subject) for one in incident.family])
        if not there:  # somebody who was erased, or is not kept any longer, does not come back this way
            raise QueryError("no customer with that pseudonym is in this incident, or the data has expired")
