"""Clocks as people meet them: on the terminal, on the page, in the API; and writing down that a
report was sent.
"""

import json
import math
from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner

from alerts.records import Decision, Incident, incident_id
from alerts.service.process import parts
from alerts.store import DocumentFilter
from tests.alerts.builders import finding, fold_all
from tests.conftest import NOON
from ullage import audit
from ullage.cli import app
from ullage.clock import Clock
from ullage.errors import ConfigError
from ullage.settings import Context, Tenant

A = incident_id("f")
CHINESE = {"accept-language": "zh"}


@pytest.fixture
def ours(store, clock) -> str:
    """Store an incident of our own that was acknowledged at noon."""
    fold_all(store, clock, [finding("f", range(10), people="ab")])
    store.put(
        [
            store.get(Incident, A).model_copy(
                update={
                    "origin": "ours",
                    "severity": "high",
                    "clock": "run",
                    "first_seen": clock.as_clock().now(),
                }
            )
        ]
    )
    at = datetime.fromtimestamp(NOON, UTC)
    store.create(
        [Decision(id=f"{A}:1", tenant="bank", incident=A, at=at, by="Li", status="acknowledged")]
    )
    return A


@pytest.fixture(autouse=True)
def alone(data) -> None:
    """Configure a team of one person, who may end deadlines alone."""
    (data / "ullage.toml").write_text(
        "metrics = false\nsecond_person = false\n[tenants.bank]\n", encoding="utf-8"
    )


@pytest.fixture
def run(data):

    def ran(*words: str, code: int = 0):
        result = CliRunner().invoke(app, ["--data", str(data), "incidents", *words])
        assert result.exit_code == code, result.output
        return result

    return ran


BY_FAX = ("--channel", "fax", "--reference", "R-1")


def clocks(run) -> dict[tuple[str, str], dict]:
    shown = json.loads(run("show", A, "--json").stdout)["deadlines"]
    return {(clock["regime"], clock["stage"]): clock for clock in shown}


def test_show_lists_every_deadline_and_marks_unverified_rules(ours, run):
    text = run("show", A).stdout
    for part in (
        "Reporting deadlines",
        "pipl-57 first",
        "at once; our",
        "2026-09-21 22:43 CST",
        "its time has",
    ):
        assert part in text
    assert max(map(len, text.splitlines())) <= 100
    assert {name: clock["state"] for name, clock in clocks(run).items()} == {
        ("pipl-57", "first"): "running",
        ("pboc-2025", "brief"): "running",
        ("pboc-2025", "first"): "running",
        ("nfra-2024", "first"): "running",
        ("nfra-2024", "written"): "running",
        ("nfra-2024", "final"): "waiting",
    }


def test_recorded_report_stops_only_its_deadline(ours, run, data):
    words = ("--by", "Wang Fang", "--regime", "nfra-2024", "--reference", "NFRA/2026-7")
    words += ("--sent-at", "2026-09-21T23:00", "--channel", "portal")
    assert (
        run("deadline", A, "--sent", *words).stdout
        == f"recorded: {A} reported under nfra-2024, first report, decided by one person\n"
    )
    shown = clocks(run)
    assert shown["nfra-2024", "first"]["state"] == "met"
    assert shown["nfra-2024", "first"]["sent_at"] == "2026-09-21T15:00:00Z", (
        "typed in the tenant's zone"
    )
    assert (shown["nfra-2024", "first"]["reference"], shown["nfra-2024", "first"]["late"]) == (
        "NFRA/2026-7",
        False,
    )
    assert shown["nfra-2024", "first"]["channel"] == "portal"
    assert shown["nfra-2024", "written"]["state"] == "running"
    assert "NFRA/2026-7" in run("show", A).stdout
    assert json.loads(run("list", "--json").stdout)["status"] == "confirmed", (
        "other reports are still owed"
    )
    _, last = list(audit.read_entries(data / "audit"))[-1]
    assert (last.action, last.actor, last.object) == (
        "incident.reported",
        "Wang Fang",
        f"incident {A}: reported under nfra-2024, first report, decided by one person",
    )


