"""What rows look like, counted over a whole capture."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple, TypeVar

from matcher.records import Layout, Layouts

T = TypeVar("T", str, frozenset[str])
MOST_SHAPES = 4096
"""Skeletons and sets of fields that are remembered."""


class Told(NamedTuple):
    """How many rows there are, how many have each field and each set of fields, and the commonest skeleton."""

    rows: int
    fields: Counter[str]
    groups: Counter[frozenset[str]]
    skeleton: str


class Shapes:
    """Counts rows by layout; of very many different ones what is rare is forgotten."""

    def __init__(self) -> None:
        self._layouts: Counter[Layout] = Counter()
        self._rows = 0
        self._fields: Counter[str] = Counter()
        self._groups: Counter[frozenset[str]] = Counter()
        self._skeletons: Counter[str] = Counter()

    def add(self, layouts: Layouts) -> None:
        """Count the rows of a document."""
        for layout, rows in layouts.counted():
            self._layouts[layout] += rows
        if len(self._layouts) > MOST_SHAPES:
            self._sum_up()

    def told(self) -> Told:
        """What was counted."""
        self._sum_up()
        skeleton = max(self._skeletons, key=lambda shape: self._skeletons[shape], default="")
        return Told(self._rows, self._fields, self._groups, skeleton)

    def _sum_up(self) -> None:
        """Turn the layouts counted so far into what is told of them."""
        for (fields, skeleton), rows in self._layouts.items():
            self._rows += rows
            self._fields.update(dict.fromkeys(fields, rows))
            self._groups[fields] += rows
            if skeleton:
                self._skeletons[skeleton] += rows
        self._layouts.clear()
        self._skeletons, self._groups = _common(self._skeletons), _common(self._groups)


def _common(counted: Counter[T]) -> Counter[T]:
    """Those of `counted` that are common, where there are too many."""
    return Counter(dict(counted.most_common(MOST_SHAPES))) if len(counted) > 2 * MOST_SHAPES else counted
