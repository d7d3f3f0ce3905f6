"""Words that name a field, in a header or before a value. Data: `labels.tsv`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from importlib import resources

from ullage.fields import Field

VALUE_AFTER = re.compile(r"[\s{\[]*+[\"'`【(]?\s*+([^:=\"'`\[\]【】(){},]{1,24}+)[\"'`\]】)]?\s*+[:=]\s*+(?=\S)")
"""`手机: …`, `"phone":…`, `【姓名】: …`: the word before the sign."""
OWNERS, BEHIND_OWNER, HAN_OWNERS = "user customer cust client member owner holder".split(), "_-. ", ("客户", "用户", "会员")
WHOSE = re.compile(rf"(?:{'|'.join(OWNERS)})[{re.escape(BEHIND_OWNER)}]|{'|'.join(HAN_OWNERS)}")
"""Says whose field it is: `user_phone`, `客户手机号`."""
RECORD_WORDS = frozenset(
    "url ur1 host hostname login user username login_name u53rn4m3 user_login soft software browser application storage".split()
)
"""Words of stealer logs that name no field of ours but belong to the record."""


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

    >>> label_of(' 手机号 '), label_of('`user_phone`')
    (<Field.PHONE: 'PHONE'>, <Field.PHONE: 'PHONE'>)
    """
    return _label(cell.strip().strip("\"'`[]()【】").strip().lower())


def labels_of(cells: Sequence[str]) -> tuple[Field | None, ...]:
    """The labels of a header's cells; () where fewer than two name a field: that is no header."""
    labels = tuple(label_of(cell) for cell in cells)
    return labels if sum(label is not None for label in labels) >= 2 else ()


def label_before(cell: str) -> tuple[Field, str] | None:
    """Label and value of a cell such as `手机: …`, where a known word stands before the value."""
    match = VALUE_AFTER.match(cell)
    if match is None:
        return None
    label = _label(match.group(1).strip().lower())
    return (label, cell[match.end() :]) if label else None


def block_label(beginning: str) -> str:
    """What a line that begins so is about, as a line of a record written downwards; "" for nothing known.

    `beginning` ends with the sign: `手机:`, `URL:`.
    """
    match = VALUE_AFTER.match(f"{beginning}x")
    if match is None:
        return ""
    word = match.group(1).strip().lower()
    return str(_label(word) or (f"={word}" if word.replace(" ", "_") in RECORD_WORDS else ""))


@cache
def tails() -> frozenset[bytes]:
    """The last two bytes of every word that `block_label` may know, in lower case: most lines begin with none."""
    owners = (owner + sign for owner in OWNERS for sign in BEHIND_OWNER)
    known = (*words(), *RECORD_WORDS, *HAN_OWNERS, *owners)
    return frozenset(word.encode()[-2:] for word in known)


def _label(word: str) -> Field | None:
    """The label of a word, which may begin with whose it is."""
    known = words()
    return known.get(word) or known.get(WHOSE.sub("", word, count=1))
