"""Many byte strings, or patterns, looked for in a buffer in one pass by hyperscan; a call of Python
a hit, and nothing else.

What hyperscan compiled is kept on disk: to compile a thousand patterns takes a third of a second,
to load them a millisecond. Each database is a file in `$XDG_CACHE_HOME/ullage/hyperscan`
(`~/.cache` by default), named by a digest of its patterns and of the library's version. In it are
words of the lexicon, brands and domains, never a customer's value. What such a file says is done
without further checks, so it counts only if nobody else could have written it (see
`ullage.files.ownership`). One that does not count, is damaged or is of another processor is as good
as none; where the folder cannot be written everything works as well.
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
"""One hit a search is enough."""
ALPHANUMERIC = frozenset(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
EDGE = b"[^0-9A-Za-z]"
MANY, LONG = 32, 512
"""Patterns, and bytes of all of them, that take longer to compile than to read from the disk."""
APART = 1024
"""Bytes between two stretches that are looked through one by one; nearer ones are looked through
together.
"""


class SearchPatterns(NamedTuple):
    """Regular expressions (hyperscan's syntax: no groups, no looking around), and how many bytes
    each takes in behind its end.

    `flags` are those of all, or of each.
    """

    wanted: tuple[bytes, ...]
    flags: int | tuple[int, ...] = BYTES
    beyond: tuple[int, ...] = ()


class Literals:
    """Finds every place where one of `wanted` ends, overlapping ones too; the case of ASCII letters
    does not count.

    `wanted` are byte strings; with `flags`, for all or for each, regular expressions as in
    `SearchPatterns`, as is `beyond`. One object may serve several threads.
    """

    def __init__(
        self, wanted: Sequence[bytes], flags: int | Sequence[int] = 0, beyond: Sequence[int] = ()
    ) -> None:
        self._scratch = threading.local()
        self._beyond = np.array(beyond or [0] * len(wanted), np.int64)
        own = flags if isinstance(flags, int) else tuple(flags)
        self._database = _database(tuple(wanted), own) if wanted else None

    def find(
        self, data: Bytes, stretches: Iterable[tuple[int, int]] | None = None
    ) -> tuple[Places, Places]:
        """Number in `wanted`, and end in `data`, of each hit, if need be only those inside
        `stretches`: i64[n], i64[n].
        """
        # a quarter less time a hit than with lists, and no objects that are kept
        number, end = array("I"), array("Q")
        add_number, add_end = number.append, end.append

        def keep(which: int, _start: int, where: int, _flags: int, _context: object) -> None:
            add_number(which)
            add_end(where)

        first, count = list[int](), list[int]()
        if self._database is not None:
            scratch = self._own_scratch()
            for begin, last in ((0, len(data)),) if stretches is None else stretches:
                # the stub knows bytes alone, the library every buffer
                searched: Any = data[begin:last]
                known = len(end)
                self._database.scan(searched, match_event_handler=keep, scratch=scratch)
                first.append(begin)
                count.append(len(end) - known)
        numbers, ends = np.array(number, np.int64), np.array(end, np.int64)
        ends += np.repeat(np.array(first, np.int64), np.array(count, np.int64))
        return numbers, ends - self._beyond[numbers]

    def _own_scratch(self) -> hyperscan.Scratch:
        """This thread's working memory: the library needs one for each search that goes on at
        the same time.
        """
        scratch: hyperscan.Scratch | None = getattr(self._scratch, "own", None)
        if scratch is None:
            scratch = self._scratch.own = hyperscan.Scratch(self._database)
        return scratch


class JoinedSearch:
    """Several searches in one pass over the buffer, which costs little more than the slowest of
    them alone.
    """

    def __init__(self, groups: Sequence[SearchPatterns]) -> None:
        wanted = [pattern for group in groups for pattern in group.wanted]
        each = [
            [group.flags] * len(group.wanted) if isinstance(group.flags, int) else group.flags
            for group in groups
        ]
        flags = [flag for own in each for flag in own]
        beyond = [bytes_ for group in groups for bytes_ in group.beyond or [0] * len(group.wanted)]
        self._literals = Literals(wanted, flags, beyond)
        self._first = np.cumsum([0, *(len(group.wanted) for group in groups)]).tolist()

    def find(self, data: Bytes) -> list[tuple[Places, Places]]:
        """For each group what `Literals.find` would find of it: number in the group, and end in
        `data`, each i64[n].
        """
        number, end = self._literals.find(data)
        found = []
        for first, last in pairwise(self._first):
            own = np.flatnonzero((number >= first) & (number < last))
            found.append((number[own] - first, end[own]))
        return found


def whole_words(words: Sequence[bytes], domains: Collection[bytes] = ()) -> SearchPatterns:
    """`words` where no ASCII letter or digit goes on one of theirs; 0.25 ms a word to build.

    Those that are `domains` too do not count between an at sign and a dot, where they are part of
    an address.
    """
    return SearchPatterns(
        tuple(
            _in_no_address(word) if word in domains else _alone(word, EDGE, EDGE) for word in words
        ),
        BYTES,
        tuple(int(word[-1] in ALPHANUMERIC) for word in words),
    )


def _alone(word: bytes, before: bytes, behind: bytes) -> bytes:
    """The pattern of a word between these two, where it begins or ends with a letter or digit."""
    return (
        before * (word[0] in ALPHANUMERIC) + re.escape(word) + behind * (word[-1] in ALPHANUMERIC)
    )


def _in_no_address(word: bytes) -> bytes:
    """The pattern of a word that is a domain too."""
    return b"|".join((_alone(word, b"[^0-9A-Za-z@]", EDGE), _alone(word, b"@", b"[^0-9A-Za-z.]")))


def spell_out(*choices: Iterable[str]) -> list[str]:
    """Return every pattern that takes one of each of `choices` in a row.

    Hyperscan passes at memory's speed over what has none of its literals, if each has three bytes
    or more: so what would begin with a class of characters is spelled out.
    """
    return list(map("".join, product(*choices)))


def once(words: Sequence[bytes]) -> SearchPatterns:
    """`words`, of which each is told at most once a search, however often it stands there."""
    return SearchPatterns(
        tuple(b"".join([b"\\x%02x" % byte for byte in word]) for word in words), BYTES | ONCE
    )


@lru_cache(maxsize=16)
def _database(wanted: tuple[bytes, ...], flags: int | tuple[int, ...]) -> hyperscan.Database:
    """The compiled form, from this process or the disk if it is there: the same words, as after
    a reload, are compiled once.
    """
    is_slow = len(wanted) >= MANY or sum(map(len, wanted)) >= LONG
    name = _cache_name(wanted, flags) if is_slow else ""
    if name and (known := _load(name)):
        return known
    if isinstance(flags, int):
        own = [flags or (CASELESS if word.lower() != word.upper() else 0) for word in wanted]
    else:
        own = list(flags)
    try:
        database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
        database.compile(
            expressions=list(wanted), ids=list(range(len(wanted))), flags=own, literal=not flags
        )
    except hyperscan.ArchitectureError as error:
        raise ConfigError(
            "this processor lacks what hyperscan needs (SSSE3): run match, scan and assess on"
            " another"
        ) from error
    if name:
        _keep(name, database)
    return database


def stretches(
    first: Places, last: Places, size: int, apart: int = APART
) -> Iterator[tuple[int, int]]:
    """The stretches [first, last) of a buffer of `size` bytes, in any order, joined where at
    most `apart` bytes lie between.
    """
    order = np.argsort(first, kind="stable")
    first, last = np.maximum(first[order], 0), np.minimum(np.maximum.accumulate(last[order]), size)
    begins = np.flatnonzero(np.concatenate(([True], first[1:] > last[:-1] + apart)))
    ends = np.append(begins[1:] - 1, len(last) - 1)
    yield from zip(first[begins].tolist(), last[ends].tolist(), strict=True)


KEPT = 64
"""Files; the oldest go. A new version, lexicon or brand makes a few."""


def _cache_name(*compiled: object) -> str:
    """The name of what is made of `compiled`, plain values, by this version of the library."""
    version: str = hyperscan.__version__  # type: ignore[attr-defined]  # the stub lacks it
    return hashlib.sha256(repr((version, *compiled)).encode()).hexdigest()


def _load(name: str) -> hyperscan.Database | None:
    """The database of that name, which is searched with a scratch of the caller's; None where
    there is none that counts.
    """
    if folder := _folder():
        with suppress(OSError, ConfigError, zlib.error, hyperscan.error):
            return hyperscan.loadb(
                zlib.decompress(read_trusted(folder / name)), hyperscan.HS_MODE_BLOCK
            )
    return None


def _keep(name: str, database: hyperscan.Database) -> None:
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
