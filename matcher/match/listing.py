"""Matches as they are told: where each stands in the decoded text, the labels of its row, and what makes it a record."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from matcher.columns.batch import Flags, Places
from matcher.columns.text_column import Texts
from matcher.match.batches import Searched
from matcher.match.lookup import FOLDED, NONE, NORMALISED, Matches, labels_of
from matcher.watchlist.installed import Epoch, TenantLists
from ullage.identifiers import masked
from ullage.records import Match
from ullage.security.tags import TAG_BYTES

ALONE = {"email": 85, "card": 90, "resident_id": 95, "phone": 70, "iban": 90, "uscc": 60}
"""How sure a match is by its value alone, in percent; OTHERWISE of another kind, TOGETHER beside a field of the same customer."""
OTHERWISE = 60
TOGETHER = 99
ROW_FIELDS = 24
TRANSFORMS = {0: (), FOLDED: ("folded",), NORMALISED: ("normalised",), FOLDED | NORMALISED: ("folded", "normalised")}
WIDEST = 128
"""Bytes of a value that are compared with its normal form as columns; longer ones are compared one by one."""


def listed(lists: TenantLists, epoch: Epoch, searched: Searched, found: Matches) -> Matches:
    """`found` with all that a record tells, without the values that were asked for."""
    with_places(searched, found)
    lines = searched.batch.lines(found["start"]) - searched.batch.lines(searched.batch.starts[found["document"]])
    in_row = np.flatnonzero(found["row"] != NONE)
    lines[in_row] = searched.rows.lines(found["row"][in_row])
    _with_tags(lists, epoch, searched, found, lines)
    _with_coincidence(found)
    found["transforms"][:] |= np.where(_are_normal(searched, found), 0, NORMALISED)
    rows = np.unique(found["row"][in_row])
    held = {NONE: frozenset[str](), **dict(zip(rows.tolist(), searched.rows.fields(rows), strict=True))}
    pairs = [(held[row], own) for row, own in zip(found["row"].tolist(), found["own"].tolist(), strict=True)]
    made = {(others, own): tuple(sorted(others.union(labels_of(own))))[:ROW_FIELDS] for others, own in {*pairs}}
    numbers = {labels: number for number, labels in enumerate(dict.fromkeys(made.values()))}
    found["labels"][:] = [numbers[made[pair]] for pair in pairs]
    return Matches(found.kinds, found.table, (), _members(searched), list(numbers))


def listed_barely(lists: TenantLists, epoch: Epoch, searched: Searched, found: Matches) -> Matches:
    """The same where rows cannot be read: each begins and ends where it does in the text as it was searched, in bytes."""
    begin, parts = searched.batch.starts[found["document"]], searched.parts
    offset = np.array([part.piece.offset for part in parts], np.int64)[found["document"]]
    found["first"][:], found["last"][:] = found["start"] - begin + offset, found["end"] - begin + offset
    _with_tags(lists, epoch, searched, found, searched.batch.lines(found["start"]) - searched.batch.lines(begin))
    own, found["labels"][:] = np.unique(found["own"], return_inverse=True)
    return Matches(found.kinds, found.table, (), _members(searched), [labels_of(bits) for bits in own.tolist()])


def _members(searched: Searched) -> list[tuple[str, int, str]]:
    """Of each document the path, number and container of its member."""
    return [(part.piece.path, part.piece.member, part.piece.container) for part in searched.parts]


def _with_tags(lists: TenantLists, epoch: Epoch, searched: Searched, found: Matches, lines: Places) -> None:
    """Fill in the customers' handles, the tags for searching, and the lines, which are counted from each part's first."""
    found["handle"][:] = epoch.list.raw_handles(found["subject"])
    for question, own in found.by_question():
        found["tag"][own] = lists.index.tagger(question.kind, question.form).tag_rows(*question.normals(found["place"][own]))
    found["line"][:] = lines + np.array([part.line for part in searched.parts], np.int64)[found["document"]]


def _with_coincidence(found: Matches) -> None:
    """Fill in, of masked values, the chance that each fits its customer by accident."""
    for question, own in found.by_question():
        if question.form == masked.FORM:
            normals = Texts(*question.normals(found["place"][own])).strings()
            found["coincidence"][own] = [masked.coincidence(question.kind, normal) for normal in normals]


def with_places(searched: Searched, found: Matches) -> None:
    """Fill in where each match stands in the decoded text, and whether something in it had to be undone."""
    parts, batch, documents = searched.parts, searched.batch, found["document"]
    begin = batch.characters_before(batch.starts[documents])
    first, last = (batch.characters_before(found[name]) - begin for name in ("start", "end"))
    borders = np.flatnonzero(np.diff(documents, prepend=-1, append=len(parts)))
    for low, high in pairwise(borders.tolist()):
        part = parts[int(documents[low])]
        if not part.text.is_unchanged:
            for number in range(low, high):
                start, end = int(first[number]), int(last[number])
                first[number], last[number] = part.text.span(start, end)
                if part.text.original[first[number] : last[number]] != part.text.text[start:end]:
                    found["transforms"][number] = FOLDED
        first[low:high] += part.piece.offset
        last[low:high] += part.piece.offset
    found["first"][:], found["last"][:] = first, last


def _are_normal(searched: Searched, found: Matches) -> Flags:
    """Which matches are written as their normal form is, but for capitals, or are digests or masks: bool[n]."""
    normal = np.ones(len(found), bool)
    for question, own in found.by_question():
        if question.form == "plain":
            start, end = found["start"][own], found["end"][own]
            table, length = question.normals(found["place"][own])
            width = min(table.shape[1], WIDEST)
            same = searched.batch.windows(start, width) == table[:, :width]
            same |= np.arange(width) >= length[:, None]
            normal[own] = same.all(axis=1) & (length <= width) & (end - start == length)
            for number in own[~normal[own]].tolist():
                value = searched.batch.text(found["start"][number], found["end"][number]).decode("utf-8", "surrogatepass")
                [form] = Texts(*question.normals(found["place"][[number]])).strings()
                normal[number] = value.lower() == form.lower()
    return normal


def confidences(found: Matches) -> npt.NDArray[np.int64]:
    """How sure each match is, in percent: i64[n]."""
    alone = np.array([ALONE.get(kind, OTHERWISE) for kind, _ in found.kinds], np.int64)
    return np.where(np.bitwise_count(found["own"]) >= 2, TOGETHER, alone[found["question"]])


def records(found: Matches) -> Iterator[Match]:
    """Each of the matches, which are listed, as a record.

    They are made as from a pickle, unchecked: the values are our own columns, and to check them takes five times as long.
    """
    width, tags, handles = 2 * TAG_BYTES, found["tag"].tobytes().hex(), found["handle"].tobytes().hex()
    cuts = [slice(first, first + width) for first in range(0, width * len(found), width)]
    named = [found.kinds[number] for number in found["question"].tolist()]
    members = [found.members[number] for number in found["document"].tolist()]
    columns = {
        "kind": [kind for kind, _ in named],
        "form": [form for _, form in named],
        "subject": [handles[own] for own in cuts],
        "index_tag": [tags[own] for own in cuts],
        "member": [number for _, number, _ in members],
        "container": [container for *_, container in members],
        "start": found["first"].tolist(),
        "end": found["last"].tolist(),
        "row": found["line"].tolist(),
        "fields": [found.labels[number] for number in found["labels"].tolist()],
        "own_fields": [labels_of(own) for own in found["own"].tolist()],
        "transforms": [TRANSFORMS[done] for done in found["transforms"].tolist()],
        "confidence": confidences(found).tolist(),
        "coincidence": found["coincidence"].tolist(),
    }
    state = {"__pydantic_fields_set__": {*columns}, "__pydantic_extra__": None, "__pydantic_private__": None}
    for values in zip(*columns.values(), strict=True):
        match = Match.__new__(Match)
        match.__setstate__({"__dict__": dict(zip(columns, values, strict=True)), **state})
        yield match
