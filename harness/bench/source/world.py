"""A simulated bank: customers in strata, and candidate sources with overlapping lists.

A world follows from its seed. Its customers are no people: a customer is a row number.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from matcher.leak_source.candidates import Candidate, Kind, Memberships

FIELDS = "phone name id_number address email card balance product branch employer".split()
DAYS = 1_080
"""Days of history; a leak happens after them."""
BATCHES = 0.7
CHANGED = 0.12
"""Share of customers whose phone changed within the history."""
SPREAD = 0.8
"""How much a candidate's share of customers differs between strata."""
CONFOUNDED, STRONGLY = 0.2, 0.6
"""Hidden log odds of being a victim: standard deviation, and that of one candidate in twenty."""
KINDS: dict[Kind, tuple[int, float, float]] = {
    "own": (20, 0.05, 0.6),
    "staff": (30, 0.0006, 0.004),
    "partner": (94, 0.02, 0.25),
    "supplier": (26, 0.02, 0.3),
    "devices": (10, 0.002, 0.02),
    "earlier_leak": (20, 0.005, 0.08),
}
"""Number of candidates of each kind in a full world, and the shares of customers they have."""
COPIES, NEAR_COPIES = 40, 4
"""Partners that have 30 to 95 %, and 98 %, of another partner's customers."""


@dataclass(frozen=True, slots=True)
class Size:
    """How large worlds are."""

    customers: int = 300_000
    strata: int = 300
    candidates: float = 1.0
    """Share of the candidates of `KINDS`."""


@dataclass(frozen=True)
class World:
    """A bank and everything that is random about it."""

    members: Memberships
    base_rate: npt.NDArray[np.float64]
    """How often customers of each stratum are victims anyway."""
    hidden: npt.NDArray[np.float64]
    """Hidden log odds of each candidate's customers."""
    changed: npt.NDArray[np.int64]
    """Day on which each customer's phone changed, 0 if it did not."""
    near_copies: tuple[tuple[int, int], ...] = ()
    """A near copy and what it was copied from."""
    _lists: dict[int, npt.NDArray[np.int64]] = field(default_factory=dict)

    @classmethod
    def make(cls, seed: int, size: Size) -> World:
        """Make the world of a seed."""
        rng = np.random.default_rng(seed)
        weights = rng.dirichlet(np.full(size.strata, 2.0))
        strata = rng.choice(size.strata, size.customers, p=weights).astype(np.uint16)
        candidates, lists, near = _make_candidates(rng, strata, size)
        hidden = rng.normal(0, CONFOUNDED, len(candidates))
        strong = rng.random(len(candidates)) < 0.05
        hidden[strong] = rng.normal(0, STRONGLY, int(strong.sum()))
        changed = np.where(
            rng.random(size.customers) < CHANGED, rng.integers(1, DAYS, size.customers), 0
        )
        members = Memberships.from_lists(candidates, strata, lists)
        return cls(members, rng.lognormal(0, 0.7, size.strata), hidden, changed, near)

    def list_of(self, candidate: int) -> npt.NDArray[np.int64]:
        """Return the customers of a candidate."""
        if candidate not in self._lists:
            self._lists[candidate] = np.flatnonzero(self.members.has(candidate))
        return self._lists[candidate]

    @cached_property
    def risk(self) -> npt.NDArray[np.float64]:
        """Return how often each customer is a victim anyway, hidden odds included."""
        risk = self.base_rate[self.members.strata]
        for start in range(0, len(risk), 1 << 16):
            rows = self.members.rows(np.arange(start, min(len(risk), start + (1 << 16))))
            risk[start : start + (1 << 16)] *= np.exp(rows @ self.hidden.astype(np.float32))
        return risk

    @cached_property
    def _cumulated(self) -> npt.NDArray[np.float64]:
        return np.cumsum(self.risk)

    def draw_victims(self, rng: np.random.Generator, count: int) -> npt.NDArray[np.int64]:
        """Draw victims of everyday fraud."""
        places = rng.random(count) * self._cumulated[-1]
        return np.asarray(np.searchsorted(self._cumulated, places), np.int64)

    @property
    def examinable(self) -> npt.NDArray[np.int64]:
        """Return the candidates with a list that is large enough."""
        left_out = self.members.unexaminable
        return np.array([c for c in range(len(self.members.candidates)) if c not in left_out])


def _make_candidates(
    rng: np.random.Generator, strata: npt.NDArray[np.uint16], size: Size
) -> tuple[list[Candidate], list[npt.NDArray[np.int64]], tuple[tuple[int, int], ...]]:
    candidates, lists = list[Candidate](), list[npt.NDArray[np.int64]]()
    for kind, (count, low, high) in KINDS.items():
        for number in range(max(2, round(count * size.candidates))):
            share = np.exp(rng.uniform(np.log(low), np.log(high)))
            taste = rng.lognormal(0, SPREAD, size.strata)
            chance = np.minimum(0.97, share * taste / taste[strata].mean())
            lists.append(np.flatnonzero(rng.random(len(strata)) < chance[strata]))
            candidates.append(_describe(rng, f"{kind}-{number}", kind))
    partners = [n for n, candidate in enumerate(candidates) if candidate.kind == "partner"]
    rng.shuffle(partners)
    copies = round(COPIES * size.candidates)
    near = max(1, round(NEAR_COPIES * size.candidates))
    sources = [partners[n] for n in range(2 * (copies + near)) if n < len(partners)]
    closest = list[tuple[int, int]]()
    for rank, (copy, source) in enumerate(list(pairwise(sources))[::2]):
        share = 0.98 if rank < near else rng.uniform(0.3, 0.95)
        original = lists[source]
        added = rng.choice(len(strata), round(len(original) * (1 - share)), replace=False)
        copied = original[rng.random(len(original)) < share]
        lists[copy] = np.union1d(copied, added)
        if rank < near:
            closest.append((copy, source))
            candidates[copy] = replace(candidates[copy], fields=candidates[source].fields)
    return candidates, lists, tuple(closest)


def _describe(rng: np.random.Generator, name: str, kind: Kind) -> Candidate:
    first = int(rng.integers(DAYS // 3, DAYS))
    last = first if rng.random() < BATCHES else min(DAYS, first + int(rng.integers(30, 400)))
    fields = {"phone", *rng.choice(FIELDS, int(rng.integers(2, 7)), replace=False).tolist()}
    return Candidate(name, kind, first, last, frozenset(fields))
