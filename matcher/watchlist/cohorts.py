"""Labels of customers: cohorts (product, branch, signup month, export, whatever a bank has) and bait, the canaries.

A column `cohort_NAME`, or one that `--map COLUMN=cohort:NAME` says is one, gives each customer a label of that dimension; a
column `canary` the label of the party who alone was given this made-up customer. In the file a customer has one number, of the
combination of labels that is theirs: two bytes a customer, four where there are more than 65,536 combinations.

A label is stored in clear, so it must not be a customer's value. Of a cohort only labels that 20 customers share are stored, and
what could be an identifier, or is the text of another cell of its row, is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from matcher.watchlist.source import CANARY, Batch, Column
from ullage.errors import ConfigError, CorruptError

FEW = 20
"""Customers whom a label must be shared by: fewer are known by it."""
BITS = 12
"""Labels a dimension are fewer than 4,096, so that five dimensions fit a word."""
MOST_DIMENSIONS = 5
MOST_COMBINATIONS = 1 << 20
MOST_DIGITS = 10
"""A label with more digits, such as a phone number has, is refused; a date with hours has ten."""
SHAPE = re.compile(r"[\w .·/+()（）-]{1,40}")
Codes = npt.NDArray[np.uint32]
Label = tuple[str, str]
"""Dimension and label."""


@dataclass(frozen=True, slots=True)
class Table:
    """What the numbers mean: `labels` a dimension, each with how many customers have it; `combination` u16[n, dimensions].

    A combination holds the place of the label in its dimension, from 1; 0 is none. The first combination is that of no label.
    """

    dimensions: tuple[str, ...] = ()
    labels: tuple[tuple[tuple[str, int], ...], ...] = ()
    combination: npt.NDArray[Any] = field(default_factory=lambda: np.zeros((1, 0), np.uint16))

    @classmethod
    def read(cls, dimensions: tuple[str, ...], text: bytes, combination: npt.NDArray[Any]) -> Table:
        """The table of a file; CorruptError when it cannot be."""
        try:
            labels = tuple(tuple((str(name), int(count)) for name, count in own) for own in json.loads(text))
        except (ValueError, TypeError):
            labels = ()
        fits = len(labels) == len(dimensions) and all(
            combination[:, i].max(initial=0) <= len(own) for i, own in enumerate(labels)
        )
        if not fits:
            raise CorruptError("the watchlist's labels are damaged: install or build it again")
        return cls(dimensions, labels, combination)

    def encode(self) -> bytes:
        """The labels as they stand in a file."""
        return json.dumps(self.labels, ensure_ascii=False).encode()

    def enrolled(self) -> dict[Label, int]:
        """Customers a label, as built."""
        return {(d, name): count for d, own in zip(self.dimensions, self.labels, strict=True) for name, count in own}

    def of(self, code: int) -> dict[str, str]:
        """The labels of a combination, by dimension."""
        places = zip(self.dimensions, self.labels, self.combination[code].tolist(), strict=True)
        return {dimension: own[place - 1][0] for dimension, own, place in places if place}


class Coder:
    """Gives combinations of labels numbers, as batches of a list go by."""

    def __init__(self) -> None:
        self._places: dict[str, dict[str, int]] = {}
        self._codes: dict[int, int] = {0: 0}
        self._read: dict[str, dict[bytes, int]] = {}
        """What stands in cells, a dimension, with the place of its label."""

    def __len__(self) -> int:
        return len(self._codes)

    @property
    def is_used(self) -> bool:
        """Whether there are labels at all."""
        return bool(self._places)

    def codes(self, batch: Batch) -> Codes:
        """The combination of each row: u32[n]; ConfigError for what is no label, or for too many."""
        packed = np.zeros(len(batch.lines), np.uint64)
        for column in batch.labels:
            number, own = self._dimension(column.kind)
            cells, read = column.cells.messages(), self._read.setdefault(column.kind, {})
            for cell in [cell for cell in dict.fromkeys(cells) if cell not in read]:
                text = cell.decode("utf-8", "replace").strip()
                if text and text not in own:
                    self._add(batch, column, cells.index(cell), text, own)
                read[cell] = own[text] if text else 0
            packed |= np.fromiter(map(read.__getitem__, cells), np.uint64, len(cells)) << np.uint64(BITS * number)
        distinct, inverse = np.unique(packed, return_inverse=True)
        return np.array([self._code(key) for key in distinct.tolist()], np.uint32)[inverse]

    def code(self, labels: Mapping[str, str]) -> int:
        """The combination of one customer's labels, which are known to be labels."""
        key = 0
        for dimension, label in labels.items():
            number, own = self._dimension(dimension)
            key |= own.setdefault(label, len(own) + 1) << (BITS * number)
        return self._code(key)

    def table(self, counts: npt.NDArray[Any], known: Collection[Label] = ()) -> Table:
        """What the numbers mean, given how many customers have each; labels that few share, and are not `known`, are left out."""
        dimensions = tuple(self._places)
        keys = np.array(list(self._codes), np.uint64)
        combination = np.zeros((len(keys), len(dimensions)), np.uint16)
        labels = []
        for number, (dimension, own) in enumerate(self._places.items()):
            places = ((keys >> np.uint64(BITS * number)) & np.uint64((1 << BITS) - 1)).astype(np.int64)
            totals = np.bincount(places, counts, minlength=len(own) + 1).astype(np.int64).tolist()
            kept = [(n, t) for n, t in zip(own, totals[1:], strict=True) if _may_be_told(dimension, n, t, known)]
            renumbered = np.zeros(len(own) + 1, np.uint16)
            renumbered[[own[name] for name, _ in kept]] = np.arange(1, len(kept) + 1)
            combination[:, number] = renumbered[places]
            labels.append(tuple(kept))
        return Table(dimensions, tuple(labels), combination)

    def _dimension(self, name: str) -> tuple[int, dict[str, int]]:
        if name not in self._places and len(self._places) == MOST_DIMENSIONS:
            raise ConfigError(f"more than {MOST_DIMENSIONS} columns are cohorts: map fewer")
        own = self._places.setdefault(name, {})
        return list(self._places).index(name), own

    def _code(self, key: int) -> int:
        if len(self._codes) > MOST_COMBINATIONS:
            raise ConfigError(f"cohorts have more than {MOST_COMBINATIONS:,} combinations: map fewer, or coarser ones")
        return self._codes.setdefault(key, len(self._codes))

    @staticmethod
    def _add(batch: Batch, column: Column, row: int, text: str, own: dict[str, int]) -> None:
        """Learn a new label."""
        where = f"{batch.path}: line {batch.lines[row]}, column {column.name}"
        cells = (other.cells.take(np.array([row])).strings()[0].strip() for other in batch.columns)
        digits = sum(letter.isdigit() for letter in text)
        if not SHAPE.fullmatch(text) or digits > MOST_DIGITS or text in cells:
            raise ConfigError(f"{where}: may be a customer's value and no label: use short names or codes, or do not map it")
        if len(own) >= (1 << BITS) - 1:
            raise ConfigError(f"{where}: more than {(1 << BITS) - 1:,} different labels: that is no cohort")
        own[text] = len(own) + 1


def _may_be_told(dimension: str, name: str, customers: int, known: Collection[Label]) -> bool:
    return customers > 0 and (dimension == CANARY or customers >= FEW or (dimension, name) in known)


def counts_of(codes: npt.NDArray[Any], combinations: int) -> npt.NDArray[np.int64]:
    """Customers a combination, a stretch at a time."""
    counts = np.zeros(combinations, np.int64)
    for start in range(0, len(codes), 1 << 22):
        counts += np.bincount(codes[start : start + (1 << 22)], minlength=combinations)
    return counts


def tally(tables: Sequence[tuple[Table, npt.NDArray[Any]]]) -> dict[Label, int]:
    """Customers a label, of numbers each with the table that they belong to."""
    found: dict[Label, int] = {}
    for table, codes in tables:
        per_code = np.bincount(codes, minlength=len(table.combination))
        for number, (dimension, own) in enumerate(zip(table.dimensions, table.labels, strict=True)):
            totals = np.bincount(table.combination[:, number], per_code, minlength=len(own) + 1).astype(np.int64)
            for (name, _), total in zip(own, totals[1:].tolist(), strict=True):
                if total:
                    found[dimension, name] = found.get((dimension, name), 0) + total
    return found
