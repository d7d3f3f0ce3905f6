"""What is enrolled of a column of values: the forms of `ullage.lookup.written_forms`, many at a time, and masks.

`masked`: `138****8000`, `4403**********1234`, `440301********1234`. One of a million customers has almost any masked phone
number, so they only corroborate. There is none of cards: a card's tag must never lie beside its first or last digits (PCI DSS
3.5.1).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from matcher.columns.text_column import Texts, hexed
from ullage.identifiers.email import strip_plus
from ullage.identifiers.masked import FORM as MASKED
from ullage.identifiers.masked import KEPT
from ullage.lookup.written_forms import DIGESTED, DIGESTS, DOMESTIC, PLAIN, WHOLE, prefixes

CHOICES = {"none": (), "phone": ("phone",), "all": DIGESTED}
"""What `--digests` may say."""


class Enrolled(NamedTuple):
    """Values of one form: `rows` says which value of the column each comes from."""

    form: str
    rows: npt.NDArray[np.int64]
    texts: Texts


def normal_name(text: str) -> str:
    """A name without spaces, in lower case; only ever corroborates."""
    return "".join(text.split()).lower()


def entries_of(kind: str, digested: bool) -> int:
    """How many entries one value makes; a plus-tag makes more."""
    digests = sum(map(len, DIGESTS.values())) * len(prefixes(kind)) if digested else 0
    return 1 + digests + len(KEPT.get(kind, ()))


def enrolled(kind: str, texts: Texts, digested: bool) -> Iterator[Enrolled]:
    """Every form of a column's normal values, if it has any."""
    if not len(texts):
        return
    rows = np.arange(len(texts), dtype=np.int64)
    yield Enrolled(PLAIN, rows, texts)
    if kind == "email" and len(tagged := np.flatnonzero((texts.table == ord("+")).any(axis=1))):
        bare = Texts.of([strip_plus(text).encode() for text in texts.take(tagged).strings()])
        yield Enrolled(PLAIN, tagged, bare)
        if digested:
            yield from (Enrolled(e.form, tagged[e.rows], e.texts) for e in _digests(kind, bare))
    if digested:
        yield from _digests(kind, texts)
    whole = _domestic(kind, texts)
    if len(whole):
        for head, tail in KEPT.get(kind, ()):
            yield Enrolled(MASKED, whole, _masked(texts.take(whole), head, tail))


def _digests(kind: str, texts: Texts) -> Iterator[Enrolled]:
    """Digests of the values, and of domestic phone numbers with each prefix."""
    for prefix in prefixes(kind):
        rows = _domestic(kind, texts) if prefix else np.arange(len(texts), dtype=np.int64)
        written = [prefix.encode() + value for value in texts.take(rows).messages()]
        if not written:
            continue
        for form, parts in DIGESTS.items():
            digest = getattr(hashlib, form)
            raw = b"".join([digest(value, usedforsecurity=False).digest() for value in written])
            text = hexed(np.frombuffer(raw, np.uint8).reshape(len(rows), -1))
            for part in parts:
                yield Enrolled(form, rows, Texts.whole(text if part is WHOLE else np.ascontiguousarray(text[:, part])))


def _domestic(kind: str, texts: Texts) -> npt.NDArray[np.int64]:
    """Which values are of the length that is masked and digested with prefixes; a number from abroad begins with `+`."""
    return np.flatnonzero((texts.lengths == DOMESTIC.get(kind, 0)) & (texts.table[:, 0] != ord("+")))


def _masked(texts: Texts, head: int, tail: int) -> Texts:
    """The values, which are all as long, with stars between the first `head` and the last `tail` characters."""
    length = int(texts.lengths[0])
    table = texts.table[:, :length].copy()
    table[:, head : length - tail] = ord("*")
    return Texts(table, texts.lengths)
