"""`T.subjects`: from a handle back to the platform's own customer reference.

Sealed to the resolver; never leaves the building host.

A sequence of sealed chunks, each `u32 length | HPKE message` over lines of `handle,reference`. To resolve a handle
needs the resolver's private key and a case number, and leaves an audit line.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from matcher.watchlist.tagging import handles
from ullage.errors import ConfigError, RecordError
from ullage.keys import KeyStore
from ullage.sealing import Opener, Sealer

PURPOSE = "subjects"
KEY_ID = "resolver"
CHUNK = 10_000
_LENGTH = struct.Struct("<I")


def write(path: Path, keys: KeyStore, tenant: str, references: Sequence[str]) -> None:
    """Seal the handles of `references` to the resolver's public key; in one step (rename)."""
    sealer = Sealer(KEY_ID, X25519PublicKey.from_public_bytes(keys.read(f"{tenant}/resolver.pub")))
    distinct = list(dict.fromkeys(references))
    draft = path.with_suffix(".partial-subjects")
    with os.fdopen(os.open(draft, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "wb") as file:
        for start in range(0, len(distinct), CHUNK):
            chunk = distinct[start : start + CHUNK]
            lines = [f"{h.tobytes().hex()},{r}" for h, r in zip(handles(keys, tenant, chunk), chunk, strict=True)]
            sealed = sealer.seal("\n".join(lines).encode(), purpose=PURPOSE, topic=tenant, schema=1)
            file.write(_LENGTH.pack(len(sealed)) + sealed)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


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
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror}): it stays on the building host") from None
    place = 0
    while place + 4 <= len(data):
        (length,) = _LENGTH.unpack_from(data, place)
        yield data[place + 4 : place + 4 + length]
        place += 4 + length


def write_audit(path: Path, now: datetime, tenant: str, case: str, reason: str, asked: int, found: int) -> None:
    """Append who asked for how many, and why; durable before anything is shown."""
    entry = {
        "at": now.isoformat(timespec="seconds"),
        "uid": os.getuid(),
        "tenant": tenant,
        "case": case,
        "reason": reason,
        "asked": asked,
        "found": found,
    }
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with os.fdopen(os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600), "a", encoding="utf-8") as file:
        file.write(json.dumps(entry, ensure_ascii=False) + "\n")
        file.flush()
        os.fsync(file.fileno())
