"""From likelihoods to a posterior: one source, two sources, or none of these.

"None of these" has two parts: customers who came together by chance, and an **unlisted source
whose customers overlap with a candidate's**. Without the second, the partner that shares customers
with an unlisted platform is blamed for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from matcher.leak_source.candidates import Candidate
from matcher.leak_source.numerics import Floats, log_sum

PAIRS_PRIOR = 0.15
"""Prior probability that two of the candidates leaked."""
PAIR_STANDS_FOR = 8.0
"""Pairs whose prior an examined pair has: it stands for near copies of its members, too."""
NONE_PRIORS = (0.05, 0.2, 0.5)
"""Prior probabilities of "none of these" for which each posterior is shown."""
UNLISTED = 0.6
"""Share of "none of these" that is an unlisted source which overlaps with a candidate."""
LEVEL = 0.95


@dataclass(frozen=True)
class Scores:
    """Log likelihoods relative to chance, and what each piece of evidence adds."""

    rows: int
    """Matched customers, or victims."""
    singles: Floats
    """Of each candidate alone; -inf where it cannot be examined."""
    unlisted: Floats
    """Of an unlisted source that overlaps with each candidate."""
    pairs: tuple[tuple[int, int], ...]
    pair_scores: Floats
    log_e: Floats
    """Log e-value of each candidate: evidence that holds whatever the prior."""
    chance: float = 0.0
    """Of customers who came together by chance."""
    parts: Mapping[str, Floats] = field(default_factory=dict)
    """By piece of evidence: log likelihood of each candidate, which add up to `singles`."""


@dataclass(frozen=True)
class Posterior:
    """Probabilities of all examined hypotheses, for one prior."""

    hypotheses: tuple[tuple[int, ...], ...]
    """Numbers of the candidates in each; the empty one is "none of these"."""
    probability: Floats

    @property
    def none(self) -> float:
        """Return the probability of "none of these"."""
        return float(self.probability[0])

    def include(self, candidates: int) -> Floats:
        """Return for each candidate the probability that it leaked, alone or in a pair."""
        inclusion = np.zeros(candidates)
        for members, probability in zip(self.hypotheses, self.probability, strict=True):
            for member in members:
                inclusion[member] += probability
        return inclusion

    def credible_set(self, level: float = LEVEL) -> list[tuple[int, ...]]:
        """Return the fewest hypotheses whose probabilities reach `level`, most probable first."""
        order = np.argsort(-self.probability, kind="stable")
        reached = np.cumsum(self.probability[order])
        size = int(np.searchsorted(reached, level - 1e-12)) + 1
        return [self.hypotheses[place] for place in order[:size].tolist()]


def weigh(candidates: Sequence[Candidate], singles: Floats) -> Floats:
    """Return the prior weight of each candidate, 0 where it cannot be examined; they sum to 1."""
    weights = np.array([candidate.weight for candidate in candidates], np.float64)
    weights[~np.isfinite(singles)] = 0
    total = weights.sum()
    return np.asarray(weights / total if total > 0 else weights, np.float64)


def score_none(scores: Scores, weights: Floats) -> float:
    """Return the log likelihood of "none of these"."""
    listed = weights > 0
    chance = np.log(1 - UNLISTED) + scores.chance
    if not listed.any():
        return float(chance)
    overlapping = log_sum(scores.unlisted[listed] + np.log(weights[listed]))
    return float(np.logaddexp(chance, np.log(UNLISTED) + overlapping))


def find_posterior(scores: Scores, candidates: Sequence[Candidate], prior_none: float) -> Posterior:
    """Return the posterior under a prior probability of "none of these" (Bayes' theorem).

    The hypotheses are none, each candidate with a weight, and each examined pair. The rest of the
    prior is divided between pairs and single candidates by their weights. A pair that was not
    examined keeps its part of the pairs' prior.
    """
    weights = weigh(candidates, scores.singles)
    listed = np.flatnonzero(weights)
    distinct = 1 - float(np.sum(weights**2))  # two draws by weight are two candidates
    pairs = PAIRS_PRIOR if distinct > 0 else 0.0
    hypotheses: list[tuple[int, ...]] = [()]
    logs = [np.log(prior_none) + score_none(scores, weights)]
    for number in listed.tolist():
        hypotheses.append((number,))
        prior = (1 - prior_none) * (1 - pairs) * weights[number]
        logs.append(np.log(prior) + scores.singles[number])
    for pair, score in zip(scores.pairs, scores.pair_scores.tolist(), strict=True):
        share = min(1.0, PAIR_STANDS_FOR * 2 * weights[pair[0]] * weights[pair[1]] / distinct)
        prior = (1 - prior_none) * pairs * share
        hypotheses.append(pair)
        logs.append(np.log(prior) + score)
    total: npt.NDArray[np.float64] = np.array(logs)
    return Posterior(tuple(hypotheses), np.exp(total - log_sum(total)))
