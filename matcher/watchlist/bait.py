"""A list of bait as the file that is stamped (`audit.bait`): the same bytes whatever order, columns or encoding it came in.

    ullage bait 1
    tenant bank
    party sms A
    random 64 hexadecimal digits
    {"customer_ref": ["C1"], "name": ["…"], "phone": ["…"]}        one line a customer, sorted, values in their normal form

The random number keeps the digest, which lies in the audit log in clear, from being tried against guesses of a short list.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from matcher.watchlist.clean import clean_references, normalised
from matcher.watchlist.cohorts import SHAPE
from matcher.watchlist.source import CANARY, REFERENCE, Source
from ullage.errors import ConfigError
from ullage.lookup.free_text_check import identifier_in

People = dict[str, dict[str, set[str]]]


class Bait(NamedTuple):
    """A list of bait for one party: the file's bytes, and how many customers are in it."""

    content: bytes
    customers: int

    @property
    def sha256(self) -> str:
        """The digest that is stamped, in hex."""
        return hashlib.sha256(self.content).hexdigest()


def bait_of(source: Source, tenant: str, party: str, random: str) -> Bait:
    """The bait for `party` in a list: the rows with that label in column `canary`, or all rows of a list that has none.

    ConfigError for a party that is no label, for a value that cannot be read, and where there is no bait.
    """
    if not SHAPE.fullmatch(party) or identifier_in(party):
        raise ConfigError("--canary: give the party's label as it stands in column canary: a short name or code")
    people = _people(source, party)
    if not people:
        raise ConfigError(f"{source}: holds no customer whose column {CANARY} is that label")
    lines = sorted(json.dumps(_sorted(ref, values), ensure_ascii=False, sort_keys=True) for ref, values in people.items())
    head = ("ullage bait 1", f"tenant {tenant}", f"party {party}", f"random {random}")
    return Bait("\n".join((*head, *lines, "")).encode(), len(lines))


def _sorted(reference: str, values: dict[str, set[str]]) -> dict[str, list[str]]:
    return {REFERENCE: [reference], **{kind: sorted(own) for kind, own in values.items()}}


def _people(source: Source, party: str) -> People:
    """Normal forms by reference and kind."""
    people: People = defaultdict(lambda: defaultdict(set))
    for batch in source.batches():
        labels = next((column.cells.strings() for column in batch.labels if column.kind == CANARY), None)
        mine = [labels is None or labels[row].strip() == party for row in range(len(batch.lines))]
        references, faults = clean_references(batch.references)
        names = references.strings()
        _refuse(batch.path, batch.lines, REFERENCE, {row: why for row, why in faults.items() if mine[row]})
        for column in batch.columns:
            rows, normals, faults = normalised(column.kind, column.cells)
            _refuse(batch.path, batch.lines, column.name, {row: why for row, why in faults.items() if mine[row]})
            for row, value in zip(rows.tolist(), normals.strings(), strict=True):
                if mine[row]:
                    people[names[row]][column.kind].add(value)
    return people


def _refuse(path: Path, lines: Sequence[int], column: str, faults: dict[int, str]) -> None:
    if faults:
        row, why = min(faults.items())
        raise ConfigError(f"{path}: line {lines[row]}, column {column}: {why}: bait must be readable")


def write(path: Path, content: bytes) -> None:
    """Write the file that is stamped, durably and for its owner alone; ConfigError where one is there already."""
    try:
        with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        raise ConfigError(f"{path} is there already: a list that was stamped is never written over; name another file") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be written ({error.strerror})") from None
