"""Places of matches in the decoded text: told from the bytes between them, or from what was undone."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from matcher.match.match_columns import _as_they_came, _undone
from matcher.text import Folded, fold

CHARS = st.text("ax1张某é𠀀", max_size=30)


@given(CHARS, st.lists(st.tuples(st.integers(0, 30), st.integers(0, 5)), max_size=6).map(sorted))
def test_a_text_that_came_as_it_is_told_the_same_either_way(text: str, spans: list[tuple[int, int]]) -> None:
    body = text.encode()
    places = [len(text[:first].encode()) for first, _ in spans]
    ends = [len(text[: first + length].encode()) for first, length in spans]
    asked = np.array([places, ends], np.int64).T.reshape(-1, 2)
    folded = Folded.of_utf8(body, body)
    assert folded.as_it_came
    expected = [(min(first, len(text)), min(first + length, len(text))) for first, length in spans]
    assert [(*place, text[slice(*place)], ()) for place in expected] == list(_as_they_came(folded, asked))
    assert list(_as_they_came(folded, asked)) == list(_undone(folded, asked))


def test_a_text_in_which_something_was_undone_says_where() -> None:
    folded = fold("x１３8\u200b0 张")
    assert not folded.as_it_came
    assert list(_undone(folded, np.array([[1, 5], [5, 9]]))) == [(1, 6, "1380", ("folded",)), (6, 8, " 张", ())]
