"""Long runs of Han digits are found wherever they stand, and nothing shorter is."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matcher.text.han_digits import DIGITS
from matcher.text.runs import WINDOW, long_runs
from matcher.text.utf8 import Laid

DIGIT = f"[{''.join(DIGITS)}]"
RUN = re.compile(rf"(?:{DIGIT}[ .\-]?){{6}}{DIGIT}")
SOUP = st.text(st.sampled_from("一三零〇○壹幺拐〥一二三四 -.0年，aé😀\n"), max_size=60)


def found(text: str) -> bool:
    return len(long_runs(Laid.of([text.encode()]).data)) > 0


@given(st.lists(SOUP, max_size=4).map("".join))
def test_a_run_is_found_if_and_only_if_it_is_long(text: str) -> None:
    assert found(text) == (RUN.search(text) is not None)


@pytest.mark.parametrize("separator", ["", " ", "-", "."])
@pytest.mark.parametrize("before", range(20))
def test_seven_digits_are_found_at_any_offset_and_six_are_not(separator: str, before: int) -> None:
    text = "x" * before + separator.join("一三八零零一三")
    assert found(text)
    assert not found(text[:-1] + "年")


@pytest.mark.parametrize("digit", DIGITS)
def test_every_digit_counts(digit: str) -> None:
    assert found(f"的{digit * 7}的")


def test_a_run_across_two_steps_is_found() -> None:
    assert all(found("x" * (WINDOW - before) + "一三八零零一三") for before in range(25))


def test_a_place_lies_in_its_run() -> None:
    texts = ["二零二六年", "手机一三八零零一三八零零零", "第一百二十三天"]
    laid = Laid.of([text.encode() for text in texts])
    places = long_runs(laid.data)
    assert len(places)
    assert all(laid.start[1] + 6 <= place < laid.end[1] for place in places.tolist())
