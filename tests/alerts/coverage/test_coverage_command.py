"""`ullage coverage` and `coverage explain`: what they print, how they end, what they record."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from click.testing import Result
from typer.testing import CliRunner

from alerts.coverage.view import read_time
from tests.alerts.coverage.heartbeats import DAY, HOUR, NINE, Alert, beat
from ullage.audit import entries
from ullage.cli import app
from ullage.errors import ConfigError, Exit

Ask = Callable[..., Result]


@pytest.fixture
def ask(alert: Alert, data: Path, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """The command line at the held time."""
    monkeypatch.setattr("ullage.settings.context.Clock", alert.clock.as_clock)

    def run(*words: str) -> Result:
        return CliRunner().invoke(app, ["--data", str(data), "coverage", *words])

    return run


@pytest.fixture
def night(alert: Alert) -> Alert:
    """From 17:00 of Shanghai on: two sites, of which one refuses us after two hours; then an
    hour of silence, and it goes on.
    """
    alert.hears(NINE, NINE + 2 * HOUR, "board pastes")
    alert.hears(NINE + 2 * HOUR, NINE + 4 * HOUR, "pastes")
    alert.start()
    alert.hears(NINE + 5 * HOUR, NINE + 6 * HOUR, "board pastes")
    alert.hear(beat(NINE + 6 * HOUR, "old", "d"))
    alert.at(NINE + 6.25 * HOUR)
    return alert


def test_it_shows_hours_gaps_and_what_is_not_watched_and_ends_with_5(
    ask: Ask, night: Alert
) -> None:
    said = ask("--since", "17:00")
    assert said.exit_code == Exit.GAP
    out = said.output
    assert "Coverage 2026-09-21 17:00–2026-09-22 00:00" not in out
    (board,) = [line for line in out.splitlines() if line.startswith("board")]
    (pastes,) = [line for line in out.splitlines() if line.startswith("pastes")]
    assert board.split()[1:6] == ["3", "3", "×", "×", "×"]
    assert pastes.split()[1:6] == ["3", "3", "3", "3", "×"]
    assert "2026-09-21 19:00–22:00 (3 h 00)  board: no heartbeat; NOT EXPLAINED" in out
    assert "2026-09-21 21:00–22:00 (1 h 00)  pastes: no heartbeat; NOT EXPLAINED" in out
    assert "known but not monitored: old: switched off in its file" in out
    assert "report of 2026-09-21 (UTC): not signed yet: the day has not ended" in out
    assert "2 gaps NOT EXPLAINED" in out
    assert (
        "Next: ullage coverage explain --site board --since 2026-09-21T19:00 --until"
        " 2026-09-21T22:00" in out
    )


def test_a_gap_that_is_explained_shows_and_is_no_gap_that_ends_with_5(
    ask: Ask, night: Alert, context
) -> None:
    done = ask(
        "explain",
        "--since",
        "2026-09-21T21:00",
        "--until",
        "22:00",
        "--reason",
        "kernel update",
        "--by",
        "Li Lei",
    )
    assert (done.exit_code, "all sites" in done.output) == (Exit.DONE, True), done.output
    assert ask("--since", "17:00").exit_code == Exit.GAP
    more = (
        "explain",
        "--site",
        "board",
        "--since",
        "19:00",
        "--until",
        "21:00",
        "--reason",
        "blocked",
        "--by",
        "Li Lei",
    )
    assert ask(*more).exit_code == Exit.DONE
    said = ask("--since", "17:00")
    assert said.exit_code == Exit.DONE
    assert "explained: kernel update (Li Lei, " in said.output
    assert "(×)" in said.output
    assert "3 gaps, all explained" in said.output
    chain = [entry for _, entry in entries(context.data / "audit")]
    assert [(entry.action, entry.actor, entry.reason) for entry in chain] == [
        ("coverage.explain", "Li Lei", "kernel update"),
        ("coverage.explain", "Li Lei", "blocked"),
    ]
    assert "2026-09-21T13:00:00+00:00 to 2026-09-21T14:00:00+00:00" in chain[0].object


def test_programs_get_an_object_a_line(ask: Ask, night: Alert) -> None:
    lines = [json.loads(line) for line in ask("--since", "17:00", "--json").stdout.splitlines()]
    assert [line["type"] for line in lines] == [
        "site",
        "site",
        "site",
        "gap",
        "gap",
        "sheet",
        "total",
    ]
    board = lines[0]
    assert [cell["state"] for cell in board["cells"]] == [
        "seen",
        "seen",
        "blind",
        "blind",
        "blind",
        "seen",
        "open",
    ]
    assert board["cells"][2] | {"hour": ""} == {
        "hour": "",
        "state": "blind",
        "seen_minutes": 0,
        "gap_minutes": {"no heartbeat": 60},
        "posts": 0,
        "explained": False,
        "canary_told": False,
    }
    assert lines[-1]["unexplained"] == 2
    assert lines[-1]["unwatched"] == {"old": "switched off in its file"}


def test_a_whole_night_without_a_gap_ends_with_0(ask: Ask, night: Alert) -> None:
    assert ask("--since", "17:00", "--until", "19:00").exit_code == Exit.DONE
    assert ask("--since", "17:00", "--until", "21:00", "--site", "pastes").exit_code == Exit.DONE


def test_sites_that_are_down_are_pending_until_they_are_judged_and_never_none_at_all(
    ask: Ask, alert: Alert
) -> None:
    alert.hears(NINE, NINE + HOUR / 6, "board pastes forum", "u")
    alert.at(NINE + HOUR / 6)
    said = ask("--since", "17:00")
    assert said.exit_code == Exit.NO_VERDICT, said.output
    assert "pending, last 15 minutes: board, forum, pastes: unreachable" in said.output
    assert "3 sites, 0 of 0 site-hours seen, 9 posts; no gap so far, 3 pending" in said.output
    (board,) = [line for line in said.output.splitlines() if line.startswith("board")]
    assert board.split()[1] == "…"
    total = json.loads(ask("--since", "17:00", "--json").stdout.splitlines()[-1])
    assert (total["sites"], total["pending"]) == (3, ["board", "forum", "pastes"])


def test_sites_that_are_seen_are_pending_only_while_nothing_is_judged(
    ask: Ask, alert: Alert
) -> None:
    alert.hears(NINE, NINE + HOUR / 6, "board")
    said = ask("--since", "17:00")
    assert (said.exit_code, "board: covered so far" in said.output) == (
        Exit.NO_VERDICT,
        True,
    ), said.output
    alert.hears(NINE + HOUR / 6, NINE + 2 * HOUR, "board")
    assert ask("--since", "17:00").exit_code == Exit.DONE
    alert.hears(NINE + 2 * HOUR, NINE + 2.1 * HOUR, "board", "b")
    said = ask("--since", "17:00")
    assert (said.exit_code, "board: blocked" in said.output) == (Exit.NO_VERDICT, True), said.output
    alert.hears(NINE + 2.1 * HOUR, NINE + 3 * HOUR, "board", "b")
    assert ask("--since", "17:00").exit_code == Exit.GAP


def test_a_sheet_is_written_signed_and_verified(
    ask: Ask, night: Alert, data: Path, tmp_path: Path
) -> None:
    def verify(file: Path) -> Result:
        return CliRunner().invoke(app, ["--data", str(data), "audit", "verify", str(file)])

    sheet = tmp_path / "night.html"
    assert ask("--since", "17:00", "--sheet", str(sheet), "--lang", "en").exit_code == Exit.GAP
    done = verify(sheet)
    assert (done.exit_code, "as it was signed by alert" in done.output) == (Exit.DONE, True)
    sheet.write_text(sheet.read_text().replace("unexplained", "explained"))
    done = verify(sheet)
    assert (done.exit_code, "was changed" in done.output) == (Exit.FAILED, True), done.output


def test_where_nothing_was_ever_heard_nothing_is_claimed(ask: Ask, alert: Alert) -> None:
    said = ask()
    assert said.exit_code == Exit.NO_VERDICT
    assert "The coverage log had not begun" in said.output
    assert "EXPLAINED" not in said.output
    total = json.loads(ask("--json").output.splitlines()[-1])
    assert (total["gaps"], total["log_begins"]) == (0, None)


def test_a_log_that_begins_within_the_time_says_since_when(ask: Ask, night: Alert) -> None:
    said = ask("--since", "16:00", "--until", "18:00")
    assert (said.exit_code, "begins at 2026-09-21 17:00: no claim" in said.output) == (
        Exit.NO_VERDICT,
        True,
    ), said.output
    assert ask("--since", "17:00", "--until", "18:00").exit_code == Exit.DONE


def test_a_day_that_somebody_changed_is_a_failure(ask: Ask, night: Alert, context) -> None:
    from alerts.coverage.signed_days import Sheets
    from alerts.records import SiteDay
    from alerts.store import DocumentFilter
    from ullage.security import keys

    night.at(NINE + DAY)
    Sheets(night.store, night.clock.as_clock(), keys.signer(context.keys, "alert")).turn()
    assert ask("--since", "yesterday 17:00", "--until", "yesterday 19:00").exit_code == Exit.DONE
    (day,) = night.store.scroll(SiteDay, DocumentFilter({"site": ("board",)}))
    night.store.put([day.changed(11, "o" * 12, 1)])
    said = ask("--since", "yesterday 17:00", "--until", "yesterday 19:00")
    assert (said.exit_code, "CHANGED since it was signed" in said.output) == (Exit.FAILED, True)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--since", "soon"), "invalid start"),
        (("--since", "80d"), "at most 62 days"),
        (("--until", "2026-09-25"), "in the future"),
        (("--site", "nobody"), "no such site"),
        (("explain", "--since", "9d", "--until", "1h", "--reason", ""), "give the grounds"),
        (("explain", "--since", "1h", "--until", "2h", "--reason", "x"), "not after"),
        (
            ("explain", "--since", "9d", "--until", "1h", "--reason", "call 13800138000"),
            "seems to contain",
        ),
    ],
)
def test_what_cannot_be_asked_is_said(
    ask: Ask, alert: Alert, words: tuple[str, ...], why: str
) -> None:
    alert.hear(beat(NINE))
    assert why in str(ask(*words).exception)


@pytest.mark.parametrize(
    ("typed", "utc"),
    [
        ("yesterday 18:00", "2026-03-28T17:00"),
        ("today 01:30", "2026-03-29T00:30"),
        ("today 03:30", "2026-03-29T01:30"),
        ("12h", "2026-03-28T22:00"),
        ("2026-10-25 02:30", "2026-10-25T00:30"),
        ("2026-10-25T02:30+01:00", "2026-10-25T01:30"),
        ("23:00", "2026-03-28T22:00"),
    ],
)
def test_times_are_those_of_the_zone_on_days_when_clocks_change_too(typed: str, utc: str) -> None:
    """Berlin: on 29 March 2026 at 2:00 clocks go on to 3:00, on 25 October at 3:00 back to 2:00."""
    now = datetime(2026, 3, 29, 10, tzinfo=UTC)
    assert read_time(typed, now, ZoneInfo("Europe/Berlin")) == datetime.fromisoformat(
        f"{utc}+00:00"
    )


def test_a_day_on_which_clocks_go_back_has_25_hours(ask: Ask, alert: Alert, data: Path) -> None:
    file = data / "ullage.toml"
    file.write_text(f'{file.read_text()}\n[coverage]\nzone = "Europe/Berlin"\n')
    alert.at(datetime(2026, 10, 26, 9, tzinfo=UTC))
    alert.hear(beat(alert.clock.as_clock().now()))
    lines = ask("--since", "2026-10-25", "--until", "2026-10-26", "--json").stdout.splitlines()
    window = json.loads(lines[-1])
    assert (window["since"], window["until"]) == (
        "2026-10-24T22:00:00+00:00",
        "2026-10-25T23:00:00+00:00",
    )


def test_a_time_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="invalid start"):
        read_time("yesterday 25:00", datetime(2026, 3, 29, tzinfo=UTC), ZoneInfo("UTC"))
