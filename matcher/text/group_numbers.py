"""Decide in columns which chains of digits are numbers.

A text may be full of chains, and one call of Python for each is too slow. The digits of a chain
must be a mobile number, or a resident ID or card whose check holds, and no digit or letter may
continue them on either side. Also, its sign must mean nothing else between such groups, or a label
must stand before. What a sign and the sizes of groups mean is decided one time for all chains that
have them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache, lru_cache
from itertools import groupby
from typing import NamedTuple

import numpy as np

from matcher.columns.bitset import COMMA, ZERO, Bytes, Classes, Flags, Places, is_digit, is_word
from matcher.text.digit_groups import (
    CODED,
    FEWEST,
    HAN_SEPARATORS,
    LAST_X,
    OCTETS,
    SIGN_BYTES,
    SMALL_X,
    GroupChains,
    compute_last_digit,
    find_group_starts,
    find_groups,
    signs_at,
)
from matcher.text.fold import HAN, HAN_SIZE
from ullage.identifiers import card, phone, resident_id

ROUND = "○◯"
"""Digits that are none to Unicode."""
SIGN = rf"(?:[^\w\s{ROUND}]|[_xX])"
BETWEEN = re.compile(
    rf" {{0,2}}(?:{SIGN}{{1,2}}|({SIGN}|{'|'.join(HAN_SEPARATORS)})\1{{0,3}}) {{0,2}}| {{1,4}}|\t"
)
"""What may stand between two groups: up to four of the same sign or word, or two unlike signs."""
OF_CELLS, OF_SUMS, OF_DATES, OF_PATHS = (
    frozenset(",;|\t"),
    frozenset(".:~*=+"),
    frozenset(" -./:"),
    frozenset("/\\_"),
)
"""Signs that part the cells of a row, that stand between two numbers which are two, in dates,
and in paths.
"""
OF_SIZES = frozenset("xX*×")
"""Signs between the sides of a thing, where a word before says so."""
SIZE = re.compile(
    r"(?:尺寸|尺碼|尺码|大小|规格|規格|长宽高|長寬高|外形|分辨率|解析度|像素"
    r"|(?<![a-z])(?:size|sizes|dimensions?|resolution|pixels|maße|größe|tamaño|размер|размеры))"
    r"[\"':：= 为是]{0,4}\Z",
    re.IGNORECASE,
)
TWO, FEWEST_OF_TWO = 2, 3
DATES = ((4, 2, 2), (2, 2, 4), (4, 1, 2), (4, 2, 1))
DAYS = np.array((0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31), np.int64)
LONGEST_LABEL = 32
"""Characters before a number in which its label stands."""
WIDEST = 4
"""Bytes of a character."""
LABELS = (*phone.HEADERS, *resident_id.HEADERS, *card.HEADERS)
ALTERNATIVES = 16
"""Labels in one pattern of hyperscan, which breaks up so many into literals. A hundred and more in
one pattern take five times as long to look for and thirty times as long to compile.
"""
BEHIND_LABELS = " \t\"'`])}】>:=：＝是为為-[({【<"
VALUE_OF_X = 10
"""In the sum of a resident ID."""
KEPT = 1 << 14
"""Answers on signs and groups that are kept."""


def split_labels(labels: Iterable[str]) -> list[list[str]]:
    """Return `labels` in lists of at most `ALTERNATIVES`; no list mixes ASCII with other labels."""
    ordered = sorted(labels, key=str.isascii)
    parts = ([*group] for _, group in groupby(ordered, str.isascii))
    return [
        part[at : at + ALTERNATIVES] for part in parts for at in range(0, len(part), ALTERNATIVES)
    ]


class GroupNumbers(NamedTuple):
    """Where numbers begin and end in a buffer, i64[n] each, and their digits."""

    start: Places
    end: Places
    plain: list[str]


def find_numbers(classes: Classes, labelled: Places) -> tuple[GroupNumbers, Places]:
    """Return the numbers that stand in groups or digit by digit, and where other chains begin.

    A chain is a run of digits and separators in a folded text (UTF-8 with ROOM around). Numbers
    that the ordinary search finds are left out: those in one piece, and in groups as usual. The
    second result are the starts of the chains of single digits from which no number was chosen.
    `labelled` are places behind the first sign of chains that stand behind a label.
    """
    chains = find_groups(classes, labelled, find_group_starts(classes))
    chosen, end, with_x = _select_numbers(chains)
    is_remaining = chains.single.copy()
    is_remaining[chosen] = False
    text, width = (
        (chains.value[chosen] + np.uint8(ZERO)).tobytes().decode("ascii"),
        chains.value.shape[1],
    )
    first = np.arange(0, len(text), width or 1)
    plain = [
        text[at:to]
        for at, to in zip(first.tolist(), (first + chains.total[chosen]).tolist(), strict=True)
    ]
    for at in np.flatnonzero(with_x[chosen]).tolist():
        plain[at] += "X"
    return GroupNumbers(chains.start[chosen], end[chosen], plain), chains.start[is_remaining]


def find_number_places(classes: Classes, labelled: Places, first: Places, wide: Flags) -> Places:
    """Return where chains begin that `find_numbers` may make plain: i64[n].

    The folded texts begin at `first`; `labelled` are as in `find_numbers`. In texts that are
    `wide`, bool[texts], a plain comma may be a wide one that was folded, which `find_numbers` gets
    to see as another sign. There, a chain with commas is enough.
    """
    beginnings = find_group_starts(classes)
    if not (len(labelled) or len(beginnings[0])):
        return labelled
    chains = find_groups(classes, labelled, beginnings)
    may_be = chains.single | (chains.sign & np.uint64(0xFF) == COMMA) & wide.take(
        np.searchsorted(first, chains.start, "right") - 1
    )
    may_be[_select_numbers(chains)[0]] = True
    return np.asarray(chains.start[may_be])


def _select_numbers(chains: GroupChains) -> tuple[Places, Places, Flags]:
    """Return the chains that are a number standing alone, by number: i64[n].

    With them, for all chains, where each ends, and which end with the X of a resident ID.
    """
    x_room, before = _measure_x(chains), chains.count_prefix_digits()
    prefix = np.where(before == (chains.code & np.uint64(15)).astype(np.int64), before, 0)
    is_id, with_x = _are_ids(chains, x_room > 0)
    end = chains.end + x_room
    valid = is_id | (before == prefix) | _are_cards(chains)
    candidates = np.flatnonzero(
        valid & ~_continue_beyond(chains, end) & ~_contain_number(chains, prefix)
    )
    return candidates[_stand_apart(chains, candidates, with_x, prefix)], end, with_x


def _measure_x(chains: GroupChains) -> Places:
    """Return the bytes of an X behind the last digit, with the sign before it: i64[n].

    It is 0 where there is none.
    """
    data, end = chains.data, chains.end
    glued = _are_last_x(data, end)
    apart = chains.have_gap(end) & _are_last_x(data, end + chains.gap)
    return np.where(glued, 1, np.where(apart, chains.gap + 1, 0))


def _are_last_x(data: Bytes, place: Places) -> Flags:
    return np.asarray((data.take(place) | 32 == SMALL_X) & ~is_word(data.take(place + 1)))


def _are_ids(chains: GroupChains, has_x: Flags) -> tuple[Flags, Flags]:
    """Tell which chains are resident IDs, and which of them end with an X: bool[n] each."""
    chosen = np.flatnonzero((chains.total == LAST_X + 1) | ((chains.total == LAST_X) & has_x))
    value, total = chains.value[chosen], chains.total[chosen]
    last = compute_last_digit(value)
    with_x = (total == LAST_X) & (last == VALUE_OF_X)
    year, month, day = (
        value[:, 6:10] @ (1000, 100, 10, 1),
        value[:, 10:12] @ (10, 1),
        value[:, 12:14] @ (10, 1),
    )
    is_leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    first, latest = resident_id.YEARS
    is_date = (year >= first) & (year <= latest) & (month >= 1) & (month <= 12) & (day >= 1)
    is_date &= day <= DAYS.take(np.minimum(month, 12)) + (is_leap & (month == 2))
    chosen_x = chosen[(possible := _are_of_region(value) & is_date) & with_x]
    result = np.zeros((2, len(has_x)), bool)
    result[
        0, chosen[possible & (with_x | ((total == LAST_X + 1) & (value[:, LAST_X] == last)))]
    ] = True
    result[1, chosen_x] = True
    return result[0], result[1]


def _are_of_region(value: Bytes) -> Flags:
    """Tell which values begin with the two digits of a region of China: bool[n]."""
    return np.isin(
        value[:, :2] @ (10, 1), np.array(sorted(map(int, resident_id.REGIONS)), np.int64)
    )


def _are_cards(chains: GroupChains) -> Flags:
    """Tell which chains have the length and range of a card scheme and pass Luhn: bool[n]."""
    is_card = chains.have_luhn()
    of_luhn = np.flatnonzero(is_card)
    first = chains.value[of_luhn, :4] @ np.array((1000, 100, 10, 1), np.int64)
    is_card[of_luhn] = list(map(_has_issuer, first.tolist(), chains.total[of_luhn].tolist()))
    return is_card


@cache
def _has_issuer(first: int, total: int) -> bool:
    """Return whether a scheme has numbers of `total` digits that begin with these four."""
    return bool(card.issuer(f"{first:04}".ljust(total, "0")))


def _continue_beyond(chains: GroupChains, end: Places) -> Flags:
    """Tell which chains go on before or behind: bool[n].

    A letter or digit is glued to them, a digit stands beyond another gap, or a path goes on.
    """
    data, gap, sign, start = chains.data, chains.gap, chains.sign, chains.start
    path = np.zeros(256, bool)
    path[list(map(ord, OF_PATHS))] = True
    goes_on = is_word(data.take(end)) | _are_han_digits(data, start - HAN_SIZE)
    goes_on |= (
        (gap == 1)
        & path.take(sign.view(np.uint8)[::8])
        & (path.take(data.take(end)) | path.take(data.take(start - 1)))
    )
    goes_on |= chains.have_gap(end) & (
        is_digit(data.take(end + gap)) | _are_han_digits(data, end + gap)
    )
    before = is_digit(data.take(start - gap - 1)) | _are_han_digits(data, start - gap - HAN_SIZE)
    goes_on |= chains.have_gap(start - gap) & before
    return goes_on


def _are_han_digits(data: Bytes, place: Places) -> Flags:
    """Tell at which places a Han digit stands: bool[n]."""
    han_digits = np.array([int.from_bytes(han.encode(), "little") for han in HAN], np.uint64)
    return np.isin(signs_at(data, place, np.full(len(place), HAN_SIZE, np.int64)), han_digits)


def _contain_number(chains: GroupChains, prefix: Places) -> Flags:
    """Tell which chains have a group that is a number by itself: bool[n].

    Only chains with more digits than a mobile number are asked.
    """
    result, digits = np.zeros(len(prefix), bool), chains.total - prefix > FEWEST
    for group in range(CODED):
        may_be = digits & (chains.code >> np.uint64(4 * group) & np.uint64(15) >= FEWEST)
        for at in np.flatnonzero(may_be).tolist():
            begin = sum(_decode_sizes(int(chains.code[at]), group))
            size = int(chains.code[at]) >> 4 * group & 15
            result[at] |= is_valid(
                "".join(map(str, chains.value[at, begin : begin + size].tolist()))
            )
    return result


def is_valid(bare: str) -> bool:
    """Return whether digits are a mobile number, or a resident ID or card whose check holds.

    The mobile number is one of China without a calling code. An ID may end with X. False for any
    other text.
    """
    if len(bare) == phone.LENGTH:
        return phone.SHAPE.fullmatch(bare) is not None
    some_id = len(bare) == LAST_X + 1 and resident_id.normalise(bare)
    if some_id and resident_id.check(some_id):
        return True
    return bare.isascii() and bare.isdigit() and card.luhn(bare) and card.normalise(bare) != ""


def _stand_apart(chains: GroupChains, chosen: Places, with_x: Flags, prefix: Places) -> Flags:
    """Tell which of the `chosen` chains have a mere separator between their groups: bool[chosen].

    Others count as well where a label precedes.
    """
    bare = (chains.total - prefix + with_x)[chosen]
    is_of_region = (bare == LAST_X + 1) & _are_of_region(chains.value[chosen])
    signs = list(map(_decode_sign, chains.sign[chosen].tolist(), chains.gap[chosen].tolist()))
    for at in np.flatnonzero(chains.gap[chosen] > SIGN_BYTES).tolist():
        place = int(chains.gap_start[chosen[at]])
        signs[at] = _strip_sign(chains.data[place : place + int(chains.gap[chosen[at]])].tobytes())
    columns = (
        chains.code[chosen],
        chains.groups[chosen],
        prefix[chosen] > 0,
        bare,
        is_of_region,
        ~chains.no_address[chosen],
    )
    apart = np.array(
        list(map(_is_separator, signs, *(column.tolist() for column in columns))), bool
    )
    apart |= chains.labelled[chosen] & np.array(list(map(bool, signs)), bool)
    of_sizes = np.array([sign in OF_SIZES for sign in signs], bool)
    for at in np.flatnonzero(~apart | of_sizes).tolist():
        start = int(chains.start[chosen[at]])
        before = (
            chains.data[max(0, start - WIDEST * LONGEST_LABEL) : start]
            .tobytes()
            .decode("utf-8", "replace")
        )
        apart[at] = not is_size(before) if apart[at] else signs[at] != "" and is_labelled(before)
    return apart


@lru_cache(maxsize=KEPT)
def _decode_sign(octets: int, gap: int) -> str:
    """Return what stands between two groups without spaces around it, "" for what is no sign."""
    return _strip_sign(octets.to_bytes(SIGN_BYTES, "little")[:gap])


def _strip_sign(between: bytes) -> str:
    """Return a sign, given as UTF-8, without spaces around it, "" for what is no sign."""
    text = between.decode("utf-8", "replace")
    return (text.strip(" ") or " ") if BETWEEN.fullmatch(text) else ""


def _decode_sizes(code: int, groups: int) -> tuple[int, ...]:
    """Return the sizes of the first groups of a chain; behind the sixteenth each is 1."""
    return tuple(code >> 4 * group & 15 if group < CODED else 1 for group in range(groups))


@lru_cache(maxsize=KEPT)
def _is_separator(
    sign: str,
    code: int,
    groups: int,
    has_prefix: bool,
    bare: int,
    is_of_region: bool,
    is_address: bool,
) -> bool:
    """Return whether `sign` between such groups, of `bare` digits in all, only separates them.

    It may be part of a date, time, sum or address instead; two hyphens end a field.
    """
    if not sign or sign.startswith("--") or set(sign) <= OF_CELLS:
        return False
    sizes = _decode_sizes(code, groups)[has_prefix:]
    if is_of_region:
        return True
    if len(sizes) == TWO and (sign in OF_SUMS or min(sizes) < FEWEST_OF_TWO):
        return False
    if sign not in OF_DATES or max(sizes) == 1:
        return True
    if bare > phone.LENGTH:
        return sizes in card.GROUPS or (len({*sizes[:-1]}) == 1 and sizes[-1] <= sizes[0])
    is_time = sign == ":" and min(sizes) < FEWEST_OF_TWO
    is_of_network = sign == "." and len(sizes) == OCTETS and is_address
    return not (
        is_time
        or is_of_network
        or any(three in DATES for three in zip(sizes, sizes[1:], sizes[2:], strict=False))
    )


def is_size(text: str) -> bool:
    """Return whether `text` ends with a word for the size of a thing, or a sign behind one."""
    return SIZE.search(text) is not None


def is_labelled(text: str) -> bool:
    """Return whether `text` ends with a label.

    Behind the label may stand what closes it, a sign, and what opens a value.
    """
    return text[-LONGEST_LABEL:].rstrip(BEHIND_LABELS).lower().endswith(LABELS)
