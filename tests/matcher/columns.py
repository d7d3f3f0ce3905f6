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
    """Return one segment per kind; `found` holds each text's candidates by character offset."""
    by_kind: dict[str, list[tuple[int, int, bytes, bool]]] = {}
    for text, candidates, begin in zip(texts, found, batch.starts.tolist(), strict=True):
        places = np.cumsum([0, *(len(char.encode()) for char in text)]) + begin
        for candidate in candidates:
            place = (
                int(places[candidate.start]),
                int(places[candidate.end]),
                candidate.normal.encode(),
                candidate.valid,
            )
            by_kind.setdefault(candidate.kind, []).append(place)
    segments = []
    for kind, candidates in by_kind.items():
        width = max(len(normal) for _, _, normal, _ in candidates)
        normal = np.frombuffer(
            b"".join(n.ljust(width, b"\0") for _, _, n, _ in candidates), np.uint8
        ).reshape(-1, width)
        start, end, length = (
            np.array(column)
            for column in zip(*((s, e, len(n)) for s, e, n, _ in candidates), strict=True)
        )
        segments.append(
            Segment(
                kind,
                "plain",
                start,
                end,
                normal,
                length,
                np.array([valid for *_, valid in candidates]),
            )
        )
    return segments


def lay_out(texts: Sequence[str]) -> tuple[Batch, list[Segment]]:
    """Return a batch of `texts` and the segments of its candidates."""
    batch = Batch.join([text.encode() for text in texts])
    return batch, segments_of(batch, [find(text) for text in texts], texts)


def rows_of_texts(*texts: str) -> RowTable:
    """Return the rows of `texts`, each of which is a document."""
    batch, segments = lay_out(texts)
    return rows_in(batch, Candidates.merge(segments))


def fields_of(rows: RowTable, row: int) -> frozenset[str]:
    """Return the labels of one row."""
    return rows.fields(np.array([row]))[1][0]


def names_of(rows: RowTable, row: int) -> tuple[str, ...]:
    """Return the names in one row."""
    _, han, latin = rows.names(np.array([row]))
    return (*han.strings(), *(name for _, name in latin))


def members_of(rows: RowTable, row: int) -> range:
    """Return the numbers of one row's candidates, including those with a wrong checksum."""
    first = int(rows.first_candidate[row])
    return range(first, first + int(rows.candidate_count[row]))
