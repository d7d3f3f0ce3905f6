"""Capture: the bytes of one post, paste or attachment as served, with where, when and by whom.

On the wire the header as JSON stands before the body as it came (`base.framed`). The whole of it is sealed; nothing of it is ever
in clear outside a process.
"""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime, BaseModel, ValidationError
from pydantic_core import from_json

from ullage.errors import RecordError
from ullage.records.base import STRICT, framed, unframed

CAPTURE_SCHEMA = 1
MAX_BODY_BYTES = 32 * 1024 * 1024
MAX_HEADER_BYTES = 256 * 1024


class Capture(BaseModel):
    """One capture; times are aware UTC. `post_id` is the platform's own id, `category` what kind of place it came from.

    `attachments` holds the names under which a post's files are captured as records of their own (`parent` points back).
    """

    model_config = STRICT

    id: str
    site: str
    platform: str = ""
    post_id: str
    url: str
    title: str = ""
    author: str = ""
    published_at: AwareDatetime | None = None
    fetched_at: AwareDatetime
    kind: Literal["post", "paste", "attachment", "message"] = "post"
    category: str = ""
    media_type: str = "text/plain"
    charset: str = ""
    truncated: bool = False
    channel: str = ""
    thread: str = ""
    message_id: str = ""
    reply_to: str = ""
    edited: bool = False
    deleted: bool = False
    parent: str = ""
    attachments: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    """Of the answer in which it came, as served; for sealed evidence alone."""
    body: bytes

    def __repr__(self) -> str:
        """Only what may be written down: a capture that strays into a message or a log takes nothing with it."""
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
        """The capture in `data`; RecordError `schema` for a version that this one cannot read, `malformed` for anything else."""
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
