"""What a program has encoded value by value, or folded line by line, is read; what merely looks
like it stays.
"""

import base64
import quopri
import random
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest

from harness.bench.recall.cases import iban as british
from matcher.match.pipeline import Matcher
from matcher.text.splice import unescape
from tests.factories import capture
from tests.matcher.bank import customer, matcher_of
from tests.matcher.conftest import BANK
from ullage.settings import Context

Person = dict[str, str]
CHANCE = random.Random(282)


@pytest.fixture(scope="module")
def matcher(enrolment_folder: Path) -> Matcher:
    """Return a matcher of the bank's ten customers."""
    return matcher_of(Context(enrolment_folder))


def in_base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def in_hex(text: str) -> str:
    return text.encode().hex()


def cut(line: str, *places: int, sign: str = "\n ") -> str:
    """Return a line that is wrapped at these places."""
    ends = (0, *places, len(line))
    return sign.join(line[start:end] for start, end in pairwise(ends))


def card(*lines: str, version: str = "3.0") -> str:
    return "\r\n".join(("BEGIN:VCARD", f"VERSION:{version}", *lines, "END:VCARD", ""))


def old_card(field: str, value: str) -> str:
    """Return a vCard 2.1 with a field in quoted-printable."""
    return card(f"{field};CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:{value}", version="2.1")


def in_octets(p: Person, form: str, sign: str, kind: str) -> str:
    """Return a person's value with each character as a number of its own."""
    return sign.join(form.format(ord(char)) for char in p[kind])


FOLD = "\r\n "
WAYS: dict[str, Callable[[Person], str]] = {
    "base64, phone": lambda p: f"1,{in_base64(p['phone'])},x",
    "base64, phone with country code": lambda p: f"1,{in_base64('+86' + p['phone'])},x",
    "base64, phone with bare country code": lambda p: f"1,{in_base64('86' + p['phone'])},x",
    "base64, phone, unpadded": lambda p: f"1,{in_base64(p['phone']).rstrip('=')},x",
    "base64, phone, JSON": lambda p: f'{{"p":"{in_base64(p["phone"])}"}}',
    "base64, resident ID": lambda p: f"1;{in_base64(p['resident_id'])};x",
    "base64, mail": lambda p: f"1|{in_base64(p['email'])}|x",
    "hex, phone": lambda p: f"1,{in_hex(p['phone'])},x",
    "hex, resident ID": lambda p: f"1,{in_hex(p['resident_id'])},x",
    "hex, mail": lambda p: f"1,{in_hex(p['email'])},x",
    "hex, mail, capitals": lambda p: f"1,{in_hex(p['email']).upper()},x",
    "hex, as PostgreSQL writes bytes": lambda p: f"1\t\\x{in_hex(p['phone'])}\tx",
    "hex, as PostgreSQL writes bytes, mail": lambda p: f"1\t\\x{in_hex(p['email'])}\tx",
    "hex, octets apart": lambda p: " ".join(f"{ord(c):02x}" for c in p["phone"]),
    **{
        f"octets as {form.format(49)!r} with {sign!r} between, {kind}": partial(in_octets,
        form=form, sign=sign, kind=kind)
        for form, sign in (
            *(("{:02x}", sign) for sign in (":", "-", ",", ", ", ".", "/", "_", "  ")),
            *(("0x{:02x}", sign) for sign in (" ", ",", ", ")),
            *(("{:02X}h", " "), ("U+{:04X}", " "), ("{:d}", " "), ("{:d}", ","), ("={:02X}", "")),
        )
        for kind in ("phone", "email", "resident_id")
    },
    "octets of a record": lambda p: " ".join(
        f"{octet:02x}" for octet in f"{p['name']},{p['phone']}".encode()
    ),
    "octets in octal": lambda p: in_octets(p, "{:o}", " ", "phone"),
    "octets in bits": lambda p: in_octets(p, "{:08b}", " ", "phone"),
    "escaped octets": lambda p: "phone=" + "".join(f"\\x{ord(c):02x}" for c in p["phone"]),
    "escaped quotes": lambda p: (
        f"{{\\x22p\\x22:\\x22{p['phone']}\\x22,"
        f"\\x22i\\x22:\\x22{p['resident_id']}\\x22}}"
    ),
    "octal": lambda p: "phone=" + "".join(f"\\{ord(c):03o}" for c in p["phone"]),
    "code points in braces": lambda p: "phone=" + "".join(f"\\u{{{ord(c):x}}}" for c in p["phone"]),
    "a written line end": lambda p: f"name\\n{p['phone']}\\nend",
    "a written tab": lambda p: f"name\\t{p['phone']}\\tend",
    "at sign of UTF-7": lambda p: p["email"].replace("@", "+AEA-"),
    "vCard, folded": lambda p: card(f"TEL:{p['phone'][:5]}\r\n {p['phone'][5:]}"),
    "vCard, folded with a tab": lambda p: card(cut(f"NOTE:since 2020 {p['email']}", 20,
    sign="\r\n\t")),
    "vCard, quoted-printable": lambda p: old_card("TEL",
    "".join(f"={ord(c):02X}" for c in p["phone"])),
    "vCard, quoted-printable, going on": lambda p: old_card("NOTE",
    cut(f"tel {p['phone']}=0D=0A", 9, sign="=\r\n")),
    "vCard, name in quoted-printable": lambda p: old_card("N",
    quopri.encodestring(p["name"].encode()).decode()) + p["phone"],
    "iCalendar, folded": lambda p: (
        f"BEGIN:VCALENDAR\r\n{cut('DESCRIPTION:' + p['phone'], 17, sign=FOLD)}\r\n"
        "END:VCALENDAR"
    ),
    "LDIF, folded": lambda p: (
        f"dn: uid=u,dc=example\nmobile: {p['phone'][:6]}\n {p['phone'][6:]}\n"
    ),
    "LDIF, base64": lambda p: f"dn: uid=u,dc=example\nmobile:: {in_base64(p['phone'])}\n",
    "LDIF, base64, folded": lambda p: (
        "dn: uid=u,dc=example\n"
        f"{cut('note:: ' + in_base64('a customer, ' + p['phone']), 25)}\n"
    ),
}  # fmt: skip


