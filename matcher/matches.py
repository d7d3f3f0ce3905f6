"""Evidence as it is reported: matches, with places in the decoded text, the row's fields, and how sure they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from matcher.batches import Searched
from matcher.evidence import NONE, Evidence
from matcher.watchlist.installed import Epoch, TenantLists
from ullage.identifiers import masked
from ullage.records import Match

ALONE = {"email": 85, "card": 90, "resident_id": 95, "phone": 70, "iban": 90, "uscc": 60}
OTHERWISE = 60
TOGETHER = 99
ROW_FIELDS = 24


class _Place(NamedTuple):
    """Where a value stands: the number of its part, characters [first, last) of its folded text, and line of its row."""

    part: int
    first: int
    last: int
    line: int


def matches(lists: TenantLists, epoch: Epoch, searched: Searched, found: Sequence[Evidence]) -> list[Match]:
    """A match for each piece of evidence, in its order, which is that of place."""
    if not found:
        return []
    handles = epoch.list.handles(np.array([one.subject for one in found], np.int64))
    columns = zip(found, _places(searched, found), _index_tags(lists, found), handles, strict=True)
    return [_match(searched, one, place, tag, handle) for one, place, tag, handle in columns]


def _places(searched: Searched, found: Sequence[Evidence]) -> Iterator[_Place]:
    """The place of each piece of evidence; what a text is asked for is asked once for all that it holds."""
    start, end, row = np.array([(one.start, one.end, one.row) for one in found], np.int64).T
    parts = searched.batch.documents(start)
    begin = searched.batch.starts[parts]
    own = np.where(row == NONE, searched.batch.lines(start) - searched.batch.lines(begin), 0)
    if (row != NONE).any():
        own = np.where(row == NONE, own, searched.rows.lines(np.maximum(row, 0)))
    borders = np.flatnonzero(np.diff(parts, prepend=-1, append=len(searched.parts)))
    for low, high in pairwise(borders.tolist()):
        number = int(parts[low])
        chars = searched.parts[number].text.chars(np.stack((start, end), 1)[low:high] - begin[low])
        for (first, last), line in zip(chars.tolist(), own[low:high].tolist(), strict=True):
            yield _Place(number, first, last, line)


def _index_tags(lists: TenantLists, found: Sequence[Evidence]) -> list[str]:
    """The tag by which each value can be searched for later, as hex."""
    kinds, forms = [one.question.kind for one in found], [one.question.form for one in found]
    return [tag.tobytes().hex() for tag in lists.index.tag(kinds, forms, [normal_of(one).decode() for one in found])]


def normal_of(one: Evidence) -> bytes:
    """The normal form of a value."""
    value: bytes = one.question.normal[one.place, : one.question.length[one.place]].tobytes()
    return value


def _match(searched: Searched, one: Evidence, place: _Place, tag: str, handle: str) -> Match:
    part = searched.parts[place.part]
    start, end = part.text.span(place.first, place.last)
    others = searched.rows.fields(one.row) if one.row != NONE else frozenset()
    return Match(
        kind=one.question.kind,
        form=one.question.form,  # type: ignore[arg-type]
        subject=handle,
        index_tag=tag,
        path=part.piece.path,
        start=part.piece.offset + start,
        end=part.piece.offset + end,
        row=part.line + place.line,
        fields=tuple(sorted(one.own | others))[:ROW_FIELDS],
        own_fields=tuple(sorted(one.own)),
        transforms=_transforms(one, part.text.original[start:end], part.text.text[place.first : place.last]),
        confidence=TOGETHER if len(one.own) >= 2 else ALONE.get(one.question.kind, OTHERWISE),
        coincidence=masked.coincidence(one.question.kind, normal_of(one).decode()) if one.question.form == masked.FORM else 0.0,
    )


def _transforms(one: Evidence, raw: str, plain: str) -> tuple[str, ...]:
    """What had to be undone to read it."""
    done = ["folded"] if raw != plain else []
    if one.question.form == "plain" and plain.lower() != normal_of(one).decode().lower():
        done.append("normalised")
    return tuple(done)
