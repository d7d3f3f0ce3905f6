"""What records have in common: fields that are checked and never shown, and a description before
a body.
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
"""Of a record: frozen, without fields of other names, no value of it in an error, and its checks
built when first asked for.
"""


def _required(moment: datetime) -> datetime:
    if in_range(moment) is None:
        raise ValueError("is out of range")
    return moment


Moment = Annotated[AwareDatetime, AfterValidator(_required)]
"""A time; a record with one that is out of range is refused."""
MaybeMoment = Annotated[AwareDatetime | None, AfterValidator(in_range)]
"""A time that others said; one that is out of range is not known, also where it was stored
before that was looked at.
"""


def framed(head: bytes, body: bytes) -> bytes:
    """The 4-byte big-endian length of `head`, `head`, `body`: a large body is never copied
    through base64.
    """
    return _LENGTH.pack(len(head)) + head + body


def unframed(data: bytes) -> tuple[bytes, bytes]:
    """Head and body; RecordError `malformed` when it ends within the head."""
    try:
        (length,) = _LENGTH.unpack_from(data)
    except struct.error:
        raise RecordError("malformed") from None
    start = _LENGTH.size + length
    if start > len(data):
        raise RecordError("malformed")
    return data[_LENGTH.size : start], data[start:]