def test_every_reader_shows_one_status_while_a_report_is_outstanding(ours, run, browser):
    run("deadline", A, "--sent", "--by", "Li Wei", "--regime", "nfra-2024", *BY_FAX)
    assert json.loads(run("show", A, "--json").stdout)["status"] == "confirmed"
    assert "  confirmed  opened" in run("show", A).stdout
    assert browser.get(f"/v1/incidents/{A}").json()["status"] == "confirmed"
    for status, incident_ids in (("", [A]), ("confirmed", [A]), ("reported", [])):
        items = browser.get("/v1/incidents", params={"status": status}).json()["items"]
        assert [(item["id"], item["status"]) for item in items] == [
            (id_, "confirmed") for id_ in incident_ids
        ], status
        lines = run(
            "export", "--format", "csv", *(["--status", status] if status else [])
        ).stdout.splitlines()[1:]
        assert [(A in line, "confirmed" in line) for line in lines] == [(True, True)] * len(
            incident_ids
        ), status
        assert (
            browser.get("/v1/export/csv", params={"status": status}).text.splitlines()[1:] == lines
        )


def test_later_decision_counts_after_the_clock_was_set_back(ours, browser, clock, store):
    clock.advance(-3600)
    for number, status in enumerate(("acknowledged", "confirmed")):
        form = {"status": status, "token": f"{number}" * 16}
        assert browser.post(f"/incidents/{A}/decisions", form).status_code == 303
        assert browser.get(f"/v1/incidents/{A}").json()["status"] == status


def test_without_a_regime_nothing_is_recorded(ours, run):
    assert "give the regime" in str(
        run("deadline", A, "--sent", "--by", "Li", *BY_FAX, code=1).exception
    )
    assert "met" not in {clock["state"] for clock in clocks(run).values()}


def test_final_report_before_the_end_is_rejected(ours, run):
    words = ("--regime", "nfra-2024", "--stage", "final", *BY_FAX)
    assert "resolve the incident first" in str(
        run("deadline", A, "--sent", "--by", "Li", *words, code=1).exception
    )


@pytest.mark.parametrize("missing", ["--channel", "--reference"])
def test_report_needs_channel_and_reference(ours, run, missing):
    at = BY_FAX.index(missing)
    words = ("--by", "Li", "--regime", "nfra-2024", *BY_FAX[:at], *BY_FAX[at + 2 :])
    assert missing[2:] in str(run("deadline", A, "--sent", *words, code=1).exception)
    if missing == "--reference":
        run("deadline", A, "--sent", *words, "--no-reference", "told by telephone")
        assert clocks(run)["nfra-2024", "first"]["no_reference"] == "told by telephone"


def test_final_report_leaves_a_closed_incident_closed(ours, run, store, clock):
    at = clock.as_clock().now()
    store.create(
        [Decision(id=f"{A}:2", tenant="bank", incident=A, at=at, by="Li", status="resolved")]
    )
    run("deadline", A, "--sent", "--by", "Li", "--regime", "nfra-2024", "--stage", "final", *BY_FAX)
    assert clocks(run)["nfra-2024", "final"]["state"] == "met"
    assert json.loads(run("list", "--json").stdout)["status"] == "resolved"


