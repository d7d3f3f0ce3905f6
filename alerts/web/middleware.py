"""Refuse requests from other hosts and sites, limit bodies, and set security headers.

    @router.post("/things", dependencies=[require_permission("..."), stream_body(MOST_BYTES)])
    @router.post("/lists", dependencies=[require_permission("..."), limit_body(MOST_BYTES)])

The guard reads a body completely before its route is called, up to `MAX_BODY` bytes unless the
route declares another limit. A route that streams reads the body itself, after the guard has
authenticated the sender, who has `STREAM_SECONDS` to send it.

A page of another site can make a browser send requests here. It cannot read the answers, nor send a
`Host` of ours (DNS rebinding sends its own name), nor hide where a form came from: only the browser
sets `Sec-Fetch-Site` and `Origin`.
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
from alerts.web.dependencies import list_routes, walk_dependencies
from alerts.web.problems import MemberProblem, ProblemError, is_api_path
from ullage.audit.trail import REQUEST
from ullage.errors import UllageError
from ullage.lookup.values import identifier_in
from ullage.runtime.http_server import ANSWERED, MORE_TIME, MOST_REQUESTS

STREAM_SECONDS = 900.0


@dataclass(frozen=True, slots=True)
class Body:
    """Declares a route's limit for the body, in bytes.

    If it `streams`, the route reads the body itself; otherwise the guard reads it before.
    """

    most: int
    streams: bool

    async def __call__(self) -> None:
        """Do nothing; the guard enforces the limit."""


def stream_body(most: int) -> Any:
    """Return the dependency of a route that reads a body of up to `most` bytes itself.

    The guard checks only the declared length.
    """
    return Depends(Body(most, streams=True))


def limit_body(most: int) -> Any:
    """Return the dependency of a route whose body has up to `most` bytes; the guard reads it."""
    return Depends(Body(most, streams=False))


def list_body_limits(app: FastAPI) -> Mapping[str, int]:
    """Return the limits, in bytes, of the routes with `limit_body`, by path as declared."""
    return _collect_limits(app, streams=False)


def list_stream_limits(app: FastAPI) -> Mapping[str, int]:
    """Return the limits, in bytes, of the routes with `stream_body`, by path as declared."""
    return _collect_limits(app, streams=True)


def _collect_limits(app: FastAPI, *, streams: bool) -> Mapping[str, int]:
    return {
        route.path: dependency.call.most
        for route in list_routes(app)
        for dependency in walk_dependencies(route.dependant)
        if isinstance(dependency.call, Body) and dependency.call.streams == streams
    }


MAX_BODY = 16 * 1024
MAX_QUERY, MAX_ANSWER = 2 * 1024, 8 * 1024
"""Bytes of a query, and of the query with which an identity provider sends a browser back."""
METHODS = ("GET", "HEAD", "POST")
BACK = "/login/back"
CHANGING = frozenset({"/password", "/logout"})
"""Paths for somebody who must first change a password made by somebody else."""
KEPT = "/v1/export/"
"""Paths where reading is logged in the audit log too; other sites must not be able to fill it."""
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
"""RFC 6797: for a year browsers request this name over TLS only.

It is sent over encrypted connections only, since browsers ignore it elsewhere.
"""


REQUEST_HEADER = "x-request-id"
OWN_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""The form of a caller's own id: no sentence, address or log line fits it."""


def choose_request_id(caller_id: str) -> str:
    """Return the caller's request id if it is valid, else 20 random letters.

    It is valid if it has 1 to 64 letters, digits, `_` and `-`, and contains no identifier or long
    number. Random letters can never look like somebody's number.
    """
    if OWN_ID.fullmatch(caller_id) and not identifier_in(caller_id):
        return caller_id
    return "".join(secrets.choice(ascii_lowercase) for _ in range(20))


class PathPrefix:
    """Wraps the application for public names that have a path.

    The path is removed from requests and put before redirects.
    """

    def __init__(self, app: ASGIApp, reach: Reach) -> None:
        self._app, self._reach = app, reach

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on without the path under which a proxy shows the console.

        A request without the path is passed on unchanged, since a proxy may have removed it.
        Redirects in the response get the path again.
        """
        base = (
            self._reach.read_source(scope, _headers(scope)).base
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

        async def send_prefixed(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {
                    **message,
                    "headers": [
                        (name, _prefix_redirect(base, name, value))
                        for name, value in message["headers"]
                    ],
                }
            await send(message)

        await self._app(scope, receive, send_prefixed)


def _prefix_redirect(base: str, name: bytes, value: bytes) -> bytes:
    """Return a header's value, with `base` before a redirect within the console."""
    leads = name.lower() == b"location" and value.startswith(b"/") and not value.startswith(b"//")
    return base.encode() + value if leads else value


