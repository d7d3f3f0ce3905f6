"""How a capture is sealed: under the key of its visit, which every capture carries, signed and sealed for match.

To sign and to seal cost 0.35 ms, and to undo both as much, which is more than it costs to match a short post. So a visit draws a
key, signs that and seals it (`sealing.Sealer`); every capture carries this grant, and is encrypted under the key with
AES-256-GCM. Each can still be opened and verified by itself. Its associated data are what the grant is bound to as well.
"""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ullage.errors import RecordError
from ullage.records import CAPTURE_SCHEMA
from ullage.records.base import framed, unframed
from ullage.security.sealing import Sealer, SealOpener, info
from ullage.security.signing import Signer, Verifier

PURPOSE = "capture"
TOPIC = "captures"
"""As `ullage.bus` names it, which stands above."""
KEY_BYTES, NONCE_BYTES = 32, 12
MOST_GRANTS = 1024
"""Grants of which match remembers the key: of more visits than write at the same time."""


class CaptureSealer:
    """Seals the captures of one visit under a key of its own. Threads may share it."""

    def __init__(self, sealer: Sealer, signer: Signer) -> None:
        key = secrets.token_bytes(KEY_BYTES)
        self.key_id = sealer.key_id
        self._info = info(PURPOSE, TOPIC, CAPTURE_SCHEMA, sealer.key_id)
        self._grant = sealer.seal(signer.enclose(key, PURPOSE), purpose=PURPOSE, topic=TOPIC, schema=CAPTURE_SCHEMA)
        self._cipher = AESGCM(key)
        self._nonces: Iterator[int] = itertools.count()

    def seal(self, plain: bytes) -> bytes:
        """The grant behind its length, a nonce that no other capture of the visit has, and `plain` encrypted."""
        nonce = next(self._nonces).to_bytes(NONCE_BYTES, "big")
        return framed(self._grant, nonce + self._cipher.encrypt(nonce, plain, self._info))


@dataclass(slots=True)
class CaptureOpener:
    """Opens captures, and verifies who granted the keys that they are encrypted with."""

    opener: SealOpener
    verifier: Verifier
    _granted: dict[tuple[str, bytes], AESGCM] = field(default_factory=dict)
    """Ciphers of signers that are known, by key id and grant."""
    _signers: Mapping[str, Ed25519PublicKey] = field(default_factory=dict)
    """Those that were known when these were granted; when they are read again, a signer may have gone."""

    def open(self, sealed: bytes, key_id: str) -> tuple[bytes, bool]:
        """The plain bytes, and whether their signer is known; RecordError as of `SealOpener.open`, or `malformed`."""
        grant, box = unframed(sealed)
        self.verifier.refresh()
        if self.verifier.known is not self._signers:
            self._signers = self.verifier.known
            self._granted.clear()
        cipher, known = self._granted.get((key_id, grant)), True
        if cipher is None:
            cipher, known = self._read(grant, key_id)
        try:
            return cipher.decrypt(box[:NONCE_BYTES], box[NONCE_BYTES:], info(PURPOSE, TOPIC, CAPTURE_SCHEMA, key_id)), known
        except (InvalidTag, ValueError):
            raise RecordError("not_authentic") from None

    def _read(self, grant: bytes, key_id: str) -> tuple[AESGCM, bool]:
        signed = self.opener.open(grant, purpose=PURPOSE, topic=TOPIC, schema=CAPTURE_SCHEMA, key_id=key_id)
        key, known = self.verifier.disclose(signed, PURPOSE)
        if len(key) != KEY_BYTES:
            raise RecordError("malformed")
        cipher = AESGCM(key)
        if known:  # an unknown signer may be known by the next capture
            if len(self._granted) >= MOST_GRANTS:
                del self._granted[next(iter(self._granted))]
            self._granted[key_id, grant] = cipher
        return cipher, known
