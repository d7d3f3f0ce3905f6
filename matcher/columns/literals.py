"""Search a buffer for many byte strings or patterns in one pass, with hyperscan.

`Literals.find` returns two arrays, the number of the string and where each hit ends:

    wanted   0: "icbc"   1: "bank"
    data     "icbc bank"            find →  number i64 [0, 1]   end i64 [4, 9]

Hyperscan knows only where a hit ends, and its expressions have neither groups nor look-around, so a
pattern that must see the next byte consumes it, and `beyond` gives it back. `JoinedSearch` runs
several searches in one pass; `whole_words` and `once` build patterns for lists of words.

Compiling a thousand patterns takes a third of a second, loading them a millisecond, so large
databases are cached on disk: one file each in `$XDG_CACHE_HOME/ullage/hyperscan` (`~/.cache` by
default), named by a digest of the patterns and of the library's version. The files hold words of
the lexicon, brands and domains, never a customer's value. Hyperscan trusts such a file blindly, so
it is loaded only if nobody else could have written it (see `ullage.files.ownership`). A file that
is untrusted, damaged or made for another processor is ignored, and the cache is optional: if its
folder is not writable, the patterns are compiled in each process. A processor that cannot run
hyperscan raises ConfigError.
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
import zlib
from array import array
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from itertools import pairwise, product
from pathlib import Path
from typing import Any, NamedTuple

import hyperscan
import numpy as np

from matcher.columns.batch import Bytes, Places
from ullage.errors import ConfigError
from ullage.files.atomic_write import write_whole
from ullage.files.ownership import check_folder, read_trusted

CASELESS = hyperscan.HS_FLAG_CASELESS
BYTES = CASELESS | hyperscan.HS_FLAG_DOTALL
TEXT = BYTES | hyperscan.HS_FLAG_UTF8
ONCE = hyperscan.HS_FLAG_SINGLEMATCH
"""Report at most one hit of a pattern per search."""
ALPHANUMERIC = frozenset(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
EDGE = b"[^0-9A-Za-z]"
MANY, LONG = 32, 512
"""Number of patterns, and their total bytes, from which compiling is slower than loading."""
APART = 1024
"""Gap in bytes up to which neighbouring stretches are searched as one."""


class SearchPatterns(NamedTuple):
    """Regular expressions in hyperscan's syntax (no groups, no look-around).

    `flags` apply to all patterns or, as a tuple, to one each. `beyond` is the number of bytes that
    each pattern consumes behind the end of its hit.
    """

    wanted: tuple[bytes, ...]
    flags: int | tuple[int, ...] = BYTES
    beyond: tuple[int, ...] = ()


class Literals:
    """A search for every end of the `wanted` strings, overlapping hits included.

    `wanted` are byte strings, matched without regard to ASCII case. With `flags` (for all, or one
    each) they are regular expressions; `beyond` is that of `SearchPatterns`. Threads may share an
    object.
    """

    def __init__(
        self, wanted: Sequence[bytes], flags: int | Sequence[int] = 0, beyond: Sequence[int] = ()
    ) -> None:
        self._scratch = threading.local()
        self._beyond = np.array(beyond or [0] * len(wanted), np.int64)
        pattern_flags = flags if isinstance(flags, int) else tuple(flags)
        self._database = _database(tuple(wanted), pattern_flags) if wanted else None

    def find(
        self, data: Bytes, stretches: Iterable[tuple[int, int]] | None = None
    ) -> tuple[Places, Places]:
        """Return the index in `wanted` and the end in `data` of each hit: i64[n], i64[n].

        Hits of overlapping strings are all reported. With `stretches`, only these [start, end)
        parts of `data` are searched, and no hit crosses from one to another.
        """
        # takes a quarter less time a hit than lists, and keeps no objects
        number, end = array("I"), array("Q")
        add_number, add_end = number.append, end.append

        def keep(which: int, _start: int, where: int, _flags: int, _context: object) -> None:
            add_number(which)
            add_end(where)

        first, count = list[int](), list[int]()
        if self._database is not None:
            scratch = self._own_scratch()
            for begin, last in ((0, len(data)),) if stretches is None else stretches:
                # the stub declares only bytes, the library takes every buffer
                searched: Any = data[begin:last]
                hits_before = len(end)
                self._database.scan(searched, match_event_handler=keep, scratch=scratch)
                first.append(begin)
                count.append(len(end) - hits_before)
        numbers, ends = np.array(number, np.int64), np.array(end, np.int64)
        ends += np.repeat(np.array(first, np.int64), np.array(count, np.int64))
        return numbers, ends - self._beyond[numbers]

    def _own_scratch(self) -> hyperscan.Scratch:
        """Return this thread's scratch memory.

        Hyperscan needs one for each search that runs at the same time.
        """
        scratch: hyperscan.Scratch | None = getattr(self._scratch, "own", None)
        if scratch is None:
            scratch = self._scratch.own = hyperscan.Scratch(self._database)
        return scratch


class JoinedSearch:
    """Several searches in one pass over the buffer.

    One pass costs little more than the slowest of the searches alone.
    """

    def __init__(self, groups: Sequence[SearchPatterns]) -> None:
        wanted = [pattern for group in groups for pattern in group.wanted]
        each = [
            [group.flags] * len(group.wanted) if isinstance(group.flags, int) else group.flags
            for group in groups
        ]
        flags = [flag for group_flags in each for flag in group_flags]
        beyond = [bytes_ for group in groups for bytes_ in group.beyond or [0] * len(group.wanted)]
        self._literals = Literals(wanted, flags, beyond)
        self._first = np.cumsum([0, *(len(group.wanted) for group in groups)]).tolist()

    def find(self, data: Bytes) -> list[tuple[Places, Places]]:
        """Return the matches of each group of patterns in `data`.

        Each group gives two arrays, i64[n]: the index of the pattern in its group, and the end of
        the match.
        """
        number, end = self._literals.find(data)
        hits = []
        for first, last in pairwise(self._first):
            in_group = np.flatnonzero((number >= first) & (number < last))
            hits.append((number[in_group] - first, end[in_group]))
        return hits


def whole_words(words: Sequence[bytes], domains: Collection[bytes] = ()) -> SearchPatterns:
    """Return patterns for `words` that match only whole words.

    A hit must not continue into another ASCII letter or digit. A word that is in `domains` does not
    count between an at sign and a dot either, where it is part of a mail address. Building takes
    0.25 ms a word.
    """
    return SearchPatterns(
        tuple(
            _in_no_address(word) if word in domains else _alone(word, EDGE, EDGE) for word in words
        ),
        BYTES,
        tuple(int(word[-1] in ALPHANUMERIC) for word in words),
    )


def _alone(word: bytes, before: bytes, behind: bytes) -> bytes:
    """Return the pattern of `word` between `before` and `behind`.

    Each of the two is added only if the word begins or ends with a letter or digit.
    """
    return (
        before * (word[0] in ALPHANUMERIC) + re.escape(word) + behind * (word[-1] in ALPHANUMERIC)
    )


def _in_no_address(word: bytes) -> bytes:
    """Return the pattern of a word that is also a domain: it does not match in mail addresses."""
    return b"|".join((_alone(word, b"[^0-9A-Za-z@]", EDGE), _alone(word, b"@", b"[^0-9A-Za-z.]")))


def spell_out(*choices: Iterable[str]) -> list[str]:
    """Return every concatenation of one string from each of `choices`.

    Hyperscan skips text at memory speed if every pattern has a literal of at least three bytes, so
    patterns that would begin with a character class are spelled out.
    """
    return list(map("".join, product(*choices)))


def once(words: Sequence[bytes]) -> SearchPatterns:
    """Return patterns for `words` that report each word at most once per search.

    The case of ASCII letters does not count.
    """
    return SearchPatterns(
        tuple(b"".join([b"\\x%02x" % byte for byte in word]) for word in words), BYTES | ONCE
    )


@lru_cache(maxsize=16)
def _database(wanted: tuple[bytes, ...], flags: int | tuple[int, ...]) -> hyperscan.Database:
    """Return the compiled database, from this process's cache or the disk if possible.

    Raises `ConfigError` if the processor cannot run hyperscan.
    """
    is_slow = len(wanted) >= MANY or sum(map(len, wanted)) >= LONG
    name = _cache_name(wanted, flags) if is_slow else ""
    if name and (cached := _load(name)):
        return cached
    if isinstance(flags, int):
        pattern_flags = [
            flags or (CASELESS if word.lower() != word.upper() else 0) for word in wanted
        ]
    else:
        pattern_flags = list(flags)
    try:
        database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
        database.compile(
            expressions=list(wanted),
            ids=list(range(len(wanted))),
            flags=pattern_flags,
            literal=not flags,
        )
    except hyperscan.ArchitectureError as error:
        raise ConfigError(
            "hyperscan needs SSSE3, which this processor lacks: run `ullage match`"
            " and `ullage assess` on another machine"
        ) from error
    if name:
        _keep(name, database)
    return database


def stretches(
    first: Places, last: Places, size: int, apart: int = APART
) -> Iterator[tuple[int, int]]:
    """Yield the stretches [first, last) in ascending order, clipped to a buffer of `size` bytes.

    The input, at least one stretch, may be in any order. Stretches at most `apart` bytes from each
    other are joined.
    """
    order = np.argsort(first, kind="stable")
    first, last = np.maximum(first[order], 0), np.minimum(np.maximum.accumulate(last[order]), size)
    begins = np.flatnonzero(np.concatenate(([True], first[1:] > last[:-1] + apart)))
    ends = np.append(begins[1:] - 1, len(last) - 1)
    yield from zip(first[begins].tolist(), last[ends].tolist(), strict=True)


KEPT = 64
"""Cache files to keep; the oldest are deleted. A new version, lexicon or brand adds a few."""


def _cache_name(*compiled: object) -> str:
    """Return the cache file's name for `compiled` (plain values) and this hyperscan version."""
    version: str = hyperscan.__version__  # type: ignore[attr-defined]  # the stub lacks it
    return hashlib.sha256(repr((version, *compiled)).encode()).hexdigest()


def _load(name: str) -> hyperscan.Database | None:
    """Load the cached database of that name; None if there is no file that can be trusted and read.

    To search it, the caller passes a scratch of its own.
    """
    if folder := _folder():
        with suppress(OSError, ConfigError, zlib.error, hyperscan.error):
            return hyperscan.loadb(
                zlib.decompress(read_trusted(folder / name)), hyperscan.HS_MODE_BLOCK
            )
    return None


def _keep(name: str, database: hyperscan.Database) -> None:
    """Write `database` to the cache under that name, if the folder is writable and private."""
    if folder := _folder():
        with suppress(OSError, ConfigError):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            check_folder(folder)
            write_whole(zlib.compress(hyperscan.dumpb(database), 1), folder / name)
            for old in sorted(folder.iterdir(), key=lambda file: file.stat().st_mtime)[:-KEPT]:
                old.unlink(missing_ok=True)


def _folder() -> Path | None:
    """Return the cache folder; None for a user without a home directory."""
    cache_home = Path(os.environ.get("XDG_CACHE_HOME", ""))
    with suppress(RuntimeError):
        return (
            (cache_home if cache_home.is_absolute() else Path.home() / ".cache")
            / "ullage"
            / "hyperscan"
        )
    return None
