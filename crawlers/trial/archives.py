"""Find the older posts of a blog whose list has no next page, in archives by month.

The archives are read as lists too.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from scrapy.http import Response, TextResponse

from crawlers.platforms.board import PLATFORM
from crawlers.sites.pages import PageAddress
from crawlers.sites.site import Site
from crawlers.trial import guess
from crawlers.trial.answer import Asks, ProbedPage, parse_page
from ullage.guard import FaultGuard

MONTH = re.compile(
    r"^(?P<before>https?://[^?#]*/)(?P<year>(?:19|20)\d\d)/(?P<month>0?[1-9]|1[0-2])/?$"
)
UNREAD = "older posts are in monthly archives, which are not read"


async def add_archives(
    listing: ProbedPage, site: Site, pages: Asks, guard: FaultGuard
) -> tuple[Site, str]:
    """Return the site with its archives as lists, and a sentence about what is not read, or "".

    Only the oldest archive is requested. A list with a next page needs no archives.
    """
    response, pattern = listing.answer.response, str(site.options.get("pattern", ""))
    if response is None or listing.older is not None or not pattern:
        return site, ""
    oldest = _find_oldest(response)
    answer = await pages.get(oldest) if oldest else None
    if answer is None or answer.response is None or answer.word:
        return site, ""
    listed_names = {guess.to_name(pattern, page.url) for page in listing.entries}
    older = guess.find_names(answer.response, pattern) - listed_names
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
    archive = parse_page(PageAddress(oldest, "list"), answer, PLATFORM, wider, guard)
    read = {guess.to_name(pattern, page.url) for page in archive.entries}
    return (wider, archive.parsed.shortfall) if older <= read else (site, UNREAD)


def _find_oldest(response: Response) -> str:
    """Return the address of the oldest archive that a page links to; "" for none."""
    if not isinstance(response, TextResponse) or response.selector.type != "html":
        return ""
    host = urlsplit(response.url).netloc
    urls = [
        url
        for url in map(response.urljoin, response.css("a::attr(href)").getall())
        if urlsplit(url).netloc == host
    ]
    months = {
        (match["before"], int(match["year"]), int(match["month"])): url
        for url in urls
        if (match := MONTH.match(url))
    }
    return months[min(months, key=lambda month: month[1:])] if months else ""
