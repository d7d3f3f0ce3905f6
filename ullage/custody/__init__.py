"""Seal post bodies to two officers, and post details to the console, with a manifest.

This is off by default. If a tenant enables it, match seals the capture of a finding that is
`high` or above by its own facts. That is the only moment at which the text is available, and
match keeps nothing that could open the seal:

    DATA/evidence/TENANT/FINDING.evidence   a clear header line, then the sealed capture
    DATA/evidence/TENANT/FINDING.hold       an empty file: this evidence does not expire
    DATA/keys/evidence/OFFICER.pub          the public halves of the two officers' keys

The seal is HPKE (`ullage.security.sealing`) to the first officer's key within HPKE to the
second's, so both private keys are needed. The officers keep these in files of their own, each
with a passphrase, and never on the host of a service. A seal is bound to its tenant and finding
and does not open under another name. A file is written one time; the same finding again changes
nothing. `ullage evidence open --key` requires both keys, a case and a reason, and writes to the
audit log before it shows anything.

The digests are plain SHA-256, because a court does not have our keys. They exist only inside the
seal.

The stored data of a post consists of words from closed lists. A takedown needs its address, and
a check whether it is genuine may need its title. So match seals these, but nothing of the body,
with HPKE to a key of the tenant's console (`T/console.pub`), bound to tenant and finding. The
holder of the private half opens them for one purpose at a time, after an entry in the audit log.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from pydantic import AwareDatetime, BaseModel, Field, ValidationError

from ullage import __version__
from ullage.errors import ConfigError, RecordError
from ullage.files.atomic_write import write_new
from ullage.files.ownership import read_trusted
from ullage.records import INGEST, Capture, Finding
from ullage.records.base import STRICT, frame, unframe
from ullage.security import keys
from ullage.security.keys import KeyStore
from ullage.security.sealing import Sealer, SealOpener

OPEN, PACK = "evidence.open", "evidence.pack"
"""Actions in the audit log."""
OPENED = (OPEN, PACK)


SCHEMA = 1
"""Version of the format of sealed data."""


class _ManifestRecord(BaseModel):
    model_config = STRICT


class CustodyStep(_ManifestRecord):
    """One step in the handling of a capture: the action, its service and its time."""

    at: AwareDatetime
    role: str
    what: str


class Manifest(_ManifestRecord):
    """Everything about one capture.

    `capture` holds the fields as crawl wrote them, including title, author, URL and headers.
    """

    version: str
    tenant: str
    finding: str
    severity: str
    capture: dict[str, object]
    bytes: int
    sha256: dict[str, str]
    """Digests of `body`, of `capture` as JSON with sorted keys, and of the published `finding`."""
    process: tuple[CustodyStep, ...]


def digest(data: bytes) -> str:
    """Return the SHA-256 of `data`, 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def canonical(fields: Mapping[str, object]) -> bytes:
    """Return `fields` as JSON in UTF-8; equal fields always give equal bytes.

    Keys are sorted, and there are no spaces.
    """
    return json.dumps(fields, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def manifest(capture: Capture, finding: Finding, severity: str, sealed_at: datetime) -> Manifest:
    """Return the manifest of `capture`: its fields, digests, and who handled it when.

    `finding` was found in it and judged to have this `severity`.
    """
    fields = capture.model_dump(mode="json", exclude={"body"})
    acquisition = CustodyStep(
        at=capture.fetched_at,
        role="crawl",
        what=f"fetched from site {capture.site} and encrypted for match",
    )
    if capture.platform == INGEST:
        acquisition = CustodyStep(
            at=capture.fetched_at,
            role=INGEST,
            what=f"imported for site {capture.site} and encrypted for match",
        )
    steps = [
        acquisition,
        CustodyStep(
            at=finding.matched_at,
            role="match",
            what=(
                f"decrypted and matched under key generation {finding.epoch} against a list of"
                f" {finding.customers} customers"
            ),
        ),
        CustodyStep(
            at=sealed_at, role="match", what=f"rated {severity} and encrypted for two officers"
        ),
    ]
    digests = {
        "body": digest(capture.body),
        "capture": digest(canonical(fields)),
        "finding": digest(finding.encode()),
    }
    return Manifest(
        version=__version__, tenant=finding.tenant, finding=finding.id, severity=severity,
        capture=fields,
        bytes=len(capture.body), sha256=digests, process=tuple(steps),
    )  # fmt: skip


def encode(made: Manifest, body: bytes) -> bytes:
    """Return a manifest and a post's body as one byte string, from which `decode` restores both.

    The string is not encrypted yet.
    """
    head = made.model_dump_json().encode()
    return frame(head, body)


def decode(data: bytes) -> tuple[Manifest, bytes]:
    """Decode manifest and body.

    Raises RecordError: `malformed` if the data is no manifest, `digest` if a digest does not match.
    """
    head, body = unframe(data)
    try:
        decoded = Manifest.model_validate_json(head)
    except ValidationError:
        raise RecordError("malformed") from None
    if decoded.sha256["body"] != digest(body) or decoded.sha256["capture"] != digest(
        canonical(decoded.capture)
    ):
        raise RecordError("digest")
    return decoded, body


PURPOSE, FOLDER = "evidence", "evidence"
NEEDED = 2
SHORTEST_PASSPHRASE = 12
ENCRYPTED = b"ENCRYPTED"
"""What marks a PEM file that has a passphrase."""
Ask = Callable[[str], str]
"""A function that asks a person for the passphrase of the file with that name."""


def key_id(name: str, public: X25519PublicKey) -> str:
    """Return the public identifier of an officer's key: the name and a digest of the key."""
    return f"{name}.{hashlib.sha256(public.public_bytes_raw()).hexdigest()[:16]}"


def make_officer(folder: Path, name: str, passphrase: str) -> tuple[Path, Path]:
    """Create a key pair in `folder`, NAME.pem for the officer and NAME.pub for match; return both.

    NAME.pub includes its check value. Raises ConfigError if the passphrase is shorter than 12
    characters, or if a file exists; nothing is overwritten. If only NAME.pub exists, a new NAME.pem
    remains.
    """
    if len(passphrase) < SHORTEST_PASSPHRASE:
        raise ConfigError(f"the passphrase must have at least {SHORTEST_PASSPHRASE} characters")
    private = X25519PrivateKey.generate()
    pem = private.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(passphrase.encode())
    )
    paths = (folder / f"{name}.pem", folder / f"{name}.pub")
    public = keys.with_check_value(private.public_key().public_bytes_raw(), f"{FOLDER}/{name}.pub")
    for path, data, mode in zip(paths, (pem, public), (0o600, 0o644), strict=True):
        try:
            write_new(data, path, mode)
        except FileExistsError:
            raise ConfigError(
                f"{path} exists, and an officer's key is never overwritten: choose another name"
            ) from None
    return paths


