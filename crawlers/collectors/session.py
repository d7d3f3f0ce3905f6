"""What a chat service must give, whatever its protocol, and the faults that blind us to a
channel.
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
"""The state of a channel that cannot be seen for that reason, or not wholly."""
MEANING: Mapping[Reason, str] = {
    "login": "the session or password is refused: it expired or was ended",
    "banned": "the account is banned from it",
    "kicked": "the account was thrown out of it",
    "closed": (
        "it is closed: by invitation, for members or with a password. What is closed is not read"
    ),
    "expired": "the day in its file has passed: whoever answers for it decides anew",
    "flood": "the service says that we ask too often",
    "unreachable": "the service does not answer",
    "timeout": "nothing came back in time",
    "address": "there is no such channel",
    "service": "the service answers with an error of its own",
    "stopped": "its collector does not run, or is stuck",
    "gap": "messages are missing that its history does not give again, or gives right now",
    "encrypted": "messages are encrypted for its members and cannot be read",
}


Unread = Literal["too_large", "cut", "failed", "elsewhere"]
"""Why a posted file was not read: above `MAX_FILE_BYTES`, or read up to there; not to be had; at
an address that is not asked.
"""
MAX_FILE_BYTES = 24 * 2**20
FILE_SECONDS, PIECE_SECONDS = 25.0, 10.0
"""How long one file may take, and after how long the messages that came with files are given.

Together they are less than the silence after which a session is taken for dead: else a page of
large files would be begun anew for ever.
"""


class BlindError(UllageError):
    """A channel cannot be seen; all of the session where `channel` is "".

    The message is one of `MEANING`, and no value.
    """

    def __init__(self, reason: Reason, channel: str = "") -> None:
        super().__init__(MEANING[reason])
        self.reason, self.channel = reason, channel


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One delivery: `event` is the service's id of it (an edit has its own), `line` what it
    says.
    """

    event: str
    line: CaptureLine
    unread: tuple[Unread, ...] = ()
    """Why files that it posts were not read."""


@dataclass(frozen=True, slots=True)
class PostedFile:
    """A file that a message posts: its name, its size in bytes as the service has it (0 for
    unknown), and how to get it.
    """

    name: str
    size: int
    fetch: Callable[[], Awaitable[bytes | None]]
    """Its bytes; None where they are not to be had.

    OSError and TimeoutError are taken for the same.
    """


@dataclass(frozen=True, slots=True)
class DeliveryBatch:
    """What a session gives at once. The cursor is kept when all before and in it is durable."""

    channel: str = ""
    messages: tuple[ChatMessage, ...] = ()
    cursor: tuple[str, str] | None = None
    """Name and value of how far was read."""
    gap: Literal["", "seen", "filled", "lost"] = ""
    """`seen`: messages were passed over and are being read from history; `filled`: all of them
    were; `lost`: not all can be.
    """
    blind: Reason | None = None
    """The channel alone is blind from now on, and the session goes on."""
    answered: tuple[str, ...] = field(default=())
    """Channels of which the service has just said that there is nothing more."""
    refused: int = 0
    """So many messages beside `messages` that no line can hold."""


class ChatSession(Protocol):
    """One account at one service.

    BlindError where all of it is blind; the runner opens another after a while.
    """

    def batches(self) -> AsyncIterator[DeliveryBatch]:
        """Batches for ever; at least every `QUIET_SECONDS` one that says that it answered."""

    async def close(self) -> None:
        """Let go of the connection."""


class SessionFactory(Protocol):
    """Makes a session of an account's secret lines and its channels; `cursor` gives what was
    kept under a name.
    """

    def __call__(
        self, secret: list[str], account: str, channels: Mapping[str, ChatChannel], ledger: Cursors
    ) -> ChatSession:
        """See the class."""


class Cursors(Protocol):
    """How far was read."""

    def cursor(self, name: str) -> str:
        """What was kept under `name`, "" for nothing."""


QUIET_SECONDS = 30.0


async def pieces(
    postings: Iterable[tuple[ChatMessage, PostedFile | None]],
) -> AsyncIterator[tuple[ChatMessage, ...]]:
    """The messages with their files, in order, and as many at a time as came within
    `PIECE_SECONDS`; at least one piece.
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
    """The message with the file that it posts, or with why it was not read: no file keeps a
    channel from being read.
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
