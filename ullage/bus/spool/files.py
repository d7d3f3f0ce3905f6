"""Read and write the files of a spool folder: numbered record files, and small state files.

A record file, or *segment*, is one header and its records. A checksum covers every byte, so a file
is either whole or not read: DamagedFileError is raised for anything else. Each stream counts its
files, to detect a missing one, and its records (their *offset*), to know how many were lost with
it. The name holds number and stream: a carrier may deliver a file late or twice, and the reader
still knows which one it is.

    byte 0      8        24       32       40      44     52      60    64
         │magic │ stream │ number │ offset │ count │ time │ size  │ CRC │ record, record, …
          8s      16s      u64      u64      u32     f64    u64     u32       big-endian

    record   u32 length of description │ u32 length of value │ description (JSON) │ value │ CRC u32

`offset` is that of the first record, `count` the number of records, `size` that of the file in
bytes, and CRC is the CRC-32 of all bytes of the header or record before it.
"""

from __future__ import annotations

import errno
import json
import os
import re
import stat
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ullage.bus import Outgoing, Record
from ullage.errors import CorruptError, RecordError
from ullage.files.atomic_write import write_through, write_whole
from ullage.files.validation import read_json

FILE_BYTES = 4 * 2**20
"""Records are combined up to this size; a larger one has a file of its own."""
LARGEST_BYTES = 40 * 2**20
"""Largest file: a capture of 32 MiB, sealed and framed, with a margin."""
MAGIC = b"ULSPOOL1"
PARTIAL, BAD = ".partial", ".bad"
NAME = re.compile(r"([0-9]{20})-([0-9a-f]{16})\.spool")
# magic, stream, number, first offset, number of records, time, total bytes
_HEADER = struct.Struct(">8s16sQQIdQ")
_FRAME = struct.Struct(">II")  # bytes of the description, bytes of the value
_CRC = struct.Struct(">I")
HEADER_BYTES = _HEADER.size + _CRC.size


class DamagedFileError(CorruptError):
    """The error for a file that is incomplete, or is not what its name says.

    It may still be being copied, be damaged, or be a foreign file.
    """


class NewerStateError(CorruptError):
    """The error for an intact state file of a newer version.

    Reading on without it would lose or repeat records.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} was written by a newer ullage: use that version")


class Position(NamedTuple):
    """Where a stream continues: the next file, and the offset of the next record."""

    number: int = 1
    offset: int = 0


class Publishing(NamedTuple):
    """The stream that a folder publishes, and where it continues.

    The inode of the folder distinguishes it from a copy.
    """

    stream: str
    number: int
    offset: int
    folder: int


@dataclass(frozen=True, slots=True)
class SegmentHeader:
    """The header of a record file.

    `first` is the offset of its first record, `count` the number of its records, `timestamp` when
    it was written (Unix seconds), and `size` the bytes of the whole file.
    """

    stream: str
    number: int
    first: int
    count: int
    timestamp: float
    size: int

    @property
    def end(self) -> int:
        """The offset behind the last record."""
        return self.first + self.count


def file_name(number: int, stream: str) -> str:
    """Return the name of a completed record file: `number` (20 digits), `-`, `stream`, `.spool`."""
    return f"{number:020d}-{stream}.spool"


def parse_name(name: str) -> tuple[str, int] | None:
    """Return (stream, number) of a completed file's name; None for any other name."""
    match = NAME.fullmatch(name)
    return (match[2], int(match[1])) if match else None


def frame(record: Outgoing, timestamp: float) -> bytes:
    """Return a record as bytes: two lengths, description, value, and a CRC-32 of all three.

    The description is JSON with key, headers and `timestamp` (Unix seconds). Raises RecordError
    `too_large` if the record and a file header exceed LARGEST_BYTES.
    """
    described = json.dumps(
        {"key": record.key, "headers": dict(record.headers), "timestamp": timestamp}
    ).encode()
    body = _FRAME.pack(len(described), len(record.value)) + described + record.value
    if HEADER_BYTES + len(body) + _CRC.size > LARGEST_BYTES:
        raise RecordError(
            "too_large",
            (f"a record must fit into a spool file: {len(record.value)} bytes are too many"),
        )
    return body + _CRC.pack(zlib.crc32(body))


def group_frames(frames: Sequence[bytes]) -> Iterator[list[bytes]]:
    """Yield lists of consecutive frames, in order, that make one record file each.

    A file of these frames has at most FILE_BYTES with its header, unless it has only one frame.
    Nothing is yielded for no frames.
    """
    group: list[bytes] = []
    size = HEADER_BYTES
    for framed in frames:
        if group and size + len(framed) > FILE_BYTES:
            yield group
            group, size = [], HEADER_BYTES
        group.append(framed)
        size += len(framed)
    if group:
        yield group


def pack(stream: str, position: Position, frames: Sequence[bytes], timestamp: float) -> bytes:
    """Return the bytes of a record file that begins at `position` of `stream`.

    `stream` is 16 ASCII characters, `frames` are records as `frame` returns them, and `timestamp`
    is when the file is written, in Unix seconds.
    """
    size = HEADER_BYTES + sum(map(len, frames))
    head = _HEADER.pack(MAGIC, stream.encode(), *position, len(frames), timestamp, size)
    return b"".join((head, _CRC.pack(zlib.crc32(head)), *frames))


