"""Severity: every row of the table, just inside and just outside, and what no row may do."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ullage.verdict.cases import TODAY, judge, make_facts
from tests.ullage.verdict.test_exposure import ANY_FACTS
from ullage.records import Honeytoken, RowGroup
from ullage.verdict import Crowd, VerdictFacts, load_verdict_rules
from ullage.verdict.rules import ORDER
from ullage.vocabulary.fields import FieldLabel

NAMED = (FieldLabel.NAME, FieldLabel.PHONE)
IDENTITY = (FieldLabel.NAME, FieldLabel.PHONE, FieldLabel.ID)
LOANS = (FieldLabel.PHONE, FieldLabel.LOAN)
LENT = (FieldLabel.PHONE, FieldLabel.ID, FieldLabel.LOAN)
CODES = (FieldLabel.CARD, FieldLabel.CVV)
PASSWORDS = (FieldLabel.EMAIL, FieldLabel.PASSWORD)
UNKNOWN = {"rows": 10_000, "matched_rows": 2_000}
ELSEWHERE = {"rows_of_others": 10_000, **UNKNOWN}
BAIT = {
    "honeytokens": (Honeytoken(label="sms", customers=1, verified=1),),
    "honeytokens_enrolled": 3,
}
ALL_OURS = {"rows": 60, "matched_rows": 60}
MADE_UP = {"longest_run": 500, "rows": 1000}
OFFER = {"alarm": True, "brand": True}
UNREAD = {"unread": {"encrypted": 1}}
KNOWN = {"replayed": 0.95, "replay_of": "INC-1", "replay_told": True}
OLD = {"newest_date": TODAY - timedelta(1096)}


def ours(*fields: str, customers: int, **changes) -> VerdictFacts:
    """Rows that all agree."""
    rows = {"rows": customers, "matched_rows": customers, "corroborated_rows": customers}
    return make_facts(*fields, customers=customers, verified=customers, **{**rows, **changes})


def some(*fields: str, customers: int, among=UNKNOWN, **changes) -> VerdictFacts:
    """Rows that agree, among others: a list of which nothing tells whose it is, unless it is
    said.
    """
    return make_facts(
        *fields,
        customers=customers,
        verified=customers,
        **{**among, "corroborated_rows": customers, **changes},
    )


def alone(*fields: str, customers: int, among=UNKNOWN, **changes) -> VerdictFacts:
    """Return facts on customers who have one value each."""
    return make_facts(*fields, customers=customers, **{**among, **changes})


def nobody(**changes) -> VerdictFacts:
    return make_facts(customers=0, **{"rows": 0, "matched_rows": 0, **changes})


def random(times: float, **changes) -> VerdictFacts:
    """Return a list of a hundred thousand numbers that matches `times` as often as chance does.

    Chance gives a thousand.
    """
    matched = round(1000 * times)
    rows = {
        "rows": 10**5,
        "matched_rows": matched,
        "candidates": {"phone": 10**5},
        "matched_kinds": {"phone": matched},
    }
    return make_facts(FieldLabel.PHONE, customers=matched, **{**rows, **changes})


def short(matched: int) -> VerdictFacts:
    """Return a list of twelve numbers of which `matched` match.

    One does by chance in 11 of 100 such lists, two in fewer than one.
    """
    rows = {
        "rows": 12,
        "matched_rows": matched,
        "candidates": {"phone": 12},
        "matched_kinds": {"phone": matched},
    }
    return make_facts(FieldLabel.PHONE, customers=matched, **rows)


def logins(number: int, staff: int = 0, **changes) -> VerdictFacts:
    return nobody(logins=number, staff_logins=staff, **changes)


def cookies(number: int, staff: int = 0) -> VerdictFacts:
    """Cookies of our own sites that have not expired."""
    return nobody(
        cookies=number, live_cookies=number, staff_cookies=staff, live_staff_cookies=staff
    )


def device_forms(customers: int) -> VerdictFacts:
    """Forms of customers in the logs of their devices, which all agree with our records."""
    return ours(*IDENTITY, customers=customers, device_rows=customers)


def stolen(customers: int) -> VerdictFacts:
    """Passwords of customers at others' sites."""
    group = RowGroup(fields=PASSWORDS, rows=customers, matched=customers)
    return alone(
        *PASSWORDS,
        customers=customers,
        groups=(group,),
        stealer_rows=customers,
        matched_rows=customers,
    )


