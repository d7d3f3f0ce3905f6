"""How text and time are shown to people, on a terminal and on the page.

Everything that came from outside is untrusted: control and bidirectional characters are shown as escapes, so that a title cannot
move a terminal's cursor or turn a line around. Times are stored in UTC and shown in local time with its zone.
"""

from __future__ import annotations

import unicodedata
from datetime import datetime, tzinfo

HIDDEN = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")


def safe(text: str) -> str:
    r"""`text` with every character escaped that has no shape of its own.

    >>> safe('a\x1b[31m')
    'a\\x1b[31m'
    """
    if text.isprintable():  # as nearly all is; what is hidden never is
        return text
    return "".join(ascii(c)[1:-1] if unicodedata.category(c) in HIDDEN else c for c in text)


def moment(when: datetime | None, zone: tzinfo | None = None) -> str:
    """Local time with its zone, to the minute."""
    return when.astimezone(zone).strftime("%Y-%m-%d %H:%M %Z") if when else "unknown"
