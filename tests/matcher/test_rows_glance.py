"""What is told of cells at a glance is what a closer look says; what is not told is left to that."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matcher.records.cells import LOOK, MOST_CELLS, NAME, NOTHING_IN, NUMBER_IN, TEXT, Reader
from matcher.records.glance import Glance, _parted, glance
from matcher.records.marked import Marked, mark
from matcher.records.schema import Columns
from matcher.records.spans import LINE
from tests.matcher.bank import phone
from tests.matcher.columns import rows_of_texts

NAMES = ("card", "digest", "email", "phone")
SIGNS = ["|", ",", "----", "--", "\t", ";", " "]
MARKS = st.tuples(st.integers(0, 3), st.booleans()).map(lambda pair: mark(pair[0], valid=pair[1]))
SCRAPS = st.sampled_from(
    ["张", "某", "省", "x", "A", "n", "7", "-", "*", " ", '"', ":", "=", "(", "é", "。", "𠀀", "\\", "龥", "㐀", "[", "+"]
)
WORDS = st.sampled_from(
    ["", "null", "None", "-", "17", "张三", "欧阳某某", "李省", "王", "Zhang San", "北京市7号", "手机: ", "abc"]
)
TEXTS = st.one_of(WORDS, st.lists(SCRAPS, max_size=5).map("".join)).map(str.encode)
CELLS = st.one_of(MARKS, TEXTS, st.tuples(TEXTS, MARKS).map(b"".join))


def marked(rows: list[bytes]) -> Marked:
    """Rows as `marked` lays them out."""
    lengths = np.array([len(row) for row in rows])
    end = np.cumsum(lengths + 1) - 1
    return Marked(np.frombuffer(b"".join(row + b"\n" for row in rows) + b"\n\n", np.uint8), end - lengths, end)


@settings(max_examples=400)
@given(st.lists(st.lists(CELLS, min_size=1, max_size=5), min_size=1, max_size=8), st.sampled_from(SIGNS))
def test_what_is_told_at_a_glance_is_what_a_closer_look_says(cells: list[list[bytes]], sign: str) -> None:
    rows = [row for row in (sign.encode().join(own).replace(b"\n", b"") for own in cells) if row]
    if not rows:
        return
    seen, reader = glance(marked(rows), sign.encode()), Reader(Columns(sign), NAMES)
    named: dict[int, list[str]] = {}
    for row, start, end in zip(*(column.tolist() for column in seen.names()), strict=True):
        named.setdefault(row, []).append(marked(rows).data[start:end].tobytes().decode())
    for number, (row, codes) in enumerate(zip(rows, seen.signatures(), strict=True)):
        if codes:
            quick, closer = reader.read_at_a_glance(codes), Reader(Columns(sign), NAMES).read(row, LINE)
            assert (quick.layout, quick.seen, quick.unknown) == (closer.layout, closer.seen, closer.unknown)
            assert tuple(named.get(number, ())) == reader.names(row, LINE)
        else:
            assert number not in named


@given(st.text("-x|", max_size=30).map(str.encode), st.sampled_from([b"-", b"--", b"----", b"|"]))
def test_cells_are_parted_as_a_split_parts_them(text: bytes, sign: bytes) -> None:
    at, expected = 0, []
    for part in text.split(sign)[:-1]:
        expected.append(at + len(part))
        at += len(part) + len(sign)
    assert _parted(np.frombuffer(text, np.uint8), sign).tolist() == expected


def codes(seen: Glance) -> list[list[int]]:
    return [seen.code[low:high].tolist() for low, high in zip(seen.borders[:-1], seen.borders[1:], strict=True)]


def test_cells_are_told_by_what_they_hold() -> None:
    number = NUMBER_IN + mark(3, valid=True)[1]
    rows = [b"|".join((mark(3, valid=True), b"", b"17", "北京市朝阳区1号".encode(), "张三".encode())), b'a|"b"|Ab|c:d|n', b"x"]
    expected = [[number, NOTHING_IN, TEXT, TEXT, NAME], [TEXT, LOOK, LOOK, LOOK, LOOK], [TEXT]]
    assert codes(glance(marked(rows), b"|")) == expected


@pytest.mark.parametrize("row", [b"(1,x", b"insert into", b" x,y", b",".join([b"x"] * (MOST_CELLS + 1))])
def test_a_row_that_may_be_a_tuple_or_has_very_many_cells_is_looked_at(row: bytes) -> None:
    assert glance(marked([b"x,y", row]), b",").clear.tolist() == [True, False]


def test_names_of_rows_come_from_a_glance_or_from_a_closer_look() -> None:
    found = rows_of_texts(
        f"张三|{phone(1)}|17\nLi Si|{phone(2)}\n\n{phone(3)}|王五|赵六", f'"孙七"|{phone(4)}', f"姓名|电话\n周|{phone(5)}"
    )
    rows = np.arange(len(found))
    found.know(rows)
    row, names = found.names_at_a_glance(rows)
    assert list(zip(row.tolist(), names.strings(), strict=True)) == [(0, "张三"), (2, "王五"), (2, "赵六")]
    assert [(n, found.names(n)) for n in found.looked_at(rows)] == [(1, ("Li Si",)), (3, ("孙七",)), (4, ("周",))]
    assert found.names_at_a_glance(np.array([2]))[1].strings() == ["王五", "赵六"]
