"""What stands for people and cannot be looked up is counted, and where nobody was found in a
column of it there is no verdict.
"""

import base64
import hashlib
import json
import random
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from matcher.match.pipeline import Matcher
from tests.factories import capture
from tests.matcher.bank import customer, enrol, matcher_of, phone
from tests.matcher.conftest import BANK
from tests.matcher.test_match import find
from ullage.errors import Exit
from ullage.settings import Context

NUMBERS = [phone(number) for number in range(900, 960)]
CHANCE = random.Random(28)


@pytest.fixture
def context(data: Path) -> Context:
    """Return a context at the real clock, by which the command line runs."""
    return Context(data)


def digest(form: str, value: str) -> str:
    return hashlib.new(form, value.encode(), usedforsecurity=False).hexdigest()


def in_base64(form: str, value: str) -> str:
    return base64.b64encode(bytes.fromhex(digest(form, value))).decode()


ALIKE = str.maketrans("01", "Ol")
UNREAD: dict[str, tuple[str, Callable[[str], str]]] = {
    "sha512": ("digests", lambda value: digest("sha512", value)),
    "sha384": ("digests", lambda value: digest("sha384", value)),
    "sha512 in capitals": ("digests", lambda value: digest("sha512", value).upper()),
    "sha512 in base64": ("digests", lambda value: in_base64("sha512", value)),
    "md5 of md5": ("salted", lambda value: digest("md5", digest("md5", value))),
    "md5 with salt": ("salted", lambda value: digest("md5", f"x9{value}")),
    "sha256 with salt": ("salted", lambda value: digest("sha256", f"{value}pepper")),
    "sha1 of md5": ("salted", lambda value: digest("sha1", digest("md5", value))),
    "masked": ("masked", lambda value: f"{value[:3]}****{value[7:]}"),
    "masked but for four": ("masked", lambda value: f"****{value[7:]}"),
    "masked, hyphen": ("masked", lambda value: f"****-{value[7:]}"),
    "masked with bullets": ("masked", lambda value: f"{value[:3]}●●●●{value[7:]}"),
    "masked at the end": ("masked", lambda value: f"{value[:7]}****"),
    "masked mail": ("masked", lambda value: f"{value[8]}***@mail{value[7:]}.example"),
    "masked card": ("masked", lambda value: f"6222 **** **** {value[7:]}"),
    "letters for digits": (
        "spelt",
        lambda value: " ".join((value[:3], value[3:7], value[7:])).translate(ALIKE),
    ),
    "a star for the sign": ("spelt", lambda value: f"zhang{value[7:]}*qq.com"),
    "two parts": ("spelt", lambda value: f"zhang{value[7:]}|163.com"),
    "two hyphens between": ("spelt", lambda value: "--".join((value[:4], value[4:7], value[7:]))),
    "three dashes between pairs": (
        "spelt",
        lambda value: "———".join((value[:3], *(value[n : n + 2] for n in (3, 5, 7, 9)))),
    ),
}
ROWS = {
    "alone": "{}",
    "cells": "{number},{},Li",
    "pipes": "{number}|{}|2024-01-02",
    "JSON": '{{"n":{number},"phone":"{}"}}',
    "label": "phone: {}",
}


@pytest.fixture(scope="module")
def matcher(enrolment_folder: Path) -> Matcher:
    """Return a matcher of the bank's ten customers, for tests that only read."""
    return matcher_of(Context(enrolment_folder))


def unread(matcher: Matcher, body: str) -> dict[str, int]:
    """Return what was not readable in a post."""
    [reading] = matcher.read([capture(body=body.encode())])
    assert reading.is_unread == bool(reading.unread)
    return dict(reading.unread)


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("how", UNREAD)
def test_column_of_unreadable_values_is_counted(matcher: Matcher, how: str, row: str) -> None:
    reason, write = UNREAD[how]
    body = "\n".join(
        ROWS[row].format(write(value), number=n + 1) for n, value in enumerate(NUMBERS)
    )
    assert unread(matcher, body) == {reason: len(NUMBERS)}


@pytest.mark.parametrize("how", ["sha512", "md5 with salt", "masked"])
def test_column_of_unreadable_values_gives_no_verdict(
    ullage, bank: Context, tmp_path: Path, how: str
) -> None:
    reason, write = UNREAD[how]
    path = tmp_path / "leak.txt"
    path.write_text("\n".join(map(write, NUMBERS)), encoding="utf-8")
    result = ullage("assess", path, "--json")
    verdict = json.loads(result.stdout)
    assert (result.exit_code, verdict["verdict"]) == (Exit.NO_VERDICT, "no verdict")
    assert [(part["reason"], part["count"]) for part in verdict["not_read"]] == [
        (reason, len(NUMBERS))
    ]
    assert verdict["unread"] == {reason: len(NUMBERS)}


