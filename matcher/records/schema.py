"""What the columns of a table are: from its header, and from how many of their cells pass a kind's checksum."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from matcher.records.spans import BLOCK, LINE
from ullage.fields import Field
from ullage.identifiers import field_by_kind

FEWEST_CELLS = 4.0
"""Cells of a shape that a column must have before their checksums say anything."""
Said = tuple[float, int, Field]
"""Rows, a column, and the label that its cells in them say themselves."""


@dataclass(frozen=True, slots=True)
class Columns:
    """The separator of a table ("" for none) and the labels of its header, () where it has none.

    `doubted` are (column, kind) of which most cells fail their checksum: those that pass do so by chance, as every tenth order
    number passes for a card. `typed` says of a column without a label what most of its cells are. Cells of
    `nameless` columns look like names and are tags.
    """

    separator: str = ""
    labels: tuple[Field | None, ...] = ()
    doubted: frozenset[tuple[int, str]] = frozenset()
    typed: Mapping[int, Field] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    """The header as it is written: in memory only, as all that stands in a text."""
    nameless: frozenset[int] = frozenset()

    def separator_in(self, style: int) -> bytes:
        """What parts the cells of a row written in `style`."""
        return self.separator.encode() if style == LINE else b"\n" if style == BLOCK else b","

    def judged(self, seen: Iterable[tuple[float, int, str, bool]], said: Iterable[Said], rows: float) -> Columns:
        """The same, typed by cells of `rows` rows: those `seen` (weight, column, kind, is valid), and what others `said`."""
        shaped: dict[tuple[int, str], float] = defaultdict(float)
        passed: dict[tuple[int, str], float] = defaultdict(float)
        for weight, column, kind, valid in seen:
            shaped[column, kind] += weight
            passed[column, kind] += weight * valid
        many = [place for place, weight in shaped.items() if weight >= FEWEST_CELLS]
        doubted = frozenset(place for place in many if passed[place] < shaped[place] / 2)
        words: dict[tuple[int, Field], float] = defaultdict(float)
        for weight, column, label in said:
            words[column, label] += weight
        typed = {column: label for (column, label), weight in words.items() if weight * 2 > rows}
        by_kind = field_by_kind()
        typed |= {
            column: by_kind[kind] for column, kind in many if kind in by_kind and passed[column, kind] * 2 > rows >= FEWEST_CELLS
        }
        return replace(self, doubted=doubted, typed={**typed, **self.typed})
