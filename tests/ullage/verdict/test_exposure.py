"""Exposure: what adds to it, what bounds it, and what must not touch it."""

import re
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ullage.verdict.cases import GROUP, TODAY, crowd, facts, judge, make_facts
from ullage.records import Honeytoken
from ullage.verdict import Crowd, VerdictFacts, expect_by_chance, load_verdict_rules, severity_unit
from ullage.verdict.rules import Scenario, ScenarioConditions
from ullage.vocabulary.fields import FieldLabel

RULES = load_verdict_rules()
BAIT = {
    "honeytokens": (Honeytoken(label="sms", customers=1, verified=1),),
    "honeytokens_enrolled": 3,
}
FIELD_CODE = re.compile(rf"\b(?:{'|'.join(set(FieldLabel) - {'QQ'})})\b", re.ASCII)
"""Field labels as the code has them; QQ is called so in Chinese as well."""
EXPOSED = ("X9", "X10", "X11", "X12", "X14")


def exposure(given_facts: VerdictFacts):
    return judge(given_facts)[0]


def points(given_facts: VerdictFacts) -> dict[str, int]:
    return {reason.code: reason.points for reason in exposure(given_facts).reasons}


def test_chance_grows_with_the_list_up_to_all_of_it() -> None:
    assert expect_by_chance(facts(candidates={"phone": 200})) == pytest.approx(2.0)
    assert expect_by_chance(facts(candidates={"phone": 200}, circulation=1e6)) == 200
    assert expect_by_chance(facts()) == 0


@pytest.mark.parametrize(
    ("classes", "unit"),
    [
        ({"A": 50}, 1.0),
        ({"B": 500}, 1.0),
        ({"C": 5000}, 1.0),
        ({"A": 25, "B": 125, "C": 1250}, 1.0),
        ({"A": 1}, 0.02),
        ({}, 0.0),
    ],
)
def test_severity_unit_weighs_each_customer_by_one_class(
    classes: dict[str, int], unit: float
) -> None:
    assert severity_unit(Crowd(sum(classes.values()), classes)) == pytest.approx(unit)


WAYS = [(way, scenario) for way, scenario in RULES.list_ways()]


@pytest.mark.parametrize(
    ("way", "scenario"), WAYS, ids=[f"{s.id}-{n}" for n, (_, s) in enumerate(WAYS)]
)
def test_every_scenario_way_is_reached_and_worded_in_two_languages(
    way: ScenarioConditions, scenario: Scenario
) -> None:
    fields = way.every | frozenset(sorted(way.some)[:1])
    scenario_facts = make_facts(
        *(fields or {FieldLabel.PHONE}),
        terms=tuple(sorted(way.terms)[:1]),
        logins=int(way.logins),
        brand=way.brand,
    )
    scenario_facts = scenario_facts.model_copy(update={"suspicion": way.suspicion})
    judged = exposure(scenario_facts)
    assert (judged.scenario, judged.title, judged.title_zh) == (
        scenario.id,
        scenario.title,
        scenario.title_zh,
    )
    assert (judged.reasons[0].code, judged.reasons[0].points) == (scenario.id, way.points)
    assert all((scenario.title, scenario.title_zh, scenario.source))


@pytest.mark.parametrize("label", FieldLabel)
def test_chinese_reasons_name_every_field_in_chinese(label: FieldLabel) -> None:
    leaked = make_facts(*FieldLabel, own_fields=frozenset((label,)))
    for given_facts in (leaked, make_facts(label, "PHONE", own_fields=frozenset((label,)))):
        scored, source = judge(given_facts)
        chinese = [reason.evidence_zh for reason in (*scored.reasons, *source.reasons)]
        assert any("仅本单位掌握的字段" in text for text in chinese)
        assert [text for text in chinese if FIELD_CODE.search(text)] == []


def test_every_scenario_exists_once() -> None:
    assert [s.id for s in RULES.scenario] == [f"X{n}" for n in range(1, 23)]


@pytest.mark.parametrize("without", ["terms", "logins", "brand"])
def test_way_requires_its_term_login_or_brand(without: str) -> None:
    whole = {"terms": ("initial access", "机主", "手持"), "logins": 3, "brand": True}
    assert exposure(make_facts(FieldLabel.PHONE, FieldLabel.ID, **whole)).scenario == "X1"
    less = exposure(
        make_facts(FieldLabel.PHONE, FieldLabel.ID, **whole | {without: type(whole[without])()})
    ).scenario
    assert (less == "X1") == (without == "logins")


