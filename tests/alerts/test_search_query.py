"""The search box of the queue and of an incident's customers: it finds what the pages show."""

import re
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from alerts.cases.search_query import parse_query
from alerts.records import Incident
from alerts.records.document import QueryError
from tests.alerts.browser import ASKER
from tests.alerts.builders import finding, fold_all, handle, incident
from tests.alerts.desk.test_queue_page import find_listed_ids
from tests.stores import on_server_too
from ullage.records import Claims


def find_ids(browser, words: str) -> set[str]:
    answer = browser.get("/", params={"q": words, "tab": "all", "flat": "1"})
    assert answer.status_code == 200, words
    return {*find_listed_ids(answer.text)}


@pytest.fixture
def incident_with_note(store, browser, clock) -> Incident:
    """Store an incident with a note and an owner beside another one, and return it."""
    described = incident(
        "INC-A",
        severity="high",
        fields=("NAME", "CARD"),
        kinds=("card",),
        customers=1_234,
        claims=Claims(volume=300_000, price=512.5, currency="USDT"),
        published_at=clock.as_clock().now() - timedelta(days=3),
        sites=("night-market.example",),
    )
    store.put([described, incident("INC-B", fields=("PHONE",), sites=("board",))])
    browser.get("/")
    form = {"id": ["INC-A"], "days": "90"}
    note = {"act": "acknowledged", "note": "seller known from the autumn case"}
    browser.post("/incidents/bulk", {**form, **note})
    browser.post("/incidents/bulk", {**form, "act": "assigned", "to": ASKER, "due": "+3h"})
    return described


@on_server_too
def test_search_finds_what_the_pages_show(browser, incident_with_note, store):
    store.refresh()
    words = [
        "autumn case", "Li Wei", "card", "银行卡号", "300,000", "300000", "512.5", "1,234",
        "night-market.example", "site:night-market.example", "status:acknowledged", "状态:已受理",
        "severity:high", "kind:card", 'owner:"Li Wei"', "owner:me status:acknowledged", "due:<1d",
    ]  # fmt: skip
    for typed in words:
        assert find_ids(browser, typed) == {"INC-A"}, typed
    for typed in ("site:board status:acknowledged", "autumn owner:nobody"):
        assert find_ids(browser, typed) == set(), typed


@on_server_too
def test_search_finds_days_of_posts_and_of_sightings(browser, incident_with_note, store, context):
    zone = context.tenant("bank").zone
    posted = incident_with_note.published_at.astimezone(ZoneInfo(zone)).date()
    last_day = incident_with_note.first_seen.astimezone(ZoneInfo(zone)).date()
    store.refresh()
    assert "INC-A" in find_ids(browser, f"{posted}")
    assert find_ids(browser, f"posted:{posted} card") == {"INC-A"}
    assert find_ids(browser, f"posted:{str(posted)[:7]} card") == {"INC-A"}
    assert "INC-A" in find_ids(browser, f"seen:{last_day}")
    assert find_ids(browser, f"seen:{posted} status:acknowledged") == set()


@on_server_too
def test_search_finds_incidents_of_a_pseudonym(browser, store, clock):
    leaks = [finding("f", range(10), people="ab"), finding("g", range(20, 30), people="cd")]
    fold_all(store, clock, leaks)
    everything = find_ids(browser, "")
    assert len(everything) == 2
    whole = find_ids(browser, handle("a"))
    assert len(whole) == 1
    assert find_ids(browser, handle("a")[:8]) == whole
    assert find_ids(browser, handle("c")) == everything - whole
    assert find_ids(browser, f"{handle('a')} {handle('c')}") == set()
    assert find_ids(browser, "deadbeef") == set()


@pytest.mark.parametrize("typed", ["due:soon", "opened:7d", "posted:yesterday", "seen:2025"])
def test_invalid_qualifier_is_rejected_with_its_format(browser, typed):
    answer = browser.get("/", params={"q": typed})
    assert answer.status_code == 400
    assert "such as" in answer.text
    assert typed not in answer.text


@pytest.mark.parametrize("typed", ["site:13800138000", "owner:13800138000", "posted:13800138000"])
def test_identifier_in_a_qualifier_is_rejected_and_not_echoed(browser, typed):
    answer = browser.get("/", params={"q": typed})
    assert answer.status_code == 400
    assert "13800138000" not in answer.text


def test_unknown_qualifier_is_searched_as_words():
    assert parse_query("https://a.example price:500", "Li").text == "https://a.example price:500"
    with pytest.raises(QueryError):
        parse_query("due:x", "Li")


def test_export_link_has_the_filters_of_the_search_box(browser, incident_with_note):
    text = browser.get("/", params={"q": "status:acknowledged card"}).text
    assert "/v1/export/csv?status=acknowledged&amp;q=card" in text


def test_pages_of_the_queue_say_which_rows_they_show(browser, store):
    store.put([incident(f"INC-{number:03}") for number in range(120)])
    text, ranges = browser.get("/").text, []
    while True:
        ranges.append(re.search(r"(\d+)–(\d+) of (\d+)", text).groups())
        following = re.search(r'class="button second" href="([^"]*row=[^"]*)"', text)
        if following is None:
            break
        text = browser.get(following[1].replace("&amp;", "&")).text
    assert ranges == [("1", "50", "120"), ("51", "100", "120"), ("101", "120", "120")]


def test_queue_can_be_sorted_without_its_header(browser, store):
    store.put([incident(f"INC-{n}", customers=n + 1) for n in range(3)])
    text = browser.get("/?order=customers").text
    assert find_listed_ids(text) == ["INC-2", "INC-1", "INC-0"]
    assert '<option value="customers" selected>' in text


@on_server_too
def test_customers_of_an_incident_can_be_searched_and_paged(browser, store, clock):
    people = [f"{number}" for number in range(450)]
    fold_all(store, clock, [finding("f", range(600), people=people)])
    store.refresh()
    [id_] = find_ids(browser, "")
    text, ranges, listed = browser.get(f"/incidents/{id_}").text, [], []
    while True:
        part = text[text.index('id="customers"') : text.index('id="seen"')]
        ranges.append(re.search(r"(\d+)–(\d+) of (\d+)", part).groups())
        listed += re.findall(r"<code>([0-9a-f]{32})</code>", part)
        following = re.search(r'class="button second" href="([^"]*row=[^"]*)"', part)
        if following is None:
            break
        text = browser.get(following[1].replace("&amp;", "&")).text
    assert ranges == [("1", "200", "450"), ("201", "400", "450"), ("401", "450", "450")]
    assert len({*listed}) == 450
    pseudonym = handle("7")
    narrowed = browser.get(f"/incidents/{id_}?customer={pseudonym[:10].upper()}").text
    assert re.findall(r"<code>([0-9a-f]{32})</code>", narrowed) == [pseudonym]
    assert "1–1 of 1" in narrowed
    assert (
        "No customer of this incident matches."
        in browser.get(f"/incidents/{id_}?customer={'0a' * 10}").text
    )


@pytest.mark.parametrize("typed", ["13800138000", "Wang Fang", "<script>"])
def test_invalid_pseudonym_is_rejected_and_not_echoed(browser, phone_incident, typed):
    answer = browser.get(f"/incidents/{phone_incident}", params={"customer": typed})
    assert answer.status_code == 400
    assert typed not in answer.text
