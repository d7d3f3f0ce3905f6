r"""Numbers and addresses that a program has encoded one by one: a cell in base64 or hex, a number behind a backslash.

A value goes on behind a line end and a blank (RFC 6350, RFC 5545, RFC 2849), in quoted-printable behind an equals sign (vCard
2.1). What field 86 of a statement says is cut into lines of 65 characters and has its subfields behind `?20` to `?63`, glued
to what they hold. Each text is made as long as before: what was taken out is filled up behind the line.

`MTU0MDAwMDAwMDE=`, `3135343030303030303031`, `\x3135…`, `31 35 34 …`, `YUBiLmNvbQ==`, `+AEA-`. Base64 of 24 characters and more,
and hex behind `0x`, are read elsewhere. A cell is read only where all of it is a number of eleven digits or more, or an address:
of what else is as long, keys and ids, next to none decodes to either.
"""

from __future__ import annotations

import binascii
import quopri
import re
from collections.abc import Iterator
from functools import partial
from string import digits

import numpy as np

from matcher.columns.bitset import Classes, Places, ahead, behind, is_one_of, places
from matcher.columns.literals import spell_out
from matcher.text.fold import fit
from matcher.text.spellings import SpellingRule
from ullage.regex import compile_later

CARD = re.compile(r"^(?:BEGIN:V(?:CARD|CALENDAR)|dn::? ?\w+=)", re.IGNORECASE | re.MULTILINE)
FOLDED = re.compile(r"^[^\r\n]*(?:\r?\n[ \t](?=\S)[^\r\n]*)+", re.MULTILINE)
FOLD = re.compile(r"\r?\n[ \t]")
QUOTED, LONGEST = re.compile("ENCODING=QUOTED-PRINTABLE", re.IGNORECASE), 80
"""What says that a value is quoted, and how far behind it the value may begin."""
STATEMENT = re.compile(r"^:86:[^\r\n]*(?:\r?\n(?![:-])[^\r\n]+)*", re.MULTILINE)
SUBFIELD = re.compile(r"\?[0-6][0-9]")
GATES = (r"begin:v(?:card|calendar)", r"\ndn::? ?[a-z]+=", r":86:[0-9]{3}\?")
"""Where there may be such a text, for hyperscan, in any case."""


def unfold(text: str) -> str:
    """`text` with its folded lines whole, exactly as long as before."""
    if "BEGIN:V" in text or "dn:" in text:
        if "QUOTED-PRINTABLE" in text:
            text = _unquoted(text)
        if CARD.search(text):
            text = FOLDED.sub(lambda match: fit(FOLD.sub("", match[0]), len(match[0])), text)
    return STATEMENT.sub(_statement, text) if ":86:" in text else text


def _unquoted(text: str) -> str:
    """`text` with its properties in quoted-printable readable."""
    made, copied = list[str](), 0
    for match in QUOTED.finditer(text):
        start = end = text.find(":", match.end(), match.end() + LONGEST) + 1
        if start <= copied or "\n" in text[match.end() : start]:
            continue
        while (line_end := text.find("\n", end)) >= 0 and text.endswith(("=", "=\r"), end, line_end):
            end = line_end + 1
        end = len(text) if line_end < 0 else line_end - text.endswith("\r", end, line_end)
        said = _said(text[start:end])
        made += [text[copied:start], fit(said, end - start)] if len(said) <= end - start else [text[copied:end]]
        copied = end
    return "".join([*made, text[copied:]])


def _said(value: str) -> str:
    """What a value in quoted-printable says."""
    plain = quopri.decodestring(value.encode("utf-8", "surrogatepass"))
    try:
        return plain.decode("utf-8")
    except UnicodeDecodeError:
        return plain.decode("gb18030", "replace")


def _statement(match: re.Match[str]) -> str:
    if SUBFIELD.search(match[0]) is None:
        return match[0]
    whole = match[0].replace("\r\n", "").replace("\n", "")
    return fit(" ".join(SUBFIELD.split(whole)), len(match[0]))


