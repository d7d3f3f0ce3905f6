"""Define the protocol for assessing a dropped file.

Search has no match key, so it streams the file to match over a unix socket:

    DIR/assess.sock   match listens; mode 0600, or 0660 if `match.assess_users` names other users

Pseudonyms of an incident are resolved over it too, for a request that other people approved:
search does not have the resolver's key either.

A client sends one `AssessmentRequest` and waits. Match answers in lines of JSON, each an object
with one member: `go`, or `busy` if there is no room. Then the client sends the file, or the
findings that it wants opened, and an empty frame as the end. Everything it sends is in frames,
with a length of four bytes before each. `place` is the position in the queue, `read` is the
progress of match, and `done` is the last line; an answer without it is incomplete. If the client
hangs up early, the work ends. No part of a file is ever written to disk.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Iterator
from io import RawIOBase
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ullage.errors import RecordError, UnavailableError
from ullage.settings import Context

NAME = "assess.sock"
MOST_BYTES = 1 << 30
"""Largest file."""
MOST_FRAME = 64 << 20
"""Bytes of one frame: a record of findings is at most as large as the bus accepts."""
QUESTION_BYTES = 8 << 10
LENGTH = struct.Struct(">I")
LONGEST_ADDRESS = 100
"""Bytes of a unix socket's address, with a margin."""


class ReferenceApproval(BaseModel):
    """The approval for resolving pseudonyms to customer references.

    It holds the case of an incident, the reason, who asked, and who else approved.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    incident: Annotated[str, Field(max_length=64)]
    case: Annotated[str, Field(min_length=1, max_length=32)]
    reason: Annotated[str, Field(min_length=1, max_length=500)]
    by: Annotated[str, Field(min_length=1, max_length=128)]
    approved_by: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=128)], ...], Field(max_length=8)
    ]


class AssessmentRequest(BaseModel):
    """A client's request.

    It asks for the length of the queue, for the assessment of a file, for findings of an earlier
    assessment to be opened, or for pseudonyms to be resolved. `name` is the sender's file name,
    held only in memory; `size` is in bytes if that is known. With `to_open` the findings go onto
    the bus at once; otherwise they are returned, signed, if they have at most `hold_bytes` in all.
    If `tenants` is given, nothing is disclosed about other tenants. Pseudonyms belong to the one
    tenant that is named, one per line, for `approval`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    verb: Literal["status", "assess", "open", "resolve"]
    name: Annotated[str, Field(max_length=255)] = ""
    size: Annotated[int, Field(ge=0, le=MOST_BYTES)] | None = None
    tenants: tuple[str, ...] | None = None
    to_open: bool = False
    hold_bytes: Annotated[int, Field(ge=0)] = 0
    approval: ReferenceApproval | None = None


def folder_of(context: Context) -> Path:
    """Return the socket's folder: one that match and search share, or the data folder."""
    return Path(context.settings.match.assess_folder or context.data)


def to_frame(payload: bytes) -> bytes:
    """Return `payload` preceded by its length, as it is sent over the socket."""
    return LENGTH.pack(len(payload)) + payload


def frames(file: RawIOBase, most: int = MOST_FRAME) -> Iterator[bytes]:
    """Yield frames up to the empty one.

    Raises UnavailableError if the other side hangs up first, RecordError if a frame is too long.
    """
    while payload := frame(file, most):
        yield payload


def frame(file: RawIOBase, most: int = MOST_FRAME) -> bytes:
    """Return the next frame, b"" for the one that ends a series.

    Raises UnavailableError if the other side hangs up first, RecordError if the frame is longer
    than `most` bytes.
    """
    (length,) = LENGTH.unpack(_read_bytes(file, LENGTH.size))
    if length > most:
        raise RecordError("too_large", "a frame exceeds the size limit: send smaller ones")
    return _read_bytes(file, length)


def question_in(payload: bytes) -> AssessmentRequest:
    """Return the request in a received payload. Raises RecordError `malformed` if it has none."""
    try:
        return AssessmentRequest.model_validate_json(payload)
    except ValidationError:
        raise RecordError("malformed", "this is not a request: send one as JSON") from None


def _read_bytes(file: RawIOBase, size: int) -> bytes:
    """Read `size` bytes; raises UnavailableError if the other side closes the connection first."""
    content = bytearray(size)
    view = memoryview(content)
    while view:
        got = file.readinto(view)
        if not got:
            raise UnavailableError(
                f"{NAME}: the other side closed the connection: send the file again"
            )
        view = view[got:]
    return bytes(content)


@contextlib.contextmanager
def address(parent: Path) -> Iterator[str]:
    """Yield the address of the socket in `parent`, short enough for any path.

    A long path is replaced by one through an open folder.
    """
    path = str(parent / NAME)
    if len(os.fsencode(path)) <= LONGEST_ADDRESS:
        yield path
        return
    folder = os.open(parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{NAME}"
    finally:
        os.close(folder)
