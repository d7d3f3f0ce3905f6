"""Recognise values with a masked middle: `138****8000`, `440301********1234`.

There are 530,000 masked phones, so a bank of ten million customers has 19 behind each. A masked
value proves nothing alone. It only corroborates a row in which another field of the same
customer matched; that may be a mask of the other kind. A resident ID shows its first 4 or 6 and
its last 4 characters. Cards have no masked form: a card's hash is never stored beside its first
or last digits (PCI DSS 3.5.1).
"""

from __future__ import annotations

import re

from ullage.identifiers.base import AFTER, BEFORE, Candidate
from ullage.regex import compile_later

FORM = "masked"
HIDDEN = "*xX●•×"
"""Signs for a hidden character in folded text (`＊` folds to `*`).

One value uses the same sign throughout.
"""
SHOWN = {
    ("phone", 3): ("1[3-9][0-9]", 4, "[0-9]{4}"),
    ("resident_id", 4): ("[1-9][0-9]{3}", 10, "[0-9]{3}[0-9Xx]"),
    ("resident_id", 6): ("[1-9][0-9]{5}", 8, "[0-9]{3}[0-9Xx]"),
}
"""The patterns of masks, by kind and number of characters shown first.

A value holds the first characters, the number of hidden ones, and the last characters.
"""
PATTERN = compile_later(
    rf"{BEFORE}(?<![*●•×])(?:"
    + "|".join(
        rf"(?P<{kind}_{head}>{begin}([{HIDDEN}])\{2 * n}{{{hidden - 1}}}{end})"
        for n, ((kind, head), (begin, hidden, end)) in enumerate(SHOWN.items(), 1)
    )
    + rf"){AFTER}(?![*●•×])"
)
KEPT = {"phone": ((3, 4),), "resident_id": ((4, 4), (6, 4))}
"""How many first and last characters a masked value shows, by kind."""

POSSIBLE = {("phone", 3): 530_000, ("resident_id", 4): 3_700_000, ("resident_id", 6): 38_000_000}
"""The number of different masks, by kind and number of characters shown first.

There are 53 prefixes of phones by 10,000; about 340 prefectures and 3,450 counties by 11,000
endings.
"""


def coincidence(kind: str, mask: str) -> float:
    """Return the probability that a random mask equals that of a given customer.

    >>> round(1 / coincidence('phone', '138****8000'))
    530000
    """
    return 1 / POSSIBLE[kind, mask.index("*")]


def find(text: str) -> list[Candidate]:
    """Find masked values in folded text, with `*` for each hidden character.

    All are weak except those next to a mask of the other kind.
    """
    matches = list(PATTERN.finditer(text))
    kinds = [_kind(match) for match in matches]
    return [
        Candidate(
            kind,
            match.start(),
            match.end(),
            _canonical(match.group()),
            True,
            FORM,
            weak={kind}.issuperset(kinds[max(0, n - 1) : n + 2]),
        )
        for n, (kind, match) in enumerate(zip(kinds, matches, strict=True))
    ]


def _kind(match: re.Match[str]) -> str:
    return str(match.lastgroup).rpartition("_")[0]


def _canonical(text: str) -> str:
    """Replace each hidden character by `*`; a final X is a check character."""
    shown = re.sub(rf"[{HIDDEN}]", "*", text[:-1])
    return shown + text[-1].upper()
