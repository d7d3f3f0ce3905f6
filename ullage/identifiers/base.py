"""What an identifier kind is."""

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
"""Characters that no shape has."""
SEPARATORS = re.compile(r"[ .\-]")
BEFORE, AFTER = r"(?<![0-9A-Za-z])", r"(?![0-9A-Za-z])"
"""An identifier ends where ASCII letters and digits end: what is glued to Chinese text still
stands alone.
"""
GAP = r"[ \t\"'`\])}】>]{0,3}(?:[:=]|是|为|為|->|=>)?[ \t\"'`\[({【<]{0,3}"
"""Between a label and its value: what closes the label, one sign, what opens the value."""


class Candidate(NamedTuple):
    """A substring that may be an identifier: in memory only, never on the bus, in a log or in a
    file.

    `start` and `end` are character offsets in the text that was searched; `valid` says whether the
    checksum holds. What is `weak` is never a match by itself: it corroborates a row in which
    another field of the same customer matched.
    """

    kind: str
    start: int
    end: int
    normal: str
    valid: bool
    form: str = "plain"
    weak: bool = False

    def __repr__(self) -> str:
        """Where it was found, not what it is: a candidate that strays into a message takes no
        value with it.
        """
        return f"Candidate({self.kind}, {self.start}-{self.end}, {MASK})"


def no_check(_normal: str) -> bool:
    """For kinds without a checksum: every normal form holds."""
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of identifier: everything that is particular to it, from its shape to its name in
    Chinese.

    `pattern` finds the shape in folded text (ASCII digits, plain separators). `normalise` brings a
    shape, or a cell of a customer list, to the one written form that is tagged; it returns "" for
    what cannot be this kind. `check` tells whether the checksum of a normal form holds. `rank`
    orders kinds that claim the same stretch of text: the lower wins.

    A kind with `labels` is so common a shape that one of these words must stand before it, or name
    its column: its pattern comes from `labelled`, the value is the pattern's group `value`, of 5 to
    23 characters.
    """

    name: str
    field: FieldLabel
    """What a column of such values is called, and so how the law weighs it; several kinds may
    share one.
    """
    noun: str
    noun_zh: str
    """What a person calls one: `a phone number`, 手机号."""
    rank: int
    pattern: re.Pattern[str]
    normalise: Callable[[str], str]
    check: Callable[[str], bool] = no_check
    by_chance: bool = False
    """Whether so many values are in use that one made up at random is often somebody's."""
    headers: tuple[str, ...] = ()
    """Words, in lower case, that name such a column or stand before such a value."""
    glued: tuple[str, ...] = ()
    """Words, in lower case, that may stand glued to such a number, as its headers may."""
    labels: tuple[str, ...] = ()
    signs: str = ""
    """Of a kind with labels: what its values have beside letters and digits."""
    alone: str = ""
    """Of a kind with labels that is found without one too, but is then weak: the pattern of such
    values.
    """
    examples: tuple[tuple[str, str], ...] = ()
    """Texts that hold one, and its normal form."""
    near_misses: tuple[str, ...] = ()
    """Texts that hold none that is valid."""

    def find(self, text: str) -> list[Candidate]:
        """Candidates of this kind in folded `text`; those whose checksum fails are returned too,
        marked.
        """
        found = (
            (match, self.normalise(match[self._group])) for match in self.pattern.finditer(text)
        )
        return [self._candidate(match, normal) for match, normal in found if normal]

    def search(self, text: str, start: int = 0) -> tuple[int, int, Candidate | None] | None:
        """The next shape from `start` on: its begin and end, and the candidate if it has a
        normal form. None at the end.
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
        """Where they are: starts, ends, and numbers in `normals`; the same with less work for each,
        none told weak.

        `numbers` says which number a value has as it is written, NO_NORMAL for none: it grows as
        `normals` does, text by text.
        """
        group, starts, ends, which, failed = (
            self._group,
            array("q"),
            array("q"),
            array("q"),
            list[re.Match[str]](),
        )
        add_start, add_end, add_number, known = (
            starts.append,
            ends.append,
            which.append,
            numbers.get,
        )
        # floods go through here
        for match in chain(self.pattern.finditer(text), self._within(failed, numbers)):
            value = match[group]
            number = known(value)
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

    def _within(
        self, failed: list[re.Match[str]], numbers: dict[str, int]
    ) -> Iterator[re.Match[str]]:
        """Shapes that begin within one of `failed`, which are none; `numbers` tells of each
        before the next is asked for.
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
    """`text` without spaces, dots and dashes."""
    return SEPARATORS.sub("", text)


def labelled(labels: Iterable[str], value: str, *, required: bool = True) -> re.Pattern[str]:
    """A pattern of `value` behind one of `labels`, in any case, with at most a sign, quotes and
    brackets between.

    A label in Latin letters is a word of its own, but it may be glued to digits (`qq12345`):
    nothing need be asked of what stands before the value, but its end must be in the pattern
    (`AFTER`). Without `required` the value is found alone as well, and the group `label` is then
    None.

    >>> labelled(("微信",), r"[a-z]+").search("加微信：abc".replace("：", ":"))["value"]
    'abc'
    """
    words = "|".join(sorted(map(_as_word, labels), key=len, reverse=True))
    optional = "" if required else "?"
    return compile_later(rf"(?i)(?P<label>(?:{words}){GAP}){optional}(?P<value>{value})")


def _as_word(label: str) -> str:
    """A Latin label stands apart from other letters and, unless digits follow at once, from its
    value.
    """
    escaped = re.escape(label)
    return rf"{BEFORE}{escaped}(?![A-Za-z_])" if label.isascii() else escaped
