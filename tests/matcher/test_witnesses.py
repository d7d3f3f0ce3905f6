"""Witnesses: keyed pairs of a loan's amount and date of some customers, from `watchlist load` to
what a finding counts.
"""

import csv
import json
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matcher.columns.batch import Texts
from matcher.match.findings import find_all
from matcher.match.pipeline import Matcher
from matcher.match.whose_rows import MOST_VALUES, read_pairs
from matcher.records.reader import HeaderColumns
from matcher.records.table import BLOCK, LINE, OBJECT, TUPLE
from matcher.watchlist import installation
from matcher.watchlist.tagging import CHOSEN_SHARE, HOLDER, PAIR, WITNESS, HandleKey, amounts_in
from tests.factories import capture
from tests.matcher.bank import HEADER, customer, matcher_of, phone
from ullage.errors import ConfigError
from ullage.records import Finding
from ullage.settings import Context

PEOPLE = 600
COLUMNS = (*HEADER, "amount", "date")


def cents(number: int) -> int:
    return 1_000_00 + number * 137_00 + number % 100


def amount(number: int) -> str:
    return f"{cents(number) / 100:,.2f}"


def day(number: int) -> str:
    return f"2025-{1 + number % 12:02d}-{1 + number % 28:02d}"


def person(number: int, **changes: str) -> dict[str, str]:
    return customer(number, amount=amount(number), date=day(number), **changes)


def put(path: Path, rows: Iterable[dict[str, str]], columns: Sequence[str] = COLUMNS) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture
def context(data: Path) -> Context:
    """Return a context at the real clock, by which the command line runs."""
    return Context(data)


@pytest.fixture
def bank_with_list(load_list: Callable[..., Context], tmp_path: Path) -> Context:
    source = put(tmp_path / "list.csv", map(person, range(PEOPLE)))
    return load_list(source, "--digests", "none", "--witness", "amount,date")


def chosen(context: Context) -> set[int]:
    """Return the customers whose private attributes the building host's key chooses."""
    references = Texts.pack([person(n)["customer_ref"].encode() for n in range(PEOPLE)])
    return {
        n
        for n, is_chosen in enumerate(
            HandleKey(context.keys, "bank").chosen(references, CHOSEN_SHARE)
        )
        if is_chosen
    }


def find(matcher: Matcher, context: Context, text: str) -> Finding:
    [finding] = find_all(matcher, [capture(body=text.encode())], context.clock.now())
    return finding


def count_agreeing(context: Context, text: str) -> tuple[int, int]:
    finding = find(matcher_of(context), context, text)
    return finding.private_attributes_comparable, finding.private_attributes_agreeing


def add_header(head: str, row: Callable[[int], str], numbers: Iterable[int] = range(PEOPLE)) -> str:
    return "\n".join((head, *map(row, numbers)))


def ours(number: int) -> str:
    return (
        f"{person(number)['name']}|{person(number)['phone']}|{amount(number)}|{day(number)}"
        " 10:20:30"
    )


def rivals(number: int) -> str:
    return (
        f"{person(number)['name']}|{person(number)['phone']}|{amount(number + 7)}|{day(number + 3)}"
    )


LOAN_HEAD = "姓名|手机|放款金额|放款日期"
OTHER_HEAD = "姓名|手机|余额|注册时间"


def test_same_five_percent_of_customers_are_chosen_at_each_load(
    ullage, bank_with_list: Context, tmp_path: Path
) -> None:
    before = chosen(bank_with_list)
    assert 12 <= len(before) <= 55  # 30 expected; four standard deviations and a half on each side
    assert ullage("watchlist", "rotate-key", "--tenant", "bank").exit_code == 0
    source = put(tmp_path / "again.csv", reversed([person(n) for n in range(PEOPLE)]))
    result = ullage(
        "watchlist",
        "load",
        source,
        "--tenant",
        "bank",
        "--digests",
        "none",
        "--witness",
        "amount,date",
    )
    assert f"{len(before)} private attributes" in result.output
    for epoch in (1, 2):
        listed = installation.open_installed(
            bank_with_list.data, bank_with_list.keys, "bank", epoch
        )
        references = Texts.pack([person(n)["customer_ref"].encode() for n in range(PEOPLE)])
        handles = HandleKey(bank_with_list.keys, "bank").tags(references)
        hits, _ = listed.list.look_up(
            listed.tags.tagger(WITNESS, HOLDER).tag([handle.tobytes() for handle in handles])
        )
        assert set(hits.tolist()) == before


