"""Request a list only if it changed, and store the headers of a response.

A 304 counts only if the page was read whole before, in the same way: with another platform, other
options or another version of ullage the list is requested anew.
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


def select_headers(response: Response) -> tuple[tuple[str, str], ...]:
    """Return the (name, value) pairs of a response's headers to store, at most MOST.

    A repeated header gives a pair for each value. A value is cut to LONGEST_HEADER characters;
    cookies that the site sets are left out.
    """
    headers = [
        (name.decode("latin-1"), value.decode("latin-1")[:LONGEST_HEADER])
        for name, values in (response.headers or {}).items()
        for value in values
        if name.decode("latin-1").lower() not in SESSION
    ]
    return tuple(headers[:MOST])


LONGEST = 500
"""Characters of an ETag that are kept: nobody needs more."""
LEAST_AGE_SECONDS = 2
"""What changed just before the answer may change again within the same second, and
`Last-Modified` would not tell.
"""


def build_conditions(stored: bytes, site: Site) -> Mapping[str, str]:
    """Return the conditional request headers that `stored`, of `extract_validators`, allows.

    {} if `stored` is empty, or if the site's file or the version of ullage has changed how the page
    is read. Also {} for a site with a session, since the mark of a logged-in visitor must be seen,
    and for one whose pages are rendered, since the page that it serves is empty and never changes.
    """
    headers: dict[str, str] = (
        json.loads(stored) if stored and not (site.session or site.script) else {}
    )
    if not headers or headers.pop("reading") != _describe_reading(site):
        return {}
    return headers


def extract_validators(response: Response, site: Site) -> bytes:
    """Return a response's validators as JSON, to store for `build_conditions`; b"" without any.

    They are the ETag, and Last-Modified if it is at least 2 seconds before the response's Date. The
    JSON also holds how `site` is read now.
    """
    headers = {}
    if tag := _get_header(response, "ETag"):
        headers["If-None-Match"] = tag
    modified, date = _parse_date(response, "Last-Modified"), _parse_date(response, "Date")
    if modified is not None and date is not None and date - modified >= LEAST_AGE_SECONDS:
        headers["If-Modified-Since"] = _get_header(response, "Last-Modified")
    return json.dumps({**headers, "reading": _describe_reading(site)}).encode() if headers else b""


def _describe_reading(site: Site) -> str:
    """Return a text that changes with whatever decides what a page leads to."""
    return repr((__version__, site.platform, site.start, site.hosts, sorted(site.options.items())))


def _get_header(response: Response, name: str) -> str:
    """Return a header's value; "" if it is missing or too long."""
    value = (response.headers.get(name) or b"").decode("latin-1").strip()
    return value if len(value) <= LONGEST else ""


def _parse_date(response: Response, name: str) -> float | None:
    """Return the date in a header as Unix seconds; None if there is none."""
    parsed = email.utils.parsedate_tz(_get_header(response, name))
    try:
        return email.utils.mktime_tz(parsed) if parsed else None
    except (ValueError, OverflowError):
        return None
