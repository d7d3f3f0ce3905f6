"""Score the matches of one list in one capture, and count its customers part by part.

`score` gives each match its flags; `EpochMatches` adds up the matches of all parts of a capture
under one key generation; `to_match_list` finds what a match's record contains: its place in the
decoded text, the labels of its row, and what makes it a record. A customer takes eight bytes,
however often it matches: the row in the list, and flags, which are joined by a bitwise or.

    bit   63             10 9    8        7       6     5      4     3        2 1 0
          │ row in list    │ LENT IDENTITY PRIVATE GRAVE AGREES MINOR VERIFIED C B A │

A, B and C are the classes of the customer's rows; the four bits on the left are what the rows of an
agreeing customer show (`ullage.vocabulary.fields.Shows`). Counts are exact; only the list of
matches has a limit.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from itertools import pairwise, repeat
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from matcher.columns.batch import Bytes, Flags, KeyedMembers, Places, Texts
from matcher.match.batches import SearchResult
from matcher.match.capture_key import (
    CaptureKey,
    Distinct,
    SortedNumbers,
    kind_numbers,
    number_values,
)
from matcher.match.lookup import (
    FOLDED,
    NONE,
    NORMALISED,
    FoundMatches,
    ListedMatches,
    RowMatches,
    WeighedMatches,
    to_labels,
)
from matcher.match.whose_rows import Witnesses
from matcher.watchlist.installation import Epoch, TenantLists
from ullage.identifiers import is_verified, masked_value
from ullage.records import MAX_MATCHES, Match
from ullage.security.cmac import TAG_BYTES
from ullage.verdict import Crowd
from ullage.vocabulary.fields import Shows, classify, shows

CLASSES = {"A": 1, "B": 2, "C": 4}
"""A bit for each class of a customer's rows, the gravest first."""
VERIFIED, MINOR, AGREES = 8, 16, 32
"""Bits for customers whose match is not by chance, minors under 14, and those who agree.

The latter have two fields of their own in a row.
"""
SHOWN = {Shows.GRAVE: 64, Shows.PRIVATE: 128, Shows.IDENTITY: 256, Shows.LENT: 512}
"""A bit for each property that the rows of agreeing customers show."""
FLAG_BITS = 10

ADULT_AT = 14
"""PIPL Art. 28 classifies all data of younger people as sensitive."""
BORN = slice(6, 14)
"""The date of birth in a resident ID of 18 digits."""


class Customers(SortedNumbers[np.int64]):
    """Distinct customers, by row in the list, with their flags: eight bytes a customer."""

    least_pending = 1 << 14

    def __init__(self) -> None:
        super().__init__(np.int64)

    def add_flags(self, subjects: Places, flags: Places) -> None:
        """Add customers i64[n], below 2^53 and possibly repeated, with their flags."""
        self.add(subjects << FLAG_BITS | flags)

    def __len__(self) -> int:
        return len(self.subjects)

    @property
    def subjects(self) -> Places:
        """Return all customers, ascending."""
        return self.list_sorted() >> FLAG_BITS

    def with_flag(self, flag: int) -> Places:
        """Return the numbers of the customers that have the bit `flag` set, ascending."""
        flagged = self.list_sorted()
        return flagged[(flagged & flag) > 0] >> FLAG_BITS

    def count_classes(self, flag: int = 0) -> Counter[str]:
        """Return how many customers have each row class as their most sensitive one.

        With a `flag`, only customers with that bit set are counted.
        """
        flags = self.list_sorted()
        flags = flags[(flags & flag) > 0] if flag else flags
        counts: Counter[str] = Counter()
        for name, bit in CLASSES.items():
            has = (flags & bit) > 0
            counts.update({name: int(np.count_nonzero(has))} if has.any() else {})
            flags = flags[~has]
        return counts

    def count_shown(self) -> dict[frozenset[str], int]:
        """Return how many agreeing customers are in rows that show each set of properties."""
        flagged = self.list_sorted()
        flags, counts = np.unique(
            flagged[(flagged & AGREES) > 0] & sum(SHOWN.values()), return_counts=True
        )
        return {
            frozenset(name for name, bit in SHOWN.items() if bit & flag): count
            for flag, count in zip(flags.tolist(), counts.tolist(), strict=True)
        }

    def _merge(self, new: Places) -> Places:
        """Merge `new`, joining the flags of each customer."""
        every = np.sort(np.concatenate((self._sorted, new)) if len(self._sorted) else new)
        return np.bitwise_or.reduceat(
            every, np.flatnonzero(np.diff(every >> FLAG_BITS, prepend=-1))
        )


