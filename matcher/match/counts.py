"""What one list gave in one capture: matches weighed as columns, and customers counted while the
capture's parts go by.

`listed` makes matches as they are told: where each stands in the decoded text, the labels of its
row, and what makes it a record.
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
from matcher.match.capture_key import CaptureKey, Distinct, SortedNumbers, kind_numbers, told_apart
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
"""A bit for each class of the rows that a customer stands in, the gravest first."""
VERIFIED, MINOR, AGREES = 8, 16, 32
"""Bits for those whom chance cannot have matched, for those under 14, and for those with two
fields of their own in a row.
"""
SHOWN = {Shows.GRAVE: 64, Shows.PRIVATE: 128, Shows.IDENTITY: 256, Shows.LENT: 512}
"""A bit for each that the rows show in which a customer agrees."""
FLAG_BITS = 10

ADULT_AT = 14
"""PIPL 28 calls all data of those who are younger sensitive."""
BORN = slice(6, 14)
"""Of a resident ID of 18 digits, the day of birth."""


class Customers(SortedNumbers[np.int64]):
    """Each customer once, by the row in the list, with all that was seen of them: eight bytes a
    customer.
    """

    least_pending = 1 << 14

    def __init__(self) -> None:
        super().__init__(np.int64)

    def add_flags(self, subjects: Places, flags: Places) -> None:
        """Customers i64[n], below 2^53, some of them several times, and what was seen of them."""
        self.add(subjects << FLAG_BITS | flags)

    def __len__(self) -> int:
        return len(self.subjects)

    @property
    def subjects(self) -> Places:
        """All of them, ascending."""
        return self.sorted() >> FLAG_BITS

    def having(self, flag: int) -> Places:
        """Those with this flag, ascending."""
        known = self.sorted()
        return known[(known & flag) > 0] >> FLAG_BITS

    def classes(self, flag: int = 0) -> Counter[str]:
        """How many customers, of those with `flag` if it is given, stand in rows of which class,
        the gravest of each.
        """
        flags = self.sorted()
        flags = flags[(flags & flag) > 0] if flag else flags
        found: Counter[str] = Counter()
        for name, bit in CLASSES.items():
            has = (flags & bit) > 0
            found.update({name: int(np.count_nonzero(has))} if has.any() else {})
            flags = flags[~has]
        return found

    def shown(self) -> dict[frozenset[str], int]:
        """How many of those who agree stand in rows that show what."""
        known = self.sorted()
        flags, counts = np.unique(
            known[(known & AGREES) > 0] & sum(SHOWN.values()), return_counts=True
        )
        return {
            frozenset(name for name, bit in SHOWN.items() if bit & flag): count
            for flag, count in zip(flags.tolist(), counts.tolist(), strict=True)
        }

    def _merged(self, new: Places) -> Places:
        """What was seen of one customer is seen of them all."""
        every = np.sort(np.concatenate((self._sorted, new)) if len(self._sorted) else new)
        return np.bitwise_or.reduceat(
            every, np.flatnonzero(np.diff(every >> FLAG_BITS, prepend=-1))
        )


RowKey = tuple[frozenset[str], frozenset[str], bool, bool]
"""Of a row with a customer: the fields of its group; those and its customers' own; whether two or
more fields are one customer's; and whether chance cannot have matched.

