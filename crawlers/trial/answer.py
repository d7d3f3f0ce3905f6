"""What comes back of a site that is tried."""

from __future__ import annotations

from dataclasses import dataclass

from scrapy.http import Response

from crawlers.sites import reasons


@dataclass(frozen=True, slots=True)
class Answer:
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
