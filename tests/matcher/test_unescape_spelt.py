"""Addresses with their signs spelt out are read in place; words of prose stay words."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matcher.reference import find
from matcher.text import read
from matcher.text.fold import FILL, fit
from matcher.text.spellings.addresses import reveal_bracketed_signs, reveal_words

ADDRESS = "li.wei17@example.com"


def reveal(text: str) -> str:
    return reveal_words(reveal_bracketed_signs(text))


def addresses(text: str) -> list[str]:
    folded = read(text.encode())
    for candidate in find(folded.text):
        start, end = folded.span(candidate.start, candidate.end)
        assert 0 <= start < end <= len(text)
    return [f.normal for f in find(folded.text) if f.kind == "email"]


@pytest.mark.parametrize(
    "at",
    ["[at]", "(at)", " [at] ", "[ at ]", "{AT}", "（at）", "【At】", "[@]", "(＠)", " at ", "＠"],
)
@pytest.mark.parametrize("dot", [".", "[dot]", "(dot)", " [dot] ", "（dot）", "．"])
@pytest.mark.parametrize("around", ["{}", "邮箱{}。", "a,{},13800138000", "mail: {} now"])
def test_address_is_read_in_any_notation(at: str, dot: str, around: str) -> None:
    if at == " at " and dot in ("[dot]", "(dot)", "（dot）", " [dot] "):
        dot = " dot "
    written = around.format(f"li.wei17{at}example{dot}com")
    assert addresses(written) == [ADDRESS]


@pytest.mark.parametrize(
    "written", ["liwei at example dot com", "liwei at mail dot example dot com"]
)
def test_plain_word_is_a_local_part_if_dots_are_spelt_out(written: str) -> None:
    assert addresses(f"write to {written}, please") == [
        written.replace(" at ", "@").replace(" dot ", ".")
    ]


@pytest.mark.parametrize(
    "prose",
    ["look at example.com for more", "we met at noon. then", "stay at home", "at dot com",
    "a (at) b", "dot at dot",
     "he is at it again", "version at large", "17 at night", "f(at)", "x[dot]"],
)  # fmt: skip
def test_words_of_prose_are_not_addresses(prose: str) -> None:
    assert addresses(prose) == []


def replace_signs(text: str) -> str:
    """Replace signs in brackets by means of a single pattern."""
    beside = rf"\w\-+{FILL}"
    sign = (
        rf"(?<=[{beside}]) ?[\[({{（【［] ?(?:at|AT|At|(dot|DOT|Dot)|@|＠) ?[\])}}）】］]"
        rf" ?(?=[{beside}])"
    )
    return re.sub(sign, lambda m: fit("." if m[1] else "@", len(m[0])), text)


PARTS = [
    "[at]",
    " [at] ",
    "(dot)",
    "{ DOT }",
    "（At）",
    "[ @]",
    "(＠ )",
    "[aT]",
    "[at)",
    "[d",
    "ot]",
    "[",
    "]",
    "@",
]


@given(
    st.lists(
        st.sampled_from(
            [*PARTS, " ", "  ", "a", "b1", "_", "-", ".", "张", "𝟏", "\ud800", FILL, "\n"]
        ),
        max_size=12,
    )
)
def test_bracketed_signs_agree_with_a_pattern(parts: list[str]) -> None:
    text = "".join(parts)
    assert reveal(text) == replace_signs(text)


@given(st.text(st.sampled_from(" atdo[]().@a1张\u2060"), max_size=60))
def test_rewriting_keeps_the_length(text: str) -> None:
    assert len(reveal(text)) == len(text)


@pytest.mark.parametrize(
    "hostile",
    [" at " * 80_000, "a at b." * 40_000, "[at" * 80_000, "[at]" * 60_000, "1 at " + "a." * 100_000,
    "a at a dot " * 30_000,
     "1" * 200_000 + " at a.b", "1 at b dot c" * 20_000],
)  # fmt: skip
@pytest.mark.timeout(60)
def test_near_address_costs_one_pass(hostile: str) -> None:
    assert len(reveal(hostile)) == len(hostile)
