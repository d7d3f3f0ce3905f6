"""The headers of an answer that travel with what was in it, inside the seal: a court asks what the server said, and when."""

from __future__ import annotations

from scrapy.http import Response

MOST, LONGEST = 40, 500
"""Headers, and characters of one: beyond it is an attack or a mistake."""
SESSION = frozenset({"set-cookie", "set-cookie2"})
"""Our own session is nobody's evidence."""


def answered(response: Response) -> tuple[tuple[str, str], ...]:
    """Names as they came, in their order; each value of a header that came twice stands alone."""
    found = [
        (name.decode("latin-1"), value.decode("latin-1")[:LONGEST])
        for name, values in (response.headers or {}).items()
        for value in values
        if name.decode("latin-1").lower() not in SESSION
    ]
    return tuple(found[:MOST])