class HeadAnswers:
    """Answers HEAD on every path as GET, without the body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a HEAD request as a GET without its body; pass others on."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def send_without_body(message: Message) -> None:
            is_body = message["type"] == "http.response.body"
            await send({**message, "body": b""} if is_body else message)

        await self._app({**scope, "method": "GET"}, receive, send_without_body)


def list_methods(app: FastAPI, path: str) -> tuple[str, ...]:
    """Return the methods that the routes of a path accept, sorted; HEAD wherever GET is."""
    methods = {
        method
        for route in list_routes(app)
        if route.path_regex.match(path)
        for method in route.methods or ()
    }
    return tuple(sorted({*methods, "HEAD"} if "GET" in methods else methods))


class Guard:
    """Wraps the whole application and refuses requests.

    `reach` knows the console's names and proxies. `principal` identifies the sender, NOBODY if
    unknown; the paths in `open_` are for everybody, otherwise `denied` answers, also to an error of
    `principal`; it receives the body. Routes find both as `request.state.principal` and
    `request.state.asked`. Bodies of the paths in `streamed` are left to the route and limited to so
    many bytes; `held` gives the limits of others.
    """

    def __init__(
        self,
        app: ASGIApp,
        reach: Reach,
        requests: Counter,
        principal: Callable[[Mapping[str, str], RequestSource], Principal],
        denied: Callable[[Scope, UllageError | None, bytes], Response],
        open_: Collection[str],
        streamed: Mapping[str, int] = MappingProxyType({}),
        held: Mapping[str, int] = MappingProxyType({}),
        *,
        methods: Callable[[str], Collection[str]] = lambda _: (),
    ) -> None:
        self._methods = methods
        self._app, self._reach, self._requests, self._open = app, reach, requests, frozenset(open_)
        self._principal, self._denied, self._streamed, self._most = (
            principal,
            denied,
            streamed,
            {**held, **streamed},
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a request or pass it on; count the response by its class and set its headers.

        Sets the request id for the log while it is answered. Closes the connection after
        MOST_REQUESTS requests.
        """
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state, headers = scope.setdefault("state", {}), _headers(scope)
        request = choose_request_id(headers.get(REQUEST_HEADER, ""))
        closing = {"connection": "close"} if state.get(ANSWERED, 0) + 1 >= MOST_REQUESTS else {}

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._requests.labels(f"{message['status'] // 100}xx").inc()
                # such as a policy for a page of its own
                present = {name.decode("latin-1").lower() for name, _ in message["headers"]}
                request_source = state.get("asked")
                headers_to_set = {
                    **HEADERS,
                    REQUEST_HEADER: request,
                    **closing,
                    **(HSTS if request_source and request_source.is_secure else {}),
                }
                added = [
                    (n.encode(), value.encode())
                    for n, value in headers_to_set.items()
                    if n not in present
                ]
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        token = REQUEST.set(request)
        try:
            answer, receive = await self._answer(scope, headers, receive)
            await answer(scope, receive, send_with_headers)
        finally:
            REQUEST.reset(token)

    async def _answer(
        self, scope: Scope, headers: Mapping[str, str], receive: Receive
    ) -> tuple[ASGIApp, Receive]:
        """Return what answers a request, the application or a refusal, and its body.

        Stores where the request came from and its principal in `scope`. The body is read here, up
        to the limit of its path, except where it is streamed. Somebody unknown passes only to open
        paths, and somebody who must change the password only to that page.
        """
        request_source = scope["state"]["asked"] = self._reach.read_source(scope, headers)
        refusal, body, is_streamed = (
            self._check_request(scope, headers, request_source),
            b"",
            self._is_streamed(scope),
        )
        if refusal is None and is_streamed:
            refusal = _check_stream_framing(scope, headers)
        elif refusal is None:
            limit = self._most.get(scope["path"], MAX_BODY)
            body = await _read_body(receive, limit)
            refusal = (
                ProblemError("body_too_large")
                if len(body) > limit
                else _check_body_length(scope, headers, body)
            )
        if refusal:
            refusal = _restate_for_method(scope, headers, refusal)
            text = PlainTextResponse(f"{refusal}\n", refusal.status, refusal.headers)
            return refusal.response() if is_api_path(scope["path"]) else text, receive
        try:
            principal = scope["state"]["principal"] = self._principal(headers, request_source)
        except UllageError as error:
            return self._denied(scope, error, body), receive
        is_known = principal != NOBODY and (not principal.must_change or scope["path"] in CHANGING)
        passes = is_known or scope["path"] in self._open
        if is_streamed and passes:
            scope["state"].get(MORE_TIME, _ignore_deadline)(STREAM_SECONDS)
            return self._app, receive
        answer = self._app if passes else self._denied(scope, None, body)
        return answer, _replay_body(body, receive)

    def _allow(self, path: str) -> str:
        """Return the methods for the header Allow; for an unknown path those of any route."""
        return ", ".join(self._methods(path) or METHODS)

    def _is_streamed(self, scope: Scope) -> bool:
        """Return whether the route reads the body itself."""
        return scope["method"] == "POST" and scope["path"] in self._streamed

    def _check_request(
        self, scope: Scope, headers: Mapping[str, str], request_source: RequestSource
    ) -> ProblemError | None:
        """Return the problem for which a request is refused, or None.

        Checked in this order: host name, proxy, paths for this machine only, method, origin of a
        POST, pages that other sites may not request, and announced size.
        """
        if not request_source.host:
            return ProblemError(
                "unknown_host",
                "unknown host name: use one of those in search.public in ullage.toml",
            )
        if request_source.is_forged:
            return ProblemError(
                "invalid_request",
                "forwarded by an unknown proxy: add it to search.proxies in ullage.toml",
            )
        if scope["path"] in MACHINES and not request_source.is_local:
            return ProblemError(
                "not_found", "available only from this machine: request it on 127.0.0.1"
            )
        if scope["method"] not in METHODS:
            return ProblemError(
                "method_not_allowed",
                "use GET or POST",
                headers={"allow": self._allow(scope["path"])},
            )
        if scope["method"] == "POST" and not self._is_same_origin(scope["path"], headers):
            return ProblemError(
                "foreign_origin", "sent from another site: open the console and send it there"
            )
        foreign = headers.get("sec-fetch-site", "none") not in ("none", "same-origin")
        if foreign and scope["path"].startswith(KEPT):
            return ProblemError(
                "foreign_origin", "requested by another site: open the console and request it there"
            )
        return _check_size(scope, headers, self._most.get(scope["path"], MAX_BODY))

    def _is_same_origin(self, path: str, headers: Mapping[str, str]) -> bool:
        """Return whether the sender is a page of the console.

        A browser's own headers decide. Without them, a program that sends JSON or a token to the
        API is accepted too; no browser form can do that.
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
    """Return headers by lower-case name; repeated ones are joined by commas."""
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return headers


def _ignore_deadline(_seconds: float) -> None:
    """Do nothing: without the HTTP server there is no deadline to extend."""


def _check_size(scope: Scope, headers: Mapping[str, str], most: int) -> ProblemError | None:
    """Return the problem of an address or a declared length that is too long, or None."""
    if len(scope["query_string"]) > (MAX_ANSWER if scope["path"] == BACK else MAX_QUERY):
        return ProblemError(
            "address_too_long", "the address is too long: use fewer or shorter parameters"
        )
    length = headers.get("content-length", "0")
    if not (length.isascii() and length.isdigit()):
        return _length_problem("the length must be a number")
    return (
        ProblemError("body_too_large")
        if len(length) > len(str(most)) or int(length) > most
        else None
    )


def _restate_for_method(
    scope: Scope, headers: Mapping[str, str], refusal: ProblemError
) -> ProblemError:
    """Return `refusal`, or that the method takes no body if it is about a body's length."""
    if scope["method"] == "POST" or refusal.code not in ("length_required", "body_too_large"):
        return refusal
    header = "transfer-encoding" if "transfer-encoding" in headers else "content-length"
    why = "this method takes no body: send none"
    return ProblemError(
        "invalid_request", why, [MemberProblem(member=header, code="invalid", detail=why)]
    )


