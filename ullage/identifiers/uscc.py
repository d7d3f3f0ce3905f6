"""Recognise unified social credit codes of Chinese organisations (GB 32100-2015).

A code has eighteen characters: registering department and category (2), region (6 digits, 100000
for the whole country), organisation code (9), and check (weights 3^i mod 31 over an alphabet
without I, O, S, V, Z). Two of the examples are python-stdnum's, one is made up.
"""

from __future__ import annotations

import re

from ullage.identifiers.base import AFTER, BEFORE, Kind
from ullage.vocabulary.fields import FieldLabel

ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
WEIGHTS = tuple(pow(3, i, 31) for i in range(17))
PROVINCES = (
    "10 11 12 13 14 15 21 22 23 31 32 33 34 35 36 37 41 42 43 44 45 46 50 51 52 53 54 61 62 63 64"
    " 65 71 81 82 83".split()
)
REGION = rf"(?:{'|'.join(PROVINCES)})[0-9]{{4}}"
DEPARTMENTS, CATEGORIES = "123456789ANY", "123456789ABCDEF"
SHAPE = rf"[{DEPARTMENTS}][{CATEGORIES}]{REGION}[{ALPHABET}]{{10}}"
PATTERN = re.compile(rf"(?ai){BEFORE}{SHAPE}{AFTER}")
NORMAL = re.compile(SHAPE)
HEADERS = ("统一社会信用代码", "社会信用代码", "信用代码", "uscc", "credit_code")


def normalise(text: str) -> str:
    """Return the code in capitals, or "" where department, region or alphabet do not fit."""
    bare = text.strip().upper()
    return bare if NORMAL.fullmatch(bare) else ""


def check(normal: str) -> bool:
    """Return whether the check character of a normal form holds."""
    total = sum(
        ALPHABET.index(char) * weight for char, weight in zip(normal[:17], WEIGHTS, strict=True)
    )
    return normal[17] == ALPHABET[-total % 31]


KIND = Kind(
    name="uscc",
    field=FieldLabel.USCC,
    noun="an organisation's code",
    noun_zh="统一社会信用代码",
    rank=2,
    pattern=PATTERN,
    normalise=normalise,
    check=check,
    headers=HEADERS,
    examples=(
        ("91110000600037341L", "91110000600037341L"),
        ("税号:91350100m000100y43,开户行", "91350100M000100Y43"),
        ("公司91110000600037341L地址", "91110000600037341L"),
        ("91100000MA0000000D", "91100000MA0000000D"),
    ),
    near_misses=(
        "91110000600037341M",
        "9111000060003734IL",
        "99990000600037341L",
        "91110000600037341L9",
        "x91110000600037341L",
    ),
)
