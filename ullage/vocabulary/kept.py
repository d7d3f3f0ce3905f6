"""Texts of strangers as they may be kept: words that are known, and `…` for all else.

Which words are known is for whoever asks: match knows the tenant's brands and the site and the lexicon (`matcher.match.redact`).
`terms_in` knows the lexicon alone, for texts that an earlier version kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

from ullage.vocabulary.lexicon import themes

GAP = "…"
LONGEST = 200
"""Characters of a text that is kept."""


class Known(NamedTuple):
    """Characters [start, end) of a text that say what is known, and how that is spelt here: never as it was written."""

    start: int
    end: int
    word: str


def kept(text: str, known: Iterable[Known], *, goes_on: bool = False) -> str:
    """The words of `known` in their order, and `…` for letters and digits between; of words that overlap the leftmost, longest.

    At most 200 characters; `goes_on` where there was more text than this. "" for a text that is blank.
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


def terms_in(text: str) -> str:
    """The terms of this version's lexicons in `text`, as they are spelt there.

    >>> terms_in("出售 一手数据 诸葛文昭"), terms_in("诸葛文昭"), terms_in("")
    ('出售 一手料 …', '…', '')
    """
    pattern, spelt = _forms()
    lower = text.lower()
    found = (Known(match.start(), match.end(), spelt[match.group()]) for match in pattern.finditer(lower))
    return kept(lower, found)


@cache
def _forms() -> tuple[re.Pattern[str], dict[str, str]]:
    """All forms of terms that stand alone, as a pattern with the longest first; and the term of each."""
    rows = [row for theme in themes().values() for row in theme.shipped().rules.rows if row.ambiguity != "H"]
    spelt = {form.lower(): row.term for row in rows for form in row.forms}
    return re.compile("|".join(map(_whole, sorted(spelt, key=len, reverse=True)))), spelt


def _whole(form: str) -> str:
    """A form as a pattern: a Latin one is a word of its own."""
    before = "(?<![a-z0-9])" if form[0].isascii() and form[0].isalnum() else ""
    behind = "(?![a-z0-9])" if form[-1].isascii() and form[-1].isalnum() else ""
    return f"{before}{re.escape(form)}{behind}"
