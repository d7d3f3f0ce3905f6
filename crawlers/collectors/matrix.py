"""Matrix rooms: `/sync` for what comes, `/messages` for what it passed over.

The account's secret file has three lines: the server's address, the user (`@reader:example.org`), an access token. A room is
joined where anybody may; one whose join rule is not `public` is left alone even if the account is in it. `/sync` says itself when
it passed over messages (`limited`); these are read from history back to where the last one ended.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import aiohttp
from nio import (
    AsyncClient,
    AsyncClientConfig,
    DownloadError,
    ErrorResponse,
    JoinResponse,
    MessageDirection,
    RoomGetStateEventResponse,
    RoomMessagesResponse,
    SyncResponse,
)

from crawlers.collectors.channel import Channel
from crawlers.collectors.session import Batch, BlindError, Cursors, Message, PostedFile, Reason, pieces
from crawlers.intake.line import Line
from ullage.errors import ConfigError

SYNC_MILLISECONDS, REQUEST_SECONDS = 10_000, 30.0
PAGE = 200
AGAIN_SECONDS = 60.0
"""How soon it is tried again to enter a room that could not be."""
FILES = ("m.file", "m.image", "m.video", "m.audio")
TIMELINE = {"room": {"timeline": {"limit": 100}, "ephemeral": {"types": []}, "state": {"lazy_load_members": True}}}
REFUSED: Mapping[str, Reason] = {
    "M_UNKNOWN_TOKEN": "login",
    "M_MISSING_TOKEN": "login",
    "M_USER_DEACTIVATED": "login",
    "M_USER_LOCKED": "login",
    "M_NOT_FOUND": "address",
    "M_LIMIT_EXCEEDED": "flood",
}


def fault(error: object) -> Reason:
    """What an answer that is an error says of us."""
    if not isinstance(error, ErrorResponse):
        return "service"
    if error.status_code == "M_FORBIDDEN":
        return "banned" if "ban" in error.message.lower() else "closed"
    return REFUSED.get(error.status_code or "", "service")


class MatrixSession:
    """One account at one server."""

    def __init__(self, secret: list[str], account: str, channels: Mapping[str, Channel], ledger: Cursors) -> None:
        if len(secret) != 3 or not secret[0].startswith(("http://", "https://")):
            raise ConfigError(f"secret collect/{account}: three lines: the server's address, the user, an access token")
        server, user, token = secret
        config = AsyncClientConfig(
            store_sync_tokens=False,
            encryption_enabled=False,
            max_limit_exceeded=3,
            max_timeouts=1,
            request_timeout=REQUEST_SECONDS,
        )
        self._client = AsyncClient(server, user, config=config)
        self._client.restore_login(user, "", token)
        self._channels, self._cursor = channels, f"matrix:{account}"
        self._since = ledger.cursor(self._cursor)
        self._ledger = ledger
        self._rooms: dict[str, Channel] = {}
        self._tried: dict[str, float] = {}

    async def close(self) -> None:
        """Let go of the connection."""
        await self._client.close()

    async def batches(self) -> AsyncIterator[Batch]:
        """Batches for ever."""
        try:
            while True:
                async for batch in self._enter():
                    yield batch
                async for batch in self._sync():
                    yield batch
        except (aiohttp.ClientError, TimeoutError, OSError):
            raise BlindError("unreachable") from None

    async def _enter(self) -> AsyncIterator[Batch]:
        """Join the rooms that we are not in, now and then; where we are, see whether they are still open to all."""
        for name, channel in self._channels.items():
            entered = any(one.name == name for one in self._rooms.values())
            if entered or time.monotonic() - self._tried.get(name, float("-inf")) < AGAIN_SECONDS:
                continue
            self._tried[name] = time.monotonic()
            answer = await self._client.join(channel.address)
            if not isinstance(answer, JoinResponse):
                if (refused := fault(answer)) == "login":
                    raise BlindError(refused)
                yield Batch(name, blind=refused)
                continue
            if closed := await self._closed(answer.room_id):
                yield Batch(name, blind=closed)
                continue
            self._rooms[answer.room_id] = channel
            if self._since and not self._ledger.cursor(
                f"matrix:{name}"
            ):  # a channel that came later: /sync will not tell of before
                async for batch in self._history(channel, answer.room_id, None, None, channel.history):
                    yield batch
            yield Batch(name, cursor=(f"matrix:{name}", "entered"))

    async def _closed(self, room: str) -> Reason | None:
        """Why a room that we are in is not read."""
        rules = await self._client.room_get_state_event(room, "m.room.join_rules")
        if not isinstance(rules, RoomGetStateEventResponse):
            return fault(rules)
        if rules.content.get("join_rule") != "public":
            return "closed"
        encrypted = await self._client.room_get_state_event(room, "m.room.encryption")
        return "encrypted" if isinstance(encrypted, RoomGetStateEventResponse) else None

    async def _sync(self) -> AsyncIterator[Batch]:
        """One turn of `/sync`."""
        answer = await self._client.sync(SYNC_MILLISECONDS, TIMELINE, self._since or None)
        if not isinstance(answer, SyncResponse):
            raise BlindError(fault(answer))
        held = Batch()
        async for batch in self._told(answer):
            yield held
            held = batch
        self._since = answer.next_batch
        answered = tuple(one.name for one in self._rooms.values())
        yield replace(held, cursor=(self._cursor, self._since), answered=answered)  # with the last of it in one transaction

    async def _told(self, answer: SyncResponse) -> AsyncIterator[Batch]:
        """What `/sync` says of the rooms that are read."""
        for room, told in answer.rooms.join.items():
            if channel := self._rooms.get(room):
                async for batch in self._passed_over(channel, room, told.timeline):
                    yield batch
                async for batch in self._live(channel, room, [event.source for event in told.timeline.events]):
                    yield batch
        for room, told in answer.rooms.leave.items():
            if channel := self._rooms.pop(room, None):
                self._tried[channel.name] = time.monotonic()
                yield Batch(channel.name, blind=self._why_out([event.source for event in told.timeline.events]))

    async def _passed_over(self, channel: Channel, room: str, timeline: Any) -> AsyncIterator[Batch]:
        """What `/sync` left out: a gap, or at the first time what was said before."""
        if not self._since:
            async for batch in self._history(channel, room, timeline.prev_batch, None, channel.history):
                yield batch
        elif timeline.limited and timeline.prev_batch:
            yield Batch(channel.name, gap="seen")
            async for batch in self._history(channel, room, timeline.prev_batch, self._since, None):
                yield batch

    async def _live(self, channel: Channel, room: str, events: list[dict[str, Any]]) -> AsyncIterator[Batch]:
        async for piece in self._messages(channel, events):
            yield Batch(channel.name, piece)
        changed = {str(event.get("type")) for event in events}
        if changed & {"m.room.join_rules", "m.room.encryption", "m.room.encrypted"} and (reason := await self._closed(room)):
            del self._rooms[room]
            yield Batch(channel.name, blind=reason)

    async def _history(
        self, channel: Channel, room: str, start: str | None, end: str | None, most: int | None
    ) -> AsyncIterator[Batch]:
        """Messages from `start` back to `end`, or `most`; a page a batch. Where `end` is given it fills a gap, and says how."""
        token, read = start, 0
        while most is None or read < most:
            answer = await self._client.room_messages(room, token, end, MessageDirection.back, PAGE)
            if not isinstance(answer, RoomMessagesResponse):
                if end:
                    yield Batch(channel.name, gap="lost")
                return
            events = [event.source for event in answer.chunk]
            async for piece in self._messages(channel, events):
                yield Batch(channel.name, piece)
            read += len(events)
            if not events or not answer.end or answer.end == token:
                break
            token = answer.end
        if end:
            yield Batch(channel.name, gap="filled")

    def _why_out(self, events: list[dict[str, Any]]) -> Reason:
        """Whether we were banned or thrown out, by our own membership."""
        own = [e for e in events if e.get("type") == "m.room.member" and e.get("state_key") == self._client.user_id]
        return "banned" if own and own[-1].get("content", {}).get("membership") == "ban" else "kicked"

    def _messages(self, channel: Channel, events: list[dict[str, Any]]) -> AsyncIterator[tuple[Message, ...]]:
        return pieces((message, self._file(event)) for event in events for message in read(channel, event))

    def _file(self, event: dict[str, Any]) -> PostedFile | None:
        """The file that a message posts."""
        content = event.get("content", {})
        if content.get("msgtype") not in FILES:
            return None
        size = content.get("info", {}).get("size", 0) if isinstance(content.get("info"), dict) else 0
        address = content.get("url")
        return PostedFile(str(content.get("body", "")), size if isinstance(size, int) else 0, partial(self._fetch, str(address)))

    async def _fetch(self, address: str) -> bytes | None:
        try:
            answer = await self._client.download(mxc=address)
        except (ValueError, aiohttp.ClientError):  # no address of a file; a connection that broke
            return None
        return answer.body if not isinstance(answer, DownloadError) and isinstance(answer.body, bytes) else None


def read(channel: Channel, event: Mapping[str, Any]) -> Iterator[Message]:
    """The message in an event of a room, if it is one: said, edited or taken back."""
    content, kind = event.get("content"), event.get("type")
    if not isinstance(content, dict) or not isinstance(event.get("event_id"), str):
        return
    said: dict[str, Any] = {
        "site": channel.name,
        "channel": channel.address,
        "author": str(event.get("sender", "")),
        "published_at": _moment(event.get("origin_server_ts")),
        "message_id": event["event_id"],
        "text": "",
    }
    if kind == "m.room.redaction":
        said |= {"message_id": str(content.get("redacts") or event.get("redacts") or ""), "deleted": True}
    elif kind == "m.room.message" and content:
        said |= _said(content)
    else:
        return
    yield Message(event["event_id"], Line.model_validate(said))


def _said(content: Mapping[str, Any]) -> dict[str, Any]:
    """What a message says, and to what it belongs."""
    related = content.get("m.relates_to")
    related = related if isinstance(related, dict) else {}
    answered = related.get("m.in_reply_to")
    said: dict[str, Any] = {"text": str(content.get("body", ""))}
    if isinstance(answered, dict):
        said["reply_to"] = str(answered.get("event_id", ""))
    if related.get("rel_type") == "m.thread":
        said["thread"] = str(related.get("event_id", ""))
    if related.get("rel_type") == "m.replace":
        fresh = content.get("m.new_content")
        said |= {"message_id": str(related.get("event_id", "")), "edited": True}
        said["text"] = str(fresh.get("body", "")) if isinstance(fresh, dict) else said["text"]
    if content.get("msgtype") in FILES:
        said["attachments"] = [str(content.get("filename") or content.get("body") or "")[:1000]]
    return said


def _moment(milliseconds: object) -> datetime | None:
    try:
        return datetime.fromtimestamp(float(milliseconds) / 1000, UTC)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError, OSError):
        return None
