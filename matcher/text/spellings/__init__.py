"""Define a spelling, and list all of them in the order in which they are undone.

A spelling is a way to write a value so that no plain search finds it: escaped, encoded, in pieces
or in words. Each is one row, in the file of its family; the engine is `matcher.text.events`, which
finds the places where a row may apply, and `matcher.text.splice`, which undoes the lines there. A
row that is added needs nothing else: its gate is searched for, its examples and near misses are
tested through `ullage scan`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import cache
from importlib import import_module
from typing import Literal, NamedTuple

from matcher.columns.bitset import Classes, Places
from matcher.text.fold import FoldedText

FAMILIES = (
    "blocks",
    "fragments",
    "escapes",
    "numbers",
    "letters",
    "lookalikes",
    "encodings",
    "programs",
    "addresses",
)
Scope = Literal["stretch", "block", "text"]


class Replacement(NamedTuple):
    """The plain text of the characters [start, end) of a text."""

    start: int
    end: int
    plain: str


class Spelling(NamedTuple):
    """One way to write values: where it may stand, how it is read, and what it must and must not
    read.

    `scope` is what is undone around a hit: its line, the block that begins there, or the whole
    text.

    A hit is found by hyperscan in the folded text. `gate` holds patterns in any case, of characters
    (str) or bytes, each with a literal of three bytes or more. Patterns without one cost as much as
    a thousand words: such `near_gate` patterns, of bytes, are searched for only in the stretches
    [begin, end) that `near` finds in columns. `starts` finds places in columns alone.

    It is read in one of three ways. `rewrite` turns a decoded text into one of the same length;
    with `nests` it is repeated, since escapes and blocks are encoded again. The others read the
    folded text around a hit: `pattern` with `plain`, which returns no more characters than the
    match, or its group `value`, has, and "" where it stays; or `find`, from columns. With `needs`,
    a stretch without a match of it is skipped; with `looks_around`, `plain` depends on what is
    beside the match.

    `examples` are pairs of a text and the value in it, `near_misses` texts in which nothing is
    read.
    """

    name: str
    scope: Scope
    examples: tuple[tuple[str, str], ...]
    near_misses: tuple[str, ...]
    gate: tuple[str | bytes, ...] = ()
    near: Callable[[Classes], tuple[Places, Places]] | None = None
    near_gate: tuple[bytes, ...] = ()
    starts: Callable[[Classes], Places] | None = None
    rewrite: Callable[[str], str] | None = None
    nests: bool = False
    pattern: re.Pattern[str] | None = None
    plain: Callable[[re.Match[str]], str] | None = None
    find: Callable[[FoldedText, Classes, Places], Iterable[Replacement]] | None = None
    needs: re.Pattern[str] | None = None
    looks_around: bool = False
    languages: tuple[str, ...] = ()


@cache
def list_spellings() -> tuple[Spelling, ...]:
    """Return all disguised ways of writing values that can be undone, in the order of undoing.

    Where two begin at one place, the first is undone.
    """
    return tuple(row for family in FAMILIES for row in import_module(f"{__name__}.{family}").rows())
