"""Erasing one customer from the installed lists at once, by overwriting in place.

The host cannot sign, so it cannot write a new list; and a list of gigabytes should not be copied for one customer. So the
customer's entries lose their tags and their handle: what lies in their place keeps the order of the arrays and can be asked
for by nobody. The digests of the chunks that change are noted first (`file.py`), then the chunks are written, each by one
call, then the former digests are forgotten. A crash between leaves what the next `erase` finishes; a loss of power within a
chunk leaves a file that is seen to be damaged.

An entry keeps the top bits of its tag, as many as the directory has, and its bit in the bitmap: these it shares with others.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from matcher.watchlist.file import BODY, CHUNK, Array, digest_of, read_erased, read_header, write_erased
from matcher.watchlist.index import ERASED, Index, Places
from matcher.watchlist.installed import DELTA, path_of, tag_keys
from ullage.errors import ConfigError
from ullage.security.keys import KeyStore, epochs, verify_key

Edit = tuple[int, bytes]
"""A place in the body, and the bytes to put there."""
ENTRY = ("high", "low", "subject")
SCANNED = 1 << 24


def erase(data: Path, keys: KeyStore, tenant: str, handle: str) -> int:
    """Overwrite every entry of the customer with this handle (32 hex digits), in all epochs; how many there were.

    0 says that the customer is not there, or no more.
    """
    try:
        wanted = np.frombuffer(bytes.fromhex(handle), np.uint8).reshape(1, 16)
    except ValueError:
        raise ConfigError("--subject: give a handle of 32 hexadecimal digits, as a finding shows it") from None
    count = 0
    for epoch in epochs(keys, tenant, "match"):
        main, key = path_of(data, tenant, epoch), verify_key(keys, tenant)
        for path in (main, main.with_suffix(DELTA)):
            if path.is_file():
                header = read_header(path, key)
                if header.self_test == handle.lower():
                    raise ConfigError("--subject: that is the handle of the list's self-test entry, which is nobody's")
                count += _erase_in(path, key, tag_keys(header, path, keys, tenant).noting_key(), wanted)
    return count


def _erase_in(path: Path, key: Ed25519PublicKey, noted_under: bytes, handle: Array) -> int:
    """Erase in one file; how many entries there were."""
    index = Index(path, key, noted_under)
    rows = _rows_of(index, handle)
    entries = _entries_of(index, rows[0]) if rows else np.empty(0, np.int64)
    count = int(index.is_live(entries).sum())
    edits = [
        *_entry_edits(index, entries),
        *_row_edits(index, ["handle"], rows),
        *_label_edits(index, rows),
        *_row_edits(index, ["removed_high", "removed_low", "removed_handle"], _matching(index.arrays["removed_handle"], handle)),
        *_row_edits(index, ["gone"], _matching(index.arrays["gone"], handle)),
    ]
    if edits:
        _overwrite(index, edits, noted_under)
    return count


def _entries_of(index: Index, row: int) -> Places:
    """Numbers of the entries of the customer in this row, a stretch at a time."""
    subjects = index.arrays["subject"]
    found = [np.flatnonzero(subjects[i : i + SCANNED] == row) + i for i in range(0, len(subjects), SCANNED)]
    return np.concatenate([np.empty(0, np.int64), *found])


def _entry_edits(index: Index, entries: Places) -> Iterator[Edit]:
    """What to write over entries: the one before once more; over the first of a bucket nothing but the bucket's own bits."""
    high, shift = index.arrays["high"], np.uint64(64 - index.header.bits[0])
    erased = set(entries.tolist())
    for entry in sorted(erased):
        bucket, before = high[entry] >> shift, _before(entry, erased)
        if before >= 0 and high[before] >> shift == bucket:
            new = [index.arrays[name][before].tobytes() for name in ENTRY]
        else:
            new = [(bucket << shift).astype("<u8").tobytes(), bytes(8), ERASED.to_bytes(4, "little")]
        yield from ((index.place(name, entry), data) for name, data in zip(ENTRY, new, strict=True))


def _row_edits(index: Index, names: Sequence[str], rows: Sequence[int]) -> Iterator[Edit]:
    """What to write over rows of sorted arrays: the row before once more, or zeros over the first."""
    erased = set(rows)
    for row in sorted(erased):
        before = _before(row, erased)
        for name in names:
            array = index.arrays[name]
            yield index.place(name, row), array[before].tobytes() if before >= 0 else bytes(array[row].nbytes)


def _label_edits(index: Index, rows: Sequence[int]) -> Iterator[Edit]:
    """What to write over customers' labels: none."""
    if index.header.dimensions:
        yield from ((index.place("cohort", row), bytes(index.places["cohort"].dtype.itemsize)) for row in rows)


def _before(row: int, erased: set[int]) -> int:
    """The last row before `row` that stays, or -1."""
    while row in erased:
        row -= 1
    return row


def _rows_of(index: Index, handle: Array) -> list[int]:
    """The rows that hold the handle: more than one where the customer behind it was erased before."""
    rows, table = index.rows_of(handle).tolist(), index.arrays["handle"]
    while 0 <= rows[-1] < len(table) - 1 and (table[rows[-1] + 1] == handle[0]).all():
        rows.append(rows[-1] + 1)
    return [row for row in rows if row >= 0]


def _matching(table: Array, handle: Array) -> list[int]:
    """The rows of a small table that hold the handle."""
    rows: list[int] = np.flatnonzero((table == handle).all(axis=1)).tolist()
    return rows


def _overwrite(index: Index, edits: list[Edit], noted_under: bytes) -> None:
    """Note the chunks' new digests beside those that they have, write the chunks, forget what they had."""
    chunks: dict[int, bytearray] = {}
    for place, new in edits:
        chunk = chunks.setdefault(place // CHUNK, bytearray(index.chunks.read(place // CHUNK)))
        chunk[place % CHUNK : place % CHUNK + len(new)] = new
    sha256 = index.header.chunks_sha256
    noted = read_erased(index.path, noted_under, sha256)
    after = {number: (digest_of(chunk),) for number, chunk in chunks.items()}
    meanwhile = {number: (index.chunks.digest(number), *digest) for number, digest in after.items()}
    write_erased(index.path, noted_under, sha256, noted | meanwhile)
    with index.path.open("r+b") as file:
        for number, chunk in chunks.items():
            os.pwrite(file.fileno(), chunk, BODY + number * CHUNK)
        os.fsync(file.fileno())
    write_erased(index.path, noted_under, sha256, noted | after)
