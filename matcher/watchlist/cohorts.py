"""Labels of customers: cohorts (product, branch, signup month, export and so on) and honeytokens.

A column `cohort_NAME`, or one that `--map COLUMN=cohort:NAME` declares as such, gives each customer
a label of that dimension. A column `canary` gives the party to whom alone this invented customer
was given. In the file a customer has one number, that of the combination of labels: two bytes a
customer, or four if there are more than 65,536 combinations.

A label is stored in clear, so it must not be a customer's value. Of a cohort, only labels that 20
customers share are stored. A label that could be an identifier, or is the text of another cell in
its row, is refused.

A list of honeytokens is recorded as a file (`audit.bait`), with the same bytes for any order,
columns or encoding of its source. It has one line a customer, sorted, with values in their normal
form:

    ullage bait 1
    tenant bank
    party sms A
    random 64 hexadecimal digits
    {"customer_ref": ["C1"], "name": ["…"], "phone": ["…"]}

The digest is in the audit log in clear. The random number keeps it from being compared with guesses
of a short list.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from matcher.watchlist.source import CANARY, REFERENCE, ColumnBatch, Source, SourceColumn
from matcher.watchlist.tagging import clean_references, normalise_column
from ullage.errors import ConfigError, CorruptError
from ullage.files.atomic_write import write_new
from ullage.files.validation import read_json
from ullage.lookup.values import identifier_in

FEW = 20
"""Customers who must share a label: fewer could be recognised by it."""
BITS = 12
"""A dimension has fewer than 4,096 labels, so that five dimensions fit into a word."""
MOST_DIMENSIONS = 5
MOST_COMBINATIONS = 1 << 20
MOST_DIGITS = 10
"""A label with more digits, such as a phone number, is refused; a date with hours has ten."""
SHAPE = re.compile(r"[\w .·/+()（）-]{1,40}")
Codes = npt.NDArray[np.uint32]
Label = tuple[str, str]
"""Dimension and label."""


@dataclass(frozen=True, slots=True)
class CohortTable:
    """The meaning of the combinations' numbers.

    `labels` has, per dimension, the labels and the number of customers with each. `combination` is
    u16[n, dimensions]: the place of the label in its dimension, from 1; 0 is none. The first
    combination has no label.
    """

    dimensions: tuple[str, ...] = ()
    labels: tuple[tuple[tuple[str, int], ...], ...] = ()
    combination: npt.NDArray[Any] = field(default_factory=lambda: np.zeros((1, 0), np.uint16))

    @classmethod
    def read(
        cls, dimensions: tuple[str, ...], text: bytes, combination: npt.NDArray[Any]
    ) -> CohortTable:
        """Return the table of labels in `text` (JSON). Raises CorruptError if it is damaged.

        `combination` has the label numbers of each combination, one column per dimension.
        """
        try:
            labels = tuple(
                tuple((str(name), int(count)) for name, count in names) for names in read_json(text)
            )
        except (ValueError, TypeError):
            labels = ()
        fits = len(labels) == len(dimensions) and all(
            combination[:, i].max(initial=0) <= len(names) for i, names in enumerate(labels)
        )
        if not fits:
            raise CorruptError(
                "the cohort labels of a customer list are damaged: `ullage check` says of which;"
                " load that list again"
            )
        return cls(dimensions, labels, combination)

    def encode(self) -> bytes:
        """Return the labels as JSON in UTF-8, as a list file contains them."""
        return json.dumps(self.labels, ensure_ascii=False).encode()

    def count_customers(self) -> dict[Label, int]:
        """Return the number of customers of each label at the time the list was built."""
        return {
            (d, name): count
            for d, names in zip(self.dimensions, self.labels, strict=True)
            for name, count in names
        }

    def find_labels(self, code: int) -> dict[str, str]:
        """Return the labels of a combination, by dimension."""
        places = zip(self.dimensions, self.labels, self.combination[code].tolist(), strict=True)
        return {dimension: names[place - 1][0] for dimension, names, place in places if place}


NO_LABELS = CohortTable()
"""The table of a list without labels."""


class Coder:
    """Assigns numbers to combinations of labels, batch by batch."""

    def __init__(self) -> None:
        self._places: dict[str, dict[str, int]] = {}
        self._codes: dict[int, int] = {0: 0}
        self._read: dict[str, dict[bytes, int]] = {}
        """What stands in cells, a dimension, with the place of its label."""

    def __len__(self) -> int:
        return len(self._codes)

    @property
    def is_used(self) -> bool:
        """Whether any label was added."""
        return bool(self._places)

    def codes(self, batch: ColumnBatch) -> Codes:
        """Return the combination of each row: u32[n].

        Raises `ConfigError` for an invalid label, or for too many labels.
        """
        packed = np.zeros(len(batch.lines), np.uint64)
        for column in batch.labels:
            number, number_of = self._dimension(column.kind)
            cells, read = column.cells.messages(), self._read.setdefault(column.kind, {})
            for cell in [cell for cell in dict.fromkeys(cells) if cell not in read]:
                text = cell.decode("utf-8", "replace").strip()
                if text and text not in number_of:
                    self._add(batch, column, cells.index(cell), text, number_of)
                read[cell] = number_of[text] if text else 0
            packed |= np.fromiter(map(read.__getitem__, cells), np.uint64, len(cells)) << np.uint64(
                BITS * number
            )
        distinct, inverse = np.unique(packed, return_inverse=True)
        return np.array([self._code(key) for key in distinct.tolist()], np.uint32)[inverse]

    def code(self, labels: Mapping[str, str]) -> int:
        """Return the combination of one customer's labels, which are known to be valid."""
        key = 0
        for dimension, label in labels.items():
            number, number_of = self._dimension(dimension)
            key |= number_of.setdefault(label, len(number_of) + 1) << (BITS * number)
        return self._code(key)

    def table(self, counts: npt.NDArray[Any], known: Collection[Label] = ()) -> CohortTable:
        """Return the table of the combinations, given how many customers have each.

        Labels that few customers share, and that are not `known`, are left out.
        """
        dimensions = tuple(self._places)
        keys = np.array(list(self._codes), np.uint64)
        combination = np.zeros((len(keys), len(dimensions)), np.uint16)
        labels = []
        for number, (dimension, number_of) in enumerate(self._places.items()):
            places = ((keys >> np.uint64(BITS * number)) & np.uint64((1 << BITS) - 1)).astype(
                np.int64
            )
            totals = (
                np.bincount(places, counts, minlength=len(number_of) + 1).astype(np.int64).tolist()
            )
            shared = [
                (n, t)
                for n, t in zip(number_of, totals[1:], strict=True)
                if _is_shareable(dimension, n, t, known)
            ]
            renumbered = np.zeros(len(number_of) + 1, np.uint16)
            renumbered[[number_of[name] for name, _ in shared]] = np.arange(1, len(shared) + 1)
            combination[:, number] = renumbered[places]
            labels.append(tuple(shared))
        return CohortTable(dimensions, tuple(labels), combination)

    def _dimension(self, name: str) -> tuple[int, dict[str, int]]:
        if name not in self._places and len(self._places) == MOST_DIMENSIONS:
            raise ConfigError(f"--map: more than {MOST_DIMENSIONS} columns are cohorts: map fewer")
        number_of = self._places.setdefault(name, {})
        return list(self._places).index(name), number_of

    def _code(self, key: int) -> int:
        if len(self._codes) > MOST_COMBINATIONS:
            raise ConfigError(
                f"--map: cohorts have more than {MOST_COMBINATIONS:,} combinations: map"
                " fewer, or coarser ones"
            )
        return self._codes.setdefault(key, len(self._codes))

    @staticmethod
    def _add(
        batch: ColumnBatch, column: SourceColumn, row: int, text: str, number_of: dict[str, int]
    ) -> None:
        """Add a new label.

        Raises ConfigError if it may be a customer's value, or the dimension has too many labels.
        """
        where = f"{batch.path}: line {batch.lines[row]}, column {column.name}"
        cells = (
            value_column.cells.take(np.array([row])).strings()[0].strip()
            for value_column in batch.columns
        )
        digits = sum(letter.isdigit() for letter in text)
        if not SHAPE.fullmatch(text) or digits > MOST_DIGITS or text in cells:
            raise ConfigError(
                f"{where}: may be a customer's value, not a label: use short names or"
                " codes, or do not map the column"
            )
        if len(number_of) >= (1 << BITS) - 1:
            raise ConfigError(
                f"{where}: more than {(1 << BITS) - 1:,} different labels, too many for a"
                " cohort: do not map the column"
            )
        number_of[text] = len(number_of) + 1