The second is more: a digest without a label is a phone's if it is that of a customer's phone.
"""


class MatchedRows(NamedTuple):
    """The rows with a customer, ascending: i64[m]; and which of `keys` each is counted under,
    `number` i64[m].
    """

    rows: Places
    number: Places
    keys: Sequence[RowKey]

    def counts(self, which: slice) -> Counter[RowKey]:
        """How many of some rows are counted under each key, of which several may be equal."""
        found: Counter[RowKey] = Counter()
        for number, count in enumerate(np.bincount(self.number[which]).tolist()):
            if count:
                found[self.keys[number]] += count
        return found


NO_ROWS = MatchedRows(np.empty(0, np.int64), np.empty(0, np.int64), ())


def weigh(
    searched: SearchResult, found: RowMatches, key: CaptureKey, adults: Places
) -> tuple[WeighedMatches, MatchedRows]:
    """Weigh matches and the rows that hold them; of each match, `adults` has the last birthday,
    as YYYYMMDD, of no minor.
    """
    agrees = np.bitwise_count(found.own) >= 2
    is_sure, flags = agrees.copy(), np.zeros(len(found), np.int64)
    for question, own in found.by_query():
        is_sure[own] |= is_verified([question.kind], corroborated=False)
        if question.kind == "resident_id" and question.form == "plain":
            normal, _ = question.normals(found.value[own])
            flags[own] |= np.where(born(normal) > adults[own], MINOR, 0)
    held_by = KeyedMembers.of(found.row)
    outside = int(len(found) > 0 and held_by.keys[0] == NONE)
    rows, number = held_by.keys[outside:], held_by.number
    of_row, groups = searched.rows.groups(rows)
    of_match = held_by.united(found.own), held_by.any(agrees), held_by.any(is_sure)
    alike = np.stack((of_row, *(column[outside:] for column in of_match)))
    distinct, which = np.unique(alike, axis=1, return_inverse=True)
    keys, held = [], []
    for group, own, is_together, is_certain in distinct.T.tolist():
        fields, *shown_bits = _held(groups[group], own)
        keys.append((groups[group], fields, bool(is_together), bool(is_certain)))
        held.append(shown_bits)
    of_class, shown = np.array([(CLASSES["C"], 0), *held], np.int64)[
        np.concatenate((np.zeros(outside, np.int64), which + 1))
    ].T
    flags |= (
        of_class[number]
        | np.where(is_sure, VERIFIED, 0)
        | np.where(agrees, AGREES | shown[number], 0)
    )
    weighed = WeighedMatches(**found.fields(), flags=flags, word=_words(found, key))
    return weighed, MatchedRows(rows, which, keys)


def weigh_barely(found: RowMatches, key: CaptureKey) -> WeighedMatches:
    """Weigh what matches prove alone: somebody may have any phone by chance, but not a resident
    ID.
    """
    flags = np.full(len(found), CLASSES["C"])
    for question, own in found.by_query():
        flags[own] |= VERIFIED if is_verified([question.kind], corroborated=False) else 0
    return WeighedMatches(**found.fields(), flags=flags, word=_words(found, key))


def _words(found: FoundMatches, key: CaptureKey) -> npt.NDArray[np.uint64]:
    """Return keyed numbers that tell the values of matches apart: u64[n]."""
    words = np.empty(len(found), np.uint64)
    for question, own in found.by_query():
        words[own] = told_apart(
            key.values(*question.normals(found.value[own])), kind_numbers()[question.kind]
        )
    return words


@cache
def _held(group: frozenset[str], own: int) -> tuple[frozenset[str], int, int]:
    """The fields of a row, those of its group and its customers' own by their bits; the bits of
    its class and what it shows.
    """
    fields = group.union(to_labels(own))
    return fields, CLASSES[classify(fields)], sum(SHOWN[name] for name in shows(fields))


@dataclass
class EpochMatches:
    """What one epoch of one tenant's list gave; `groups` counts rows with a customer by fields and
    what they prove.

    At most `room` matches are listed, None for all; everything is counted. Rows are counted by what
    they hold too.
    """

    epoch: int
    room: int | None = None
    details: list[ListedMatches] = field(default_factory=list)
    """Those that are listed."""
    count: int = 0
    subjects: Customers = field(default_factory=Customers)
    values: Distinct = field(default_factory=Distinct)
    """Different values."""
    groups: Counter[RowKey] = field(default_factory=Counter)
    witnesses: Witnesses = field(default_factory=Witnesses)

    def add(self, matches: WeighedMatches, rows: Mapping[RowKey, int]) -> None:
        """Count matches of one part, and the rows that hold them: how many under each key."""
        self.count += len(matches)
        self.subjects.add_flags(matches.subject, matches.flags)
        self.values.add(matches.word)
        self.groups.update(rows)

    @property
    def is_full(self) -> bool:
        """Whether no further match is listed."""
        return self.room is not None and sum(map(len, self.details)) >= self.room

    def list_matches(self, matches: ListedMatches) -> bool:
        """List `matches`; whether there was room for all of them."""
        left = len(matches) if self.room is None else self.room - sum(map(len, self.details))
        if left:
            # a copy: a view keeps the batch's
            self.details.append(matches.take(np.arange(min(left, len(matches)))))
        return left >= len(matches)

    def matches(self) -> Iterator[Match]:
        """All matches, made as they are asked for."""
        return (match for some in self.details for match in records(some))

    @property
    def verified(self) -> Places:
        """Those whom chance cannot have matched, ascending."""
        return self.subjects.having(VERIFIED)

    @property
    def minors(self) -> Places:
        """Those under 14, ascending."""
        return self.subjects.having(MINOR)

    @property
    def kinds(self) -> Counter[str]:
        """How many different values there are, a kind."""
        counts = self.values.counts()
        return Counter(
            {kind: counts[number] for kind, number in kind_numbers().items() if counts[number]}
        )

    @property
    def rows(self) -> int:
        """Rows that hold a customer."""
        return sum(self.groups.values())

    @property
    def corroborated(self) -> int:
        """Rows in which two or more fields are the same customer's."""
        return sum(count for (*_, is_together, _), count in self.groups.items() if is_together)

    def matched(self) -> Iterator[tuple[frozenset[str], bool, int]]:
        """The fields of a group, whether corroborated, and how many rows with a customer are so."""
        return (
            (fields, is_together, count)
            for (fields, _, is_together, _), count in self.groups.items()
        )

    def people(self) -> Crowd:
        """All customers."""
        return Crowd(len(self.subjects), self.subjects.classes(), self._rows())

    def people_verified(self) -> Crowd:
        """Those whom chance cannot have matched."""
        return Crowd(len(self.verified), self.subjects.classes(VERIFIED), self._rows(sure=True))

    def people_agreeing(self) -> Crowd:
        """Those who agree in two or more fields of a row."""
        agreeing = len(self.subjects.having(AGREES))
        return Crowd(
            agreeing,
            self.subjects.classes(AGREES),
            self._rows(together=True),
            self.subjects.shown(),
        )

    def _rows(self, *, sure: bool = False, together: bool = False) -> Counter[frozenset[str]]:
        """Rows by fields: all, those of verified customers, or those that agree."""
        groups: Counter[frozenset[str]] = Counter()
        for (_, fields, is_together, is_sure), rows in self.groups.items():
            if (is_sure or not sure) and (is_together or not together):
                groups[fields] += rows
        return groups


