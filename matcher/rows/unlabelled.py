"""What columns without a header are, by what stands in them together: passwords behind logins, and tags that look like names.

`13800138000:…`, `a@b.cn----…`: the trade writes a login, a sign and a password, and no header. One value may be anything; a
column of passwords is told by most of its values being possible ones, several of them made as passwords are (letters with
digits, or the commonest of all), and hardly any two equal. Rules of our own, by reading published descriptions of such lists.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from matcher.rows.cells import LOGINS, NAMED, Cell, Described
from matcher.rows.readers import SheetReader, Written
from matcher.rows.sheet import Sheet
from matcher.rows.spans import LINE
from matcher.scan.digests import DIGEST
from matcher.secrets import is_made, is_possible
from matcher.values import is_tag
from ullage.fields import Field

USUAL = frozenset((":", "----"))
"""Signs that mostly part a login and its password; behind another a column needs more to be one."""
FEWEST, FEWEST_NAMES = 4, 4
"""Rows that tell of a column behind another sign, and names by which it is told whether they come again."""


def told_together(reader: SheetReader, texts: Sequence[Written], read: Sequence[Described]) -> Sheet:
    """The sheet of `reader` with what its columns are, from some of its rows and how they were `read`."""
    sheet = reader.sheet
    on_lines = [(text, described) for text, described in zip(texts, read, strict=True) if text.style == LINE]
    wanted = [(text, d) for text, d in on_lines if NAMED in d.cells or (d.unknown and not LOGINS.isdisjoint(_marks(d)))]
    if not wanted:
        return sheet
    rows = [(described, reader.values(text)) for text, described in on_lines]
    named = frozenset(column for column, label in enumerate(sheet.columns.labels) if label)
    typed = dict.fromkeys(passwords(rows, sheet.columns.separator) - named, Field.PASSWORD)
    return replace(sheet, columns=replace(sheet.columns, typed=typed, nameless=nameless(rows, named)))


def _marks(described: Described) -> list[str]:
    return [cell.mark for cell in described.cells]


def passwords(rows: Iterable[tuple[Described, Sequence[str]]], separator: str) -> frozenset[int]:
    """Columns that hold passwords, from some rows and their values."""
    held: dict[int, list[str]] = defaultdict(list)
    alone: dict[int, bool] = {}
    count = 0
    for described, values in rows:
        count += 1
        column = _behind_login(described.cells, frozenset(described.unknown))
        if column is not None and column < len(values):
            held[column].append(values[column])
            alone[column] = alone.get(column, True) and _is_behind_all(values, column)
    return frozenset(
        column
        for column, values in held.items()
        if len(values) * 2 >= count and _are_passwords(values, usual=separator in USUAL, alone=alone[column])
    )


def _is_behind_all(values: Sequence[str], column: int) -> bool:
    """Whether nothing but an address of a page stands behind a column."""
    return column == len(values) - 1 or values[column + 1] in ("http", "https")


def _behind_login(cells: Sequence[Cell], unknown: frozenset[int]) -> int | None:
    """The column of a row in which a password would stand."""
    last = len(cells) - 1
    if last in unknown and last > 0 and cells[last - 1].mark in LOGINS:
        return last
    return 1 if 1 in unknown and cells[0].mark in LOGINS else None


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


def nameless(rows: Sequence[tuple[Described, Sequence[str]]], named: frozenset[int]) -> frozenset[int]:
    """Columns whose cells look like names and are tags; those `named` by a header are names.

    Beside digests alone names that come again, or stand in fewer than half of the cells, are none: people have one each.
    """
    held: dict[int, list[str]] = defaultdict(list)
    cells: dict[int, int] = defaultdict(int)
    digests = bool(rows) and all(_has_digests_alone(described) for described, _ in rows)
    for described, values in rows:
        for column, (cell, value) in enumerate(zip(described.cells, values, strict=False)):
            cells[column] += bool(cell.mark)
            if cell is NAMED and column not in named:
                held[column].append(value)
    return frozenset(column for column, own in held.items() if _are_tags(own, cells[column], digests=digests))


def _has_digests_alone(described: Described) -> bool:
    kinds = {kind for _, kind, valid in described.seen if valid}
    return kinds == {DIGEST}


def _are_tags(values: Sequence[str], cells: int, *, digests: bool) -> bool:
    if sum(map(is_tag, values)) * 2 >= len(values):
        return True
    hidden = any("某" in value or "*" in value for value in values)
    again = len(values) >= FEWEST_NAMES and len({*values}) * 3 <= len(values) * 2 and not hidden
    return digests and (again or len(values) * 2 < cells)
