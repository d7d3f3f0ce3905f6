"""Ask a watchlist for the candidates of a batch, and keep what it knows as tables of columns, one
for each stage.

`ask` looks values up          FoundMatches
`corroborate` finds rows       RowMatches
`counts` weighs what is there  WeighedMatches
`counts` finds places in text  ListedMatches
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
from ullage.identifiers import field_by_kind
from ullage.identifiers.email import strip_plus
from ullage.lookup.values import DIGESTED
from ullage.security.cmac import TAG_BYTES
from ullage.security.tags import MessageBlocks, Tags, lay
from ullage.vocabulary.fields import FieldLabel

PLUS = 43
FEW = 8
"""One in so many values may fail its check and be asked for with the others."""
NONE = -1
"""The row of a match that stands in no row."""
BITS = {str(label): 1 << number for number, label in enumerate(FieldLabel)}
"""A bit for each label, in `RowMatches.own`."""
FOLDED, NORMALISED = 1, 2
"""Bits of `ListedMatches.transforms`: something was undone to read the value; it is not written
in its normal form.
"""


class ValueColumns:
    """Normal forms, `normal` u8[n, width] and `length` i64[n], laid out for tagging when first
    asked for: once for all lists.
    """

    def __init__(self, normal: Bytes, length: Places) -> None:
        self.normal, self.length = normal, length

    @cached_property
    def laid(self) -> Sequence[MessageBlocks]:
        """What a tagger takes."""
        return lay(self.normal, self.length)


class ListQuery(NamedTuple):
    """Values asked for as one kind and form, and the bytes [start, end) they stand at.

    `valid` bool[n] says which of them an answer counts for; None for all.
    """

    kind: str
    form: str
    values: ValueColumns
    start: Places
    end: Places
    valid: Flags | None = None

    def __len__(self) -> int:
        return len(self.start)

    def normals(self, places: Places) -> tuple[Bytes, Places]:
        """The normal forms u8[m, width] of some of the values, and how long they are: i64[m]."""
        return self.values.normal[places], self.values.length[places]


@dataclass(frozen=True, slots=True)
class MatchTable:
    """Matches of one list in a batch, as columns; `query` i64[n] is the number of each match's
    question among `kinds`.
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
        """Return columns, and what all matches share, by name: what the table of the next stage
        is made of.
        """
        return {column.name: getattr(self, column.name) for column in fields(self)}


@dataclass(frozen=True, slots=True)
class FoundMatches(MatchTable):
    """What a look-up knows of each match: i64[n] each.

    `asked` are the questions; `value` says which of its question's values it is, `subject` is the
    customer's row in the list, `start` and `end` are bytes of the batch.
    """

    asked: Sequence[ListQuery]
    value: Places
    subject: Places
    start: Places
    end: Places

    @property
    def kinds(self) -> list[tuple[str, str]]:
        """Kind and form of each question."""
        return [(question.kind, question.form) for question in self.asked]

    def joined(self, other: FoundMatches) -> FoundMatches:
        """Return these and behind them those of `other`."""
        query = np.concatenate((self.query, other.query + len(self.asked)))
        columns = (np.concatenate(pair) for pair in (
            (self.value, other.value), (self.subject, other.subject), (self.start, other.start),
            (self.end, other.end)
        ))  # fmt: skip
        return FoundMatches(query, [*self.asked, *other.asked], *columns)

    def by_question(self) -> Iterator[tuple[ListQuery, Places]]:
        """Yield each question that gave some, and the numbers of its matches: i64[m]."""
        order = np.argsort(self.query, kind="stable")
        borders = np.searchsorted(self.query[order], np.arange(len(self.asked) + 1)).tolist()
        for question, (first, last) in zip(self.asked, pairwise(borders), strict=True):
            if first < last:
                yield question, order[first:last]


@dataclass(frozen=True, slots=True)
class RowMatches(FoundMatches):
    """Matches with the `row` of the batch that holds each, NONE for none, and the number of its
    `document`: i64[n].

    `own` i64[n] has a bit for each label of this customer's fields in that row.
    """

    document: Places
    row: Places
    own: Places


