"""Cells that are safe to open in a spreadsheet.

What a spreadsheet would take for a formula gets a quote before it (OWASP, CSV injection). A formula begins a cell; where Excel
parts cells at semicolons, as in much of Europe whatever the file says, it may also stand behind one.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable

FORMULA = "=+-@\t\r\n＝＋－＠"
RUN = re.compile(f"(^|;)(?=[{re.escape(FORMULA)}])")


def inert(cell: str) -> str:
    """`cell`, with a quote before what a spreadsheet would run.

    >>> [inert("=1+1"), inert("a=b"), inert("a;=b")]
    ["'=1+1", 'a=b', "a;'=b"]
    """
    return RUN.sub(r"\1'", cell)


def csv_line(cells: Iterable[str]) -> str:
    """A line of CSV (RFC 4180) of such cells."""
    line = io.StringIO()
    csv.writer(line, lineterminator="\r\n").writerow([inert(cell) for cell in cells])
    return line.getvalue()
