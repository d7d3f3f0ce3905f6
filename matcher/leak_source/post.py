"""The likelihood of a post: which of the candidates' customers are in it, and which are not.

A post may be a sample or a whole list, filtered, padded with strangers, noisy, or mixed of two
sources. Rows are drawn without replacement: relative to independent draws, the counts by stratum
gain what the hypergeometric distribution has over the binomial one. The strata of the rows follow
a Dirichlet-multinomial distribution (Mosimann, Biometrika 49, 1962) around the candidate's own
composition mixed with the bank's, so that no list of a seller's filters is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt

from matcher.leak_source.candidates import Memberships, count_rows
from matcher.leak_source.density import THETA, Density, PairCounts, average
from matcher.leak_source.evidence import (
    Versions,
    VersionScores,
    score_fields,
    score_honeytokens,
    score_pieces,
)
from matcher.leak_source.hypotheses import Scores
from matcher.leak_source.numerics import (
    Array,
    Floats,
    damp,
    log_binomial,
    log_gamma,
    log_mean,
)

CORRELATION = 0.002
"""Rows of a post depend on one another; at most 500 count."""
CANDIDATE_SHARES = np.where(THETA < 0.55, 0.0125, 0.15)
"""Prior of θ, at the values of `THETA`, for a candidate: mostly above 0.6."""
UNLISTED_SHARES = np.array([0.1] * 9 + [0.02, 0.005] + [0.002] * 3)
"""The same for an unlisted source that overlaps with a candidate: mostly up to 0.6."""
CONCENTRATIONS = (30.0, 300.0, 10_000.0)
"""How strictly strata follow the composition: filtered, selected, or untouched."""
OWN_COMPOSITION = 0.7
"""The rest is the bank's composition."""
KEPT = (0.999, 0.99, 0.95, 0.85)
"""Shares of a list, 1 − δ, that a copy of the whole of it holds."""
WHOLE = 0.5
"""Prior probability that a post is a whole list, and not a sample."""
TINY = 1e-12
MOST_SHARED = 256
"""Candidates whose overlaps are kept in memory."""


@dataclass(frozen=True)
class Post:
    """What a post holds: each matched customer once, and what is known beside them."""

    customers: npt.NDArray[np.int64]
    fields: frozenset[str] = frozenset()
    versions: Versions | None = None
    honeytokens: Mapping[str, int] = field(default_factory=dict)
    """Honeytokens in the post, by candidate id."""
    pieces: Mapping[str, float] = field(default_factory=dict)
    """Ratios of single pieces of evidence, by candidate id."""


@dataclass(frozen=True)
class PostModel:
    """The likelihood of posts for one table of memberships."""

    members: Memberships

    @cached_property
    def _density(self) -> Density:
        return Density(self.members.exposure)

    @cached_property
    def _composition(self) -> Floats:
        """Expected strata of each candidate, the bank's last: f64[strata, candidates + 1]."""
        bank = self.members.stratum_sizes / len(self.members)
        sizes = self.members.sizes
        shares = sizes / np.maximum(1, sizes.sum(axis=0))
        mixed = OWN_COMPOSITION * shares + (1 - OWN_COMPOSITION) * bank[:, None]
        return np.concatenate([mixed, bank[:, None]], axis=1)

    @cached_property
    def _base(self) -> list[Floats]:
        return [log_gamma(kappa * self._composition + 1e-300) for kappa in CONCENTRATIONS]

    @cached_property
    def _log_factorial(self) -> Floats:
        numbers = np.arange(1, int(self.members.stratum_sizes.max(initial=0)) + 1)
        return np.concatenate([[0.0], np.cumsum(np.log(numbers))])

    @cached_property
    def _shared(self) -> Callable[[int], npt.NDArray[np.int32]]:
        return lru_cache(MOST_SHARED)(self.members.count_shared)

    def score(self, post: Post) -> Scores:
        """Return the likelihoods of a post for each candidate, for pairs and for none of these.

        A candidate that cannot be examined has -inf.
        """
        rows = self.members.rows(post.customers)
        strata = self.members.strata[post.customers]
        counts, present = count_rows(rows, strata)
        totals = np.bincount(strata, minlength=len(self.members.stratum_sizes))[present]
        power = damp(len(rows), CORRELATION)
        density = self._density.score(counts, present, len(rows))
        density += self._correct_draws(counts, present, totals)
        composition = power * self._score_strata(present, totals)
        whole = power * self._score_whole(counts.sum(axis=0))
        customers = average(density, power, CANDIDATE_SHARES) + composition + whole
        customers[list(self.members.unexaminable)] = -np.inf
        unlisted = average(density, power, UNLISTED_SHARES) + composition
        beside = _OtherEvidence(post, rows, self.members, counts.sum(axis=0))
        singles = customers + sum(beside.parts.values())
        pairs = self._density.find_pairs(rows, strata, singles)
        places = np.searchsorted(present, strata)
        pair_scores = [
            self._score_pair(PairCounts.count(rows, places, present, pair), totals, power)
            + float(np.logaddexp(*composition[list(pair)]) - np.log(2))
            + beside.score_pair(pair)
            for pair in pairs
        ]
        scores = Scores(
            rows=len(rows),
            singles=singles,
            unlisted=unlisted + beside.unlisted,
            pairs=tuple(pairs),
            pair_scores=np.array(pair_scores),
            log_e=singles,
            chance=beside.unlisted,
            parts={"customers": customers, **beside.parts},
        )
        return replace(scores, log_e=_mix_pairs(scores) - scores.chance)

    def _correct_draws(self, counts: Array, present: Array, totals: Array) -> Floats:
        """Return what drawing without replacement adds: hypergeometric over binomial, in logs."""
        sizes, strata = self.members.sizes[present], self.members.stratum_sizes[present, None]
        unexposed = totals[:, None] - counts
        chance = self.members.exposure[present]
        table = self._log_factorial
        terms = table[sizes - counts] - table[sizes]
        terms += table[strata - sizes - unexposed] - table[strata - sizes]
        terms += counts * np.log(np.maximum(chance, TINY))
        terms += unexposed * np.log(np.maximum(1 - chance, TINY))
        of_all = table[strata[:, 0]] - table[strata[:, 0] - totals]
        return np.asarray(terms.sum(axis=0) + of_all.sum(), np.float64)

    def _score_pair(self, shared: PairCounts, totals: Array, power: float) -> float:
        """Score two sources as `Density.score_pair` does, drawn without replacement.

        `totals` are the rows in each present stratum.
        """
        c, d = shared.pair
        overlap = self._shared(c)[shared.present, d]
        sizes = self.members.sizes[shared.present]
        strata = self.members.stratum_sizes[shared.present]
        drawn = [shared.only_first, shared.only_second, shared.in_both]
        groups = [sizes[:, c] - overlap, sizes[:, d] - overlap, overlap]
        drawn.append(totals - sum(drawn))
        groups.append(strata - sum(groups))
        table = self._log_factorial
        correction = (table[strata] - table[strata - totals]).sum()
        for count, size in zip(drawn, groups, strict=True):
            correction += (table[size - count.astype(np.int64)] - table[size]).sum()
            correction += count @ np.log(np.maximum(size / strata, TINY))
        return self._density.score_pair(shared, power, CANDIDATE_SHARES, float(correction))

    def _score_strata(self, present: Array, totals: Array) -> Floats:
        """Return the log ratio of the rows' strata: f64[C].

        It compares each candidate's composition with the bank's. `totals` are the rows in each of
        the strata `present`.
        """
        logs = []
        for kappa, base in zip(CONCENTRATIONS, self._base, strict=True):
            raised = log_gamma(kappa * self._composition[present] + totals[:, None])
            constant = log_gamma(np.array(kappa)) - log_gamma(np.array(kappa + totals.sum()))
            logs.append((raised - base[present]).sum(axis=0) + constant)
        mixed = log_mean(np.array(logs), axis=0)
        return np.asarray(mixed[:-1] - mixed[-1], np.float64)

    def _score_whole(self, matched: Array) -> Floats:
        """Return what the candidates' missing customers say: whole list, or a sample of any size.

        A copy of the whole list lacks each customer with probability δ, (1−δ)^k·δ^(n−k). The size
        of a sample is log-uniform.
        """
        sizes = self.members.sizes.sum(axis=0)
        possible = np.array([log_binomial(matched, sizes, np.array(loss)) for loss in KEPT])
        sample = -np.log(np.maximum(1, matched)) - np.log(np.log(len(self.members) + 2))
        ratio = log_mean(possible, axis=0) - sample
        return np.asarray(np.logaddexp(np.log(1 - WHOLE), np.log(WHOLE) + ratio), np.float64)


