"""Texts as the columns that the vectorised search gives, made by the plain one: what rows and
statistics are tried on.
"""

from collections.abc import Sequence

import numpy as np

from matcher.columns.batch import Batch
from matcher.detect.candidates import Candidates, Segment
from matcher.records import RowTable
from matcher.records import rows_of as rows_in
from matcher.reference import find
from ullage.identifiers import Candidate


def segments_of(
    batch: Batch, found: Sequence[Sequence[Candidate]], texts: Sequence[str]
) -> list[Segment]:
    """One segment a kind; `found` are the candidates of each text, at character offsets."""
    by_kind: dict[str, list[tuple[int, int, bytes, bool]]] = {}
    for text, own, begin in zip(texts, found, batch.starts.tolist(), strict=True):
        places = np.cumsum([0, *(len(char.encode()) for char in text)]) + begin
        for one in own:
            place = (int(places[one.start]), int(places[one.end]), one.normal.encode(), one.valid)
            by_kind.setdefault(one.kind, []).append(place)
    made = []
    for kind, own in by_kind.items():
        width = max(len(normal) for _, _, normal, _ in own)
        normal = np.frombuffer(
            b"".join(n.ljust(width, b"\0") for _, _, n, _ in own), np.uint8
        ).reshape(-1, width)
        start, end, length = (
            np.array(column) for column in zip(*((s, e, len(n)) for s, e, n, _ in own), strict=True)
        )
        made.append(
            Segment(
                kind, "plain", start, end, normal, length, np.array([valid for *_, valid in own])
            )
        )
    return made


def laid_out(texts: Sequence[str]) -> tuple[Batch, list[Segment]]:
    """A batch of `texts` and what stands in it."""
    batch = Batch.of([text.encode() for text in texts])
    return batch, segments_of(batch, [find(text) for text in texts], texts)


def rows_of_texts(*texts: str) -> RowTable:
    """The rows of `texts`, each a document."""
    batch, segments = laid_out(texts)
    return rows_in(batch, Candidates.merged(segments))


def fields_of(rows: RowTable, row: int) -> frozenset[str]:
    """The labels of one row."""
    return rows.fields(np.array([row]))[1][0]


def names_of(rows: RowTable, row: int) -> tuple[str, ...]:
    """The names in one row."""
    _, han, others = rows.names(np.array([row]))
    return (*han.strings(), *(name for _, name in others))


def members_of(rows: RowTable, row: int) -> range:
    """The numbers of the candidates in one row, those that fail their checksum among them."""
    first = int(rows.first_candidate[row])
    return range(first, first + int(rows.candidate_count[row]))
