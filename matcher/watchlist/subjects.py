"""`T.subjects`: from a handle back to the platform's own customer reference.

Sealed to the resolver; never leaves the building host.

A sequence of sealed chunks, each `u32 length | HPKE message` over lines of `handle,reference`. To resolve a handle
needs the resolver's private key and a case number, and leaves an entry in the audit log.
"""

from __future__ import annotations

import os
import shutil
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Self

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from matcher.watchlist.columns import Texts, hexed
from ullage.errors import ConfigError, RecordError
from ullage.keys import KeyStore
from ullage.sealing import Opener, Sealer
from ullage.tags import Tags

PURPOSE = "subjects"
KEY_ID = "resolver"
CHUNK = 10_000
_LENGTH = struct.Struct("<I")


class Writer:
    """Writes the way back, a chunk at a time; it is there only when `finish` was reached.

    As a context manager it leaves nothing behind that is not finished.
    """

    def __init__(self, path: Path, keys: KeyStore, tenant: str, *, keep: bool = False) -> None:
        """`keep` begins with all that is in the file already."""
        self._path, self._tenant = path, tenant
        self._sealer = Sealer(KEY_ID, X25519PublicKey.from_public_bytes(keys.read(f"{tenant}/resolver.pub")))
        self._draft = path.with_suffix(".partial-subjects")
        self._file = os.fdopen(os.open(self._draft, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "wb")
        if keep and path.is_file():
            with path.open("rb") as former:
                shutil.copyfileobj(former, self._file, 1 << 20)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._draft.unlink(missing_ok=True)

    def add(self, handles: Tags, references: Texts) -> None:
        """Seal handles (n, 16) beside their references; of those that follow one another with the same handle, one."""
        new = np.ones(len(handles), bool)
        new[1:] = (handles[1:] != handles[:-1]).any(axis=1)
        distinct = np.flatnonzero(new)
        for start in range(0, len(distinct), CHUNK):
            rows = distinct[start : start + CHUNK]
            plain = _lines(hexed(handles.take(rows, axis=0)), references.take(rows))
            sealed = self._sealer.seal(plain, purpose=PURPOSE, topic=self._tenant, schema=1)
            self._file.write(_LENGTH.pack(len(sealed)) + sealed)

    def finish(self) -> None:
        """Put the file in its place, in one step (rename)."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._draft.replace(self._path)


def _lines(handles: Tags, references: Texts) -> bytes:
    """`handle,reference` lines, put together as a table from which what is beyond each reference is then left out."""
    n, width = references.table.shape
    table = np.empty((n, handles.shape[1] + 1 + width + 1), np.uint8)
    table[:, : handles.shape[1]], table[:, handles.shape[1]] = handles, ord(",")
    table[:, handles.shape[1] + 1 : -1], table[:, -1] = references.table, ord("\n")
    kept = np.ones(table.shape, bool)
    kept[:, handles.shape[1] + 1 : -1] = references.within()
    return table[kept].tobytes()


def resolve(path: Path, keys: KeyStore, tenant: str, wanted: Iterable[str]) -> dict[str, str]:
    """References of the `wanted` handles (hex) that are in `path`."""
    opener = Opener({KEY_ID: X25519PrivateKey.from_private_bytes(keys.read(f"{tenant}/resolver.key"))})
    asked = set(wanted)
    found = {}
    for sealed in _chunks(path):
        try:
            plain = opener.open(sealed, purpose=PURPOSE, topic=tenant, schema=1, key_id=KEY_ID)
        except RecordError as error:
            raise ConfigError(f"{path} was not sealed to this resolver ({error.reason})") from None
        for line in plain.decode().split("\n"):
            handle, _, reference = line.partition(",")
            if handle in asked:
                found[handle] = reference
    return found


def _chunks(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while len(head := file.read(_LENGTH.size)) == _LENGTH.size:
                yield file.read(_LENGTH.unpack(head)[0])
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror}): it stays on the building host") from None
