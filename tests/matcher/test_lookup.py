"""The match table: what is asked of a list, who stands in which row, and the places that are
told.
"""

from types import SimpleNamespace
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from matcher.columns.batch import Batch, Places
from matcher.detect.candidates import Segment
from matcher.match.corroborate import MOST_PAIRS, Owners, _deduplicate, _labels_of_matches
from matcher.match.counts import locate
from matcher.match.lookup import (
    BITS,
    FEW,
    FOLDED,
    NONE,
    FoundMatches,
    ListQuery,
    ValueColumns,
    build_queries,
    find_customers,
    to_labels,
)
from matcher.text import FoldedText, fold
from tests.factories import capture
from tests.matcher.bank import matcher_of
from tests.matcher.conftest import BANK
from ullage.identifiers import field_by_kind
from ullage.records import Match
from ullage.security.tags import Tagger, Tags
from ullage.settings import Context
from ullage.vocabulary.fields import FieldLabel


def segment(kind: str, valid: list[bool], form: str = "plain") -> Segment:
    """Values 0, 1, 2 … of which some hold."""
    size = len(valid)
    normal = (
        np.array([f"{n:016}".encode() for n in range(size)], "S16").view(np.uint8).reshape(-1, 16)
    )
    place = np.arange(size, dtype=np.int64)
    return Segment(
        kind,
        form,
        place * 20,
        place * 20 + 16,
        normal,
        np.full(size, 16, np.int64),
        np.array(valid, bool),
    )


def epoch_of_everybody() -> Any:
    """Return a key generation whose list knows every value."""
    tagger = Tagger(bytes(32))

    def look_up(tags: Tags) -> tuple[np.ndarray, np.ndarray]:
        return np.arange(len(tags)), np.arange(len(tags))

    return SimpleNamespace(
        tags=SimpleNamespace(tagger=lambda *_: tagger), list=SimpleNamespace(look_up=look_up)
    )


@given(st.lists(st.booleans(), max_size=3 * FEW), st.integers(0, 3 * FEW))
def test_only_values_that_pass_their_check_match(some: list[bool], holding: int) -> None:
    valid = [*some, *[True] * holding]
    queries = list(
        build_queries(
            [
                segment("card", valid),
                segment("phone", [True, True]),
                segment("resident_id", [False]),
            ]
        )
    )
    answers = find_customers(epoch_of_everybody(), queries)
    answered = [
        (queries[number].kind, int(queries[number].values.normal[place].tobytes()), start)
        for number, place, start in zip(
            *(column.tolist() for column in (answers.query, answers.value, answers.start)),
            strict=True,
        )
    ]
    assert answered == [("card", n, n * 20) for n, holds in enumerate(valid) if holds] + [
        ("phone", 0, 0),
        ("phone", 1, 20),
    ]


def test_digest_is_looked_up_as_every_digestible_kind() -> None:
    queries = list(build_queries([segment("digest", [True], "md5")]))
    assert [(question.kind, question.form) for question in queries] == [
        ("phone", "md5"),
        ("resident_id", "md5"),
        ("email", "md5"),
    ]
    assert len({id(question.values) for question in queries}) == 1


def test_values_failing_every_check_are_not_looked_up() -> None:
    assert list(build_queries([segment("card", [False, False])])) == []
    assert len(find_customers(epoch_of_everybody(), [])) == 0


ASKED = [("phone", "plain"), ("email", "plain"), ("email", "md5"), ("email", "plain")]
PIECES = st.lists(st.tuples(*(st.integers(0, most) for most in (3, 4, 2, 3, 2))), max_size=25)
PAIRS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), max_size=20)


def evidence(pieces: list[tuple[int, int, int, int, int]]) -> tuple[FoundMatches, Places]:
    """Pieces of (question, start, row from NONE on, subject, length); a piece's number is its
    place among the values.
    """
    none = np.empty((0, 8), np.uint8), np.empty(0, np.int64)
    queries = [ListQuery(kind, form, ValueColumns(*none), none[1], none[1]) for kind, form in ASKED]
    question, start, row, subject, length = np.array(pieces, np.int64).reshape(-1, 5).T
    return FoundMatches(
        question, queries, np.arange(len(pieces)), subject, start, start + length
    ), row + NONE


@given(PIECES)
def test_duplicate_matches_are_reported_once_in_order(
    pieces: list[tuple[int, int, int, int, int]],
) -> None:
    single = {}
    for number, (question, start, _, subject, length) in enumerate(pieces):
        single[start, start + length, *ASKED[question], subject] = number
    matches, _ = evidence(pieces)
    assert matches.take(_deduplicate(matches)).value.tolist() == [
        number for _, number in sorted(single.items())
    ]


