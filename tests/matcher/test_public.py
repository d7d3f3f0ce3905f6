"""Numbers that are public are nobody's leak; words of context go out with a finding."""

import json
import zipfile
from io import BytesIO

import pytest

from matcher.cli.loading import build_matcher
from matcher.match.findings import find_all
from tests.conftest import HeldClock
from tests.factories import capture
from tests.matcher.bank import customer, enrol, phone
from tests.matcher.conftest import BANK
from ullage import setup
from ullage.settings import Context

SERVICE = "+86 154-0000-0077"
"""A service mobile that is enrolled as well, as banks' lists do hold their own numbers."""


@pytest.fixture(scope="module")
def matcher(tmp_path_factory: pytest.TempPathFactory):
    """Return the one matcher of all tests here: it keeps no state between reads."""
    context = Context(tmp_path_factory.mktemp("bank"), HeldClock().as_clock())
    list(setup.initialise(context))
    numbers = [SERVICE, "400-820-8820", "95588", "Service@Bank.example"]
    enrol(context, "bank", [*BANK, customer(77), customer(78, email="service@bank.example")])
    (context.data / "ullage.toml").write_text(
        f"[tenants.bank]\nown_numbers = {json.dumps(numbers)}\n", encoding="utf-8"
    )
    return build_matcher(Context(context.data, context.clock))


def read(matcher, text: str):
    captured = capture(body=text.encode(), title="")
    return find_all(matcher, [captured], captured.fetched_at)


@pytest.mark.parametrize(
    "text", ["客服热线 154 0000 0077", "请致电15400000077", "mail service@bank.example", phone(77)]
)
def test_own_public_number_never_matches(matcher, text):
    assert read(matcher, text) == []


@pytest.mark.parametrize(
    "hotline",
    [
        "400-820-8820",
        "4008208820",
        "95588",
        "95599 转人工",
        "800-810-8888",
        "12378",
        "021-55556666",
        "010 12345678",
    ],
)
def test_hotline_is_not_a_phone_candidate(matcher, hotline):
    (finding,) = read(matcher, f"{hotline} 或 {phone(1)}")
    assert finding.statistics.candidates == {"phone": 1}


def test_own_public_number_adds_no_customer_and_no_field(matcher):
    (finding,) = read(matcher, f"{phone(77)} {phone(1)} service@bank.example")
    assert (finding.statistics.candidates, finding.statistics.rows, finding.total_subjects) == (
        {"phone": 1},
        1,
        1,
    )
    assert [match.fields for match in finding.matches] == [("PHONE",)]


@pytest.mark.parametrize(
    ("other", "phones"), [(phone(7), 2), ("15400000770", 2), ("115400000077", 1), ("1540000007", 1)]
)
def test_only_the_exact_public_number_is_excluded(matcher, other, phones):
    (finding,) = read(matcher, f"{other} {phone(1)}")
    assert finding.statistics.candidates == {"phone": phones}


def test_context_words_are_published_by_theme(matcher):
    (finding,) = read(matcher, f"警方提醒 营业时间 {phone(1)}")
    assert finding.statistics.context == {"reporting": 2, "shop": 1}
    assert finding.statistics.terms == ()


@pytest.mark.parametrize(
    "text", ["密码 abc", "餘額 300", "PASSWORD: x", "此人欠款不还", "逾期30天"]
)
def test_record_words_are_published_for_matching_posts(matcher, text):
    (finding,) = read(matcher, f"{phone(1)} {text}")
    assert finding.statistics.context["record"] >= 1
    assert "record" not in read(matcher, f"{phone(1)} 转让自行车")[0].statistics.context


def test_record_words_in_the_title_count(matcher):
    captured = capture(body=phone(1).encode(), title="老赖的电话")
    assert find_all(matcher, [captured], captured.fetched_at)[0].statistics.context == {"record": 1}


def test_record_words_are_counted_in_every_part(matcher):
    body = BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        archive.writestr("a.txt", f"转让自行车 {phone(1)}")
    captured = capture(body=body.getvalue(), title="")
    (finding,) = find_all(matcher, [captured], captured.fetched_at)
    assert finding.statistics.context == {"record": 1}
