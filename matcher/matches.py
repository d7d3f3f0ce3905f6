"""Evidence as it is reported: matches, with places in the decoded text, the row's fields, and how sure they are."""

from __future__ import annotations

from collections.abc import Sequence

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


def matches(lists: TenantLists, epoch: Epoch, searched: Searched, found: Sequence[Evidence]) -> list[Match]:
    """A match for each piece of evidence, in its order."""
    if not found:
        return []
    parts = searched.batch.documents(np.array([one.start for one in found], np.int64))
    tags = _index_tags(lists, found)
    return [_match(epoch, searched, part, one, tag) for part, one, tag in zip(parts.tolist(), found, tags, strict=True)]


def _index_tags(lists: TenantLists, found: Sequence[Evidence]) -> list[str]:
    """The tag by which each value can be searched for later, as hex."""
    kinds, forms = [one.question.kind for one in found], [one.question.form for one in found]
    return [tag.tobytes().hex() for tag in lists.index.tag(kinds, forms, [normal_of(one).decode() for one in found])]


def normal_of(one: Evidence) -> bytes:
    """The normal form of a value."""
    value: bytes = one.question.normal[one.place, : one.question.length[one.place]].tobytes()
    return value


def _match(epoch: Epoch, searched: Searched, number: int, one: Evidence, tag: str) -> Match:
    part, begin = searched.parts[number], int(searched.batch.starts[number])
    first, last = part.text.chars([one.start - begin, one.end - begin]).tolist()
    start, end = part.text.span(first, last)
    others = searched.rows.fields(one.row) if one.row != NONE else frozenset()
    return Match(
        kind=one.question.kind,
        form=one.question.form,  # type: ignore[arg-type]
        subject=epoch.list.handle(one.subject),
        index_tag=tag,
        path=part.piece.path,
        start=part.piece.offset + start,
        end=part.piece.offset + end,
        row=part.line + line_of(searched, number, one),
        fields=tuple(sorted(one.own | others))[:ROW_FIELDS],
        own_fields=tuple(sorted(one.own)),
        transforms=_transforms(one, part.text.original[start:end], part.text.text[first:last]),
        confidence=TOGETHER if len(one.own) >= 2 else ALONE.get(one.question.kind, OTHERWISE),
        coincidence=masked.coincidence(one.question.kind, normal_of(one).decode()) if one.question.form == masked.FORM else 0.0,
    )


def line_of(searched: Searched, number: int, one: Evidence) -> int:
    """The first line, in its part, of the row that a value stands in; of the value itself where it stands in none."""
    if one.row != NONE:
        return searched.rows.line(one.row)
    first, own = searched.batch.lines(np.array([searched.batch.starts[number], one.start])).tolist()
    return int(own - first)


def _transforms(one: Evidence, raw: str, plain: str) -> tuple[str, ...]:
    """What had to be undone to read it."""
    done = ["folded"] if raw != plain else []
    if one.question.form == "plain" and plain.lower() != normal_of(one).decode().lower():
        done.append("normalised")
    return tuple(done)
