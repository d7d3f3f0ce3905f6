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


def test_merging_slots_does_not_depend_on_order() -> None:
    for first, second, third in itertools.product(LETTERS, repeat=3):
        assert pick_letter(first, second) == pick_letter(second, first)
        assert pick_letter(first, pick_letter(second, third)) == pick_letter(
            pick_letter(first, second), third
        )
        assert pick_letter(first, first) == first
    assert merge_slots("o" * 6 + "." * 6, "." * 5 + "b" * 7) == "o" * 6 + "b" * 6


def test_any_report_beats_silence_and_covered_beats_everything() -> None:
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
def test_invalid_hour_is_rejected(wrong: dict[str, object]) -> None:
    good = {"site": "telegram/#0123abcd", "hour": 497_000, "slots": "o." * 6}
    assert SiteHour.model_validate(good).site == "telegram/#0123abcd"
    with pytest.raises(ValidationError):
        SiteHour.model_validate({**good, **wrong})
