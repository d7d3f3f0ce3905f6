"""Tags: AES-256-CMAC of normalised values, a batch at a time.

CMAC (NIST SP 800-38B) because a batch of tags is a few AES-ECB calls of OpenSSL over one numpy
array; it is equal, tag for tag, to `cryptography`'s own CMAC, which is the oracle in the tests, as
are the AES-256 vectors of SP 800-38B D.3. Messages come as rows of one table, so that a batch costs
a few numpy calls whatever its size. They are laid out in padded blocks once (`lay`), under whatever
number of keys they are tagged then: 3 ns a tag of one block and key, 2 more to lay it out,
measured. A tag is de-identified, not anonymous (PIPL 73): it protects a phone number only as long
as the key is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from ullage.security.cmac import BLOCK, TAG_BYTES, Cmac

Tags = npt.NDArray[np.uint8]
"""Shape (n, 16): one tag a row."""
Rows = npt.NDArray[np.uint8]
Lengths = npt.NDArray[np.int64]
Halves = npt.NDArray[np.uint64]
_HALF = np.dtype("<u8")
PIECE = 16384
"""Messages a step: few enough that their blocks stay in the cache, enough that a numpy call
costs little of each.
"""
STEP = 4 * PIECE
"""Messages that are laid out at a time where they are tagged under one key."""
PADDING = 0x80


class MessageBlocks(NamedTuple):
    """Messages of as many blocks each: `blocks` u64[count, n, 2], the last one padded where it was
    not full (SP 800-38B 6.2).

    `is_full` says whether it was: of all, or bool[n] of each. `rows` i64[n] are their numbers in
    the table that they come from, None where they are the whole of it.
    """

    blocks: npt.NDArray[np.uint64]
    is_full: bool | npt.NDArray[np.bool_]
    rows: npt.NDArray[np.int64] | None


def lay(values: Rows, lengths: Lengths) -> list[MessageBlocks]:
    """The first `lengths[i]` bytes of each row `values[i]`, laid out for tagging: a `MessageBlocks`
    for each number of blocks.

    `values` u8[n, width], where what lies beyond a length is ignored; `lengths` i64[n], each 0 to
    width.
    """
    if not len(values):
        return []
    shortest, longest = int(lengths.min()), int(lengths.max())
    words = _words(values)
    if shortest == longest:
        return [_lay_alike(words, shortest)]
    counts = np.maximum(1, (lengths + BLOCK - 1) // BLOCK)
    present = np.flatnonzero(np.bincount(counts)).tolist()
    if len(present) == 1:
        return [_lay_mixed(words, lengths, present[0], None)]
    groups = [(count, np.flatnonzero(counts == count)) for count in present]
    return [
        _lay_mixed(words.take(rows, axis=0), lengths.take(rows), count, rows)
        for count, rows in groups
    ]


def _words(values: Rows) -> Halves:
    """Rows as numbers of eight bytes, u64[n, width / 8]; the width is rounded up."""
    missing = -values.shape[1] % _HALF.itemsize
    return np.ascontiguousarray(np.pad(values, ((0, 0), (0, missing))) if missing else values).view(
        _HALF
    )


def _lay_alike(words: Halves, length: int) -> MessageBlocks:
    """Messages that are all `length` long: what is kept of each half block, and what pads it, is
    one number for all.
    """
    count, is_full = _blocks(length), length > 0 and length % BLOCK == 0
    blocks = np.empty((count, len(words), 2), _HALF)
    for half in range(2 * count):
        out, kept = blocks[half // 2, :, half % 2], min(8, max(0, length - 8 * half))
        if kept:
            np.bitwise_and(words[:, half], np.uint64((1 << 8 * kept) - 1), out=out)
        else:
            out[:] = 0
        if half == length // 8 and not is_full:
            out |= np.uint64(PADDING << 8 * kept)
    return MessageBlocks(blocks, is_full, None)


def _lay_mixed(
    words: Halves, lengths: Lengths, count: int, rows: npt.NDArray[np.int64] | None
) -> MessageBlocks:
    """Messages of `count` blocks each, of different lengths."""
    blocks = np.zeros((count, len(words), 2), _HALF)
    for half in range(min(2 * count, words.shape[1])):
        blocks[half // 2, :, half % 2] = words[:, half]
    left = lengths - (count - 1) * BLOCK
    blocks[-1] &= _KEEP.take(left, axis=0)
    blocks[-1] |= _PAD.take(left, axis=0)
    return MessageBlocks(blocks, left == BLOCK, rows)


def _double(block: bytes) -> bytes:
    """Multiply by x in GF(2^128): the subkey step of SP 800-38B 6.1."""
    value = int.from_bytes(block, "big")
    shifted = (value << 1) & ((1 << 128) - 1)
    return (shifted ^ (0x87 if value >> 127 else 0)).to_bytes(BLOCK, "big")


class Tagger(Cmac):
    """Computes tags under one 32-byte key, a batch at a time.

    >>> Tagger(bytes(32)).tag([b'']).shape
    (1, 16)
    """

    def __init__(self, key: bytes) -> None:
        super().__init__(key)
        self._aes = Cipher(algorithms.AES256(key), modes.ECB()).encryptor()
        whole = _double(self._aes.update(bytes(BLOCK)))
        self._subkeys = np.frombuffer(_double(whole) + whole, _HALF).reshape(2, 2)
        """For a last block that was padded, and for a full one: as two halves."""

    def tag_rows(self, values: Rows, lengths: Lengths) -> Tags:
        """Tags of the first `lengths[i]` bytes of each row `values[i]`: shape (n, 16), in the
        order of the rows; see `lay`.
        """
        out = np.empty((len(values) + 1, TAG_BYTES), np.uint8)
        for first in range(0, len(values), STEP):
            part = slice(first, first + STEP)
            self.tag_laid(lay(values[part], lengths[part]), out[first : first + STEP + 1])
        return out[:-1]

    def tag_laid(self, laid: Sequence[MessageBlocks], out: Tags) -> None:
        """Tags of messages laid out into `out` (n + 1, 16): OpenSSL's binding asks for a block more
        than it writes.

        Messages of as many blocks go together, one AES call a block position.
        """
        for some in laid:
            if some.rows is None:
                self._chain(some, out)
            else:
                part = np.empty((len(some.rows) + 1, TAG_BYTES), np.uint8)
                self._chain(some, part)
                out[some.rows] = part[:-1]

    def tag(self, messages: Sequence[bytes]) -> Tags:
        """Tags of `messages`, in their order; messages of any length, the empty one included."""
        lengths = np.fromiter(map(len, messages), np.int64, len(messages))
        out = np.empty((len(messages), TAG_BYTES), np.uint8)
        for rows in _alike(lengths):  # a long message must not widen the table of the short ones
            width = max(1, int(lengths[rows].max()))
            table = b"".join([messages[int(i)].ljust(width, b"\0") for i in rows])
            out[rows] = self.tag_rows(
                np.frombuffer(table, np.uint8).reshape(len(rows), width), lengths[rows]
            )
        return out

    def _chain(self, laid: MessageBlocks, out: Tags) -> None:
        """CBC over the blocks of messages, a piece of them at a time; what is in work is one
        block of each.
        """
        scratch = np.empty((min(PIECE, laid.blocks.shape[1]), 2), _HALF)
        for first in range(0, laid.blocks.shape[1], PIECE):
            part = slice(first, first + PIECE)
            *before, last = laid.blocks[:, part]
            block, state = scratch[: len(last)], out[first : first + len(last) + 1]
            chained = state[:-1].view(_HALF)
            for position, plain in enumerate(before):
                given = np.bitwise_xor(plain, chained, out=block) if position else plain
                self._aes.update_into(given.view(np.uint8).data, state.data)
            self._mix(
                last, laid.is_full if isinstance(laid.is_full, bool) else laid.is_full[part], block
            )
            if before:
                block ^= chained
            self._aes.update_into(block.view(np.uint8).data, state.data)

    def _mix(self, last: Halves, is_full: bool | npt.NDArray[np.bool_], out: Halves) -> None:
        """Last blocks u64[n, 2] with the subkey of each (SP 800-38B 6.2 step 4); by columns,
        which is faster than by rows.
        """
        if isinstance(is_full, bool):
            for half, subkey in enumerate(self._subkeys[int(is_full)]):
                np.bitwise_xor(last[:, half], subkey, out=out[:, half])
        else:
            np.bitwise_xor(last, self._subkeys.take(is_full.view(np.uint8), axis=0), out=out)


def _endings() -> tuple[Halves, Halves]:
    """How to end a message whose last block holds 0 to 16 bytes: what is kept of it, and what
    pads it; u64[17, 2] each.
    """
    lengths = range(BLOCK + 1)
    keep = b"".join((b"\xff" * length).ljust(BLOCK, b"\0") for length in lengths)
    pad = b"".join(
        (bytes(length) + bytes([PADDING])).ljust(BLOCK, b"\0")[:BLOCK] for length in lengths
    )
    return np.frombuffer(keep, _HALF).reshape(-1, 2), np.frombuffer(pad, _HALF).reshape(-1, 2)


_KEEP, _PAD = _endings()


def _blocks(length: int) -> int:
    """Blocks of a message of `length` bytes; the empty one has one."""
    return max(1, -(-length // BLOCK))


def _alike(lengths: Lengths) -> Iterator[npt.NDArray[np.int64]]:
    """Row numbers in groups whose lengths are within a factor of two of one another, and up to
    64 bytes together.
    """
    classes = np.maximum(6, np.ceil(np.log2(np.maximum(lengths, 1)))).astype(np.int64)
    for number in np.unique(classes):
        yield np.flatnonzero(classes == number)
