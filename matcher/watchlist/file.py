"""The watchlist file: a signed header, then arrays that are mapped and never parsed.

    magic | u32 header length | header (JSON) | Ed25519 signature of the header (64) | padding to 64
    high u64[n] | low u64[n] | subject u32[n] | kind u8[n], padded to 8 | directory u32[2^b + 1] | handle u8[m, 16]

`high` and `low` are a tag's halves, sorted; `subject` is the row of `handle`, random a build, so that two entries of
one customer can be told without telling which; `kind` numbers the header's list of (kind, form). The directory holds,
for the top b bits of a tag, where they begin; b = ⌊log2 n⌋ gives at most 4 bytes an entry. The header holds the body's
SHA-256: the tags are keyed, so it tells nothing.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import struct
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ullage.errors import ConfigError, CorruptError
from ullage.tags import Tags

MAGIC = b"ULLAGEWL"
VERSION = 1
ALGORITHM = "aes-256-cmac"
SIGNATURE_BYTES = 64
_LENGTH = struct.Struct("<I")
Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Header:
    """What a watchlist says of itself. `created` and `expires` are ISO dates, `kinds` the (kind, form) pairs by number."""

    version: int
    algorithm: str
    tenant: str
    epoch: int
    created: str
    expires: str
    entries: int
    subjects: int
    bits: int
    kinds: tuple[tuple[str, str], ...]
    key_check: str
    body_sha256: str

    def encode(self) -> bytes:
        """The header's bytes, which are what is signed."""
        return json.dumps(asdict(self), sort_keys=True).encode()

    @classmethod
    def decode(cls, path: Path, data: bytes) -> Header:
        """The header in `data`; ConfigError for a version or algorithm that this one does not know."""
        try:
            raw = json.loads(data)
            header = cls(**{**raw, "kinds": tuple(tuple(pair) for pair in raw["kinds"])})
        except (ValueError, TypeError, KeyError) as error:
            raise CorruptError(f"{path} has no readable header: build it again") from error
        if header.version != VERSION or header.algorithm != ALGORITHM:
            raise ConfigError(
                f"{path} has version {header.version}, {header.algorithm}: this ullage reads {VERSION}, {ALGORITHM}"
            )
        return header


def _layout(header: Header) -> list[tuple[str, np.dtype[Any], tuple[int, ...]]]:
    n = header.entries
    return [
        ("high", np.dtype("<u8"), (n,)),
        ("low", np.dtype("<u8"), (n,)),
        ("subject", np.dtype("<u4"), (n,)),
        ("kind", np.dtype("u1"), (n,)),
        ("directory", np.dtype("<u4"), (2**header.bits + 1,)),
        ("handle", np.dtype("u1"), (header.subjects, 16)),
    ]


