"""Look up the candidates of a batch in a customer list; the results are tables of columns.

`build_queries` turns candidates into queries of one kind and form each, `tag_values` hashes them,
and `find_customers` returns those that belong to a customer. A table has one entry per match and
column, as i64[n]. Each stage adds columns to the table of the stage before:

    `find_customers`   looks values up        FoundMatches    value, subject, start, end
    `corroborate`      finds rows             RowMatches      + row, document, own fields
    `counts`           scores matches         WeighedMatches  + flags, keyed number
    `counts`           finds places in text   ListedMatches   the fields of a match's record

A damaged list raises CorruptError before any customer is reported.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache, cached_property
from itertools import pairwise
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from matcher.columns.batch import Batch, Bytes, Flags, Places, Texts
from matcher.detect.candidates import Segment, anywhere
from matcher.detect.numbers import DIGEST
from matcher.watchlist.installation import Epoch
from ullage.identifiers import field_by_kind, qq
from ullage.identifiers.email import strip_plus
from ullage.lookup.values import DIGESTED
from ullage.security.cmac import TAG_BYTES
from ullage.security.tags import MessageBlocks, Tags, lay_out
from ullage.vocabulary.fields import FieldLabel

PLUS, AT = 43, 64
MAILBOX = qq.HOSTS[0]
"""Host of the mail address that every QQ number has."""
FEW = 8
"""Up to one in this many values that fail their check is looked up with the others."""
NONE = -1
"""The row of a match that is in no row."""
BITS = {str(label): 1 << number for number, label in enumerate(FieldLabel)}
"""A bit for each label, in `RowMatches.own`."""
FOLDED, NORMALISED = 1, 2
"""Bits of `ListedMatches.transforms`.

Something was undone to read the value; it is not written in its normal form.
"""


class ValueColumns:
    """Normal forms: `normal` u8[n, width] and `length` i64[n].

    They are laid out for tagging on first use, one time for all lists.
    """

    def __init__(self, normal: Bytes, length: Places) -> None:
        self.normal, self.length = normal, length

    @cached_property
    def laid(self) -> Sequence[MessageBlocks]:
        """Return the values in the layout that a tagger takes."""
        return lay_out(self.normal, self.length)


class ListQuery(NamedTuple):
    """Values to look up as one kind and form, and the bytes [start, end) that hold them.

    `valid` (bool[n]) is whether a match of each value counts; None for all. `mailboxes` are the
    mail addresses to look up in place of the values; None for the values themselves.
    """

    kind: str
    form: str
    values: ValueColumns
    start: Places
    end: Places
    valid: Flags | None = None
    mailboxes: ValueColumns | None = None

    def __len__(self) -> int:
        return len(self.start)

    @property
    def enrolled(self) -> tuple[str, str]:
        """Return the kind and form under which a list holds what is looked up."""
        return (self.kind, self.form) if self.mailboxes is None else ("email", "plain")

    def normals(self, places: Places) -> tuple[Bytes, Places]:
        """Return the normal forms u8[m, width] of the values at `places`, and their lengths."""
        return self.values.normal[places], self.values.length[places]


@dataclass(frozen=True, slots=True)
class MatchTable:
    """Matches of one list in a batch, as columns.

    `query` i64[n] is the number of each match's query among `kinds`.
    """

    query: Places

    def __len__(self) -> int:
        return len(self.query)

    def take(self, which: slice | Places | Flags) -> Self:
        """Return the matches that `which` selects, in that order."""
        columns = {
            name: column[which]
            for name, column in self.fields().items()
            if isinstance(column, np.ndarray)
        }
        return replace(self, **columns)

    def fields(self) -> dict[str, Any]:
        """Return all columns and shared values by name, to build the next stage's table from."""
        return {column.name: getattr(self, column.name) for column in fields(self)}


