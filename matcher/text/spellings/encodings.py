r"""Undo values that a program has encoded one by one: a cell in base64 or hex, octets written
apart.

`MTU0MDAwMDAwMDE=`, `3135343030303030303031`, `\x3135…`, `31 35 34 …`, `YUBiLmNvbQ==`, `+AEA-`,
`0x3133…`. Base64 of 24 characters and more is a block. A cell is read only where all of it is a
number of eleven digits or more, or an address: of what else is as long, keys and ids, next to none
decodes to either.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator
from functools import partial
from string import digits

import numpy as np

from matcher.columns.bitset import Classes, Places, is_one_of, places, shift_back, shift_forward
from matcher.columns.literals import spell_out
from matcher.text.fold import FILL
from matcher.text.spellings import Spelling
from ullage.identifiers import phone
from ullage.identifiers.base import BEFORE
from ullage.regex import compile_later

PHONE, RESIDENT_ID, ADDRESS = "13800138000", "11010519491231002X", "li.wei8@example.com"
NOT_BEFORE = "(?![0-9A-Za-z])"
SHORTEST_TEXT = 11
"""Characters of a text in hexadecimal that is read."""
EDGE, END = r"(?<![A-Za-z0-9+/_-])(?<!==)", r"(?![A-Za-z0-9+/=_-])"
"""Around a cell: one equals sign before it names it (`d=MTM4…`), two may be the padding of
another.
"""
VALUE = re.compile(
    rb"\+?\d{11,19}[Xx]?"
    rb"|[A-Za-z0-9][A-Za-z0-9._+-]{0,40}@[A-Za-z0-9-]{1,40}(?:\.[A-Za-z0-9-]{1,40}){1,3}"
)
THREE = "[MNO][DTjz][AEIMQUYcgk][w-z0-5]"
"""Three digits in base64."""
ASCII_THREE = "[A-Za-f][A-HQ-Xg-nw-z0-3][ABEFIJMNQRUVYZcdghklopstwx014589][A-Za-z0-9+/]"
"""Three characters of ASCII, which no random letters are for long."""
DIGITS = f"(?:{THREE}){{3,}}[A-Za-z0-9+/]{{0,3}}"
DOMAINS = tuple("com cn net org de example fr uk it es io hk tw jp eu edu gov".split())
"""How addresses end, by whose base64 a cell of one is seen; what ends otherwise is seen by two
signs of padding.
"""
OCTET = "[2-7][0-9a-fA-F]"
OCTETS_OF = {
    16: ("[0-9a-fA-F]{2}", "3[0-9]", "3", "40", 8, "[57]8"),
    10: ("(?:[3-9][0-9]|1[01][0-9]|12[0-6])", "(?:4[89]|5[0-7])", "45", "64", 8, "(?:88|120)"),
    8: ("1?[0-7]{2}", "0?(?:6[0-7]|7[01])", "67", "", 8, "1[37]0"),
    2: ("[01]{8}", "0011[01]{4}", "0", "", 5, "01[01]11000"),
}
"""For each base an octet, one that is a digit in ASCII and how it begins, one that is an at sign,
and how many digits in a row are a sign of a number; and the X of a resident ID, which may be the
last.
"""
PREFIX = r"(?:0[xXbBoO]|\\{1,2}[xX]|[uU]\+00|[xX])?"
BETWEEN_SIGNS = r" ,:;.\-_/|"
BEHIND_OCTET, AT_SIGNS = b"hH ,:;.-_/|", (b"40", b"64")
"""With which signs octets go on, and an at sign to the bases of sixteen and ten."""
IN_NUMBER, LONGEST_OCTET, AROUND_AT = 9, 10, 48
"""Octets of digits that tell of a number; bytes from one octet to the next, and on either side
of an at sign.
"""
BETWEEN = rf"[hH]?[{BETWEEN_SIGNS}]{{1,2}}{PREFIX}"
"""What stands between octets that are written apart: `31 33`, `0x31,0x33`, `31h 33h`, `U+0031
U+0033`.
"""
TELLING = re.compile(
    r"(?<![0-9])\+?[0-9](?:[ -]?[0-9]){10,18}[Xx]?(?![0-9A-Za-z])"
    r"|[A-Za-z0-9]@[A-Za-z0-9-]+[.][A-Za-z]{2}|[A-Z]{2}[0-9]{13,}"
)
"""What a text in octets has that may be a number or an address."""
PRINTED = f"(?:{OCTET}){{1,60}}"
QUOTED = "=[2-7][0-9A-Fa-f]"
BASES = {
    16: ("hexadecimal", "{:02x}"),
    10: ("decimal", "{:d}"),
    8: ("octal", "{:o}"),
    2: ("binary", "{:08b}"),
}
"""By its base how octets are called, and how one is written."""


def rows() -> Iterator[Spelling]:
    """Yield the encodings of single values, such as a cell in base64, in the order of undoing."""
    yield from _list_texts()
    yield from _list_octets()


def _list_texts() -> Iterator[Spelling]:
    """Yield values whose digits or bytes are written as one word of hexadecimal or base64."""
    yield Spelling(
        "mobile number in hexadecimal",
        "stretch",
        examples=(("0x3368d6510", PHONE), ("0x0003368D6510", PHONE)),
        near_misses=("0x0368d6510", "0x3368d65100"),
        gate=(
            r"0x0{1,7}[34][0-9a-f]{8}[^0-9a-z]",
            *spell_out(("0x",), "34", ("[0-9a-f]{8}[^0-9a-z]",)),
        ),
        pattern=re.compile(rf"{BEFORE}0[xX]0{{0,7}}([34][0-9a-fA-F]{{8}}){NOT_BEFORE}"),
        plain=lambda m: number if phone.SHAPE.fullmatch(number := str(int(m[1], 16))) else "",
    )
    yield Spelling(
        "text in hexadecimal",
        "stretch",
        examples=(
            (f"0x{PHONE.encode().hex()}", PHONE),
            (f"X'{f'李,{ADDRESS}'.encode().hex()}'", ADDRESS),
        ),
        near_misses=(f"0x{'ab' * 20}", f"0x{PHONE.encode().hex()}3"),
        gate=tuple(
            spell_out(
                ("0x", "x'"),
                "23456789abcde",
                (rf"[0-9a-f](?:[2-9a-e][0-9a-f]){{{SHORTEST_TEXT - 1}}}",),
            )
        ),
        pattern=re.compile(
            rf"{BEFORE}(?:0[xX]|[xX]')((?:[0-9a-fA-F]{{2}}){{{SHORTEST_TEXT},}}+){NOT_BEFORE}"
        ),
        plain=_read_hex,
    )
    yield Spelling(
        "number in base64",
        "stretch",
        examples=(
            ("MTM4MDAxMzgwMDA=", PHONE),
            ("1;MTEwMTA1MTk0OTEyMzEwMDJY;x", RESIDENT_ID),
            ("uid=7&p=MTM4MDAxMzgwMDA", PHONE),
            ("p=KzEyMDI1NTUwMTIz", "+12025550123"),
        ),
        near_misses=("aGVsbG8=", "AMTM4MDAxMzgwMDA="),
        gate=tuple(
            spell_out(
                (
                    *spell_out("m", "tz", "mquycgk", ("[w-z0-5]",)),
                    "odyx",
                    *spell_out(("kz",), "aeimquycgk", ("[w-z0-5]",)),
                ),
                (f"{THREE}{THREE}[MNO]",),
            )
        ),
        pattern=re.compile(rf"{EDGE}(?:Kz[AEIMQUYcgk][w-z0-5])?{DIGITS}={{0,2}}{END}"),
        plain=_read_base64,
    )
    yield Spelling(
        "address in base64",
        "stretch",
        examples=(
            ("1,YUBleGFtcGxlLmNvbQ==,x", "a@example.com"),
            ("YWJAZXhhbXBsZS5jb20=", "ab@example.com"),
            ("d=YUBleGFtcGxlLmNvbQ&n=1", "a@example.com"),
        ),
        near_misses=("YWFlZXhhbXBsZS5jb20=", "xYUBleGFtcGxlLmNvbQ=="),
        gate=tuple(spell_out((*spell_out("aqgw", ("==",)), *_list_endings()), ("[^a-z0-9+/=]",))),
        pattern=re.compile(rf"{EDGE}(?:{ASCII_THREE}){{2,5}}[A-Za-z0-9+/]{{0,3}}={{0,2}}{END}"),
        plain=_read_base64,
    )
    yield Spelling(
        "value in hexadecimal",
        "stretch",
        examples=((PHONE.encode().hex(), PHONE), (f"1\t\\x{ADDRESS.encode().hex()}\tx", ADDRESS)),
        near_misses=(f"{PHONE.encode().hex()}abcdef", f"x{PHONE.encode().hex()}"),
        gate=(
            *spell_out((r"(?:[^0-9a-z]|\\x)(?:3[0-9]){9}3",), digits, ("3[0-9]",)),
            *spell_out((r"40(?:[2-7][0-9a-f]){1,40}2e",), "67", ("[0-9a-f][67][0-9a-f]",)),
        ),
        pattern=re.compile(rf"(?:(?<![0-9A-Za-z\\])|(?<!\\)\\x)({PRINTED})(?![0-9A-Za-z])"),
        plain=lambda match: _to_value(bytes.fromhex(match[1])),
    )


def _list_octets() -> Iterator[Spelling]:
    """Yield values whose octets are written one by one."""
    yield from map(_make_octet_row, OCTETS_OF)
    yield Spelling(
        "quoted octets",
        "stretch",
        examples=tuple(
            ("".join(map("={:02X}".format, value.encode())), value) for value in (PHONE, ADDRESS)
        ),
        near_misses=("=31=33=38=30=30=31=33=38=30=30", "a=31&b=33&c=38"),
        gate=(
            *spell_out(("(?:=3[0-9]){7}",), ("=3",), digits),
            f"(?:{QUOTED}){{2}}=40(?:{QUOTED}){{3}}",
        ),
        pattern=re.compile(f"(?:{QUOTED}){{7,200}}"),
        plain=partial(_read_octets, octet=re.compile("(?<==)[0-9A-Fa-f]{2}"), base=16),
    )
    yield Spelling(
        "at sign of UTF-7",
        "stretch",
        examples=(
            ("li.wei8+AEA-example.com", ADDRESS),
            ("mail:a+AEA-example.com;", "a@example.com"),
        ),
        near_misses=("li.wei8+AEB-example.com", "li.wei8 +AEA- example"),
        gate=(r"\+AEA-",),
        pattern=re.compile(r"\+AEA-"),
        plain=lambda _: "@",
    )


def _make_octet_row(base: int) -> Spelling:
    """Return the way of writing a value as octets to a base (2, 8, 10 or 16)."""
    octet, number, first, at_sign, count, last_x = OCTETS_OF[base]
    apart = f"(?:{octet}{BETWEEN})"
    apart_from = f"[^{first}0xu{BETWEEN_SIGNS}\\\\]"
    # a hit at their end
    last = (
        rf"[hH]?(?:[^0-9a-z{BETWEEN_SIGNS}]|[{BETWEEN_SIGNS}]{{1,2}}{apart_from}|{BETWEEN}{last_x})"
    )
    gate = f"(?:{number}{BETWEEN}){{{count}}}{number}{last}"
    gate += f"|{apart}{{2}}{at_sign}{BETWEEN}{apart}{{3}}" if at_sign else ""
    name, form = BASES[base]
    return Spelling(
        f"{name} octets",
        "stretch",
        examples=tuple(
            (" ".join(map(form.format, value.encode())), value) for value in (PHONE, RESIDENT_ID)
        ),
        near_misses=(
            " ".join(map(form.format, b"1380013800")),
            " ".join(map(form.format, PHONE.encode() * 3)),
        ),
        gate=(gate.encode(),) if base == 2 else (),
        near=find_octets if base > 2 else None,
        near_gate=(gate.encode(),) if base > 2 else (),
        pattern=compile_later(
            rf"(?<![0-9A-Za-z]){PREFIX}{octet}(?:{BETWEEN}{octet}){{10,300}}[hH]?(?![0-9A-Za-z])"
        ),
        plain=partial(
            _read_octets, octet=re.compile(rf"{octet}(?=[hH]?(?:[^0-9A-Za-z]|\Z))"), base=base
        ),
    )


def _list_endings() -> Iterator[str]:
    """Yield how base64 of an address ends, whichever of three bytes its domain's dot is.

    Cells in addresses of pages and in tokens have no padding.
    """
    for domain in DOMAINS:
        for before in range(3):
            written = binascii.b2a_base64(
                b"\0" * before + b"." + domain.encode(), newline=False
            ).decode()
            ending = written[(0, 2, 3)[before] :]
            yield from {re.escape(ending): None, re.escape(ending.rstrip("=")): None}


def find_octets(classes: Classes) -> tuple[Places, Places]:
    """Return where digits or an at sign may be written as separate octets to base 16, 10 or 8.

    Each octet is two digits that end a run, with nothing or a zero before them in it; those of a
    number follow each other closely. The result is the first and the last place of each such part.
    """
    data, digit = classes.data, classes.digit
    octet = places(
        digit
        & shift_back(digit, 1)
        & ~shift_back(digit, 2)
        & (~shift_forward(digit, 1) | shift_forward(classes.zero, 1))
    )
    octet = octet[data.take(octet) - np.uint8(ord("3")) <= ord("7") - ord("3")]
    last = octet[IN_NUMBER - 1 :]
    first = octet[: len(last)]
    close = last - first <= LONGEST_OCTET * (IN_NUMBER - 1)
    goes_on = octet[is_one_of(data.take(octet + 2), BEHIND_OCTET)]
    written = data.take(goes_on).astype(np.int64) << 8 | data.take(goes_on + 1)
    at = goes_on[np.isin(written, [int.from_bytes(sign, "big") for sign in AT_SIGNS])]
    return (
        np.concatenate((at, first[close])) - AROUND_AT,
        np.concatenate((at, last[close])) + AROUND_AT,
    )


def _read_hex(match: re.Match[str]) -> str:
    """Return each character in the place of its octets, or "" if they are no printable text."""
    try:
        plain = bytes.fromhex(match[1]).decode()
    except UnicodeDecodeError:
        return ""
    if not plain.isprintable():
        return ""
    sign = " '" if match[0][1] == "'" else ""
    first = "" if sign else FILL * 2
    body = (
        FILL.join(plain) + FILL
        if plain.isascii()
        else "".join([char + FILL * (2 * len(char.encode()) - 1) for char in plain])
    )
    return sign + body[:1] + first + body[1:]


def _read_octets(match: re.Match[str], octet: re.Pattern[str], base: int) -> str:
    """Return the text that octets stand for, or "" if it has neither a number nor an address."""
    octets = (int(digits, base) for digits in octet.findall(match[0]))
    # the first and the last may be a part of a character
    text = bytes(octets).decode("utf-8", "ignore")
    return (
        text
        if TELLING.search(text)
        and text.replace("\n", "").replace("\r", "").replace("\t", "").isprintable()
        else ""
    )


def _read_base64(match: re.Match[str]) -> str:
    letters = match[0].rstrip("=")
    return "" if len(letters) % 4 == 1 else _to_value(binascii.a2b_base64(letters + "==="))


def _to_value(decoded: bytes) -> str:
    """Return the value that a cell stands for; "" where it is none."""
    return decoded.decode("latin-1") if VALUE.fullmatch(decoded) else ""
