"""How rows are read in numbers: marked, grouped, sampled, and read once more by what was learnt,
each against the plain way.
"""

import re
from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from matcher.records.layouts import (
    MOST_READ,
    SAMPLES,
    RowGroups,
    RowSample,
    count_rows_to_read,
    places_before,
)
from matcher.records.table import NUMBER, decode_marked, mark
from tests.matcher.bank import phone, resident_id
from tests.matcher.columns import fields_of, members_of, names_of, rows_of_texts

NAMES = ("card", "digest", "email", "phone")
CELLS = st.sampled_from(
    [
        "张某",
        "x",
        "",
        "余额:5",
        *map(phone, range(3)),
        resident_id(1),
        "110105194912310021",
        "a@example.com",
    ]
)
TEXTS = st.lists(
    st.lists(st.lists(CELLS, max_size=4).map("|".join), max_size=5).map("\n".join),
    min_size=1,
    max_size=4,
)


@given(TEXTS)
def test_candidates_are_marked_in_their_rows(texts: list[str]) -> None:
    table = rows_of_texts(*texts)
    expected = []
    for row in range(len(table)):
        text, at, start = b"", 0, int(table.start[row])
        raw = table.text(row)
        for n in members_of(table, row):
            first, last, kind = (
                int(column[n])
                for column in (table.candidates.start, table.candidates.end, table.candidates.kind)
            )
            text += raw[at : max(at, first - start)] + mark(
                kind, valid=bool(table.candidates.valid[n])
            )
            at = max(at, last - start)
        expected.append(text + raw[at:])
    assert table.to_marked_text(np.arange(len(table))).texts() == expected
    assert table.to_marked_text(np.arange(1, len(table), 2)).texts() == expected[1::2]


def test_oversized_row_is_marked_as_far_as_it_is_read() -> None:
    table = rows_of_texts(",".join([phone(1), "x" * (1 << 16), phone(2)]), f"{phone(3)},x")
    long, short = table.to_marked_text(np.arange(2)).texts()
    assert (
        decode_marked(long)[:3],
        len(decode_marked(long)),
        decode_marked(long).count(NUMBER),
    ) == (
        f"{NUMBER},x",
        (1 << 16) - 10,
        1,
    )
    assert decode_marked(short) == f"{NUMBER},x"


@given(
    st.text("-,x\n", max_size=200).map(str.encode), st.sampled_from([b",", b"--", b"----", b"\n"])
)
def test_separators_before_every_place_are_counted(text: bytes, sign: bytes) -> None:
    counts = places_before(np.frombuffer(text, np.uint8), sign)
    places = [match.start() for match in re.finditer(b"(?=" + re.escape(sign) + b")", text)]
    expected = [sum(place < at for place in places) for at in range(len(text) + 1)]
    assert counts.count_below(np.arange(len(text) + 1)).tolist() == expected


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from([0, 1, 5, 1 << 50])), max_size=30))
def test_rows_with_one_key_in_one_document_are_a_group(pairs: list[tuple[int, int]]) -> None:
    pairs = sorted(pairs, key=lambda pair: pair[0])
    rows = np.arange(len(pairs)) * 2 + 5
    grouped = RowGroups.from_keys(
        rows,
        np.array([d for d, _ in pairs], np.int64),
        np.array([k for _, k in pairs], np.int64),
        3,
    )
    for document in range(3):
        groups = range(int(grouped.borders[document]), int(grouped.borders[document + 1]))
        members = [
            grouped.order[grouped.first[g] : grouped.first[g] + grouped.size[g]].tolist()
            for g in groups
        ]
        keys = sorted({key for d, key in pairs if d == document})
        assert members == [
            [int(rows[n]) for n, pair in enumerate(pairs) if pair == (document, key)]
            for key in keys
        ]
        numbers = [n for n, (d, _) in enumerate(pairs) if d == document]
        assert [keys[grouped.group[n]] for n in numbers] == [pairs[n][1] for n in numbers]


@given(st.lists(st.integers(1, 90), max_size=40))
def test_all_rows_of_small_documents_are_read(sizes: list[int]) -> None:
    read = count_rows_to_read(sizes)
    assert sum(read) <= min(sum(sizes), MOST_READ)
    assert (
        read == sizes
        if sum(sizes) <= MOST_READ
        else all(n <= min(SAMPLES, size) for n, size in zip(read, sizes, strict=True))
    )
    unread = [size for size, n in zip(sizes, read, strict=True) if not n]
    assert (
        max(unread, default=0)
        <= min([size for size, n in zip(sizes, read, strict=True) if n], default=0)
        or not unread
    )


def test_samples_are_spread_over_their_group() -> None:
    keys = np.array([0] * 60 + [1] * 40)
    first, none, last = (
        RowGroups.from_keys(np.arange(100), np.repeat([0, 2], (70, 30)), keys, 3).samples().each()
    )
    assert first == RowSample(
        [0, 10, 20, 30, 40, 50, 60, 61, 63, 65, 66, 68], [0, 6, 12], [60, 10], [0, 60]
    )
    assert list(first.groups()) == [(60, slice(0, 6)), (10, slice(6, 12))]
    assert (none, last.rows) == (RowSample([], [0], [], []), list(range(70, 100)))


def test_rows_are_read_alike_singly_and_together() -> None:
    texts = [
        "\n".join(f"张某|{phone(n)}|{n}" for n in range(50)),
        "",
        f"姓名|余额\n李某|5|{phone(9)}",
        "x",
    ]
    together, alone = rows_of_texts(*texts), rows_of_texts(*texts)
    together.fields(np.arange(len(together)))
    assert len(together) == 51
    for row in range(len(alone)):
        of_row = [
            (fields_of(columns, row), names_of(columns, row), columns.group(row))
            for columns in (together, alone)
        ]
        assert of_row[0] == of_row[1]
    assert Counter(dict(together.layouts(0).iter_counts())).total() == 50
    assert list(together.layouts(1).iter_counts()) == list(together.layouts(3).iter_counts()) == []
