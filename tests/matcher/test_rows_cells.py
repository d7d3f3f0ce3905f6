"""Rows are cut into cells together, and what each says is what it says alone."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from matcher.records.cells import AROUND, Contents
from matcher.records.reader import HeaderColumns, Readers, ShapeDescription
from matcher.records.table import (
    BLOCK,
    LINE,
    MOST_CELLS,
    NUMBER,
    OBJECT,
    TUPLE,
    MarkedText,
    decode_marked,
    mark,
    split,
)
from tests.matcher.bank import phone
from tests.matcher.columns import rows_of_texts

NAMES = ("card", "digest", "email", "phone")
SIGNS = ["|", ",", "----", "--", "\t", ";", " ", ":", ""]
MARKS = st.tuples(st.integers(0, 3), st.booleans()).map(lambda pair: mark(pair[0], valid=pair[1]))
SCRAPS = st.sampled_from(
    [
        "张", "某", "省", "x", "A", "n", "7", "-", "*", " ", '"', "'", ":", "=", "(", "é", "。",
        "𠀀", "\\", "龥", "㐀", "[",
        "+", "|",
    ]
)  # fmt: skip
WORDS = st.sampled_from(
    [
        "", "null", "None", "-", "17", "张三", "'李四'", '"17"', "''", "欧阳某某", "李省", "王",
        "Zhang San", "手机: ",
        "借款", "5000",
    ]
)  # fmt: skip
TEXTS = st.one_of(WORDS, st.lists(SCRAPS, max_size=5).map("".join)).map(str.encode)
CELLS = st.one_of(MARKS, TEXTS, st.tuples(TEXTS, MARKS).map(b"".join))


def mark_text(rows: list[bytes]) -> MarkedText:
    """Return rows as the text that `Contents` cuts."""
    lengths = np.array([len(row) for row in rows])
    end = np.cumsum(lengths + 1) - 1
    return MarkedText(
        np.frombuffer(b"".join(row + b"\n" for row in rows) + b"\n\n", np.uint8), end - lengths, end
    )


def describe(row: bytes, columns: HeaderColumns, style: int = LINE) -> ShapeDescription:
    """Return the description of one row's contents."""
    contents = Contents(NAMES)
    cells = contents.cut(mark_text([row]), columns.separator_in(style), style)
    return Readers().get(columns).read(contents.shapes[contents.shapes_of(cells, style)[0]])


@example([[b"x"], ["张三借款".encode()]], "", LINE)
@given(
    st.lists(st.lists(CELLS, min_size=1, max_size=5), min_size=1, max_size=8),
    st.sampled_from(SIGNS),
    st.sampled_from([LINE, OBJECT, TUPLE, BLOCK]),
)
def test_cells_and_shapes_agree_with_a_plain_split(
    cells: list[list[bytes]], sign: str, style: int
) -> None:
    separator = HeaderColumns(sign).separator_in(style)
    rows = [
        row for row in (separator.join(row_cells).replace(b"\n", b"") for row_cells in cells) if row
    ]
    if not rows:
        return
    contents = Contents(NAMES)
    cut_cells = contents.cut(mark_text(rows), separator, style)
    shapes = [contents.shapes[number] for number in contents.shapes_of(cut_cells, style)]
    for number, (row, shape) in enumerate(zip(rows, shapes, strict=True)):
        parts = split(row, separator, style)
        row_cells = range(cut_cells.borders[number], cut_cells.borders[number + 1])
        assert [cut_cells.value(cell) for cell in row_cells] == [
            decode_marked(part).strip(AROUND) for part in parts
        ]
        expected = [Contents(NAMES)._classify(part) for part in parts]
        assert [content._replace(is_password=False) for content in shape.contents] == expected


@given(
    st.text("-x|\"'\\,", max_size=30).map(str.encode),
    st.sampled_from([b"-", b"--", b"----", b"|", b","]),
)
def test_quotes_and_repeated_separators_agree_with_a_plain_split(text: bytes, sign: bytes) -> None:
    for style in (LINE, TUPLE):
        cut_cells = Contents(NAMES).cut(mark_text([text, b"x"]), sign, style)
        first = int(cut_cells.borders[1])
        assert [first, cut_cells.value(first)] == [len(split(text, sign, style)), "x"]


def test_last_cell_holds_the_rest_of_a_very_long_row() -> None:
    cut_cells = Contents(NAMES).cut(
        mark_text([b"x,y", b",".join([b"x"] * (MOST_CELLS + 9))]), b",", LINE
    )
    assert np.diff(cut_cells.borders).tolist() == [2, MOST_CELLS + 1]


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.booleans(), st.sampled_from(["", "x", "张", "\ud800"]))
    )
)
def test_marks_are_read_back(marks: list[tuple[int, bool, str]]) -> None:
    text = b"".join(
        mark(kind, valid=valid) + behind.encode("utf-8", "surrogatepass")
        for kind, valid, behind in marks
    )
    assert describe(text, HeaderColumns()).candidates == [
        (0, NAMES[kind], valid) for kind, valid, _ in marks
    ]
    assert decode_marked(text).replace("\N{REPLACEMENT CHARACTER}", "").replace(
        "\ud800", ""
    ) == "".join(NUMBER + behind.replace("\ud800", "") for *_, behind in marks)


PHONE, NO_PHONE, DIGEST, CARD = (
    mark(3, valid=True),
    mark(3, valid=False),
    mark(1, valid=True),
    mark(0, valid=True),
)


@pytest.mark.parametrize(
    ("row", "style", "skeleton"),
    [
        (PHONE + b"|" + NO_PHONE + b"|" + DIGEST, LINE, "<PHONE>|<…>|<digest>"),
        ("手机: ".encode() + PHONE, BLOCK, "<PHONE>"),
        (CARD + '|张某|"李|某"'.encode(), LINE, "<CARD>|<NAME>|<…>"),
        (b'{"x":' + mark(2, valid=True) + b"}", OBJECT, "<EMAIL>"),
    ],
)
def test_row_is_described_by_its_cells(row: bytes, style: int, skeleton: str) -> None:
    assert describe(row, HeaderColumns("|"), style).skeleton == skeleton


def test_doubtful_kind_is_ignored_only_in_its_column() -> None:
    columns = HeaderColumns("|", doubted=frozenset({(0, "card")}))
    assert describe(CARD + b"|" + CARD, columns).skeleton == "<…>|<CARD>"


def test_names_of_many_rows_are_found_together() -> None:
    read = rows_of_texts(
        f"张三|{phone(1)}|17\nLi Si|{phone(2)}\n\n{phone(3)}|王五|赵六",
        f'"孙七"|{phone(4)}',
        f"姓名|电话\n周|{phone(5)}",
    )
    row, names, latin = read.names(np.arange(len(read)))
    assert list(zip(row.tolist(), names.strings(), strict=True)) == [
        (0, "张三"),
        (2, "王五"),
        (2, "赵六"),
        (3, "孙七"),
    ]
    assert latin == [(1, "Li Si"), (4, "周")]
    assert read.names(np.array([2]))[1].strings() == ["王五", "赵六"]


def test_equal_rows_share_a_shape() -> None:
    contents = Contents(NAMES)
    rows = [b"x,1", b"x,1", b"x,1,1", b"x,1", b"1,x", b"1,x", b"x"]
    first, again = (
        contents.shapes_of(contents.cut(mark_text(rows), b",", LINE), LINE).tolist()
        for _ in range(2)
    )
    assert first == again == [0, 0, 1, 0, 2, 2, 3]
