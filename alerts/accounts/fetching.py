"""Asking an identity provider over HTTP: bounded in time and bytes, by the configured proxy and authorities alone."""

from __future__ import annotations

import contextlib
import ssl
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from ullage.clock import Clock
from ullage.errors import ConfigError, UnavailableError
from ullage.settings.roles import OidcSettings

MOST_BYTES = 512 * 1024
AT_ONCE = 8
ANSWER_SECONDS = 10.0
"""Requests under way: a provider that hangs holds no more threads of the desk."""
TURN_SECONDS = 1.0


@dataclass(slots=True)
class Fetching:
    """Threads share it; `transport` carries the requests. One that has not ended after `seconds` is waited for no longer."""

    transport: httpx.BaseTransport
    clock: Clock
    seconds: float
    _turns: threading.BoundedSemaphore = field(default_factory=lambda: threading.BoundedSemaphore(AT_ONCE))

    def json(
        self,
        method: str,
        address: str,
        *,
        form: Mapping[str, str] | None = None,
        basic: tuple[str, str] | None = None,
        token: str = "",
        refusals: tuple[int, ...] = (),
    ) -> Mapping[str, Any]:
        """The object that an address answers with, a status of `refusals` included; UnavailableError for all else."""
        client = httpx.Client(transport=self.transport, timeout=self.seconds, follow_redirects=False, trust_env=False)
        try:
            request = client.build_request(method, address, data=form, headers=_headers(token))
        except (httpx.InvalidURL, ValueError):
            raise UnavailableError("the identity provider's address is none") from None
        if not self._turns.acquire(timeout=TURN_SECONDS):
            raise UnavailableError("the identity provider is slow, and others wait for it")
        found = Future[Mapping[str, Any]]()
        auth = httpx.BasicAuth(*basic) if basic else None

        def ask() -> None:
            try:
                found.set_result(self._asked(client, request, auth, refusals))
            except UnavailableError as error:
                found.set_exception(error)
            finally:
                self._turns.release()

        # httpx bounds each read and not the whole: a thread of its own can be left behind where an answer drips.
        threading.Thread(target=ask, name="identity provider", daemon=True).start()
        try:
            return found.result(self.seconds)
        except TimeoutError:
            raise UnavailableError("the identity provider takes too long") from None

    def _asked(
        self, client: httpx.Client, request: httpx.Request, auth: httpx.BasicAuth | None, refusals: tuple[int, ...]
    ) -> Mapping[str, Any]:
        try:
            with contextlib.closing(client.send(request, stream=True, auth=auth)) as answer:
                return self._object(answer, refusals)
        except (httpx.HTTPError, httpx.StreamError) as error:
            raise UnavailableError(f"the identity provider cannot be asked ({type(error).__name__})") from None

    def _object(self, answer: httpx.Response, refusals: tuple[int, ...]) -> Mapping[str, Any]:
        if answer.status_code != 200 and answer.status_code not in refusals:
            raise UnavailableError(f"the identity provider answers {answer.status_code}")
        body, until = bytearray(), self.clock.monotonic() + self.seconds
        for piece in answer.iter_raw():
            body += piece
            if len(body) > MOST_BYTES or self.clock.monotonic() > until:
                raise UnavailableError("the identity provider's answer is too long, or takes too long")
        try:
            found = httpx.Response(200, content=bytes(body)).json()
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise UnavailableError("the identity provider answers with no JSON object")
        return found


def _headers(token: str) -> dict[str, str]:
    headers = {"accept": "application/json", "accept-encoding": "identity"}
    return {**headers, "authorization": f"Bearer {token}"} if token else headers


def fetching(settings: OidcSettings, data: Path, clock: Clock) -> Fetching:
    """As configured: `search.oidc.ca` alone is believed where it is given, and `search.oidc.proxy` is the only way out then."""
    try:
        context = ssl.create_default_context(cafile=str(data / settings.ca) if settings.ca else None)
    except (OSError, ssl.SSLError):
        raise ConfigError(f"search.oidc.ca: {data / settings.ca} is not there, or holds no certificate (PEM)") from None
    return Fetching(httpx.HTTPTransport(verify=context, proxy=settings.proxy or None, trust_env=False), clock, ANSWER_SECONDS)