@dataclass(frozen=True, slots=True)
class Pair:
    """Two officers' sealers: the first seal is inside the second."""

    inner: Sealer
    outer: Sealer

    @property
    def ids(self) -> tuple[str, str]:
        """The identifiers of the two keys: the inner one, then the outer one."""
        return self.inner.key_id, self.outer.key_id

    def seal(self, plain: bytes, place: str) -> bytes:
        """Return `plain` encrypted so that only the two officers together can open it.

        The result is bound to `place`: it opens only with the same text.
        """
        once = self.inner.seal(plain, purpose=PURPOSE, topic=place, schema=SCHEMA)
        return self.outer.seal(once, purpose=PURPOSE, topic=place, schema=SCHEMA)


def pair_of(keys: KeyStore, officers: Sequence[str]) -> Pair:
    """Return the sealer for two officers, from their public keys.

    Raises ConfigError if a key is missing, or if both are the same.
    """
    sealers = []
    for name in officers:
        public = X25519PublicKey.from_public_bytes(keys.read(f"{FOLDER}/{name}.pub"))
        sealers.append(Sealer(key_id(name, public), public))
    if (
        len(sealers) != NEEDED
        or sealers[0].public.public_bytes_raw() == sealers[1].public.public_bytes_raw()
    ):
        raise ConfigError(
            "evidence.officers must name two officers with a key each: `ullage evidence"
            " keygen` creates one"
        )
    return Pair(*sealers)