def test_fields_of_two_rows_do_not_add_up_to_a_scenario() -> None:
    apart = facts(
        people=Crowd(10, {"C": 10}, {GROUP: 5, frozenset((FieldLabel.CARD, FieldLabel.ID)): 5})
    )
    assert exposure(apart).scenario == "X17"
    assert (
        exposure(
            make_facts(FieldLabel.NAME, FieldLabel.PHONE, FieldLabel.CARD, FieldLabel.ID)
        ).scenario
        == "X7"
    )


@pytest.mark.parametrize(
    ("changes", "code", "added"),
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
        ({"free": True}, "R1", 1),
        ({"corroborated_rows": 3}, "C1", 6),
        (BAIT, "C2", 10),
        ({"brand": True}, "C3", 2),
        ({"terms": ("内料",)}, "L1", 3),
        ({"terms": ("IOS",)}, "M2", 3),
        ({"minors": 1}, "M3", 5),
        ({"people": crowd(10, *GROUP, FieldLabel.LOAN)}, "M1", 3),
        ({"people": crowd(10, *GROUP, FieldLabel.HEALTH)}, "M4", 4),
        ({"people": crowd(499, *GROUP)}, "V", 0),
        ({"people": crowd(500, *GROUP)}, "V", 3),
        ({"people": crowd(5000, *GROUP)}, "V", 7),
        ({"people": crowd(50_000, *GROUP)}, "V", 10),
        ({"people": crowd(100_000, *GROUP)}, "V", 13),
        ({"people": crowd(500_000, *GROUP)}, "V", 13),
        ({"people": crowd(1_000_000, *GROUP)}, "V", 15),
    ],
)
def test_each_fact_adds_its_points_to_exposure(changes: dict, code: str, added: int) -> None:
    assert points(facts(**changes))[code] == added


@pytest.mark.parametrize(
    "changes", [{}, {"sites": 1}, {"corroborated_rows": 2}, {"newest_date": None}]
)
def test_missing_facts_give_no_reason(changes: dict) -> None:
    assert list(points(facts(**changes))) == ["X17", "V", "S"]


@pytest.mark.parametrize(
    ("given_facts", "score", "code"),
    [
        (make_facts(FieldLabel.PHONE, FieldLabel.PASSWORD, verified=1), 70, "F1"),
        (make_facts(FieldLabel.PHONE, FieldLabel.PASSWORD, customers=4), 42, None),
        (make_facts(FieldLabel.PHONE, **BAIT), 60, "F2"),
        (make_facts(FieldLabel.PHONE, customers=0, logins=3), 45, "K1"),
        (
            make_facts(FieldLabel.PHONE, customers=0, alarm=True, brand=True, terms=("手持",)),
            45,
            "K1",
        ),
        (make_facts(FieldLabel.PHONE, customers=0, alarm=True), 20, None),
        (make_facts(*GROUP, customers=900, longest_run=500), 0, None),
        (make_facts(FieldLabel.PHONE, customers=0, longest_run=500, alarm=True), 5, "K2"),
    ],
)
def test_score_has_floors_and_caps(given_facts: VerdictFacts, score: int, code: str | None) -> None:
    judged = exposure(given_facts)
    assert judged.score == score
    assert [r.code for r in judged.reasons if r.code[0] in "FK"][-1:] == ([code] if code else [])


def test_fabricated_list_counts_only_verified_customers() -> None:
    whole = make_facts(
        *GROUP,
        FieldLabel.LOAN,
        customers=90_000,
        longest_run=500,
        rows=100_000,
        matched_rows=90_000,
    )
    with_verified = whole.model_copy(
        update={"verified": crowd(3, FieldLabel.NAME, FieldLabel.PHONE, FieldLabel.ID)}
    )
    assert (exposure(whole).score, exposure(whole).scenario) == (0, "")
    assert (exposure(with_verified).score, exposure(with_verified).scenario) == (40, "X15")
    assert "3 customers" in {r.code: r.evidence for r in exposure(with_verified).reasons}["V"]


