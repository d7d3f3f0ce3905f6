"""Refuse requests of other hosts and other sites, limit bodies, and set security headers.

    @router.post("/things", dependencies=[may("..."), streams(MOST_BYTES)])

    @router.post("/lists", dependencies=[may("..."), holds(MOST_BYTES)])

Every body that does not stream is whole before its route sees anything, and at most
`guard.MAX_BODY` unless its route `holds` more. One that streams is read by its route, piece by
piece, after the guard has seen who sends it; whoever sends it has `STREAM_SECONDS` for it.

A page of another site can make a browser send requests here. It cannot read the answers, nor send
the Host that we know (DNS rebinding gives its own name), nor hide where a form came from:
`Sec-Fetch-Site` and `Origin` are set by the browser alone.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from string import ascii_lowercase
from types import MappingProxyType
from typing import Any

from fastapi import Depends, FastAPI
from prometheus_client import Counter
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from alerts.accounts import NOBODY, Principal
from alerts.web.auth import MACHINES, Reach, RequestSource
from alerts.web.dependencies import dependencies_of, routes_of
from alerts.web.problems import MemberProblem, ProblemError, is_of_api
from ullage.audit.trail import REQUEST
from ullage.errors import UllageError
from ullage.lookup.values import identifier_in
from ullage.runtime.http_server import ANSWERED, MORE_TIME, MOST_REQUESTS

STREAM_SECONDS = 900.0


@dataclass(frozen=True, slots=True)
class Body:
    """That the body of a route may have so many bytes; the route reads it itself where it
    `streams`, else it is whole before.
    """

    most: int
    streams: bool

    async def __call__(self) -> None:
        """Nothing: the guard has seen to it."""


def streams(most: int) -> Any:
    """The dependency of a route that reads a body of at most `most` bytes itself."""
    return Depends(Body(most, streams=True))


def holds(most: int) -> Any:
    """The dependency of a route whose body has at most `most` bytes."""
    return Depends(Body(most, streams=False))


def held(app: FastAPI) -> Mapping[str, int]:
    """The paths whose bodies may be larger than others, with the most bytes of each."""
    return _having(app, streams=False)


def streamed(app: FastAPI) -> Mapping[str, int]:
    """The paths whose bodies stream, with the most bytes of each."""
    return _having(app, streams=True)


def _having(app: FastAPI, *, streams: bool) -> Mapping[str, int]:
    return {
        route.path: one.call.most
        for route in routes_of(app)
        for one in dependencies_of(route.dependant)
        if isinstance(one.call, Body) and one.call.streams == streams
    }


MAX_BODY = 16 * 1024
MAX_QUERY, MAX_ANSWER = 2 * 1024, 8 * 1024
"""Bytes of a query: of one of ours, and of what an identity provider sends a browser back with."""
METHODS = ("GET", "HEAD", "POST")
BACK = "/login/back"
CHANGING = frozenset({"/password", "/logout"})
"""What is left to somebody whose password somebody else made."""
KEPT = "/v1/export/"
"""What leaves an entry in the audit log even when it is only read: no other site's page may fill
that log.
"""
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:;"
        " form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "x-frame-options": "DENY",
}
HSTS = {"strict-transport-security": "max-age=31536000"}
"""RFC 6797: for a year a browser asks this name over TLS alone.

Where what its reader sent was not encrypted it means nothing.
"""


REQUEST_HEADER = "x-request-id"
OWN_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""A caller's own id: too plain for a sentence, an address or a line of a log."""


def request_id(given: str) -> str:
    """The id of a request: the caller's own where it is short and holds no identifier, else 20
    random letters.

    Letters alone can never look like somebody's number.
    """
    if OWN_ID.fullmatch(given) and not identifier_in(given):
        return given
    return "".join(secrets.choice(ascii_lowercase) for _ in range(20))