def test_unreadable_values_are_described_in_words(ullage, bank: Context, tmp_path: Path) -> None:
    path = tmp_path / "leak.txt"
    path.write_text("\n".join(digest("sha512", value) for value in NUMBERS))
    shown = " ".join(ullage("assess", path).stdout.split())
    assert "60 digests of a form that is not enrolled (probably SHA-512)" in shown
    assert "NO VERDICT" in shown
    assert "ask what was hashed and how" in shown
    path.write_text("138****8000")
    assert "1 masked value, not looked up" in " ".join(ullage("assess", path).stdout.split())


def test_scan_reports_unreadable_values_without_a_verdict(
    ullage, bank: Context, tmp_path: Path
) -> None:
    path = tmp_path / "leak.txt"
    path.write_text("\n".join(digest("sha512", value) for value in NUMBERS))
    result = ullage("scan", path)
    assert result.exit_code == Exit.NO_VERDICT
    assert f"{path}: 60 digests of a form that is not enrolled (probably SHA-512)" in result.stderr


def test_digests_without_an_enrolled_form_are_reported(
    ullage, context: Context, tmp_path: Path
) -> None:
    enrol(context, "bank", BANK, "none")
    path = tmp_path / "leak.txt"
    path.write_text("\n".join(digest("md5", value) for value in NUMBERS))
    verdict = json.loads(ullage("assess", path, "--json").stdout)
    assert [(part["reason"], part["said"]) for part in verdict["not_read"]] == [
        ("digests", "60 digests of a form that is not enrolled (probably MD5)")
    ]


def test_enrolled_digests_count_as_read(ullage, bank: Context, tmp_path: Path) -> None:
    path = tmp_path / "leak.txt"
    path.write_text("\n".join(digest("md5", value) for value in (*NUMBERS, BANK[3]["phone"])))
    verdict = json.loads(ullage("assess", path, "--json").stdout)
    assert (verdict["verdict"], verdict["not_read"]) == ("exposed", [])
    result = ullage("scan", path)
    assert (result.exit_code, "digests" in result.stderr) == (Exit.DONE, False)


def test_finding_counts_unreadable_values_beside_customers(bank: Context) -> None:
    rows = [BANK[1]["phone"], *(f"{value[:3]}****{value[7:]}" for value in NUMBERS)]
    [finding] = find(matcher_of(bank), "\n".join(rows))
    assert (finding.total_subjects, finding.statistics.unread) == (1, {"masked": 60})


def test_unreadable_values_beside_the_brand_make_a_finding(bank: Context) -> None:
    rows = "\n".join(digest("sha512", value) for value in NUMBERS)
    [finding] = find(matcher_of(bank, brands={"bank": ["某某银行"]}), f"某某银行客户\n{rows}")
    assert (finding.total_subjects, finding.statistics.unread) == (0, {"digests": 60})


def test_unreadable_values_are_counted_over_all_windows(
    ullage, bank: Context, tmp_path: Path
) -> None:
    path, count = tmp_path / "leak.csv", 60_000
    path.write_text("\n".join(f"{n},{digest('sha512', str(n))}" for n in range(count)))
    verdict = json.loads(ullage("assess", path, "--json").stdout)
    assert [(part["reason"], part["count"]) for part in verdict["not_read"]] == [("digests", count)]


