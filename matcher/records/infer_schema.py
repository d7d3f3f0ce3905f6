"""What the columns of a document are: from a few of its rows, the lines above them, and what stands together in a column.

Before its rows are read, a few of them vote on the separator, and a header or the statements of a dump name the columns
(`sheets_of`). Then what has no name is told by the cells of some rows (`typed_together`): passwords, codes of cards, and tags
that look like names.

`13800138000:…`, `a@b.cn----…`: the trade writes a login, a sign and a password, and no header. One value may be anything; a
column of passwords is told by most of its values being possible ones, several of them made as passwords are (letters with
digits, or the commonest of all), and hardly any two equal. `card|12/27|123`: behind a card stand month and year, and three
digits, which are its code. Rules of our own, by reading published descriptions of such lists.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np

from matcher.detect.numbers import DIGEST
from matcher.records.json_sql_records import is_beginning, statements_of
from matcher.records.reader import HASH, HEADER_LINES, LOGINS, SEPARATORS, Columns, Described, Sheet, elected, header_of, vote
from matcher.records.table import LINE, TUPLE, Numbers, Table, shown
from matcher.records.values import is_made, is_possible, is_tag
from ullage.vocabulary.fields import Field

VOTERS = 4
"""Rows that vote on a document's separator."""
LONGEST_SAMPLE = 2048
SURE = tuple(sign.encode() for sign in SEPARATORS[: SEPARATORS.index(":")])
"""Separators before the one that may stand behind a label as well."""


def sheets_of(table: Table, documents: Numbers, carried: Mapping[int, Sheet], goes_on: Container[int] = ()) -> list[Sheet]:
    """Separator, header and statements of each of `documents` (ascending).

    What one does not show is taken from `carried`, of one that `goes_on` from the document before it, which is among them or has
    its place in `carried`.
    """
    first, count = table.extent_of(documents)
    spread = first[:, None] + count[:, None] * np.arange(VOTERS) // VOTERS
    voters = np.unique(spread[count > 0])
    voters = voters[table.style[voters] == LINE]
    texts = table.marked(voters).texts()
    low, high = (np.searchsorted(table.document[voters], documents, side) for side in ("left", "right"))
    has_tuples = bool((table.style == TUPLE).any())
    columns = (documents, first, count, low, high)
    known = dict(carried)
    for document, row, rows, begin, end in zip(*(column.tolist() for column in columns), strict=True):
        before = known[document - 1].as_carried() if document in goes_on else known.get(document, Sheet())
        known[document] = _sheet(table, document, range(row, row + rows), texts[begin:end], before, has_tuples=has_tuples)
    return [known[document] for document in documents.tolist()]


def _sheet(table: Table, document: int, rows: range, texts: Sequence[bytes], before: Sheet, *, has_tuples: bool) -> Sheet:
    """What one document shows, of which `texts` are some lines; `before` is what is known from its earlier parts."""
    columns = before.columns
    if texts:
        separator = elected([vote_of(text) for text in texts])
        labels, names = header_of(_above(table, rows.start), separator)
        if not labels and separator == columns.separator:
            labels, names = columns.labels, columns.names
        columns = Columns(separator, labels, names=names)
    is_sql = any(map(is_beginning, texts)) or (has_tuples and bool((table.style[rows.start : rows.stop] == TUPLE).any()))
    if not is_sql:
        return Sheet(columns, before.statements)
    start = int(table.batch.starts[document])
    return Sheet(columns, (*before.statements, *statements_of(table.batch.text(start, int(table.batch.ends[document])), start)))


def vote_of(text: bytes) -> str:
    """The separator of one row; most are told from its bytes."""
    if len(text) <= LONGEST_SAMPLE:
        for sign in SURE:
            if sign in text:
                return sign.decode()
    return vote(shown(text)[:LONGEST_SAMPLE])


