"""Read Telegram's public channels and open groups through Telethon, by message number.

The account's secret file has three lines: `api_id`, `api_hash`, and a session string of the
organization's own account. A channel has a public name (`@name`); channels without one, and
those that require an invitation, are not read. Each channel numbers its messages from 1 without
holes, so missing messages are noticed and requested by number. Those that the service no longer
has were deleted.

No server of Telegram can run in a test: the tests use a stub of the client with recorded
updates.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from typing import Any

from telethon import TelegramClient, errors, events
from telethon.sessions import StringSession

from crawlers.collectors.channel import ChatChannel
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

PAGE = 100
LOOK_SECONDS, AGAIN_SECONDS, ANSWER_SECONDS = 10.0, 60.0, 30.0
LOGIN = (
    errors.UnauthorizedError,
    errors.AuthKeyError,
    errors.AuthKeyDuplicatedError,
    errors.UserDeactivatedBanError,
)
BANNED = (
    (errors.UserBannedInChannelError, errors.ChannelBannedError)
    if hasattr(errors, "ChannelBannedError")
    else (errors.UserBannedInChannelError,)
)
GONE = (errors.UsernameNotOccupiedError, errors.UsernameInvalidError, ValueError)


def client_of(secret: Sequence[str], account: str) -> Any:
    """Return Telethon's client for an account, not connected yet.

    `secret` has three lines: api_id, api_hash and session string. Raises ConfigError for any other.
    """
    if len(secret) != 3 or not secret[0].isdigit():
        raise ConfigError(
            f"secret collect/{account}: must have three lines: api_id, api_hash and session string"
        )
    try:
        session = StringSession(secret[2])
    except ValueError:
        raise ConfigError(
            f"secret collect/{account}: the third line must be a session string"
        ) from None
    return TelegramClient(
        session, int(secret[0]), secret[1], catch_up=False, flood_sleep_threshold=10
    )


def fault(error: errors.RPCError) -> Reason:
    """Return the reason that a refusal indicates."""
    if isinstance(error, LOGIN):
        return "login"
    return "flood" if isinstance(error, errors.FloodWaitError) else "service"


class TelegramSession:
    """A session of one account. `make` creates the client, so that a test can replace it."""

    make = staticmethod(client_of)

    def __init__(
        self, secret: list[str], account: str, channels: Mapping[str, ChatChannel], ledger: Cursors
    ) -> None:
        self._client = self.make(secret, account)
        self._channels, self._ledger = channels, ledger
        self._entities: dict[str, Any] = {}
        self._by_chat: dict[int, str] = {}
        self._tried: dict[str, float] = {}
        self._woken: asyncio.Queue[DeliveryBatch] = asyncio.Queue()

    async def close(self) -> None:
        """Close the connection."""
        await self._client.disconnect()

    async def batches(self) -> AsyncIterator[DeliveryBatch]:
        """Log in, then yield batches for ever.

        They are what `_enter` and `_look` yield, and edits and deletions as they arrive. It looks
        again after LOOK_SECONDS (10 s) or when an update arrives. Raises BlindError: "login" if the
        account is not authorized, "unreachable" if the connection fails or does not answer in time,
        otherwise the reason of Telegram's error.
        """
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._client.connect()
                if not await self._client.is_user_authorized():
                    raise BlindError("login")
            for kind in (events.NewMessage, events.MessageEdited, events.MessageDeleted):
                self._client.add_event_handler(self._came, kind())
            while True:
                async for batch in self._enter():
                    yield batch
                async for batch in self._look():
                    yield batch
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_SECONDS):
                        yield await self._woken.get()
                while not self._woken.empty():
                    yield self._woken.get_nowait()
        except errors.RPCError as error:
            raise BlindError(fault(error)) from None
        except (OSError, TimeoutError):
            raise BlindError("unreachable") from None

    async def _enter(self) -> AsyncIterator[DeliveryBatch]:
        """Look up the channels that are not known yet, at most once in AGAIN_SECONDS (60 s) each.

        Yields a batch with `blind` for each that cannot be read: "closed" if it is private or needs
        an approval, "address" if it does not exist. A channel that can be read is remembered, and
        yields nothing. Raises Telethon's own error if the login has become invalid.
        """
        for name, channel in self._channels.items():
            if (
                name in self._entities
                or time.monotonic() - self._tried.get(name, float("-inf")) < AGAIN_SECONDS
            ):
                continue
            self._tried[name] = time.monotonic()
            try:
                entity = await self._client.get_entity(channel.address)
            except LOGIN:
                raise
            except (errors.ChannelPrivateError, errors.InviteHashExpiredError):
                yield DeliveryBatch(name, blind="closed")
                continue
            except GONE:
                yield DeliveryBatch(name, blind="address")
                continue
            if not getattr(entity, "username", None) or getattr(entity, "join_request", False):
                yield DeliveryBatch(name, blind="closed")
                continue
            self._entities[name] = entity
            self._by_chat[entity.id] = name

    async def _came(self, event: Any) -> None:
        """Handle an update from the service.

        Edits and deletions are queued as they arrive. A new message only wakes the loop, which then
        reads the channel. Updates of other chats are ignored.
        """
        chat = getattr(event, "chat_id", None)
        name = self._by_chat.get(bare_id(chat)) if chat is not None else None
        if name is None:
            return
        channel = self._channels[name]
        if isinstance(event, events.MessageDeleted.Event):
            gone = tuple(make_deletion(channel, number) for number in event.deleted_ids)
            self._woken.put_nowait(DeliveryBatch(name, gone))
        elif isinstance(event, events.MessageEdited.Event):
            async for piece in self._read(channel, [event.message]):
                self._woken.put_nowait(DeliveryBatch(name, piece))
        else:
            self._woken.put_nowait(DeliveryBatch())

    async def _look(self) -> AsyncIterator[DeliveryBatch]:
        """Yield the new messages of each channel, as `_new` does.

        A channel that became private, or that banned the account, yields a batch with `blind`
        "closed" or "banned"; it is looked up again later.
        """
        for name, entity in list(self._entities.items()):
            try:
                async for batch in self._new(self._channels[name], entity):
                    yield batch
            except (errors.ChannelPrivateError, *BANNED) as error:
                reason: Reason = "banned" if isinstance(error, BANNED) else "closed"
                del self._entities[name]
                self._tried[name] = time.monotonic()
                yield DeliveryBatch(name, blind=reason)

    async def _new(self, channel: ChatChannel, entity: Any) -> AsyncIterator[DeliveryBatch]:
        """Yield the messages after the last stored number.

        They come in pages of PAGE (100), each with its cursor. Numbers that are missing among them
        are requested one more time. If there is more than one page, a gap "seen" and at the end
        "filled" is yielded. The first reading yields the last `history` messages only, none for 0.
        The last batch says that the channel answered.
        """
        cursor = f"telegram:{channel.name}"
        position = self._ledger.cursor(cursor)
        if not position:
            messages = await self._messages(entity, limit=max(1, channel.history))
            last = max((message.id for message in messages), default=0)
            if channel.history:
                async for piece in self._read(channel, messages):
                    yield DeliveryBatch(channel.name, piece)
            yield DeliveryBatch(channel.name, cursor=(cursor, str(last)))
            yield DeliveryBatch(answered=(channel.name,))
            return
        last, pages = int(position), 0
        while messages := await self._messages(entity, min_id=last, limit=PAGE, reverse=True):
            pages += 1
            if pages == 2:
                yield DeliveryBatch(channel.name, gap="seen")  # more than one page was missed
            numbers = {message.id for message in messages}
            missing = [number for number in range(last + 1, max(numbers)) if number not in numbers]
            if missing:
                again = [
                    message
                    for message in await self._by_number(entity, missing)
                    if message is not None
                ]
                messages = [*messages, *again]
            last = max(numbers)
            async for piece in self._read(channel, messages):
                yield DeliveryBatch(channel.name, piece)
            yield DeliveryBatch(channel.name, cursor=(cursor, str(last)))
            if len(numbers) < PAGE:
                break
        if pages > 1:
            yield DeliveryBatch(channel.name, gap="filled")
        yield DeliveryBatch(answered=(channel.name,))

    async def _messages(self, entity: Any, **which: Any) -> list[Any]:
        async with asyncio.timeout(ANSWER_SECONDS):
            return list(await self._client.get_messages(entity, **which))

    async def _by_number(self, entity: Any, numbers: list[int]) -> list[Any]:
        """Return the messages with these numbers; None in place of one that is gone."""
        messages: list[Any] = []
        for first in range(0, len(numbers), PAGE):
            messages += await self._messages(entity, ids=numbers[first : first + PAGE])
        return messages

    def _read(
        self, channel: ChatChannel, messages: Sequence[Any]
    ) -> AsyncIterator[tuple[ChatMessage, ...]]:
        return pieces(
            (read(channel, message), self._file(message))
            for message in messages
            if getattr(message, "id", None)
        )

    def _file(self, source: Any) -> PostedFile | None:
        """Return the file that a message posts; None where it posts none."""
        file = getattr(source, "file", None)
        return file and PostedFile(file.name or "", file.size or 0, partial(self._fetch, source))

    async def _fetch(self, source: Any) -> bytes | None:
        try:
            body = await self._client.download_media(source, file=bytes)
        except (*LOGIN, errors.FloodWaitError):  # a fault of the account, not of the file
            raise
        except errors.RPCError:
            return None
        return body if isinstance(body, bytes) else None


def bare_id(chat: int) -> int:
    """Return the number of a chat as its entity has it.

    Telethon marks the numbers of channels with the prefix -100.
    """
    text = str(abs(chat))
    return int(text[3:]) if chat < 0 and text.startswith("100") and len(text) > 10 else abs(chat)


def read(channel: ChatChannel, message: Any) -> ChatMessage:
    """Return a message of Telethon as a chat message.

    Its author is the public name where there is one, else the number of the account, else the
    signature of the post, else "". Of an attached file only the name is taken. An edit has an
    `event` of its own, by its time.
    """
    edited = getattr(message, "edit_date", None)
    sender = getattr(message, "sender", None)
    username = getattr(sender, "username", None)
    author = (
        f"@{username}"
        if username
        else str(getattr(message, "sender_id", None) or getattr(message, "post_author", None) or "")
    )
    reply = getattr(message, "reply_to", None)
    file = getattr(message, "file", None)
    fields = {
        "site": channel.name,
        "channel": channel.address,
        "url": f"https://t.me/{channel.address.removeprefix('@')}/{message.id}",
        "author": author,
        "text": getattr(message, "message", None) or "",
        "published_at": message.date,
        "message_id": str(message.id),
        "reply_to": str(getattr(reply, "reply_to_msg_id", None) or ""),
        "thread": str(getattr(reply, "reply_to_top_id", None) or ""),
        "forwarded_from": _origin(getattr(message, "fwd_from", None)),
        "edited": edited is not None,
        "attachments": [(file.name or "")[:1000]] if file is not None else [],
    }
    event = f"{message.id}/{int(edited.timestamp())}" if edited else str(message.id)
    return ChatMessage(event, CaptureLine.model_validate(fields))


def make_deletion(channel: ChatChannel, number: int) -> ChatMessage:
    """Return a message that reports the deletion of message `number`."""
    fields = {
        "site": channel.name,
        "channel": channel.address,
        "text": "",
        "message_id": str(number),
        "deleted": True,
    }
    return ChatMessage(f"{number}/deleted", CaptureLine.model_validate(fields))


def _origin(forward: Any) -> str:
    """Return where a message was forwarded from; "" where it was not.

    This is the number of a channel or an account, else the displayed name.
    """
    if forward is None:
        return ""
    source = getattr(forward, "from_id", None)
    for kind in ("channel_id", "user_id", "chat_id"):
        if number := getattr(source, kind, None):
            return str(number)
    return str(getattr(forward, "from_name", None) or "")
