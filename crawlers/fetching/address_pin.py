"""Connect only to the addresses that `AddressGuard` resolved and permitted.

The guard resolves a name one time per request. If the connection resolved it again, the owner of
the name could answer with a public address first and a private one a moment later (DNS rebinding),
and the request would reach an internal service before anybody checked the peer. For HTTPS the name
is still the one requested (SNI) and the one that the certificate must bear. A connection that is
kept alive leads to the same peer. If a site's file names a proxy, the proxy resolves names, and all
connections go through it (`crawlers.fetching.proxy`).
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
from crawlers.fetching.scrapy_setup import correct_latency, note_request

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


def is_internal_name(host: str) -> bool:
    """Return whether a name looks like a machine of an internal network; False for addresses."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return INWARD.search(host.rstrip(".")) is not None
    return False


def is_public(address: Address) -> bool:
    """Return whether `address` is public: not private, local, multicast or reserved.

    An IPv4 address embedded in an IPv6 address counts as itself.
    """
    address = _unwrap_ipv4(address)
    if not can_be_site(address) or any(address in network for network in NOT_PUBLIC):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def can_be_site(address: Address) -> bool:
    """Return whether a site, internal or public, may have `address`.

    Link-local addresses and those where clouds hand out credentials are excluded.
    """
    address = _unwrap_ipv4(address)
    return not address.is_link_local and address not in METADATA


def _unwrap_ipv4(address: Address) -> Address:
    """Return the IPv4 address embedded in an IPv6 address, else the address itself."""
    if not isinstance(address, ipaddress.IPv6Address):
        return address
    if address in NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return (
        address.ipv4_mapped
        or address.sixtofour
        or (address.teredo[1] if address.teredo else address)
    )


