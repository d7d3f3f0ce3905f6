"""What people typed is kept: in a refused form, after a new login, and when somebody else was
faster.
"""

import html
import re
from datetime import timedelta

import pytest

from alerts.records import Decision, incident_id
from alerts.store import DocumentFilter
from alerts.web.refused_form import FIELD_OF
from tests.alerts.browser import PHONE, Browser, add_account
from tests.alerts.builders import finding, fold_all, incident
from ullage.lookup.values import identifier_in, mask_identifiers

TOKEN = {"token": "0" * 16}
DECIDE = "/incidents/INC-A/decisions"
CALLED = f"caller used {PHONE} at nine"


def read_hidden(page: str, name: str) -> str:
    """Return the value of the first hidden field with that name."""
    return html.unescape(re.findall(f'name="{name}" value="([^"]*)"', page)[0])


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        (CALLED, "caller used [phone] at nine"),
        ("客户１３８００１３８０００来电，谢谢", "客户[phone]来电，谢谢"),
        ("ids 110101199003078515 and 6222021234567890123", "ids [resident_id] and [number]"),
        ("1 2 3 4 5 6 7 8 9 0", "[number]"),
        ("nothing to hide", "nothing to hide"),
    ],
)
def test_masked_text_keeps_everything_but_its_identifiers(text, masked):
    assert mask_identifiers(text) == masked
    assert not identifier_in(masked)


@pytest.mark.parametrize(
    ("form", "language", "kept"),
    [
        ({"status": "note", "note": CALLED}, "en", "caller used [phone] at nine"),
        ({"status": "confirmed", "note": CALLED}, "zh", "caller used [手机号] at nine"),
        ({"status": "resolved", "note": "9" * 12}, "zh", "[长数字]"),
        ({"status": "excused", "reason": "chance", "days": "9", "note": CALLED}, "en", "[phone]"),
    ],
)
def test_refused_note_comes_back_masked_with_the_error_beside_it(
    browser, store, form, language, kept
):
    store.put([incident("INC-A")])
    headers = {"sec-fetch-site": "same-origin", "accept-language": language}
    answer = browser.post(DECIDE, {**form, **TOKEN}, headers=headers)
    assert answer.status_code == 400
    assert kept in answer.text
    assert PHONE not in answer.text
    assert answer.text.count('id="fault"') == 1
    assert len(re.findall(r'name="note"[^>]*aria-describedby="fault" autofocus', answer.text)) == 1


@pytest.mark.parametrize("status", [*FIELD_OF, "acknowledged", "note", "confirmed", "nonsense"])
def test_error_whose_form_is_not_on_the_page_is_shown_at_the_top(browser, store, status):
    store.put([incident("INC-A"), incident("INC-B", part_of="INC-A")])
    form = {"status": status, "note": "x", "other": "INC-A", "to": "-", "due": "+1d", **TOKEN}
    form |= {"reason": "chance", "days": "9", "state": "sent", "sighting": "0"}
    answer = browser.post("/incidents/INC-B/decisions", form)
    assert answer.status_code == 400
    assert answer.text.count('id="fault" role="alert"') == 1


def test_refused_suppression_keeps_its_input_on_the_incident(browser, store):
    store.put([incident("INC-A")])
    form = {"what": "incident", "days": "9", "reason": CALLED}
    answer = browser.post("/incidents/INC-A/silence", form)
    assert answer.status_code == 400
    assert 'value="caller used [phone] at nine" aria-invalid="true"' in answer.text
    assert 'value="9"' in answer.text
    assert "<h1>" in answer.text
    assert "INC-A" in answer.text


def test_form_sent_without_a_login_is_kept_and_sent_after_it(desk, accounts, store):
    store.put([incident("INC-A")])
    expired = Browser(desk.app)
    denied = expired.post(DECIDE, {"status": "note", "note": "caller is 72", **TOKEN})
    assert denied.status_code == 401
    wrong = expired.post(
        "/login", {"name": "Li Wei", "password": "x", "kept": read_hidden(denied.text, "kept")}
    )
    assert wrong.status_code == 401
    resumed = expired.log_in("Li Wei", kept=read_hidden(wrong.text, "kept"))
    assert resumed.status_code == 200
    assert "caller is 72" in resumed.text
    assert "Li Wei" in resumed.text
    assert f'action="{DECIDE}"' in resumed.text
    assert store.count(Decision, DocumentFilter()) == 0
    form = dict(re.findall(r'name="(status|token)" value="([^"]*)"', resumed.text))
    sent = expired.post(DECIDE, {**form, "note": "caller is 72"})
    assert sent.status_code == 303
    assert "caller is 72" in expired.get("/incidents/INC-A").text


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/password", {"old": "secret words", "new": "a", "again": "a"}),
        ("/exposed", {"value": PHONE, "purpose": "fraud_case", "case": "C-1"}),
        ("/login", {"name": "Li Wei", "password": "secret words"}),
        (DECIDE, {"status": "note", "note": CALLED}),
    ],
)
def test_login_page_repeats_no_password_and_no_identifier(desk, accounts, path, form):
    answer = Browser(desk.app).post(path, form)
    assert answer.status_code == 401
    for value in ("secret words", PHONE):
        assert value not in answer.text