def _above(table: Table, row: int) -> list[str]:
    """The lines above a row in its document, at most HEADER_LINES."""
    batch = table.batch
    begin = batch.starts[table.document[row]]
    if table.start[row] == begin:
        return []
    line = int(np.searchsorted(batch.line_starts, table.start[row], "right")) - 1
    starts = batch.line_starts[max(0, line - HEADER_LINES + 1) : line + 1]
    pairs = zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True)
    lines = (batch.text(first, min(last - 1, first + LONGEST_SAMPLE)) for first, last in pairs if first >= begin)
    return [line.decode("utf-8", "replace") for line in lines]


USUAL = frozenset((":", "----"))
"""Signs that mostly part a login and its password; behind another a column needs more to be one."""
SCHEMES = ("http", "https")
"""What stands in the cell behind a password where the address of its page follows: the colon parts it."""
CARD = f"<{Field.CARD}>"
TELLING = LOGINS | {CARD}
"""Cells beside which an unknown one may be told."""
CODE, MONTH, YEAR = re.compile("[0-9]{3}"), re.compile("0?[1-9]|1[0-2]"), re.compile("(?:20)?[2-4][0-9]")
EXPIRY = re.compile(
    r"(?:0?[1-9]|1[0-2])\s?[/\-.]\s?(?:20)?[2-4][0-9]|(?:20)?[2-4][0-9]\s?[/\-.]\s?(?:0?[1-9]|1[0-2])|(?:0[1-9]|1[0-2])[2-4][0-9]"
)
FEWEST_CODES = 3
FEWEST, FEWEST_NAMES = 4, 4
"""Rows that tell of a column behind another sign, and names by which it is told whether they come again."""


class Values(Protocol):
    """The cells of a row as characters."""

    def __len__(self) -> int: ...

    def __getitem__(self, column: int, /) -> str: ...


Lines = Sequence[tuple[Described, int]]
"""Some lines as they were read, each with its number, by which its values are known."""


def typed_together(sheet: Sheet, lines: Lines, values: Callable[[int], Values]) -> Sheet:
    """`sheet` with what its columns are, from some lines."""
    counts, separator = Counter(described for described, _ in lines), sheet.columns.separator
    if not any(described.names or _may_be_told(described) for described in counts):
        return sheet
    named = frozenset(column for column, label in enumerate(sheet.columns.labels) if label)
    found = passwords(lines, values, separator) | hashes(counts, separator)
    typed = {**card_codes(lines, values), **dict.fromkeys(found, Field.PASSWORD)}
    typed = {column: label for column, label in typed.items() if column not in named}
    return replace(sheet, columns=replace(sheet.columns, typed=typed, nameless=nameless(lines, values, named)))


def _may_be_told(described: Described) -> bool:
    """Whether something in a row may be told by what stands in other rows."""
    marks = {*described.marks}
    return not TELLING.isdisjoint(marks) if described.unknown else HASH in marks and not LOGINS.isdisjoint(marks)


def hashes(counts: Mapping[Described, int], separator: str) -> frozenset[int]:
    """The last column of most rows, a digest behind a login: by the usual signs of such lists it is that of a password.

    `counts` says how many rows hold what.
    """
    held = Counter[int]()
    for described, count in counts.items():
        if len(described.marks) > 1 and described.marks[-1] == HASH and described.marks[-2] in LOGINS:
            held[len(described.cells) - 1] += count
    most = (column for column, count in held.items() if count * 2 >= sum(counts.values()))
    return frozenset(most if separator in USUAL else ())


def card_codes(lines: Lines, values: Callable[[int], Values]) -> dict[int, Field]:
    """Columns of expiry dates and codes beside a column of cards, from some rows and their values.

    Three digits beside an expiry date are a code; directly behind a card without one they are where hardly two are equal, and
    few of them round as amounts are.
    """
    cards = Counter(described.marks.index(CARD) for described, _ in lines if CARD in described.marks)
    card, count = max(cards.items(), key=lambda pair: (pair[1], -pair[0]), default=(0, 0))
    if count * 2 < len(lines) or not count:
        return {}
    held: dict[int, list[str]] = defaultdict(list)
    for described, row in lines:
        for column in described.unknown if described.marks[card : card + 1] == [CARD] else ():
            held[column].append(values(row)[column].strip())
    columns = {column: own for column, own in held.items() if len(own) * 4 >= count * 3}
    dates = {column for column, own in columns.items() if _are(EXPIRY, own)}
    for column, own in columns.items():
        if _are(MONTH, own) and _are(YEAR, columns.get(column + 1, ())):
            dates |= {column, column + 1}
    codes = {column for column, own in columns.items() if column not in dates and _are(CODE, own)}
    beside = {column for column in codes if column - 1 in dates or (column - 1 == card and column + 1 in dates)}
    alone = {column for column in codes if column - 1 == card and not dates and _are_spread(columns[column])}
    found = beside or alone
    return {**dict.fromkeys(found, Field.CVV), **(dict.fromkeys(dates, Field.EXPIRY) if found else {})}


