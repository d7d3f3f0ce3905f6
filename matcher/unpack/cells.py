"""Values of tables as a person reads them: rows become lines, with tabs between cells."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from matcher.unpack.limits import Halt
from matcher.unpack.walk import DAMAGED

DIGITS_KEPT, EXACT = 10**15, 2**53
"""Excel keeps 15 digits and makes the others 0; other programs keep what a float can hold."""
CLEAN = str.maketrans("\t\r\n", "   ")
AT_ONCE = 1 << 16
"""Characters of lines that are written together: a frame for each line would take a hundred times as long."""

FAULTS = (Halt, MemoryError, ImportError, *DAMAGED)
"""What a reader may end with early, and the walk then says (`Walk.guarded`)."""


def number(value: str) -> str:
    """A number as a person reads it; where digits may be lost, `4.40301199001011E+17`, for the matcher to know it by.

    >>> number("1.54E10"), number("3.50"), number("15400000001.0"), number("440301199001011230.0")
    ('15400000000', '3.50', '15400000001', '4.40301199001011E+17')
    """
    if "." not in value and "E" not in value and "e" not in value:
        return value
    read = float(value)
    if not read.is_integer():
        return value
    whole = int(read)
    if abs(whole) < DIGITS_KEPT or (abs(whole) < EXACT and whole % 10):
        return str(whole)
    return value if "e" in value.lower() else f"{read:.14E}"


def cell(value: object) -> str | None:
    """A value on one line: truth as 1 or 0, dates as ISO 8601, nothing as ""; None for bytes that are no text."""
    if isinstance(value, str):  # first, as most are
        return clean(value)
    if isinstance(value, bytes):
        try:
            value = value.decode()
        except UnicodeDecodeError:
            return None
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(int(value))
    return number(repr(value)) if isinstance(value, float) else clean(str(value))


def clean(text: str) -> str:
    """A text on one line, without tabs."""
    return text if text.isprintable() else text.translate(CLEAN)  # which takes ten times as long for Chinese


def lines(rows: Iterable[Iterable[object]], unread: list[str] | None = None, name: str = "") -> Iterator[bytes]:
    """Rows as UTF-8 lines, many at a time; those before a fault come before it.

    `name` is added to `unread` where a cell is bytes that are no text.
    """
    held, size = list[str](), 0
    try:
        for row in rows:
            said = [cell(value) for value in row]
            if unread is not None and None in said and name not in unread:
                unread.append(name)
            held.append("\t".join(value or "" for value in said))
            size += len(held[-1]) + 1
            if size > AT_ONCE:
                yield _joined(held)
                held, size = [], 0
    except FAULTS:
        if held:
            yield _joined(held)
        raise
    if held:
        yield _joined(held)


def _joined(held: list[str]) -> bytes:
    return ("\n".join(held) + "\n").encode("utf-8", "replace")