def test_each_private_attribute_has_two_counted_entries(ullage, bank_with_list: Context) -> None:
    opened = installation.open_installed(bank_with_list.data, bank_with_list.keys, "bank", 1)
    counts, number = opened.list.counts(), len(chosen(bank_with_list))
    assert (counts[f"{WITNESS}.{HOLDER}"], counts[f"{WITNESS}.{PAIR}"]) == (number, number)
    assert f"{WITNESS}.{PAIR} {number}" in ullage("watchlist", "show").stdout
    listed = " ".join(ullage("audit", "list").stdout.split())
    assert f"{number} private" in listed


def numbers(written: bytes) -> set[bytes]:
    """Return every number, with the signs within and after it.

    A number that is part of a longer run of letters and digits is left out.
    """
    ends = re.compile(rb"(?=[^0-9A-Za-z]|\Z)")
    matches = set()
    for begun in re.finditer(rb"(?<![0-9A-Za-z])(?=([0-9][0-9.,/]*+.?))", written, re.DOTALL):
        matches |= {begun[1][: end.start()] for end in ends.finditer(begun[1])}
    return matches


def test_amounts_and_dates_are_not_stored_or_printed(
    ullage, context: Context, tmp_path: Path
) -> None:
    source = put(tmp_path / "list.csv", [person(n) for n in range(PEOPLE)])
    result = ullage("watchlist", "load", source, "--tenant", "bank", "--witness", "amount,date")
    texts = {
        f(n)
        for n in range(PEOPLE)
        for f in (amount, lambda n: str(cents(n)), lambda n: f"{cents(n) / 100:.2f}")
    }
    texts |= {f"{cents(number)}/" for number in range(PEOPLE)}
    assert [text for text in texts if text in result.output] == []
    # a digest has shorter ones by chance
    long = {text.encode() for text in texts if len(text) >= 6}
    assert numbers(source.read_bytes()) >= {amount(number).encode() for number in range(PEOPLE)}
    for path in context.data.rglob("*"):
        assert not path.is_file() or not numbers(path.read_bytes()) & long, path


@pytest.mark.parametrize(
    "head",
    [
        LOAN_HEAD,
        "name|phone|loan_amount|loan_date",
        "name|phone|amount|date",
        "姓名|手机|金额(元)|日期",
    ],
)
def test_named_columns_match_our_list_but_not_a_rival_list(
    bank_with_list: Context, head: str
) -> None:
    number = len(chosen(bank_with_list))
    assert count_agreeing(bank_with_list, add_header(head, ours)) == (number, number)
    assert count_agreeing(bank_with_list, add_header(head, rivals)) == (number, 0)


@pytest.mark.parametrize("head", ["", OTHER_HEAD, "姓名|手机|申请金额|申请时间"])
def test_unnamed_columns_need_half_of_the_rows_to_match(bank_with_list: Context, head: str) -> None:
    number = len(chosen(bank_with_list))
    assert count_agreeing(bank_with_list, add_header(head, ours)) == (number, number)
    assert count_agreeing(bank_with_list, add_header(head, rivals)) == (0, 0)


def test_mixed_list_counts_each_row_separately(bank_with_list: Context) -> None:
    mixed = add_header(LOAN_HEAD, lambda n: ours(n) if n % 2 else rivals(n))
    people = chosen(bank_with_list)
    assert count_agreeing(bank_with_list, mixed) == (len(people), sum(n % 2 for n in people))


