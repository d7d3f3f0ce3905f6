"""Words of texts and of queries."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.store import BREAK, index_words, query_phrases


def plain(word: str) -> bool:
    """Return whether no character of `word` means anything to a query language or analyser."""
    return not any(c.isspace() or (c.isascii() and not c.isalnum()) for c in word)


chinese = st.text("银行客户信息卡", min_size=1, max_size=6)


@pytest.mark.parametrize(
    ("pieces", "words"),
    [
        (["银行卡"], "· 银行 行卡 · · 卡 行 银"),
        (["VIP客户2026"], "vip · 客户 · 2026 · 客 户"),
        (["客"], "· · · 客"),
        (["a_b-c"], "a b c ·"),
        (["ＡＢ１２"], "ab12 ·"),
        ([], ""),
        (["--- …"], "·"),
    ],
)
def test_text_is_indexed_in_words_and_character_pairs(pieces, words):
    assert index_words(pieces) == words


@given(st.text(max_size=80))
def test_indexed_words_are_separated_by_single_spaces(text):
    for word in index_words([text]).split(" "):
        assert word in ("", BREAK) or plain(word)


@given(st.text(max_size=60))
def test_query_words_contain_only_letters_and_digits(text):
    assert all(word and plain(word) for phrase in query_phrases(text) for word in phrase)


@given(chinese, chinese, chinese)
def test_every_substring_of_a_run_is_a_phrase_of_its_words(before, query, after):
    words = f" {index_words([before + query + after])} "
    (phrase,) = query_phrases(query)
    assert f" {' '.join(phrase)} " in words


@given(chinese, chinese)
def test_text_that_is_not_a_substring_is_not_a_phrase(text, query):
    if query not in text:
        (phrase,) = query_phrases(query)
        assert f" {' '.join(phrase)} " not in f" {index_words([text])} "
