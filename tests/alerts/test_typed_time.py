"""The one grammar of times that people type."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from alerts.records.typed_time import parse_typed_time

NOW = datetime(2026, 11, 25, 4, 30, tzinfo=UTC)
SHANGHAI = ZoneInfo("Asia/Shanghai")


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("12h", "2026-11-24T16:30Z"),
        ("3d", "2026-11-22T04:30Z"),
        ("today", "2026-11-24T16:00Z"),
        ("yesterday 18:00", "2026-11-24T10:00Z"),
        ("18:00", "2026-11-24T10:00Z"),
        ("2026-11-25", "2026-11-24T16:00Z"),
        ("2026-11-25T06:00", "2026-11-24T22:00Z"),
        ("2026-11-25T06:00Z", "2026-11-25T06:00Z"),
    ],
)
def test_typed_time_is_read_in_the_zone(typed, expected):
    assert parse_typed_time(typed, NOW, SHANGHAI) == datetime.fromisoformat(expected)


@pytest.mark.parametrize("typed", ["", "soon", "12", "25:00", "tomorrow", "yesterday 18:00 x"])
def test_other_text_is_no_time(typed):
    assert parse_typed_time(typed, NOW, SHANGHAI) is None
