"""Any paste site with a page that lists pastes and an address that gives one as plain text.

What it looks like stands in the site's file:

[options]
links = "table.list a"               # CSS: links of the list page; all links by default
pattern = "^/(?P<id>[A-Za-z0-9]+)$"  # regular expression on the link's path; the group `id` is the paste's id
raw = "/raw/{id}"                    # where its text is
page = "/{id}"                       # where a person reads it; the link itself by default
next = "a.next"                      # CSS: the link to older pastes; none by default
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from cssselect import SelectorError
from parsel import csstranslator
from scrapy.http import Response

from crawlers.sites.content_type import declared
from crawlers.sites.pages import Page, Parsed, Post
from crawlers.sites.site import Site
from ullage.errors import ConfigError

KNOWN = ("links", "next", "page", "pattern", "raw")
PATTERN = r"^/(?P<id>[A-Za-z0-9_-]{4,64})$"
RAW = "/raw/{id}"


class RawPaste:
    """See the module."""

    def check(self, site: Site) -> None:
        """ConfigError for an unknown option, a pattern or selector that does not compile, or a template without `{id}`."""

        def wrong(option: str, why: str) -> ConfigError:
            return ConfigError(f"site {site.name}: options.{option}: {why}")

        options = site.options
        if unknown := sorted(set(options) - set(KNOWN)):
            raise wrong(unknown[0], f"is none of {', '.join(KNOWN)}")
        try:
            if "id" not in re.compile(options.get("pattern", PATTERN)).groupindex:
                raise wrong("pattern", "has no group (?P<id>…)")
        except re.error as error:
            raise wrong("pattern", f"is no regular expression ({error.msg})") from None
        for option in {"raw", "page"} & options.keys():
            if "{id}" not in options[option]:
                raise wrong(option, "has no {id}")
        for option in {"links", "next"} & options.keys():
            try:
                csstranslator.css2xpath(options[option])
            except SelectorError:
                raise wrong(option, "is no CSS selector") from None

    def start(self, site: Site) -> Sequence[Page]:
        """Each start URL is a list."""
        return [Page(url, "list") for url in site.start]

    def parse(self, page: Page, response: Response, site: Site) -> Parsed:
        """A list leads to pastes and older lists; a paste is the whole body."""
        if page.role == "list":
            return Parsed(pages=(*self._pastes(response, site), *self._older(page, response, site)))
        media_type, charset = declared(response)
        facts = page.facts
        post = Post(
            facts["id"],
            page.identity,
            response.body,
            facts.get("title", ""),
            kind="paste",
            media_type=media_type,
            charset=charset,
        )
        return Parsed(posts=(post,))

    def _pastes(self, response: Response, site: Site) -> list[Page]:
        pages: dict[str, Page] = {}
        pattern = re.compile(site.options.get("pattern", PATTERN))
        for link in response.css(site.options.get("links", "a")):
            url = response.urljoin(link.attrib.get("href", ""))
            if not (found := pattern.search(urlsplit(url).path)) or not found["id"]:
                continue
            paste = found["id"]
            raw = response.urljoin(site.options.get("raw", RAW).replace("{id}", paste))
            shown = response.urljoin(site.options["page"].replace("{id}", paste)) if "page" in site.options else url
            facts = {"id": paste, "title": " ".join(" ".join(link.css("::text").getall()).split())}
            pages.setdefault(raw, Page(raw, "item", identity=shown, facts=facts))
        return list(pages.values())

    def _older(self, page: Page, response: Response, site: Site) -> list[Page]:
        selector = site.options.get("next")
        href = response.css(selector).attrib.get("href") if selector else None
        return [Page(response.urljoin(href), "list", series=page.series or page.name, number=page.number + 1)] if href else []


PLATFORM = RawPaste()
