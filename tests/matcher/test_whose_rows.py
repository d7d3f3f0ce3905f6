"""Origin by what rows hold of a platform's own: its cards, and other platforms' names.

Through the real matcher and `assess`.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from alerts.grouping.exposures import Replay
from alerts.grouping.placement import Placement
from alerts.grouping.projection import build_sighting
from matcher.match.findings import find_all
from tests.factories import capture
from tests.matcher.bank import customer, enrol, matcher_of, phone
from ullage.records import FINDING_SCHEMA, Finding
from ullage.settings import Context

OURS, THEIRS = "620000", "400000"
STRANGERS = 5_000_000


def card(number: int, bin_: str = OURS) -> str:
    """Return a card number of that range."""
    digits = f"{bin_}{number:09d}"
    doubled = sum(sum(divmod(2 * int(d), 10)) for d in digits[::-2]) + sum(
        int(d) for d in digits[-2::-2]
    )
    return f"{digits}{-doubled % 10}"


CUSTOMERS = [customer(n, card=card(n)) for n in range(40)]
NO_CARDS = [customer(n) for n in range(40)]
TABLE = (
    f'[tenants.bank]\nbins = ["{OURS}"]\nbrands = ["青山贷", "Greenhill"]\nothers = ["速借宝",'
    ' "QuickLoan"]\n'
)


@pytest.fixture
def context(data: Path) -> Context:
    """Return a context at the real clock, by which the command line runs."""
    (data / "ullage.toml").write_text(TABLE, encoding="utf-8")
    return Context(data)


@pytest.fixture
def assess_list(
    ullage: Callable[..., Any], tmp_path: Path
) -> Callable[[list[str]], tuple[str, str]]:
    """Return a function that gives the leak source of a list and the reasons."""

    def assess_lines(lines: list[str]) -> tuple[str, str]:
        (tmp_path / "list.csv").write_text("\n".join(lines), encoding="utf-8")
        [tenant] = json.loads(ullage("assess", tmp_path / "list.csv", "--json").stdout)["tenants"]
        return tenant["origin"]["verdict"], "\n".join(
            reason[2] for reason in tenant["origin"]["reasons"]
        )

    return assess_lines


def rows(
    ours: int, all_: int, cards: Callable[[int], str], more: Callable[[int], str] = lambda _: "x"
) -> list[str]:
    """Return a header and rows of names, phones and cards.

    The first `ours` rows are customers, the others strangers.
    """
    people = [(CUSTOMERS[n]["name"], phone(n)) for n in range(ours)]
    people += [
        (f"李{chr(0x4E00 + n)}{chr(0x4E40 + n)}", phone(STRANGERS + 7 * n * n))
        for n in range(ours, all_)
    ]
    return [
        "姓名,手机号,卡号,备注",
        *(f"{name},{number},{cards(n)},{more(n)}" for n, (name, number) in enumerate(people)),
    ]


@pytest.mark.parametrize(
    ("cards", "expected"),
    [
        (lambda n: card(n) if n < 3 else "", "ours"),
        (lambda n: card(n) if n < 2 else "", "elsewhere"),
        (lambda n: card(n) if n < 3 else card(n, THEIRS) if n < 6 else "", "ours"),
        # a shop's: cards of every bank
        (lambda n: card(n) if n < 3 else card(n, THEIRS) if n < 7 else "", "elsewhere"),
        (lambda n: card(0) if n < 6 else "", "elsewhere"),
        (lambda n: " ".join(map(card, range(6))) if not n else "", "elsewhere"),
    ],
    ids=[
        "three rows",
        "two rows",
        "half of the cards",
        "fewer",
        "one repeated card",
        "one row",
    ],
)
def test_enrolled_cards_of_own_ranges_prove_the_list_is_ours(
    context: Context, assess_list, cards, expected: str
) -> None:
    """Beside strangers' names and numbers."""
    enrol(context, "bank", CUSTOMERS, "none")
    verdict, why = assess_list(rows(0, 40, cards))
    assert verdict == expected
    assert "of our own ranges, each in a row of its own, are our customers'" in why


@pytest.mark.parametrize(
    ("customers", "ours", "held", "expected"),
    [
        (NO_CARDS, 6, 20, "ours"),
        (NO_CARDS, 6, 19, "unknown"),
        (NO_CARDS, 0, 40, "elsewhere"),  # a card shop's, sorted by range
        (NO_CARDS, 2, 40, "unknown"),
        (CUSTOMERS, 6, 40, "unknown"),  # cards are enrolled, and these are none of them
    ],
    ids=["half", "fewer than half", "sorted by range", "two customers", "cards not enrolled"],
)
def test_unenrolled_own_cards_need_half_of_the_rows(
    context: Context, assess_list, customers: list, ours: int, held: int, expected: str
) -> None:
    enrol(context, "bank", customers, "none")
    verdict, why = assess_list(
        rows(
            ours,
            40,
            lambda n: card(7000 + 3 * n * n) if (n + 1) * held // 40 > n * held // 40 else "",
        )
    )
    assert verdict == expected
    assert (f"{held} of 40 rows contain a card of our own ranges" in why) == (customers is NO_CARDS)


