"""The watchlist file: a signed header, arrays that are mapped and never parsed, chunk digests.

The arrays are each padded to 8 bytes:

    magic | u32 header length | header (JSON) | Ed25519 signature of the header (64) | zeros to 4096
    high u64[n] | low u64[n] | subject u32[n] | bitmap u8[2^k / 8] | directory u32[2^b + 1]
    handle u8[m, 16]
    removed_high u64[r] | removed_low u64[r] | removed_handle u8[r, 16] | gone u8[g, 16]
    cohort u16[m] or u32[m] | combination u16[c, d] | labels u8[l]
    chunk digests u8[c, 32]: SHA-256 of every 256 KiB of the arrays

`high` and `low` are the halves of a keyed hash, sorted. `subject` is the row of `handle`, the
pseudonyms, which are sorted and thus random under a key: two entries are seen to be of one customer
without showing of which. The bitmap has a word of 64 bits for each value of a hash's top k - 6
bits. Each entry sets two bits in its word (`marks`), 8 to 16 bits an entry: reading one line of the
cache turns 97 of a hundred misses away. The directory has the start of the entries for each value
of the top b bits, 2 to 4 entries a value. That makes 22 to 24 bytes an entry, and 16 a customer.
The removed entries and customers are those of a day's delta (`changes.py`). The next three arrays
are the customers' labels (`cohorts.py`), with 2 or 4 bytes a customer if the list has any. The
header holds the SHA-256 of the chunk digests; since hashes are keyed, digests of them reveal
nothing.

A fault of an installed file is detected before a result is trusted, by the digests of its chunks. A
process that reports that nobody was found must have searched an intact list:
- a file of up to 4 GiB (some 170 M entries) is checked as a whole when it is opened: 0.15 s for
  10 M entries, 0.65 s a GiB, which was 1.6 GB/s of SHA-256 on one core; `watchlist load` and
  `ullage check` check a file of any size;
- of a larger one, each look-up checks one more chunk until all are checked, so that damage stops
  match within 4,000 look-ups a GiB;
- before a look-up reports a customer, the chunks with the answer are checked: damage never names
  the wrong customer.
Until its chunk is checked, a flipped bit can hide the entries of one bucket, some four of a list,
and no more.

`ullage erase` overwrites entries in place, on a host that cannot sign. The new digests of the
chunks that it changed are in a file beside the list (`.amended`), under a key derived from that of
the key generation:

    magic | u8[32] the list's chunks_sha256 | { u32 chunk | u8[32] digest } …
    HMAC-SHA-256 over all before it (32)

The HMAC covers the list's signed digest of digests: the file cannot be used with another list.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import mmap
import os
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ullage.errors import ConfigError, CorruptError
from ullage.files.atomic_write import put_in_place, write_whole
from ullage.files.validation import read_claimed_version, read_json
from ullage.security.tags import Tags

CHUNK = 256 * 1024
DIGEST_BYTES = 32
WHOLE_AT_ONCE = 4 * 2**30
Amended = dict[int, tuple[bytes, ...]]
"""Digests by chunk number after an erasure; two while the chunk is being written."""
ERASED_MAGIC = b"ULLAGEWA"
ERASED_SUFFIX = ".amended"
_ENTRY = struct.Struct("<I32s")
_MAC_BYTES = 32


class Chunks:
    """A check of the chunks of one mapped file, each one time.

    `start` is the offset of the body and `size` its length; `amended` returns the erasures since
    the file was signed.
    """

    def __init__(
        self,
        path: Path,
        mapped: mmap.mmap,
        start: int,
        size: int,
        sha256: str,
        amended: Callable[[], Amended],
    ) -> None:
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
        """Read the whole file and check the digest of every chunk.

        Raises CorruptError unless each chunk is as it was signed, or as an erasure left it.
        """
        self._checked[:] = False
        self.check(range(len(self._digests)))
        self._next = len(self._digests)

    def check_next(self) -> None:
        """Check the first chunk that was not checked yet; do nothing if all were.

        Raises CorruptError if the chunk is damaged.
        """
        if self._next < len(self._digests):
            self.check([self._next])
            self._next += 1

    def check_bytes(self, starts: npt.NDArray[np.int64]) -> None:
        """Check the chunks that hold the bytes at `starts` in the body.

        Raises CorruptError if one is damaged. No element of an array crosses the border of two
        chunks.
        """
        if self._checked.all():
            return
        numbers = np.unique(starts // CHUNK)
        self.check(numbers[~self._checked[numbers]].tolist())

    def check(self, numbers: Iterable[int]) -> None:
        """Check the digests of the chunks with these numbers, unless they were checked before.

        Raises CorruptError, which names the file and the remedy, if a chunk is damaged.
        """
        for number in numbers:
            if not self._checked[number]:
                if not self._is_whole(number):
                    self._changed = self._amended()
                    if not self._is_whole(number):
                        raise self._damage()
                self._checked[number] = True

    def digest(self, number: int) -> bytes:
        """Return the SHA-256 (32 bytes) of a chunk of the file, with its present content."""
        return digest_of(self.read(number))

    def read(self, number: int) -> memoryview:
        """Return a chunk's bytes."""
        return self._body[number * CHUNK : (number + 1) * CHUNK]

    def _is_whole(self, number: int) -> bool:
        return self.digest(number) in (self._digests[number], *self._changed.get(number, ()))

    def _damage(self) -> CorruptError:
        return CorruptError(
            f"{self._path} was changed after it was signed: install or build it again"
        )


