"""Read mail as lines of ingest: an mbox file, a maildir, or one message."""

from __future__ import annotations

import base64
import email
import mailbox
from collections.abc import Iterator
from datetime import UTC
from email.message import EmailMessage
from email.policy import default as modern
from email.utils import parsedate_to_datetime
from itertools import islice
from pathlib import Path
from typing import Any

from ullage.errors import ConfigError

MAX_FILE_BYTES = 24 * 2**20
MailLine = dict[str, Any]


def read_mails(path: Path, channel: str) -> Iterator[MailLine]:
    """Yield the mails of a maildir, an mbox file or a single message.

    Each gets this channel; of a maildir, `cur` is read first, then `new`. Yields nothing for a file
    that has no mail headers. Raises ConfigError for a folder that is no maildir, OSError where a
    file cannot be read.
    """
    if path.is_dir():
        if not (path / "cur").is_dir():
            raise ConfigError(f"{path}: is not a maildir: it must contain a folder `cur`")
        for file in sorted(
            one for part in ("cur", "new") for one in (path / part).iterdir() if one.is_file()
        ):
            yield read_mail(file.read_bytes(), channel)
        return
    with path.open("rb") as opened:
        start = opened.read(5)
    if start != b"From ":
        content = path.read_bytes()
        # a text without headers is no mail
        if email.message_from_bytes(content, policy=modern).keys():
            yield read_mail(content, channel)
        return
    box = mailbox.mbox(path, create=False)
    try:
        for key in box.iterkeys():
            yield read_mail(box.get_bytes(key), channel)
    finally:
        box.close()


def read_mail(content: bytes, channel: str) -> MailLine:
    """Return the content of one mail as a line of ingest, without its site."""
    message = email.message_from_bytes(content, policy=modern)
    assert isinstance(message, EmailMessage)
    body = message.get_body(("plain", "html"))
    files = [_part(part) for part in islice(message.iter_attachments(), 100)]
    return {
        "channel": channel,
        "message_id": _head(message, "message-id"),
        "reply_to": _head(message, "in-reply-to"),
        "author": _head(message, "from"),
        "title": _head(message, "subject"),
        "published_at": _read_sent_at(_head(message, "date")),
        "text": _content(body) if body else "",
        "attachments": files,
    }


def _head(message: EmailMessage, name: str) -> str:
    try:
        return str(message[name] or "")[:1000].strip()
    # a header that the standard library cannot parse
    except (ValueError, LookupError, AttributeError, IndexError):
        return ""


def _content(part: Any) -> str:
    try:
        return str(part.get_content())
    except (LookupError, KeyError, ValueError):
        return (part.get_payload(decode=True) or b"").decode("utf-8", "replace")


def _part(part: Any) -> MailLine | str:
    body = part.get_payload(decode=True)
    if body is None:  # an enclosed message
        body = (
            b"".join(bytes(payload) for payload in part.get_payload())
            if isinstance(part.get_payload(), list)
            else b""
        )
    name = str(part.get_filename() or "")[:1000]
    return (
        {"name": name, "data": base64.b64encode(body).decode()}
        if 0 < len(body) <= MAX_FILE_BYTES
        else name
    )


def _read_sent_at(date: str) -> str | None:
    try:
        sent = parsedate_to_datetime(date)
    except (ValueError, TypeError):
        return None
    return (sent if sent.tzinfo else sent.replace(tzinfo=UTC)).isoformat()
