"""Print untrusted text safely, on terminals, on pages and in spreadsheets.

Tables and JSON Lines are in `screen`, the deadline of a person's decision in `decide`.

All text from outside is untrusted: control and bidirectional characters are shown as escapes, so
that a title cannot move a terminal's cursor or reverse a line. Times are stored in UTC and shown in
local time with its zone.

A cell that a spreadsheet would take for a formula gets a quote before it (OWASP, CSV injection). A
formula begins a cell; where Excel separates cells at semicolons, as in much of Europe whatever the
file says, it may also follow one.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterable
from datetime import datetime, tzinfo

HIDDEN = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")


def safe(text: str) -> str:
    r"""Escape every character of `text` that has no shape of its own.

    >>> safe('a\x1b[31m')
    'a\\x1b[31m'
    """
    if text.isprintable():  # nearly every text is; hidden characters never are
        return text
    return "".join(ascii(c)[1:-1] if unicodedata.category(c) in HIDDEN else c for c in text)


def moment(when: datetime | None, zone: tzinfo | None = None) -> str:
    """Format a moment as local time with its zone, to the minute."""
    return when.astimezone(zone).strftime("%Y-%m-%d %H:%M %Z") if when else "unknown"


FORMULA = "=+-@\t\r\n＝＋－＠"
RUN = re.compile(f"(^|;)(?=[{re.escape(FORMULA)}])")


def inert(cell: str) -> str:
    """Put a quote before each part of a cell that a spreadsheet would run as a formula.

    >>> [inert("=1+1"), inert("a=b"), inert("a;=b")]
    ["'=1+1", 'a=b', "a;'=b"]
    """
    return RUN.sub(r"\1'", cell)


def format_csv_line(cells: Iterable[str]) -> str:
    """Return one line of CSV (RFC 4180); formulas are neutralised."""
    line = io.StringIO()
    csv.writer(line, lineterminator="\r\n").writerow([inert(cell) for cell in cells])
    return line.getvalue()
