"""Mail addresses: 64 bytes on either side of each at sign, as bits by class of character.

The local part goes left to the first character that cannot be in one; the domain goes right, and ends with its last label that
is all letters. Two hyphens end a field, so they end an address too (`李某----a@example.com----13800138000`). Parts of more
than 64 characters are no addresses here (RFC 5321 allows a domain 255, which no bank's list has shown).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

from matcher.scan.batch import Batch, Bytes, Places
from matcher.scan.bits import ONE, Words, highest, lowest
from matcher.scan.checks import is_mobile
from matcher.scan.classes import is_digit
from matcher.scan.segment import Flags, Segment

SIDE = 64
WIDTHS = (32, 48, 64, 136)
"""Bytes of a row, by length class: most addresses are short."""
SHORTEST_TLD, LONGEST_TLD = 2, 24
ALPHA, DIGIT, DOT, HYPHEN, OTHER = 1, 2, 4, 8, 16
TOP = np.uint64(63)
QQ_HOSTS = (b"@qq.com", b"@vip.qq.com")
SHORTEST_QQ, LONGEST_QQ, QQ_WIDTH, MOBILE = 5, 11, 16, 11


class Sides(NamedTuple):
    """Addresses as places: i64[n] where the local part begins, where the at sign stands, where the domain ends."""

    start: Places
    at: Places
    end: Places

    def where(self, chosen: Flags) -> Sides:
        """Those that are chosen."""
        return Sides(*(part[chosen] for part in self))


@cache
def _table() -> bytes:
    """The class bits of each byte; OTHER are the signs that only a local part may have."""
    table = bytearray(256)
    for byte in range(128):
        char = chr(byte)
        table[byte] = ALPHA * char.isalpha() | DIGIT * char.isdigit() | DOT * (char == ".") | HYPHEN * (char == "-")
        table[byte] |= OTHER * (char in "_%+")
    return bytes(table)


def inside_part(data: Bytes) -> Flags:
    """Whether these bytes may stand in a local part."""
    inside: Flags = np.frombuffer(_table(), np.uint8).take(data) != 0
    return inside


def _bits(rows: Bytes, *kinds: int) -> tuple[Words, ...]:
    """For each class, its places in the rows u8[n, 64] as bits u64[n]."""
    table = np.frombuffer(rows.tobytes().translate(_table()), np.uint8)
    return tuple(np.packbits(table & np.uint8(kind), bitorder="little").view(np.uint64) for kind in kinds)


def find_mail(batch: Batch, at: Places) -> list[Segment]:
    """Mail addresses in ASCII around the at signs, lower-cased."""
    if not len(at):
        return []
    start, has_local = _local(batch, at)
    found = Sides(start, at, at).where(has_local)
    end, has_domain = _domain(batch, found.at)
    return _segments(batch, found._replace(end=end).where(has_domain))


def _local(batch: Batch, at: Places) -> tuple[Places, Flags]:
    """Where the local part before each at sign begins, and whether there is one: it begins with a letter or digit."""
    rows = batch.windows(at - SIDE, SIDE)
    inside, word, dot, hyphen = _bits(rows, ALPHA | DIGIT | DOT | HYPHEN | OTHER, ALPHA | DIGIT, DOT, HYPHEN)
    first = highest(~inside | (hyphen & (hyphen << ONE))) + 1  # from here to the at sign all may be in a local part
    room = np.minimum(first, SIDE - 1).astype(np.uint64)
    head = lowest((word >> room) << room)
    whole = (first > 0) | ~inside_part(batch.data[at - SIDE - 1])
    return at - SIDE + head, whole & (head < SIDE) & ((dot >> TOP) == 0)


def _domain(batch: Batch, at: Places) -> tuple[Places, Flags]:
    """Where the domain behind each at sign ends, and whether there is one."""
    alpha, alnum, dot, hyphen = _bits(batch.windows(at + 1, SIDE), ALPHA, ALPHA | DIGIT, DOT, HYPHEN)
    broken = (dot & (dot >> ONE)) | (dot & (hyphen >> ONE)) | (hyphen & (dot >> ONE)) | (hyphen & (hyphen >> ONE))
    stop = lowest(~(alnum | dot | hyphen) | broken)
    inside = np.where(stop < SIDE, (ONE << np.minimum(stop, SIDE - 1).astype(np.uint64)) - ONE, ~np.uint64(0))
    alpha, alnum, dot, hyphen = alpha & inside, alnum & inside, dot & inside, hyphen & inside
    last = alpha & ~((alnum | hyphen) >> ONE)  # a letter that ends a label
    last &= np.where(stop < SIDE, ~np.uint64(0), ~(ONE << TOP))  # what follows the last of 64 cannot be seen
    size, good = np.zeros(len(at), np.int64), np.zeros(len(at), bool)
    open_ = np.flatnonzero((last != 0) & (alnum & ONE == ONE))
    while len(open_):
        end = highest(last[open_])
        upto = (ONE << end.astype(np.uint64)) - ONE
        before = highest(~alpha[open_] & upto)  # what stands before the last label
        length = end - before
        is_dot = (dot[open_] >> np.maximum(before, 0).astype(np.uint64)) & ONE == ONE
        fits = is_dot & (before > 0) & (length >= SHORTEST_TLD) & (length <= LONGEST_TLD)
        size[open_[fits]], good[open_[fits]] = end[fits] + 1, True
        last[open_] &= upto
        open_ = open_[~fits & (last[open_] != 0)]
    return at + 1 + size, good


def _segments(batch: Batch, found: Sides) -> list[Segment]:
    """The addresses in lower case, a segment for each width of row."""
    length = found.end - found.start
    shortest, made = 0, []
    for width in WIDTHS:
        chosen = (length > shortest) & (length <= width)
        shortest = width
        if not chosen.any():
            continue
        some, size = found.where(chosen), length[chosen]
        text = batch.windows(some.start, width)
        text |= ((text - np.uint8(65)) < 26).view(np.uint8) << np.uint8(5)
        text[np.arange(width) >= size[:, None]] = 0
        made.append(Segment("email", "plain", some.start, some.end, text, size, np.ones(len(size), bool)))
    return made


def find_qq(mail: Sequence[Segment]) -> list[Segment]:
    """QQ numbers that addresses at qq.com are made of; digits of a mobile's shape are a phone's mailbox."""
    found = []
    for segment in mail:
        some = segment.where(is_digit(segment.normal[:, 0]))
        width = some.normal.shape[1]
        columns = np.arange(width)
        for suffix in QQ_HOSTS:
            local = some.length - len(suffix)
            ends = np.minimum(np.maximum(local, 0)[:, None] + np.arange(len(suffix)), width - 1)
            hosted = (np.take_along_axis(some.normal, ends, 1) == np.frombuffer(suffix, np.uint8)).all(1)
            number = (is_digit(some.normal) | (columns >= local[:, None])).all(1) & (some.normal[:, 0] > ord("0"))
            mobile = (local == MOBILE) & is_mobile(some.normal)
            own = hosted & number & (local >= SHORTEST_QQ) & (local <= LONGEST_QQ) & ~mobile
            length = local[own]
            text = np.where(columns[:QQ_WIDTH] < length[:, None], some.normal[own][:, :QQ_WIDTH], np.uint8(0))
            found.append(Segment("qq", "plain", some.start[own], some.start[own] + length, text, length, own[own]))
    return [segment for segment in found if len(segment)]
