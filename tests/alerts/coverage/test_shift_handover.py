"""A shift is handed over to one person, with a note, and that person accepts it."""

import html
import re

import pytest

from alerts.accounts import ALL
from alerts.records import ShiftHandover
from alerts.store import DocumentFilter
from tests.alerts.browser import ASKER, PHONE, Browser, add_account
from tests.alerts.builders import incident
from tests.alerts.coverage.heartbeats import HOUR, NINE
from ullage.audit import read_entries

NOTE = "Call the board's host again at nine."
TAKER = "Zhou Li"


@pytest.fixture
def taker(desk, accounts) -> Browser:
    """Return the browser of somebody who may take over."""
    add_account(accounts, TAKER, ["analyst"])
    opened = Browser(desk.app)
    assert opened.log_in(TAKER).status_code == 303
    return opened


@pytest.fixture(autouse=True)
def incidents(store, clock) -> None:
    clock.seconds = NINE.timestamp()
    store.put([incident("INC-NEW", NINE - HOUR, severity="high")])


def hand_over(browser: Browser, **typed: str):
    page = browser.get("/handover").text
    token = re.search(r'action="/handover"><input type="hidden" name="token" value="(\w+)"', page)
    assert token
    return browser.post("/handover", {"token": token[1], "to": TAKER, "note": NOTE, **typed})


def waiting(page: str) -> str:
    card = re.search(r'<section class="next" id="waiting">.*?</section>', page, re.DOTALL)
    return html.unescape(card[0]) if card else ""


def accept(browser: Browser, page: str):
    entry = re.search(r'name="entry" value="([^"]+)"', page)
    assert entry
    return browser.post("/handover/accept", {"entry": entry[1]})


def test_handover_is_written_and_accepted_with_one_press_each(browser, taker, context):
    assert hand_over(browser).status_code == 303
    assert 'href="/handover"' in waiting(taker.get("/").text), "the queue leads to it"
    assert 'action="/handover/accept"' in waiting(taker.get("/").text), "and accepts it"
    card = waiting(taker.get("/handover").text)
    assert (NOTE in card, ASKER in card, "INC-NEW" in card) == (True, True, True)
    assert "1 undecided" in card
    assert accept(taker, card).status_code == 303
    page = taker.get("/handover").text
    assert waiting(page) == waiting(taker.get("/").text) == ""
    for reader in (taker, browser):
        assert re.search(r"accepted \d{4}-", reader.get("/handover").text)
    entries = [entry for _, entry in read_entries(context.data / "audit")]
    written = [(e.action, e.actor) for e in entries if e.action.startswith("handover")]
    assert written == [("handover.write", ASKER), ("handover.accept", TAKER)]


def test_handover_sent_twice_is_stored_once(browser, taker, store):
    token = {"token": "0123456789abcdef"}
    assert {hand_over(browser, **token).status_code for _ in range(2)} == {303}
    card = waiting(taker.get("/handover").text)
    assert {accept(taker, card).status_code for _ in range(2)} == {303}
    assert len([*store.scroll(ShiftHandover, DocumentFilter())]) == 2, "handed over, accepted"


@pytest.mark.parametrize(
    ("typed", "field"),
    [({"note": f"call {PHONE}"}, "note"), ({"to": ASKER}, "to"), ({"to": "nobody"}, "to")],
)
def test_refused_handover_marks_its_field_and_keeps_the_rest(browser, taker, store, typed, field):
    answer = hand_over(browser, **typed)
    assert answer.status_code == 400
    marked = re.findall(r'name="(\w+)"[^>]*aria-invalid="true"', answer.text)
    assert marked == [field]
    assert f'id="{field}-fault" role="alert"' in answer.text
    assert PHONE not in answer.text
    assert (NOTE in html.unescape(answer.text)) == (field == "to")
    assert not [*store.scroll(ShiftHandover, DocumentFilter())]


def test_handover_is_shown_only_to_both_people(browser, taker, log_in):
    hand_over(browser)
    lead = log_in("lead")
    page = lead.get("/handover").text
    assert NOTE not in html.unescape(page)
    card = waiting(taker.get("/handover").text)
    assert accept(lead, card).status_code == 400


def test_only_who_may_decide_can_take_over(browser, accounts):
    add_account(accounts, "Chen", ["analyst"], ["bank"])
    add_account(accounts, "Wu", ["auditor"], [ALL])
    page = browser.get("/handover").text
    options = re.search(r'<select name="to".*?</select>', page, re.DOTALL)
    assert options
    assert "Chen" in options[0]
    assert "Wu" not in options[0], "they may not decide"


def test_handover_speaks_chinese(browser, taker):
    hand_over(browser)
    page = html.unescape(taker.get("/handover", headers={"accept-language": "zh"}).text)
    assert f"{ASKER} 向您交班" in waiting(page)
    assert "接班" in page
