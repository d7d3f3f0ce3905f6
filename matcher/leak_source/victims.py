"""The likelihood of victims alone: reported fraud, without a post.

The density is that of posts; θ is the attributable share. A chance victim's exposure comes from the
whole population by stratum, weighted by the excess of earlier cases (`background`). Conditional on
the stratum, exposed victims are binomial with pψ/(1−p+pψ), which conditional logistic regression
approximates. How many fall victim in a season drops out.

Only a victim whose first contact is not before the transfer counts as exposed to it. Windows must
be fixed beforehand; each further window that is tried counts as one more candidate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from matcher.leak_source.candidates import Memberships, count_rows
from matcher.leak_source.density import Density, PairCounts, average
from matcher.leak_source.evidence import score_fields
from matcher.leak_source.excess import OddsRatio, pool_odds, score_excess
from matcher.leak_source.hypotheses import Scores
from matcher.leak_source.numerics import Floats, damp

CORRELATION = 0.01
"""Victims depend on one another (families, one caller's list); at most 100 count."""
CANDIDATE_SHARES = np.array(
    [0.05, 0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.3, 0.1]
)
"""Prior of θ for a candidate, at the values of `THETA`: about even from 0.3 to 0.9."""
UNLISTED_SHARES = np.array([1.0] * 4 + [0.6, 0.15, 0.035] + [0.008] * 5 + [0.004] * 2)
"""Prior of θ for an unlisted source that overlaps with a candidate: mostly below 0.25.

Its tail decides how much a candidate can be told from "a platform most of whose victims are also
the candidate's", which no number of victims separates.
"""


@dataclass(frozen=True)
class Victims:
    """Customers who reported fraud, in the order of their reports."""

    customers: npt.NDArray[np.int64]
    first_contact: npt.NDArray[np.int64] | None = None
    """Day of first contact of each; without it, no window applies."""
    fields: frozenset[str] = frozenset()
    """What most callers knew."""


@dataclass(frozen=True)
class VictimModel:
    """The likelihood of victims for one table of memberships and one background."""

    members: Memberships
    density: Density

    @classmethod
    def from_exposure(cls, members: Memberships, chance: Floats) -> VictimModel:
        """Build the model from the exposure by chance; see `background.weigh_exposure`."""
        return cls(members, Density(chance))

    def expose(self, victims: Victims) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """Return whether each victim was exposed to each candidate, and was in its window.

        The second has one column for all candidates where no day is known.
        """
        rows = self.members.rows(victims.customers)
        if victims.first_contact is None:
            return rows, np.ones((len(rows), 1), np.bool_)
        first_days = np.array([c.first_day for c in self.members.candidates])
        window = victims.first_contact[:, None] >= first_days
        return rows & window, window

    def score(self, victims: Victims) -> Scores:
        """Return the likelihoods of victims for each candidate, for pairs and for none of these.

        A candidate that cannot be examined has -inf.
        """
        rows, window = self.expose(victims)
        strata = self.members.strata[victims.customers]
        counts, present = count_rows(rows, strata)
        inside, _ = count_rows(window, strata)
        power = damp(len(rows), CORRELATION)
        density = self.density.score(counts, present, len(rows))
        cases = average(density, power, CANDIDATE_SHARES)
        cases[list(self.members.unexaminable)] = -np.inf
        recorded = frozenset[str]().union(*(c.fields for c in self.members.candidates))
        fields = np.array(
            [
                score_fields(victims.fields, c.fields, recorded) if victims.fields else 0.0
                for c in self.members.candidates
            ]
        )
        singles = cases + fields
        pairs = self.density.find_pairs(rows, strata, singles)
        places = np.searchsorted(present, strata)
        return Scores(
            rows=len(rows),
            singles=singles,
            unlisted=average(density, power, UNLISTED_SHARES),
            pairs=tuple(pairs),
            pair_scores=np.array(
                [
                    self.density.score_pair(
                        PairCounts.count(rows, places, present, pair), power, CANDIDATE_SHARES
                    )
                    + float(min(fields[list(pair)]))
                    for pair in pairs
                ]
            ),
            log_e=score_excess(counts, inside, self.density.exposure[present]),
            parts={"customers": cases, "fields": fields},
        )

    def pool_odds(self, victims: Victims, candidate: int) -> OddsRatio | None:
        """Return Mantel-Haenszel's odds ratio of a candidate, with the population as controls.

        Only victims in its window count. Returns None where the ratio is not defined.
        """
        rows, window = self.expose(victims)
        inside = np.broadcast_to(window, rows.shape)[:, candidate]
        strata = self.members.strata[victims.customers[inside]]
        counts, present = count_rows(rows[inside][:, [candidate]], strata)
        totals = np.bincount(strata, minlength=len(self.members.stratum_sizes))[present]
        sizes = self.members.sizes[present, candidate]
        exposed = counts[:, 0]
        return pool_odds(
            exposed,
            totals - exposed,
            sizes - exposed,
            self.members.stratum_sizes[present] - sizes - (totals - exposed),
        )
