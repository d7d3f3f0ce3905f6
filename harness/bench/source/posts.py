"""Simulated posts: whole lists, samples, filters, padding, noise, two sources, and strangers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.bench.source.world import DAYS, FIELDS, World
from matcher.leak_source.evidence import Versions
from matcher.leak_source.post import Post

Rows = npt.NDArray[np.int64]
LEAST, MOST = 20, 50_000
SEEN, INVENTED = 0.85, 0.02
"""Probability that a field which the source had is in the post, and one that it had not."""
TRUE_VERSION = 0.97
WITH_VERSIONS = 0.7
"""Share of posts whose phone numbers can be compared with the history."""


@dataclass(frozen=True, slots=True)
class Leak:
    """A post, its kind, and the candidates that leaked it."""

    kind: str
    sources: tuple[int, ...]
    post: Post


@dataclass(frozen=True, slots=True)
class _Parts:
    """Rows of a post, who had them, and when they were copied."""

    sources: tuple[int, ...]
    rows: Rows
    copied: npt.NDArray[np.int64]
    """Day of the copy of each row."""
    fields: frozenset[str]


def draw_leak(world: World, rng: np.random.Generator, kind: str) -> Leak:
    """Draw a post of a kind."""
    parts = DRAW[kind](world, rng)
    rows, places = np.unique(parts.rows, return_index=True)
    versions = None
    if rng.random() < WITH_VERSIONS:
        versions = _draw_versions(world, rng, rows, parts.copied[places])
    fields = frozenset(
        name for name in FIELDS if rng.random() < (SEEN if name in parts.fields else INVENTED)
    )
    return Leak(kind, parts.sources, Post(rows, fields, versions))


def _draw_versions(
    world: World, rng: np.random.Generator, rows: Rows, copied: npt.NDArray[np.int64]
) -> Versions:
    places = np.flatnonzero(world.changed[rows])
    days = world.changed[rows[places]]
    before = (copied[places] < days) == (rng.random(len(places)) < TRUE_VERSION)
    return Versions(places, np.where(before, 0, days), np.where(before, days - 1, DAYS * 2))


def _draw_size(rng: np.random.Generator, most: int) -> int:
    most = max(LEAST + 5, min(MOST, most))
    return round(float(np.exp(rng.uniform(np.log(LEAST), np.log(most)))))


def _copy_day(world: World, rng: np.random.Generator, source: int) -> int:
    candidate = world.members.candidates[source]
    return int(rng.integers(candidate.first_day, candidate.last_day + 1))


def _from(world: World, rng: np.random.Generator, source: int, rows: Rows) -> _Parts:
    day = _copy_day(world, rng, source)
    fields = world.members.candidates[source].fields
    return _Parts((source,), rows, np.full(len(rows), day), fields)


def _choose(world: World, rng: np.random.Generator, kind: str = "") -> int:
    kinds = world.members.candidates
    return int(rng.choice([c for c in world.examinable if kind in {"", kinds[c].kind}]))


def _subset(rng: np.random.Generator, rows: Rows, most: int | None = None) -> Rows:
    size = _draw_size(rng, min(most or len(rows), len(rows)))
    return rng.choice(rows, min(len(rows), size), replace=False)


def _whole(world: World, rng: np.random.Generator, source: int | None = None) -> _Parts:
    source = _choose(world, rng) if source is None else source
    rows = world.list_of(source)
    rows = rows[rng.random(len(rows)) > rng.uniform(0, 0.1)]
    return _from(world, rng, source, rows[:MOST])


def _sample(world: World, rng: np.random.Generator, source: int | None = None) -> _Parts:
    source = _choose(world, rng) if source is None else source
    return _from(world, rng, source, _subset(rng, world.list_of(source)))


def _filter(world: World, rng: np.random.Generator, rows: Rows) -> Rows:
    """Leave the customers of some strata, as a seller who has only one region does."""
    strata = world.members.strata
    offered = rng.random(int(strata.max()) + 1) < rng.uniform(0.05, 0.5)
    selected = rows[offered[strata[rows]]]
    return selected if len(selected) >= LEAST + 5 else rows


def _draw_filtered(world: World, rng: np.random.Generator) -> _Parts:
    source = _choose(world, rng)
    return _from(world, rng, source, _subset(rng, _filter(world, rng, world.list_of(source))))


def _add_strangers(world: World, rng: np.random.Generator, parts: _Parts, share: float) -> _Parts:
    count = round(len(parts.rows) * share / (1 - share))
    strangers = rng.integers(0, len(world.members), count)
    days = rng.integers(1, DAYS, count)
    return _Parts(
        parts.sources,
        np.concatenate([parts.rows, strangers]),
        np.concatenate([parts.copied, days]),
        parts.fields,
    )


def _draw_padded(world: World, rng: np.random.Generator) -> _Parts:
    parts = _sample(world, rng)
    half = _Parts(parts.sources, parts.rows[: MOST // 2], parts.copied[: MOST // 2], parts.fields)
    return _add_strangers(world, rng, half, rng.uniform(0.2, 0.5))


def _noisy(world: World, rng: np.random.Generator) -> _Parts:
    return _add_strangers(world, rng, _sample(world, rng), rng.uniform(0.02, 0.2))


def _draw_mixed(world: World, rng: np.random.Generator) -> _Parts:
    first, second = _sample(world, rng), _sample(world, rng)
    while first.sources == second.sources:
        second = _sample(world, rng)
    share = rng.uniform(0.25, 0.75)
    count = max(LEAST, min(len(first.rows) / share, len(second.rows) / (1 - share)))
    from_first, from_second = round(count * share), round(count * (1 - share))
    return _Parts(
        (*first.sources, *second.sources),
        np.concatenate([first.rows[:from_first], second.rows[:from_second]]),
        np.concatenate([first.copied[:from_first], second.copied[:from_second]]),
        first.fields | second.fields,
    )


def _none(world: World, rng: np.random.Generator) -> _Parts:
    """Draw an unlisted source with a taste for strata of its own."""
    taste = rng.lognormal(0, 1, len(world.members.stratum_sizes))[world.members.strata]
    customers = np.flatnonzero(rng.random(len(world.members)) < 0.2 * taste / taste.max())
    rows = _subset(rng, customers if len(customers) > LEAST else np.arange(len(world.members)))
    fields = frozenset(rng.choice(FIELDS, int(rng.integers(2, 7)), replace=False).tolist())
    return _Parts((), rows, np.full(len(rows), int(rng.integers(DAYS // 3, DAYS))), fields)


def _overlapping(world: World, rng: np.random.Generator) -> _Parts:
    """Draw an unlisted source of whose rows 5 to 70 % are a candidate's too."""
    parts, list_ = _none(world, rng), world.list_of(_choose(world, rng))
    count = min(len(list_), round(len(parts.rows) * rng.uniform(0.05, 0.7)))
    shared = rng.choice(list_, count, replace=False)
    rows = np.concatenate([shared, parts.rows[count:]])
    return _Parts((), rows, np.full(len(rows), parts.copied[0]), parts.fields)


def _near_copy(world: World, rng: np.random.Generator) -> _Parts:
    pair = world.near_copies[int(rng.integers(len(world.near_copies)))]
    draw = (_whole, _sample)[int(rng.integers(2))]
    return draw(world, rng, pair[int(rng.integers(2))])


DRAW: dict[str, Callable[[World, np.random.Generator], _Parts]] = {
    "whole": _whole,
    "sample": _sample,
    "filtered": _draw_filtered,
    "padded": _draw_padded,
    "noisy": _noisy,
    "mixed": _draw_mixed,
    "devices": lambda world, rng: _sample(world, rng, _choose(world, rng, "devices")),
    "earlier leak": lambda world, rng: _sample(world, rng, _choose(world, rng, "earlier_leak")),
    "98 % copy": _near_copy,
    "none": _none,
    "none, overlapping": _overlapping,
}
