"""Ask for a list only if it changed, and keep the headers of an answer.

A 304 counts only for what was read whole, by the same reading: with another platform, other options
or another version of ullage the list is asked for as if it had never been.
"""

from __future__ import annotations

import email.utils
import json
from collections.abc import Mapping

from scrapy.http import Response

from crawlers.sites.site import Site
from ullage import __version__

MOST, LONGEST_HEADER = 40, 500
"""Headers, and characters of one: beyond it is an attack or a mistake."""
SESSION = frozenset({"set-cookie", "set-cookie2"})
"""Our own session is nobody's evidence."""


def answered(response: Response) -> tuple[tuple[str, str], ...]:
    """Names as they came, in their order; each value of a header that came twice stands alone."""
    found = [
        (name.decode("latin-1"), value.decode("latin-1")[:LONGEST_HEADER])
        for name, values in (response.headers or {}).items()
        for value in values
        if name.decode("latin-1").lower() not in SESSION
    ]
    return tuple(found[:MOST])


LONGEST = 500
"""Characters of an ETag that are kept: nobody needs more."""
LEAST_AGE_SECONDS = 2
"""What changed just before the answer may change again within the same second, and
`Last-Modified` would not tell.
"""


def conditions(known: bytes, site: Site) -> Mapping[str, str]:
    """Headers for a page of which `validators` were kept; none where they say nothing of how `site`
    is read now.

    A site with a session is always asked for the whole page: the mark of a visitor who is let in
    has to be seen. So is one whose pages a script fills: the page that the site knows is empty, and
    never changes.
    """
    kept: dict[str, str] = json.loads(known) if known and not (site.session or site.script) else {}
    if not kept or kept.pop("reading") != _reading(site):
        return {}
    return kept


def validators(response: Response, site: Site) -> bytes:
    """What to keep of an answer for the next time; nothing where the site says nothing of use."""
    found = {}
    if tag := _header(response, "ETag"):
        found["If-None-Match"] = tag
    modified, date = _seconds(response, "Last-Modified"), _seconds(response, "Date")
    if modified is not None and date is not None and date - modified >= LEAST_AGE_SECONDS:
        found["If-Modified-Since"] = _header(response, "Last-Modified")
    return json.dumps({**found, "reading": _reading(site)}).encode() if found else b""


def _reading(site: Site) -> str:
    """Whatever decides what a page leads to."""
    return repr((__version__, site.platform, site.start, site.hosts, sorted(site.options.items())))


def _header(response: Response, name: str) -> str:
    value = (response.headers.get(name) or b"").decode("latin-1").strip()
    return value if len(value) <= LONGEST else ""


def _seconds(response: Response, name: str) -> float | None:
    """A date of a header, in Unix seconds."""
    parsed = email.utils.parsedate_tz(_header(response, name))
    try:
        return email.utils.mktime_tz(parsed) if parsed else None
    except (ValueError, OverflowError):
        return None
