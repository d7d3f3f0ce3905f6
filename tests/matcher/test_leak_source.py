"""Statements of source for small simulated banks."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from matcher.leak_source.background import weigh_exposure
from matcher.leak_source.candidates import Candidate, Memberships
from matcher.leak_source.post import Post, PostModel
from matcher.leak_source.statement import (
    POST_PRIOR,
    VICTIMS_PRIOR,
    SourceStatement,
    Verdict,
    describe_ratio,
    state_source,
)
from matcher.leak_source.victims import VictimModel, Victims

CUSTOMERS, STRATA, PARTNERS = 20_000, 20, 12


@pytest.fixture(scope="module")
def members() -> Memberships:
    """Return a bank with twelve partners of a tenth each; the last copies 98 % of the first."""
    rng = np.random.default_rng(11)
    strata = rng.integers(0, STRATA, CUSTOMERS)
    lists = []
    for _ in range(PARTNERS - 1):
        taste = rng.lognormal(0, 0.7, STRATA)[strata]
        lists.append(np.flatnonzero(rng.random(CUSTOMERS) < 0.1 * taste / taste.mean()))
    copied = lists[0][rng.random(len(lists[0])) < 0.98]
    added = rng.choice(CUSTOMERS, len(lists[0]) // 50, replace=False)
    lists.append(np.union1d(copied, added))
    candidates = [
        Candidate(f"p{number}", "partner", first_day=100 + number, last_day=100 + number)
        for number in range(PARTNERS)
    ]
    return Memberships.from_lists(candidates, strata, lists)


def draw(members: Memberships, candidate: int, count: int, seed: int = 1) -> np.ndarray:
    """Draw customers of a candidate."""
    customers = np.flatnonzero(members.has(candidate))
    return np.random.default_rng(seed).choice(customers, count, replace=False)


def state_post(members: Memberships, post: Post) -> SourceStatement:
    """State the source of a post."""
    scores = PostModel(members).score(post)
    return state_source(scores, members.candidates, POST_PRIOR, members.unexaminable)


def state_victims(members: Memberships, victims: Victims) -> SourceStatement:
    """State the source of victims, with a background by stratum alone."""
    chance = weigh_exposure(members, np.zeros(PARTNERS))
    scores = VictimModel.from_exposure(members, chance).score(victims)
    return state_source(scores, members.candidates, VICTIMS_PRIOR, members.unexaminable)


def test_sample_of_a_partner_names_the_partner(members: Memberships) -> None:
    statement = state_post(members, Post(draw(members, 3, 200)))
    assert statement.verdict is Verdict.NAMED
    assert statement.assessments[0].candidate.id == "p3"
    assert statement.credible_set[0] == ("p3",)


def test_pieces_of_evidence_add_up_to_the_ratio(members: Memberships) -> None:
    post = Post(draw(members, 3, 60), honeytokens={"p3": 1}, pieces={"p3": 5.0})
    top = state_post(members, post).assessments[0]
    assert sum(top.parts.values()) == pytest.approx(top.log_ratio)
    assert top.parts["honeytokens"] == pytest.approx(math.log(1000))


def test_filtered_list_is_recognised(members: Memberships) -> None:
    customers = np.flatnonzero(members.has(5))
    filtered = customers[members.strata[customers] < 3]
    assert state_post(members, Post(filtered)).assessments[0].candidate.id == "p5"


def test_mixed_post_names_both_sources(members: Memberships) -> None:
    rows = np.union1d(draw(members, 2, 150), draw(members, 7, 150))
    statement = state_post(members, Post(rows))
    assert statement.credible_set == (("p2", "p7"),)
    assert [a.inclusion > 0.95 for a in statement.assessments[:3]] == [True, True, False]


def test_customers_missing_from_a_copy_decide_between_copies(members: Memberships) -> None:
    whole = np.flatnonzero(members.has(0))
    assert state_post(members, Post(whole)).assessments[0].candidate.id == "p0"
    copy = np.flatnonzero(members.has(PARTNERS - 1))
    assert state_post(members, Post(copy)).assessments[0].candidate.id == f"p{PARTNERS - 1}"


def test_few_rows_cannot_tell_copies_apart(members: Memberships) -> None:
    rows = np.flatnonzero(members.has(0) & members.has(PARTNERS - 1))[:60]
    statement = state_post(members, Post(rows))
    assert statement.verdict in {Verdict.SEVERAL, Verdict.CANNOT_TELL}
    assert {("p0",), (f"p{PARTNERS - 1}",)} <= set(statement.credible_set)


def test_strangers_accuse_nobody(members: Memberships) -> None:
    rows = np.random.default_rng(2).choice(CUSTOMERS, 300, replace=False)
    statement = state_post(members, Post(rows))
    assert statement.verdict is Verdict.NONE
    assert statement.credible_set == ((),)


def test_unlisted_source_that_overlaps_is_not_blamed_on_a_partner(members: Memberships) -> None:
    rng = np.random.default_rng(3)
    rows = np.union1d(draw(members, 4, 120), rng.choice(CUSTOMERS, 180, replace=False))
    assert state_post(members, Post(rows)).verdict not in {Verdict.NAMED, Verdict.INDICATION}


@pytest.mark.parametrize("count", [0, 1, 19])
def test_fewer_than_twenty_state_nothing(members: Memberships, count: int) -> None:
    rows = draw(members, 3, count)
    for statement in (state_post(members, Post(rows)), state_victims(members, Victims(rows))):
        assert statement.verdict is Verdict.CANNOT_TELL
        assert statement.reason == "too_few"
        assert statement.rows is None
        assert statement.assessments == statement.credible_set == ()


def test_victims_of_a_partner_give_its_name(members: Memberships) -> None:
    rng = np.random.default_rng(4)
    victims = np.concatenate([draw(members, 6, 60), rng.choice(CUSTOMERS, 20)])
    top = state_victims(members, Victims(victims)).assessments[0]
    assert top.candidate.id == "p6"
    assert top.inclusion > 0.95


def test_victims_of_chance_accuse_nobody(members: Memberships) -> None:
    for seed in range(20):
        victims = np.random.default_rng(seed).choice(CUSTOMERS, 150)
        statement = state_victims(members, Victims(victims))
        assert statement.verdict not in {Verdict.NAMED, Verdict.INDICATION}


def test_contact_before_the_transfer_excuses_a_partner(members: Memberships) -> None:
    rows, day = draw(members, 6, 80), np.full(80, 50)
    statement = state_victims(members, Victims(rows, day))
    six = next(a for a in statement.assessments if a.candidate.id == "p6")
    assert six.log_ratio < 0
    after = state_victims(members, Victims(rows, day + 100))
    assert after.assessments[0].candidate.id == "p6"


def test_odds_ratio_of_victims_is_that_of_the_stratified_table(members: Memberships) -> None:
    model = VictimModel.from_exposure(members, members.exposure)
    odds = model.pool_odds(Victims(np.arange(0, CUSTOMERS, 9)), 1)
    assert odds is not None
    assert odds.low < 1 < odds.high


def test_candidate_that_was_not_examined_is_listed(members: Memberships) -> None:
    rows = [np.flatnonzero(members.has(0)), np.arange(5)]
    table = Memberships.from_lists(
        [Candidate("big", "partner"), Candidate("tiny", "partner")], members.strata, rows
    )
    statement = state_post(table, Post(rows[0][:100]))
    assert statement.unexamined == {"tiny": "too_few"}
    assert [a.candidate.id for a in statement.assessments] == ["big"]


def test_statement_holds_no_customer(members: Memberships) -> None:
    statement = state_post(members, Post(draw(members, 3, 200)))
    text = repr(dataclasses.asdict(statement))
    assert "array" not in text
    assert "customers" not in {field.name for field in dataclasses.fields(statement)}


@pytest.mark.parametrize(
    ("ratio", "words"),
    [
        (1.5, "no support either way"),
        (2, "weak support"),
        (10, "moderate support"),
        (100, "moderately strong support"),
        (1_000, "strong support"),
        (10_000, "very strong support"),
        (1_000_000, "extremely strong support"),
        (0.2, "weak support for the alternative"),
    ],
)
def test_ratio_has_the_words_of_the_scale(ratio: float, words: str) -> None:
    assert describe_ratio(math.log(ratio)) == words