def _length_problem(why: str) -> ProblemError:
    """Return the problem of a wrong `Content-Length`."""
    return ProblemError(
        "invalid_request", why, [MemberProblem(member="content-length", code="invalid", detail=why)]
    )


async def _read_body(receive: Receive, most: int) -> bytes:
    """Read the body of a request, however it is framed.

    Reading stops once it is larger than `most` bytes.
    """
    body, more = b"", True
    while more and len(body) <= most:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


def _check_body_length(
    scope: Scope, headers: Mapping[str, str], body: bytes
) -> ProblemError | None:
    """Return the problem of a body whose length is not declared once, or is wrong; else None."""
    short = (
        _length_problem("not as long as it says")
        if len(body) != int(headers.get("content-length", "0"))
        else None
    )
    return _check_stream_framing(scope, headers) or short


def _check_stream_framing(scope: Scope, headers: Mapping[str, str]) -> ProblemError | None:
    """Return the problem of a body whose length is not declared once, or None."""
    if "transfer-encoding" in headers:
        return (
            _length_problem("length given twice")
            if "content-length" in headers
            else ProblemError("length_required")
        )
    return (
        ProblemError("length_required")
        if scope["method"] == "POST" and "content-length" not in headers
        else None
    )


def _replay_body(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that first gives `body` and then what follows it."""
    waiting = [body]

    async def again() -> Message:
        return (
            {"type": "http.request", "body": waiting.pop(), "more_body": False}
            if waiting
            else await receive()
        )

    return again