@dataclass(frozen=True, slots=True)
class FoundMatches(MatchTable):
    """Matches as a look-up returns them: columns i64[n].

    `asked` are the queries; `value` is the number of the value in its query, `subject` is the
    customer's row in the list, `start` and `end` are bytes of the batch.
    """

    asked: Sequence[ListQuery]
    value: Places
    subject: Places
    start: Places
    end: Places

    @property
    def kinds(self) -> list[tuple[str, str]]:
        """Return kind and form of each query."""
        return [(question.kind, question.form) for question in self.asked]

    def append(self, other: FoundMatches) -> FoundMatches:
        """Return a new table of these matches followed by those of `other`."""
        query = np.concatenate((self.query, other.query + len(self.asked)))
        columns = (np.concatenate(pair) for pair in (
            (self.value, other.value), (self.subject, other.subject), (self.start, other.start),
            (self.end, other.end)
        ))  # fmt: skip
        return FoundMatches(query, [*self.asked, *other.asked], *columns)

    def by_query(self) -> Iterator[tuple[ListQuery, Places]]:
        """Yield each query that has matches, with the indexes of its matches here: i64[m]."""
        order = np.argsort(self.query, kind="stable")
        borders = np.searchsorted(self.query[order], np.arange(len(self.asked) + 1)).tolist()
        for query, (first, last) in zip(self.asked, pairwise(borders), strict=True):
            if first < last:
                yield query, order[first:last]


@dataclass(frozen=True, slots=True)
class RowMatches(FoundMatches):
    """Matches with the `row` of the batch that holds each, or NONE, and its `document`: i64[n].

    `own` i64[n] has a bit for each label of this customer's fields in that row.
    """

    document: Places
    row: Places
    own: Places


@dataclass(frozen=True, slots=True)
class WeighedMatches(RowMatches):
    """Scored matches: `flags` i64[n] as in `counts.Customers`.

    `word` u64[n] is a keyed number; two matches have the same one if their values are equal.
    """

    flags: Places
    word: npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class ListedMatches(MatchTable):
    """The fields of each match's record, without the values that were looked up.

    `first` and `last` are characters of the decoded text, and `line` is counted from its beginning.
    `held` is the number of the row's label set among `labels`. `transforms` says how the value was
    changed to be read, and `coincidence` f64[n] is the chance that a mask fits by accident.
    `handle` and `tag` are u8[n, 16]. `kinds` are those of the queries; `members` (path, number,
    kind of container) come by `document`.
    """

    kinds: Sequence[tuple[str, str]]
    members: Sequence[tuple[str, int, str]]
    labels: Sequence[tuple[str, ...]]
    document: Places
    own: Places
    held: Places
    first: Places
    last: Places
    line: Places
    transforms: Places
    coincidence: npt.NDArray[np.float64]
    handle: Bytes
    tag: Bytes


@cache
def to_labels(bits: int) -> tuple[str, ...]:
    """Return the labels of the bits that are set in a value of `own`, in alphabetical order."""
    return tuple(sorted(label for label, bit in BITS.items() if bits & bit))


def label_bits(queries: Sequence[ListQuery]) -> Places:
    """Return the bit that stands for the field label of each query's kind: i64[queries].

    The bits are those of `own` in `RowMatches`.
    """
    return np.array(
        [BITS[field_by_kind().get(question.kind, FieldLabel.OTHER)] for question in queries],
        np.int64,
    )


def build_queries(segments: Iterable[Segment]) -> Iterator[ListQuery]:
    """Yield the queries for `segments`; a segment without a valid candidate gives none.

    A digest is looked up as each kind that is ever digested; an email address with a plus tag also
    without it. If few values fail their check, they are tagged too, because removing them costs
    more.
    """
    for segment in segments:
        valid_count = int(np.count_nonzero(segment.valid))
        queried = (
            segment
            if valid_count * FEW >= len(segment) * (FEW - 1)
            else segment.select(segment.valid)
        )
        if valid_count:
            values, valid = (
                ValueColumns(queried.normal, queried.length),
                queried.valid if valid_count < len(queried) else None,
            )
            for kind in DIGESTED if segment.kind == DIGEST else (segment.kind,):
                yield ListQuery(kind, segment.form, values, queried.start, queried.end, valid)
            if segment.kind == "email":
                yield from _without_plus_tags(queried)