def draw_hex(size: int) -> str:
    return CHANCE.randbytes(size // 2).hex()


def lines(row: Callable[[int], str], head: str = "") -> str:
    return "\n".join([*([head] if head else []), *(row(n) for n in range(80))])


ORDINARY = {
    "git log": lines(lambda n: (
        f"commit {draw_hex(40)}\nAuthor: A <a{n}@x.example>\nDate:   Mon Jan 1 2024\n\n"
        f"    mend {n}\n"
    )),
    "git log in a line each": lines(lambda n: f"{draw_hex(40)} mend the {n}th thing"),
    "a diff": lines(lambda n: (
        f"diff --git a/x{n} b/x{n}\nindex {draw_hex(40)}..{draw_hex(40)} 100644\n+one\n"
        "-two\n"
    )),
    "sha256sum": lines(lambda n: f"{draw_hex(64)}  file{n}.tar.gz"),
    "sha512sum, BSD": lines(lambda n: f"SHA512 (file{n}.iso) = {draw_hex(128)}"),
    "requirements": lines(lambda n: f"package{n}==1.{n} \\\n    --hash=sha256:{draw_hex(64)}"),
    "package-lock": lines(lambda n: (
        f'"node_modules/a{n}": {{\n "version": "1.{n}",\n'
        f' "integrity": "sha512-{draw_hex(86)}=="\n}},'
    )),
    "images": lines(lambda n: f"image: registry.example/app{n}@sha256:{draw_hex(64)}"),
    "etags": lines(lambda n: f'HTTP/1.1 200 OK\nETag: "{draw_hex(32)}"\nContent-Length: {n}\n'),
    "uuids": lines(lambda n: f"{uuid.UUID(int=CHANCE.getrandbits(128))},{n},paid", "id,n,state"),
    "ids without hyphens": lines(lambda n: f"{draw_hex(32)},{n},paid", "id,n,state"),
    "ids in JSON": lines(lambda n: f'{{"uuid":"{draw_hex(32)}","etag":"{draw_hex(40)}","n":{n}}}'),
    "programs": lines(lambda n: f"a{n} * b{n}.com; x = y*z{n}; {n} % m.net"),
    "ranks of sites": lines(lambda n: f"{10_000 + n},site{n}.example\n{20_000 + n},{n}qq.com"),
    "codes": lines(lambda n: f"ISO 8859 {n}; SZ {n:04d} BO {n * 7:04d}; lOO {n:04d} zz"),
    "sessions": lines(lambda n: f"2024-01-0{n % 9 + 1} GET /a?session={draw_hex(32)} 200"),
    "rows in clear with ids": lines(lambda n: f"{draw_hex(32)},{phone(2000 + n)},{n}"),
    "logins with digests": lines(lambda n: f"user{n}@mail.example:{draw_hex(32)}"),
    "order numbers": lines(lambda n: f"2024010{n % 9}15{CHANCE.randrange(10**10):010d},shipped"),
    "addresses": lines(lambda n: f"192.168.100.{n + 10} - 172.16.100.{n + 100} 10.0.0.{n}"),
    "times": lines(
        lambda n: f"13:45:{n % 60:02d}.{CHANCE.randrange(10**6):06d} up 15 days, 3:{n % 60:02d}"
    ),
    "amounts": lines(lambda n: f"13,800,{n + 100},000.00 EUR; 1 380 013; 19.12.2023 15:30"),
    "coordinates": lines(
        lambda n: f"35.{CHANCE.randrange(10**6):06d}, 139.{CHANCE.randrange(10**8):08d}"
    ),
    "small numbers": lines(lambda n: f"1, 3, 5, 7, 9, 11, 13, {n}"),
    "matrix": lines(lambda n: "1 4 9 16 25 36 49 64 81 100"),
    "dates": lines(lambda n: f"2024-01-02 10:{n % 60:02d} 19-12-2023"),
    "markdown": lines(lambda n: f"#### 2024 plan {n}\n\n**1234** and *x* ** y\n\n---\n"),
    "stars": lines(lambda n: f"/*** {n} ***/ a = b ** 2; rating ****"),
    "prices of tiers": lines(lambda n: "130元1200元5000元"),
    "one hash": f"fixed in {draw_hex(40)}, thanks",
    "one masked value in a long page": "\n".join(
        ["a line of a page about nothing"] * 80 + ["winner: 138****8000"]
    ),
    "base64 of other bytes": lines(
        lambda n: base64.b64encode(CHANCE.randbytes(21 + n % 60)).decode() + ","
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ORDINARY)
def test_ordinary_text_is_read_whole(matcher: Matcher, name: str) -> None:
    assert unread(matcher, ORDINARY[name]) == {}


def test_matching_masks_count_as_read(ullage, context: Context, tmp_path: Path) -> None:
    people = [customer(n) for n in range(60)]
    enrol(context, "bank", people)
    path = tmp_path / "leak.txt"
    rows = (
        (
            f"{p['phone'][:3]}****{p['phone'][7:]},"
            f"{p['resident_id'][:6]}********{p['resident_id'][14:]}"
        )
        for p in people
    )
    path.write_text("\n".join(rows))
    verdict = json.loads(ullage("assess", path, "--json").stdout)
    assert (verdict["verdict"], verdict["not_read"], verdict["tenants"][0]["customers"]) == (
        "exposed",
        [],
        60,
    )
