"""The statistics of one capture, gathered part by part."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date

from matcher.match.statistics.distinct import LIMIT, Distinct, Lowest, Numbers
from matcher.match.statistics.groups import groups_of
from matcher.match.statistics.key import CaptureKey, in_hex, kind_numbers
from matcher.match.statistics.part import Part
from matcher.match.statistics.runs import longest_run
from matcher.match.statistics.shapes import Shapes
from matcher.match.statistics.shingles import SHINGLE_TEXT, shingles
from ullage.records import Statistics, Term
from ullage.records.finding import SKETCH_SIZE

FEW_CANDIDATES = 8
"""Fewer different candidates than these do not tell one capture from another; its text does."""
SHINGLE_BYTES = 4 * SHINGLE_TEXT
"""Bytes at the beginning of a capture that are kept for that: a character has at most four."""


class Tally:
    """Statistics of a capture: `add` its parts in order, then `finish`. In memory only.

    `today` is the day after which no date counts. Counts are exact up to `limit` different candidates, and estimates beyond it.
    """

    def __init__(self, key: CaptureKey, today: date, limit: int = LIMIT) -> None:
        self._key, self._today = key, today
        self._distinct, self._numbers, self._lowest = Distinct(limit), Numbers(limit), Lowest(SKETCH_SIZE)
        self._failures: Counter[str] = Counter()
        self._shapes = Shapes()
        self._newest: date | None = None
        self._stealer_rows = 0
        self._beginning: list[bytes] = []
        self._size = 0

    def add(self, part: Part, document: int) -> None:
        """Count what document number `document` of a batch holds."""
        for words in part.values(document):
            self._distinct.add(words)
        for tags in part.tags(document):
            self._lowest.add(tags)
        for numbers in part.numbers(document):
            self._numbers.add(numbers)
        self._failures.update(part.failures(document))
        newest = part.newest_date(document, self._today)
        if newest and (self._newest is None or newest > self._newest):
            self._newest = newest
        self._stealer_rows += part.stealer_rows(document)
        self._shapes.add(part.rows.layouts(document))
        if self._size < SHINGLE_BYTES:
            self._beginning.append(part.beginning(document, SHINGLE_BYTES))
        self._size += part.size(document)

    def finish(self, terms: Sequence[Term] = ()) -> Statistics:
        """The statistics of all that was added; `terms` of the lexicon are passed on."""
        counts, shapes = self._distinct.counts(), self._shapes.told()
        is_few = sum(counts) < FEW_CANDIDATES
        return Statistics(
            rows=shapes.rows,
            candidates={kind: counts[number] for kind, number in sorted(kind_numbers().items()) if counts[number]},
            failures=dict(sorted(self._failures.items())),
            longest_run=longest_run(self._numbers.sorted()),
            newest_date=self._newest,
            field_map=dict(sorted(shapes.fields.items())),
            groups=groups_of(shapes.groups),
            skeleton=shapes.skeleton,
            stealer_rows=self._stealer_rows,
            terms=tuple(terms),
            sketch=self._key.sketch(self._shingles()) if is_few else in_hex(self._lowest.found()),
            sketch_of="shingles" if is_few else "candidates",
            bytes=self._size,
            estimated=not self._distinct.is_exact,
        )

    def _shingles(self) -> set[str]:
        """What a capture with few candidates is known by."""
        return shingles("".join([part.decode("utf-8", "ignore") for part in self._beginning]))