@pytest.mark.parametrize(
    "kept",
    [
        "x",
        "[]",
        '{"action": "/password", "fields": []}',
        '{"action": "https://evil.example/incidents/X", "fields": []}',
        '{"action": "//evil.example/incidents/X", "fields": []}',
        '{"action": "/incidents/INC-A/decisions", "fields": [["note"]]}',
        '{"action": "/incidents/INC-A/decisions", "fields": 3}',
        '{"action": "/incidents/INC-A/decisions", "fields": [["note", "\\ud800"]]}',
        "[" * 5_000,
    ],
)
def test_malformed_kept_form_is_ignored_at_login(desk, accounts, kept):
    answer = Browser(desk.app).log_in("Li Wei", kept=kept)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


def test_act_on_an_older_version_names_who_acted_and_is_repeatable(
    browser, desk, accounts, store, clock
):
    store.put([incident("INC-A")])
    add_account(accounts, "lina", ["analyst"])
    lina = Browser(desk.app)
    lina.log_in("lina")
    version = read_hidden(browser.get("/incidents/INC-A").text, "seen")
    first = lina.post(DECIDE, {"status": "acknowledged", "token": "1" * 16, "seen": version})
    assert first.status_code == 303
    clock.seconds += timedelta(minutes=1).total_seconds()
    form = {"status": "confirmed", "note": "two rows agree", **TOKEN}
    refused = browser.post(DECIDE, {**form, "seen": version})
    assert refused.status_code == 409
    assert "lina" in refused.text
    assert "acknowledged 1 min ago" in refused.text
    assert "two rows agree" in refused.text
    assert "Act anyway" in refused.text
    assert store.count(Decision, DocumentFilter()) == 1
    again = browser.post(DECIDE, {**form, "seen": read_hidden(refused.text, "seen")})
    assert again.status_code == 303
    assert store.count(Decision, DocumentFilter()) == 2


def test_own_acts_and_notes_need_no_new_version(browser, desk, accounts, store):
    store.put([incident("INC-A")])
    add_account(accounts, "lina", ["analyst"])
    lina = Browser(desk.app)
    lina.log_in("lina")
    version = read_hidden(browser.get("/incidents/INC-A").text, "seen")
    for number, status in enumerate(("acknowledged", "confirmed")):
        form = {"status": status, "token": f"{number:016x}", "seen": version}
        assert browser.post(DECIDE, form).status_code == 303, status
    form = {"status": "note", "note": "called the site", "token": "2" * 16, "seen": version}
    assert lina.post(DECIDE, form).status_code == 303


def test_page_says_what_was_done(browser, store):
    store.put([incident("INC-A")])
    sent = browser.post(DECIDE, {"status": "acknowledged", **TOKEN})
    shown = browser.get(sent.headers["location"].partition("#")[0]).text
    assert re.search(r'role="status"><b>Done</b> acknowledged', shown)
    assert "<b>Done</b>" not in browser.get("/incidents/INC-A").text
    assert "<b>Done</b>" not in browser.get("/incidents/INC-A?did=ffffffffffffffff").text


def test_page_says_that_a_merge_is_being_done(browser, store):
    store.put([incident("INC-A"), incident("INC-B")])
    form = {"status": "merged", "other": "INC-B", "note": "one seller", **TOKEN}
    browser.post(DECIDE, form)
    shown = browser.get("/incidents/INC-A").text
    assert "Being done: INC-B merged into this incident" in shown
    store.put([incident("INC-A", parts=("INC-B",)), incident("INC-B", part_of="INC-A")])
    assert "Being done" not in browser.get("/incidents/INC-A").text


def test_page_says_that_a_sighting_is_being_detached(browser, store, clock):
    fold_all(store, clock, [finding("f", range(10), people="abc")])
    path = f"/incidents/{incident_id('f')}"
    assert "Being done" not in browser.get(path).text
