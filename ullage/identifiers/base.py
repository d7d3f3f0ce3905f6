"""Define what a kind of identifier consists of: its shape, normal form, checksum and names.

A `Kind` finds its values in text and brings each to one *normal form*, the only one that is hashed:
`+86 138-0013-8000` and `13800138000` become the same. Each module of `ullage.identifiers` builds
one `Kind`. `Kind.find` returns `Candidate`s with character offsets; one whose checksum fails is
returned too, with `valid` off, because failures tell real data from invented. `Kind.columns` finds
the same as arrays, for floods of numbers.

    text         "电话：13800138000，谢谢"
    Candidate    kind "phone", start 3, end 14, normal "13800138000", valid True
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

from ullage.regex import compile_later
from ullage.security.masking import MASK
from ullage.vocabulary.fields import FieldLabel

NO_NORMAL = -1
LONGEST = 512
"""More characters than any shape has."""
SEPARATORS = re.compile(r"[ .\-]")
BEFORE, AFTER = r"(?<![0-9A-Za-z])", r"(?![0-9A-Za-z])"
"""Edges of an identifier: ASCII letters and digits do not continue it.

So an identifier that is glued to Chinese text still stands alone.
"""
GAP = r"[ \t\"'`\])}】>]{0,3}(?:[:=]|是|为|為|->|=>)?[ \t\"'`\[({【<]{0,3}"
"""Text between a label and its value: closing signs, one separator, opening signs."""


class Candidate(NamedTuple):
    """A substring that may be an identifier.

    It stays in memory: it is never put on the bus, into a log or into a file. `start` and `end` are
    character offsets in the text that was searched. `valid` says whether the checksum holds. A
    `weak` candidate is no match alone: it corroborates a row in which another field of the same
    customer matched.
    """

    kind: str
    start: int
    end: int
    normal: str
    valid: bool
    form: str = "plain"
    weak: bool = False

    def __repr__(self) -> str:
        """Show the place and not the value.

        A candidate that ends up in a message then reveals nothing.
        """
        return f"Candidate({self.kind}, {self.start}-{self.end}, {MASK})"


def no_check(_normal: str) -> bool:
    """Return True, for kinds without a checksum."""
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of identifier, with everything that is particular to it.

    `pattern` finds the shape in folded text (ASCII digits, plain separators). `normalise` converts
    a shape, or a cell of a customer list, to the one written form that is hashed; it returns "" for
    anything that cannot be this kind. `check` returns whether the checksum of a normal form holds.
    `rank` orders kinds that claim the same stretch of text: the lower wins.

    A kind with `labels` has so common a shape that one of these words must stand before it, or name
    its column. Its pattern comes from `compile_labelled`, and the value is the pattern's group
    `value`, of 5 to 23 characters.
    """

    name: str
    field: FieldLabel
    """The label of a column of such values, which decides how the law weighs it.

    Several kinds may share one.
    """
    noun: str
    noun_zh: str
    """What a person calls one: `a phone number`, 手机号."""
    rank: int
    pattern: re.Pattern[str]
    normalise: Callable[[str], str]
    check: Callable[[str], bool] = no_check
    by_chance: bool = False
    """Whether so many values are in use that a random one is often somebody's."""
    headers: tuple[str, ...] = ()
    """Words, in lower case, that name such a column or stand before such a value."""
    glued: tuple[str, ...] = ()
    """Words, in lower case, that may be glued to such a number, beside the headers."""
    labels: tuple[str, ...] = ()
    signs: str = ""
    """For a kind with labels: characters of its values beside letters and digits."""
    alone: str = ""
    """For a kind with labels that is also found, weakly, without one: the pattern of its values."""
    examples: tuple[tuple[str, str], ...] = ()
    """Texts that hold one, each with its normal form."""
    near_misses: tuple[str, ...] = ()
    """Texts that hold no valid one."""

    def find(self, text: str) -> list[Candidate]:
        """Return every candidate in folded text, valid or not, in order of appearance."""
        normals = (
            (match, self.normalise(match[self._group])) for match in self.pattern.finditer(text)
        )
        return [self._candidate(match, normal) for match, normal in normals if normal]

    def search(self, text: str, start: int = 0) -> tuple[int, int, Candidate | None] | None:
        """Return the next shape from `start` on: its begin, its end, and its candidate.

        The candidate is None if the shape has no normal form. Returns None at the end of the text.
        """
        match = self.pattern.search(text, start)
        if match is None:
            return None
        normal = self.normalise(match[self._group])
        return *match.span(), self._candidate(match, normal) if normal else None

    def _candidate(self, match: re.Match[str], normal: str) -> Candidate:
        weak = bool(self.alone) and match["label"] is None
        return Candidate(
            self.name, *match.span(self._group), normal, self.check(normal), "plain", weak
        )

    def columns(
        self, text: str, numbers: dict[str, int], normals: list[str]
    ) -> tuple[array[int], array[int], array[int]]:
        """Find the candidates as columns: starts, ends, and indices into `normals`.

        This costs less per candidate than `find`; none is marked as weak. `numbers` maps a value as
        written to its index, NO_NORMAL for no normal form. `numbers` and `normals` grow
        text by text.
        """
        group, starts, ends, which, failed = (
            self._group,
            array("q"),
            array("q"),
            array("q"),
            list[re.Match[str]](),
        )
        add_start, add_end, add_number, get_number = (
            starts.append,
            ends.append,
            which.append,
            numbers.get,
        )
        # floods go through here
        for match in chain(self.pattern.finditer(text), self._find_nested(failed, numbers)):
            value = match[group]
            number = get_number(value)
            if number is None:
                normal = self.normalise(value)
                number = numbers[value] = len(normals) if normal else NO_NORMAL
                normals += [normal] if normal else []
            if number >= 0:
                start, end = match.span(group)
                add_start(start)
                add_end(end)
                add_number(number)
            else:
                failed.append(match)
        return starts, ends, which

    def _find_nested(
        self, failed: list[re.Match[str]], numbers: dict[str, int]
    ) -> Iterator[re.Match[str]]:
        """Yield the shapes that begin inside a failed one.

        `numbers` must hold each yielded shape before the next is asked for.
        """
        for outer in tuple(failed):
            end, behind = outer.end(), outer.start() + 1
            while (
                inner := self.pattern.search(outer.string, behind, end + LONGEST)
            ) is not None and inner.start() < end:
                yield inner
                behind = inner.end() if numbers[inner[self._group]] >= 0 else inner.start() + 1

    @property
    def _group(self) -> int:
        return self.pattern.groupindex.get("value", 0)


def digits(text: str) -> str:
    """Remove spaces, dots and dashes from `text`."""
    return SEPARATORS.sub("", text)


def compile_labelled(
    labels: Iterable[str], value: str, *, required: bool = True
) -> re.Pattern[str]:
    """Return a pattern of `value` behind one of `labels`, in any case.

    At most a sign, quotes and brackets stand between them. A label in Latin letters is a word of
    its own, but it may be glued to digits (`qq12345`), so the value's pattern must define only its
    end (`AFTER`). Without `required` the value is also found alone, and the group `label` is None.

    >>> compile_labelled(("微信",), r"[a-z]+").search("加微信：abc".replace("：", ":"))["value"]
    'abc'
    """
    words = "|".join(sorted(map(_as_word, labels), key=len, reverse=True))
    optional = "" if required else "?"
    return compile_later(rf"(?i)(?P<label>(?:{words}){GAP}){optional}(?P<value>{value})")


def _as_word(label: str) -> str:
    """Return a pattern of a label, as a separate word if it is Latin.

    A Latin label may be glued to digits of its value, but not to letters.
    """
    escaped = re.escape(label)
    return rf"{BEFORE}{escaped}(?![A-Za-z_])" if label.isascii() else escaped
