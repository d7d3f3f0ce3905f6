"""Rows by their set of fields."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from ullage.records import RowGroup

MOST_GROUPS = 64


def groups_of(counts: Mapping[frozenset[str], int]) -> tuple[RowGroup, ...]:
    """Groups from rows a set of fields; the largest first, at most MOST_GROUPS."""
    named = ((tuple(sorted(fields)), rows) for fields, rows in counts.items())
    ordered = sorted(named, key=lambda group: (-group[1], group[0]))
    return tuple(RowGroup(fields=fields, rows=rows) for fields, rows in ordered[:MOST_GROUPS])


def matched_groups(groups: Iterable[RowGroup], matched: Iterable[tuple[frozenset[str], bool, int]]) -> tuple[RowGroup, ...]:
    """`groups` with how many rows of each are customers' and how many corroborated.

    `matched` are rows with a customer, of one tenant: the fields of their group (`Rows.group`), whether two or more of their
    fields belong to the same customer, and how many there are.
    """
    rows: Counter[tuple[str, ...]] = Counter()
    together: Counter[tuple[str, ...]] = Counter()
    for fields, is_corroborated, count in matched:
        name = tuple(sorted(fields))
        rows[name] += count
        together[name] += count * is_corroborated
    return tuple(g.model_copy(update={"matched": rows[g.fields], "corroborated": together[g.fields]}) for g in groups)
