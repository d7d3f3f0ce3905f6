"""Corroborate matches: find the row of each, and the other fields of the same customer in that row.

A bare phone proves little (one random number in a hundred is that of a person on a list of ten
million), but two fields of one customer rarely share a row by chance. Weak values (names, masked
values, permits without a label) are therefore looked up only in rows with a customer, or with
masked values of two kinds, and only as values of that customer.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import NamedTuple

import numpy as np

from matcher.columns.batch import Flags, KeyedMembers, Places, Texts, concatenate, ranges
from matcher.detect.candidates import NATIONAL, Segment, join_segments
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
from matcher.match.national import find_at_home
from matcher.watchlist.installation import Epoch
from matcher.watchlist.tagging import normal_name
from ullage.identifiers import masked_value, qq
from ullage.vocabulary.fields import FieldLabel

MOST_PAIRS = 1 << 14
"""Weak values of one row times its customers.

Each value is compared with each customer; a row with more pairs is a list.
"""
MOST_ROWS = 1 << 12
"""Rows whose masks' holders are in memory together: some masks have hundreds of holders."""
SUBJECT_BITS = 40
"""A row, from 1 on, and a subject below 2^40 fit into one number."""
WITH_MAILBOX = BITS[FieldLabel.QQ] | BITS[FieldLabel.EMAIL]
AGREEING = 2
"""Fields of one customer in a row that prove each other."""
STAR = ord("*")
SHORTER = min(head for head, _ in masked_value.KEPT["resident_id"])
"""The position at which the shorter mask of a resident ID begins."""


@dataclass(frozen=True)
class Owners:
    """Customers by row: pairs of `row` and `subject`, i64[n] each, distinct and ascending."""

    row: Places
    subject: Places

    @classmethod
    def from_pairs(cls, row: Places, subject: Places) -> Owners:
        """Return the pairs of `row` and `subject` (i64[n] each), sorted and each one time."""
        # fast, since they come as a few ascending runs
        pairs = np.sort(row << SUBJECT_BITS | subject, kind="stable")
        pairs = pairs[np.diff(pairs, prepend=-1) != 0]
        return cls(pairs >> SUBJECT_BITS, pairs & ((1 << SUBJECT_BITS) - 1))

    @cached_property
    def rows(self) -> Places:
        """Return the distinct rows."""
        return _distinct(self.row)

    def contain(self, row: Places, subject: Places) -> Flags:
        """Return which pairs of `row` and `subject` (i64[n] each) are among the customers."""
        pairs = self.row << SUBJECT_BITS | self.subject
        return np.isin(row << SUBJECT_BITS | subject, pairs)

    def find_owners(self, rows: Places) -> tuple[Places, Places]:
        """Return each customer found in `rows`, with the position in `rows`: i64[m] each.

        `rows` has one row per value. A row whose values times customers are more than MOST_PAIRS
        (16,384) gives none.
        """
        first = np.searchsorted(self.row, rows)
        count = np.searchsorted(self.row, rows, "right") - first
        values = np.bincount(rows - NONE)  # a row of each: several times as fast as to sort them
        count[count * values[rows - NONE] > MOST_PAIRS] = 0
        return np.repeat(np.arange(len(rows)), count), self.subject[ranges(first, count)]


def _to_owners(row: Places, matches: FoundMatches, rows: Places, subjects: Places) -> Owners:
    """Return the customers of `matches` in each `row`, and the pairs of `rows` and `subjects`."""
    in_row = row != NONE
    return Owners.from_pairs(
        *map(np.concatenate, ((row[in_row], rows), (matches.subject[in_row], subjects)))
    )


def _are_corroborated(
    epoch: Epoch, searched: SearchResult, owners: Owners, row: Places, subject: Places
) -> Flags:
    """Return which of the pairs of `row` and `subject` another value or the name corroborates."""
    supposed = Owners.from_pairs(row, subject)
    named = Owners.from_pairs(*find_names(epoch, searched, supposed, supposed.rows))
    return owners.contain(row, subject) | named.contain(row, subject)


def _distinct(rows: Places) -> Places:
    """Return the distinct rows of ascending `rows`, without NONE."""
    different: Places = rows[np.diff(rows, prepend=NONE) != 0]
    return different