CASES = {
    "a list of phones at the base rate": (make_facts(FieldLabel.PHONE, customers=10), 12),
    "three elements of 5,000, a month old, two fields, brand": (
        make_facts(FieldLabel.NAME, FieldLabel.PHONE, FieldLabel.ID, customers=5000, verified=5000,
        matched_rows=5000,
        corroborated_rows=5000,
           newest_date=TODAY - timedelta(30), brand=True), 40 + 7 + 7 + 6 + 2),
    "loans of 800, five days old, three sources, honeytoken": (
        make_facts(FieldLabel.NAME, FieldLabel.PHONE, FieldLabel.LOAN, customers=800,
        matched_rows=800,
        corroborated_rows=800, sites=3,
           newest_date=TODAY - timedelta(5), **BAIT), 50 + 7 + 10 + 2 + 6 + 10 + 3),
    "a dump of 2019 posted again on four sites": (
        make_facts(FieldLabel.NAME, FieldLabel.PHONE, FieldLabel.ID, customers=1_000_000, sites=4,
        newest_date=date(2019, 5, 1),
        replayed=0.9,
           replay_of="INC-1"), 40 + 15 - 10 + 2),
    "twenty verified cards with their codes, twenty days old": (
        make_facts(FieldLabel.CARD, FieldLabel.CVV, customers=20, verified=20, matched_rows=20,
        corroborated_rows=20,
           newest_date=TODAY - timedelta(20)), 60 + 3 + 7 + 6),
    "one customer in a stealer log, at an own domain": (
        make_facts(FieldLabel.EMAIL, FieldLabel.PASSWORD, customers=1, verified=1, logins=1, rows=1,
        matched_rows=1, corroborated_rows=1,
           newest_date=TODAY - timedelta(30)), 58 + 7 + 6),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_worked_cases_have_their_documented_score(case: str) -> None:
    given_facts, score = CASES[case]
    assert exposure(given_facts).score == score


def test_age_of_the_newest_date_is_shown_in_days() -> None:
    for days, words in ((1, "1 day old"), (5, "5 days old")):
        reasons = exposure(facts(newest_date=TODAY - timedelta(days))).reasons
        assert f"newest date in it is {words}" in [
            reason.evidence for reason in reasons if reason.code == "T"
        ]


ANY_FACTS = st.builds(
    facts,
    people=st.builds(lambda n, g: Crowd(n, {"B": n}, g if n else {}), st.integers(0, 2_000_000),
    st.dictionaries(
        st.frozensets(st.sampled_from(sorted(FieldLabel)), min_size=1, max_size=6),
        st.integers(1, 99), max_size=4)),
    verified=st.sampled_from([Crowd(), crowd(2, FieldLabel.PHONE, FieldLabel.PASSWORD)]),
    corroborated_rows=st.integers(0, 10),
    newest_date=st.none() | st.dates(date(2015, 1, 1), TODAY),
    sites=st.integers(1, 9),
    brand=st.booleans(),
    alarm=st.booleans(),
    logins=st.integers(0, 60),
    terms=st.sampled_from([(), ("内料",), ("手持", "IOS")]),
    minors=st.integers(0, 2),
    candidates=st.fixed_dictionaries({"phone": st.integers(0, 500)}),
    matched_kinds=st.fixed_dictionaries({"phone": st.integers(0, 9)}),
    longest_run=st.integers(0, 40),
    replayed=st.sampled_from([0.0, 0.6, 0.9, 1.0]),
    **{name: st.sampled_from([value, type(value)()]) for name, value in BAIT.items()},
)  # fmt: skip


@given(ANY_FACTS)
def test_reasons_add_up_to_the_score(any_facts: VerdictFacts) -> None:
    judged = exposure(any_facts)
    free = sum(r.points for r in judged.reasons if r.code[0] not in "FK")
    assert judged.score == max(0, min(100, free)) + sum(
        r.points for r in judged.reasons if r.code[0] in "FK"
    )
    assert 0 <= judged.score <= 100
    assert judged.reasons[-1].code == "S"


@given(ANY_FACTS, st.integers(1, 10**8), st.floats(0, 1))
def test_exposure_does_not_depend_on_chance_or_earlier_leaks(
    any_facts: VerdictFacts, watchlist: int, replayed: float
) -> None:
    """Bait counts or not by chance, so it is left out."""
    any_facts = any_facts.model_copy(update={"honeytokens": ()})
    changed = any_facts.model_copy(
        update={"watchlist": watchlist, "replayed": replayed, "replay_of": "INC-1"}
    )
    assert exposure(changed).score == exposure(any_facts).score


def test_rules_can_be_replaced() -> None:
    changed = RULES.model_copy(
        update={"corroboration": RULES.corroboration.model_copy(update={"brand": 30})}
    )
    phone_facts = make_facts(FieldLabel.PHONE, brand=True)
    assert judge(phone_facts, changed)[0].score == exposure(phone_facts).score + 28
