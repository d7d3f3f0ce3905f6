"""Numbering plans of countries other than China, from libphonenumber's metadata (`phonenumbers`).

`phonenumbers.parse` and `is_valid_number` take some 30 µs a number, and hostile text may be full of `00…`. So the plans are
compiled here, one pattern a calling code, and a number costs one or two matches; tests hold them against the library.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from phonenumbers.phonemetadata import PhoneNumberDesc

CHINA = 86
LONGEST_CODE = 3
OF_PEOPLE = ("mobile", "fixed_line", "personal_number", "voip")
"""Types of number that a customer gives as his own; premium and toll-free numbers belong to firms."""


def is_number(digits: str) -> bool:
    """Whether `digits`, a calling code and a national number, fit the plan of a country other than China."""
    return any(
        plan.fullmatch(digits, length) is not None
        for length in range(1, LONGEST_CODE + 1)
        if (plan := _plan(digits[:length])) is not None
    )


@cache
def _plan(code: str) -> re.Pattern[str] | None:
    """National numbers behind a calling code, or None where no other country has it."""
    from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneMetadata  # noqa: PLC0415  40 ms, and few texts have such a number

    number = int(code)
    if number == CHINA or number not in COUNTRY_CODE_TO_REGION_CODE or str(number) != code:
        return None
    patterns = []
    for region in COUNTRY_CODE_TO_REGION_CODE[number]:
        metadata = PhoneMetadata.metadata_for_region_or_calling_code(number, region)
        if metadata is not None:
            patterns += [_described(getattr(metadata, kind)) for kind in OF_PEOPLE]
    united = "|".join(sorted({pattern for pattern in patterns if pattern}))
    return re.compile(united, re.ASCII) if united else None


def _described(description: PhoneNumberDesc | None) -> str:
    """The pattern of one type of number, held to its possible lengths; "" where a country has none."""
    if description is None or not description.national_number_pattern:
        return ""
    lengths = [length for length in description.possible_length if length > 0]
    held = "|".join(rf"\d{{{length}}}\Z" for length in lengths)
    return rf"(?=(?:{held}))(?:{description.national_number_pattern})" if held else f"(?:{description.national_number_pattern})"
