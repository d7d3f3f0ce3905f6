"""What every request must pass and every answer carries, whatever route it is for.

A page of another site can make a browser send requests here. It cannot read the answers, nor send the Host that we know (DNS
rebinding gives its own name), nor hide where a form came from: `Sec-Fetch-Site` and `Origin` are set by the browser alone.
"""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import Counter
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY = 16 * 1024
MAX_QUERY = 2 * 1024
KEPT = "/api/export/"
"""What leaves an entry in the audit log even when it is only read: no other site's page may fill that log."""
HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self';"
    " frame-ancestors 'none'; base-uri 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "x-frame-options": "DENY",
}


class Guard:
    """Wraps the whole application. `hosts` are the names and port under which it may be spoken to."""

    def __init__(self, app: ASGIApp, hosts: frozenset[str], requests: Counter) -> None:
        self._app, self._hosts, self._requests = app, hosts, requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse or pass on; count and dress the answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._requests.labels(f"{message['status'] // 100}xx").inc()
                ours = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message = {**message, "headers": [*message["headers"], *ours]}
            await send(message)

        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        refusal = self._refusal(scope, headers)
        await (PlainTextResponse(refusal[1] + "\n", refusal[0]) if refusal else self._app)(scope, receive, dressed)

    def _refusal(self, scope: Scope, headers: Mapping[str, str]) -> tuple[int, str] | None:
        """Status and reason, or None for a request that may pass."""
        if headers.get("host", "") not in self._hosts:
            return 421, "not a name of this page"
        if len(scope["query_string"]) > MAX_QUERY:
            return 414, "the address is too long"
        if scope["method"] in ("GET", "HEAD"):
            foreign = headers.get("sec-fetch-site", "none") not in ("none", "same-origin")
            return (403, "asked for by another site") if foreign and scope["path"].startswith(KEPT) else None
        if scope["method"] != "POST":
            return 405, "GET and POST only"
        if not self._same_origin(scope["path"], headers):
            return 403, "sent from another site"
        length = headers.get("content-length", "")
        if not (length.isascii() and length.isdigit()):
            return 411, "length missing"
        return (413, "too large") if int(length) > MAX_BODY else None

    def _same_origin(self, path: str, headers: Mapping[str, str]) -> bool:
        """Whether the sender is this page itself, or a program that is no browser and talks JSON to the API."""
        site, origin = headers.get("sec-fetch-site"), headers.get("origin")
        if site is not None:
            return site == "same-origin"
        if origin is not None:
            return origin in {f"http://{host}" for host in self._hosts}
        return path.startswith("/api/") and headers.get("content-type", "").partition(";")[0].strip() == "application/json"
