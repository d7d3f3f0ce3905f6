"""What the columns of a table are: from its header, and from how many of their cells pass a kind's checksum."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ullage.fields import OF_KIND, Field

FEWEST_CELLS = 4.0
"""Cells of a shape that a column must have before their checksums say anything."""


@dataclass(frozen=True, slots=True)
class Columns:
    """The separator of a table ("" for none) and the labels of its header, () where it has none.

    `doubted` are (column, kind) of which most cells fail their checksum: those that pass do so by chance, as every tenth order
    number passes for a card. `typed` says of a column without a label what most of its cells are.
    """

    separator: str = ""
    labels: tuple[Field | None, ...] = ()
    doubted: frozenset[tuple[int, str]] = frozenset()
    typed: Mapping[int, Field] = field(default_factory=dict)

    def judged(self, seen: Iterable[tuple[float, int, str, bool]], rows: float) -> Columns:
        """The same, typed by cells of `rows` rows that were seen: (weight, column, kind, whether the checksum holds)."""
        shaped: dict[tuple[int, str], float] = defaultdict(float)
        passed: dict[tuple[int, str], float] = defaultdict(float)
        for weight, column, kind, valid in seen:
            shaped[column, kind] += weight
            passed[column, kind] += weight * valid
        many = [place for place, weight in shaped.items() if weight >= FEWEST_CELLS]
        doubted = frozenset(place for place in many if passed[place] < shaped[place] / 2)
        typed = {
            column: OF_KIND[kind] for column, kind in many if kind in OF_KIND and passed[column, kind] * 2 > rows >= FEWEST_CELLS
        }
        return Columns(self.separator, self.labels, doubted, typed)
