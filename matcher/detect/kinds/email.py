"""Mail addresses: the bytes on either side of each at sign, as bits by class of character.

The local part goes left to the first character that cannot be in one; the domain goes right, and ends with its last label that
is all letters. Two hyphens end a field, so they end an address too (`李某----a@example.com----13800138000`). Parts of more
than 64 characters are no addresses here (RFC 5321 allows a domain 255, which no bank's list has shown).
32 bytes on either side show nearly every address whole; what goes on beyond them is looked at again with 64.
"""

from __future__ import annotations

import string
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import numpy as np

from matcher.columns.batch import LINE_END, PAD, Batch, Bytes, Flags, Places
from matcher.columns.bitset import ONE, Words, highest, lowest, under
from matcher.columns.classes import AT, DASH, DOT, is_digit, is_letter, is_one_of, is_word
from matcher.detect.candidates import Segment, lower

SIDES = (32, 64)
"""Bytes on either side of an at sign, at a first look and at a second."""
WIDTHS = (32, 48, 64, 136)
"""Bytes of a row, by length class: most addresses are short."""
PIECE = 1 << 15
"""At signs a step: a text of at signs alone must not take a row of bytes for each of its own."""
SHORTEST_TLD, LONGEST_TLD = 2, 24
OTHERS = b"_%+"
"""What only a local part may have."""
LOCAL = (string.ascii_letters + string.digits + ".-").encode() + OTHERS
"""What a local part may have."""
ASCII_FORM, LOWER = (np.uint32(int.from_bytes(four, "little")) for four in (b"xn--", b"  \0\0"))
"""Four bytes as one number, and what makes its letters lower case."""
NOT_ASCII = 0x80


class Sides(NamedTuple):
    """Addresses as places: i64[n] where the local part begins, where the at sign stands, where the domain ends."""

    start: Places
    at: Places
    end: Places

    def where(self, chosen: Flags) -> Sides:
        """Those that are chosen."""
        return self if chosen.all() else self.take(np.flatnonzero(chosen))

    def take(self, numbers: Places) -> Sides:
        """Those with these numbers."""
        return Sides(*(part.take(numbers) for part in self))


class Parts(NamedTuple):
    """One side of each at sign: how many characters next to it make an address's part, 0 where there is none, i64[n].

    `stop` i64[n] is how many might, as far as was looked.
    """

    size: Places
    stop: Places


def find(batch: Batch, at: Places) -> tuple[list[Segment], Places]:
    """Mail addresses in ASCII around the at signs, lower-cased; and the at signs whose domain has another script or its form."""
    at = at.take(np.flatnonzero(_may_join(batch, at)))
    pieces = [_around(batch, at[first : first + PIECE]) for first in range(0, len(at), PIECE)]
    if not pieces:
        return [], at
    found = Sides(*(np.concatenate(part) for part in zip(*(sides for sides, _ in pieces), strict=True)))
    return list(_segments(batch, found)), np.concatenate([strange for _, strange in pieces])


def _may_join(batch: Batch, at: Places) -> Flags:
    """Which at signs have on either side what an address may have there."""
    before, behind = batch.data.take(at - 1), batch.data.take(at + 1)
    joins: Flags = inside_part(before) & (before != DOT) & (is_word(behind) | (behind == DASH) | (behind >= NOT_ASCII))
    return joins


def _around(batch: Batch, at: Places) -> tuple[Sides, Places]:
    """The addresses around at signs, and those of the signs whose domain is strange, ascending."""
    found, strange = [], []
    for side in SIDES:
        local, domain = _local(batch, at, side), _domain(batch, at, side)
        done = ((local.stop < side) & (domain.stop < side)) | (side == SIDES[-1])
        other = done & (local.size > 0) & _is_strange(batch, at, domain)
        whole = done & ~other & (local.size > 0) & (domain.size > 0)
        found.append(Sides(at - local.size, at, at + 1 + domain.size).where(whole))
        strange.append(at[other])
        at = at[~done]
        if not len(at):
            break
    return Sides(*(np.concatenate(part) for part in zip(*found, strict=True))), np.sort(np.concatenate(strange))


def _local(batch: Batch, at: Places, side: int) -> Parts:
    """The local part before each at sign, which begins with a letter or digit.

    Bits are mirrored: the lowest stands for the byte before the at sign.
    """
    text = batch.windows(at - side, side)
    word, dot, hyphen = is_word(text), text == DOT, text == DASH
    inside = word | dot | hyphen
    for sign in OTHERS:
        inside |= text == sign
    inside_bits, word_bits, hyphens = (_bits(flags, mirrored=True) for flags in (inside, word, hyphen))
    stop = lowest(~inside_bits | (hyphens & (hyphens >> ONE)))
    begins = highest(word_bits & under(stop))
    size = begins + 1
    full = np.flatnonzero(stop == side)
    size[full[~_begins_behind(batch, at[full] - side)]] = 0
    return Parts(size, stop)