RowKey = tuple[frozenset[str], frozenset[str], bool, bool]
"""The properties under which a row with a customer is counted.

They are the fields of its group; these with its customers' own fields; whether two or more fields
are one customer's; and whether the match is not by chance. A customer's own fields may be more: a
digest without a label is a phone's if it matches a customer's phone.
"""


class MatchedRows(NamedTuple):
    """The rows with a customer, ascending: i64[m].

    `number` (i64[m]) is the index in `keys` of each row's key.
    """

    rows: Places
    number: Places
    keys: Sequence[RowKey]

    def count_keys(self, which: slice) -> Counter[RowKey]:
        """Return how many rows of a slice are counted under each key; equal keys are added up."""
        totals: Counter[RowKey] = Counter()
        for number, count in enumerate(np.bincount(self.number[which]).tolist()):
            if count:
                totals[self.keys[number]] += count
        return totals


NO_ROWS = MatchedRows(np.empty(0, np.int64), np.empty(0, np.int64), ())


def score(
    searched: SearchResult, found: RowMatches, key: CaptureKey, adults: Places
) -> tuple[WeighedMatches, MatchedRows]:
    """Return the matches with flags such as "verified", and the rows that contain them.

    A match is verified if chance does not explain it: two fields of its row belong to the customer,
    or values of its kind do not match by chance. `adults` (i64[n]) has for each match the latest
    birthday of an adult, as YYYYMMDD.
    """
    agrees = np.bitwise_count(found.own) >= 2
    is_sure, flags = agrees.copy(), np.zeros(len(found), np.int64)
    for question, matches in found.by_query():
        is_sure[matches] |= is_verified([question.kind], corroborated=False)
        if question.kind == "resident_id" and question.form == "plain":
            normal, _ = question.normals(found.value[matches])
            flags[matches] |= np.where(birth_dates(normal) > adults[matches], MINOR, 0)
    held_by = KeyedMembers.group(found.row)
    outside = int(len(found) > 0 and held_by.keys[0] == NONE)
    rows, number = held_by.keys[outside:], held_by.number
    of_row, groups = searched.rows.groups(rows)
    of_match = held_by.combine_bits(found.own), held_by.any(agrees), held_by.any(is_sure)
    alike = np.stack((of_row, *(column[outside:] for column in of_match)))
    distinct, which = np.unique(alike, axis=1, return_inverse=True)
    keys, shown_by_class = [], []
    for group, own_bits, is_together, is_certain in distinct.T.tolist():
        fields, *shown_bits = _describe_row(groups[group], own_bits)
        keys.append((groups[group], fields, bool(is_together), bool(is_certain)))
        shown_by_class.append(shown_bits)
    of_class, shown = np.array([(CLASSES["C"], 0), *shown_by_class], np.int64)[
        np.concatenate((np.zeros(outside, np.int64), which + 1))
    ].T
    flags |= (
        of_class[number]
        | np.where(is_sure, VERIFIED, 0)
        | np.where(agrees, AGREES | shown[number], 0)
    )
    weighed = WeighedMatches(**found.fields(), flags=flags, word=_number_values(found, key))
    return weighed, MatchedRows(rows, which, keys)


