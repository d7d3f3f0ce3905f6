"""Capture: the bytes of one post, paste or attachment as served, with where, when and by whom.

On the wire: a 4-byte big-endian header length, the header as JSON, then the body as it came, so that a 32 MiB body is
never copied through base64. The whole of it is sealed; nothing of it is ever in clear outside a process.
"""

from __future__ import annotations

import struct
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import from_json

from ullage.errors import RecordError

CAPTURE_SCHEMA = 1
MAX_BODY_BYTES = 32 * 1024 * 1024
MAX_HEADER_BYTES = 256 * 1024
_LENGTH = struct.Struct(">I")


class Capture(BaseModel):
    """One capture; times are aware UTC. `post_id` is the platform's own id, `category` what kind of place it came from.

    `attachments` holds the names under which a post's files are captured as records of their own (`parent` points back).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    site: str
    platform: str = ""
    post_id: str
    url: str
    title: str = ""
    author: str = ""
    published_at: datetime | None = None
    fetched_at: datetime
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
    body: bytes

    def encode(self) -> bytes:
        """The record's bytes; RecordError `oversize` beyond 32 MiB of body or 256 KiB of header."""
        header = self.model_dump_json(exclude={"body"}, exclude_defaults=True).encode()
        if len(self.body) > MAX_BODY_BYTES or len(header) > MAX_HEADER_BYTES:
            raise RecordError("oversize")
        return _LENGTH.pack(len(header)) + header + self.body

    @classmethod
    def decode(cls, data: bytes, schema: int) -> Capture:
        """The capture in `data`; RecordError `schema` for a version that this one cannot read, `malformed` for anything else."""
        if schema != CAPTURE_SCHEMA:
            raise RecordError("schema")
        try:
            (length,) = _LENGTH.unpack_from(data)
            header = data[4 : 4 + length]
            if length > MAX_HEADER_BYTES or len(header) != length:
                raise RecordError("malformed")
            return cls.model_validate({**_header_fields(header), "body": data[4 + length :]})
        except (ValidationError, struct.error, TypeError) as error:
            raise RecordError("malformed") from error


def _header_fields(header: bytes) -> dict[str, object]:
    """Parse the header's JSON object without trusting its shape."""
    try:
        fields = from_json(header)
    except ValueError as error:
        raise RecordError("malformed") from error
    if not isinstance(fields, dict) or "body" in fields:
        raise RecordError("malformed")
    return fields
