"""The queue as a page: what it shows, what stays, and what can be done with several at once."""

import re

from alerts.records import Decision
from alerts.store import DocumentFilter
from tests.alerts.builders import incident

CLOCKED = {"severity": "high", "origin": "ours", "clock": "run", "customers": 100}


def shown(text: str) -> list[str]:
    return re.findall(r'class="what"><a href="/incidents/([^"]+)"', text)


def test_a_series_is_one_row_which_leads_to_the_others(browser, store):
    store.put([incident(f"INC-{n}", series=("@0a1b2c3d",), authors=("@0a1b2c3d",)) for n in range(4)])
    text = browser.get("/").text
    assert len(shown(text)) == 1
    assert "+3 by this seller" in text
    assert "seller=%400a1b2c3d" in text


def test_filters_stay_in_links_and_fields(browser, store):
    store.put([incident("INC-A", severity="high", origin="ours"), incident("INC-B", severity="low")])
    text = browser.get("/", params={"severity": "high", "origin": "ours"}).text
    assert shown(text) == ["INC-A"]
    assert '<option value="high" selected>' in text
    assert '<option value="ours" selected>' in text
    for link in re.findall(r'<th[^>]*><a href="([^"]+)"', text):
        assert "severity=high" in link
        assert "origin=ours" in link


def test_several_are_assigned_and_the_page_says_so(browser, store):
    store.put([incident("INC-A"), incident("INC-B"), incident("INC-C")])
    form = {"id": ["INC-A", "INC-B"], "act": "assigned", "to": "Wang Fang", "due": "+3d", "days": "90"}
    answer = browser.post("/incidents/bulk", form)
    assert answer.status_code == 200
    assert "INC-A: assigned to Wang Fang, due 20" in answer.text
    assert shown(browser.get("/?tab=unassigned").text) == ["INC-C"]
    assert {one.act for one in store.scroll(Decision, DocumentFilter())} == {"assigned", "due"}


def test_closing_several_refuses_by_name_and_what_was_typed_stays(browser, store):
    store.put([incident("INC-A", **CLOCKED), incident("INC-B")])
    browser.post("/incidents/bulk", {"id": ["INC-A"], "act": "acknowledged", "days": "90"})
    form = {"id": ["INC-A", "INC-B"], "act": "false_positive", "reason": "chance", "days": "30", "note": "seen before"}
    text = browser.post("/incidents/bulk", form).text
    assert {one.incident for one in store.scroll(Decision, DocumentFilter({"status": ("false_positive",)}))} == {"INC-B"}
    assert "Record the reports, or have a lead and the DPO waive them" in text
    assert 'value="INC-A" aria-label="Choose INC-A" checked' in text
    assert 'value="INC-B" aria-label' not in text
    assert 'value="seen before"' in text


def test_a_form_for_nothing_is_refused_and_keeps_what_was_typed(browser, store):
    store.put([incident("INC-A")])
    for form in ({"act": "assigned", "to": "Wang Fang"}, {"id": "INC-A", "act": "x", "to": "Wang Fang"}):
        answer = browser.post("/incidents/bulk", {**form, "days": "90"})
        assert answer.status_code == 400
        assert 'value="Wang Fang"' in answer.text
    assert store.count(Decision, DocumentFilter()) == 0


def test_the_first_incident_is_one_jump_from_the_top(browser, store):
    store.put([incident("INC-A")])
    text = browser.get("/").text
    first = re.search(r'<a[^>]*href="([^"]+)"', text)
    assert first is not None
    assert first[1] == "#rows"
    assert text.count("<h1") == 1
