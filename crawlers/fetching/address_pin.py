"""Scrapy's handler for HTTP and HTTPS, which connects to no address but those that `AddressGuard` resolved and let pass.

A name is looked up once a request, by the guard. If the connection looked it up again, whoever owns the name could answer with
a public address first and with a private one a moment later (DNS rebinding), and the request would have reached a service of this
house before anybody saw whose answer came back. For HTTPS the name stays what is asked for (SNI) and what the certificate must
bear. A connection that is kept alive leads where it led when it was made. Where a site's file names a proxy, the proxy looks up
names, and connections go through it alone (`crawlers.fetching.proxy`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from scrapy import Request, signals
from scrapy.core.downloader.handlers.http11 import HTTP11DownloadHandler
from scrapy.crawler import Crawler
from scrapy.http import Response
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, fail
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import IHostnameResolver, IHostResolution, IReactorPluggableNameResolver, IStreamClientEndpoint
from twisted.web.client import BrowserLikePolicyForHTTPS, HTTPConnectionPool
from zope.interface import implementer  # type: ignore[import-untyped]  # it has no types

from crawlers.fetching.addresses import Address
from crawlers.fetching.latency import answered, asked
from crawlers.fetching.middlewares import RequestRefusal
from crawlers.fetching.proxy import Proxy, Roots

Resolved = dict[str, tuple[Address, ...]]
"""The addresses of a host, by its name in lower case, as they were when it was last let pass."""


@implementer(IReactorPluggableNameResolver, IHostnameResolver, IHostResolution)
class _PinnedReactor:
    """The reactor, for whom there is one host and it is at `addresses`: no name is looked up."""

    def __init__(self, reactor: Any, addresses: Sequence[Address]) -> None:
        self._reactor, self._addresses = reactor, addresses
        self.nameResolver = self

    def resolveHostName(self, receiver: Any, _name: str, portNumber: int = 0, *_: object, **__: object) -> Any:  # noqa: N802, N803 - Twisted's
        """The addresses, at once."""
        receiver.resolutionBegan(self)
        for address in self._addresses:
            kind = IPv4Address if address.version == 4 else IPv6Address
            receiver.addressResolved(kind("TCP", str(address), portNumber))
        receiver.resolutionComplete()
        return self

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)


@implementer(IStreamClientEndpoint)
@dataclass(frozen=True)
class _OnDemand:
    """An endpoint that is made when it is needed: most requests go over a connection that there is."""

    make: Callable[[], Any]

    def connect(self, factory: Any) -> Deferred[Any]:
        """As Twisted's."""
        made: Deferred[Any] = self.make().connect(factory)
        return made


class PinnedPool(HTTPConnectionPool):
    """Makes its connections itself, whatever endpoint it is given; `policy` is Scrapy's for HTTPS, `timeout` is in seconds."""

    def __init__(self, reactor: Any, resolved: Resolved, policy: Any, timeout: float, proxy: Proxy | None = None) -> None:
        super().__init__(reactor, persistent=True)  # type: ignore[no-untyped-call]
        self._reactor_of_pool, self._resolved, self._policy, self._timeout = reactor, resolved, policy, timeout
        self._proxy = proxy

    def getConnection(self, key: Any, endpoint: object) -> Deferred[Any]:  # noqa: ARG002, N802 - Twisted's names
        """As Twisted's; fails with `RequestRefusal` for a host that nobody let pass, and for anything but HTTP and HTTPS."""
        scheme, host, port = key[0], key[1], key[2]
        if self._proxy:
            return self._by_proxy(self._proxy, key)
        addresses = self._resolved.get(host.decode("ascii", "replace").lower())
        if not addresses or scheme not in {b"http", b"https"}:
            return fail(RequestRefusal("address"))
        made: Any = _OnDemand(lambda: self._endpoint(scheme, host, port, addresses))
        return super().getConnection(key, made)

    def _by_proxy(self, proxy: Proxy, key: Any) -> Deferred[Any]:
        """A connection through `proxy` to a host that was let pass, or to the proxy itself, which then asks for the page."""
        scheme, host, port = key[0], key[1], key[2]
        if scheme == b"http-proxy":
            return super().getConnection(key, proxy.entrance(self._reactor_of_pool, self._timeout))
        if host.decode("ascii", "replace").lower() not in self._resolved or scheme not in {b"http", b"https"}:
            return fail(RequestRefusal("address"))
        plain = proxy.endpoint(self._reactor_of_pool, host, port, self._timeout)
        made = wrapClientTLS(self._policy.creatorForNetloc(host, port), plain) if scheme == b"https" else plain
        return super().getConnection(key, made)

    def _endpoint(self, scheme: bytes, host: bytes, port: int, addresses: Sequence[Address]) -> Any:
        pinned = _PinnedReactor(self._reactor_of_pool, addresses)
        plain: Any = HostnameEndpoint(pinned, host.decode("ascii"), port, timeout=self._timeout)
        return wrapClientTLS(self._policy.creatorForNetloc(host, port), plain) if scheme == b"https" else plain


class PinnedHandler(HTTP11DownloadHandler):
    """See the module; the spider's visit knows what was resolved. Says how long the site took (`crawlers.fetching.latency`)."""

    def __init__(self, crawler: Crawler) -> None:
        super().__init__(crawler)
        from twisted.internet import reactor  # noqa: PLC0415 - importing it earlier would install another one

        theirs, visit = self._pool, crawler.spider.visit  # type: ignore[union-attr]
        proxy: Proxy | None = visit.proxy
        if proxy and proxy.ca and crawler.settings.getbool("DOWNLOAD_VERIFY_CERTIFICATES"):
            policy: Any = BrowserLikePolicyForHTTPS(trustRoot=Roots(proxy.ca))  # type: ignore[no-untyped-call]
            self._contextFactory = policy
        timeout = crawler.settings.getfloat("DOWNLOAD_TIMEOUT")
        self._pool = PinnedPool(reactor, visit.resolved, self._contextFactory, timeout, proxy)
        self._pool.maxPersistentPerHost = theirs.maxPersistentPerHost
        self._pool._factory = theirs._factory  # noqa: SLF001 - Scrapy sets it so: it bears servers that break rules
        crawler.signals.connect(answered, signal=signals.headers_received)

    async def download_request(self, request: Request) -> Response:
        """As Scrapy's."""
        asked(request)
        return await super().download_request(request)
