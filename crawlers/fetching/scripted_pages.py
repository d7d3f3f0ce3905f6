"""Gives the spider a page as its scripts make it, where its request wants that (`RENDER`); what
they ask for is asked for by us.

So all that holds of a page holds of what fills it: hosts that the site's file names, addresses,
robots.txt, pace, proxy, session and size. A challenge is not given to a browser, which might solve
it. Scripts are asked for once a visit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urldefrag, urlsplit

from scrapy import Request
from scrapy.crawler import Crawler
from scrapy.exceptions import IgnoreRequest
from scrapy.http import HtmlResponse, Response, TextResponse
from scrapy.http.request import NO_CALLBACK

from crawlers.fetching import RequestRefusal, response_checks
from crawlers.fetching.body_limit import STOPPED
from crawlers.fetching.outcomes import DOWNLOAD_ERRORS, of_error
from crawlers.fetching.rendering import (
    BrowserError,
    BrowserResponse,
    Browsers,
    RenderedPage,
    ScriptError,
)
from crawlers.sites.selectors import parse_content_type

RENDER = "ullage_render"
DATA = "ullage_data"
"""In a page's meta, the addresses of JSON that its scripts asked for."""
KEPT_BYTES = 16 << 20
"""Of scripts, for the next pages of a visit."""
LEAST_JSON_BYTES = 200
OURS = frozenset(
    {"accept-charset", "accept-encoding", "x-forwarded-for", "x-forwarded-host", "x-real-ip"}
)
"""Headers that a script does not choose."""
NOT_GIVEN = frozenset(
    {
        b"content-encoding",
        b"content-length",
        b"transfer-encoding",
        b"connection",
        b"set-cookie",
        b"location",
        b"refresh",
    }
)
"""Headers of an answer that are done with, or would have the browser do more than read it."""


@dataclass(slots=True)
class _ScriptRequest:
    """What the scripts of one page asked for."""

    left: int
    lacks: list[str] = field(default_factory=list)
    """Outcomes of what they did not get."""
    data: list[str] = field(default_factory=list)


class ScriptPages:
    """Stands next to the spider, above redirects and decompression."""

    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler
        self._browsers: Browsers | None = getattr(crawler.spider.visit, "browsers", None)  # type: ignore[union-attr]
        self._agent, self._limit = (
            str(crawler.settings["USER_AGENT"]),
            crawler.settings.getint("DOWNLOAD_MAXSIZE"),
        )
        self._scripts: dict[str, BrowserResponse] = {}

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> ScriptPages:
        """Scrapy's way to make a middleware."""
        return cls(crawler)

    async def process_response(self, request: Request, response: Response) -> Response:
        """The page as its scripts make it; refuses with `browser` where there is none, with
        `script` where they do not end.
        """
        if not request.meta.get(RENDER) or not is_page(request.url, response):
            return response
        if self._browsers is None:
            raise RequestRefusal("browser")
        asked = _ScriptRequest(self._limit)
        page = BrowserResponse(
            response.body,
            [
                (
                    "Content-Type",
                    (response.headers.get("Content-Type") or b"text/html").decode("latin-1"),
                )
            ],
        )

        async def ask(url: str, kind: str, headers: Mapping[str, str]) -> BrowserResponse | None:
            return await self._ask(asked, url, kind, headers)

        try:
            rendered = await self._browsers.render(
                _routed(response.url, request.url), page, self._agent, ask
            )
        except BrowserError:
            raise RequestRefusal("browser") from None
        except ScriptError:
            raise RequestRefusal("script") from None
        request.meta[DATA] = asked.data
        return _made(response, rendered, asked.lacks)

    async def _ask(
        self, asked: _ScriptRequest, url: str, kind: str, headers: Mapping[str, str]
    ) -> BrowserResponse | None:
        """What a script of a page asks for, as an answer to its request; None for what is
        refused or does not come.
        """
        if known := self._scripts.get(url):
            return known
        try:
            request = Request(url, headers=_wanted(headers), callback=NO_CALLBACK, dont_filter=True)
        except ValueError:
            return None
        assert self._crawler.engine is not None
        try:
            response = await self._crawler.engine.download_async(request)
        except (IgnoreRequest, *DOWNLOAD_ERRORS) as error:
            asked.lacks.append(of_error(error))
            return None
        asked.left -= len(response.body)
        if asked.left < 0 or STOPPED in response.flags:
            raise ScriptError
        outcome = response_checks.of_answer(url, response)
        if outcome != "ok":
            asked.lacks.append(outcome)
        elif (
            parse_content_type(response)[0].endswith("json")
            and len(response.body) >= LEAST_JSON_BYTES
        ):
            asked.data.append(response.url)
        given = BrowserResponse(response.body, _headers(response), response.status)
        if kind == "script" and outcome == "ok" and self._kept() + len(given.body) <= KEPT_BYTES:
            self._scripts[url] = given
        return given

    def _kept(self) -> int:
        return sum(len(given.body) for given in self._scripts.values())


def _routed(url: str, asked: str) -> str:
    """The address of an answer with the part behind `#` of what was asked for: a script may tell
    its pages by that.
    """
    fragment = urlsplit(asked).fragment
    return f"{urldefrag(url).url}#{fragment}" if fragment else url


def is_page(asked: str, response: Response) -> bool:
    """Whether an answer is a page of the site's own, and neither an error nor a challenge."""
    if (
        not isinstance(response, TextResponse)
        or parse_content_type(response)[0] not in response_checks.PAGES
    ):
        return False
    is_ours = response_checks.of_answer(asked, response) == "ok"
    return is_ours and not response_checks.is_challenge(
        response, body=not response_checks.is_listing(response)
    )


def _wanted(headers: Mapping[str, str]) -> dict[str, str]:
    """What of a script's headers goes out: what it would have, and its own; never who we are or
    where we were.
    """
    names = {name: name.lower() for name in headers}
    return {
        name: headers[name]
        for name, low in names.items()
        if low.startswith(("accept", "x-")) and low not in OURS
    }


def _headers(response: Response) -> list[tuple[str, str]]:
    found = (
        (name, value)
        for name, values in response.headers.items()
        if name.lower() not in NOT_GIVEN
        for value in values
    )
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in found]


def _made(response: Response, rendered: RenderedPage, lacks: list[str]) -> Response:
    """The answer with what the page is now, in UTF-8 whatever it was before; what it lacks is
    told by its flags.
    """
    headers = response.headers.copy()
    headers["Content-Type"] = b"text/html; charset=utf-8"
    flags = [
        *response.flags,
        *([STOPPED] if rendered.is_cut and STOPPED not in response.flags else []),
    ]
    body = rendered.text.encode("utf-8", "replace")
    made = response.replace(cls=HtmlResponse, body=body, headers=headers, encoding="utf-8")
    said = {
        "redirects": rendered.leads_on,
        "script": rendered.would_write or not response_checks.letters(made),
    }
    lacks = [*lacks, *(outcome for outcome, holds in said.items() if holds)]
    return made.replace(
        flags=[*flags, *(response_checks.LACKS + outcome for outcome in dict.fromkeys(lacks))]
    )
