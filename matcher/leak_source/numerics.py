"""Compute logarithms of gamma functions, sums and counts on arrays, with numpy alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Array = npt.NDArray[Any]
SHIFT = 9
"""Stirling's series is used from this argument on, where its error is below 1e-12."""
SERIES = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680)


def log_gamma(values: Array) -> Floats:
    """Return log Γ of positive `values`, elementwise.

    Small arguments are raised by Γ(x + 1) = x·Γ(x), then Stirling's series is summed (Abramowitz
    and Stegun, 6.1.15 and 6.1.41).

    >>> [round(float(value), 9) for value in log_gamma(np.array([0.5, 5.0]))]
    [0.572364943, 3.17805383]
    """
    x = np.asarray(values, np.float64)
    product = x.copy()
    for step in range(1, SHIFT):
        product *= x + step
    raised = x + SHIFT
    inverse = 1 / raised
    square = inverse * inverse
    first, second, third, fourth = SERIES
    tail = inverse * (first + square * (second + square * (third + square * fourth)))
    result: Floats = (raised - 0.5) * np.log(raised) - raised + 0.5 * np.log(2 * np.pi) + tail
    return result - np.log(product)


def log_sum(values: Array, axis: int = -1) -> Floats:
    """Return log Σ exp(values) along an axis; -inf where all of them are.

    >>> round(float(log_sum(np.log([0.25, 0.5]))), 6) == round(float(np.log(0.75)), 6)
    True
    """
    x = np.asarray(values, np.float64)
    highest = np.max(x, axis=axis, keepdims=True)
    highest = np.where(np.isfinite(highest), highest, 0.0)
    with np.errstate(divide="ignore"):
        total = np.log(np.sum(np.exp(x - highest), axis=axis))
    return np.asarray(total + np.squeeze(highest, axis=axis), np.float64)


def log_mean(values: Array, axis: int = -1) -> Floats:
    """Return log of the mean of exp(values) along an axis."""
    return np.asarray(log_sum(values, axis) - np.log(np.shape(values)[axis]), np.float64)


def log_binomial(successes: Array, trials: Array, chance: Array) -> Floats:
    """Return log of the binomial probability of `successes` among `trials`.

    >>> round(float(np.exp(log_binomial(np.array(1), np.array(3), np.array(0.5)))), 6)
    0.375
    """
    k, n = np.asarray(successes, np.float64), np.asarray(trials, np.float64)
    ways = log_gamma(n + 1) - log_gamma(k + 1) - log_gamma(n - k + 1)
    return np.asarray(ways + k * np.log(chance) + (n - k) * np.log1p(-chance), np.float64)


def damp(rows: int, correlation: float) -> float:
    """Return the power to which the likelihood of `rows` dependent rows is raised.

    It is 1 / (1 + (m − 1)·ρ), the design effect of Kish (Survey Sampling, 1965), used as the power
    of a power posterior (Holmes and Walker, arXiv 1701.08515). At most 1/ρ rows count.

    >>> damp(1, 0.01), damp(101, 0.01)
    (1.0, 0.5)
    """
    return 1 / (1 + max(0, rows - 1) * correlation)
