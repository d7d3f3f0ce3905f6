"""Connect through the proxies that a site's file may name: SOCKS5, such as Tor's, or HTTP.

A proxy may have a CA of its own. Only the proxy resolves names, so an .onion name never leaves this
machine in a look-up. Since nobody here sees the address behind a name, names that look internal are
refused (`is_internal_name`). A proxy that does not answer in time is cut off by the page's own
deadline.
"""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from functools import partial
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
        """Return the proxy's address, without the secret."""
        return f"{self.scheme}://{self.host}:{self.port}"

    @property
    def authorization(self) -> bytes:
        """Return the value of Proxy-Authorization; empty without a secret."""
        return (
            b"Basic " + base64.b64encode(f"{self.user}:{self.password}".encode())
            if self.user
            else b""
        )

    def build_endpoint(self, reactor: Any, host: bytes, port: int, timeout: float) -> Any:
        """Return an endpoint for connections to `host` through the proxy."""
        steps = _negotiate_socks if self.scheme == SOCKS else _negotiate_http
        return Tunnel(self.build_entrance(reactor, timeout), lambda: steps(self, host, port))

    def build_entrance(self, reactor: Any, timeout: float) -> Any:
        """Return an endpoint for connections to the proxy itself."""
        plain: Any = HostnameEndpoint(reactor, self.host, self.port, timeout=timeout)
        return plain


def load_proxies(context: Context) -> Mapping[str, Proxy]:
    """Return the configured proxies by name.

    Raises ConfigError for an address, a CA or a secret that cannot be used.
    """
    return {name: _load_proxy(context, name) for name in context.settings.crawl.proxies}


def _load_proxy(context: Context, name: str) -> Proxy:
    """Return one configured proxy with its secret.

    Raises ConfigError if its address, certificates or login are invalid.
    """
    settings, where = context.settings.crawl.proxies[name], f"crawl.proxies.{name}"
    parts = urlsplit(settings.address)
    if parts.scheme not in (SOCKS, HTTP) or not parts.hostname or not parts.port or parts.username:
        raise ConfigError(
            f"{where}.address: must be socks5h://HOST:PORT or http://HOST:PORT, without"
            " user and password"
        )
    ca = context.data / settings.ca if settings.ca else None
    if ca:
        try:
            SSL.Context(SSL.TLS_METHOD).load_verify_locations(str(ca))
        except SSL.Error:
            raise ConfigError(f"{where}.ca: {ca} must contain certificates in PEM") from None
    user = password = ""
    if settings.credentials:
        line, *_ = [*context.keys.read_lines(f"{FOLDER}/{settings.credentials}"), ""]
        user, colon, password = line.partition(":")
        if not (user and colon) or max(len(user.encode()), len(password.encode())) > 255:
            raise ConfigError(
                f"{where}.credentials: keys/{FOLDER}/{settings.credentials} must contain a"
                " line `user:password`"
            )
    return Proxy(parts.scheme, parts.hostname, parts.port, user, password, ca)


@implementer(IOpenSSLTrustRoot)
@dataclass(frozen=True)
class Roots:
    """The usual root certificates and those of a file."""

    ca: Path

    def _addCACertsToContext(self, context: Any) -> None:  # noqa: N802 - Twisted's name
        context.set_default_verify_paths()
        context.load_verify_locations(str(self.ca))


@implementer(IStreamClientEndpoint)
@dataclass(frozen=True)
class Tunnel:
    """An endpoint that connects through a proxy.

    `steps` exchange what the proxy needs before the connection is handed to the caller.
    """

    entrance: Any
    steps: Callable[[], Steps]

    def connect(self, factory: Any) -> Deferred[Any]:
        """Connect to the host through the proxy and return the connection (Twisted's interface).

        Cancelling the returned Deferred aborts the connection. Fails with `RequestRefusal("proxy")`
        if the proxy does not answer, rejects the login or cannot reach the host.
        """
        talk = _Talk(self.steps(), factory)
        entering: Deferred[Any]
        entering = connectProtocol(self.entrance, talk)  # type: ignore[no-untyped-call]

        def give_up(_: Deferred[Any]) -> None:
            entering.cancel()
            talk.abort()

        talk.done = Deferred(give_up)
        entering.addErrback(talk.fail)
        return talk.done


