"""Sites, channels, rules, watchlists, the audit log: each says what it knows, and never that all
is well where it does not.
"""

import re
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import get_args

import pytest
from prometheus_client import CollectorRegistry

from alerts.notify.channels import open_channel
from alerts.notify.guarded_channel import GuardedChannel
from alerts.notify.metrics import NotifyMetrics
from alerts.records import CollectorHeartbeat, Notification
from alerts.records.document import Act
from alerts.web.pages.audit import DID
from alerts.web.pages.sites import REMEDIES
from tests.alerts.browser import ASKER
from tests.alerts.coverage.heartbeats import HOUR, NINE, Alert
from ullage import audit
from ullage.audit.trail import FOLDER
from ullage.records.heartbeat import WHY

PATHS = ["/sites", "/channels", "/watchlists", "/audit", "/audit?verify=1"]
ROOT = Path(__file__).parents[2]
HAN = re.compile(r"[\u4e00-\u9fff]")


@pytest.mark.parametrize("path", PATHS)
def test_status_page_is_translated_and_claims_nothing_on_an_empty_store(browser, path):
    english, chinese = (
        browser.get(path, headers={"accept-language": name}) for name in ("en", "zh")
    )
    assert english.status_code == chinese.status_code == 200
    assert not HAN.search(re.sub(r'<button[^>]*name="language".*?</button>', "", english.text))
    assert ('class="verdict good"' in english.text) is (path == "/audit?verify=1"), (
        "that somebody logged in is there to verify"
    )
    assert len(re.findall("<h1>", english.text)) == 1


def test_unread_site_comes_first_and_is_counted(browser, store, clock):
    alert = Alert(store, clock)
    alert.hears(NINE, NINE + HOUR, "board pastes")
    alert.hears(NINE + HOUR, NINE + 3 * HOUR, "pastes")
    alert.at(NINE + 3.25 * HOUR)
    page = browser.get("/sites").text
    assert "1 of 2 sites are not read, or not completely, at present." in page
    assert page.index(">board<") < page.index(">pastes<")
    assert re.search(r">board</a></td><td[^>]*><b class=\"mark bad\">no heartbeat</b>", page)


def test_recently_reported_site_counts_as_read(browser, store, clock):
    alert = Alert(store, clock)
    alert.hears(NINE, NINE + HOUR / 6)
    page = browser.get("/sites").text
    assert re.search(
        r">board</a></td><td[^>]*><b class=\"mark good\">covered so far</b></td><td[^>]*>in the"
        r" last minutes<",
        page,
    )


def test_watchlist_page_shows_customers_and_missing_lists(browser, store):
    for enrolled, expected in (
        (0, "Match had no customer list"),
        (1_234, "Match searches for 1,234 customers."),
    ):
        store.put([CollectorHeartbeat(id="crawl", first=NINE, last=NINE, enrolled=enrolled)])
        assert expected in browser.get("/watchlists").text


def test_overdue_message_on_a_channel_is_shown(browser, store, context, monkeypatch):
    from ullage.settings.storage import ChannelSettings

    monkeypatch.setitem(context.settings.notify.channels, "duty", ChannelSettings())
    assert "nothing sent yet" in browser.get("/channels").text
    owed = {
        "id": "n",
        "tenant": "bank",
        "incident": "INC-A",
        "at": NINE,
        "due": NINE,
        "channel": "duty",
        "what": "high",
        "why": "new",
    }
    store.put([Notification(**owed, severity="high")])
    page = browser.get("/channels").text
    assert "1 of 1 channels fail to deliver." in page
    assert "overdue: 1" in page


def test_channel_without_a_usable_secret_is_reported_with_the_file(
    browser, store, context, monkeypatch
):
    from ullage.settings.storage import ChannelSettings

    monkeypatch.setitem(context.settings.notify.channels, "duty", ChannelSettings())
    channel = GuardedChannel(
        "duty",
        partial(open_channel, "duty", context.settings.notify, context.keys, context.clock),
        store,
        context.clock,
        NotifyMetrics(CollectorRegistry(), ["duty"], []),
    )
    channel.report()
    page = browser.get("/channels").text
    assert "1 of 1 channels fail to deliver." in page
    assert "not usable: secret notify/duty is not in" in page


