"""Verify chains, and report each line that is not as it was written."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ullage.audit import trail as marks
from ullage.audit.entry import (
    GAP,
    HEAD,
    ORIGIN,
    AuditEntry,
    ChainHead,
    list_segments,
    read_head,
    read_line,
    refuse_other_version,
)
from ullage.audit.trail import FOLDER
from ullage.errors import ConfigError, CorruptError, UllageError
from ullage.security.keys import KeyStore

MOST_FAULTS = 20
"""Faults reported per chain; beyond that the history is evidently destroyed."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault at `line` (from 1; 0 for the whole file) of `file`."""

    file: Path
    line: int
    what: str


@dataclass(slots=True)
class ChainCheck:
    """The result of a walk: entries, number and digest of the last one, first number, faults."""

    name: str
    entries: int = 0
    begins: int = 1
    seq: int = 0
    last: str = ORIGIN
    faults: list[Fault] = field(default_factory=list)

    def add_fault(self, file: Path, line: int, what: str) -> None:
        """Add a fault, up to `MOST_FAULTS`."""
        if len(self.faults) < MOST_FAULTS:
            self.faults.append(Fault(file, line, what))


def chain_names(root: Path, keys: KeyStore) -> list[str]:
    """List every chain that exists, whose key exists, or that the inventory lists."""
    folders = {path.name for path in root.iterdir() if path.is_dir()} if root.is_dir() else set()
    with contextlib.suppress(UllageError):  # `Inventory.faults` reports its fault
        folders |= {
            Path(part).name
            for part in keys.inventory.parts()
            if root / Path(part).name == keys.inventory.data / part
        }
    return sorted(folders | {Path(name).stem for name in keys.list_names(FOLDER, ".key")})


def walk_all(
    root: Path, keys: KeyStore, expected: Iterable[tuple[str, int, str]] = ()
) -> list[ChainCheck]:
    """Verify every chain.

    `expected` are entries (chain, number, digest) that must be part of it, as noted earlier.
    What the chains say about one another must agree as well.
    """
    noted: dict[str, dict[int, str]] = {}
    for name, seq, digest in (*_read_reports(root), *expected):
        noted.setdefault(name, {})[seq] = digest
    return [
        walk(root / name, keys, noted.get(name, {}))
        for name in sorted({*chain_names(root, keys), *noted})
    ]


def _read_reports(root: Path) -> Iterator[tuple[str, int, str]]:
    """Yield what entries say about other chains.

    Read before those chains are verified, because they may grow meanwhile.
    """
    for folder in sorted(root.iterdir()) if root.is_dir() else ():
        for file in list_segments(folder):
            for line in file.read_bytes().splitlines(keepends=True):
                entry = read_line(line) if b'"seen":' in line else None
                for name, (seq, digest) in entry.seen.items() if entry else ():
                    yield name, seq, digest


def walk(folder: Path, keys: KeyStore, noted: dict[int, str] | None = None) -> ChainCheck:
    """Verify the chain in `folder`, and return its end and its faults.

    Nothing is raised for a fault. It is compared with its head, its high-water mark and the entries
    `noted` (digests by number). A chain that never began has no faults. Without its key it cannot
    be verified, which is a fault.
    """
    chain, noted = ChainCheck(folder.name), noted or {}
    try:
        refuse_other_version(folder)
    except CorruptError as error:
        chain.add_fault(folder, 0, str(error))
        return chain
    key, name, why = b"", marks.to_key_name(folder.name), ""
    try:
        key = keys.read(name)
    except ConfigError as error:
        why = str(error) if keys.is_available(name) else "its key is missing here"
    mark = (
        marks.read_mark(marks.find_mark_path(folder.parent, keys, folder.name), key)
        if key
        else None
    )
    files = list_segments(folder)
    has_begun = _has_begun(folder, keys, mark, noted)
    if not files and not has_begun:
        return chain
    if not files:
        last = max([mark.seq if mark else 0, *noted])
        chain.add_fault(
            folder,
            0,
            f"the whole chain is missing{f', its last known entry is {last}' if last else ''}",
        )
        return chain
    if why:
        chain.add_fault(folder, 0, f"{why}, so it cannot be verified")
        return chain
    # after the entry comes the head, then the inventory
    head = _head(chain, folder, key) if has_begun or (folder / HEAD).exists() else None
    if head:
        chain.begins, chain.seq, chain.last = head.begins, head.begins - 1, head.before
        if mark is None:
            chain.add_fault(folder, 0, "its high-water mark is missing or was changed")
    expected = {**({mark.seq: mark.last} if mark and mark.seq else {}), **noted}
    for number, file in enumerate(files):
        _walk_file(chain, file, key, expected, is_last=number == len(files) - 1)
    _compare(
        chain,
        files[-1],
        head,
        {seq: digest for seq, digest in expected.items() if seq >= chain.begins},
    )
    return chain


