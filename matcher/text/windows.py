"""A long text in windows, cut where no identifier and, if it can be helped, no row goes across."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

WINDOW = 2 * 1024 * 1024
"""Bytes of a window: long enough for the search to be at its speed, small enough to hold several."""
ROW_ENDS = (b"\n", b"),", b"},")
"""Ends of lines, of tuples of an SQL statement, of JSON objects. None of these bytes is the second of a GBK or Big5 character."""
APART = re.compile(rb"[,;\t]|[ ](?![0-9])|(?<![0-9])[ ]")
"""Between two fields: a space between digits may be inside a number."""
SEARCHED = 1 << 16


def windows(chunks: Iterable[bytes], is_wide: bool = False) -> Iterator[bytes]:
    """The bytes of `chunks` in windows of about WINDOW; `is_wide` for UTF-16, whose units have two bytes."""
    held = bytearray()
    for chunk in chunks:
        held += chunk
        while len(held) >= WINDOW:
            end = _wide_cut(held) if is_wide else _cut(held)
            yield bytes(held[:end])
            del held[:end]
    if held:
        yield bytes(held)


def is_wide(head: bytes) -> bool:
    """Whether a text begins like UTF-16: a byte order mark, or a NUL in every second byte of the first hundred."""
    sample = head[:100]
    return sample[:2] in (b"\xff\xfe", b"\xfe\xff") or (
        len(sample) >= 4 and max(sample[::2].count(0), sample[1::2].count(0)) * 4 > len(sample)
    )


def _cut(held: bytearray) -> int:
    """How many bytes of `held` make the next window."""
    for end in ROW_ENDS:
        place = held.rfind(end, WINDOW // 2, WINDOW)
        if place >= 0:
            return place + len(end)
    last = max((match.end() for match in APART.finditer(held, WINDOW - SEARCHED, WINDOW)), default=0)
    return last or WINDOW


def _wide_cut(held: bytearray) -> int:
    """The same for UTF-16 of either order: behind a line end, else at a whole character."""
    for unit in (b"\n\0", b"\0\n"):
        place = held.rfind(unit, WINDOW // 2, WINDOW)
        while place >= 0:
            if place % 2 == 0:
                return place + 2
            place = held.rfind(unit, WINDOW // 2, place)
    return WINDOW
