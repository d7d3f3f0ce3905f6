"""Read Matrix rooms: `/sync` for new messages, `/messages` for those that it skipped.

The account's secret file has three lines: the server's address, the user
(`@reader:example.org`) and an access token. The collector joins rooms that anybody may join. A
room whose join rule is not `public` is not read, even if the account is a member. `/sync`
reports when it skipped messages (`limited`); these are read from history, back to the end of
the last turn. Messages from before the first reading are read a page at a time, between turns
of `/sync`. The position is stored with each page, so that reading resumes there after a crash.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import aiohttp

from crawlers.collectors.channel import ChatChannel
from crawlers.collectors.matrix_server import MatrixError, MatrixServer
from crawlers.collectors.session import (
    BlindError,
    ChatMessage,
    Cursors,
    DeliveryBatch,
    PostedFile,
    Reason,
    pieces,
)
from crawlers.intake.submission import CaptureLine
from ullage.errors import ConfigError

PAGE = 200
AGAIN_SECONDS = 60.0
"""How long to wait before trying again to join a room."""
FILES = ("m.file", "m.image", "m.video", "m.audio")
Event = dict[str, Any]


class MatrixSession:
    """A session of one account at one server."""

    def __init__(
        self, secret: list[str], account: str, channels: Mapping[str, ChatChannel], ledger: Cursors
    ) -> None:
        if len(secret) != 3 or not secret[0].startswith(("http://", "https://")):
            raise ConfigError(
                f"secret collect/{account}: must have three lines: server address, user"
                " and access token"
            )
        server, self._user, token = secret
        self._server = MatrixServer(server, token)
        self._channels, self._cursor = channels, f"matrix:{account}"
        self._since = ledger.cursor(self._cursor)
        self._ledger = ledger
        self._rooms: dict[str, ChatChannel] = {}
        self._tried: dict[str, float] = {}
        self._left: dict[str, str] = {}
        """By room with earlier history left: the number of messages read, and the next token."""

    async def close(self) -> None:
        """Close the connection."""
        await self._server.close()

    async def batches(self) -> AsyncIterator[DeliveryBatch]:
        """Join rooms and yield their messages, for ever.

        Each round yields what `_enter`, `_sync` and `_before` yield. Raises BlindError:
        "unreachable" if the connection fails, or the reason that the server gives for a refused
        login or `/sync`.
        """
        try:
            while True:
                async for batch in self._enter():
                    yield batch
                async for batch in self._sync():
                    yield batch
                async for batch in self._before():
                    yield batch
        except (aiohttp.ClientError, TimeoutError, OSError):
            raise BlindError("unreachable") from None

    async def _enter(self) -> AsyncIterator[DeliveryBatch]:
        """Join the rooms that the account has not entered.

        Each is tried at most once in `AGAIN_SECONDS` (60 s). Yields a batch for each room tried:
        with `blind` and the reason if it cannot be joined, is not open to all or is encrypted,
        otherwise with the cursor "entered". Before the latter, a room that was added after the
        first reading yields a cursor at which its earlier history begins. Raises BlindError
        ("login") if the account is not logged in any more.
        """
        for name, channel in self._channels.items():
            entered = any(joined.name == name for joined in self._rooms.values())
            if entered or time.monotonic() - self._tried.get(name, float("-inf")) < AGAIN_SECONDS:
                continue
            self._tried[name] = time.monotonic()
            try:
                room = await self._server.join(channel.address)
                closed = await self._closed(room)
            except MatrixError as error:
                if error.reason == "login":
                    raise BlindError("login") from None
                closed = error.reason
            if closed:
                yield DeliveryBatch(name, blind=closed)
                continue
            self._rooms[room] = channel
            if self._since and (backlog := self._ledger.cursor(_before(name))):
                self._left[room] = backlog
            elif self._since and not self._ledger.cursor(f"matrix:{name}"):
                # the room was added later: /sync does not return its earlier history
                yield self._leave(room, channel, 0, "")
            yield DeliveryBatch(name, cursor=(f"matrix:{name}", "entered"))

    async def _closed(self, room: str) -> Reason | None:
        """Return why a joined room must not be read; None where it may be.

        "closed" if not everybody may join, "encrypted" if it is encrypted, otherwise the reason of
        the server's error.
        """
        try:
            rules = await self._server.state(room, "m.room.join_rules")
        except MatrixError as error:
            return error.reason
        if rules.get("join_rule") != "public":
            return "closed"
        try:
            await self._server.state(room, "m.room.encryption")
        except MatrixError as error:
            return None if error.reason == "address" else error.reason
        return "encrypted"

    async def _sync(self) -> AsyncIterator[DeliveryBatch]:
        """Make one `/sync` request and yield its batches.

        The last batch, which may have no messages, has the new cursor and marks all entered rooms
        as answered. Raises BlindError with the server's reason if the request fails.
        """
        try:
            answer = await self._server.sync(self._since, *([0] if self._left else []))
        except MatrixError as error:
            raise BlindError(error.reason) from None
        pending = DeliveryBatch()
        async for batch in self._told(answer):
            yield pending
            pending = batch
        self._since = str(answer["next_batch"])
        answered = tuple(channel.name for channel in self._rooms.values())
        # store the cursor in one transaction with the last batch
        yield replace(pending, cursor=(self._cursor, self._since), answered=answered)

    async def _told(self, answer: Mapping[str, Any]) -> AsyncIterator[DeliveryBatch]:
        """Yield the batches in an answer to `/sync`, for the rooms that are read.

        A room that the account has left is no longer read, and yields a batch with `blind` and why.
        """
        rooms = _object(answer.get("rooms"))
        for room, section in _object(rooms.get("join")).items():
            if channel := self._rooms.get(room):
                timeline = _object(_object(section).get("timeline"))
                async for batch in self._passed_over(channel, room, timeline):
                    yield batch
                async for batch in self._live(channel, room, _events(timeline.get("events"))):
                    yield batch
        for room, section in _object(rooms.get("leave")).items():
            if channel := self._rooms.pop(room, None):
                self._tried[channel.name] = time.monotonic()
                timeline = _object(_object(section).get("timeline"))
                yield DeliveryBatch(
                    channel.name, blind=self._why_out(_events(timeline.get("events")))
                )

    async def _passed_over(
        self, channel: ChatChannel, room: str, timeline: Mapping[str, Any]
    ) -> AsyncIterator[DeliveryBatch]:
        """Yield what `/sync` left out of a room's timeline.

        On the first reading, it is queued as earlier history, and only its cursor is yielded.
        Later, where the timeline is marked as limited, the messages are read at once, after a gap
        "seen". Otherwise nothing is yielded.
        """
        before = timeline.get("prev_batch")
        start = before if isinstance(before, str) else None
        if not self._since:
            yield self._leave(room, channel, 0, start or "")
        elif timeline.get("limited") and start:
            yield DeliveryBatch(channel.name, gap="seen")
            async for batch in self._gap(channel, room, start, self._since):
                yield batch

    async def _live(
        self, channel: ChatChannel, room: str, events: list[Event]
    ) -> AsyncIterator[DeliveryBatch]:
        async for piece in self._messages(channel, events):
            yield DeliveryBatch(channel.name, piece)
        changed = {str(event.get("type")) for event in events}
        if changed & {"m.room.join_rules", "m.room.encryption", "m.room.encrypted"} and (
            reason := await self._closed(room)
        ):
            del self._rooms[room]
            yield DeliveryBatch(channel.name, blind=reason)

    async def _gap(
        self, channel: ChatChannel, room: str, start: str, end: str
    ) -> AsyncIterator[DeliveryBatch]:
        """Yield the messages from `start` back to `end`, then a gap "filled".

        If the server refuses a page, the last batch is a gap "lost" instead, and the rest is not
        read.
        """
        token = start
        while token:
            try:
                answer = await self._server.messages(room, token, end, PAGE)
            except MatrixError:
                yield DeliveryBatch(channel.name, gap="lost")
                return
            async for piece in self._messages(channel, _events(answer.get("chunk"))):
                yield DeliveryBatch(channel.name, piece)
            token = _further(answer, token)
        yield DeliveryBatch(channel.name, gap="filled")

    async def _before(self) -> AsyncIterator[DeliveryBatch]:
        """Yield the next page of earlier history for each room that has some left.

        The last batch of a room has the cursor where to go on. Earlier history is what was posted
        before the first reading; it ends after `history` messages of the channel, at the room's
        beginning, or when the server refuses a page.
        """
        for room, backlog in list(self._left.items()):
            channel = self._rooms.get(room)
            # the account has left the room; if it joins again, the cursor says where to resume
            if channel is None:
                del self._left[room]
                continue
            read, _, token = backlog.partition(" ")
            try:
                answer = await self._server.messages(room, token, None, PAGE)
            except MatrixError:
                yield self._leave(room, channel, channel.history, "")
                continue
            events, further = _events(answer.get("chunk")), _further(answer, token)
            async for piece in self._messages(channel, events):
                yield DeliveryBatch(channel.name, piece)
            yield self._leave(
                room, channel, int(read) + len(events) if further else channel.history, further
            )

    def _leave(self, room: str, channel: ChatChannel, read: int, token: str) -> DeliveryBatch:
        """Store the position in a room's earlier history and return the batch that does so.

        `read` counts the messages read so far; `token` is where the rest begins, "" for the
        room's end.
        """
        backlog = f"{read} {token}" if read < channel.history else ""
        if backlog:
            self._left[room] = backlog
        else:
            self._left.pop(room, None)
        return DeliveryBatch(channel.name, cursor=(_before(channel.name), backlog))

    def _why_out(self, events: list[Event]) -> Reason:
        """Return whether the account was banned or kicked, from its membership event."""
        memberships = [
            e
            for e in events
            if e.get("type") == "m.room.member" and e.get("state_key") == self._user
        ]
        return (
            "banned"
            if memberships and _object(memberships[-1].get("content")).get("membership") == "ban"
            else "kicked"
        )

    def _messages(
        self, channel: ChatChannel, events: list[Event]
    ) -> AsyncIterator[tuple[ChatMessage, ...]]:
        return pieces(
            (message, self._file(event)) for event in events for message in read(channel, event)
        )

    def _file(self, event: Event) -> PostedFile | None:
        """Return the file that a message posts; None where it posts none."""
        content = _object(event.get("content"))
        if content.get("msgtype") not in FILES:
            return None
        size = _object(content.get("info")).get("size")
        fetch = partial(self._fetch, str(content.get("url")))
        return PostedFile(str(content.get("body", "")), size if isinstance(size, int) else 0, fetch)

    async def _fetch(self, address: str) -> bytes | None:
        try:
            return await self._server.file(address)
        except (ValueError, aiohttp.ClientError):  # no file address, or a broken connection
            return None


def _before(name: str) -> str:
    """Return the name of the cursor into a channel's earlier history."""
    return f"matrix:{name}:before"


