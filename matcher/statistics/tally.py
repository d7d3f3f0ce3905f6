"""The statistics of one capture, gathered part by part."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date

import numpy as np

from matcher.statistics.distinct import LIMIT, Distinct, Numbers, merged
from matcher.statistics.groups import groups_of
from matcher.statistics.key import CaptureKey, Words, in_hex
from matcher.statistics.part import Part
from matcher.statistics.runs import longest_run
from matcher.statistics.shingles import SHINGLE_TEXT, shingles
from ullage.records import Statistics, Term
from ullage.records.finding import SKETCH_SIZE

FEW_CANDIDATES = 8
"""Fewer different candidates than these do not tell one capture from another; its text does."""

SKETCH_FROM = 16 * SKETCH_SIZE
"""Of more tags than these the lowest are taken first, and sorted only then; few are so often repeated that it is not enough."""
MOST_SHAPES = 4096
"""Skeletons and sets of fields that are remembered."""


class Tally:
    """Statistics of a capture: `add` its parts in order, then `finish`. In memory only.

    `today` is the day after which no date counts. Counts are exact up to `limit` different candidates, and estimates beyond it.
    """

    def __init__(self, key: CaptureKey, today: date, limit: int = LIMIT) -> None:
        self._key, self._today = key, today
        self._distinct, self._numbers = Distinct(limit), Numbers(limit)
        self._kinds: dict[str, int] = {}
        self._lowest: Words = np.empty(0, np.uint64)
        self._failures: Counter[str] = Counter()
        self._rows = 0
        self._fields: Counter[str] = Counter()
        self._groups: Counter[frozenset[str]] = Counter()
        self._skeletons: Counter[str] = Counter()
        self._newest: date | None = None
        self._beginning = ""
        self._size = 0

    def add(self, part: Part, document: int) -> None:
        """Count what document number `document` of a batch holds."""
        tags, kinds = part.tags(document)
        numbers = np.array([self._kinds.setdefault(kind, len(self._kinds)) for kind in part.kinds], np.uint8)
        self._distinct.add(tags, numbers[kinds])
        self._keep_lowest(tags)
        self._numbers.add(part.numbers(document))
        self._failures.update(part.failures(document))
        newest = part.newest_date(document, self._today)
        if newest and (self._newest is None or newest > self._newest):
            self._newest = newest
        self._count_rows(part, document)
        self._beginning += part.beginning(document, SHINGLE_TEXT - len(self._beginning))
        self._size += part.size(document)

    def finish(self, terms: Sequence[Term] = ()) -> Statistics:
        """The statistics of all that was added; `terms` of the lexicon are passed on."""
        counts = self._distinct.counts()
        is_few = sum(counts) < FEW_CANDIDATES
        return Statistics(
            rows=self._rows,
            candidates={kind: counts[number] for kind, number in sorted(self._kinds.items()) if counts[number]},
            failures=dict(sorted(self._failures.items())),
            longest_run=longest_run(self._numbers.sorted()),
            newest_date=self._newest,
            field_map=dict(sorted(self._fields.items())),
            groups=groups_of(self._groups),
            skeleton=max(self._skeletons, key=lambda shape: self._skeletons[shape], default=""),
            terms=tuple(terms),
            sketch=self._key.sketch(shingles(self._beginning)) if is_few else in_hex(self._lowest),
            sketch_of="shingles" if is_few else "candidates",
            bytes=self._size,
            estimated=not self._distinct.is_exact,
        )

    def _count_rows(self, part: Part, document: int) -> None:
        """Count rows by what they hold; of very many different shapes the rare ones are forgotten."""
        for layout, rows in part.rows.layouts(document).counted():
            self._rows += rows
            self._fields.update(dict.fromkeys(layout.fields, rows))
            self._groups[layout.fields] += rows
            if layout.skeleton:
                self._skeletons[layout.skeleton] += rows
        if len(self._skeletons) > 2 * MOST_SHAPES:
            self._skeletons = Counter(dict(self._skeletons.most_common(MOST_SHAPES)))
        if len(self._groups) > 2 * MOST_SHAPES:
            self._groups = Counter(dict(self._groups.most_common(MOST_SHAPES)))

    def _keep_lowest(self, tags: Words) -> None:
        """Take the lowest tags into the sketch."""
        if len(self._lowest) == SKETCH_SIZE:
            tags = tags[tags < self._lowest[-1]]
        elif len(tags) > SKETCH_FROM:
            low = tags[tags <= np.partition(tags, SKETCH_FROM)[SKETCH_FROM]]
            tags = low if len(np.unique(low)) >= SKETCH_SIZE else tags
        if len(tags):
            self._lowest = merged(self._lowest, [tags])[:SKETCH_SIZE]