ROWS = [
    (1, alone(*NAMED, customers=900, **{**MADE_UP, "matched_rows": 900}), "noise nobody none"),
    (
        15,
        alone(*NAMED, customers=900, **{**MADE_UP, "matched_rows": 900, **UNREAD}),
        "notice digest none",
    ),
    (
        15,
        alone(*NAMED, customers=900, **{**MADE_UP, "matched_rows": 900, **OFFER, "claimed": 1000}),
        "medium desk if confirmed 1440",
    ),
    (15, nobody(**MADE_UP, **OFFER), "notice digest none"),
    (15, nobody(**MADE_UP, **OFFER, claimed=8_000_000), "medium desk if confirmed 1440"),
    (1, nobody(**MADE_UP, brand=True, claimed=8_000_000), "noise nobody none"),
    (15, nobody(cookies=9, **OFFER, claimed=1000), "medium desk if confirmed 1440"),
    (1, nobody(), "noise nobody none"),
    (1, random(3), "noise nobody none"),
    (1, short(1), "noise nobody none"),
    (11, short(2), "low desk if confirmed 60"),
    (11, random(3.1), "medium desk if confirmed 60"),
    (14, random(1, **UNREAD), "notice digest none"),
    (14, random(1, incomplete=True), "notice digest none"),
    (15, nobody(**UNREAD), "notice digest none"),
    (15, random(2, **OFFER, claimed=1000), "medium desk if confirmed 1440"),
    (14, random(2, **OFFER), "notice digest none"),
    (
        12,
        random(1, people=make_facts(FieldLabel.PHONE, FieldLabel.PASSWORD, customers=1000).people),
        "medium fraud_queue none",
    ),
    (
        14,
        random(
            1, agreeing=make_facts(*NAMED, customers=1, verified=1).agreeing, corroborated_rows=1
        ),
        "notice digest none",
    ),
    (2, ours(*LENT, customers=60, **KNOWN), "noise nobody none"),
    (7, ours(*LENT, customers=60, **{**KNOWN, "replayed": 0.94}), "high lead run"),
    (7, ours(*LENT, customers=60, **{**KNOWN, "replay_told": False}), "high lead run"),
    (7, ours(*LENT, customers=60, **KNOWN, **UNREAD), "high lead run"),
    (3, ours(*NAMED, customers=1_000_000), "statutory lead_dpo_counsel run"),
    (10, ours(*NAMED, customers=999_999), "high lead if confirmed 60"),
    (3, ours(*NAMED, customers=1_000_000, **BAIT), "statutory lead_dpo_counsel run"),
    (4, ours(*NAMED, customers=50, **BAIT), "high lead run"),
    (10, ours(*NAMED, customers=49, **BAIT), "medium desk_now if confirmed 60"),
    (4, ours(*IDENTITY, customers=1, **BAIT), "high lead run"),
    (4, ours(*LOANS, customers=1, **BAIT), "high lead run"),
    (4, ours(*CODES, customers=1, **BAIT), "high lead run"),
    (5, logins(1, staff=1), "high lead if confirmed 60"),
    (6, logins(1), "medium fraud_queue none"),
    (6, logins(50), "high anti_fraud none"),
    (6, logins(49), "medium fraud_queue none"),
    (6, logins(50, newest_date=TODAY - timedelta(30)), "high anti_fraud none"),
    (6, logins(50, newest_date=TODAY - timedelta(31)), "medium fraud_queue none"),
    (6, stolen(10), "medium fraud_queue none"),
    (12, stolen(9), "medium digest none"),
    (7, ours(*CODES, customers=3), "high lead run"),
    (10, ours(*CODES, customers=2), "medium desk_now if confirmed 60"),
    (7, ours(*IDENTITY, FieldLabel.CARD, customers=3), "high lead run"),
    (7, ours(*IDENTITY, customers=3, terms=("手持",)), "high lead run"),
    (10, ours(*IDENTITY, customers=3), "medium desk_now if confirmed 60"),
    (7, ours(*LENT, customers=20), "high lead run"),
    (10, ours(*LENT, customers=19), "medium desk_now if confirmed 60"),
    (8, ours(*NAMED, customers=3, **OFFER), "high lead run"),
    (10, ours(*NAMED, customers=3, brand=True), "medium desk_now if confirmed 60"),
    (8, ours(*NAMED, customers=3, claimed=1000), "high lead if confirmed 60"),
    (8, ours(*NAMED, customers=3, claimed=1000, brand=True), "high lead run"),
    (10, ours(*NAMED, customers=3, claimed=999), "medium desk_now if confirmed 60"),
    (8, some(*NAMED, customers=3, overlap=0.5, rows=6, **OFFER), "high lead run"),
    (14, some(*NAMED, customers=3, rows=7, **OFFER), "notice digest none"),
    (15, some(*NAMED, customers=3, rows=7, claimed=1000, **OFFER), "medium desk if confirmed 1440"),
    (13, some(*LOANS, customers=6000, rows_of_others=5000, **OFFER), "high anti_fraud none"),
    (9, ours(*IDENTITY, customers=50), "high lead run"),
    (10, ours(*IDENTITY, customers=49), "medium desk_now if confirmed 60"),
    (9, ours(*LOANS, customers=50, newest_date=TODAY - timedelta(1095)), "high lead run"),
    (10, ours(*LOANS, customers=50, **OLD), "medium desk_now if confirmed 60"),
    (10, ours(*NAMED, customers=500), "medium desk_now if confirmed 60"),
    (11, alone(FieldLabel.PHONE, customers=50), "medium desk if confirmed 60"),
    (11, alone(FieldLabel.PHONE, customers=49), "low desk if confirmed 60"),
    (
        15,
        alone(FieldLabel.PHONE, customers=49, claimed=1000, **OFFER),
        "medium desk if confirmed 1440",
    ),
    (11, alone(*PASSWORDS, customers=10, among=ALL_OURS), "medium desk if confirmed 60"),
    (11, alone(*PASSWORDS, customers=9, among=ALL_OURS), "medium desk if confirmed 60"),
    (11, alone(FieldLabel.PHONE, customers=50, among=ALL_OURS), "medium desk if confirmed 60"),
    (12, alone(*PASSWORDS, customers=10), "medium fraud_queue none"),
    (12, alone(*PASSWORDS, customers=9), "medium digest none"),
    (13, some(*CODES, customers=3), "medium fraud_morning if confirmed 60"),
    (14, some(*CODES, customers=2), "notice digest none"),
    (13, some(*LOANS, customers=50), "medium fraud_morning if confirmed 60"),
    (13, some(*LOANS, customers=50, among=ELSEWHERE), "medium fraud_morning none"),
    (14, some(*LOANS, customers=49), "low digest none"),
    (14, some(*LOANS, customers=1, among=ELSEWHERE), "low digest none"),
    (14, some(*NAMED, customers=50), "low digest none"),
    (14, some(*NAMED, customers=49), "notice digest none"),
    (14, some(*NAMED, customers=100, rows=40_000), "medium fraud_morning none"),
    (14, some(*NAMED, customers=99, rows=40_000), "low digest none"),
    (14, some(FieldLabel.PHONE, FieldLabel.ID, customers=400), "medium fraud_morning none"),
    (
        14,
        some(FieldLabel.PHONE, FieldLabel.ID, customers=400, among=ELSEWHERE),
        "medium fraud_morning none",
    ),
    (5, cookies(1, staff=1), "high lead if confirmed 60"),
    (6, cookies(1), "medium fraud_queue none"),
    (6, cookies(49), "medium fraud_queue none"),
    (6, cookies(50), "high anti_fraud none"),
    (14, nobody(cookies=9), "low digest none"),
    (14, device_forms(3), "low digest none"),
    (6, device_forms(10), "medium fraud_queue none"),
    (
        7,
        alone(FieldLabel.PHONE, FieldLabel.OTP, customers=3, brand=True),
        "high lead if confirmed 60",
    ),
    (
        7,
        alone(FieldLabel.PHONE, FieldLabel.OTP, customers=3, brand=True, among=ALL_OURS),
        "high lead if confirmed 60",
    ),
    (11, alone(FieldLabel.PHONE, FieldLabel.OTP, customers=3), "low desk if confirmed 60"),
    (
        11,
        alone(FieldLabel.PHONE, FieldLabel.OTP, customers=2, brand=True),
        "high lead if confirmed 60",
    ),
    (15, nobody(**OFFER, claimed=1000), "medium desk if confirmed 1440"),
    (15, nobody(**OFFER, claimed=999), "notice digest none"),
    (15, nobody(brand=True, claimed=1000, **UNREAD), "notice digest none"),
    (15, nobody(**OFFER, terms=("内鬼",)), "medium desk if confirmed 1440"),
    (15, nobody(**OFFER, terms=("内鬼",), wanted=True), "notice digest none"),
    (15, nobody(**OFFER, claimed=1000, wanted=True), "notice digest none"),
    (15, nobody(**OFFER, **UNREAD), "medium desk if confirmed 1440"),
    (15, nobody(**OFFER), "notice digest none"),
]


