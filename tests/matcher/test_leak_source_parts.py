"""The parts of a statement of source, against exact enumeration and hand-computed cases."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from matcher.leak_source.background import estimate_excess, weigh_exposure
from matcher.leak_source.candidates import Candidate, Kind, Memberships, count_rows
from matcher.leak_source.density import ODDS, THETA, Density, PairCounts
from matcher.leak_source.evidence import (
    AGREES,
    HANDED_OUT_WRONGLY,
    Versions,
    VersionScores,
    count_honeytokens,
    score_fields,
    score_honeytokens,
    score_pieces,
)
from matcher.leak_source.excess import (
    EProcess,
    bound_confounding,
    count_victims_needed,
    find_tail,
    pool_odds,
    score_excess,
)
from matcher.leak_source.hypotheses import (
    PAIR_STANDS_FOR,
    PAIRS_PRIOR,
    UNLISTED,
    Scores,
    find_posterior,
)
from matcher.leak_source.numerics import (
    damp,
    log_binomial,
    log_gamma,
    log_mean,
    log_sum,
)
from matcher.leak_source.post import PostModel
from ullage.errors import ConfigError


def make_members(lists: list[list[int]], strata: list[int], kind: Kind = "partner") -> Memberships:
    """Build a small table; candidates are called c0, c1 and so on."""
    candidates = [Candidate(f"c{number}", kind) for number in range(len(lists))]
    rows = [np.array(list_, np.int64) for list_ in lists]
    return Memberships.from_lists(candidates, np.array(strata), rows)


@pytest.mark.parametrize("value", [1e-9, 0.3, 1.0, 2.5, 7.0, 123.4, 1e6])
def test_log_gamma_equals_the_standard_library(value: float) -> None:
    assert float(log_gamma(np.array(value))) == pytest.approx(
        math.lgamma(value), rel=1e-9, abs=1e-11
    )


def test_binomial_probabilities_equal_exact_ones() -> None:
    for k in range(6):
        exact = math.comb(5, k) * 0.3**k * 0.7 ** (5 - k)
        assert math.exp(float(log_binomial(np.array(k), np.array(5), np.array(0.3)))) == (
            pytest.approx(exact)
        )


def test_sums_of_tiny_probabilities_do_not_underflow() -> None:
    logs = np.array([-2_000.0, -2_000.0])
    assert float(log_sum(logs)) == pytest.approx(-2_000 + math.log(2))
    assert float(log_mean(logs)) == pytest.approx(-2_000)
    assert float(log_sum(np.array([-np.inf, -np.inf]))) == -np.inf


def test_damped_rows_count_at_most_their_limit() -> None:
    assert 10**6 * damp(10**6, 0.002) == pytest.approx(500, rel=0.01)


def test_table_agrees_with_sets_of_customers() -> None:
    rng = np.random.default_rng(1)
    sets = [set(np.flatnonzero(rng.random(500) < 0.2).tolist()) for _ in range(11)]
    strata = rng.integers(0, 7, 500).tolist()
    members = make_members([sorted(customers) for customers in sets], strata)
    shared = members.count_shared(2)
    for c, customers in enumerate(sets):
        for x in range(7):
            assert members.sizes[x, c] == sum(strata[i] == x for i in customers)
            assert shared[x, c] == sum(strata[i] == x for i in customers & sets[2])
    counts, present = count_rows(members.rows(np.arange(50)), members.strata[:50])
    for x, row in zip(present.tolist(), counts.tolist(), strict=True):
        assert row == [sum(strata[i] == x for i in s if i < 50) for s in sets]


def test_memberships_of_a_million_customers_take_at_most_41_mb() -> None:
    strata = np.zeros(10_000, np.uint16)
    lists = [np.arange(number, 10_000, 14) for number in range(200)]
    candidates = [Candidate(str(number), "partner") for number in range(200)]
    members = Memberships.from_lists(candidates, strata, lists)
    assert members.nbytes * 100 <= 41_000_000


def test_customer_outside_the_list_is_refused() -> None:
    with pytest.raises(ConfigError, match="c0: a customer is not in the customer list"):
        make_members([[3]], [0, 0, 0])
    with pytest.raises(ConfigError, match="1 candidates have 0 lists"):
        Memberships.from_lists([Candidate("a", "own")], np.zeros(3), [])


def test_short_lists_of_staff_and_own_regions_are_not_examined() -> None:
    strata = [0] * 300 + [1] * 300
    rows = [list(range(300)), list(range(0, 600, 4)), list(range(10)), list(range(0, 600, 2))]
    assert make_members(rows, strata).unexaminable == {0: "equals_strata", 2: "too_few"}
    staff = make_members(rows, strata, "staff").unexaminable
    assert staff[1] == "too_few_of_staff"
    assert 3 not in staff


def test_density_of_all_customers_sums_to_one() -> None:
    members = make_members([[0, 1]], [0, 0, 0, 0, 0])
    density = Density(members.exposure)
    total = np.zeros(len(THETA))
    for customer in range(5):
        rows = members.rows(np.array([customer]))
        counts, present = count_rows(rows, np.array([0]))
        total += np.exp(density.score(counts, present, 1)[:, 0]) / 5
    assert total == pytest.approx(np.ones(len(THETA)), abs=1e-5)


def test_density_without_replacement_sums_to_one() -> None:
    members = make_members([[0, 1, 2]], [0] * 6)
    model, total = PostModel(members), np.zeros(len(THETA))
    for drawn in itertools.permutations(range(6), 3):
        counts, present = count_rows(members.rows(np.array(drawn)), np.zeros(3))
        score = Density(members.exposure).score(counts, present, 3)[:, 0]
        score = score + model._correct_draws(counts, present, np.array([3]))[0]
        total += np.exp(score) / (6 * 5 * 4)
    assert total == pytest.approx(np.ones(len(THETA)), abs=1e-5)


def test_pair_density_sums_to_one() -> None:
    members = make_members([[0, 1, 2], [2, 3]], [0] * 6)
    density = Density(members.exposure)
    total = 0.0
    for drawn in itertools.product(range(6), repeat=2):
        rows = members.rows(np.array(drawn))
        shared = PairCounts.count(rows, np.zeros(2, int), np.array([0]), (0, 1))
        total += math.exp(density.score_pair(shared, 1.0, np.ones(len(THETA)))) / 36
    assert total == pytest.approx(1, abs=1e-5)


def test_smaller_of_two_lists_explains_better() -> None:
    members = make_members([list(range(10)), list(range(40))], [0] * 100)
    counts, present = count_rows(members.rows(np.arange(8)), np.zeros(8))
    scores = Density(members.exposure).score(counts, present, 8)
    assert (scores[-1, 0] - scores[-1, 1]) == pytest.approx(8 * math.log(4), rel=0.05)


def test_posterior_equals_bayes_by_hand() -> None:
    candidates = [Candidate("a", "partner"), Candidate("b", "partner", weight=3)]
    scores = Scores(
        30,
        np.log([8.0, 2.0]),
        np.log([1.5, 0.5]),
        ((0, 1),),
        np.log([4.0]),
        np.zeros(2),
    )
    none = 0.2 * ((1 - UNLISTED) + UNLISTED * (1.5 / 4 + 3 * 0.5 / 4))
    alone = 0.8 * (1 - PAIRS_PRIOR)
    pair = 0.8 * PAIRS_PRIOR * min(1, PAIR_STANDS_FOR) * 4
    exact = np.array([none, alone * 8 / 4, alone * 2 * 3 / 4, pair])
    posterior = find_posterior(scores, candidates, 0.2)
    assert posterior.hypotheses == ((), (0,), (1,), (0, 1))
    assert posterior.probability == pytest.approx(exact / exact.sum())
    assert posterior.include(2)[0] == pytest.approx((exact[1] + exact[3]) / exact.sum())
    assert len(posterior.credible_set(0.5)) == 2


@pytest.mark.parametrize("odds", [1.0, 2.0])
def test_mean_e_value_is_at_most_one_below_the_null_odds(odds: float) -> None:
    chance = np.array([[0.1], [0.5], [0.3], [0.7], [0.2]])
    mean = 0.0
    for outcome in itertools.product([0, 1], repeat=5):
        exposed = np.array(outcome)[:, None]
        p = chance * odds / (1 - chance + chance * odds)
        probability = float(np.prod(np.where(exposed, p, 1 - p)))
        mean += probability * math.exp(float(EProcess.run(exposed, chance).log_e[0, 0]))
    assert mean == pytest.approx(1) if odds == 2 else mean < 1


def test_e_process_is_followed_look_by_look() -> None:
    rng = np.random.default_rng(3)
    exposed, chance = rng.random((40, 3)) < 0.5, rng.uniform(0.05, 0.4, (40, 3))
    process = EProcess.run(exposed, chance, np.array([10, 40]))
    for look, end in enumerate((10, 40)):
        last = EProcess.run(exposed[:end], chance[:end]).log_e[0]
        assert process.log_e[look] == pytest.approx(last)
    by_stratum = score_excess(exposed.astype(int), np.ones((40, 1)), chance)
    assert process.log_e[1] == pytest.approx(by_stratum)
    assert (process.ever() >= process.log_e[1]).all()


def test_tail_by_chance_equals_enumeration() -> None:
    chance = np.array([0.1, 0.5, 0.3, 0.8])
    for least in range(5):
        exact = sum(
            math.prod(p if z else 1 - p for p, z in zip(chance.tolist(), outcome, strict=True))
            for outcome in itertools.product([0, 1], repeat=4)
            if sum(outcome) >= least
        )
        assert find_tail(least, chance) == pytest.approx(exact)


def test_victim_before_the_transfer_changes_no_e_value() -> None:
    assert EProcess.run(np.zeros((7, 1)), np.zeros((7, 1))).log_e[0, 0] == pytest.approx(0)


def test_common_odds_ratio_equals_a_hand_computed_one() -> None:
    odds = pool_odds(np.array([10]), np.array([20]), np.array([30]), np.array([240]))
    assert odds is not None
    assert odds.estimate == pytest.approx(10 * 240 / (20 * 30))
    # With one stratum the variance is Woolf's: the sum of the inverse cells.
    width = math.exp(1.959964 * math.sqrt(1 / 10 + 1 / 20 + 1 / 30 + 1 / 240))
    assert (odds.low, odds.high) == pytest.approx((4 / width, 4 * width))
    assert pool_odds(np.array([0]), np.array([1]), np.array([1]), np.array([1])) is None


def test_confounding_bound_equals_the_published_example() -> None:
    assert bound_confounding(3.9) == pytest.approx(7.26, abs=0.01)


def test_identical_lists_are_never_told_apart() -> None:
    assert count_victims_needed(0.5, 0.1, 1.0) == math.inf


def test_honeytokens_for_a_confidence_are_the_fewest() -> None:
    for share, surviving in ((0.01, 1.0), (0.1, 0.5), (0.5, 1.0)):
        needed = count_honeytokens(0.95, share, surviving)
        missed = 1 - share * surviving
        assert missed**needed <= 0.05
        assert missed ** (needed - 1) > 0.05
    with pytest.raises(ConfigError, match="confidence 1 "):
        count_honeytokens(1.0, 0.1)


def test_honeytokens_never_exceed_the_rate_of_error() -> None:
    bait = Candidate("p", "partner", honeytokens=500)
    limit = math.log(1 / HANDED_OUT_WRONGLY)
    assert score_honeytokens(bait, 1, 0.1) == score_honeytokens(bait, 90, 0.1) == limit
    assert score_honeytokens(bait, 0, 1.0) == -limit
    pair = Candidate("p", "partner", honeytokens=2)
    assert score_honeytokens(pair, 0, 0.5) == pytest.approx(2 * math.log(0.75))
    assert score_honeytokens(Candidate("p", "partner"), 0, 1.0) == 0


def test_field_that_the_candidate_lacked_counts_against_it() -> None:
    fields = frozenset({"phone", "card"})
    assert score_fields(fields, frozenset({"phone"}), fields) < 0
    assert score_fields(fields, fields, fields) > 0


def test_unmeasured_pieces_are_capped() -> None:
    piece = Candidate("p", "partner")
    assert score_pieces({"p": 1e9}, piece) == pytest.approx(math.log(100))
    assert score_pieces({"p": 1e-9}, piece) == pytest.approx(-math.log(100))


def test_old_phone_supports_the_copy_of_its_day() -> None:
    old = Candidate("old", "partner", first_day=100, last_day=100)
    new = Candidate("new", "partner", first_day=400, last_day=400)
    versions = Versions(np.arange(3), np.zeros(3, np.int64), np.full(3, 200))
    compared = VersionScores.compare(versions, (old, new))
    scores = compared.score(np.ones((3, 2), np.bool_), (old, new))
    power = damp(3, 0.02)
    assert scores[0] == pytest.approx(power * 3 * math.log(AGREES / 0.5))
    assert scores[1] == pytest.approx(power * 3 * math.log((1 - AGREES) / 0.5))
    nobody = compared.score(np.zeros((3, 2), np.bool_), (old, new))
    assert nobody == pytest.approx([0, 0])


def test_usual_excess_of_earlier_cases_is_learnt() -> None:
    rng = np.random.default_rng(5)
    strata = rng.integers(0, 10, 20_000)
    lists = [np.flatnonzero(rng.random(20_000) < 0.1).tolist() for _ in range(4)]
    members = make_members(lists, strata.tolist())
    true = np.array([1.0, 0.0, -0.7, 0.4])
    odds = np.exp(members.rows(np.arange(20_000)) @ true)
    earlier = rng.choice(20_000, 8_000, p=odds / odds.sum())
    beta = estimate_excess(members, earlier)
    assert beta == pytest.approx(true, abs=0.15)
    chance = weigh_exposure(members, beta)
    weights = np.exp(members.rows(np.arange(20_000)) @ beta)
    for x in (0, 7):
        inside = strata == x
        exact = weights[inside & members.has(2)].sum() / weights[inside].sum()
        assert chance[x, 2] == pytest.approx(exact, rel=1e-4)


def test_exposure_without_earlier_cases_is_the_share() -> None:
    members = make_members([[0, 1], [2]], [0, 0, 1])
    beta = estimate_excess(members, np.array([], np.int64))
    assert not beta.any()
    assert weigh_exposure(members, beta) == pytest.approx(members.exposure)


def test_odds_grid_is_that_of_theta() -> None:
    assert pytest.approx(ODDS / (1 + ODDS)) == THETA