@given(PIECES, PAIRS)
def test_match_has_the_labels_of_its_customer_in_its_row(
    pieces: list[tuple[int, int, int, int, int]], names: list[tuple[int, int]]
) -> None:
    def place(number: int) -> tuple[int, int]:
        """Return row and customer of a piece; one in no row stands alone."""
        _, _, row, subject, _ = pieces[number]
        return (row + NONE, subject) if row + NONE != NONE else (-2 - number, subject)

    labels_by_piece: dict[tuple[int, int], set[str]] = {}
    for number, (question, *_) in enumerate(pieces):
        labels_by_piece.setdefault(place(number), set()).add(
            str(field_by_kind()[ASKED[question][0]])
        )
    named = [pair for pair in names if pair in labels_by_piece]
    for pair in named:
        labels_by_piece[pair].add("NAME")
    rows, subjects = np.array(named, np.int64).reshape(-1, 2).T
    labels = _labels_of_matches(*evidence(pieces), lambda _: (rows, subjects))
    expected = [tuple(sorted(labels_by_piece[place(number)])) for number in range(len(pieces))]
    assert [to_labels(bits) for bits in labels.tolist()] == expected


@given(PAIRS, st.lists(st.integers(-1, 5), max_size=6))
def test_row_owners_are_found(pairs: list[tuple[int, int]], rows: list[int]) -> None:
    row, subject = np.array(pairs, np.int64).reshape(-1, 2).T
    owners = Owners.from_pairs(row, subject)
    number, owners_of_rows = owners.find_owners(np.array(rows, np.int64))
    expected = [
        (n, s)
        for n, row_of_list in enumerate(rows)
        for r, s in sorted({*pairs})
        if r == row_of_list
    ]
    assert list(zip(number.tolist(), owners_of_rows.tolist(), strict=True)) == expected
    assert owners.rows.tolist() == sorted({r for r, _ in pairs})


def test_oversized_row_corroborates_nothing() -> None:
    owners = Owners.from_pairs(np.repeat([1, 2], 128), np.arange(256))
    number, _ = owners.find_owners(np.repeat([2, 1], (MOST_PAIRS // 128 + 1, MOST_PAIRS // 128)))
    assert number.tolist() == np.repeat(np.arange(129, 257), 128).tolist()


def test_every_label_has_its_own_bit() -> None:
    assert to_labels(sum(BITS.values())) == tuple(sorted(map(str, FieldLabel)))
    assert to_labels(0) == ()


def test_matches_are_grouped_by_query() -> None:
    matches, _ = evidence([(2, 0, 0, 0, 0), (0, 1, 0, 0, 0), (2, 2, 0, 0, 0)])
    assert [(question.form, places.tolist()) for question, places in matches.by_query()] == [
        ("plain", [1]),
        ("md5", [0, 2]),
    ]


CHARS = st.text("ax1张某é𠀀", max_size=30)


def locate_spans(
    folded: list[FoldedText], spans: list[tuple[int, int, int]]
) -> list[tuple[int, int, int]]:
    """Return the first character, the last one and the transforms of each match.

    `spans` are bytes (document, start, end) of the folded texts.
    """
    batch = Batch.join([text.utf8 for text in folded])
    parts = [
        SimpleNamespace(text=text, piece=SimpleNamespace(offset=100 * n))
        for n, text in enumerate(folded)
    ]
    document, start, end = np.array(spans, np.int64).reshape(-1, 3).T
    begin = batch.starts[document]
    searched: Any = SimpleNamespace(parts=parts, batch=batch)
    places = locate(searched, document, start + begin, end + begin)
    return list(zip(*(column.tolist() for column in places), strict=True))


@given(
    st.lists(CHARS, min_size=1, max_size=3),
    st.lists(st.tuples(*(st.integers(0, n) for n in (2, 30, 5))), max_size=6),
)
def test_unchanged_text_is_located_by_characters(
    texts: list[str], spans: list[tuple[int, int, int]]
) -> None:
    byte_spans, expected = [], []
    for number, first, length in sorted(
        (number % len(texts), first, length) for number, first, length in spans
    ):
        text = texts[number]
        begin, end = min(first, len(text)), min(first + length, len(text))
        byte_spans.append((number, len(text[:begin].encode()), len(text[:end].encode())))
        expected.append((100 * number + begin, 100 * number + end, 0))
    assert (
        locate_spans([FoldedText(text.encode(), text.encode()) for text in texts], byte_spans)
        == expected
    )


def test_folded_text_is_located_in_the_original() -> None:
    folded = fold("x１３8\u200b0 张")
    assert not folded.is_unchanged
    assert locate_spans([folded], [(0, 1, 5), (0, 5, 9)]) == [(1, 6, FOLDED), (6, 8, 0)]


def test_match_built_from_columns_passes_validation(bank: Context) -> None:
    first, second = BANK[1], BANK[2]
    body = f"{first['name']},{first['phone']}\n１５４{second['phone'][3:]}\n".encode()
    [reading] = matcher_of(bank).read([capture(body=body)])
    best = reading.find_best_matches("bank")
    assert best
    matches = list(best.iterate_matches())
    assert len(matches) == 2
    assert matches == [Match.model_validate(match.model_dump()) for match in matches]
    assert [match.model_fields_set for match in matches] == [{*Match.model_fields}] * 2