@pytest.mark.parametrize(
    ("row", "given_facts", "expected"),
    ROWS,
    ids=[f"{n}-row{row}" for n, (row, *_) in enumerate(ROWS)],
)
def test_first_matching_row_decides_severity_recipient_and_deadline(
    row: int, given_facts: VerdictFacts, expected: str
) -> None:
    verdict, _ = judge(given_facts)
    minutes = f" {verdict.minutes}" if verdict.minutes else ""
    assert (verdict.row, f"{verdict.severity} {verdict.notify} {verdict.clock}{minutes}") == (
        row,
        expected,
    )


@pytest.mark.parametrize("tenants", ["run", "if confirmed"])
@pytest.mark.parametrize(
    ("row", "given_facts", "expected"),
    ROWS,
    ids=[f"{n}-row{row}" for n, (row, *_) in enumerate(ROWS)],
)
def test_tenant_decides_the_deadline_of_a_medium_incident(
    row: int, given_facts: VerdictFacts, expected: str, tenants: str
) -> None:
    verdict, _ = judge(given_facts.model_copy(update={"medium_deadline": tenants}))
    minutes = f" {verdict.minutes}" if verdict.minutes else ""
    is_run = tenants == "run" and verdict.severity == "medium" and not expected.endswith(" none")
    adjusted = f"{expected.partition(' if confirmed')[0]} run" if is_run else expected
    assert (verdict.row, f"{verdict.severity} {verdict.notify} {verdict.clock}{minutes}") == (
        row,
        adjusted,
    )


