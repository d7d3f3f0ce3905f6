"""Matches as they are told: where each stands in the decoded text, the labels of its row, and what makes it a record."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise, repeat

import numpy as np
import numpy.typing as npt

from matcher.columns.batch import Flags, Places, Texts
from matcher.match.batches import Searched
from matcher.match.lookup import FOLDED, NONE, NORMALISED, Matches, labels_of
from matcher.watchlist.installed import Epoch, TenantLists
from ullage.identifiers import masked
from ullage.records import MAX_MATCHES, Match
from ullage.security.tags import TAG_BYTES

ALONE = {"email": 85, "card": 90, "resident_id": 95, "phone": 70, "iban": 90, "uscc": 60}
"""How sure a match is by its value alone, in percent; OTHERWISE of another kind, TOGETHER beside a field of the same customer."""
OTHERWISE = 60
TOGETHER = 99
ROW_FIELDS = 24
TRANSFORMS = {0: (), FOLDED: ("folded",), NORMALISED: ("normalised",), FOLDED | NORMALISED: ("folded", "normalised")}
COLUMNS = ("question", "document", "handle", "tag", "first", "last", "line", "labels", "own", "transforms", "coincidence")
"""What a record is made of."""
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
    found["transforms"] |= np.where(_are_normal(searched, found), 0, NORMALISED)
    number, held = searched.rows.fields(found["row"][in_row])
    others = np.zeros(len(found), np.int64)
    others[in_row] = number + 1
    held = [frozenset(), *held]
    own, own_number = np.unique(found["own"], return_inverse=True)
    pairs, pair = np.unique(others * len(own) + own_number, return_inverse=True)
    made = [
        tuple(sorted(held[fields].union(labels_of(bits))))[:ROW_FIELDS]
        for fields, bits in zip((pairs // len(own)).tolist(), own[pairs % len(own)].tolist(), strict=True)
    ]
    numbers = {labels: place for place, labels in enumerate(dict.fromkeys(made))}
    found["labels"] = np.array([numbers[labels] for labels in made], np.int64)[pair]
    return _listed(searched, found, list(numbers))


def listed_barely(lists: TenantLists, epoch: Epoch, searched: Searched, found: Matches) -> Matches:
    """The same where rows cannot be read: each begins and ends where it does in the text as it was searched, in bytes."""
    begin, parts = searched.batch.starts[found["document"]], searched.parts
    offset = np.array([part.piece.offset for part in parts], np.int64)[found["document"]]
    found["first"], found["last"] = found["start"] - begin + offset, found["end"] - begin + offset
    found["transforms"], found["coincidence"] = np.zeros_like(begin), np.zeros(len(found))
    _with_tags(lists, epoch, searched, found, searched.batch.lines(found["start"]) - searched.batch.lines(begin))
    own, found["labels"] = np.unique(found["own"], return_inverse=True)
    return _listed(searched, found, [labels_of(bits) for bits in own.tolist()])


def _listed(searched: Searched, found: Matches, labels: Sequence[tuple[str, ...]]) -> Matches:
    """The columns of `found` that a record tells."""
    members = [(part.piece.path, part.piece.member, part.piece.container) for part in searched.parts]
    return Matches(found.kinds, {name: found[name] for name in COLUMNS}, (), members, labels)


def _with_tags(lists: TenantLists, epoch: Epoch, searched: Searched, found: Matches, lines: Places) -> None:
    """Fill in the customers' handles, the tags for searching, and the lines, which are counted from each part's first."""
    found["handle"] = epoch.list.raw_handles(found["subject"])
    found["tag"] = np.empty((len(found), TAG_BYTES), np.uint8)
    for question, own in found.by_question():
        found["tag"][own] = lists.index.tagger(question.kind, question.form).tag_rows(*question.normals(found["place"][own]))
    found["line"] = lines + np.array([part.line for part in searched.parts], np.int64)[found["document"]]


def _with_coincidence(found: Matches) -> None:
    """Fill in, of masked values, the chance that each fits its customer by accident."""
    found["coincidence"] = np.zeros(len(found))
    for question, own in found.by_question():
        if question.form == masked.FORM:
            normals = Texts(*question.normals(found["place"][own])).strings()
            found["coincidence"][own] = [masked.coincidence(question.kind, normal) for normal in normals]


def with_places(searched: Searched, found: Matches) -> None:
    """Fill in where each match stands in the decoded text, and whether something in it had to be undone."""
    parts, batch, documents = searched.parts, searched.batch, found["document"]
    begin = batch.characters_before(batch.starts[documents])
    first, last = (batch.characters_before(found[name]) - begin for name in ("start", "end"))
    found["transforms"] = np.zeros(len(found), np.int64)
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
    found["first"], found["last"] = first, last


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
    """Each of the matches, which are listed, as a record; as many at a time as go into one finding."""
    for first in range(0, len(found), MAX_MATCHES):
        yield from _records(found.take(slice(first, first + MAX_MATCHES)))


def _records(found: Matches) -> list[Match]:
    """The matches as records, made as from a pickle, unchecked: the values are our own columns, and to check them takes longer.

    Each attribute is set of all of them by one call, which takes a third of what a loop in Python would.
    """
    tags, handles = (found[name].tobytes().hex(" ", TAG_BYTES).split() for name in ("tag", "handle"))
    members = [found.members[number] for number in found["document"].tolist()]
    named = [found.kinds[number] for number in found["question"].tolist()]
    columns = zip(
        named,
        handles,
        tags,
        members,
        found["first"].tolist(),
        found["last"].tolist(),
        found["line"].tolist(),
        found["labels"].tolist(),
        found["own"].tolist(),
        found["transforms"].tolist(),
        confidences(found).tolist(),
        found["coincidence"].tolist(),
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
            "own_fields": labels_of(own),
            "transforms": TRANSFORMS[done],
            "confidence": sure,
            "coincidence": chance,
        }
        for (kind, form), handle, tag, (_, member, container), start, end, line, labels, own, done, sure, chance in columns
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