class _OtherEvidence:
    """Log ratios of what a post tells beside its customers."""

    def __init__(
        self, post: Post, rows: npt.NDArray[np.bool_], members: Memberships, matched: Array
    ) -> None:
        self._post, self._candidates = post, members.candidates
        self._known = frozenset[str]().union(*(c.fields for c in self._candidates))
        self.parts = {
            "fields": np.array(
                [score_fields(post.fields, c.fields, self._known) for c in self._candidates]
            ),
            "honeytokens": np.array(
                [
                    score_honeytokens(c, post.honeytokens.get(c.id, 0), share)
                    for c, share in zip(
                        self._candidates,
                        (matched / np.maximum(1, members.sizes.sum(axis=0))).tolist(),
                        strict=True,
                    )
                ]
            ),
            "other": np.array([score_pieces(post.pieces, c) for c in self._candidates]),
        }
        self.unlisted = 0.0
        self._versions: VersionScores | None = None
        if post.versions is not None and len(post.versions.rows):
            self._rows = rows[post.versions.rows]
            self._versions = VersionScores.compare(post.versions, self._candidates)
            self.parts["versions"] = self._versions.score(self._rows, self._candidates)
            self.unlisted = self._versions.score_unlisted()

    def score_pair(self, pair: tuple[int, int]) -> float:
        """Return the log ratio of two candidates by the remaining evidence.

        This is honeytokens, of which the better one counts, fields, which count only if both
        candidates have theirs recorded, versions, and other evidence.
        """
        c, d = (self._candidates[number] for number in pair)
        total = max(float(self.parts["honeytokens"][number]) for number in pair)
        total += sum(float(self.parts["other"][number]) for number in pair)
        if c.fields and d.fields:
            total += score_fields(self._post.fields, c.fields | d.fields, self._known)
        if self._versions is not None:
            first, second = self._rows[:, pair[0]], self._rows[:, pair[1]]
            total += self._versions.score_pair(first, second, (c, d))
        return total


def _mix_pairs(scores: Scores) -> Floats:
    """Return the log likelihood of each candidate: half alone, half with any other one.

    Its ratio to chance is an e-value, because a mean of likelihood ratios is one, and a power below
    1 only lowers it. Pairs that were not examined count as 0.
    """
    mixed = scores.singles - np.log(2)
    each = np.log(2 * max(1, len(scores.singles) - 1))
    for pair, score in zip(scores.pairs, scores.pair_scores.tolist(), strict=True):
        for number in pair:
            mixed[number] = np.logaddexp(mixed[number], score - each)
    return np.asarray(mixed, np.float64)