def digest_of(chunk: memoryview | bytes | bytearray) -> bytes:
    """Return the SHA-256 of a chunk's bytes: 32 bytes."""
    return hashlib.sha256(chunk).digest()


def erasure_path(list_path: Path) -> Path:
    """Return the path of a list's new digests."""
    return list_path.with_name(list_path.name + ERASED_SUFFIX)


def read_erased(list_path: Path, key: bytes, list_sha256: str) -> Amended:
    """Return the new digests of a list's chunks that an erasure changed, by chunk number.

    The result is empty if nothing was erased, or if the file belongs to a former list. Raises
    `CorruptError` if it is damaged.
    """
    path = erasure_path(list_path)
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
    """Store the digests of chunks that an erasure changed, beside the list at `list_path`.

    The write is durable and in one step. `amended` has the digests by chunk number; `list_sha256`
    binds them to the list, and `key` authenticates them.
    """
    entries = [
        _ENTRY.pack(number, digest)
        for number, digests in sorted(amended.items())
        for digest in digests
    ]
    body = ERASED_MAGIC + bytes.fromhex(list_sha256) + b"".join(entries)
    write_whole(body + hmac.digest(key, body, "sha256"), erasure_path(list_path))


MAGIC = b"ULLAGEWL"
VERSION = 1
ALGORITHM = "aes-256-cmac"
SIGNATURE_BYTES = 64
BODY = 4096
"""The offset of the arrays."""
_LENGTH = struct.Struct("<I")
Array = npt.NDArray[Any]
MOST_CODES = 16
"""Calling codes that a header names: each is one more reading of a number as dialled at home."""
WORD_BITS = 6
ONE, WITHIN = np.uint64(1), np.uint64((1 << WORD_BITS) - 1)
"""A single bit, and the mask of a bit's number in its word."""


@dataclass(frozen=True, slots=True)
class WatchlistHeader:
    """The header of a watchlist.

    `created` and `expires` are ISO dates. `kinds` are its (kind, form) pairs, `counts` their
    entries; `digested` are the kinds with digests; `bits` are the logarithms of the directory's and
    the bitmap's size. `build` is random; a delta names in `base` that of its list. `key_check` is
    the check value of the key of the hashes, `checks` are those of other keys by name
    (`ullage.security.keys`). `self_test` is the pseudonym of the self-test entry, which counts
    among `entries` and `subjects`. `codes` are the calling codes of phones from abroad with the
    number of phones behind each, the most frequent first.
    """

    version: int
    algorithm: str
    tenant: str
    epoch: int
    created: str
    expires: str
    kinds: tuple[tuple[str, str], ...]
    counts: tuple[int, ...]
    digested: tuple[str, ...]
    key_check: str
    build: str = ""
    base: str = ""
    entries: int = 0
    subjects: int = 0
    bits: tuple[int, int] = (0, 0)
    removed: int = 0
    gone: int = 0
    chunks_sha256: str = ""
    dimensions: tuple[str, ...] = ()
    combinations: int = 0
    label_bytes: int = 0
    checks: tuple[tuple[str, str], ...] = ()
    self_test: str = ""
    codes: tuple[tuple[str, int], ...] = ()

    @property
    def customers(self) -> int:
        """Return the number of customers in the file."""
        return self.subjects - bool(self.self_test)

    @property
    def enrolled(self) -> int:
        """Return the number of customers' entries."""
        return self.entries - bool(self.self_test)

    def is_over(self, now: datetime) -> bool:
        """Return whether the list has expired at `now`."""
        return datetime.fromisoformat(self.expires) <= now

    def encode(self) -> bytes:
        """Return the header's bytes, which are signed."""
        return json.dumps(asdict(self), sort_keys=True).encode()

    @classmethod
    def decode(cls, path: Path, data: bytes) -> WatchlistHeader:
        """Parse the JSON of a header.

        Raises ConfigError for an unknown version or algorithm, CorruptError if it cannot be parsed.
        """
        try:
            raw = read_json(data)
            version, algorithm = raw["version"], raw["algorithm"]
            if version != VERSION or algorithm != ALGORITHM:
                # the signature is not checked yet: the content may be anything
                number = version if version in range(1000) else "unknown"
                means = ALGORITHM if algorithm == ALGORITHM else "another algorithm"
                raise ConfigError(
                    f"{path} has version {number} ({means}), and this ullage reads {VERSION}"
                    f" ({ALGORITHM}): build it again"
                )
            kinds = tuple((str(kind), str(form)) for kind, form in raw["kinds"])
            return cls(
                **{
                    **raw,
                    "kinds": kinds,
                    "counts": tuple(raw["counts"]),
                    "digested": tuple(raw["digested"]),
                    "bits": tuple(raw["bits"]),
                    "dimensions": tuple(raw["dimensions"]),
                    "checks": tuple((str(name), str(value)) for name, value in raw["checks"]),
                    "codes": tuple((str(code), int(n)) for code, n in raw.get("codes", ())),
                }
            )
        except (ValueError, TypeError, KeyError) as error:
            raise CorruptError(f"{path} has no readable header: build it again") from error


