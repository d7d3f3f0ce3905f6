"""Exact probabilities of seeing at least so many, without scipy: sums of terms, each from the one before."""

from __future__ import annotations

import math
from collections.abc import Iterable


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


def hypergeometric_tail(population: int, marked: int, drawn: int, seen: int) -> float:
    """P(at least `seen` marked among `drawn`), drawn without return from a `population` of which `marked` are marked."""
    lowest, highest = max(0, drawn - (population - marked)), min(drawn, marked)
    if seen <= lowest:
        return 1.0
    if seen > highest:
        return 0.0

    def up(k: int) -> float:
        return (marked - k) * (drawn - k) / ((k + 1) * (population - marked - drawn + k + 1))

    if seen > drawn * marked / population:
        return min(1.0, _sum(_log_draw(population, marked, drawn, seen), map(up, range(seen, highest))))
    below = seen - 1
    ratios = (1.0 / up(k - 1) for k in range(below, lowest, -1))
    return max(0.0, 1.0 - _sum(_log_draw(population, marked, drawn, below), ratios))


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def _log_term(trials: int, k: int, chance: float) -> float:
    """Natural logarithm of P(exactly `k`)."""
    return _log_choose(trials, k) + k * math.log(chance) + (trials - k) * math.log1p(-chance)


def _log_draw(population: int, marked: int, drawn: int, k: int) -> float:
    """Natural logarithm of P(exactly `k` marked)."""
    return _log_choose(marked, k) + _log_choose(population - marked, drawn - k) - _log_choose(population, drawn)


def _sum(log_first: float, ratios: Iterable[float]) -> float:
    """Sum of a falling series whose first term is exp(`log_first`) and each next is the one before times its ratio.

    Terms are kept as multiples of the first: that itself may be less than the least number, and a sum of such terms has no end.
    """
    term = total = 1.0
    first = math.exp(log_first)
    for ratio in ratios if first else ():
        term *= ratio
        total += term
        if term < total * 1e-17:
            break
    return first * total
