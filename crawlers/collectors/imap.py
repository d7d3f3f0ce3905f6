"""Read mailboxes over IMAP (RFC 9051) without marking any message as read.

They are abuse mailboxes, and public mailing lists that an account of the organization has
subscribed to. The account's secret file has three or four lines: `HOST:PORT`, the user, the
password; then `plain` for a connection without TLS, which is allowed to loopback only. A
mailbox numbers its messages upwards. A number that was assigned and is no longer there was
deleted before it was read, and is reported as lost. If the mailbox was recreated (another
UIDVALIDITY), all of it is read again.
"""

from __future__ import annotations

import asyncio
import contextlib
import imaplib
import re
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from crawlers.collectors.channel import ChatChannel
from crawlers.collectors.session import BlindError, ChatMessage, Cursors, DeliveryBatch
from crawlers.intake.mail_export import MAX_FILE_BYTES, read_mail
from crawlers.intake.submission import CaptureLine
from ullage.errors import ConfigError
from ullage.settings import LOOPBACK

LOOK_SECONDS, ANSWER_SECONDS = 10.0, 20.0
PAGE, PAGE_BYTES = 50, 2 * MAX_FILE_BYTES
"""The most messages to fetch in one request, and their total bytes."""
UID, SIZE = re.compile(rb"\bUID (\d+)"), re.compile(rb"\bRFC822\.SIZE (\d+)")


@dataclass(frozen=True, slots=True)
class MailboxPosition:
    """How far a mailbox was read.

    `last` is the highest message number under the numbering `validity`; both are 0 where the
    mailbox was not read yet.
    """

    validity: int = 0
    last: int = 0

    @classmethod
    def of(cls, kept: str) -> MailboxPosition:
        """Parse a position from its stored form; an empty one from anything else."""
        validity, _, last = kept.partition(":")
        return cls(int(validity), int(last)) if last else cls()

    def __str__(self) -> str:
        """Return the form in which the position is stored."""
        return f"{self.validity}:{self.last}"


class ImapSession:
    """A session of one account at one server."""

    def __init__(
        self, secret: list[str], account: str, channels: Mapping[str, ChatChannel], ledger: Cursors
    ) -> None:
        host, _, port = secret[0].rpartition(":") if len(secret) in (3, 4) else ("", "", "")
        if not host or not port.isdigit() or secret[3:] not in ([], ["plain"]):
            raise ConfigError(
                f"secret collect/{account}: must have the lines HOST:PORT, user and"
                " password, and optionally `plain`"
            )
        if secret[3:] and host not in LOOPBACK:
            raise ConfigError(
                f"secret collect/{account}: plain is allowed only on loopback: remove that line"
            )
        self._box = _Box(host, int(port), secret[1], secret[2], plain=bool(secret[3:]))
        self._channels, self._ledger = channels, ledger

    async def close(self) -> None:
        """Close the connection."""
        await asyncio.to_thread(self._box.close)

    async def batches(self) -> AsyncIterator[DeliveryBatch]:
        """Connect, then yield the new messages of each mailbox in turn, for ever.

        There is a pause of `LOOK_SECONDS` (10 s) after each round. Raises BlindError: "login" if
        the login is refused, "service" if the server rejects a command, "unreachable" if the
        connection fails.
        """
        try:
            await asyncio.to_thread(self._box.open)
            while True:
                for channel in self._channels.values():
                    async for batch in self._look(channel):
                        yield batch
                await asyncio.sleep(LOOK_SECONDS)
        except imaplib.IMAP4.error:
            raise BlindError("service") from None
        except OSError:
            raise BlindError("unreachable") from None

    async def _look(self, channel: ChatChannel) -> AsyncIterator[DeliveryBatch]:
        """Yield the new messages of a mailbox after the stored position.

        They come a page at a time, each with its cursor. A mailbox that does not exist gives one
        batch with `blind` "address". The first reading starts at the last `history` messages.
        Missing numbers give a gap "lost"; if the server has numbered the mailbox anew, all of it is
        read again, between a gap "seen" and "filled" (or "lost"). The last batch stores the end
        position and says that the channel answered.
        """
        name = f"imap:{channel.name}"
        position, now = (
            MailboxPosition.of(self._ledger.cursor(name)),
            await asyncio.to_thread(self._box.select, channel.address),
        )
        if now is None:
            yield DeliveryBatch(channel.name, blind="address")
            return
        anew = 0 < position.validity != now.validity
        if anew:  # the stored number means nothing in the new numbering
            yield DeliveryBatch(channel.name, gap="seen")
        first = position.last + 1 if position.validity == now.validity else 1
        sizes = await asyncio.to_thread(self._box.sizes, first, now.last)
        if position.validity:
            missing = 0 if anew else now.last - position.last - len(sizes)
        else:
            missing, sizes = 0, sizes[len(sizes) - min(len(sizes), channel.history) :]
        for page in pages(sizes):
            mails = await asyncio.to_thread(self._box.fetch, [uid for uid, _ in page])
            messages = tuple(
                message
                for uid, content in mails
                for message in read(channel, f"{now.validity}/{uid}", content)
            )
            missing += len(page) - len(mails)  # deleted between the two requests
            cursor = name, str(MailboxPosition(now.validity, page[-1][0]))
            yield DeliveryBatch(
                channel.name, messages, cursor=cursor, refused=len(mails) - len(messages)
            )
        if missing > 0:
            yield DeliveryBatch(channel.name, gap="lost")
        elif anew:
            yield DeliveryBatch(channel.name, gap="filled")
        yield DeliveryBatch(channel.name, cursor=(name, str(now)), answered=(channel.name,))


