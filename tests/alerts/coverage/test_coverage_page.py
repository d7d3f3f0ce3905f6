"""The page that says whether we were blind: the map, the gaps and their reasons, and the sheet
as it is verified.
"""

import html
import re

import pytest

from alerts.deadlines.outstanding import Duties
from alerts.deadlines.schedule import Book
from alerts.records import GapReason, Notification
from alerts.store import DocumentFilter
from tests.alerts.browser import OURS
from tests.alerts.builders import incident
from tests.alerts.coverage.heartbeats import HOUR, NINE, Alert
from ullage.errors import RecordError
from ullage.security import keys
from ullage.security.signing import TOPIC, verify_report
from ullage.settings import Tenant

WINDOW = "since=17:00"


@pytest.fixture
def night(alert: Alert) -> Alert:
    """Set up two sites from 17:00 Shanghai time, one of which is silent after an hour."""
    alert.hears(NINE, NINE + HOUR, "board pastes")
    alert.hears(NINE + HOUR, NINE + 3 * HOUR, "pastes")
    alert.at(NINE + 3.25 * HOUR)
    return alert


def test_coverage_page_is_linked_and_states_the_verdict(browser, night):
    assert 'href="/coverage"' in browser.get("/").text
    page = browser.get(f"/coverage?{WINDOW}").text
    assert "1 unexplained coverage gap." in page
    assert page.count('<g class="blind">') == 2
    assert "not covered for 60 minutes: no heartbeat" in page
    assert "2026-09-21 18:00–20:15 (2 h 15)" in html.unescape(
        page
    ) or "2026-09-21 18:00–20:00 (2 h 00)" in html.unescape(page)


def test_no_page_claims_coverage_before_the_log_begins(browser, alert: Alert):
    """What a new installation shows: neither that we were blind nor that all was seen."""
    for path in ("/", "/coverage", "/handover"):
        page = browser.get(path).text
        assert 'class="verdict bad"' not in page, path
        assert 'class="verdict good"' not in page, path
        assert "None in this period." not in page, path
    assert "The coverage log had not begun" in browser.get("/coverage").text


def test_page_makes_no_claim_for_time_before_the_log(browser, night):
    page = browser.get("/coverage?since=16:00&until=18:00").text
    assert '<p class="verdict open"' in page
    assert "Full coverage: every active site was read." in page
    assert (
        "The coverage log begins at 2026-09-21 17:00: no claim is made about the time before."
        in page
    )


def test_reports_are_counted_up_to_the_time_alert_processed(browser, night, store, clock):
    """Otherwise a late or missing report would not be counted."""
    assert (
        "reports in time: not counted yet, alert has not processed all incidents"
        in browser.get(f"/coverage?{WINDOW}").text
    )
    late_incident = incident(
        "INC-A", NINE, severity="high", clock="run", customers=100, first_seen=NINE
    )
    store.put([late_incident, Notification(
        id="INC-A:desk", tenant="bank", incident="INC-A", at=NINE, due=NINE, channel="desk",
        what="high", why="new",
        severity="high", outcome="sent", sent_at=NINE,
    )])  # fmt: skip
    Book(Duties(store, lambda _: Tenant(regimes=("nfra-2024",)), clock.as_clock())).complete()
    page = browser.get(f"/coverage?{WINDOW}").text
    assert "<b>0 / 1</b>reports in time, of those due (0 late, 1 outstanding)" in page
    assert "as of" not in page
    night.at(NINE + 3.5 * HOUR)
    page = browser.get(f"/coverage?{WINDOW}").text
    assert (
        '<b>0 / 1</b>reports in time, of those due (0 late, 1 outstanding) <strong class="no">as of'
        " 2026-09-21 20:14</strong>" in page
    )


def test_coverage_page_is_fully_translated_to_chinese(browser, night):
    page = browser.get(f"/coverage?{WINDOW}", headers={"accept-language": "zh"}).text
    assert "有 1 处监测盲区未说明原因。" in page
    assert "60 分钟未监测：没有心跳" in page


def test_gap_explanation_on_the_page_names_its_author(browser, night, store):
    form = {
        "since": "2026-09-21T18:00",
        "until": "2026-09-21T20:15",
        "site": "board",
        "reason": "the board moved",
        "window": "17:00",
    }
    answer = browser.post("/coverage/explain", form)
    assert (answer.status_code, answer.headers["location"]) == (303, "/coverage?since=17%3A00#gaps")
    (stored_reason,) = store.scroll(GapReason, DocumentFilter())
    assert (stored_reason.site, stored_reason.reason) == ("board", "the board moved")
    page = browser.get(f"/coverage?{WINDOW}").text
    assert "All coverage gaps are explained." in page
    assert "the board moved" in page


@pytest.mark.parametrize(
    "change",
    [
        {"reason": "call 13800138000"},
        {"reason": ""},
        {"site": "nowhere", "reason": "kept"},
        {"until": "2026-01-01", "reason": "kept"},
    ],
    ids=str,
)
def test_rejected_explanation_keeps_its_input_with_the_error_at_its_field(
    browser, night, store, change
):
    form = {
        "since": "2026-09-21T18:00",
        "until": "2026-09-21T20:00",
        "site": "board",
        "reason": "x",
        "window": "17:00",
        **change,
    }
    answer = browser.post("/coverage/explain", form)
    assert answer.status_code == 400
    assert (
        f'value="{form["reason"]}" aria-invalid="true" aria-describedby="reason-fault"'
        in answer.text
    )
    assert 'id="reason-fault" role="alert"' in answer.text
    assert store.count(GapReason, DocumentFilter()) == 0


def test_unreadable_time_is_reported_at_its_field(browser, night):
    answer = browser.get("/coverage?since=gestern")
    assert answer.status_code == 400
    assert 'value="gestern" maxlength="40" autocomplete="off" aria-invalid="true"' in answer.text


def test_printed_report_is_signed_byte_for_byte_and_has_its_own_policy(browser, night, context):
    keys.load_signer(context.keys, "alert")
    answer = browser.get(f"/coverage/sheet?{WINDOW}")
    policy = answer.headers["content-security-policy"]
    assert answer.headers.get_list("content-security-policy") == [policy]
    assert re.search(r"style-src 'sha256-[\w+/=]{44}'", policy)
    assert "unsafe" not in policy
    assert verify_report(answer.text, keys.load_verifier(context.keys, TOPIC))
    with pytest.raises(RecordError):
        verify_report(
            answer.text.replace("unexplained", "explained"), keys.load_verifier(context.keys, TOPIC)
        )
    saved = browser.get(f"/coverage/sheet?{WINDOW}&save=1")
    assert (
        saved.headers["content-disposition"] == 'attachment; filename="coverage-20260921T1700.html"'
    )


def test_no_signing_key_is_created(browser, night, context):
    (context.keys.root / "sign" / "alert.key").unlink(missing_ok=True)
    assert "NOT SIGNED" in browser.get(f"/coverage/sheet?{WINDOW}").text
    assert not context.keys.exists("sign/alert.key")


def test_empty_log_does_not_claim_that_all_is_well(browser):
    page = browser.get("/coverage").text
    assert "We were not blind" not in page
    assert browser.post("/coverage/explain", {"site": "x"}, OURS).status_code == 400
