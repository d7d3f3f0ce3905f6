"""Sessions that a person has opened in a browser and put into a secret file: cookies, with when they run out.

`keys/session/NAME` is a file of cookies as browsers export them (Netscape's `cookies.txt`). Nothing here logs in: what anybody
finds on a site is no way into another, and a session that has run out is for a person to open again. Cookies that a site sends
are kept as long as the process lives; the file is never written.
"""

from __future__ import annotations

from dataclasses import dataclass
from http.cookiejar import Cookie
from typing import Self

from scrapy import Request
from scrapy.crawler import Crawler
from scrapy.http import Response
from scrapy.http.cookies import CookieJar

from crawlers.sites.site import Site
from ullage.errors import ConfigError
from ullage.security.keys import KeyStore

FOLDER = "session"
HTTP_ONLY = "#HttpOnly_"
FIELDS = 7


@dataclass(slots=True)
class Session:
    """The cookies of a site. `ends_at` is when the first of those that the file names runs out, in Unix seconds; 0 for never."""

    lines: tuple[str, ...]
    jar: CookieJar
    ends_at: float

    def is_over(self, now: float) -> bool:
        """Whether it has run out."""
        return 0 < self.ends_at <= now


def session_of(keys: KeyStore, site: Site) -> Session:
    """The session that the file of `site` names; ConfigError where it is missing, or no such file."""
    name = f"{FOLDER}/{site.cookies}"
    lines = tuple(line for line in keys.lines(name) if line and (line.startswith(HTTP_ONLY) or not line.startswith("#")))
    jar, ends = CookieJar(), []
    for number, line in enumerate(lines, 1):
        if (cookie := _cookie(line)) is None:
            raise ConfigError(f"keys/{name}: cookie {number} is none of cookies.txt: seven fields with tabs between them")
        jar.set_cookie(cookie)
        ends += [float(cookie.expires)] if cookie.expires else []
    if not lines:
        raise ConfigError(f"keys/{name} holds no cookie")
    return Session(lines, jar, min(ends, default=0.0))


def _cookie(line: str) -> Cookie | None:
    fields = line.removeprefix(HTTP_ONLY).split("\t")
    fields += [""] * (len(fields) == FIELDS - 1)  # an empty value at the end of a line that was stripped
    if len(fields) != FIELDS or not (when := fields[4].partition(".")[0]).isdecimal():
        return None
    domain, below, path, secure, _, name, value = fields
    ends = int(when)
    return Cookie(
        0, name, value, None, False, domain, below == "TRUE", domain.startswith("."), path, True, secure == "TRUE",
        ends or None, not ends, None, None, {},
    )  # fmt: skip


class SessionCookies:
    """Sends the cookies of the visit's session to the hosts that they are for, and takes what the site puts in their place."""

    def __init__(self, session: Session | None) -> None:
        self._jar = session.jar if session else None

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        """Scrapy's way to make a middleware; a look that is no visit has no session."""
        return cls(getattr(crawler.spider.visit, "session", None))  # type: ignore[union-attr]

    def process_request(self, request: Request) -> None:
        """Nothing of another host's, after a redirect."""
        request.headers.pop("Cookie", None)
        if self._jar is not None:
            self._jar.add_cookie_header(request)

    def process_response(self, request: Request, response: Response) -> Response:
        """Keep what is new."""
        if self._jar is not None:
            self._jar.extract_cookies(response, request)
        return response