def _is_shareable(dimension: str, name: str, customers: int, known: Collection[Label]) -> bool:
    return customers > 0 and (dimension == CANARY or customers >= FEW or (dimension, name) in known)


def counts_of(codes: npt.NDArray[Any], combinations: int) -> npt.NDArray[np.int64]:
    """Return how many customers have each combination of labels: i64[combinations].

    `codes` has the number of each customer's combination.
    """
    counts = np.zeros(combinations, np.int64)
    for start in range(0, len(codes), 1 << 22):
        counts += np.bincount(codes[start : start + (1 << 22)], minlength=combinations)
    return counts


def tally(tables: Sequence[tuple[CohortTable, npt.NDArray[Any]]]) -> dict[Label, int]:
    """Count the customers of each label in several tables with their combinations.

    Labels without a customer are left out.
    """
    totals_by_label: dict[Label, int] = {}
    for table, codes in tables:
        per_code = np.bincount(codes, minlength=len(table.combination))
        for number, (dimension, names) in enumerate(
            zip(table.dimensions, table.labels, strict=True)
        ):
            totals = np.bincount(
                table.combination[:, number], per_code, minlength=len(names) + 1
            ).astype(np.int64)
            for (name, _), total in zip(names, totals[1:].tolist(), strict=True):
                if total:
                    totals_by_label[dimension, name] = (
                        totals_by_label.get((dimension, name), 0) + total
                    )
    return totals_by_label