def parse_literal(host: str) -> list[Address]:
    """Return the address that `host` spells, as a list of one; [] for a name.

    All spellings that resolvers accept count: `127.1`, `2130706433`, `0x7f000001`.
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


async def is_external(host: str, seconds: float) -> bool:
    """Return whether a name or address is outside of the organization, as far as can be told.

    A name that cannot be resolved within `seconds` counts as outside, unless it looks internal.
    """
    if is_internal_name(host):
        return False
    try:
        return all(
            can_be_site(address) and is_public(address) for address in await resolve(host, seconds)
        )
    except (OSError, UnicodeError):
        return not parse_literal(host)


async def resolve(host: str, seconds: float) -> list[Address]:
    """Return every address that the system's resolver gives for `host`.

    An address in any spelling is returned as it is. Raises OSError (or UnicodeError) if the name
    cannot be resolved, TimeoutError, which is an OSError, if not within `seconds`. Each look-up has
    a thread of its own: names whose servers do not answer would otherwise occupy all threads of
    asyncio's pool, and every other site would wait.
    """
    if literals := parse_literal(host):
        return literals
    loop = asyncio.get_running_loop()
    entries: asyncio.Future[list[Any]] = loop.create_future()

    def set_outcome(addresses: list[Any] | None, error: Exception | None) -> None:
        if entries.done():
            return
        if error is None:
            entries.set_result(addresses or [])
        else:
            entries.set_exception(error)

    def look_up() -> None:
        addresses, failed = None, None
        try:
            addresses = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            failed = error
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(set_outcome, addresses, failed)

    threading.Thread(target=look_up, name="look-up", daemon=True).start()
    async with asyncio.timeout(seconds):
        return [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in await entries]


Resolved = dict[str, tuple[Address, ...]]
"""The addresses of a host, by its name in lower case, as they were when it was last let pass."""


@implementer(IReactorPluggableNameResolver, IHostnameResolver, IHostResolution)
class _PinnedReactor:
    """A reactor that resolves every name to `addresses`, without a look-up."""

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
        """Report the addresses at once."""
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
    """An endpoint that is built only if it is needed: most requests reuse a connection."""

    make: Callable[[], Any]

    def connect(self, factory: Any) -> Deferred[Any]:
        """Build the endpoint and connect (Twisted's interface)."""
        connecting: Deferred[Any] = self.make().connect(factory)
        return connecting


class PinnedPool(HTTPConnectionPool):
    """A connection pool that builds its own endpoints, whatever endpoint it is given.

    `policy` is Scrapy's for HTTPS; `timeout` is in seconds.
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

    def getConnection(  # noqa: N802 - Twisted's name
        self,
        key: Any,
        endpoint: object,  # noqa: ARG002 - Twisted passes it
    ) -> Deferred[Any]:
        """Return a connection to one of the addresses stored for the host (Twisted's interface).

        With a proxy, the connection goes through that. The given endpoint is ignored, so that the
        name is not resolved again. Fails with `RequestRefusal` ("address") for a host that was not
        permitted, and for schemes other than HTTP(S).
        """
        scheme, host, port = key[0], key[1], key[2]
        if self._proxy:
            return self._connect_by_proxy(self._proxy, key)
        addresses = self._resolved.get(host.decode("ascii", "replace").lower())
        if not addresses or scheme not in {b"http", b"https"}:
            return fail(RequestRefusal("address"))
        endpoint_on_demand: Any = _OnDemand(
            lambda: self._build_endpoint(scheme, host, port, addresses)
        )
        return super().getConnection(key, endpoint_on_demand)

    def _connect_by_proxy(self, proxy: Proxy, key: Any) -> Deferred[Any]:
        """Return a connection to a permitted host through the proxy, or to the proxy itself.

        It uses TLS for https. Fails with RequestRefusal ("address") for a host that was not
        permitted, and for schemes other than HTTP(S).
        """
        scheme, host, port = key[0], key[1], key[2]
        if scheme == b"http-proxy":
            return super().getConnection(
                key, proxy.build_entrance(self._reactor_of_pool, self._timeout)
            )
        if host.decode("ascii", "replace").lower() not in self._resolved or scheme not in {
            b"http",
            b"https",
        }:
            return fail(RequestRefusal("address"))
        plain = proxy.build_endpoint(self._reactor_of_pool, host, port, self._timeout)
        tunnel = (
            wrapClientTLS(self._policy.creatorForNetloc(host, port), plain)
            if scheme == b"https"
            else plain
        )
        return super().getConnection(key, tunnel)

    def _build_endpoint(
        self, scheme: bytes, host: bytes, port: int, addresses: Sequence[Address]
    ) -> Any:
        """Return an endpoint that connects to `addresses`, with TLS for HTTPS."""
        pinned = _PinnedReactor(self._reactor_of_pool, addresses)
        plain: Any = HostnameEndpoint(pinned, host.decode("ascii"), port, timeout=self._timeout)
        return (
            wrapClientTLS(self._policy.creatorForNetloc(host, port), plain)
            if scheme == b"https"
            else plain
        )


class PinnedHandler(HTTP11DownloadHandler):
    """Scrapy's download handler with pinned addresses, which also measures how long the site took.

    The spider's visit knows what was resolved.
    """

    def __init__(self, crawler: Crawler) -> None:
        super().__init__(crawler)
        # importing it earlier would install another one
        from twisted.internet import reactor  # noqa: PLC0415

        scrapy_pool, visit = self._pool, crawler.spider.visit  # type: ignore[union-attr]
        proxy: Proxy | None = visit.proxy
        if proxy and proxy.ca and crawler.settings.getbool("DOWNLOAD_VERIFY_CERTIFICATES"):
            make_policy: Any = BrowserLikePolicyForHTTPS
            self._contextFactory = make_policy(trustRoot=Roots(proxy.ca))
        timeout = crawler.settings.getfloat("DOWNLOAD_TIMEOUT")
        self._pool = PinnedPool(reactor, visit.resolved, self._contextFactory, timeout, proxy)
        self._pool.maxPersistentPerHost = scrapy_pool.maxPersistentPerHost
        # Scrapy sets it so: it bears servers that break rules
        self._pool._factory = scrapy_pool._factory  # noqa: SLF001
        crawler.signals.connect(correct_latency, signal=signals.headers_received)

    async def download_request(self, request: Request) -> Response:
        """Send a request and return its response (Scrapy's interface)."""
        note_request(request)
        return await super().download_request(request)
