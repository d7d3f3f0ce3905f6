"""Escapes and tags are undone in place: not a character moves, and nothing that may be a value
is lost.
"""

import base64
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matcher.text import read, unescape, unescape_all
from matcher.text.spellings.escapes import TAG

PHONE = "13800138000"
PIECES = st.sampled_from(
    ["<b>", "</b>", "<a href='x", '"', "'", ">", "<!--", "-->", "<td", ' v="1380013800"', "&#49;",
    "&amp;", "&lt;", "&bogus;",
     "&#1114111;", "&#x0;", "\\u0031", "\\u005c", "\\ud83d", "\\", "%", "%31", "%E8%BA", "%ff",
     "%25", "身", " ", "\n", "138"]
)  # fmt: skip
SOUP = st.lists(PIECES | st.text(max_size=3), max_size=25).map("".join)


def plain(markup: str) -> str:
    return read(markup.encode(), "utf-8", "text/html").text


@pytest.mark.parametrize(
    "written",
    [
        "&#49;&#51;&#56;&#48;&#48;&#49;&#51;&#56;&#48;&#48;&#48;", "&#x31;3800138000",
        "&amp;#49;3800138000",
        "&#38;#49;3800138000", r"\u0026#49;3800138000", r"\u0031\u0033800138000",
        r"\\u0031\\u0033800138000",
        r"\u005cu00313800138000", "%313800138000", "%31%33%38%30%30%31%33%38%30%30%30",
        "%25313800138000",
        "%C0%EE13800138000", "138%3001%33%38000", "138<b>0013</b>8000",
        "138<span class='x'>0013</span>8000",
        '13<span style="display:none">7</span>800<span style="display: none">7</span>138000',
        "138<i hidden>9</i><b>0013</b>8000", "138<!-- 77 -->0013<!--x9-->8000",
        '138<font style="font-size:0">12</font>00138000',
        '<span style="color:#123456">138</span>00138000', "<i>1</i><i>3</i><i>8</i>00138000",
        "138<wbr/>00138000",
    ],
)  # fmt: skip
def test_escaped_number_is_restored(written: str) -> None:
    assert PHONE in plain(written)


@pytest.mark.parametrize(
    "written",
    [
        '<a href="tel:13800138000">call</a>', "<input value=13800138000>",
        "<input value='13800138000'/>",
        '<td data-tel="13800138000">x</td>', '<img alt="张某 13800138000">',
        '<a title="test@example.com 13800138000">',
        "<!-- 13800138000 -->", "<!--13800138000-->", "<a title=\"it's>13800138000</a>",
        "<13800138000>", "a<13800138000",
    ],
)  # fmt: skip
def test_values_in_attributes_and_comments_are_separated(written: str) -> None:
    assert re.search(rf"(?<![0-9A-Za-z]){PHONE}(?![0-9A-Za-z])", plain(written))


def test_octets_of_chinese_text_are_read() -> None:
    assert plain("q=%E6%89%8B%E6%9C%BA%3D13800138000") == "q=手机=13800138000"


def test_cells_of_a_table_row_stay_on_one_line() -> None:
    table = (
        "<table>\n<tr>\n  <td>张某</td>\n  <td"
        " class='n'>13800138000</td>\n</tr><tr><th>李某<td>13800138001</table>"
    )
    assert [line.split("\t")[1:] for line in plain(table).splitlines() if line.strip()] == [
        ["张某", "13800138000"],
        ["李某", "13800138001"],
    ]


@pytest.mark.parametrize("tag", ["br", "p", "/div", "li", "tr", "h3"])
def test_block_elements_end_a_line(tag: str) -> None:
    assert plain(f"13800138000<{tag}>13800138001").split() == ["13800138000", "13800138001"]


def test_text_without_markup_keeps_its_angle_brackets() -> None:
    assert unescape("1 < 2 <b> 3", markup=False) == "1 < 2 <b> 3"


@given(SOUP, st.booleans())
def test_unescaping_keeps_the_length(text: str, markup: bool) -> None:
    assert len(unescape(text, markup=markup)) == len(text)


def test_deeply_nested_tags_are_removed() -> None:
    depth = 200_000
    text = "<b>" * depth + PHONE + "</b>" * depth
    assert len(TAG.findall(text)) == 2 * depth
    assert plain(text) == PHONE


@pytest.mark.parametrize(
    "hostile",
    ["<" + "a" * 200_000, "<a " + "x='" * 100_000, "<a " + '"' * 200_001, "&" * 200_000,
    "\\" * 200_000, "%" * 200_000,
     "&amp;" * 100_000, "<td>" + " " * 200_000, "%3" * 100_000, "<!--" * 100_000,
     "&" + "\N{WORD JOINER}" * 200_000],
)  # fmt: skip
@pytest.mark.timeout(60)
def test_invalid_tags_and_escapes_cost_one_pass(hostile: str) -> None:
    assert len(unescape(hostile, markup=True)) == len(hostile)


BLOCK = base64.b64encode(b"13800138000,test@example.com".ljust(57)).decode()
PARTS = st.sampled_from(
    [
        *(
            "138",
            "0013",
            "8000",
            "一三八",
            "&#49;",
            "&#4",
            "9;",
            "%31",
            "%",
            "31",
            "\\u0031",
            "\\",
            "u0031",
            "\r",
            "\n",
            "\r\n",
            BLOCK,
        ),
        *(
            BLOCK[:30],
            BLOCK[30:],
            "=",
            "a",
            " at ",
            "b.com",
            "[at]",
            "[a",
            "t]",
            "\u200b",
            "１",
            "😀",
            "张",
            "--",
            " ",
            "×",
            "＋",
        ),
        *("<b>", "<", "<td", "td>", "<!--", "-->", "'", '"', "<a b='"),
    ]
)
TEXT = st.lists(PARTS, max_size=9).map("".join) | st.text(max_size=9)


@given(st.lists(TEXT, max_size=6), st.booleans())
def test_texts_are_unescaped_independently(texts: list[str], markup: bool) -> None:
    assert unescape_all(texts, markup=markup) == [unescape(text, markup=markup) for text in texts]