def _are(pattern: re.Pattern[str], values: Sequence[str]) -> bool:
    """Whether at least three of four values are of that shape."""
    return bool(values) and sum(pattern.fullmatch(value) is not None for value in values) * 4 >= len(values) * 3


def _are_spread(values: Sequence[str]) -> bool:
    """Whether some numbers are neither tags, of which many are equal, nor amounts, of which most are round."""
    is_round = sum(value.endswith("0") for value in values) * 2 > len(values)
    return len(values) >= FEWEST_CODES and len({*values}) * 4 >= len(values) * 3 and not is_round


def passwords(lines: Lines, values: Callable[[int], Values], separator: str) -> frozenset[int]:
    """Columns that hold passwords, from some rows and their values."""
    held: dict[int, list[str]] = defaultdict(list)
    alone: dict[int, bool] = {}
    for described, row in lines:
        column = described.behind_login
        if column is not None:
            cells = values(row)
            held[column].append(cells[column])
            is_behind_all = column == len(cells) - 1 or cells[column + 1] in SCHEMES
            alone[column] = alone.get(column, True) and is_behind_all
    return frozenset(
        column
        for column, own in held.items()
        if len(own) * 2 >= len(lines) and _are_passwords(own, usual=separator in USUAL, alone=alone[column])
    )


def _are_passwords(values: Sequence[str], *, usual: bool, alone: bool) -> bool:
    """Whether most values are possible, enough of them made, and few equal; `alone`: nothing stands behind them."""
    possible = [value for value in values if is_possible(value)]
    made, different = sum(map(is_made, possible)), len({*values})
    several_shapes = len({_shape(value) for value in values}) > 1
    if usual and alone:
        few = different * 2 < len(values) and not (several_shapes and made == len(values))
        return len(possible) * 4 >= len(values) * 3 and made * 3 >= len(values) and not few
    enough = len(values) >= FEWEST and len(possible) == len(values) and different * 4 >= len(values) * 3
    return enough and several_shapes and made * 2 >= len(values)


def _shape(value: str) -> str:
    """Which of its characters are digits: numbers of one form have one shape."""
    return "".join("9" if char.isdigit() else "a" if char.isalpha() else char for char in value)


def nameless(lines: Lines, values: Callable[[int], Values], named: frozenset[int]) -> frozenset[int]:
    """Columns whose cells look like names and are tags; those `named` by a header are names.

    Beside digests alone names that come again, or stand in fewer than half of the cells, are none: people have one each.
    """
    held: dict[int, list[str]] = defaultdict(list)
    for described, row in lines:
        for column in described.names:
            if column not in named:
                held[column].append(values(row)[column])
    digests = bool(held) and all({kind for _, kind, valid in described.seen if valid} == {DIGEST} for described, _ in lines)
    cells = Counter(n for described, _ in lines for n, mark in enumerate(described.marks) if mark) if digests else Counter[int]()
    return frozenset(column for column, own in held.items() if _are_tags(own, cells[column], digests=digests))


def _are_tags(values: Sequence[str], cells: int, *, digests: bool) -> bool:
    if sum(map(is_tag, values)) * 2 >= len(values):
        return True
    hidden = any("某" in value or "*" in value for value in values)
    again = len(values) >= FEWEST_NAMES and len({*values}) * 3 <= len(values) * 2 and not hidden
    return digests and (again or len(values) * 2 < cells)
