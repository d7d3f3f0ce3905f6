"""Find mail addresses, and the QQ numbers in addresses like `12345678@qq.com`.

The bytes on either side of each at sign are read as bits, by class of character. The local part
extends left to the first character that it may not contain. The domain extends right and ends
with its last label that is all letters. Two hyphens end a field, so they also end an address
(`李某----a@example.com----13800138000`). Parts of more than 64 characters are not read as
addresses (RFC 5321 allows a domain of 255, but no bank's list holds such a one). A first look
takes 32 bytes on either side, which is enough for nearly every address; longer ones are looked
at again with 64.
"""

from __future__ import annotations

import string
from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np

from matcher.columns.batch import LINE_END, PAD, Batch, Bytes, Flags, Places
from matcher.columns.bitset import (
    AT,
    DASH,
    DOT,
    ONE,
    Words,
    highest,
    is_digit,
    is_letter,
    is_one_of,
    is_word,
    lowest,
    under,
)
from matcher.detect.candidates import Segment, lower
from matcher.detect.number_rules import is_mobile
from ullage.identifiers import email, phone, qq

SIDES = (32, 64)
"""Bytes on either side of an at sign, in the first and in the second look."""
LAST_OF = {side: np.uint64(1 << (side - 1)) for side in SIDES}
"""The bit of the last byte of a look."""
WIDTHS = (32, 48, 64, 136)
"""Widths of rows in bytes, by length class: most addresses are short."""
PIECE = 1 << 15
"""At signs per step, so that a text of at signs alone needs only as many rows at a time."""
SIGNS = email.SIGNS.encode()
LOCAL = (string.ascii_letters + string.digits).encode() + SIGNS
"""Characters that a local part may contain."""
ASCII_FORM, LOWER = (np.uint32(int.from_bytes(four, "little")) for four in (b"xn--", b"  \0\0"))
"""The first four bytes of the ASCII form as one number; bits that make its letters lower case."""
NOT_ASCII = 0x80
QQ_WIDTH = 16


def find_addresses(batch: Batch, at: Places) -> tuple[list[Segment], Places]:
    """Find ASCII mail addresses, in lower case and all valid, around the at signs.

    Also returns, ascending, the at signs before a domain in another script, or in the ASCII form of
    one. A local part of more than 64 bytes gives no address; of a domain the first 64 bytes are
    read.
    """
    before, behind = batch.data.take(at - 1), batch.data.take(at + 1)
    joins = (
        is_one_of(before, LOCAL)
        & (before != DOT)
        & (is_word(behind) | (behind == DASH) | (behind >= NOT_ASCII))
    )
    at = at.take(np.flatnonzero(joins))
    start, end, strange = ([np.empty(0, np.int64)] for _ in range(3))
    for first in range(0, len(at), PIECE):
        pending = at[first : first + PIECE]
        for side in SIDES:
            local, looked_before = _local(batch, pending, side)
            domain, looked_behind = _domain(batch, pending, side)
            is_complete = ((looked_before < side) & (looked_behind < side)) | (side == SIDES[-1])
            is_strange = (
                is_complete & (local > 0) & _is_strange(batch, pending, domain, looked_behind)
            )
            whole = np.flatnonzero(is_complete & ~is_strange & (local > 0) & (domain > 0))
            start.append((pending - local)[whole])
            end.append((pending + 1 + domain)[whole])
            strange.append(pending[is_strange])
            pending = pending[~is_complete]
            if not len(pending):
                break
    return list(_segments(batch, np.concatenate(start), np.concatenate(end))), np.sort(
        np.concatenate(strange)
    )


