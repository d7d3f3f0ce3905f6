"""Cells of a column as rows of bytes: what a list of millions is read, normalised and tagged as."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Numbers = npt.NDArray[np.int64]
MOST = 512
"""Bytes of a cell that are kept: more than any identifier has."""


@dataclass(frozen=True, slots=True)
class Texts:
    """UTF-8 texts: `table` u8[n, width], of which the first `lengths` i64[n] of each row count.

    A length beyond the width says that the text was longer than what is kept.
    """

    table: Bytes = field(repr=False)
    lengths: Numbers

    @classmethod
    def of(cls, messages: Sequence[bytes]) -> Texts:
        """Lay messages out, as wide as the longest, of which at most MOST bytes are kept; what is beyond a length is zero."""
        lengths = np.fromiter(map(len, messages), np.int64, len(messages))
        width = max(1, min(MOST, int(lengths.max(initial=0))))
        joined = b"".join([m[:width].ljust(width, b"\0") for m in messages])
        return cls(np.frombuffer(joined, np.uint8).reshape(len(messages), width), lengths)

    @classmethod
    def whole(cls, table: Bytes) -> Texts:
        """Rows that count from end to end."""
        return cls(table, np.full(len(table), table.shape[1], np.int64))

    @classmethod
    def cut(cls, data: Bytes, starts: Numbers, lengths: Numbers) -> Texts:
        """Pieces of one buffer, of which at most MOST bytes are kept; what is beyond a length is whatever follows there."""
        width = max(1, min(MOST, int(lengths.max(initial=0))))
        padded = np.concatenate((data, np.zeros(width, np.uint8)))
        windows = np.ndarray((len(data) + 1,), f"V{width}", padded.data, 0, (1,))
        return cls(windows.take(starts).view(np.uint8).reshape(-1, width), lengths)

    def __len__(self) -> int:
        return len(self.lengths)

    def take(self, rows: npt.NDArray[Any]) -> Texts:
        """The texts of these rows."""
        return Texts(self.table.take(rows, axis=0), self.lengths.take(rows))

    def messages(self) -> list[bytes]:
        """Each text as bytes."""
        if len(self) and (self.lengths == self.lengths[0]).all():
            width = int(self.lengths[0])
            joined = self.table[:, :width].tobytes()
            return [joined[i : i + width] for i in range(0, len(joined), width)] if width else [b""] * len(self)
        width, joined = self.table.shape[1], self.table.tobytes()
        return [joined[i * width : i * width + length] for i, length in enumerate(self.lengths.tolist())]

    def too_long(self) -> npt.NDArray[np.bool_]:
        """Which texts were longer than what is kept."""
        return np.greater(self.lengths, self.table.shape[1])

    def strings(self) -> list[str]:
        """Each text as characters."""
        return [message.decode("utf-8", "replace") for message in self.messages()]

    def filled(self) -> npt.NDArray[np.bool_]:
        """Which texts hold more than spaces."""
        return np.asarray(((self.table > ord(" ")) & self.within()).any(axis=1))

    def within(self) -> npt.NDArray[np.bool_]:
        """Which bytes count: bool[n, width]."""
        return np.arange(self.table.shape[1]) < self.lengths[:, None]


def concatenate(parts: Sequence[Texts]) -> Texts:
    """Texts of several tables one after the other."""
    if len(parts) == 1:
        return parts[0]
    width = max((part.table.shape[1] for part in parts), default=1)
    table = np.zeros((sum(map(len, parts)), width), np.uint8)
    at = 0
    for part in parts:
        table[at : at + len(part), : part.table.shape[1]] = part.table
        at += len(part)
    return Texts(table, np.concatenate([part.lengths for part in parts]) if parts else np.empty(0, np.int64))


def hexed(raw: Bytes) -> Bytes:
    """Lower-case hex of each row: (n, w) → (n, 2w)."""
    digits = np.frombuffer(b"0123456789abcdef", np.uint8)
    pairs = np.stack((np.repeat(digits, 16), np.tile(digits, 16)), axis=1).view(np.uint16).ravel()
    return pairs.take(raw).view(np.uint8).reshape(len(raw), 2 * raw.shape[1])
