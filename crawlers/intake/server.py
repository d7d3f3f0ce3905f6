"""Run `ullage intake`: an HTTP service that accepts posts from other collectors.

It listens on loopback, or anywhere with TLS.

    DIR/keys/intake.token   0600, one line, made at the first start; whoever can read it may
                            submit posts

`crawlers.intake.requests` defines requests and answers. A body is read only after its token was
right, its length is known and there is room for it: the amount that waits for the bus is
limited, and senders beyond the limit are asked to wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import secrets
import threading
from dataclasses import dataclass
from typing import Any

import typer

from crawlers.intake.feed import IntakeWriter
from crawlers.intake.requests import (
    ATTEMPT_SECONDS,
    ATTEMPTS,
    DESCRIBED,
    JSON,
    LINES,
    PATH,
    Captures,
    IntakeResponse,
    TokenCheck,
    describe_service,
    refusal,
)
from crawlers.metrics import IntakeMetrics
from crawlers.publishing.batching import PatientAppends
from ullage import __version__, log, setup
from ullage.errors import ConfigError
from ullage.files.atomic_write import write_new
from ullage.monitoring.metrics import BUS, CertificateMetrics, new_registry
from ullage.runtime.http_server import BoundedProtocol, listening, serve
from ullage.runtime.rate_limit import Allowance
from ullage.runtime.service import running
from ullage.runtime.worker import reach
from ullage.security.keys import KeyStore
from ullage.security.tls import ListenerCertificate
from ullage.settings import Context, IntakeSettings

TOKEN = "intake.token"  # noqa: S105 - its name, not the token
SHORTEST = 32
"""The fewest characters of a token, for those that people choose."""
BEHIND_SECONDS = 60
MOST_BODY_BYTES, MOST_WAITING_BYTES = 48 << 20, 128 << 20
"""The limits of one request, and of all that wait for the bus; beyond them the answer is 429."""
HEADERS = (
    (b"content-type", b"application/json"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
)


class _Protocol(BoundedProtocol):
    def request_seconds(self) -> float:
        """Return the time limit for a request: an attachment may arrive slowly."""
        return 120.0


def intake(ctx: typer.Context) -> None:
    """Accept posts from other collectors over HTTP, with a token; on loopback, or with TLS."""
    context: Context = ctx.obj
    setup.require(context)
    settings = context.settings.intake
    tls = ListenerCertificate.from_settings(
        "intake", context.data, settings.certificate, settings.key
    )
    registry = new_registry("intake")
    metrics = IntakeMetrics(registry, context.clock)
    CertificateMetrics(registry, {BUS: context.list_bus_trusts()}, tls)
    with contextlib.ExitStack() as stack:
        listener, port = stack.enter_context(listening("intake", settings.host, settings.port))
        made, metrics_port = list[PatientAppends](), context.settings.metrics_port("intake")
        stop = stack.enter_context(
            running(
                "intake",
                registry,
                metrics_port,
                context,
                lambda: bool(made) and made[0].up,
                [metrics.loop.fault],
            )
        )
        feed = reach(
            "intake",
            lambda: IntakeWriter.of(context, stop),
            stop,
            False,
            lambda up: metrics.loop.record_reachability(BUS, up),
        )
        if feed is None:
            return
        bus = stack.enter_context(contextlib.closing(context.bus()))
        stack.callback(feed.publisher.close)
        lag = context.settings.bus.most_lag_seconds
        appends = PatientAppends(
            bus, feed.outbox, context.clock, metrics.loop, metrics.captures, lag
        )
        made.append(appends)
        stack.callback(appends.on_bus.close)
        app = IntakeService.of(context, Captures(feed, appends, metrics.refused), metrics, stop)
        typer.echo(f"captures: {'https' if tls else 'http'}://{settings.host}:{port}{PATH}")
        typer.echo(f"token: {context.keys.root / TOKEN}", err=True)
        serve(app, listener, stop, _Protocol, tls, lifespan=True)
        if app.fault is not None:
            raise app.fault


@dataclass(slots=True)
class IntakeService:
    """The intake service as an ASGI application."""

    settings: IntakeSettings
    captures: Captures
    door: TokenCheck
    metrics: IntakeMetrics
    stop: threading.Event
    most_waiting: int = MOST_WAITING_BYTES
    waiting: int = 0
    fault: BaseException | None = None
    """The error that stopped the writer: the process ends with it, so that it is restarted."""

    @classmethod
    def of(
        cls, context: Context, captures: Captures, metrics: IntakeMetrics, stop: threading.Event
    ) -> IntakeService:
        """Create the application; the token is made where there is none.

        Raises ConfigError if the token that exists is not valid.
        """
        attempts = Allowance(ATTEMPTS, ATTEMPT_SECONDS, context.clock, "too many attempts")
        door = TokenCheck(_token(context.keys), attempts)
        return cls(context.settings.intake, captures, door, metrics, stop)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request, or run the lifespan of the server (ASGI).

        An unexpected error gives status 500 and is logged by its type only. Each response is
        counted by its status.
        """
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in scope["headers"]
        }
        answering = self._answer(scope["method"], scope["path"], headers, receive)
        [answer] = await asyncio.gather(answering, return_exceptions=True)
        # an internal error is reported without any content of the request
        if not isinstance(answer, IntakeResponse):
            log.get("intake").error("request_failed", error=type(answer).__name__)
            answer = refusal(500, "internal error; see the log")
        self.metrics.count_request(answer.status)
        body = json.dumps(answer.body, ensure_ascii=False).encode()
        told = [
            (name.encode(), value.encode())
            for name, value in (*answer.headers, ("content-length", str(len(body))))
        ]
        await send(
            {"type": "http.response.start", "status": answer.status, "headers": [*HEADERS, *told]}
        )
        await send({"type": "http.response.body", "body": body})

    async def _live(self, receive: Any, send: Any) -> None:
        """Write captures from the start of the server to its end.

        If the writer ends with an error, `_ended` stops the server.
        """
        await receive()
        looking = asyncio.create_task(self.captures.appends.run())
        looking.add_done_callback(self._ended)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        looking.cancel()
        await send({"type": "lifespan.shutdown.complete"})

    def _ended(self, looking: asyncio.Task[None]) -> None:
        if not looking.cancelled():
            self.fault = looking.exception()
            self.stop.set()

    async def _answer(
        self, method: str, path: str, headers: dict[str, str], receive: Any
    ) -> IntakeResponse:
        if path in ("/healthz", "/readyz") and method == "GET":
            if path == "/readyz" and not self.captures.appends.up:
                return refusal(503, "not ready: cannot reach the bus")
            return IntakeResponse(200, {"status": "ok"})
        if refused := self.door.refuses(headers):
            return refused
        if path == DESCRIBED and method == "GET":
            return IntakeResponse(200, describe_service(__version__))
        return self._refusal(method, path, headers) or await self._taken(headers, receive)

    def _refusal(self, method: str, path: str, headers: dict[str, str]) -> IntakeResponse | None:
        """Return the refusal of a request before its body is read; None to go on.

        404 for another path, 405 for another method, 415 for another type, 411 without a valid
        content-length, 413 above MOST_BODY_BYTES (48 MiB), and that of `_full` while too many bytes
        wait.
        """
        if path != PATH:
            return refusal(404, f"this path does not exist; use {PATH} or {DESCRIBED}")
        if method != "POST":
            return IntakeResponse(405, {"error": "POST only"}, (("allow", "POST"),))
        media_type = _media_type(headers)
        if media_type not in (JSON, *LINES):
            return refusal(
                415, f"content-type: must be {JSON}, or {LINES[0]} with one post per line"
            )
        length = headers.get("content-length", "")
        if "transfer-encoding" in headers or not (
            length.isascii() and length.isdigit() and len(length) < 16
        ):
            return refusal(411, "content-length is missing")
        if int(length) > MOST_BODY_BYTES:
            return refusal(413, f"more than {MOST_BODY_BYTES} bytes: send fewer posts at once")
        return self._full(int(length))

    def _full(self, length: int) -> IntakeResponse | None:
        if self.captures.appends.behind:
            return refusal(
                429,
                "match lags too far: new posts would expire before it reads them",
                BEHIND_SECONDS,
            )
        if self.waiting and self.waiting + length > self.most_waiting:
            return refusal(429, "too many posts are waiting for the bus", 1)
        return None

    async def _taken(self, headers: dict[str, str], receive: Any) -> IntakeResponse:
        """Read the body, submit its posts and return the response.

        Returns 400 if the body is shorter or longer than content-length says. Until then its bytes
        count as waiting.
        """
        length = int(headers["content-length"])
        self.waiting += length
        self.metrics.waiting.set(self.waiting)
        try:
            body = bytearray()
            while len(body) <= length:
                message = await receive()
                body += message.get("body", b"")
                if message["type"] == "http.disconnect" or not message.get("more_body", False):
                    break
            if len(body) != length:
                return refusal(400, "the body is not as long as content-length says")
            return await self.captures.post(
                _media_type(headers), headers.get("idempotency-key", ""), bytes(body)
            )
        finally:
            self.waiting -= length
            self.metrics.waiting.set(self.waiting)


def _media_type(headers: dict[str, str]) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def _token(keys: KeyStore) -> str:
    """Return the token of intake.

    It is created in the key folder where neither a key command nor a credential nor a file has one.
    Raises ConfigError if it is not one line of at least SHORTEST (32) ASCII characters without
    spaces.
    """
    has_token = keys.command or (keys.credentials and (keys.credentials / TOKEN).is_file())
    if not has_token and not keys.exists(TOKEN):
        keys.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        with contextlib.suppress(FileExistsError):  # another process is starting too
            write_new(f"{secrets.token_urlsafe(32)}\n".encode(), keys.root / TOKEN)
    lines = keys.read_lines(TOKEN)
    if len(lines) != 1 or not re.fullmatch(rf"[!-~]{{{SHORTEST},}}", lines[0]):
        raise ConfigError(
            f"{keys.root / TOKEN} is not a token: it must be one line of at least {SHORTEST}"
            " ASCII characters without spaces; remove the file, and intake creates a new"
            " one"
        )
    return lines[0]