@dataclass(frozen=True, slots=True)
class FileSection:
    """An array of a file: its type, its shape, and its offset in the body."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    start: int

    @property
    def size(self) -> int:
        """Return the number of bytes without padding."""
        return int(np.prod(self.shape)) * self.dtype.itemsize

    @property
    def end(self) -> int:
        """Return the offset of the next array: padded to 8."""
        return self.start + -(-self.size // 8) * 8


def sections(header: WatchlistHeader) -> dict[str, FileSection]:
    """Return the type, shape and place of every array in the file's body, by name, in order.

    A place is in bytes from the start of the body.
    """
    n, r, (directory, bitmap) = header.entries, header.removed, header.bits
    shapes: dict[str, tuple[str, tuple[int, ...]]] = {
        "high": ("<u8", (n,)),
        "low": ("<u8", (n,)),
        "subject": ("<u4", (n,)),
        "bitmap": ("u1", (2**bitmap // 8,)),
        "directory": ("<u4", (2**directory + 1,)),
        "handle": ("u1", (header.subjects, 16)),
        "removed_high": ("<u8", (r,)),
        "removed_low": ("<u8", (r,)),
        "removed_handle": ("u1", (r, 16)),
        "gone": ("u1", (header.gone, 16)),
        "cohort": (width_of(header.combinations), (header.subjects if header.dimensions else 0,)),
        "combination": ("<u2", (header.combinations, len(header.dimensions))),
        "labels": ("u1", (header.label_bytes,)),
    }
    placed, start = {}, 0
    for name, (dtype, shape) in shapes.items():
        placed[name] = FileSection(np.dtype(dtype), shape, start)
        start = placed[name].end
    return placed


def width_of(combinations: int) -> str:
    """Return the numpy type of a combination's number, for so many combinations."""
    return "<u2" if combinations <= 1 << 16 else "<u4"


def body_bytes(header: WatchlistHeader) -> int:
    """Return the total bytes of all arrays."""
    return list(sections(header).values())[-1].end


def sizes_for(entries: int) -> tuple[int, int]:
    """Return the sizes of directory (values) and bitmap (bits) for that many entries.

    Both are logarithms to the base 2.
    """
    return max(8, entries.bit_length() - 2), max(8 + WORD_BITS, (8 * entries - 1).bit_length())


def marks(high: Array, bitmap: int) -> Array:
    """Return the bits that hashes set in their words of the bitmap: u64[n].

    `high` (u64[n]) are the upper halves of the hashes, `bitmap` the logarithm of the bitmap's size.
    The bits below those that select the word select one mark, the lowest bits the other: a blocked
    Bloom filter with blocks of a word.
    """
    mask: Array = high >> np.uint64(64 - bitmap)
    mask &= WITHIN
    np.left_shift(ONE, mask, out=mask)
    mask |= ONE << (high & WITHIN)
    return mask


def split(tags: Tags) -> tuple[Array, Array]:
    """Return the upper and lower halves of hashes (u8[n, 16]): u64[n], u64[n].

    Compared as numbers they have the same order as the bytes.
    """
    halves = np.ascontiguousarray(tags).view(">u8").astype("<u8")
    return np.ascontiguousarray(halves[:, 0]), np.ascontiguousarray(halves[:, 1])


