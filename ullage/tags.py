"""Tags: AES-256-CMAC of normalised values, a batch at a time.

CMAC (NIST SP 800-38B) because a batch of tags is a few AES-ECB calls of OpenSSL over one numpy array; it is equal, tag for
tag, to `cryptography`'s own CMAC, which is the oracle in the tests, as are the AES-256 vectors of SP 800-38B D.3.
Messages come as rows of one table, so that a batch costs a few numpy calls whatever its size: 7 ns a tag of one block where
malloc keeps its memory (mallopt), 12 to 15 ns where it hands it back, measured.
A tag is de-identified, not anonymous (PIPL 73): it protects a phone number only as long as the key is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

BLOCK = 16
TAG_BYTES = 16
Tags = npt.NDArray[np.uint8]
"""Shape (n, 16): one tag a row."""
Rows = npt.NDArray[np.uint8]
Lengths = npt.NDArray[np.int64]
Halves = npt.NDArray[np.uint64]
_HALF = np.dtype("<u8")
PIECE = 4096
"""Messages a step: few enough that their blocks stay in the cache, enough that a numpy call costs little of each."""


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
        whole = _double(self._aes.update(bytes(BLOCK)))
        self._keep, self._mix = _endings(whole, _double(whole))

    def tag_rows(self, values: Rows, lengths: Lengths) -> Tags:
        """Tags of the first `lengths[i]` bytes of each row `values[i]`: shape (n, 16), in the order of the rows.

        `values` u8[n, width], where what lies beyond a length is ignored; `lengths` i64[n], each 0 to width. Messages of as many
        blocks go together, one AES call a block position.
        """
        out = np.empty((len(values) + 1, TAG_BYTES), np.uint8)  # OpenSSL's binding asks for a block more than it writes
        if not len(values):
            return out[:-1]
        fewest, most = _blocks(int(lengths.min())), _blocks(int(lengths.max()))
        if fewest == most:
            self._tag_alike(values, lengths, most, out)
            return out[:-1]
        blocks = np.maximum(1, (lengths + BLOCK - 1) // BLOCK)
        for count in range(fewest, most + 1):
            rows = np.flatnonzero(blocks == count)
            part = np.empty((len(rows) + 1, TAG_BYTES), np.uint8)
            self._tag_alike(values.take(rows, axis=0), lengths.take(rows), count, part)
            out[rows] = part[:-1]
        return out[:-1]

    def tag(self, messages: Sequence[bytes]) -> Tags:
        """Tags of `messages`, in their order; messages of any length, the empty one included."""
        lengths = np.fromiter(map(len, messages), np.int64, len(messages))
        out = np.empty((len(messages), TAG_BYTES), np.uint8)
        for rows in _alike(lengths):  # a long message must not widen the table of the short ones
            width = max(1, int(lengths[rows].max()))
            table = b"".join([messages[int(i)].ljust(width, b"\0") for i in rows])
            out[rows] = self.tag_rows(np.frombuffer(table, np.uint8).reshape(len(rows), width), lengths[rows])
        return out

    def one(self, message: bytes) -> bytes:
        """The tag of a single message."""
        return self.tag([message]).tobytes()

    def _tag_alike(self, values: Rows, lengths: Lengths, count: int, out: Tags) -> None:
        """Tags of messages that all have `count` blocks into `out` (n + 1, 16): CBC over a piece of them at a time.

        `block` is the one block of each message that is in work, as bytes and as 64-bit halves.
        """
        scratch = np.empty((2, min(PIECE, len(values)), BLOCK), np.uint8)
        for first in range(0, len(values), PIECE):
            rows = values[first : first + PIECE]
            state, left = out[first : first + len(rows) + 1], lengths[first : first + PIECE] - (count - 1) * BLOCK
            block, ending = scratch[:, : len(rows)]
            halves = block.view(_HALF)
            for position in range(count):
                here = rows[:, position * BLOCK : (position + 1) * BLOCK]
                block[:, : here.shape[1]] = here
                if position == count - 1:
                    halves &= self._keep.take(left, axis=0, out=ending.view(_HALF), mode="clip")
                    halves ^= self._mix.take(left, axis=0, out=ending.view(_HALF), mode="clip")
                if position:
                    halves ^= state[:-1].view(_HALF)
                self._aes.update_into(block.data, state.data)


def _endings(whole: bytes, padded: bytes) -> tuple[Halves, Halves]:
    """How to end a message whose last block holds 0 to 16 bytes: two tables u64[17, 2], a row a number of bytes.

    The last block is `block & keep ^ mix` (SP 800-38B 6.2, steps 1 and 4): a full one takes the first subkey; a shorter one is
    cut to its length, gets the byte 0x80 behind it, and takes the second.
    """
    lengths = range(BLOCK + 1)
    keep = b"".join((b"\xff" * length).ljust(BLOCK, b"\0") for length in lengths)
    paddings = np.frombuffer(b"".join((bytes(length) + b"\x80").ljust(BLOCK, b"\0")[:BLOCK] for length in lengths), np.uint8)
    subkeys = np.frombuffer(padded * BLOCK + whole, np.uint8)
    return np.frombuffer(keep, _HALF).reshape(-1, 2), (paddings ^ subkeys).view(_HALF).reshape(-1, 2)


def _blocks(length: int) -> int:
    """Blocks of a message of `length` bytes; the empty one has one."""
    return max(1, -(-length // BLOCK))


def _alike(lengths: Lengths) -> Iterator[npt.NDArray[np.int64]]:
    """Row numbers in groups whose lengths are within a factor of two of one another, and up to 64 bytes together."""
    classes = np.maximum(6, np.ceil(np.log2(np.maximum(lengths, 1)))).astype(np.int64)
    for number in np.unique(classes):
        yield np.flatnonzero(classes == number)
