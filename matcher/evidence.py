"""From answers to evidence: who was found, what else of them stands in the row, and how sure that makes it.

A bare phone proves little (one random number in a hundred is somebody's, on a list of ten million). Two fields of one customer in
one row by chance are negligible. So what is weak (names, masked values, permits without a label) is looked up, but only in rows
where a customer was found already.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from matcher.batches import Searched
from matcher.questions import Answers, Question, ask, questions
from matcher.watchlist.build import normal_name
from matcher.watchlist.installed import Epoch, TenantLists
from ullage.fields import OF_KIND, Field
from ullage.identifiers import masked

NONE = -1
MASK_SIGNS = re.compile("|".join(re.escape(sign * 4) for sign in masked.HIDDEN).encode())
"""What every masked value has, in UTF-8: a quick look before the slow one."""


class Evidence(NamedTuple):
    """One value of one customer.

    `question` and `place` in it say which value, `subject` which row of the list; `start` and `end` are bytes of the batch, `row`
    is the row there (NONE for none), and `own` holds the labels of all fields of this customer in that row.
    """

    question: Question
    place: int
    subject: int
    start: int
    end: int
    row: int
    own: frozenset[str]


def enrolled(epoch: Epoch) -> frozenset[tuple[str, str]]:
    """The (kind, form) pairs that a list has."""
    return epoch.list.kinds


def look_up(epoch: Epoch, searched: Searched) -> list[Evidence]:
    """All evidence of one epoch in a batch, in order of place; nothing of what is weak alone."""
    strong = [*(s for s in searched.segments if not s.weak), *searched.unlikely]
    asked = list(questions(strong, enrolled(epoch)))
    answers = ask(epoch, asked)
    if not len(answers.question):
        return []
    found = list(_located(searched, asked, answers))
    found += _weak(epoch, searched, found)
    own: dict[tuple[int, int], set[str]] = defaultdict(set)
    for one in found:
        own[one.row, one.subject].add(_label(one.question.kind))
    for row, subject in _named(epoch, searched, sorted({one.row for one in found if one.row != NONE})):
        if (row, subject) in own:
            own[row, subject].add(str(Field.NAME))
    fields = {pair: frozenset(labels) for pair, labels in own.items()}
    single = {(one.start, one.end, one.question.kind, one.question.form, one.subject): one for one in found}
    return [one._replace(own=fields[one.row, one.subject]) for _, one in sorted(single.items(), key=lambda item: item[0])]


def _label(kind: str) -> str:
    return str(OF_KIND.get(kind, Field.OTHER))


def _located(searched: Searched, asked: Sequence[Question], answers: Answers) -> Iterator[Evidence]:
    """Answers with their places and rows; a place outside every row is a row of its own."""
    for number, question in enumerate(asked):
        mine = answers.question == number
        place, subject = answers.place[mine], answers.subject[mine]
        start, end = question.start[place], question.end[place]
        columns = zip(
            place.tolist(), subject.tolist(), start.tolist(), end.tolist(), searched.rows.holding(start).tolist(), strict=True
        )
        yield from (Evidence(question, p, s, first, last, row, frozenset()) for p, s, first, last, row in columns)


def _weak(epoch: Epoch, searched: Searched, found: Sequence[Evidence]) -> list[Evidence]:
    """Weak values in the rows of `found` that are of a customer who was found there."""
    known = {(one.row, one.subject) for one in found if one.row != NONE}
    rows = sorted({row for row, _ in known})
    asked = [*_weak_columns(epoch, searched, rows), *_masked(searched, rows)]
    asked = [question for question in asked if (question.kind, question.form) in enrolled(epoch)]
    answers = ask(epoch, asked)
    return [one for one in _located(searched, asked, answers) if (one.row, one.subject) in known] if len(answers.question) else []


def _weak_columns(epoch: Epoch, searched: Searched, rows: Sequence[int]) -> Iterator[Question]:
    """Candidates of weak segments that stand in one of `rows`."""
    for segment in searched.segments:
        if segment.weak:
            some = segment.where(np.isin(searched.rows.holding(segment.start), rows))
            yield from (q._replace(form=segment.form) for q in questions([some], enrolled(epoch)))


def _masked(searched: Searched, rows: Sequence[int]) -> Iterator[Question]:
    """Masked values in `rows`, a question for each kind."""
    found: dict[str, list[tuple[bytes, int, int]]] = defaultdict(list)
    for row in rows:
        text = searched.rows.text(row)
        line = text.decode("utf-8", "ignore") if MASK_SIGNS.search(text) else ""
        for c in masked.find(line):
            start = int(searched.rows.start[row]) + len(line[: c.start].encode())
            found[c.kind].append((c.normal.encode(), start, start + len(line[c.start : c.end].encode())))
    for kind, values in sorted(found.items()):
        width = max(len(value) for value, _, _ in values)
        normal = np.frombuffer(b"".join(value.ljust(width, b"\0") for value, _, _ in values), np.uint8).reshape(-1, width)
        length, first, last = np.array([(len(value), start, end) for value, start, end in values], np.int64).T
        yield Question(kind, masked.FORM, normal, length, first, last)


def _named(epoch: Epoch, searched: Searched, rows: Iterable[int]) -> list[tuple[int, int]]:
    """(row, subject) for each enrolled name that stands in one of `rows`."""
    if ("name", "plain") not in enrolled(epoch):
        return []
    pairs = [(row, normal_name(name)) for row in rows for name in searched.rows.names(row)]
    if not pairs:
        return []
    hits, subjects = epoch.list.look_up(epoch.tags.tagger("name", "plain").tag([name.encode() for _, name in pairs]))
    return [(pairs[int(hit)][0], int(subject)) for hit, subject in zip(hits, subjects, strict=True)]


def is_enrolled_name(lists: Sequence[TenantLists], names: Sequence[str]) -> list[bool]:
    """Which of `names` are a customer's, of any tenant; used to redact titles."""
    known = [False] * len(names)
    if names:
        for tenant in lists:
            for epoch in tenant.epochs:
                hits, _ = epoch.list.look_up(epoch.tags.tagger("name", "plain").tag([normal_name(n).encode() for n in names]))
                for hit in hits:
                    known[int(hit)] = True
    return known
