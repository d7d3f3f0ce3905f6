"""Compute exact tails, and tell rows of our records from rows of another platform.

A row agrees when two of its fields are the same customer's. That never happens by chance, but it
does in a list of another platform: whoever is a customer of both stands in it with the same name
and number, and a rival lender shares 8 to 25 of a hundred with us. So rows are ours only from half
of them on; from twice the share that was measured in others' lists, where the tenant measured it;
or from a hundred times its share of the market. All three are ours (uncalibrated).

Below that, real rows may have been padded with invented ones. Those match by their numbers alone,
at the base rate, and never agree. So where rows match without agreeing as often as chance gives, no
more, and more often than a list of another platform would, they are taken off, and what is left is
judged. Rows are judged a set of fields at a time as well: what was added from elsewhere has other
fields.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from ullage.verdict.facts import VerdictFacts
from ullage.verdict.rules import OriginRules


def binomial_tail(trials: int, successes: int, chance: float) -> float:
    """P(at least `successes` of `trials`) with `chance` each, exact to float precision, summed
    away from the nearest term.
    """
    if successes <= 0:
        return 1.0
    if chance <= 0.0 or successes > trials:
        return 0.0
    if chance >= 1.0:
        return 1.0
    odds = chance / (1.0 - chance)
    if successes > trials * chance:
        return min(
            1.0,
            _sum(
                _log_term(trials, successes, chance),
                (odds * (trials - k) / (k + 1) for k in range(successes, trials)),
            ),
        )
    below = successes - 1
    return max(
        0.0,
        1.0
        - _sum(
            _log_term(trials, below, chance),
            (k / (trials - k + 1) / odds for k in range(below, 0, -1)),
        ),
    )


def hypergeometric_tail(population: int, marked: int, drawn: int, seen: int) -> float:
    """P(at least `seen` marked among `drawn`), drawn without return from a `population` of which
    `marked` are marked.
    """
    lowest, highest = max(0, drawn - (population - marked)), min(drawn, marked)
    if seen <= lowest:
        return 1.0
    if seen > highest:
        return 0.0

    def up(k: int) -> float:
        return (marked - k) * (drawn - k) / ((k + 1) * (population - marked - drawn + k + 1))

    if seen > drawn * marked / population:
        return min(
            1.0, _sum(_log_draw(population, marked, drawn, seen), map(up, range(seen, highest)))
        )
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
    return (
        _log_choose(marked, k)
        + _log_choose(population - marked, drawn - k)
        - _log_choose(population, drawn)
    )


def _sum(log_first: float, ratios: Iterable[float]) -> float:
    """Sum of a falling series whose first term is exp(`log_first`) and each next is the one before
    times its ratio.

    Terms are kept as multiples of the first: that itself may be less than the least number, and a
    sum of such terms has no end.
    """
    term = total = 1.0
    first = math.exp(log_first)
    for ratio in ratios if first else ():
        term *= ratio
        total += term
        if term < total * 1e-17:
            break
    return first * total


CERTAIN = 1e-3
"""Against as many by chance, and only so strict because the shares above are asked as well."""
DOUBT = 0.05
ENOUGH = 1000
"""Matches that agree in nothing, from which their share is known so well that a rival's list
hardly ever has the same.
"""
INVENTED = 0.001
"""The least probability that chance gives as many matches as the invented rows have."""


def odds(share: float) -> float:
    """The odds of a share; of all, as good as infinite."""
    return share / (1.0 - share) if share < 1.0 else math.inf


def threshold(chance: float, rules: OriginRules) -> float:
    """The share half way, in odds, between what chance gives and what of our own rows still
    agrees.
    """
    between = math.sqrt(odds(chance) * rules.stale)
    return between / (1.0 + between) if math.isfinite(between) else 1.0


def share_of_ours(facts: VerdictFacts, rules: OriginRules) -> float:
    """The share of rows from which they are ours.

    What was measured goes before what the market's size suggests.
    """
    if facts.overlap:
        return min(1.0, rules.overlaps * facts.overlap)
    return (
        min(rules.share, rules.markets * facts.market_share) if facts.market_share else rules.share
    )


def agrees(facts: VerdictFacts, rules: OriginRules) -> bool:
    """Whether the rows, all or those of one set of fields, are ours; the people in them where
    there are several a row.
    """
    sets = [(group.rows, group.matched, group.corroborated) for group in facts.groups]
    sets.append((facts.rows, facts.matched_rows, facts.corroborated_rows))
    if facts.crowded:
        people, agreeing = facts.crowded
        sets = [(people, min(people, facts.matched), agreeing)]
    asked = max(2.0, rules.corroborated * max(facts.rows, *(rows for rows, _, _ in sets)))
    return any(_agree(*counts, facts, len(sets), rules) for counts in sets if counts[2] >= asked)


def _agree(
    rows: int, matched: int, agreeing: int, facts: VerdictFacts, sets: int, rules: OriginRules
) -> bool:
    """Whether so many of `rows` agree as only ours do; `sets` comparisons are made."""
    chance, share = facts.chance, share_of_ours(facts, rules)
    asked = max(share, min(1.0, 3 * chance), math.sqrt(chance) / 2)
    real = rows
    if agreeing / rows < asked:
        real = _without_invented(rows, matched, agreeing, chance, rules)
        asked = max(asked, threshold(chance, rules))
    return (
        agreeing / max(1, real) >= asked and binomial_tail(real, agreeing, chance) * sets < CERTAIN
    )


def _without_invented(
    rows: int, matched: int, agreeing: int, chance: float, rules: OriginRules
) -> int:
    """Rows that are left when those are taken off that somebody invented; all of them where that
    is not sure.
    """
    rest = matched - agreeing
    as_chance = rest >= ENOUGH and binomial_tail(rows - agreeing, rest, chance) >= INVENTED
    padded = binomial_tail(matched, rest, 1.0 - rules.agree) < DOUBT
    if not (chance and as_chance and padded):
        return rows
    return round(rows - min(rows - agreeing, (rest + 2 * math.sqrt(rest)) / chance))