@pytest.mark.parametrize(
    ("note", "named", "expected"),
    [
        ("速借宝", 20, "elsewhere"),
        ("来源：速借宝APP", 20, "elsewhere"),
        ("速借寶", 20, "elsewhere"),
        ("quickloan user", 20, "elsewhere"),
        ("速借宝", 19, "unknown"),
        ("quickloans", 40, "unknown"),  # another word
        ("a@quickloan.example.com", 40, "unknown"),  # somebody's mail
        ("青山贷 速借宝", 40, "unknown"),  # names us as well
    ],
)
def test_other_platform_in_half_of_the_rows_means_elsewhere(
    context: Context, assess_list, note: str, named: int, expected: str
) -> None:
    enrol(context, "bank", NO_CARDS, "none")
    verdict, why = assess_list(rows(10, 40, lambda _: "", lambda n: note if n < named else "x"))
    assert verdict == expected
    assert ("another platform is named in" in why) == (
        note not in ("quickloans", "a@quickloan.example.com", "青山贷 速借宝")
    )


LISTS = {
    "under its name": ("速借宝 用户数据\n姓名,手机号,备注\n", "{name},{phone},x\n"),
    "sold by its name": ("出售速借宝借款客户 10万条\n姓名,手机号,备注\n", "{name},{phone},x\n"),
    "in a column": ("姓名,手机号,平台\n", "{name},{phone},速借宝\n"),
    "in a column, not in the settings": ("姓名,手机号,平台\n", "{name},{phone},易捷贷\n"),
    "in a column in English": ("name,phone,lender\n", "{name},{phone},EasyLoan\n"),
    "in objects": ("", '{{"name":"{name}","mobile":"{phone}","platform":"易捷贷"}}\n'),
    "in records of a field a line": ("", "姓名：{name}\n手机：{phone}\n平台：速借宝\n\n"),
    "in the name of its table": (
        "INSERT INTO `速借宝_users` (name, phone, note) VALUES\n",
        "('{name}','{phone}','x'),\n",
    ),
}


def write_lines(form: str, ours: int, head: str = "") -> list[str]:
    """Return a list of forty people in one of `LISTS`, the first `ours` of them customers."""
    above, row = LISTS[form]
    people = [line.split(",")[:2] for line in rows(ours, 40, lambda _: "")[1:]]
    return [head + above + "".join(row.format(name=name, phone=number) for name, number in people)]


@pytest.mark.parametrize("form", LISTS)
def test_list_naming_another_platform_is_elsewhere(
    context: Context, assess_list, form: str
) -> None:
    enrol(context, "bank", NO_CARDS, "none")
    verdict, why = assess_list(write_lines(form, 10))
    assert verdict == "elsewhere"
    assert "another platform is named in, or above, 40 of 40 rows" in why


NOT_IN_EACH_ROW = [form for form, (_, row) in LISTS.items() if "速借宝" not in row]


@pytest.mark.parametrize("form", NOT_IN_EACH_ROW)
def test_list_with_half_matching_our_records_is_ours(
    context: Context, assess_list, form: str
) -> None:
    enrol(context, "bank", NO_CARDS, "none")
    assert assess_list(write_lines(form, 40))[0] == "ours"


@pytest.mark.parametrize("form", NOT_IN_EACH_ROW)
def test_heading_that_names_us_too_decides_nothing(
    context: Context, assess_list, form: str
) -> None:
    enrol(context, "bank", NO_CARDS, "none")
    assert assess_list(write_lines(form, 10, "青山贷和别家的客户\n"))[0] == "unknown"


@pytest.mark.parametrize("value", ["安卓", "微信", "青山贷", "7", "a@quickloan.example.com"])
def test_devices_channels_and_our_own_name_are_not_other_platforms(
    context: Context, assess_list, value: str
) -> None:
    enrol(context, "bank", NO_CARDS, "none")
    lines = rows(10, 40, lambda _: "", lambda _: value)
    verdict, why = assess_list([lines[0].replace("备注", "平台"), *lines[1:]])
    assert verdict == "unknown"
    assert "another platform" not in why


def test_column_of_many_lenders_is_not_a_platform(context: Context, assess_list) -> None:
    enrol(context, "bank", NO_CARDS, "none")
    lines = rows(10, 40, lambda _: "", lambda n: f"王{chr(0x4E00 + n)}")
    assert assess_list([lines[0].replace("备注", "lender"), *lines[1:]])[0] == "unknown"


def test_own_cards_outweigh_another_platform_name(context: Context, assess_list) -> None:
    enrol(context, "bank", CUSTOMERS, "none")
    assert (
        assess_list(rows(10, 40, lambda n: card(n) if n < 10 else "", lambda _: "速借宝"))[0]
        == "ours"
    )


def test_long_list_counts_rows_of_all_its_windows(context: Context) -> None:
    """And the finding carries them, as does the sighting that becomes of it."""
    enrol(context, "bank", CUSTOMERS, "none")
    filler = [
        f"李某,{phone(STRANGERS + n)},{card(9000 + n)},速借宝{'x' * 40}" for n in range(25_000)
    ]
    body = "\n".join(["姓名,手机号,卡号,平台", *rows(10, 10, card)[1:], *filler])
    assert len(body.encode()) > 2 * 2**20  # a window
    [finding] = find_all(matcher_of(context), [capture(body=body.encode())], context.clock.now())
    statistics = Finding.decode(finding.encode(), FINDING_SCHEMA).statistics
    assert (statistics.rows, statistics.rows_of_others) == (25_010, 25_000)
    assert (statistics.own_card_rows, statistics.known_cards, statistics.own_cards) == (
        25_010,
        10,
        25_000,
    )
    sighting = build_sighting(
        finding, Placement("INC-A", opens=True, linked=()), Replay(), None, context.clock.now()
    )
    assert (sighting.rows_of_others, sighting.own_card_rows, sighting.known_cards) == (
        25_000,
        25_010,
        10,
    )
