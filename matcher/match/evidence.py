"""From answers to evidence: who was found, what else of them stands in the row, and how sure that makes it.

A bare phone proves little (one random number in a hundred is somebody's, on a list of ten million). Two fields of one customer in
one row by chance are negligible. So what is weak (names, masked values, permits without a label) is looked up, but only in rows
where a customer was found already, or has masked values of two kinds: `corroborated` does that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from matcher.columns.batch import Places
from matcher.match.batches import Searched
from matcher.match.corroboration import SUBJECT_BITS, Owners, masked_owners, named, weak
from matcher.match.lookup import Answers, Question, ask, enrolled
from matcher.watchlist.installed import Epoch
from ullage.fields import Field
from ullage.identifiers import field_by_kind

NONE = -1
BITS = {str(label): 1 << number for number, label in enumerate(Field)}
"""A bit for each label."""
COLUMNS = ("question", "place", "subject", "start", "end", "row", "own")


@dataclass(frozen=True, slots=True)
class Evidence:
    """Values of customers; columns i64[n].

    `question` and `place` say which value of `asked`, `subject` which row of the list; `start` and `end` are bytes of the batch,
    `row` is the row there (NONE for none), and `own` has a bit for each label of this customer's fields in that row.
    """

    asked: Sequence[Question]
    question: Places
    place: Places
    subject: Places
    start: Places
    end: Places
    row: Places
    own: Places

    def __len__(self) -> int:
        return len(self.question)

    def take(self, which: slice | Places) -> Evidence:
        """Some of it."""
        return Evidence(self.asked, *(getattr(self, name)[which] for name in COLUMNS))

    def by_question(self) -> Iterator[tuple[Question, Places]]:
        """Each question that gave some, and which these are: i64[m]."""
        order = np.argsort(self.question, kind="stable")
        borders = np.searchsorted(self.question[order], np.arange(len(self.asked) + 1)).tolist()
        for number, question in enumerate(self.asked):
            if borders[number] < borders[number + 1]:
                yield question, order[borders[number] : borders[number + 1]]


@cache
def labels_of(bits: int) -> tuple[str, ...]:
    """The labels that `Evidence.own` has a bit for, in order of the alphabet."""
    return tuple(sorted(label for label, bit in BITS.items() if bits & bit))


def answered(epoch: Epoch, searched: Searched) -> tuple[list[Question], Answers]:
    """All that is asked of one epoch for a batch, and who was found: nothing of what is weak."""
    asked = enrolled(searched.asked, epoch.list.kinds)
    return asked, ask(epoch, asked)


def look_up(epoch: Epoch, searched: Searched) -> Evidence:
    """All evidence of one epoch in a batch, in order of place; nothing of what is weak alone."""
    asked, answers = answered(epoch, searched)
    found = _located(searched, asked, answers)
    strong = found.row != NONE
    rows, subjects = masked_owners(epoch, searched)
    if not (len(found) or len(rows)):
        return found
    owners = Owners.of(*map(np.concatenate, ((found.row[strong], rows), (found.subject[strong], subjects))))
    if len(owners.rows):
        searched.rows.know(owners.rows)
    for question, place, subject in weak(epoch, searched, owners):
        found = _joined(found, _of_one(searched, question, place, subject))
    return _once(_with_fields(found, *named(epoch, searched, owners)))


def _located(searched: Searched, asked: Sequence[Question], answers: Answers) -> Evidence:
    """Answers with their places and rows; a place outside every row is a row of its own."""
    borders = np.searchsorted(answers.question, np.arange(len(asked) + 1)).tolist()
    own = [(question, answers.place[borders[n] : borders[n + 1]]) for n, question in enumerate(asked)]
    none = np.empty(0, np.int64)
    start, end = (
        np.concatenate([none, *(column[place] for column, place in columns)])
        for columns in ([(question.start, place) for question, place in own], [(question.end, place) for question, place in own])
    )
    row = searched.rows.holding(start) if len(start) else none
    return Evidence(asked, answers.question, answers.place, answers.subject, start, end, row, np.zeros(len(start), np.int64))


def _of_one(searched: Searched, question: Question, place: Places, subject: Places) -> Evidence:
    """Answers to one question."""
    return _located(searched, [question], Answers(np.zeros(len(place), np.int64), place, subject))


def _joined(one: Evidence, other: Evidence) -> Evidence:
    """Both, the other behind."""
    other = replace(other, question=other.question + len(one.asked))
    columns = (np.concatenate((getattr(one, name), getattr(other, name))) for name in COLUMNS)
    return Evidence([*one.asked, *other.asked], *columns)


def _with_fields(found: Evidence, rows: Places, subjects: Places) -> Evidence:
    """`found` with the labels of all that stands there of the same customer in the same row.

    Of the pairs of `rows` and `subjects` the name stands there too.
    """
    pairs, number = np.unique((found.row + 1) << SUBJECT_BITS | found.subject, return_inverse=True)
    bits = np.zeros(len(pairs), np.int64)
    label = np.array([BITS[field_by_kind().get(question.kind, Field.OTHER)] for question in found.asked], np.int64)
    np.bitwise_or.at(bits, number, label[found.question])
    bits[np.searchsorted(pairs, (rows + 1) << SUBJECT_BITS | subjects)] |= BITS[Field.NAME]
    return replace(found, own=bits[number])


def _once(found: Evidence) -> Evidence:
    """`found` in order of place, kind, form and subject; of what is the same in all of these the last."""
    names = [(question.kind, question.form) for question in found.asked]
    rank = np.array([sorted({*names}).index(name) for name in names], np.int64)[found.question]
    order = np.lexsort((found.subject, rank, found.end, found.start))
    columns = np.stack((found.start, found.end, rank, found.subject))[:, order]
    is_last = np.ones(len(order), bool)
    is_last[:-1] = (columns[:, 1:] != columns[:, :-1]).any(axis=0)
    return found.take(order[is_last])
