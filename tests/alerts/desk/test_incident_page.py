"""One incident as a page: what it says, what can be done, and that a refused form keeps what was
typed.
"""

import csv
import io
import re

import pytest

from alerts.deadlines.outstanding import IncidentDeadlines
from alerts.records import Decision, Sighting, incident_id
from alerts.store import DocumentFilter
from alerts.web.next_action import choose_decision
from tests.alerts.browser import OURS, add_account
from tests.alerts.builders import finding, fold_all, incident
from tests.factories import WHEN
from ullage import audit

PARTS = ("clocks", "assessment", "customers", "seen", "history")
CLOCKED = {"severity": "high", "origin": "ours", "clock": "run", "customers": 100}
TOKEN = {"token": "0" * 16}


def test_title_says_what_how_many_and_where(browser, store):
    store.put(
        [
            incident(
                "INC-A",
                scenario="X4",
                scenario_title="False loan",
                customers=1_234,
                sites=("forum",),
            )
        ]
    )
    page = browser.get("/incidents/INC-A").text
    assert re.search("<h1>1,234 customers: [^<]* · forum</h1>", page)
    assert "<b>False loan</b>" in page


def test_acknowledge_button_names_the_deadlines_it_starts(browser, store):
    store.put([incident("INC-A", **CLOCKED)])
    text = browser.get("/incidents/INC-A").text
    assert "Deadlines started: PIPL Art. 57 (first report)" in text
    answer = browser.post("/incidents/INC-A/decisions", {"status": "acknowledged", **TOKEN})
    assert answer.status_code == 303
    assert "This starts" not in browser.get("/incidents/INC-A").text


@pytest.mark.parametrize(
    ("form", "kept"),
    [
        ({"status": "due", "due": "some day"}, 'value="some day" aria-invalid="true"'),
        ({"status": "assigned", "to": "Wang Fang"}, 'name="to" aria-invalid="true"'),
        ({"status": "linked", "other": "INC-NOBODY"}, 'value="INC-NOBODY" aria-invalid="true"'),
        (
            {"status": "excused", "reason": "", "days": "30", "note": "seen before"},
            'value="seen before"',
        ),
        (
            {"status": "excused", "reason": "chance", "days": "999"},
            'value="999" aria-invalid="true"',
        ),
    ],
)
def test_rejected_form_keeps_its_input_with_the_error_at_its_field(browser, store, form, kept):
    store.put([incident("INC-A")])
    answer = browser.post("/incidents/INC-A/decisions", {**form, **TOKEN})
    assert answer.status_code == 400
    assert kept in answer.text
    assert answer.text.count('id="fault"') == 1
    assert store.count(Decision, DocumentFilter()) == 0


def test_history_lists_every_decision(browser, store):
    store.put([incident("INC-A"), incident("INC-B")])
    for number, form in enumerate((
        {"status": "assigned", "to": "Li Wei", "due": "+3d"},
        {"status": "note", "note": "called the site"},
        {"status": "takedown", "state": "sent"}, {"status": "linked", "other": "INC-B"},
        {"status": "excused", "reason": "chance", "days": "30"},
    )):  # fmt: skip
        assert (
            browser.post(
                "/incidents/INC-A/decisions", {**form, "token": f"{number:016x}"}
            ).status_code
            == 303
        ), form
    text = browser.get("/incidents/INC-A").text
    for line in (
        "assigned to Li Wei",
        "called the site",
        "takedown sent",
        "linked with INC-B",
        "numbers that match by chance",
    ):
        assert line in text, line


def test_customer_export_contains_pseudonyms_and_is_audited(browser, store, clock, context):
    fold_all(store, clock, [finding("f", range(10), people="abc")])
    answer = browser.post(f"/incidents/{incident_id('f')}/customers.csv", {})
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert len({row["handle"] for row in rows}) == 3
    assert "customers.export" in [
        entry.action for _, entry in audit.read_entries(context.data / "audit")
    ]


def test_report_and_letter_are_downloaded_as_files(browser, store, clock):
    fold_all(store, clock, [finding("f", range(10), people="abc")])
    report = browser.post(f"/incidents/{incident_id('f')}/report", {"lang": "zh"})
    assert report.content.startswith(b"PK")
    letter = browser.post(f"/incidents/{incident_id('f')}/letter", {"lang": "zh"})
    assert "民法典" in letter.text
    assert incident_id("f") in letter.text


