"""Traditional forms of simplified words, by a table of single characters (`traditional.tsv`, which names its source)."""

from __future__ import annotations

from functools import cache
from importlib import resources
from itertools import islice, product

MOST = 8
"""Forms made of one word: characters with two traditional ones are rare, so this cuts nothing that is in use."""


@cache
def _table() -> dict[str, str]:
    """Simplified character to the traditional characters that it stands for."""
    lines = (resources.files(__package__) / "traditional.tsv").read_text(encoding="utf-8").splitlines()
    return dict(line.split("\t") for line in lines if line and not line.startswith("#"))


def written(word: str) -> tuple[str, ...]:
    """`word` as it is, then as it is written with traditional characters.

    >>> written('征信'), written('台')
    (('征信', '徵信'), ('台', '臺'))
    """
    table = _table()
    if not any(char in table for char in word):
        return (word,)
    made = map("".join, product(*(table.get(char, char) for char in word)))
    return tuple(dict.fromkeys((word, *islice(made, MOST))))