def upper(tags: Tags) -> Array:
    """Return the upper halves of hashes (u8[n, 16]): u64[n]."""
    return np.ascontiguousarray(tags).view(">u8")[:, 0].astype("<u8")


def join_halves(high: Array, low: Array) -> Tags:
    """Return the keyed hashes (u8[n, 16]) whose upper and lower 64 bits are given; see `split`."""
    return np.stack((high, low), axis=1).astype(">u8").view(np.uint8).reshape(-1, 16)


def write(
    path: Path, header: WatchlistHeader, parts: Mapping[str, IO[bytes]], key: Ed25519PrivateKey
) -> WatchlistHeader:
    """Write a signed customer list, durably and in one step, and return its final header.

    `parts` are open files with the arrays, each at its beginning; a section without a file must be
    empty. The body is copied chunk by chunk, never held in memory. Raises ConfigError if the header
    is too long.
    """
    draft = path.with_suffix(".partial")
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        with os.fdopen(os.open(draft, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "wb") as file:
            file.seek(BODY)
            digests = []
            for chunk in _chunks(_bytes(header, parts)):
                digests.append(hashlib.sha256(chunk).digest())
                file.write(chunk)
            table = b"".join(digests)
            file.write(table)
            final = replace(header, chunks_sha256=hashlib.sha256(table).hexdigest())
            head = final.encode()
            start = MAGIC + _LENGTH.pack(len(head)) + head + key.sign(head)
            if len(start) > BODY:
                raise ConfigError(
                    f"{path}: {len(header.kinds)} kinds and forms do not fit into a"
                    " header: leave out columns"
                )
            file.seek(0)
            file.write(start.ljust(BODY, b"\0"))
            file.flush()
            os.fsync(file.fileno())
        put_in_place(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    return final


def _bytes(header: WatchlistHeader, parts: Mapping[str, IO[bytes]]) -> Iterator[bytes]:
    """Yield the body, section by section, each filled with zero bytes up to the next.

    Raises ValueError if a section is shorter than its header says.
    """
    for name, section in sections(header).items():
        remaining = section.size
        while remaining:
            piece = parts[name].read(min(remaining, CHUNK))
            if not piece:
                raise ValueError(f"{name} is {remaining} bytes short")
            remaining -= len(piece)
            yield piece
        yield bytes(section.end - section.start - section.size)


def _chunks(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the same bytes in pieces of CHUNK; the last may be shorter."""
    pending = bytearray()
    for piece in pieces:
        pending += piece
        while len(pending) >= CHUNK:
            yield bytes(pending[:CHUNK])
            del pending[:CHUNK]
    if pending:
        yield bytes(pending)


def read_header(path: Path, key: Ed25519PublicKey) -> WatchlistHeader:
    """Return the header of the list at `path`, with its signature and the file's size checked.

    The arrays are not checked. Raises ConfigError if the file cannot be read, is no list, or was
    not signed with `key`, and CorruptError if it is damaged.
    """
    with open_file(path) as file:
        return header_of(file, path, key)


def open_file(path: Path) -> IO[bytes]:
    """Return the file, opened for reading; raises ConfigError if that fails."""
    try:
        return path.open("rb")
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror})") from None


def header_of(file: IO[bytes], path: Path, key: Ed25519PublicKey) -> WatchlistHeader:
    """Return the header of a list in a file that is open at its beginning, checked.

    Raises ConfigError if the file is no list or was not signed with `key`, CorruptError if its size
    or padding is wrong. `path` names it in messages.
    """
    start, size = file.read(BODY), os.fstat(file.fileno()).st_size
    place = len(MAGIC) + _LENGTH.size
    if len(start) < place or not start.startswith(MAGIC):
        raise ConfigError(f"{path} is not a customer list: build one with `ullage watchlist build`")
    (length,) = _LENGTH.unpack_from(start, len(MAGIC))
    head, signature = start[place : place + length], start[place + length :][:SIGNATURE_BYTES]
    if read_claimed_version(head) not in (None, VERSION):
        WatchlistHeader.decode(path, head)  # names the version, whose signature may be another one
    try:
        key.verify(signature, head)
    except InvalidSignature:
        raise ConfigError(
            f"{path} is damaged, or not signed by this tenant's build host (verify.pub):"
            " copy or build it again"
        ) from None
    header = WatchlistHeader.decode(path, head)
    if any(start[place + length + SIGNATURE_BYTES :]):
        raise CorruptError(f"{path} is damaged after its header: install it again")
    expected = BODY + body_bytes(header) + DIGEST_BYTES * -(-body_bytes(header) // CHUNK)
    if size != expected:
        raise CorruptError(f"{path} has {size} bytes instead of {expected}: install it again")
    return header
