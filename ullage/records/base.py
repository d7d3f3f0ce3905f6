"""Share the common parts of records: validation without values, and a header before a body."""

from __future__ import annotations

import struct
from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, ConfigDict

from ullage.clock import in_range
from ullage.errors import RecordError

_LENGTH = struct.Struct(">I")
STRICT = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True)
"""Configuration of all records.

Frozen, no undeclared fields, no values in errors; validators are built at their first use.
"""


def _require_in_range(moment: datetime) -> datetime:
    if in_range(moment) is None:
        raise ValueError("is out of range")
    return moment


Moment = Annotated[AwareDatetime, AfterValidator(_require_in_range)]
"""A time; a record with a time out of range is refused."""
MaybeMoment = Annotated[AwareDatetime | None, AfterValidator(in_range)]
"""A time that somebody else reported; one that is out of range becomes None.

Also when it was stored before this check existed.
"""


def frame(head: bytes, body: bytes) -> bytes:
    """Return the 4-byte big-endian length of `head`, `head`, `body`.

    A large body is never copied through base64.
    """
    return _LENGTH.pack(len(head)) + head + body


def unframe(data: bytes) -> tuple[bytes, bytes]:
    """Split into head and body; raises RecordError `malformed` if the head is cut."""
    try:
        (length,) = _LENGTH.unpack_from(data)
    except struct.error:
        raise RecordError("malformed") from None
    start = _LENGTH.size + length
    if start > len(data):
        raise RecordError("malformed")
    return data[_LENGTH.size : start], data[start:]