EDGE, END = r"(?<![A-Za-z0-9+/=_-])", r"(?![A-Za-z0-9+/=_-])"
VALUE = re.compile(rb"\+?\d{11,19}[Xx]?|[A-Za-z0-9][A-Za-z0-9._+-]{0,40}@[A-Za-z0-9-]{1,40}(?:\.[A-Za-z0-9-]{1,40}){1,3}")
THREE = "[MNO][DTjz][AEIMQUYcgk][w-z0-5]"
"""Three digits in base64."""
ASCII_THREE = "[A-Za-f][A-HQ-Xg-nw-z0-3][ABEFIJMNQRUVYZcdghklopstwx014589][A-Za-z0-9+/]"
"""Three characters of ASCII, which no random letters are for long."""
DIGITS = f"(?:{THREE}){{3,}}[A-Za-z0-9+/]{{0,3}}"
DOMAINS = tuple("com cn net org de example fr uk it es io hk tw jp eu edu gov".split())
"""How addresses end, by whose base64 a cell of one is seen; what ends otherwise is seen by two signs of padding."""


def _endings() -> Iterator[str]:
    """How base64 of an address ends, whichever of three bytes its domain's dot is."""
    for domain in DOMAINS:
        for before in range(3):
            written = binascii.b2a_base64(b"\0" * before + b"." + domain.encode(), newline=False).decode()
            yield re.escape(written[(0, 2, 3)[before] :])


OCTET = "[2-7][0-9a-fA-F]"
OCTETS_OF = {
    16: ("[0-9a-fA-F]{2}", "3[0-9]", "3", "40", 8, "[57]8"),
    10: ("(?:[3-9][0-9]|1[01][0-9]|12[0-6])", "(?:4[89]|5[0-7])", "45", "64", 8, "(?:88|120)"),
    8: ("1?[0-7]{2}", "0?(?:6[0-7]|7[01])", "67", "", 8, "1[37]0"),
    2: ("[01]{8}", "0011[01]{4}", "0", "", 5, "01[01]11000"),
}
"""For each base an octet, one that is a digit in ASCII and how it begins, one that is an at sign, and how many digits in a row
are a sign of a number; and the X of a resident ID, which may be the last."""
PREFIX = r"(?:0[xXbBoO]|\\{1,2}[xX]|[uU]\+00|[xX])?"
BETWEEN_SIGNS = r" ,:;.\-_/|"
BEHIND_OCTET, AT_SIGNS = b"hH ,:;.-_/|", (b"40", b"64")
"""With which signs octets go on, and an at sign to the bases of sixteen and ten."""
IN_NUMBER, LONGEST_OCTET, AROUND_AT = 9, 10, 48
"""Octets of digits that tell of a number; bytes from one octet to the next, and on either side of an at sign."""
BETWEEN = rf"[hH]?[{BETWEEN_SIGNS}]{{1,2}}{PREFIX}"
"""What stands between octets that are written apart: `31 33`, `0x31,0x33`, `31h 33h`, `U+0031 U+0033`."""
TELLING = re.compile(
    r"(?<![0-9])\+?[0-9](?:[ -]?[0-9]){10,18}[Xx]?(?![0-9A-Za-z])|[A-Za-z0-9]@[A-Za-z0-9-]+[.][A-Za-z]{2}|[A-Z]{2}[0-9]{13,}"
)
"""What a text in octets has that may be a number or an address."""
PRINTED = f"(?:{OCTET}){{1,60}}"


def near_octets(classes: Classes) -> tuple[Places, Places]:
    """Where digits, or an at sign, may be written as octets to the bases of sixteen, ten or eight, one by one.

    Each is two digits that end a run, with nothing or a zero before them in it; a number's follow each other closely.
    """
    data, digit = classes.data, classes.digit
    octet = places(digit & ahead(digit, 1) & ~ahead(digit, 2) & (~behind(digit, 1) | behind(classes.zero, 1)))
    octet = octet[data.take(octet) - np.uint8(ord("3")) <= ord("7") - ord("3")]
    last = octet[IN_NUMBER - 1 :]
    first = octet[: len(last)]
    close = last - first <= LONGEST_OCTET * (IN_NUMBER - 1)
    goes_on = octet[is_one_of(data.take(octet + 2), BEHIND_OCTET)]
    written = data.take(goes_on).astype(np.int64) << 8 | data.take(goes_on + 1)
    at = goes_on[np.isin(written, [int.from_bytes(sign, "big") for sign in AT_SIGNS])]
    return np.concatenate((at, first[close])) - AROUND_AT, np.concatenate((at, last[close])) + AROUND_AT


