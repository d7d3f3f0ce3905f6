"""Sessions that a person has opened in a browser and put into a secret file: cookies, with when
they run out; or a token.

`keys/session/NAME` is a file of cookies as browsers export them (Netscape's `cookies.txt`), or one
line `Authorization: …`, a token that a service gave us for its interface, which goes to the origins
of `start` alone. Nothing here logs in: what anybody finds on a site is no way into another, and a
session that has run out is for a person to open again. Cookies that a site sends are kept as long
as the process lives; the file is never written.
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

    `ends_at` is when the first of those that the file names runs out, in Unix seconds; 0 for never.
    """

    lines: tuple[str, ...]
    jar: CookieJar
    ends_at: float
    authorization: str = ""
    """What is said in a header of that name."""

    def is_over(self, now: float) -> bool:
        """Whether it has run out."""
        return 0 < self.ends_at <= now


def session_of(keys: KeyStore, site: Site) -> SiteLogin:
    """The session that the file of `site` names; ConfigError where it is missing, or no such
    file.
    """
    name = f"{FOLDER}/{site.cookies}"
    lines = tuple(
        line
        for line in keys.lines(name)
        if line and (line.startswith(HTTP_ONLY) or not line.startswith("#"))
    )
    if lines and lines[0].lower().startswith(HEADER):
        said = lines[0][len(HEADER) :].strip()
        if len(lines) > 1 or not said:
            raise ConfigError(f"keys/{name}: a token is one line, Authorization: Bearer TOKEN")
        return SiteLogin(lines, CookieJar(), 0.0, said)
    jar, ends = CookieJar(), []
    for number, line in enumerate(lines, 1):
        if (cookie := _cookie(line)) is None:
            raise ConfigError(
                f"keys/{name}: cookie {number} is none of cookies.txt: seven fields with tabs"
                " between them"
            )
        jar.set_cookie(cookie)
        ends += [float(cookie.expires)] if cookie.expires else []
    if not lines:
        raise ConfigError(f"keys/{name} holds no cookie")
    return SiteLogin(lines, jar, min(ends, default=0.0))


def _cookie(line: str) -> Cookie | None:
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
    """Sends the cookies of the visit's session to the hosts that they are for, and takes what the
    site puts in their place.

    A token is sent to the `origins` alone, whose addresses a person wrote.
    """

    def __init__(self, session: SiteLogin | None, origins: Collection[str] = ()) -> None:
        self._jar = session.jar if session else None
        self._token, self._origins = session.authorization if session else "", origins

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        """Scrapy's way to make a middleware; a look that is no visit has no session."""
        visit = crawler.spider.visit  # type: ignore[union-attr]
        session = getattr(visit, "session", None)
        return cls(session, {_origin(url) for url in visit.site.start} if session else ())

    def process_request(self, request: Request) -> None:
        """Nothing of another host's, after a redirect."""
        request.headers.pop("Cookie", None)
        request.headers.pop("Authorization", None)
        if self._token and _origin(request.url) in self._origins:
            request.headers["Authorization"] = self._token
        if self._jar is not None:
            self._jar.add_cookie_header(request)

    def process_response(self, request: Request, response: Response) -> Response:
        """Keep what is new."""
        if self._jar is not None:
            self._jar.extract_cookies(response, request)
        return response


def _origin(url: str) -> str:
    """Scheme, host and port of an address, without the latter where it is the usual one."""
    parts = urlsplit(url)
    usual = {"http": 80, "https": 443}.get(parts.scheme)
    return f"{parts.scheme}://{parts.hostname}" + (
        f":{parts.port}" if parts.port not in {None, usual} else ""
    )
