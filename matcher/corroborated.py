"""What corroborates: values that prove nothing alone, looked up in the rows where a customer was found, as that customer's."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np

from matcher.batches import Searched
from matcher.questions import Question, Values, enrolled, questions, tags_of
from matcher.scan.batch import Places
from matcher.scan.literals import Literals, once, stretches
from matcher.watchlist.build import normal_name
from matcher.watchlist.columns import Texts, together
from matcher.watchlist.installed import Epoch
from ullage.identifiers import masked

HIDDEN = tuple((sign * 4).encode() for sign in masked.HIDDEN)
MASK_SIGNS = re.compile(b"|".join(map(re.escape, HIDDEN)))
"""What every masked value has, in UTF-8: a quick look at all rows and at each before the slow one."""


MOST_PAIRS = 1 << 14
"""Weak values of one row times customers found there: each is asked of each, and where there are more the row is a list."""


@cache
def _signs() -> Literals:
    return Literals.of(once(HIDDEN))


@dataclass(frozen=True)
class Owners:
    """Who was found where: pairs of `row` and `subject`, i64[n] each, every pair once, ascending."""

    row: Places
    subject: Places

    @classmethod
    def of(cls, row: Places, subject: Places) -> Owners:
        """From pairs that may come several times."""
        order = np.lexsort((subject, row))
        row, subject = row[order], subject[order]
        is_new = np.ones(len(row), bool)
        is_new[1:] = (row[1:] != row[:-1]) | (subject[1:] != subject[:-1])
        return cls(row[is_new], subject[is_new])

    @cached_property
    def rows(self) -> Places:
        """The rows, each once."""
        return np.unique(self.row)

    def of_rows(self, rows: Places) -> tuple[Places, Places]:
        """Number in `rows`, one for each value, and subject, for everybody who was found there: i64[m] each.

        A row with very many of both gives none.
        """
        first = np.searchsorted(self.row, rows)
        count = np.searchsorted(self.row, rows, "right") - first
        _, which, values = np.unique(rows, return_inverse=True, return_counts=True)
        count[count * values[which] > MOST_PAIRS] = 0
        step = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        return np.repeat(np.arange(len(rows)), count), self.subject[np.repeat(first, count) + step]


def weak(epoch: Epoch, searched: Searched, owners: Owners) -> Iterator[tuple[Question, Places, Places]]:
    """Questions about weak values in the rows of `owners`: which of its values are whose, of those who were found there."""
    for question in (*_weak_columns(epoch, searched, owners), *_masked(searched, owners)):
        if (question.kind, question.form) in epoch.list.kinds:
            place, subject = owners.of_rows(searched.rows.holding(question.start))
            is_own = epoch.list.belongs(tags_of(epoch, [question])[place], subject)
            if is_own.any():
                yield question, place[is_own], subject[is_own]


def named(epoch: Epoch, searched: Searched, owners: Owners) -> tuple[Places, Places]:
    """(row, subject) for each name of a subject that stands in a row where the subject was found: i64[n] each."""
    if ("name", "plain") not in epoch.list.kinds:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    rows, names = _names(searched, owners)
    number, subject = owners.of_rows(rows)
    tags = epoch.tags.tagger("name", "plain").tag_rows(names.table, names.lengths)
    is_own = epoch.list.belongs(tags[number], subject)
    return rows[number[is_own]], subject[is_own]


def _names(searched: Searched, owners: Owners) -> tuple[Places, Texts]:
    """All names in the rows of `owners`: the row, i64[n], and the name as it is enrolled."""
    sure, names = searched.rows.names_at_a_glance(owners.rows)  # Han characters alone: as they are enrolled
    others = [(row, name) for row in searched.rows.looked_at(owners.rows) for name in searched.rows.names(row)]
    rows = np.array([row for row, _ in others], np.int64)
    return np.concatenate((sure, rows)), together([names, Texts.of([normal_name(name).encode() for _, name in others])])


def _weak_columns(epoch: Epoch, searched: Searched, owners: Owners) -> Iterator[Question]:
    """Candidates of weak segments that stand in a row of `owners`."""
    for segment in searched.segments:
        if segment.weak:
            some = segment.where(np.isin(searched.rows.holding(segment.start), owners.rows))
            yield from enrolled(questions([some]), epoch.list.kinds)


def _masked(searched: Searched, owners: Owners) -> Iterator[Question]:
    """Masked values in the rows of `owners`, a question for each kind."""
    found: dict[str, list[tuple[bytes, int, int]]] = defaultdict(list)
    own = owners.rows
    around = stretches(searched.rows.start[own], searched.rows.end[own], len(searched.batch.data)) if len(own) else ()
    for row in own.tolist() if len(_signs().find(searched.batch.data, around)[0]) else ():
        text = searched.rows.text(row)
        line = text.decode("utf-8", "ignore") if MASK_SIGNS.search(text) else ""
        for c in masked.find(line):
            start = int(searched.rows.start[row]) + len(line[: c.start].encode())
            found[c.kind].append((c.normal.encode(), start, start + len(line[c.start : c.end].encode())))
    for kind, values in sorted(found.items()):
        normals = Texts.of([value for value, _, _ in values])
        first, last = np.array([span for _, *span in values], np.int64).T
        yield Question(kind, masked.FORM, Values(normals.table, normals.lengths), first, last)
