"""What corroborates: values that prove nothing alone, looked up in the rows where a customer was found, as that customer's.

Who stands in a row by two masks of different kinds is found there too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from matcher.batches import Searched
from matcher.questions import Question, ask, enrolled, questions, tags_of
from matcher.scan.batch import Places
from matcher.scan.segment import Segment, by_place, joined
from matcher.watchlist.build import normal_name
from matcher.watchlist.columns import Texts, together
from matcher.watchlist.installed import Epoch
from ullage.identifiers import masked

MOST_PAIRS = 1 << 14
"""Weak values of one row times customers found there: each is asked of each, and where there are more the row is a list."""
MOST_ROWS = 1 << 12
"""Rows of which all who have a mask are held at once: some masks are those of hundreds."""
SUBJECT_BITS = 40
"""A row, from 1 on, and a subject below 2^40 go into one number."""
STAR = ord("*")
SHORTER = min(head for head, _ in masked.KEPT["resident_id"])
"""Where the shorter mask of a resident ID begins to hide."""


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
    for question in _of_rows(epoch, searched, owners):
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


def _of_rows(epoch: Epoch, searched: Searched, owners: Owners) -> Iterator[Question]:
    """Weak candidates, and masks of any strength, that stand in a row of `owners`."""
    for segment in searched.segments:
        if segment.weak or segment.form == masked.FORM:
            some = segment.where(np.isin(searched.rows.holding(segment.start), owners.rows))
            yield from enrolled(questions([some]), epoch.list.kinds)


def masked_owners(epoch: Epoch, searched: Searched) -> tuple[Places, Places]:
    """(row, subject) of each customer of whom a masked phone and a masked resident ID stand in one row: i64[n] each.

    Of ten million customers a stranger's row fits one in both by chance once in two million times; where the ID shows but four
    characters first, once in two hundred thousand.
    """
    holding = searched.rows.holding
    phones, ids = (_masks(searched, kind) for kind in ("phone", "resident_id"))
    found = [np.empty(0, np.int64)]
    if len(phones) and len(ids) and epoch.list.kinds >= {(kind, masked.FORM) for kind in masked.KEPT}:
        rows = np.intersect1d(holding(phones.start), holding(ids.start))
        rows = rows[rows >= 0]
        phones, ids = (mask.where(np.isin(holding(mask.start), rows)) for mask in (phones, ids))
        for some in np.split(rows, range(MOST_ROWS, len(rows), MOST_ROWS)) if len(rows) else ():
            borders = (np.searchsorted(holding(mask.start), (some[0], some[-1] + 1)) for mask in (phones, ids))
            own = [mask.take(np.arange(*border)) for mask, border in zip((phones, ids), borders, strict=True)]
            found.append(_in_both(epoch, searched, *own))
    pairs = np.concatenate(found)
    return pairs >> SUBJECT_BITS, pairs & ((1 << SUBJECT_BITS) - 1)


def _masks(searched: Searched, kind: str) -> Segment:
    """All masks of a kind, in order of place."""
    own = [segment for segment in searched.segments if (segment.kind, segment.form) == (kind, masked.FORM)]
    found = replace(joined(own, kind), form=masked.FORM)
    return found.take(by_place(found.start))


def _in_both(epoch: Epoch, searched: Searched, phones: Segment, ids: Segment) -> Places:
    """Those of whom masks of both kinds stand in one row, row and subject as one number: i64[n].

    Looked up are the masks that the fewest share: IDs that show six characters first, and phones beside one that shows four. Who
    has one is asked for the other.
    """
    holding, is_long = searched.rows.holding, ids.normal[:, SHORTER] != STAR
    beside = np.isin(holding(phones.start), holding(ids.start[~is_long]))
    answers = [(segment, ask(epoch, list(questions([segment])))) for segment in (ids.where(is_long), phones.where(beside))]
    row = np.concatenate([holding(segment.start[answer.place]) for segment, answer in answers])
    owners = Owners.of(row, np.concatenate([answer.subject for _, answer in answers]))
    held = (_own(epoch, searched, question, owners) for question in questions([phones, ids]))
    return np.intersect1d(next(held), next(held))


def _own(epoch: Epoch, searched: Searched, question: Question, owners: Owners) -> Places:
    """Those of `owners` whose value stands among those asked for in the same row, row and subject as one number: i64[n]."""
    rows = searched.rows.holding(question.start)
    place, subject = owners.of_rows(rows)
    is_own = epoch.list.belongs(tags_of(epoch, [question])[place], subject)
    return rows[place[is_own]] << SUBJECT_BITS | subject[is_own]
