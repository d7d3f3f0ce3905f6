"""The verdict: exact base rates, exposure that follows the fields, and reasons that add up."""

import itertools
import math
from dataclasses import replace
from datetime import date, timedelta
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ullage.fields import CLASS, Field, class_of
from ullage.verdict import Facts, chance_matches, judge_exposure, judge_origin
from ullage.verdict.exposure import scenarios, severity_unit
from ullage.verdict.facts import binomial_tail

TODAY = date(2026, 9, 21)
PHONE = frozenset({"NAME", "PHONE"})
LOGIN = frozenset({"PHONE", "PASSWORD"})


def facts(**changes: Any) -> Facts:
    given: dict[str, Any] = {
        "today": TODAY,
        "customers": 10,
        "rows": 100,
        "matched_rows": 10,
        "corroborated_rows": 0,
        "groups": {PHONE: 10},
        "watchlist": 2_000,
        "circulation": 1.8e9,
    }
    return Facts(**{**given, **changes})


def exact_tail(trials: int, successes: int, chance: Fraction) -> Fraction:
    terms = (math.comb(trials, k) * chance**k * (1 - chance) ** (trials - k) for k in range(successes, trials + 1))
    return sum(terms, Fraction(0))


@given(trials=st.integers(0, 60), successes=st.integers(0, 61), percent=st.integers(0, 100))
def test_the_binomial_tail_is_exact(trials: int, successes: int, percent: int) -> None:
    exact = float(exact_tail(trials, successes, Fraction(percent, 100)))
    assert binomial_tail(trials, successes, percent / 100) == pytest.approx(exact, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(("matched", "p"), [(3, 0.32), (10, 4e-5)])
def test_the_base_rate_agrees_with_the_reference_figures(matched: int, p: float) -> None:
    assert binomial_tail(200, matched, 0.01) == pytest.approx(p, rel=0.15)


@given(trials=st.integers(1, 10**6), chance=st.floats(1e-9, 0.999))
def test_the_tail_of_a_large_list_is_a_probability_and_falls_with_more_matches(trials: int, chance: float) -> None:
    tails = [binomial_tail(trials, k, chance) for k in sorted({0, 1, trials // 2, trials})]
    assert all(0.0 <= tail <= 1.0 for tail in tails)
    assert all(later <= sooner + 1e-9 for sooner, later in itertools.pairwise(tails))


def test_matches_by_chance_grow_with_list_and_watchlist() -> None:
    assert chance_matches(facts(candidates={"phone": 9_000}, watchlist=200_000, circulation=1.8e9)) == pytest.approx(1.0)
    assert chance_matches(facts(candidates={"phone": 5}, watchlist=100, circulation=10.0)) == 5.0
    assert chance_matches(facts()) == 0.0


ORIGINS = {
    "ours": {"rows": 100, "matched_rows": 90, "customers": 90, "corroborated_rows": 80},
    "elsewhere": {
        "rows": 5_000,
        "matched_rows": 6,
        "customers": 6,
        "watchlist": 2_000_000,
        "candidates": {"phone": 5_000},
        "matched_kinds": {"phone": 6},
    },
    "fabricated": {"rows": 500, "matched_rows": 2, "customers": 2, "longest_run": 400},
    "unknown": {"rows": 3, "matched_rows": 1, "customers": 1},
}


@pytest.mark.parametrize("verdict", ORIGINS)
def test_origin_follows_from_the_counts_and_says_why(verdict: str) -> None:
    origin = judge_origin(facts(**ORIGINS[verdict]))
    assert origin.verdict == verdict
    assert origin.reasons
    assert all(reason.evidence for reason in origin.reasons)


def test_a_generated_list_with_many_corroborated_customers_is_not_called_fabricated() -> None:
    assert judge_origin(facts(rows=100, matched_rows=90, corroborated_rows=80, longest_run=400)).verdict == "ours"


def test_ids_that_fail_their_checksum_speak_for_fabrication() -> None:
    made_up = judge_origin(facts(failures={"resident_id": 90}, candidates={"resident_id": 10}))
    assert made_up.verdict == "fabricated"
    assert "90 of 100 resident IDs" in " ".join(r.evidence for r in made_up.reasons)


FIELDS = st.frozensets(st.sampled_from([f.value for f in Field]), max_size=6)
FACTS = st.builds(
    facts,
    customers=st.integers(0, 2 * 10**6),
    matched_rows=st.integers(0, 10**6),
    corroborated_rows=st.integers(0, 10**6),
    groups=st.dictionaries(FIELDS, st.integers(1, 10**6), max_size=4),
    newest_date=st.none() | st.dates(max_value=TODAY + timedelta(days=400)),
    sites=st.integers(1, 9),
    brand=st.booleans(),
    alarm=st.booleans(),
    terms=st.lists(st.text(max_size=3), max_size=3).map(tuple),
)


@given(FACTS)
def test_a_score_is_0_to_100_and_the_sum_of_its_reasons(given_facts: Facts) -> None:
    exposure = judge_exposure(given_facts)
    total = max(0, min(100, sum(reason.points for reason in exposure.reasons)))
    assert exposure.score == (min(total, 45) if given_facts.customers == 0 else total)
    assert exposure.severity in {"noise", "notice", "low", "medium", "high", "statutory"}
    assert bool(exposure.scenario) == bool(exposure.title_zh)


@given(FACTS)
def test_nobody_of_ours_and_no_alarm_is_noise(given_facts: Facts) -> None:
    assert judge_exposure(replace(given_facts, customers=0, alarm=False)).severity == "noise"


@pytest.mark.parametrize(
    ("changes", "severity"),
    [
        ({"customers": 1_000_000}, "statutory"),
        ({"customers": 60, "groups": {LOGIN: 60}}, "high"),
        ({"customers": 1, "groups": {LOGIN: 1}}, "medium"),
        ({"customers": 5_000}, "medium"),
        ({"customers": 600}, "low"),
        ({"customers": 1}, "notice"),
        ({"customers": 0, "groups": {}, "alarm": True}, "notice"),
    ],
)
def test_severity_orders_the_work(changes: dict[str, Any], severity: str) -> None:
    assert judge_exposure(facts(**changes)).severity == severity


def test_fresh_data_is_worse_than_old_and_many_sites_than_one() -> None:
    scores = [judge_exposure(facts(newest_date=TODAY - timedelta(days=days))).score for days in (1, 20, 60, 200, 800, 4000)]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > scores[-1]
    assert judge_exposure(facts(sites=5)).score > judge_exposure(facts(sites=1)).score


def test_the_unit_counts_a_customer_by_the_highest_class_of_the_row() -> None:
    assert severity_unit(facts(customers=50, groups={LOGIN | {"CARD"}: 5})) == pytest.approx(1.0)
    assert severity_unit(facts(customers=5_000, groups={PHONE: 5})) == pytest.approx(1.0)
    assert severity_unit(facts(customers=100, groups={LOGIN: 1, PHONE: 1})) == pytest.approx(50 / 50 + 50 / 5_000)
    assert severity_unit(facts(groups={})) == 0.0


def test_scenarios_are_told_apart_allowed_by_their_own_fields_and_worst_first() -> None:
    found = scenarios()
    assert len({s.id for s in found}) == len(found) > 5
    assert [s.points for s in found] == sorted((s.points for s in found), reverse=True)
    for scenario in found:
        assert scenario.every | scenario.some <= {f.value for f in Field}
        assert scenario.title
        assert scenario.title_zh
        assert scenario.allowed_by(scenario.every | scenario.some)


@given(FIELDS)
def test_one_class_a_row_the_highest(fields: frozenset[str]) -> None:
    found = class_of(fields)
    assert found in {"A", "B", "C"}
    assert found <= min((CLASS.get(Field(f), "C") for f in fields), default="C")


def test_an_unknown_label_weighs_nothing() -> None:
    assert class_of(frozenset({"SHOE_SIZE"})) == "C"
