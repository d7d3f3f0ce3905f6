"""Exposure and origin: pure functions over counts, with figures that were computed elsewhere."""

from dataclasses import replace
from datetime import date, timedelta
from fractions import Fraction
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ullage.fields import Field
from ullage.verdict import Facts, chance_matches, judge_exposure, judge_origin
from ullage.verdict.exposure import scenarios, severity_unit
from ullage.verdict.facts import binomial_tail

TODAY = date(2026, 9, 21)
GROUP = frozenset((Field.NAME, Field.PHONE))
SEVERITIES = ["noise", "notice", "low", "medium", "high", "statutory"]


def facts(**changes) -> Facts:
    fields = {
        "today": TODAY, "customers": 10, "rows": 10, "matched_rows": 10, "corroborated_rows": 0, "groups": {GROUP: 10},
        "watchlist": 10_000_000, "circulation": 1e9,
    }  # fmt: skip
    return Facts(**{**fields, **changes})


def of(*fields: str, customers: int = 10, **changes) -> Facts:
    return facts(customers=customers, groups={frozenset(fields): customers}, **changes)


@pytest.mark.parametrize(
    ("trials", "hits", "chance", "p"),
    [(200, 3, 0.01, 0.32), (200, 10, 0.01, 4e-5), (200, 40, 0.01, 4e-39), (20, 2, 0.01, 0.017), (20, 5, 0.01, 1.4e-6),
     (1000, 60, 0.05, 0.087), (1000, 90, 0.05, 1e-7)],
)  # fmt: skip
def test_the_tail_gives_the_published_figures(trials: int, hits: int, chance: float, p: float) -> None:
    assert binomial_tail(trials, hits, chance) == pytest.approx(p, rel=0.25)


@given(st.integers(0, 60), st.integers(0, 62), st.integers(0, 40))
def test_the_tail_is_the_exact_sum(trials: int, hits: int, parts: int) -> None:
    chance = Fraction(parts, 40)
    exact = sum(comb(trials, k) * chance**k * (1 - chance) ** (trials - k) for k in range(hits, trials + 1))
    assert binomial_tail(trials, hits, float(chance)) == pytest.approx(float(exact), rel=1e-9, abs=1e-12)


def test_the_tail_of_great_numbers_is_quick_and_between_nought_and_one() -> None:
    assert binomial_tail(10**7, 10**6, 0.01) == 0.0
    assert binomial_tail(10**7, 10**5, 0.01) == pytest.approx(0.5, abs=0.01)
    assert binomial_tail(10**7, 10, 0.01) == pytest.approx(1.0)


def test_chance_grows_with_the_list_and_ends_at_all_of_it() -> None:
    assert chance_matches(facts(candidates={"phone": 200})) == pytest.approx(2.0)
    assert chance_matches(facts(candidates={"phone": 200}, circulation=1e6)) == 200
    assert chance_matches(facts()) == 0


@pytest.mark.parametrize(
    ("groups", "customers", "unit"),
    [
        ({(Field.BALANCE,): 50}, 50, 1.0),
        ({(Field.ORDER, Field.PHONE): 500}, 500, 1.0),
        ({(Field.NAME, Field.PHONE): 5000}, 5000, 1.0),
        ({(Field.CARD, Field.PASSWORD): 50}, 50, 1.0),
        ({(Field.BALANCE, Field.ORDER): 50}, 50, 1.0),
        ({(Field.BALANCE,): 1, (Field.PHONE,): 1}, 100, 1.01),
        ({(Field.PHONE, "<unheard of>"): 1}, 50, 0.01),
        ({}, 10, 0.0),
    ],
)
def test_the_unit_weighs_each_customer_by_the_gravest_class(groups: dict, customers: int, unit: float) -> None:
    counted = {frozenset(fields): n for fields, n in groups.items()}
    assert severity_unit(facts(customers=customers, groups=counted)) == pytest.approx(unit)


@pytest.mark.parametrize("scenario", scenarios(), ids=lambda s: s.id)
def test_every_scenario_is_reached_by_its_own_fields_and_worded_in_two_languages(scenario) -> None:
    fields = scenario.every | frozenset(sorted(scenario.some)[:1])
    assert fields <= set(Field)
    judged = judge_exposure(of(*fields))
    assert (judged.scenario, judged.title, judged.title_zh) == (scenario.id, scenario.title, scenario.title_zh)
    assert judged.reasons[0].points == scenario.points
    assert all((scenario.title, scenario.title_zh))


