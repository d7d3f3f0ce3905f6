"""Words of a text and of a query, the same for every store.

Chinese is written without spaces, and a trigram index misses two-character words (银行). So a run of it is indexed as its
bigrams, in order, and its single characters: a query of one character is a single, of two a bigram, of more a phrase of
bigrams. Latin words and numbers are lower-cased. The result is plain words between spaces: FTS5's `ascii` and Elasticsearch's
`whitespace` analysis split it alike. A break between runs keeps the phrase of one from going on in the next.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from itertools import pairwise

from alerts.store import QueryError
from ullage.phrase import Phrase

MAX_QUERY = 200
MAX_WORD = 127
"""Longer words are cut, in texts and in queries: Elasticsearch splits at 255 units of UTF-16, where SQLite does not."""
BREAK = "·"
CJK = "\u3005-\u3007\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
RUNS = re.compile(rf"([{CJK}]+)|((?:(?![{CJK}])[^\W_])+)")


def _runs(text: str) -> Iterator[tuple[str, str]]:
    """Each run as (Chinese, other); one of the two is empty."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return ((match[1] or "", (match[2] or "")[:MAX_WORD]) for match in RUNS.finditer(folded))


def index_words(pieces: Iterable[str]) -> str:
    """What a store indexes for these pieces of text."""
    words: list[str] = []
    singles: set[str] = set()
    for piece in pieces:
        for chinese, other in _runs(piece):
            words += [other] if other else [BREAK, *map("".join, pairwise(chinese)), BREAK]
            singles.update(chinese)
        words.append(BREAK)
    return " ".join([*words, *sorted(singles)])


def query_phrases(query: str) -> list[tuple[str, ...]]:
    """The phrases of `query`, all of which must occur; [] when it holds no word.

    >>> query_phrases('银行 客户信息 VIP')
    [('银行',), ('客户', '户信', '信息'), ('vip',)]
    """
    if len(query) > MAX_QUERY:
        raise QueryError(Phrase("the query is longer than %(most)s characters: use fewer words", most=MAX_QUERY))
    return [
        (other,) if other else tuple(map("".join, pairwise(chinese))) if len(chinese) > 1 else (chinese,)
        for chinese, other in _runs(query)
    ]
