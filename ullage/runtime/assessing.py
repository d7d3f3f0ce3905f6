"""What is said where a dropped file is judged: search has no match key, so the file streams to
match over a unix socket.

    DIR/assess.sock   match listens; 0600, or 0660 where `match.assess_users` names who else may come

Pseudonyms of an incident are resolved there too, for a request that others have approved: search
has no resolver's key either.

A client sends one `AssessmentRequest` and waits. Match answers in lines of JSON, each an object of
one member: `go`, or `busy` where there is no room. Then the client sends the file, or the findings
that it wants opened, and an empty frame as their end; what it sends is in frames, a length of four
bytes before each. `place` tells how many are before it, `read` how far match is, and `done` is the
last line: an answer without it is none. Whoever hangs up before has ended the work. Nothing of a
file is ever written to disk.
"""  # noqa: E501

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
"""Of one file."""
MOST_FRAME = 64 << 20
"""Bytes of one frame: a record of findings is at most as large as the bus takes."""
QUESTION_BYTES = 8 << 10
LENGTH = struct.Struct(">I")
LONGEST_ADDRESS = 100
"""Bytes that a unix socket's address may have, less some."""


class ReferenceApproval(BaseModel):
    """For what customer references are resolved: an incident's case, why, who asked, and which
    others approved.
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
    """What a client wants: how many wait, a file assessed, findings opened that it was given
    before, or pseudonyms resolved.

    `name` is what its sender called the file, in memory alone; `size` is in bytes where that is
    known. With `to_open` the findings go onto the bus at once, else they come back, signed, where
    they are at most `hold_bytes` in all. Nothing is said of other tenants than `tenants`, where
    that is given. Pseudonyms are of the one tenant that is named, one a line, for `approval`.
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
    """Where the socket is: a folder that match and search share, or the data folder."""
    return Path(context.settings.match.assess_folder or context.data)


def framed(payload: bytes) -> bytes:
    """A frame."""
    return LENGTH.pack(len(payload)) + payload


def frames(file: RawIOBase, most: int = MOST_FRAME) -> Iterator[bytes]:
    """Frames up to the empty one; UnavailableError where the other side hangs up before,
    RecordError for one that is too long.
    """
    while payload := frame(file, most):
        yield payload


def frame(file: RawIOBase, most: int = MOST_FRAME) -> bytes:
    """The next frame; see `frames`."""
    (length,) = LENGTH.unpack(_exactly(file, LENGTH.size))
    if length > most:
        raise RecordError("too_large", "a frame is longer than any may be")
    return _exactly(file, length)


def question_in(payload: bytes) -> AssessmentRequest:
    """The question that a frame holds; RecordError where there is none."""
    try:
        return AssessmentRequest.model_validate_json(payload)
    except ValidationError:
        raise RecordError("malformed", "that is no question") from None


def _exactly(file: RawIOBase, size: int) -> bytes:
    held = bytearray(size)
    view = memoryview(held)
    while view:
        got = file.readinto(view)
        if not got:
            raise UnavailableError("the other side hung up")
        view = view[got:]
    return bytes(held)


@contextlib.contextmanager
def address(parent: Path) -> Iterator[str]:
    """Where the socket is, as an address that is short enough however long the path of its
    folder.
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
