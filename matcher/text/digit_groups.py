"""Find *chains*: digits in groups with the same sign between all of them.

Together such digits may be one number: `1380x0138x000`, `1 3 8 0 …`. A chain extends as far as its
sign is repeated, so a row of ten numbers is not a number. Tables are full of digits, so chains are
found in columns, for all texts at once; `matcher.text.group_numbers` decides which of them are
numbers.

    1380x0138x000      start 0, groups of 4, 4 and 3 digits, gap `x`, value 13800138000
"""

from __future__ import annotations

from copy import copy
from functools import cache

import numpy as np

from matcher.columns.batch import ranges
from matcher.columns.bitset import (
    BITS,
    LINE_END,
    PLUS,
    SPACE,
    ZERO,
    Bytes,
    Classes,
    Flags,
    Places,
    Words,
    below,
    highest,
    is_digit,
    is_letter,
    is_one_of,
    lowest,
    under,
    windows,
)
from ullage.identifiers import card, phone, resident_id

LONGEST_GAP, MOST_GROUPS, LONGEST_FIRST = 14, 19, 10
"""Bytes between two groups; groups of a number, and digits of the first of them."""
SIGN_BYTES = 8
"""Bytes of a gap that are kept as one number."""
WIDE = 6
"""Bytes of gaps with which eleven digits take more than a word of bits."""
FEWEST, MOST = 11, 19
"""Digits of a number, with or without 0, 86 or 0086 before it."""
ROOM = b"\n" * 256
"""What must stand before the first text and behind the last."""
BETWEEN_CELLS, LOOSE = b";|\t\n", b" -./_*"
"""Signs that part cells, and those that may be mixed between single digits, up to so many."""
LOOSE_SIGNS = 3
SPACE_DASH_DOT = np.array([32, 45, 46], np.uint64)
"""With which the search finds usual groups by itself."""
OCTETS, OCTET, FIVE = 4, 3, 5
"""Groups of an address of a network, and their digits."""
CODED = 16
"""Groups whose sizes, below that number, are kept."""
HAN_SEPARATORS = (
    *"丨丶加减乘除杠横转接连再然后下点的呀啊哦喔嗯呢吧爱你我他她是不有在请打拨",
    *("空格", "逗号", "斜线", "斜杠", "横杠", "横线", "减号", "加号", "中间", "然后", "接着"),
)
"""Strokes that pass for signs, and words that people put between the groups of a number.

Units and words that list are none: `150元1000元5000`.
"""
COMMON_HAN, HAN_LEADS = np.uint8(0xE4), 5
LAST_X = 17
"""Before which digit of a resident ID an X may stand."""
LEAST_SECOND = 3
"""Of the digits of a mobile number."""
SMALL_X, HYPHENS = ord("x"), 0x2D2D


@cache
def _plain_shapes() -> Words:
    """Return the shapes of groups that the search for numbers finds by itself.

    Each is the lengths of its groups as hexadecimal digits of a number, the first the lowest.
    """
    prefixed = [
        (len(prefix), *shape)
        for prefix in phone.PREFIXES
        if prefix
        for shape in ((phone.LENGTH,), *phone.GROUPS)
    ]
    # (6, 8, 3) before an X
    shapes = (*phone.GROUPS, *prefixed, *resident_id.GROUPS, (6, 8, 3), *card.GROUPS)
    return np.array(
        [sum(size << 4 * place for place, size in enumerate(shape)) for shape in shapes], np.uint64
    )


@cache
def _encode_words() -> Words:
    """Return HAN_SEPARATORS as the numbers that `signs_at` makes of them.

    Each stands up to four times, with spaces around it or none.
    """
    written = (
        f"{space}{word * count}{space}"
        for word in HAN_SEPARATORS
        for count in range(1, 5)
        for space in ("", " ", "  ")
    )
    return np.array([int.from_bytes(text.encode()[:8], "little") for text in written], np.uint64)


@cache
def _mark_first_signs() -> Flags:
    """Mark the bytes with which a separator of two groups may begin: bool[256]."""
    table = np.ones(256, bool)
    table[[byte for byte in range(256) if bytes((byte,)).isalnum() and byte | 32 != SMALL_X]] = (
        False
    )
    table[list(BETWEEN_CELLS)] = False
    return table


@cache
def _mark_next_signs() -> Flags:
    """Mark the bytes that may follow the first byte of a separator: bool[256].

    Of the letters it is only x.
    """
    table = np.ones(256, bool)
    table[[byte for byte in range(128) if chr(byte).isalpha() and byte | 32 != SMALL_X]] = False
    return table


