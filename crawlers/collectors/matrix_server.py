"""A client for the few calls of the Matrix client-server API that the collector needs.

Libraries for Matrix validate and unpack every event, which takes three times as long as
everything else that a collector does. This client returns the server's JSON, and
`crawlers.collectors.matrix` looks only at the fields that it uses.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

import aiohttp

from crawlers.collectors.session import MAX_FILE_BYTES, Reason
from ullage.errors import UllageError

SYNC_MILLISECONDS, REQUEST_SECONDS = 10_000, 30.0
ASKED_AGAIN, LONGEST_PAUSE_SECONDS = 3, 8.0
"""How often to repeat a rate-limited request, and the longest pause before each repeat."""
MOST_BYTES = 64 * 2**20
"""The size limit of an answer: a page has at most 200 events of 64 KiB."""
CLIENT, MEDIA = (
    "/_matrix/client/v3",
    ("/_matrix/client/v1/media/download", "/_matrix/media/v3/download"),
)
REFUSED: Mapping[str, Reason] = {
    "M_UNKNOWN_TOKEN": "login",
    "M_MISSING_TOKEN": "login",
    "M_USER_DEACTIVATED": "login",
    "M_USER_LOCKED": "login",
    "M_NOT_FOUND": "address",
    "M_LIMIT_EXCEEDED": "flood",
}
TIMELINE = {
    "room": {
        "timeline": {"limit": 100},
        "ephemeral": {"types": []},
        "state": {"lazy_load_members": True},
    }
}


class MatrixError(UllageError):
    """An answer of the server that reports an error, with the reason for the channel's state."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


def fault(said: Mapping[str, Any]) -> Reason:
    """Return why a channel cannot be read, a word of `MEANING`, from the server's error answer.

    An error that is not known is `service`.
    """
    code = said.get("errcode")
    if code == "M_FORBIDDEN":
        return "banned" if "ban" in str(said.get("error", "")).lower() else "closed"
    return REFUSED.get(str(code), "service")


class MatrixServer:
    """A client of one server with one access token. Create it within the loop that uses it.

    Each call raises `MatrixError` for an error or an invalid answer, and the errors of `aiohttp`
    where no answer arrives.
    """

    def __init__(self, address: str, token: str) -> None:
        self._address = address.rstrip("/")
        timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS)
        self._http = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {token}"}, timeout=timeout
        )

    async def close(self) -> None:
        """Close the connection."""
        await self._http.close()

    async def join(self, room: str) -> str:
        """Join a room by id or alias and return its id.

        Raises MatrixError if the server refuses.
        """
        answer = await self._ask("POST", f"/join/{quote(room, safe='')}", body={})
        if not isinstance(answer.get("room_id"), str):
            raise MatrixError("service")
        return str(answer["room_id"])

    async def state(self, room: str, kind: str) -> dict[str, Any]:
        """Return the content of a room's state event of the type `kind`."""
        return await self._ask("GET", f"/rooms/{quote(room, safe='')}/state/{quote(kind, safe='')}")

    async def sync(self, since: str, wait: int = SYNC_MILLISECONDS) -> dict[str, Any]:
        """Return the server's answer on what is new since the token `since`; "" for the first time.

        Its `next_batch` is the token for the next call. The server waits up to `wait` milliseconds
        for something new. Raises MatrixError for an invalid answer.
        """
        position = {"since": since} if since else {}
        answer = await self._ask(
            "GET", "/sync", timeout=str(wait), filter=json.dumps(TIMELINE), **position
        )
        if not isinstance(answer.get("next_batch"), str):
            raise MatrixError("service")
        return answer

    async def messages(
        self, room: str, start: str | None, end: str | None, most: int
    ) -> dict[str, Any]:
        """Return at most `most` events of a room, from the token `start` back to `end`.

        `chunk` holds the events; `end` is present where there are more.
        """
        between = {name: token for name, token in (("from", start), ("to", end)) if token}
        return await self._ask(
            "GET", f"/rooms/{quote(room, safe='')}/messages", dir="b", limit=str(most), **between
        )

    async def file(self, address: str) -> bytes | None:
        """Return the bytes of a file (`mxc://SERVER/ID`); None where it is not available.

        At most one byte more than `MAX_FILE_BYTES` is read. "Not available" includes an address in
        any other form and any status but 200; errors of the connection are raised.
        """
        parts = urlsplit(address)
        place = f"{quote(parts.netloc, safe='')}/{quote(parts.path.lstrip('/'), safe='')}"
        if parts.scheme != "mxc" or not parts.netloc:
            return None
        for path in MEDIA:  # the second path is for older servers, where files need no login
            async with self._http.get(
                f"{self._address}{path}/{place}", allow_redirects=False
            ) as answer:
                if answer.status == 200:
                    return await _read(answer, MAX_FILE_BYTES)
        return None

    async def _ask(
        self, method: str, path: str, body: object = None, **query: str
    ) -> dict[str, Any]:
        """Send a request and return the object in the answer.

        `query` are the parameters of the URL. The request is repeated up to `ASKED_AGAIN` (3) times
        while the server reports a rate limit, after the pause that it names, at most
        LONGEST_PAUSE_SECONDS (8 s). Raises MatrixError: "flood" if the limit remains, otherwise the
        reason for any other status, or for an answer that is no JSON object.
        """
        url = f"{self._address}{CLIENT}{path}"
        for turn in range(ASKED_AGAIN + 1):
            async with self._http.request(
                method, url, params=query, json=body, allow_redirects=False
            ) as answer:
                status, text = answer.status, await _read(answer, MOST_BYTES)
            decoded = _object(text)
            if 200 <= status < 300 and decoded is not None:
                return decoded
            failure = decoded or {}
            if status != 429 or turn == ASKED_AGAIN:
                break
            pause = failure.get("retry_after_ms")
            await asyncio.sleep(
                min(
                    LONGEST_PAUSE_SECONDS,
                    pause / 1000 if isinstance(pause, int) and pause > 0 else 1.0,
                )
            )
        raise MatrixError("flood" if status == 429 else fault(failure))


async def _read(answer: aiohttp.ClientResponse, most: int) -> bytes:
    """Return the body of an answer, at most one byte more than `most`."""
    content = bytearray()
    async for piece in answer.content.iter_chunked(1 << 16):
        content += piece
        if len(content) > most:
            break
    return bytes(content[: most + 1])


def _object(text: bytes) -> dict[str, Any] | None:
    """Return the object that a JSON text holds; None for anything else."""
    try:
        decoded = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if b"\\ud" in text.lower():  # lone surrogates, which JSON allows and records do not
        decoded = json.loads(json.dumps(decoded, ensure_ascii=False).encode("utf-8", "replace"))
    return decoded if isinstance(decoded, dict) else None
