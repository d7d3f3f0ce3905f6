"""SQL statements: the column names that a dump gives once, for all the tuples behind them."""

from __future__ import annotations

import re
from typing import NamedTuple

from matcher.detect.labels import label_of
from ullage.fields import Field

MOST_STATEMENTS = 64
MOST_TRIES = 1024
LONGEST_HEAD = 8192
Labels = tuple[Field | None, ...]
NAME = rb"[`\"\[]?[\w.`\"\]\x80-\xff]{1,128}"
INSERT = re.compile(rb"(?i)(?:insert|replace)\s+(?:ignore\s+)?into\s+(" + NAME + rb")\s*(?:\(([^()]{1,4096})\))?\s*values?\s*")
CREATE = re.compile(rb"(?i)create\s+table\s+(?:if\s+not\s+exists\s+)?(" + NAME + rb")\s*\(")
COLUMN = re.compile(
    rb"(?m)^[\s,]*[`\"\[]?([\w\x80-\xff]{1,64})[`\"\]]?\s+[A-Za-z](?:[^\n]{0,256}?(?i:\bcomment)\s+'([^'\n]{1,64})')?"
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
    tables = {
        m[1].strip(b'`"[]'): _column_labels(text[m.end() : m.end() + LONGEST_HEAD]) for m in _heads(text, b"create ", CREATE)
    }
    return tuple(
        (place + m.start(), labels_in(m[2]) if m[2] else tables.get(m[1].strip(b'`"[]'), ()))
        for m in _heads(text, b"insert ", INSERT)
    )


def labels_in(names: bytes) -> Labels:
    """Labels of the column names between the brackets of an INSERT."""
    return tuple(label_of(name) for name in names.decode("utf-8", "replace").split(","))


def _column_labels(body: bytes) -> Labels:
    """Labels of the columns of a CREATE TABLE, whose `body` begins behind the bracket: a column a line, up to the keys."""
    lines = re.split(rb"\n\s*(?:\)|PRIMARY|UNIQUE|KEY|CONSTRAINT|INDEX)", body, maxsplit=1)[0]
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
