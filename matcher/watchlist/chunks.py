"""Digests of a watchlist's chunks: what is wrong with an installed file is noticed before it is believed.

A process that says that nobody was found must have looked with a list that is whole:
- a file of up to 4 GiB (some 170 M entries) is checked whole when it is opened: 0.15 s for 10 M entries, 0.65 s a GiB, which
  was 1.6 GB/s of SHA-256 on one core; `watchlist install` and `ullage check` check any size whole;
- of a larger one each look-up checks one more chunk, until all are, so that damage stops match within 4,000 look-ups a GiB;
- before a look-up says that it found somebody, the chunks that say so are checked: damage never names the wrong customer.
Until its chunk's turn comes, a flipped bit can hide the entries of one bucket, some four of a list, and no more.

`watchlist erase` overwrites entries in place, on a host that cannot sign. The new digests of the chunks that it changed lie
beside the file (`.amended`), under a key that comes from the epoch's own:

    magic | u8[32] the list's chunks_sha256 | { u32 chunk | u8[32] digest } … | HMAC-SHA-256 over all before it (32)

The HMAC holds the list's signed digest of digests: the file can be of no other list.
"""

from __future__ import annotations

import hashlib
import hmac
import mmap
import struct
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ullage.errors import CorruptError
from ullage.files.atomic_write import write_whole

CHUNK = 256 * 1024
DIGEST_BYTES = 32
WHOLE_AT_ONCE = 4 * 2**30
Amended = dict[int, tuple[bytes, ...]]
"""Chunk number → its digest since something was erased in it; two while that is being done."""
ERASED_MAGIC = b"ULLAGEWA"
ERASED_SUFFIX = ".amended"
_ENTRY = struct.Struct("<I32s")
_MAC_BYTES = 32


class Chunks:
    """Checks the chunks of one mapped file, each once.

    `start` is where the body begins and `size` its length; `amended` reads what has been erased since the file was signed.
    """

    def __init__(self, path: Path, mapped: mmap.mmap, start: int, size: int, sha256: str, amended: Callable[[], Amended]) -> None:
        self._path, self._amended = path, amended
        self._body = memoryview(mapped)[start : start + size]
        table = bytes(memoryview(mapped)[start + size :])
        if hashlib.sha256(table).hexdigest() != sha256:
            raise self._damage()
        self._digests = [table[i : i + DIGEST_BYTES] for i in range(0, len(table), DIGEST_BYTES)]
        self._changed = amended()
        self._checked = np.zeros(len(self._digests), bool)
        self._next = 0

    def check_all(self) -> None:
        """CorruptError unless every chunk is what was signed, or erased since; reads the whole file."""
        self._checked[:] = False
        self.check(range(len(self._digests)))
        self._next = len(self._digests)

    def check_next(self) -> None:
        """Check the next chunk that was not checked yet, if any."""
        if self._next < len(self._digests):
            self.check([self._next])
            self._next += 1

    def check_bytes(self, starts: npt.NDArray[np.int64]) -> None:
        """Check the chunks that hold the body's bytes `starts` (no element of an array crosses from one chunk to the next)."""
        if self._checked.all():
            return
        numbers = np.unique(starts // CHUNK)
        self.check(numbers[~self._checked[numbers]].tolist())

    def check(self, numbers: Iterable[int]) -> None:
        """Check these chunks; CorruptError names the file and what to do."""
        for number in numbers:
            if not self._checked[number]:
                if not self._is_whole(number):
                    self._changed = self._amended()
                    if not self._is_whole(number):
                        raise self._damage()
                self._checked[number] = True

    def digest(self, number: int) -> bytes:
        """The digest of a chunk as it is now."""
        return digest_of(self.read(number))

    def read(self, number: int) -> memoryview:
        """A chunk's bytes."""
        return self._body[number * CHUNK : (number + 1) * CHUNK]

    def _is_whole(self, number: int) -> bool:
        return self.digest(number) in (self._digests[number], *self._changed.get(number, ()))

    def _damage(self) -> CorruptError:
        return CorruptError(f"{self._path} is not what was signed: install or build it again")


def digest_of(chunk: memoryview | bytes | bytearray) -> bytes:
    """The digest of a chunk."""
    return hashlib.sha256(chunk).digest()


def erased_path(list_path: Path) -> Path:
    """Where the new digests of a list lie."""
    return list_path.with_name(list_path.name + ERASED_SUFFIX)


def read_erased(list_path: Path, key: bytes, list_sha256: str) -> Amended:
    """The new digests of a list's chunks. None of a former list that lay there; CorruptError for a file that is damaged."""
    path = erased_path(list_path)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return {}
    body, mac = data[:-_MAC_BYTES], data[-_MAC_BYTES:]
    if len(data) < len(ERASED_MAGIC) + 32 + _MAC_BYTES or not data.startswith(ERASED_MAGIC):
        raise CorruptError(f"{path} is damaged: install {list_path.name} again, then erase again")
    if body[len(ERASED_MAGIC) : len(ERASED_MAGIC) + 32].hex() != list_sha256:
        return {}
    if not hmac.compare_digest(mac, hmac.digest(key, body, "sha256")):
        raise CorruptError(f"{path} is damaged: install {list_path.name} again, then erase again")
    entries = body[len(ERASED_MAGIC) + 32 :]
    noted: Amended = {}
    for number, digest in _ENTRY.iter_unpack(entries):
        noted[number] = (*noted.get(number, ()), digest)
    return noted


def write_erased(list_path: Path, key: bytes, list_sha256: str, amended: Amended) -> None:
    """Note new digests, durably and in one step (rename)."""
    entries = [_ENTRY.pack(number, digest) for number, digests in sorted(amended.items()) for digest in digests]
    body = ERASED_MAGIC + bytes.fromhex(list_sha256) + b"".join(entries)
    write_whole(body + hmac.digest(key, body, "sha256"), erased_path(list_path))
