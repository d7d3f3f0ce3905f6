"""Leaves out posts that were captured before and say the same: a recrawl brings only what is new."""

from __future__ import annotations

from typing import Self

from scrapy.crawler import Crawler

from crawlers.visiting.spider import PageRead
from crawlers.visiting.visit import Visit


class SeenPipeline:
    """Asks the frontier."""

    def __init__(self, visit: Visit) -> None:
        self._visit = visit

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        """Scrapy's way to make a pipeline."""
        return cls(crawler.spider.visit)  # type: ignore[union-attr]

    def process_item(self, item: PageRead) -> PageRead:
        """Keep the new posts; a page that names one twice keeps it once."""
        name = self._visit.site.name
        item.posts = self._visit.frontier.unseen(name, tuple(dict.fromkeys(item.parsed.posts)))
        self._visit.metrics.seen.inc(len(item.parsed.posts) - len(item.posts))
        return item