def test_scenarios_come_worst_first_with_ids_of_their_own() -> None:
    assert [s.points for s in scenarios()] == sorted((s.points for s in scenarios()), reverse=True)
    assert len({s.id for s in scenarios()}) == len(scenarios())


def test_fields_of_two_rows_do_not_add_up_to_a_scenario() -> None:
    apart = facts(groups={frozenset((Field.NAME, Field.PHONE)): 5, frozenset((Field.CARD, Field.ID)): 5})
    assert judge_exposure(apart).scenario == "X17"
    assert judge_exposure(of(Field.NAME, Field.PHONE, Field.CARD, Field.ID)).scenario == "X7"


@pytest.mark.parametrize(
    ("given_facts", "severity"),
    [
        (of(Field.PHONE, customers=0), "noise"),
        (of(Field.PHONE, customers=0, alarm=True), "notice"),
        (of(Field.PHONE, customers=1), "notice"),
        (of(Field.PHONE, customers=499), "notice"),
        (of(Field.PHONE, customers=2, corroborated_rows=2), "low"),
        (of(Field.PHONE, customers=500), "low"),
        (of(Field.PHONE, customers=4999), "low"),
        (of(Field.PHONE, customers=5000), "medium"),
        (of(Field.BALANCE, customers=50), "medium"),
        (of(Field.PASSWORD, customers=1), "medium"),
        (of(Field.CVV, customers=49), "medium"),
        (of(Field.CVV, customers=50), "high"),
        (of(Field.PHONE, customers=50_000), "high"),
        (of(Field.PHONE, customers=999_999), "high"),
        (of(Field.PHONE, customers=1_000_000), "statutory"),
    ],
)
def test_severity_has_the_thresholds_of_the_law(given_facts: Facts, severity: str) -> None:
    assert judge_exposure(given_facts).severity == severity


@pytest.mark.parametrize(
    ("changes", "code", "points"),
    [
        ({"newest_date": TODAY}, "T", 10),
        ({"newest_date": TODAY - timedelta(7)}, "T", 10),
        ({"newest_date": TODAY - timedelta(8)}, "T", 7),
        ({"newest_date": TODAY - timedelta(31)}, "T", 3),
        ({"newest_date": TODAY - timedelta(365)}, "T", 0),
        ({"newest_date": TODAY - timedelta(366)}, "T", -5),
        ({"newest_date": TODAY - timedelta(2000)}, "T", -10),
        ({"newest_date": TODAY + timedelta(1)}, "T", 10),
        ({"sites": 2}, "R", 2),
        ({"sites": 5}, "R", 4),
        ({"corroborated_rows": 3}, "C1", 6),
        ({"brand": True}, "C3", 2),
        ({"terms": ("内料",)}, "L1", 3),
        ({"groups": {GROUP | {Field.LOAN}: 10}}, "M1", 3),
        ({"customers": 499}, "V", 0),
        ({"customers": 500}, "V", 3),
        ({"customers": 5000}, "V", 7),
        ({"customers": 50_000}, "V", 10),
        ({"customers": 500_000}, "V", 13),
        ({"customers": 1_000_000}, "V", 15),
    ],
)
def test_what_adds_to_exposure_and_how_much(changes: dict, code: str, points: int) -> None:
    assert {r.code: r.points for r in judge_exposure(facts(**changes)).reasons}[code] == points


@pytest.mark.parametrize("changes", [{}, {"sites": 1}, {"corroborated_rows": 2}, {"newest_date": None}])
def test_what_is_not_so_gives_no_reason(changes: dict) -> None:
    assert [r.code for r in judge_exposure(facts(**changes)).reasons] == ["X17", "V"]


ANY_FACTS = st.builds(
    facts,
    customers=st.integers(0, 2_000_000),
    corroborated_rows=st.integers(0, 10),
    groups=st.dictionaries(st.frozensets(st.sampled_from(sorted(Field)), min_size=1, max_size=6), st.integers(1, 99), max_size=4),
    newest_date=st.none() | st.dates(date(2015, 1, 1), TODAY),
    sites=st.integers(1, 9),
    brand=st.booleans(),
    alarm=st.booleans(),
    terms=st.sampled_from([(), ("内料",)]),
    candidates=st.fixed_dictionaries({"phone": st.integers(0, 500)}),
    matched_kinds=st.fixed_dictionaries({"phone": st.integers(0, 9)}),
    longest_run=st.integers(0, 40),
)


