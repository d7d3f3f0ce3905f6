"""Slots of five minutes: told twice, in any order, they say the same."""

import itertools

import pytest
from pydantic import ValidationError

from ullage.records.heartbeat import (
    LETTERS,
    NIGHT,
    SLOTS,
    UNHEARD,
    UNWATCHED,
    WHY,
    SiteHour,
    merge_slots,
    pick_letter,
)


def test_two_tellings_are_one_whatever_their_order() -> None:
    for first, second, third in itertools.product(LETTERS, repeat=3):
        assert pick_letter(first, second) == pick_letter(second, first)
        assert pick_letter(first, pick_letter(second, third)) == pick_letter(
            pick_letter(first, second), third
        )
        assert pick_letter(first, first) == first
    assert merge_slots("o" * 6 + "." * 6, "." * 5 + "b" * 7) == "o" * 6 + "b" * 6


def test_whoever_was_heard_goes_before_silence_and_seeing_before_all_else() -> None:
    assert {pick_letter(letter, UNHEARD) for letter in LETTERS} == {*LETTERS}
    assert {pick_letter(letter, "o") for letter in LETTERS} == {"o"}
    assert {*WHY, *UNWATCHED, NIGHT, "o", "-"} == {*LETTERS}


@pytest.mark.parametrize(
    "wrong",
    [
        {"slots": "o"},
        {"slots": "q" * SLOTS},
        {"site": "Board!"},
        {"site": "chat/群"},
        {"posts": -1},
    ],
)
def test_what_is_no_hour_is_refused(wrong: dict[str, object]) -> None:
    good = {"site": "telegram/#0123abcd", "hour": 497_000, "slots": "o." * 6}
    assert SiteHour.model_validate(good).site == "telegram/#0123abcd"
    with pytest.raises(ValidationError):
        SiteHour.model_validate({**good, **wrong})
