"""One HTTP POST of a few kilobytes: no redirect is followed, TLS is checked, nothing waits longer
than it may.

Plain HTTP goes to loopback alone. Proxies of the environment are used as everywhere, but never for
loopback.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlsplit

from ullage.errors import ConfigError, UnavailableError
from ullage.files.validation import read_json
from ullage.settings import LOOPBACK


class UndeliveredError(UnavailableError):
    """A message did not arrive, or `maybe` did: the request was out when the connection broke.

    What it says never repeats an address, or what the other side answered beyond a number.
    """

    def __init__(
        self, message: str, *, maybe: bool = False, retry_after: float | None = None
    ) -> None:
        super().__init__(message, retry_after)
        self.maybe = maybe


MOST_BYTES = 65_536
"""Of an answer; what is longer is none that we know."""


@dataclass(frozen=True, slots=True)
class PostResponse:
    """What the other side said."""

    status: int
    body: bytes
    retry_after: float | None

    def field(self, name: str) -> Any:
        """A field of the answer's JSON object; None where there is none."""
        try:
            found = read_json(self.body)
        except ValueError:
            return None
        return found.get(name) if isinstance(found, dict) else None


def address(url: str) -> SplitResult:
    """`url` taken apart, if a message may go there: https, or http on loopback.

    ConfigError without repeating it.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        parts = urlsplit("")
    if (
        not parts.hostname
        or parts.scheme not in ("http", "https")
        or parts.username
        or parts.fragment
    ):
        raise ConfigError("the first line is no address of the form https://HOST/PATH")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise ConfigError("the address is http, which only loopback may have: use https")
    return parts


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Whoever answers with another address gets nothing sent there."""


def post(url: str, body: bytes, headers: Mapping[str, str], timeout: float) -> PostResponse:
    """Post `body`; the answer whatever its status, or UndeliveredError.

    `timeout` in seconds, for each step.
    """
    parts = address(url)
    handlers: list[Any] = [_NoRedirect()]
    if parts.hostname in LOOPBACK:
        handlers.append(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(url, body, {"User-Agent": "ullage", **headers}, method="POST")  # noqa: S310  checked above
    try:
        with urllib.request.build_opener(*handlers).open(request, timeout=timeout) as response:
            return PostResponse(response.status, _read(response, timeout), None)
    except urllib.error.HTTPError as error:
        with error:
            return PostResponse(
                error.code, _read(error, timeout), _seconds(error.headers.get("Retry-After"))
            )
    except urllib.error.URLError as error:  # before the request was out: name, connection, TLS
        raise UndeliveredError(f"cannot be reached ({_why(error.reason)})") from None
    except (OSError, http.client.HTTPException) as error:
        raise UndeliveredError(
            f"broke off before it answered ({type(error).__name__})", maybe=True
        ) from None


def _read(response: Any, timeout: float) -> bytes:
    """At most `MOST_BYTES`, within `timeout` seconds: who drips is cut off."""
    deadline, parts, size = time.monotonic() + timeout, list[bytes](), 0
    while size < MOST_BYTES and time.monotonic() < deadline:
        part = (
            response.read1(MOST_BYTES - size)
            if hasattr(response, "read1")
            else response.read(MOST_BYTES)
        )
        if not part:
            break
        parts.append(part)
        size += len(part)
    return b"".join(parts)


def _seconds(text: str | None) -> float | None:
    return float(text) if text and text.isascii() and text.isdecimal() else None


def _why(reason: object) -> str:
    if isinstance(reason, ssl.SSLCertVerificationError):
        return "its certificate is not trusted"
    return type(reason).__name__


def accepted(answer: PostResponse) -> PostResponse:
    """`answer` if its status is 2xx; UndeliveredError otherwise."""
    if not 200 <= answer.status < 300:
        raise UndeliveredError(f"answers {answer.status}", retry_after=answer.retry_after)
    return answer


def handshake(host: str, port: int, *, tls: bool, timeout: float) -> str:
    """Connect, with TLS where asked; says with what."""
    try:
        with socket.create_connection((host, port), timeout) as plain:
            if not tls:
                return f"{host}:{port} takes connections"
            with ssl.create_default_context().wrap_socket(plain, server_hostname=host) as secure:
                return f"{host}:{port} answers with {secure.version()}"
    except OSError as error:
        raise UndeliveredError(f"{host}:{port} cannot be reached ({_why(error)})") from None


def reach(url: str, timeout: float) -> str:
    """`handshake` with the host of `url`."""
    parts = address(url)
    tls = parts.scheme == "https"
    return handshake(
        str(parts.hostname), parts.port or (443 if tls else 80), tls=tls, timeout=timeout
    )
