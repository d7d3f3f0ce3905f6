"""Read the site of canary posts, which the crawler serves on loopback (`canary_site`).

Its list is JSON, each post a plain text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime

from scrapy.http import Response, TextResponse

from crawlers.platforms import reject_options
from crawlers.sites.pages import PageAddress, PageContent, Post
from crawlers.sites.site import Site
from ullage.errors import RecordError

ID = re.compile(r"[a-z]{12}")


class Canary:
    """Read canary posts; see the module."""

    def check(self, site: Site) -> None:
        """Raise ConfigError if the site has options."""
        reject_options(site)

    def start(self, site: Site) -> Sequence[PageAddress]:
        """Return the list."""
        return [PageAddress(url, "list") for url in site.start]

    def parse(
        self,
        page: PageAddress,
        response: Response,
        site: Site,  # noqa: ARG002 - others have options
    ) -> PageContent:
        """Return the pages of the posts that the list names, or the one post of a page.

        Raises RecordError `not_a_list` if the list is no text.
        """
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
