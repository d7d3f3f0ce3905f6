"""bepasty (https://bepasty-server.readthedocs.io): pastes and files, listed where the site's permissions allow it.

The list is `/apis/rest/items` (JSON, all items at once) or, where a start URL ends in `/+list`, the HTML page of the same. An
item never changes, so it is read once, from `/<id>/+inline`: the page around it shows no text beyond 100 kB.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from urllib.parse import urljoin

from scrapy.http import Response, TextResponse

from crawlers.platforms import no_options
from crawlers.sites.content_type import declared
from crawlers.sites.pages import Page, Parsed, Post
from crawlers.sites.site import Site
from ullage.errors import RecordError

HTML_LIST = "/+list"
JSON_LIST = "apis/rest/items"
ID = re.compile(r"[A-Za-z0-9]{4,64}")
UPLOADED = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")


class Bepasty:
    """See the module."""

    def check(self, site: Site) -> None:
        """There are no options."""
        no_options(site)

    def start(self, site: Site) -> Sequence[Page]:
        """One list a start URL."""
        return [Page(url if url.endswith((HTML_LIST, JSON_LIST)) else urljoin(url, JSON_LIST), "list") for url in site.start]

    def parse(self, page: Page, response: Response, site: Site) -> Parsed:  # noqa: ARG002 - others have options
        """A list leads to items; an item is one paste."""
        if page.role == "list":
            if not isinstance(response, TextResponse):
                raise RecordError("not_a_list")
            found = self._html(response) if page.url.endswith(HTML_LIST) else self._json(response)
            return Parsed(pages=tuple(found))
        media_type, charset = declared(response)
        uploaded = page.facts.get("uploaded")
        post = Post(
            post_id=page.facts["id"],
            url=page.identity,
            body=response.body,
            title=page.facts.get("title", ""),
            published_at=datetime.fromtimestamp(int(uploaded), UTC) if uploaded else None,
            kind="paste",
            media_type=media_type,
            charset=charset,
        )
        return Parsed(posts=(post,))

    def _json(self, response: TextResponse) -> list[Page]:
        """Complete items of the REST list, the newest first."""
        items = [(i, entry["file-meta"]) for i, entry in response.json().items() if ID.fullmatch(i)]
        items.sort(key=lambda item: -int(item[1].get("timestamp-upload") or 0))
        root = response.url.removesuffix(JSON_LIST)
        return [
            self._item(root, i, str(meta.get("filename") or ""), str(meta.get("timestamp-upload") or ""))
            for i, meta in items
            if meta.get("complete", True)
        ]

    def _html(self, response: Response) -> list[Page]:
        """Items of the list page: each row's first link, its text and the upload time."""
        root, pages = response.url.removesuffix(HTML_LIST.lstrip("/")), []
        for row in response.css("tbody tr"):
            item_id = row.css("td:first-child a::attr(href)").get("").rpartition("/")[2]
            time = UPLOADED.search(" ".join(row.css("td::text").getall()))
            uploaded = str(int(datetime.fromisoformat(f"{time[0]}+00:00").timestamp())) if time else ""
            if ID.fullmatch(item_id):
                pages.append(self._item(root, item_id, row.css("td:first-child a::text").get("").strip(), uploaded))
        return pages

    @staticmethod
    def _item(root: str, item_id: str, title: str, uploaded: str) -> Page:
        facts = {"id": item_id, "title": title, "uploaded": uploaded}
        return Page(f"{root}{item_id}/+inline", "item", identity=f"{root}{item_id}", facts=facts)


PLATFORM = Bepasty()
