"""Capture: the bytes of one post, paste or attachment as served, with where, when and by whom.

On the wire the header, as JSON, precedes the unchanged body (`base.frame`). The whole record is
sealed and never leaves a process in clear. The collector signs it inside the seal
(`ullage.security.signing`). Its site and category are copied into findings, incidents and
notifications, so they are words of ours: a configured name or `other`, and one of `CATEGORIES`.
"""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from ullage.errors import RecordError
from ullage.records.base import STRICT, MaybeMoment, Moment, frame, unframe
from ullage.records.heartbeat import Name

CAPTURE_SCHEMA = 1
MAX_BODY_BYTES = 32 * 1024 * 1024
MAX_HEADER_BYTES = 256 * 1024
INGEST = "ingest"
"""The platform of records that another collector handed in."""
ELSEWHERE: Literal["other"] = "other"
"""The site of posts from no configured site, and the category outside `CATEGORIES`."""
Category = Literal[
    "", "paste", "forum", "chat", "market", "ransom", "social", "blog", "code", "drive", "document",
    "shop", "classified",
    "news", "court", "police", "government", "other",
]  # fmt: skip
"""Kind of place that a site is; "" if unspecified."""
CATEGORIES: tuple[Category, ...] = get_args(Category)


def parse_category(text: str) -> Category:
    """Return the category that `text` names, ignoring case; `other` if it names none."""
    word = text.strip().lower()
    return next((category for category in CATEGORIES if category == word), ELSEWHERE)


class Capture(BaseModel):
    """One capture; times are aware UTC.

    `post_id` is the platform's own id, `category` the kind of place it came from.

    `site` is the name of a configured site, or `other`; `source` is the collector's name for a
    place that is not configured, and is published nowhere. `section` is the configured list under
    which the post was found: scheme, host and path of one of the site's `start` addresses, "" if
    none is on the post's own host. `attachments` holds the names under which a post's files are
    captured as records of their own (`parent` points back).
    """

    model_config = STRICT

    id: str
    site: Name
    source: str = ""
    platform: str = ""
    post_id: str
    post_name: str = ""
    """The collector's keyed name of the post, independent of its content.

    "" if nothing stable identifies it. Attachments of a message have the message's name.
    """
    url: str
    section: str = ""
    title: str = ""
    author: str = ""
    published_at: MaybeMoment = None
    fetched_at: Moment
    kind: Literal["post", "paste", "attachment", "message"] = "post"
    category: Category = ""
    media_type: str = "text/plain"
    charset: str = ""
    truncated: bool = False
    channel: str = ""
    thread: str = ""
    message_id: str = ""
    reply_to: str = ""
    forwarded_from: str = ""
    """The channel or person that a message was forwarded from, as the collector reports it."""
    edited: bool = False
    deleted: bool = False
    """The site reports the post as deleted.

    The text is then the former text if the collector knows it, else empty.
    """
    parent: str = ""
    attachments: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    """Headers of the HTTP response, as served; only for evidence."""
    body: bytes

    def __repr__(self) -> str:
        """Show only public fields.

        A capture that strays into a message or a log leaks nothing.
        """
        return f"Capture(id={self.id!r}, site={self.site!r}, {len(self.body)} bytes)"

    __str__ = __repr__

    def encode(self) -> bytes:
        """Return the serialised record.

        Raises RecordError `oversize` beyond 32 MiB of body or 256 KiB of header.
        """
        header = self.model_dump_json(exclude={"body"}, exclude_defaults=True).encode()
        if len(self.body) > MAX_BODY_BYTES or len(header) > MAX_HEADER_BYTES:
            raise RecordError("oversize")
        return frame(header, self.body)

    @classmethod
    def decode(cls, data: bytes, schema: int) -> Capture:
        """Parse a capture.

        Raises RecordError: `schema` for an unsupported version, `oversize` for a body over
        MAX_BODY_BYTES (32 MiB), `malformed` for anything else.
        """
        if schema != CAPTURE_SCHEMA:
            raise RecordError("schema")
        header, body = unframe(data)
        if len(header) > MAX_HEADER_BYTES:
            raise RecordError("malformed")
        if len(body) > MAX_BODY_BYTES:
            raise RecordError("oversize")
        try:
            return cls.model_validate({**_header_fields(header), "body": body})
        except (ValidationError, TypeError):
            raise RecordError("malformed") from None


def _header_fields(header: bytes) -> dict[str, object]:
    """Parse the header's JSON object without trusting its shape.

    Raises RecordError if it is malformed.
    """
    try:
        fields = from_json(header)
    except ValueError:
        raise RecordError("malformed") from None
    if not isinstance(fields, dict) or "body" in fields:
        raise RecordError("malformed")
    return fields
