"""What another program collects and hands to `ullage ingest` under the site's name: there is nothing to visit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from scrapy.http import Response

from crawlers.pages import Page
from crawlers.platforms import no_options
from crawlers.site import Site
from ullage.errors import RecordError


class Ingest:
    """See the module."""

    def check(self, site: Site) -> None:
        """There are no options."""
        no_options(site)

    def start(self, site: Site) -> Sequence[Page]:  # noqa: ARG002 - others begin somewhere
        """Nothing is visited."""
        return ()

    def parse(self, page: Page, response: Response, site: Site) -> NoReturn:  # noqa: ARG002 - others have pages
        """Nothing is asked for, so nothing comes."""
        raise RecordError("parse")


PLATFORM = Ingest()
