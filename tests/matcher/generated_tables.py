"""Tables as strategies: headers in ten languages, odd cells, any padding, ragged rows, every
separator, planted customers.
"""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

HEADERS = (
    ("name", "phone", "id card", "email", "country"),
    ("姓名", "手机号", "身份证号", "邮箱", "国家"),
    ("姓名", "手機號碼", "身分證號", "電子郵件", "國籍"),
    ("Name", "Telefon", "Ausweis", "E-Mail", "Land"),
    ("nom", "téléphone", "carte", "courriel", "pays"),
    ("nombre", "teléfono", "documento", "correo", "país"),
    ("nome", "cellulare", "codice", "posta", "paese"),
    ("nome", "celular", "documento", "e-mail", "nacionalidade"),
    ("имя", "телефон", "паспорт", "почта", "страна"),
    ("氏名", "電話番号", "番号", "メール", "国"),
    ("이름", "전화번호", "주민등록번호", "이메일", "국가"),
    ("الاسم", "الهاتف", "الهوية", "البريد", "البلد"),
    ("user_phone", "country_code", "mobile", "QQ", "微信"),
    ("护照", "手机", "区号", "银行卡号", "cookie"),
)
SEPARATORS = (
    ",",
    ";",
    "\t",
    "|",
    "----",
    "--",
    ":",
    " | ",
    "||",
    "\x01",
    "\u3000",
    "  ",
    " ",
    "，",
    "、",
)
BLANKS = (" ", "\t", "\u3000", "\N{NO-BREAK SPACE}", "\u2009")
ODD_CELLS = (
    *("", "none given", "unknown", "n/a", "NULL", "未登记电话", "见附件", "a@b.example",
    "138****8000", "1*********1", "-", "--"),
    *("+", "()", "(+", "00", "+0", "+84912345678", "0084 912 345 678", "DE", "de", "Germany",
    "德国", "49", "+49"),
    *("0170 9625982", "²³", "٠١٢٣", "①②③", "๑๒๓", "一三八零零一三八零零零", "\0", "\u200b",
    "\u202e", "\N{WORD JOINER}"),
    *("\ufffd", "🔥", "é", '"', "'", "=", '="1"', "a,b", "\\N", "%31", "&#49;", "\\u0031",
    "\\x31\\x33", "MTM4MDAxMzgwMDA="),
    *("X'3133'", "1.38E+10", "0x33", "{", "}", "d41d8cd98f00b204e9800998ecf8427e", "wxid_",
    "E12345678", "GB82", "DE89 3704"),
    *("QQ:", "expires=Mon, 99999999999999999999 Jan", "INSERT INTO t VALUES (", "');",
    "https://a.example/?p=1", "URL:"),
    *("Cookie: a=b", "Set-Cookie: a=b; expires=inf", "Set-Cookie: a=b; expires=1 Jan 9999999999999",
    "x" * 70),
)  # fmt: skip
ALPHABET = "0123456789+-. ()/*xXaZ@：，。张李手机٣३๓①Ⅷß\u0301\t\u3000\N{NO-BREAK SPACE}\"'|;,=%&\\"


class GeneratedTable(NamedTuple):
    """The text of a table, and the numbers of the customers that are planted in it, each in a
    cell of its own.
    """

    text: str
    planted: frozenset[int]


def blanks() -> SearchStrategy[str]:
    """Return runs of 0 to 40 blanks of one kind, or of mixed kinds."""
    one_kind = st.builds(str.__mul__, st.sampled_from(BLANKS), st.integers(0, 40))
    return st.just("") | one_kind | st.lists(st.sampled_from(BLANKS), max_size=40).map("".join)


def digits() -> SearchStrategy[str]:
    """Return numbers of 1 to 40 digits, whole or in groups that are padded apart."""
    whole = st.text("0123456789", min_size=1, max_size=40)
    groups = st.lists(st.text("0123456789", min_size=1, max_size=8), min_size=2, max_size=8)
    padding = st.lists(
        st.sampled_from((" ", "-", "空格", "\u3000", "\t", "加")), min_size=1, max_size=14
    ).map("".join)
    even = st.builds(str.join, st.integers(1, 14).map(" ".__mul__) | padding, groups)
    return (
        whole
        | even
        | st.builds(_pad_apart, groups, st.lists(st.integers(1, 16), min_size=8, max_size=8))
    )


def _pad_apart(groups: list[str], sizes: list[int]) -> str:
    return "".join(group + " " * size for group, size in zip(groups, sizes, strict=False)).strip()


def cells() -> SearchStrategy[str]:
    """Return cells of any content but a customer's."""
    return (
        st.sampled_from(ODD_CELLS) | digits() | st.text(ALPHABET, max_size=24) | st.text(max_size=8)
    )


def tables(values: tuple[tuple[str, ...], ...]) -> SearchStrategy[GeneratedTable]:
    """Return tables with some of the customers, of whom each has `values`, between rows of odd
    cells.
    """

    @st.composite
    def draw_table(draw: DrawFn) -> GeneratedTable:
        separator, labels = draw(st.sampled_from(SEPARATORS)), list(draw(st.sampled_from(HEADERS)))
        rows = draw(st.lists(st.lists(cells(), max_size=len(labels) + 1), max_size=6))
        planted = draw(st.lists(st.integers(0, len(values) - 1), max_size=4, unique=True))
        for number in planted:
            row = [draw(st.sampled_from(("x", "", "张三"))) for _ in labels]
            row[draw(st.integers(0, len(labels) - 1))] = draw(st.sampled_from(values[number]))
            rows.insert(draw(st.integers(0, len(rows))), row)
        if draw(st.booleans()):
            rows.insert(0, labels)
        quote, end = (
            draw(st.sampled_from(("", "", '"', "'"))),
            draw(st.sampled_from(("\n", "\r\n", "\n\n"))),
        )
        padding, is_left = draw(blanks()), draw(st.booleans())
        written = (
            separator.join(
                f"{quote}{padding}{cell}{quote}" if is_left else f"{quote}{cell}{padding}{quote}"
                for cell in row
            )
            for row in rows
        )
        return GeneratedTable(
            end.join(written) + draw(st.sampled_from(("", end))), frozenset(planted)
        )

    return draw_table()