LAYOUTS: dict[str, Callable[[int], str]] = {
    "csv": lambda n: f'{person(n)["name"]},{person(n)["phone"]},"{amount(n)}",{day(n)}',
    "dashes": lambda n: (
        f"{person(n)['name']}----{person(n)['phone']}----{cents(n) / 100}----"
        f"{day(n).replace('-', '/')}"
    ),
    "json": lambda n: json.dumps({"name": person(n)["name"], "phone": person(n)["phone"],
    "loan_amount": amount(n),
                                  "loan_date": day(n)}, ensure_ascii=False),
    "words": lambda n: f"{person(n)['name']} {person(n)['phone']} {day(n)}放款{cents(n) / 100}元",
    "blocks": lambda n: (
        f"姓名: {person(n)['name']}\n手机: {person(n)['phone']}\n借款金额: ￥{amount(n)}\n"
        f"借款日期: {day(n)}\n"
    ),
    "sql": lambda n: "INSERT INTO t (name,phone,amount,date) VALUES"
        f" ('{person(n)['name']}','{person(n)['phone']}',"
                     f"{cents(n) / 100},'{day(n)} 00:00:00');",
    "wide digits": lambda n: ours(n).translate(str.maketrans("0123456789", "０１２３４５６７８９")),
    "ten thousands": lambda n: (
        f"{person(n)['phone']}\t{cents(n) / 1_000_000}万元\t{day(n).replace('-', '')}"
    ),
    "with others": lambda n: (
        f"{person(n)['phone']},6,2024-01-01,{amount(n).replace(',', '')},{day(n)},"
        "2024-02-02"
    ),
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_attributes_are_read_in_every_layout(bank_with_list: Context, layout: str) -> None:
    number = len(chosen(bank_with_list))
    assert count_agreeing(bank_with_list, add_header("", LAYOUTS[layout])) == (number, number)


@pytest.mark.parametrize("layout", ["json", "blocks", "sql"])
def test_labelled_records_reveal_a_rival_list(bank_with_list: Context, layout: str) -> None:
    text = "\n".join(LAYOUTS[layout](n).replace(day(n), day(n + 3)) for n in range(PEOPLE))
    assert count_agreeing(bank_with_list, text) == (len(chosen(bank_with_list)), 0)


def test_customer_counts_once_and_may_match_by_any_row(
    ullage, context: Context, tmp_path: Path
) -> None:
    twice = [
        *map(person, range(PEOPLE)),
        *(customer(n, amount="77,700", date="2024-02-29") for n in range(PEOPLE)),
    ]
    source = put(tmp_path / "list.csv", twice)
    ullage(
        "watchlist",
        "load",
        source,
        "--tenant",
        "bank",
        "--digests",
        "none",
        "--witness",
        "amount,date",
    )
    number = len(chosen(context))
    text = add_header(
        LOAN_HEAD,
        lambda n: (
            f"{rivals(n)}\n{rivals(n)}\n{customer(n)['name']}|{customer(n)['phone']}|77700|20240229"
        ),
    )
    assert count_agreeing(context, text) == (number, number)


def test_incomplete_or_implausible_row_is_not_compared(
    bank_with_list: Context,
) -> None:
    for row in (
        "5|2025-01-05",
        "|2025-01-05",
        "1200|",
        "99999999|2025-01-05",
        "1200|2025-02-30",
        "1200|1989-01-05",
        "|",
    ):
        text = add_header(
            LOAN_HEAD, lambda n, row=row: f"{person(n)['name']}|{person(n)['phone']}|{row}"
        )
        assert count_agreeing(bank_with_list, text) == (0, 0)


def test_header_applies_to_the_whole_long_text(bank_with_list: Context) -> None:
    strangers = "\n".join(
        f"{'王' * 40}|{phone(1_000_000 + n)}|5000|2025-01-01" for n in range(60_000)
    )
    text = (
        f"{add_header(LOAN_HEAD, ours, range(300))}\n"
        f"{strangers}{add_header('', rivals, range(300, PEOPLE))}"
    )
    people = chosen(bank_with_list)
    comparable, agreeing = count_agreeing(bank_with_list, text)
    assert (comparable, agreeing) == (len(people), sum(n < 300 for n in people))


def test_list_without_private_attributes_compares_nothing(
    ullage, context: Context, tmp_path: Path
) -> None:
    source = put(tmp_path / "list.csv", map(person, range(PEOPLE)))
    assert (
        ullage("watchlist", "load", source, "--tenant", "bank", "--digests", "none").exit_code == 0
    )
    assert count_agreeing(context, add_header(LOAN_HEAD, ours)) == (0, 0)


def test_daily_changes_add_and_remove_private_attributes(
    ullage, bank_with_list: Context, tmp_path: Path
) -> None:
    people = sorted(chosen(bank_with_list))
    late = put(
        tmp_path / "came.csv", [customer(n, amount="88,800", date="2026-01-05") for n in people[:5]]
    )
    gone = put(
        tmp_path / "went.csv",
        [{"customer_ref": customer(n)["customer_ref"]} for n in people[5:8]],
        ("customer_ref",),
    )
    result = ullage(
        "watchlist",
        "update",
        late,
        "--remove",
        gone,
        "--tenant",
        "bank",
        "--witness",
        "amount,date",
    )
    assert result.exit_code == 0, result.output
    assert "5 private attributes" in result.output
    assert count_agreeing(bank_with_list, add_header(LOAN_HEAD, ours)) == (
        len(people) - 3,
        len(people) - 3,
    )
    new = add_header(
        LOAN_HEAD,
        lambda n: f"{customer(n)['name']}|{customer(n)['phone']}|88800|2026/1/5",
        people[:5],
    )
    assert count_agreeing(bank_with_list, new) == (5, 5)


def test_erased_customer_has_no_private_attributes(ullage, bank_with_list: Context) -> None:
    number = len(chosen(bank_with_list))
    finding = find(
        matcher_of(bank_with_list),
        bank_with_list,
        add_header(LOAN_HEAD, ours, [min(chosen(bank_with_list))]),
    )
    assert finding.private_attributes_comparable == 1
    assert (
        ullage(
            "erase",
            "--case",
            "C-1",
            "--reason",
            "asked",
            "--tenant",
            "bank",
            "--subject",
            finding.matches[0].subject,
        ).exit_code
        == 0
    )
    assert count_agreeing(bank_with_list, add_header(LOAN_HEAD, ours)) == (number - 1, number - 1)


def test_attributes_of_another_customer_do_not_match(bank_with_list: Context) -> None:
    people = sorted(chosen(bank_with_list))
    swapped = dict(zip(people, people[1:] + people[:1], strict=True))
    text = add_header(
        LOAN_HEAD,
        lambda n: (
            f"{person(n)['name']}|{person(n)['phone']}|{amount(swapped[n])}|{day(swapped[n])}"
        ),
        people,
    )
    assert count_agreeing(bank_with_list, text) == (len(people), 0)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--witness", "amount"], "name two columns"),
        (["--witness", "amount,amount"], "name two columns"),
        (["--witness", "amount,none"], "no column is named none: correct --witness"),
        (["--witness", "phone,date"], "phone is not an amount or a date"),
        (["--witness", "email,cohort_a"], "email is not an amount or a date"),
        (
            ["--witness", "amount,date", "--long", "customer_ref,phone,email"],
            "cannot be used with --long",
        ),
        (["--witness", "name_of_loan,date"], "no column is named name_of_loan"),
        (["--witness", "date,amount"], "--witness finds no amount and date"),
    ],
)
def test_invalid_option_is_a_one_line_error_and_makes_no_tenant(
    ullage, context: Context, tmp_path: Path, words: list[str], told: str
) -> None:
    source = put(tmp_path / "list.csv", map(person, range(PEOPLE)))
    result = ullage("watchlist", "load", source, "--tenant", "bank", *words)
    assert result.exit_code != 0
    assert isinstance(result.exception, ConfigError)
    assert told in str(result.exception)
    assert not installation.tenants(context.data)