def _local(batch: Batch, at: Places, side: int) -> tuple[Places, Places]:
    """Measure the local part before each at sign.

    Returns its length, 0 for none, and how many of the `side` bytes looked at could belong to one:
    i64[n] each. A local part begins with a letter or digit, behind a character that no local part
    may contain or behind two hyphens. Bits are mirrored: the lowest is the byte before the at sign.
    """
    text = batch.windows(at - side, side)
    word, hyphen = is_word(text), text == DASH
    inside = word.copy()
    for sign in SIGNS:
        inside |= text == sign
    inside_bits, word_bits, hyphens = (
        _bits(flags, mirrored=True) for flags in (inside, word, hyphen)
    )
    stop = lowest(~inside_bits | (hyphens & (hyphens >> ONE)))
    begins = highest(word_bits & under(stop))
    size = begins + 1
    full = np.flatnonzero(
        stop == side
    )  # the part is longer unless the byte before cannot be in one
    before, further = (batch.data.take(at[full] - side - place) for place in (1, 2))
    size[full[is_one_of(before, LOCAL) & ((before != DASH) | (further != DASH))]] = 0
    return size, stop


def _domain(batch: Batch, at: Places, side: int) -> tuple[Places, Places]:
    """Measure the domain behind each at sign.

    Returns its length, 0 for none, and how many of the `side` bytes looked at could belong to one:
    i64[n] each. A domain ends with the last label that is all letters and has a dot before it.
    """
    text = batch.windows(at + 1, side)
    alpha, dot, hyphen = (_bits(flags) for flags in (is_letter(text), text == DOT, text == DASH))
    alnum: Words = alpha | _bits(is_digit(text))
    sign: Words = dot | hyphen
    stop = lowest(~(alnum | sign) | (sign & (sign >> ONE)))
    inside = under(stop)
    alpha &= inside
    joins = hyphen & ((alnum >> ONE) | LAST_OF[side])  # what follows the last byte cannot be seen
    ends = alpha & ~(((alnum | joins) & inside) >> ONE)  # letters that end a label
    # what follows the last byte cannot be seen
    ends &= under(np.where(stop < side, side, side - 1))
    return _last_labels(batch, at + 1, alpha, np.where(alnum & ONE == ONE, ends, 0)), stop


def _last_labels(batch: Batch, first: Places, alpha: Words, ends: Words) -> Places:
    """Return the length of each domain that ends with a label of letters, 0 for none: i64[n].

    The domain begins at `first`. Bit i stands for place `first` + i: in `alpha` it marks a letter,
    in `ends` a letter that ends a label. The last of these is tried first.
    """
    size = np.zeros(len(first), np.int64)
    number = np.flatnonzero(ends != 0)  # of the domains that have labels left to try
    alpha, ends, first = alpha.take(number), ends.take(number), first.take(number)
    while len(number):
        end = highest(ends)
        before = highest(~alpha & under(end))  # the byte before the label
        length = end - before
        fits = (
            (before > 0)
            & (length >= email.SHORTEST_TOP)
            & (length <= email.LONGEST_TOP)
            & (batch.data.take(first + before) == DOT)
        )
        complete = np.flatnonzero(fits)
        size[number.take(complete)] = end.take(complete) + 1
        ends &= under(end)
        pending = np.flatnonzero(~fits & (ends != 0))
        number, first = number.take(pending), first.take(pending)
        alpha, ends = alpha.take(pending), ends.take(pending)
    return size


def _bits(flags: Flags, *, mirrored: bool = False) -> Words:
    """Pack flags bool[n, 32 or 64] into bits u64[n].

    With `mirrored` the lowest bit stands for the last flag of a row.
    """
    octets = np.packbits(flags, bitorder="big" if mirrored else "little")
    return octets.view(f"{'>' if mirrored else '<'}u{flags.shape[1] // 8}").astype(np.uint64)


def _is_strange(batch: Batch, at: Places, domain: Places, stop: Places) -> Flags:
    """Return which domains are in another script, or hold its ASCII form (`xn--`).

    A domain counts as in another script if such a character comes before the domain is complete.
    """
    stop = at + 1 + stop
    ends = batch.data.take(stop)
    strange: Flags = (ends >= NOT_ASCII) & (domain == 0)
    hyphens = np.flatnonzero(ends == DASH)
    four = batch.windows(stop.take(hyphens) - 2, 4).view("<u4")[:, 0] | LOWER
    strange[hyphens] |= four == ASCII_FORM
    return strange


