"""What comes back of a site that is tried.

It has little text and scripts, and an empty element for what they make or a word to those who have
none. Where its data stands in it as JSON, a site's file can name that (`embedded`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urldefrag

from parsel import Selector
from scrapy.http import Response, TextResponse

from crawlers.fetching import response_checks
from crawlers.frontier.database import PageLease
from crawlers.platforms import Platform
from crawlers.sites import visit_verdict
from crawlers.sites.pages import PageAddress, PageContent
from crawlers.sites.site import Site
from ullage.errors import RecordError
from ullage.guard import FaultGuard


@dataclass(frozen=True, slots=True)
class ProbeResponse:
    """What came of one request.

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
        """What speaks against it, as a word of `crawlers.sites.visit_verdict`; "" where nothing
        does.
        """
        return "" if self.outcome == "ok" else visit_verdict.to_reason(self.outcome, self.cause)


@dataclass(frozen=True, slots=True)
class Robots:
    """What robots.txt says of an address; `word` is why nobody knows, where that is so."""

    status: int
    allowed: bool
    delay: float
    word: str = ""


class Asks(Protocol):
    """The means to ask a site; `crawlers.trial.fetch.Pages` is one."""

    async def get(self, url: str) -> ProbeResponse:
        """The answer to a request for `url`."""

    def by_script(self) -> Asks:
        """The means to ask for pages as their scripts make them."""

    async def robots(self, url: str) -> Robots:
        """What robots.txt says of `url`."""

    async def is_outside(self, host: str) -> bool:
        """Whether a host leads out of this house, as far as can be told."""


@dataclass(slots=True)
class ProbeCache:
    """The means to ask a site for each address once."""

    pages: Asks
    answers: dict[str, ProbeResponse] = field(default_factory=dict)

    async def get(self, url: str) -> ProbeResponse:
        """The answer to a request for `url`, also to an earlier one."""
        plain = urldefrag(url).url
        if plain not in self.answers:
            self.answers[plain] = await self.pages.get(plain)
        return self.answers[plain]

    def by_script(self) -> Asks:
        """See `Asks`."""
        return self.pages.by_script()

    async def robots(self, url: str) -> Robots:
        """See `Asks`."""
        return await self.pages.robots(url)

    async def is_outside(self, host: str) -> bool:
        """See `Asks`."""
        return await self.pages.is_outside(host)


@dataclass(frozen=True, slots=True)
class ProbedPage:
    """One page, read.

    `word` says what speaks against it, as `crawlers.sites.visit_verdict` has it; "" for nothing.
    """

    page: PageAddress
    answer: ProbeResponse
    parsed: PageContent
    word: str = ""

    @property
    def entries(self) -> tuple[PageAddress, ...]:
        """The threads or pastes that it leads to."""
        return tuple(page for page in self.parsed.pages if page.role != "list")

    @property
    def lists(self) -> tuple[PageAddress, ...]:
        """Other lists that it leads to."""
        return tuple(page for page in self.parsed.pages if page.role == "list" and page.number == 1)

    @property
    def older(self) -> PageAddress | None:
        """Its next page."""
        return next(
            (
                p
                for p in self.parsed.pages
                if p.number > 1 and (p.role == "list") == (self.page.role == "list")
            ),
            None,
        )


def made_of(
    page: PageAddress, answer: ProbeResponse, platform: Platform, site: Site, guard: FaultGuard
) -> ProbedPage:
    """Return what a platform reads on a page, and what a visit would say of it; a fault of the
    platform is told to `guard`.
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
"""Letters of a page on which nothing is to be read yet."""
LEAST_DATA = 200
"""Characters of JSON that are more than settings."""
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
    """Whether it seems so."""
    if not isinstance(response, TextResponse) or response.selector.type != "html":
        return False
    page = response.selector
    if not page.css("script") or response_checks.count_letters(response) > MOST_TEXT:
        return False
    waits = any(not one.css("a") for one in page.css(EMPTY))
    return waits or any(
        WORDS.search(text) for text in page.css("noscript").xpath("string()").getall()
    )


def data_in(response: Response | None) -> str:
    """A selector of what holds a page's data as JSON, as `embedded` takes it; "" where there is
    none.
    """
    if not isinstance(response, TextResponse) or response.selector.type != "html":
        return ""
    texts = ((script, script.xpath("string()").get("")) for script in response.css("script"))
    found = [(len(text), named) for script, text in texts if (named := _named(script, text))]
    size, named = max(found, default=(0, ""))
    return named if size >= LEAST_DATA else ""


def _named(script: Selector, text: str) -> str:
    if "json" in script.attrib.get("type", "") and "ld+json" not in script.attrib["type"]:
        own = script.attrib.get("id", "")
        return (
            f"css:script#{own}"
            if re.fullmatch(r"[A-Za-z_][\w-]*", own)
            else "css:script[type*=json]"
        )
    told = GLOBAL.search(text)
    return f"xpath://script[contains(., '{told[1]}')]" if told else ""