def test_ruling_on_a_deadline_needs_grounds_and_is_audited(ours, run, data):
    words = ("--by", "Wang", "--regime", "cac-2025", "--applies", "--note", "important data")
    assert run("deadline", A, *words).stdout == f"recorded: {A} cac-2025 applies\n"
    assert clocks(run)["cac-2025", "first"]["state"] == "running"
    waive = ("--regime", "cac-2025", "--waived", "--note", "counted twice")
    assert (
        run("deadline", A, "--by", "Zhao", *waive).stdout
        == f"recorded: {A} cac-2025 waived, decided by one person\n"
    )
    shown = clocks(run)["cac-2025", "first"]
    assert (shown["state"], shown["decided_by_one_person"]) == ("waived", True)
    assert {name: shown["ruling"][name] for name in ("by", "what", "note")} == {
        "by": "Zhao", "what": "waived", "note": "counted twice",
    }  # fmt: skip
    assert shown["ruling"]["facts"]["customers"] == 2
    _, last = list(audit.read_entries(data / "audit"))[-1]
    assert (last.action, last.reason) == ("incident.duty", "counted twice")
    assert json.loads(run("list", "--json").stdout)["status"] == "acknowledged", (
        "which it does not change"
    )
    for wrong in (("--note", " "), ("--note", "13800138000"), ("--regime", "gdpr", "--note", "x")):
        output = str(
            run(
                "deadline", A, "--by", "Wang", "--regime", "cac-2025", "--applies", *wrong, code=1
            ).exception
        )
        assert "13800138000" not in output
    assert "no incident with that id" in str(
        run("deadline", "INC-NOBODY", *words, code=1).exception
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--by", "Li", "--regime", "gdpr"), "no regime with that id: use pipl-57"),
        (
            ("--by", "Li", "--regime", "pipl-57", "--stage", "final"),
            "pipl-57 has no such stage: use first",
        ),
        (("--by", "13800138000"), "your name is missing"),
        (("--by", "Li", "--reference", "13800138000"), "a reference must have at most"),
        (("--by", "Li", "--note", "call 13800138000"), "seems to contain a phone number"),
        (("--by", "Li", "--sent-at", "last week"), "the time of the report is not valid"),
        (
            ("--by", "Li", "--regime", "pipl-57", "--channel", "pigeon"),
            "a report's channel must be one of portal",
        ),
        (("--by", "Li", "--sent-at", "2099-01-01T00:00"), "in the future"),
    ],
)
def test_rejected_report_is_not_echoed(ours, run, store, words, said):
    rule = () if "--regime" in words else ("--regime", "nfra-2024")
    output = str(run("deadline", A, "--sent", *words, *rule, code=1).exception)
    assert said in output
    assert "13800138000" not in output
    assert store.count(Decision, DocumentFilter()) == 1


def test_unknown_incident_is_reported(run):
    assert "no incident with that id" in str(
        run("deadline", "INC-NOBODY", "--sent", "--by", "Li", code=1).exception
    )


def test_rules_are_listed_with_their_tenants(run):
    text = run("deadline").stdout
    assert "gdpr-33  GDPR Art. 33 欧盟通用数据保护条例第三十三条: no tenant" in text
    assert "cac-2025  CAC incident reporting 国家网络安全事件报告管理办法: bank" in text
    assert text.count("NOT VERIFIED") == 1


def test_tenant_with_an_unknown_rule_stops_the_command(run, data, ours):
    (data / "ullage.toml").write_text('metrics = false\n[tenants.bank]\nregimes = ["pipl"]\n')
    assert "tenants.bank.regimes" in str(run("show", A, code=1).exception)
    (data / "ullage.toml").write_text('metrics = false\n[tenants.bank]\nzone = "Mars/Olympus"\n')
    assert "not a time zone" in str(run("show", A, code=1).exception)


def test_check_reports_unknown_rules_and_missing_calendars(context):
    def check_rules(clock, **tenant) -> str:
        settings = context.settings.model_copy(update={"tenants": {"bank": Tenant(**tenant)}})
        return dict(parts(Context(context.data, clock, settings)))["rules of notification"]()

    assert check_rules(Clock(wall=lambda: datetime(2025, 6, 1, tzinfo=UTC).timestamp())) == "known"
    calendar_state = check_rules(Clock(wall=lambda: datetime(2026, 12, 1, tzinfo=UTC).timestamp()))
    assert calendar_state == "no calendar of working days of 2027: every day counts as worked"
    with pytest.raises(ConfigError, match=r"tenants\.bank\.regimes"):
        check_rules(context.clock, regimes=("pipl",))


