"""Rows: what stands together, which field each cell is, and the shape that may be stored."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from matcher.detect.labels import block_label, label_before, label_of, words
from matcher.text import read
from tests.matcher.bank import phone, resident_id
from tests.matcher.columns import fields_of, members_of, names_of, rows_of_texts
from ullage.vocabulary.fields import FieldLabel

PHONE, ID = "13800138000", "11010519491231002X"


@dataclass
class Row:
    first: int
    fields: frozenset[str]
    names: tuple[str, ...]
    skeleton: str
    candidates: range


def rows(text: str, media: str = "text/plain") -> list[Row]:
    table = rows_of_texts(read(text.encode(), "utf-8", media).text)
    return [
        Row(
            int(table.lines(np.array([row]))[0]),
            fields_of(table, row),
            names_of(table, row),
            table.layout(row).skeleton,
            members_of(table, row),
        )
        for row in range(len(table))
    ]


def fields(text: str, media: str = "text/plain") -> list[Sequence[str]]:
    return [sorted(row.fields) for row in rows(text, media)]


@pytest.mark.parametrize("separator", ["----", "\t", "|", ",", ";", "--", " ", "，", "｜", ":"])
def test_rows_are_read_with_each_separator(separator: str) -> None:
    [first, second] = rows("\n".join(separator.join(("张某", p, ID)) for p in (PHONE, phone(1))))
    assert first.fields == {FieldLabel.NAME, FieldLabel.PHONE, FieldLabel.ID}
    assert first.names == ("张某",)
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
        (f'"李, 某","{PHONE}"', "<…>,<PHONE>"),
        ("7945bd83237335e5376ff44d62e4f0ae|张某", "<digest>|<NAME>"),
        ("a@example.com:Secret1", "<EMAIL>:<PASSWORD>"),
        ("https://www.example.com:a@example.com:Secret1", "<…>:<…>:<EMAIL>:<PASSWORD>"),
        ("a@example.com:5000", "<EMAIL>:<…>"),
        (f"139 1234 5678 张某\n138 1234 5678 {ID}", "<PHONE> <NAME>"),
    ],
)
def test_skeleton_shows_labels_but_no_text(text: str, skeleton: str) -> None:
    assert rows(text)[0].skeleton == skeleton


def test_header_names_columns_that_values_do_not_reveal() -> None:
    text = (
        "一批\n客户姓名|手机号|余额|备注|phone_md5\n"
        f"赵甲|{PHONE}|5000|x|7945bd83237335e5376ff44d62e4f0ae\n钱|{phone(1)}|70|y|"
    )
    first, second = rows(text)
    assert first.fields == {FieldLabel.NAME, FieldLabel.PHONE, FieldLabel.BALANCE}
    assert second.names == ("钱",)


def test_header_counts_only_shortly_above_its_rows() -> None:
    assert rows(f"{PHONE}|88\n手机|余额")[0].fields == {FieldLabel.PHONE}
    assert rows("手机|余额\n" + "x\n" * 30 + f"{PHONE}|88")[0].fields == {FieldLabel.PHONE}
    assert rows("手机|余额\n" + "x\n" * 17 + f"{PHONE}|88")[0].fields == {
        FieldLabel.PHONE,
        FieldLabel.BALANCE,
    }


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_key_value_records_are_one_row_each(end: str) -> None:
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
    assert (
        first.fields
        == second.fields
        == {FieldLabel.NAME, FieldLabel.PHONE, FieldLabel.ID, FieldLabel.BALANCE}
    )
    assert (first.names, second.names) == (("张某",), ("李某",))
    assert (first.first, second.first) == (0, 4)
    assert first.skeleton == "<NAME> <PHONE> <ID> <BALANCE>"


def test_record_ends_at_blank_line_or_document_end() -> None:
    first, second = rows(f"手机: {PHONE}\n\n身份证: {ID}\n姓名: 李某")
    assert (first.fields, second.fields) == ({FieldLabel.PHONE}, {FieldLabel.ID, FieldLabel.NAME})
    read = rows_of_texts(f"手机: {PHONE}", f"身份证: {ID}", f"姓名: 李某\n手机: {PHONE}")
    assert [sorted(fields_of(read, row)) for row in range(3)] == [
        ["PHONE"],
        ["ID"],
        ["NAME", "PHONE"],
    ]
    assert read.document.tolist() == [0, 1, 2]


def test_stealer_log_blocks_are_records() -> None:
    block = "SOFT: Chrome\nURL: https://a.example/login\nUSER: {}@example.com\nPASS: x{}\n"
    assert (
        fields("=====\n" + block.format("a", 1) + "\n" + block.format("b", 2))
        == [["EMAIL", "PASSWORD"]] * 2
    )
    assert fields(block.format("a", 1) + block.format("b", 2)) == [["EMAIL", "PASSWORD"]] * 2


def test_paragraphs_of_equal_layout_are_records() -> None:
    people = [f"张某\n{phone(n)}\n{resident_id(n)}" for n in range(4)]
    assert fields("出售\n\n" + "\n\n".join(people)) == [["ID", "NAME", "PHONE"]] * 4
    assert rows("\n\n\n".join(people))[1].skeleton == "<NAME> <PHONE> <ID>"
    assert len(rows("\n\n".join([*people, f"李某\n\n{phone(9)}"]))) == 5
    assert fields("\n\n".join(people[:2])) == [["PHONE"], ["ID"]] * 2


@pytest.mark.parametrize(
    "paragraph",
    ["{0}\n{0}", "张某\n{0}\n{0}", "x\n" * 8 + "{0}", "x" * 99 + "\n{0}", "{0}", "张某,{0}"],
)
def test_other_paragraphs_are_not_records(paragraph: str) -> None:
    text = "\n\n".join(paragraph.format(phone(n)) for n in range(9))
    assert len(rows(text)) == text.count("154")


def test_html_tables_give_rows() -> None:
    cells = "".join(
        f"<tr>\n<td>张某</td>\n<td>{p}</td>\n<td>88</td>\n</tr>" for p in (PHONE, phone(1))
    )
    table = f"<table><tr><th>姓名</th><th>手机</th><th>余额</th></tr>{cells}</table>"
    assert fields(table, "text/html") == [["BALANCE", "NAME", "PHONE"]] * 2


CREATE = (
    "CREATE TABLE `t` (\n `id` int,\n `name` text,\n `mobile` text,\n `balance` float,\n PRIMARY"
    " KEY (`id`)\n);\n"
)
TUPLES = (
    f"(1,'张某','{PHONE}',5.0),(2,'王, (x)\\'某','{phone(1)}',NULL),(3,'it''s','{phone(2)}',8);"
)


@pytest.mark.parametrize("end", ["", "\n"])
@pytest.mark.parametrize(
    "head",
    [
        "INSERT INTO `t` (`id`,`name`,`mobile`,`balance`) VALUES ",
        "insert into t(id, user_name, phone, balance) values",
        f"{CREATE}INSERT INTO `t` VALUES ",
    ],
)
def test_each_sql_tuple_is_a_row_with_the_columns_of_its_statement(head: str, end: str) -> None:
    read = rows(head + end + TUPLES.replace("),(", f"),{end}("))
    assert [sorted(row.fields) for row in read] == [
        ["BALANCE", "NAME", "PHONE"],
        ["NAME", "PHONE"],
        ["BALANCE", "NAME", "PHONE"],
    ]
    assert read[0].names == ("张某",)
    assert read[0].skeleton == "<…>,<NAME>,<PHONE>,<BALANCE>"


def test_each_sql_statement_has_its_own_columns() -> None:
    read = fields(
        f"INSERT INTO a (name,phone) VALUES ('赵','{PHONE}');\nINSERT INTO b (phone,balance) VALUES"
        f" ('{phone(1)}',3);"
    )
    assert read == [["NAME", "PHONE"], ["BALANCE", "PHONE"]]


def test_sql_column_comments_name_the_fields() -> None:
    columns = (
        "`id` int NOT NULL COMMENT '编号',\n `xm` text DEFAULT '' COMMENT '姓名',\n `tel1` text,\n"
        " `zd` text COMMENT '诊断'"
    )
    read = fields(
        f"CREATE TABLE `t` (\n {columns}\n) COMMENT='病人';\nINSERT INTO `t` VALUES"
        f" (1,'张某','{PHONE}','高血压');"
    )
    assert read == [["HEALTH", "NAME", "PHONE"]]


@pytest.mark.parametrize(
    "message",
    [
        "【某银行】验证码100207，您正在登录", "您的验证码是 482913",
        "482913 is your verification code", "登录验证码：4829",
        "OTP: 482913",
    ],
)  # fmt: skip
@pytest.mark.parametrize("sign", ["\t", " | "])
def test_one_time_code_in_a_message_is_recognised(message: str, sign: str) -> None:
    assert (
        fields("\n".join(f"{phone(n)}{sign}{message}" for n in range(4))) == [["OTP", "PHONE"]] * 4
    )


@pytest.mark.parametrize("message", ["验证码登录", "没收到验证码 请致电", "验证码错误，2024年再试"])
def test_message_without_a_code_has_no_one_time_code(message: str) -> None:
    assert "OTP" not in fields(f"{phone(1)}\t{message}\n{phone(2)}\t{message}")[0]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2024-01-02", True),
        ("2024-1", True),
        ("5000", True),
        ("1-50万", False),
        ("2000-5000", False),
        ("最高20万", False),
    ],
)
def test_range_of_amounts_is_not_a_loan(value: str, expected: bool) -> None:
    assert ("LOAN" in fields(f"{phone(1)} | 借款: {value}")[0]) == expected


def test_value_after_a_password_label_is_a_password() -> None:
    assert "PASSWORD" in fields(f"{phone(1)} 张某 密码 a7bc2")[0]
    assert "PASSWORD" not in fields(f"{phone(1)} 张某 密码 忘记了")[0]


@pytest.mark.parametrize(
    "word",
    [
        "custName",
        "customerName",
        "cust_name",
        "memberName",
        "insuredName",
        "patient_name",
        "投保人姓名",
        "收货人姓名",
    ],
)
def test_label_may_have_an_owner_prefix(word: str) -> None:
    row = f'{{"{word}": "张某", "msisdn": "{PHONE}"}}'
    assert fields(row + "\n" + row.replace(PHONE, phone(1))) == [["NAME", "PHONE"]] * 2


@pytest.mark.parametrize(
    ("sign", "behind", "expected"),
    [(":", "", True), ("----", "", True), (",", "", False), ("----", "----x", False)],
)
def test_digest_after_a_login_is_a_password_in_combo_lists(
    sign: str, behind: str, expected: bool
) -> None:
    hashed = [hashlib.md5(f"pw{n}".encode()).hexdigest() for n in range(8)]
    labels = fields(
        "\n".join(f"a{n}@example.com{sign}{digest}{behind}" for n, digest in enumerate(hashed))
    )
    assert labels == [["EMAIL", "PASSWORD"] if expected else ["EMAIL"]] * 8
    labels = fields(
        "\n".join(f"{phone(n)}{sign}{digest}{behind}" for n, digest in enumerate(hashed))
    )
    assert labels == [["PASSWORD", "PHONE"] if expected else ["PHONE"]] * 8


@pytest.mark.parametrize("end", ["", "\n", "\n  "])
def test_each_json_object_is_a_row(end: str) -> None:
    record = f'{{"name":"张某",{end}"contact":{{"phone":"{PHONE}"}},{end}"balance": 5}}'
    two = f'{{"name":"}}{{李\\"某",{end}"phone": {phone(1)},{end}"idcard":"{ID}"}}'
    expected = [["BALANCE", "NAME", "PHONE"], ["ID", "NAME", "PHONE"]]
    assert (
        fields(f"[{record},{end}{two}]")
        == fields(f'{{"code":0,"data":[{record},{two}]}}')
        == fields(f"{record}\n{two}")
        == expected
    )
    assert fields(record) == expected[:1]


def test_truncated_object_loses_only_its_own_row() -> None:
    whole = f'{{"name":"张某","phone":"{PHONE}"}}'
    assert fields(f'张某","phone":"{phone(1)}"}},{whole},{whole},{{"phone":"{phone(2)}"') == [
        ["NAME", "PHONE"],
        ["NAME", "PHONE"],
        ["NAME", "PHONE"],
        ["PHONE"],
    ]


@pytest.mark.parametrize(
    ("cell", "names"),
    [("张某", ["张某"]), ("欧阳某某", ["欧阳某某"]), ("Zhang San", ["Zhang San"]), ("张*", ["张*"]),
    ("北京市", []),
     ("王府银行", []), ("某某", []), ("zhang san", []), ("张", [])],
)  # fmt: skip
def test_name_is_recognised_by_its_shape(cell: str, names: list[str]) -> None:
    assert list(rows(f"{cell}|{PHONE}")[0].names) == names


@pytest.mark.parametrize("glued", ["张某{}", "{}张某", "客户{}张某!", "张某138-0013-8000,{}"])
def test_name_attached_to_a_number_is_found(glued: str) -> None:
    assert rows(glued.format(PHONE))[0].names == ("张某",)


def test_value_failing_its_checksum_makes_no_row() -> None:
    assert rows("110105194912310021\n6200000000000006") == []
    read = rows_of_texts(f"110105194912310021\n{PHONE},6200000000000006")
    assert read.holding(read.candidates.start).tolist() == [-1, 0, 0]


def test_long_lines_cost_one_step_for_each_candidate() -> None:
    in_lines = rows_of_texts("\n".join(f"张某----{phone(n)}" for n in range(20_000)))
    assert (len(in_lines), int(in_lines.lines(np.array([19_999]))[0])) == (20_000, 19_999)
    assert [(set(layout.fields), count) for layout, count in in_lines.layouts(0).iter_counts()] == [
        ({"NAME", "PHONE"}, 20_000)
    ]
    long = rows_of_texts(",".join(phone(n) for n in range(20_000)))
    assert (len(long), len(members_of(long, 0)), fields_of(long, 0)) == (1, 20_000, {"PHONE"})
    unseparated = rows_of_texts("x".join(f"({phone(n)})" for n in range(20_000)))
    assert len(members_of(unseparated, 0)) == 20_000


@pytest.mark.parametrize(
    ("cell", "label"),
    [(" 手机号 ", FieldLabel.PHONE), ('"Phone"', FieldLabel.PHONE), ("【姓名】", FieldLabel.NAME),
    ("IDCARD", FieldLabel.ID),
    ("nothing", None),
     ("user_phone", FieldLabel.PHONE), ("客户手机号", FieldLabel.PHONE),
     ("`cust_name`", FieldLabel.NAME), ("username", None)],
)  # fmt: skip
def test_header_cell_is_read(cell: str, label: FieldLabel | None) -> None:
    assert label_of(cell) == label


@pytest.mark.parametrize(
    ("cell", "read_as"),
    [
        ("手机: 138", (FieldLabel.PHONE, "138")),
        ('"phone":"138"', (FieldLabel.PHONE, '"138"')),
        ('[{ "phone" : "138"', (FieldLabel.PHONE, '"138"')),
        ("[密码]=x y", (FieldLabel.PASSWORD, "x y")),
        ("User Password: x", (FieldLabel.PASSWORD, "x")),
        ("http://a", None),
        ("手机:", None),
        ("手机 138", None),
    ],
)
def test_label_before_a_value_is_read(cell: str, read_as: tuple[FieldLabel, str] | None) -> None:
    assert label_before(cell) == read_as


@pytest.mark.parametrize(
    ("beginning", "label"),
    [
        ("手机:", "PHONE"),
        ("URL:", "=url"),
        ("USER LOGIN:", "=user login"),
        ("x:", ""),
        ("手机", ""),
    ],
)
def test_record_line_is_recognised_by_its_label(beginning: str, label: str) -> None:
    assert block_label(beginning) == label


def test_every_label_word_is_folded_and_names_a_field() -> None:
    assert all(word == read(word.encode()).text.lower() for word in words())
    assert set(words().values()) <= set(FieldLabel)
