"""Wrap raw values so that they are never printed by accident.

A leaked value in memory is a `Secret`: its str, repr and format are masked, it cannot be pickled or
turned into JSON, and only `reveal` returns the text. Reviews search for `reveal`; only the
matcher's hot path calls it.
"""

from __future__ import annotations

from typing import NoReturn

MASK = "•••"


class Secret:
    """A raw value whose every textual form is a mask.

    >>> f"{Secret('13800138000')}"
    '•••'
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the raw text; call it only to hash or compare the value, never to write it."""
        return self._text

    def __str__(self) -> str:
        return MASK

    def __repr__(self) -> str:
        return f"Secret({MASK})"

    def __format__(self, spec: str) -> str:
        return MASK

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is never serialised")
