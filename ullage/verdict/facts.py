"""What a verdict is drawn from: counts, labels and dates; no value, no tag."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import NamedTuple


class Reason(NamedTuple):
    """One line of an explanation. `points` is what it added (0 for what only informs); `evidence` holds counts and labels."""

    code: str
    points: int
    evidence: str


@dataclass(frozen=True, slots=True)
class Facts:
    """Facts of one incident or one file, for one tenant.

    `groups` maps a set of field labels to the matched customers' rows with exactly these fields. `circulation` is how many
    numbers are in use in the tenant's market, `watchlist` how many customers it has enrolled.
    """

    today: date
    customers: int
    rows: int
    matched_rows: int
    corroborated_rows: int
    groups: Mapping[frozenset[str], int]
    watchlist: int
    circulation: float
    candidates: Mapping[str, int] = field(default_factory=dict)
    matched_kinds: Mapping[str, int] = field(default_factory=dict)
    failures: Mapping[str, int] = field(default_factory=dict)
    longest_run: int = 0
    newest_date: date | None = None
    sites: int = 1
    brand: bool = False
    terms: tuple[str, ...] = ()
    alarm: bool = False
    logins: int = 0

    @property
    def fields(self) -> frozenset[str]:
        """Every label in any matched row."""
        return frozenset().union(*self.groups)


def chance_matches(facts: Facts) -> float:
    """Phones that a random list of this length would match: valid phones × enrolled customers ÷ numbers in circulation."""
    return facts.candidates.get("phone", 0) * min(1.0, facts.watchlist / facts.circulation)


def in_words(number: float) -> str:
    """A small number as a person reads it: `fewer than 0.01`, `0.32`, `12`."""
    return "fewer than 0.01" if number < 0.01 else f"{number:.2g}" if number < 10 else f"{number:,.0f}"


def binomial_tail(trials: int, successes: int, chance: float) -> float:
    """P(at least `successes` of `trials`) with `chance` each, exact to float precision, summed away from the nearest term."""
    if successes <= 0:
        return 1.0
    if chance <= 0.0 or successes > trials:
        return 0.0
    if chance >= 1.0:
        return 1.0
    odds = chance / (1.0 - chance)
    if successes > trials * chance:
        return min(
            1.0, _sum(_log_term(trials, successes, chance), (odds * (trials - k) / (k + 1) for k in range(successes, trials)))
        )
    below = successes - 1
    return max(0.0, 1.0 - _sum(_log_term(trials, below, chance), (k / (trials - k + 1) / odds for k in range(below, 0, -1))))


def _log_term(trials: int, k: int, chance: float) -> float:
    """Natural logarithm of P(exactly `k`)."""
    choose = math.lgamma(trials + 1) - math.lgamma(k + 1) - math.lgamma(trials - k + 1)
    return choose + k * math.log(chance) + (trials - k) * math.log1p(-chance)


def _sum(log_first: float, ratios: Iterable[float]) -> float:
    """Sum of a series whose first term is exp(`log_first`) and each next is the one before times its ratio."""
    term = total = math.exp(log_first)
    for ratio in ratios:
        term *= ratio
        total += term
        if term < total * 1e-17:
            break
    return total
