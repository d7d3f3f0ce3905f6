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
from ullage.security.signing import TOPIC, verified
from ullage.settings import Tenant

WINDOW = "since=17:00"


@pytest.fixture
def night(alert: Alert) -> Alert:
    """From 17:00 of Shanghai on: two sites, of which one is silent after an hour."""
    alert.hears(NINE, NINE + HOUR, "board pastes")
    alert.hears(NINE + HOUR, NINE + 3 * HOUR, "pastes")
    alert.at(NINE + 3.25 * HOUR)
    return alert


def test_it_is_one_click_away_and_says_whether_we_were_blind(browser, night):
    assert 'href="/coverage"' in browser.get("/").text
    page = browser.get(f"/coverage?{WINDOW}").text
    assert "1 unexplained coverage gap." in page
    assert page.count('<g class="blind">') == 2
    assert "not covered for 60 minutes: no heartbeat" in page
    assert "2026-09-21 18:00–20:15 (2 h 15)" in html.unescape(
        page
    ) or "2026-09-21 18:00–20:00 (2 h 00)" in html.unescape(page)


def test_before_the_log_begins_no_page_claims_anything(browser, alert: Alert):
    """What a new installation shows: neither that we were blind nor that all was seen."""
    for path in ("/", "/coverage", "/handover"):
        page = browser.get(path).text
        assert 'class="verdict bad"' not in page, path
        assert 'class="verdict good"' not in page, path
        assert "None in this period." not in page, path
    assert "The coverage log had not begun" in browser.get("/coverage").text


def test_of_the_time_before_the_log_begins_it_says_that_nothing_is_claimed(browser, night):
    page = browser.get("/coverage?since=16:00&until=18:00").text
    assert '<p class="verdict open"' in page
    assert "Full coverage: every active site was read." in page
    assert (
        "The coverage log begins at 2026-09-21 17:00: no claim is made about the time before."
        in page
    )


def test_reports_are_counted_as_far_as_alert_has_looked_and_the_page_says_how_far(
    browser, night, store, clock
):
    """Else a report that was sent late, or not at all, would be none."""
    assert (
        "reports in time: not counted yet, alert has not processed all incidents"
        in browser.get(f"/coverage?{WINDOW}").text
    )
    one = incident("INC-A", NINE, severity="high", clock="run", customers=100, first_seen=NINE)
    store.put([one, Notification(
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


def test_all_of_it_is_in_chinese_where_that_is_asked_for(browser, night):
    page = browser.get(f"/coverage?{WINDOW}", headers={"accept-language": "zh"}).text
    assert "有 1 处监测盲区未说明原因。" in page
    assert "60 分钟未监测：没有心跳" in page


def test_a_gap_is_explained_on_the_page_and_shows_by_whom(browser, night, store):
    form = {
        "since": "2026-09-21T18:00",
        "until": "2026-09-21T20:15",
        "site": "board",
        "reason": "the board moved",
        "window": "17:00",
    }
    answer = browser.post("/coverage/explain", form)
    assert (answer.status_code, answer.headers["location"]) == (303, "/coverage?since=17%3A00#gaps")
    (made,) = store.scroll(GapReason, DocumentFilter())
    assert (made.site, made.reason) == ("board", "the board moved")
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
def test_an_explanation_that_is_refused_is_kept_with_the_error_at_its_field(
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


def test_a_time_that_cannot_be_read_is_said_at_its_field(browser, night):
    answer = browser.get("/coverage?since=gestern")
    assert answer.status_code == 400
    assert 'value="gestern" maxlength="40" autocomplete="off" aria-invalid="true"' in answer.text


def test_the_sheet_is_signed_byte_for_byte_and_styled_under_its_own_policy(browser, night, context):
    keys.signer(context.keys, "alert")
    answer = browser.get(f"/coverage/sheet?{WINDOW}")
    policy = answer.headers["content-security-policy"]
    assert answer.headers.get_list("content-security-policy") == [policy]
    assert re.search(r"style-src 'sha256-[\w+/=]{44}'", policy)
    assert "unsafe" not in policy
    assert verified(answer.text, keys.verifier(context.keys, TOPIC))
    with pytest.raises(RecordError):
        verified(
            answer.text.replace("unexplained", "explained"), keys.verifier(context.keys, TOPIC)
        )
    saved = browser.get(f"/coverage/sheet?{WINDOW}&save=1")
    assert (
        saved.headers["content-disposition"] == 'attachment; filename="coverage-20260921T1700.html"'
    )


def test_no_key_is_made_to_sign_with(browser, night, context):
    (context.keys.root / "sign" / "alert.key").unlink(missing_ok=True)
    assert "NOT SIGNED" in browser.get(f"/coverage/sheet?{WINDOW}").text
    assert not context.keys.exists("sign/alert.key")


def test_a_ledger_that_knows_nothing_does_not_say_that_all_is_well(browser):
    page = browser.get("/coverage").text
    assert "We were not blind" not in page
    assert browser.post("/coverage/explain", {"site": "x"}, OURS).status_code == 400
