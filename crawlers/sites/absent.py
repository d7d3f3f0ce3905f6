"""Pastes that are counted up, of a site that answers 200 for ids that nobody has: such an answer is known by two that surely are.

Both are asked for far ahead of what was counted. What they do not have in common, such as the time, tells nothing; the id that
was asked for may stand in each.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

FAR = 1_000_000
"""So far ahead of an id that is there none is yet."""
WORDS = re.compile(rb"\w+|\W+")
LONGEST = 256 * 1024
"""Bytes of an answer that are compared: nobody writes more to say that there is nothing."""


def far_ids(number: int) -> tuple[int, int]:
    """Two ids that nobody has, where `number` is about the last one."""
    return number + FAR, number + 2 * FAR + 7


@dataclass(frozen=True, slots=True)
class Absent:
    """How a site answers for what is not there: the words of two answers, None in the place of those that differ."""

    words: tuple[bytes | None, ...]

    def is_like(self, body: bytes, number: str) -> bool:
        """Whether an answer for `number` says the same."""
        said = _words(body, number)
        return (
            bool(said)
            and len(said) == len(self.words)
            and all(a is None or a == b for a, b in zip(self.words, said, strict=True))
        )


def absent_of(answers: Sequence[tuple[bytes, str]]) -> Absent | None:
    """What two answers, each for an id, have in common; None where they are no such answers."""
    if len(answers) < 2 or any(len(body) > LONGEST for body, _ in answers):
        return None
    one, other = (_words(body, number) for body, number in answers)
    if len(one) != len(other):
        return None
    return Absent(tuple(a if a == b else None for a, b in zip(one, other, strict=True)))


def _words(body: bytes, number: str) -> list[bytes]:
    """An answer without the id that it is for."""
    if len(body) > LONGEST:
        return []
    return WORDS.findall(re.sub(rb"(?<!\w)%b(?!\w)" % re.escape(number.encode()), b"", body))
