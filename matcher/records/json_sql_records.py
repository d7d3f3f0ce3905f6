"""Records between brackets: JSON objects and the tuples of SQL statements, and the column names that a statement gives.

Quotes are paired line by line, since neither JSON nor a dump tool leaves a line end inside quotes: what one broken line does
ends with it. Which places are inside quotes is the parity of the quotes before them. A line with an odd number of quotes is cut
off in front or behind: it takes the parity that has more of its brackets outside.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from matcher.columns.batch import Batch, Bytes, Flags, Places
from matcher.detect.labels import label_of
from matcher.records.table import OBJECT, TUPLE, Numbers, Spans
from ullage.vocabulary.fields import FieldLabel

BACKSLASH = 92
DEEPEST = 8


@dataclass(frozen=True, slots=True)
class RecordMarks:
    """Signs by which a kind of record is known."""

    quote: int
    opening: int
    closing: int


JSON = RecordMarks(*b'"{}')
SQL = RecordMarks(*b"'()")


@dataclass(frozen=True, slots=True)
class Brackets:
    """Brackets outside quotes, in order: `place` i64[b], whether each opens, how deep it is after it, from 0, and its unit."""

    place: Places
    opens: Flags
    level: Numbers
    unit: Numbers


def objects(batch: Batch, first: int, last: int) -> Spans:
    """Records of JSON in documents [first, last]: of each document the outermost objects of which there are two or more.

    A single object that holds a list of objects is a wrapper; an object that is the value of a key belongs to the one around it.
    """
    found = _brackets(batch, first, last, JSON, batch.starts)
    document = batch.documents(found.place)
    is_record = found.opens & (found.level <= DEEPEST) & ~_is_value(batch, found.place)
    counts = np.bincount(
        (document * (DEEPEST + 1) + found.level)[is_record], minlength=len(batch.starts) * (DEEPEST + 1)
    ).reshape(-1, DEEPEST + 1)
    several = counts >= 2
    depth = np.where(several.any(1), several.argmax(1), 1)
    return _at(found, depth[document], OBJECT)


def tuples(batch: Batch, first: int, last: int) -> Spans:
    """Tuples of SQL statements in documents [first, last]: what stands between the outermost brackets of a line."""
    found = _brackets(batch, first, last, SQL, batch.line_starts)
    return _at(found, np.ones(len(found.place), np.int64), TUPLE)


def _is_value(batch: Batch, places: Places) -> Flags:
    """Whether a colon stands before each place, a space between or not: bool[n]."""
    before = batch.data[places - 1]
    is_value: Flags = (before == ord(":")) | ((before == ord(" ")) & (batch.data[places - 2] == ord(":")))
    return is_value


def _brackets(batch: Batch, first: int, last: int, marks: RecordMarks, units: Places) -> Brackets:
    """Brackets outside quotes in documents [first, last]; depth begins anew with each of `units`."""
    low, high = int(batch.starts[first]), int(batch.ends[last])
    part = batch.data[low:high]
    quotes = _unescaped(part, np.flatnonzero(part == marks.quote)) + low
    places = np.flatnonzero((part == marks.opening) | (part == marks.closing)) + low
    places = places[_outside(batch, places, quotes)]
    opens = batch.data[places] == marks.opening
    unit = np.searchsorted(units, places, "right")
    return Brackets(places, opens, _levels(np.where(opens, 1, -1), unit), unit)


def _unescaped(part: Bytes, quotes: Numbers) -> Numbers:
    """Those of `quotes` before which an even number of backslashes stands."""
    slashes = np.flatnonzero(part == BACKSLASH)
    if not len(slashes) or not len(quotes):
        return quotes
    run_start = np.flatnonzero(np.append(True, np.diff(slashes) != 1))
    run_of = np.cumsum(np.append(True, np.diff(slashes) != 1)) - 1
    run_length = np.arange(len(slashes)) - run_start[run_of] + 1
    last = np.searchsorted(slashes, quotes) - 1
    is_escaped = (last >= 0) & (slashes[last] == quotes - 1) & (run_length[last] % 2 == 1)
    kept: Numbers = quotes[~is_escaped]
    return kept


def _outside(batch: Batch, places: Places, quotes: Places) -> Flags:
    """Whether each place stands outside quotes: bool[n]."""
    lines, number = np.unique(batch.lines(places), return_inverse=True)
    before = np.searchsorted(quotes, batch.line_starts[lines])
    is_cut = (np.searchsorted(quotes, batch.line_starts[lines + 1]) - before) % 2 == 1
    odd = (np.searchsorted(quotes, places) - before[number]) % 2
    most_odd = np.bincount(number, odd, len(lines)) * 2 > np.bincount(number, minlength=len(lines))
    is_outside: Flags = odd.astype(bool) == (is_cut & most_odd)[number]
    return is_outside


def _levels(steps: Numbers, unit: Numbers) -> Numbers:
    """Depth after each bracket, i64[b]: +1 opens and −1 closes, anew in each unit; what closes nothing counts as nothing.

    The depth is the sum less its lowest so far. Sinking the sums of each unit below those of the one before makes that
    lowest begin anew with the unit.
    """
    if not len(steps):
        return steps
    total = np.cumsum(steps)
    is_first = np.append(True, unit[1:] != unit[:-1])
    before = (total - steps)[is_first][np.cumsum(is_first) - 1]
    sunk = total - before - unit * (len(steps) + 1)
    lowest = np.minimum(np.minimum.accumulate(sunk), -unit * (len(steps) + 1))
    level: Numbers = sunk - lowest
    return level


def _at(found: Brackets, depth: Numbers, style: int) -> Spans:
    """What stands between brackets at `depth` i64[b], the brackets included; a bracket that is never closed begins nothing."""
    chosen = np.flatnonzero(found.level == np.where(found.opens, depth, depth - 1))
    opens, place, unit = found.opens[chosen], found.place[chosen], found.unit[chosen]
    pairs = np.flatnonzero(opens[:-1] & ~opens[1:] & (unit[:-1] == unit[1:]))
    return Spans.of(place[pairs], place[pairs + 1] + 1, style)


MOST_STATEMENTS = 64
MOST_TRIES = 1024
LONGEST_HEAD = 8192
Labels = tuple[FieldLabel | None, ...]
NAME = rb"[`\"\[]?[\w.`\"\]\x80-\xff]{1,128}"
INSERT = re.compile(
    rb"(?i)(?:insert|replace)\s+(?:ignore\s+)?into\s+(" + NAME + rb")(?:\s*+\(([^()]{1,4096}+)\))?+\s*+values?\s*"
)
CREATE = re.compile(rb"(?i)create\s+table\s+(?:if\s+not\s+exists\s+)?(" + NAME + rb")\s*\(")
COLUMN = re.compile(
    rb"(?m)^[ \t\r\v\f,]*[`\"\[]?([\w\x80-\xff]{1,64})[`\"\]]?\s+[A-Za-z](?:[^\n]{0,256}?(?i:\bcomment)\s+'([^'\n]{1,64})')?"
)
"""The name of a column, and what its comment calls it."""
BEGINNING = re.compile(rb"\s*(?:\(|(?i:insert|replace)\s)")
MAY_BEGIN = frozenset(bytes((byte,)) for byte in b" \t\n\v\f\r(iIrR")
"""First bytes of what BEGINNING matches: most lines need no expression."""


class Tuple(NamedTuple):
    """A tuple in a line: bytes [start, end) between its brackets, and the labels that the line itself gives."""

    start: int
    end: int
    labels: Labels


def is_beginning(line: bytes) -> bool:
    """Whether a line begins as a tuple or a statement does."""
    return line[:1] in MAY_BEGIN and BEGINNING.match(line) is not None


def tuple_in(line: bytes) -> Tuple | None:
    """The tuple of a line that is one: `(1,'x'),` or `INSERT INTO t (a,b) VALUES (1,'x');`."""
    if not is_beginning(line):
        return None
    head = INSERT.match(line.lstrip()[:LONGEST_HEAD])
    behind = head.end() + len(line) - len(line.lstrip()) if head else 0
    start, end = line.find(b"(", behind), line.rfind(b")")
    return Tuple(start + 1, end, labels_in(head[2]) if head and head[2] else ()) if 0 <= start < end else None


def statements_of(text: bytes, place: int = 0) -> tuple[tuple[int, Labels], ...]:
    """Column labels by statement: from the list in the INSERT, else from the CREATE TABLE above; at most MOST_STATEMENTS.

    `place` is where `text` begins.
    """
    inserts = _heads(text, b"insert ", INSERT)
    unlisted = {_table_of(insert) for insert in inserts if not insert[2]}
    created = {_table_of(create): create.end() for create in _heads(text, b"create ", CREATE)} if unlisted else {}
    tables = {name: _column_labels(text[end : end + LONGEST_HEAD]) for name, end in created.items() if name in unlisted}
    return tuple((place + m.start(), labels_in(m[2]) if m[2] else tables.get(_table_of(m), ())) for m in inserts)


def _table_of(head: re.Match[bytes]) -> bytes:
    return head[1].strip(b'`"[]')


def labels_in(names: bytes) -> Labels:
    """Labels of the column names between the brackets of an INSERT."""
    return tuple(label_of(name) for name in names.decode("utf-8", "replace").split(","))


def _column_labels(body: bytes) -> Labels:
    """Labels of the columns of a CREATE TABLE, whose `body` begins behind the bracket: a column a line, up to the keys."""
    first, *rest = body.split(b"\n")
    body = b"\n".join((first, *(line for line in rest if line.strip(b" \t\r\v\f,"))))  # a flood of line ends has no column
    lines = re.split(rb"\n[ \t\r\v\f]*(?:\)|PRIMARY|UNIQUE|KEY|CONSTRAINT|INDEX)", body, maxsplit=1)[0]
    named = ((name.decode("utf-8", "replace"), comment.decode("utf-8", "replace")) for name, comment in COLUMN.findall(lines))
    return tuple(label_of(name) or (label_of(comment) if comment else None) for name, comment in named)


def _heads(text: bytes, word: bytes, pattern: re.Pattern[bytes]) -> list[re.Match[bytes]]:
    """Matches of `pattern` where `word` stands in lower or upper case; a search for a word costs next to nothing."""
    found: list[re.Match[bytes]] = []
    for written in (word, word.upper()):
        at, tries = text.find(written), 0
        while at >= 0 and len(found) < MOST_STATEMENTS and tries < MOST_TRIES:
            match = pattern.match(text, at, at + LONGEST_HEAD)
            found += [match] if match else []
            at, tries = text.find(written, at + 1), tries + 1
    return sorted(found, key=re.Match.start)