@pytest.mark.parametrize("how", WAYS)
def test_encoded_customers_are_found(matcher: Matcher, how: str) -> None:
    body = "\n".join(WAYS[how](person) for person in BANK)
    [reading] = matcher.read([capture(body=body.encode())])
    best = reading.find_best_matches("bank")
    assert best is not None
    assert len(best.subjects) == len(BANK)


STRANGE: dict[str, Callable[[Person], str]] = {
    "a longer number in base64": lambda p: in_base64(p["phone"] + "1234567890123"),
    "base64 glued to a letter": lambda p: "A" + in_base64(p["phone"]),
    "hex followed by letters": lambda p: in_hex(p["phone"]) + "abcdef",
    "hex glued to a word": lambda p: f"x{in_hex(p['phone'])}",
    "a folded line outside a card": lambda p: f"number: {p['phone'][:6]}\n {p['phone'][6:]}",
    "a token": lambda p: f"{p['phone'][:4]}{CHANCE.randbytes(9).hex()}",
    "octets of a longer number": lambda p: " ".join(f"{ord(c):02x}" for c in p["phone"] * 3),
}


@pytest.mark.parametrize("how", STRANGE)
def test_similar_looking_text_matches_nobody(matcher: Matcher, how: str) -> None:
    body = "\n".join(STRANGE[how](person) for person in BANK)
    [reading] = matcher.read([capture(body=body.encode())])
    assert reading.find_best_matches("bank") is None


@pytest.mark.parametrize("how", [*WAYS, *STRANGE])
def test_decoding_keeps_text_length(how: str) -> None:
    text = (WAYS | STRANGE)[how](customer(3))
    assert len(unescape(text, markup=False)) == len(text)


class IbanOwner:
    """Whom `harness.bench.recall.cases.iban` makes a number for."""

    number = 4711


def test_account_statement_shows_its_subfields() -> None:
    number = british(IbanOwner())  # type: ignore[arg-type]  # of a person it wants the number alone
    field = (
        f":86:166?00SEPA?20EREF+1?30TESTDEFF?31{number[:9]}\r\n{number[9:]}?32MAX\r\n"
        "?33MUSTER\r\n:62F:C240101EUR1,00"
    )
    shown = unescape(field, markup=False)
    assert number in shown.split()
    assert len(shown) == len(field)
    assert shown.endswith("\r\n:62F:C240101EUR1,00")
    plain = ":86:ORDER 15 ROAD\r\nSECOND LINE\r\n-"
    assert unescape(plain, markup=False) == plain


def to_curl_trace(body: bytes) -> str:
    """Return what `curl --trace` writes for a body."""
    rows = [body[start : start + 16] for start in range(0, len(body), 16)]
    shown = ("".join(chr(c) if 32 <= c < 127 else "." for c in row) for row in rows)
    octets = ("".join(f"{c:02x} " for c in row).ljust(48) for row in rows)
    dump = "".join(
        f"{16 * n:04x}: {octet_line}{two}\n"
        for n, (octet_line, two) in enumerate(zip(octets, shown, strict=True))
    )
    return f"=> Send data, {len(body)} bytes (0x{len(body):x})\n{dump}== Info: done\n"


def test_curl_trace_is_read(matcher: Matcher) -> None:
    body = "\n".join(f"{p['name']},{p['phone']}" for p in BANK).encode()
    [reading] = matcher.read([capture(body=to_curl_trace(body).encode())])
    best = reading.find_best_matches("bank")
    assert best is not None
    assert len(best.subjects) == len(BANK)
