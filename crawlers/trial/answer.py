"""Describe what a probed site returned, and recognise pages that scripts fill.

Such a page has little text, has scripts, and has an empty element for them or a note to visitors
without scripts. If the page holds its data as JSON, a site's file can name it (`embedded`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urldefrag

from parsel import Selector
from scrapy.http import Response, TextResponse

from crawlers.fetching import response_checks
from crawlers.frontier.leases import PageLease
from crawlers.platforms import Platform
from crawlers.sites import visit_verdict
from crawlers.sites.pages import PageAddress, PageContent
from crawlers.sites.site import Site
from ullage.errors import RecordError
from ullage.guard import FaultGuard


@dataclass(frozen=True, slots=True)
class ProbeResponse:
    """The result of one request.

    `outcome` is a word of `fetching.outcomes`, `cause` one of `sites.visit_verdict`.
    """

    url: str
    outcome: str
    response: Response | None = None
    cause: str = ""
    led_to: str = ""
    """Where the site sent us and we did not go."""

    @property
    def word(self) -> str:
        """Return why a request failed, as a word of `sites.visit_verdict`; "" for outcome `ok`."""
        return "" if self.outcome == "ok" else visit_verdict.to_reason(self.outcome, self.cause)


@dataclass(frozen=True, slots=True)
class Robots:
    """The rules of robots.txt for an address; `word` is the reason if they are unknown."""

    status: int
    allowed: bool
    delay: float
    word: str = ""


class Asks(Protocol):
    """The requests that can be made to a site; implemented by `crawlers.trial.fetch.Pages`."""

    async def get(self, url: str) -> ProbeResponse:
        """Request `url` and return the result."""

    def by_script(self) -> Asks:
        """Return these requests with pages rendered in a browser."""

    async def robots(self, url: str) -> Robots:
        """Return the rules of robots.txt for `url`."""

    async def is_outside(self, host: str) -> bool:
        """Return whether a host is known to be outside of the organization."""


@dataclass(slots=True)
class ProbeCache:
    """Requests to a site that are made only one time per address."""

    pages: Asks
    answers: dict[str, ProbeResponse] = field(default_factory=dict)

    async def get(self, url: str) -> ProbeResponse:
        """Return the result for `url`, requesting it only the first time, without its fragment.

        Failed results are kept, too.
        """
        plain = urldefrag(url).url
        if plain not in self.answers:
            self.answers[plain] = await self.pages.get(plain)
        return self.answers[plain]

    def by_script(self) -> Asks:
        """Return requests that render pages in a browser; they do not use this cache."""
        return self.pages.by_script()

    async def robots(self, url: str) -> Robots:
        """Return the rules of robots.txt for `url`."""
        return await self.pages.robots(url)

    async def is_outside(self, host: str) -> bool:
        """Return whether a host is known to be outside of the organization."""
        return await self.pages.is_outside(host)


@dataclass(frozen=True, slots=True)
class ProbedPage:
    """One page that was requested and parsed.

    `word` is the reason if it could not be read (`crawlers.sites.visit_verdict`), else "".
    """

    page: PageAddress
    answer: ProbeResponse
    parsed: PageContent
    word: str = ""

    @property
    def entries(self) -> tuple[PageAddress, ...]:
        """Return all pages of threads or pastes that this page links to, in page order."""
        return tuple(page for page in self.parsed.pages if page.role != "list")

    @property
    def lists(self) -> tuple[PageAddress, ...]:
        """Return the lists whose first page this page links to, in page order."""
        return tuple(page for page in self.parsed.pages if page.role == "list" and page.number == 1)

    @property
    def older(self) -> PageAddress | None:
        """Return the first linked page of number 2 or more of this page's kind; None without one.

        The kind is list, or thread and paste.
        """
        return next(
            (
                p
                for p in self.parsed.pages
                if p.number > 1 and (p.role == "list") == (self.page.role == "list")
            ),
            None,
        )


def parse_page(
    page: PageAddress, answer: ProbeResponse, platform: Platform, site: Site, guard: FaultGuard
) -> ProbedPage:
    """Return the page, what `platform` reads on it, and why a visit could not read it.

    The content is empty if the request failed (its own reason) or parsing failed (`parse`). A bug
    of the platform is reported by a lenient `guard` and raised by a strict one. Otherwise the
    reason is that of the page's outcome, "" for a page that is read.
    """
    if answer.word or answer.response is None:
        return ProbedPage(page, answer, PageContent(), answer.word)
    response = answer.response
    try:
        parsed = guard.run("parse", lambda: platform.parse(page, response, site), None)
    except RecordError:
        parsed = None
    if parsed is None:
        return ProbedPage(page, answer, PageContent(), "parse")
    outcome = response_checks.classify_page(
        PageLease(site.name, b"", page, b"", 0), response, parsed, site
    )
    return ProbedPage(page, answer, parsed, ProbeResponse(answer.url, outcome).word)


MOST_TEXT = 400
"""The most letters of a page that a script has still to fill."""
LEAST_DATA = 200
"""The fewest characters of JSON that hold data; less are only settings."""
EMPTY = (
    "#app, #root, #__next, #__nuxt, #___gatsby, #svelte, app-root, [ng-app], [data-reactroot],"
    " [data-server-rendered]"
)
WORDS = re.compile(r"(?i)javascript|启用\s*js|開啟\s*js")
GLOBAL = re.compile(
    r"(?:window\.|var |let |const"
    r" )(__\w+__|[A-Z_]{5,}|initial\w+|preloaded\w+)\s*=\s*(?:JSON\.parse\(|[{\[])"
)


def is_filled_by_script(response: Response | None) -> bool:
    """Return whether an HTML page probably gets its text from scripts.

    True for a page with a script and at most MOST_TEXT letters that has an element for an
    application without links, or a `noscript` text that mentions JavaScript. False for None and for
    other content.
    """
    if not isinstance(response, TextResponse) or response.selector.type != "html":
        return False
    page = response.selector
    if not page.css("script") or response_checks.count_letters(response) > MOST_TEXT:
        return False
    waits = any(not element.css("a") for element in page.css(EMPTY))
    return waits or any(
        WORDS.search(text) for text in page.css("noscript").xpath("string()").getall()
    )


def find_data(response: Response | None) -> str:
    """Return a selector of the script with the longest JSON for scripts; "" if none has LEAST_DATA.

    The selector fits the option `embedded` of a site's file. "" also for None and for a response
    that is no HTML.
    """
    if not isinstance(response, TextResponse) or response.selector.type != "html":
        return ""
    texts = ((script, script.xpath("string()").get("")) for script in response.css("script"))
    selectors = [
        (len(text), named) for script, text in texts if (named := _select_script(script, text))
    ]
    size, named = max(selectors, default=(0, ""))
    return named if size >= LEAST_DATA else ""


def _select_script(script: Selector, text: str) -> str:
    """Return a selector of a script that holds data; "" for other scripts."""
    if "json" in script.attrib.get("type", "") and "ld+json" not in script.attrib["type"]:
        element_id = script.attrib.get("id", "")
        return (
            f"css:script#{element_id}"
            if re.fullmatch(r"[A-Za-z_][\w-]*", element_id)
            else "css:script[type*=json]"
        )
    match = GLOBAL.search(text)
    return f"xpath://script[contains(., '{match[1]}')]" if match else ""
