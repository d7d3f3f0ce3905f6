"""What comes back of a site that is tried."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urldefrag

from scrapy.http import Response

from crawlers.fetching import response_checks
from crawlers.frontier.database import PageLease
from crawlers.platforms import Platform
from crawlers.sites import reasons
from crawlers.sites.pages import PageAddress, PageContent
from crawlers.sites.site import Site
from ullage.errors import RecordError

UNPARSED = (RecordError, ValueError, LookupError, TypeError, AttributeError)


@dataclass(frozen=True, slots=True)
class ProbeResponse:
    """What came of one request. `outcome` is a word of `crawlers.fetching.outcomes`, `cause` one of `crawlers.sites.reasons`."""

    url: str
    outcome: str
    response: Response | None = None
    cause: str = ""
    led_to: str = ""
    """Where the site sent us and we did not go."""

    @property
    def word(self) -> str:
        """What speaks against it, as a word of `crawlers.sites.reasons`; "" where nothing does."""
        return "" if self.outcome == "ok" else reasons.of_outcome(self.outcome, self.cause)


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
    """One page, read. `word` says what speaks against it, as `crawlers.sites.reasons` has it; "" for nothing."""

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
        return next((p for p in self.parsed.pages if p.number > 1 and (p.role == "list") == (self.page.role == "list")), None)


def made_of(page: PageAddress, answer: ProbeResponse, platform: Platform, site: Site) -> ProbedPage:
    """What a platform reads on a page, and what a visit would say of it."""
    if answer.word or answer.response is None:
        return ProbedPage(page, answer, PageContent(), answer.word)
    try:
        parsed = platform.parse(page, answer.response, site)
    except UNPARSED:
        return ProbedPage(page, answer, PageContent(), "parse")
    outcome = response_checks.of_page(PageLease(site.name, b"", page, b"", 0), answer.response, parsed, site)
    return ProbedPage(page, answer, parsed, ProbeResponse(answer.url, outcome).word)
