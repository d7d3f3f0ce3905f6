"""Heartbeats into the ledger, and what it then says: replayed, late, from wrong clocks, over
days without alert.
"""

from datetime import UTC, datetime, timedelta

import pytest

from alerts.coverage.hours import NEVER, CoverageWindow, Recount
from alerts.records import GapReason, SiteDay
from alerts.service import upkeep
from alerts.store import DocumentFilter
from tests.alerts.coverage.heartbeats import DAY, HOUR, NINE, Alert, beat
from tests.factories import clocks_at
from tests.stores import InterruptedStore, StallingStore
from ullage.errors import UnavailableError
from ullage.monitoring.canary import SITE as CANARY
from ullage.records.heartbeat import HOUR_SECONDS, SLOTS, SiteHour
from ullage.settings import StoreSettings


def words(found: CoverageWindow, site: str = "board") -> str:
    """Return one letter per hour: the first of its state."""
    return "".join(cell.state[0] for row in found.rows if row.site == site for cell in row.cells)


def test_covered_hours_count_their_posts(alert: Alert) -> None:
    alert.hears(NINE, NINE + 3 * HOUR)
    alert.at(NINE + 3.5 * HOUR)
    (row,) = alert.report().rows
    assert [(cell.state, cell.seen, cell.posts) for cell in row.cells[:3]] == [("seen", 60, 3)] * 3
    assert alert.report().gaps()[0].since == NINE + 3 * HOUR, "and now nobody is heard"


def test_repeated_heartbeats_change_nothing(alert: Alert) -> None:
    alert.hears(NINE, NINE + 2 * HOUR)
    before = list(alert.store.scroll(SiteDay, DocumentFilter()))
    alert.hears(NINE, NINE + 2 * HOUR)
    alert.start()
    alert.hears(NINE, NINE + 2 * HOUR)
    assert list(alert.store.scroll(SiteDay, DocumentFilter())) == before


def test_outage_below_the_threshold_is_a_gap_only_when_they_add_up(alert: Alert) -> None:
    for minute in range(0, 180, 5):
        if minute not in {20, 75, 100}:
            alert.hears(NINE + timedelta(minutes=minute), NINE + timedelta(minutes=minute + 5))
    alert.at(NINE + 3 * HOUR)
    report = alert.report()
    assert words(report) == "spo"
    assert [(gap.since.minute, gap.until.minute) for gap in report.gaps()] == [(15, 45)]
    assert report.rows[0].cells[0].why == {".": 5}


def test_clock_ahead_or_set_back_claims_nothing(alert: Alert) -> None:
    alert.hears(NINE, NINE + HOUR)
    alert.hear(beat(NINE + 5 * HOUR))
    alert.at(NINE + 3 * HOUR)
    alert.hear(beat(NINE + 3 * HOUR))
    alert.start()
    alert.hear(beat(NINE + 1.5 * HOUR))
    assert words(alert.report()) == "sbb"
    alert.at(NINE + 6 * HOUR)
    assert words(alert.report())[5] == "b"


def test_hours_far_past_or_future_are_ignored(alert: Alert) -> None:
    alert.hears(NINE, NINE + timedelta(minutes=5))
    alert.at(NINE + 12 * HOUR)
    hour = int(NINE.timestamp()) // HOUR_SECONDS
    hours = tuple(SiteHour(site="board", hour=hour + n, slots="o" * SLOTS) for n in (1, 12, 13))
    alert.hear(beat(NINE + 12 * HOUR).model_copy(update={"hours": hours}))
    (day,) = alert.store.scroll(SiteDay, DocumentFilter())
    assert [hour for hour, cell in enumerate(day.cells) if "o" in cell] == [9, 21]
    assert day.cells[21] == "o" + "." * 11


def test_days_without_alert_are_gaps_until_heartbeats_arrive(
    alert: Alert,
) -> None:
    alert.hears(NINE, NINE + HOUR, "board pastes")
    alert.hear(beat(NINE + HOUR, "other", "d"))
    back = NINE + 3 * DAY
    alert.at(back)
    report = alert.report(NINE + DAY)
    assert {row.site: {cell.state for cell in row.cells} for row in report.rows} == {
        "board": {"blind"},
        "pastes": {"blind"},
        "other": {"off", "open"},
    }
    alert.start()
    alert.ledger.begin_day()
    assert alert.store.count(SiteDay, DocumentFilter()) == 12
    assert alert.report(NINE + DAY).rows == report.rows
    alert.hears(NINE + DAY, NINE + DAY + HOUR, "board pastes")
    assert words(alert.report(NINE + DAY))[:2] == "sb"