def test_letter_lists_only_existing_posts(browser, store, clock):
    fold_all(store, clock, [finding("f", range(10), people="abc")])
    [sighting] = store.scroll(Sighting, DocumentFilter())
    gone = {"gone_at": clock.as_clock().now(), "gone_how": "deleted"}
    store.put([sighting.model_copy(update={"id": "gone", "site": "elsewhere", **gone})])
    letter = browser.post(f"/incidents/{incident_id('f')}/letter", {"lang": "en"}).text
    assert sighting.site in letter
    assert "elsewhere" not in letter
    store.put([sighting.model_copy(update=gone)])
    refused = browser.post(f"/incidents/{incident_id('f')}/letter", {"lang": "en"})
    assert refused.status_code == 400
    assert "All posts of this incident have been removed" in refused.text


def test_addresses_need_a_case_and_a_reason(browser, store):
    store.put([incident("INC-A")])
    answer = browser.post("/incidents/INC-A/addresses", {"case": "", "reason": "takedown"})
    assert answer.status_code == 400
    assert 'value="takedown"' in answer.text


SENT = {"sent_at": "2020-01-02T03:04", "channel": "phone", "reference": "R-1"}


@pytest.fixture
def alone(data) -> None:
    """Make a team of one person, who ends deadlines alone."""
    (data / "ullage.toml").write_text("second_person = false\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({}, "Enter when the report was sent, and by which channel"),
        ({"sent_at": "2020-01-02T03:04"}, "Enter when the report was sent, and by which channel"),
        ({**SENT, "channel": "pigeon"}, "A report&#39;s channel must be one of"),
        ({**SENT, "sent_at": "2050-01-01T00:00"}, "The time of the report is in the future"),
        ({**SENT, "sent_at": "tomorrow"}, "The time of the report is not valid"),
        ({**SENT, "reference": "13800138000"}, "A reference must have at most"),
    ],
)
def test_report_needs_a_time_and_a_channel(browser, store, typed, said):
    store.put([incident("INC-A", **CLOCKED)])
    browser.post("/incidents/INC-A/decisions", {"status": "confirmed", **TOKEN})
    answer = browser.post(
        "/incidents/INC-A/decisions",
        {
            "status": "reported",
            "report": "pipl-57 first",
            "reference pipl-57": typed.get("reference", ""),
            "no_reference": "" if typed.get("reference") else "none given",
            "token": "1" * 16,
            **typed,
        },
    )
    assert answer.status_code == 400
    assert said in answer.text
    checked = re.findall(r'name="report" value="([^"]+)" checked', answer.text)
    assert checked == ["pipl-57 first"], "what was ticked stays so"


def test_correction_of_a_report_is_a_second_entry_with_a_reason(alone, browser, store):
    store.put([incident("INC-A", **CLOCKED)])
    browser.post("/incidents/INC-A/decisions", {"status": "confirmed", **TOKEN})
    sent = {"status": "reported pipl-57 first", **SENT, "reference": "R-1"}
    assert (
        browser.post("/incidents/INC-A/decisions", {**sent, "token": "1" * 16}).status_code == 303
    )
    again = {**sent, "channel": "portal", "reference": "R-2"}
    refused = browser.post("/incidents/INC-A/decisions", {**again, "token": "2" * 16})
    assert refused.status_code == 400
    assert "give the correction in the note" in refused.text
    corrected = browser.post(
        "/incidents/INC-A/decisions", {**again, "note": "wrong number", "token": "3" * 16}
    )
    assert corrected.status_code == 303
    clock = next(
        deadline
        for deadline in browser.get("/v1/incidents/INC-A").json()["deadlines"]
        if deadline["regime"] == "pipl-57"
    )
    assert (clock["state"], clock["channel"], clock["reference"]) == ("met", "portal", "R-2")
    shown = browser.get("/incidents/INC-A").text
    assert (
        shown.count("report sent, telephone: ")
        == shown.count("report sent, the authority&#39;s portal: ")
        == 1
    )


