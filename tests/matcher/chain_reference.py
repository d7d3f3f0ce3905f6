"""Which chains of digits are numbers, said by one pattern and plain code: what
`matcher.text.group_numbers` is held against.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence

from matcher.text.digit_groups import HAN_SEPARATORS, OCTETS
from matcher.text.fold import HAN, PLAIN_DIGITS
from matcher.text.group_numbers import (
    DATES,
    FEWEST_OF_TWO,
    OF_CELLS,
    OF_DATES,
    OF_PATHS,
    OF_SIZES,
    OF_SUMS,
    SIGN,
    TWO,
    is_labelled,
    is_size,
    is_valid,
)
from ullage.identifiers import card, phone, resident_id

_WORDS = "|".join(sorted(HAN_SEPARATORS, key=len, reverse=True))
DIGIT = f"[0-9{HAN}]"
BETWEEN = rf"(?: {{0,2}}{SIGN}{{1,2}} {{0,2}}| {{1,3}}|\t|(?:{_WORDS}))"
ID_LENGTH = 18
NOT_GLUED = rf"(?<![0-9A-Za-z{HAN}])"
LAST_X = r"[xX](?![0-9A-Za-z])"
CHAIN = re.compile(
    rf"{NOT_GLUED}(?=(?P<value>{DIGIT}{{1,15}}(?P<gap>{BETWEEN}){DIGIT}{{1,"
    rf"15}}(?:(?P=gap){DIGIT}{{1,15}}){{0,19}}(?:(?P=gap)?{LAST_X})?))\S"
)
ANY_DIGIT, ALPHANUMERIC = f"0123456789{HAN}", string.ascii_letters + string.digits
PREFIXES = frozenset(("86", "0086", "0"))
HIGHEST_OCTET = 255


def _number(match: re.Match[str]) -> str:
    """Return the digits of a chain, or "" where it is no number or part of a longer one."""
    value, gap = match["value"], match["gap"]
    groups = (value if value.isascii() else value.translate(PLAIN_DIGITS)).split(gap)
    whole = "".join(groups)
    prefix = (
        groups[0] if groups[0] in PREFIXES and len(whole) == phone.LENGTH + len(groups[0]) else ""
    )
    if prefix:  # which stays: a plus sign may stand before it
        whole, groups = whole.removeprefix(prefix), groups[1:]
    if not is_valid(whole.upper()):
        whole = whole[:-1] if whole[-1] in "xX" and is_valid(whole[:-1]) else ""
    if not whole or _goes_on(match.string, *match.span("value"), gap):
        return ""
    if len(whole) > phone.LENGTH and any(
        len(group) >= phone.LENGTH and is_valid(group) for group in groups
    ):
        return ""
    sign, before = gap.strip(" ") or " ", match.string[: match.start("value")]
    if _can_separate(sign, groups, whole):
        may_part = not (sign in OF_SIZES and is_size(before))
    else:
        may_part = is_labelled(before)
    return prefix + whole.upper() if may_part else ""


def _goes_on(text: str, start: int, end: int, gap: str) -> bool:
    """Return whether the chain continues beyond [start, end).

    It does where a letter or digit touches it, a digit follows another gap, or a path continues.
    """
    before, behind = start - len(gap), end + len(gap)
    following = text[end : end + 1]
    if gap in OF_PATHS and (following in OF_PATHS or (start and text[start - 1] in OF_PATHS)):
        return True
    if following in ALPHANUMERIC and following:
        return True
    if text.startswith(gap, end) and text[behind : behind + 1] in ANY_DIGIT and behind < len(text):
        return True
    return before > 0 and text.startswith(gap, before) and text[before - 1] in ANY_DIGIT


def _can_separate(sign: str, groups: Sequence[str], bare: str) -> bool:
    """Return whether `sign` may separate these groups; two hyphens end a field."""
    if sign.startswith("--") or set(sign) <= OF_CELLS:
        return False
    sizes = [len(group) for group in groups]
    if len(bare) == ID_LENGTH and bare[:2] in resident_id.REGIONS:
        return True
    if len(sizes) == TWO and (sign in OF_SUMS or min(sizes) < FEWEST_OF_TWO):
        return False
    if sign not in OF_DATES or max(sizes) == 1:
        return True
    if len(bare) > phone.LENGTH:
        return tuple(sizes) in card.GROUPS or (len({*sizes[:-1]}) == 1 and sizes[-1] <= sizes[0])
    is_time = sign == ":" and min(sizes) < FEWEST_OF_TWO
    is_address = (
        sign == "."
        and len(groups) == OCTETS
        and all(int(group) <= HIGHEST_OCTET for group in groups)
    )
    return not (
        is_time
        or is_address
        or any(three in DATES for three in zip(sizes, sizes[1:], sizes[2:], strict=False))
    )


def number_at(text: str, start: int) -> tuple[int, str]:
    """Return where the chain that begins at `start` ends, and its number ("" if it is none)."""
    match = CHAIN.match(text, start)
    plain = _number(match) if match else ""
    return (match.end("value"), plain) if match and plain else (start, "")
