"""`ullage sites` as people and programs see it."""

import io

from rich.console import Console

from crawlers.sites.status_table import SiteRow, build_table, explain_reasons
from crawlers.sites.visit_verdict import MEANING
from tests.conftest import NOON
from tests.crawlers.support import make_site
from ullage.records.heartbeat import STATES, SiteReport

PAGES = {"due": 3, "leased": 0, "done": 40, "parked": 1}


def row(
    name: str, next_visit: float = NOON + 240, enabled: bool = True, **report: object
) -> SiteRow:
    why = str(report.pop("reason", ""))
    return SiteRow(
        make_site(name=name, enabled=enabled),
        SiteReport(site=name, **report),
        "every hour",
        PAGES,
        next_visit,
        2,
        reason=why,
    )


def render_lines(*rows: SiteRow, width: int = 160) -> str:
    console = Console(file=(out := io.StringIO()), width=width, highlight=False)
    console.print(build_table(rows, NOON))
    return out.getvalue()


def test_line_shows_state_since_when_and_what_is_expected() -> None:
    whole = row(
        "board",
        state="login_expired",
        since=NOON - 7200,
        last_new=NOON - 90_000,
        expected_by=NOON + 86_400,
    )
    line = render_lines(whole).splitlines()[-1]
    assert line.split("  ")[0] == "board"
    for part in (
        "login expired",
        "2 h ago",
        "25 h ago",
        "every hour",
        "in 24 h",
        "3 due, 1 given up",
        "in 4 min",
    ):
        assert part in " ".join(line.split()), part


def test_unknown_values_are_dashes_and_disabled_sites_say_off() -> None:
    text = render_lines(row("new"), row("off", enabled=False), row("late", next_visit=NOON - 5))
    assert "not visited yet" in text
    assert [" ".join(line.split())[-30:] for line in text.splitlines()[-3:]] == [
        f"{next_visit} 3 due, 1 given up every hour"[-30:] for next_visit in ("min", "-", "now")
    ]
    assert " off " in text.splitlines()[-2]


def test_ingest_site_is_not_shown_as_visited() -> None:
    fed = SiteRow(
        make_site(name="chat", platform="ingest", start=()),
        SiteReport(site="chat"),
        "",
        dict.fromkeys(PAGES, 0),
        NOON,
        0,
    )
    line = render_lines(fed).splitlines()[-1]
    assert line.split() == ["chat", "by", "ingest", *"----", "0", "due,", "0", "given", "up"]
    assert (fed.as_json()["next_visit"], fed.as_json()["platform"]) == (None, "ingest")


def test_state_is_shown_with_its_reason_and_an_explanation() -> None:
    rows = [
        row("a", state="unreachable", reason="address"),
        row("b", state="blocked", reason="forbidden"),
        row("c", state="unreachable", reason="address"),
        row("d", state="ok", reason="dns"),
        row("e", reason="tls"),
        row("f", state="unreachable", reason="timeout", enabled=False),
    ]
    lines = [" ".join(line.split()) for line in render_lines(*rows).splitlines()]
    for line in (
        "a unreachable: address",
        "b blocked: forbidden",
        "d ok -",
        "e not seen yet: tls",
        "f off",
    ):
        assert any(line_.startswith(line) for line_ in lines), line
    explanations = explain_reasons(rows)
    assert [line.split(":")[0] for line in explanations] == ["tls", "address", "forbidden"]
    assert "allow_private = true" in explanations[1]
    assert [line_.as_json()["reason"] for line_ in rows] == [
        "address",
        "forbidden",
        "address",
        "dns",
        "tls",
        "timeout",
    ]
    assert row("g", state="ok").as_json()["reason"] is None


def test_faulty_file_is_shown_as_not_visited() -> None:
    console = Console(file=(out := io.StringIO()), width=160, highlight=False)
    console.print(build_table([row("a")], NOON, refused=["bad"]))
    assert out.getvalue().splitlines()[-1].split() == ["bad", "not", "visited:", "file", *"------"]
    assert explain_reasons([], ["bad"]) == [f"file: {MEANING['file']}"]


def test_every_state_fits_a_terminal_of_a_hundred_columns() -> None:
    rows = [
        row(
            f"site-{state[:8]}",
            state=state,
            since=NOON - 9e6,
            last_new=NOON - 9e6,
            expected_by=NOON,
        )
        for state in STATES
    ]
    lines = render_lines(*rows, width=100).splitlines()
    for state in STATES:
        starts = f"site-{state[:8]}", state.replace("_", " ")
        assert any(line.split("  ")[0] == starts[0] and starts[1] in line for line in lines), state
    assert max(map(len, lines)) <= 100


def test_json_has_every_value_and_null_for_never() -> None:
    fields = row("board", state="quiet", since=NOON).as_json()
    assert (fields["state"], fields["since"], fields["last_new"], fields["due"]) == (
        "quiet",
        "2026-09-21T14:13:20+00:00",
        None,
        3,
    )
    assert set(fields) >= {
        "expected_by",
        "rhythm",
        "next_visit",
        "last_success",
        "failures",
        "parked",
        "watch",
        "enabled",
    }