def find_groups(
    classes: Classes, labelled: Places, beginnings: tuple[Places, Places]
) -> GroupChains:
    """Return the chains of digit groups that may be a single number, sorted by beginning.

    `classes` are of folded texts, UTF-8 with ROOM around. `labelled` are places behind the first
    sign of chains behind a label, which may have signs that part cells; all others begin at
    `beginnings`, the result of `find_group_starts`.
    """
    data, digit = classes.data, classes.digit
    start, first = beginnings
    has_label = np.zeros(len(start), bool)
    if len(labelled):
        last = labelled - 2 - (data.take(labelled - 2) == SPACE)
        size = LONGEST_FIRST - highest(
            ~windows(digit, last - LONGEST_FIRST) & below(LONGEST_FIRST + 1)
        )
        start, origin = np.unique(np.concatenate((last + 1 - size, start)), return_index=True)
        first, has_label = np.concatenate((size, first)).take(origin), origin < len(size)
    return _follow_chains(data, digit, start, first, has_label)


def _follow_chains(
    data: Bytes, digit: Words, start: Places, first: Places, labelled: Flags
) -> GroupChains:
    """Return the chains that begin at `start` with `first` digits and may be a number."""
    chains = GroupChains(data, digit, start, first, lowest(windows(digit, start + first)), labelled)
    chains = chains.select(np.flatnonzero(chains.are_usable()))
    chains.value = chains.read_values()
    return chains.select(np.flatnonzero(chains.are_numbers()))


def find_group_starts(classes: Classes) -> tuple[Places, Places]:
    """Return where the first digit group of each possible chain begins, and its number of digits.

    A sign that may separate groups follows the group.
    """
    data, digit = classes.data, classes.digit
    start, first = _find_first_groups(classes)
    gap = lowest(windows(digit, start + first))
    sign = signs_at(data, start + first, gap)
    usable = (gap <= LONGEST_GAP) & _are_separators(sign, gap)
    usable &= ~have_gap(data, start - gap, start + first, gap, sign) | ~is_digit(
        data.take(start - gap - 1)
    )
    usable_at = np.flatnonzero(usable)
    return start.take(usable_at), first.take(usable_at)


def _find_first_groups(classes: Classes) -> tuple[Places, Places]:
    """Return where the first group of each possible chain begins, and its digits."""
    data, digit = classes.data, classes.digit
    last = classes.last_digits
    # of tables few are left
    last = last.take(np.flatnonzero(_mark_first_signs().take(data.take(last + 1))))
    last = last.take(
        np.flatnonzero(_mark_next_signs().take(data.take(last + 2)))
    )  # of addresses none
    last = last.take(np.flatnonzero(lowest(windows(digit, last + 1)) <= LONGEST_GAP))
    first = LONGEST_FIRST - highest(
        ~windows(digit, last - LONGEST_FIRST) & below(LONGEST_FIRST + 1)
    )
    start = last + 1 - first
    goes_on = (data.take(start - 1) == data.take(start + first)) & is_digit(data.take(start - 2))
    goes_on |= (first == 1) & _is_single(data, start - 2) & is_one_of(data.take(start - 1), LOOSE)
    chosen = np.flatnonzero((first <= LONGEST_FIRST) & ~goes_on & ~is_letter(data.take(start - 1)))
    start, first = start.take(chosen), first.take(chosen)
    count = np.bitwise_count(windows(digit, start))
    wide = np.flatnonzero(lowest(windows(digit, start + first)) >= WIDE)
    count[wide] += np.bitwise_count(windows(digit, start[wide] + BITS))
    chosen = np.flatnonzero(count >= FEWEST)
    return start.take(chosen), first.take(chosen)


def _is_single(data: Bytes, place: Places) -> Flags:
    """Tell at which places a digit stands with none before it: bool[n]."""
    return is_digit(data.take(place)) & ~is_digit(data.take(place - 1))


def have_gap(data: Bytes, place: Places, gap_start: Places, gap: Places, sign: Words) -> Flags:
    """Return at which places the bytes equal the `gap` bytes at `gap_start`: bool[n].

    `sign` (u64[n]) are the first eight bytes at `gap_start`, from `signs_at`.
    """
    same: Flags = signs_at(data, place, gap) == sign
    # at most LONGEST_GAP, so that two numbers hold them
    long = np.flatnonzero(same & (gap > SIGN_BYTES))
    left_bytes = gap[long] - SIGN_BYTES
    same[long] = signs_at(data, place[long] + SIGN_BYTES, left_bytes) == signs_at(
        data, gap_start[long] + SIGN_BYTES, left_bytes
    )
    return same