class PathPrefix:
    """Wraps the application where a public name has a path: takes it off what is asked for, and
    puts it before what redirects.
    """

    def __init__(self, app: ASGIApp, reach: Reach) -> None:
        self._app, self._reach = app, reach

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; what is beside the path is passed on as it is, for a proxy that has
        taken it off.
        """
        base = (
            self._reach.asked(scope, _headers(scope)).base
            if scope["type"] == "http" and any(self._reach.bases.values())
            else ""
        )
        if not base:
            await self._app(scope, receive, send)
            return
        path, raw = scope["path"], scope["raw_path"].partition(b"?")[0]
        if path == base or path.startswith(f"{base}/"):
            scope = {
                **scope,
                "path": path[len(base) :] or "/",
                "raw_path": raw[len(base) :] or b"/",
            }
        scope.setdefault("state", {})["base"] = base

        async def led(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {
                    **message,
                    "headers": [
                        (name, _below(base, name, value)) for name, value in message["headers"]
                    ],
                }
            await send(message)

        await self._app(scope, receive, led)


def _below(base: str, name: bytes, value: bytes) -> bytes:
    """A header's value, with the path before a redirect to a place of the desk."""
    leads = name.lower() == b"location" and value.startswith(b"/") and not value.startswith(b"//")
    return base.encode() + value if leads else value


