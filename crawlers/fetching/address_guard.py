"""Refuse private addresses, and hosts that the site's file does not name.

A link or redirect on a hostile site could otherwise make the crawler read an internal service
(SSRF). Connections go to the addresses that were resolved here (`crawlers.fetching.address_pin`).
The peer of each response is checked once more, and the response is discarded unread if the
connection led elsewhere.
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
    can_be_site,
    is_internal_name,
    is_public,
    parse_literal,
    resolve,
)
from crawlers.fetching.proxy import HTTP, Proxy
from crawlers.sites.site import Site


class AddressGuard:
    """Scrapy middleware that refuses forbidden hosts and addresses; see the module.

    Permitted addresses are stored in `resolved`, where the handler reads them. A look-up may take
    `seconds`.
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
        """Build the middleware from the site of the spider's visit."""
        visit = crawler.spider.visit  # type: ignore[union-attr]
        lacks_session, seconds = (
            getattr(visit, "lacks_session", False),
            crawler.settings.getfloat("DNS_TIMEOUT"),
        )
        return cls(
            visit.site, visit.resolved, visit.proxy, lacks_session=lacks_session, seconds=seconds
        )

    async def process_request(self, request: Request) -> None:
        """Store the addresses of the request's host, or raise RequestRefusal if it is forbidden.

        The reasons: `host` if the site does not name the host, or `login` if a redirect led to a
        login page there; `session` if the site's session is missing; `dns` if the name has no
        address; `address` if an address is not permitted. For a site with a proxy, the proxy
        resolves the name: an empty tuple is stored, and the reason is `proxy` if no proxy is set
        up.
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
            self._check_for_proxy(request, host)
            return
        if host.rstrip(".").endswith(".onion"):
            raise RequestRefusal("address", "onion")
        try:
            addresses = await resolve(host, self._seconds)
        except (OSError, UnicodeError):
            raise RequestRefusal("dns") from None
        if not addresses:
            raise RequestRefusal("dns")
        if not all(
            can_be_site(address) and (self._site.allow_private or is_public(address))
            for address in addresses
        ):
            raise RequestRefusal("address")
        self._resolved[host] = tuple(addresses)

    def _check_for_proxy(self, request: Request, host: str) -> None:
        """Prepare a request that a proxy will send, and store that its host may be connected to.

        Replaces the request's proxy headers: a plain HTTP request through an HTTP proxy is given
        the proxy's address and login. Raises RequestRefusal: `proxy` if no proxy is set up,
        `address` if the host's name looks internal or is a private address and the site does not
        allow that. Only the look of a name can be judged, because the proxy resolves it.
        """
        request.headers.pop("Proxy-Authorization", None)
        request.meta.pop("proxy", None)
        if self._proxy is None:
            raise RequestRefusal("proxy")
        if not self._site.allow_private and (
            is_internal_name(host) or not all(map(is_public, parse_literal(host)))
        ):
            raise RequestRefusal("address")
        # it is asked for the page itself
        if self._proxy.scheme == HTTP and urlparse_cached(request).scheme == "http":
            request.meta["proxy"] = self._proxy.url
            if self._proxy.user:
                request.headers["Proxy-Authorization"] = self._proxy.authorization
        self._resolved[host] = ()

    def process_response(
        self,
        request: Request,  # noqa: ARG002 - Scrapy passes it
        response: Response,
    ) -> Response:
        """Return the response; raise RequestRefusal `address` if its peer's address is private.

        Not checked where the site permits private addresses, uses a proxy, or the peer is unknown.
        """
        peer = response.ip_address
        if (
            not self._site.allow_private
            and not self._site.proxy
            and peer is not None
            and not is_public(peer)
        ):
            raise RequestRefusal("address")
        return response
