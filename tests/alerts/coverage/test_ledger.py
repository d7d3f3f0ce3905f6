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
    """A letter an hour: the first of its state."""
    return "".join(cell.state[0] for row in found.rows if row.site == site for cell in row.cells)


def test_seen_hours_are_seen_and_say_how_many_posts_came(alert: Alert) -> None:
    alert.hears(NINE, NINE + 3 * HOUR)
    alert.at(NINE + 3.5 * HOUR)
    (row,) = alert.seen().rows
    assert [(cell.state, cell.seen, cell.posts) for cell in row.cells[:3]] == [("seen", 60, 3)] * 3
    assert alert.seen().gaps()[0].since == NINE + 3 * HOUR, "and now nobody is heard"


def test_the_same_heartbeats_again_change_nothing(alert: Alert) -> None:
    alert.hears(NINE, NINE + 2 * HOUR)
    before = list(alert.store.scroll(SiteDay, DocumentFilter()))
    alert.hears(NINE, NINE + 2 * HOUR)
    alert.start()
    alert.hears(NINE, NINE + 2 * HOUR)
    assert list(alert.store.scroll(SiteDay, DocumentFilter())) == before


def test_a_time_too_short_for_a_gap_is_no_gap_until_an_hour_has_too_many(alert: Alert) -> None:
    for minute in range(0, 180, 5):
        if minute not in {20, 75, 100}:
            alert.hears(NINE + timedelta(minutes=minute), NINE + timedelta(minutes=minute + 5))
    alert.at(NINE + 3 * HOUR)
    found = alert.seen()
    assert words(found) == "spo"
    assert [(gap.since.minute, gap.until.minute) for gap in found.gaps()] == [(15, 45)]
    assert found.rows[0].cells[0].why == {".": 5}


def test_a_clock_ahead_or_set_back_claims_nothing(alert: Alert) -> None:
    alert.hears(NINE, NINE + HOUR)
    alert.hear(beat(NINE + 5 * HOUR))
    alert.at(NINE + 3 * HOUR)
    alert.hear(beat(NINE + 3 * HOUR))
    alert.start()
    alert.hear(beat(NINE + 1.5 * HOUR))
    assert words(alert.seen()) == "sbb"
    alert.at(NINE + 6 * HOUR)
    assert words(alert.seen())[5] == "b"


def test_an_hour_long_past_or_to_come_is_not_believed(alert: Alert) -> None:
    alert.hears(NINE, NINE + timedelta(minutes=5))
    alert.at(NINE + 12 * HOUR)
    hour = int(NINE.timestamp()) // HOUR_SECONDS
    told = tuple(SiteHour(site="board", hour=hour + n, slots="o" * SLOTS) for n in (1, 12, 13))
    alert.hear(beat(NINE + 12 * HOUR).model_copy(update={"hours": told}))
    (day,) = alert.store.scroll(SiteDay, DocumentFilter())
    assert [hour for hour, cell in enumerate(day.cells) if "o" in cell] == [9, 21]
    assert day.cells[21] == "o" + "." * 11


def test_days_without_alert_are_blind_for_all_that_was_watched_and_filled_when_they_are_heard_of(
    alert: Alert,
) -> None:
    alert.hears(NINE, NINE + HOUR, "board pastes")
    alert.hear(beat(NINE + HOUR, "other", "d"))
    back = NINE + 3 * DAY
    alert.at(back)
    found = alert.seen(NINE + DAY)
    assert {row.site: {cell.state for cell in row.cells} for row in found.rows} == {
        "board": {"blind"},
        "pastes": {"blind"},
        "other": {"off", "open"},
    }
    alert.start()
    alert.ledger.turn()
    assert alert.store.count(SiteDay, DocumentFilter()) == 12
    assert alert.seen(NINE + DAY).rows == found.rows
    alert.hears(NINE + DAY, NINE + DAY + HOUR, "board pastes")
    assert words(alert.seen(NINE + DAY))[:2] == "sb"


def test_what_is_switched_off_stays_off_without_a_word_and_is_missed_when_it_is_on_again(
    alert: Alert,
) -> None:
    alert.hears(NINE, NINE + HOUR, "board", "d")
    alert.at(NINE + DAY)
    assert set(words(alert.seen())) == {"o"}
    assert [row.unwatched for row in alert.seen().rows] == ["switched off in its file"]
    alert.hears(NINE + DAY, NINE + DAY + HOUR)
    alert.at(NINE + DAY + 3 * HOUR)
    assert words(alert.seen(NINE + DAY)) == "sbb"


