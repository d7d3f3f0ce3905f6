"""Scrapy's handler for HTTP and HTTPS, which connects to no address but those that `AddressGuard`
resolved and let pass.

A name is looked up once a request, by the guard. If the connection looked it up again, whoever owns
the name could answer with a public address first and with a private one a moment later (DNS
rebinding), and the request would have reached a service of this house before anybody saw whose
answer came back. For HTTPS the name stays what is asked for (SNI) and what the certificate must
bear. A connection that is kept alive leads where it led when it was made. Where a site's file names
a proxy, the proxy looks up names, and connections go through it alone (`crawlers.fetching.proxy`).
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import re
import socket
import threading
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
from twisted.internet.interfaces import (
    IHostnameResolver,
    IHostResolution,
    IReactorPluggableNameResolver,
    IStreamClientEndpoint,
)
from twisted.web.client import BrowserLikePolicyForHTTPS, HTTPConnectionPool
from zope.interface import implementer  # type: ignore[import-untyped]  # it has no types

from crawlers.fetching import RequestRefusal
from crawlers.fetching.proxy import Proxy, Roots
from crawlers.fetching.scrapy_setup import answered, asked

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
NUMBERS = re.compile(r"(0[xX][0-9a-fA-F]*|[0-9]+)(\.(0[xX][0-9a-fA-F]*|[0-9]+)){0,3}")
INWARD = re.compile(
    r"(^|\.)(localhost|local|internal|intranet|lan|home\.arpa)$|^[^.]*$|(^|\.)(\d+|0x[0-9a-f]*)$"
)
METADATA = frozenset(
    map(
        ipaddress.ip_address,
        ("fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "192.0.0.192", "168.63.129.16"),
    )
)
"""Beside link-local ones, where clouds tell a machine its credentials: Amazon, Google (IPv6),
Alibaba, Oracle, Azure.
"""
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
NOT_PUBLIC = tuple(
    map(ipaddress.ip_network, ("fec0::/10", "3fff::/20", "192.0.0.0/24", "192.88.99.0/24"))
)
"""Site-local, documentation, IETF protocol and relay addresses that Python calls global."""


def is_inward(host: str) -> bool:
    """Whether a name may mean a machine beside the proxy, as far as its look tells; addresses
    are judged as everywhere.
    """
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return INWARD.search(host.rstrip(".")) is not None
    return False


def is_public(address: Address) -> bool:
    """Whether `address` is of the open Internet: no private, local, multicast or reserved one,
    nor such a one in disguise.
    """
    address = _meant_by(address)
    if not is_anybodys(address) or any(address in network for network in NOT_PUBLIC):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def is_anybodys(address: Address) -> bool:
    """Whether a site may be there at all, in this house or outside: no link-local address, nor
    one that gives out credentials.
    """
    address = _meant_by(address)
    return not address.is_link_local and address not in METADATA


def _meant_by(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address stands for (mapped, 6to4, Teredo, NAT64),
    else the address.
    """
    if not isinstance(address, ipaddress.IPv6Address):
        return address
    if address in NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return (
        address.ipv4_mapped
        or address.sixtofour
        or (address.teredo[1] if address.teredo else address)
    )


def literal(host: str) -> list[Address]:
    """The address that `host` is, if it is one, in whatever spelling a resolver takes: `127.1`,
    `2130706433`, `0x7f000001`.
    """
    host = host.strip("[]").rstrip(".")
    try:
        return [ipaddress.ip_address(host)]
    except ValueError:
        pass
    try:
        return [ipaddress.IPv4Address(socket.inet_aton(host))] if NUMBERS.fullmatch(host) else []
    except OSError:
        return []


async def is_outside(host: str, seconds: float) -> bool:
    """Whether a name or address leads out of this house, as far as anybody can tell."""
    if is_inward(host):
        return False
    try:
        return all(is_anybodys(one) and is_public(one) for one in await addresses_of(host, seconds))
    except (OSError, UnicodeError):
        return not literal(host)