def _has_begun(
    folder: Path, keys: KeyStore, mark: marks.Mark | None, noted: Mapping[int, str]
) -> bool:
    """Return whether anything proves that the first entry of a chain was written completely.

    Its folder, its key and a mark of zero entries are older than that entry, so they also exist
    where a crash or a failing disk cut it short. A key file without a mark means that
    the mark was removed.
    """
    if noted or (mark.seq if mark else keys.exists(marks.to_key_name(folder.name))):
        return True
    try:
        return keys.inventory.lists(folder)
    except UllageError:  # `Inventory.faults` reports its fault
        return True


def _head(chain: ChainCheck, folder: Path, key: bytes) -> ChainHead | None:
    try:
        head = read_head(folder / HEAD)
    except OSError:
        chain.add_fault(folder / HEAD, 0, "is missing")
        return None
    if head is None or not head.is_genuine(key):
        chain.add_fault(folder / HEAD, 0, "was changed")
        return None
    return head


def _walk_file(
    chain: ChainCheck, file: Path, key: bytes, noted: dict[int, str], *, is_last: bool
) -> None:
    """Verify every line of a file, and add its faults to `chain`.

    Removes from `noted` the entries that appear. A line without an end is no fault in the last
    file, where a write may have been cut short.
    """
    *lines, tail = file.read_bytes().split(b"\n")
    for number, line in enumerate(lines, 1):
        entry = read_line(line + b"\n")
        if entry is None:
            chain.add_fault(file, number, "is not an unchanged entry")
            chain.seq, chain.last = chain.seq + 1, ""
            continue
        if number == 1 and int(file.stem) != entry.seq:
            chain.add_fault(
                file, 0, f"is named after entry {int(file.stem)} and begins with entry {entry.seq}"
            )
        _follow(chain, file, number, entry, key)
        if noted.pop(entry.seq, entry.digest) != entry.digest:
            chain.add_fault(
                file,
                number,
                f"entry {entry.seq} is not the one that was noted: the chain was written anew",
            )
    # in the last file a write may have been cut short; the head knows whether anything is missing
    if tail and not is_last:
        chain.add_fault(file, len(lines) + 1, "the line has no end")


def _follow(chain: ChainCheck, file: Path, number: int, entry: AuditEntry, key: bytes) -> None:
    """Add a fault to `chain` unless `entry` is genuine and the next one.

    The chain then ends with the entry. An entry that tells of a gap is a fault too.
    """
    if not entry.is_genuine(key):
        chain.add_fault(file, number, f"entry {entry.seq} was changed: its digest does not match")
    if entry.seq > chain.seq + 1:
        chain.add_fault(
            file, number, f"entries {chain.seq + 1} to {entry.seq - 1} before it are missing"
        )
    elif entry.seq <= chain.seq:
        chain.add_fault(file, number, f"entry {entry.seq} stands behind entry {chain.seq}")
    elif chain.last and entry.previous != chain.last:
        chain.add_fault(file, number, f"entry {entry.seq} does not follow the entry before it")
    if entry.action == GAP:
        chain.add_fault(file, number, f"entry {entry.seq} tells of a gap: {entry.object}")
    chain.entries += 1
    chain.seq, chain.last = entry.seq, entry.digest


def _compare(chain: ChainCheck, file: Path, head: ChainHead | None, noted: dict[int, str]) -> None:
    """Compare the end with the head, and report noted entries that did not appear."""
    if head and chain.seq < head.seq:
        chain.add_fault(file, 0, f"entries {chain.seq + 1} to {head.seq} are missing at its end")
    if noted:
        more = f", nor are {len(noted) - 1} before it that were" if len(noted) > 1 else ""
        chain.add_fault(file, 0, f"entry {max(noted)} was noted and is not there{more}")


def list_watchlist_changes(root: Path) -> list[AuditEntry]:
    """List changes of customer lists, newest first; nothing is verified."""
    return [entry for _, entry in read_entries(root) if entry.action.startswith("watchlist.")][::-1]


def read_entries(root: Path) -> Iterator[tuple[str, AuditEntry]]:
    """Yield every readable entry with its chain, oldest first; nothing is verified."""
    rows = [
        (entry.at, path.name, entry.seq, entry)
        for path in (sorted(root.iterdir()) if root.is_dir() else ())
        for file in list_segments(path)
        for entry in map(read_line, file.read_bytes().splitlines(keepends=True))
        if entry is not None
    ]
    for _, name, _, entry in sorted(rows, key=lambda row: row[:3]):
        yield name, entry
