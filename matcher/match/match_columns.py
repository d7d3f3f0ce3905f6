"""Evidence as it is reported: matches, with places in the decoded text, the row's fields, and how sure they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from matcher.columns.batch import Places
from matcher.columns.text_column import Texts
from matcher.match.batches import Searched
from matcher.match.evidence import NONE, Evidence, labels_of
from matcher.text import Folded
from matcher.watchlist.installed import Epoch, TenantLists
from ullage.identifiers import masked
from ullage.records import Match
from ullage.tags import TAG_BYTES, Tags

ALONE = {"email": 85, "card": 90, "resident_id": 95, "phone": 70, "iban": 90, "uscc": 60}
OTHERWISE = 60
TOGETHER = 99
ROW_FIELDS = 24


class Place(NamedTuple):
    """Where a value stands: path, number and container of its member, characters [start, end) of the decoded text, line.

    `transforms` are what had to be undone to read it.
    """

    path: str
    member: int
    container: str
    start: int
    end: int
    line: int
    transforms: tuple[str, ...]


_Text = tuple[int, int, str, tuple[str, ...]]
"""Characters [start, end) of a decoded text, what stands there once it is folded, and what had to be undone."""


@dataclass(frozen=True, slots=True)
class Matches:
    """Matches of one list, in order of place, as columns: most are made into records once the capture is complete.

    Of each its `kinds` (kind and form), subject's handle, tag for searching, place, labels of the row, labels that are the
    customer's own, and chance of coincidence.
    """

    kinds: Sequence[tuple[str, str]]
    handles: Sequence[str]
    tags: Tags
    places: Sequence[Place]
    fields: Sequence[tuple[str, ...]]
    own: Sequence[tuple[str, ...]]
    coincidence: Sequence[float]

    def __len__(self) -> int:
        return len(self.kinds)

    def take(self, some: slice) -> Matches:
        """Some of them."""
        return Matches(
            self.kinds[some],
            self.handles[some],
            self.tags[some],
            self.places[some],
            self.fields[some],
            self.own[some],
            self.coincidence[some],
        )

    @property
    def paths(self) -> Iterator[str]:
        """The path of each one's member: for the person who chose the file, never for a log or a store."""
        return (place.path for place in self.places)

    def __iter__(self) -> Iterator[Match]:
        """Each as a record."""
        tags = self.tags.tobytes().hex()
        columns = zip(self.kinds, self.handles, self.places, self.fields, self.own, self.coincidence, strict=True)
        for number, ((kind, form), handle, place, fields, own, coincidence) in enumerate(columns):
            yield Match(
                kind=kind,
                form=form,
                subject=handle,
                index_tag=tags[number * 2 * TAG_BYTES : (number + 1) * 2 * TAG_BYTES],
                member=place.member,
                container=place.container,
                start=place.start,
                end=place.end,
                row=place.line,
                fields=fields,
                own_fields=own,
                transforms=place.transforms,
                confidence=TOGETHER if len(own) >= 2 else ALONE.get(kind, OTHERWISE),
                coincidence=coincidence,
            )


def matches(lists: TenantLists, epoch: Epoch, searched: Searched, found: Evidence) -> Matches:
    """A match for each piece of evidence."""
    tags, normals, chances = np.empty((len(found), TAG_BYTES), np.uint8), [b""] * len(found), [0.0] * len(found)
    kinds = [(question.kind, question.form) for question in found.asked]
    for question, own in found.by_question():
        normal, length = question.normal[found.place[own]], question.length[found.place[own]]
        tags[own] = lists.index.tagger(question.kind, question.form).tag_rows(normal, length)
        for number, value in zip(own.tolist(), Texts(normal, length).messages(), strict=True):
            normals[number] = value
            if question.form == masked.FORM:
                chances[number] = masked.coincidence(question.kind, value.decode())
    return Matches(
        [kinds[number] for number in found.question.tolist()],
        epoch.list.handles(found.subject),
        tags,
        list(_places(searched, found, normals)),
        _fields(searched, found),
        [labels_of(bits) for bits in found.own.tolist()],
        chances,
    )


def _fields(searched: Searched, found: Evidence) -> list[tuple[str, ...]]:
    """The labels of each row, the customer's own among them."""
    made: dict[tuple[int, int], tuple[str, ...]] = {}
    pairs = list(zip(found.row.tolist(), found.own.tolist(), strict=True))
    for row, own in {*pairs}:
        others = searched.rows.fields(row) if row != NONE else frozenset[str]()
        made[row, own] = tuple(sorted(others.union(labels_of(own))))[:ROW_FIELDS]
    return [made[pair] for pair in pairs]


def _places(searched: Searched, found: Evidence, normals: Sequence[bytes]) -> Iterator[Place]:
    """The place of each piece of evidence."""
    parts = searched.batch.documents(found.start)
    begin = searched.batch.starts[parts]
    lines = np.where(found.row == NONE, searched.batch.lines(found.start) - searched.batch.lines(begin), 0)
    in_row = np.flatnonzero(found.row != NONE)
    lines[in_row] = searched.rows.lines(found.row[in_row])
    spans = np.stack((found.start, found.end), 1) - begin[:, None]
    plain = np.array([question.form == "plain" for question in found.asked])[found.question].tolist()
    borders = np.flatnonzero(np.diff(parts, prepend=-1, append=len(searched.parts)))
    for low, high in pairwise(borders.tolist()):
        part = searched.parts[int(parts[low])]
        texts = (_as_they_came if part.text.as_it_came else _undone)(part.text, spans[low:high])
        columns = (texts, lines[low:high].tolist(), normals[low:high], plain[low:high])
        for (first, last, text, done), line, normal, is_plain in zip(*columns, strict=True):
            is_other = is_plain and text.lower() != normal.decode().lower()
            transforms = (*done, "normalised") if is_other else done
            piece = part.piece
            where = (piece.path, piece.member, piece.container, piece.offset + first, piece.offset + last)
            yield Place(*where, part.line + line, transforms)


def _as_they_came(text: Folded, spans: Places) -> Iterator[_Text]:
    """Each of `spans`, bytes [start, end) of the folded text i64[n, 2], as characters of the decoded one: the same."""
    at = count = 0
    for start, end in spans.tolist():
        count += len(text.utf8[at:start].decode()) if start >= at else -len(text.utf8[start:at].decode())
        at, value = start, text.utf8[start:end].decode()
        yield count, count + len(value), value, ()


def _undone(text: Folded, spans: Places) -> Iterator[_Text]:
    """The same of a text in which something was undone, of which each value tells."""
    for first, last in text.chars(spans).tolist():
        start, end = text.span(first, last)
        value = text.text[first:last]
        yield start, end, value, ("folded",) if text.original[start:end] != value else ()
