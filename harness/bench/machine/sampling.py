"""Choose files of this machine: all of some folders, or a sample that every folder has a part
in.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

LARGEST_SHARE = 20
"""A file that takes more than one part in so many of a sample is left out of it."""


class FoundFile(NamedTuple):
    """A regular file that may be read, and its size in bytes."""

    path: Path
    size: int


def find_files(folders: Sequence[Path]) -> list[FoundFile]:
    """Return the regular files below the folders, each once, by path.

    Links are not followed; empty files, and those that cannot be read, are left out.
    """
    files: dict[tuple[int, int], FoundFile] = {}
    for path in sorted({path for folder in folders for path in _walk(folder)}):
        try:
            status = path.lstat()
        except OSError:  # removed in the meantime
            continue
        if status.st_size and stat.S_ISREG(status.st_mode) and os.access(path, os.R_OK):
            files.setdefault((status.st_dev, status.st_ino), FoundFile(path, status.st_size))
    return list(files.values())


def _walk(folder: Path) -> Iterator[Path]:
    if folder.is_file():
        yield folder
    for place, _, names in os.walk(folder):
        yield from (Path(place, name) for name in names)


def choose_files(files: Sequence[FoundFile], budget: int) -> list[FoundFile]:
    """Return files of `budget` bytes in all at most, the same for the same files: one of each
    folder, then the next of each.

    Folders and the files of each come in the order of a digest of their paths, so that a small
    budget is spread over all.
    """
    by_folder: dict[Path, list[FoundFile]] = defaultdict(list)
    for file in sorted(files, key=lambda file: _digest(file.path)):
        if file.size * LARGEST_SHARE <= budget:
            by_folder[file.path.parent].append(file)
    ranked = [
        (number, _digest(folder), file)
        for folder, inside in by_folder.items()
        for number, file in enumerate(inside)
    ]
    chosen, remaining = list[FoundFile](), budget
    for _, _, file in sorted(ranked, key=lambda entry: entry[:2]):
        if file.size <= remaining:
            chosen.append(file)
            remaining -= file.size
    return sorted(chosen)


def _digest(path: Path) -> bytes:
    return hashlib.sha256(os.fsencode(path)).digest()