def look_up(epoch: Epoch, searched: SearchResult, *, in_full: bool = True) -> RowMatches:
    """Return all matches of one epoch in a batch, in order of place, with their rows and labels.

    Labels are those of the customer's own fields in the row. Unless `in_full`, which takes longer,
    the label of the name may be missing for customers with several fields in a row.
    """
    matches = find_customers(epoch, select_enrolled(searched.asked, epoch.list.kinds))
    row = _rows_of(searched, matches)
    rows, subjects = find_masked_owners(epoch, searched)
    has_national = any(segment.form == NATIONAL for segment in searched.segments)
    if not (len(matches) or len(rows) or has_national):
        return RowMatches(**matches.fields(), document=row, row=row, own=row)  # empty
    owners = _to_owners(row, matches, rows, subjects)
    at_home = find_at_home(epoch, searched, partial(_are_corroborated, epoch, searched, owners))
    if at_home is not None:
        matches = matches.append(at_home)
        row = np.concatenate((row, _rows_of(searched, at_home)))
        owners = _to_owners(row, matches, rows, subjects)
    weak = [
        segment
        for segment in searched.segments
        if segment.form == masked_value.FORM or (segment.weak and segment.form != NATIONAL)
    ]
    for question, value, subject in _match_own_values(epoch, searched, owners, weak):
        more = FoundMatches(
            np.zeros_like(value),
            [question],
            value,
            subject,
            question.start[value],
            question.end[value],
        )
        matches, row = matches.append(more), np.concatenate((row, _rows_of(searched, more)))

    def names(alone: Places) -> tuple[Places, Places]:
        return find_names(epoch, searched, owners, owners.rows if in_full else _distinct(alone))

    labels, once = _labels_of_matches(matches, row, names), _deduplicate(matches)
    matches = matches.take(once)
    return RowMatches(
        **matches.fields(),
        document=searched.batch.documents(matches.start),
        row=row[once],
        own=labels[once],
    )


def _rows_of(searched: SearchResult, found: FoundMatches) -> Places:
    """Return the row of each match: i64[n]."""
    return searched.rows.holding(found.start) if len(found) else found.start


def _labels_of_matches(
    found: FoundMatches, row: Places, names: Callable[[Places], tuple[Places, Places]]
) -> Places:
    """Return the labels of the same customer's values in the row of each match, as bits: i64[n].

    A match in no row has its own label alone. A QQ number and its own mailbox are one value,
    labelled as mail. `names` returns pairs of row and subject whose name is there too; it gets the
    rows with a customer who has no other field there.
    """
    rowless, beyond = np.flatnonzero(row == NONE), row.max(initial=NONE) + 1
    row = row.copy()
    row[rowless] = beyond + np.arange(len(rowless))
    pairs = KeyedMembers.group((row + 1) << SUBJECT_BITS | found.subject)
    bits = pairs.combine_bits(label_bits(found.asked)[found.query])
    with_mailbox = np.flatnonzero(bits & WITH_MAILBOX == WITH_MAILBOX)
    if len(with_mailbox):
        inside = np.flatnonzero(np.isin(pairs.number, with_mailbox))
        repeated = _find_mailbox_owners(found.take(inside), pairs.number[inside])
        bits[repeated] &= ~BITS[FieldLabel.QQ]
    alone = (pairs.keys[np.bitwise_count(bits) < AGREEING] >> SUBJECT_BITS) - 1
    rows, subjects = names(alone[alone < beyond])
    bits[np.searchsorted(pairs.keys, (rows + 1) << SUBJECT_BITS | subjects)] |= BITS[
        FieldLabel.NAME
    ]
    return np.asarray(bits[pairs.number])


def _find_mailbox_owners(found: FoundMatches, owner: Places) -> list[int]:
    """Return the owners whose QQ numbers all are those of their mailboxes at QQ.

    `owner` i64[n] is the number of the owner of each match, in one row.
    """
    numbers, mailboxes = defaultdict[int, set[str]](set), defaultdict[int, set[str]](set)
    for query, members in found.by_query():
        values_of = {"qq": numbers, "email": mailboxes}.get(query.kind)
        if values_of is not None and query.form == "plain":
            values = Texts(*query.normals(found.value[members])).strings()
            for number, value in zip(owner[members].tolist(), values, strict=True):
                values_of[number].add(qq.normalise(value))
    return [number for number, qqs in numbers.items() if qqs <= mailboxes[number]]


