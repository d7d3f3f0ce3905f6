"""Reading chains, and saying of each line that is not as it was written where it is and what is
wrong.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ullage.audit import trail as marks
from ullage.audit.entry import (
    GAP,
    HEAD,
    ORIGIN,
    AuditEntry,
    ChainHead,
    read_head,
    read_line,
    refuse_other_version,
    segments,
)
from ullage.audit.trail import FOLDER
from ullage.errors import ConfigError, CorruptError, UllageError
from ullage.security.keys import KeyStore

MOST_FAULTS = 20
"""Faults told of one chain: after these it is plain that it is no history any more."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong at `line` (from 1; 0 for the whole file) of `file`."""

    file: Path
    line: int
    what: str


@dataclass(slots=True)
class ChainCheck:
    """What a walk found: entries, number and digest of the last one, where it begins, and what
    is wrong.
    """

    name: str
    entries: int = 0
    begins: int = 1
    seq: int = 0
    last: str = ORIGIN
    faults: list[Fault] = field(default_factory=list)

    def fault(self, file: Path, line: int, what: str) -> None:
        """Note a fault, up to the most that are told."""
        if len(self.faults) < MOST_FAULTS:
            self.faults.append(Fault(file, line, what))


def chain_names(root: Path, keys: KeyStore) -> list[str]:
    """Return every chain that is there, whose key is, or that the inventory lists."""
    folders = {path.name for path in root.iterdir() if path.is_dir()} if root.is_dir() else set()
    with contextlib.suppress(UllageError):  # `Inventory.faults` says what is wrong with it
        folders |= {
            Path(part).name
            for part in keys.inventory.parts()
            if root / Path(part).name == keys.inventory.data / part
        }
    return sorted(folders | {Path(name).stem for name in keys.names(FOLDER, ".key")})


def walk_all(
    root: Path, keys: KeyStore, expected: Iterable[tuple[str, int, str]] = ()
) -> list[ChainCheck]:
    """Walk every chain; `expected` are (chain, number, digest) that must lie on it, as somebody
    noted earlier.

    What the chains tell of one another must lie on them as well.
    """
    noted: dict[str, dict[int, str]] = {}
    for name, seq, digest in (*_told(root), *expected):
        noted.setdefault(name, {})[seq] = digest
    return [
        walk(root / name, keys, noted.get(name, {}))
        for name in sorted({*chain_names(root, keys), *noted})
    ]


def _told(root: Path) -> Iterator[tuple[str, int, str]]:
    """What entries say of how far other chains had gone; read before those are walked, which may
    grow meanwhile.
    """
    for folder in sorted(root.iterdir()) if root.is_dir() else ():
        for file in segments(folder):
            for line in file.read_bytes().splitlines(keepends=True):
                entry = read_line(line) if b'"seen":' in line else None
                for name, (seq, digest) in entry.seen.items() if entry else ():
                    yield name, seq, digest


def walk(folder: Path, keys: KeyStore, noted: dict[int, str] | None = None) -> ChainCheck:
    """Walk the chain in `folder` from its first entry to its head, and hold it against its
    high-water mark and what was noted.
    """
    chain, noted = ChainCheck(folder.name), noted or {}
    try:
        refuse_other_version(folder)
    except CorruptError as error:
        chain.fault(folder, 0, str(error))
        return chain
    key, name, why = b"", marks.key_name(folder.name), ""
    try:
        key = keys.read(name)
    except ConfigError as error:
        why = str(error) if keys.is_here(name) else "its key is not here"
    mark = marks.read(marks.path_of(folder.parent, keys, folder.name), key) if key else None
    files = segments(folder)
    if not files:
        last = max([mark.seq if mark else 0, *noted])
        chain.fault(
            folder,
            0,
            f"the whole chain is gone{f', its last known entry is {last}' if last else ''}",
        )
        return chain
    if why:
        chain.fault(folder, 0, f"{why}, so nothing of it can be verified")
        return chain
    head = _head(chain, folder, key)
    if head:
        chain.begins, chain.seq, chain.last = head.begins, head.begins - 1, head.before
        if mark is None:
            chain.fault(folder, 0, "its high-water mark is gone, or not what was written")
    left = {**({mark.seq: mark.last} if mark and mark.seq else {}), **noted}
    for number, file in enumerate(files):
        _walk_file(chain, file, key, left, is_last=number == len(files) - 1)
    _compare(
        chain, files[-1], head, {seq: digest for seq, digest in left.items() if seq >= chain.begins}
    )
    return chain