def test_one_form_records_the_ticked_reports_each_under_the_reference_of_its_rule(
    alone, browser, store
):
    store.put([incident("INC-A", **CLOCKED)])
    browser.post("/incidents/INC-A/decisions", {"status": "confirmed", **TOKEN})
    text = browser.get("/incidents/INC-A").text
    offered = re.findall(r'name="report" value="([^"]+)"( checked)?', text)
    ticked = {name for name, is_ticked in offered if is_ticked}
    assert text.count('value="reported"') == 1, "one form for all"
    assert {name for name, _ in offered} - ticked == {"nfra-2024 final"}, "its moment has not come"
    form = {"status": "reported", "token": "1" * 16, **SENT, "no_reference": "none given"}
    form |= {"reference pboc-2025": "R-1", "reference nfra-2024": "R-2"}
    of_incident = {"incident": ("INC-A",)}

    def list_recorded() -> list[tuple[str, str, str, str]]:
        return sorted(
            (report.regime, report.stage, report.reference, report.no_reference)
            for report in store.scroll(Decision, DocumentFilter(of_incident))
            if report.regime
        )

    for changed in (
        {"report": []},
        {"report": ["pboc-2025 brief", "gdpr first"]},
        {"report": ["nfra-2024 first", "nfra-2024 final"]},
        {"report": ["pboc-2025 brief", "nfra-2024 final"]},
        {"report": sorted(ticked), "reference pipl-57": "13800138000"},
        {"report": sorted(ticked), "no_reference": ""},
    ):
        assert browser.post("/incidents/INC-A/decisions", {**form, **changed}).status_code == 400
        assert list_recorded() == [], "none, as one of them is wrong"
    wrong = {**form, "report": sorted(ticked), "reference pipl-57": "13800138000"}
    shown = browser.post("/incidents/INC-A/decisions", wrong).text
    assert re.search(r'name="reference pipl-57"[^>]* aria-invalid="true"', shown), "at its field"
    for _ in range(2):  # the same form sent twice records nothing twice
        sent = {**form, "report": sorted(ticked)}
        assert browser.post("/incidents/INC-A/decisions", sent).status_code == 303
    assert list_recorded() == [
        ("nfra-2024", "first", "R-2", ""),
        ("nfra-2024", "written", "R-2", ""),
        ("pboc-2025", "brief", "R-1", ""),
        ("pboc-2025", "first", "R-1", ""),
        ("pipl-57", "first", "", "none given"),
    ]
    after = browser.get("/incidents/INC-A").text
    assert re.findall(r'name="report" value="([^"]+)"', after) == ["nfra-2024 final"]
    assert after.count("Correct this report") == 5


def test_rules_are_shown_by_name_not_id(alone, browser, store):
    store.put([incident("INC-A", **CLOCKED)])
    browser.post("/incidents/INC-A/decisions", {"status": "acknowledged", **TOKEN})
    browser.post(
        "/incidents/INC-A/decisions",
        {"status": "reported pipl-57 first", "token": "1" * 16, **SENT},
    )
    for language, called in (
        ("en", "report sent, telephone: PIPL Art. 57 (first report)"),
        ("zh", "已报送（电话）：个人信息保护法第五十七条（首次报告）"),
    ):
        text = browser.get("/incidents/INC-A", headers={"accept-language": language}).text
        assert called in text
        shown = re.sub(r'value="[^"]*"', "", text)
        assert "pipl-57" not in shown


def entries(text: str) -> list[str]:
    """List what the history offers to undo."""
    return re.findall(r'name="entry" value="([^"]+)"', text)


def test_decision_without_legal_effect_is_undone_from_the_history(browser, store):
    store.put([incident("INC-A"), incident("INC-B")])
    for number, form in enumerate((
        {"status": "assigned", "to": "Li Wei"}, {"status": "linked", "other": "INC-B"},
        {"status": "note", "note": "seen"},
    )):  # fmt: skip
        browser.post("/incidents/INC-A/decisions", {**form, "token": f"{number:016x}"})
    assert entries(browser.get("/incidents/INC-A").text) == [
        "INC-A:0000000000000001",
        "INC-A:0000000000000000",
    ]
    for number, entry in enumerate(entries(browser.get("/incidents/INC-A").text), 7):
        sent = {"status": "undone", "entry": entry, "token": f"{number:016x}"}
        assert browser.post("/incidents/INC-A/decisions", sent).status_code == 303
    text = browser.get("/incidents/INC-A").text
    assert (
        "undone: assigned to Li Wei" in text,
        "undone: linked with INC-B" in text,
        entries(text),
    ) == (True, True, [])
    assert "assigned to <b>nobody" in text
    again = browser.post(
        "/incidents/INC-A/decisions", {"status": "undone", "entry": "INC-A:x", "token": "f" * 16}
    )
    assert (again.status_code, "already undone" in again.text) == (400, True)


