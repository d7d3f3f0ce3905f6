"""The officers' keys: made by each officer, the public half for match, the private one in a file under a passphrase."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from ullage.custody.manifest import SCHEMA
from ullage.errors import ConfigError
from ullage.files.atomic_write import write_new
from ullage.files.trust import read_trusted
from ullage.security import check_values
from ullage.security.keys import KeyStore
from ullage.security.sealing import Sealer, SealOpener

PURPOSE, FOLDER = "evidence", "evidence"
NEEDED = 2
SHORTEST_PASSPHRASE = 12
Ask = Callable[[str], str]
"""Asks a person for the passphrase of the file of that name."""


def key_id(name: str, public: X25519PublicKey) -> str:
    """An officer's name and which of their keys: it stands in clear beside what is sealed."""
    return f"{name}.{hashlib.sha256(public.public_bytes_raw()).hexdigest()[:16]}"


def make_officer(folder: Path, name: str, passphrase: str) -> tuple[Path, Path]:
    """Make a pair in `folder`: NAME.pem for its owner, NAME.pub with its check value for match; nothing is overwritten.

    ConfigError when the passphrase is shorter than 12 characters or a file is there.
    """
    if len(passphrase) < SHORTEST_PASSPHRASE:
        raise ConfigError(f"the passphrase is shorter than {SHORTEST_PASSPHRASE} characters")
    private = X25519PrivateKey.generate()
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(passphrase.encode()))
    made, public = (folder / f"{name}.pem", folder / f"{name}.pub"), private.public_key().public_bytes_raw()
    for path, data, mode in zip(made, (pem, public), (0o600, 0o644), strict=True):
        try:
            write_new(data, path, mode)
        except FileExistsError:
            raise ConfigError(
                f"{path} exists: an officer's key is never overwritten, what was sealed to it would be lost"
            ) from None
    check_values.note(folder / f"{name}.pub{check_values.SUFFIX}", f"{FOLDER}/{name}.pub", public, check_values.MADE)
    return made


@dataclass(frozen=True, slots=True)
class Pair:
    """Seals to two officers: to the first within to the second."""

    inner: Sealer
    outer: Sealer

    @property
    def ids(self) -> tuple[str, str]:
        """Whose keys, in order."""
        return self.inner.key_id, self.outer.key_id

    def seal(self, plain: bytes, place: str) -> bytes:
        """`plain`, bound to `place`."""
        once = self.inner.seal(plain, purpose=PURPOSE, topic=place, schema=SCHEMA)
        return self.outer.seal(once, purpose=PURPOSE, topic=place, schema=SCHEMA)


def pair_of(keys: KeyStore, officers: Sequence[str]) -> Pair:
    """The officers' public halves; ConfigError names one that is missing, or says that they are one and the same."""
    sealers = []
    for name in officers:
        public = X25519PublicKey.from_public_bytes(keys.read(f"{FOLDER}/{name}.pub"))
        keys.adopt(f"{FOLDER}/{name}.pub")
        sealers.append(Sealer(key_id(name, public), public))
    if len(sealers) != NEEDED or sealers[0].public.public_bytes_raw() == sealers[1].public.public_bytes_raw():
        raise ConfigError("evidence.officers has to name two officers with a key each: `ullage evidence keygen` makes one")
    return Pair(*sealers)


def private_key(path: Path, ask: Ask) -> X25519PrivateKey:
    """The key in an officer's file; ConfigError when it is too open, no such key, or the passphrase is not that of it."""
    try:
        data = read_trusted(path, secret=True)
    except FileNotFoundError:
        raise ConfigError(f"{path} cannot be read: there is no such file") from None
    try:
        key = load_pem_private_key(data, ask(path.name).encode() if b"ENCRYPTED" in data else None)
    except (ValueError, TypeError):
        raise ConfigError(f"{path} does not open: another passphrase, or no officer's key") from None
    if not isinstance(key, X25519PrivateKey):
        raise ConfigError(f"{path} is no officer's key: `ullage evidence keygen` makes one")
    return key


def open_sealed(sealed: bytes, place: str, ids: Sequence[str], keys: Sequence[X25519PrivateKey]) -> bytes:
    """What was sealed to the keys of `ids` (first within second); RecordError unless both are among `keys`, or it is damaged."""
    by_print = {key_id("", key.public_key()): key for key in keys}
    known = {id_: by_print[f".{id_.rpartition('.')[2]}"] for id_ in ids if f".{id_.rpartition('.')[2]}" in by_print}
    opener, data = SealOpener(known), sealed
    for id_ in reversed(ids):
        data = opener.open(data, purpose=PURPOSE, topic=place, schema=SCHEMA, key_id=id_)
    return data