def test_a_site_that_is_gone_late_in_the_day_is_expected_on_no_day_after(alert: Alert) -> None:
    last = datetime(2026, 9, 21, 23, 55, tzinfo=UTC)
    alert.hears(last - HOUR, last + timedelta(minutes=5), "board pastes")
    alert.hear(beat(last + timedelta(minutes=4), "pastes", gone=("board",)))
    alert.at(last + 2 * DAY)
    for _ in range(2):
        assert {row.site for row in alert.seen(last + HOUR).rows} == {"pastes"}
        alert.start()
        alert.ledger.turn()


def test_only_the_host_that_reads_a_site_can_say_that_it_is_gone(alert: Alert) -> None:
    alert.hears(NINE, NINE + HOUR)
    alert.hear(
        beat(NINE + HOUR, "other").model_copy(update={"origin": "old-host", "gone": ("board",)})
    )
    alert.at(NINE + 3.25 * HOUR)
    assert words(alert.seen()) == "sbbo"


def test_a_match_without_a_watchlist_sees_nothing(alert: Alert) -> None:
    alert.hears(NINE, NINE + HOUR, enrolled=0)
    alert.at(NINE + 1.5 * HOUR)
    assert alert.seen().gaps()[0].why == "w."


def test_an_explanation_covers_what_it_names_and_no_more(alert: Alert) -> None:
    alert.hears(NINE, NINE + HOUR, "board pastes")
    alert.at(NINE + 3.25 * HOUR)
    said = {
        "since": NINE + HOUR,
        "until": NINE + 2 * HOUR,
        "at": NINE,
        "by": "Li",
        "reason": "power cut",
    }
    alert.store.create([GapReason(id="GAP-1", site="board", **said)])
    found = alert.seen()
    assert [(gap.site, gap.since) for gap in found.unexplained()] == [
        ("pastes", NINE + HOUR),
        ("board", NINE + 2 * HOUR),
    ]
    assert [gap.explained.reason for gap in found.gaps() if gap.explained] == ["power cut"]
    (board, pastes) = found.rows
    assert [cell.explained for cell in board.cells[1:3]] == [True, False]
    assert not any(cell.explained for cell in pastes.cells)


@pytest.mark.parametrize(
    ("letters", "sites"), [("na", 0), ("a", 0), ("n", 1), ("m", 1), ("am", 1), ("ua", 1)]
)
def test_a_first_reading_is_a_gap_that_sets_off_no_alert(
    alert: Alert, letters: str, sites: int
) -> None:
    for n, letter in enumerate(letters):
        alert.hears(NINE + n * HOUR, NINE + (n + 1) * HOUR, "board", letter=letter)
    alert.at(NINE + (len(letters) + 0.25) * HOUR)
    counted = list[float]()
    Recount(alert.store, alert.clock.as_clock(), counted.append)()
    assert counted == [sites]
    assert len(alert.seen().unexplained()) == 1


def test_before_its_first_heartbeat_the_ledger_claims_nothing(alert: Alert) -> None:
    alert.at(NINE + HOUR)
    assert (alert.seen().gaps(), alert.seen().begins) == ([], NEVER)
    alert.hears(NINE + HOUR, NINE + 2 * HOUR)
    alert.at(NINE + 2 * HOUR)
    assert (alert.seen().gaps(), alert.seen().begins) == ([], NINE + HOUR)
    assert alert.seen(site="board").begins == NINE + HOUR
    assert alert.seen(NINE + HOUR).begins is None
    alert.at(NINE + 3 * HOUR)
    assert [gap.since for gap in alert.seen().unexplained()] == [NINE + 2 * HOUR], (
        "a gap after the beginning is one"
    )


def test_a_site_added_during_the_day_is_missed_from_then_on_alone(alert: Alert) -> None:
    alert.hears(NINE, NINE + HOUR, "board")
    alert.hears(NINE + HOUR, NINE + 2 * HOUR, "board new")
    alert.at(NINE + 3.25 * HOUR)
    assert (words(alert.seen(), "board"), words(alert.seen(), "new")) == ("ssbo", "osbo")


def test_canary_posts_that_were_told_are_told_by_the_hour(alert: Alert) -> None:
    alert.hears(NINE, NINE + 2 * HOUR)
    alert.ledger.canary(NINE + timedelta(minutes=7))
    alert.ledger.canary(NINE + timedelta(minutes=7))
    alert.at(NINE + 2.25 * HOUR)
    found = alert.seen()
    assert found.canaries == {NINE}
    assert [row.site for row in found.rows] == ["board"]
    assert CANARY in {day.site for day in alert.store.scroll(SiteDay, DocumentFilter())}


