"""Files as the trade writes them, without headers and labels, and what is said of each."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.matcher.bank import customer, enrol, phone
from tests.matcher.columns import rows_of_texts
from tests.matcher.unpack.builders import zip_of
from ullage.identifiers.card import luhn
from ullage.settings import Context


def card(number: int) -> str:
    return next(made for digit in range(10) if luhn(made := f"620000{number:09d}{digit}"))


CUSTOMERS = [customer(n, card=card(n)) for n in range(60)]


@pytest.fixture
def context(data: Path) -> Context:
    """The command line goes by the real clock."""
    return Context(data)


@pytest.fixture
def judge(context: Context, ullage: Callable, tmp_path: Path) -> Callable[[str, bytes], tuple[str, int, str]]:
    """Severity, row of the table and scenario of a file."""
    (context.data / "ullage.toml").write_text('[tenants.bank]\ndomains = ["bank.example"]\nbins = ["620000"]\n')
    enrol(context, "bank", CUSTOMERS)

    def judged(name: str, body: bytes) -> tuple[str, int, str]:
        (tmp_path / name).write_bytes(body)
        exposure = json.loads(ullage("assess", tmp_path / name, "--json").stdout)["tenants"][0]["exposure"]
        return exposure["severity"], exposure["row"], exposure["scenario"]

    return judged


ENTRY = "Soft: Chrome\nURL: https://{}\nUsername: {}\nPassword: Secr3t!x\n===============\n"


@pytest.mark.parametrize(
    ("host", "login", "expected"),
    [
        ("vpn.bank.example/remote/login", "zhangwei", ("high", 5, "X4")),
        ("admin.bank.example/console", "root", ("high", 5, "X4")),
        ("m.bank.example/login", "zhangwei", ("medium", 6, "X4")),
    ],
)
def test_an_archive_of_a_stealer_with_a_login_of_staff_is_a_way_in(judge, host: str, login: str, expected: tuple) -> None:
    others = "".join(ENTRY.format(f"site{n}.example.org/login", f"user{n}@mail.example") for n in range(20))
    members = {"PC/Passwords.txt": (others + ENTRY.format(host, login)).encode(), "PC/System.txt": b"OS: Windows 10\n"}
    assert judge("logs.zip", zip_of(members)) == expected


@pytest.mark.parametrize("row", [{"md5": "phone"}, {"a": "phone", "b": "resident_id"}])
def test_digests_without_a_label_are_of_what_our_customers_have(judge, row: dict[str, str]) -> None:
    lines = [
        json.dumps({label: hashlib.md5(person[kind].encode()).hexdigest() for label, kind in row.items()}) for person in CUSTOMERS
    ]
    severity, _, scenario = judge("digests.jsonl", "\n".join(lines).encode())
    assert (severity, scenario) == ("medium", "X18")


CARDS = (
    *("{name}|{card}|{expiry}|{cvv}|{phone}", "{card}----{expiry}----{cvv}----{phone}", "{name},{phone},{card},{cvv},{expiry}"),
    *("{card}|{month}|{year}|{cvv}|{name}|{phone}", "{card}:{expiry}:{cvv}:{phone}", "{name}----{phone}----{card}----{cvv}"),
    *("{name} {phone} {card} cvv {cvv}", "{name} {phone} {card} {expiry} {cvv}"),
)


@pytest.mark.parametrize("written", CARDS)
def test_four_cards_with_their_codes_and_no_header_are_grave(judge, written: str) -> None:
    rows = []
    for n, person in enumerate(CUSTOMERS[:4]):
        dated = {
            "month": f"{n + 1:02d}",
            "year": f"{2027 + n}",
            "expiry": f"{n + 1:02d}/{27 + n}",
            "cvv": f"{(n * 337 + 43) % 1000:03d}",
        }
        rows.append(written.format(**person, **dated))
    assert judge("cards.txt", "\n".join(rows).encode()) == ("high", 7, "X3")


@pytest.mark.parametrize(
    "values",
    [
        ["500", "300", "200", "150"],
        ["101", "101", "101", "102"],
        ["2024-05-01", "2024-05-02", "2024-05-03", "2024-05-04"],
        ["1234", "5678", "9012", "3456"],
        ["12", "34", "56", "78"],
        ["12/27", "01/28", "03/29", "04/30"],
    ],
)
def test_what_else_stands_behind_a_card_is_no_code(values: list[str]) -> None:
    rows = rows_of_texts("\n".join(f"{card(n)}|{value}|{phone(n)}" for n, value in enumerate(values)))
    assert {label for row in range(4) for label in rows.fields(row)} & {"CVV", "EXPIRY"} == set()
