"""Rows: what stands together, which field each cell is, and the shape that may be stored."""

import pytest

from matcher.labels import label_before, label_of, words
from matcher.rows import Lines, Row, rows_of
from matcher.scan import find
from matcher.text import read
from tests.matcher.bank import phone, resident_id
from ullage.fields import Field

PHONE, ID = "13800138000", "11010519491231002X"


def rows(text: str, media: str = "text/plain") -> list[Row]:
    folded = read(text.encode(), "utf-8", media).text
    return rows_of(find(folded), Lines(folded))


@pytest.mark.parametrize("separator", ["----", "\t", "|", ",", ";", "--", " ", "，", "｜"])
def test_a_row_of_each_separator(separator: str) -> None:
    [first, second] = rows("\n".join(separator.join(("张某", p, ID)) for p in (PHONE, phone(1))))
    assert first.fields == {Field.NAME, Field.PHONE, Field.ID}
    assert first.names == ["张某"]
    assert len(first.candidates) == 2
    assert second.first == 1


@pytest.mark.parametrize(
    ("text", "skeleton"),
    [
        (f"张某----{PHONE}----{ID}", "<NAME>----<PHONE>----<ID>"),
        (f"张某\t{PHONE}\tzzz", "<NAME>\\t<PHONE>\\t<…>"),
        (f"张某{PHONE}", "<PHONE>"),
        (f"{PHONE},,5000", "<PHONE>,,<…>"),
        (f"姓名:张某,手机:{PHONE},密码:abc", "<NAME>,<PHONE>,<PASSWORD>"),
        (f'"李某","{PHONE}"', "<NAME>,<PHONE>"),
        ("7945bd83237335e5376ff44d62e4f0ae|张某", "<digest>|<NAME>"),
    ],
)
def test_the_skeleton_shows_labels_and_nothing_of_the_text(text: str, skeleton: str) -> None:
    assert [row.skeleton for row in rows(text)] == [skeleton]


def test_a_header_names_the_columns_that_shapes_do_not() -> None:
    text = f"一批\n客户姓名|手机号|余额|备注|phone_md5\n赵甲|{PHONE}|5000|x|7945bd83237335e5376ff44d62e4f0ae\n钱|{phone(1)}|70|y|"
    first, second = rows(text)
    assert first.fields == {Field.NAME, Field.PHONE, Field.BALANCE}
    assert second.names == ["钱"]


def test_a_header_counts_only_above_the_rows_and_near_them() -> None:
    assert rows(f"{PHONE}|88\n手机|余额")[0].fields == {Field.PHONE}
    assert rows("手机|余额\n" + "x\n" * 30 + f"{PHONE}|88")[0].fields == {Field.PHONE}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_records_written_downwards_are_one_row_each(end: str) -> None:
    lines = [
        "姓名: 张某",
        f"手机: {PHONE}",
        f"身份证: {ID}",
        "余额: 5000",
        "姓名: 李某",
        f"手机: {phone(1)}",
        f"身份证: {resident_id(1)}",
        "余额: 7",
    ]
    first, second = rows(end.join(lines))
    assert first.fields == second.fields == {Field.NAME, Field.PHONE, Field.ID, Field.BALANCE}
    assert (first.names, second.names) == (["张某"], ["李某"])
    assert first.skeleton == "<NAME> <PHONE> <ID> <BALANCE>".replace(" ", " ")


def test_a_record_does_not_reach_over_a_blank_line() -> None:
    first, second = rows(f"手机: {PHONE}\n\n身份证: {ID}\n姓名: 李某")
    assert (first.fields, second.fields) == ({Field.PHONE}, {Field.ID, Field.NAME})


def test_html_tables_give_rows() -> None:
    cells = "".join(f"<tr>\n<td>张某</td>\n<td>{p}</td>\n<td>88</td>\n</tr>" for p in (PHONE, phone(1)))
    table = f"<table><tr><th>姓名</th><th>手机</th><th>余额</th></tr>{cells}</table>"
    assert [row.fields for row in rows(table, "text/html")] == [{Field.NAME, Field.PHONE, Field.BALANCE}] * 2


@pytest.mark.parametrize(
    ("cell", "names"),
    [("张某", ["张某"]), ("欧阳某某", ["欧阳某某"]), ("Zhang San", ["Zhang San"]), ("张*", ["张*"]), ("北京市", []),
     ("王府银行", []), ("某某", []), ("zhang san", []), ("张", [])],
)  # fmt: skip
def test_a_name_is_known_by_its_shape(cell: str, names: list[str]) -> None:
    assert rows(f"{cell}|{PHONE}")[0].names == names


@pytest.mark.parametrize("glued", ["张某{}", "{}张某", "客户{}张某!", "张某138-0013-8000,{}"])
def test_a_name_glued_to_a_number_is_seen(glued: str) -> None:
    assert rows(glued.format(PHONE))[0].names == ["张某"]


def test_what_fails_its_checksum_makes_no_row() -> None:
    assert rows("110105194912310021\n6200000000000006") == []


def test_many_lines_and_one_long_line_both_cost_one_look_a_candidate() -> None:
    many = rows("\n".join(f"张某----{phone(n)}" for n in range(100_000)))
    assert (len(many), many[-1].first) == (100_000, 99_999)
    [long] = rows(",".join(phone(n) for n in range(20_000)))
    assert len(long.candidates) == 20_000
    [unseparated] = rows("x".join(f"({phone(n)})" for n in range(20_000)))
    assert len(unseparated.candidates) == 20_000


@pytest.mark.parametrize(
    ("cell", "label"),
    [(" 手机号 ", Field.PHONE), ('"Phone"', Field.PHONE), ("【姓名】", Field.NAME), ("IDCARD", Field.ID), ("nothing", None)],
)
def test_a_header_cell_is_read(cell: str, label: Field | None) -> None:
    assert label_of(cell) == label


@pytest.mark.parametrize(
    ("cell", "read_as"),
    [
        ("手机: 138", (Field.PHONE, "138")),
        ('"phone":"138"', (Field.PHONE, '"138"')),
        ("[密码]=x y", (Field.PASSWORD, "x y")),
        ("http://a", None),
        ("手机:", None),
        ("手机 138", None),
    ],
)
def test_a_label_before_a_value_is_read(cell: str, read_as: tuple[Field, str] | None) -> None:
    assert label_before(cell) == read_as


def test_every_label_word_is_folded_already_and_names_a_field() -> None:
    assert all(word == read(word.encode()).text.lower() for word in words())
    assert set(words().values()) <= set(Field)
