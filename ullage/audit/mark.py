"""How far a chain has gone, told outside its folder: in its high-water mark, and in the heads of the other chains.

The mark lies beside the chain's key (`keys/audit/CHAIN.mark`), or beside the chain's folder where the key is no file, and is
signed under that key. It is written in place after every entry and not waited for: what it names is durable before, so after a
crash it may lag and is never ahead. It is made, durably, before the key is, so where the key is and no mark it was taken away.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from ullage.audit.entry import HEAD, ORIGIN, ChainHead, SignedRecord, read_head
from ullage.files.atomic_write import write_whole
from ullage.security.keys import KeyStore

FOLDER = "audit"
ENDING = ".mark"
SIZE = 512
"""A sector, which a disk writes whole or not at all."""
TRIES = 3
MOST = 10**9
"""No chain has more entries: whatever says so is no number of one."""


class Mark(SignedRecord):
    """The last entry that was written, by number and digest."""

    purpose = "mark"

    seq: int = 0
    last: str = ORIGIN


def key_name(chain: str) -> str:
    """What the key of a chain is called."""
    return f"{FOLDER}/{chain}.key"


def path_of(root: Path, keys: KeyStore, chain: str) -> Path:
    """Where the mark of a chain under `root` lies."""
    beside = keys.root / FOLDER
    return (beside if beside.is_dir() else root) / f"{chain}{ENDING}"


def read(path: Path, key: bytes) -> Mark | None:
    """The mark, None where there is none that was written under `key`."""
    for _ in range(TRIES):  # it is written in place, perhaps now
        try:
            mark = Mark.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except ValidationError:
            continue
        if mark.is_genuine(key):
            return mark
    return None


def write(path: Path, mark: Mark, key: bytes) -> None:
    """Put the mark in its place; one that was not there is durable on return."""
    line = mark.model_copy(update={"digest": mark.signed(key)}).line().rstrip().ljust(SIZE - 1) + b"\n"
    if not path.exists() or path.stat().st_size != SIZE:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_whole(line, path)
        return
    handle = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.pwrite(handle, line, 0)
    finally:
        os.close(handle)


def heads(root: Path, chain: str) -> Iterator[tuple[str, ChainHead]]:
    """The heads of the other chains, as far as this user may read them; they are another key's, so they are not verified."""
    for folder in sorted(root.iterdir()):
        try:
            head = read_head(folder / HEAD) if folder.name != chain else None
        except OSError:
            continue
        if head is not None:
            yield folder.name, head
