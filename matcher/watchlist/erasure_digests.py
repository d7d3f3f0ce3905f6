"""What was erased in an installed file since it was signed: new digests of its chunks, under a key of this host.

    magic | u8[32] the list's chunks_sha256 | { u32 chunk | u8[32] digest } … | HMAC-SHA-256 over all before it (32)

The file lies beside the list that it speaks of, whose signed digest of digests goes into the HMAC: it can be of no other.
"""

from __future__ import annotations

import hmac
import struct
from pathlib import Path

from matcher.watchlist.chunks import Amended
from ullage.errors import CorruptError
from ullage.files.atomic_write import write_whole

MAGIC = b"ULLAGEWA"
SUFFIX = ".amended"
_ENTRY = struct.Struct("<I32s")
_MAC_BYTES = 32


def path_of(list_path: Path) -> Path:
    """Where the new digests of a list lie."""
    return list_path.with_name(list_path.name + SUFFIX)


def read(list_path: Path, key: bytes, list_sha256: str) -> Amended:
    """The new digests of a list's chunks. None of a former list that lay there; CorruptError for a file that is damaged."""
    path = path_of(list_path)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return {}
    body, mac = data[:-_MAC_BYTES], data[-_MAC_BYTES:]
    if len(data) < len(MAGIC) + 32 + _MAC_BYTES or not data.startswith(MAGIC):
        raise CorruptError(f"{path} is damaged: install {list_path.name} again, then erase again")
    if body[len(MAGIC) : len(MAGIC) + 32].hex() != list_sha256:
        return {}
    if not hmac.compare_digest(mac, hmac.digest(key, body, "sha256")):
        raise CorruptError(f"{path} is damaged: install {list_path.name} again, then erase again")
    entries = body[len(MAGIC) + 32 :]
    noted: Amended = {}
    for number, digest in _ENTRY.iter_unpack(entries):
        noted[number] = (*noted.get(number, ()), digest)
    return noted


def write(list_path: Path, key: bytes, list_sha256: str, amended: Amended) -> None:
    """Note new digests, durably and in one step (rename)."""
    entries = [_ENTRY.pack(number, digest) for number, digests in sorted(amended.items()) for digest in digests]
    body = MAGIC + bytes.fromhex(list_sha256) + b"".join(entries)
    write_whole(body + hmac.digest(key, body, "sha256"), path_of(list_path))
