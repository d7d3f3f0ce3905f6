"""From look-up to evidence: in which row a customer stands, what else of them stands there, and how
sure that makes it.

A bare phone proves little (one random number in a hundred is somebody's, on a list of ten million).
Two fields of one customer in one row by chance are negligible. So what is weak (names, masked
values, permits without a label) is looked up only in rows where a customer was found already, or
has masked values of two kinds, and only as that customer's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from matcher.columns.batch import Flags, KeyedMembers, Places, Texts, concatenate, ranges
from matcher.detect.candidates import Segment, joined
from matcher.match.batches import SearchResult
from matcher.match.lookup import (
    BITS,
    NONE,
    FoundMatches,
    ListQuery,
    RowMatches,
    build_queries,
    find_customers,
    label_bits,
    select_enrolled,
    tag_values,
)
from matcher.watchlist.installation import Epoch
from matcher.watchlist.tagging import normal_name
from ullage.identifiers import masked_value
from ullage.vocabulary.fields import FieldLabel

MOST_PAIRS = 1 << 14
"""Weak values of one row times customers found there: each is asked of each, and where there are
more the row is a list.
"""
MOST_ROWS = 1 << 12
"""Rows of which all who have a mask are held at once: some masks are those of hundreds."""
SUBJECT_BITS = 40
"""A row, from 1 on, and a subject below 2^40 go into one number."""
AGREEING = 2
"""Fields of one customer in a row that prove each other."""
STAR = ord("*")
SHORTER = min(head for head, _ in masked_value.KEPT["resident_id"])
"""Where the shorter mask of a resident ID begins to hide."""


@dataclass(frozen=True)
class Owners:
    """Who was found where: pairs of `row` and `subject`, i64[n] each, every pair once,
    ascending.
    """

    row: Places
    subject: Places

    @classmethod
    def of(cls, row: Places, subject: Places) -> Owners:
        """From pairs that may come several times."""
        # fast, since they come as a few ascending runs
        pairs = np.sort(row << SUBJECT_BITS | subject, kind="stable")
        pairs = pairs[np.diff(pairs, prepend=-1) != 0]
        return cls(pairs >> SUBJECT_BITS, pairs & ((1 << SUBJECT_BITS) - 1))

    @cached_property
    def rows(self) -> Places:
        """The rows, each once."""
        return _different(self.row)

    def of_rows(self, rows: Places) -> tuple[Places, Places]:
        """Number in `rows`, one for each value, and subject, for everybody who was found there:
        i64[m] each.

        A row with very many of both gives none.
        """
        first = np.searchsorted(self.row, rows)
        count = np.searchsorted(self.row, rows, "right") - first
        values = np.bincount(rows - NONE)  # a row of each: several times as fast as to sort them
        count[count * values[rows - NONE] > MOST_PAIRS] = 0
        return np.repeat(np.arange(len(rows)), count), self.subject[ranges(first, count)]


def _different(rows: Places) -> Places:
    """Rows that ascend, each once, without NONE."""
    different: Places = rows[np.diff(rows, prepend=NONE) != 0]
    return different


def look_up(epoch: Epoch, searched: SearchResult, *, in_full: bool = True) -> RowMatches:
    """Return all matches of one epoch in a batch, in order of place, with rows and the customer's
    own labels there.

    Unless `in_full`, which takes longer, of customers with several fields in a row it may be left
    out that their name is one.
    """
    found = find_customers(epoch, select_enrolled(searched.asked, epoch.list.kinds))
    row = _rows_of(searched, found)
    rows, subjects = masked_owners(epoch, searched)
    if not (len(found) or len(rows)):
        return RowMatches(**found.fields(), document=row, row=row, own=row)  # of none
    strong = row != NONE
    owners = Owners.of(
        *map(np.concatenate, ((row[strong], rows), (found.subject[strong], subjects)))
    )
    weak = [
        segment
        for segment in searched.segments
        if segment.weak or segment.form == masked_value.FORM
    ]
    for question, value, subject in _own(epoch, searched, owners, weak):
        more = FoundMatches(
            np.zeros_like(value),
            [question],
            value,
            subject,
            question.start[value],
            question.end[value],
        )
        found, row = found.append(more), np.concatenate((row, _rows_of(searched, more)))

    def names(alone: Places) -> tuple[Places, Places]:
        return named(epoch, searched, owners, owners.rows if in_full else _different(alone))

    own, once = _labels_of_matches(found, row, names), _once(found)
    found = found.take(once)
    return RowMatches(
        **found.fields(),
        document=searched.batch.documents(found.start),
        row=row[once],
        own=own[once],
    )


def _rows_of(searched: SearchResult, found: FoundMatches) -> Places:
    """Return the row of each match: i64[n]."""
    return searched.rows.holding(found.start) if len(found) else found.start


def _labels_of_matches(
    found: FoundMatches, row: Places, names: Callable[[Places], tuple[Places, Places]]
) -> Places:
    """Return the labels of all that stands in the row of each match of the same customer, as bits:
    i64[n].

    `names` gives pairs of row and subject whose name stands there too, from the rows in which
    somebody has no other field.
    """
    pairs = KeyedMembers.of((row + 1) << SUBJECT_BITS | found.subject)
    bits = pairs.united(label_bits(found.asked)[found.query])
    rows, subjects = names((pairs.keys[np.bitwise_count(bits) < AGREEING] >> SUBJECT_BITS) - 1)
    bits[np.searchsorted(pairs.keys, (rows + 1) << SUBJECT_BITS | subjects)] |= BITS[
        FieldLabel.NAME
    ]
    return np.asarray(bits[pairs.number])


def _once(found: FoundMatches) -> Places:
    """Return the order by place, kind, form and subject; of what is the same in all of these the
    last.
    """
    order = np.argsort(found.start, kind="stable")
    if (np.diff(found.start[order]) > 0).all():  # mostly no two begin at one place
        return order
    kinds = found.kinds
    rank = np.array([sorted({*kinds}).index(name) for name in kinds], np.int64)[found.query]
    order = np.lexsort((found.subject, rank, found.end, found.start))
    columns = np.stack((found.start, found.end, rank, found.subject))[:, order]
    is_last = np.ones(len(order), bool)
    is_last[:-1] = (columns[:, 1:] != columns[:, :-1]).any(axis=0)
    return np.asarray(order[is_last])


def _own(
    epoch: Epoch, searched: SearchResult, owners: Owners, segments: Iterable[Segment]
) -> Iterator[tuple[ListQuery, Places, Places]]:
    """Questions about `segments` in the rows of `owners`: which of its values are whose, of
    those who were found there.
    """
    for segment in segments:
        some = segment.where(np.isin(searched.rows.holding(segment.start), owners.rows))
        for question in select_enrolled(build_queries([some]), epoch.list.kinds):
            place, subject = owners.of_rows(searched.rows.holding(question.start))
            is_own = epoch.list.belongs(tag_values(epoch, [question])[place], subject)
            if is_own.any():
                yield question, place[is_own], subject[is_own]


def named(
    epoch: Epoch, searched: SearchResult, owners: Owners, rows: Places
) -> tuple[Places, Places]:
    """(row, subject) for each name of a subject that stands in one of `rows` where the subject
    was found: i64[n] each.
    """
    if not len(rows) or ("name", "plain") not in epoch.list.kinds:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    # names in Han characters are enrolled as they are written
    sure, written, others = searched.rows.names(rows)
    names = concatenate([written, Texts.of([normal_name(name).encode() for _, name in others])])
    rows = np.concatenate((sure, np.array([row for row, _ in others], np.int64)))
    number, subject = owners.of_rows(rows)
    tags = epoch.tags.tagger("name", "plain").tag_rows(names.table, names.lengths)
    is_own = epoch.list.belongs(tags[number], subject)
    return rows[number[is_own]], subject[is_own]


def masked_owners(epoch: Epoch, searched: SearchResult) -> tuple[Places, Places]:
    """(row, subject) of each customer of whom a masked phone and a masked resident ID stand in one
    row: i64[n] each.

    Of ten million customers a stranger's row fits one in both by chance once in two million times;
    where the ID shows but four characters first, once in two hundred thousand.
    """
    wanted, found = (
        {(kind, masked_value.FORM) for kind in masked_value.KEPT},
        [np.empty(0, np.int64)],
    )
    if (
        epoch.list.kinds
        >= wanted
        <= {(segment.kind, segment.form) for segment in searched.segments if len(segment)}
    ):
        masks = [_Masks.of(searched, kind) for kind in masked_value.KEPT]
        rows = np.intersect1d(masks[0].row, masks[1].row)
        rows = rows[rows >= 0]
        for first in range(0, len(rows), MOST_ROWS):
            some = rows[first : first + MOST_ROWS]
            phones, ids = (one.within(some[0], some[-1]) for one in masks)
            owners = _holders(epoch, phones, ids, some)
            if len(owners.row):
                found.append(_in_both(epoch, searched, owners, phones, ids))
    pairs = np.concatenate(found)
    return pairs >> SUBJECT_BITS, pairs & ((1 << SUBJECT_BITS) - 1)


class _Masks(NamedTuple):
    """All masks of a kind and the row that holds each, i64[n], ascending; −1 for none."""

    segment: Segment
    row: Places

    @classmethod
    def of(cls, searched: SearchResult, kind: str) -> _Masks:
        """Those of a batch."""
        own = [
            segment
            for segment in searched.segments
            if (segment.kind, segment.form) == (kind, masked_value.FORM)
        ]
        segment = replace(joined(own, kind), form=masked_value.FORM)
        row = searched.rows.holding(segment.start)
        order = np.argsort(row, kind="stable")
        return cls(segment.take(order), row[order])

    def within(self, first: int, last: int) -> _Masks:
        """Those in the rows from `first` to `last`, which is in it."""
        begin, end = np.searchsorted(self.row, first), np.searchsorted(self.row, last, "right")
        return _Masks(self.segment.take(np.arange(begin, end)), self.row[begin:end])

    def where(self, chosen: Flags) -> _Masks:
        """Those that are chosen."""
        return _Masks(self.segment.where(chosen), self.row[chosen])


def _holders(epoch: Epoch, phones: _Masks, ids: _Masks, rows: Places) -> Owners:
    """Everybody who has one of the masks in `rows`: of those that the fewest share.

    These are IDs that show six characters first, and phones beside one that shows four.
    """
    is_long = ids.segment.normal[:, SHORTER] != STAR
    beside = np.intersect1d(rows, ids.row[~is_long])
    asked = ids.where(is_long & np.isin(ids.row, rows)), phones.where(np.isin(phones.row, beside))
    answers = [
        (masks.row, find_customers(epoch, list(build_queries([masks.segment])))) for masks in asked
    ]
    row = np.concatenate([row[answer.value] for row, answer in answers])
    return Owners.of(row, np.concatenate([answer.subject for _, answer in answers]))


def _in_both(
    epoch: Epoch, searched: SearchResult, owners: Owners, phones: _Masks, ids: _Masks
) -> Places:
    """Those of `owners` of whom masks of both kinds stand in the row, row and subject as one
    number: i64[n].
    """
    held = {kind: [np.empty(0, np.int64)] for kind in masked_value.KEPT}
    for question, place, subject in _own(epoch, searched, owners, (phones.segment, ids.segment)):
        held[question.kind].append(
            searched.rows.holding(question.start[place]) << SUBJECT_BITS | subject
        )
    of_phones, of_ids = map(np.concatenate, held.values())
    return np.intersect1d(of_phones, of_ids)