def test_metrics_tell_when_reports_are_due_and_when_that_was_computed(ours, context, store, clock):
    from prometheus_client import CollectorRegistry

    from alerts.service.process import make_due_recount, open_book

    registry = CollectorRegistry()
    settings = context.settings.model_copy(update={"tenants": {"bank": Tenant()}})
    book, _ = open_book(Context(context.data, context.clock, settings), store)
    recount = make_due_recount(Context(context.data, context.clock, settings), book, registry)
    recount()
    labels = {"tenant": "bank", "regime": "nfra-2024"}
    assert math.isnan(
        registry.get_sample_value("ullage_notification_due_timestamp_seconds", labels) or 0
    ), "alert has not looked at all incidents"
    assert registry.get_sample_value("ullage_notification_deadlines_known_timestamp_seconds") == 0
    book.complete()
    recount()
    computed_at = registry.get_sample_value("ullage_notification_deadlines_known_timestamp_seconds")
    assert computed_at == context.clock.now().timestamp() - 60
    assert (
        registry.get_sample_value("ullage_notification_due_timestamp_seconds", labels)
        == NOON + 2 * 3600
    )
    assert (
        registry.get_sample_value("ullage_notification_unheard_incidents", {"tenant": "bank"}) == 0
    )
    store.delete(Decision, [f"{A}:1"])
    book.mark_changed([A])
    clock.advance(3600)
    recount()
    assert (
        registry.get_sample_value("ullage_notification_unheard_incidents", {"tenant": "bank"}) == 1
    )


SENT = {"sent_at": "2026-09-21T22:00", "channel": "fax", "reference": "R-1"}


def test_page_shows_deadlines_and_records_a_report(ours, browser):
    text = browser.get(f"/incidents/{A}").text
    for part in (
        "Reporting deadlines",
        "not verified",
        ">09-21 22:43</time>",
        'name="report" value="nfra-2024 first" checked',
    ):
        assert part in text
    assert "未核对原文" in browser.get(f"/incidents/{A}", headers=CHINESE).text
    answer = browser.post(
        f"/incidents/{A}/decisions",
        {"status": "reported nfra-2024 first", "token": "0" * 16, **SENT},
    )
    assert answer.status_code == 303
    after = browser.get(f"/incidents/{A}").text
    assert after.count("Correct this report") == 1
    assert 'name="report" value="nfra-2024 written"' in after
    shown = browser.get(f"/v1/incidents/{A}").json()["deadlines"]
    assert [c["state"] for c in shown if c["regime"] == "nfra-2024"] == [
        "met",
        "running",
        "waiting",
    ]


def test_page_records_a_ruling(ours, browser, log_in):
    text = browser.get(f"/incidents/{A}").text
    assert 'value="waived pipl-57"' in text
    assert 'value="applies cac-2025"' in text
    form = {"status": "waived pipl-57", "note": "", "token": "0" * 16}
    assert browser.post(f"/incidents/{A}/decisions", form).status_code == 400, "without a ground"
    assert (
        log_in("analyst")
        .post(f"/incidents/{A}/decisions", {**form, "note": "harm averted"})
        .status_code
        == 403
    )
    assert (
        browser.post(f"/incidents/{A}/decisions", {**form, "note": "harm averted"}).status_code
        == 303
    )
    after = browser.get(f"/incidents/{A}", headers=CHINESE).text
    assert 'value="applies pipl-57"' in after
    assert "已豁免，以2名客户为限" in after
    assert (
        browser.post(
            f"/incidents/{A}/decisions", {**form, "status": "applies gdpr", "note": "x"}
        ).status_code
        == 400
    )


def test_final_report_on_the_page_leaves_a_closed_incident_closed(ours, browser, store, clock):
    at = clock.as_clock().now()
    store.create(
        [Decision(id=f"{A}:2", tenant="bank", incident=A, at=at, by="Li", status="resolved")]
    )
    form = {"status": "reported nfra-2024 final", "token": "0" * 16, **SENT}
    assert browser.post(f"/incidents/{A}/decisions", form).status_code == 303
    shown = browser.get(f"/v1/incidents/{A}").json()
    assert shown["status"] == "resolved"
    assert [c["state"] for c in shown["deadlines"] if c["stage"] == "final"] == ["met"]


@pytest.mark.parametrize(
    "status",
    ["reported", "reported gdpr first", "reported nfra-2024 brief", "reported <b> first", "open"],
)
def test_page_rejects_a_report_that_no_rule_requires(ours, browser, store, status):
    answer = browser.post(
        f"/incidents/{A}/decisions", {"status": status, "token": "0" * 16, **SENT}
    )
    assert answer.status_code == 400
    assert store.count(Decision, DocumentFilter()) == 1
