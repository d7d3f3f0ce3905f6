"""Read XMPP rooms (XEP-0045) from their archives (XEP-0313).

A message that arrives only signals that the archive has something new. The account's secret
file has two to four lines: the address (`reader@example.org`), the password, and where that
must not be looked up `HOST:PORT`; then `plain` for a connection without TLS, which is allowed
to loopback only. A room without an archive is read live: messages posted while the connection
is down are lost, and the loss is reported.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import slixmpp
from slixmpp.exceptions import IqError, IqTimeout, PresenceError

from crawlers.collectors.channel import ChatChannel
from crawlers.collectors.session import (
    BlindError,
    ChatMessage,
    Cursors,
    DeliveryBatch,
    Reason,
    Unread,
)
from crawlers.intake.submission import CaptureLine
from ullage.errors import ConfigError
from ullage.settings import LOOPBACK

ARCHIVE = "urn:xmpp:mam:2"
PLUGINS = (
    "xep_0030",
    "xep_0045",
    "xep_0059",
    "xep_0199",
    "xep_0203",
    "xep_0308",
    "xep_0313",
    "xep_0359",
    "xep_0461",
)
CONNECT_SECONDS, ANSWER_SECONDS, LOOK_SECONDS, AGAIN_SECONDS = 20, 20, 15, 60.0
PAGE = 100
CLOSED = ("muc_membersonly", "muc_passwordprotected")
OUT: Mapping[int, Reason] = {
    301: "banned",
    307: "kicked",
    322: "closed",
    321: "closed",
    332: "unreachable",
}
"""Status codes with which a room removes the account, and their reasons."""
REFUSED: Mapping[str, Reason] = {
    "forbidden": "banned",
    "registration-required": "closed",
    "not-authorized": "closed",
    "item-not-found": "address",
    "remote-server-not-found": "address",
}
POSTED = "{jabber:x:oob}x"
"""A file at an address (XEP-0066). It is never fetched: the server may belong to anybody."""
NICK = "guest"
GONE: Reason = "gap"
"""Returned instead of a page: the archive no longer holds the stored position."""
EMPTY = "-"
"""Stored instead of the last id: the archive was still empty."""
Page = tuple[list[Any], bool]


class XmppSession:
    """A session of one account at one server."""

    def __init__(
        self, secret: list[str], account: str, channels: Mapping[str, ChatChannel], ledger: Cursors
    ) -> None:
        if not 2 <= len(secret) <= 4 or "@" not in secret[0]:
            raise ConfigError(
                f"secret collect/{account}: must have the lines address and password, and"
                " HOST:PORT where DNS does not give it"
            )
        self._place = _place(secret[2:], account)
        self._channels, self._ledger = channels, ledger
        self._client = client = slixmpp.ClientXMPP(secret[0], secret[1])
        if "plain" in secret[3:]:
            client.enable_starttls = client.enable_direct_tls = False
            client.enable_plaintext = True
            client.plugin["feature_mechanisms"].unencrypted_plain = client.plugin[
                "feature_mechanisms"
            ].unencrypted_scram = True
        for plugin in PLUGINS:
            client.register_plugin(plugin)
        self._woken: asyncio.Queue[DeliveryBatch | BlindError] = asyncio.Queue()
        self._archives: dict[str, str] = {}
        """By room, the id of the last message that was read from its archive."""
        self._rooms: dict[str, ChatChannel] = {}
        self._tried: dict[str, float] = {}
        """By channel, when the last attempt was made to join a room."""
        self._listen()

    def _listen(self) -> None:
        """Register handlers for what the server sends unasked."""
        add = self._client.add_event_handler
        for event in ("disconnected", "connection_failed"):
            add(event, lambda _: self._woken.put_nowait(BlindError("unreachable")))
        add("failed_all_auth", lambda _: self._woken.put_nowait(BlindError("login")))
        add("stream_error", self._ended)
        add("groupchat_message", self._came)

    def _ended(self, error: Any) -> None:
        """Queue the fault for a stream that the server ended; "login" if the account is gone."""
        gone = error["condition"] in ("not-authorized", "policy-violation", "conflict")
        self._woken.put_nowait(BlindError("login" if gone else "unreachable"))

    def _came(self, stanza: Any) -> None:
        channel = self._rooms.get(stanza["from"].bare)
        if channel is None:
            return
        is_archived = stanza["from"].bare in self._archives
        messages = (
            ()
            if is_archived or stanza.get_plugin("delay", check=True)
            else tuple(read(channel, stanza, "", None))
        )
        self._woken.put_nowait(DeliveryBatch(channel.name, messages))

    async def close(self) -> None:
        """Close the connection."""
        self._rooms.clear()
        self._client.disconnect(wait=0.5)
        with contextlib.suppress(Exception):
            async with asyncio.timeout(2.0):
                await self._client.disconnected

    async def batches(self) -> AsyncIterator[DeliveryBatch]:
        """Connect, join the rooms, and yield their messages for ever.

        Rooms that could not be joined are tried again after AGAIN_SECONDS (60 s). Raises BlindError
        where the server cannot be reached, refuses the login, ends the connection or does not
        answer.
        """
        await self._connect()
        async for batch in self._again(self._channels):
            yield batch
        while True:
            heard, come = await self._wait()
            for batch in come:
                yield batch
            async for batch in self._look(heard):
                yield batch
            async for batch in self._again(
                [one for one, at in self._tried.items() if time.monotonic() - at > AGAIN_SECONDS]
            ):
                yield batch

    async def _again(self, names: Iterable[str]) -> AsyncIterator[DeliveryBatch]:
        """Try to enter these rooms."""
        for name in list(names):
            async for batch in self._enter(name):
                yield batch

    async def _wait(self) -> tuple[set[str], list[DeliveryBatch]]:
        """Wait for messages, at most `LOOK_SECONDS` (15 s).

        Returns the names of the channels to look at, and the batches that arrived with messages or
        with a reason why a channel is not read. The names are those of the arrived batches, or of
        all rooms where nothing arrived. Raises the BlindError of a connection that ended meanwhile.
        """
        come = list[DeliveryBatch | BlindError]()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_SECONDS):
                come.append(await self._woken.get())
        while not self._woken.empty():
            come.append(self._woken.get_nowait())
        for batch in come:
            if isinstance(batch, BlindError):
                raise batch
        batches = [batch for batch in come if isinstance(batch, DeliveryBatch)]
        heard = {batch.channel for batch in batches} or {
            channel.name for channel in self._rooms.values()
        }
        return heard, [batch for batch in batches if batch.messages or batch.blind]

    async def _connect(self) -> None:
        started = asyncio.get_running_loop().create_future()

        def start(_: object) -> None:
            if not started.done():
                started.set_result(None)

        self._client.add_event_handler("session_start", start)
        self._client.connect(*self._place)
        failed = asyncio.ensure_future(self._woken.get())
        finished, _ = await asyncio.wait(
            {started, failed}, timeout=CONNECT_SECONDS, return_when="FIRST_COMPLETED"
        )
        if failed in finished:
            woken = failed.result()
            raise woken if isinstance(woken, BlindError) else BlindError("service")
        failed.cancel()
        if not finished:
            raise BlindError("unreachable")
        self._client.send_presence()

    async def _enter(self, name: str) -> AsyncIterator[DeliveryBatch]:
        """Join a room that is open to all, and yield what is new in its archive.

        Yields only a batch with `blind` if the room cannot be read: "closed" if it is for members
        or has a password, "timeout" if there is no answer, otherwise the reason of the refusal. A
        room without an archive that was read before yields a gap "lost".
        """
        channel = self._channels[name]
        room = slixmpp.JID(channel.address)
        self._tried[name] = time.monotonic()
        try:
            answer = await self._client.plugin["xep_0030"].get_info(
                jid=room, timeout=ANSWER_SECONDS
            )
            features = answer["disco_info"]["features"]
            if any(feature in features for feature in CLOSED):
                yield DeliveryBatch(name, blind="closed")
                return
            self._client.add_event_handler(
                f"muc::{room.bare}::self-presence", lambda stanza: self._shown_out(name, stanza)
            )
            self._rooms[room.bare] = channel
            join = self._client.plugin["xep_0045"].join_muc_wait
            await join(room, f"{NICK}{id(self) % 10_000}", maxstanzas=0, timeout=ANSWER_SECONDS)
        except (IqError, PresenceError) as error:
            self._rooms.pop(room.bare, None)
            yield DeliveryBatch(name, blind=REFUSED.get(error.condition, "service"))
            return
        except (IqTimeout, TimeoutError):
            self._rooms.pop(room.bare, None)
            yield DeliveryBatch(name, blind="timeout")
            return
        del self._tried[name]
        before = self._ledger.cursor(f"xmpp:{name}")
        if ARCHIVE in features:
            self._archives[room.bare] = before
        elif before:
            yield DeliveryBatch(name, gap="lost")
        else:
            yield DeliveryBatch(name, cursor=(f"xmpp:{name}", "live"))
        async for batch in self._look({name}):
            yield batch

    def _shown_out(self, name: str, stanza: Any) -> None:
        if stanza["type"] == "unavailable":
            codes = [OUT[code] for code in stanza["muc"]["status_codes"] if code in OUT]
            self._rooms.pop(stanza["from"].bare, None)
            self._tried[name] = time.monotonic()
            self._woken.put_nowait(DeliveryBatch(name, blind=codes[0] if codes else "kicked"))

    async def _look(self, names: set[str]) -> AsyncIterator[DeliveryBatch]:
        """Yield what is new in the archives of the named channels.

        For a room without an archive, the server is pinged, and a batch says that the channel
        answered.
        """
        for room, channel in list(self._rooms.items()):
            if channel.name not in names:
                continue
            if room not in self._archives:
                await self._ping()
                yield DeliveryBatch(answered=(channel.name,))
                continue
            async for batch in self._archive(room, channel):
                yield batch

    async def _ping(self) -> None:
        try:
            await self._client.plugin["xep_0199"].ping(timeout=ANSWER_SECONDS)
        except (IqError, IqTimeout):
            raise BlindError("timeout") from None

    async def _archive(self, room: str, channel: ChatChannel) -> AsyncIterator[DeliveryBatch]:
        """Yield what is new in a room's archive, after the last stored position.

        It comes in pages of PAGE (100), each with its cursor. The first reading yields the last
        `history` messages of the room. More than one page is reported as a gap "seen", then
        "filled". If the archive no longer holds the position, a gap "lost" is yielded and the
        position cleared; if it refuses, a batch with `blind`.
        """
        if not self._archives[room]:
            async for batch in self._first(room, channel):
                yield batch
        name, pages, complete = f"xmpp:{channel.name}", 0, not self._archives[room]
        while not complete:
            after = self._archives[room]
            page = await self._page(
                room, {"max": PAGE, "after": after} if after != EMPTY else {"max": PAGE}
            )
            if page is GONE:  # the archive no longer holds the stored position
                self._archives[room] = ""
                yield DeliveryBatch(channel.name, cursor=(name, ""), gap="lost")
                return
            if isinstance(page, str):
                yield DeliveryBatch(channel.name, blind=page)
                return
            results, complete = page
            pages += 1
            if pages == 2:
                yield DeliveryBatch(channel.name, gap="seen")  # more than one page was missed
            if results:
                self._archives[room] = results[-1]["id"]
                yield DeliveryBatch(
                    channel.name,
                    _read_results(channel, results),
                    cursor=(name, self._archives[room]),
                )
            complete = complete or not results
        if pages > 1:
            yield DeliveryBatch(channel.name, gap="filled")
        yield DeliveryBatch(answered=(channel.name,))

    async def _first(self, room: str, channel: ChatChannel) -> AsyncIterator[DeliveryBatch]:
        """Yield the last messages of an archive, page by page from its end.

        It stops when `history` are read. With `history` 0, nothing is yielded but the position. The
        position of the end is stored, and yielded as a cursor, when all of them were read; if the
        archive refuses, a batch with `blind` is the last.
        """
        before, last, read, complete = "", "", 0, False
        while not complete and read < max(1, channel.history):
            page = await self._page(room, {"max": PAGE, "before": before})
            if isinstance(page, str):
                yield DeliveryBatch(channel.name, blind="service" if page is GONE else page)
                return
            results, complete = page
            if not results:
                break
            before, last, read = results[0]["id"], last or results[-1]["id"], read + len(results)
            if channel.history:
                yield DeliveryBatch(channel.name, _read_results(channel, results))
        self._archives[room] = last or EMPTY
        yield DeliveryBatch(cursor=(f"xmpp:{channel.name}", self._archives[room]))

    async def _page(self, room: str, rsm: dict[str, Any]) -> Page | Reason:
        """Return one page of an archive, oldest message first, and whether it is the last page.

        Where the archive gives none, return the reason. Raises BlindError if the server does not
        answer in time.
        """
        retrieve = self._client.plugin["xep_0313"].retrieve
        try:
            answer = await retrieve(jid=slixmpp.JID(room), rsm=rsm, timeout=ANSWER_SECONDS)
        except IqError as error:
            return (
                GONE
                if error.condition == "item-not-found"
                else REFUSED.get(error.condition, "service")
            )
        except IqTimeout:
            raise BlindError("timeout") from None
        complete = str(answer["mam_fin"]["complete"]).lower() in ("true", "1")
        return [result["mam_result"] for result in answer["mam"]["results"]], complete


def _read_results(channel: ChatChannel, found: list[Any]) -> tuple[ChatMessage, ...]:
    return tuple(
        m
        for result in found
        for m in read(channel, result["forwarded"]["stanza"], result["id"], _read_delay(result))
    )


def _place(rest: list[str], account: str) -> tuple[str | None, int | None]:
    """Return the host and port to connect to; (None, None) to look them up by the address.

    Raises ConfigError if the secret's third or fourth line is invalid. `rest` are the secret's
    lines from the third on: HOST:PORT, and `plain` for a connection without TLS, which only a
    loopback host may have.
    """
    if not rest:
        return None, None
    host, _, port = rest[0].rpartition(":")
    if not host or not port.isdigit() or rest[1:] not in ([], ["plain"]):
        raise ConfigError(
            f"secret collect/{account}: the third line must be HOST:PORT, the fourth"
            " `plain` or absent"
        )
    if rest[1:] and host not in LOOPBACK:
        raise ConfigError(
            f"secret collect/{account}: plain is allowed only on loopback: remove that line"
        )
    return host, int(port)


def _read_delay(result: Any) -> datetime | None:
    stamp = result["forwarded"]["delay"]["stamp"]
    return stamp.astimezone(UTC) if isinstance(stamp, datetime) else None


def read(
    channel: ChatChannel, stanza: Any, archived: str, when: datetime | None
) -> list[ChatMessage]:
    """Return the message in a stanza of a room, new or corrected (XEP-0308), as a list of one.

    Returns [] without a text or a sender. `archived` is its id in the archive, "" if it did not
    come from there; `when` is its time, None if unknown. Shared files are not fetched: each counts
    as unread, "elsewhere".
    """
    text, nick = stanza["body"], stanza["from"].resource
    if not text or not nick:
        return []
    identifier = stanza["id"] or archived
    corrected = stanza["replace"]["id"] if stanza.get_plugin("replace", check=True) else ""
    answered = stanza["reply"]["id"] if stanza.get_plugin("reply", check=True) else ""
    fields = {
        "site": channel.name,
        "channel": channel.address,
        "author": nick,
        "text": text,
        "published_at": when,
        "message_id": f"{nick}/{corrected or identifier}",  # ids are unique per sender only
        "reply_to": answered,
        "edited": bool(corrected),
    }
    posted = tuple[Unread, ...]("elsewhere" for _ in stanza.xml.findall(POSTED))
    return [
        ChatMessage(archived or f"{nick}/{identifier}", CaptureLine.model_validate(fields), posted)
    ]