@dataclass(frozen=True, slots=True)
class WeighedMatches(RowMatches):
    """Matches weighed: `flags` i64[n] of `counts.Customers`; `word` u64[n], a keyed number that
    tells values apart.
    """

    flags: Places
    word: npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class ListedMatches(MatchTable):
    """What a record tells of each match, without the values that were asked for.

    `first` and `last` are characters of the decoded text and `line` is counted from its beginning;
    `held` is the number of its row's among `labels`, the sets of labels here; `transforms` says
    what was undone, `coincidence` f64[n] is a mask's chance; `handle` and `tag` are u8[n, 16].
    `kinds` are those of the questions, `members` (path, number, kind of container) come by
    `document`.
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
def labels_of(bits: int) -> tuple[str, ...]:
    """The labels that the column `own` has a bit for, in order of the alphabet."""
    return tuple(sorted(label for label, bit in BITS.items() if bits & bit))


def bits_of(asked: Sequence[ListQuery]) -> Places:
    """The bit of each question's label: i64[asked]."""
    return np.array(
        [BITS[field_by_kind().get(question.kind, FieldLabel.OTHER)] for question in asked], np.int64
    )


def questions(segments: Iterable[Segment]) -> Iterator[ListQuery]:
    """What can be asked for `segments`: a digest as each kind's, an address with a plus-tag without
    it too.

    A few values that fail their check are tagged with the others: to take all others out costs
    more.
    """
    for segment in segments:
        good = int(np.count_nonzero(segment.valid))
        some = segment if good * FEW >= len(segment) * (FEW - 1) else segment.where(segment.valid)
        if good:
            values, valid = (
                ValueColumns(some.normal, some.length),
                some.valid if good < len(some) else None,
            )
            for kind in DIGESTED if segment.kind == DIGEST else (segment.kind,):
                yield ListQuery(kind, segment.form, values, some.start, some.end, valid)
            if segment.kind == "email":
                yield from _without_plus_tags(some)


def _without_plus_tags(mail: Segment) -> Iterator[ListQuery]:
    """Addresses with a plus-tag, asked for without it too."""
    tagged = mail.where(anywhere(mail.normal == PLUS))
    if len(tagged):
        whole = [
            row[:size].tobytes().decode()
            for row, size in zip(tagged.normal, tagged.length, strict=True)
        ]
        bare = Texts.of([strip_plus(address).encode() for address in whole])
        yield ListQuery(
            "email", "plain", ValueColumns(bare.table, bare.lengths), tagged.start, tagged.end
        )


def enrolled(asked: Iterable[ListQuery], kinds: frozenset[tuple[str, str]]) -> list[ListQuery]:
    """Those of `asked` whose (kind, form) a list has."""
    return [question for question in asked if (question.kind, question.form) in kinds]


def tags_of(epoch: Epoch, asked: Sequence[ListQuery]) -> Tags:
    """The tags of all values of `asked`, one question after the other: shape (n, 16); one AES
    batch a question.
    """
    out = np.empty((sum(map(len, asked)) + 1, TAG_BYTES), np.uint8)
    begin = 0
    for question in asked:
        end = begin + len(question)
        epoch.tags.tagger(question.kind, question.form).tag_laid(
            question.values.laid, out[begin : end + 1]
        )
        begin = end
    return out[:-1]


def ask(epoch: Epoch, asked: Sequence[ListQuery]) -> FoundMatches:
    """Every enrolled value of `asked`, by question and place, with one look-up for all; none of
    a value that fails its check.
    """
    hits, subjects = (
        epoch.list.look_up(tags_of(epoch, asked))
        if asked
        else (np.empty(0, np.int64), np.empty(0, np.int64))
    )
    order = np.argsort(hits, kind="stable")
    hits = hits[order]
    size, borders = len(hits), np.cumsum([0, *map(len, asked)])
    number = np.searchsorted(borders, hits, "right") - 1
    place = hits - borders[number]
    start, end, counts = np.empty(size, np.int64), np.empty(size, np.int64), np.ones(size, bool)
    for question, (first, last) in zip(
        asked, pairwise(np.searchsorted(hits, borders).tolist()), strict=True
    ):
        own, values = slice(first, last), place[first:last]
        start[own], end[own] = question.start[values], question.end[values]
        if question.valid is not None:
            counts[own] = question.valid[values]
    found = FoundMatches(number, asked, place, subjects[order], start, end)
    return found if counts.all() else found.take(counts)


def ask_barely(epoch: Epoch, batch: Batch, asked: Sequence[ListQuery]) -> RowMatches:
    """Return every enrolled value of `asked`, in order of place, each in no row and with its own
    label alone.

    All that is known where the rows of a capture cannot be read: this uses nothing of
    `matcher.records`.
    """
    found = ask(epoch, enrolled(asked, epoch.list.kinds))
    found = found.take(np.argsort(found.start, kind="stable"))
    known = np.array([question.kind in field_by_kind() for question in found.asked], bool)
    own = (bits_of(found.asked) * known)[found.query]
    return RowMatches(
        **found.fields(),
        document=batch.documents(found.start),
        row=np.full(len(found), NONE),
        own=own,
    )
