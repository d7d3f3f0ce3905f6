"""From answers to evidence: who was found, what else of them stands in the row, and how sure that makes it.

A bare phone proves little (one random number in a hundred is somebody's, on a list of ten million). Two fields of one customer in
one row by chance are negligible. So what is weak (names, masked values, permits without a label) is looked up, but only in rows
where a customer was found already.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from matcher.batches import Searched
from matcher.questions import Answers, Question, Values, ask, enrolled, questions, tags_of
from matcher.watchlist.build import normal_name
from matcher.watchlist.columns import Texts
from matcher.watchlist.installed import Epoch, TenantLists
from ullage.fields import OF_KIND, Field
from ullage.identifiers import masked
from ullage.tags import Tags

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


def answered(epoch: Epoch, searched: Searched) -> tuple[list[Question], Answers]:
    """All that is asked of one epoch for a batch, and who was found: nothing of what is weak."""
    asked = enrolled(searched.asked, epoch.list.kinds)
    return asked, ask(epoch, asked)


def look_up(epoch: Epoch, searched: Searched) -> list[Evidence]:
    """All evidence of one epoch in a batch, in order of place; nothing of what is weak alone."""
    asked, answers = answered(epoch, searched)
    if not len(answers.question):
        return []
    found = list(_located(searched, asked, answers))
    found += _weak(epoch, searched, _owners(found))
    own: dict[tuple[int, int], set[str]] = defaultdict(set)
    for one in found:
        own[one.row, one.subject].add(_label(one.question.kind))
    for pair in _named(epoch, searched, _owners(found)):
        own[pair].add(str(Field.NAME))
    fields = {pair: frozenset(labels) for pair, labels in own.items()}
    single = {(one.start, one.end, one.question.kind, one.question.form, one.subject): one for one in found}
    return [one._replace(own=fields[one.row, one.subject]) for _, one in sorted(single.items(), key=lambda item: item[0])]


def _owners(found: Iterable[Evidence]) -> dict[int, list[int]]:
    """The subjects that were found in each row, ascending."""
    owners: dict[int, set[int]] = defaultdict(set)
    for one in found:
        if one.row != NONE:
            owners[one.row].add(one.subject)
    return {row: sorted(subjects) for row, subjects in sorted(owners.items())}


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


def _weak(epoch: Epoch, searched: Searched, owners: Mapping[int, Sequence[int]]) -> list[Evidence]:
    """Weak values in the rows of `owners` that are of a customer who was found there."""
    found = []
    for question in (*_weak_columns(epoch, searched, list(owners)), *_masked(searched, list(owners))):
        if (question.kind, question.form) not in epoch.list.kinds:
            continue
        rows = searched.rows.holding(question.start).tolist()
        pairs = [(place, subject, row) for place, row in enumerate(rows) for subject in owners.get(row, ())]
        tags = tags_of(epoch, [question])
        for (place, subject, row), is_own in zip(pairs, _belong(epoch, tags, pairs), strict=True):
            if is_own:
                span = int(question.start[place]), int(question.end[place])
                found.append(Evidence(question, place, subject, *span, row, frozenset()))
    return found


def _belong(epoch: Epoch, tags: Tags, pairs: Sequence[tuple[int, int, int]]) -> list[bool]:
    """Of (number of a tag, subject, row) triples, whether the value is this subject's. Weak values are many people's."""
    places, subjects, _ = np.array(pairs, np.int64).reshape(-1, 3).T
    own: list[bool] = epoch.list.belongs(tags[places], subjects).tolist()
    return own


def _weak_columns(epoch: Epoch, searched: Searched, rows: Sequence[int]) -> Iterator[Question]:
    """Candidates of weak segments that stand in one of `rows`."""
    for segment in searched.segments:
        if segment.weak:
            some = segment.where(np.isin(searched.rows.holding(segment.start), rows))
            yield from enrolled(questions([some]), epoch.list.kinds)


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
        normals = Texts.of([value for value, _, _ in values])
        first, last = np.array([span for _, *span in values], np.int64).T
        yield Question(kind, masked.FORM, Values(normals.table, normals.lengths), first, last)


def _named(epoch: Epoch, searched: Searched, owners: Mapping[int, Sequence[int]]) -> set[tuple[int, int]]:
    """(row, subject) for each name of a subject that stands in a row where the subject was found."""
    if ("name", "plain") not in epoch.list.kinds:
        return set()
    named = [(name, row) for row in owners for name in searched.rows.names(row)]
    if not named:
        return set()
    tags = epoch.tags.tagger("name", "plain").tag([normal_name(name).encode() for name, _ in named])
    pairs = [(place, subject, row) for place, (_, row) in enumerate(named) for subject in owners[row]]
    return {(row, subject) for (_, subject, row), own in zip(pairs, _belong(epoch, tags, pairs), strict=True) if own}


def is_enrolled_name(lists: Sequence[TenantLists], names: Sequence[str]) -> list[bool]:
    """Which of `names` are a customer's, of any tenant; used to redact titles."""
    known = [False] * len(names)
    if names:
        for tenant in lists:
            for epoch in tenant.epochs:
                hits, _ = epoch.list.look_up(epoch.tags.tagger("name", "plain").tag([normal_name(n).encode() for n in names]))
                for hit in np.unique(hits).tolist():
                    known[hit] = True
    return known
