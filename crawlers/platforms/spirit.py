"""Spirit (https://spirit-project.com): a Django forum.

Board (`/`) → category → topic, or `/topic/active/` → topic; each in numbered pages. `/` and `/topic/active/` show the latest
topics, but not of categories that are not global; the board's menu leads to all.

A topic's list row shows how many comments it has and when the last one came: that is its stamp. Its URL carries the title as a
slug, so the frontier knows it by number alone; the slug is still fetched, since Spirit's redirect to it loses the page number.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from urllib.parse import urljoin

from parsel import Selector
from scrapy.http import Response

from crawlers.platforms import no_options
from crawlers.sites.pages import Page, Parsed, Post
from crawlers.sites.site import Site

TOPIC = re.compile(r"^(.*?/topic/(\d+)/)")
CATEGORY = re.compile(r"^(.*?/category/\d+/).*")
DATE = re.compile(r"([A-Z][a-z]{2})[a-z]*\.? (\d{1,2}), (\d{4}), (?:(\d{1,2})(?::(\d\d))? ([ap])\.m\.|(noon|midnight))")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
NEXT = "li.paginator__button a:has(.fa-chevron-right)::attr(href)"


def published(text: str) -> datetime | None:
    """The moment that Spirit shows as `Nov. 24, 2026, 2:02 p.m.`, in UTC; None for another language's words."""
    found = DATE.search(text)
    if not found or found[1] not in MONTHS:
        return None
    hour = int(found[4] or 12) % 12 + (12 if found[6] == "p" or found[7] == "noon" else 0)
    return datetime(int(found[3]), MONTHS.index(found[1]) + 1, int(found[2]), hour, int(found[5] or 0), tzinfo=UTC)


class Spirit:
    """See the module."""

    def check(self, site: Site) -> None:
        """There are no options."""
        no_options(site)

    def start(self, site: Site) -> Sequence[Page]:
        """One list a start URL: the board, a category, or the latest topics."""
        return [Page(url, "list") for url in site.start]

    def parse(self, page: Page, response: Response, site: Site) -> Parsed:  # noqa: ARG002 - others have options
        """A list leads to topics, categories and its next page; a topic is its comments and its next page."""
        next_pages = self._next(page, response)
        if page.role == "list":
            return Parsed(pages=(*self._topics(response), *self._categories(response), *next_pages))
        comments = tuple(self._comment(comment, page, response) for comment in response.css(".comments_list__comment[data-pk]"))
        return Parsed(comments, tuple(next_pages))

    def _topics(self, response: Response) -> list[Page]:
        pages = []
        for link in response.css("a.topic__link"):
            row = link.xpath("./ancestor::*[@class='topic__title']/..")
            url = response.urljoin(link.attrib.get("href", ""))
            if found := TOPIC.match(url):
                stamp = " ".join([*row.css(".topic__comments::text").getall(), row.css(".topic__date").attrib.get("title", "")])
                facts = {
                    "title": link.css("::text").get("").strip(),
                    "channel": row.css(".topic__category a::text").get("").strip(),
                }
                pages.append(Page(url, "thread", identity=found[1], series=found[1], stamp=" ".join(stamp.split()), facts=facts))
        return pages

    def _categories(self, response: Response) -> list[Page]:
        """The categories in the menu of the board or of a category; whoever starts at the latest topics wants these alone."""
        if response.url.partition("?")[0].endswith("/topic/active/"):
            return []
        found = (CATEGORY.match(response.urljoin(href)) for href in response.css("a.menu_list__link::attr(href)").getall())
        return [Page(match[0], "list", identity=match[1]) for match in found if match]

    def _next(self, page: Page, response: Response) -> list[Page]:
        href = response.css(NEXT).get()
        if not href:
            return []
        number = page.number + 1
        series = page.series or page.name
        return [Page(response.urljoin(href), page.role, f"{series}?page={number}", series, number, page.stamp, page.facts)]

    def _comment(self, comment: Selector, page: Page, response: Response) -> Post:
        found = TOPIC.match(page.series)
        number = comment.attrib["data-pk"]
        inner = "".join(comment.css(".comment__text").xpath("./node()").getall()).strip()
        return Post(
            post_id=number,
            url=urljoin(response.url, f"/comment/{number}/find/"),
            body=inner.encode("utf-8", "replace"),
            title=page.facts.get("title", ""),
            author=comment.css(".comment__info__username__link span::text").get("").strip(),
            published_at=published(comment.css(".comment__info__date li::attr(title)").get("")),
            media_type="text/html",
            charset="utf-8",
            channel=page.facts.get("channel", ""),
            thread=found[2] if found else "",
        )


PLATFORM = Spirit()