@given(ANY_FACTS)
def test_reasons_sum_to_the_score_before_its_bounds(any_facts: Facts) -> None:
    judged = judge_exposure(any_facts)
    total = max(0, min(100, sum(r.points for r in judged.reasons)))
    assert judged.score == (total if any_facts.customers else min(total, 45))
    assert judged.severity in SEVERITIES


@given(ANY_FACTS)
def test_nobody_of_ours_and_no_alarm_is_noise(any_facts: Facts) -> None:
    assert judge_exposure(replace(any_facts, customers=0, alarm=False)).severity == "noise"


@given(ANY_FACTS, st.integers(0, 10**8), st.integers(1, 10**6))
def test_exposure_is_never_lowered_by_what_chance_would_match(any_facts: Facts, watchlist: int, candidates: int) -> None:
    other = replace(any_facts, watchlist=watchlist, candidates={"phone": candidates})
    assert judge_exposure(other) == judge_exposure(any_facts)


PHONES = {"candidates": {"phone": 1000}, "rows": 1000, "groups": {frozenset((Field.PHONE,)): 10}}


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({**PHONES, "matched_rows": 10, "matched_kinds": {"phone": 10}}, "elsewhere"),
        ({**PHONES, "matched_rows": 1000, "matched_kinds": {"phone": 1000}}, "ours"),
        ({**PHONES, "matched_rows": 500, "matched_kinds": {"phone": 500}}, "ours"),
        ({**PHONES, "matched_rows": 499, "matched_kinds": {"phone": 499}}, "unknown"),
        ({**PHONES, "matched_rows": 500, "matched_kinds": {"phone": 500}, "circulation": 1e8}, "unknown"),
        ({"candidates": {"digest": 50}, "matched_kinds": {"phone": 50}, "rows": 50, "matched_rows": 50}, "ours"),
        ({"candidates": {"phone": 10**5}, "matched_kinds": {"phone": 1300}, "rows": 10**5, "matched_rows": 1300}, "elsewhere"),
        ({**PHONES, "matched_rows": 0, "customers": 0}, "elsewhere"),
        ({"rows": 5, "matched_rows": 0, "customers": 0}, "unknown"),
        ({"rows": 10, "matched_rows": 5, "corroborated_rows": 2}, "ours"),
        ({"rows": 10, "matched_rows": 4, "corroborated_rows": 4}, "unknown"),
        ({"rows": 100, "matched_rows": 4, "corroborated_rows": 4}, "elsewhere"),
        ({**PHONES, "matched_rows": 10, "matched_kinds": {"phone": 10}, "longest_run": 20}, "fabricated"),
        ({**PHONES, "matched_rows": 10, "matched_kinds": {"phone": 10}, "longest_run": 19}, "elsewhere"),
        ({"longest_run": 500, "rows": 10, "matched_rows": 10, "corroborated_rows": 10}, "ours"),
        ({"failures": {"resident_id": 3}, "candidates": {"resident_id": 7}, "matched_rows": 1}, "fabricated"),
        ({"failures": {"resident_id": 2}, "candidates": {"resident_id": 8}, "matched_rows": 1}, "unknown"),
        ({"failures": {"resident_id": 9}, "matched_rows": 1}, "unknown"),
        ({"rows": 0, "matched_rows": 0, "customers": 0, "groups": {}}, "unknown"),
    ],
)
def test_whose_leak_it_is(changes: dict, verdict: str) -> None:
    assert judge_origin(facts(**changes)).verdict == verdict


def test_origin_gives_each_count_that_it_went_by_and_no_points() -> None:
    judged = judge_origin(facts(**{**PHONES, "matched_kinds": {"phone": 10}}, corroborated_rows=1, longest_run=30,
                                failures={"resident_id": 1}))  # fmt: skip
    assert [r.code for r in judged.reasons] == ["O1", "O2", "O3", "O4", "O5"]
    assert {r.points for r in judged.reasons} == {0}
    assert judged.expected == pytest.approx(10.0)
    assert judged.p == pytest.approx(0.54, abs=0.01)