def signs_at(data: Bytes, place: Places, gap: Places) -> Words:
    """Return the first `gap` bytes from each place on as one little-endian number: u64[n].

    `place` and `gap` are i64[n]; of a gap at most eight bytes count. Raises IndexError unless eight
    bytes exist from each place on.
    """
    octets: Words = np.ndarray((len(data) - 7,), "<u8", data.data, 0, (1,))[place]
    return octets & under(np.minimum(8 * gap, 64))


def _are_separators(sign: Words, gap: Places) -> Flags:
    """Tell which signs may stand between the groups of a number: bool[n].

    Words, line ends and what parts the cells of a row are none.
    """
    text = sign.view(np.uint8).reshape(-1, 8)
    word = (
        (is_letter(text) & (text | 32 != SMALL_X))
        | (text == LINE_END)
        | (text - COMMON_HAN <= HAN_LEADS)
    )
    usable: Flags = word.view(np.uint64).ravel() == 0  # of the eight of a row none
    words = np.flatnonzero(~usable)
    usable[words] = np.isin(sign[words], _encode_words())
    usable &= ~((gap == 1) & is_one_of(text[:, 0], BETWEEN_CELLS)) & (
        sign & np.uint64(0xFFFF) != HYPHENS
    )
    last = text[np.arange(len(text)), np.minimum(gap, 8) - 1]
    usable &= (gap == 1) | (last != PLUS)  # `,+86139…`: the next value begins
    return usable


