"""Transfers: who received which customers is enrolled by reference, and kept without any."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from typer.testing import Result

from matcher.watchlist.tagging import handles
from matcher.watchlist.transfers import path_of, read_transfers, write_transfers
from tests.matcher.bank import customer
from ullage.audit import read_entries
from ullage.errors import CorruptError
from ullage.settings import Context

HEADER = "customer_ref,recipient,kind,fields,from,to\n"
REFERENCES = [customer(n)["customer_ref"] for n in range(10)]
LIST = HEADER + "".join(
    [f"{ref},Courier Ltd,partner,NAME PHONE,2026-03-01,2026-03-01\n" for ref in REFERENCES[:6]]
    + [f"{ref},SMS gateway,supplier,PHONE,2026-01-01,\n" for ref in REFERENCES[4:]]
    + [f"{REFERENCES[0]},Courier Ltd,partner,ADDRESS,2026-02-01,2026-05-01\n"]
)


@pytest.fixture
def enrol_transfers(bank: Context, ullage: Callable[..., Result], tmp_path: Path):
    """Return a function that enrols a list of transfers by the command line."""

    def enrol(text: str = LIST) -> Result:
        (tmp_path / "transfers.csv").write_text(text, encoding="utf-8")
        return ullage("watchlist", "transfers", tmp_path / "transfers.csv", "--tenant", "bank")

    return enrol


def read_table(context: Context):
    return read_transfers(path_of(context.data, "bank"), context.keys, "bank")


def read_customers(context: Context) -> dict[str, set[str]]:
    """Return the pseudonyms of each recipient's customers."""
    table = read_table(context)
    return {
        recipient.name: {table.pseudonyms[row].tobytes().hex() for row in rows}
        for recipient, rows in zip(table.recipients, table.customers, strict=True)
    }


def to_pseudonyms(context: Context, references: list[str]) -> set[str]:
    return {row.tobytes().hex() for row in handles(context.keys, "bank", references)}


def test_transfers_are_kept_by_recipient_with_fields_and_days(bank, enrol_transfers) -> None:
    result = enrol_transfers()
    assert result.exit_code == 0, result.output
    assert read_customers(bank) == {
        "Courier Ltd": to_pseudonyms(bank, REFERENCES[:6]),
        "SMS gateway": to_pseudonyms(bank, REFERENCES[4:]),
    }
    courier, gateway = read_table(bank).recipients
    assert (courier.id, courier.kind, gateway.id) == ("partner-1", "partner", "supplier-2")
    assert courier.fields == {"NAME", "PHONE", "ADDRESS"}
    assert (courier.first_day, courier.last_day) == (date(2026, 2, 1), date(2026, 5, 1))
    assert (gateway.first_day, gateway.last_day) == (date(2026, 1, 1), None)
    assert "Courier Ltd: 6 customers, 2026-02-01 to 2026-05-01: ADDRESS NAME PHONE" in result.output


def test_file_and_audit_log_hold_no_reference(bank, enrol_transfers) -> None:
    assert enrol_transfers().exit_code == 0
    content = path_of(bank.data, "bank").read_bytes()
    assert not any(ref.encode() in content for ref in REFERENCES)
    entries = [e for _, e in read_entries(bank.data / "audit") if e.action.endswith(".transfers")]
    assert [e.object for e in entries] == ["transfers: 2 recipients, 10 customers, 0 lines refused"]
    assert "building/bank.transfers" in bank.inventory.parts()
    assert bank.inventory.find_unlisted() == []


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("C1,13800138000,partner,,,", "recipient must be a short name or code"),
        ("C1,A,friend,,,", "kind must be one of own, staff"),
        ("C1,A,partner,SECRET,,", "fields must be labels such as NAME PHONE"),
        ("C1,A,partner,,31.01.2026,", "from and to must be days such as 2026-01-31"),
        ("C1,A,partner,,2026-02-01,2026-01-01", "to is before from"),
        (",A,partner,,,", "is empty"),
        ("C1,Courier Ltd,supplier,,,", "has another kind than an earlier line"),
    ],
)
def test_bad_line_is_named_by_number_and_left_out(bank, enrol_transfers, line, reason) -> None:
    result = enrol_transfers(f"{LIST}{line}\n")
    assert result.exit_code == 1
    assert f"line 15: {reason}" in result.output
    assert "13800138000" not in result.output
    assert [len(rows) for rows in read_table(bank).customers] == [6, 6]


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("customer_ref,party", "no column recipient"),
        ("recipient,from", "no column customer_ref"),
        ("customer_ref,recipient,form", "column form is unknown"),
        ("customer_ref,recipient,recipient", "column recipient stands twice"),
    ],
)
def test_unknown_columns_are_refused_and_nothing_is_stored(
    bank, enrol_transfers, header, words
) -> None:
    result = enrol_transfers(f"{header}\n")
    assert words in str(result.exception)
    assert not path_of(bank.data, "bank").exists()


def test_recipients_keep_their_ids_when_enrolled_again(bank, enrol_transfers) -> None:
    assert enrol_transfers().exit_code == 0
    again = HEADER + "".join(f"{ref},{name},,,,\n" for ref in REFERENCES for name in ("New", "Old"))
    assert enrol_transfers(again.replace("Old", "SMS gateway")).exit_code == 0
    ids = {recipient.name: recipient.id for recipient in read_table(bank).recipients}
    assert ids == {"New": "partner-3", "SMS gateway": "supplier-2"}


def test_erased_customer_is_in_no_transfer(bank, enrol_transfers, ullage) -> None:
    assert enrol_transfers().exit_code == 0
    before = read_customers(bank)
    (gone,) = to_pseudonyms(bank, [REFERENCES[5]])
    words = ("--tenant", "bank", "--subject", gone, "--case", "K-1", "--reason", "asked")
    assert ullage("erase", *words).exit_code == 0
    assert bytes.fromhex(gone) not in path_of(bank.data, "bank").read_bytes()
    assert read_customers(bank) == {name: rows - {gone} for name, rows in before.items()}


def test_tenant_erasure_removes_the_transfers(bank, enrol_transfers, ullage) -> None:
    assert enrol_transfers().exit_code == 0
    words = ("--tenant", "bank", "--all", "--confirm", "bank", "--case", "K-1", "--reason", "asked")
    assert ullage("erase", *words).exit_code == 0
    assert not path_of(bank.data, "bank").exists()


def test_damage_of_any_byte_is_found(bank, enrol_transfers) -> None:
    assert enrol_transfers().exit_code == 0
    path = path_of(bank.data, "bank")
    content = path.read_bytes()
    for place in range(0, len(content), 7):
        damaged = bytearray(content)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(CorruptError, match="is damaged"):
            read_table(bank)
    for end in (0, 5, len(content) - 1):
        path.write_bytes(content[:end])
        with pytest.raises(CorruptError, match="is damaged"):
            read_table(bank)


def test_table_is_written_and_read_unchanged(bank, enrol_transfers) -> None:
    assert enrol_transfers().exit_code == 0
    table, path = read_table(bank), path_of(bank.data, "bank")
    write_transfers(path, bank.keys, "bank", table)
    again = read_table(bank)
    assert again.recipients == table.recipients
    assert np.array_equal(again.pseudonyms, table.pseudonyms)
    assert all(map(np.array_equal, again.customers, table.customers))