class _Talk(Protocol):
    """The protocol that negotiates with the proxy and then hands the connection over."""

    done: Deferred[Any]

    def __init__(self, steps: Steps, factory: Any) -> None:
        self._steps, self._factory, self._heard = steps, factory, b""
        self._wants: int | bytes = 0

    def connectionMade(self) -> None:  # noqa: N802 - Twisted's name
        """Start the negotiation."""
        self._run_step(lambda: next(self._steps))

    def dataReceived(self, data: bytes) -> None:  # noqa: N802 - Twisted's name
        """Collect what the proxy sends, and run the next step for each complete answer.

        Fails the connection if an incomplete answer is longer than LONGEST_HEAD (16 KiB).
        """
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
            if not self._run_step(partial(self._steps.send, answer)):
                return

    def connectionLost(  # noqa: N802 - Twisted's name
        self,
        reason: Failure = connectionDone,  # noqa: ARG002 - Twisted passes it
    ) -> None:
        """Fail: the proxy closed the connection."""
        self.fail()

    def fail(self, _: object = None) -> None:
        """Close the connection and report the failure, one time."""
        self.abort()
        if not self.done.called:
            self.done.errback(RequestRefusal("proxy"))

    def abort(self) -> None:
        """Close the connection at once."""
        if self.transport is not None:
            self.transport.abortConnection()

    def _run_step(self, step: Callable[[], tuple[bytes, int | bytes]]) -> bool:
        """Run a step and send what it returns; return whether more steps follow.

        After the last step the connection is handed over to the caller. If the proxy's answer was a
        refusal, the connection fails.
        """
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
        """Hand the connection over to the caller's protocol.

        Bytes that came after the last answer are passed on. Always returns False: no steps follow.
        """
        caller = self._factory.buildProtocol(transport.getPeer())
        transport.protocol = caller
        caller.makeConnection(transport)
        if self._heard:
            caller.dataReceived(self._heard)
        self.done.callback(caller)
        return False


class _NoWayError(Exception):
    """The proxy refused, or sent something that is no answer."""


def _require(holds: bool) -> None:
    if not holds:
        raise _NoWayError


def _negotiate_socks(proxy: Proxy, host: bytes, port: int) -> Steps:
    """Negotiate SOCKS5 (RFC 1928, secret by RFC 1929); the proxy resolves the name.

    A generator: it yields bytes to send and how many bytes to wait for, and receives these. Raises
    _NoWayError (by `_require`) if the proxy refuses, answers in another form, or the name is 256
    bytes or longer.
    """
    offer = b"\x05\x02\x00\x02" if proxy.user else b"\x05\x01\x00"
    answer = yield offer, 2
    _require(
        answer[:1] == b"\x05" and answer[1:] in ((b"\x00", b"\x02") if proxy.user else (b"\x00",))
    )
    if answer[1:] == b"\x02":
        user, password = proxy.user.encode(), proxy.password.encode()
        answer = yield b"\x01" + bytes([len(user)]) + user + bytes([len(password)]) + password, 2
        _require(answer[1:] == b"\x00")
    _require(len(host) < 256)
    answer = yield b"\x05\x01\x00" + _encode_host(host) + port.to_bytes(2, "big"), 4
    _require(answer[:2] == b"\x05\x00" and answer[3] in (1, 3, 4))
    remaining = {1: 4, 4: 16}.get(answer[3], 0)
    if not remaining:
        remaining = (yield b"", 1)[0]
    yield b"", remaining + 2


def _encode_host(host: bytes) -> bytes:
    """Encode a host for SOCKS5: an address, or a name that the proxy resolves."""
    try:
        address = ipaddress.ip_address(host.decode("ascii", "replace"))
    except ValueError:
        return b"\x03" + bytes([len(host)]) + host
    return (b"\x01" if address.version == 4 else b"\x04") + address.packed


def _negotiate_http(proxy: Proxy, host: bytes, port: int) -> Steps:
    """Negotiate HTTP CONNECT (RFC 9110, 9.3.6)."""
    place = (b"[%b]" if b":" in host else b"%b") % host + b":%d" % port
    secret = b"Proxy-Authorization: %b\r\n" % proxy.authorization if proxy.user else b""
    answer = yield (
        b"CONNECT %b HTTP/1.1\r\nHost: %b\r\n%b\r\n" % (place, place, secret),
        b"\r\n\r\n",
    )
    _require(re.match(rb"HTTP/1\.[01] 2\d\d[ \r]", answer) is not None)
