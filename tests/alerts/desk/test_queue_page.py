"""The queue as a page: what it shows, what stays, and what can be done with several at once."""

import re
from contextlib import closing

import pytest

from alerts.accounts.accounts import Accounts
from alerts.cases.incident_view import heading
from alerts.records import Decision
from alerts.store import DocumentFilter
from tests.alerts.browser import ASKER, add_account
from tests.alerts.builders import incident

CLOCKED = {"severity": "high", "origin": "ours", "clock": "run", "customers": 100}


def find_listed_ids(text: str) -> list[str]:
    return re.findall(r'class="what"><a href="/incidents/([^"]+)"', text)


def test_incidents_of_one_seller_are_one_row_linked_to_the_others(browser, store):
    store.put(
        [incident(f"INC-{n}", series=("@0a1b2c3d",), authors=("@0a1b2c3d",)) for n in range(4)]
    )
    text = browser.get("/").text
    assert len(find_listed_ids(text)) == 1
    assert "+3 by this seller" in text
    assert "seller=%400a1b2c3d" in text


def test_filters_stay_in_links_and_fields(browser, store):
    store.put(
        [incident("INC-A", severity="high", origin="ours"), incident("INC-B", severity="low")]
    )
    text = browser.get("/", params={"severity": "high", "origin": "ours"}).text
    assert find_listed_ids(text) == ["INC-A"]
    assert '<option value="high" selected>' in text
    assert '<option value="ours" selected>' in text
    for link in re.findall(r'<th[^>]*><a href="([^"]+)"', text):
        assert "severity=high" in link
        assert "origin=ours" in link


def test_bulk_assignment_is_confirmed_on_the_page(browser, accounts, store):
    add_account(accounts, "Wang Fang", ["analyst"])
    store.put([incident("INC-A"), incident("INC-B"), incident("INC-C")])
    form = {
        "id": ["INC-A", "INC-B"],
        "act": "assigned",
        "to": "Wang Fang",
        "due": "+3d",
        "days": "90",
    }
    answer = browser.post("/incidents/bulk", form)
    assert answer.status_code == 200
    assert "INC-A: assigned to Wang Fang, due 20" in answer.text
    assert find_listed_ids(browser.get("/?tab=unassigned").text) == ["INC-C"]
    assert {decision.act for decision in store.scroll(Decision, DocumentFilter())} == {
        "assigned",
        "due",
    }


def test_bulk_closing_names_those_waiting_for_a_second_person(browser, store):
    store.put([incident("INC-A", **CLOCKED), incident("INC-B")])
    browser.post("/incidents/bulk", {"id": ["INC-A"], "act": "acknowledged", "days": "90"})
    form = {
        "id": ["INC-A", "INC-B"],
        "act": "false_positive",
        "reason": "chance",
        "days": "30",
        "note": "seen before",
    }
    text = browser.post("/incidents/bulk", form).text
    assert {
        decision.incident
        for decision in store.scroll(Decision, DocumentFilter({"status": ("false_positive",)}))
    } == {"INC-B"}
    assert (
        "INC-A: waiting for a second person: nobody: add an account with role lead or dpo" in text
    )
    assert 'value="INC-B" aria-label' not in text
    [row] = [
        row
        for row in browser.get("/?tab=all").text.split("<tr")
        if "waiting for a second person</span>" in row
    ]
    assert "INC-A" in row


def test_invalid_bulk_form_is_rejected_and_keeps_its_input(browser, store):
    store.put([incident("INC-A")])
    for form in (
        {"act": "assigned", "to": "Wang Fang"},
        {"id": "INC-A", "act": "x", "to": "Wang Fang"},
    ):
        answer = browser.post("/incidents/bulk", {**form, "days": "90"})
        assert answer.status_code == 400
        assert 'value="Wang Fang"' in answer.text
    assert store.count(Decision, DocumentFilter()) == 0


def test_skip_link_leads_to_the_first_incident(browser, store):
    store.put([incident("INC-A")])
    text = browser.get("/").text
    first = re.search(r'<a[^>]*href="([^"]+)"', text)
    assert first is not None
    assert first[1] == "#rows"
    assert text.count("<h1") == 1