def score_without_rows(found: RowMatches, key: CaptureKey) -> WeighedMatches:
    """Score matches by value alone.

    Anybody may have a given phone number by chance, but not a given resident ID.
    """
    flags = np.full(len(found), CLASSES["C"])
    for query, members in found.by_query():
        flags[members] |= VERIFIED if is_verified([query.kind], corroborated=False) else 0
    return WeighedMatches(**found.fields(), flags=flags, word=_number_values(found, key))


def _number_values(found: FoundMatches, key: CaptureKey) -> npt.NDArray[np.uint64]:
    """Return a keyed number for each match, equal for equal values: u64[n]."""
    numbers = np.empty(len(found), np.uint64)
    for query, members in found.by_query():
        numbers[members] = number_values(
            key.values(*query.normals(found.value[members])), kind_numbers()[query.kind]
        )
    return numbers


@cache
def _describe_row(group: frozenset[str], own: int) -> tuple[frozenset[str], int, int]:
    """Return a row's fields, the bit of its class and the bits of what it shows.

    The fields are those of its group and of its customers' own values (`own`, as bits).
    """
    fields = group.union(to_labels(own))
    return fields, CLASSES[classify(fields)], sum(SHOWN[name] for name in shows(fields))


@dataclass
class EpochMatches:
    """Matches of one key generation of one tenant's list.

    Everything is counted; at most `room` matches are listed, None for all. `groups` counts rows
    with a customer by their fields and what they prove.
    """

    epoch: int
    room: int | None = None
    details: list[ListedMatches] = field(default_factory=list)
    """The listed matches."""
    count: int = 0
    subjects: Customers = field(default_factory=Customers)
    values: Distinct = field(default_factory=Distinct)
    """Distinct values."""
    groups: Counter[RowKey] = field(default_factory=Counter)
    witnesses: Witnesses = field(default_factory=Witnesses)

    def add(self, matches: WeighedMatches, rows: Mapping[RowKey, int]) -> None:
        """Count the matches of one part of a capture, and its rows by their key in `rows`."""
        self.count += len(matches)
        self.subjects.add_flags(matches.subject, matches.flags)
        self.values.add(matches.word)
        self.groups.update(rows)

    @property
    def is_full(self) -> bool:
        """Return whether no further match can be listed."""
        return self.room is not None and sum(map(len, self.details)) >= self.room

    def list_matches(self, matches: ListedMatches) -> bool:
        """Add `matches` to the list while there is room; return whether all were added.

        Matches beyond `room` are dropped from the list; they are still counted by `add`.
        """
        room_left = len(matches) if self.room is None else self.room - sum(map(len, self.details))
        if room_left:
            # a copy: a view keeps the batch's
            self.details.append(matches.take(np.arange(min(room_left, len(matches)))))
        return room_left >= len(matches)

    def iterate_matches(self) -> Iterator[Match]:
        """Return an iterator that builds each listed match on demand."""
        return (match for part in self.details for match in to_records(part))

    @property
    def verified(self) -> Places:
        """Return the customers whom chance cannot have matched, ascending."""
        return self.subjects.with_flag(VERIFIED)

    @property
    def minors(self) -> Places:
        """Return the customers under 14, ascending."""
        return self.subjects.with_flag(MINOR)

    @property
    def kinds(self) -> Counter[str]:
        """Return how many different values each kind has."""
        counts = self.values.counts()
        return Counter(
            {kind: counts[number] for kind, number in kind_numbers().items() if counts[number]}
        )

    @property
    def rows(self) -> int:
        """Return how many rows hold a customer."""
        return sum(self.groups.values())

    @property
    def corroborated(self) -> int:
        """Return the number of rows in which two or more fields belong to one customer."""
        return sum(count for (*_, is_together, _), count in self.groups.items() if is_together)

    def list_row_groups(self) -> Iterator[tuple[frozenset[str], bool, int]]:
        """Yield each set of fields, whether the customer's fields agree, and its number of rows."""
        return (
            (fields, is_together, count)
            for (fields, _, is_together, _), count in self.groups.items()
        )

    def people(self) -> Crowd:
        """Return the crowd of all customers."""
        return Crowd(len(self.subjects), self.subjects.count_classes(), self._count_rows())

    def people_verified(self) -> Crowd:
        """Return the crowd of customers whom chance cannot have matched."""
        return Crowd(
            len(self.verified), self.subjects.count_classes(VERIFIED), self._count_rows(sure=True)
        )

    def people_agreeing(self) -> Crowd:
        """Return the crowd of customers who agree in two or more fields of a row."""
        agreeing = len(self.subjects.with_flag(AGREES))
        return Crowd(
            agreeing,
            self.subjects.count_classes(AGREES),
            self._count_rows(together=True),
            self.subjects.count_shown(),
        )

    def _count_rows(self, *, sure: bool = False, together: bool = False) -> Counter[frozenset[str]]:
        """Return row counts by fields: of all rows, verified customers, or agreeing rows."""
        groups: Counter[frozenset[str]] = Counter()
        for (_, fields, is_together, is_sure), rows in self.groups.items():
            if (is_sure or not sure) and (is_together or not together):
                groups[fields] += rows
        return groups


