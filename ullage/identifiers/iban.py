"""Recognise international bank account numbers (ISO 13616).

A number is a country, two check digits, and an account whose length is fixed per country
(SWIFT's IBAN registry, facts). With country and check digits moved to the end and letters read
as 10–35, the number modulo 97 is 1 (ISO 7064 MOD 97-10): one random string in 97 passes. Numbers
are printed in groups of four. The example is the registry's own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from ullage.identifiers.base import AFTER, BEFORE, Kind
from ullage.regex import compile_later
from ullage.vocabulary.fields import FieldLabel

COUNTRIES = {
    15: "NO",
    16: "BE BI",
    18: "DK FK FI FO GL NL SD",
    19: "MK SI",
    20: "AT BA EE KZ LT LU MN XK",
    21: "CH HR LI LV",
    22: "BG BH CR DE GB GE IE ME RS VA",
    23: "AE GI IL IQ OM SO TL",
    24: "AD CZ DZ ES MD PK RO SA SE SK TN VG",
    25: "LY PT ST",
    26: "IS TR",
    27: "BF CM DJ FR GR IT MC MR SM",
    28: "AL AZ BJ BY CI CY DO GT HN HU LB ML NI PL SN SV",
    29: "BR EG PS QA UA",
    30: "JO KW MU YE",
    31: "MT SC",
    32: "LC",
    33: "RU",
}
"""Countries by the length of their numbers."""
LENGTHS = {
    country: length for length, countries in COUNTRIES.items() for country in countries.split()
}
LETTERS = {ord(letter): str(value) for value, letter in enumerate("ABCDEFGHIJKLMNOPQRSTUVWXYZ", 10)}
SHAPE = re.compile(r"[A-Z]{2}\d{2}[A-Z0-9]{11,29}", re.ASCII)
HEADERS = ("iban",)


def _any_case(letters: Iterable[str]) -> str:
    return f"[{''.join(sorted(letters))}{''.join(sorted(letters)).lower()}]"


def _country_tail_pattern(length: int) -> str:
    """Return a pattern of the rest of a number, in one word or in groups of four."""
    fours, remainder = divmod(length - 4, 4)
    tail = rf"[ \-]?[0-9A-Za-z]{{{remainder}}}" if remainder else ""
    return rf"[0-9]{{2}}(?:[ \-]?[0-9A-Za-z]{{4}}){{{fours}}}{tail}"


def _letter_pattern(first: str) -> str:
    """Return a pattern of the numbers of countries that begin with this letter.

    Split by letter, the alternatives are rejected three times as fast as in one list of countries.
    """
    seconds: dict[int, list[str]] = {}
    for country, length in LENGTHS.items():
        if country[0] == first:
            seconds.setdefault(length, []).append(country[1])
    ways = (
        _any_case(letters) + _country_tail_pattern(length) for length, letters in seconds.items()
    )
    return f"{_any_case(first)}(?:{'|'.join(ways)})"


FIRST = sorted({country[0] for country in LENGTHS})
PATTERN = compile_later(
    rf"(?a)(?=[A-Za-z]{{2}}[0-9]{{2}}){BEFORE}(?:{'|'.join(map(_letter_pattern, FIRST))}){AFTER}"
)


def normalise(text: str) -> str:
    """Return the number in capitals without spaces, or "" if its length is not the country's.

    >>> normalise('gb82 west 1234 5698 7654 32')
    'GB82WEST12345698765432'
    """
    bare = text.strip().replace(" ", "").replace("-", "").upper()
    return bare if SHAPE.fullmatch(bare) and LENGTHS.get(bare[:2]) == len(bare) else ""


def check(normal: str) -> bool:
    """Return whether MOD 97-10 of a normal form holds."""
    return int((normal[4:] + normal[:4]).translate(LETTERS)) % 97 == 1


KIND = Kind(
    name="iban",
    field=FieldLabel.IBAN,
    noun="an account number",
    noun_zh="国际银行账号",
    rank=3,
    pattern=PATTERN,
    normalise=normalise,
    check=check,
    headers=HEADERS,
    examples=(
        ("GB82 WEST 1234 5698 7654 32", "GB82WEST12345698765432"),
        ("GB82WEST12345698765432 paid", "GB82WEST12345698765432"),
        ("账户de89370400440532013000转账", "DE89370400440532013000"),
        ("a|DE89-3704-0044-0532-0130-00|b", "DE89370400440532013000"),
    ),
    near_misses=(
        "GB82WEST12345698765431",
        "GB82WEST123456987654321",
        "XGB82WEST12345698765432",
        "GB82WEST1234569876543",
    ),
)


SIGN, FEWEST_DIGITS = r"[ .\-/]", 8
_COUNTRIES = [(length, countries.replace(" ", "|")) for length, countries in COUNTRIES.items()]
_WAYS = "|".join(
    rf"(?:{any_of}){SIGN}?[0-9]{{2}}(?:{SIGN}?[0-9A-Z]){{{length - 4}}}"
    for length, any_of in _COUNTRIES
)


def _normalise_spaced(text: str) -> str:
    bare = normalise(re.sub(SIGN, "", text))
    return bare if bare and sum(map(str.isdigit, bare)) >= FEWEST_DIGITS and check(bare) else ""


SPACED = replace(
    KIND,
    pattern=compile_later(rf"(?a){BEFORE}(?=(?P<value>{_WAYS}){AFTER})[A-Z]{{2}}"),
    normalise=_normalise_spaced,
    examples=(
        ("NO 93 86011117947", "NO9386011117947"),
        ("MK072 5012 0000 0589 84", "MK07250120000058984"),
    ),
)
"""IBANs in capitals with a single sign between groups of any length.

Much other text looks like this, so only numbers that pass the check are found.
"""
