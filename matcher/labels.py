"""Words that name a field, in a header or before a value. Data: `labels.tsv`."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

from ullage.fields import Field

VALUE_AFTER = re.compile(r"^\s*[\"'`\[【(]?\s*([^\s:=\"'`\]】)]{1,16})\s*[\"'`\]】)]?\s*[:=]\s*(?=\S)")
"""`手机: …`, `"phone":…`, `【姓名】: …`: the word before the sign."""


@cache
def words() -> dict[str, Field]:
    """Word, lower case, to its label."""
    found = {}
    for line in (resources.files(__package__) / "labels.tsv").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            label, *names = line.split("\t")
            found.update(dict.fromkeys(names, Field(label)))
    return found


def label_of(cell: str) -> Field | None:
    """The label that a header cell names.

    >>> label_of(' 手机号 ')
    <Field.PHONE: 'PHONE'>
    """
    return words().get(cell.strip().strip("\"'`[]()【】").strip().lower())


def label_before(cell: str) -> tuple[Field, str] | None:
    """Label and value of a cell such as `手机: …`, where a known word stands before the value."""
    match = VALUE_AFTER.match(cell)
    if match is None:
        return None
    label = words().get(match.group(1).lower())
    return (label, cell[match.end() :]) if label else None
