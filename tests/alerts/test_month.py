"""The month in pictures: every incident and sighting is drawn on its own day, in words as well,
and nothing else is.
"""

import re
from datetime import UTC, timedelta
from xml.etree import ElementTree as ET
from zoneinfo import ZoneInfo

import pytest

from alerts.deadlines.outstanding import Duties
from alerts.deadlines.schedule import Work
from alerts.records import Decision
from alerts.store.queries import count_recent, count_sightings, list_days
from alerts.web.pages.handover import TALL, Bar, Day, draw_scenarios, draw_timeline
from tests.alerts.builders import finding, fold_all, incident
from ullage.settings import Tenant

SHANGHAI = ZoneInfo("Asia/Shanghai")
SVG = "{http://www.w3.org/2000/svg}"


def parse_picture(picture: str) -> ET.Element:
    return ET.fromstring(
        str(picture).replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    )


def day(name: str, high: int, low: int, seen: int) -> Day:
    return Day(name, {"high": high, "low": low}, seen, f"{name} <{high}>")


def test_bars_are_proportional_and_labelled_by_day():
    picture = parse_picture(
        draw_timeline("T & t", "said", ("a", "b"), [day("09-20", 3, 1, 10), day("09-21", 0, 2, 0)])
    )
    first, second = picture.findall(f"{SVG}g")
    tall = {bar.get("class"): float(bar.get("height", "0")) for bar in first.findall(f"{SVG}rect")}
    assert tall["high"] == pytest.approx(3 * tall["low"])
    assert tall["high"] + tall["low"] == pytest.approx(TALL)
    assert [bar.get("class") for bar in second.findall(f"{SVG}rect")] == ["ground", "low"]
    assert [day_bar.findtext(f"{SVG}title") for day_bar in (first, second)] == [
        "09-20 <3>",
        "09-21 <0>",
    ]
    assert picture.get("aria-labelledby") == "time-t time-d"
    assert picture.findtext(f"{SVG}title") == "T & t"


def test_days_without_incidents_have_no_bars():
    picture = parse_picture(draw_timeline("t", "d", ("a", "b"), [day("09-20", 0, 0, 0)]))
    assert [bar.get("class") for bar in picture.iter(f"{SVG}rect")] == ["ground"]


@pytest.mark.parametrize(
    ("totals", "numbers"),
    [
        ([12, 0, 99], ["12", "99"]),
        ([206, 205, 0, 53], ["206", "53"]),
        ([53, 205, 206], ["206"]),
        ([205, 206, 53], ["206"]),
    ],
)
def test_bar_labels_never_overlap(totals, numbers):
    picture = parse_picture(
        draw_timeline("t", "d", ("a", "b"), [day("", total, 0, 0) for total in totals])
    )
    assert [
        text.text for group in picture.findall(f"{SVG}g") for text in group.findall(f"{SVG}text")
    ] == numbers


def test_scenarios_show_counts_and_escape_names():
    picture = parse_picture(
        draw_scenarios("t", "d", [Bar("a <b>", 2_000, "a: 2,000"), Bar("c", 500, "c: 500")])
    )
    longs = [float(bar.get("width", "0")) for bar in picture.iter(f"{SVG}rect")]
    assert longs[0] == pytest.approx(4 * longs[1])
    assert [text.text for text in picture.iter(f"{SVG}text")] == ["a <b>", "2,000", "c", "500"]


def test_incident_counts_on_its_local_day_and_a_false_positive_never(store, clock):
    now = clock.as_clock().now().replace(hour=20)
    store.put(
        [
            incident("INC-A", now, severity="high"),
            incident("INC-B", now - timedelta(days=29)),
            incident("INC-C", now),
        ]
    )
    store.put([incident("INC-D", now - timedelta(days=40))])
    store.create(
        [
            Decision(
                id="INC-C:1",
                tenant="bank",
                incident="INC-C",
                at=now,
                by="Li",
                status="false_positive",
            )
        ]
    )
    later = now + timedelta(hours=1)
    assert Work(Duties(store, lambda _: Tenant(), clock.as_clock())).complete() == 4
    assert dict(count_recent(store, later, UTC).opened) == {
        (now.date(), "high"): 1,
        (now.date() - timedelta(days=29), "low"): 1,
    }
    assert (now.date() + timedelta(days=1), "high") in count_recent(
        store, later, SHANGHAI
    ).opened, "20:00 UTC is the next day there"
    assert count_recent(store, later, UTC, "nobody").opened.total() == 0
    assert count_recent(store, later).customers == {
        ("bank", "none", "high"): 1,
        ("bank", "none", "low"): 1,
    }
    assert (len(list_days(now, UTC)), list_days(now, UTC)[-1]) == (30, now.date())


def test_sightings_count_once_on_their_day(store, clock):
    fold_all(store, clock, [finding("fa", range(10)), finding("fb", range(20, 30))])
    now = clock.as_clock().now()
    counts = count_sightings(store, list_days(now, SHANGHAI), SHANGHAI)
    assert (len(counts), sum(counts), counts[-1]) == (30, 2, 2)
    assert sum(count_sightings(store, list_days(now, SHANGHAI), SHANGHAI, "nobody")) == 0


@pytest.mark.parametrize("language", ["en", "zh"])
def test_handover_page_shows_both_charts_and_a_table(browser, phone_incident, language):
    page = browser.get("/handover", headers={"accept-language": language}).text
    assert page.count('<svg class="bars"') == 2
    table = re.search(r'<table class="days">.*?</table>', page, re.DOTALL)
    assert table is not None
    assert len(re.findall(r"<tr><th", table[0])) == 2, "the head and one day"