class GroupChains:
    """Chains of groups of digits, followed group by group.

    They begin at `start` with `first` digits and a `sign` of `gap` bytes at `gap_start`. `value`
    holds the digits of each from 0 to 9, and zeros behind the last, u8[n, MOST]. `labelled` says
    that a label stands before. `end` is the place behind the last digit, `total` how many digits
    there are, `groups` how many groups, and `code` the sizes of the first sixteen groups, four bits
    each. `single`: no group has two digits. `no_address`: not all groups are octets of a network
    address. `mixed`: single digits continue behind another sign, up to `reach` of them in all.
    """

    def __init__(
        self, data: Bytes, digit: Words, start: Places, first: Places, gap: Places, labelled: Flags
    ) -> None:
        self.data, self._digit = data, digit
        self.start, self.gap, self.sign, self.labelled = (
            start,
            gap,
            signs_at(data, start + first, gap),
            labelled,
        )
        self.gap_start = start + first
        self.value = np.empty((len(start), 0), np.uint8)
        self.total, self.code, self.groups = (
            first.copy(),
            first.astype(np.uint64),
            np.ones(len(start), np.int64),
        )
        self.single, self.no_address = first == 1, self._exceed_octets(start, first)
        self.mixed, self.reach = np.zeros(len(start), bool), first.copy()
        self.end = start + first
        self._follow(start + first + gap)

    def select(self, numbers: Places) -> GroupChains:
        """Return a table of the chains with these indexes, in this order."""
        selected = copy(self)
        for name, column in vars(self).items():
            if name not in ("data", "_digit"):
                setattr(selected, name, column.take(numbers, axis=0))
        return selected

    def have_gap(self, place: Places) -> Flags:
        """Tell at which places, one of each chain, the gap of that chain stands again: bool[n]."""
        return have_gap(self.data, place, self.gap_start, self.gap, self.sign)

    def _exceed_octets(self, place: Places, size: Places) -> Flags:
        """Tell which groups are no part of a network address: bool[n].

        Such a group is above 299, or begins with a zero.
        """
        begin = self.data.take(place)
        return np.asarray(
            (size > OCTET)
            | ((size == OCTET) & (begin > ord("2")))
            | ((size > 1) & (begin == ord("0")))
        )

    def _follow(self, place: Places) -> None:
        """Count each chain's groups and digits, as far as it goes or is of use.

        A chain is followed for at most MOST_GROUPS (19) groups and about MOST (19) digits. The
        results are stored in this object.
        """
        chain = np.arange(len(place))
        for group in range(1, MOST_GROUPS + 1):
            if not len(chain):
                return
            size = lowest(~windows(self._digit, place))
            self.reach[chain] += size
            even = np.flatnonzero(~self.mixed[chain])
            self._add(chain[even], group, place[even], size[even])
            self.single[chain] &= size == 1
            place = place + size
            gap = self.gap[chain]
            on = have_gap(self.data, place, self.gap_start[chain], gap, self.sign[chain])
            on &= is_digit(self.data.take(place + gap))
            loose = np.flatnonzero(~on & self.single[chain])
            gap[loose] = lowest(windows(self._digit, place[loose]))
            near = loose[gap[loose] <= LOOSE_SIGNS]
            text = signs_at(self.data, place[near], gap[near]).view(np.uint8).reshape(-1, 8)
            on[near] = (is_one_of(text, LOOSE) | (np.arange(8) >= gap[near, None])).all(1)
            self.mixed[chain[near]] |= on[near]
            on &= self.reach[chain] <= MOST
            chain, place = chain[on], (place + gap)[on]

    def _add(self, chain: Places, group: int, place: Places, size: Places) -> None:
        """Add a group of `size` digits at `place` to each of the given chains."""
        self.total[chain] += size
        self.groups[chain] = group + 1
        if group < CODED:
            self.code[chain] |= np.minimum(size, CODED - 1).astype(np.uint64) << np.uint64(
                4 * group
            )
        self.no_address[chain] |= self._exceed_octets(place, size)
        self.end[chain] = place + size

    def read_values(self) -> Bytes:
        """Return the digits of each chain from 0 to 9, zeros behind the last: u8[n, MOST]."""
        value, size = np.zeros((len(self.start), MOST), np.uint8), self.end - self.start
        width = int(size.max(initial=1))
        text = np.ndarray((len(self.data) - width + 1,), f"V{width}", self.data.data, 0, (1,))[
            self.start
        ]
        text = text.view(np.uint8).reshape(-1, width)
        digits = text[is_digit(text) & (np.arange(width) < size[:, None])]
        value.reshape(-1)[ranges(np.arange(len(size)) * MOST, self.total)] = digits - np.uint8(ZERO)
        return value

    def are_usable(self) -> Flags:
        """Return which chains may be a number that the ordinary search does not find: bool[n].

        Their length and separators decide; a chain that looks like an IP address is not usable.
        """
        begin = self.data.take(self.start)
        usable: Flags = (self.reach >= FEWEST) & (self.total <= MOST)
        by_itself = np.isin(self.sign, SPACE_DASH_DOT) & (self.gap == 1) & ~self.mixed
        # no card
        usable &= ~(
            by_itself
            & np.isin(self.code, _plain_shapes())
            & ((begin != ord("1")) | (self.groups < FIVE))
        )
        dotted = (self.sign == SPACE_DASH_DOT[2]) & ~self.mixed
        usable &= ~(dotted & ((self.groups == 2) | ((self.groups == OCTETS) & ~self.no_address)))
        return usable

    def are_numbers(self) -> Flags:
        """Tell which chains may be a mobile number, a resident ID or a card: bool[n].

        The check of an ID or card holds, or an X may follow. Where signs are mixed, a part
        may be one.
        """
        valid: Flags = (
            self.mixed
            | (self.total == LAST_X)
            | self.have_luhn()
            | (self.count_prefix_digits() >= 0)
        )
        ids = np.flatnonzero(self.total == LAST_X + 1)
        valid[ids] |= self.value[ids, LAST_X] == compute_last_digit(self.value[ids])
        return valid

    def count_prefix_digits(self) -> Places:
        """Return how many digits, such as 86, precede a mobile number in each chain: i64[n].

        0 for a number without prefix, -1 for a chain that is no mobile number of China.
        """
        prefix_digits = np.full(len(self.total), -1)
        for prefix in phone.PREFIXES:
            of_length = np.flatnonzero(self.total == FEWEST + len(prefix))
            value = self.value[of_length]
            begins = (value[:, : len(prefix) + 1] == (*map(int, prefix), 1)).all(1) & (
                value[:, len(prefix) + 1] >= LEAST_SECOND
            )
            prefix_digits[of_length[begins]] = len(prefix)
        return prefix_digits

    def have_luhn(self) -> Flags:
        """Return which chains are as long as a card number, with a valid check digit: bool[n]."""
        holds = np.zeros(len(self.total), bool)
        long_enough = np.flatnonzero(self.total >= card.LENGTHS.start)
        value, is_even = self.value[long_enough], self.total[long_enough] % 2 == 0
        doubled = np.array(card.DOUBLED, np.uint8).take(value)
        first = np.where(is_even, doubled[:, ::2].sum(1), value[:, ::2].sum(1))
        second = np.where(is_even, value[:, 1::2].sum(1), doubled[:, 1::2].sum(1))
        holds[long_enough] = (first + second) % 10 == 0
        return holds


def compute_last_digit(value: Bytes) -> Places:
    """Return the check digit of resident IDs by their first seventeen; 10 stands for X."""
    return np.asarray(
        (12 - value[:, : len(resident_id.WEIGHTS)] @ np.array(resident_id.WEIGHTS, np.int64) % 11)
        % 11
    )
