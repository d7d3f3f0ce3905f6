"""The density that posts and victims share: how well one source, or two, explain customers.

A share θ of the customers came from the candidate, the others by chance. Relative to chance alone,
a customer of stratum x has the density

    (1 − θ)·(1 + s·[i ∈ c] / p_cx)    with s = θ / (1 − θ)

where p_cx is the probability that a customer met by chance in stratum x is the candidate's. So
only counts by stratum matter. Dividing by p_cx makes the smaller of two lists win that both hold
all customers (size principle: Tenenbaum and Griffiths, Behavioral and Brain Sciences 24, 2001).
Asking for each recipient how probable the leaked set is if it was the source goes back to
Papadimitriou and Garcia-Molina (IEEE TKDE 23(1), 2011).

Two sources c and d add: 1 + s_c·[i ∈ c]/p_cx + s_d·[i ∈ d]/p_dx, divided by 1 + s_c + s_d.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from matcher.leak_source.candidates import count_rows
from matcher.leak_source.numerics import Array, Floats, log_sum

THETA = np.array([0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.97, 0.995])
"""Values of θ over which likelihoods are summed."""
ODDS: Floats = THETA / (1 - THETA)
LOG_REST: Floats = np.log1p(-THETA)
IN_PAIRS = np.array([2, 4, 6, 7, 9, 11, 12, 13])
"""Places in `THETA` whose odds are combined for two sources."""
LEAST_EXPOSURE = 1e-7
ANCHORS, PARTNERS = 5, 5
"""Two sources are looked for among 25 pairs: the best candidates, each with those that best explain
what it leaves over.
"""
FOR_PARTNERS = 2_000
"""Customers by which partners are chosen."""


@dataclass(frozen=True)
class Density:
    """The density for given exposures by chance, f64[strata, candidates]."""

    exposure: Floats

    @cached_property
    def _gain(self) -> npt.NDArray[np.float32]:
        """Gain of a customer whom the candidate had: log(1 + s/p), f32[θ, strata, candidates]."""
        inverse = 1 / np.maximum(self.exposure, LEAST_EXPOSURE)
        return np.log1p(ODDS[:, None, None] * inverse).astype(np.float32)

    def score(self, counts: Array, present: Array, rows: int) -> Floats:
        """Return the log likelihood ratio to chance of each θ and candidate.

        `counts` has the candidates' customers in each of the `present` strata, of `rows` in all.
        """
        everywhere = len(present) == len(self.exposure)
        gain = self._gain if everywhere else self._gain[:, present]
        explained = np.einsum("xc,txc->tc", counts.astype(np.float32), gain)
        return np.asarray(explained + rows * LOG_REST[:, None], np.float64)

    def find_pairs(
        self, rows: npt.NDArray[np.bool_], strata: Array, singles: Floats
    ) -> list[tuple[int, int]]:
        """Return the pairs to examine, the smaller number first, without repetition.

        For each of the ANCHORS (5) best candidates, the PARTNERS (5) that best explain what it
        leaves over are taken, judged by a sample of about FOR_PARTNERS (2,000) rows. `singles` has
        the score of each candidate; -inf takes no part.
        """
        step = max(1, len(rows) // FOR_PARTNERS)
        rows, strata = rows[::step], strata[::step]
        pairs = dict[tuple[int, int], None]()
        examinable = np.isfinite(singles)
        for anchor in np.argsort(-singles)[:ANCHORS].tolist():
            unexplained = ~rows[:, anchor]
            counts, present = count_rows(rows[unexplained], strata[unexplained])
            scores = self.score(counts, present, int(unexplained.sum())).max(axis=0)
            scores[~examinable] = -np.inf
            scores[anchor] = -np.inf
            for partner in np.argsort(-scores)[:PARTNERS].tolist():
                if np.isfinite(scores[partner]) and examinable[anchor]:
                    pairs[min(anchor, partner), max(anchor, partner)] = None
        return list(pairs)

    def score_pair(
        self, shared: PairCounts, power: float, weights: Floats, correction: float = 0.0
    ) -> float:
        """Return the log likelihood ratio to chance of two sources, averaged over their shares.

        `shared` are the counts of rows by stratum: in the first, the second and both. The prior of
        a pair of shares is that of their sum, `weights` at the values of `THETA`. `correction` is
        added to the density, before it is raised to `power`.
        """
        c, d = shared.pair
        only_c = self._gain[IN_PAIRS[:, None], shared.present, c] @ shared.only_first
        only_d = self._gain[IN_PAIRS[:, None], shared.present, d] @ shared.only_second
        odds = ODDS[IN_PAIRS]
        total = only_c[:, None] + only_d[None, :]
        joint = np.flatnonzero(shared.in_both)
        if len(joint):
            places = shared.present[joint]
            floor = np.maximum(self.exposure[places][:, [c, d]], LEAST_EXPOSURE)
            first, second = odds[:, None] / floor[:, 0], odds[:, None] / floor[:, 1]
            total = total + np.log1p(first[:, None] + second[None, :]) @ shared.in_both[joint]
        sums = odds[:, None] + odds[None, :]
        total = (total - shared.rows * np.log1p(sums) + correction) * power
        prior = np.interp(sums / (1 + sums), THETA, weights)
        return float(log_sum((total + np.log(prior / prior.sum())).ravel()))


@dataclass(frozen=True, slots=True)
class PairCounts:
    """Customers of two candidates by stratum: of the first alone, the second alone, of both."""

    pair: tuple[int, int]
    present: npt.NDArray[np.int64]
    only_first: Floats
    only_second: Floats
    in_both: Floats
    rows: int

    @classmethod
    def count(
        cls, rows: npt.NDArray[np.bool_], places: Array, present: Array, pair: tuple[int, int]
    ) -> PairCounts:
        """Count `rows`, whose strata are at `places` in `present`."""
        first, second = rows[:, pair[0]], rows[:, pair[1]]

        def count(chosen: npt.NDArray[np.bool_]) -> Floats:
            return np.bincount(places[chosen], minlength=len(present)).astype(np.float64)

        return cls(
            pair,
            np.asarray(present, np.int64),
            count(first & ~second),
            count(second & ~first),
            count(first & second),
            len(rows),
        )


def average(scores: Floats, power: float, weights: Sequence[float] | Floats) -> Floats:
    """Return the log likelihood of each candidate, averaged over θ with prior `weights`.

    `scores` is f64[θ, candidates]; each is raised to `power` first (see `numerics.damp`).
    """
    prior = np.log(np.asarray(weights) / np.sum(weights))
    return log_sum(scores * power + prior[:, None], axis=0)
