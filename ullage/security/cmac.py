"""Compute single tags: AES-256-CMAC of one value, and the derived key.

`ullage.security.tags` computes batches with numpy; most commands avoid importing numpy, which would
make them start 10 % slower.
"""

from __future__ import annotations

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import algorithms
from cryptography.hazmat.primitives.cmac import CMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

BLOCK = 16
TAG_BYTES = 16


def derive_key(epoch_key: bytes, *parts: str) -> bytes:
    """Derive a 32-byte key for one (purpose, tenant, kind, form) from a random key.

    By HKDF-SHA-256 (RFC 5869).
    """
    info = "\x1f".join(("ullage", *parts)).encode()
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=info).derive(epoch_key)


class Cmac:
    """Computes single tags under one 32-byte key."""

    def __init__(self, key: bytes) -> None:
        self._cmac = CMAC(algorithms.AES256(key))

    def tag_one(self, message: bytes) -> bytes:
        """Return the tag of a single message, computed by OpenSSL.

        It takes 0.4 µs (measured); a batch of one takes 54 µs.
        """
        cmac = self._cmac.copy()
        cmac.update(message)
        return cmac.finalize()
