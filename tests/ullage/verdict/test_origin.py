"""Origin: whose leak it is, at every size of platform."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ullage.verdict.cases import crowd, facts, judge, make_facts, make_list_facts
from ullage.records import Cohort, Honeytoken, RowGroup
from ullage.verdict import VerdictFacts
from ullage.verdict.origin import SHOWN_COHORTS
from ullage.vocabulary.fields import FieldLabel

PHONES = {"candidates": {"phone": 1000}, "rows": 1000, "people": crowd(10, FieldLabel.PHONE)}
SIZES = {"10 M": 10_000_000, "50 M": 50_000_000, "300 M": 300_000_000}
NAMED = ("NAME", "PHONE", "ID")


def verdict(given_facts: VerdictFacts) -> str:
    return judge(given_facts)[1].verdict


def explain(given_facts: VerdictFacts) -> str:
    return "\n".join(reason.evidence for reason in judge(given_facts)[1].reasons)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({**PHONES, "matched_rows": 10, "matched_kinds": {"phone": 10}}, "elsewhere"),
        ({**PHONES, "matched_rows": 1000, "matched_kinds": {"phone": 1000}}, "ours"),
        ({**PHONES, "matched_rows": 500, "matched_kinds": {"phone": 500}}, "ours"),
        ({**PHONES, "matched_rows": 499, "matched_kinds": {"phone": 499}}, "unknown"),
        (
            {**PHONES, "matched_rows": 500, "matched_kinds": {"phone": 500}, "circulation": 1e8},
            "unknown",
        ),
        (
            {
                "candidates": {"digest": 50},
                "matched_kinds": {"phone": 50},
                "rows": 50,
                "matched_rows": 50,
            },
            "ours",
        ),
        (
            {
                "candidates": {"phone": 10**5},
                "matched_kinds": {"phone": 1300},
                "rows": 10**5,
                "matched_rows": 1300,
            },
            "elsewhere",
        ),
        ({**PHONES, "matched_rows": 0, "people": crowd(0)}, "elsewhere"),
        ({"rows": 5, "matched_rows": 0, "people": crowd(0)}, "unknown"),
        ({"rows": 10, "matched_rows": 4, "corroborated_rows": 4}, "unknown"),
        ({"rows": 10, "matched_rows": 5, "corroborated_rows": 5}, "ours"),
        ({"rows": 3, "matched_rows": 3, "corroborated_rows": 3}, "ours"),
        ({"rows": 1, "matched_rows": 1, "corroborated_rows": 1}, "unknown"),
        ({"rows": 100, "matched_rows": 4, "corroborated_rows": 4}, "elsewhere"),
        (
            {**PHONES, "matched_rows": 10, "matched_kinds": {"phone": 10}, "longest_run": 20},
            "fabricated",
        ),
        (
            {**PHONES, "matched_rows": 10, "matched_kinds": {"phone": 10}, "longest_run": 19},
            "elsewhere",
        ),
        ({"longest_run": 500, "rows": 10, "matched_rows": 10, "corroborated_rows": 10}, "ours"),
        (
            {"failures": {"resident_id": 3}, "candidates": {"resident_id": 7}, "matched_rows": 1},
            "fabricated",
        ),
        (
            {"failures": {"resident_id": 2}, "candidates": {"resident_id": 8}, "matched_rows": 1},
            "unknown",
        ),
        ({"failures": {"resident_id": 9}, "matched_rows": 1}, "unknown"),
        ({"rows": 0, "matched_rows": 0, "people": crowd(0)}, "unknown"),
    ],
)
def test_origin_is_decided_from_the_facts(changes: dict, expected: str) -> None:
    assert verdict(facts(**changes)) == expected


@pytest.mark.parametrize("size", SIZES)
def test_loans_from_elsewhere_expose_customers_but_are_not_ours(size: str) -> None:
    exposure, origin = judge(make_list_facts(SIZES[size], ("PHONE", "LOAN"), 100_000))
    assert (origin.verdict, exposure.scenario) == ("elsewhere", "X9")
    assert exposure.score >= 60
    assert exposure.severity == "noise"


@pytest.mark.parametrize("size", SIZES)
def test_million_random_numbers_are_noise_from_elsewhere(size: str) -> None:
    exposure, origin = judge(make_list_facts(SIZES[size], ("PHONE",), 1_000_000))
    assert (origin.verdict, exposure.severity) == ("elsewhere", "noise")
    assert exposure.score < 30
    assert "chance alone" in exposure.reasons[-1].evidence


@pytest.mark.parametrize("rows", [100_000, 1_000_000])
@pytest.mark.parametrize(
    ("size", "apart", "expected"),
    [
        *((size, True, "ours") for size in SIZES),
        ("50 M", False, "unknown"),
        ("300 M", False, "ours"),
        # so few match by chance that a rival's list has as many under other names
        ("10 M", False, "unknown"),
    ],
)
def test_few_real_rows_are_ours_if_the_others_are_invented(
    size: str, apart: bool, expected: str, rows: int
) -> None:
    """With random numbers beside them, or with invented second fields."""
    real = rows // 20
    exposure, origin = judge(
        make_list_facts(SIZES[size], NAMED, rows, ours=real, alone=rows - real if apart else 0)
    )
    assert (origin.verdict, exposure.scenario) == (expected, "X15")
    assert exposure.severity in ("medium", "high")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("times", [1.0, 1.5, 2.0])
@pytest.mark.parametrize("agreeing", [0.7, 0.9, 1.0])
def test_customers_shared_by_two_platforms_do_not_prove_the_list_ours(
    size: str, times: float, agreeing: float
) -> None:
    """A true list of another's customers: more of them are ours than of the population, and most
    agree in both fields.
    """
    rows, chance = 50_000, SIZES[size] / 1.8e9
    shared = round(rows * chance * times)
    corroborated = round(shared * agreeing)
    list_of_another = make_list_facts(SIZES[size], NAMED, rows)
    group = list_of_another.groups[0].model_copy(
        update={"matched": shared, "corroborated": corroborated}
    )
    changes = {
        "groups": (group,),
        "matched_rows": shared,
        "corroborated_rows": corroborated,
        "matched_kinds": {"phone": shared},
    }
    assert verdict(list_of_another.model_copy(update=changes)) in ("elsewhere", "unknown")


@pytest.mark.parametrize("customers", [5_000, 50_000, 10_000_000, 50_000_000, 300_000_000])
@pytest.mark.parametrize("rows", [40, 300, 5_000, 60_000, 1_000_000])
@pytest.mark.parametrize("share", [0.08, 0.15, 0.25])
@pytest.mark.parametrize("agreeing", [0.5, 0.8, 0.95, 1.0])
def test_list_of_a_rival_lender_with_shared_customers_is_never_ours(
    customers: int, rows: int, share: float, agreeing: float
) -> None:
    shared = round(rows * share)
    corroborated = round(shared * agreeing)
    group = RowGroup(
        fields=("ID", "LOAN", "NAME", "PHONE"), rows=rows, matched=shared, corroborated=corroborated
    )
    rival_list = make_facts(
        "NAME",
        "PHONE",
        "ID",
        "LOAN",
        customers=shared,
        verified=corroborated,
        rows=rows,
        matched_rows=shared,
        corroborated_rows=corroborated,
        groups=(group,),
        watchlist=customers,
        circulation=1.8e9,
        brand=True,
        candidates={"phone": rows},
        matched_kinds={"phone": shared},
    )
    assert verdict(rival_list) in ("elsewhere", "unknown")
    if verdict(rival_list) == "unknown" and corroborated:
        assert "customers whom we share with others can explain it" in explain(rival_list)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "unknown"),
        ({"private_attributes_comparable": 9, "private_attributes_agreeing": 9}, "unknown"),
        ({"private_attributes_comparable": 10, "private_attributes_agreeing": 5}, "ours"),
        ({"private_attributes_comparable": 10, "private_attributes_agreeing": 4}, "unknown"),
        ({"private_attributes_comparable": 20, "private_attributes_agreeing": 1}, "elsewhere"),
        ({"private_attributes_comparable": 19, "private_attributes_agreeing": 1}, "unknown"),
        ({"rows_of_others": 50}, "elsewhere"),
        ({"rows_of_others": 49}, "unknown"),
        ({"rows_of_others": 50, "known_cards": 3}, "ours"),
        ({"known_cards": 3, "candidates": {"card": 6}}, "ours"),
        ({"known_cards": 2, "candidates": {"card": 2}}, "unknown"),
        ({"known_cards": 3, "candidates": {"card": 7}}, "unknown"),  # a shop's: cards of every bank
        ({"own_card_rows": 50}, "ours"),
        ({"own_card_rows": 49}, "unknown"),
        ({"own_card_rows": 100, "cards_enrolled": 10**6}, "unknown"),
        ({"own_card_rows": 100, "corroborated_rows": 0}, "unknown"),
        ({"overlap": 0.1}, "ours"),
        ({"overlap": 0.13}, "unknown"),
        ({"market_share": 0.0025}, "ours"),
        ({"market_share": 0.0026}, "unknown"),
        ({"overlap": 0.13, "market_share": 0.0025}, "unknown"),
        ({"logins": 25}, "devices"),
        ({"logins": 24}, "unknown"),
        ({"logins": 25, "known_cards": 9}, "devices"),
    ],
)
def test_each_origin_rule_decides_exactly_at_its_threshold(changes: dict, expected: str) -> None:
    """Of a hundred rows a quarter agree."""
    edge_facts = make_facts(
        *NAMED,
        customers=25,
        verified=25,
        **{"rows": 100, "matched_rows": 25, "corroborated_rows": 25, **changes},
    )
    assert verdict(edge_facts) == expected


STEALER = (
    RowGroup(fields=("PASSWORD", "PHONE"), rows=100, matched=60),
    RowGroup(fields=("PHONE",), rows=100, matched=60),
)
NOBODYS = (RowGroup(fields=("PASSWORD", "PHONE"), rows=100),)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "devices"),
        ({"stealer_rows": 49}, "ours"),
        ({"corroborated_rows": 6}, "devices"),
        ({"corroborated_rows": 7}, "ours"),
        ({"matched_rows": 121}, "ours"),
        ({"groups": ()}, "ours"),
        ({"honeytokens": (Honeytoken(label="sms A", customers=1, verified=1),)}, "partner"),
        ({"rows_of_others": 200}, "devices"),  # the addresses name them
        ({"longest_run": 20, "corroborated_rows": 0}, "fabricated"),
        (
            {"matched_rows": 0, "matched_kinds": {}, "people": crowd(0), "groups": NOBODYS},
            "elsewhere",
        ),
    ],
)
def test_stealer_rows_mean_devices_if_they_have_passwords_and_customers(
    changes: dict, expected: str
) -> None:
    """Of a hundred rows with a password half are in that form, and of the customers' rows half
    have a password.
    """
    stealer_rows = {
        "rows": 200,
        "matched_rows": 120,
        "stealer_rows": 50,
        "groups": STEALER,
        "candidates": {"phone": 200},
    }
    given_facts = make_facts(
        FieldLabel.PHONE,
        FieldLabel.PASSWORD,
        customers=120,
        **{**stealer_rows, "matched_kinds": {"phone": 120}, **changes},
    )
    assert verdict(given_facts) == expected
    assert "in the form of a stealer log, logins at others' sites" in explain(given_facts)


def test_half_of_the_rows_suffices_unless_measured_overlap_is_higher() -> None:
    half = {"rows": 100, "matched_rows": 50, "corroborated_rows": 50}
    assert verdict(make_facts(*NAMED, customers=50, verified=50, **half)) == "ours"
    assert verdict(make_facts(*NAMED, customers=50, verified=50, **half, overlap=0.26)) == "unknown"


def test_list_of_single_values_mentions_sign_up_probing() -> None:
    phones = {**PHONES, "matched_rows": 900, "matched_kinds": {"phone": 900}}
    assert "our data, or probing of our sign-up" in explain(facts(**phones))


def test_no_reason_names_a_partner_or_the_leaker() -> None:
    for labels in (("sms",), ("sms", "call-centre")):
        for verified in (0, 1):
            exposure, origin = judge(
                bait(*labels, verified=verified, rows=100, matched_rows=100, corroborated_rows=100)
            )
            reasons = str([*exposure.reasons, *origin.reasons])
            assert not any(word in reasons for word in (*labels, "leaked by", "泄露方"))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("fields", [("PHONE",), ("PHONE", "LOAN")])
def test_list_of_ours_is_recognised_by_its_numbers_alone(
    size: str, fields: tuple[str, ...]
) -> None:
    """Of our customers one in ten has a new number since."""
    changes = {"matched_kinds": {"phone": 900}, "matched_rows": 900, "people": crowd(900, *fields)}
    assert verdict(make_list_facts(SIZES[size], fields, 1000, **changes)) == "ours"


def test_origin_reasons_show_their_counts_without_points() -> None:
    judged = judge(facts(**{**PHONES, "matched_kinds": {"phone": 10}}, corroborated_rows=1,
        longest_run=30,
                         failures={"resident_id": 1}, own_cards=4))[1]  # fmt: skip
    assert [r.code for r in judged.reasons] == ["O1", "O2", "O3", "O4", "O5", "O6"]
    assert [reason.evidence for reason in judged.reasons[1:]] == [
        "10 of 1000 rows contain a customer (1%)",
        "1 row agrees with a customer in two or more fields",
        "1 of 1 resident IDs fail their checksum",
        "an arithmetic run of 30 numbers: a generated list",
        "4 cards of the tenant's own ranges, of which 0 are enrolled",
    ]
    assert {r.points for r in judged.reasons} == {0}
    assert judged.expected == pytest.approx(10.0)
    assert judged.p == pytest.approx(0.54, abs=0.01)


def bait(*labels: str, verified: int = 1, enrolled: int = 30, **changes: object) -> VerdictFacts:
    honeytokens = tuple(Honeytoken(label=label, customers=1, verified=verified) for label in labels)
    return make_facts(*NAMED, honeytokens=honeytokens, honeytokens_enrolled=enrolled, **changes)


def test_honeytoken_names_its_partner() -> None:
    origin = judge(bait("短信通道甲", rows=100, matched_rows=100, corroborated_rows=100))[1]
    assert (origin.verdict, origin.label, origin.canaries) == (
        "partner",
        "短信通道甲",
        ("短信通道甲",),
    )
    assert (
        "a honeytoken that only one party received is in a verified row: an indication"
        in explain(bait("短信通道甲", rows=100, matched_rows=100, corroborated_rows=100))
    )


def test_honeytokens_of_several_partners_point_to_us() -> None:
    bait_facts = bait("call-centre", "sms")
    assert (verdict(bait_facts), judge(bait_facts)[1].label) == ("ours", "")
    assert "which have only us in common" in explain(bait_facts)


def test_huge_list_contains_a_honeytoken_by_chance() -> None:
    giant = bait(
        "sms",
        verified=0,
        candidates={"phone": 10**6},
        rows=10**6,
        matched_rows=10**4,
        matched_kinds={"phone": 10**4},
    )
    assert (verdict(giant), judge(giant)[1].canaries) == ("elsewhere", ())
    assert "by one value, as may be chance" in explain(giant)
    assert verdict(bait("sms", verified=0, candidates={"phone": 1000}, rows=1000)) != "partner"


def cohort(dimension: str, matched: int, enrolled: int, label: str = "E17") -> dict:
    matched_cohort = Cohort(dimension=dimension, label=label, matched=matched, enrolled=enrolled)
    return {"cohorts": (matched_cohort,), "cohort_labels": 40}


PADDED = {
    "candidates": {"phone": 10**5},
    "matched_kinds": {"phone": 1500},
    "rows": 10**5,
    "matched_rows": 1500,
    "matched": 1500,
}


@pytest.mark.parametrize(
    ("dimension", "matched", "enrolled", "expected"),
    [
        ("export", 500, 10_000, "ours"),
        ("branch", 500, 10_000, "elsewhere"),
        ("export", 19, 1_000, "elsewhere"),
        ("export", 500, 3_000_000, "elsewhere"),
    ],
)
def test_overrepresented_private_cohort_proves_the_list_ours(
    dimension: str, matched: int, enrolled: int, expected: str
) -> None:
    assert verdict(facts(**PADDED, **cohort(dimension, matched, enrolled))) == expected


def test_cohort_is_mentioned_only_if_overrepresented() -> None:
    assert (
        "500 of 1500 customers are of branch E17, as are 10,000 of 10,000,000 enrolled (p < 1e-12)"
        in explain(facts(**PADDED, **cohort("branch", 500, 10_000)))
    )
    assert "E17" not in explain(facts(**PADDED, **cohort("branch", 500, 3_300_000)))


def test_largest_cohorts_are_listed_first() -> None:
    sizes = {"E1": 300, "E2": 500, "E3": 400, "E4": 100, "E5": 200}
    cohorts = tuple(
        Cohort(dimension="branch", label=label, matched=size, enrolled=10_000)
        for label, size in sizes.items()
    )
    reasons = judge(facts(**PADDED, cohorts=cohorts, cohort_labels=40))[1].reasons
    shown = [reason.evidence.split()[7].rstrip(",") for reason in reasons if reason.code == "O7"]
    assert shown == ["E2", "E3", "E1", "E5", "E4"][:SHOWN_COHORTS]


def test_every_comparison_counts_against_a_cohort() -> None:
    few_comparisons = facts(**PADDED, **cohort("branch", 40, 70_000))
    assert "40 of 1500" in explain(few_comparisons)
    many_comparisons = dict(few_comparisons) | {"cohort_labels": 10**6}
    assert "40 of 1500" not in explain(facts(**many_comparisons))


def test_customers_of_an_earlier_incident_are_recycled_and_it_is_named() -> None:
    earlier_facts = make_facts(
        *NAMED, rows=10, matched_rows=10, corroborated_rows=10, replayed=0.8, replay_of="INC-AAAA"
    )
    assert verdict(earlier_facts) == "recycled"
    assert "80% of the customers appeared with the same fields in INC-AAAA" in explain(
        earlier_facts
    )
    assert (
        verdict(
            make_facts(
                *NAMED,
                rows=10,
                matched_rows=10,
                corroborated_rows=10,
                replayed=0.79,
                replay_of="INC-AAAA",
            )
        )
        == "ours"
    )


@pytest.mark.parametrize(
    ("known", "others", "enrolled", "expected"),
    [(0, 30, 10**6, "fabricated"), (1, 30, 10**6, "fabricated"), (2, 30, 10**6, "unknown"),
    (0, 30, 0, "unknown"),
     (0, 19, 10**6, "unknown")],
)  # fmt: skip
def test_unenrolled_own_cards_mean_a_fabricated_list(
    known: int, others: int, enrolled: int, expected: str
) -> None:
    changes = {"matched_kinds": {"card": known}, "own_cards": others, "cards_enrolled": enrolled}
    assert (
        verdict(make_facts(FieldLabel.CARD, customers=1, rows=10, matched_rows=1, **changes))
        == expected
    )


def test_own_fields_decide_where_chance_is_ruled_out() -> None:
    counts = {
        "rows": 1000,
        "matched_rows": 300,
        "matched_kinds": {"phone": 300},
        "candidates": {"phone": 1000},
    }
    own_fields = {"own_fields": frozenset(("POLICY",))}
    assert verdict(make_facts("PHONE", "POLICY", **counts)) == "unknown"
    assert verdict(make_facts("PHONE", "POLICY", **counts, **own_fields)) == "ours"
    assert verdict(make_facts("PHONE", **counts, **own_fields)) == "unknown"
    assert (
        verdict(
            make_facts(
                "PHONE",
                "POLICY",
                **counts | {"matched_rows": 10, "matched_kinds": {"phone": 10}},
                **own_fields,
            )
        )
        == "elsewhere"
    )


@given(
    rows=st.integers(0, 10**7),
    shares=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    watchlist=st.sampled_from([0, 1, 10**6, 300_000_000, 10**10]),
    replayed=st.floats(0, 1),
)
def test_every_count_has_an_origin_and_an_explanation(
    rows: int, shares: tuple[float, float], watchlist: int, replayed: float
) -> None:
    """Also of a list that is larger than its market."""
    matched = round(rows * shares[0])
    corroborated = round(matched * shares[1])
    group = RowGroup(fields=NAMED, rows=rows, matched=matched, corroborated=corroborated)
    exposure, origin = judge(
        facts(
            rows=rows,
            matched_rows=matched,
            corroborated_rows=corroborated,
            groups=(group,),
            candidates={"phone": rows},
            matched=matched,
            matched_kinds={"phone": matched},
            people=crowd(matched, *NAMED),
            verified=crowd(corroborated, *NAMED),
            watchlist=watchlist,
            circulation=1.8e9,
            replayed=replayed,
            replay_of="INC-1",
        )
    )
    assert origin.verdict in ("ours", "elsewhere", "recycled", "unknown")
    assert origin.reasons
    assert 0 <= origin.p <= 1
    assert (exposure.severity == "noise") or matched


@given(st.integers(1, 10**6), st.integers(2, 10**6), st.sampled_from(sorted(SIZES)))
def test_few_fully_matching_rows_are_ours_at_any_length(rows: int, more: int, size: str) -> None:
    """Of the largest platform two rows may be chance; ten are not, however many are added."""
    rows = max(rows, 10)
    assert {
        verdict(make_list_facts(SIZES[size], NAMED, n, ours=n)) for n in (rows, rows + more)
    } == {"ours"}


@pytest.mark.parametrize(
    ("candidates", "kinds", "expected", "said"),
    [
        (
            {"email": 4000, "digest": 4000},
            {"email": 40},
            "unknown",
            "40 of 4000 rows are customers'",
        ),
        (
            {"phone": 4000, "digest": 4000},
            {"phone": 40},
            "unknown",
            "40 of 4000 distinct phones are customers'",
        ),
        (
            {"phone": 4000, "digest": 8000},
            {"phone": 4000},
            "ours",
            "4000 of 4000 distinct phones are customers'",
        ),
        ({"digest": 4000}, {"phone": 40}, "unknown", "40 of 4000 distinct phones are customers'"),
        (
            {"email": 4000, "digest": 4000},
            {"phone": 40},
            "unknown",
            "40 of 4000 distinct phones are customers'",
        ),
        ({"digest": 4000}, {"resident_id": 4000}, "ours", "4000 of 4000 digests are customers'"),
        (
            {"phone": 1000, "digest": 3000},
            {"phone": 40},
            "unknown",
            "40 of 4000 distinct phones are customers'",
        ),
    ],
)
def test_digest_beside_a_plain_login_is_not_a_phone(
    candidates: dict, kinds: dict, expected: str, said: str
) -> None:
    matched = sum(kinds.values())
    people = crowd(matched, FieldLabel.EMAIL)
    given_facts = facts(
        rows=4000,
        matched_rows=matched,
        candidates=candidates,
        matched_kinds=kinds,
        people=people,
        verified=people,
        watchlist=5000,
    )
    assert verdict(given_facts) == expected
    assert said in explain(given_facts)


def test_chance_is_not_mentioned_without_counts() -> None:
    assert "0 of 0" not in explain(facts(rows=0, matched_rows=0, people=crowd(0)))


@pytest.mark.parametrize(
    ("ours", "others", "expected"),
    [(5, 0, "ours"), (5, 5, "ours"), (5, 6, "unknown"), (3, 40, "unknown"), (1, 9, "unknown")],
)
def test_each_person_in_a_message_counts(ours: int, others: int, expected: str) -> None:
    numbers = {
        "candidates": {"phone": ours + others},
        "matched_kinds": {"phone": ours},
        "watchlist": 5000,
    }
    given_facts = make_facts(
        *NAMED,
        customers=ours,
        verified=ours,
        rows=1,
        matched_rows=1,
        corroborated_rows=1,
        **numbers,
    )
    assert verdict(given_facts) == expected
    assert ours == 1 or given_facts.agreeing_share == ours / (ours + others)


def test_second_phone_in_each_row_does_not_count_as_a_stranger() -> None:
    numbers = {"candidates": {"phone": 160}, "matched_kinds": {"phone": 80}}
    rows = {"rows": 80, "matched_rows": 80, "corroborated_rows": 80}
    assert verdict(make_facts(*NAMED, customers=80, verified=80, **rows, **numbers)) == "ours"


@pytest.mark.parametrize(
    ("seen", "corroborated", "is_devices"),
    [
        ({"cookies": 1}, 2, True),
        ({"logins": 1}, 1, True),
        ({"logins": 1}, 2, False),
        ({"logins": 1, "cookies": 1}, 2, True),
        ({"logins": 2}, 2, True),
        ({"cookies": 1}, 3, False),
        ({}, 0, False),
    ],
)
def test_only_cookies_explain_matching_rows_beyond_the_logins(
    seen: dict[str, int], corroborated: int, is_devices: bool
) -> None:
    rows = {"rows": 100, "matched_rows": 50, "corroborated_rows": corroborated}
    assert (verdict(facts(**rows, **seen)) == "devices") is is_devices


@pytest.mark.parametrize(
    ("rows", "corroborated", "crowded"),
    [(5, 1, (8, 3)), (8, 1, None), (9, 1, None), (5, 3, None), (9, 3, None)],
)
def test_rows_are_crowded_if_more_people_than_rows_match(
    rows: int, corroborated: int, crowded: tuple[int, int] | None
) -> None:
    messages = make_facts(
        *NAMED,
        verified=3,
        rows=rows,
        corroborated_rows=corroborated,
        candidates={"phone": 8, "resident_id": 2},
    )
    assert messages.crowded == crowded
