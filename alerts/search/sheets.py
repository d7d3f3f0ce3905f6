"""Pages that show a state as tables: what a page fills in, and `state.html` shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple

from markupsafe import Markup

from ullage.phrase import Phrase

Tone = Literal["", "good", "bad", "unsure"]


@dataclass(frozen=True, slots=True)
class TableCell:
    """What stands in a field: a text, a phrase, a moment or a number; where it leads; `tone` is never all that says it."""

    value: object
    href: str = ""
    tone: Tone = ""
    code: bool = False
    right: bool = False
    """Of what is said as text and read as a number."""
    below: str = ""
    """The id of what `value` names, in small print."""

    @property
    def is_plain(self) -> bool:
        """Whether nothing is around its value."""
        return not (self.href or self.tone or self.code or self.below)

    @property
    def is_number(self) -> bool:
        """Whether it stands at the right."""
        return self.right or isinstance(self.value, int | float)

    @property
    def is_whole(self) -> bool:
        """Whether it stays on one line."""
        return isinstance(self.value, datetime)


@dataclass(frozen=True, slots=True)
class TableSection:
    """A table under a heading; `empty` is said in its place where it has no row."""

    title: Phrase
    heads: tuple[Phrase, ...]
    rows: Sequence[Sequence[TableCell]]
    empty: Phrase
    note: Phrase | None = None
    pictures: tuple[Markup, ...] = ()
    more: Phrase | None = None
    """Said below the table, of what is left out."""


class FilterField(NamedTuple):
    """What a page is searched by: typed, or chosen where there are `options`, by value."""

    name: str
    label: Phrase
    value: str
    options: Mapping[str, Phrase] = {}


@dataclass(frozen=True, slots=True)
class StatePage:
    """A page: heading, what it comes to in a line, fields to search by, sections."""

    title: Phrase
    sections: tuple[TableSection, ...]
    verdict: Phrase | None = None
    tone: Tone = ""
    fields: tuple[FilterField, ...] = ()
    action: str = ""
    links: tuple[tuple[str, Phrase], ...] = ()
    refused: Any = None