def test_every_row_is_tested_and_has_words_and_a_source() -> None:
    table = load_verdict_rules().severity.row
    assert {row for row, *_ in ROWS} == {row.number for row in table} == set(range(1, 16))
    assert all(row.says and row.says_zh and row.source for row in table)
    assert [row.number for row in table] == sorted(row.number for row in table)
    assert table[-1].when[0] == type(table[-1].when[0])()


def test_reason_describes_what_applied() -> None:
    judged, _ = judge(ours(*LENT, customers=60, **OFFER, claimed=500_000))
    reason = judged.reasons[-1]
    assert reason.evidence == (
        "high: 60 of our customers with phone, ID and loan, offered with our name, 500,000 claimed,"
        " in rows that agree with our records; row 7"
    )
    assert reason.evidence_zh == (
        "高：我方客户60人，含手机号、身份证号、贷款，以我方名义兜售，自称500,000条，与我方记录相符；第7行"
    )


def test_logins_in_a_list_of_ours_do_not_hide_its_customers() -> None:
    judged, origin = judge(ours(*LENT, customers=60, logins=1))
    assert origin.beneath == "ours"
    assert "60 of our customers with phone, ID and loan" in judged.reasons[-1].evidence


def test_other_fields_of_a_single_value_match_are_not_mentioned() -> None:
    judged, _ = judge(
        alone(*IDENTITY, FieldLabel.HEALTH, customers=60, matched_kinds={"resident_id": 60})
    )
    assert "60 of our customers by ID alone" in judged.reasons[-1].evidence
    assert "我方客户60人，仅身份证号相符" in judged.reasons[-1].evidence_zh
    assert "health" not in judged.reasons[-1].evidence


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ("low", "digest")),
        ({"minors": 1}, ("medium", "desk")),
        (
            {"agreeing": Crowd(60, {"A": 499}, {frozenset(NAMED): 60}, {frozenset(): 60})},
            ("low", "digest"),
        ),
        (
            {"agreeing": Crowd(60, {"A": 500}, {frozenset(NAMED): 60}, {frozenset(): 60})},
            ("medium", "desk"),
        ),
    ],
)
def test_exposure_index_and_minors_raise_severity_by_one(
    changes: dict, expected: tuple[str, str]
) -> None:
    judged, _ = judge(some(*NAMED, customers=60, **changes))
    assert (judged.severity, judged.notify) == expected
    assert ("raised by one" in judged.reasons[-1].evidence) == bool(
        changes and expected[0] == "medium"
    )


