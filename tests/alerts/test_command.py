"""`ullage alert` and `ullage incidents`, as a person runs them."""

import io
import json
import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from rich.console import Console, RenderableType
from typer.testing import CliRunner

from alerts.cases.incident_list import load_details
from alerts.cases.incident_view import brief, link
from alerts.cli import incidents
from alerts.cli.tables import incident_in_full, incidents_table
from alerts.deadlines.render import duration
from alerts.records import Decision, Incident, incident_id
from alerts.store import DocumentFilter
from matcher.cli.evidence_vault import passed_on
from tests.alerts.builders import finding, fold_all, queue_row
from tests.factories import sign_finding_record
from ullage.bus import FINDINGS
from ullage.cli import app
from ullage.display import moment, safe
from ullage.errors import Exit
from ullage.records.heartbeat import Coverage, Heartbeat
from ullage.runtime.dead_letters import read
from ullage.security import keys

A = incident_id("f")
BEIJING = timezone(timedelta(hours=8), "CST")
MORE = {
    "status",
    "suppressed",
    "next_step",
    "next_step_zh",
    "assignee",
    "due",
    "due_for",
    "running",
}


@pytest.fixture
def run(data, monkeypatch):
    monkeypatch.setattr("ullage.runtime.service.stop_on_signals", lambda stop: None)

    def ran(*words: str, code: int = 0):
        (data / "ullage.toml").write_text("metrics = false\n[tenants.bank]\n")
        result = CliRunner().invoke(app, ["--data", str(data), *words])
        assert result.exit_code == code, result.output
        return result

    return ran


def publish(context, *values: bytes) -> None:
    context.bus().publisher(FINDINGS).append(
        [sign_finding_record(context.keys, value) for value in values]
    )


def test_alert_groups_findings_and_dead_letters_other_records(context, store, run):
    publish(
        context,
        finding("f", range(10), people="ab").encode(),
        b"not a finding",
        finding("g", range(90, 99), people="c").encode(),
    )
    run("alert", "--once")
    assert {i.id for i in store.scroll(Incident, DocumentFilter())} == {A, incident_id("g")}
    letters = context.bus().subscribe("dead-letters", "test").poll(10, 0.0)
    assert [(letter.stage, letter.reason) for letter in map(read, letters)] == [
        ("alert", "malformed")
    ]
    assert context.bus().lag(FINDINGS, "alert").records == 0
    run("alert", "--once")
    assert store.count(Incident, DocumentFilter()) == 2


def test_json_list_has_one_object_per_line_with_every_column(store, clock, run):
    fold_all(
        store,
        clock,
        [
            finding("f", range(10), people="ab", capture={"title": "内料 客户"}),
            finding("g", range(90, 99), people="c"),
        ],
    )
    rows = [json.loads(line) for line in run("incidents", "list", "--json").stdout.splitlines()]
    columns = {
        "id", "tenant", "severity", "exposure", "scenario", "scenario_title", "scenario_title_zh",
        "origin", "origin_label",
        "sites", "customers",
    }  # fmt: skip
    columns |= {
        "rows", "sightings", "kinds", "titles", "publish_seconds", "published_at", "opened_at",
        "updated_at", "alarm",
        "linked", "incomplete", "sections", "authors", "claims", "fields", "newest_date", "joined",
        "series", "gone",
        "gone_at", "back",
    }  # fmt: skip
    assert [set(row) for row in rows] == [columns | MORE] * 2
    assert {row["id"]: row["customers"] for row in rows} == {A: 2, incident_id("g"): 1}
    assert rows[0]["opened_at"].endswith("Z")


