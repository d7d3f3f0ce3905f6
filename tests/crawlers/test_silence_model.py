"""Each site by its own rhythm: what silence is rare for whom, and who has no rhythm yet."""

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawlers.sites.posting_rhythm import (
    DAY_HOURS,
    HORIZON_HOURS,
    HOUR,
    LEAST_ARRIVALS,
    WINDOW_DAYS,
    SilenceModel,
    describe,
    learn,
)

MONDAY = 19_723 * DAY_HOURS
"""2024-01-01, a Monday, at midnight in UTC, as an hour of Unix time; of that year no holiday is
known.
"""
FESTIVAL = 20_499 * DAY_HOURS
"""2026-02-15, a Sunday: the first of nine days of Spring Festival.

The Saturday before it is worked.
"""
DAY = DAY_HOURS
YEAR = 365.0


def at(hour: int) -> float:
    return hour * HOUR


def learnt(
    hours: list[int], now: int, blind: list[tuple[float, float]] | None = None
) -> SilenceModel:
    rhythm = learn(dict.fromkeys(hours, 1), blind or [], at(now))
    assert rhythm is not None
    return rhythm


def patience(
    rhythm: SilenceModel,
    last: int,
    quiet_days: float = YEAR,
    blind: list[tuple[float, float]] | None = None,
) -> float:
    """Hours after `last` when something new is overdue."""
    until = rhythm.predict_next(at(last) + 1, blind or [], quiet_days, 0.0)
    return HORIZON_HOURS if until is None else until / HOUR - last


def weekly(weeks: int) -> list[int]:
    return [MONDAY + week * 7 * DAY + 10 for week in range(weeks)]


def hourly(days: int) -> list[int]:
    return [MONDAY + hour for hour in range(days * DAY)]


def office(weeks: int, first: int = MONDAY) -> list[int]:
    """Something new each hour from 8 to 18 on working days."""
    return [
        first + (7 * week + day) * DAY + hour
        for week in range(weeks)
        for day in range(5)
        for hour in range(8, 18)
    ]


def test_patience_follows_the_posting_frequency() -> None:
    slow, fast = weekly(8), hourly(28)
    assert 14 * DAY < patience(learnt(slow, slow[-1] + 1), slow[-1]) < 60 * DAY
    assert patience(learnt(fast, fast[-1] + 1), fast[-1]) <= 5


def test_habitual_nights_and_weekends_are_not_silence() -> None:
    hours = office(8)
    rhythm, friday = learnt(hours, hours[-1] + 1), hours[-1]
    assert friday % DAY == 17
    monday_morning = friday + 2 * DAY + 15
    assert friday + patience(rhythm, friday) > monday_morning
    assert friday + patience(rhythm, friday) < monday_morning + DAY
    monday_noon = MONDAY + 8 * 7 * DAY + 12
    # the night behind it
    assert patience(learnt([*hours, monday_noon], monday_noon + 1), monday_noon) > 20


def test_new_site_has_no_rhythm() -> None:
    assert learn({}, [], at(MONDAY)) is None
    assert learn(dict.fromkeys(hourly(6), 1), [], at(MONDAY + 6 * DAY)) is None
    assert learn(dict.fromkeys(weekly(LEAST_ARRIVALS - 1), 1), [], at(weekly(8)[-1])) is None
    assert learn(dict.fromkeys(hourly(9), 1), [], at(MONDAY + 9 * DAY)) is not None


def test_history_beyond_the_window_is_forgotten() -> None:
    hours = hourly(20)
    assert learn(dict.fromkeys(hours, 1), [], at(hours[-1] + (WINDOW_DAYS + 1) * DAY)) is None