def _without_plus_tags(mail: Segment) -> Iterator[ListQuery]:
    """Yield a query for the addresses with a plus tag, with the tag removed."""
    tagged = mail.select(anywhere(mail.normal == PLUS))
    if len(tagged):
        whole = [
            row[:size].tobytes().decode()
            for row, size in zip(tagged.normal, tagged.length, strict=True)
        ]
        bare = Texts.pack([strip_plus(address).encode() for address in whole])
        yield ListQuery(
            "email", "plain", ValueColumns(bare.table, bare.lengths), tagged.start, tagged.end
        )


def build_mailbox_queries(batch: Batch, segments: Iterable[Segment]) -> Iterator[ListQuery]:
    """Yield queries for the mail addresses at QQ of the QQ numbers that stand without one."""
    host = np.frombuffer(MAILBOX.encode(), np.uint8)
    for segment in segments:
        if segment.kind == "qq" and segment.form == "plain":
            bare = segment.select(segment.valid & (batch.data.take(segment.end) != AT))
            if len(bare):
                width = bare.normal.shape[1]
                address = np.zeros((len(bare), width + len(host)), np.uint8)
                address[:, :width] = bare.normal
                places = bare.length[:, None] + np.arange(len(host))
                np.put_along_axis(address, places, host[None, :], axis=1)
                yield ListQuery(
                    "qq",
                    "plain",
                    ValueColumns(bare.normal, bare.length),
                    bare.start,
                    bare.end,
                    mailboxes=ValueColumns(address, bare.length + len(host)),
                )


def select_enrolled(
    queries: Iterable[ListQuery], kinds: frozenset[tuple[str, str]]
) -> list[ListQuery]:
    """Return the queries whose (kind, form) a list contains."""
    return [query for query in queries if query.enrolled in kinds]


def tag_values(epoch: Epoch, queries: Sequence[ListQuery]) -> Tags:
    """Return the tags of all values, in order of the queries: shape (n, 16).

    Each query costs one AES batch.
    """
    out = np.empty((sum(map(len, queries)) + 1, TAG_BYTES), np.uint8)
    begin = 0
    for query in queries:
        end = begin + len(query)
        epoch.tags.tagger(*query.enrolled).tag_blocks(
            (query.mailboxes or query.values).laid, out[begin : end + 1]
        )
        begin = end
    return out[:-1]


def find_customers(epoch: Epoch, queries: Sequence[ListQuery]) -> FoundMatches:
    """Return every enrolled value of `queries`, by query and place, with one look-up for all.

    Values that fail their check give no match.
    """
    hits, subjects = (
        epoch.list.look_up(tag_values(epoch, queries))
        if queries
        else (np.empty(0, np.int64), np.empty(0, np.int64))
    )
    order = np.argsort(hits, kind="stable")
    hits = hits[order]
    size, borders = len(hits), np.cumsum([0, *map(len, queries)])
    number = np.searchsorted(borders, hits, "right") - 1
    place = hits - borders[number]
    start, end, counts = np.empty(size, np.int64), np.empty(size, np.int64), np.ones(size, bool)
    for query, (first, last) in zip(
        queries, pairwise(np.searchsorted(hits, borders).tolist()), strict=True
    ):
        matches, values = slice(first, last), place[first:last]
        start[matches], end[matches] = query.start[values], query.end[values]
        if query.valid is not None:
            counts[matches] = query.valid[values]
    result = FoundMatches(number, queries, place, subjects[order], start, end)
    return result if counts.all() else result.take(counts)


def find_customers_without_rows(
    epoch: Epoch, batch: Batch, queries: Sequence[ListQuery]
) -> RowMatches:
    """Return every enrolled value of `queries`, in order of place, each in no row.

    It is used where the rows of a capture cannot be read, so it needs nothing of `matcher.records`.
    """
    matches = find_customers(epoch, select_enrolled(queries, epoch.list.kinds))
    matches = matches.take(np.argsort(matches.start, kind="stable"))
    has_label = np.array([query.kind in field_by_kind() for query in matches.asked], bool)
    labels = (label_bits(matches.asked) * has_label)[matches.query]
    return RowMatches(
        **matches.fields(),
        document=batch.documents(matches.start),
        row=np.full(len(matches), NONE),
        own=labels,
    )
