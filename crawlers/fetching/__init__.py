"""Fetch the pages of a site through Scrapy: which requests are allowed, and what responses mean.

    scrapy_setup            Scrapy's settings, event loop and logs for one visit
    address_guard           refuses private addresses, and hosts that the site's file does not name
    address_pin             connects only to the addresses that the guard permitted
    proxy                   SOCKS5 and HTTP proxies that a site's file names
    robots                  obeys robots.txt
    site_session            cookies or a token of a session that a person opened
    conditional_requests    requests a list only if it changed; which headers are stored
    body_limit              cuts a body at the size limit
    scripted_pages          pages that are rendered in a browser, and what their scripts request
    rendering               the sandboxed Chromium, without network
    outcomes                the result of a request, as a word of a closed set
    response_checks         challenges, login pages, lists that cannot be read (`marks.toml`)

Nothing here depends on visits or the bus. A request that is refused raises `RequestRefusal` with a
word of a closed set, from which the spider derives the outcome of the page.
"""

from __future__ import annotations

from scrapy.exceptions import IgnoreRequest


class RequestRefusal(IgnoreRequest):
    """A request that is not made, or a response that is not read. `reason` is a metric label.

    `cause` is a word of `crawlers.sites.visit_verdict` that says more, where there is one.
    """

    def __init__(self, reason: str, cause: str = "") -> None:
        super().__init__(reason)
        self.reason, self.cause = reason, cause
