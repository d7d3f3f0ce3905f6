"""Define the interface of a chat service, whatever its protocol.

A collector for a service provides a `ChatSession`, which yields batches of messages with the
*cursor* up to which they were read. The loop (`crawlers.collectors.collector`) publishes a batch
and stores its cursor only then, and a new session begins at the stored cursors, so messages may
come twice but are never lost. Faults that make a channel unreadable are raised as BlindError, with
a reason from `MEANING` that maps to a state of the channel.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

from crawlers.collectors.channel import ChatChannel
from crawlers.intake.submission import MAX_ID, CaptureLine
from ullage.errors import UllageError
from ullage.records.heartbeat import State

Reason = Literal[
    "login", "banned", "kicked", "closed", "expired", "unreachable", "timeout", "gap", "encrypted",
    "address", "flood", "service",
    "stopped",
]  # fmt: skip
STATE_OF: Mapping[Reason, State] = {
    "login": "login_expired",
    "banned": "blocked",
    "kicked": "blocked",
    "closed": "blocked",
    "expired": "blocked",
    "flood": "blocked",
    "unreachable": "unreachable",
    "timeout": "unreachable",
    "address": "unreachable",
    "service": "unreachable",
    "stopped": "unreachable",
    "gap": "incomplete",
    "encrypted": "incomplete",
}
"""The state of a channel that cannot be read, or not completely, for each reason."""
MEANING: Mapping[Reason, str] = {
    "login": "the session or password was rejected: it expired or was revoked",
    "banned": "the account is banned from the channel",
    "kicked": "the account was removed from the channel",
    "closed": (
        "the channel is closed (invitation, members only, or password): closed channels"
        " are not read"
    ),
    "expired": "its `expires` date has passed: the owner must decide again",
    "flood": "the service limits our requests",
    "unreachable": "the service does not respond",
    "timeout": "no response in time",
    "address": "the channel does not exist",
    "service": "the service responds with an internal error",
    "stopped": "its collector is not running, or is stuck",
    "gap": "messages are missing: the history does not return them, or is still being fetched",
    "encrypted": "messages are end-to-end encrypted for members and cannot be read",
}


Unread = Literal["too_large", "cut", "failed", "elsewhere"]
"""Why a posted file was not read.

It is larger than `MAX_FILE_BYTES`, was truncated there, could not be fetched, or has an address
that is never fetched.
"""
MAX_FILE_BYTES = 24 * 2**20
FILE_SECONDS, PIECE_SECONDS = 25.0, 10.0
"""The time limit for one file, and how long messages are held back while files are fetched.

Together they stay below the silence after which a session is considered dead. Otherwise a page
of large files would be started again for ever.
"""


class BlindError(UllageError):
    """The error for a channel that cannot be read; `channel` is "" if none of the session can.

    `reason` is a key of MEANING; the message is its text and holds no value.
    """

    def __init__(self, reason: Reason, channel: str = "") -> None:
        super().__init__(MEANING[reason])
        self.reason, self.channel = reason, channel


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One delivery of a message.

    `event` is the service's id of the delivery (an edit has its own), and `line` its content.
    """

    event: str
    line: CaptureLine
    unread: tuple[Unread, ...] = ()
    """Why files of this message were not read."""


@dataclass(frozen=True, slots=True)
class PostedFile:
    """A file that a message posts: its name, its size, and a function that fetches it.

    The size is in bytes as the service states it, 0 where it does not.
    """

    name: str
    size: int
    fetch: Callable[[], Awaitable[bytes | None]]
    """Returns the bytes; None where they are not available.

    OSError and TimeoutError are treated in the same way.
    """


@dataclass(frozen=True, slots=True)
class DeliveryBatch:
    """What a session delivers at a time.

    The cursor is stored once this batch and all before it are durable.
    """

    channel: str = ""
    messages: tuple[ChatMessage, ...] = ()
    cursor: tuple[str, str] | None = None
    """Name and value of the new read position."""
    gap: Literal["", "seen", "filled", "lost"] = ""
    """`seen`: messages were skipped and are being read from history; `filled`: all of them were
    read; `lost`: some cannot be read.
    """
    blind: Reason | None = None
    """Why this channel cannot be read from now on; the session continues with the others."""
    answered: tuple[str, ...] = field(default=())
    """Channels for which the service has just reported that there is nothing more."""
    refused: int = 0
    """The number of further messages that exceed the limits of a line."""


class ChatSession(Protocol):
    """A session of one account at one service.

    BlindError means that nothing of it can be read; the collector opens another after a while.
    """

    def batches(self) -> AsyncIterator[DeliveryBatch]:
        """Yield batches for ever.

        At least every `QUIET_SECONDS` one reports that the service answered.
        """

    async def close(self) -> None:
        """Close the connection."""


class SessionFactory(Protocol):
    """A function that opens a session for an account's secret lines and its channels."""

    def __call__(
        self, secret: list[str], account: str, channels: Mapping[str, ChatChannel], ledger: Cursors
    ) -> ChatSession:
        """Open a session; `ledger` returns the stored cursors."""


class Cursors(Protocol):
    """The stored cursors: the position up to which each channel was read, by name."""

    def cursor(self, name: str) -> str:
        """Return the value stored for the cursor `name`; "" where there is none."""


QUIET_SECONDS = 30.0


async def pieces(
    postings: Iterable[tuple[ChatMessage, PostedFile | None]],
) -> AsyncIterator[tuple[ChatMessage, ...]]:
    """Yield the messages with their posted files attached, in order, in groups.

    A group ends with the first message that is done PIECE_SECONDS or more after the group began.
    The last group may be empty, so at least one is yielded. A file that is too large or cannot be
    fetched is left out, and the message's `unread` says why. One file takes at most FILE_SECONDS.
    """
    now = asyncio.get_running_loop().time
    piece, until = list[ChatMessage](), now() + PIECE_SECONDS
    for message, file in postings:
        piece.append(message if file is None else await _with_file(message, file))
        if now() >= until:
            yield tuple(piece)
            piece, until = [], now() + PIECE_SECONDS
    yield tuple(piece)


async def _with_file(message: ChatMessage, file: PostedFile) -> ChatMessage:
    """Return the message with its file attached, or with the reason why it was not read.

    A file that fails never stops the channel from being read.
    """
    if file.size > MAX_FILE_BYTES:
        return replace(message, unread=("too_large",))
    try:
        async with asyncio.timeout(FILE_SECONDS):
            body = await file.fetch()
    except (OSError, TimeoutError):
        body = None
    if body is None:
        return replace(message, unread=("failed",))
    if len(body) > MAX_FILE_BYTES:
        return replace(message, unread=("too_large",))
    data = {"name": file.name[:MAX_ID], "data": base64.b64encode(body).decode()}
    return replace(
        message,
        line=CaptureLine.model_validate({**message.line.model_dump(), "attachments": [data]}),
    )
