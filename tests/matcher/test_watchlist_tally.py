"""Control totals and rejects: what was read is what was sent, or the list is refused."""

import gzip
from pathlib import Path

import pytest

from matcher.watchlist import installation
from matcher.watchlist.build import KEPT_REJECTS, Control, Report
from matcher.watchlist.source import Source
from tests.matcher.bank import customer, phone, to_csv
from ullage.errors import ConfigError
from ullage.settings import Context

BODY = "customer_ref,phone,account\nC1,13800138000,7\nC2,,8\nC3,13800138001,x\n"


def control(folder: Path, totals: str, body: str = BODY, **options) -> None:
    (folder / "control.txt").write_text(totals, encoding="utf-8")
    (folder / "list.csv").write_text(body, encoding="utf-8")
    expected_totals, source = (
        Control(folder / "control.txt"),
        Source(folder / "list.csv", {"account": "card"}, **options),
    )
    for batch in source.batches():
        expected_totals.add(batch)
    expected_totals.reconcile(source)


@pytest.mark.parametrize(
    "totals",
    ["rows 3", "rows=3\nphone: 2\n", "\ufeffrows,3\n\n# of today\ncustomer_ref 3\n",
    "phone.sum 27600276001",
     "account.sum 15\naccount 3\ncard 3\ncard.sum 15"],
)  # fmt: skip
def test_matching_totals_are_accepted(tmp_path: Path, totals: str) -> None:
    control(tmp_path, totals)


@pytest.mark.parametrize(
    ("totals", "said"),
    [
        (
            "rows 4",
            r"says rows 4, but 3 were read \(1 of 1 totals differ\): request the list again",
        ),
        ("rows 3\nphone 3\nfax 1", r"says phone 3, but 2 were read \(2 of 3 totals differ\)"),
        ("account.sum 16", "says account.sum 16, but 15 were read"),
        ("rows three", "line 1: must be a name and a whole number"),
        ("# nothing\n", "contains no totals"),
    ],
)
def test_differing_totals_are_a_one_line_error_without_a_value(
    tmp_path: Path, totals: str, said: str
) -> None:
    with pytest.raises(ConfigError, match=said) as error:
        control(tmp_path, totals)
    assert "13800138" not in str(error.value)


def test_totals_of_a_long_list_are_checked(tmp_path: Path) -> None:
    body = "r,k,v\nC1,phone,5\nC1,card,6\nC2,phone,7\n"
    control(tmp_path, "rows 3\nphone 2\ncard.sum 6\ncustomer_ref 3", body, long=["r", "k", "v"])


def test_missing_control_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.txt cannot be read"):
        Control(tmp_path / "gone.txt")


@pytest.fixture
def context(data: Path) -> Context:
    """Return a context at the real clock, by which the command line runs."""
    return Context(data)


def test_list_in_many_files_is_checked_against_its_control_file(
    ullage, context: Context, tmp_path: Path
) -> None:
    for part in range(3):
        body = to_csv([customer(part * 10 + n) for n in range(10)]).encode("gb18030")
        (tmp_path / f"part-{part}.csv.gz").write_bytes(gzip.compress(body))
    totals = tmp_path / "control.txt"
    words = [
        "watchlist",
        "load",
        tmp_path / "part-*.csv.gz",
        "--tenant",
        "bank",
        "--control",
        totals,
    ]
    totals.write_text("rows 31\nphone 30\n", encoding="utf-8")
    refused = ullage(*words)
    assert isinstance(refused.exception, ConfigError)
    assert "part-0.csv.gz and 2 more: " in str(refused.exception)
    assert installation.tenants(context.data) == []
    totals.write_text("rows 30\nphone 30\n", encoding="utf-8")
    assert ullage(*words).stdout.startswith("bank: 30 customers, 90 identifiers")


def test_list_without_header_and_long_list_are_loaded(
    ullage, context: Context, tmp_path: Path
) -> None:
    path = tmp_path / "list.txt"
    path.write_text(f"C1;-;{phone(1)}\nC2;-;{phone(2)}\n", encoding="utf-8")
    result = ullage(
        "watchlist", "load", path, "--tenant", "bank", "--columns", "customer_ref,-,phone"
    )
    assert result.stdout.startswith("bank: 2 customers, 2 identifiers")
    path.write_text(f"r\tk\tv\nC1\ttel\t{phone(1)}\nC1\temail\tc1@example.com\n", encoding="utf-8")
    result = ullage(
        "watchlist",
        "load",
        path,
        "--tenant",
        "bank",
        "--long",
        "r,k,v",
        "--map",
        "tel=phone",
        "--delimiter",
        "\\t",
        "--shrink",
    )
    assert result.stdout.startswith("bank: 1 customers, 2 identifiers")
    wrong = ullage("watchlist", "load", path, "--tenant", "bank", "--long", "r,k").exception
    assert "--long r,k: must name three columns" in str(wrong)
    assert "matches no file: correct the pattern" in str(
        ullage("watchlist", "load", tmp_path / "*.gone", "--tenant", "bank").exception
    )


def test_many_rejects_are_sampled_and_counted_by_reason(
    ullage, context: Context, tmp_path: Path
) -> None:
    rows = [customer(n) for n in range(400)]
    for row in rows[:12]:
        row["phone"] = "777"
    rows[20]["email"] = "nobody"
    (tmp_path / "list.csv").write_text(to_csv(rows), encoding="utf-8")
    output = ullage(
        "watchlist", "load", tmp_path / "list.csv", "--tenant", "bank"
    ).stderr.splitlines()
    assert output[0] == "line 2, column phone: has the wrong format; left out"
    assert output[10:] == [
        "… and 3 more left out",
        "  12 of column phone: has the wrong format",
        "  1 of column email: has the wrong format",
    ]


def test_all_rejects_are_counted_but_few_are_kept(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("customer_ref,phone\n" + "C,1\n" * 3000, encoding="utf-8")
    report = Report()
    for batch in Source(tmp_path / "a.csv", {}).batches():
        report.reject(batch, "phone", dict.fromkeys(range(3000), "has the wrong format"))
        report.reject(batch, "phone", {5: "is too long"})
    assert (len(report.rejects), report.rejected) == (KEPT_REJECTS, 3001)
    assert [reject.line for reject in report.rejects[:3]] == [2, 3, 4]
