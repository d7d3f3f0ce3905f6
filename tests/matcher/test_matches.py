"""Places of matches in the decoded text: told for all at once, or from what was undone."""

from types import SimpleNamespace
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from matcher.columns.batch import Batch
from matcher.match.listing import with_places
from matcher.match.lookup import FOLDED, Matches
from matcher.text import Folded, fold
from tests.factories import capture
from tests.matcher.bank import matcher_of
from tests.matcher.conftest import BANK
from ullage.records import Match
from ullage.settings import Context

CHARS = st.text("ax1张某é𠀀", max_size=30)


def placed(folded: list[Folded], spans: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """First and last character and transforms of matches at bytes (document, start, end) of the folded texts."""
    batch = Batch.of([text.utf8 for text in folded])
    parts = [SimpleNamespace(text=text, piece=SimpleNamespace(offset=100 * n)) for n, text in enumerate(folded)]
    found = Matches.of([], len(spans))
    document, start, end = np.array(spans, np.int64).reshape(-1, 3).T
    found["document"][:], found["start"][:] = document, start + batch.starts[document]
    found["end"][:] = end + batch.starts[document]
    searched: Any = SimpleNamespace(parts=parts, batch=batch)
    with_places(searched, found)
    return found.table[["first", "last", "transforms"]].tolist()


@given(st.lists(CHARS, min_size=1, max_size=3), st.lists(st.tuples(*(st.integers(0, n) for n in (2, 30, 5))), max_size=6))
def test_a_text_that_came_as_it_is_told_by_its_characters(texts: list[str], spans: list[tuple[int, int, int]]) -> None:
    asked, expected = [], []
    for number, first, length in sorted((number % len(texts), first, length) for number, first, length in spans):
        text = texts[number]
        begin, end = min(first, len(text)), min(first + length, len(text))
        asked.append((number, len(text[:begin].encode()), len(text[:end].encode())))
        expected.append((100 * number + begin, 100 * number + end, 0))
    assert placed([Folded(text.encode(), text.encode()) for text in texts], asked) == expected


def test_a_text_in_which_something_was_undone_says_where() -> None:
    folded = fold("x１３8\u200b0 张")
    assert not folded.is_unchanged
    assert placed([folded], [(0, 1, 5), (0, 5, 9)]) == [(1, 6, FOLDED), (6, 8, 0)]


def test_a_record_made_of_columns_is_one_that_is_valid(bank: Context) -> None:
    one, other = BANK[1], BANK[2]
    body = f"{one['name']},{one['phone']}\n１５４{other['phone'][3:]}\n".encode()
    [reading] = matcher_of(bank).read([capture(body=body)])
    found = reading.best("bank")
    assert found
    made = list(found.matches())
    assert len(made) == 2
    assert made == [Match.model_validate(match.model_dump()) for match in made]
    assert [match.model_fields_set for match in made] == [{*Match.model_fields}] * 2