def birth_dates(resident_ids: Bytes) -> Places:
    """Return the birth date in each resident ID, as the number YYYYMMDD: i64[n].

    `resident_ids` (u8[n, 18 or more]) has 18 ASCII characters per row; nothing is validated.
    """
    digits = resident_ids[:, BORN].astype(np.int64) - ord("0")
    days: Places = digits @ 10 ** np.arange(BORN.stop - BORN.start)[::-1]
    return days


def latest_adult_birthday(day: date) -> int:
    """Return the birthday, as YYYYMMDD, of the youngest people who are adults on `day`."""
    return (day.year - ADULT_AT) * 10_000 + day.month * 100 + day.day


ALONE = {"email": 85, "card": 90, "resident_id": 95, "phone": 70, "iban": 90, "uscc": 60}
"""Confidence in percent of a match by its value alone.

OTHERWISE is for any other kind, TOGETHER for a value beside a field of the same customer.
"""
OTHERWISE = 60
TOGETHER = 99
ROW_FIELDS = 24
TRANSFORMS = {
    0: (),
    FOLDED: ("folded",),
    NORMALISED: ("normalised",),
    FOLDED | NORMALISED: ("folded", "normalised"),
}
WIDEST = 128
"""Bytes of a value that is compared with its normal form in columns.

Longer values are compared singly.
"""


