"""A long text in windows, cut where no identifier and, if it can be helped, no row goes across."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

WINDOW = 2 * 1024 * 1024
"""Bytes of a window: long enough for the search to be at its speed, small enough to hold several."""
ROW_ENDS = ("\n", "),", "},")
"""Ends of lines, of tuples of an SQL statement, of JSON objects. None of these bytes is the second of a GBK or Big5 character."""
APART = r"[,;\t]|[ ](?![0-9])|(?<![0-9])[ ]"
"""Between two fields: a space between digits may be inside a number."""
BETWEEN, BETWEEN_BYTES = re.compile(APART), re.compile(APART.encode())
SEARCHED = 1 << 16
WIDEST = 4
"""Bytes of a character of UTF-32."""


def windows(chunks: Iterable[bytes], wide: str = "") -> Iterator[bytes]:
    """The bytes of `chunks` in windows of about WINDOW; `wide` is their encoding where that is UTF-16 or UTF-32."""
    held = bytearray()
    for chunk in chunks:
        held += chunk
        while len(held) >= WINDOW:
            end = _cut(held, wide)
            yield bytes(held[:end])
            del held[:end]
    if held:
        yield bytes(held)


def wide(head: bytes) -> str:
    """`utf-16-le`, `utf-16-be`, `utf-32-le` or `utf-32-be` for a text that begins like it, "" for others.

    It has a byte order mark, or a NUL in every second byte of the first hundred, or in both of every second pair of them.
    """
    sample = head[:100]
    if sample[:4] in (b"\xff\xfe\0\0", b"\0\0\xfe\xff"):
        return "utf-32-le" if sample[0] else "utf-32-be"
    if len(sample) >= WIDEST and len(sample) % WIDEST == 0 and sample[:2] not in (b"\xff\xfe", b"\xfe\xff"):
        low, high = (sample[at::4] + sample[at + 1 :: 4] for at in (0, 2))
        if not any(high) or not any(low):
            return "" if not any(sample) else "utf-32-le" if not any(high) else "utf-32-be"
    if sample[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16-le" if sample[0] == 0xFF else "utf-16-be"
    first, second = sample[::2].count(0), sample[1::2].count(0)
    if len(sample) < 4 or max(first, second) * 4 <= len(sample):
        return ""
    return "utf-16-le" if second >= first else "utf-16-be"


def _cut(held: bytearray, wide: str) -> int:
    """How many bytes of `held` make the next window."""
    for row_end in ROW_ENDS:
        end = row_end.encode(wide or "ascii")
        place = held.rfind(end, WINDOW // 2, WINDOW)
        while wide and place >= 0 and place % len("\n".encode(wide)):  # half of one character and half of the next
            place = held.rfind(end, WINDOW // 2, place + len(end) - 1)
        if place >= 0:
            return place + len(end)
    first = WINDOW - SEARCHED
    if not wide:
        return max((match.end() for match in BETWEEN_BYTES.finditer(held, first, WINDOW)), default=WINDOW)
    text = held[first:WINDOW].decode(wide, "replace")
    last = max((match.end() for match in BETWEEN.finditer(text)), default=0)
    return first + len(text[:last].encode(wide)) if last else WINDOW
