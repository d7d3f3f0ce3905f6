"""Where digits stand in groups with the same between all, so that together they may be one number: `1380x0138x000`, `1 3 8 0 …`.

A chain goes as far as the same sign goes on: a row of ten numbers is none. Tables are full of digits, so chains are told in
columns; what they say is told by `spellings`.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from matcher.columns.bitset import (
    Bytes,
    Flags,
    Places,
    Words,
    ahead,
    behind,
    below,
    highest,
    is_digit,
    is_letter,
    is_one_of,
    lowest,
    places,
    under,
    where,
    windows,
)
from ullage.identifiers import card, phone, resident_id

LONGEST_GAP, MOST_GROUPS, LONGEST_FIRST = 6, 19, 10
"""Bytes between two groups; groups of a number, and digits of the first of them."""
FEWEST, MOST = 11, 19
"""Digits of a number, with or without 0, 86 or 0086 before it."""
ROOM = b"\n" * 32
"""What must stand before the first text and behind the last."""
BETWEEN_CELLS, LOOSE = b";|\t\n", b" -./_*"
"""Signs that part cells, and those that may be mixed between single digits, up to so many."""
LOOSE_SIGNS = 3
SPACE_DASH_DOT = np.array([32, 45, 46], np.uint64)
"""With which the search finds usual groups by itself."""
OCTETS, OCTET, FIVE = 4, 3, 5
"""Groups of an address of a network, and their digits."""
HAN_SEPARATORS = (
    *"丨丶加减乘除杠横转接连再然后下点的呀啊哦喔嗯呢吧爱你我他她是不有在请打拨",
    *("空格", "逗号", "斜线", "斜杠", "横杠", "横线", "减号", "加号", "中间", "然后", "接着"),
)
"""Strokes that pass for signs, and words that people put between the groups of a number. Units and words that list are none:
`150元1000元5000`."""
COMMON_HAN, HAN_LEADS = np.uint8(0xE4), 5
ZERO, LAST_X = np.uint8(ord("0")), 17
"""And before which digit of a resident ID an X may stand."""
SMALL_X, COMMA, LINE_END, HYPHENS = ord("x"), ord(","), 10, 0x2D2D


@cache
def _known() -> Words:
    """The lengths of groups that the search finds by itself, each as a number of hexadecimal digits, the first the lowest."""
    prefixed = [(len(prefix), *shape) for prefix in phone.PREFIXES if prefix for shape in ((phone.LENGTH,), *phone.GROUPS)]
    shapes = (*phone.GROUPS, *prefixed, *resident_id.GROUPS, (6, 8, 3), *card.GROUPS)  # (6, 8, 3) before an X
    return np.array([sum(size << 4 * place for place, size in enumerate(shape)) for shape in shapes], np.uint64)


@cache
def _words() -> Words:
    """HAN_SEPARATORS as numbers, as `_signs` makes them."""
    return np.array([int.from_bytes(word.encode(), "little") for word in HAN_SEPARATORS], np.uint64)


@cache
def _may_follow() -> Flags:
    """bool[256]: with which bytes what stands between two groups may begin."""
    table = np.ones(256, bool)
    table[[byte for byte in range(256) if bytes((byte,)).isalnum() and byte | 32 != SMALL_X]] = False
    table[list(BETWEEN_CELLS)] = False
    return table


def chain_starts(data: Bytes) -> Places:
    """Where chains of digits begin in folded texts, UTF-8 with ROOM around, that may be one number: i64[n]."""
    digit, comma = where(data, is_digit), where(data, lambda part: part == COMMA)
    last = places(digit & ~ahead(digit | comma, 1))
    last = last.take(np.flatnonzero(_may_follow().take(data.take(last + 1))))  # of tables few are left
    last = last.take(np.flatnonzero(lowest(windows(digit, last + 1)) <= LONGEST_GAP))
    first = LONGEST_FIRST - highest(~windows(digit, last - LONGEST_FIRST) & below(LONGEST_FIRST + 1))
    start = last + 1 - first
    wide = places(digit & ~behind(digit, 1) & ~(behind(comma, 1) & behind(digit, 2)))  # a wide comma was folded to a plain one
    size = lowest(~windows(digit, wide))
    own = np.flatnonzero(data.take(wide + size) == COMMA)
    start, first = np.concatenate((start, wide.take(own))), np.concatenate((first, size.take(own)))
    goes_on = (data.take(start - 1) == data.take(start + first)) & is_digit(data.take(start - 2))
    goes_on |= (first == 1) & _is_single(data, start - 2) & is_one_of(data.take(start - 1), LOOSE)
    own = np.flatnonzero((first <= LONGEST_FIRST) & ~goes_on & ~is_letter(data.take(start - 1)))
    start, first = start.take(own), first.take(own)
    own = np.flatnonzero(np.bitwise_count(windows(digit, start)) >= FEWEST)
    start, first = start.take(own), first.take(own)
    gap = lowest(windows(digit, start + first))
    sign = _signs(data, start + first, gap)
    usable = (gap <= LONGEST_GAP) & _may_part(sign, gap)
    usable &= (_signs(data, start - gap, gap) != sign) | ~is_digit(data.take(start - gap - 1))
    own = np.flatnonzero(usable)
    chains = _Chains(data, digit, start.take(own), first.take(own), gap.take(own), sign.take(own))
    return chains.start[chains.are_numbers()]


def _is_single(data: Bytes, place: Places) -> Flags:
    """Whether a digit stands at each place, and none before it."""
    return is_digit(data.take(place)) & ~is_digit(data.take(place - 1))


def _signs(data: Bytes, place: Places, gap: Places) -> Words:
    """The `gap` bytes from each place on, as one number."""
    octets: Words = np.ndarray((len(data) - 7,), "<u8", data.data, 0, (1,))[place]
    return octets & under(np.minimum(8 * gap, 64))


def _may_part(sign: Words, gap: Places) -> Flags:
    """Which signs may stand between the groups of a number: no words, line ends, nor what parts the cells of a row."""
    text = sign.view(np.uint8).reshape(-1, 8)
    word = (is_letter(text) & (text | 32 != SMALL_X)) | (text == LINE_END) | (text - COMMON_HAN <= HAN_LEADS)
    usable: Flags = ~word.any(1) | np.isin(sign, _words())
    usable &= ~((gap == 1) & is_one_of(text[:, 0], BETWEEN_CELLS)) & (sign & np.uint64(0xFFFF) != HYPHENS)
    return usable


class _Chains:
    """Chains that begin at `start` with `first` digits and a `sign` of `gap` bytes, followed group by group."""

    def __init__(self, data: Bytes, digit: Words, start: Places, first: Places, gap: Places, sign: Words) -> None:
        self._data, self._digit = data, digit
        self.start, self._gap, self._sign = start, gap, sign
        self._total, self._code, self._groups = first.copy(), first.astype(np.uint64), np.ones(len(start), np.int64)
        self._single, self._no_address = first == 1, self._is_no_octet(start, first)
        self._mixed = np.zeros(len(start), bool)
        self._end = start + first
        self._follow(start + first + gap)

    def _is_no_octet(self, place: Places, size: Places) -> Flags:
        """Which groups are no part of an address of a network: above 299, or with a zero before."""
        begin = self._data.take(place)
        return np.asarray((size > OCTET) | ((size == OCTET) & (begin > ord("2"))) | ((size > 1) & (begin == ord("0"))))

    def _follow(self, place: Places) -> None:
        """Count each chain's groups and digits, as far as it goes or is of use."""
        own = np.arange(len(place))
        for group in range(1, MOST_GROUPS + 1):
            if not len(own):
                return
            size = lowest(~windows(self._digit, place))
            self._total[own] += size
            self._groups[own] = group + 1
            if group < 16:
                self._code[own] |= size.astype(np.uint64) << np.uint64(4 * group)
            self._single[own] &= size == 1
            self._no_address[own] |= self._is_no_octet(place, size)
            place = place + size
            self._end[own] = place
            gap = self._gap[own]
            on = (_signs(self._data, place, gap) == self._sign[own]) & is_digit(self._data.take(place + gap))
            loose = np.flatnonzero(~on & self._single[own])
            gap[loose] = lowest(windows(self._digit, place[loose]))
            near = loose[gap[loose] <= LOOSE_SIGNS]
            text = _signs(self._data, place[near], gap[near]).view(np.uint8).reshape(-1, 8)
            on[near] = (is_one_of(text, LOOSE) | (np.arange(8) >= gap[near, None])).all(1)
            self._mixed[own[near]] |= on[near]
            on &= self._total[own] <= MOST
            own, place = own[on], (place + gap)[on]

    def _values(self, own: Places) -> Bytes:
        """The digits of some chains, each from 0 to 9, zeros behind the last: u8[n, MOST]."""
        value = np.zeros((len(own), MOST), np.uint8)
        column = np.arange(int((self._end[own] - self.start[own]).max(initial=0)))
        text = self._data.take(np.minimum(self.start[own, None] + column, len(self._data) - 1))
        digit = is_digit(text) & (column < (self._end[own] - self.start[own])[:, None])
        chain, at = np.nonzero(digit)
        value[chain, (digit.cumsum(1) - 1)[chain, at]] = text[chain, at] - ZERO
        return value

    def _are_valid(self, own: Places) -> Flags:
        """Which of some values may be a mobile number, or a resident ID or card whose check holds, or end with an X.

        Where signs are mixed, a part may be one.
        """
        value, total = self._values(own), self._total[own]
        sum_of_id = value[:, : len(resident_id.WEIGHTS)] @ np.array(resident_id.WEIGHTS, np.int64)
        valid: Flags = self._mixed[own] | (total == LAST_X)
        valid |= (total == LAST_X + 1) & (value[:, LAST_X] == (12 - sum_of_id % 11) % 11)
        doubled = ((total[:, None] - np.arange(MOST)) % 2 == 0) & (np.arange(MOST) < total[:, None])
        twice = value * np.uint8(2)
        valid |= (total > FEWEST + 1) & (np.where(doubled, twice - 9 * (value > 4), value).sum(1) % 10 == 0)
        for prefix in phone.PREFIXES:
            size = len(prefix)
            begins = (value[:, : size + 1] == (*map(int, prefix), 1)).all(1) & (value[:, size + 1] >= 3)
            valid |= (total == FEWEST + size) & begins
        return valid

    def are_numbers(self) -> Flags:
        """Which chains may be a number that the search does not find by itself."""
        begin = self._data.take(self.start)
        usable: Flags = (self._total >= FEWEST) & (self._total <= MOST)
        by_itself = np.isin(self._sign, SPACE_DASH_DOT) & (self._gap == 1)
        usable &= ~(by_itself & np.isin(self._code, _known()) & ((begin != ord("1")) | (self._groups < FIVE)))  # no card
        dotted = self._sign == SPACE_DASH_DOT[2]
        usable &= ~(dotted & ((self._groups == 2) | ((self._groups == OCTETS) & ~self._no_address)))
        own = np.flatnonzero(usable)
        usable[own] = self._are_valid(own)
        return usable
