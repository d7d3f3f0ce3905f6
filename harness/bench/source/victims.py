"""Simulated victims of fraud, who are known without any post."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.bench.source.world import World

Rows = npt.NDArray[np.int64]
LEAST, MOST = 20, 2_000
KINDS = {
    "one source": 0.36,
    "one source, skewed calling": 0.09,
    "two sources": 0.155,
    "no leak": 0.185,
    "no leak, families": 0.06,
    "unlisted source": 0.075,
    "unlisted, overlapping": 0.075,
}
"""Shares of the draws."""
FAMILY = 5


@dataclass(frozen=True, slots=True)
class Burst:
    """Victims, and who leaked their data."""

    kind: str
    sources: tuple[int, ...]
    share: float
    """Attributable share of the sources."""
    victims: Rows


def draw_burst(
    world: World, rng: np.random.Generator, kind: str, count: int = 0, share: float = 0.0
) -> Burst:
    """Draw a burst of a kind, of `count` victims if given."""
    count = count or round(float(np.exp(rng.uniform(np.log(LEAST), np.log(MOST)))))
    base = world.draw_victims(rng, count)
    share = share or float(rng.uniform(0.2, 0.9))
    called = rng.random(count) < share
    sources: tuple[int, ...] = ()
    if kind in {"one source", "one source, skewed calling"}:
        sources = (int(rng.choice(world.examinable)),)
        skew = 1.0 if kind.endswith("calling") else 0.0
        base[called] = call(world, rng, world.list_of(sources[0]), int(called.sum()), skew)
    elif kind == "two sources":
        chosen = sorted(rng.choice(world.examinable, 2, replace=False).tolist())
        sources = (chosen[0], chosen[1])
        first = called & (rng.random(count) < rng.uniform(0.3, 0.7))
        for source, who in zip(sources, (first, called & ~first), strict=True):
            base[who] = call(world, rng, world.list_of(source), int(who.sum()))
    elif kind == "no leak, families":
        base = _add_families(world, rng, base)
        share = 0.0
    elif kind == "no leak":
        share = 0.0
    else:
        base[called] = _call_unlisted(world, rng, kind, int(called.sum()))
    _, first_places = np.unique(base, return_index=True)
    return Burst(kind, sources, share, base[np.sort(first_places)])


def call(
    world: World, rng: np.random.Generator, customers: Rows, count: int, skew: float = 0.0
) -> Rows:
    """Draw whom a caller reaches; with `skew` some strata are called more than others."""
    if not skew:
        return rng.choice(customers, count)
    taste = rng.lognormal(0, skew, len(world.members.stratum_sizes))
    weights = np.cumsum(taste[world.members.strata[customers]])
    return np.asarray(
        customers[np.searchsorted(weights, rng.random(count) * weights[-1])], np.int64
    )


def _call_unlisted(world: World, rng: np.random.Generator, kind: str, count: int) -> Rows:
    """Draw customers of a platform that is not a candidate."""
    strata = world.members.strata
    taste = rng.lognormal(0, 1, len(world.members.stratum_sizes))
    weights = np.cumsum(taste[strata])
    places = np.searchsorted(weights, rng.random(count) * weights[-1])
    called: Rows = np.asarray(places, np.int64)
    if kind == "unlisted, overlapping":
        shared = rng.random(count) < rng.uniform(0.1, 0.6)
        list_ = world.list_of(int(rng.choice(world.examinable)))
        called[shared] = rng.choice(list_, int(shared.sum()))
    return called


def _add_families(world: World, rng: np.random.Generator, base: Rows) -> Rows:
    """Replace victims by groups of five who share a stratum and one source each.

    Each group has a source of its own, as when many small lists are called.
    """
    leaders = base[: -(-len(base) // FAMILY)]
    families = list[Rows]()
    for leader in leaders.tolist():
        had = np.flatnonzero(world.members.rows(np.array([leader]))[0])
        list_ = world.list_of(int(rng.choice(had))) if len(had) else np.array([leader])
        near = list_[world.members.strata[list_] == world.members.strata[leader]]
        families.append(np.concatenate([[leader], rng.choice(near, FAMILY - 1)]))
    return np.concatenate(families)[: len(base)]