def _head(chain: ChainCheck, folder: Path, key: bytes) -> ChainHead | None:
    try:
        head = read_head(folder / HEAD)
    except OSError:
        chain.fault(folder / HEAD, 0, "is gone")
        return None
    if head is None or not head.is_genuine(key):
        chain.fault(folder / HEAD, 0, "is not what was written")
        return None
    return head


def _walk_file(
    chain: ChainCheck, file: Path, key: bytes, noted: dict[int, str], *, is_last: bool
) -> None:
    """Check every line of a file; `noted` loses what was met."""
    *lines, rest = file.read_bytes().split(b"\n")
    for number, line in enumerate(lines, 1):
        entry = read_line(line + b"\n")
        if entry is None:
            chain.fault(file, number, "is no entry as it was written")
            chain.seq, chain.last = chain.seq + 1, ""
            continue
        if number == 1 and int(file.stem) != entry.seq:
            chain.fault(
                file, 0, f"is named after entry {int(file.stem)} and begins with entry {entry.seq}"
            )
        _follow(chain, file, number, entry, key)
        if noted.pop(entry.seq, entry.digest) != entry.digest:
            chain.fault(
                file,
                number,
                f"entry {entry.seq} is not the one that was noted: the chain was written anew",
            )
    # in the last file a write may have been cut short; the head knows whether anything is missing
    if rest and not is_last:
        chain.fault(file, len(lines) + 1, "the line has no end")


def _follow(chain: ChainCheck, file: Path, number: int, entry: AuditEntry, key: bytes) -> None:
    """Check that `entry` comes next."""
    if not entry.is_genuine(key):
        chain.fault(
            file, number, f"entry {entry.seq} is not what was written: its digest does not fit"
        )
    if entry.seq > chain.seq + 1:
        chain.fault(
            file, number, f"entries {chain.seq + 1} to {entry.seq - 1} before it are missing"
        )
    elif entry.seq <= chain.seq:
        chain.fault(file, number, f"entry {entry.seq} stands behind entry {chain.seq}")
    elif chain.last and entry.previous != chain.last:
        chain.fault(file, number, f"entry {entry.seq} does not follow the entry before it")
    if entry.action == GAP:
        chain.fault(file, number, f"entry {entry.seq} tells of a gap: {entry.object}")
    chain.entries += 1
    chain.seq, chain.last = entry.seq, entry.digest


def _compare(chain: ChainCheck, file: Path, head: ChainHead | None, noted: dict[int, str]) -> None:
    """Compare the end that was reached with the head, and with what was noted and not met."""
    if head and chain.seq < head.seq:
        chain.fault(file, 0, f"entries {chain.seq + 1} to {head.seq} are missing at its end")
    if noted:
        others = f", nor are {len(noted) - 1} before it that were" if len(noted) > 1 else ""
        chain.fault(file, 0, f"entry {max(noted)} was noted and is not there{others}")


def of_watchlists(root: Path) -> list[AuditEntry]:
    """What was done with watchlists, the newest first; nothing is verified."""
    return [entry for _, entry in entries(root) if entry.action.startswith("watchlist.")][::-1]


def entries(root: Path) -> Iterator[tuple[str, AuditEntry]]:
    """Every readable entry with its chain, the oldest first; nothing is verified."""
    found = [
        (entry.at, path.name, entry.seq, entry)
        for path in (sorted(root.iterdir()) if root.is_dir() else ())
        for file in segments(path)
        for entry in map(read_line, file.read_bytes().splitlines(keepends=True))
        if entry is not None
    ]
    for _, name, _, entry in sorted(found, key=lambda one: one[:3]):
        yield name, entry
