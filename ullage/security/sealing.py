"""Seal collected data, so that only match can read it once it has left the crawler's memory.

HPKE (RFC 9180) in base mode with X25519, HKDF-SHA-256 and AES-256-GCM, single-shot. HPKE in
`cryptography` takes no AAD, so `info` binds what AAD would: purpose, topic, schema version and key
id. A message sealed for one topic does not open on another. The sealing side holds only a public
key.
"""

from __future__ import annotations

import hmac
import struct
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from ullage.errors import RecordError
from ullage.security.cmac import derive_key

OVERHEAD = 48
"""Bytes that sealing adds: the 32-byte encapsulated key and the 16-byte tag."""


def _suite() -> Suite:
    return Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


def make_info(purpose: str, topic: str, schema: int, key_id: str) -> bytes:
    """Return the unambiguous context that a message is bound to."""
    return "\x1f".join(("ullage", purpose, topic, str(schema), key_id)).encode()


@dataclass(frozen=True, slots=True)
class Sealer:
    """Seals to one public key; `key_id` travels beside the message, readable."""

    key_id: str
    public: X25519PublicKey

    def seal(self, plain: bytes, *, purpose: str, topic: str, schema: int) -> bytes:
        """Return `plain` sealed; 48 bytes longer."""
        return _suite().encrypt(
            plain, self.public, info=make_info(purpose, topic, schema, self.key_id)
        )


@dataclass(frozen=True, slots=True)
class SealOpener:
    """Opens messages sealed to any private key that still exists."""

    private: dict[str, X25519PrivateKey]

    def open(self, sealed: bytes, *, purpose: str, topic: str, schema: int, key_id: str) -> bytes:
        """Return the plain bytes.

        Raises RecordError `key_destroyed` if the private half is gone (its retention has passed),
        `not_authentic` if the message is damaged, or was sealed for another purpose, topic
        or schema.
        """
        key = self.private.get(key_id)
        if key is None:
            raise RecordError("key_destroyed")
        try:
            return _suite().decrypt(sealed, key, info=make_info(purpose, topic, schema, key_id))
        except (InvalidTag, ValueError):
            raise RecordError("not_authentic") from None

    def vouch(self, *parts: bytes) -> str:
        """Return a mark of `parts` that only a holder of the newest private key can make."""
        key_id = max(self.private)
        return f"{key_id}.{self._mark(key_id, parts)}"

    def is_vouched(self, mark: str, *parts: bytes) -> bool:
        """Return whether `vouch` made `mark` of these parts, under a key that still exists."""
        key_id, _, digest = mark.rpartition(".")
        return key_id in self.private and hmac.compare_digest(
            self._mark(key_id, parts).encode(), digest.encode()
        )

    def _mark(self, key_id: str, parts: tuple[bytes, ...]) -> str:
        key = derive_key(self.private[key_id].private_bytes_raw(), "vouch", key_id)
        return hmac.digest(
            key, b"".join(struct.pack(">Q", len(part)) + part for part in parts), "sha256"
        ).hex()