def _deduplicate(found: FoundMatches) -> Places:
    """Return the order by place, kind, form and subject.

    Of matches that are equal in all of these, the last is kept.
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


def _match_own_values(
    epoch: Epoch, searched: SearchResult, owners: Owners, segments: Iterable[Segment]
) -> Iterator[tuple[ListQuery, Places, Places]]:
    """Yield queries about `segments` in the rows of `owners`, with an owner's values.

    Each comes with the numbers of the values and the customers: i64[m] each.
    """
    for segment in segments:
        in_rows = segment.select(np.isin(searched.rows.holding(segment.start), owners.rows))
        for query in select_enrolled(build_queries([in_rows]), epoch.list.kinds):
            place, subject = owners.find_owners(searched.rows.holding(query.start))
            is_own = epoch.list.belongs(tag_values(epoch, [query])[place], subject)
            if is_own.any():
                yield query, place[is_own], subject[is_own]


def find_names(
    epoch: Epoch, searched: SearchResult, owners: Owners, rows: Places
) -> tuple[Places, Places]:
    """Return (row, subject) for each customer name in a row where the customer was found.

    Both are empty if the list has no names. `owners` are the customers found in the given `rows`.
    """
    if not len(rows) or ("name", "plain") not in epoch.list.kinds:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    # names in Han characters are enrolled as they are written
    name_rows, written, mixed_names = searched.rows.names(rows)
    names = concatenate(
        [written, Texts.pack([normal_name(name).encode() for _, name in mixed_names])]
    )
    rows = np.concatenate((name_rows, np.array([row for row, _ in mixed_names], np.int64)))
    number, subject = owners.find_owners(rows)
    tags = epoch.tags.tagger("name", "plain").tag_rows(names.table, names.lengths)
    is_own = epoch.list.belongs(tags[number], subject)
    return rows[number[is_own]], subject[is_own]


def find_masked_owners(epoch: Epoch, searched: SearchResult) -> tuple[Places, Places]:
    """Return (row, subject) of each customer with masked phone and ID in one row: i64[n] each.

    Both are empty if the list or the batch lacks one of the two. The ID is a resident ID. Of ten
    million customers, one fits a stranger's row in both by chance in one of two million cases; if
    the ID shows only four leading characters, in one of two hundred thousand.
    """
    forms, pairs_found = (
        {(kind, masked_value.FORM) for kind in masked_value.KEPT},
        [np.empty(0, np.int64)],
    )
    if (
        epoch.list.kinds
        >= forms
        <= {(segment.kind, segment.form) for segment in searched.segments if len(segment)}
    ):
        masks = [_Masks.from_search(searched, kind) for kind in masked_value.KEPT]
        rows = np.intersect1d(masks[0].row, masks[1].row)
        rows = rows[rows >= 0]
        for first in range(0, len(rows), MOST_ROWS):
            chunk = rows[first : first + MOST_ROWS]
            phones, ids = (kind_masks.select_rows(chunk[0], chunk[-1]) for kind_masks in masks)
            owners = _find_holders(epoch, phones, ids, chunk)
            if len(owners.row):
                pairs_found.append(_keep_full_matches(epoch, searched, owners, phones, ids))
    pairs = np.concatenate(pairs_found)
    return pairs >> SUBJECT_BITS, pairs & ((1 << SUBJECT_BITS) - 1)


class _Masks(NamedTuple):
    """All masks of a kind and the row that holds each, i64[n], ascending; −1 for no row."""

    segment: Segment
    row: Places

    @classmethod
    def from_search(cls, searched: SearchResult, kind: str) -> _Masks:
        """Return the masked values of one kind in a batch, such as `138****5678`, by row."""
        segments = [
            segment
            for segment in searched.segments
            if (segment.kind, segment.form) == (kind, masked_value.FORM)
        ]
        segment = replace(join_segments(segments, kind), form=masked_value.FORM)
        row = searched.rows.holding(segment.start)
        order = np.argsort(row, kind="stable")
        return cls(segment.take(order), row[order])

    def select_rows(self, first: int, last: int) -> _Masks:
        """Return the masks in the rows from `first` to `last`, inclusive."""
        begin, end = np.searchsorted(self.row, first), np.searchsorted(self.row, last, "right")
        return _Masks(self.segment.take(np.arange(begin, end)), self.row[begin:end])

    def select(self, chosen: Flags) -> _Masks:
        """Return the chosen masks."""
        return _Masks(self.segment.select(chosen), self.row[chosen])


def _find_holders(epoch: Epoch, phones: _Masks, ids: _Masks, rows: Places) -> Owners:
    """Return all customers who have one of the masks in `rows`, by the masks that the fewest share.

    These are IDs that show six leading characters, and phones beside an ID that shows four.
    """
    is_long = ids.segment.normal[:, SHORTER] != STAR
    short_rows = np.intersect1d(rows, ids.row[~is_long])
    rare_masks = (
        ids.select(is_long & np.isin(ids.row, rows)),
        phones.select(np.isin(phones.row, short_rows)),
    )
    answers = [
        (masks.row, find_customers(epoch, list(build_queries([masks.segment]))))
        for masks in rare_masks
    ]
    row = np.concatenate([row[answer.value] for row, answer in answers])
    return Owners.from_pairs(row, np.concatenate([answer.subject for _, answer in answers]))


def _keep_full_matches(
    epoch: Epoch, searched: SearchResult, owners: Owners, phones: _Masks, ids: _Masks
) -> Places:
    """Return the owners whose masks of both kinds are in the row.

    Row and subject are one number: i64[n].
    """
    pairs_of_kind = {kind: [np.empty(0, np.int64)] for kind in masked_value.KEPT}
    for query, place, subject in _match_own_values(
        epoch, searched, owners, (phones.segment, ids.segment)
    ):
        pairs_of_kind[query.kind].append(
            searched.rows.holding(query.start[place]) << SUBJECT_BITS | subject
        )
    of_phones, of_ids = map(np.concatenate, pairs_of_kind.values())
    return np.intersect1d(of_phones, of_ids)
