"""Somebody who goes through numbers is noticed, without one being kept; a purpose is said once
for a session.
"""

import re

import pytest

from alerts.cases.lookups import limits
from alerts.cases.lookups.limits import MANY, SECONDS, Sweeps
from alerts.cases.lookups.typed_value import read_typed
from tests.alerts.browser import ASKED, PHONE
from ullage import audit
from ullage.security.masking import Secret


def note(seen: Sweeps, value: Secret) -> str:
    return seen.note(read_typed(value).readings)


def phones(count: int, first: int = 13800138000) -> list[Secret]:
    return [Secret(str(first + number)) for number in range(count)]


def test_many_neighbours_within_an_hour_are_a_sweep_that_is_told_once(clock):
    seen = Sweeps(clock.as_clock())
    assert [note(seen, one) for one in phones(MANY + 3)] == [""] * (MANY - 1) + ["phone"] + [""] * 3
    clock.advance(SECONDS + 1)
    assert [note(seen, one) for one in phones(MANY)] == [""] * (MANY - 1) + ["phone"]


def test_other_ways_of_writing_and_the_same_number_again_are_no_sweep(clock):
    seen = Sweeps(clock.as_clock())
    ways = (
        "13800138000",
        "138 0013 8000",
        "+86 138-0013-8000",
        "１３８００１３８０００",
        "008613800138000",
        "13800138000",
    )
    assert [note(seen, Secret(way)) for way in ways] == [""] * len(ways)


def test_numbers_from_everywhere_and_slow_ones_are_no_sweep(clock):
    seen = Sweeps(clock.as_clock())
    assert not any(note(seen, Secret(str(13800138000 + 10_000 * number))) for number in range(50))
    for one in phones(3 * MANY, 13900139000):
        assert note(seen, one) == ""
        clock.advance(SECONDS / (MANY - 2))


def test_what_is_no_number_is_no_sweep(clock):
    seen = Sweeps(clock.as_clock())
    assert not any(note(seen, Secret(f"somebody{number}@example.com")) for number in range(20))
    assert not any(note(seen, Secret("")) for _ in range(20))


def test_no_number_is_kept_and_only_so_many_ranges_are(clock, monkeypatch):
    monkeypatch.setattr(limits, "MOST_RANGES", 3)
    seen = Sweeps(clock.as_clock())
    for number in range(10):
        note(seen, Secret(str(13800138000 + 10_000 * number)))
    assert len(seen._ranges) == 3
    assert not re.search(rb"138\d{5}", repr(seen._ranges).encode())


def test_a_sweep_on_the_page_is_in_the_audit_log_and_among_the_metrics(
    browser, leaked, context, registry, data
):
    for one in phones(MANY):
        assert browser.post("/exposed", {**ASKED, "value": one.reveal()}).status_code == 200
    [entry] = [
        entry for _, entry in audit.entries(data / "audit") if entry.action == "lookup.sweep"
    ]
    assert (entry.object, entry.reason) == (
        f"{MANY} different values of one range within an hour, phone",
        "fraud_case, case C-2026-1",
    )
    assert registry.get_sample_value("ullage_search_sweeps_total") == 1
    written = b"".join(path.read_bytes() for path in data.rglob("*") if path.is_file())
    assert PHONE[:-3].encode() not in written


def test_a_purpose_and_a_case_number_are_said_once(browser, leaked, log_in):
    assert "Fraud" not in browser.get("/exposed").text.partition("<details")[0]
    browser.post("/exposed", ASKED)
    again = browser.post("/exposed", {"value": "+86 138 0013 8000"})
    assert (again.status_code, "Exposed</h2>" in again.text) == (200, True)
    assert "C-2026-1" in browser.get("/exposed").text
    other = log_in("agent")
    assert "C-2026-1" not in other.get("/exposed").text
    assert other.post("/exposed", {"value": PHONE}).status_code == 400


@pytest.mark.parametrize("wrong", [{"case": PHONE}, {"purpose": "curiosity"}], ids=str)
def test_what_was_refused_is_not_kept(browser, leaked, wrong):
    assert browser.post("/exposed", {**ASKED, **wrong}).status_code == 400
    assert PHONE not in (shown := browser.get("/exposed").text)
    assert "curiosity" not in shown
    assert browser.post("/exposed", {"value": PHONE}).status_code == 400
