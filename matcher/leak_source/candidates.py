"""Who may have leaked: candidate sources, and which customers each of them had.

The memberships of all customers identify them (almost every row is unique), so this table lives
where the customer list lives and never leaves that host. It is one bit for each customer and
candidate: 25 MB for 1 million customers and 200 candidates.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

from matcher.leak_source.numerics import Array, Floats
from ullage.errors import ConfigError

FEW = 20
"""No count of customers below this leaves the list's host, and no statement rests on fewer."""
FEW_OF_STAFF = 200
"""A list of one employee names a person, so it must have at least this many customers."""
BLOCK = 1 << 15
"""Customers whose memberships are unpacked at a time."""
ALL_OR_NONE = 0.02
"""A candidate with more than 1 − this, or less than this, of each stratum equals strata."""
Kind = Literal["own", "staff", "partner", "supplier", "devices", "earlier_leak", "platform"]
Reason = Literal["too_few", "too_few_of_staff", "equals_strata"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One possible source: an export, a partner with what it received, an earlier leak.

    Days are ordinals (`date.toordinal`). A batch was handed over on one day, so `last_day` equals
    `first_day`; a feed is open from the first to the last.
    """

    id: str
    kind: Kind
    first_day: int = 0
    last_day: int = 0
    fields: frozenset[str] = frozenset()
    weight: float = 1.0
    """Prior weight beside the other candidates."""
    may_be_named: bool = False
    """Whether its name may be shown; else its id is."""
    honeytokens: int = 0
    """Honeytokens that only this candidate received."""


@dataclass(frozen=True)
class Memberships:
    """Which of n customers each candidate had, and the stratum of each customer."""

    candidates: tuple[Candidate, ...]
    strata: npt.NDArray[np.uint16]
    """Stratum of each customer (age band, region, product, tenure as one number): u16[n]."""
    bits: npt.NDArray[np.uint8] = field(repr=False)
    """One bit for each candidate, little end first: u8[n, ceil(candidates / 8)]."""

    @classmethod
    def from_lists(
        cls, candidates: Sequence[Candidate], strata: Array, lists: Sequence[Array]
    ) -> Memberships:
        """Build the table from the row numbers of each candidate's customers.

        Raises `ConfigError` if a row number is beyond the customers, or a list is missing.
        """
        if len(lists) != len(candidates):
            raise ConfigError(
                f"{len(candidates)} candidates have {len(lists)} lists: give each candidate its own"
            )
        bits = np.zeros((len(strata), -(-len(candidates) // 8)), np.uint8)
        for number, rows in enumerate(lists):
            if len(rows) and not 0 <= int(np.min(rows)) <= int(np.max(rows)) < len(strata):
                raise ConfigError(
                    f"candidate {candidates[number].id}: a customer is not in the customer list:"
                    " build the list again with the transfers"
                )
            bits[rows, number >> 3] |= np.uint8(1 << (number & 7))
        return cls(tuple(candidates), np.asarray(strata, np.uint16), bits)

    def __len__(self) -> int:
        return len(self.strata)

    @property
    def nbytes(self) -> int:
        """Return the memory of bits, strata and their order."""
        return self.bits.nbytes + self.strata.nbytes + self.order.nbytes

    @cached_property
    def order(self) -> npt.NDArray[np.int32]:
        """Return the customers in order of their strata."""
        return np.argsort(self.strata, kind="stable").astype(np.int32)

    @cached_property
    def stratum_sizes(self) -> npt.NDArray[np.int64]:
        """Return the number of customers in each stratum: i64[strata]."""
        return np.bincount(self.strata).astype(np.int64)

    def rows(self, customers: Array) -> npt.NDArray[np.bool_]:
        """Return who of the candidates had these customers: bool[customers, candidates]."""
        unpacked = np.unpackbits(self.bits[customers], axis=1, bitorder="little")
        return unpacked[:, : len(self.candidates)].view(np.bool_)

    def has(self, candidate: int) -> npt.NDArray[np.bool_]:
        """Return whether the candidate had each customer: bool[n]."""
        return (self.bits[:, candidate >> 3] >> np.uint8(candidate & 7) & 1).astype(np.bool_)

    def blocks(self) -> Iterator[tuple[int, npt.NDArray[np.float32]]]:
        """Yield each stratum's number and memberships, f32[customers, candidates], by blocks."""
        ends = np.cumsum(self.stratum_sizes)
        for stratum, (size, end) in enumerate(
            zip(self.stratum_sizes.tolist(), ends.tolist(), strict=True)
        ):
            for start in range(end - size, end, BLOCK):
                customers = self.order[start : min(end, start + BLOCK)]
                yield stratum, self.rows(customers).astype(np.float32)

    @cached_property
    def sizes(self) -> npt.NDArray[np.int64]:
        """Return the candidates' customers by stratum: i64[strata, candidates]."""
        sizes = np.zeros((len(self.stratum_sizes), len(self.candidates)), np.int64)
        for stratum, block in self.blocks():
            sizes[stratum] += block.sum(axis=0, dtype=np.float64).astype(np.int64)
        return sizes

    @cached_property
    def exposure(self) -> Floats:
        """Return the share of each stratum that each candidate had: f64[strata, candidates]."""
        share: Floats = self.sizes / np.maximum(1, self.stratum_sizes)[:, None]
        return share

    def count_shared(self, candidate: int) -> npt.NDArray[np.int32]:
        """Return how many of its customers each other one had too: i32[strata, candidates]."""
        customers = self.order[self.has(candidate)[self.order]]
        counts, present = count_rows(self.rows(customers), self.strata[customers])
        shared = np.zeros(self.sizes.shape, np.int32)
        shared[present] = counts
        return shared

    @cached_property
    def unexaminable(self) -> dict[int, Reason]:
        """Return the candidates about which nothing can be stated, by number, with the reason.

        `too_few` is below FEW (20) customers, `too_few_of_staff` below FEW_OF_STAFF (200). A
        candidate that has all customers of some strata and none of the others (the bank's own
        region), to within ALL_OR_NONE (2 %), cannot be told from these strata (`equals_strata`). It
        is not excluded: it was not examined.
        """
        totals = self.sizes.sum(axis=0)
        reasons = dict[int, Reason]()
        for number, candidate in enumerate(self.candidates):
            share = self.exposure[self.stratum_sizes > 0, number]
            if totals[number] < FEW:
                reasons[number] = "too_few"
            elif candidate.kind == "staff" and totals[number] < FEW_OF_STAFF:
                reasons[number] = "too_few_of_staff"
            elif np.all((share < ALL_OR_NONE) | (share > 1 - ALL_OR_NONE)) and share.max() > 0.5:
                reasons[number] = "equals_strata"
        return reasons


def count_rows(
    rows: npt.NDArray[np.bool_], strata: Array
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Sum rows by stratum; return i64[present, columns] and the numbers of the present strata."""
    present, places = np.unique(np.asarray(strata, np.int64), return_inverse=True)
    columns = rows.shape[1]
    set_bits = np.flatnonzero(rows)
    row = set_bits // columns
    flat = np.bincount(
        places[row] * columns + (set_bits - row * columns), minlength=len(present) * columns
    )
    return flat.reshape(len(present), columns), present
