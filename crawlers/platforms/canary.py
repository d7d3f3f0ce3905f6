"""The site of canary posts, which crawl itself serves on loopback (`canary_site`): a JSON list,
each post a plain text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime

from scrapy.http import Response, TextResponse

from crawlers.platforms import no_options
from crawlers.sites.pages import PageAddress, PageContent, Post
from crawlers.sites.site import Site
from ullage.errors import RecordError

ID = re.compile(r"[a-z]{12}")


class Canary:
    """See the module."""

    def check(self, site: Site) -> None:
        """There are no options."""
        no_options(site)

    def start(self, site: Site) -> Sequence[PageAddress]:
        """The list."""
        return [PageAddress(url, "list") for url in site.start]

    def parse(self, page: PageAddress, response: Response, site: Site) -> PageContent:  # noqa: ARG002 - others have options
        """The list leads to posts; a post is its text."""
        if page.role == "list":
            if not isinstance(response, TextResponse):
                raise RecordError("not_a_list")
            return PageContent(
                pages=tuple(
                    self._page(response, post)
                    for post in response.json()
                    if ID.fullmatch(post["id"])
                )
            )
        published = datetime.fromtimestamp(float(page.facts["published"]), UTC)
        return PageContent(
            (
                Post(
                    page.facts["id"],
                    page.url,
                    response.body,
                    published_at=published,
                    kind="paste",
                    charset="utf-8",
                ),
            )
        )

    @staticmethod
    def _page(response: Response, post: dict[str, str]) -> PageAddress:
        facts = {"id": post["id"], "published": str(post["published"])}
        return PageAddress(response.urljoin(f"/raw/{post['id']}"), "item", facts=facts)


PLATFORM = Canary()
