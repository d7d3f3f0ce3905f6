"""Values with their middle masked: `138****8000`, `4403**********1234`, `440301********1234`.

There are 530,000 masked phones, so a bank of ten million customers has 19 behind each: a masked
value proves nothing alone and only corroborates a row in which another field of the same customer
matched, which may be a mask of the other kind. A resident ID keeps its first 4 or 6 and its last 4
characters. Cards have no masked form: a card's tag never stands beside its first or last digits
(PCI DSS 3.5.1).
"""

from __future__ import annotations

import re

from ullage.identifiers.base import AFTER, BEFORE, Candidate
from ullage.regex import compile_later

FORM = "masked"
HIDDEN = "*xX●•×"
"""What stands for a hidden character in folded text (`＊` folds to `*`); one value uses one of
them throughout.
"""
SHOWN = {
    ("phone", 3): ("1[3-9][0-9]", 4, "[0-9]{4}"),
    ("resident_id", 4): ("[1-9][0-9]{3}", 10, "[0-9]{3}[0-9Xx]"),
    ("resident_id", 6): ("[1-9][0-9]{5}", 8, "[0-9]{3}[0-9Xx]"),
}
"""By kind and characters shown first: these, how many are hidden, and those shown last."""
PATTERN = compile_later(
    rf"{BEFORE}(?<![*●•×])(?:"
    + "|".join(
        rf"(?P<{kind}_{head}>{begin}([{HIDDEN}])\{2 * n}{{{hidden - 1}}}{end})"
        for n, ((kind, head), (begin, hidden, end)) in enumerate(SHOWN.items(), 1)
    )
    + rf"){AFTER}(?![*●•×])"
)
KEPT = {"phone": ((3, 4),), "resident_id": ((4, 4), (6, 4))}
"""How many first and last characters a masked value shows, a kind."""

POSSIBLE = {("phone", 3): 530_000, ("resident_id", 4): 3_700_000, ("resident_id", 6): 38_000_000}
"""How many different masks there are, by kind and characters shown first: 53 prefixes of phones by
10,000; about 340 prefectures and 3,450 counties by 11,000 endings.
"""


def coincidence(kind: str, mask: str) -> float:
    """The chance that a random mask is the one that a given customer has.

    >>> round(1 / coincidence('phone', '138****8000'))
    530000
    """
    return 1 / POSSIBLE[kind, mask.index("*")]


def find(text: str) -> list[Candidate]:
    """Masked values in folded `text`, with `*` for what is hidden; weak are all but those next
    to one of the other kind.
    """
    found = list(PATTERN.finditer(text))
    kinds = [_kind(match) for match in found]
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
        for n, (kind, match) in enumerate(zip(kinds, found, strict=True))
    ]


def _kind(match: re.Match[str]) -> str:
    return str(match.lastgroup).rpartition("_")[0]


def _canonical(text: str) -> str:
    """`text` with `*` for each hidden character; an X in the last place is a check character."""
    shown = re.sub(rf"[{HIDDEN}]", "*", text[:-1])
    return shown + text[-1].upper()
