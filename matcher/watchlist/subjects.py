"""The file `T.subjects`: from a pseudonym back to the platform's own customer reference.

It is encrypted for the resolver and never leaves the building host:

    magic | { u32 length | HPKE message over lines of `handle,reference` } …
    u32 0 | u32 number of messages

Each message shows whether it is complete; the number at the end shows whether all are there. To
resolve a pseudonym takes the resolver's private key and a case number, and leaves an entry in the
audit log.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Self

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from matcher.columns.batch import Texts, encode_hex
from ullage.errors import ConfigError, CorruptError, RecordError
from ullage.files.atomic_write import put_in_place
from ullage.security.keys import KeyStore
from ullage.security.sealing import Sealer, SealOpener
from ullage.security.tags import Tags

PURPOSE = "subjects"
KEY_ID = "resolver"
CHUNK = 10_000
SUFFIX = ".subjects"
MAGIC = b"ULLAGESU"
LONGEST = 64 * 2**20
"""Bytes of the longest message: a reference has a few dozen bytes."""
_LENGTH = struct.Struct("<I")


class SubjectWriter:
    """A writer of the encrypted references, a chunk at a time.

    The file appears only after `finish`. As a context manager it deletes an unfinished file.
    """

    def __init__(self, path: Path, keys: KeyStore, tenant: str, *, keep: bool = False) -> None:
        """Open the writer; `keep` copies the present content of the file first."""
        self._path, self._tenant = path, tenant
        self._sealer = Sealer(
            KEY_ID, X25519PublicKey.from_public_bytes(keys.read(f"{tenant}/resolver.pub"))
        )
        self._draft = path.with_suffix(".partial-subjects")
        self._file = os.fdopen(
            os.open(self._draft, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "wb"
        )
        self._file.write(MAGIC)
        self._messages = 0
        for sealed in _chunks(path) if keep and path.is_file() else ():
            self.put(sealed)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._draft.unlink(missing_ok=True)

    def add(self, handles: Tags, references: Texts) -> None:
        """Encrypt pseudonyms (n, 16) with their references.

        Of consecutive rows with the same pseudonym, one is written.
        """
        new = np.ones(len(handles), bool)
        new[1:] = (handles[1:] != handles[:-1]).any(axis=1)
        distinct = np.flatnonzero(new)
        for start in range(0, len(distinct), CHUNK):
            rows = distinct[start : start + CHUNK]
            self.seal(_lines(encode_hex(handles.take(rows, axis=0)), references.take(rows)))

    def seal(self, plain: bytes) -> None:
        """Add a message of `handle,reference` lines."""
        self.put(self._sealer.seal(plain, purpose=PURPOSE, topic=self._tenant, schema=1))

    def put(self, sealed: bytes) -> None:
        """Add a message that is already encrypted."""
        self._file.write(_LENGTH.pack(len(sealed)) + sealed)
        self._messages += 1

    def finish(self) -> None:
        """Complete the file and put it in its place, durably and in one step."""
        self._file.write(_LENGTH.pack(0) + _LENGTH.pack(self._messages))
        self._file.flush()
        os.fsync(self._file.fileno())
        put_in_place(self._draft, self._path)


def _lines(handles: Tags, references: Texts) -> bytes:
    """Return `handle,reference` lines.

    They are built as a table, from which the bytes beyond each reference are then removed.
    """
    n, width = references.table.shape
    table = np.empty((n, handles.shape[1] + 1 + width + 1), np.uint8)
    table[:, : handles.shape[1]], table[:, handles.shape[1]] = handles, ord(",")
    table[:, handles.shape[1] + 1 : -1], table[:, -1] = references.table, ord("\n")
    is_kept = np.ones(table.shape, bool)
    is_kept[:, handles.shape[1] + 1 : -1] = references.mask_contents()
    return table[is_kept].tobytes()


def resolve(path: Path, keys: KeyStore, tenant: str, wanted: Iterable[str]) -> dict[str, str]:
    """Return the references of the `wanted` pseudonyms (hex); those that `path` lacks are missing.

    The whole file is decrypted. Raises `CorruptError` unless it is complete, and `ConfigError` if
    it cannot be read here.
    """
    handles, references = set(wanted), {}
    for _, plain in _decrypt(path, keys, tenant):
        for line in plain.decode().split("\n"):
            handle, _, reference = line.partition(",")
            if handle in handles:
                references[handle] = reference
    return references


def forget(path: Path, keys: KeyStore, tenant: str, handle: str) -> int:
    """Write the file `path` anew without the references of one pseudonym; return how many it had.

    `handle` is the pseudonym in hex; the file stays as it is if there are none. Raises CorruptError
    unless the file is complete, and ConfigError if the resolver's key is not on this host.
    """
    gone, begins = 0, f"{handle},"
    with SubjectWriter(path, keys, tenant) as writer:
        for sealed, plain in _decrypt(path, keys, tenant):
            lines = plain.decode().split("\n")
            remaining = [line for line in lines if not line.startswith(begins)]
            gone += len(lines) - len(remaining)
            if len(remaining) < len(lines):
                writer.seal("\n".join(remaining).encode())
            else:
                writer.put(sealed)
        if gone:
            writer.finish()
    return gone


def _decrypt(path: Path, keys: KeyStore, tenant: str) -> Iterator[tuple[bytes, bytes]]:
    """Yield each message, encrypted and in clear.

    Raises `ConfigError` if one cannot be decrypted.
    """
    opener = SealOpener(
        {KEY_ID: X25519PrivateKey.from_private_bytes(keys.read(f"{tenant}/resolver.key"))}
    )
    for sealed in _chunks(path):
        try:
            yield (
                sealed,
                opener.open(sealed, purpose=PURPOSE, topic=tenant, schema=1, key_id=KEY_ID),
            )
        except RecordError as error:
            raise ConfigError(
                f"{path} is damaged, or encrypted for another resolver ({error.reason}):"
                " restore it, or build the list again"
            ) from None


def _chunks(path: Path) -> Iterator[bytes]:
    """Yield the encrypted messages in `path`.

    Raises `CorruptError` if the file is cut off, or holds more. Raises ConfigError if it cannot be
    read.
    """
    try:
        with path.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise _damage_error(path)
            messages = 0
            while sealed := _message(file, path):
                messages += 1
                yield sealed
            if file.read() != _LENGTH.pack(messages):
                raise _damage_error(path)
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read ({error.strerror}): run this on the build host"
        ) from None


def _message(file: IO[bytes], path: Path) -> bytes:
    """Return the next message; empty at the end."""
    head = file.read(_LENGTH.size)
    length = _LENGTH.unpack(head)[0] if len(head) == _LENGTH.size else LONGEST
    sealed = file.read(min(length, LONGEST))
    if len(sealed) != length:
        raise _damage_error(path)
    return sealed


def _damage_error(path: Path) -> CorruptError:
    return CorruptError(f"{path} is damaged or truncated: restore it, or build the list again")
