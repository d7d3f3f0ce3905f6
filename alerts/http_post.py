"""Send one HTTP POST of a few kilobytes, with strict limits.

Redirects are not followed, TLS certificates are verified, and every step has a time limit. Plain
HTTP is allowed only to loopback. The proxies of the environment apply, except to loopback.
Notification channels and time-stamping authorities are called through this module.
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
from http import HTTPStatus
from typing import Any
from urllib.parse import SplitResult, urlsplit

from ullage.errors import ConfigError, UnavailableError
from ullage.files.validation import read_json
from ullage.settings import LOOPBACK


class UndeliveredError(UnavailableError):
    """The error of a message that did not arrive, or that may have arrived (`maybe`).

    `maybe` is set if the connection broke after the request was sent. The message never
    repeats an address, nor anything of the answer except its status.
    """

    def __init__(
        self, message: str, *, maybe: bool = False, retry_after: float | None = None
    ) -> None:
        super().__init__(message, retry_after)
        self.maybe = maybe


MOST_BYTES = 65_536
"""Largest number of bytes read of an answer; no valid answer is longer."""


@dataclass(frozen=True, slots=True)
class PostResponse:
    """The answer of the server: its status, and at most 65,536 bytes of its body.

    `retry_after` is the number of seconds that an error status asked to wait; None if it asked for
    none.
    """

    status: int
    body: bytes
    retry_after: float | None

    def field(self, name: str) -> Any:
        """Return a field of the answer's JSON object; None without the field or the object."""
        try:
            found = read_json(self.body)
        except ValueError:
            return None
        return found.get(name) if isinstance(found, dict) else None


def address(url: str) -> SplitResult:
    """Return the parts of `url` if messages may be sent there: https, or http on loopback.

    Raises ConfigError, without repeating `url`, for anything else, and for a URL with a user name
    or a fragment.
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
        raise ConfigError("the first line must be an address of the form https://HOST/PATH")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise ConfigError(
            "the address in the first line is http, which is allowed only on loopback: use https"
        )
    return parts


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Ignore the redirect: nothing is sent to the address in the answer."""


def post(url: str, body: bytes, headers: Mapping[str, str], timeout: float) -> PostResponse:
    """Send one POST request with `body` and return the answer, whatever its status.

    A redirect is returned and not followed. `timeout` is in seconds and applies to each step. A
    body that is long or slow is cut off, at 65,536 bytes or after `timeout`. Raises ConfigError if
    nothing may be sent to `url`, and UndeliveredError if there is no answer, or if that of a
    success breaks off; of a refusal that breaks off, the body is empty.
    """
    parts = address(url)
    handlers: list[Any] = [_NoRedirect()]
    if parts.hostname in LOOPBACK:
        handlers.append(urllib.request.ProxyHandler({}))
    with_agent = {"User-Agent": "ullage", **headers}
    # `address` has checked the scheme
    request = urllib.request.Request(url, body, with_agent, method="POST")  # noqa: S310
    try:
        response = urllib.request.build_opener(*handlers).open(request, timeout=timeout)
    except urllib.error.HTTPError as error:  # an answer too, whose body may break off as any other
        response = error
    except urllib.error.URLError as error:  # before the request was sent: name, connection, TLS
        raise UndeliveredError(f"cannot be reached ({_describe_reason(error.reason)})") from None
    except (OSError, http.client.HTTPException) as error:
        raise _make_broken_off(error) from None
    with response:
        is_refusal = response.status >= HTTPStatus.MULTIPLE_CHOICES
        retry_after = _seconds(response.headers.get("Retry-After")) if is_refusal else None
        try:
            body = _read(response, timeout)
        except (OSError, http.client.HTTPException) as error:
            if not is_refusal:
                raise _make_broken_off(error) from None
            body = b""  # the status says enough
        return PostResponse(response.status, body, retry_after)


def _make_broken_off(error: Exception) -> UndeliveredError:
    return UndeliveredError(f"broke off before it answered ({type(error).__name__})", maybe=True)


def _read(response: Any, timeout: float) -> bytes:
    """Read at most `MOST_BYTES` of an answer, within `timeout` seconds.

    A slow answer is cut off when the time has passed.
    """
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


def _describe_reason(reason: object) -> str:
    if isinstance(reason, ssl.SSLCertVerificationError):
        return "its certificate is not trusted"
    return type(reason).__name__


def require_success(answer: PostResponse) -> PostResponse:
    """Return `answer` if its status is 2xx; raise UndeliveredError otherwise."""
    if not 200 <= answer.status < 300:
        raise UndeliveredError(f"answers {answer.status}", retry_after=answer.retry_after)
    return answer


def handshake(host: str, port: int, *, tls: bool, timeout: float) -> str:
    """Connect to a host, with TLS if `tls` is set, close the connection, and describe it.

    The result is one English phrase. `timeout` is in seconds. Raises UndeliveredError if the host
    cannot be reached or its certificate is not trusted.
    """
    try:
        with socket.create_connection((host, port), timeout) as plain:
            if not tls:
                return f"{host}:{port} takes connections"
            with ssl.create_default_context().wrap_socket(plain, server_hostname=host) as secure:
                return f"{host}:{port} answers with {secure.version()}"
    except OSError as error:
        raise UndeliveredError(
            f"{host}:{port} cannot be reached ({_describe_reason(error)})"
        ) from None


def reach(url: str, timeout: float) -> str:
    """Connect to the host of `url`, with TLS for https, and describe the connection in a phrase.

    Nothing is sent. `timeout` is in seconds. Raises ConfigError if messages may not be sent to
    `url`, and UndeliveredError if the host cannot be reached.
    """
    parts = address(url)
    tls = parts.scheme == "https"
    return handshake(
        str(parts.hostname), parts.port or (443 if tls else 80), tls=tls, timeout=timeout
    )
