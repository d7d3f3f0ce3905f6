"""Refuse private addresses, and hosts that the site's file does not name.

A link or a redirect on a hostile site could otherwise make the crawler read an internal service
(SSRF). What a host resolved to here is where the connection goes (`crawlers.fetching.address_pin`);
whose answer came is looked at once more, and thrown away unread if the handler has ever gone
elsewhere.
"""

from __future__ import annotations

from typing import Self

from scrapy import Request
from scrapy.crawler import Crawler
from scrapy.http import Response
from scrapy.utils.httpobj import urlparse_cached

from crawlers.fetching import RequestRefusal, response_checks
from crawlers.fetching.address_pin import (
    Resolved,
    addresses_of,
    is_anybodys,
    is_inward,
    is_public,
    literal,
)
from crawlers.fetching.proxy import HTTP, Proxy
from crawlers.sites.site import Site


class AddressGuard:
    """See the module.

    What it lets pass stands in `resolved`, where the handler looks; a look-up may take `seconds`.
    """

    def __init__(
        self,
        site: Site,
        resolved: Resolved | None = None,
        proxy: Proxy | None = None,
        *,
        lacks_session: bool = False,
        seconds: float = 60.0,
    ) -> None:
        self._lacks_session, self._seconds = lacks_session, seconds
        self._site, self._resolved, self._proxy = site, {} if resolved is None else resolved, proxy

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        """Scrapy's way to make a middleware; the spider's visit knows the site."""
        visit = crawler.spider.visit  # type: ignore[union-attr]
        lacks_session, seconds = (
            getattr(visit, "lacks_session", False),
            crawler.settings.getfloat("DNS_TIMEOUT"),
        )
        return cls(
            visit.site, visit.resolved, visit.proxy, lacks_session=lacks_session, seconds=seconds
        )

    async def process_request(self, request: Request) -> None:
        """Refuse with `host`, `address` or `dns`, and with `login` where a site sends us to
        another host to log in.
        """
        host = urlparse_cached(request).hostname or ""
        if not self._site.allows(request.url):
            led = request.meta.get("redirect_urls")
            raise RequestRefusal(
                "login" if led and response_checks.is_login(request.url) else "host"
            )
        if self._lacks_session:
            raise RequestRefusal("session")
        if self._site.proxy:
            self._by_proxy(request, host)
            return
        if host.rstrip(".").endswith(".onion"):
            raise RequestRefusal("address", "onion")
        try:
            addresses = await addresses_of(host, self._seconds)
        except (OSError, UnicodeError):
            raise RequestRefusal("dns") from None
        if not addresses:
            raise RequestRefusal("dns")
        if not all(
            is_anybodys(one) and (self._site.allow_private or is_public(one)) for one in addresses
        ):
            raise RequestRefusal("address")
        self._resolved[host] = tuple(addresses)

    def _by_proxy(self, request: Request, host: str) -> None:
        """Refuse with `address` what is of a house, as far as can be told without a look-up;
        with `proxy` where there is none.
        """
        request.headers.pop("Proxy-Authorization", None)
        request.meta.pop("proxy", None)
        if self._proxy is None:
            raise RequestRefusal("proxy")
        if not self._site.allow_private and (
            is_inward(host) or not all(map(is_public, literal(host)))
        ):
            raise RequestRefusal("address")
        # it is asked for the page itself
        if self._proxy.scheme == HTTP and urlparse_cached(request).scheme == "http":
            request.meta["proxy"] = self._proxy.url
            if self._proxy.user:
                request.headers["Proxy-Authorization"] = self._proxy.authorization
        self._resolved[host] = ()

    def process_response(self, request: Request, response: Response) -> Response:  # noqa: ARG002 - Scrapy passes it
        """Refuse with `address` what a private peer answered."""
        peer = response.ip_address
        if (
            not self._site.allow_private
            and not self._site.proxy
            and peer is not None
            and not is_public(peer)
        ):
            raise RequestRefusal("address")
        return response