def private_key(path: Path, ask: Ask) -> X25519PrivateKey:
    """Return the private key in an officer's file, after asking for its passphrase.

    Raises ConfigError if the file does not exist, its permissions are too open, it has no such key,
    or the passphrase is wrong.
    """
    try:
        data = read_trusted(path, secret=True)
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist: name an officer's key file") from None
    return parse_private_key(data, ask(path.name) if ENCRYPTED in data else "", str(path))


def parse_private_key(pem: bytes, passphrase: str, name: str) -> X25519PrivateKey:
    """Return the private key in the contents of an officer's file; messages call it `name`.

    Raises ConfigError if it is no such key, or the passphrase is wrong.
    """
    try:
        key = load_pem_private_key(pem, passphrase.encode() if ENCRYPTED in pem else None)
    except (ValueError, TypeError):
        raise ConfigError(
            f"{name} cannot be decrypted: check the passphrase, and that it is an officer's key"
        ) from None
    if not isinstance(key, X25519PrivateKey):
        raise ConfigError(f"{name} is not an officer's key: `ullage evidence keygen` creates one")
    return key


def open_sealed(
    sealed: bytes, place: str, ids: Sequence[str], keys: Sequence[X25519PrivateKey]
) -> bytes:
    """Open data that was sealed to the keys of `ids`, the first within the second.

    Raises RecordError if the data is damaged, or if one of these keys is missing in `keys`.
    """
    by_print = {key_id("", key.public_key()): key for key in keys}
    private_keys = {
        id_: by_print[f".{id_.rpartition('.')[2]}"]
        for id_ in ids
        if f".{id_.rpartition('.')[2]}" in by_print
    }
    opener, data = SealOpener(private_keys), sealed
    for id_ in reversed(ids):
        data = opener.open(data, purpose=PURPOSE, topic=place, schema=SCHEMA, key_id=id_)
    return data


DETAILS_PURPOSE = "original"
MAX_TEXT, MAX_URL, MAX_NAME = 2_000, 8_000, 300
"""Most characters that are stored of a text, of an address, of a member's name."""
MAX_MEMBERS = 100


class SealedPost(BaseModel):
    """The sealed details of one post.

    `members` has the names of the members that hold a customer, by member number.
    """

    model_config = STRICT

    url: str = Field(default="", max_length=MAX_URL)
    title: str = Field(default="", max_length=MAX_TEXT)
    author: str = Field(default="", max_length=MAX_TEXT)
    channel: str = Field(default="", max_length=MAX_TEXT)
    source: str = Field(default="", max_length=MAX_TEXT)
    """The collector's own name for the place."""
    members: dict[int, str] = Field(default={}, max_length=MAX_MEMBERS)

    def __repr__(self) -> str:
        """Show nothing of the contents, so that they never appear by accident."""
        return "Original(…)"

    __str__ = __repr__


def _place(tenant: str, finding: str) -> str:
    """Return the place to which a seal is bound, so that it opens for no other finding."""
    return f"{tenant}/{finding}"


def seal(original: SealedPost, sealer: Sealer, tenant: str, finding: str) -> str:
    """Return the details of a post, encrypted to the console's key and in base64.

    They are bound to the tenant and the finding.
    """
    plain = original.model_dump_json(exclude_defaults=True).encode()
    sealed = sealer.seal(
        plain, purpose=DETAILS_PURPOSE, topic=_place(tenant, finding), schema=SCHEMA
    )
    return base64.b64encode(sealed).decode("ascii")


def unseal(sealed: str, key_id: str, opener: SealOpener, tenant: str, finding: str) -> SealedPost:
    """Open details that `seal` sealed.

    Raises RecordError: `key_destroyed`, `not_authentic` or `malformed`.
    """
    try:
        raw = base64.b64decode(sealed, validate=True)
    except (binascii.Error, ValueError):
        raise RecordError("malformed") from None
    plain = opener.open(
        raw, purpose=DETAILS_PURPOSE, topic=_place(tenant, finding), schema=SCHEMA, key_id=key_id
    )
    try:
        return SealedPost.model_validate_json(plain)
    except ValidationError:
        raise RecordError("malformed") from None
