"""Compute exact tails, and tell rows of our records from rows of another platform.

A row agrees when two of its fields are the same customer's. That never happens by chance, but it
does in a list of another platform: a customer of both is in it with the same name and number, and a
rival lender shares 8 to 25 of a hundred with us. So rows are ours only if at least half agree; or
twice the share that was measured in others' lists, if the tenant measured it; or a hundred times
its share of the market. All three are ours (uncalibrated).

Below that, real rows may have been padded with invented ones. Those match by their numbers alone,
at the base rate, and never agree. So if rows match without agreeing exactly as often as chance
gives, and more often than in a list of another platform, they are subtracted, and the remaining
rows are judged. Rows are also judged per set of fields: rows added from elsewhere have other
fields.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from ullage.verdict.facts import VerdictFacts
from ullage.verdict.rules import OriginRules


def binomial_tail(trials: int, successes: int, chance: float) -> float:
    """Return P(at least `successes` of `trials`) with probability `chance` each.

    Exact to float precision, summed away from the nearest term.
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
            _sum_series(
                _log_binomial(trials, successes, chance),
                (odds * (trials - k) / (k + 1) for k in range(successes, trials)),
            ),
        )
    below = successes - 1
    return max(
        0.0,
        1.0
        - _sum_series(
            _log_binomial(trials, below, chance),
            (k / (trials - k + 1) / odds for k in range(below, 0, -1)),
        ),
    )


def hypergeometric_tail(population: int, marked: int, drawn: int, seen: int) -> float:
    """Return P(at least `seen` marked among `drawn`), drawn without replacement.

    Of a `population`, `marked` are marked.
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
            1.0,
            _sum_series(
                _log_hypergeometric(population, marked, drawn, seen), map(up, range(seen, highest))
            ),
        )
    below = seen - 1
    ratios = (1.0 / up(k - 1) for k in range(below, lowest, -1))
    return max(
        0.0, 1.0 - _sum_series(_log_hypergeometric(population, marked, drawn, below), ratios)
    )


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def _log_binomial(trials: int, k: int, chance: float) -> float:
    """Return the natural logarithm of P(exactly `k`)."""
    return _log_choose(trials, k) + k * math.log(chance) + (trials - k) * math.log1p(-chance)


def _log_hypergeometric(population: int, marked: int, drawn: int, k: int) -> float:
    """Return the natural logarithm of P(exactly `k` marked)."""
    return (
        _log_choose(marked, k)
        + _log_choose(population - marked, drawn - k)
        - _log_choose(population, drawn)
    )


def _sum_series(log_first: float, ratios: Iterable[float]) -> float:
    """Sum a falling series.

    Its first term is exp(`log_first`), and each next term is scaled by a ratio. Terms are kept as
    multiples of the first, which may be below the smallest number; a sum of such terms would
    not end.
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
"""Probability limit for chance; strict only because the shares above are required as well."""
DOUBT = 0.05
ENOUGH = 1000
"""Matches that agree in nothing, from which their share is precise enough to exclude a rival's
list.
"""
INVENTED = 0.001
"""The least probability that chance gives as many matches as the invented rows have."""


def to_odds(share: float) -> float:
    """Return the odds of a share; infinite for 1."""
    return share / (1.0 - share) if share < 1.0 else math.inf


def compute_threshold(chance: float, rules: OriginRules) -> float:
    """Return the share half way, in odds, between chance and the agreement of stale own rows."""
    between = math.sqrt(to_odds(chance) * rules.stale)
    return between / (1.0 + between) if math.isfinite(between) else 1.0


def compute_required_share(facts: VerdictFacts, rules: OriginRules) -> float:
    """Return from which share of agreeing rows (0 to 1) all rows count as the tenant's own.

    A measured overlap with other platforms takes precedence over the market share.
    """
    if facts.overlap:
        return min(1.0, rules.overlaps * facts.overlap)
    return (
        min(rules.share, rules.markets * facts.market_share) if facts.market_share else rules.share
    )


def are_rows_ours(facts: VerdictFacts, rules: OriginRules) -> bool:
    """Return whether all rows, or all rows with one set of fields, are the tenant's records.

    If rows list several people each, people are counted in place of rows.
    """
    sets = [(group.rows, group.matched, group.corroborated) for group in facts.groups]
    sets.append((facts.rows, facts.matched_rows, facts.corroborated_rows))
    if facts.crowded:
        people, agreeing = facts.crowded
        sets = [(people, min(people, facts.matched), agreeing)]
    required = max(2.0, rules.corroborated * max(facts.rows, *(rows for rows, _, _ in sets)))
    return any(
        _do_rows_agree(*counts, facts, len(sets), rules) for counts in sets if counts[2] >= required
    )


def _do_rows_agree(
    rows: int, matched: int, agreeing: int, facts: VerdictFacts, sets: int, rules: OriginRules
) -> bool:
    """Return whether so many of `rows` agree that they must be ours.

    The share that agrees must be large enough, and so many by chance improbable (below CERTAIN
    (0.001)), even after `sets` comparisons. Where the share is too small, rows that look invented
    are subtracted first, and the share must then be larger.
    """
    chance, share = facts.chance, compute_required_share(facts, rules)
    required = max(share, min(1.0, 3 * chance), math.sqrt(chance) / 2)
    real = rows
    if agreeing / rows < required:
        real = _subtract_invented(rows, matched, agreeing, chance, rules)
        required = max(required, compute_threshold(chance, rules))
    return (
        agreeing / max(1, real) >= required
        and binomial_tail(real, agreeing, chance) * sets < CERTAIN
    )


def _subtract_invented(
    rows: int, matched: int, agreeing: int, chance: float, rules: OriginRules
) -> int:
    """Return the rows without invented ones; all of them if that is uncertain."""
    unconfirmed = matched - agreeing
    as_chance = (
        unconfirmed >= ENOUGH and binomial_tail(rows - agreeing, unconfirmed, chance) >= INVENTED
    )
    padded = binomial_tail(matched, unconfirmed, 1.0 - rules.agree) < DOUBT
    if not (chance and as_chance and padded):
        return rows
    return round(rows - min(rows - agreeing, (unconfirmed + 2 * math.sqrt(unconfirmed)) / chance))