def _further(answer: Mapping[str, Any], token: str) -> str:
    """Return the token of the page after this one in a room's history; "" at its end.

    `token` is where this page began.
    """
    further = answer.get("end")
    return further if answer.get("chunk") and isinstance(further, str) and further != token else ""


def _object(found: object) -> dict[str, Any]:
    """Return a part of an answer if it is an object; an empty dict for anything else."""
    return found if isinstance(found, dict) else {}


def _events(found: object) -> list[Event]:
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def read(channel: ChatChannel, event: Mapping[str, Any]) -> Iterator[ChatMessage]:
    """Yield the message that an event of a room holds: new, edited or deleted.

    Yields nothing for an event of any other type, without an id, or whose content is missing or (as
    after a deletion) empty.
    """
    content, kind = event.get("content"), event.get("type")
    if not isinstance(content, dict) or not isinstance(event.get("event_id"), str):
        return
    fields: dict[str, Any] = {
        "site": channel.name,
        "channel": channel.address,
        "author": str(event.get("sender", "")),
        "published_at": _moment(event.get("origin_server_ts")),
        "message_id": event["event_id"],
        "text": "",
    }
    if kind == "m.room.redaction":
        fields |= {
            "message_id": str(content.get("redacts") or event.get("redacts") or ""),
            "deleted": True,
        }
    elif kind == "m.room.message" and content:
        fields |= _select_text(content)
    else:
        return
    yield ChatMessage(event["event_id"], CaptureLine.model_validate(fields))


def _select_text(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a capture line for a message.

    They are its text, what it answers, its thread, and the name of its file. An edit gets the new
    text, the id of the edited message and `edited`. Missing or malformed fields give "" or are left
    out.
    """
    related = content.get("m.relates_to")
    related = related if isinstance(related, dict) else {}
    answered = related.get("m.in_reply_to")
    fields: dict[str, Any] = {"text": str(content.get("body", ""))}
    if isinstance(answered, dict):
        fields["reply_to"] = str(answered.get("event_id", ""))
    if related.get("rel_type") == "m.thread":
        fields["thread"] = str(related.get("event_id", ""))
    if related.get("rel_type") == "m.replace":
        fresh = content.get("m.new_content")
        fields |= {"message_id": str(related.get("event_id", "")), "edited": True}
        fields["text"] = str(fresh.get("body", "")) if isinstance(fresh, dict) else fields["text"]
    if content.get("msgtype") in FILES:
        fields["attachments"] = [str(content.get("filename") or content.get("body") or "")[:1000]]
    return fields


def _moment(milliseconds: object) -> datetime | None:
    try:
        return datetime.fromtimestamp(float(milliseconds) / 1000, UTC)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError, OSError):
        return None
