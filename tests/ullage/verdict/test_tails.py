"""Exact tails against sums of fractions, and against figures that were computed elsewhere."""

import time
from fractions import Fraction
from math import comb, erfc, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ullage.verdict.statistics import binomial_tail, hypergeometric_tail


@pytest.mark.parametrize(
    ("trials", "hits", "chance", "p"),
    [(200, 3, 0.01, 0.32), (200, 10, 0.01, 4e-5), (200, 40, 0.01, 4e-39), (20, 2, 0.01, 0.017),
    (20, 5, 0.01, 1.4e-6),
     (1000, 60, 0.05, 0.087), (1000, 90, 0.05, 1e-7)],
)  # fmt: skip
def test_binomial_tail_gives_the_published_figures(
    trials: int, hits: int, chance: float, p: float
) -> None:
    assert binomial_tail(trials, hits, chance) == pytest.approx(p, rel=0.25)


@given(st.integers(0, 60), st.integers(0, 62), st.integers(0, 40))
def test_binomial_tail_is_the_exact_sum(trials: int, hits: int, parts: int) -> None:
    chance = Fraction(parts, 40)
    exact = sum(
        comb(trials, k) * chance**k * (1 - chance) ** (trials - k) for k in range(hits, trials + 1)
    )
    assert binomial_tail(trials, hits, float(chance)) == pytest.approx(
        float(exact), rel=1e-9, abs=1e-12
    )


def test_binomial_tail_of_large_numbers_is_fast_and_a_probability() -> None:
    assert binomial_tail(10**7, 10**6, 0.01) == 0.0
    assert binomial_tail(10**7, 10**5, 0.01) == pytest.approx(0.5, abs=0.01)
    assert binomial_tail(10**7, 10, 0.01) == pytest.approx(1.0)


@st.composite
def draws(draw: st.DrawFn) -> tuple[int, int, int, int]:
    population = draw(st.integers(0, 60))
    marked, drawn = draw(st.integers(0, population)), draw(st.integers(0, population))
    return population, marked, drawn, draw(st.integers(0, drawn + 2))


@given(draws())
def test_hypergeometric_tail_is_the_exact_sum(case: tuple[int, int, int, int]) -> None:
    population, marked, drawn, hits = case
    ways = sum(
        comb(marked, k) * comb(population - marked, drawn - k) for k in range(hits, drawn + 1)
    )
    exact = Fraction(ways, comb(population, drawn))
    assert hypergeometric_tail(*case) == pytest.approx(float(exact), rel=1e-9, abs=1e-12)


def test_hypergeometric_tail_of_a_large_list_is_nearly_binomial() -> None:
    """Of 300 million, three million are marked: drawing 500 of them without return is as with
    it, but for a millionth.
    """
    assert hypergeometric_tail(300_000_000, 3_000_000, 500, 15) == pytest.approx(
        binomial_tail(500, 15, 0.01), rel=1e-3
    )
    assert hypergeometric_tail(300_000_000, 3_000_000, 500, 500) == pytest.approx(
        0.01**500, abs=1e-300
    )
    assert hypergeometric_tail(300_000_000, 3_000_000, 50_000, 400) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize(
    ("chance", "hits"),
    [(0.0055, 1_200_000), (0.17, 30_000_000), (0.0055, 551_000), (0.5, 49_995_000)],
)
def test_tail_of_a_hundred_million_sums_only_relevant_terms(chance: float, hits: int) -> None:
    """Far out a term is less than any number: nothing is summed; near the middle some ten
    thousand terms are.
    """
    started = time.process_time()
    p = binomial_tail(10**8, hits, chance)
    assert time.process_time() - started < 0.5
    assert p == pytest.approx(normal_tail(10**8, hits, chance), rel=0.02, abs=1e-300)


def normal_tail(trials: int, hits: int, chance: float) -> float:
    """Return the normal approximation of the binomial tail, with continuity correction."""
    return erfc((hits - 0.5 - trials * chance) / sqrt(2 * trials * chance * (1 - chance))) / 2