def test_each_option_filters_the_list(store, clock, run):
    first = finding(
        "f",
        range(10),
        people=range(60),
        kinds=("phone", "card"),
        fields=("CARD", "CVV"),
        capture={"title": "内料"},
    )
    fold_all(store, clock, [first, finding("g", range(90, 99), people="c", tenant="shop")])
    at = clock.as_clock().now()
    store.create([Decision(id="d", tenant="bank", incident=A, at=at, by="Li", status="confirmed")])

    def ids(*words: str) -> list[str]:
        return [
            json.loads(line)["id"]
            for line in run("incidents", "list", "--json", *words).stdout.splitlines()
        ]

    second_id = incident_id("g")
    for option, value, expected in (
        ("--tenant", "shop", second_id), ("--tenant", "bank", A), ("--severity", "high", A),
        ("--status", "confirmed", A),
        ("--status", "open", second_id), ("--text", "内料", A), ("--text", "内", A),
        ("--limit", "1", max(A, second_id)),
    ):  # fmt: skip
        assert ids(option, value) == [expected], option
    assert ids("--status", "resolved") == []


@pytest.mark.parametrize(
    "words",
    [
        ("--severity", "awful"),
        ("--status", "gone"),
        ("--text", "13800138000"),
        ("--tenant", "a@b.cn"),
    ],
)
def test_invalid_query_is_rejected_in_one_line_and_not_echoed(run, words):
    result = run("incidents", "list", *words, code=1)
    assert words[1] not in str(result.exception)


def test_empty_list_of_an_empty_store_says_that_nothing_was_collected(run):
    explanation = (
        "No incidents; nothing was collected: alert has received no heartbeat from crawl and no"
        " finding."
    )
    assert " ".join(run("incidents", "list", code=Exit.NO_VERDICT).stdout.split()) == explanation
    listed = run("incidents", "list", "--json", code=Exit.NO_VERDICT)
    assert (listed.stdout, listed.stderr) == ("", f"{explanation}\n")


def test_empty_list_is_trusted_when_all_sites_were_read(context, store, run):
    now = datetime.now(UTC)
    beat = Heartbeat(
        id="0" * 32, origin="crawl", inserted_at=now, coverage=Coverage(sites={"ok": 2})
    )
    context.bus().publisher(FINDINGS).append(
        [passed_on(beat, {"bank": 10}, keys.load_signer(context.keys, "match"))]
    )
    run("alert", "--once")
    explanation = " ".join(run("incidents", "list").stdout.split())
    assert re.fullmatch(
        r"No incidents; monitoring since .*; last heartbeat .*, and all 2 sites are being read\.",
        explanation,
    )
    assert (
        "No matching incidents; monitoring since"
        in run("incidents", "list", "--severity", "high").stdout
    )
    assert run("incidents", "list", "--json").stdout == ""


def draw(what: RenderableType, width: int = 100) -> str:
    file = io.StringIO()
    Console(width=width, file=file, highlight=False).print(what)
    return file.getvalue()


@pytest.mark.parametrize("width", [80, 100, 160])
def test_list_shows_what_is_decided_by_at_any_width(store, clock, width):
    wide = finding(
        "f",
        range(10),
        people=range(400),
        kinds=("phone", "resident_id", "card", "email"),
        site="a-forum-with-a-long-name",
        capture={"title": "内料"},
    )
    fold_all(store, clock, [wide])
    incident = store.get(Incident, A)
    due = datetime(2026, 9, 21, 23, 0, tzinfo=UTC)
    row = queue_row(incident, "false_positive", due)
    text = draw(incidents_table([row], due, BEIJING, silent=[A]), width)
    assert max(map(len, text.splitlines())) <= width
    title = ("ID, card", "内料")
    for part in (A, "2026-09-22 07:00 CST", incident.severity, "bank", "400", *title):
        assert part in text
    words = " ".join(text.split())
    for part in ("false positive, suppressed", "a-forum-with-a-long-name", "due", "title"):
        assert all(word in words for word in part.split())


def test_piped_list_is_tab_separated_with_labelled_times(store, clock, run):
    fold_all(store, clock, [finding("f", range(10), people="ab")])
    head, row = run("incidents", "list").stdout.splitlines()
    assert head.split("\t") == [
        "incident", "due", "severity", "tenant", "customers", "status", "site", "title"
    ]  # fmt: skip
    assert dict(zip(head.split("\t"), row.split("\t"), strict=True))["incident"] == A
    assert "opened 2026-09-21 22:13 CST" in run("incidents", "show", A).stdout


