"""Pages that show a state as tables: what a page fills in, and `state.html` shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from markupsafe import Markup

from ullage.phrase import Phrase

Tone = Literal["", "good", "bad", "unsure"]


@dataclass(frozen=True, slots=True)
class Cell:
    """What stands in a field: a text, a phrase, a moment or a number; where it leads; `tone` is never all that says it."""

    value: object
    href: str = ""
    tone: Tone = ""
    code: bool = False

    @property
    def is_number(self) -> bool:
        """Whether it stands at the right."""
        return isinstance(self.value, int | float)


@dataclass(frozen=True, slots=True)
class Section:
    """A table under a heading; `empty` is said in its place where it has no row."""

    title: Phrase
    heads: tuple[Phrase, ...]
    rows: Sequence[Sequence[Cell]]
    empty: Phrase
    note: Phrase | None = None
    pictures: tuple[Markup, ...] = ()
    more: Phrase | None = None
    """Said below the table, of what is left out."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A page: heading, what it comes to in a line, fields to search by, sections."""

    title: Phrase
    sections: tuple[Section, ...]
    verdict: Phrase | None = None
    tone: Tone = ""
    fields: tuple[tuple[str, Phrase, str], ...] = ()
    """Name, label and value of each."""
    action: str = ""
    links: tuple[tuple[str, Phrase], ...] = ()
    refused: Any = None
