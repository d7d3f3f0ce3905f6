"""Use sessions that a person opened in a browser: cookies, or a token, from a secret file.

`keys/session/NAME` is a file of cookies as browsers export them (Netscape's `cookies.txt`), or one
line `Authorization: …`, a token for a service's interface, which is sent only to the origins of
`start`. Nothing here logs in: credentials found on a site are never used, and a session that has
expired must be opened again by a person. Cookies that a site sends are kept as long as the process
lives; the file is never written.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from http.cookiejar import Cookie
from typing import Self
from urllib.parse import urlsplit

from scrapy import Request
from scrapy.crawler import Crawler
from scrapy.http import Response
from scrapy.http.cookies import CookieJar

from crawlers.sites.site import Site
from ullage.errors import ConfigError
from ullage.security.keys import KeyStore

FOLDER = "session"
HTTP_ONLY = "#HttpOnly_"
HEADER = "authorization:"
FIELDS = 7


@dataclass(slots=True)
class SiteLogin:
    """The cookies or the token of a site.

    `ends_at` is when the first cookie of the file expires, in Unix seconds; 0 for never.
    """

    lines: tuple[str, ...]
    jar: CookieJar
    ends_at: float
    authorization: str = ""
    """What is said in a header of that name."""

    def has_expired(self, now: float) -> bool:
        """Return whether the session has expired."""
        return 0 < self.ends_at <= now


def load_session(keys: KeyStore, site: Site) -> SiteLogin:
    """Return the session in the file that `site.cookies` names.

    The file has cookies in cookies.txt form, or one line with a bearer token. Lines that begin with
    # are comments. Its end is that of the first cookie to expire, 0 if none does. Raises
    ConfigError if the file is missing, empty or malformed.
    """
    name = f"{FOLDER}/{site.cookies}"
    lines = tuple(
        line
        for line in keys.read_lines(name)
        if line and (line.startswith(HTTP_ONLY) or not line.startswith("#"))
    )
    if lines and lines[0].lower().startswith(HEADER):
        token = lines[0][len(HEADER) :].strip()
        if len(lines) > 1 or not token:
            raise ConfigError(f"keys/{name}: a token must be one line, Authorization: Bearer TOKEN")
        return SiteLogin(lines, CookieJar(), 0.0, token)
    jar, ends = CookieJar(), []
    for number, line in enumerate(lines, 1):
        if (cookie := _parse_cookie(line)) is None:
            raise ConfigError(
                f"keys/{name}: cookie {number} must be in cookies.txt form: seven fields"
                " separated by tabs"
            )
        jar.set_cookie(cookie)
        ends += [float(cookie.expires)] if cookie.expires else []
    if not lines:
        raise ConfigError(f"keys/{name} contains no cookies: export them in cookies.txt form")
    return SiteLogin(lines, jar, min(ends, default=0.0))


def _parse_cookie(line: str) -> Cookie | None:
    """Parse a line of cookies.txt into a cookie.

    Returns None if it has not seven fields separated by tabs, or its time is no number. A missing
    last field counts as an empty value.
    """
    fields = line.removeprefix(HTTP_ONLY).split("\t")
    # an empty value at the end of a line that was stripped
    fields += [""] * (len(fields) == FIELDS - 1)
    if len(fields) != FIELDS or not (when := fields[4].partition(".")[0]).isdecimal():
        return None
    domain, below, path, secure, _, name, value = fields
    ends = int(when)
    return Cookie(
        0, name, value, None, False, domain, below == "TRUE", domain.startswith("."), path, True,
        secure == "TRUE",
        ends or None, not ends, None, None, {},
    )  # fmt: skip


class SessionCookies:
    """Send the session's cookies to their hosts, and accept the site's replacements for them.

    A token is sent only to the `origins`, addresses that a person wrote.
    """

    def __init__(self, session: SiteLogin | None, origins: Collection[str] = ()) -> None:
        self._jar = session.jar if session else None
        self._token, self._origins = session.authorization if session else "", origins

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        """Build the middleware; a probe that is no visit has no session."""
        visit = crawler.spider.visit  # type: ignore[union-attr]
        session = getattr(visit, "session", None)
        return cls(session, {_get_origin(url) for url in visit.site.start} if session else ())

    def process_request(self, request: Request) -> None:
        """Replace cookies and token, which may be another host's after a redirect."""
        request.headers.pop("Cookie", None)
        request.headers.pop("Authorization", None)
        if self._token and _get_origin(request.url) in self._origins:
            request.headers["Authorization"] = self._token
        if self._jar is not None:
            self._jar.add_cookie_header(request)

    def process_response(self, request: Request, response: Response) -> Response:
        """Keep new cookies."""
        if self._jar is not None:
            self._jar.extract_cookies(response, request)
        return response


def _get_origin(url: str) -> str:
    """Return scheme, host and port of an address, without a default port."""
    parts = urlsplit(url)
    usual = {"http": 80, "https": 443}.get(parts.scheme)
    return f"{parts.scheme}://{parts.hostname}" + (
        f":{parts.port}" if parts.port not in {None, usual} else ""
    )
