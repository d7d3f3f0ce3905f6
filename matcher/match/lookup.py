"""What is asked of a watchlist for the candidates of a batch, and what it answers: columns in, columns out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np

from matcher.columns.batch import Bytes, Flags, Places
from matcher.columns.text_column import Texts
from matcher.detect.candidates import Segment, anywhere
from matcher.detect.digests import DIGEST
from matcher.watchlist.installed import Epoch
from ullage.identifiers.email import strip_plus
from ullage.tags import TAG_BYTES, Laid, Tags, lay
from ullage.written_forms import DIGESTED

PLUS = 43
FEW = 8
"""One in so many values may fail its check and be asked for with the others."""


class Values:
    """Normal forms, `normal` u8[n, width] and `length` i64[n], laid out for tagging when first asked for: once for all lists."""

    def __init__(self, normal: Bytes, length: Places) -> None:
        self.normal, self.length = normal, length

    @cached_property
    def laid(self) -> Sequence[Laid]:
        """What a tagger takes."""
        return lay(self.normal, self.length)


class Question(NamedTuple):
    """Values asked for as one kind and form, and the bytes [start, end) they stand at.

    `valid` bool[n] says which of them an answer counts for; None for all.
    """

    kind: str
    form: str
    values: Values
    start: Places
    end: Places
    valid: Flags | None = None

    @property
    def normal(self) -> Bytes:
        """The normal forms: u8[n, width]."""
        return self.values.normal

    @property
    def length(self) -> Places:
        """How long they are: i64[n]."""
        return self.values.length

    def __len__(self) -> int:
        return len(self.start)


class Answers(NamedTuple):
    """Who was found: number of the question, place in it, row of the subject in the list; columns, by question and place."""

    question: Places
    place: Places
    subject: Places


def questions(segments: Iterable[Segment]) -> Iterator[Question]:
    """What can be asked for `segments`: a digest as each kind's, an address with a plus-tag without it too.

    A few values that fail their check are tagged with the others: to take all others out costs more.
    """
    for segment in segments:
        good = int(np.count_nonzero(segment.valid))
        some = segment if good * FEW >= len(segment) * (FEW - 1) else segment.where(segment.valid)
        if good:
            values, valid = Values(some.normal, some.length), some.valid if good < len(some) else None
            for kind in DIGESTED if segment.kind == DIGEST else (segment.kind,):
                yield Question(kind, segment.form, values, some.start, some.end, valid)
            if segment.kind == "email":
                yield from _stripped(some)


def enrolled(asked: Iterable[Question], kinds: frozenset[tuple[str, str]]) -> list[Question]:
    """Those of `asked` whose (kind, form) a list has."""
    return [question for question in asked if (question.kind, question.form) in kinds]


def _stripped(mail: Segment) -> Iterator[Question]:
    """Addresses with a plus-tag, asked for without it too."""
    tagged = mail.where(anywhere(mail.normal == PLUS))
    if len(tagged):
        whole = [row[:size].tobytes().decode() for row, size in zip(tagged.normal, tagged.length, strict=True)]
        bare = Texts.of([strip_plus(address).encode() for address in whole])
        yield Question("email", "plain", Values(bare.table, bare.lengths), tagged.start, tagged.end)


def tags_of(epoch: Epoch, asked: Sequence[Question]) -> Tags:
    """The tags of all values of `asked`, one question after the other: shape (n, 16); one AES batch a question."""
    out = np.empty((sum(map(len, asked)) + 1, TAG_BYTES), np.uint8)
    begin = 0
    for question in asked:
        end = begin + len(question)
        epoch.tags.tagger(question.kind, question.form).tag_laid(question.values.laid, out[begin : end + 1])
        begin = end
    return out[:-1]


def ask(epoch: Epoch, asked: Sequence[Question]) -> Answers:
    """Every enrolled value of `asked`, with one look-up for all."""
    if not asked:
        none = np.empty(0, np.int64)
        return Answers(none, none, none)
    hits, subjects = epoch.list.look_up(tags_of(epoch, asked))
    ends = np.cumsum([len(question) for question in asked])
    question = np.searchsorted(ends, hits, "right")
    begins = ends - [len(question) for question in asked]
    order = np.lexsort((hits, question))
    return _counted(asked, Answers(question[order], (hits - begins[question])[order], subjects[order]))


def _counted(asked: Sequence[Question], answers: Answers) -> Answers:
    """`answers` without those for values that fail their check."""
    counts = np.ones(len(answers.place), bool)
    for number, question in enumerate(asked):
        if question.valid is not None:
            own = answers.question == number
            counts[own] = question.valid[answers.place[own]]
    return answers if counts.all() else Answers(*(column[counts] for column in answers))
