"""Parts side by side: searched a mebibyte or more at a time, since a numpy call costs one document what it costs a hundred."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property

from matcher.lexicon import Lexicon, Terms
from matcher.parts import Laid, Piece, line_behind, read
from matcher.public import Public
from matcher.questions import Question, questions
from matcher.rows import Rows, Sheet, rows
from matcher.scan.labelled import find_labelled
from matcher.scan.search import search
from matcher.scan.segment import Candidates
from matcher.scan.unlucky import labelled_cards

BATCH = 4 * 1024 * 1024
"""Bytes at which a batch is full: a tenth faster than at 2 MiB, twice as fast as at 256 KiB; at 8 MiB memory runs short."""


class Searched:
    """A batch of parts with what was found in them. Rows and terms are made when first asked for: most parts match nobody."""

    def __init__(self, laid: Laid, lexicon: Lexicon, sheets: dict[int, Sheet], public: Public) -> None:
        self.parts, self.batch, self._seen = laid.parts, laid.batch, laid.seen
        self.segments = public.left_out(search(self.batch, find_labelled(self.batch, laid.seen.labelled)))
        self.unlikely = labelled_cards(self.batch, self.segments, laid.seen.card_headers)
        """Cards that fail Luhn behind a label: asked for, since such cards are issued, but no sign of a genuine file."""
        self._lexicon, self._sheets = lexicon, sheets

    @cached_property
    def asked(self) -> Sequence[Question]:
        """What can be asked of a list: all that is not weak, laid out once for every list."""
        return list(questions([*(s for s in self.segments if not s.weak), self.unlikely]))

    @cached_property
    def candidates(self) -> Candidates:
        """All that is not weak, in order of place."""
        return Candidates.merged(self.segments)

    @cached_property
    def rows(self) -> Rows:
        """The rows of all parts; one that goes on knows the columns of the part before it."""
        return rows(self.batch, self.candidates, self._sheets)

    @cached_property
    def terms(self) -> Sequence[Terms]:
        """What the lexicon says of each part."""
        return self._lexicon.read_batch(self.batch, self._seen)


def batches(pieces: Iterable[Piece], lexicon: Lexicon, public: Public | None = None) -> Iterator[Searched]:
    """`pieces` in batches, read and searched for all but what is `public`.

    What a long text taught of its columns goes along with it. A batch is let go of before the next is read: who still holds it by
    then makes both stay, which together are most of the memory that a long file takes.
    """
    public = public or Public()
    searched: Searched | None = None
    for group in _grouped(pieces):
        sheets, line = _carried(searched, group)
        searched = None
        searched = Searched(read(group, lexicon.sieve, line), lexicon, sheets, public)
        yield searched


def _carried(before: Searched | None, group: Sequence[Piece]) -> tuple[dict[int, Sheet], int]:
    """What the batch before teaches of a text that goes on in `group`: its columns, by the number of its part, and its line."""
    if before is None or not group[0].goes_on:
        return {}, 0
    return {0: before.rows.carried(len(before.parts) - 1)}, line_behind(before.parts[-1])


def _grouped(pieces: Iterable[Piece]) -> Iterator[list[Piece]]:
    """Groups of pieces of about BATCH bytes."""
    group: list[Piece] = []
    size = 0
    for piece in pieces:
        group.append(piece)
        size += piece.size
        if size >= BATCH:
            yield group
            group, size = [], 0
    if group:
        yield group
