"""Many strings in one pass: what a search for each alone finds, from several threads, and in
parts of a buffer.
"""

import re
import threading
from itertools import pairwise

import hyperscan
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matcher.columns.batch import Batch
from matcher.columns.literals import (
    APART,
    TEXT,
    JoinedSearch,
    Literals,
    SearchPatterns,
    once,
    stretches,
    whole_words,
)
from ullage.errors import ConfigError

WORDS = [word.encode() for word in ("ab", "b", "abc", "b-1", "料", "料子", "a料", "v信", "x.y")]
texts = st.lists(
    st.sampled_from(["a", "b", "C", "AB", "-", "1", "料", "子", "信", "v", "x", ".", "y", " "]),
    max_size=20,
).map("".join)


def find_all(literals: Literals, data: np.ndarray) -> set[tuple[int, int]]:
    number, end = literals.find(data)
    return set(zip(number.tolist(), end.tolist(), strict=True))


@given(texts)
def test_overlapping_literals_are_found_in_any_case(text: str) -> None:
    data = Batch.join([text.encode()]).data
    lower = data.tobytes().lower()
    expected = {
        (n, m.start() + len(w))
        for n, w in enumerate(WORDS)
        for m in re.finditer(b"(?=%s)" % re.escape(w), lower)
    }
    assert find_all(Literals(WORDS), data) == expected


@given(texts)
def test_whole_words_are_separated_from_letters_and_digits(text: str) -> None:
    data = Batch.join([text.encode()]).data
    expected = set()
    for number, word in enumerate(WORDS):
        before = b"(?<![0-9a-z])" if word[:1].isalnum() else b""
        behind = b"(?![0-9a-z])" if word[-1:].isalnum() else b""
        pattern = b"(?=%s%s%s)" % (before, re.escape(word), behind)
        expected |= {
            (number, m.start() + len(word)) for m in re.finditer(pattern, data.tobytes().lower())
        }
    assert find_all(Literals(*whole_words(WORDS)), data) == expected


def test_patterns_match_characters_not_bytes() -> None:
    data = Batch.join(["料:料子12 信a1".encode()]).data
    assert find_all(Literals(["[料信][a-z子]{0,1}[0-9]".encode()], TEXT), data) == {
        (0, data.tobytes().index(tail) + len(tail)) for tail in ("料子1".encode(), "信a1".encode())
    }


def test_search_within_ranges_returns_buffer_offsets() -> None:
    data = np.frombuffer(b"ab ab ab ab", np.uint8)
    number, end = Literals([b"ab"]).find(data, [(0, 1), (3, 5), (7, 11)])
    assert (number.tolist(), end.tolist()) == ([0, 0], [5, 11])


@given(texts)
def test_joined_search_agrees_with_separate_searches(text: str) -> None:
    data = Batch.join([text.encode()]).data
    groups = [
        whole_words(WORDS),
        SearchPatterns(()),
        SearchPatterns(("[料信][a-z子]?".encode(), b"b-"), TEXT),
    ]
    for (number, end), group in zip(JoinedSearch(groups).find(data), groups, strict=True):
        assert set(zip(number.tolist(), end.tolist(), strict=True)) == find_all(
            Literals(*group), data
        )


@given(texts)
def test_once_reports_each_word_at_most_once(text: str) -> None:
    number, _ = Literals(*once(WORDS)).find(Batch.join([text.encode()]).data)
    lower = text.encode().lower()
    assert sorted(number.tolist()) == [n for n, word in enumerate(WORDS) if word.lower() in lower]


def test_empty_search_finds_nothing() -> None:
    assert find_all(Literals([]), Batch.join([b"ab"]).data) == set()


def test_threads_share_one_search_object() -> None:
    literals, data = Literals(WORDS), Batch.join([b"abc b-1 " * 2000]).data
    expected, results = find_all(literals, data), []
    threads = [
        threading.Thread(target=lambda: results.append(find_all(literals, data))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [expected] * 4


def test_unsupported_processor_is_a_config_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_args: object, **_named: object) -> None:
        raise hyperscan.ArchitectureError

    monkeypatch.setattr(hyperscan, "Database", refuse)
    with pytest.raises(ConfigError, match="processor"):
        Literals([b"a word that no other test looks for"])


@given(st.lists(st.tuples(st.integers(-50, 9000), st.integers(1, 3000)), min_size=1, max_size=12))
def test_stretches_cover_the_ranges_and_stay_apart(asked: list[tuple[int, int]]) -> None:
    size = 10_000
    first = np.array([start for start, _ in asked])
    last = np.array([start + length for start, length in asked])
    ranges = list(stretches(first, last, size))
    assert all(b[0] - a[1] > APART for a, b in pairwise(ranges))
    for start, end in zip(first.tolist(), last.tolist(), strict=True):
        assert any(a <= max(start, 0) and min(end, size) <= b for a, b in ranges)
