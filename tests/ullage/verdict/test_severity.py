"""Severity: the thresholds of the law, and who counts when chance, a partner or an old leak explains a list."""

from dataclasses import replace

import pytest
from hypothesis import given

from tests.ullage.verdict.cases import GROUP, facts, judge, of
from tests.ullage.verdict.test_exposure import ANY_FACTS, BAIT
from ullage.fields import Field
from ullage.verdict import Crowd, Facts
from ullage.verdict.severity import ORDER

NAMED = (Field.NAME, Field.PHONE, Field.ID)
AGREEING = {"rows": 100, "matched_rows": 100, "corroborated_rows": 100}
RANDOM = {"rows": 10**5, "matched_rows": 1000, "candidates": {"phone": 10**5}, "matched_kinds": {"phone": 1000}}
FROM_PARTNER = {**AGREEING, **BAIT}


def severity(given_facts: Facts) -> str:
    return judge(given_facts)[0].severity


def why(given_facts: Facts) -> str:
    return judge(given_facts)[0].reasons[-1].evidence


def ours(*fields: str, customers: int) -> Facts:
    return of(*fields, customers=customers, verified=customers, **AGREEING)


@pytest.mark.parametrize(
    ("given_facts", "expected"),
    [
        (of(Field.PHONE, customers=0), "noise"),
        (of(Field.PHONE, customers=0, alarm=True), "notice"),
        (of(Field.PHONE, customers=0, unread={"encrypted": 1}), "noise"),
        (of(Field.PHONE, customers=0, unread={"encrypted": 1}, brand=True), "notice"),
        (of(Field.PHONE, customers=1000, unread={"image": 1}, brand=True, **RANDOM), "notice"),
        (of(Field.PHONE, customers=0, logins=1), "low"),
        (of(Field.PHONE, customers=0, logins=50), "medium"),
        (of(Field.PHONE, customers=499), "notice"),
        (ours(*NAMED, customers=499), "low"),
        (of(Field.PHONE, customers=500), "low"),
        (of(Field.PHONE, customers=4999), "low"),
        (of(Field.PHONE, customers=5000), "medium"),
        (ours(Field.BALANCE, customers=50), "medium"),
        (ours(Field.PASSWORD, customers=1), "medium"),
        (of(Field.PASSWORD, customers=1), "notice"),
        (ours(Field.CVV, customers=49), "medium"),
        (ours(Field.CVV, customers=50), "high"),
        (ours(*NAMED, customers=50_000), "high"),
        (ours(*NAMED, customers=999_999), "high"),
        (ours(*NAMED, customers=1_000_000), "statutory"),
    ],
)
def test_severity_has_the_thresholds_of_the_law(given_facts: Facts, expected: str) -> None:
    assert severity(given_facts) == expected


def test_an_offer_that_could_not_be_read_says_so_in_both_languages() -> None:
    unread = {"encrypted": 1, "image": 2}
    for given_facts, english, chinese in (
        (of(customers=0, unread=unread, brand=True, alarm=True), "offered, could not be read, or not wholly: ", "兜售，无法读取"),
        (
            of(customers=0, unread=unread, brand=True),
            "posted beside the brand, could not be read, or not wholly: ",
            "与本品牌同帖发布",
        ),
        (replace(ours(*NAMED, customers=9), unread=unread), "at least so many: not read, or not wholly: ", "客户至少如此"),
    ):
        [reason] = [reason for reason in judge(given_facts)[0].reasons if reason.code == "N"]
        assert (reason.points, reason.evidence) == (0, english + "1 encrypted, 2 images")
        assert reason.evidence_zh.startswith(chinese)
    assert not [reason for reason in judge(of(customers=0, alarm=True))[0].reasons if reason.code == "N"]


def test_a_reason_that_is_not_known_here_stands_for_itself() -> None:
    assert "1 later_reason" in str(judge(of(customers=0, unread={"later_reason": 1}, brand=True))[0].reasons)


def test_random_numbers_are_noise_and_it_is_said_why() -> None:
    some = of(Field.PHONE, customers=1000, **RANDOM)
    assert severity(some) == "noise"
    assert "chance alone matches as many" in why(some)


def test_rows_that_tell_more_stay_visible_below_what_pages() -> None:
    few, many = (of(Field.PHONE, Field.LOAN, customers=n, **RANDOM) for n in (49, 50_000))
    assert (severity(few), severity(many)) == ("noise", "medium")
    assert "no leak of ours" in why(many)


@pytest.mark.parametrize("telling", [Field.ADDRESS, Field.EMPLOYER, Field.ORDER, Field.BALANCE])
@pytest.mark.parametrize("silent", [Field.ID, Field.EMAIL, Field.NAME])
def test_who_somebody_is_and_how_to_reach_them_tells_nothing(telling: str, silent: str) -> None:
    assert severity(of(Field.PHONE, telling, customers=5000, **RANDOM)) != "noise"
    assert severity(of(Field.PHONE, silent, customers=5000, **RANDOM)) == "noise"


def test_by_chance_the_verified_count() -> None:
    some = of(*NAMED, customers=1000, verified=3, **RANDOM)
    assert severity(some) == "notice"
    assert "only the 3 verified customers" in why(some)


def test_a_leak_of_somebody_else_pages_nobody() -> None:
    shared = of(*NAMED, customers=1_200_000, verified=1_200_000, rows=10**8, matched_rows=1_200_000, corroborated_rows=1_200_000)
    assert judge(shared)[1].verdict == "elsewhere"
    assert severity(shared) == "medium"


def test_an_offer_with_a_sample_that_matches_by_chance_is_looked_at() -> None:
    assert severity(of(Field.PHONE, customers=1000, alarm=True, **RANDOM)) == "notice"


def test_of_what_was_made_up_the_verified_count() -> None:
    made_up = of(*GROUP, customers=90_000, longest_run=999, rows=10**5, matched_rows=90_000)
    assert severity(made_up) == "noise"
    assert severity(of(*GROUP, customers=90_000, verified=2, longest_run=999, rows=10**5, matched_rows=90_000)) == "notice"


@pytest.mark.parametrize(("replayed", "expected"), [(0.94, "low"), (0.95, "noise")])
def test_what_was_known_before_is_noise(replayed: float, expected: str) -> None:
    some = of(*NAMED, customers=100, verified=100, replayed=replayed, replay_of="INC-1", **AGREEING)
    assert judge(some)[1].verdict == "recycled"
    assert severity(some) == expected


def test_a_partners_leak_is_high_and_its_unit_counts_twice() -> None:
    judged, origin = judge(of(*NAMED, customers=100, verified=100, **FROM_PARTNER))
    assert (origin.verdict, judged.severity, judged.unit) == ("partner", "high", 0.04)
    assert judge(of(*NAMED, customers=10**6, verified=100, **FROM_PARTNER))[0].severity == "statutory"


@given(ANY_FACTS)
def test_nobody_of_ours_no_login_and_no_offer_is_noise(any_facts: Facts) -> None:
    none = {"people": Crowd(), "verified": Crowd(), "alarm": False, "logins": 0, "matched": 0, "canaries": ()}
    assert severity(facts(**{name: getattr(any_facts, name) for name in any_facts.__slots__} | none)) == "noise"
    assert severity(any_facts) in ORDER
