"""Key check values: by which it is seen that a key is not the one that it was, before anything is made or looked up with it.

A flipped bit of a key makes another key, whose tags and seals are as good as any and fit nothing. So each key has its check
value beside it (`NAME.kcv`), and what was made under a key carries it: watchlist, frontier, incident store.

The value is the leftmost 40 bits of AES-256-CMAC (NIST SP 800-38B) over a block of zeros, as ANSI X9.24-1-2017 has it for AES,
but under a key derived for this alone (HKDF) that names the key: so it is no tag of anything, and keys that were exchanged for
one another are seen too. Who knows it can tell a guessed key from another, which of 256 random bits helps nobody; an accident
passes once in 10^12. Secrets that people choose (addresses, passwords) have none: of these it would let others test guesses.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from pathlib import Path

from ullage.errors import ConfigError
from ullage.files.atomic_write import write_whole
from ullage.files.trust import read_trusted
from ullage.security.cmac import BLOCK, Cmac, derive_key

SUFFIX = ".kcv"
BYTES = 5
MADE, ADOPTED = "made", "adopted"
_LINE = re.compile(rb"([0-9a-f]{%d}) (%s|%s)\n" % (2 * BYTES, MADE.encode(), ADOPTED.encode()))


@dataclass(frozen=True, slots=True)
class StoredCheckValue:
    """A check value as it stands beside a key: noted when the key was made, or when one without was first of good use."""

    value: str
    how: str


def check_value(key: bytes, name: str) -> str:
    """10 hex digits for the 32-byte key called `name` (its path in the key folder); see the module."""
    return Cmac(derive_key(key, "check", name)).one(bytes(BLOCK))[:BYTES].hex()


def path_of(root: Path, name: str) -> Path:
    """Where the check value of a key lies, also where the key itself comes from a credential or a command."""
    return root / f"{name}{SUFFIX}"


def noted(root: Path, name: str) -> StoredCheckValue | None:
    """What is noted beside a key, None for nothing; ConfigError when it is no check value."""
    path = path_of(root, name)
    try:
        line = read_trusted(path, root)
    except FileNotFoundError:
        return None
    if not (found := _LINE.fullmatch(line)):
        raise ConfigError(f"{path} is damaged: restore it and {name} from their copy")
    return StoredCheckValue(found[1].decode(), found[2].decode())


def note(path: Path, name: str, key: bytes, how: str) -> None:
    """Note the check value of key `name` in the file `path`, durably; OSError where this user cannot.

    It is no secret: whoever is given the key later has to read it too.
    """
    write_whole(f"{check_value(key, name)} {how}\n".encode(), path, 0o644)


def verify(root: Path, name: str, key: bytes) -> None:
    """ConfigError unless `key` is the one that was noted; silent where none was."""
    found = noted(root, name)
    if found is None or found.value == check_value(key, name):
        return
    path = path_of(root, name)
    wrong = f"key {root / name} is not the one whose check value is in {path.name}: restore both from their copy"
    if found.how == ADOPTED:
        wrong += f"; if this is the right key (the value was {ADOPTED}, not {MADE} with it), remove {path}"
    raise ConfigError(wrong)


def adopt(root: Path, name: str, key: bytes) -> bool:
    """Note the check value of a key that has none, after it was of good use; whether that was done.

    A value that is there is never replaced. Where this user may not write, none is noted.
    """
    if noted(root, name) is not None:
        return False
    with contextlib.suppress(OSError):
        note(path_of(root, name), name, key, ADOPTED)
        return True
    return False