async def addresses_of(host: str, seconds: float) -> list[Address]:
    """Every address that the system's resolver gives for `host`, odd spellings included.

    OSError where there is none, or none within `seconds`. Each look-up has a thread of its own:
    asyncio's few would all be held by names whose servers say nothing, and every other site would
    wait behind them.
    """
    if known := literal(host):
        return known
    loop = asyncio.get_running_loop()
    told: asyncio.Future[list[Any]] = loop.create_future()

    def tell(found: list[Any] | None, error: Exception | None) -> None:
        if told.done():
            return
        if error is None:
            told.set_result(found or [])
        else:
            told.set_exception(error)

    def look_up() -> None:
        found, failed = None, None
        try:
            found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            failed = error
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(tell, found, failed)

    threading.Thread(target=look_up, name="look-up", daemon=True).start()
    async with asyncio.timeout(seconds):
        return [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in await told]


Resolved = dict[str, tuple[Address, ...]]
"""The addresses of a host, by its name in lower case, as they were when it was last let pass."""


@implementer(IReactorPluggableNameResolver, IHostnameResolver, IHostResolution)
class _PinnedReactor:
    """The reactor, for whom there is one host and it is at `addresses`: no name is looked up."""

    def __init__(self, reactor: Any, addresses: Sequence[Address]) -> None:
        self._reactor, self._addresses = reactor, addresses
        self.nameResolver = self

    def resolveHostName(  # noqa: N802 - Twisted's
        self,
        receiver: Any,
        _name: str,
        portNumber: int = 0,  # noqa: N803 - Twisted's
        *_: object,
        **__: object,
    ) -> Any:
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
    """An endpoint that is made when it is needed: most requests go over a connection that there
    is.
    """

    make: Callable[[], Any]

    def connect(self, factory: Any) -> Deferred[Any]:
        """As Twisted's."""
        made: Deferred[Any] = self.make().connect(factory)
        return made


class PinnedPool(HTTPConnectionPool):
    """Makes its connections itself, whatever endpoint it is given; `policy` is Scrapy's for
    HTTPS, `timeout` is in seconds.
    """

    def __init__(
        self,
        reactor: Any,
        resolved: Resolved,
        policy: Any,
        timeout: float,
        proxy: Proxy | None = None,
    ) -> None:
        super().__init__(reactor, persistent=True)  # type: ignore[no-untyped-call]
        self._reactor_of_pool, self._resolved, self._policy, self._timeout = (
            reactor,
            resolved,
            policy,
            timeout,
        )
        self._proxy = proxy

    def getConnection(self, key: Any, endpoint: object) -> Deferred[Any]:  # noqa: ARG002, N802 - Twisted's names
        """As Twisted's; fails with `RequestRefusal` for a host that nobody let pass, and for
        anything but HTTP and HTTPS.
        """
        scheme, host, port = key[0], key[1], key[2]
        if self._proxy:
            return self._by_proxy(self._proxy, key)
        addresses = self._resolved.get(host.decode("ascii", "replace").lower())
        if not addresses or scheme not in {b"http", b"https"}:
            return fail(RequestRefusal("address"))
        made: Any = _OnDemand(lambda: self._endpoint(scheme, host, port, addresses))
        return super().getConnection(key, made)

    def _by_proxy(self, proxy: Proxy, key: Any) -> Deferred[Any]:
        """A connection through `proxy` to a host that was let pass, or to the proxy itself,
        which then asks for the page.
        """
        scheme, host, port = key[0], key[1], key[2]
        if scheme == b"http-proxy":
            return super().getConnection(key, proxy.entrance(self._reactor_of_pool, self._timeout))
        if host.decode("ascii", "replace").lower() not in self._resolved or scheme not in {
            b"http",
            b"https",
        }:
            return fail(RequestRefusal("address"))
        plain = proxy.endpoint(self._reactor_of_pool, host, port, self._timeout)
        made = (
            wrapClientTLS(self._policy.creatorForNetloc(host, port), plain)
            if scheme == b"https"
            else plain
        )
        return super().getConnection(key, made)

    def _endpoint(self, scheme: bytes, host: bytes, port: int, addresses: Sequence[Address]) -> Any:
        pinned = _PinnedReactor(self._reactor_of_pool, addresses)
        plain: Any = HostnameEndpoint(pinned, host.decode("ascii"), port, timeout=self._timeout)
        return (
            wrapClientTLS(self._policy.creatorForNetloc(host, port), plain)
            if scheme == b"https"
            else plain
        )


class PinnedHandler(HTTP11DownloadHandler):
    """See the module; the spider's visit knows what was resolved.

    It also says how long the site took.
    """

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
