"""Files as the trade writes them, without headers and labels, and what is said of each."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.matcher.bank import customer, phone
from tests.matcher.columns import fields_of, rows_of_texts
from tests.matcher.unpack.builders import zip_of
from ullage.identifiers.card import luhn
from ullage.settings import Context


def card(number: int) -> str:
    return next(number_ for digit in range(10) if luhn(number_ := f"620000{number:09d}{digit}"))


CUSTOMERS = [customer(n, card=card(n)) for n in range(60)]


@pytest.fixture
def context(data: Path) -> Context:
    """Return a context at the real clock, by which the command line runs."""
    return Context(data)


@pytest.fixture
def judge(
    context: Context, ullage: Callable, enrol_once: Callable, tmp_path: Path
) -> Callable[[str, bytes], tuple[str, int, str]]:
    """Severity, row of the table and scenario of a file."""
    enrol_once(context.data, CUSTOMERS)
    (context.data / "ullage.toml").write_text(
        '[tenants.bank]\ndomains = ["bank.example"]\nbins = ["620000"]\n'
    )

    def assess_file(name: str, body: bytes) -> tuple[str, int, str]:
        (tmp_path / name).write_bytes(body)
        exposure = json.loads(ullage("assess", tmp_path / name, "--json").stdout)["tenants"][0][
            "exposure"
        ]
        return exposure["severity"], exposure["row"], exposure["scenario"]

    return assess_file


ENTRY = "Soft: Chrome\nURL: https://{}\nUsername: {}\nPassword: Secr3t!x\n===============\n"


@pytest.mark.parametrize(
    ("host", "login", "expected"),
    [
        ("vpn.bank.example/remote/login", "zhangwei", ("high", 5, "X4")),
        ("admin.bank.example/console", "root", ("high", 5, "X4")),
        ("m.bank.example/login", "zhangwei", ("medium", 6, "X4")),
    ],
)
def test_stealer_archive_with_staff_login_is_an_access_risk(
    judge, host: str, login: str, expected: tuple
) -> None:
    other_logins = "".join(
        ENTRY.format(f"site{n}.example.org/login", f"user{n}@mail.example") for n in range(20)
    )
    members = {
        "PC/Passwords.txt": (other_logins + ENTRY.format(host, login)).encode(),
        "PC/System.txt": b"OS: Windows 10\n",
    }
    assert judge("logs.zip", zip_of(members)) == expected


FORMS = {
    "block": (
        "URL: https://{site}/login\nUsername: {phone}\nPassword: {password}\nApplication:"
        " Chrome\n===============\n"
    ),
    "block of a browser": (
        "SOFT: Chrome\nHost: https://{site}/\nLogin: {mail}\nPassword: {password}\n\n"
    ),
    "block in Chinese": "网址: https://{site}/\n用户名: {phone}\n密码: {password}\n\n",
    "line": "https://{site}/login:{phone}:{password}\n",
    "line of an app": "android://Y2VydA==@com.example.app/:{phone}:{password}\n",
    "line without a scheme": "{site}|{phone}|{password}\n",
    "line with the address last": "{mail}:{password}:https://{site}/\n",
    "table": "https://{site}/login,{mail},{password}\n",
    "object": '{{"url":"https://{site}/","username":"{phone}","password":"{password}"}}\n',
}
OTHERS_FORMS = {
    "combo list": "{phone}:{password}\n",
    "login, name and password": "zhang.wei{n}:{password}:{phone}\n",
    "pictures": "https://img.{site}/{n}.jpg,{phone},{password}\n",
    "members with a page": (
        '{{"username":"u{n}","phone":"{phone}","password":"{password}",'
        '"website":"https://{site}/"}}\n'
    ),
}
APART = [customer(7 * n * n) for n in range(60)]
"""Customers whose numbers run in no steps."""


@pytest.fixture
def assess_password_file(
    context: Context, ullage: Callable, enrol_once: Callable, tmp_path: Path
) -> Callable[[bytes], dict]:
    """Return a function that assesses an archive with this `Passwords.txt`."""
    enrol_once(context.data, APART)

    def assess_passwords(body: bytes) -> dict:
        (tmp_path / "logs.zip").write_bytes(zip_of({"CN[1A2B]/Passwords.txt": body}))
        [tenant] = json.loads(ullage("assess", tmp_path / "logs.zip", "--json").stdout)["tenants"]
        return tenant

    return assess_passwords


def passwords(form: str, people: list[dict[str, str]] = APART) -> bytes:
    rows = [
        form.format(
            n=n,
            site=f"site{n % 7}.example.org",
            phone=person["phone"],
            mail=person["email"],
            password=f"Secr3t!{n}x",
        )
        for n, person in enumerate(people)
    ]
    return "".join(rows).encode()


@pytest.mark.parametrize("form", FORMS)
def test_customer_logins_at_other_sites_point_to_infected_devices(
    assess_password_file, form: str
) -> None:
    tenant = assess_password_file(passwords(FORMS[form]))
    reasons = [reason[2:] for reason in tenant["origin"]["reasons"] if reason[0] == "O17"]
    assert (tenant["customers"], tenant["origin"]["verdict"]) == (60, "devices")
    assert (
        tenant["exposure"]["severity"],
        tenant["exposure"]["row"],
        tenant["exposure"]["notify"],
    ) == (
        "medium",
        6,
        "fraud_queue",
    )
    assert tenant["next_step"].startswith("Reset logins today")
    assert reasons == [
        [
            "60 rows in the form of a stealer log, logins at others' sites",
            "60行呈窃密木马日志格式，系他方网站登录信息",
        ]
    ]


@pytest.mark.parametrize("form", OTHERS_FORMS)
def test_passwords_without_site_address_are_not_a_stealer_log(
    assess_password_file, form: str
) -> None:
    tenant = assess_password_file(passwords(OTHERS_FORMS[form]))
    assert (tenant["customers"], tenant["origin"]["verdict"]) == (60, "ours")
    assert "stealer" not in str(tenant["origin"]["reasons"])


def test_stealer_rows_do_not_decide_origin_of_a_list_with_names(
    assess_password_file,
) -> None:
    listed = "".join(
        f"{person['name']},{person['phone']},{person['resident_id']}\n" for person in APART[:40]
    ).encode()
    tenant = assess_password_file(passwords(FORMS["line"], APART[40:]) + b"\n" + listed)
    assert tenant["origin"]["verdict"] == "ours"


@pytest.mark.parametrize("row", [{"md5": "phone"}, {"a": "phone", "b": "resident_id"}])
def test_unlabelled_digests_match_customer_identifiers(judge, row: dict[str, str]) -> None:
    lines = [
        json.dumps(
            {label: hashlib.md5(person[kind].encode()).hexdigest() for label, kind in row.items()}
        )
        for person in CUSTOMERS
    ]
    severity, _, scenario = judge("digests.jsonl", "\n".join(lines).encode())
    assert (severity, scenario) == ("medium", "X18")


CARDS = (
    *(
        "{name}|{card}|{expiry}|{cvv}|{phone}",
        "{card}----{expiry}----{cvv}----{phone}",
        "{name},{phone},{card},{cvv},{expiry}",
    ),
    *(
        "{card}|{month}|{year}|{cvv}|{name}|{phone}",
        "{card}:{expiry}:{cvv}:{phone}",
        "{name}----{phone}----{card}----{cvv}",
    ),
    *("{name} {phone} {card} cvv {cvv}", "{name} {phone} {card} {expiry} {cvv}"),
)


@pytest.mark.parametrize("written", CARDS)
def test_four_cards_with_codes_and_no_header_are_high(judge, written: str) -> None:
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
def test_other_values_after_a_card_are_not_its_code(values: list[str]) -> None:
    rows = rows_of_texts(
        "\n".join(f"{card(n)}|{value}|{phone(n)}" for n, value in enumerate(values))
    )
    assert {label for row in range(4) for label in fields_of(rows, row)} & {
        "CVV",
        "EXPIRY",
    } == set()