def pages(found: Sequence[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
    """Split message numbers with their sizes into pages, in order.

    A page has at most `PAGE` (50) messages and `PAGE_BYTES` bytes. A page holds at least one
    message, whatever its size; no messages give no page.
    """
    page, size = list[tuple[int, int]](), 0
    for uid, length in found:
        if page and (len(page) == PAGE or size + length > PAGE_BYTES):
            yield page
            page, size = [], 0
        page.append((uid, length))
        size += length
    if page:
        yield page


def read(channel: ChatChannel, event: str, content: bytes) -> Iterator[ChatMessage]:
    """Yield a mail as a message, or nothing where it exceeds the limits of a line.

    The caller counts those that are missing.
    """
    fields = {
        name: value
        for name, value in read_mail(content, channel.address).items()
        if value not in ("", None, [])
    }
    with contextlib.suppress(ValidationError):
        line = CaptureLine.model_validate({"text": "", **fields, "site": channel.name})
        yield ChatMessage(event, line, ("cut",) if len(content) >= MAX_FILE_BYTES else ())


class _Box:
    """The standard library's client, whose calls block: each runs in a thread, one at a time."""

    def __init__(self, host: str, port: int, user: str, password: str, *, plain: bool) -> None:
        self._place, self._login, self._plain = (host, port), (user, password), plain
        self._client: imaplib.IMAP4 | None = None

    def open(self) -> None:
        """Connect and log in, with TLS unless the account is set to `plain`.

        Raises BlindError ("login") where the login is refused; other errors of the connection
        (OSError, imaplib's abort) are raised as they are.
        """
        host, port = self._place
        if self._plain:
            self._client = imaplib.IMAP4(host, port, timeout=ANSWER_SECONDS)
        else:
            context = ssl.create_default_context()
            self._client = imaplib.IMAP4_SSL(
                host, port, ssl_context=context, timeout=ANSWER_SECONDS
            )
        try:
            if "".join(self._login).isascii():
                self._client.login(*self._login)
            else:
                self._client.authenticate(
                    "PLAIN", lambda _: "\0{}\0{}".format(*self._login).encode()
                )
        except imaplib.IMAP4.abort:
            raise
        except imaplib.IMAP4.error:
            raise BlindError("login") from None

    def close(self) -> None:
        """Close the connection."""
        if self._client is not None:
            self._client.shutdown()

    def select(self, mailbox: str) -> MailboxPosition | None:
        """Open a mailbox read-only and return its current position.

        Returns None where the server refuses it, or where its name is not ASCII. Raises BlindError
        if no connection is open, or if the answer has no number.
        """
        client = self._opened()
        if not mailbox.isascii():  # such names need the server's own encoding
            return None
        quoted = '"' + mailbox.replace("\\", "\\\\").replace('"', '\\"') + '"'
        if client.select(quoted, readonly=True)[0] != "OK":
            return None
        validity, following = (
            _number(client.response(name)[1]) for name in ("UIDVALIDITY", "UIDNEXT")
        )
        return MailboxPosition(validity, following - 1)

    def sizes(self, first: int, last: int) -> list[tuple[int, int]]:
        """Return the existing message numbers from `first` to `last`, each with its size in bytes.

        They are in ascending order. Returns [] if `first` is above `last`. Raises BlindError if no
        connection is open or the server refuses.
        """
        if first > last:
            return []
        lines = self._answer(self._opened().uid("FETCH", f"{first}:{last}", "(UID RFC822.SIZE)"))
        return sorted(
            (_find_number(UID, line), _find_number(SIZE, line))
            for line in lines
            if isinstance(line, bytes) and UID.search(line)
        )

    def fetch(self, uids: Sequence[int]) -> list[tuple[int, bytes]]:
        """Return the messages with these numbers that still exist.

        Each is truncated at the size limit of a file. They come in the order of the server's
        answer. Raises BlindError if no connection is open or the server refuses.
        """
        numbers = ",".join(map(str, uids))
        parts = self._answer(
            self._opened().uid("FETCH", numbers, f"(UID BODY.PEEK[]<0.{MAX_FILE_BYTES}>)")
        )
        ends = [*parts[1:], b""]  # the number is before or after the text
        pairs = [
            (line, end if isinstance(end, bytes) else b"")
            for line, end in zip(parts, ends, strict=True)
        ]
        mails = [
            (_find_number(UID, line[0]) or _find_number(UID, end), line[1])
            for line, end in pairs
            if isinstance(line, tuple)
        ]
        return [(uid, content) for uid, content in mails if uid]

    def _opened(self) -> imaplib.IMAP4:
        if self._client is None:
            raise BlindError("unreachable")
        return self._client

    def _answer(self, answer: tuple[str, Any]) -> list[Any]:
        status, lines = answer
        if status != "OK":
            raise BlindError("service")
        return [line for line in lines if line]


def _find_number(pattern: re.Pattern[bytes], line: bytes) -> int:
    match = pattern.search(line)
    return int(match[1]) if match else 0


def _number(told: Sequence[bytes | None]) -> int:
    """Return a number from the server's answer; raises BlindError where it holds none."""
    if not told or told[-1] is None or not told[-1].isdigit():
        raise BlindError("service")
    return int(told[-1])
