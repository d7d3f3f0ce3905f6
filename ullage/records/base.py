"""Share what all records on the bus have: strict validation, times in range, and framing.

A record is a small head in JSON and, for a captured post, a large body of raw bytes. `frame` puts
them one after the other and `unframe` splits them, so that the body is never copied through base64:

    ┌────────────────┬───────────────┬──────────────┐
    │ length of head │     head      │     body     │
    │ 4 bytes, ">I"  │ length bytes  │ all the rest │
    └────────────────┴───────────────┴──────────────┘

`STRICT` makes a model frozen, refuses undeclared fields, and keeps values out of error messages: a
value may be a customer's.
"""

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
    """Return the length of `head` (4 bytes, big-endian), then `head`, then `body`."""
    return _LENGTH.pack(len(head)) + head + body


def unframe(data: bytes) -> tuple[bytes, bytes]:
    """Return the head and the body of a record that `frame` built.

    Raises RecordError `malformed` if the record is cut.
    """
    try:
        (length,) = _LENGTH.unpack_from(data)
    except struct.error:
        raise RecordError("malformed") from None
    start = _LENGTH.size + length
    if start > len(data):
        raise RecordError("malformed")
    return data[_LENGTH.size : start], data[start:]
