"""Texts of strangers as they may be kept: words that are known, and `…` for all else.

Which words are known is for whoever asks: match knows the tenant's brands and the site and the
lexicon (`matcher.match.redact`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

GAP = "…"
LONGEST = 200
"""Characters of a text that is kept."""


class KnownSpelling(NamedTuple):
    """Characters [start, end) of a text that say what is known, and how that is spelt here:
    never as it was written.
    """

    start: int
    end: int
    word: str


def kept(text: str, known: Iterable[KnownSpelling], *, goes_on: bool = False) -> str:
    """The words of `known` in their order, and `…` for letters and digits between; of words that
    overlap the leftmost, longest.

    At most 200 characters; `goes_on` where there was more text than this. "" for a text that is
    blank.
    """
    if not text.strip():
        return ""
    shown, behind, size = list[str](), 0, 0
    for start, end, word in sorted(known, key=lambda one: (one.start, -one.end)):
        if start < behind:
            continue
        new = [GAP, word] if any(map(str.isalnum, text[behind:start])) else [word]
        size += sum(len(part) + 1 for part in new)
        if size > LONGEST - len(GAP) - 1:
            break
        shown += new
        behind = end
    if goes_on or not shown or any(map(str.isalnum, text[behind:])):
        shown.append(GAP)
    return " ".join(shown)
