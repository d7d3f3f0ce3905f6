"""Workbooks: each sheet becomes lines of cells with tabs between, values as a person sees them.

Element names: ECMA-376 part 1, section 18.3 (worksheets) and 18.4 (shared strings).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache

from matcher.unpack.markup import Attributes, parsed

DIGITS_KEPT, EXACT = 10**15, 2**53
"""Excel keeps 15 digits and makes the others 0; other programs keep what a float can hold."""
LONGEST_GAP = 64
"""Empty cells that are kept between two. A hostile sheet names only the last of 16,384 columns."""
DIGITS = "0123456789"
BESIDE = frozenset("formula formula1 formula2 oddHeader oddFooter evenHeader evenFooter firstHeader firstFooter".split())
"""Elements that hold words beside the cells: lists to choose from, conditions, what is printed above and below."""
CLEAN = str.maketrans("\t\r\n", "   ")


def strings(chunks: Iterable[bytes], found: list[str]) -> None:
    """Add the shared strings to `found`, by number. Phonetic readings are left out: they are no part of the value."""
    parts: list[str] = []
    inside = {"t": False, "rPh": False}

    def start(name: str, _: Attributes) -> None:
        if name == "si":
            parts.clear()
        elif name in inside:
            inside[name] = True

    def end(name: str) -> None:
        if name == "si":
            found.append("".join(parts).translate(CLEAN))
        elif name in inside:
            inside[name] = False

    def text(said: str) -> None:
        if inside["t"] and not inside["rPh"]:
            parts.append(said)

    for _ in parsed(chunks, start, end, text):
        pass


class Rows:
    """Takes a worksheet's tags and gives its lines."""

    def __init__(self, shared: list[str]) -> None:
        self._shared, self._cells, self._value = shared, list[str](), list[str]()
        self._kind, self._wanted, self.lines = "", False, list[str]()
        self._formula, self._in_formula = list[str](), False

    def start(self, name: str, attributes: Attributes) -> None:
        """A cell begins where its reference says, a value where it says."""
        if name == "c":
            self._value.clear()
            self._formula.clear()
            self._kind = attributes.get("t", "n")
            gap = column(attributes.get("r", "").rstrip(DIGITS)) - len(self._cells) - 1
            if gap > 0:
                self._cells += [""] * min(gap, LONGEST_GAP)
        elif name == "v" or name == "t":  # noqa: PLR1714  this runs for every tag of a workbook
            self._wanted = True
        elif name == "f":
            self._in_formula = True
        elif name in BESIDE:
            self._value.clear()
            self._wanted = True

    def text(self, said: str) -> None:
        """Part of a value, or of a formula, which is read where nobody worked out its value."""
        if self._wanted:
            self._value.append(said)
        elif self._in_formula:
            self._formula.append(said)

    def end(self, name: str) -> None:
        """A cell or a row is whole."""
        if name == "c":
            value = "".join(self._value)
            self._cells.append(self._cell(value) if value or not self._formula else f"={''.join(self._formula).translate(CLEAN)}")
        elif name == "row":
            self.lines.append("\t".join(self._cells))
            self._cells.clear()
        else:
            if name in BESIDE and self._wanted:
                self.lines.append("".join(self._value).translate(CLEAN))
            self._wanted = self._in_formula = False

    def _cell(self, value: str) -> str:
        if self._kind == "s":
            place = int(value or -1)
            return self._shared[place] if 0 <= place < len(self._shared) else ""  # the list may be damaged
        return number(value) if self._kind == "n" else value.translate(CLEAN)


def lines(chunks: Iterable[bytes], shared: list[str]) -> Iterator[bytes]:
    """A worksheet as UTF-8 lines."""
    rows = Rows(shared)
    for _ in parsed(chunks, rows.start, rows.end, rows.text):
        if rows.lines:
            yield ("\n".join(rows.lines) + "\n").encode("utf-8", "replace")
            rows.lines.clear()
    if rows.lines:
        yield ("\n".join(rows.lines) + "\n").encode("utf-8", "replace")


@cache
def column(letters: str) -> int:
    """Number of a column by its letters, from 1; 0 where there are none.

    >>> column("A"), column("AB")
    (1, 28)
    """
    found = 0
    for letter in letters[:3]:
        found = found * 26 + (ord(letter) & 31)
    return found


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
