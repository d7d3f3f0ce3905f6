"""Find the older posts of a blog whose list has no next page: they stand in archives by month,
which are read as lists too.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from scrapy.http import Response, TextResponse

from crawlers.platforms.board import PLATFORM
from crawlers.sites.pages import PageAddress
from crawlers.sites.site import Site
from crawlers.trial import guess
from crawlers.trial.answer import Asks, ProbedPage, made_of
from ullage.guard import FaultGuard

MONTH = re.compile(
    r"^(?P<before>https?://[^?#]*/)(?P<year>(?:19|20)\d\d)/(?P<month>0?[1-9]|1[0-2])/?$"
)
UNREAD = "older posts stand in archives by month, which are not read"


async def with_archives(
    listing: ProbedPage, site: Site, pages: Asks, guard: FaultGuard
) -> tuple[Site, str]:
    """Return the site as one whose archives are read, and what of them is not, as a sentence; ""
    for nothing.

    The oldest archive is asked for. A list with a next page needs none.
    """
    response, pattern = listing.answer.response, str(site.options.get("pattern", ""))
    if response is None or listing.older is not None or not pattern:
        return site, ""
    oldest = _oldest(response)
    answer = await pages.get(oldest) if oldest else None
    if answer is None or answer.response is None or answer.word:
        return site, ""
    known = {guess.name_by(pattern, page.url) for page in listing.entries}
    older = guess.names_on(answer.response, pattern) - known
    if not older:
        return site, ""
    match = MONTH.match(oldest)
    before = re.escape(urlsplit(match["before"]).path).replace(r"\-", "-") if match else "/"
    months = rf"^https?://[^/]+{before}(?P<id>(?:19|20)\d\d/(?:0?[1-9]|1[0-2]))/?$"
    known_lists = site.options.get("lists_pattern")
    patterns = [*(known_lists if isinstance(known_lists, list) else []), months]
    wider = site.model_copy(
        update={"options": {**site.options, "lists": ["a"], "lists_pattern": patterns}}
    )
    archive = made_of(PageAddress(oldest, "list"), answer, PLATFORM, wider, guard)
    read = {guess.name_by(pattern, page.url) for page in archive.entries}
    return (wider, archive.parsed.shortfall) if older <= read else (site, UNREAD)


def _oldest(response: Response) -> str:
    """Return the address of the oldest archive that a page leads to; "" for none."""
    if not isinstance(response, TextResponse) or response.selector.type != "html":
        return ""
    here = urlsplit(response.url).netloc
    urls = [
        url
        for url in map(response.urljoin, response.css("a::attr(href)").getall())
        if urlsplit(url).netloc == here
    ]
    months = {
        (match["before"], int(match["year"]), int(match["month"])): url
        for url in urls
        if (match := MONTH.match(url))
    }
    return months[min(months, key=lambda month: month[1:])] if months else ""
