"""When something is due: working days, ends of days and hours, at the boundaries where they go
wrong.
"""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.deadlines import Deadline, Period, Unit, compute_deadline
from ullage.calendar import Calendar, load_china

SHANGHAI, BERLIN, NEW_YORK = (
    ZoneInfo("Asia/Shanghai"),
    ZoneInfo("Europe/Berlin"),
    ZoneInfo("America/New_York"),
)
ZONES = st.sampled_from(
    [
        SHANGHAI,
        BERLIN,
        NEW_YORK,
        ZoneInfo("Pacific/Apia"),
        ZoneInfo("Africa/Cairo"),
        ZoneInfo("UTC"),
    ]
)
# the strategy adds the zone
KNOWN = st.datetimes(
    datetime(2025, 1, 1),  # noqa: DTZ001
    datetime(2026, 11, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)
DAY = timedelta(days=1)


def due(start: str, period: str, zone: ZoneInfo = SHANGHAI) -> str:
    """Return the local time at which a period that starts at a local time ends."""
    at = compute_deadline(
        datetime.fromisoformat(start).replace(tzinfo=zone), Period.parse(period), zone, load_china()
    ).at
    assert at.tzinfo is UTC
    return at.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")


def working_days(year: int) -> list[date]:
    first = date(year, 1, 1)
    return [
        day
        for day in (first + n * DAY for n in range(366))
        if day.year == year and load_china().is_working_day(day)
    ]


@pytest.mark.parametrize(("year", "days"), [(2025, 248), (2026, 248)])
def test_calendar_has_the_announced_working_days(year, days):
    worked = working_days(year)
    assert len(worked) == days
    assert len([d for d in worked if d.weekday() >= 5]) == {2025: 5, 2026: 6}[year]


def test_holidays_and_make_up_days_are_known():
    """Spring Festival of 2026: nine days off, both Saturdays around it worked."""
    off = [date(2026, 2, 15) + n * DAY for n in range(9)]
    assert not any(load_china().is_working_day(day) for day in off)
    assert all(
        load_china().is_working_day(day)
        for day in (date(2026, 2, 14), date(2026, 2, 24), date(2026, 2, 28))
    )
    assert not load_china().is_working_day(date(2026, 3, 1))


@pytest.mark.parametrize(
    ("start", "period", "end"),
    [
        ("2026-02-13T18:00", "1 working days", "2026-02-14 23:59:59"),  # a make-up Saturday
        ("2026-02-14T18:00", "1 working days", "2026-02-24 23:59:59"),  # over nine days off
        # to the make-up Saturday after it
        ("2026-02-14T18:00", "5 working days", "2026-02-28 23:59:59"),
        ("2025-09-26T18:00", "1 working days", "2025-09-28 23:59:59"),  # a make-up Sunday
        # over the year's end to a make-up Sunday
        ("2025-12-31T10:00", "1 working days", "2026-01-04 23:59:59"),
        # May 9 is a make-up Saturday, 10 no day of work
        ("2026-04-30T23:59", "5 working days", "2026-05-11 23:59:59"),
        # the first day is not counted
        ("2026-03-02T00:00", "5 working days", "2026-03-09 23:59:59"),
        ("2026-02-13T18:00", "30 days", "2026-03-15 23:59:59"),  # a Sunday, and not moved
        ("2026-09-21T23:50", "same day", "2026-09-21 23:59:59"),
        ("2026-09-21T23:50", "30 min", "2026-09-22 00:20:00"),
        ("2026-12-31T23:00", "4 h", "2027-01-01 03:00:00"),
    ],
)  # fmt: skip
def test_periods_end_as_counted_by_hand(start, period, end):
    assert due(start, period) == end


@pytest.mark.parametrize(
    ("start", "period", "zone", "end"),
    [
        ("2026-03-28T12:00", "72 h", BERLIN, "2026-03-31 13:00:00"),  # an hour is lost on the 29th
        ("2026-10-24T12:00", "72 h", BERLIN, "2026-10-27 11:00:00"),  # one is won on the 25th
        ("2026-03-07T12:00", "72 h", NEW_YORK, "2026-03-10 13:00:00"),
        ("2026-03-29T01:30", "same day", BERLIN, "2026-03-29 23:59:59"),
        # its midnight is skipped that night
        ("2026-04-23T12:00", "1 days", ZoneInfo("Africa/Cairo"), "2026-04-24 23:59:59"),
    ],
)
def test_hours_are_absolute_and_days_local_across_clock_changes(start, period, zone, end):
    assert due(start, period, zone) == end


@given(start=KNOWN, amount=st.integers(1, 400), zone=ZONES)
def test_hours_are_exact_in_every_zone(start, amount, zone):
    computed = compute_deadline(
        start.astimezone(zone), Period(amount, Unit.HOURS), zone, load_china()
    )
    assert computed == Deadline(start + timedelta(hours=amount))
    assert (
        compute_deadline(start, Period(amount * 60, Unit.MINUTES), zone, load_china()) == computed
    )


@given(start=KNOWN, amount=st.integers(0, 60), zone=ZONES)
def test_days_end_with_the_last_second_of_a_local_day(start, amount, zone):
    computed = compute_deadline(
        start, Period(amount, Unit.DAYS) if amount else Period(0, Unit.SAME_DAY), zone, load_china()
    )
    local, after = (
        computed.at.astimezone(zone),
        (computed.at + timedelta(seconds=1)).astimezone(zone),
    )
    assert computed.at >= start.replace(microsecond=0)
    assert (local.date() - start.astimezone(zone).date()).days == amount
    assert after.date() > local.date()


@given(start=KNOWN, amount=st.integers(1, 30))
def test_working_days_are_counted_one_by_one(start, amount):
    first = start.astimezone(SHANGHAI).date()
    last = load_china().add_working_days(first, amount)
    between = [first + n * DAY for n in range(1, (last - first).days + 1)]
    assert sum(map(load_china().is_working_day, between)) == amount
    assert load_china().is_working_day(last)
    assert last >= first + amount * DAY


@given(
    start=KNOWN,
    later=st.timedeltas(timedelta(0), timedelta(days=20)),
    amount=st.integers(1, 10),
    unit=st.sampled_from(Unit),
)
def test_later_start_is_due_no_earlier(start, later, amount, unit):
    first, second = (
        compute_deadline(s, Period(amount, unit), SHANGHAI, load_china()).at
        for s in (start, start + later)
    )
    assert first <= second


def test_year_without_a_calendar_counts_as_worked_and_is_named():
    friday = datetime(2026, 12, 31, 12, tzinfo=SHANGHAI)
    computed = compute_deadline(friday, Period(5, Unit.WORKING_DAYS), SHANGHAI, load_china())
    assert computed == Deadline(datetime(2027, 1, 5, 15, 59, 59, tzinfo=UTC), (2027,))
    assert Calendar(frozenset(), frozenset(), frozenset()).is_working_day(date(2026, 2, 15))
    assert (
        compute_deadline(friday, Period(5, Unit.HOURS), SHANGHAI, load_china()).unknown_years == ()
    )


@pytest.mark.parametrize(
    "text", ["", "4h", "0 h", "-1 h", "4 hours", "1.5 h", "5 working", "the same day", "4 h "]
)
def test_invalid_period_is_rejected(text):
    with pytest.raises(ValueError, match="is no period"):
        Period.parse(text)


@pytest.mark.parametrize(
    ("text", "english", "chinese"),
    [
        ("30 min", "30 min", "30分钟"), ("4 h", "4 h", "4小时"), ("30 days", "30 days", "30日"),
        ("5 working days", "5 working days", "5个工作日"), ("same day", "the same day", "当日"),
    ],
)  # fmt: skip
def test_period_is_described_in_both_languages(text, english, chinese):
    assert (str(Period.parse(text)), Period.parse(text).in_chinese()) == (english, chinese)
