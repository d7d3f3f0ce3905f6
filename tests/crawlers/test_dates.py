"""Moments as site programs write them."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawlers.sites.dates import DateFormats

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)  # a Thursday


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("Sept. 3, 2026, 4 p.m.", "2026-09-03T16:00"),
        ("Sept. 3, 2026, 4:05 a.m.", "2026-09-03T04:05"),
        ("Sept. 3, 2026, noon", "2026-09-03T12:00"),
        ("Sept. 3, 2026, midnight", "2026-09-03T00:00"),
        ("Sept. 3, 2026, 12:30 a.m.", "2026-09-03T00:30"),
        ("Sept. 3, 2026, 12:30 p.m.", "2026-09-03T12:30"),
        ("发表于 2026-11-18 22:18:01", "2026-11-18T22:18:01"),
        ("2026-1-29 21:16", "2026-01-29T21:16"),
        ("2026年11月24日 下午3:04", "2026-11-24T15:04"),
        ("11-24-2026, 08:15 PM", "2026-11-24T20:15"),
        ("24.11.2026, 20:15", "2026-11-24T20:15"),
        ("Fri Nov 20, 2026 9:12 pm", "2026-11-20T21:12"),
        ("24. November 2026", "2026-11-24T00:00"),
        ("24 de noviembre de 2026 10:10", "2026-11-24T10:10"),
        ("Tue, 24 Nov 2026 20:15:01 +0800", "2026-11-24T12:15:01"),
        ("Sunday 22nd of November 2026 09:58:24 AM CDT", "2026-11-22T14:58:24"),
        ("2026-11-24T20:15:01.123Z", "2026-11-24T20:15:01"),
        ("1795537060", "2026-11-24T16:17:40"),
        ("1795537060000", "2026-11-24T16:17:40"),
        ("昨天 10:20", "2026-11-25T10:20"),
        ("前天 09:15", "2026-11-24T09:15"),
        ("半小时前", "2026-11-26T11:30"),
        ("3 小时前", "2026-11-26T09:00"),
        ("an hour ago", "2026-11-26T11:00"),
        ("vor 5 Minuten", "2026-11-26T11:55"),
        ("вчера в 10:20", "2026-11-25T10:20"),
        ("Yesterday, 10:20 PM", "2026-11-25T22:20"),
        ("Monday at 10:20 PM", "2026-11-23T22:20"),
        ("Dec 24", "2025-12-24T00:00"),
        ("刚刚", "2026-11-26T12:00"),
        ("2073 55 3 小时前", "2026-11-26T09:00"),
        ("Nov 14, 2015", "2015-11-14T00:00"),
        ("Nov-14-2015, 04:02 PM", "2015-11-14T16:02"),
        ("14/Nov/2015 16:02:33", "2015-11-14T16:02:33"),
        ("le 14 novembre 2015 à 16h02", "2015-11-14T16:02"),
        ("2015년 11월 14일 16:02", "2015-11-14T16:02"),
        ("14 lis 2015, 16:02", "2015-11-14T16:02"),
        ("14 Kas 2015", "2015-11-14T00:00"),
        ("16:02, 14 Tháng 11 2015", "2015-11-14T00:00"),
        ("14 листопада 2015", "2015-11-14T00:00"),
        ("14. prosince 2015", "2015-12-14T00:00"),
        ("14 Mei 2015 16:02", "2015-05-14T16:02"),
        ("14 augusti 2015 kl. 16:02", "2015-08-14T16:02"),
        ("14 Νοε 2015", "2015-11-14T00:00"),
        ("14 نوفمبر 2015", "2015-11-14T00:00"),
        ("Hôm qua, 10:20", "2026-11-25T10:20"),
        ("wczoraj 10:20", "2026-11-25T10:20"),
        ("5 minuti fa", "2026-11-26T11:55"),
        ("5 phút trước", "2026-11-26T11:55"),
        ("5 dakika önce", "2026-11-26T11:55"),
    ],
)
def test_dates_are_parsed(text: str, moment: str) -> None:
    assert DateFormats().parse(text, NOW) == datetime.fromisoformat(moment).replace(tzinfo=UTC)


def test_invalid_or_unanchored_dates_are_rejected() -> None:
    calendar = DateFormats()
    for text in (
        "",
        "hello",
        "admin",
        "99.99.2026",
        "5",
        "Version 2.0",
        "2073557 小时前",
        "he sells all day",
        "phone s",
    ):
        assert calendar.parse(text, NOW) is None, text
    for text in ("yesterday 10:20", "5 minutes ago", "Nov 24"):
        assert calendar.parse(text) is None, text


def test_zone_order_and_formats_of_the_site_are_used() -> None:
    site = DateFormats(ZoneInfo("Asia/Shanghai"), "DMY", ("%y%m%d/%H%M",))
    assert site.parse("2026-11-24 08:00") == datetime(2026, 11, 24, tzinfo=UTC)
    assert site.parse("03/04/2026 08:00") == datetime(2026, 4, 3, tzinfo=UTC)
    assert site.parse("261124/0800") == datetime(2026, 11, 24, tzinfo=UTC)
    assert site.parse("今天 19:00", NOW) == datetime(2026, 11, 26, 11, tzinfo=UTC)


@given(st.text(max_size=300))
def test_arbitrary_text_does_not_break_date_parsing(text: str) -> None:
    for calendar in (DateFormats(), DateFormats(ZoneInfo("Asia/Shanghai"), "DMY")):
        moment = calendar.parse(text, NOW)
        assert moment is None or moment.tzinfo is not None
