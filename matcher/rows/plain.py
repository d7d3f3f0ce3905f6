"""Rows: what stands together in a dump, and which field each cell is.

A row is a line with a valid candidate; or a block of `label: value` lines, one record written downwards. The separator
is the one that most such lines share. A cell's field is its candidate's kind, else what a header or a word before it
says, else a name by its shape. Values stay here; what leaves is labels, counts and the skeleton.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from matcher.labels import label_before, label_of
from matcher.rows.names import NAME, NOT_NAMES
from matcher.scan import DIGEST
from ullage.fields import OF_KIND, Field
from ullage.identifiers import Candidate

SEPARATORS = ("----", "\t", "|", ",", ";", "--", " ")
HEADER_LINES = 20
BLOCK_LINES = 8
MAX_ROWS = 200_000
"""Rows looked at one by one; beyond it they are counted by line alone."""


@dataclass(slots=True)
class Row:
    """One record: the lines [first, last] it covers, its candidates (numbers), the label of each, and cells that may be names."""

    first: int
    last: int
    candidates: list[int]
    fields: set[str] = field(default_factory=set)
    names: list[str] = field(default_factory=list)
    skeleton: str = ""


class Lines:
    """Line numbers of places in a text."""

    def __init__(self, text: str) -> None:
        self._starts = [0, *(m.end() for m in re.finditer("\n", text))]
        self.text = text

    def of(self, place: int) -> int:
        """The line, from 0, that holds `place`."""
        return bisect_right(self._starts, place) - 1

    def __len__(self) -> int:
        return len(self._starts)

    def get(self, line: int) -> str:
        """The text of a line, without its end."""
        start = self._starts[line]
        end = self._starts[line + 1] - 1 if line + 1 < len(self._starts) else len(self.text)
        return self.text[start:end]

    def start(self, line: int) -> int:
        """Where a line begins."""
        return self._starts[line]


def rows_of(candidates: Sequence[Candidate], lines: Lines) -> list[Row]:
    """The rows of a folded text, in order; each valid candidate is in exactly one."""
    by_line: dict[int, list[int]] = {}
    for number, candidate in enumerate(candidates):
        if candidate.valid:
            by_line.setdefault(lines.of(candidate.start), []).append(number)
    occupied = sorted(by_line)
    separator = _separator([lines.get(line) for line in occupied[:200]])
    header = _header(lines, separator, occupied[0] if occupied else 0)
    rows = _blocks([Row(line, line, by_line[line]) for line in occupied], lines)
    floor = 0
    for row in rows[:MAX_ROWS]:
        floor = _label(row, candidates, lines, separator, header, floor)
    for row in rows[MAX_ROWS:]:
        row.fields = {OF_KIND.get(candidates[i].kind, Field.OTHER) for i in row.candidates}
    return rows


def _separator(lines: list[str]) -> str:
    """The separator that most lines have, the longer one first; "" when they share none."""
    votes = Counter(next((s for s in SEPARATORS if s in line), "") for line in lines)
    return votes.most_common(1)[0][0] if votes else ""


def _header(lines: Lines, separator: str, first: int) -> list[Field | None]:
    """Labels of the columns, from a line of field names above the first row."""
    if not separator:
        return []
    for line in range(first - 1, max(-1, first - HEADER_LINES), -1):
        labels = [label_of(cell) for cell in lines.get(line).split(separator)]
        if sum(label is not None for label in labels) >= 2:
            return labels
    return []


def _blocks(rows: list[Row], lines: Lines) -> list[Row]:
    """Join the lines of a record that is written downwards: neighbouring `label: value` lines until a label comes again."""
    joined: list[Row] = []
    seen: set[Field] = set()
    for row in rows:
        own = label_before(lines.get(row.first))
        label = own[0] if own else None
        between = joined[-1].last + 1 if joined else 0
        passed = (
            [label_before(lines.get(line)) for line in range(between, row.first)]
            if row.first - between <= BLOCK_LINES
            else [None]
        )
        if joined and label and seen and label not in seen and all(passed):
            joined[-1].last = row.first
            joined[-1].candidates += row.candidates
        else:
            joined.append(row)
            seen = set()
        seen |= {label} if label else set()
    return joined


def _label(
    row: Row, candidates: Sequence[Candidate], lines: Lines, separator: str, header: list[Field | None], floor: int
) -> int:
    """Fill in the row's fields, names and skeleton; `floor` is the first line that no row has taken, and so is what returns."""
    shape: list[str] = []
    first, last = _extent(row, lines, floor)
    left = deque(candidates[i] for i in row.candidates)
    for line in range(first, last + 1):
        place = lines.start(line)
        cells = lines.get(line).split(separator) if separator and first == last else [lines.get(line)]
        for column, cell in enumerate(cells):
            end = place + len(cell)
            inside = []
            while left and left[0].start < end:
                inside.append(left.popleft())
            named = label_before(cell)
            by_header = header[column] if len(header) == len(cells) else None
            shape.append(_cell(row, cell, place, inside, named, by_header))
            place = end + len(separator)
    mark = {"": " ", "\t": "\\t"}.get(separator, separator)
    row.skeleton = mark.join(shape[:12])
    return last + 1


def _extent(row: Row, lines: Lines, floor: int) -> tuple[int, int]:
    """The lines of a record written downwards: a name may stand above its first number, a balance below its last.

    A label that comes again begins the next record.
    """
    first, last = row.first, row.last
    named = [label_before(lines.get(line)) for line in range(first, last + 1)]
    if named[0] is None:
        return first, last
    seen = {label for label, _ in filter(None, named)}

    def is_new(line: int) -> bool:
        found = label_before(lines.get(line))
        is_other = found is not None and found[0] not in seen
        seen.update({found[0]} if found and is_other else ())
        return is_other

    while first > floor and row.first - first < BLOCK_LINES and is_new(first - 1):
        first -= 1
    while last + 1 < len(lines) and last - row.last < BLOCK_LINES and is_new(last + 1):
        last += 1
    return first, last


def _cell(
    row: Row, cell: str, place: int, inside: list[Candidate], named: tuple[Field, str] | None, by_header: Field | None
) -> str:
    """One cell's label for the skeleton; its fields and names go into `row`."""
    if inside:
        labels = [OF_KIND.get(c.kind, c.kind if c.kind == DIGEST else Field.OTHER) for c in inside]
        row.fields.update(str(label) for label in labels if label in Field.__members__.values())
        if by_header and DIGEST in {c.kind for c in inside}:
            row.fields.add(by_header)
        row.names += [m.group() for m in NAME.finditer(_without(cell, place, inside)) if not NOT_NAMES.search(m.group())][:2]
        if row.names:
            row.fields.add(Field.NAME)
        return "".join(f"<{label}>" for label in labels)
    text = (named[1] if named else cell).strip().strip("\"'")
    label = named[0] if named else by_header
    if label is None and NAME.fullmatch(text) and not NOT_NAMES.search(text):
        label = Field.NAME
    if label is None or not text:
        return "<…>" if text else ""
    row.fields.add(label)
    if label == Field.NAME:
        row.names.append(text)
    return f"<{label}>"


def _without(cell: str, place: int, inside: list[Candidate]) -> str:
    """The text of a cell that begins at `place`, without its candidates: a name may be glued to a number."""
    kept, at = [], 0
    for candidate in inside:
        kept.append(cell[at : candidate.start - place])
        at = max(at, candidate.end - place)
    return " ".join([*kept, cell[at:]])
