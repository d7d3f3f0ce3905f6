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


def test_scan_of_adjacent_numbers_alerts_once(clock):
    sweeps = Sweeps(clock.as_clock())
    assert [note(sweeps, number) for number in phones(MANY + 3)] == [""] * (MANY - 1) + [
        "phone"
    ] + [""] * 3
    clock.advance(SECONDS + 1)
    assert [note(sweeps, number) for number in phones(MANY)] == [""] * (MANY - 1) + ["phone"]


def test_repeated_number_in_other_spellings_is_not_a_scan(clock):
    sweeps = Sweeps(clock.as_clock())
    ways = (
        "13800138000",
        "138 0013 8000",
        "+86 138-0013-8000",
        "１３８００１３８０００",
        "008613800138000",
        "13800138000",
    )
    assert [note(sweeps, Secret(way)) for way in ways] == [""] * len(ways)


def test_scattered_or_slow_numbers_are_not_a_scan(clock):
    sweeps = Sweeps(clock.as_clock())
    assert not any(note(sweeps, Secret(str(13800138000 + 10_000 * number))) for number in range(50))
    for phone in phones(3 * MANY, 13900139000):
        assert note(sweeps, phone) == ""
        clock.advance(SECONDS / (MANY - 2))


def test_values_without_a_number_are_not_a_scan(clock):
    sweeps = Sweeps(clock.as_clock())
    assert not any(note(sweeps, Secret(f"somebody{number}@example.com")) for number in range(20))
    assert not any(note(sweeps, Secret("")) for _ in range(20))


def test_scan_detection_stores_no_number_and_few_ranges(clock, monkeypatch):
    monkeypatch.setattr(limits, "MOST_RANGES", 3)
    sweeps = Sweeps(clock.as_clock())
    for number in range(10):
        note(sweeps, Secret(str(13800138000 + 10_000 * number)))
    assert len(sweeps._ranges) == 3
    assert not re.search(rb"138\d{5}", repr(sweeps._ranges).encode())


def test_scan_on_the_page_is_audited_and_counted(browser, phone_incident, context, registry, data):
    for number in phones(MANY):
        assert browser.post("/exposed", {**ASKED, "value": number.reveal()}).status_code == 200
    [entry] = [
        entry for _, entry in audit.read_entries(data / "audit") if entry.action == "lookup.sweep"
    ]
    assert (entry.object, entry.reason) == (
        f"{MANY} different values of one range within an hour, phone",
        "fraud_case, case C-2026-1",
    )
    assert registry.get_sample_value("ullage_search_sweeps_total") == 1
    written = b"".join(path.read_bytes() for path in data.rglob("*") if path.is_file())
    assert PHONE[:-3].encode() not in written


def test_purpose_and_case_are_remembered_for_a_session(browser, phone_incident, log_in):
    assert "Fraud" not in browser.get("/exposed").text.partition("<details")[0]
    browser.post("/exposed", ASKED)
    again = browser.post("/exposed", {"value": "+86 138 0013 8000"})
    assert (again.status_code, "Exposed</h2>" in again.text) == (200, True)
    assert "C-2026-1" in browser.get("/exposed").text
    second_agent = log_in("agent")
    assert "C-2026-1" not in second_agent.get("/exposed").text
    assert second_agent.post("/exposed", {"value": PHONE}).status_code == 400


@pytest.mark.parametrize("wrong", [{"case": PHONE}, {"purpose": "curiosity"}], ids=str)
def test_rejected_purpose_is_not_remembered(browser, phone_incident, wrong):
    assert browser.post("/exposed", {**ASKED, **wrong}).status_code == 400
    assert PHONE not in (shown := browser.get("/exposed").text)
    assert "curiosity" not in shown
    assert browser.post("/exposed", {"value": PHONE}).status_code == 400
