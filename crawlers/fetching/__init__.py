"""How a page is asked for: Scrapy's settings, whom we may ask and how much we take, and what an
answer says of the site.

    scrapy_settings    Scrapy's settings for one visit
    reactor            Twisted's reactor over asyncio
    pinned             connections go to the addresses that were resolved and let pass, and nowhere else
    latency            how long a site takes, without what our own loop adds
    proxy               ways out that site files name: SOCKS5, Tor's among them, and HTTP
    session             cookies of sessions that people opened, from secret files
    middlewares        address, robots.txt, size, and pages that scripts fill
    browser             Chromium in a cage, without network
    rendering           what a page is when its scripts have run in it
    conditional         lists are asked for only if they have changed
    outcomes           what came of a page, as a word of a closed list
    response_checks    challenges, logins that ran out, lists that no longer read (`marks.toml`)
    menus              what on a page is a menu or a small form to log in with
    response_headers   the headers that travel with what was in an answer
    library_logs       keeps what libraries would log off the disk

Nothing here knows of visits or of the bus.

Each refuses with `RequestRefusal` and a word from a closed set; the spider turns that word into
what becomes of the page.
"""  # noqa: E501

from __future__ import annotations

from scrapy.exceptions import IgnoreRequest


class RequestRefusal(IgnoreRequest):
    """A request that is not made, or a response that is not read. `reason` is a metric label.

    `cause` is a word of `crawlers.sites.visit_verdict` that says more, where there is one.
    """

    def __init__(self, reason: str, cause: str = "") -> None:
        super().__init__(reason)
        self.reason, self.cause = reason, cause
