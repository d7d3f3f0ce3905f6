"""Ways out that a site's file may name: a SOCKS5 proxy such as Tor's, or an HTTP proxy, which may
have a CA of its own.

Names are looked up by the proxy alone, so an .onion name never leaves this machine in a look-up,
and what it resolves to nobody here sees: names that mean a house's own machines are refused by how
they look (`is_inward`). What a proxy does not answer in time is cut with the page, by the page's
own deadline.
"""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from OpenSSL import SSL
from twisted.internet._sslverify import IOpenSSLTrustRoot
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer  # type: ignore[import-untyped]  # it has no types

from crawlers.fetching import RequestRefusal
from ullage.errors import ConfigError
from ullage.settings import Context

FOLDER = "proxy"
"""Of the key folder: a file a proxy, named as it, with `user:password`."""
SOCKS, HTTP = "socks5h", "http"
LONGEST_HEAD = 16 * 1024
"""Names without a dot, of networks of their own, and what ends in a number, which may be an
address in an odd spelling.
"""
Steps = Generator[tuple[bytes, int | bytes], bytes, None]
"""What is sent, and how much is waited for: so many bytes, or all up to these."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """One of `crawl.proxies`, with its secret.

    `ca` is a file of certificates that are trusted besides the usual ones.
    """

    scheme: str
    host: str
    port: int
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    ca: Path | None = None

    @property
    def url(self) -> str:
        """Its address, without the secret."""
        return f"{self.scheme}://{self.host}:{self.port}"

    @property
    def authorization(self) -> bytes:
        """What an HTTP proxy is told; empty without a secret."""
        return (
            b"Basic " + base64.b64encode(f"{self.user}:{self.password}".encode())
            if self.user
            else b""
        )

    def endpoint(self, reactor: Any, host: bytes, port: int, timeout: float) -> Any:
        """Connections to `host` through it."""
        steps = _socks if self.scheme == SOCKS else _connect
        return Tunnel(self.entrance(reactor, timeout), lambda: steps(self, host, port))

    def entrance(self, reactor: Any, timeout: float) -> Any:
        """Connections to the proxy itself."""
        plain: Any = HostnameEndpoint(reactor, self.host, self.port, timeout=timeout)
        return plain


def proxies_of(context: Context) -> Mapping[str, Proxy]:
    """Those that are configured, by name; ConfigError for an address, a CA or a secret that
    cannot be used.
    """
    return {name: _proxy(context, name) for name in context.settings.crawl.proxies}


def _proxy(context: Context, name: str) -> Proxy:
    given, where = context.settings.crawl.proxies[name], f"crawl.proxies.{name}"
    parts = urlsplit(given.address)
    if parts.scheme not in (SOCKS, HTTP) or not parts.hostname or not parts.port or parts.username:
        raise ConfigError(
            f"{where}.address: is none of socks5h://HOST:PORT and http://HOST:PORT, without user"
            " and password"
        )
    ca = context.data / given.ca if given.ca else None
    if ca:
        try:
            SSL.Context(SSL.TLS_METHOD).load_verify_locations(str(ca))
        except SSL.Error:
            raise ConfigError(
                f"{where}.ca: {ca} holds no certificates that can be read (PEM)"
            ) from None
    user = password = ""
    if given.credentials:
        line, *_ = [*context.keys.lines(f"{FOLDER}/{given.credentials}"), ""]
        user, colon, password = line.partition(":")
        if not (user and colon) or max(len(user.encode()), len(password.encode())) > 255:
            raise ConfigError(
                f"{where}.credentials: keys/{FOLDER}/{given.credentials} has no line"
                " `user:password`"
            )
    return Proxy(parts.scheme, parts.hostname, parts.port, user, password, ca)


@implementer(IOpenSSLTrustRoot)
@dataclass(frozen=True)
class Roots:
    """The usual certificates, and those of a file."""

    ca: Path

    def _addCACertsToContext(self, context: Any) -> None:  # noqa: N802 - Twisted's name
        context.set_default_verify_paths()
        context.load_verify_locations(str(self.ca))


@implementer(IStreamClientEndpoint)
@dataclass(frozen=True)
class Tunnel:
    """Connects by way of a proxy: `steps` are what is said there before the connection is the
    caller's.
    """

    entrance: Any
    steps: Callable[[], Steps]

    def connect(self, factory: Any) -> Deferred[Any]:
        """As Twisted's; fails with `RequestRefusal`, word `proxy`, where the proxy does not
        answer or does not lead there.
        """
        talk = _Talk(self.steps(), factory)
        entering: Deferred[Any] = connectProtocol(self.entrance, talk)  # type: ignore[no-untyped-call]

        def give_up(_: Deferred[Any]) -> None:
            entering.cancel()
            talk.abort()

        talk.done = Deferred(give_up)
        entering.addErrback(talk.fail)
        return talk.done


class _Talk(Protocol):
    """Speaks with the proxy, and then hands the connection over."""

    done: Deferred[Any]

    def __init__(self, steps: Steps, factory: Any) -> None:
        self._steps, self._factory, self._heard = steps, factory, b""
        self._wants: int | bytes = 0

    def connectionMade(self) -> None:  # noqa: N802 - Twisted's name
        """Begin."""
        self._go_on(lambda: next(self._steps))

    def dataReceived(self, data: bytes) -> None:  # noqa: N802 - Twisted's name
        """Take an answer, as soon as it is whole."""
        self._heard += data
        while self._steps is not None:
            end = (
                self._wants
                if isinstance(self._wants, int)
                else self._heard.find(self._wants) + len(self._wants)
            )
            missing = (
                end > len(self._heard)
                if isinstance(self._wants, int)
                else self._wants not in self._heard
            )
            if missing:
                if len(self._heard) > LONGEST_HEAD:
                    self.fail()
                return
            answer, self._heard = self._heard[:end], self._heard[end:]
            if not self._go_on(lambda answer=answer: self._steps.send(answer)):  # type: ignore[misc]
                return

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: N802, ARG002 - Twisted's name
        """The proxy hung up."""
        self.fail()

    def fail(self, _: object = None) -> None:
        """Tell whoever waits, once."""
        self.abort()
        if not self.done.called:
            self.done.errback(RequestRefusal("proxy"))

    def abort(self) -> None:
        """Leave at once."""
        if self.transport is not None:
            self.transport.abortConnection()

    def _go_on(self, step: Callable[[], tuple[bytes, int | bytes]]) -> bool:
        """Take a step; whether there are more."""
        transport: Any = self.transport
        try:
            words, self._wants = step()
        except StopIteration:
            return self._hand_over(transport)
        except _NoWayError:
            self.fail()
            return False
        transport.write(words)
        return True

    def _hand_over(self, transport: Any) -> bool:
        """From here on the connection is the caller's."""
        caller = self._factory.buildProtocol(transport.getPeer())
        transport.protocol = caller
        caller.makeConnection(transport)
        if self._heard:
            caller.dataReceived(self._heard)
        self.done.callback(caller)
        return False