def test_disabled_site_stays_off_and_is_expected_after_it_is_enabled(
    alert: Alert,
) -> None:
    alert.hears(NINE, NINE + HOUR, "board", "d")
    alert.at(NINE + DAY)
    assert set(words(alert.report())) == {"o"}
    assert [row.unwatched for row in alert.report().rows] == ["switched off in its file"]
    alert.hears(NINE + DAY, NINE + DAY + HOUR)
    alert.at(NINE + DAY + 3 * HOUR)
    assert words(alert.report(NINE + DAY)) == "sbb"


def test_site_removed_late_in_the_day_is_expected_no_later(alert: Alert) -> None:
    last = datetime(2026, 9, 21, 23, 55, tzinfo=UTC)
    alert.hears(last - HOUR, last + timedelta(minutes=5), "board pastes")
    alert.hear(beat(last + timedelta(minutes=4), "pastes", gone=("board",)))
    alert.at(last + 2 * DAY)
    for _ in range(2):
        assert {row.site for row in alert.report(last + HOUR).rows} == {"pastes"}
        alert.start()
        alert.ledger.begin_day()


def test_only_the_host_that_reads_a_site_can_remove_it(alert: Alert) -> None:
    alert.hears(NINE, NINE + HOUR)
    alert.hear(
        beat(NINE + HOUR, "other").model_copy(update={"origin": "old-host", "gone": ("board",)})
    )
    alert.at(NINE + 3.25 * HOUR)
    assert words(alert.report()) == "sbbo"


def test_match_without_a_customer_list_covers_nothing(alert: Alert) -> None:
    alert.hears(NINE, NINE + HOUR, enrolled=0)
    alert.at(NINE + 1.5 * HOUR)
    assert alert.report().gaps()[0].why == "w."


def test_explanation_covers_only_its_site_and_time(alert: Alert) -> None:
    alert.hears(NINE, NINE + HOUR, "board pastes")
    alert.at(NINE + 3.25 * HOUR)
    reason = {
        "since": NINE + HOUR,
        "until": NINE + 2 * HOUR,
        "at": NINE,
        "by": "Li",
        "reason": "power cut",
    }
    alert.store.create([GapReason(id="GAP-1", site="board", **reason)])
    report = alert.report()
    assert [(gap.site, gap.since) for gap in report.find_unexplained()] == [
        ("pastes", NINE + HOUR),
        ("board", NINE + 2 * HOUR),
    ]
    assert [gap.explained.reason for gap in report.gaps() if gap.explained] == ["power cut"]
    (board, pastes) = report.rows
    assert [cell.explained for cell in board.cells[1:3]] == [True, False]
    assert not any(cell.explained for cell in pastes.cells)


@pytest.mark.parametrize(
    ("letters", "sites"), [("na", 0), ("a", 0), ("n", 1), ("m", 1), ("am", 1), ("ua", 1)]
)
def test_first_visit_is_a_gap_without_an_alert(alert: Alert, letters: str, sites: int) -> None:
    for n, letter in enumerate(letters):
        alert.hears(NINE + n * HOUR, NINE + (n + 1) * HOUR, "board", letter=letter)
    alert.at(NINE + (len(letters) + 0.25) * HOUR)
    counted = list[float]()
    Recount(alert.store, alert.clock.as_clock(), counted.append)()
    assert counted == [sites]
    assert len(alert.report().find_unexplained()) == 1


def test_log_claims_nothing_before_its_first_heartbeat(alert: Alert) -> None:
    alert.at(NINE + HOUR)
    assert (alert.report().gaps(), alert.report().begins) == ([], NEVER)
    alert.hears(NINE + HOUR, NINE + 2 * HOUR)
    alert.at(NINE + 2 * HOUR)
    assert (alert.report().gaps(), alert.report().begins) == ([], NINE + HOUR)
    assert alert.report(site="board").begins == NINE + HOUR
    assert alert.report(NINE + HOUR).begins is None
    alert.at(NINE + 3 * HOUR)
    assert [gap.since for gap in alert.report().find_unexplained()] == [NINE + 2 * HOUR], (
        "a gap after the beginning is one"
    )


def test_site_added_during_the_day_is_expected_from_then_on(alert: Alert) -> None:
    alert.hears(NINE, NINE + HOUR, "board")
    alert.hears(NINE + HOUR, NINE + 2 * HOUR, "board new")
    alert.at(NINE + 3.25 * HOUR)
    assert (words(alert.report(), "board"), words(alert.report(), "new")) == ("ssbo", "osbo")


def test_notified_canary_posts_are_counted_by_the_hour(alert: Alert) -> None:
    alert.hears(NINE, NINE + 2 * HOUR)
    alert.ledger.record_canary(NINE + timedelta(minutes=7))
    alert.ledger.record_canary(NINE + timedelta(minutes=7))
    alert.at(NINE + 2.25 * HOUR)
    report = alert.report()
    assert report.canaries == {NINE}
    assert [row.site for row in report.rows] == ["board"]
    assert CANARY in {day.site for day in alert.store.scroll(SiteDay, DocumentFilter())}