class Guard:
    """Wraps the whole application.

    `reach` knows the names under which it may be spoken to, and proxies. `principal` says who sent
    a request, NOBODY for nobody known; the paths in `open_` are for everybody, else `denied`
    answers, an error of `principal` too. Routes find both as `request.state.principal` and
    `request.state.asked`. Of the paths in `streamed` the body is left to the route, and may have so
    many bytes; of those in `held` it is read here as any other, and may have as many as they say.
    """

    def __init__(
        self,
        app: ASGIApp,
        reach: Reach,
        requests: Counter,
        principal: Callable[[Mapping[str, str], RequestSource], Principal],
        denied: Callable[[Scope, UllageError | None], Response],
        open_: Collection[str],
        streamed: Mapping[str, int] = MappingProxyType({}),
        held: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        self._app, self._reach, self._requests, self._open = app, reach, requests, frozenset(open_)
        self._principal, self._denied, self._streamed, self._most = (
            principal,
            denied,
            streamed,
            {**held, **streamed},
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse or pass on; count and dress the answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state, headers = scope.setdefault("state", {}), _headers(scope)
        request = request_id(headers.get(REQUEST_HEADER, ""))
        closing = {"connection": "close"} if state.get(ANSWERED, 0) + 1 >= MOST_REQUESTS else {}

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._requests.labels(f"{message['status'] // 100}xx").inc()
                # such as a policy for a page of its own
                own = {name.decode("latin-1").lower() for name, _ in message["headers"]}
                asked = state.get("asked")
                wanted = {
                    **HEADERS,
                    REQUEST_HEADER: request,
                    **closing,
                    **(HSTS if asked and asked.is_secure else {}),
                }
                ours = [(n.encode(), value.encode()) for n, value in wanted.items() if n not in own]
                message = {**message, "headers": [*message["headers"], *ours]}
            await send(message)

        token = REQUEST.set(request)
        try:
            answer, receive = await self._answer(scope, headers, receive)
            await answer(scope, receive, dressed)
        finally:
            REQUEST.reset(token)

    async def _answer(
        self, scope: Scope, headers: Mapping[str, str], receive: Receive
    ) -> tuple[ASGIApp, Receive]:
        """What answers a request: the application, or a refusal; and where its body is read
        from.
        """
        asked = scope["state"]["asked"] = self._reach.asked(scope, headers)
        refusal, body, streams = self._refusal(scope, headers, asked), b"", self._streams(scope)
        if refusal is None and streams:
            refusal = _unframed(scope, headers)
        elif refusal is None:
            most = self._most.get(scope["path"], MAX_BODY)
            body = await _body(receive, most)
            refusal = (
                ProblemError("body_too_large")
                if len(body) > most
                else _unmeasured(scope, headers, body)
            )
        if refusal:
            text = PlainTextResponse(f"{refusal}\n", refusal.status, refusal.headers)
            return refusal.response() if is_of_api(scope["path"]) else text, receive
        try:
            principal = scope["state"]["principal"] = self._principal(headers, asked)
        except UllageError as error:
            return self._denied(scope, error), receive
        is_known = principal != NOBODY and (not principal.must_change or scope["path"] in CHANGING)
        passes = is_known or scope["path"] in self._open
        if streams and passes:
            scope["state"].get(MORE_TIME, _no_clock)(STREAM_SECONDS)
            return self._app, receive
        return self._app if passes else self._denied(scope, None), _again(body, receive)

    def _streams(self, scope: Scope) -> bool:
        """Whether the route reads the body itself."""
        return scope["method"] == "POST" and scope["path"] in self._streamed

    def _refusal(
        self, scope: Scope, headers: Mapping[str, str], asked: RequestSource
    ) -> ProblemError | None:
        """Why a request is refused, or None for one that may pass."""
        if not asked.host:
            return ProblemError(
                "unknown_host",
                "not a name of this page: search.public in ullage.toml has those by which it is"
                " reached",
            )
        if asked.is_forged:
            return ProblemError(
                "invalid_request",
                "forwarded by a proxy that search.proxies in ullage.toml does not name",
            )
        if scope["path"] in MACHINES and not asked.is_local:
            return ProblemError("not_found", "for this machine alone")
        if scope["method"] not in METHODS:
            return ProblemError(
                "method_not_allowed", "GET and POST only", headers={"allow": ", ".join(METHODS)}
            )
        if scope["method"] == "POST" and not self._same_origin(scope["path"], headers):
            return ProblemError("foreign_origin", "sent from another site")
        foreign = headers.get("sec-fetch-site", "none") not in ("none", "same-origin")
        if foreign and scope["path"].startswith(KEPT):
            return ProblemError("foreign_origin", "asked for by another site")
        return _too_large(scope, headers, self._most.get(scope["path"], MAX_BODY))

    def _same_origin(self, path: str, headers: Mapping[str, str]) -> bool:
        """Whether the sender is this page itself, or a program that is no browser and talks JSON
        to the API.
        """
        site, origin = headers.get("sec-fetch-site"), headers.get("origin")
        if site is not None:
            return site == "same-origin"
        if origin is not None:
            return origin in self._reach.origins
        is_json = headers.get("content-type", "").partition(";")[0].strip() == "application/json"
        # a browser adds any other by itself
        is_told_who = headers.get("authorization", "").lower().startswith("bearer ")
        # no form of a page sends either
        return path.startswith("/v1/") and (is_json or is_told_who)


def _headers(scope: Scope) -> dict[str, str]:
    """By name in lower case; those that come several times are a list, parted by commas."""
    found: dict[str, str] = {}
    for name, value in scope["headers"]:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found


def _no_clock(_seconds: float) -> None:
    """Where no server stands before the application, nothing is cut."""


def _too_large(scope: Scope, headers: Mapping[str, str], most: int) -> ProblemError | None:
    """What the address and the length that is said tell of a request's size."""
    if len(scope["query_string"]) > (MAX_ANSWER if scope["path"] == BACK else MAX_QUERY):
        return ProblemError("address_too_long", "the address is too long")
    length = headers.get("content-length", "0")
    if not (length.isascii() and length.isdigit()):
        return _misstated("length is no number")
    return (
        ProblemError("body_too_large")
        if len(length) > len(str(most)) or int(length) > most
        else None
    )


def _misstated(why: str) -> ProblemError:
    """The problem of a length that is not what it should be."""
    return ProblemError(
        "invalid_request", why, [MemberProblem(member="content-length", code="invalid", detail=why)]
    )


async def _body(receive: Receive, most: int) -> bytes:
    """The body of a request, however it is framed; of one that is larger than `most` bytes a
    beginning that is larger, too.
    """
    body, more = b"", True
    while more and len(body) <= most:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


def _unmeasured(scope: Scope, headers: Mapping[str, str], body: bytes) -> ProblemError | None:
    """Why a body that is small enough is refused: its length must be said once, and be what
    came.
    """
    short = (
        _misstated("not as long as it says")
        if len(body) != int(headers.get("content-length", "0"))
        else None
    )
    return _unframed(scope, headers) or short


def _unframed(scope: Scope, headers: Mapping[str, str]) -> ProblemError | None:
    """Why a body whose length is not said once is refused."""
    if "transfer-encoding" in headers:
        return (
            _misstated("length given twice")
            if "content-length" in headers
            else ProblemError("length_required")
        )
    return (
        ProblemError("length_required")
        if scope["method"] == "POST" and "content-length" not in headers
        else None
    )


def _again(body: bytes, receive: Receive) -> Receive:
    """Hands `body` out once, then what comes after it."""
    waiting = [body]

    async def again() -> Message:
        return (
            {"type": "http.request", "body": waiting.pop(), "more_body": False}
            if waiting
            else await receive()
        )

    return again