class _NoWayError(Exception):
    """The proxy said no, or something that is no answer."""


def _need(holds: bool) -> None:
    if not holds:
        raise _NoWayError


def _socks(proxy: Proxy, host: bytes, port: int) -> Steps:
    """RFC 1928, with the secret of RFC 1929; the name goes as it is."""
    offer = b"\x05\x02\x00\x02" if proxy.user else b"\x05\x01\x00"
    answer = yield offer, 2
    _need(
        answer[:1] == b"\x05" and answer[1:] in ((b"\x00", b"\x02") if proxy.user else (b"\x00",))
    )
    if answer[1:] == b"\x02":
        user, password = proxy.user.encode(), proxy.password.encode()
        answer = yield b"\x01" + bytes([len(user)]) + user + bytes([len(password)]) + password, 2
        _need(answer[1:] == b"\x00")
    _need(len(host) < 256)
    answer = yield b"\x05\x01\x00" + _place(host) + port.to_bytes(2, "big"), 4
    _need(answer[:2] == b"\x05\x00" and answer[3] in (1, 3, 4))
    rest = {1: 4, 4: 16}.get(answer[3], 0)
    if not rest:
        rest = (yield b"", 1)[0]
    yield b"", rest + 2


def _place(host: bytes) -> bytes:
    """A host as SOCKS5 wants it: an address, or a name that the proxy looks up."""
    try:
        address = ipaddress.ip_address(host.decode("ascii", "replace"))
    except ValueError:
        return b"\x03" + bytes([len(host)]) + host
    return (b"\x01" if address.version == 4 else b"\x04") + address.packed


def _connect(proxy: Proxy, host: bytes, port: int) -> Steps:
    """CONNECT (RFC 9110, 9.3.6)."""
    place = (b"[%b]" if b":" in host else b"%b") % host + b":%d" % port
    secret = b"Proxy-Authorization: %b\r\n" % proxy.authorization if proxy.user else b""
    answer = yield (
        b"CONNECT %b HTTP/1.1\r\nHost: %b\r\n%b\r\n" % (place, place, secret),
        b"\r\n\r\n",
    )
    _need(re.match(rb"HTTP/1\.[01] 2\d\d[ \r]", answer) is not None)
