r"""Any site of HTML pages: a forum with lists, threads and posts, or a paste site with a list and
an address for each text.

What its pages look like stands in the site's file or in a preset (`crawlers/presets`);
`crawlers.sites.layout` has every option:

[options]
rows = "tr.topic"                             # entries of a list
links = "a.title"                             # in an entry, the link to its thread
pattern = '/viewtopic\.php\?.*t=(?P<id>\d+)'  # the address of a thread, query included
stamp = ".replies, .last"                     # in an entry, what changes when a post comes
next = "a[rel=next]"                          # the next page of a list or thread
post = "div.post"
body = ".content"
author = ".author"
time = "time"
"""

from __future__ import annotations

from collections.abc import Sequence

from scrapy.http import Response

from crawlers.sites import page_reader, selectors
from crawlers.sites.layout import SiteLayout, load_layout
from crawlers.sites.pages import PARENT, PageAddress, PageContent
from crawlers.sites.site import Site


class Board:
    """Read HTML pages by a layout; see the module."""

    document = staticmethod(selectors.parse_html)
    """What a page is read as."""

    def check(self, site: Site) -> None:
        """Raise ConfigError for an option that is unknown, missing or invalid."""
        self._layout(site)

    def start(self, site: Site) -> Sequence[PageAddress]:
        """Return the lists at the start addresses, or the first numbered pastes."""
        return page_reader.list_start_pages(self._layout(site), site.start)

    def parse(self, page: PageAddress, response: Response, site: Site) -> PageContent:
        """Return the posts of a page and the pages that it leads to.

        Raises RecordError if the page cannot be parsed.
        """
        layout = self._layout(site)
        if page.role == "item" and (layout.raw or layout.files or PARENT in page.facts):
            return page_reader.read_raw_post(layout, page, response)
        return self.open_page(page, response, site).parse()

    def open_page(
        self, page: PageAddress, response: Response, site: Site
    ) -> page_reader.PageReading:
        """Return a page for reading.

        If the site's own file describes the layout, what is read is compared with what the page
        shows. Raises RecordError `not_a_list` if the layout expects JSON inside the page and there
        is none.
        """
        layout, document = self._layout(site), self.document(response)
        if layout.embedded:
            document = selectors.extract_json(document, layout.embedded)
        is_own = site.platform == "board"
        return page_reader.PageReading(
            layout, page, response, document, page_reader.read_response_time(response), is_own
        )

    @staticmethod
    def _layout(site: Site) -> SiteLayout:
        links = (
            {"links": "a"}
            if {"raw", "pattern"} & site.options.keys() and "first" not in site.options
            else {}
        )
        return load_layout(site.name, {**links, **site.options}, "css")


PLATFORM = Board()
