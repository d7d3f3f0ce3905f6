"""What is asked of a watchlist for the candidates of a batch, and what it answers: columns in, columns out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from matcher.scan.batch import Bytes, Places
from matcher.scan.digests import DIGEST
from matcher.scan.segment import Segment
from matcher.watchlist.columns import Texts
from matcher.watchlist.forms import DIGESTED
from matcher.watchlist.installed import Epoch
from ullage.identifiers.email import strip_plus

PLUS = 43


class Question(NamedTuple):
    """Values asked for as one kind and form: `normal` u8[n, width], `length` i64[n], and the bytes [start, end) they stand at."""

    kind: str
    form: str
    normal: Bytes
    length: Places
    start: Places
    end: Places


class Answers(NamedTuple):
    """Who was found: number of the question, place in it, row of the subject in the list; columns, by question and place."""

    question: Places
    place: Places
    subject: Places


def questions(segments: Iterable[Segment], enrolled: frozenset[tuple[str, str]]) -> Iterator[Question]:
    """What to ask for `segments` of a list that has the (kind, form) pairs `enrolled`; a digest is asked for as each kind's."""
    for segment in segments:
        some = segment if segment.valid.all() else segment.where(segment.valid)
        for kind in DIGESTED if segment.kind == DIGEST else (segment.kind,):
            if len(some) and (kind, segment.form) in enrolled:
                yield Question(kind, segment.form, some.normal, some.length, some.start, some.end)
        if segment.kind == "email" and ("email", "plain") in enrolled:
            yield from _stripped(some)


def _stripped(mail: Segment) -> Iterator[Question]:
    """Addresses with a plus-tag, asked for without it too."""
    tagged = mail.where((mail.normal == PLUS).any(1))
    if len(tagged):
        whole = [row[:size].tobytes().decode() for row, size in zip(tagged.normal, tagged.length, strict=True)]
        bare = Texts.of([strip_plus(address).encode() for address in whole])
        yield Question("email", "plain", bare.table, bare.lengths, tagged.start, tagged.end)


def ask(epoch: Epoch, asked: Sequence[Question]) -> Answers:
    """Every enrolled value of `asked`: one AES batch a question, one look-up for all."""
    if not asked:
        none = np.empty(0, np.int64)
        return Answers(none, none, none)
    tags = np.concatenate([epoch.tags.tagger(q.kind, q.form).tag_rows(q.normal, q.length) for q in asked])
    hits, subjects = epoch.list.look_up(tags)
    ends = np.cumsum([len(q.length) for q in asked])
    question = np.searchsorted(ends, hits, "right")
    begins = ends - [len(q.length) for q in asked]
    order = np.lexsort((hits, question))
    return Answers(question[order], (hits - begins[question])[order], subjects[order])
