"""What an empty list is worth: heartbeats that alert noted, and what they said."""

from datetime import UTC, datetime, timedelta

import pytest

from alerts.coverage.monitoring_status import MAX_SILENCE, HeartbeatRecorder, monitoring_status
from alerts.records import CollectorHeartbeat
from alerts.store import DocumentFilter
from tests.alerts.browser import ASKED
from tests.alerts.builders import finding, fold_all
from tests.conftest import NOON
from ullage.errors import UnavailableError
from ullage.records.heartbeat import Coverage, Heartbeat


def beat(
    seconds: float = 0.0,
    origin: str = "crawl",
    enrolled: int | None = 10,
    egress_up: bool = True,
    **sites: int,
) -> Heartbeat:
    coverage = Coverage(sites=sites or {"ok": 1}, egress_up=egress_up)
    at = datetime.fromtimestamp(NOON, UTC) + timedelta(seconds=seconds)
    return Heartbeat(
        id="0" * 32, origin=origin, inserted_at=at, coverage=coverage, enrolled=enrolled
    )


@pytest.fixture
def listen(store, clock) -> HeartbeatRecorder:
    return HeartbeatRecorder(store, clock.as_clock())


@pytest.fixture
def worth(store, clock):
    return lambda: monitoring_status(store, clock.as_clock().now())


def test_empty_store_says_that_nothing_was_collected(worth) -> None:
    assert worth().worth == "nothing"
    assert (
        str(worth().said)
        == "nothing was collected: alert has received no heartbeat from crawl and no finding"
    )


def test_full_coverage_is_reported_with_its_period(listen, worth, clock) -> None:
    listen(beat(ok=3, quiet=1))
    clock.advance(1_200)
    listen(beat(1_200, ok=3, quiet=1))
    reading = worth()
    assert (reading.worth, reading.since, reading.last) == (
        "monitored",
        beat().inserted_at,
        beat(1_200).inserted_at,
    )
    assert str(reading.said).endswith("all 4 sites are being read")


def test_silent_crawl_is_not_coverage(listen, worth, clock) -> None:
    listen(beat())
    clock.advance(MAX_SILENCE.total_seconds())
    assert worth().worth == "monitored"
    clock.advance(1)
    assert worth().worth == "silent"
    assert str(worth().said).startswith("nothing was collected since 2026-")


@pytest.mark.parametrize(
    ("sites", "said"),
    [
        ({"blocked": 2, "unreachable": 1}, "none of 3 sites can be read"),
        ({"login_expired": 0}, "no site has been visited yet"),
    ],
)
def test_crawl_that_reads_nothing_has_collected_nothing(listen, worth, sites, said) -> None:
    listen(beat(**sites))
    assert worth().worth == "nothing"
    assert str(worth().said).startswith("nothing was collected: ")
    assert said in str(worth().said)


def test_heartbeat_without_sites_is_not_coverage(listen, worth) -> None:
    listen(beat().model_copy(update={"coverage": None, "enrolled": None}))
    assert worth().worth == "nothing"


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (beat(ok=3, blocked=1), "1 of 4 sites cannot be read"),
        (
            beat().model_copy(update={"coverage": Coverage(sites={"ok": 3}, unseen=2)}),
            "2 of 5 sites cannot be read",
        ),
        (beat(egress_up=False), "crawl host crawl has no network access"),
        (beat(enrolled=0), "match has no customer list"),
    ],
    ids=["a failing site", "an unseen site", "the network", "the watchlist"],
)
def test_unreadable_sites_are_reported(listen, worth, told, said) -> None:
    listen(told)
    assert worth().worth == "partly"
    assert said in str(worth().said)


def test_silent_host_of_two_is_named(listen, worth, clock) -> None:
    listen(beat(origin="east"))
    clock.advance(MAX_SILENCE.total_seconds() + 60)
    listen(beat(MAX_SILENCE.total_seconds() + 60, origin="west"))
    assert worth().worth == "partly"
    assert "no heartbeat from crawl host east since" in str(worth().said)


def test_findings_without_a_heartbeat_are_imported(store, clock, worth) -> None:
    fold_all(store, clock, [finding("f", range(10), people="ab")])
    assert worth().worth == "imported"
    assert "imported" in str(worth().said)


def test_heartbeats_are_stored_seldom_and_new_origins_at_once(
    listen, store, clock, monkeypatch
) -> None:
    puts = []
    monkeypatch.setattr(
        store, "put", lambda documents, real=store.put: puts.extend(documents) or real(documents)
    )
    for second in range(0, 121, 10):
        listen(beat(second))
        clock.advance(10)
    assert [heartbeat.last for heartbeat in puts] == [beat(s).inserted_at for s in (0, 60, 120)]
    listen(beat(121, blocked=1))
    assert puts[-1].sites == {"blocked": 1}
    listen(beat(122, enrolled=11, blocked=1))
    assert puts[-1].enrolled == 11
    assert {heartbeat.first for heartbeat in puts} == {beat().inserted_at}


def test_restart_keeps_the_first_heartbeat(listen, store, clock) -> None:
    listen(beat())
    clock.advance(900)
    HeartbeatRecorder(store, clock.as_clock())(beat(900))
    (noted,) = store.scroll(CollectorHeartbeat, DocumentFilter())
    assert (noted.first, noted.last) == (beat().inserted_at, beat(900).inserted_at)


def test_clock_ahead_promises_no_future_time(listen, store, clock, worth) -> None:
    listen(beat(86_400))
    assert worth().last == clock.as_clock().now()


def test_unavailable_store_is_left_to_the_loop(listen, store, monkeypatch) -> None:
    def down(*_):
        raise UnavailableError("down")

    monkeypatch.setattr(store, "get", down)
    with pytest.raises(UnavailableError):
        listen(beat())


def test_lookup_without_a_result_reports_coverage(browser, listen) -> None:
    page, api = (
        browser.post("/exposed", ASKED).text,
        browser.ask("POST", "/v1/exposed", json=ASKED).json(),
    )
    assert 'class="result unsure"' in page
    assert "Nothing was collected: alert has received no heartbeat" in page
    assert (api["exposed"], api["coverage"]["worth"]) == (False, "nothing")
    listen(beat())
    page, api = (
        browser.post("/exposed", ASKED).text,
        browser.ask("POST", "/v1/exposed", json=ASKED).json(),
    )
    assert "No record of this value" in page
    assert "An empty answer" not in page
    assert (api["exposed"], api["coverage"]["worth"]) == (False, "monitored")


def test_page_and_api_report_coverage(browser, store, clock, listen) -> None:
    page, api = browser.get("/").text, browser.get("/v1/incidents").json()
    assert "Nothing was collected: alert has received no heartbeat" in page
    assert "未采集到任何内容" in browser.get("/", headers={"accept-language": "zh"}).text
    assert (api["items"], api["coverage"]["worth"]) == ([], "nothing")
    listen(beat())
    assert "This is everything within the coverage: monitoring since" in browser.get("/").text
    assert "This is everything" in browser.get("/?severity=high").text
    api = browser.get("/v1/incidents").json()["coverage"]
    assert (api["worth"], api["since"]) == ("monitored", "2026-09-21T14:13:20Z")
