"""Whether rows agree with our own records as only our own rows would.

A row agrees when two of its fields are the same customer's. That never happens by chance, but it does in a list of another
platform: whoever is a customer of both stands in it with the same name and number. Of such a list about as many rows agree
as there are customers in the population, or some times more, since it is no random list. So rows of ours are told
by their share, for which the bounds are ours (uncalibrated): 3 %, three times the base rate, and half its square root, which
asks 3.8 % of a platform of 10 million customers among 1.8 billion numbers, 8 % of 50 million, and half of 300 million.

Below that, real rows may have been padded with made-up ones. Those match by their numbers alone, at the base rate, and never
agree. So where more rows match without agreeing than a list of another platform would have, and no more than chance gives,
they are taken off, and what is left is judged. Rows are judged a set of fields at a time as well: what was added from elsewhere
has other fields.
"""

from __future__ import annotations

import math

from ullage.verdict.facts import Facts
from ullage.verdict.rules import OriginRules
from ullage.verdict.tails import binomial_tail

CERTAIN = 1e-3
"""Against as many by chance, and only so strict because the shares above are asked as well."""
DOUBT = 0.05


def odds(share: float) -> float:
    """The odds of a share; of all, as good as infinite."""
    return share / (1.0 - share) if share < 1.0 else math.inf


def threshold(chance: float, rules: OriginRules) -> float:
    """The share half way, in odds, between what chance gives and what of our own rows still agrees."""
    between = math.sqrt(odds(chance) * rules.stale)
    return between / (1.0 + between) if math.isfinite(between) else 1.0


def agrees(facts: Facts, rules: OriginRules) -> bool:
    """Whether the rows, all or those of one set of fields, are ours."""
    sets = [(group.rows, group.matched, group.corroborated) for group in facts.groups]
    sets.append((facts.rows, facts.matched_rows, facts.corroborated_rows))
    asked = max(2.0, rules.corroborated * facts.rows)
    return any(_agree(*counts, facts.chance, len(sets), rules) for counts in sets if counts[2] >= asked)


def _agree(rows: int, matched: int, agreeing: int, chance: float, sets: int, rules: OriginRules) -> bool:
    """Whether so many of `rows` agree as only ours do; `sets` comparisons are made."""
    if agreeing / rows >= max(rules.corroborated, 3 * chance, math.sqrt(chance) / 2):
        return binomial_tail(rows, agreeing, chance) * sets < CERTAIN
    rest = matched - agreeing
    padded = binomial_tail(matched, rest, 1.0 - rules.agree) < DOUBT
    made_up = min(rows - agreeing, (rest + 2 * math.sqrt(rest)) / chance) if chance else 0.0
    real = round(rows - made_up)
    likely = agreeing / max(1, real) >= threshold(chance, rules)
    return padded and likely and binomial_tail(real, agreeing, chance) * sets < CERTAIN