@pytest.mark.parametrize(
    "given_facts",
    [random(3, minors=9), random(3, people=make_facts(*CODES, customers=90_000).people)],
)
def test_nothing_raises_noise(given_facts: VerdictFacts) -> None:
    assert judge(given_facts)[0].severity == "noise"


def test_unreadable_offer_says_so_in_both_languages() -> None:
    unread = {"encrypted": 1, "image": 2}
    for given_facts, english, chinese in (
        (
            make_facts(customers=0, unread=unread, brand=True, alarm=True),
            "offered, could not be fully read: ",
            "兜售，无法读取",
        ),
        (
            make_facts(customers=0, unread=unread, brand=True),
            "posted beside the brand, could not be fully read: ",
            "与本品牌同帖发布",
        ),
        (make_facts(customers=0, unread=unread), "could not be fully read: ", "无法读取"),
        (
            ours(*NAMED, customers=9).model_copy(update={"unread": unread}),
            "at least this many, not fully read: ",
            "客户至少如此",
        ),
    ):
        [reason] = [reason for reason in judge(given_facts)[0].reasons if reason.code == "N"]
        assert (reason.points, reason.evidence) == (0, english + "1 encrypted, 2 images")
        assert reason.evidence_zh.startswith(chinese)
    assert not [
        reason
        for reason in judge(make_facts(customers=0, alarm=True))[0].reasons
        if reason.code == "N"
    ]


def test_unknown_reason_is_shown_as_it_is() -> None:
    assert "1 later_reason" in str(
        judge(make_facts(customers=0, unread={"later_reason": 1}, brand=True))[0].reasons
    )


@given(ANY_FACTS)
def test_noise_requires_that_everything_was_read(any_facts: VerdictFacts) -> None:
    for unread in ({"unread": {"image": 1}}, {"incomplete": True}):
        assert judge(any_facts.model_copy(update=dict(**unread)))[0].severity != "noise"


@given(ANY_FACTS)
def test_content_without_customers_logins_or_offer_is_noise(any_facts: VerdictFacts) -> None:
    none = {
        "people": Crowd(),
        "verified": Crowd(),
        "agreeing": Crowd(),
        "alarm": False,
        "logins": 0,
        "matched": 0,
        "matched_rows": 0,
        "matched_kinds": {},
        "corroborated_rows": 0,
        "honeytokens": (),
    }
    assert judge(any_facts.model_copy(update=none))[0].severity == "noise"
    assert judge(any_facts)[0].severity in ORDER


@given(st.integers(0, 60), st.sampled_from([NAMED, IDENTITY, LOANS, LENT, CODES, PASSWORDS]))
def test_offer_with_a_large_claim_is_not_lowered_by_its_sample(
    customers: int, fields: tuple
) -> None:
    for shown in (some(*fields, customers=customers), alone(*fields, customers=customers)):
        judged, _ = judge(
            shown.model_copy(update={"alarm": True, "brand": True, "claimed": 100_000})
        )
        assert ORDER.index(judged.severity) >= ORDER.index("medium")
        assert judged.notify not in ("nobody", "digest")


@pytest.mark.parametrize(
    ("given_facts", "said"),
    [
        (
            logins(1, staff=1, brand=True),
            "high: 1 staff login at our own sites, a way into our own systems; row 5",
        ),
        (
            logins(2, brand=True),
            "medium: 2 customer logins at our own sites, from customers' own computers; row 6",
        ),
    ],
)
def test_site_of_a_login_is_not_counted_as_naming_us(given_facts: VerdictFacts, said: str) -> None:
    assert judge(given_facts)[0].reasons[-1].evidence == said


def test_claim_never_weakens_a_running_deadline() -> None:
    claimed = judge(ours(*LOANS, customers=60, claimed=5000))[0]
    assert (claimed.row, claimed.clock, claimed.severity) == (9, "run", "high")
    verdict = judge(ours(*LOANS, customers=10, claimed=5000))[0]
    assert (verdict.row, verdict.clock) == (8, "if confirmed")
