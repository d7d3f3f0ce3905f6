"""Evidence as columns: who stands in which row, what is told once, and labels as bits."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from matcher.match.corroborate import MOST_PAIRS, Owners, _once, _with_labels
from matcher.match.lookup import BITS, NONE, Matches, Question, Values, labels_of
from ullage.identifiers import field_by_kind
from ullage.vocabulary.fields import Field

ASKED = [("phone", "plain"), ("email", "plain"), ("email", "md5"), ("email", "plain")]
PIECES = st.lists(st.tuples(*(st.integers(0, most) for most in (3, 4, 2, 3, 2))), max_size=25)
PAIRS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), max_size=20)


def evidence(pieces: list[tuple[int, int, int, int, int]]) -> Matches:
    """Pieces of (question, start, row from NONE on, subject, length); a piece's number is its place among the values."""
    none = np.empty((0, 8), np.uint8), np.empty(0, np.int64)
    asked = [Question(kind, form, Values(*none), none[1], none[1]) for kind, form in ASKED]
    question, start, row, subject, length = np.array(pieces, np.int64).reshape(-1, 5).T
    found = Matches.of(asked, len(pieces))
    columns = {"question": question, "place": np.arange(len(pieces)), "subject": subject, "start": start}
    for name, column in {**columns, "end": start + length, "row": row + NONE}.items():
        found[name][:] = column
    return found


@given(PIECES)
def test_what_is_the_same_is_told_once_in_order_of_place(pieces: list[tuple[int, int, int, int, int]]) -> None:
    single = {}
    for number, (question, start, _, subject, length) in enumerate(pieces):
        single[start, start + length, *ASKED[question], subject] = number
    assert _once(evidence(pieces))["place"].tolist() == [number for _, number in sorted(single.items())]


@given(PIECES, PAIRS)
def test_a_piece_has_the_labels_of_its_customer_in_its_row(
    pieces: list[tuple[int, int, int, int, int]], names: list[tuple[int, int]]
) -> None:
    held: dict[tuple[int, int], set[str]] = {}
    for question, _, row, subject, _ in pieces:
        held.setdefault((row + NONE, subject), set()).add(str(field_by_kind()[ASKED[question][0]]))
    named = [pair for pair in names if pair in held]
    for pair in named:
        held[pair].add("NAME")
    rows, subjects = np.array(named, np.int64).reshape(-1, 2).T
    found = _with_labels(evidence(pieces), rows, subjects)
    expected = [tuple(sorted(held[row + NONE, subject])) for _, _, row, subject, _ in pieces]
    assert [labels_of(bits) for bits in found["own"].tolist()] == expected


@given(PAIRS, st.lists(st.integers(-1, 5), max_size=6))
def test_the_owners_of_rows(pairs: list[tuple[int, int]], rows: list[int]) -> None:
    row, subject = np.array(pairs, np.int64).reshape(-1, 2).T
    owners = Owners.of(row, subject)
    number, found = owners.of_rows(np.array(rows, np.int64))
    expected = [(n, s) for n, asked in enumerate(rows) for r, s in sorted({*pairs}) if r == asked]
    assert list(zip(number.tolist(), found.tolist(), strict=True)) == expected
    assert owners.rows.tolist() == sorted({r for r, _ in pairs})


def test_a_row_with_very_many_values_and_owners_is_a_list_and_corroborates_nothing() -> None:
    owners = Owners.of(np.repeat([1, 2], 128), np.arange(256))
    number, _ = owners.of_rows(np.repeat([2, 1], (MOST_PAIRS // 128 + 1, MOST_PAIRS // 128)))
    assert number.tolist() == np.repeat(np.arange(129, 257), 128).tolist()


def test_every_label_has_a_bit_of_its_own() -> None:
    assert labels_of(sum(BITS.values())) == tuple(sorted(map(str, Field)))
    assert labels_of(0) == ()


def test_pieces_are_given_by_question() -> None:
    found = evidence([(2, 0, 0, 0, 0), (0, 1, 0, 0, 0), (2, 2, 0, 0, 0)])
    assert [(question.form, own.tolist()) for question, own in found.by_question()] == [("plain", [1]), ("md5", [0, 2])]
