"""Fraud cases come in by reference on the list's host, and are stored by pseudonym."""

from collections.abc import Callable
from contextlib import closing
from datetime import date
from pathlib import Path

import pytest
from typer.testing import Result

from alerts.records import FraudCase
from alerts.store import DocumentFilter, open_configured_store
from matcher.watchlist.tagging import handles
from tests.matcher.bank import customer
from ullage.settings import Context

HEADER = "customer_ref,first_contact,scam,knew,amount_band\n"
REFERENCES = [customer(n)["customer_ref"] for n in range(10)]
LIST = HEADER + "".join(
    f"{ref},2020-05-{n + 1:02d},X1,NAME LOAN,under_3000\n" for n, ref in enumerate(REFERENCES[:4])
)


@pytest.fixture
def import_cases(bank: Context, ullage: Callable[..., Result], tmp_path: Path):
    """Return a function that imports a list of fraud cases by the command line."""
    open_configured_store(bank).close()

    def run_import(text: str = LIST) -> Result:
        (tmp_path / "cases.csv").write_text(text, encoding="utf-8")
        return ullage("fraud-cases", "import", tmp_path / "cases.csv", "--tenant", "bank")

    return run_import


def read_cases(context: Context) -> list[FraudCase]:
    with closing(open_configured_store(context)) as store:
        return sorted(
            store.scroll(FraudCase, DocumentFilter()), key=lambda case: case.first_contact
        )


def test_imported_case_is_stored_by_pseudonym(bank, import_cases) -> None:
    result = import_cases()
    assert result.exit_code == 0, result.output
    assert "bank: 4 customers with fraud cases, 4 new or changed" in result.output
    cases = read_cases(bank)
    pseudonyms = handles(bank.keys, "bank", REFERENCES[:4])
    assert [case.subject for case in cases] == [row.tobytes().hex() for row in pseudonyms]
    assert (cases[0].first_contact, cases[0].scam, cases[0].band) == (
        date(2020, 5, 1), "X1", "under_3000",
    )  # fmt: skip
    assert cases[0].known_fields == ("LOAN", "NAME")
    assert {(case.incident, case.outcome) for case in cases} == {("", "loss")}


def test_no_reference_reaches_store_log_or_output(bank, import_cases) -> None:
    result = import_cases()
    folders = (bank.data / "incidents.sqlite", *(bank.data / "audit").rglob("*.jsonl"))
    written = b"".join(path.read_bytes() for path in folders)
    for reference in REFERENCES[:4]:
        assert reference.encode() not in written
        assert reference not in result.output


def test_second_import_changes_nothing(bank, import_cases) -> None:
    twice = f"{LIST}{REFERENCES[0]},2020-05-01,X1,NAME,\n"
    assert import_cases(twice).exit_code == 0
    before = read_cases(bank)
    assert len(before) == 4
    assert "4 customers with fraud cases, 0 new or changed" in import_cases(twice).output
    assert read_cases(bank) == before


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("C999999,2020-05-01,,,", "is in no customer list here"),
        (",2020-05-01,,,", "customer_ref is empty"),
        (f"{REFERENCES[9]},01.05.2020,,,", "first_contact must be a day such as 2026-01-31"),
        (f"{REFERENCES[9]},2999-05-01,,,", "invalid day: enter the day"),
        (f"{REFERENCES[9]},2020-05-01,13800138000,,", "unknown scam: choose one of"),
        (f"{REFERENCES[9]},2020-05-01,,13800138000,", "knew must be labels such as NAME LOAN"),
        (f"{REFERENCES[9]},2020-05-01,,,13800138000", "amount_band must be one of under_3000"),
    ],
)
def test_bad_line_is_named_by_number_without_its_cells(bank, import_cases, line, reason) -> None:
    result = import_cases(f"{LIST}{line}\n")
    assert result.exit_code == 1
    assert f"line 6: {reason}" in result.output
    for cell in ("13800138000", "C999999", REFERENCES[9]):
        assert cell not in result.output
    assert len(read_cases(bank)) == 4


def test_erased_customer_is_not_reported_again(bank, import_cases, ullage) -> None:
    gone = handles(bank.keys, "bank", [REFERENCES[0]])[0].tobytes().hex()
    words = ("--tenant", "bank", "--subject", gone, "--case", "K-1", "--reason", "asked")
    assert ullage("erase", *words).exit_code == 0
    result = import_cases()
    assert result.exit_code == 1
    assert "line 2: is in no customer list here" in result.output
    assert len(read_cases(bank)) == 3


def test_import_without_a_store_says_what_to_do(bank, ullage, tmp_path) -> None:
    (tmp_path / "cases.csv").write_text(LIST, encoding="utf-8")
    result = ullage("fraud-cases", "import", tmp_path / "cases.csv", "--tenant", "bank")
    assert "start `ullage alert` here once, or set store.url" in str(result.exception)
    assert not (bank.data / "incidents.sqlite").exists()