def to_match_list(
    lists: TenantLists, epoch: Epoch, searched: SearchResult, found: WeighedMatches
) -> ListedMatches:
    """Return the record fields of the matches, without the values that were looked up.

    Of the labels of a match's row at most ROW_FIELDS (24) are listed.
    """
    lines = searched.batch.lines(found.start) - searched.batch.lines(
        searched.batch.starts[found.document]
    )
    in_row = np.flatnonzero(found.row != NONE)
    lines[in_row] = searched.rows.lines(found.row[in_row])
    number, row_fields = searched.rows.fields(found.row[in_row])
    field_number = np.zeros(len(found), np.int64)
    field_number[in_row] = number + 1
    row_fields = [frozenset(), *row_fields]
    label_bits, own_number = np.unique(found.own, return_inverse=True)
    pairs, pair = np.unique(field_number * len(label_bits) + own_number, return_inverse=True)
    label_sets = [
        tuple(sorted(row_fields[fields].union(to_labels(bits))))[:ROW_FIELDS]
        for fields, bits in zip(
            (pairs // len(label_bits)).tolist(),
            label_bits[pairs % len(label_bits)].tolist(),
            strict=True,
        )
    ]
    numbers = {labels: place for place, labels in enumerate(dict.fromkeys(label_sets))}
    place = locate(searched, found.document, found.start, found.end)
    place = place._replace(
        transforms=place.transforms | np.where(_are_normal(searched, found), 0, NORMALISED)
    )
    held_labels = RowLabels(
        np.array([numbers[labels] for labels in label_sets], np.int64)[pair], list(numbers)
    )
    return _build_match_list(
        lists, epoch, searched, found, place, lines, held_labels, _coincidences(found)
    )


def to_match_list_without_rows(
    lists: TenantLists, epoch: Epoch, searched: SearchResult, found: WeighedMatches
) -> ListedMatches:
    """Return the record fields of matches whose rows cannot be read.

    Their places are bytes of the text as it was searched.
    """
    begin, parts = searched.batch.starts[found.document], searched.parts
    offset = np.array([part.piece.offset for part in parts], np.int64)[found.document] - begin
    place = TextPlaces(found.start + offset, found.end + offset, np.zeros_like(begin))
    lines = searched.batch.lines(found.start) - searched.batch.lines(begin)
    label_bits, number = np.unique(found.own, return_inverse=True)
    labels = [to_labels(bits) for bits in label_bits.tolist()]
    return _build_match_list(
        lists, epoch, searched, found, place, lines, RowLabels(number, labels), np.zeros(len(found))
    )


def _build_match_list(
    lists: TenantLists,
    epoch: Epoch,
    searched: SearchResult,
    found: WeighedMatches,
    place: TextPlaces,
    lines: Places,
    held: RowLabels,
    coincidence: npt.NDArray[np.float64],
) -> ListedMatches:
    """Return matches with customers' pseudonyms and the tags for searching.

    `lines` are counted from the first line of each part.
    """
    tag = np.empty((len(found), TAG_BYTES), np.uint8)
    for query, members in found.by_query():
        tag[members] = lists.index.tagger(query.kind, query.form).tag_rows(
            *query.normals(found.value[members])
        )
    return ListedMatches(
        found.query,
        found.kinds,
        [(part.piece.path, part.piece.member, part.piece.container) for part in searched.parts],
        held.labels,
        found.document,
        found.own,
        held.number,
        *place[:2],
        lines + np.array([part.line for part in searched.parts], np.int64)[found.document],
        place.transforms,
        coincidence,
        epoch.list.raw_handles(found.subject),
        tag,
    )


def _coincidences(found: FoundMatches) -> npt.NDArray[np.float64]:
    """Return the chance that each masked value fits by accident, 0 for other values: f64[n]."""
    chances = np.zeros(len(found))
    for query, members in found.by_query():
        if query.form == masked_value.FORM:
            normals = Texts(*query.normals(found.value[members])).strings()
            chances[members] = [masked_value.coincidence(query.kind, normal) for normal in normals]
    return chances


class RowLabels(NamedTuple):
    """Different sets of `labels`, and the number among them of each match's row: i64[n]."""

    number: Places
    labels: Sequence[tuple[str, ...]]


class TextPlaces(NamedTuple):
    """The places of matches in the decoded text, characters [first, last): i64[n].

    They come with the transformations that were undone to read the values.
    """

    first: Places
    last: Places
    transforms: Places


def locate(searched: SearchResult, document: Places, start: Places, end: Places) -> TextPlaces:
    """Return where the bytes [start, end) of a batch are in the decoded texts, in characters.

    All arguments are i64[n], `document` the index of the text, ascending.
    """
    parts, batch = searched.parts, searched.batch
    begin = batch.characters_before(batch.starts[document])
    first, last = (batch.characters_before(places) - begin for places in (start, end))
    transforms = np.zeros(len(document), np.int64)
    borders = np.flatnonzero(np.diff(document, prepend=-1, append=len(parts)))
    for low, high in pairwise(borders.tolist()):
        part = parts[int(document[low])]
        if not part.text.is_unchanged:
            folded = list(zip(first[low:high].tolist(), last[low:high].tolist(), strict=True))
            first[low:high], last[low:high] = part.text.spans(first[low:high], last[low:high])
            for number, (begin_folded, end_folded) in enumerate(folded, low):
                if (
                    part.text.original[first[number] : last[number]]
                    != part.text.text[begin_folded:end_folded]
                ):
                    transforms[number] = FOLDED
        first[low:high] += part.piece.offset
        last[low:high] += part.piece.offset
    return TextPlaces(first, last, transforms)


def _are_normal(searched: SearchResult, found: FoundMatches) -> Flags:
    """Return which matches are written in their normal form, except for capitals: bool[n].

    Digests and masks always are.
    """
    normal = np.ones(len(found), bool)
    for query, members in found.by_query():
        if query.form == "plain":
            start, end = found.start[members], found.end[members]
            table, length = query.normals(found.value[members])
            width = min(table.shape[1], WIDEST)
            same = searched.batch.windows(start, width) == table[:, :width]
            same |= np.arange(width) >= length[:, None]
            normal[members] = same.all(axis=1) & (length <= width) & (end - start == length)
            for number in members[~normal[members]].tolist():
                value = searched.batch.text(found.start[number], found.end[number]).decode(
                    "utf-8", "surrogatepass"
                )
                [form] = Texts(*query.normals(found.value[[number]])).strings()
                normal[number] = value.lower() == form.lower()
    return normal


def score_confidence(found: RowMatches | ListedMatches) -> npt.NDArray[np.int64]:
    """Return the confidence of each match in percent: i64[n].

    It depends on the kind, and is highest where two fields of a row agree.
    """
    alone = np.array([ALONE.get(kind, OTHERWISE) for kind, _ in found.kinds], np.int64)
    return np.where(np.bitwise_count(found.own) >= 2, TOGETHER, alone[found.query])


def to_records(found: ListedMatches) -> Iterator[Match]:
    """Yield a `Match` record for each listed match, in order.

    The records are built in chunks of one finding, to limit memory.
    """
    for first in range(0, len(found), MAX_MATCHES):
        yield from _build_records(found.take(slice(first, first + MAX_MATCHES)))


def _build_records(found: ListedMatches) -> list[Match]:
    """Return the matches as records, built unchecked, as from a pickle.

    The values are our own columns, and checking them takes longer. Each attribute is set for all
    records by one call, which takes a third of the time of a loop in Python.
    """
    tags, handles = (
        column.tobytes().hex(" ", TAG_BYTES).split() for column in (found.tag, found.handle)
    )
    members = [found.members[number] for number in found.document.tolist()]
    named = [found.kinds[number] for number in found.query.tolist()]
    columns = zip(
        named,
        handles,
        tags,
        members,
        found.first.tolist(),
        found.last.tolist(),
        found.line.tolist(),
        found.held.tolist(),
        found.own.tolist(),
        found.transforms.tolist(),
        score_confidence(found).tolist(),
        found.coincidence.tolist(),
        strict=True,
    )
    values = [
        {
            "kind": kind,
            "form": form,
            "subject": handle,
            "index_tag": tag,
            "member": member,
            "container": container,
            "start": start,
            "end": end,
            "row": line,
            "fields": found.labels[labels],
            "own_fields": to_labels(own_bits),
            "transforms": TRANSFORMS[changes],
            "confidence": sure,
            "coincidence": chance,
        }
        for (kind, form), handle, tag, (
            _,
            member,
            container,
        ), start, end, line, labels, own_bits, changes, sure, chance in columns
    ]
    state: dict[str, Iterable[object]] = {
        "__dict__": values,
        "__pydantic_fields_set__": repeat({*Match.model_fields}),
        "__pydantic_extra__": repeat(None),
        "__pydantic_private__": repeat(None),
    }
    matches = [Match.__new__(Match) for _ in range(len(found))]
    for name, each in state.items():
        deque(map(object.__setattr__, matches, repeat(name), each), maxlen=0)
    return matches