def test_differently_named_columns_are_mapped_or_named(
    ullage, context: Context, tmp_path: Path
) -> None:
    columns = (*HEADER, "放款额", "放款日")
    rows = [{**person(n), "放款额": amount(n), "放款日": day(n)} for n in range(PEOPLE)]
    source = put(tmp_path / "list.csv", rows, columns)
    for words in (
        ["--witness", "放款额,放款日"],
        ["--witness", "amount,date", "--map", "放款额=amount", "--map", "放款日=date"],
    ):
        result = ullage(
            "watchlist", "load", source, "--tenant", "bank", "--digests", "none", *words
        )
        assert result.exit_code == 0, result.output
        assert count_agreeing(context, add_header(LOAN_HEAD, ours)) == (len(chosen(context)),) * 2


def test_estimate_counts_private_attributes(ullage, context: Context, tmp_path: Path) -> None:
    source = put(tmp_path / "list.csv", map(person, range(PEOPLE)))
    tags = [
        int(
            ullage(
                "watchlist", "build", source, "--tenant", "bank", "--estimate", *words
            ).stdout.split()[0]
        )
        for words in ((), ("--witness", "amount,date"))
    ]
    assert tags[1] - tags[0] == PEOPLE * 2 // 20


@given(
    st.lists(
        st.sampled_from(
            [
                *"\x01\"'|,\t\n\xff {}[]()年月日万元￥.-/:=",
                "1200",
                "2025-01-05",
                "amount",
                "放款",
                "1,234.50",
                "é",
            ]
        )
    )
)
def test_any_row_gives_a_bounded_number_of_pairs(parts: list[str]) -> None:
    text = "".join(parts).encode("latin-1", "ignore") + "".join(parts).encode()
    for style in (LINE, OBJECT, TUPLE, BLOCK):
        for columns in (
            HeaderColumns("|", names=("amount", "date")),
            HeaderColumns(),
            HeaderColumns(","),
        ):
            pairs = read_pairs(text, style, columns)
            assert pairs is None or 0 < len(pairs.cents) == len(pairs.days) <= MOST_VALUES**2


