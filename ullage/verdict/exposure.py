"""Exposure, 0 to 100: how the customers in it can be cheated, whoever leaked it. Never lowered by the base rate.

Base points of the worst scenario that the fields of one row allow (`scenarios.toml`), plus volume in units of the criminal
interpretation, freshness, spread and corroboration. Severity orders the work; a human's decision starts a duty.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib import resources

from ullage.fields import SERIOUS_AT, Field, class_of
from ullage.verdict.facts import Facts, Reason

STATUTORY_CUSTOMERS = 1_000_000
"""People from whom on CAC's measures of 2025-11-01 call an incident relatively large (较大)."""
VOLUME = ((0.1, 0), (1.0, 3), (10.0, 7), (100.0, 10))
ATF_29 = frozenset({Field.ORDER, Field.LOAN, Field.HEALTH, Field.BALANCE})
LOGIN_POINTS, MANY_LOGINS = 25, 50
"""Logins at a tenant's own sites in a stealer log: a takeover needs nothing more. Uncalibrated, as the severities are."""
HIGHEST_CLASS = frozenset({Field.PASSWORD, Field.CVV, Field.OTP})


@dataclass(frozen=True, slots=True)
class Scenario:
    """A way to cheat someone, and the fields of one row that allow it."""

    id: str
    points: int
    title: str
    title_zh: str
    every: frozenset[str]
    some: frozenset[str]

    def allowed_by(self, fields: frozenset[str]) -> bool:
        """Whether a row with `fields` is enough for it."""
        return self.every <= fields and (not self.some or bool(self.some & fields))


@dataclass(frozen=True, slots=True)
class Exposure:
    """The answer: `score` 0–100, `severity`, the worst `scenario` ("" when none), `unit` U and the reasons."""

    score: int
    severity: str
    scenario: str
    title: str
    title_zh: str
    unit: float
    reasons: tuple[Reason, ...]


@cache
def scenarios() -> tuple[Scenario, ...]:
    """Every scenario, the worst first."""
    text = (resources.files(__package__) / "scenarios.toml").read_text(encoding="utf-8")
    rows = tomllib.loads(text)["scenario"]
    found = [
        Scenario(r["id"], r["points"], r["title"], r["title_zh"], frozenset(r.get("all", ())), frozenset(r.get("any", ())))
        for r in rows
    ]
    return tuple(sorted(found, key=lambda s: -s.points))


def severity_unit(facts: Facts) -> float:
    """U = nA/50 + nB/500 + nC/5000 over the matched customers, one class each, by share of the rows.

    The divisors are those of 法释〔2017〕10 art. 5(1), used as an index.
    """
    rows = sum(facts.groups.values())
    if not rows:
        return 0.0
    return sum(facts.customers * n / rows / SERIOUS_AT[class_of(fields)] for fields, n in facts.groups.items())


def judge_exposure(facts: Facts) -> Exposure:
    """The exposure of the customers in `facts`, explained."""
    unit = severity_unit(facts)
    scenario = next((s for s in scenarios() if any(s.allowed_by(fields) for fields in facts.groups)), None)
    reasons = []
    if scenario is not None:
        reasons.append(
            Reason(
                scenario.id,
                scenario.points,
                f"{scenario.title}: {' '.join(sorted(scenario.every | scenario.some & facts.fields))}",
            )
        )
        reasons += [r for r in (_volume(unit, facts), _freshness(facts), _spread(facts), *_corroboration(facts)) if r]
    elif facts.alarm:
        reasons.append(Reason("J1", 20, "the post offers data of this brand; no customer matched"))
    if facts.logins:
        reasons.append(Reason("J2", LOGIN_POINTS, f"{facts.logins} logins at the tenant's own sites"))
    score = max(0, min(100, sum(r.points for r in reasons)))
    if facts.customers == 0:
        score = min(score, 45)
    named = (scenario.id, scenario.title, scenario.title_zh) if scenario else ("", "", "")
    return Exposure(score, _severity(facts, unit), *named, round(unit, 3), tuple(reasons))


def _volume(unit: float, facts: Facts) -> Reason:
    points = next((p for limit, p in VOLUME if unit < limit), 13)
    if facts.customers >= 1_000_000:
        points = 15
    return Reason("V", points, f"{facts.customers} customers, U = {unit:.2f}")


def _freshness(facts: Facts) -> Reason | None:
    if facts.newest_date is None:
        return None
    days = _days(facts.today, facts.newest_date)
    points = next((p for limit, p in ((7, 10), (30, 7), (90, 3), (365, 0), (3 * 365, -5)) if days <= limit), -10)
    return Reason("T", points, f"newest date in it is {days} days old")


def _days(today: date, then: date) -> int:
    return max(0, (today - then).days)


def _spread(facts: Facts) -> Reason | None:
    points = 4 if facts.sites >= 5 else 2 if facts.sites >= 2 else 0
    return Reason("R", points, f"seen on {facts.sites} sites") if points else None


def _corroboration(facts: Facts) -> list[Reason | None]:
    whole = facts.matched_rows and facts.corroborated_rows / facts.matched_rows >= 0.3
    statutory = sorted(ATF_29 & facts.fields)
    return [
        Reason("C1", 6, f"two or more fields of one customer in {facts.corroborated_rows} of {facts.matched_rows} rows")
        if whole
        else None,
        Reason("C3", 2, "the tenant's brand is named") if facts.brand else None,
        Reason("M1", 3, f"fields that Anti-Telecom and Online Fraud Law 29 names: {' '.join(statutory)}") if statutory else None,
        Reason("L1", 3, f"trade terms: {len(facts.terms)}") if facts.terms else None,
    ]


def _severity(facts: Facts, unit: float) -> str:
    """Severity classes: notice without a match or below U 0.1, then by U; a password or CVV of a customer is at least medium."""
    if facts.customers >= STATUTORY_CUSTOMERS:
        return "statutory"
    if facts.customers == 0:
        return "medium" if facts.logins >= MANY_LOGINS else "low" if facts.logins else "notice" if facts.alarm else "noise"
    grave = bool(HIGHEST_CLASS & facts.fields)
    if unit >= 10 or (grave and facts.customers >= 50):
        return "high"
    if unit >= 1 or grave:
        return "medium"
    return "low" if unit >= 0.1 or facts.corroborated_rows >= 2 else "notice"