class PlacedLabels(NamedTuple):
    """The labels of a dimension, and the label of each customer: its place from 1, 0 for none."""

    names: tuple[str, ...]
    places: npt.NDArray[np.uint16]


def place_labels(
    tables: Sequence[tuple[CohortTable, npt.NDArray[Any], npt.NDArray[Any]]], customers: int
) -> dict[str, PlacedLabels]:
    """Return the label of each of `customers` customers, by dimension.

    Each table stands with the rows of some customers and the combination of each of them. Where it
    has any label of a customer, it replaces those of the tables before it.
    """
    names: dict[str, dict[str, int]] = {}
    places: dict[str, npt.NDArray[np.uint16]] = {}
    for table, rows, codes in tables:
        labelled = codes > 0
        for of_dimension in places.values():
            of_dimension[rows[labelled]] = 0
        for number, (dimension, labels) in enumerate(
            zip(table.dimensions, table.labels, strict=True)
        ):
            numbers = names.setdefault(dimension, {})
            renumbered = [0, *(numbers.setdefault(name, len(numbers) + 1) for name, _ in labels)]
            of_dimension = places.setdefault(dimension, np.zeros(customers, np.uint16))
            of_dimension[rows[labelled]] = np.array(renumbered, np.uint16)[
                table.combination[codes[labelled], number]
            ]
    return {name: PlacedLabels(tuple(names[name]), places[name]) for name in names}


People = dict[str, dict[str, set[str]]]


class HoneytokenList(NamedTuple):
    """A list of honeytokens for one party: the file's bytes, and its number of customers."""

    content: bytes
    customers: int

    @property
    def sha256(self) -> str:
        """Return the digest that is recorded, in hex."""
        return hashlib.sha256(self.content).hexdigest()


def bait_of(source: Source, tenant: str, party: str, random: str) -> HoneytokenList:
    """Return the honeytokens for `party` in a list.

    They are the rows with that label in column `canary`, or all rows of a list without that column.
    Raises `ConfigError` for an invalid party, for a value that is unreadable, and if there are
    none.
    """
    if not SHAPE.fullmatch(party) or identifier_in(party):
        raise ConfigError(
            "--canary: must be 1 to 40 letters, digits, spaces or . · / + - ( ) and unlike an"
            " identifier: use the party's label in column canary, or a short name"
        )
    people = _people(source, party)
    if not people:
        raise ConfigError(
            f"{source}: no customer has the label of --canary in column {CANARY}: correct the label"
        )
    lines = sorted(
        json.dumps(_sort_values(ref, values), ensure_ascii=False, sort_keys=True)
        for ref, values in people.items()
    )
    head = ("ullage bait 1", f"tenant {tenant}", f"party {party}", f"random {random}")
    return HoneytokenList("\n".join((*head, *lines, "")).encode(), len(lines))


def _sort_values(reference: str, values: dict[str, set[str]]) -> dict[str, list[str]]:
    return {
        REFERENCE: [reference],
        **{kind: sorted(values_of_kind) for kind, values_of_kind in values.items()},
    }


def _people(source: Source, party: str) -> People:
    """Return normal forms by reference and kind."""
    people: People = defaultdict(lambda: defaultdict(set))
    for batch in source.batches():
        labels = next(
            (column.cells.strings() for column in batch.labels if column.kind == CANARY), None
        )
        mine = [labels is None or labels[row].strip() == party for row in range(len(batch.lines))]
        references, faults = clean_references(batch.references)
        names = references.strings()
        _refuse(
            batch.path,
            batch.lines,
            REFERENCE,
            {row: why for row, why in faults.items() if mine[row]},
        )
        for column in batch.columns:
            rows, normals, faults = normalise_column(column.kind, column.cells)
            _refuse(
                batch.path,
                batch.lines,
                column.name,
                {row: why for row, why in faults.items() if mine[row]},
            )
            for row, value in zip(rows.tolist(), normals.strings(), strict=True):
                if mine[row]:
                    people[names[row]][column.kind].add(value)
    return people


def _refuse(path: Path, lines: Sequence[int], column: str, faults: dict[int, str]) -> None:
    if faults:
        row, why = min(faults.items())
        raise ConfigError(
            f"{path}: line {lines[row]}, column {column}: {why}: correct it, because every"
            " value of a honeytoken must be readable"
        )


def write(path: Path, content: bytes) -> None:
    """Write the recorded file, durably, for its owner alone (mode 0600).

    Raises `ConfigError` if a file of that name exists, which stays as it is, or if it cannot be
    written.
    """
    try:
        write_new(content, path)
    except FileExistsError:
        raise ConfigError(
            f"{path} already exists, and a recorded list is never overwritten: name another file"
        ) from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be written ({error.strerror})") from None