def born(resident_ids: Bytes) -> Places:
    """The day of birth in each 18-digit resident ID u8[n, 18 or more], as YYYYMMDD: i64[n]."""
    digits = resident_ids[:, BORN].astype(np.int64) - ord("0")
    days: Places = digits @ 10 ** np.arange(BORN.stop - BORN.start)[::-1]
    return days


def adult_until(day: date) -> int:
    """The last day of birth, as YYYYMMDD, of somebody who is no minor on that day."""
    return (day.year - ADULT_AT) * 10_000 + day.month * 100 + day.day


ALONE = {"email": 85, "card": 90, "resident_id": 95, "phone": 70, "iban": 90, "uscc": 60}
"""How sure a match is by its value alone, in percent; OTHERWISE of another kind, TOGETHER beside
a field of the same customer.
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
"""Bytes of a value that are compared with its normal form as columns; longer ones are compared
one by one.
"""


def listed(
    lists: TenantLists, epoch: Epoch, searched: SearchResult, found: WeighedMatches
) -> ListedMatches:
    """Return all that a record tells of matches, without the values that were asked for."""
    lines = searched.batch.lines(found.start) - searched.batch.lines(
        searched.batch.starts[found.document]
    )
    in_row = np.flatnonzero(found.row != NONE)
    lines[in_row] = searched.rows.lines(found.row[in_row])
    number, held = searched.rows.fields(found.row[in_row])
    others = np.zeros(len(found), np.int64)
    others[in_row] = number + 1
    held = [frozenset(), *held]
    own, own_number = np.unique(found.own, return_inverse=True)
    pairs, pair = np.unique(others * len(own) + own_number, return_inverse=True)
    made = [
        tuple(sorted(held[fields].union(to_labels(bits))))[:ROW_FIELDS]
        for fields, bits in zip(
            (pairs // len(own)).tolist(), own[pairs % len(own)].tolist(), strict=True
        )
    ]
    numbers = {labels: place for place, labels in enumerate(dict.fromkeys(made))}
    place = locate(searched, found.document, found.start, found.end)
    place = place._replace(
        transforms=place.transforms | np.where(_are_normal(searched, found), 0, NORMALISED)
    )
    held_labels = RowLabels(
        np.array([numbers[labels] for labels in made], np.int64)[pair], list(numbers)
    )
    return _listed(lists, epoch, searched, found, place, lines, held_labels, _coincidences(found))


def listed_barely(
    lists: TenantLists, epoch: Epoch, searched: SearchResult, found: WeighedMatches
) -> ListedMatches:
    """Return the same where rows cannot be read: each begins and ends where it does in the text
    as it was searched, in bytes.
    """
    begin, parts = searched.batch.starts[found.document], searched.parts
    offset = np.array([part.piece.offset for part in parts], np.int64)[found.document] - begin
    place = TextPlaces(found.start + offset, found.end + offset, np.zeros_like(begin))
    lines = searched.batch.lines(found.start) - searched.batch.lines(begin)
    own, number = np.unique(found.own, return_inverse=True)
    labels = [to_labels(bits) for bits in own.tolist()]
    return _listed(
        lists, epoch, searched, found, place, lines, RowLabels(number, labels), np.zeros(len(found))
    )


def _listed(
    lists: TenantLists,
    epoch: Epoch,
    searched: SearchResult,
    found: WeighedMatches,
    place: TextPlaces,
    lines: Places,
    held: RowLabels,
    coincidence: npt.NDArray[np.float64],
) -> ListedMatches:
    """Return matches with customers' handles and the tags for searching; `lines` are counted
    from each part's first.
    """
    tag = np.empty((len(found), TAG_BYTES), np.uint8)
    for question, own in found.by_query():
        tag[own] = lists.index.tagger(question.kind, question.form).tag_rows(
            *question.normals(found.value[own])
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
    """Return, of masked values, the chance that each fits its customer by accident, 0 of others:
    f64[n].
    """
    chances = np.zeros(len(found))
    for question, own in found.by_query():
        if question.form == masked_value.FORM:
            normals = Texts(*question.normals(found.value[own])).strings()
            chances[own] = [masked_value.coincidence(question.kind, normal) for normal in normals]
    return chances


class RowLabels(NamedTuple):
    """Different sets of `labels`, and the number among them of each match's row: i64[n]."""

    number: Places
    labels: Sequence[tuple[str, ...]]