def test_habitual_idle_days_are_waited_for() -> None:
    """Busy weeks with three silent days in each: the product of hours alone would call the
    second silent day rare.
    """
    hours = [h for h in hourly(56) if (h - MONDAY) // DAY % 7 < 4 and 8 <= h % DAY < 22]
    rhythm = learnt(hours, hours[-1] + 1)
    gaps = [b - a - 1 for a, b in pairwise(hours)]
    assert rhythm.longest == max(gaps) == 3 * DAY + 10
    assert patience(rhythm, hours[-1]) > 1.25 * max(gaps)


def test_blind_hours_are_neither_learned_nor_counted() -> None:
    hours = hourly(28)
    outage = (at(MONDAY + 10 * DAY), at(MONDAY + 15 * DAY))
    broken = [h for h in hours if not outage[0] <= at(h) < outage[1]]
    rhythm = learnt(broken, hours[-1] + 1, [outage])
    assert rhythm.longest == 0
    assert rhythm.chance == learnt(hours, hours[-1] + 1).chance or min(rhythm.chance) > 0.9
    assert learnt(broken, hours[-1] + 1).longest == 5 * DAY
    last = hours[-1]
    waited = patience(rhythm, last)
    assert patience(rhythm, last, blind=[(at(last + 1), at(last + 100))]) == pytest.approx(
        waited + 100, abs=2
    )
    assert patience(rhythm, last, blind=[(at(last + 1), float("inf"))]) == HORIZON_HOURS


def test_site_that_keeps_a_holiday_is_waited_for() -> None:
    hours = office(6, FESTIVAL - 41 * DAY)
    last = hours[-1]
    assert last == FESTIVAL - 2 * DAY + 17, "a Friday, and the Saturday behind it is worked"
    overdue = last + patience(learnt(hours, last + 1), last)
    assert FESTIVAL + 9 * DAY < overdue < FESTIVAL + 11 * DAY


def test_busy_site_going_silent_in_a_holiday_is_noticed_within_days() -> None:
    hours = list(range(FESTIVAL - 28 * DAY, FESTIVAL + 10))
    assert 2 * DAY < patience(learnt(hours, FESTIVAL + 11), hours[-1]) < 5 * DAY


def test_holiday_is_not_learned() -> None:
    before, behind = office(6, FESTIVAL - 41 * DAY), office(1, FESTIVAL + 9 * DAY)
    rhythm = learnt([*before, *behind], behind[-1] + 1)
    assert rhythm.longest < 3 * DAY
    assert rhythm.silences == pytest.approx(learnt(before, before[-1] + 1).silences, rel=0.05)
    assert (
        learn(dict.fromkeys(range(FESTIVAL, FESTIVAL + 9 * DAY, 4), 1), [], at(FESTIVAL + 9 * DAY))
        is None
    )


def test_worked_weekend_is_judged_as_a_working_day() -> None:
    """2026-02-28 is a Saturday that makes up for the holiday, the Saturday a week later is not."""
    hours, ten = office(6, FESTIVAL + 15 * DAY), DAY + 10
    worked, idle = FESTIVAL + 13 * DAY + 10, FESTIVAL + 20 * DAY + 10
    on_worked, on_idle = (
        learnt([*hours, worked], hours[-1] + 1),
        learnt([*hours, idle], hours[-1] + 1),
    )
    assert on_idle.chance[ten] > on_worked.chance[ten]
    assert on_worked.chance[10] > 0.9


def test_minimum_patience_applies_to_rarely_visited_sites() -> None:
    rhythm = learnt(hourly(28), MONDAY + 28 * DAY)
    until = rhythm.predict_next(at(MONDAY), [], YEAR, 48 * HOUR)
    assert until is not None
    assert until >= at(MONDAY + 48)


def test_patience_grows_with_the_required_rarity() -> None:
    chance = random.Random(7)
    hours = [h for h in hourly(56) if chance.random() < 0.1]
    rhythm = learnt(hours, hours[-1] + 1)
    waits = [patience(rhythm, hours[-1], days) for days in (7.0, 30.0, 365.0, 3650.0)]
    assert waits == sorted(waits)
    assert waits[0] < waits[-1]


@pytest.mark.parametrize("rate", [0.02, 0.2, 0.9])
def test_steady_site_is_hardly_ever_called_quiet(rate: float) -> None:
    """A hundred sites for eight weeks after eight weeks of learning: by the rule about 15 false
    alarms; twice that fails.
    """
    alarms = 0
    for seed in range(100):
        chance = random.Random(seed)
        hours = [MONDAY + h for h in range(112 * DAY) if chance.random() < rate]
        cut = MONDAY + 56 * DAY
        rhythm = learn({h: 1 for h in hours if h < cut}, [], at(cut))
        if rhythm is None:
            continue
        later = [h for h in hours if h >= cut]
        alarms += sum(
            b - a > patience(rhythm, a) for a, b in pairwise(later) if b - a > rhythm.longest
        )
    assert alarms <= 30


@given(st.dictionaries(st.integers(MONDAY, MONDAY + 60 * DAY), st.integers(0, 5), max_size=60))
def test_arbitrary_history_does_not_break_learning(arrivals: dict[int, int]) -> None:
    rhythm = learn(arrivals, [], at(MONDAY + 60 * DAY))
    if rhythm is not None:
        assert all(0.0 < chance <= 1.0 for chance in rhythm.chance)
        assert patience(rhythm, MONDAY + 60 * DAY) >= 1


def test_rhythm_is_described_in_words() -> None:
    assert describe(None) == "not known yet"
    assert describe(learnt(hourly(28), MONDAY + 28 * DAY)) == "every hour"
    assert describe(learnt(office(8), MONDAY + 56 * DAY)) == "7 hours a day"
    assert describe(learnt(weekly(8), weekly(8)[-1] + 1)) == "every 7 days"