@cache
def _mask_lengths(width: int) -> Bytes:
    """Return byte masks that keep the first bytes of a row, by length: u8[width + 1, width].

    A kept byte has all bits set, any other none.
    """
    return (np.arange(width) < np.arange(width + 1)[:, None]) * np.uint8(0xFF)


def _segments(batch: Batch, start: Places, end: Places) -> Iterator[Segment]:
    """Yield the addresses [start, end) in lower case, one segment per width of row."""
    length, shortest = end - start, 0
    for width in WIDTHS:
        rows = np.flatnonzero((length > shortest) & (length <= width))
        shortest = width
        if len(rows):
            size = length.take(rows)
            text = lower(batch.windows(start.take(rows), width))
            text &= _mask_lengths(width).take(size, axis=0)
            yield Segment(
                "email",
                "plain",
                start.take(rows),
                end.take(rows),
                text,
                size,
                np.ones(len(rows), bool),
            )


def are_normal_addresses(text: Bytes, length: Places) -> Flags:
    """Return which cells are mail addresses in the form that customer lists contain: bool[n].

    That form is ASCII without capitals. A cell is the first `length` (i64[n]) bytes of its row in
    `text` (u8[n, w]).
    """
    count, width = text.shape
    within = (
        np.arange(width, dtype=np.uint16) < np.minimum(length, width).astype(np.uint16)[:, None]
    )
    lines = np.full((count, width + 1), LINE_END, np.uint8)
    np.copyto(lines[:, :width], text, where=within)
    ends = np.full(PAD, LINE_END, np.uint8)
    data = np.concatenate((ends, lines.ravel(), ends))
    start = PAD + np.arange(count) * (width + 1)
    normal = np.zeros(count, bool)
    for segment in find_addresses(Batch(data, start, start + length), np.flatnonzero(data == AT))[
        0
    ]:
        row = (segment.start - PAD) // (width + 1)
        normal[row] |= (segment.start == start[row]) & (segment.end == start[row] + length[row])
    capital = (lines - np.uint8(ord("A")) <= 25).any(1)
    return normal & ~capital


def find_qq(mail: Sequence[Segment]) -> list[Segment]:
    """Return the QQ numbers in front of QQ's hosts in mail addresses, all as valid candidates.

    A QQ number has only digits, not 0 first, and a length that QQ uses. Digits with the shape of a
    mobile number are a phone's mailbox, not a QQ number.
    """
    shortest, longest = qq.LENGTHS
    segments = []
    for segment in mail:
        columns = np.arange(segment.normal.shape[1])
        for host in map(str.encode, qq.HOSTS):
            local = segment.length - len(host)
            may = np.flatnonzero((local >= shortest) & (local <= longest))
            may = may[segment.normal[may, local.take(may)] == host[0]]
            candidates, local = segment.take(may), local.take(may)
            ends = local[:, None] + np.arange(len(host))
            is_qq = (
                np.take_along_axis(candidates.normal, ends, 1) == np.frombuffer(host, np.uint8)
            ).all(1)
            is_qq &= (is_digit(candidates.normal) | (columns >= local[:, None])).all(1) & (
                candidates.normal[:, 0] > ord("0")
            )
            is_qq &= ~((local == phone.LENGTH) & is_mobile(candidates.normal))
            length = local[is_qq]
            text = np.where(
                columns[:QQ_WIDTH] < length[:, None],
                candidates.normal[is_qq][:, :QQ_WIDTH],
                np.uint8(0),
            )
            segments.append(
                Segment(
                    "qq",
                    "plain",
                    candidates.start[is_qq],
                    candidates.start[is_qq] + length,
                    text,
                    length,
                    is_qq[is_qq],
                )
            )
    return [segment for segment in segments if len(segment)]