def test_very_long_row_costs_as_much_as_its_first_8_kib() -> None:
    row = b"|".join([b"1200|2025-01-05"] * 4_000)
    pairs = read_pairs(b"|".join([row] * 50), LINE, HeaderColumns("|"))
    assert pairs == read_pairs(row, LINE, HeaderColumns("|"))
    assert "1200" not in repr(pairs) + repr(list(amounts_in("放款1200"))) + str(pairs)


def test_private_attributes_decide_the_origin_of_a_list(
    ullage, bank_with_list: Context, tmp_path: Path
) -> None:
    (bank_with_list.data / "ullage.toml").write_text("[tenants.bank]\ncirculation = 200000.0\n")
    assert len(chosen(bank_with_list)) >= 10
    strangers = [f"王某|{phone(1_000_000 + 37 * n * n)}|5000|2025-01-01" for n in range(PEOPLE * 9)]
    for row, origin in ((ours, "ours"), (rivals, "elsewhere")):
        path = tmp_path / "sample.txt"
        path.write_text("\n".join((add_header(LOAN_HEAD, row), *strangers)), encoding="utf-8")
        result = ullage("assess", path, "--json")
        [tenant] = json.loads(result.stdout)["tenants"]
        assert tenant["origin"]["verdict"] == origin
        assert "amount and date agree" in result.stdout


def test_unreadable_attributes_are_counted_without_their_value(
    ullage, context: Context, tmp_path: Path
) -> None:
    source = put(
        tmp_path / "list.csv",
        [
            customer(n, amount=amount(n), date=day(n) if n % 2 else "sometime")
            for n in range(PEOPLE)
        ],
    )
    result = ullage(
        "watchlist",
        "load",
        source,
        "--tenant",
        "bank",
        "--digests",
        "none",
        "--witness",
        "amount,date",
    )
    people = chosen(context)
    assert f"{sum(n % 2 for n in people)} private attributes" in result.output
    assert (
        f"{sum(n % 2 == 0 for n in people)} more have an amount or a date that cannot be read"
        in result.output
    )
    assert "sometime" not in result.output
