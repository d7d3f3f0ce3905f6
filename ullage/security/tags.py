"""Compute tags: AES-256-CMAC of normalised values, a batch at a time.

CMAC (NIST SP 800-38B) because a batch of tags is a few AES-ECB calls of OpenSSL over one numpy
array. Every tag equals that of `cryptography`'s own CMAC, which the tests compare with, besides the
AES-256 vectors of SP 800-38B D.3. Messages are rows of one table, so a batch costs a few numpy
calls whatever its size.

    values u8[n, width] ──lay_out──▶ blocks u64[count, n, 2], padded ──tag_blocks──▶ tags u8[n, 16]

Messages are laid out once, however many keys they are tagged under: 3 ns per tag of one block and
key, and 2 ns to lay it out, measured. A tag is de-identified, not anonymous (PIPL 73): it protects
a phone number only as long as the key is secret.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from ullage.security.cmac import BLOCK, TAG_BYTES, Cmac

Tags = npt.NDArray[np.uint8]
"""Shape (n, 16): one tag per row."""
Rows = npt.NDArray[np.uint8]
Lengths = npt.NDArray[np.int64]
Halves = npt.NDArray[np.uint64]
_HALF = np.dtype("<u8")
PIECE = 16384
"""Messages per step.

Few enough that their blocks stay in the cache, enough that a numpy call costs little of each.
"""
STEP = 4 * PIECE
"""Messages laid out at a time when they are tagged under one key."""
PADDING = 0x80


def to_sortable(tags: Tags) -> npt.NDArray[np.bytes_]:
    """Return tags (n, 16) as n fixed-width strings, which numpy sorts in the same order."""
    return np.ascontiguousarray(tags).view("S16").ravel()


class MessageBlocks(NamedTuple):
    """Messages of equal block count: `blocks` u64[count, n, 2], the last padded if not full.

    See SP 800-38B 6.2. `is_full` tells whether the last block is full: for all, or bool[n]. `rows`
    i64[n] are their row numbers in the original table, None if they are the whole table.
    """

    blocks: npt.NDArray[np.uint64]
    is_full: bool | npt.NDArray[np.bool_]
    rows: npt.NDArray[np.int64] | None


def lay_out(values: Rows, lengths: Lengths) -> list[MessageBlocks]:
    """Lay out the values of all rows as blocks, one `MessageBlocks` per block count.

    `values` u8[n, width] holds a value in the first `lengths[i]` bytes of each row; the bytes
    beyond are ignored. `lengths` is i64[n], each 0 to width.
    """
    if not len(values):
        return []
    shortest, longest = int(lengths.min()), int(lengths.max())
    words = _to_words(values)
    if shortest == longest:
        return [_lay_out_equal(words, shortest)]
    counts = np.maximum(1, (lengths + BLOCK - 1) // BLOCK)
    present = np.flatnonzero(np.bincount(counts)).tolist()
    if len(present) == 1:
        return [_lay_out_mixed(words, lengths, present[0], None)]
    groups = [(count, np.flatnonzero(counts == count)) for count in present]
    return [
        _lay_out_mixed(words.take(rows, axis=0), lengths.take(rows), count, rows)
        for count, rows in groups
    ]


def _to_words(values: Rows) -> Halves:
    """Return rows as numbers of eight bytes, u64[n, width / 8]; the width is rounded up."""
    missing = -values.shape[1] % _HALF.itemsize
    return np.ascontiguousarray(np.pad(values, ((0, 0), (0, missing))) if missing else values).view(
        _HALF
    )


def _lay_out_equal(words: Halves, length: int) -> MessageBlocks:
    """Lay out messages of equal length in bytes.

    The bytes to keep in each half block, and the padding, are the same number for all. `words` are
    the values as 64-bit halves; bytes beyond the length are ignored.
    """
    count, is_full = _count_blocks(length), length > 0 and length % BLOCK == 0
    blocks = np.empty((count, len(words), 2), _HALF)
    for half in range(2 * count):
        out, keep_bytes = blocks[half // 2, :, half % 2], min(8, max(0, length - 8 * half))
        if keep_bytes:
            np.bitwise_and(words[:, half], np.uint64((1 << 8 * keep_bytes) - 1), out=out)
        else:
            out[:] = 0
        if half == length // 8 and not is_full:
            out |= np.uint64(PADDING << 8 * keep_bytes)
    return MessageBlocks(blocks, is_full, None)


def _lay_out_mixed(
    words: Halves, lengths: Lengths, count: int, rows: npt.NDArray[np.int64] | None
) -> MessageBlocks:
    """Lay out messages of different lengths with `count` blocks each.

    All lengths must need that many. `rows` are their places among all messages, None for all in
    order.
    """
    blocks = np.zeros((count, len(words), 2), _HALF)
    for half in range(min(2 * count, words.shape[1])):
        blocks[half // 2, :, half % 2] = words[:, half]
    last_lengths = lengths - (count - 1) * BLOCK
    blocks[-1] &= _KEEP.take(last_lengths, axis=0)
    blocks[-1] |= _PAD.take(last_lengths, axis=0)
    return MessageBlocks(blocks, last_lengths == BLOCK, rows)


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
        """Return the tags of the first `lengths[i]` bytes of each row `values[i]`, (n, 16).

        In the order of the rows; see `lay_out`.
        """
        out = np.empty((len(values) + 1, TAG_BYTES), np.uint8)
        for first in range(0, len(values), STEP):
            part = slice(first, first + STEP)
            self.tag_blocks(lay_out(values[part], lengths[part]), out[first : first + STEP + 1])
        return out[:-1]

    def tag_blocks(self, laid: Sequence[MessageBlocks], out: Tags) -> None:
        """Write the tags of laid out messages into `out` (n + 1, 16).

        OpenSSL's binding needs room for one block more than it writes. Messages with the
        same number of blocks go together, one AES call per block position.
        """
        for messages in laid:
            if messages.rows is None:
                self._chain(messages, out)
            else:
                part = np.empty((len(messages.rows) + 1, TAG_BYTES), np.uint8)
                self._chain(messages, part)
                out[messages.rows] = part[:-1]

    def tag(self, messages: Sequence[bytes]) -> Tags:
        """Return the tags of `messages`, of any length, in their order."""
        lengths = np.fromiter(map(len, messages), np.int64, len(messages))
        out = np.empty((len(messages), TAG_BYTES), np.uint8)
        for rows in _group_by_length(
            lengths
        ):  # a long message must not widen the table of the short ones
            width = max(1, int(lengths[rows].max()))
            table = b"".join([messages[int(i)].ljust(width, b"\0") for i in rows])
            out[rows] = self.tag_rows(
                np.frombuffer(table, np.uint8).reshape(len(rows), width), lengths[rows]
            )
        return out

    def _chain(self, laid: MessageBlocks, out: Tags) -> None:
        """Run CBC over the blocks of messages, and write the tags to `out`.

        It works in pieces of PIECE (16,384) messages, one block position at a time. `out` has one
        row more than there are messages, because the cipher writes up to a block beyond.
        """
        scratch = np.empty((min(PIECE, laid.blocks.shape[1]), 2), _HALF)
        for first in range(0, laid.blocks.shape[1], PIECE):
            part = slice(first, first + PIECE)
            *before, last = laid.blocks[:, part]
            block, state = scratch[: len(last)], out[first : first + len(last) + 1]
            chained = state[:-1].view(_HALF)
            for position, plain in enumerate(before):
                input_blocks = np.bitwise_xor(plain, chained, out=block) if position else plain
                self._aes.update_into(input_blocks.view(np.uint8).data, state.data)
            self._mix(
                last, laid.is_full if isinstance(laid.is_full, bool) else laid.is_full[part], block
            )
            if before:
                block ^= chained
            self._aes.update_into(block.view(np.uint8).data, state.data)

    def _mix(self, last: Halves, is_full: bool | npt.NDArray[np.bool_], out: Halves) -> None:
        """Combine last blocks u64[n, 2] with their subkeys (SP 800-38B 6.2 step 4).

        By columns, which is faster than by rows.
        """
        if isinstance(is_full, bool):
            for half, subkey in enumerate(self._subkeys[int(is_full)]):
                np.bitwise_xor(last[:, half], subkey, out=out[:, half])
        else:
            np.bitwise_xor(last, self._subkeys.take(is_full.view(np.uint8), axis=0), out=out)


def _make_masks() -> tuple[Halves, Halves]:
    """Return masks and padding for last blocks of 0 to 16 bytes; u64[17, 2] each."""
    lengths = range(BLOCK + 1)
    keep = b"".join((b"\xff" * length).ljust(BLOCK, b"\0") for length in lengths)
    pad = b"".join(
        (bytes(length) + bytes([PADDING])).ljust(BLOCK, b"\0")[:BLOCK] for length in lengths
    )
    return np.frombuffer(keep, _HALF).reshape(-1, 2), np.frombuffer(pad, _HALF).reshape(-1, 2)


_KEEP, _PAD = _make_masks()


def _count_blocks(length: int) -> int:
    """Return the number of blocks of a message; the empty one has one."""
    return max(1, -(-length // BLOCK))


def _group_by_length(lengths: Lengths) -> Iterator[npt.NDArray[np.int64]]:
    """Yield row numbers in groups of similar length.

    Within a factor of two, and all up to 64 bytes together.
    """
    classes = np.maximum(6, np.ceil(np.log2(np.maximum(lengths, 1)))).astype(np.int64)
    for number in np.unique(classes):
        yield np.flatnonzero(classes == number)