def rules() -> Iterator[SpellingRule]:
    """Every form."""
    yield SpellingRule(
        tuple(spell_out((*spell_out("m", "tz", "mquycgk", ("[w-z0-5]",)), "odyx"), (f"{THREE}{THREE}[MNO]",))),
        re.compile(rf"{EDGE}(?:Kz[AEIMQUYcgk][w-z0-5])?{DIGITS}={{0,2}}{END}"),
        _base64,
    )
    yield SpellingRule(
        tuple(spell_out((*spell_out("aqgw", ("==",)), *_endings()), ("[^a-z0-9+/=]",))),
        re.compile(rf"{EDGE}(?:{ASCII_THREE}){{2,5}}[A-Za-z0-9+/]{{0,3}}={{0,2}}{END}"),
        _base64,
    )
    yield SpellingRule(
        (
            *spell_out((r"(?:[^0-9a-z]|\\x)(?:3[0-9]){9}3",), digits, ("3[0-9]",)),
            *spell_out((r"40(?:[2-7][0-9a-f]){1,40}2e",), "67", ("[0-9a-f][67][0-9a-f]",)),
        ),
        re.compile(rf"(?:(?<![0-9A-Za-z\\])|(?<!\\)\\x)({PRINTED})(?![0-9A-Za-z])"),
        lambda match: _plain(bytes.fromhex(match[1])),
    )
    for base, (octet, number, first, at_sign, count, last_x) in OCTETS_OF.items():
        apart = f"(?:{octet}{BETWEEN})"
        apart_from = f"[^{first}0xu{BETWEEN_SIGNS}\\\\]"
        last = rf"[hH]?(?:[^0-9a-z{BETWEEN_SIGNS}]|[{BETWEEN_SIGNS}]{{1,2}}{apart_from}|{BETWEEN}{last_x})"  # a hit at their end
        gate = f"(?:{number}{BETWEEN}){{{count}}}{number}{last}"
        gate += f"|{apart}{{2}}{at_sign}{BETWEEN}{apart}{{3}}" if at_sign else ""
        yield SpellingRule(
            (gate.encode(),) if base == 2 else (),
            compile_later(rf"(?<![0-9A-Za-z]){PREFIX}{octet}(?:{BETWEEN}{octet}){{10,300}}[hH]?(?![0-9A-Za-z])"),
            partial(_octets, octet=re.compile(rf"{octet}(?=[hH]?(?:[^0-9A-Za-z]|\Z))"), base=base),
            near_octets if base > 2 else None,
            near_gates=(gate.encode(),) if base > 2 else (),
        )
    quoted = "=[2-7][0-9A-Fa-f]"
    yield SpellingRule(
        (*spell_out(("(?:=3[0-9]){7}",), ("=3",), digits), f"(?:{quoted}){{2}}=40(?:{quoted}){{3}}"),
        re.compile(f"(?:{quoted}){{7,200}}"),
        partial(_octets, octet=re.compile("(?<==)[0-9A-Fa-f]{2}"), base=16),
    )
    yield SpellingRule((r"\+AEA-",), re.compile(r"\+AEA-"), lambda _: "@")


def _octets(match: re.Match[str], octet: re.Pattern[str], base: int) -> str:
    """The text that octets written apart stand for; "" where it has no number and no address."""
    octets = (int(one, base) for one in octet.findall(match[0]))
    text = bytes(octets).decode("utf-8", "ignore")  # the first and the last may be a part of a character
    return text if TELLING.search(text) and text.replace("\n", "").replace("\r", "").replace("\t", "").isprintable() else ""


def _base64(match: re.Match[str]) -> str:
    letters = match[0].rstrip("=")
    return "" if len(letters) % 4 == 1 else _plain(binascii.a2b_base64(letters + "==="))


def _plain(decoded: bytes) -> str:
    """The value that a cell stands for; "" where it is none."""
    return decoded.decode("latin-1") if VALUE.fullmatch(decoded) else ""