class TextPlaces(NamedTuple):
    """Where matches stand in the decoded text, characters [first, last), and what had to be
    undone to read them: i64[n].
    """

    first: Places
    last: Places
    transforms: Places


def locate(searched: SearchResult, document: Places, start: Places, end: Places) -> TextPlaces:
    """Return where the bytes [start, end) of a batch, which ascend by `document`, stand in the
    decoded texts.
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
    """Which matches are written as their normal form is, but for capitals, or are digests or
    masks: bool[n].
    """
    normal = np.ones(len(found), bool)
    for question, own in found.by_query():
        if question.form == "plain":
            start, end = found.start[own], found.end[own]
            table, length = question.normals(found.value[own])
            width = min(table.shape[1], WIDEST)
            same = searched.batch.windows(start, width) == table[:, :width]
            same |= np.arange(width) >= length[:, None]
            normal[own] = same.all(axis=1) & (length <= width) & (end - start == length)
            for number in own[~normal[own]].tolist():
                value = searched.batch.text(found.start[number], found.end[number]).decode(
                    "utf-8", "surrogatepass"
                )
                [form] = Texts(*question.normals(found.value[[number]])).strings()
                normal[number] = value.lower() == form.lower()
    return normal


def confidences(found: RowMatches | ListedMatches) -> npt.NDArray[np.int64]:
    """Return how sure each match is, in percent: i64[n]."""
    alone = np.array([ALONE.get(kind, OTHERWISE) for kind, _ in found.kinds], np.int64)
    return np.where(np.bitwise_count(found.own) >= 2, TOGETHER, alone[found.query])


def records(found: ListedMatches) -> Iterator[Match]:
    """Each of the matches, which are listed, as a record; as many at a time as go into one
    finding.
    """
    for first in range(0, len(found), MAX_MATCHES):
        yield from _records(found.take(slice(first, first + MAX_MATCHES)))


def _records(found: ListedMatches) -> list[Match]:
    """The matches as records, made as from a pickle, unchecked: the values are our own columns, and
    to check them takes longer.

    Each attribute is set of all of them by one call, which takes a third of what a loop in Python
    would.
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
        confidences(found).tolist(),
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
            "own_fields": to_labels(own),
            "transforms": TRANSFORMS[done],
            "confidence": sure,
            "coincidence": chance,
        }
        for (kind, form), handle, tag, (
            _,
            member,
            container,
        ), start, end, line, labels, own, done, sure, chance in columns
    ]
    state: dict[str, Iterable[object]] = {
        "__dict__": values,
        "__pydantic_fields_set__": repeat({*Match.model_fields}),
        "__pydantic_extra__": repeat(None),
        "__pydantic_private__": repeat(None),
    }
    made = [Match.__new__(Match) for _ in range(len(found))]
    for name, each in state.items():
        deque(map(object.__setattr__, made, repeat(name), each), maxlen=0)
    return made
