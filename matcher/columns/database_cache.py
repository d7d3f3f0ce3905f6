"""What hyperscan compiled, kept on disk: to compile a thousand patterns takes a third of a second, to load them a millisecond.

Each database is a file in `$XDG_CACHE_HOME/ullage/hyperscan` (`~/.cache` by default), named by a digest of its patterns and of
the library's version. In it are words of the lexicon, brands and domains, never a customer's value. What such a file says is done
without further checks, so it counts only if nobody else could have written it (see `ullage.files.trusted`). One that does not
count, is damaged or is of another processor is as good as none; where the folder cannot be written everything works as well.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from contextlib import suppress
from pathlib import Path

import hyperscan

from ullage.errors import ConfigError
from ullage.files.atomic_write import write_whole
from ullage.files.trusted import check_folder, read_trusted

KEPT = 64
"""Files; the oldest go. A new version, lexicon or brand makes a few."""


def name_of(*compiled: object) -> str:
    """The name of what is made of `compiled`, plain values, by this version of the library."""
    version: str = hyperscan.__version__  # type: ignore[attr-defined]  # the stub lacks it
    return hashlib.sha256(repr((version, *compiled)).encode()).hexdigest()


def load(name: str) -> hyperscan.Database | None:
    """The database of that name, which is searched with a scratch of the caller's; None where there is none that counts."""
    if folder := _folder():
        with suppress(OSError, ConfigError, zlib.error, hyperscan.error):
            return hyperscan.loadb(zlib.decompress(read_trusted(folder / name)), hyperscan.HS_MODE_BLOCK)
    return None


def keep(name: str, database: hyperscan.Database) -> None:
    """Keep `database` under that name, if that is possible."""
    if folder := _folder():
        with suppress(OSError, ConfigError):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            check_folder(folder)
            write_whole(zlib.compress(hyperscan.dumpb(database), 1), folder / name)
            for old in sorted(folder.iterdir(), key=lambda file: file.stat().st_mtime)[:-KEPT]:
                old.unlink(missing_ok=True)


def _folder() -> Path | None:
    """Where the files lie; None for a user without a home."""
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    with suppress(RuntimeError):
        return (given if given.is_absolute() else Path.home() / ".cache") / "ullage" / "hyperscan"
    return None
