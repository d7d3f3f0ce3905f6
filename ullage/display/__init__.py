"""Make untrusted text safe to show on terminals, on pages and in spreadsheets.

All text from outside is untrusted, titles and file names included. `safe` writes control and
bidirectional characters as escapes, so that a title cannot move a terminal's cursor or reverse a
line. `inert` puts a quote before a cell that a spreadsheet would take for a formula (OWASP, CSV
injection): at its beginning, and after a semicolon, where Excel separates cells in much of Europe
whatever the file says. `moment` shows a time, stored in UTC, in local time with its zone. Nothing
here fails on any text. Tables are in `ullage.display.listing`, JSON Lines in
`ullage.display.screen`.
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
    r"""Return `text` with every character that has no shape of its own written as an escape.

    >>> safe('a\x1b[31m')
    'a\\x1b[31m'
    """
    if text.isprintable():  # nearly every text is; hidden characters never are
        return text
    return "".join(ascii(c)[1:-1] if unicodedata.category(c) in HIDDEN else c for c in text)


def moment(when: datetime | None, zone: tzinfo | None) -> str:
    """Return a moment as time in `zone` to the minute, with the zone's name; `unknown` for None.

    Commands pass the zone of `Context.zone`; None is this machine's zone.
    """
    return when.astimezone(zone).strftime("%Y-%m-%d %H:%M %Z") if when else "unknown"


FORMULA = "=+-@\t\r\n＝＋－＠"
RUN = re.compile(f"(^|;)(?=[{re.escape(FORMULA)}])")


def inert(cell: str) -> str:
    """Return a cell with a quote before each part that a spreadsheet would run as a formula.

    >>> [inert("=1+1"), inert("a=b"), inert("a;=b")]
    ["'=1+1", 'a=b', "a;'=b"]
    """
    return RUN.sub(r"\1'", cell)


def format_csv_line(cells: Iterable[str]) -> str:
    """Return one line of CSV (RFC 4180) with its line end; formulas are neutralised."""
    line = io.StringIO()
    csv.writer(line, lineterminator="\r\n").writerow([inert(cell) for cell in cells])
    return line.getvalue()
