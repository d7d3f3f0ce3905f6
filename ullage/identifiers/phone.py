"""Chinese mobile numbers.

Format: `1[3-9]` and nine digits; no checksum. About 5.2 billion are assignable (libphonenumber metadata 2024-10), so a bare
number proves nothing by itself. Written with +86, 0086, 86, (86) or a trunk 0 before, and grouped 3-4-4, 3-8 or 7-4.
Fictitious examples: 13800138000 is widely printed; no carrier holds 154.
"""

from __future__ import annotations

import re

from ullage.identifiers.base import Kind, digits

PREFIX = r"(?:(?:\+|00)?86[ \-]?|\(\+?86\)[ ]?|0)?"
BODY = r"1[3-9]\d(?:\d{8}|([ .\-])\d{4}\1?\d{4}|[ .\-]\d{8}|\d{4}[ .\-]\d{4})"
PATTERN = re.compile(rf"(?<![0-9A-Za-z])(?<![0-9]\.){PREFIX}{BODY}(?![0-9A-Za-z])", re.ASCII)
PREFIXES = re.compile(r"^(?:\+?86|0086|\(\+?86\)|0)(?=1[3-9]\d{9}$)", re.ASCII)
SHAPE = re.compile(r"1[3-9]\d{9}", re.ASCII)


def normalise(text: str) -> str:
    """Eleven digits without prefix, or "" if that cannot be had.

    >>> normalise('+86 138-0013-8000')
    '13800138000'
    """
    bare = PREFIXES.sub("", digits(text.strip().removesuffix(".0")))
    return bare if SHAPE.fullmatch(bare) else ""


KIND = Kind(
    name="phone",
    rank=3,
    pattern=PATTERN,
    normalise=normalise,
    check=lambda _normal: True,
    random_pass=0.07,
    examples=(
        ("手机:13800138000", "13800138000"),
        ("+8613800138000", "13800138000"),
        ("+86 138 0013 8000", "13800138000"),
        ("008613800138000", "13800138000"),
        ("8613800138000", "13800138000"),
        ("(86)13800138000", "13800138000"),
        ("013800138000", "13800138000"),
        ("138-0013-8000", "13800138000"),
        ("138.0013.8000", "13800138000"),
        ("13800138000.0", "13800138000"),
        ("张某13800138000住址", "13800138000"),
        ("李某----13800138000----x", "13800138000"),
        ("13800138000,13800138000", "13800138000"),
    ),
    near_misses=(
        "138001380001",
        "1380013800",
        "20231380013800099",
        "12800138000",
        "138--0013--8000",
        "a13800138000b4f6",
    ),
)
