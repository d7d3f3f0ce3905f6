"""Recognise resident identity numbers (GB 11643).

Residence permits of Hong Kong, Macau and Taiwan residents are included. A number has eighteen
characters: region (6; 81, 82 and 83 begin those permits), birth date (8), order (3), and check
(MOD 11-2 of ISO 7064, 10 written X). It is grouped 6-8-4 or 6-8-3-1 by the same sign. The
15-digit form used before 1999 is expanded: century 19, but 18 for orders 996–999
(centenarians); its check is then computed. A random 18-digit string passes with probability
3.3e-5 (measured). Both examples are printed in the standard.
"""

from __future__ import annotations

import re
from datetime import date

from ullage.identifiers.base import Kind, digits
from ullage.vocabulary.fields import FieldLabel

WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
CHECKS = "10X98765432"
REGIONS = frozenset(
    "11 12 13 14 15 21 22 23 31 32 33 34 35 36 37 41 42 43 44 45 46 50 51 52 53 54 61 62 63 64 65"
    " 71 81 82 83".split()
)
YEARS = (1800, 2099)
"""The first and the last possible year of birth."""
OLDEST = 996
"""First order of 15-digit numbers whose holders were born before 1900."""
GROUPS = ((6, 8, 4), (6, 8, 3, 1))
X_ALIKE = str.maketrans("xХхΧχ×✕✖", "XXXXXXXX")
PATTERN = re.compile(
    r"(?<![0-9A-Za-z])[1-9]\d{5}(?:\d{8}\d{3}[\dXxХхΧχ×✕✖]|(["
    r" .\-])\d{8}\1\d{3}\1?[\dXxХхΧχ×✕✖]|\d{9})(?![0-9A-Za-z])",
    re.ASCII,
)
HEADERS = tuple(
    (
        "身份证 身份证号 身份证号码 证件号 证件号码 idcard id_card idno id_no sfz sfzh resident_id"
        " id_number idnumber "
        "id_card_no idcardno identity_card cert_no certno 公民身份号码 身份证件号 identity_no"
    ).split()
)

GLUED = tuple("sfzhm shenfenzheng zjh zjhm identity".split())
"""Words that may be glued to a number, beside its headers."""


def check_character(first17: str) -> str:
    """Compute the last character from the first 17 digits, by MOD 11-2.

    >>> check_character('11010519491231002')
    'X'
    """
    return CHECKS[sum(int(d) * w for d, w in zip(first17, WEIGHTS, strict=True)) % 11]


def normalise(text: str) -> str:
    """Return eighteen characters with a capital X, or "" if shape, region or date is impossible.

    A number of 15 digits is expanded.
    """
    bare = digits(text.strip()).translate(X_ALIKE)
    if len(bare) == 15 and bare.isascii() and bare.isdigit():
        century = "18" if int(bare[12:]) >= OLDEST else "19"
        first17 = bare[:6] + century + bare[6:]
        bare = first17 + check_character(first17)
    if (
        len(bare) != 18
        or not (bare[:17].isascii() and bare[:17].isdigit())
        or bare[17] not in "0123456789X"
    ):
        return ""
    return bare if bare[:2] in REGIONS and _is_date(bare[6:14]) else ""


def _is_date(text: str) -> bool:
    try:
        born = date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        return False
    return YEARS[0] <= born.year <= YEARS[1]


def check(normal: str) -> bool:
    """Return whether the check character of an 18-character normal form holds."""
    return normal[17] == check_character(normal[:17])


KIND = Kind(
    name="resident_id",
    field=FieldLabel.ID,
    noun="a resident ID",
    noun_zh="身份证号",
    rank=1,
    pattern=PATTERN,
    normalise=normalise,
    check=check,
    headers=HEADERS,
    glued=GLUED,
    examples=(
        ("身份证号:11010519491231002x", "11010519491231002X"),
        ("110105 19491231 002X", "11010519491231002X"),
        ("110105.19491231.002X", "11010519491231002X"),
        ("110105-19491231-002-X", "11010519491231002X"),
        ("810000189901010015", "810000189901010015"),
        ("11010519491231002Х", "11010519491231002X"),
        ("440524188001010014", "440524188001010014"),
        ("110105491231002", "11010519491231002X"),
        ("1,李某,11010519491231002X", "11010519491231002X"),
    ),
    near_misses=(
        "110105194912310021",
        "110105194913310029",
        "990105194912310020",
        "1101051949123100",
        "a11010519491231002X",
    ),
)
