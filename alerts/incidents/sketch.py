"""Bottom-k sketches: how much of one text is contained in another, from 256 numbers each.

A sketch is the 256 lowest of a set's keyed tags. With fewer than 256 it is the whole set. A full one says nothing about values
above its highest, so two sketches are compared only up to the lower of their limits; beyond it a missing value is not evidence.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ullage.records.finding import SKETCH_SIZE


class Overlap(NamedTuple):
    """`share` of the smaller side that the other contains, and on how many of its values that rests."""

    share: float
    compared: int


def overlap(one: Sequence[str], other: Sequence[str]) -> Overlap:
    """Compare two sketches of the same kind of value (hex of equal length, so text order is number order)."""
    limits = [max(sketch) for sketch in (one, other) if len(sketch) >= SKETCH_SIZE]
    a, b = ({value for value in sketch if not limits or value <= min(limits)} for sketch in (one, other))
    compared = min(len(a), len(b))
    return Overlap(len(a & b) / compared if compared else 0.0, compared)


def merge(one: Sequence[str], other: Sequence[str]) -> tuple[str, ...]:
    """The sketch of the union: in any order and as often as one likes, the result is the same."""
    return tuple(sorted({*one, *other})[:SKETCH_SIZE])


def known_share(new: Sequence[str], old: Sequence[str]) -> Overlap:
    """Which share of what `new` stands for is in `old` as well; unlike `overlap`, a larger `new` has more that is unknown."""
    limit = max(old) if len(old) >= SKETCH_SIZE else None
    told = {value for value in new if limit is None or value <= limit}
    return Overlap(len(told & set(old)) / len(told) if told else 0.0, len(told))
