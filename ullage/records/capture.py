"""Capture: the bytes of one post, paste or attachment as served, with where, when and by whom.

On the wire the header as JSON stands before the body as it came (`base.framed`). The whole of it is
sealed; nothing of it is ever in clear outside a process. Whoever collected it signs it, within the
seal (`ullage.security.signing`). Its site and category go on into findings, incidents and
notifications, so they are words of ours: a configured name or `other`, and one of `CATEGORIES`.
"""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from ullage.errors import RecordError
from ullage.records.base import STRICT, MaybeMoment, Moment, framed, unframed
from ullage.records.heartbeat import Name

CAPTURE_SCHEMA = 1
MAX_BODY_BYTES = 32 * 1024 * 1024
MAX_HEADER_BYTES = 256 * 1024
INGEST = "ingest"
"""The platform of what another collector handed in."""
ELSEWHERE: Literal["other"] = "other"
"""The site of what no configured site is, and the category of what is in none of `CATEGORIES`."""
Category = Literal[
    "", "paste", "forum", "chat", "market", "ransom", "social", "blog", "code", "drive", "document",
    "shop", "classified",
    "news", "court", "police", "government", "other",
]  # fmt: skip
"""What kind of place a site is; "" where nobody said."""
CATEGORIES: tuple[Category, ...] = get_args(Category)


def category_of(text: str) -> Category:
    """The category that `text` names, in any case; `other` where it names none."""
    word = text.strip().lower()
    return next((category for category in CATEGORIES if category == word), ELSEWHERE)


class Capture(BaseModel):
    """One capture; times are aware UTC.

    `post_id` is the platform's own id, `category` what kind of place it came from.

    `site` is the name of a configured site, or `other`; `source` is what a collector calls the
    place where that is not configured, which is published nowhere. `section` is the configured list
    under which the post was found: scheme, host and path of one of the site's `start` addresses, ""
    where none is on the post's own host. `attachments` holds the names under which a post's files
    are captured as records of their own (`parent` points back).
    """

    model_config = STRICT

    id: str
    site: Name
    source: str = ""
    platform: str = ""
    post_id: str
    post_name: str = ""
    """The collector's keyed name of the post, the same whatever it says; "" where nothing lasts by
    which to know it again. What came with a message and goes with it has the message's.
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
    """Where a message was taken from, in the collector's words: a channel or a person."""
    edited: bool = False
    deleted: bool = False
    """The place says that it was taken away; the text is then what it had said, where the
    collector knows that, else empty.
    """
    parent: str = ""
    attachments: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    """Of the answer in which it came, as served; only for evidence."""
    body: bytes

    def __repr__(self) -> str:
        """Only what may be written down: a capture that strays into a message or a log takes
        nothing with it.
        """
        return f"Capture(id={self.id!r}, site={self.site!r}, {len(self.body)} bytes)"

    __str__ = __repr__

    def encode(self) -> bytes:
        """The record's bytes; RecordError `oversize` beyond 32 MiB of body or 256 KiB of header."""
        header = self.model_dump_json(exclude={"body"}, exclude_defaults=True).encode()
        if len(self.body) > MAX_BODY_BYTES or len(header) > MAX_HEADER_BYTES:
            raise RecordError("oversize")
        return framed(header, self.body)

    @classmethod
    def decode(cls, data: bytes, schema: int) -> Capture:
        """The capture in `data`; RecordError `schema` for a version that this one cannot read,
        `malformed` for anything else.
        """
        if schema != CAPTURE_SCHEMA:
            raise RecordError("schema")
        header, body = unframed(data)
        if len(header) > MAX_HEADER_BYTES:
            raise RecordError("malformed")
        if len(body) > MAX_BODY_BYTES:
            raise RecordError("oversize")
        try:
            return cls.model_validate({**_header_fields(header), "body": body})
        except (ValidationError, TypeError):
            raise RecordError("malformed") from None


def _header_fields(header: bytes) -> dict[str, object]:
    """Parse the header's JSON object without trusting its shape."""
    try:
        fields = from_json(header)
    except ValueError:
        raise RecordError("malformed") from None
    if not isinstance(fields, dict) or "body" in fields:
        raise RecordError("malformed")
    return fields