def test_audit_log_is_searchable_and_a_changed_line_is_found(browser, context):
    trail = context.trail("search")
    trail.append("coverage.explain", "GAP-1", actor="Li", reason="power")
    trail.append("noise.add", "SUP-1", actor="Wang", reason="hiring")
    page = browser.get("/audit?actor=Li").text
    assert "GAP-1" in page
    assert "SUP-1" not in page
    assert "GAP-1" not in browser.get("/audit?action=noise").text
    assert "GAP-1" in browser.get("/audit?words=POWER").text
    assert "All entries are unchanged" in browser.get("/audit?verify=1").text
    (file,) = (context.data / FOLDER / "search").glob("*.jsonl")
    file.write_bytes(file.read_bytes().replace(b"hiring", b"firing"))
    assert "The audit log was CHANGED." in browser.get("/audit?verify=1").text
    assert [entry.actor for _, entry in audit.read_entries(context.data / FOLDER)] == [
        ASKER,
        "Li",
        "Wang",
    ]


def test_history_of_customer_lists_is_limited_to_visible_tenants(log_in, context):
    from typer.testing import CliRunner

    from matcher.cli.watchlist import app
    from ullage.security import keys

    keys.make_tenant(context.keys, "zetalend")
    for tenant, count in (("bank", 48), ("zetalend", 77)):
        context.trail().append(
            "watchlist.load", f"key generation 1, {count} customers", actor="liwei", tenant=tenant
        )
    page = log_in("analyst", tenants=["bank"]).get("/watchlists").text
    assert "key generation 1, 48 customers" in page
    assert "77 customers" not in page
    assert "77 customers" in log_in("analyst").get("/watchlists").text
    history = (
        CliRunner()
        .invoke(
            app,
            ["show", "--history", "--json", "--tenant", "bank"],
            obj=context,
            catch_exceptions=False,
        )
        .stdout
    )
    assert "key generation 1, 48 customers" in history
    assert "zetalend" not in history


def test_every_audited_action_has_a_label():
    action_call = re.compile(
        r"""(?:append\(\s*f?|^ACTION = )["']([a-z]+\.[a-z_-]+)["']""", re.MULTILINE
    )
    files = [
        path for folder in ("alerts", "matcher", "ullage") for path in (ROOT / folder).rglob("*.py")
    ]
    actions = {
        action for path in files for action in action_call.findall(path.read_text(encoding="utf-8"))
    }
    assert len(actions) > 15
    assert actions <= set(DID)
    assert {f"incident.{act}" for act in get_args(Act) if act} <= set(DID)


def test_navigation_marks_the_current_page_after_a_form(browser):
    answer = browser.post("/coverage/explain", {"site": "paste", "since": "never"})
    assert (
        answer.status_code,
        re.findall(r'<a href="(/\w+)" aria-current="page">', answer.text),
    ) == (400, ["/coverage"])


def test_unread_site_has_its_cause_its_start_and_a_remedy(browser, store, clock):
    alert = Alert(store, clock)
    alert.hears(NINE, NINE + HOUR, "board pastes")
    alert.hears(NINE + HOUR, NINE + 3 * HOUR, "pastes")
    alert.hears(NINE + HOUR, NINE + 3 * HOUR, "board", "b")
    alert.at(NINE + 3.25 * HOUR)
    page = browser.get("/sites").text
    repairs = page[page.index("What needs to be done") : page.index("Sites and channels")]
    assert "blocked" in repairs
    assert "2026-09-21 18:00" in repairs
    assert "raise <code>delay_seconds</code>" in repairs
    assert "<code>ullage sites try SITE</code>" in repairs
    assert "<code>enabled = false</code>" in repairs
    assert "pastes" not in repairs


def test_every_reason_of_an_unread_site_has_a_remedy():
    assert REMEDIES.keys() == WHY.keys()


def test_sent_notifications_are_listed_before_scheduled_ones(browser, store, clock):
    now = clock.as_clock().now()
    common = {
        "tenant": "bank", "at": now, "channel": "duty", "what": "high", "why": "new",
        "severity": "high",
    }  # fmt: skip
    store.put(
        [
            Notification(
                id=f"N-{number}",
                incident=f"INC-{outcome}-{number}",
                due=now + timedelta(minutes=number),
                outcome=outcome,
                sent_at=now if outcome == "sent" else None,
                **common,
            )
            for number, outcome in enumerate(["pending", "suppressed", "sent", "pending"])
        ]
    )
    page = browser.get("/channels").text
    order = re.findall(r">(INC-\w+-\d)<", page)
    assert order == ["INC-sent-2", "INC-suppressed-1", "INC-pending-0", "INC-pending-3"]
    assert page.index("INC-suppressed-1") < page.index("Scheduled notifications")