def test_row_says_what_leaked_where_and_the_likely_scam(browser, store):
    leak = {"customers": 55, "fields": ("CARD", "ID", "NAME", "PHONE"), "sites": ("demo-forum",)}
    store.put(
        [
            incident(
                "INC-A",
                scenario="X4",
                scenario_title="False loan",
                scenario_title_zh="虚假贷款",
                **leak,
            )
        ]
    )
    text = browser.get("/").text
    assert (
        '<a href="/incidents/INC-A">55 customers: name, phone, ID, card · <span class="whole">'
        'demo-forum</span></a><small><span class="ref">INC-A</span> · False loan' in text
    )
    chinese = browser.get("/", headers={"accept-language": "zh"}).text
    assert "55名客户：姓名、手机号、身份证号、银行卡号 · " in chinese
    assert '</a><small><span class="ref">INC-A</span> · 虚假贷款' in chinese


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"customers": 1, "fields": ("PHONE",)}, "1 customer: phone · forum"),
        ({"customers": 1, "fields": ("PHONE",), "incomplete": ("spent",)},
        "≥ 1 customers: phone · forum"),
        ({"customers": 1_234, "kinds": ("iban",)}, "1,234 customers: IBAN · forum"),
        ({"customers": 2, "fields": tuple("ADDRESS AGE CARD EMAIL ID NAME OTHER PHONE".split())},
         "2 customers: name, phone, ID, card, mail, +2 · forum"),
        ({"customers": 0, "alarm": True}, "Customer data offered, no match yet · forum"),
        ({"customers": 0}, "No customer matched · forum"),
        ({"customers": 3, "sites": ("forum", "pastes", "chat")}, "3 customers · forum +2"),
    ],
)  # fmt: skip
def test_incident_heading_says_what_leaked_of_whom_and_where(facts, said):
    fields = {"sites": ("forum",), "kinds": (), "fields": (), "alarm": False, **facts}
    assert heading(incident("INC-A", **fields)) == said


def test_filters_are_saved_for_one_account(browser, log_in, store):
    store.put([incident("INC-A", severity="high"), incident("INC-B", severity="low")])
    answer = browser.post("/incidents/filters?severity=high&q=loan", {"title": "Night shift"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/?severity=high&q=loan")
    text = browser.get("/").text
    assert '<a href="/?severity=high&amp;q=loan">Night shift</a>' in text
    assert "Night shift" not in log_in("analyst").get("/").text
    assert (
        '<a href="/?severity=high&amp;q=loan" aria-current="page">Night shift</a>'
        in browser.get("/?severity=high&q=loan").text
    )
    browser.post("/incidents/filters?severity=low", {"title": "Night shift"})
    assert '<a href="/?severity=low">Night shift</a>' in browser.get("/").text
    browser.post("/incidents/filters/remove", {"title": "Night shift"})
    assert "Night shift" not in browser.get("/").text


@pytest.mark.parametrize(
    ("query", "title"),
    [
        ("severity=high", ""),
        ("severity=high", "x" * 41),
        ("severity=high", "13800138000"),
        ("q=13800138000", "x"),
    ],
)
def test_invalid_filter_is_rejected_and_not_echoed(browser, query, title):
    answer = browser.post(f"/incidents/filters?{query}", {"title": title})
    assert answer.status_code == 400
    assert 'role="alert"' in answer.text
    assert "13800138000" not in answer.text
    assert "Saved filters" not in browser.get("/").text


def test_at_most_twenty_filters_are_saved(browser):
    for number in range(20):
        assert (
            browser.post(
                "/incidents/filters?severity=high", {"title": f"filter {number}"}
            ).status_code
            == 303
        )
    assert (
        browser.post("/incidents/filters?severity=high", {"title": "filter 19"}).status_code == 303
    )
    answer = browser.post("/incidents/filters?severity=high", {"title": "one more"})
    assert (answer.status_code, "at most 20 filters" in answer.text.lower()) == (400, True)


def test_owners_are_chosen_from_accounts_and_dates_from_a_calendar(browser, accounts, store):
    add_account(accounts, "Wang Fang", ["analyst"])
    store.put([incident("INC-A"), incident("INC-B")])
    form = {"id": ["INC-A"], "act": "assigned", "days": "90"}
    assert (
        "INC-A: nobody with an account of that name"
        in browser.post("/incidents/bulk", {**form, "to": "Nobody"}).text
    )
    browser.post("/incidents/bulk", {**form, "to": "Wang Fang"})
    accounts.set_disabled("Wang Fang", is_disabled=True)
    text = browser.get("/?assignee=Wang Fang&since=2026-09-01").text
    assert find_listed_ids(text) == ["INC-A"]
    assert '<option value="Wang Fang" selected>Wang Fang</option>' in text, (
        "who has no account any more can be looked for as well"
    )
    assert text.count(f'<option value="{ASKER}">{ASKER}</option>') == 2, "to filter, and to assign"
    assert 'name="since" value="2026-09-01" maxlength="40" autocomplete="off" type="date"' in text
    assert (
        'name="since" value="12h" maxlength="40" autocomplete="off">'
        in browser.get("/?since=12h").text
    )


def test_accounts_of_an_earlier_release_can_save_filters(tmp_path, clock):
    for _ in range(2):
        with closing(Accounts(tmp_path, clock.as_clock())) as accounts:
            accounts.save_filter("Li", "mine", "?tab=mine")
            assert accounts.list_filters("LI") == {"mine": "?tab=mine"}
            accounts._connection.execute("drop table saved_filters")