def test_a_site_whose_posts_live_shorter_than_its_revisit_is_said(alert: Alert) -> None:
    one = beat(NINE)
    for lives, short in ((0, False), (200, True), (301, False)):
        told = tuple(hour.model_copy(update={"lives": lives}) for hour in one.hours)
        alert.hear(
            one.model_copy(update={"hours": told, "inserted_at": NINE + timedelta(seconds=lives)})
        )
        alert.at(NINE + HOUR)
        assert [row.is_short_lived for row in alert.seen().rows] == [short]


def test_days_go_when_their_retention_has_passed(
    alert: Alert, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "COVERAGE_DAYS", 1.2)
    alert.hears(NINE, NINE + HOUR)
    alert.at(NINE + 2 * DAY)
    alert.ledger.turn()
    assert (
        upkeep.expire(alert.store, StoreSettings(), clocks_at(alert.clock.as_clock().now()))[
            SiteDay
        ]
        == 2
    )
    assert [day.day for day in alert.store.scroll(SiteDay, DocumentFilter())] == ["2026-09-23"]
    alert.at(NINE + 2 * DAY + HOUR)
    assert {cell.state for cell in alert.seen(NINE + 2 * DAY).rows[0].cells} == {"blind"}


def minutes(count: int) -> timedelta:
    return timedelta(minutes=count)


@pytest.mark.parametrize("what", ["told", "gone", "canary"])
def test_what_another_process_was_told_between_reading_and_writing_is_not_lost(
    alert: Alert, what: str
) -> None:
    """As around a rebalance, when both are told of the same site and day."""
    site = CANARY if what == "canary" else "board"
    alert.hears(NINE, NINE + minutes(5), site)
    other = Alert(alert.store, alert.clock)
    alert.at(NINE + minutes(15))
    alert.ledger.store = InterruptedStore(
        alert.store, SiteDay, lambda: other.ledger(beat(NINE + minutes(5), site))
    )
    if what == "canary":
        alert.ledger.canary(NINE + minutes(10))
    elif what == "told":
        alert.ledger(beat(NINE + minutes(10), site))
    else:
        alert.ledger(beat(NINE + minutes(10), "", gone=(site,)))
    (day,) = alert.store.scroll(SiteDay, DocumentFilter({"site": (site,)}))
    assert day.cells[9] == {"gone": "oo.-........"}.get(what, "ooo.........")


def test_what_was_sent_by_a_process_that_is_gone_takes_nothing_away_when_it_arrives(
    alert: Alert,
) -> None:
    alert.hears(NINE, NINE + minutes(5))
    other, stalled = Alert(alert.store, alert.clock), StallingStore(alert.store, 1)
    alert.at(NINE + minutes(15))
    alert.ledger.store = stalled
    with pytest.raises(UnavailableError, match="killed"):
        alert.ledger(beat(NINE + minutes(5)))
    other.ledger(beat(NINE + minutes(5)))
    other.ledger(beat(NINE + minutes(10)))
    assert stalled.arrive is not None
    stalled.arrive()
    (day,) = alert.store.scroll(SiteDay, DocumentFilter())
    assert day.cells[9] == "ooo........."


@pytest.mark.parametrize("at", [1, 2, 3, 4])
def test_a_process_that_is_killed_between_days_leaves_nothing_that_the_next_does_not_finish(
    alert: Alert, at: int
) -> None:
    """Told late that a site is switched off, which holds for the days that have begun since."""
    alert.hears(NINE, NINE + minutes(5), "board pastes")
    for days in (1, 2, 3):
        alert.at(NINE + days * DAY)
        alert.ledger.turn()
    told = beat(NINE + minutes(5), "board pastes", "d")
    alert.ledger.store = StallingStore(alert.store, at)
    with pytest.raises(UnavailableError, match="killed"):
        alert.ledger(told)
    alert.start()
    alert.ledger(told)
    assert {
        (day.day, day.before)
        for day in alert.store.scroll(SiteDay, DocumentFilter())
        if day.day > "2026-09-21"
    } == {(f"2026-09-{n}", "d") for n in (22, 23, 24)}


def test_what_is_told_of_both_sides_of_midnight_is_all_kept(alert: Alert) -> None:
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