def test_show_gives_verdicts_with_reasons_and_escapes_control_characters(store, clock, run):
    fold_all(
        store,
        clock,
        [
            finding(
                "f",
                range(10),
                people="ab",
                capture={"title": "\x1b[31m红\u202e [b]x[/b]", "url": "http://x/1"},
            )
        ],
    )
    text = run("incidents", "show", A).stdout
    assert "\x1b" not in text
    assert "\u202e" not in text
    for part in (r"\x1b[31m红\u202e [b]x[/b]", "X17", "O2", "Seen 1 times", "http://x/1"):
        assert part in text
    shown = json.loads(run("incidents", "show", A, "--json").stdout)
    assert [len(shown[name]) for name in ("seen", "exposures", "decisions")] == [1, 2, 0]
    assert "index_tags" not in shown["exposures"][0]
    assert run("incidents", "show", "INC-NOBODY", code=1).exception.exit_code == 2


def test_several_incidents_are_shown_in_turn(store, clock, run):
    fold_all(
        store,
        clock,
        [
            finding("f", range(10), people="ab"),
            finding("g", range(50, 60), people="cd", site="pastes"),
        ],
    )
    ids = [incident_id("g"), incident_id("f")]
    shown = [
        json.loads(line)["id"]
        for line in run("incidents", "show", *ids, ids[0], "--json").stdout.splitlines()
    ]
    assert shown == ids, "each once, in the order in which they were asked for"


def test_missing_data_folder_is_an_error(tmp_path):
    result = CliRunner().invoke(app, ["--data", str(tmp_path / "typo"), "incidents", "list"])
    assert "is not set up: run `ullage --data" in str(result.exception)
    assert not (tmp_path / "typo").exists()


def test_json_output_includes_every_customer(store, clock, run):
    findings = [
        finding(f"f{n}", range(10), people=range(210), site=f"site-{n}") for n in range(205)
    ]
    fold_all(store, clock, findings)
    shown = json.loads(run("incidents", "show", incident_id("f0"), "--json").stdout)
    assert (len(shown["exposures"]), shown["customers"]) == (210, 210)
    assert (len(shown["seen"]), shown["sightings"]) == (205, 205)


def test_incident_can_be_drawn_in_any_zone(store, clock):
    fold_all(store, clock, [finding("f", range(10), people="ab")])
    assert "CST" in draw(incident_in_full(load_details(store, A), BEIJING))


def test_command_group_matches_its_entry_point():
    assert {c.name for c in incidents.incidents.registered_commands} >= {"list", "show", "deadline"}


@pytest.mark.parametrize(
    ("url", "followed"),
    [
        ("https://x.example/1", True), ("http://127.0.0.1:80/a?b=c", True),
        ("javascript:alert(1)", False),
        ("data:text/html,x", False), ("//x/y", False), ("/x", False), ("", False),
        ("http://", False), ("http://[bad", False),
        ("https://x/\u202e", False),
    ],
)  # fmt: skip
def test_only_web_addresses_become_links(url, followed):
    assert link(url) == (url if followed else "")


def test_terminal_helpers_format_text_durations_and_times():
    assert safe("a\tb\u200b\ufeff客") == r"a\tb\u200b\ufeff客"
    assert brief(("a", "b", "c"), 2) == "a, b +1"
    assert [str(duration(s)) for s in (None, 0.04, 59.4, 61, 5400, 90_000)] == [
        "–",
        "0.0 s",
        "59 s",
        "1 min",
        "1.5 h",
        "1.0 d",
    ]
    assert moment(datetime(2026, 9, 21, 23, 0, tzinfo=UTC), BEIJING) == "2026-09-22 07:00 CST"
    assert moment(None, BEIJING) == "unknown"
