"""Tags: AES-256-CMAC of normalised values, a batch at a time.

CMAC (NIST SP 800-38B) because a batch of tags is a few AES-ECB calls of OpenSSL over one numpy array; it is equal, tag for
tag, to `cryptography`'s own CMAC, which is the oracle in the tests, as are the AES-256 vectors of SP 800-38B D.3.
A tag is de-identified, not anonymous (PIPL 73): it protects a phone number only as long as the key is kept.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

BLOCK = 16
TAG_BYTES = 16
Tags = npt.NDArray[np.uint8]
"""Shape (n, 16): one tag a row."""


def derive_key(epoch_key: bytes, *parts: str) -> bytes:
    """32-byte key for one (purpose, tenant, kind, form) under an epoch's random key, by HKDF-SHA-256 (RFC 5869)."""
    info = "\x1f".join(("ullage", *parts)).encode()
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=info).derive(epoch_key)


def _double(block: bytes) -> bytes:
    """Multiply by x in GF(2^128): the subkey step of SP 800-38B 6.1."""
    value = int.from_bytes(block, "big")
    shifted = (value << 1) & ((1 << 128) - 1)
    return (shifted ^ (0x87 if value >> 127 else 0)).to_bytes(BLOCK, "big")


class Tagger:
    """Computes tags under one 32-byte key.

    >>> Tagger(bytes(32)).tag([b'']).shape
    (1, 16)
    """

    def __init__(self, key: bytes) -> None:
        self._aes = Cipher(algorithms.AES256(key), modes.ECB()).encryptor()
        first = _double(self._aes.update(bytes(BLOCK)))
        self._whole = np.frombuffer(first, np.uint8)
        self._padded = np.frombuffer(_double(first), np.uint8)

    def tag(self, messages: Sequence[bytes]) -> Tags:
        """Tags of `messages`, in their order; messages of any length, the empty one included."""
        out = np.empty((len(messages), TAG_BYTES), np.uint8)
        lengths = np.fromiter(map(len, messages), np.int64, len(messages))
        blocks = np.maximum(1, -(-lengths // BLOCK))
        for count in np.unique(blocks):
            rows = np.flatnonzero(blocks == count)
            out[rows] = self._chain(self._lay_out([messages[int(i)] for i in rows], int(count)))
        return out

    def one(self, message: bytes) -> bytes:
        """The tag of a single message."""
        return self.tag([message]).tobytes()

    def _lay_out(self, messages: Sequence[bytes], count: int) -> npt.NDArray[np.uint8]:
        """Messages of `count` blocks each, padded and with the subkey mixed into the last block: shape (n, count, 16)."""
        width = count * BLOCK
        padded = b"".join(m if len(m) == width else (m + b"\x80").ljust(width, b"\0") for m in messages)
        table = np.frombuffer(padded, np.uint8).reshape(len(messages), count, BLOCK).copy()
        whole = np.fromiter((len(m) == width for m in messages), bool, len(messages))
        table[:, -1] ^= np.where(whole[:, None], self._whole, self._padded)
        return table

    def _chain(self, table: npt.NDArray[np.uint8]) -> Tags:
        """CBC over the blocks of every message at once, one AES call a block position."""
        state = np.zeros((len(table), BLOCK), np.uint8)
        for position in range(table.shape[1]):
            mixed = np.ascontiguousarray(state ^ table[:, position])
            state = np.frombuffer(self._aes.update(mixed.tobytes()), np.uint8).reshape(-1, BLOCK)
        return state
