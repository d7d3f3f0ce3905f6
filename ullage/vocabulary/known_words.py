"""Reduce texts of strangers to what may be stored: known words, and `…` for everything else.

The caller decides which words are known: match knows the tenant's brands, the site and the lexicon
(`matcher.match.redact`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

GAP = "…"
LONGEST = 200
"""Characters of a stored text."""


class KnownSpelling(NamedTuple):
    """Characters [start, end) of a text that stand for a known word, and its stored spelling."""

    start: int
    end: int
    word: str


def redact(text: str, known: Iterable[KnownSpelling], *, is_truncated: bool = False) -> str:
    """Return the known words in order, with `…` for letters and digits between them.

    Of overlapping words the leftmost, longest counts. At most 200 characters; `is_truncated` tells
    that the text continues. "" for a blank text.
    """
    if not text.strip():
        return ""
    shown, behind, size = list[str](), 0, 0
    for start, end, word in sorted(known, key=lambda spelling: (spelling.start, -spelling.end)):
        if start < behind:
            continue
        new = [GAP, word] if any(map(str.isalnum, text[behind:start])) else [word]
        size += sum(len(part) + 1 for part in new)
        if size > LONGEST - len(GAP) - 1:
            break
        shown += new
        behind = end
    if is_truncated or not shown or any(map(str.isalnum, text[behind:])):
        shown.append(GAP)
    return " ".join(shown)
