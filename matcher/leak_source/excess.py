"""Whether a candidate's customers are victims more often than others, whatever the prior.

The **e-process** may be looked at every day. The odds ratio of Mantel and Haenszel stands beside
the posterior for readers who know textbooks.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, exp, inf, log, log1p, sqrt

import numpy as np

from matcher.leak_source.numerics import Array, Floats, log_mean

NULL_ODDS = 2.0
"""Odds ratio up to which an excess accuses nobody: it absorbs hidden confounding."""
TIMES = np.array([2.0, 4.0, 8.0, 16.0, 32.0])
"""Alternatives, as multiples of `NULL_ODDS`."""
FALSE_ALARMS = 0.001
"""Probability that the e-process ever names anybody where no odds ratio exceeds `NULL_ODDS`."""


@dataclass(frozen=True)
class EProcess:
    """Log e-values of all candidates by look: f64[looks, candidates].

    With z = 1 where a victim was exposed, and p the exposure by chance,

        E_t = mean over ψ of Π [ψ^z / (1−p+pψ)] / [ψ0^z / (1−p+pψ0)].

    For true odds of at most ψ0 it is a nonnegative supermartingale, because each factor rises in z,
    so P(ever E ≥ 1/α) ≤ α (Ville, 1939). For C candidates E ≥ C/α is asked for. E-values merge by
    averaging (Vovk and Wang, Annals of Statistics 49(3), 2021).
    """

    log_e: Floats

    @classmethod
    def run(
        cls, exposed: Array, chance: Floats, looks: Array | None = None, null: float = NULL_ODDS
    ) -> EProcess:
        """Follow victims in the order in which their reports arrived.

        Args:
            exposed: Whether each victim was exposed to each candidate, bool[victims, candidates].
            chance: The probability of it, f64[victims, candidates]; 0 before a transfer.
            looks: Numbers of victims at the looks; the end alone unless given.
            null: The odds ratio ψ0 of the null hypothesis.
        """
        looks = np.array([len(exposed)]) if looks is None else np.asarray(looks)
        steps = []
        for psi in null * TIMES:
            factors = exposed * log(psi / null) - np.log1p(chance * (psi - 1))
            factors += np.log1p(chance * (null - 1))
            sums = np.concatenate([np.zeros((1, factors.shape[1])), np.cumsum(factors, axis=0)])
            steps.append(sums[looks])
        return cls(log_mean(np.array(steps), axis=0))

    def ever(self) -> Floats:
        """Return the largest log e-value of each candidate at any look: f64[candidates]."""
        return np.asarray(self.log_e.max(axis=0, initial=0.0), np.float64)


def score_excess(counts: Array, totals: Array, chance: Floats, null: float = NULL_ODDS) -> Floats:
    """Return the log e-value of each candidate at the last of the victims: f64[C].

    The same as the end of `EProcess.run`, from counts by stratum: `counts` are exposed victims,
    i64[strata, C], and `totals` all victims to whom the candidate's window applies. `chance` is the
    probability that a victim of the stratum is exposed to the candidate without its fault, in the
    same shape; `null` is the ratio of odds that is still no fault.
    """
    steps = []
    for psi in null * TIMES:
        ratio = np.log1p(chance * (psi - 1)) - np.log1p(chance * (null - 1))
        steps.append((counts * log(psi / null) - totals * ratio).sum(axis=0))
    return log_mean(np.array(steps), axis=0)


def find_tail(exposed: int, chance: Floats) -> float:
    """Return the probability that chance alone exposes at least so many victims.

    The victims are independent with probabilities `chance`, so their number is Poisson-binomial; it
    is summed exactly. This is for one look that was fixed beforehand, with α / C for each of C
    candidates (Bonferroni).

    >>> find_tail(1, np.array([0.5, 0.5]))
    0.75
    """
    distribution = np.zeros(len(chance) + 1)
    distribution[0] = 1
    for p in chance.tolist():
        distribution[1:] = distribution[1:] * (1 - p) + distribution[:-1] * p
        distribution[0] *= 1 - p
    return float(distribution[exposed:].sum())


def find_threshold(candidates: int, alarms: float = FALSE_ALARMS) -> float:
    """Return the log e-value that a candidate must reach, log(C/α) (Bonferroni).

    >>> round(find_threshold(200), 3) == round(log(200_000), 3)
    True
    """
    return log(max(1, candidates) / alarms)


@dataclass(frozen=True, slots=True)
class OddsRatio:
    """Mantel-Haenszel's common odds ratio with its 95 % interval."""

    estimate: float
    low: float
    high: float


def pool_odds(
    exposed: Array, unexposed: Array, controls_exposed: Array, controls_unexposed: Array
) -> OddsRatio | None:
    """Return the common odds ratio of strata; None where it is not defined.

    Estimate of Mantel and Haenszel (Journal of the National Cancer Institute 22, 1959), variance of
    Robins, Breslow and Greenland (Biometrics 42, 1986).

    >>> tables = [np.array(cells) for cells in ([10, 5], [5, 10], [20, 10], [40, 30])]
    >>> round(pool_odds(*tables).estimate, 3)
    2.558
    """
    a, b, c, d = (
        np.asarray(cells, np.float64)
        for cells in (exposed, unexposed, controls_exposed, controls_unexposed)
    )
    total = np.maximum(a + b + c + d, 1)
    r, s = a * d / total, b * c / total
    upper, lower = float(r.sum()), float(s.sum())
    if upper == 0 or lower == 0:
        return None
    p, q = (a + d) / total, (b + c) / total
    variance = (
        float((p * r).sum()) / (2 * upper**2)
        + float((p * s + q * r).sum()) / (2 * upper * lower)
        + float((q * s).sum()) / (2 * lower**2)
    )
    estimate = upper / lower
    width = exp(1.959964 * sqrt(variance))
    return OddsRatio(estimate, estimate / width, estimate * width)


def bound_confounding(ratio: float) -> float:
    """Return how strong a hidden cause must be to explain a risk ratio: RR + √(RR·(RR − 1)).

    VanderWeele and Ding (Annals of Internal Medicine 167, 2017) call it "E-value"; it has nothing
    to do with the e-process, so it is named "confounding bound" here.

    >>> bound_confounding(2.0) == bound_confounding(0.5)
    True
    """
    ratio = max(ratio, 1 / ratio)
    return ratio + sqrt(ratio * (ratio - 1))


def count_victims_needed(
    share: float, exposure: float, overlap: float, ratio: float = 1_000.0
) -> float:
    """Return how many victims tell a source from a rival, with power 0.9; infinite for a copy.

    Two lists of equal size share `overlap` of their customers. A victim then adds
    D = θ·(1 − o)·ln(1 + θ/((1 − θ)·p)) nats on average, and 2·ln(ratio)/D are needed.

    >>> [count_victims_needed(0.5, 0.1, overlap) for overlap in (0.5, 0.8, 0.9)]
    [24, 58, 116]
    """
    gain = share * (1 - overlap) * log1p(share / ((1 - share) * exposure))
    return ceil(2 * log(ratio) / gain) if gain > 0 else inf
