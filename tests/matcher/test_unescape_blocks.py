"""Base64 blocks of text are read in place, whatever stands around; what is no text stays."""

import base64
import random
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matcher.text import read, unescape
from matcher.text.blocks import reveal
from matcher.text.codes import GONE
from tests.matcher.oracle import find

PHONE = "13800138000"
LEAKED = f"客户资料第十七号,手机{PHONE},test@example.com"


def block(text: str, encoding: str = "utf-8", *, safe: bool = False, padded: bool = True) -> str:
    body = text.encode(encoding)
    made = (base64.urlsafe_b64encode(body) if safe else base64.b64encode(body)).decode()
    return made if padded else made.rstrip("=")


def shown(text: str) -> str:
    return reveal(text).replace(GONE, "")


@pytest.mark.parametrize("safe", [False, True])
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("encoding", ["utf-8", "gbk"])
@pytest.mark.parametrize(
    "around", ["{}", "a,{},b", "张某----{}----x", '{{"v":"{}"}}', "data:text/plain;base64,{}", "\n{}\n", "={}&x=1", "x {} y"]
)
def test_a_block_is_read_where_it_stands(around: str, encoding: str, padded: bool, safe: bool) -> None:
    for start in range(16):  # whatever its alignment
        text = "。" * start + around.format(block(LEAKED + "甲" * (start % 3), encoding, safe=safe, padded=padded))
        assert LEAKED in shown(text)
        assert len(reveal(text)) == len(text)


@pytest.mark.parametrize("width", [60, 64, 76])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_block_in_lines_is_read_as_one(width: int, end: str) -> None:
    text = LEAKED * 9
    for behind in ("", end, f"{end}The end", f"{end}{end}QUJD"):
        assert shown(end.join(textwrap.wrap(block(text), width)) + behind) == text + behind


def test_a_block_within_a_block_is_read() -> None:
    assert LEAKED in read(block(block(LEAKED)).encode()).text


def test_what_stands_in_a_block_leads_back_to_it() -> None:
    text = f"before {block(LEAKED)} after"
    folded = read(text.encode())
    for found in find(folded.text):
        start, end = folded.span(found.start, found.end)
        assert 7 <= start < end <= 7 + len(block(LEAKED))


@pytest.mark.parametrize(
    "text",
    [
        "7945bd83237335e5376ff44d62e4f0ae", "A6942F9771D67F34034D2F1926988ED3FAD3BF1B4E7CEDB9A31F31398DEA43BC", "a" * 200,
        "ThisIsALongCamelCaseIdentifierOfNothing", "/usr/lib/python3/dist-packages/Twisted/Internet", "-" * 100, "0" * 100,
        base64.b64encode(random.Random(1).randbytes(3000)).decode(),
        base64.b64encode(b"no number stands in this text, none").decode(),
        base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(range(256))).decode(), base64.b64encode(b"short 1").decode(),
    ],
)  # fmt: skip
def test_what_is_no_block_of_text_with_a_number_stays(text: str) -> None:
    assert reveal(f"a {text} b") == f"a {text} b"


@given(
    st.lists(st.binary(max_size=60).map(lambda b: base64.b64encode(b).decode()) | st.text(max_size=6), max_size=6).map("".join)
)
def test_the_length_never_changes_and_nothing_fails(text: str) -> None:
    assert len(reveal(text)) == len(text)
    assert len(unescape(text, markup=False)) == len(text)


@given(
    st.text(
        st.characters(min_codepoint=0x4E00, max_codepoint=0x9FA5) | st.sampled_from("0123456789 ,@"), min_size=18, max_size=60
    ),
    st.integers(0, 40),
)
def test_any_chinese_text_with_a_number_is_read(text: str, before: int) -> None:
    text += PHONE
    assert text in shown(" " * before + block(text) + "\n")


@pytest.mark.parametrize(
    "hostile",
    ["QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo" * 10_000, "aB1-" * 80_000, "aB1--" * 60_000, "QUJDREVGR0hJSktMTU5PUFFSU1R, " * 10_000,
     ("aB" * 38 + "\n") * 4_000, ("aB" * 38 + "\r") * 4_000, "=" * 300_000, "/" * 300_000],
)  # fmt: skip
@pytest.mark.timeout(20)
def test_what_is_nearly_a_block_costs_one_pass(hostile: str) -> None:
    assert reveal(hostile) == hostile