def _size(dtype: np.dtype[Any], shape: tuple[int, ...]) -> int:
    """Bytes of an array, padded to 8."""
    return -(-int(np.prod(shape)) * dtype.itemsize // 8) * 8


def split(tags: Tags) -> tuple[Array, Array]:
    """The halves of tags, (n, 16) bytes, as numbers that sort as the bytes do."""
    halves = np.ascontiguousarray(tags).view(">u8").astype("<u8")
    return halves[:, 0], halves[:, 1]


def write(path: Path, header: dict[str, Any], arrays: dict[str, Array], key: Ed25519PrivateKey) -> Header:
    """Write a watchlist, signed, durably and in one step (rename); `header` lacks what the arrays tell."""
    n = len(arrays["high"])
    bits = max(1, n.bit_length() - 1)
    arrays = {**arrays, "directory": np.searchsorted(arrays["high"] >> np.uint64(64 - bits), np.arange(2**bits + 1))}
    draft = Header(entries=n, subjects=len(arrays["handle"]), bits=bits, body_sha256="", **header)
    body = b"".join(
        arrays[name].astype(dtype).tobytes().ljust(_size(dtype, shape), b"\0") for name, dtype, shape in _layout(draft)
    )
    final = Header(
        **{**{f.name: getattr(draft, f.name) for f in fields(Header)}, "body_sha256": hashlib.sha256(body).hexdigest()}
    )
    head = final.encode()
    start = MAGIC + _LENGTH.pack(len(head)) + head + key.sign(head)
    draft_path = path.with_suffix(".partial")
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with os.fdopen(os.open(draft_path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "wb") as file:
        file.write(start.ljust(-(-len(start) // 64) * 64, b"\0"))
        file.write(body)
        file.flush()
        os.fsync(file.fileno())
    draft_path.replace(path)
    return final


def read_header(path: Path, key: Ed25519PublicKey) -> tuple[Header, int]:
    """The header of `path`, its signature checked, and where the body begins."""
    try:
        with path.open("rb") as file:
            start = file.read(len(MAGIC) + 4)
            if len(start) < len(MAGIC) + 4 or not start.startswith(MAGIC):
                raise ConfigError(f"{path} is no watchlist: build one with `ullage watchlist build`")
            (length,) = _LENGTH.unpack(start[len(MAGIC) :])
            head, signature = file.read(min(length, 1 << 20)), file.read(SIGNATURE_BYTES)
            padding = file.read(-file.tell() % 64)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror})") from None
    try:
        key.verify(signature, head)
    except InvalidSignature:
        raise ConfigError(f"{path} is not signed by this tenant's building host, or damaged: it is refused") from None
    if any(padding):
        raise CorruptError(f"{path} is damaged behind its header: install it again")
    end = len(start) + len(head) + SIGNATURE_BYTES
    return Header.decode(path, head), -(-end // 64) * 64


class Watchlist:
    """An installed watchlist, mapped read-only. Look-ups are exact on all 16 bytes."""

    def __init__(self, path: Path, key: Ed25519PublicKey) -> None:
        self._path = path
        self.header, offset = read_header(path, key)
        layout = _layout(self.header)
        expected = offset + sum(_size(dtype, shape) for _, dtype, shape in layout)
        if path.stat().st_size != expected:
            raise CorruptError(f"{path} has {path.stat().st_size} bytes instead of {expected}: install it again")
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        views = {}
        for name, dtype, shape in layout:
            views[name] = np.frombuffer(self._map, dtype, int(np.prod(shape)), offset).reshape(shape)
            offset += _size(dtype, shape)
        self._high, self._low, self._subject = views["high"], views["low"], views["subject"]
        self._kind, self._directory, self._handle = views["kind"], views["directory"], views["handle"]
        self._body_start = expected - sum(_size(dtype, shape) for _, dtype, shape in layout)

    def verify_body(self) -> None:
        """CorruptError unless the arrays are what was signed; reads the whole file."""
        if hashlib.sha256(memoryview(self._map)[self._body_start :]).hexdigest() != self.header.body_sha256:
            raise CorruptError(f"{self._path} is not what was signed: copy or build it again")

    def look_up(self, tags: Tags) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Which of `tags` (n, 16) are enrolled: (number of the tag, row of the subject) pairs; a shared value gives several.

        The directory gives each tag its bucket, one or two entries long; all buckets are walked in step.
        """
        high, low = split(tags)
        bucket = (high >> np.uint64(64 - self.header.bits)).astype(np.int64)
        place, last = self._directory[bucket].astype(np.int64), self._directory[bucket + 1].astype(np.int64)
        live = np.flatnonzero(place < last)
        found: list[Array] = []
        entries: list[Array] = []
        while len(live):
            here = place[live]
            same = (self._high[here] == high[live]) & (self._low[here] == low[live])
            found.append(live[same])
            entries.append(here[same])
            place[live] += 1
            live = live[(place[live] < last[live]) & (self._high[here] <= high[live])]
        if not found:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        entry = np.concatenate(entries)
        return np.concatenate(found), self._subject[entry].astype(np.int64)

    def handle(self, subject: int) -> str:
        """The handle (hex) of a subject's row."""
        return bytes(self._handle[subject]).hex()

    def counts(self) -> dict[str, int]:
        """Entries a kind and form, such as `phone` or `phone.md5`."""
        numbers = np.bincount(self._kind, minlength=len(self.header.kinds))
        return {k if f == "plain" else f"{k}.{f}": int(c) for (k, f), c in zip(self.header.kinds, numbers, strict=True)}