def test_suppression_is_undone_on_the_incident_page(browser, store, clock):
    fold_all(store, clock, [finding("f", range(10), people="abc")])
    link = f"/incidents/{incident_id('f')}"
    browser.post(f"{link}/silence", {"what": "incident", "days": "9", "reason": "seen before"})
    (id_,) = re.findall(r"/suppressions/(SUP-\w+)/lift", browser.get(link).text)
    answer = browser.post(
        f"/suppressions/{id_}/lift", {"reason": "undone", "incident": incident_id("f")}
    )
    assert (answer.status_code, answer.headers["location"]) == (303, link)
    assert "Suppressed" not in browser.get(link).text


def test_incidents_are_merged_and_split_on_the_page(browser, store):
    store.put([incident("INC-A"), incident("INC-B")])
    refused = browser.post(
        "/incidents/INC-A/decisions", {"status": "merged", "other": "INC-B", "note": "", **TOKEN}
    )
    assert (
        refused.status_code,
        'value="INC-B"' in refused.text,
        refused.text.count('id="fault"'),
    ) == (400, True, 1)
    sent = {"status": "merged", "other": "INC-B", "note": "one seller", **TOKEN}
    assert browser.post("/incidents/INC-A/decisions", sent).status_code == 303
    assert "INC-B merged into this incident" in browser.get("/incidents/INC-A").text
    assert "merged into INC-A" in browser.get("/incidents/INC-B").text
    sent = {"status": "split", "other": "INC-B", "note": "two sellers", "token": "1" * 16}
    assert browser.post("/incidents/INC-A/decisions", sent).status_code == 303
    assert "INC-B split off" in browser.get("/incidents/INC-A").text
    assert "split from INC-A" in browser.get("/incidents/INC-B").text


@pytest.mark.parametrize(
    ("form", "shown"),
    [
        ({}, "clocks"),
        ({"status": "reported pipl-57 initial"}, "clocks"),
        ({"status": "linked", "other": "INC-NOBODY"}, "clocks"),
    ],
)
def test_first_tab_has_the_rejected_form_or_the_due_deadlines(browser, store, form, shown):
    store.put([incident("INC-A", **CLOCKED)])
    path = "/incidents/INC-A"
    assert (
        browser.post(f"{path}/decisions", {"status": "acknowledged", "token": "a" * 16}).status_code
        == 303
    )
    text = (
        browser.post(f"{path}/decisions", {**form, **TOKEN}) if form else browser.get(path)
    ).text
    assert re.findall(r'<(?:section|div) class="(?:card )?tab first" id="(\w+)"', text) == [shown]
    assert re.findall(r'<(?:section|div) class="(?:card )?tab(?: first)?" id="(\w+)"', text) == [
        *PARTS
    ]
    assert re.findall(r'<a href="#(\w+)"(?: class="first")?>', text)[: len(PARTS)] == [*PARTS], (
        "each has its tab, in order"
    )


def test_assessment_is_the_first_tab_without_deadlines(browser, store):
    store.put([incident("INC-A")])
    assert 'class="tab first" id="assessment"' in browser.get("/incidents/INC-A").text
    refused = browser.post("/incidents/INC-A/addresses", {"case": "", "reason": "takedown"}).text
    assert 'class="card tab first" id="seen"' in refused


def test_owner_is_chosen_from_permitted_accounts(browser, store, accounts):
    for name, role, tenants in (
        ("Wang Fang", "analyst", ["bank"]),
        ("Zhao Min", "analyst", ["shop"]),
        ("Sun Li", "agent", ["bank"]),
    ):
        add_account(accounts, name, [role], tenants)
    store.put([incident("INC-A")])
    text = browser.get("/incidents/INC-A").text
    [choice] = re.findall(r'<select name="to">(.*?)</select>', text)
    assert re.findall(r'<option value="([^"]+)"', choice) == ["Li Wei", "Wang Fang", "-"]
    assert '<option value="Li Wei" selected>Li Wei (me)' in choice
    for name in ("Zhao Min", "Sun Li", "Nobody"):
        answer = browser.post(
            "/incidents/INC-A/decisions", {"status": "assigned", "to": name, **TOKEN}
        )
        assert "Nobody with an account of that name may work on this incident" in answer.text, name
    assert (
        browser.post(
            "/incidents/INC-A/decisions", {"status": "assigned", "to": "Wang Fang", **TOKEN}
        ).status_code
        == 303
    )
    assert '<option value="Wang Fang" selected>' in browser.get("/incidents/INC-A").text


