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
from ullage.audit import read_entries
from ullage.cli import app
from ullage.errors import ConfigError, Exit

Ask = Callable[..., Result]


@pytest.fixture
def ask(alert: Alert, data: Path, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Return a function that runs `ullage coverage` at the test's time."""
    monkeypatch.setattr("ullage.settings.context.Clock", alert.clock.as_clock)

    def run(*words: str) -> Result:
        return CliRunner().invoke(app, ["--data", str(data), "coverage", *words])

    return run


@pytest.fixture
def night(alert: Alert) -> Alert:
    """Set up two sites from 17:00 Shanghai time, and an hour's outage.

    One site is blocked after two hours.
    """
    alert.hears(NINE, NINE + 2 * HOUR, "board pastes")
    alert.hears(NINE + 2 * HOUR, NINE + 4 * HOUR, "pastes")
    alert.start()
    alert.hears(NINE + 5 * HOUR, NINE + 6 * HOUR, "board pastes")
    alert.hear(beat(NINE + 6 * HOUR, "old", "d"))
    alert.at(NINE + 6.25 * HOUR)
    return alert


def test_hours_gaps_and_unmonitored_sites_are_shown_with_exit_code_5(
    ask: Ask, night: Alert
) -> None:
    result = ask("--since", "17:00")
    assert result.exit_code == Exit.GAP
    out = result.output
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


def test_explained_gaps_are_shown_and_end_with_exit_code_0(ask: Ask, night: Alert, context) -> None:
    explained = ask(
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
    assert (explained.exit_code, "all sites" in explained.output) == (Exit.DONE, True), (
        explained.output
    )
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
    report = ask("--since", "17:00")
    assert report.exit_code == Exit.DONE
    assert "explained: kernel update (Li Lei, " in report.output
    assert "(×)" in report.output
    assert "3 gaps, all explained" in report.output
    chain = [entry for _, entry in read_entries(context.data / "audit")]
    assert [(entry.action, entry.actor, entry.reason) for entry in chain] == [
        ("coverage.explain", "Li Lei", "kernel update"),
        ("coverage.explain", "Li Lei", "blocked"),
    ]
    assert "2026-09-21T13:00:00+00:00 to 2026-09-21T14:00:00+00:00" in chain[0].object


def test_json_output_has_one_object_per_line(ask: Ask, night: Alert) -> None:
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


def test_full_coverage_exits_with_0(ask: Ask, night: Alert) -> None:
    assert ask("--since", "17:00", "--until", "19:00").exit_code == Exit.DONE
    assert ask("--since", "17:00", "--until", "21:00", "--site", "pastes").exit_code == Exit.DONE


def test_unreachable_sites_are_pending_until_judged(ask: Ask, alert: Alert) -> None:
    alert.hears(NINE, NINE + HOUR / 6, "board pastes forum", "u")
    alert.at(NINE + HOUR / 6)
    result = ask("--since", "17:00")
    assert result.exit_code == Exit.NO_VERDICT, result.output
    assert "pending, last 15 minutes: board, forum, pastes: unreachable" in result.output
    assert "3 sites, 0 of 0 site-hours seen, 9 posts; no gap so far, 3 pending" in result.output
    (board,) = [line for line in result.output.splitlines() if line.startswith("board")]
    assert board.split()[1] == "…"
    total = json.loads(ask("--since", "17:00", "--json").stdout.splitlines()[-1])
    assert (total["sites"], total["pending"]) == (3, ["board", "forum", "pastes"])


def test_covered_sites_are_pending_only_before_the_first_judgement(ask: Ask, alert: Alert) -> None:
    alert.hears(NINE, NINE + HOUR / 6, "board")
    result = ask("--since", "17:00")
    assert (result.exit_code, "board: covered so far" in result.output) == (
        Exit.NO_VERDICT,
        True,
    ), result.output
    alert.hears(NINE + HOUR / 6, NINE + 2 * HOUR, "board")
    assert ask("--since", "17:00").exit_code == Exit.DONE
    alert.hears(NINE + 2 * HOUR, NINE + 2.1 * HOUR, "board", "b")
    result = ask("--since", "17:00")
    assert (result.exit_code, "board: blocked" in result.output) == (Exit.NO_VERDICT, True), (
        result.output
    )
    alert.hears(NINE + 2.1 * HOUR, NINE + 3 * HOUR, "board", "b")
    assert ask("--since", "17:00").exit_code == Exit.GAP


def test_coverage_report_is_written_signed_and_verified(
    ask: Ask, night: Alert, data: Path, tmp_path: Path
) -> None:
    def verify(file: Path) -> Result:
        return CliRunner().invoke(app, ["--data", str(data), "audit", "verify", str(file)])

    sheet = tmp_path / "night.html"
    assert ask("--since", "17:00", "--sheet", str(sheet), "--lang", "en").exit_code == Exit.GAP
    result = verify(sheet)
    assert (result.exit_code, "unchanged since alert" in result.output) == (Exit.DONE, True)
    sheet.write_text(sheet.read_text().replace("unexplained", "explained"))
    result = verify(sheet)
    assert (result.exit_code, "was changed" in result.output) == (Exit.FAILED, True), result.output


def test_nothing_is_claimed_before_the_first_heartbeat(ask: Ask, alert: Alert) -> None:
    result = ask()
    assert result.exit_code == Exit.NO_VERDICT
    assert "The coverage log had not begun" in result.output
    assert "EXPLAINED" not in result.output
    total = json.loads(ask("--json").output.splitlines()[-1])
    assert (total["gaps"], total["log_begins"]) == (0, None)


def test_window_before_the_log_begins_makes_no_claim(ask: Ask, night: Alert) -> None:
    result = ask("--since", "16:00", "--until", "18:00")
    assert (result.exit_code, "begins at 2026-09-21 17:00: no claim" in result.output) == (
        Exit.NO_VERDICT,
        True,
    ), result.output
    assert ask("--since", "17:00", "--until", "18:00").exit_code == Exit.DONE


def test_tampered_day_is_a_failure(ask: Ask, night: Alert, context) -> None:
    from alerts.coverage.signed_days import Sheets
    from alerts.records import SiteDay
    from alerts.store import DocumentFilter
    from ullage.security import keys

    night.at(NINE + DAY)
    Sheets(night.store, night.clock.as_clock(), keys.load_signer(context.keys, "alert")).sign_due()
    assert ask("--since", "yesterday 17:00", "--until", "yesterday 19:00").exit_code == Exit.DONE
    (day,) = night.store.scroll(SiteDay, DocumentFilter({"site": ("board",)}))
    night.store.put([day.with_hour(11, "o" * 12, 1)])
    result = ask("--since", "yesterday 17:00", "--until", "yesterday 19:00")
    assert (result.exit_code, "CHANGED since it was signed" in result.output) == (Exit.FAILED, True)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--since", "soon"), "invalid start"),
        (("--since", "80d"), "at most 62 days"),
        (("--until", "2026-09-25"), "not in the future"),
        (("--site", "nobody"), "no such site"),
        (("explain", "--since", "9d", "--until", "1h", "--reason", ""), "give the grounds"),
        (("explain", "--since", "1h", "--until", "2h", "--reason", "x"), "the end must be after"),
        (
            ("explain", "--since", "9d", "--until", "1h", "--reason", "call 13800138000"),
            "seems to contain",
        ),
    ],
)
def test_invalid_questions_are_reported(
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
def test_times_are_local_across_clock_changes(typed: str, utc: str) -> None:
    """Berlin: on 29 March 2026 at 2:00 clocks go on to 3:00, on 25 October at 3:00 back to 2:00."""
    now = datetime(2026, 3, 29, 10, tzinfo=UTC)
    assert read_time(typed, now, ZoneInfo("Europe/Berlin")) == datetime.fromisoformat(
        f"{utc}+00:00"
    )


def test_day_when_clocks_go_back_has_25_hours(ask: Ask, alert: Alert, data: Path) -> None:
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


def test_invalid_time_is_rejected() -> None:
    with pytest.raises(ConfigError, match="invalid start"):
        read_time("yesterday 25:00", datetime(2026, 3, 29, tzinfo=UTC), ZoneInfo("UTC"))
