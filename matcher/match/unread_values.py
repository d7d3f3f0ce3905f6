"""Whether what a capture says of people can be looked up at all: values in forms for which no list is asked.

A single hash in a page is nothing, a column of them may be a hundred thousand customers. So what counts is how many there are of
a capture's lines; and digests, which ordinary texts have as well, count for nothing where more values are there in clear.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from matcher.detect.numbers import DIGEST
from matcher.detect.unread import SPELT
from matcher.match.batches import SearchResult
from matcher.records.cookies import COOKIES
from matcher.unpack.protocol import UnreadValueCount
from matcher.watchlist.installation import TenantLists
from ullage.identifiers.masked_value import FORM as MASKED


class Threshold(NamedTuple):
    """How many values are told: `fewest`, and one in so many `lines`; or one in two lines; or `many`, wherever they are."""

    fewest: int
    lines: int
    many: int | None = None
    alone: int = 1
    """How many that are in half of the lines."""

    def is_met(self, count: int, lines: int) -> bool:
        """Whether so many in so many lines are told."""
        enough = count >= self.fewest and count * self.lines >= lines
        return enough or (count >= self.alone and count * 2 >= lines) or (self.many is not None and count >= self.many)


THRESHOLDS = {
    "masked": Threshold(3, 100, 100),
    "spelt": Threshold(2, 20, alone=2),
    "digests": Threshold(3, 10, alone=3),
    "salted": Threshold(3, 10, alone=3),
    "cookies": Threshold(2, 10),
}
NAMES = {"md5": "MD5", "sha1": "SHA-1", "sha256": "SHA-256", "sha384": "SHA-384", "sha512": "SHA-512"}
"""Forms of digests, as a person calls them."""


@dataclass(slots=True)
class UnreadValues:
    """Such values of one capture so far, the first of them in the text at `path`.

    `read` are the forms of digests by which somebody was found.
    """

    counts: Counter[str] = field(default_factory=Counter)
    lines: int = 0
    readable: int = 0
    read: set[str] = field(default_factory=set)
    path: str = ""

    def add(self, path: str, counts: Mapping[str, int], readable: int, lines: int) -> None:
        """Those of the next part, which is at `path`, and how many values in clear and lines it has."""
        self.path = self.path if self.counts else path
        self.counts.update(counts)
        self.readable += readable
        self.lines += lines

    def outcomes(self, enrolled: Collection[str]) -> list[UnreadValueCount]:
        """What is told of them; `enrolled` are the forms that lists have."""
        forms = {form: self.counts[form] for form in NAMES if self.counts[form] > 0 and form not in self.read}
        told = [
            UnreadValueCount(self.path, reason, self.counts[form])
            for reason, form in (("masked", MASKED), ("spelt", SPELT), ("cookies", COOKIES))
        ]
        for reason, is_in in (("digests", False), ("salted", True)):
            own = {form: count for form, count in forms.items() if (form in enrolled) == is_in}
            count = sum(own.values())
            if count > self.readable:
                told.append(UnreadValueCount(self.path, reason, count, NAMES[max(own, key=lambda form: own[form])]))
        return [one for one in told if one.number and THRESHOLDS[one.reason].is_met(one.number, self.lines)]


def count_values(searched: SearchResult, into: Callable[[int], UnreadValues | None]) -> None:
    """Add what a batch has to the values of each part that `into` gives by its number."""
    clear = np.zeros(len(searched.parts), np.int64)
    for segment in searched.segments:
        if not segment.weak and segment.kind != DIGEST:
            clear += np.bincount(searched.batch.documents(segment.start[segment.valid]), minlength=len(clear))
    for number, part in enumerate(searched.parts):
        if (values := into(number)) is not None:
            counts, lines = searched.unread.get(number, Counter()), part.text.utf8.count(b"\n") + 1
            values.add(part.piece.path, counts, int(clear[number]), lines)


def forms_of(lists: Sequence[TenantLists]) -> frozenset[str]:
    """The forms in which values are enrolled in any of the lists."""
    return frozenset(form for own in lists for epoch in own.epochs for _, form in epoch.list.kinds)