def test_posts_shorter_lived_than_the_revisit_time_are_reported(alert: Alert) -> None:
    heartbeat = beat(NINE)
    for lives, short in ((0, False), (200, True), (301, False)):
        hours = tuple(hour.model_copy(update={"lives": lives}) for hour in heartbeat.hours)
        alert.hear(
            heartbeat.model_copy(
                update={"hours": hours, "inserted_at": NINE + timedelta(seconds=lives)}
            )
        )
        alert.at(NINE + HOUR)
        assert [row.is_short_lived for row in alert.report().rows] == [short]


def test_days_are_deleted_after_their_retention(
    alert: Alert, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "COVERAGE_DAYS", 1.2)
    alert.hears(NINE, NINE + HOUR)
    alert.at(NINE + 2 * DAY)
    alert.ledger.begin_day()
    assert (
        upkeep.expire(alert.store, StoreSettings(), clocks_at(alert.clock.as_clock().now()))[
            SiteDay
        ]
        == 2
    )
    assert [day.day for day in alert.store.scroll(SiteDay, DocumentFilter())] == ["2026-09-23"]
    alert.at(NINE + 2 * DAY + HOUR)
    assert {cell.state for cell in alert.report(NINE + 2 * DAY).rows[0].cells} == {"blind"}


def minutes(count: int) -> timedelta:
    return timedelta(minutes=count)


@pytest.mark.parametrize("what", ["told", "gone", "canary"])
def test_concurrent_update_is_not_lost(alert: Alert, what: str) -> None:
    """Two processes record the same site and day, as during a rebalance."""
    site = CANARY if what == "canary" else "board"
    alert.hears(NINE, NINE + minutes(5), site)
    rival = Alert(alert.store, alert.clock)
    alert.at(NINE + minutes(15))
    alert.ledger.store = InterruptedStore(
        alert.store, SiteDay, lambda: rival.ledger(beat(NINE + minutes(5), site))
    )
    if what == "canary":
        alert.ledger.record_canary(NINE + minutes(10))
    elif what == "told":
        alert.ledger(beat(NINE + minutes(10), site))
    else:
        alert.ledger(beat(NINE + minutes(10), "", gone=(site,)))
    (day,) = alert.store.scroll(SiteDay, DocumentFilter({"site": (site,)}))
    assert day.cells[9] == {"gone": "oo.-........"}.get(what, "ooo.........")


def test_late_write_of_a_dead_process_removes_nothing(
    alert: Alert,
) -> None:
    alert.hears(NINE, NINE + minutes(5))
    successor, stalled = Alert(alert.store, alert.clock), StallingStore(alert.store, 1)
    alert.at(NINE + minutes(15))
    alert.ledger.store = stalled
    with pytest.raises(UnavailableError, match="killed"):
        alert.ledger(beat(NINE + minutes(5)))
    successor.ledger(beat(NINE + minutes(5)))
    successor.ledger(beat(NINE + minutes(10)))
    assert stalled.arrive is not None
    stalled.arrive()
    (day,) = alert.store.scroll(SiteDay, DocumentFilter())
    assert day.cells[9] == "ooo........."


@pytest.mark.parametrize("at", [1, 2, 3, 4])
def test_process_killed_between_days_is_completed_by_the_next(alert: Alert, at: int) -> None:
    """A late report that a site is switched off applies to all days begun since."""
    alert.hears(NINE, NINE + minutes(5), "board pastes")
    for days in (1, 2, 3):
        alert.at(NINE + days * DAY)
        alert.ledger.begin_day()
    late = beat(NINE + minutes(5), "board pastes", "d")
    alert.ledger.store = StallingStore(alert.store, at)
    with pytest.raises(UnavailableError, match="killed"):
        alert.ledger(late)
    alert.start()
    alert.ledger(late)
    assert {
        (day.day, day.before)
        for day in alert.store.scroll(SiteDay, DocumentFilter())
        if day.day > "2026-09-21"
    } == {(f"2026-09-{n}", "d") for n in (22, 23, 24)}


def test_heartbeat_across_midnight_is_stored_in_both_days(alert: Alert) -> None:
    """The day after takes over that the site is off, and keeps what the same heartbeat tells of
    it.
    """
    midnight = datetime(2026, 9, 22, tzinfo=UTC)
    alert.hears(midnight - HOUR, midnight - minutes(5))
    alert.at(midnight + minutes(5))
    before, after = beat(midnight - minutes(5), letter="d"), beat(midnight + minutes(5))
    alert.ledger(after.model_copy(update={"hours": (*before.hours, *after.hours)}))
    days = {day.day: day for day in alert.store.scroll(SiteDay, DocumentFilter())}
    assert (days["2026-09-22"].before, days["2026-09-22"].cells[0]) == ("d", ".o..........")
