"""What an identifier kind is."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from ullage.masking import MASK

SEPARATORS = re.compile(r"[ .\-]")


class Candidate(NamedTuple):
    """A substring that may be an identifier: in memory only, never on the bus, in a log or in a file.

    `start` and `end` are character offsets in the text that was searched; `valid` says whether the checksum holds.
    """

    kind: str
    start: int
    end: int
    normal: str
    valid: bool

    def __repr__(self) -> str:
        """Where it was found, not what it is: a candidate that strays into a message takes no value with it."""
        return f"Candidate({self.kind}, {self.start}-{self.end}, {MASK})"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of identifier.

    `pattern` finds the shape in folded text (ASCII digits, plain separators). `normalise` brings a shape, or a cell of a
    customer list, to the one written form that is tagged; it returns "" for what cannot be this kind. `check` tells whether the
    checksum of a normal form holds. `rank` orders kinds that claim the same stretch of text: the lower wins.
    """

    name: str
    rank: int
    pattern: re.Pattern[str]
    normalise: Callable[[str], str]
    check: Callable[[str], bool]
    examples: tuple[tuple[str, str], ...]
    near_misses: tuple[str, ...]
    random_pass: float
    """Share of random values of this shape that pass `check`: how little the checksum proves."""

    def find(self, text: str) -> list[Candidate]:
        """Candidates of this kind in folded `text`; those whose checksum fails are returned too, marked."""
        found = []
        for match in self.pattern.finditer(text):
            normal = self.normalise(match.group())
            if normal:
                found.append(Candidate(self.name, match.start(), match.end(), normal, self.check(normal)))
        return found


def digits(text: str) -> str:
    """`text` without spaces, dots and dashes."""
    return SEPARATORS.sub("", text)
