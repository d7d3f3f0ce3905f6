"""Which chains of digits are numbers, told in columns: a text may be full of them, and a call of
Python for each is too slow.

A chain is one where its digits are a mobile number, or a resident ID or card whose check holds, no
digit or letter goes on before or behind, and its sign stands between such groups in nothing else,
or a label stands before. What a sign and the sizes of groups say is told once for all chains that
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
    find_group_starts,
    find_groups,
    last_of_id,
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
    """Return `labels` in lists of at most `ALTERNATIVES`, those in ASCII apart from the others."""
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
    """The numbers in folded texts, UTF-8 with ROOM around, and where other chains of single digits
    begin.

    `labelled` are places behind the first sign of chains that stand behind a label.
    """
    chains = find_groups(classes, labelled, find_group_starts(classes))
    own, end, with_x = _numbers_among(chains)
    rest = chains.single.copy()
    rest[own] = False
    text, width = (
        (chains.value[own] + np.uint8(ZERO)).tobytes().decode("ascii"),
        chains.value.shape[1],
    )
    first = np.arange(0, len(text), width or 1)
    plain = [
        text[at:to]
        for at, to in zip(first.tolist(), (first + chains.total[own]).tolist(), strict=True)
    ]
    for at in np.flatnonzero(with_x[own]).tolist():
        plain[at] += "X"
    return GroupNumbers(chains.start[own], end[own], plain), chains.start[rest]


def find_number_places(classes: Classes, labelled: Places, first: Places, wide: Flags) -> Places:
    """Return where chains begin that `find_numbers` may make plain, in folded texts that begin at
    `first`: i64[n].

    `labelled` are as there. In texts that are `wide`, bool[texts], a plain comma may be a wide one
    that was folded, which `find_numbers` gets to see as another sign: there a chain with commas is
    enough.
    """
    beginnings = find_group_starts(classes)
    if not (len(labelled) or len(beginnings[0])):
        return labelled
    chains = find_groups(classes, labelled, beginnings)
    may_be = chains.single | (chains.sign & np.uint64(0xFF) == COMMA) & wide.take(
        np.searchsorted(first, chains.start, "right") - 1
    )
    may_be[_numbers_among(chains)[0]] = True
    return np.asarray(chains.start[may_be])


def _numbers_among(chains: GroupChains) -> tuple[Places, Places, Flags]:
    """Which of the chains are a number that stands alone, where each chain ends, and which end
    with the X of a resident ID.
    """
    x_room, before = _room_of_x(chains), chains.are_mobile()
    prefix = np.where(before == (chains.code & np.uint64(15)).astype(np.int64), before, 0)
    is_id, with_x = _are_ids(chains, x_room > 0)
    end = chains.end + x_room
    valid = is_id | (before == prefix) | _are_cards(chains)
    own = np.flatnonzero(valid & ~_goes_on(chains, end) & ~_holds_number(chains, prefix))
    return own[_stand_apart(chains, own, with_x, prefix)], end, with_x


def _room_of_x(chains: GroupChains) -> Places:
    """The bytes of an X behind the last digit, with the sign before it: i64[n], 0 where there is
    none.
    """
    data, end = chains.data, chains.end
    glued = _is_last_x(data, end)
    apart = chains.have_gap(end) & _is_last_x(data, end + chains.gap)
    return np.where(glued, 1, np.where(apart, chains.gap + 1, 0))


def _is_last_x(data: Bytes, place: Places) -> Flags:
    return np.asarray((data.take(place) | 32 == SMALL_X) & ~is_word(data.take(place + 1)))


def _are_ids(chains: GroupChains, has_x: Flags) -> tuple[Flags, Flags]:
    """Which are resident IDs, and which of them end with an X."""
    own = np.flatnonzero((chains.total == LAST_X + 1) | ((chains.total == LAST_X) & has_x))
    value, total = chains.value[own], chains.total[own]
    last = last_of_id(value)
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
    own_x = own[(possible := _are_of_region(value) & is_date) & with_x]
    found = np.zeros((2, len(has_x)), bool)
    found[0, own[possible & (with_x | ((total == LAST_X + 1) & (value[:, LAST_X] == last)))]] = True
    found[1, own_x] = True
    return found[0], found[1]


def _are_of_region(value: Bytes) -> Flags:
    """Which begin with the two digits of a region of China."""
    return np.isin(
        value[:, :2] @ (10, 1), np.array(sorted(map(int, resident_id.REGIONS)), np.int64)
    )


def _are_cards(chains: GroupChains) -> Flags:
    """Which have the length and range of a scheme, and a Luhn sum that holds."""
    found = chains.have_luhn()
    own = np.flatnonzero(found)
    first = chains.value[own, :4] @ np.array((1000, 100, 10, 1), np.int64)
    found[own] = list(map(_has_issuer, first.tolist(), chains.total[own].tolist()))
    return found


@cache
def _has_issuer(first: int, total: int) -> bool:
    """Whether a scheme has numbers of `total` digits that begin with these four, which tell it."""
    return bool(card.issuer(f"{first:04}".ljust(total, "0")))


def _goes_on(chains: GroupChains, end: Places) -> Flags:
    """Before or behind which a letter or digit is glued, a digit stands beyond another gap, or a
    path goes on.
    """
    data, gap, sign, start = chains.data, chains.gap, chains.sign, chains.start
    path = np.zeros(256, bool)
    path[list(map(ord, OF_PATHS))] = True
    goes_on = is_word(data.take(end)) | _is_han_digit(data, start - HAN_SIZE)
    goes_on |= (
        (gap == 1)
        & path.take(sign.view(np.uint8)[::8])
        & (path.take(data.take(end)) | path.take(data.take(start - 1)))
    )
    goes_on |= chains.have_gap(end) & (
        is_digit(data.take(end + gap)) | _is_han_digit(data, end + gap)
    )
    before = is_digit(data.take(start - gap - 1)) | _is_han_digit(data, start - gap - HAN_SIZE)
    goes_on |= chains.have_gap(start - gap) & before
    return goes_on


def _is_han_digit(data: Bytes, place: Places) -> Flags:
    """At which places a Han digit stands."""
    known = np.array([int.from_bytes(han.encode(), "little") for han in HAN], np.uint64)
    return np.isin(signs_at(data, place, np.full(len(place), HAN_SIZE, np.int64)), known)


def _holds_number(chains: GroupChains, prefix: Places) -> Flags:
    """Which chains, of more digits than a mobile number has, have a group that is a number by
    itself.
    """
    found, digits = np.zeros(len(prefix), bool), chains.total - prefix > FEWEST
    for group in range(CODED):
        may_be = digits & (chains.code >> np.uint64(4 * group) & np.uint64(15) >= FEWEST)
        for at in np.flatnonzero(may_be).tolist():
            begin = sum(_sizes(int(chains.code[at]), group))
            size = int(chains.code[at]) >> 4 * group & 15
            found[at] |= is_valid(
                "".join(map(str, chains.value[at, begin : begin + size].tolist()))
            )
    return found


def is_valid(bare: str) -> bool:
    """Whether digits are a mobile number, or a resident ID or card whose check holds."""
    if len(bare) == phone.LENGTH:
        return phone.SHAPE.fullmatch(bare) is not None
    some_id = len(bare) == LAST_X + 1 and resident_id.normalise(bare)
    if some_id and resident_id.check(some_id):
        return True
    return bare.isascii() and bare.isdigit() and card.luhn(bare) and card.normalise(bare) != ""


def _stand_apart(chains: GroupChains, own: Places, with_x: Flags, prefix: Places) -> Flags:
    """In which of the chains `own` the sign between the groups is no sign of something else, or
    a label stands before.
    """
    bare = (chains.total - prefix + with_x)[own]
    is_of_region = (bare == LAST_X + 1) & _are_of_region(chains.value[own])
    signs = list(map(_sign, chains.sign[own].tolist(), chains.gap[own].tolist()))
    for at in np.flatnonzero(chains.gap[own] > SIGN_BYTES).tolist():
        place = int(chains.gap_start[own[at]])
        signs[at] = _written(chains.data[place : place + int(chains.gap[own[at]])].tobytes())
    columns = (
        chains.code[own],
        chains.groups[own],
        prefix[own] > 0,
        bare,
        is_of_region,
        ~chains.no_address[own],
    )
    apart = np.array(
        list(map(_stands_apart, signs, *(column.tolist() for column in columns))), bool
    )
    apart |= chains.labelled[own] & np.array(list(map(bool, signs)), bool)
    for at in np.flatnonzero(~apart).tolist():
        start = int(chains.start[own[at]])
        before = (
            chains.data[max(0, start - WIDEST * LONGEST_LABEL) : start]
            .tobytes()
            .decode("utf-8", "replace")
        )
        apart[at] = signs[at] != "" and is_labelled(before)
    return apart


@lru_cache(maxsize=KEPT)
def _sign(octets: int, gap: int) -> str:
    """What stands between two groups, without the spaces around it; "" for what is no sign."""
    return _written(octets.to_bytes(SIGN_BYTES, "little")[:gap])


def _written(between: bytes) -> str:
    text = between.decode("utf-8", "replace")
    return (text.strip(" ") or " ") if BETWEEN.fullmatch(text) else ""


def _sizes(code: int, groups: int) -> tuple[int, ...]:
    """The sizes of the first groups of a chain; behind the sixteenth each is of one digit."""
    return tuple(code >> 4 * group & 15 if group < CODED else 1 for group in range(groups))


@lru_cache(maxsize=KEPT)
def _stands_apart(
    sign: str,
    code: int,
    groups: int,
    has_prefix: bool,
    bare: int,
    is_of_region: bool,
    is_address: bool,
) -> bool:
    """Whether `sign` between such groups, `bare` digits in all, is no sign of something else;
    two hyphens end a field.
    """
    if not sign or sign.startswith("--") or set(sign) <= OF_CELLS:
        return False
    sizes = _sizes(code, groups)[has_prefix:]
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


def is_labelled(text: str) -> bool:
    """Whether `text` ends with a label, and no more behind it than what closes it, a sign, and
    what opens a value.
    """
    return text[-LONGEST_LABEL:].rstrip(BEHIND_LABELS).lower().endswith(LABELS)