def test_due_date_is_in_the_tenant_zone_and_can_be_cleared(browser, store):
    store.put([incident("INC-A")])
    path = "/incidents/INC-A"
    assert "Due (Asia/Shanghai)" in browser.get(path).text
    assert (
        browser.post(
            f"{path}/decisions", {"status": "due", "due": "2026-10-01T09:30", **TOKEN}
        ).headers["location"]
        == f"{path}?did={TOKEN['token']}"
    )
    assert 'name="due" min="2026-09-21T22:13" value="2026-10-01T09:30"' in browser.get(path).text
    assert (
        browser.post(
            f"{path}/decisions", {"status": "due", "due": "", "token": "1" * 16}
        ).status_code
        == 303
    )
    assert re.search(r'name="due" min="[^"]+" value=""', browser.get(path).text)


def test_report_draft_uses_the_language_of_the_reader(browser, store, clock):
    fold_all(store, clock, [finding("f", range(10), people="abc")])
    path = f"/incidents/{incident_id('f')}"
    for language, name in (("en", "English"), ("zh", "中文")):
        text = browser.get(path, headers={"accept-language": language}).text
        assert f'<option value="{language}" selected>{name}</option>' in text
        draft = browser.post(f"{path}/report", {}, headers={**OURS, "accept-language": language})
        assert (
            f'filename="{incident_id("f")}-{language}.docx"' in draft.headers["content-disposition"]
        )


def read_next_step(text: str) -> str:
    """Return the section of the next step."""
    return re.findall(r'<section class="next">.*?</section>', text, re.DOTALL)[0]


@pytest.mark.parametrize(
    ("decided", "changes", "button"),
    [
        ((), CLOCKED, "Acknowledge"),
        (("acknowledged",), CLOCKED, "Confirm as our leak"),
        (("acknowledged", "confirmed"), CLOCKED, "Record the reports"),
        (("acknowledged",), {"origin": "elsewhere", "severity": "medium"}, "Call list"),
    ],
)
def test_next_step_has_the_button_that_does_it(browser, store, decided, changes, button):
    store.put([incident("INC-A", scenario="S1", **changes)])
    for number, status in enumerate(decided):
        form = {"status": status, "token": f"{number:016x}"}
        assert browser.post("/incidents/INC-A/decisions", form).status_code == 303
    section = read_next_step(browser.get("/incidents/INC-A").text)
    assert re.search(f"<(button|a)[^>]*>{button}", section), section


def test_next_step_names_who_may_do_it(store, accounts, log_in):
    store.put([incident("INC-A", **CLOCKED)])
    for name in ("wang", "zhou"):
        add_account(accounts, name, ["analyst"], ["bank"])
    reader = log_in("auditor")
    section = read_next_step(reader.get("/incidents/INC-A").text)
    assert "<button" not in section
    assert "Acknowledge: ask Li Wei, wang or zhou" in section
    section = read_next_step(reader.get("/incidents/INC-A", headers={"accept-language": "zh"}).text)
    assert "受理：请联系 Li Wei、wang 或 zhou" in section


def test_header_says_when_it_was_posted_and_seen(browser, store):
    store.put([incident("INC-A", published_at=WHEN)])
    text = browser.get("/incidents/INC-A").text
    header = text[text.index('<div class="head">') : text.index('<div class="work">')]
    for words in ("posted", "first seen", "last seen"):
        assert f"{words} <b>20" in header, words


def test_severity_owner_and_due_date_are_shown_once(log_in, store):
    store.put([incident("INC-A")])
    text = log_in("auditor").get("/incidents/INC-A").text
    assert text.count('class="badge') == 1
    assert "assigned to <b>nobody" in text
    assert 'id="panel"' not in text


def test_call_list_is_offered_in_one_place(browser, store):
    store.put([incident("INC-A", **CLOCKED), incident("INC-B", customers=0)])
    for id_ in ("INC-A", "INC-B"):
        assert browser.get(f"/incidents/{id_}").text.count("/customers.csv") == 1, id_


def test_reported_incident_without_open_deadline_can_be_resolved():
    fields = {"id": "d", "tenant": "bank", "incident": "INC-A", "at": WHEN, "by": "Li Wei"}
    sent = Decision.model_validate({**fields, "status": "reported"})
    owed = IncidentDeadlines((sent,), (), None, {})
    button = choose_decision(incident("INC-A"), owed)
    assert (button.value, button.permission) == ("resolved", "incident.close")
