"""How often each candidate's customers are victims anyway, from earlier cases of the same scam.

The controls are not sampled: the exposure of all customers is known, so the population itself is
the control group (Prentice, Biometrika 73, 1986, on case-cohort designs). What strata leave
unexplained (hidden confounding) shows in earlier cases: a ridge logistic regression on the
memberships, conditional on the stratum, gives each customer the weight exp(β·z) among the customers
of the same stratum.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from matcher.leak_source.candidates import Memberships, count_rows
from matcher.leak_source.numerics import Array, Floats

POPULATION_ROWS = 20_000
LEAST_ROWS_OF_STRATUM = 10
PENALTY = 16.0
"""Precision of the normal prior of each coefficient: a standard deviation of 0.25."""
STEPS = 12
CONVERGED = 1e-4
LARGEST = 3.0
"""Limit of each coefficient, so that a list without earlier cases cannot run away."""
MOST_CASES = 20_000


def estimate_excess(members: Memberships, earlier: Array) -> Floats:
    """Return the log odds with which each candidate's customers are victims anyway: f64[C].

    `earlier` has the row numbers of the customers of earlier cases, of which the last MOST_CASES
    (20,000) count; without any, all are 0. The result lies between -LARGEST (3) and LARGEST. The
    conditional likelihood Σ β·z − k_x·log Σ_x exp(β·z) (Breslow and Day, Statistical Methods in
    Cancer Research I, 1980, chapter 7), less the ridge penalty, is maximised by Newton's method, in
    at most STEPS (12) steps.
    """
    earlier = np.asarray(earlier)[-MOST_CASES:]
    beta = np.zeros(len(members.candidates))
    if not len(earlier):
        return beta
    exposed, present = count_rows(members.rows(earlier), members.strata[earlier])
    cases = np.bincount(members.strata[earlier], minlength=len(members.stratum_sizes))[present]
    sample = _Sample.draw(members, present)
    observed = exposed.sum(axis=0).astype(np.float64)
    # The exact exposure of the whole population replaces the sample's; its changes are estimated.
    exact = members.exposure[present].T @ cases
    sampled, _ = sample.expect(np.zeros_like(beta), cases)
    for _ in range(STEPS):
        expected, curvature = sample.expect(beta, cases)
        gradient = observed - (exact + expected - sampled) - PENALTY * beta
        step = np.linalg.solve(curvature + PENALTY * np.eye(len(beta)), gradient)
        beta = np.clip(beta + np.clip(step, -1, 1), -LARGEST, LARGEST)
        if np.abs(step).max() < CONVERGED:
            break
    return np.asarray(beta, np.float64)


@dataclass(frozen=True, slots=True)
class _Sample:
    """Rows of the population, evenly spaced in each stratum, ordered by stratum."""

    rows: npt.NDArray[np.float32]
    starts: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int64]

    @classmethod
    def draw(cls, members: Memberships, present: Array) -> _Sample:
        sizes = members.stratum_sizes
        share = min(1.0, POPULATION_ROWS / max(1, int(sizes[present].sum())))
        ends = np.cumsum(sizes)
        chosen, lengths = list[Array](), list[int]()
        for stratum in present.tolist():
            size = int(sizes[stratum])
            count = min(size, max(LEAST_ROWS_OF_STRATUM, round(size * share)))
            places = (np.arange(count) * size) // count
            chosen.append(members.order[ends[stratum] - size + places])
            lengths.append(count)
        counts = np.array(lengths, np.int64)
        rows = members.rows(np.concatenate(chosen)).astype(np.float32)
        return cls(rows, np.cumsum(counts) - counts, counts)

    def expect(self, beta: Floats, cases: Array) -> tuple[Floats, Floats]:
        """Return the expected exposure of `cases`, f64[C], and its curvature, f64[C, C].

        `beta` are the log odds, f64[C], and `cases` the number of cases in each stratum of the
        sample.
        """
        odds = np.exp(self.rows @ beta.astype(np.float32))
        total = np.add.reduceat(odds, self.starts)
        weight = odds / np.repeat(total, self.lengths)
        means = np.add.reduceat(self.rows * weight[:, None], self.starts, axis=0)
        expected = cases @ means
        scaled = self.rows * (weight * np.repeat(cases, self.lengths))[:, None].astype(np.float32)
        curvature = self.rows.T @ scaled - means.T @ (means * cases[:, None])
        return np.asarray(expected, np.float64), np.asarray(curvature, np.float64)


def weigh_exposure(members: Memberships, beta: Floats) -> Floats:
    """Return the probability that a chance victim of each stratum is the candidate's: f64[X, C].

    Each customer weighs exp(β·z). Without any excess it is the share of the stratum.
    """
    if not np.any(beta):
        return members.exposure
    weight = np.zeros(len(members.stratum_sizes))
    exposed = np.zeros((len(members.stratum_sizes), len(members.candidates)))
    for stratum, block in members.blocks():
        odds = np.exp(block @ beta.astype(np.float32))
        weight[stratum] += odds.sum(dtype=np.float64)
        exposed[stratum] += odds @ block
    return np.asarray(exposed / np.maximum(weight, 1e-12)[:, None], np.float64)
