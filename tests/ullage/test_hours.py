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
    for one, other, third in itertools.product(LETTERS, repeat=3):
        assert pick_letter(one, other) == pick_letter(other, one)
        assert pick_letter(one, pick_letter(other, third)) == pick_letter(
            pick_letter(one, other), third
        )
        assert pick_letter(one, one) == one
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