def read_header(path: Path) -> SegmentHeader:
    """Return the header of the record file at `path`, without reading its records.

    Raises DamagedFileError if the header is incomplete, damaged, of a newer version or does not fit
    the file's name, or if this is no regular file; FileNotFoundError if there is none.
    """
    return _header(_read(path, HEADER_BYTES), path)


def read_file(path: Path, topic: str) -> tuple[SegmentHeader, list[Record]]:
    """Return the header and all records of the record file at `path`, in order of offset.

    The records get `topic`, and the stream's hexadecimal id as partition. Raises DamagedFileError
    unless the whole file is intact, and FileNotFoundError if there is none.
    """
    content = _read(path, LARGEST_BYTES + 1)
    header = _header(content, path)
    if len(content) != header.size:
        raise DamagedFileError(f"{path} has {len(content)} of {header.size} bytes")
    records, place = [], HEADER_BYTES
    for offset in range(header.first, header.end):
        clear, value, place = _unframe(content, place, path)
        key, headers, timestamp = clear
        records.append(
            Record(topic, int(header.stream, 16), offset, timestamp, key, headers, value)
        )
    if place != header.size:
        raise DamagedFileError(f"{path} has bytes after its last record")
    return header, records


def _header(content: bytes, path: Path) -> SegmentHeader:
    if len(content) < HEADER_BYTES or _CRC.unpack_from(content, _HEADER.size)[0] != zlib.crc32(
        content[: _HEADER.size]
    ):
        raise DamagedFileError(f"{path} has no complete header")
    magic, stream, *fields = _HEADER.unpack_from(content)
    header = SegmentHeader(stream.decode("ascii", "replace"), *fields)
    if magic[:-1] == MAGIC[:-1] and magic[-1:] > MAGIC[-1:]:
        raise DamagedFileError(f"{path} was written by a newer ullage: use that version")
    if magic != MAGIC or parse_name(path.name) != (header.stream, header.number):
        raise DamagedFileError(f"{path} does not match its name")
    return header


def _unframe(
    content: bytes, place: int, path: Path
) -> tuple[tuple[str, dict[str, str], float], bytes, int]:
    """Decode the record that begins at `place`.

    Returns its key, headers and time, its value, and the place of the next record. Raises
    DamagedFileError if it is cut off, damaged or of another format.
    """
    if place + _FRAME.size > len(content):
        raise DamagedFileError(f"{path} ends within a record")
    described, value = _FRAME.unpack_from(content, place)
    start = place + _FRAME.size
    end = start + described + value
    if end + _CRC.size > len(content) or _CRC.unpack_from(content, end)[0] != zlib.crc32(
        memoryview(content)[place:end]
    ):
        raise DamagedFileError(f"{path} has a damaged record")
    try:
        clear: Any = read_json(content[start : start + described])
        metadata = (
            str(clear["key"]),
            {str(k): str(v) for k, v in clear["headers"].items()},
            float(clear["timestamp"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
        raise DamagedFileError(f"{path} has a record of another format") from None
    return metadata, content[start + described : end], end + _CRC.size


def _read(path: Path, most: int) -> bytes:
    """Read up to `most` bytes of a regular file.

    Whoever fills the folder may also put links and pipes there; these are refused. They raise
    DamagedFileError.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise DamagedFileError(f"{path} is not a regular file") from None
        raise
    with open(handle, "rb") as file:  # noqa: PTH123  a descriptor, not a path
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise DamagedFileError(f"{path} is not a regular file")
        return file.read(most)


def write_durably(path: Path, content: bytes) -> None:
    """Write `content` to `path` with mode 0600 and sync it; an existing file is overwritten.

    The name of a new file is durable only after its folder is synced.
    """
    with path.open("wb") as file:
        os.fchmod(file.fileno(), 0o600)
        write_through(file, content)


def replace_state(path: Path, state: Mapping[str, Any]) -> None:
    """Replace the content of the state file `path` by `state` and a checksum; durable on return.

    `state` must be JSON. After a crash either the old or the new file exists. Raises OSError if it
    cannot be written; the old content then stays.
    """
    write_whole(json.dumps({"state": state, "crc32": _sum(state)}).encode(), path)


def read_state(path: Path) -> Any:
    """Return the JSON value that `replace_state` wrote to `path`; None if there is no file.

    Raises CorruptError if the checksum does not fit, because a wrong number loses records.
    """
    try:
        content: Any = read_json(path.read_bytes())
        if content["crc32"] == _sum(content["state"]):
            return content["state"]
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError):
        pass
    raise CorruptError(f"{path} is damaged: restore it, or remove it to start over")


def _sum(state: Any) -> int:
    return zlib.crc32(json.dumps(state, sort_keys=True).encode())


def read_positions(path: Path) -> dict[str, Position]:
    """Return the position of each stream in the state file `path`; {} if there is no file.

    Raises CorruptError if the file is damaged or from a newer version. The latter is a
    NewerStateError.
    """
    try:
        return {
            stream: Position(*position) for stream, position in (read_state(path) or {}).items()
        }
    except (TypeError, AttributeError):
        raise NewerStateError(path) from None


def read_publishing(path: Path) -> Publishing | None:
    """Return the stream, next position and folder inode that `path` holds; None without a file.

    Raises CorruptError if the file is damaged, and NewerStateError (a CorruptError) if a newer
    version wrote it.
    """
    state = read_state(path)
    try:
        return None if state is None else Publishing(**state)
    except TypeError:
        raise NewerStateError(path) from None
