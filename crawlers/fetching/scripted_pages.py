"""Render pages in a browser if their request demands it (`RENDER`), and fetch what scripts request.

Every rule for pages also applies to what fills them: the hosts that the site's file names,
addresses, robots.txt, pace, proxy, session and size. A challenge is never given to a browser, which
might solve it. Each script is fetched one time per visit.
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
from crawlers.fetching.outcomes import DOWNLOAD_ERRORS, to_error_outcome
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
    """What the scripts of one page requested, and how many bytes they may still receive."""

    left: int
    lacks: list[str] = field(default_factory=list)
    """Outcomes of what they did not get."""
    data: list[str] = field(default_factory=list)


class ScriptPages:
    """Middleware next to the spider, above redirects and decompression, that renders pages."""

    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler
        visit = crawler.spider.visit  # type: ignore[union-attr]
        self._browsers: Browsers | None = getattr(visit, "browsers", None)
        self._agent, self._limit = (
            str(crawler.settings["USER_AGENT"]),
            crawler.settings.getint("DOWNLOAD_MAXSIZE"),
        )
        self._scripts: dict[str, BrowserResponse] = {}

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> ScriptPages:
        """Build the middleware (Scrapy's interface)."""
        return cls(crawler)

    async def process_response(self, request: Request, response: Response) -> Response:
        """Return the response with its page rendered by a browser, if the request asks for it.

        Other responses, and those that are not the site's own page, are returned unchanged. Stores
        in the request's `meta` which JSON the scripts loaded. Raises RequestRefusal: `browser` if
        there is no browser or none starts, `script` if the scripts do not finish within their
        limits.
        """
        if not request.meta.get(RENDER) or not is_own_page(request.url, response):
            return response
        if self._browsers is None:
            raise RequestRefusal("browser")
        requested = _ScriptRequest(self._limit)
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
            return await self._fetch_for_script(requested, url, kind, headers)

        try:
            rendered = await self._browsers.render(
                _keep_fragment(response.url, request.url), page, self._agent, ask
            )
        except BrowserError:
            raise RequestRefusal("browser") from None
        except ScriptError:
            raise RequestRefusal("script") from None
        request.meta[DATA] = requested.data
        return _build_response(response, rendered, requested.lacks)

    async def _fetch_for_script(
        self, requested: _ScriptRequest, url: str, kind: str, headers: Mapping[str, str]
    ) -> BrowserResponse | None:
        """Return the response to a script's request.

        Returns None if its address is invalid, or it is refused or fails. A refusal, a failure and
        an unusual response are added to `requested.lacks`, and the addresses of JSON of
        LEAST_JSON_BYTES (200) or more to `requested.data`. Scripts are cached for later pages, up
        to KEPT_BYTES (16 MiB). Raises ScriptError if the page's scripts have loaded more bytes than
        they may.
        """
        if cached := self._scripts.get(url):
            return cached
        try:
            request = Request(
                url, headers=_select_headers(headers), callback=NO_CALLBACK, dont_filter=True
            )
        except ValueError:
            return None
        assert self._crawler.engine is not None
        try:
            response = await self._crawler.engine.download_async(request)
        except (IgnoreRequest, *DOWNLOAD_ERRORS) as error:
            requested.lacks.append(to_error_outcome(error))
            return None
        requested.left -= len(response.body)
        if requested.left < 0 or STOPPED in response.flags:
            raise ScriptError
        outcome = response_checks.classify_answer(url, response)
        if outcome != "ok":
            requested.lacks.append(outcome)
        elif (
            parse_content_type(response)[0].endswith("json")
            and len(response.body) >= LEAST_JSON_BYTES
        ):
            requested.data.append(response.url)
        answer = BrowserResponse(response.body, _select_response_headers(response), response.status)
        if (
            kind == "script"
            and outcome == "ok"
            and self._count_cached_bytes() + len(answer.body) <= KEPT_BYTES
        ):
            self._scripts[url] = answer
        return answer

    def _count_cached_bytes(self) -> int:
        """Return the size of all cached scripts."""
        return sum(len(cached.body) for cached in self._scripts.values())


def _keep_fragment(url: str, asked: str) -> str:
    """Return the response's address with the fragment of the request, by which scripts route."""
    fragment = urlsplit(asked).fragment
    return f"{urldefrag(url).url}#{fragment}" if fragment else url


def is_own_page(asked: str, response: Response) -> bool:
    """Return whether a response is a page of the site, and no error or challenge."""
    if (
        not isinstance(response, TextResponse)
        or parse_content_type(response)[0] not in response_checks.PAGES
    ):
        return False
    is_ok = response_checks.classify_answer(asked, response) == "ok"
    return is_ok and not response_checks.is_challenge(
        response, body=not response_checks.is_listing(response)
    )


def _select_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers of a script's request that may go out.

    Headers that identify us or tell where we were are left out.
    """
    names = {name: name.lower() for name in headers}
    return {
        name: headers[name]
        for name, low in names.items()
        if low.startswith(("accept", "x-")) and low not in OURS
    }


def _select_response_headers(response: Response) -> list[tuple[str, str]]:
    """Return the headers of a response that the browser may see."""
    headers = (
        (name, value)
        for name, values in response.headers.items()
        if name.lower() not in NOT_GIVEN
        for value in values
    )
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]


def _build_response(response: Response, rendered: RenderedPage, lacks: list[str]) -> Response:
    """Return the response with the rendered page as its body, in UTF-8, whatever it was before.

    Its flags tell what the scripts lacked: each of `lacks`, `redirects` if the page led elsewhere,
    `script` if it wanted to send data or shows no letters. A page that was cut has the flag
    `download_stopped`.
    """
    headers = response.headers.copy()
    headers["Content-Type"] = b"text/html; charset=utf-8"
    flags = [
        *response.flags,
        *([STOPPED] if rendered.is_cut and STOPPED not in response.flags else []),
    ]
    body = rendered.text.encode("utf-8", "replace")
    rendered_response = response.replace(
        cls=HtmlResponse, body=body, headers=headers, encoding="utf-8"
    )
    events = {
        "redirects": rendered.leads_on,
        "script": rendered.would_write or not response_checks.count_letters(rendered_response),
    }
    lacks = [*lacks, *(outcome for outcome, holds in events.items() if holds)]
    return rendered_response.replace(
        flags=[*flags, *(response_checks.LACKS + outcome for outcome in dict.fromkeys(lacks))]
    )