def _domain(batch: Batch, at: Places, side: int) -> Parts:
    """The domain behind each at sign: it ends with the last label that is all letters and has a dot before it."""
    text = batch.windows(at + 1, side)
    alpha, dot, hyphen = (_bits(flags) for flags in (is_letter(text), text == DOT, text == DASH))
    alnum: Words = alpha | _bits(is_digit(text))
    sign: Words = dot | hyphen
    stop = lowest(~(alnum | sign) | (sign & (sign >> ONE)))
    inside = under(stop)
    alpha &= inside
    ends = alpha & ~(((alnum | hyphen) & inside) >> ONE)  # letters that end a label
    ends &= under(np.where(stop < side, side, side - 1))  # what follows the last byte cannot be seen
    return Parts(_last_labels(batch, at + 1, alpha, np.where(alnum & ONE == ONE, ends, 0)), stop)


def _last_labels(batch: Batch, first: Places, alpha: Words, ends: Words) -> Places:
    """How many characters a domain has that begins at `first` and ends with a label of letters, 0 where none does: i64[n].

    Bit i stands for place `first` + i: in `alpha` for a letter, in `ends` for one that ends a label; the last of these is tried
    first.
    """
    size = np.zeros(len(first), np.int64)
    number = np.flatnonzero(ends != 0)  # of the domains that have labels left to try
    alpha, ends, first = alpha.take(number), ends.take(number), first.take(number)
    while len(number):
        end = highest(ends)
        before = highest(~alpha & under(end))  # what stands before the label
        length = end - before
        fits = (before > 0) & (length >= SHORTEST_TLD) & (length <= LONGEST_TLD) & (batch.data.take(first + before) == DOT)
        done = np.flatnonzero(fits)
        size[number.take(done)] = end.take(done) + 1
        ends &= under(end)
        left = np.flatnonzero(~fits & (ends != 0))
        number, first = number.take(left), first.take(left)
        alpha, ends = alpha.take(left), ends.take(left)
    return size


def _bits(flags: Flags, *, mirrored: bool = False) -> Words:
    """Truth values bool[n, 32 or 64] as bits u64[n]; `mirrored`, the lowest stands for the last of a row."""
    octets = np.packbits(flags, bitorder="big" if mirrored else "little")
    return octets.view(f"{'>' if mirrored else '<'}u{flags.shape[1] // 8}").astype(np.uint64)


def inside_part(data: Bytes) -> Flags:
    """Whether these bytes may stand in a local part."""
    return is_one_of(data, LOCAL)


def _begins_behind(batch: Batch, start: Places) -> Flags:
    """Whether a local part may begin at each place, by what stands before: nothing of another one, or two hyphens."""
    before, further = batch.data.take(start - 1), batch.data.take(start - 2)
    begins: Flags = ~inside_part(before) | ((before == DASH) & (further == DASH))
    return begins


def _is_strange(batch: Batch, at: Places, domain: Parts) -> Flags:
    """Which domains go on in another script before they are one, or hold the ASCII form of one (`xn--`)."""
    stop = at + 1 + domain.stop
    ends = batch.data.take(stop)
    strange: Flags = (ends >= NOT_ASCII) & (domain.size == 0)
    hyphens = np.flatnonzero(ends == DASH)
    four = batch.windows(stop.take(hyphens) - 2, 4).view("<u4")[:, 0] | LOWER
    strange[hyphens] |= four == ASCII_FORM
    return strange


@cache
def _kept(width: int) -> Bytes:
    """u8[width + 1, width]: for each length what of a row is kept, all bits or none of a byte."""
    return (np.arange(width) < np.arange(width + 1)[:, None]) * np.uint8(0xFF)


def _segments(batch: Batch, found: Sides) -> Iterator[Segment]:
    """The addresses in lower case, a segment for each width of row."""
    length = found.end - found.start
    shortest = 0
    for width in WIDTHS:
        chosen = np.flatnonzero((length > shortest) & (length <= width))
        shortest = width
        if len(chosen):
            some, size = found.take(chosen), length.take(chosen)
            text = lower(batch.windows(some.start, width))
            text &= _kept(width).take(size, axis=0)
            yield Segment("email", "plain", some.start, some.end, text, size, np.ones(len(size), bool))


def are_normal(text: Bytes, length: Places) -> Flags:
    """Which cells, the first `length` i64[n] bytes of `text` u8[n, w], are ASCII addresses as they are enrolled.

    Each becomes a line of a batch: an address that is found in it from end to end, without a capital, is one.
    """
    count, width = text.shape
    within = np.arange(width, dtype=np.uint16) < np.minimum(length, width).astype(np.uint16)[:, None]
    lines = np.full((count, width + 1), LINE_END, np.uint8)
    np.copyto(lines[:, :width], text, where=within)
    ends = np.full(PAD, LINE_END, np.uint8)
    data = np.concatenate((ends, lines.ravel(), ends))
    start = PAD + np.arange(count) * (width + 1)
    normal = np.zeros(count, bool)
    for segment in find(Batch(data, start, start + length), np.flatnonzero(data == AT))[0]:
        row = (segment.start - PAD) // (width + 1)
        normal[row] |= (segment.start == start[row]) & (segment.end == start[row] + length[row])
    capital = (lines - np.uint8(ord("A")) <= 25).any(1)
    return normal & ~capital
