"""A planted leak is worked to its end in a real browser: how many actions and seconds that takes.

Logging in is the shift's.
"""

import time
from pathlib import Path

import pytest

from alerts.records import Decision, Incident, Notification, incident_id
from alerts.store import DocumentFilter
from alerts.store.queries import find_pending
from harness.live.console.desk import CHROMIUM, SECOND, SWITCHES, Desk, desk
from tests.alerts.builders import finding, fold_all

sync_api = pytest.importorskip(
    "playwright.sync_api", reason="pip install playwright; its browser is Debian's chromium"
)
from harness.live.console.hand import Hand, log_in_page  # noqa: E402 - it needs playwright

pytestmark = pytest.mark.live
MOST_ACTIONS = 9
OUTSTANDING = "#clocks details:has(input[value^='reported ']):not(:has(input[name=note][required]))"
"""The form of a report that was not recorded yet; a correction needs a note."""


def plant_leak(console: Desk) -> str:
    """Open a notified leak of ours whose deadline runs.

    Return the path that the message names.
    """
    fold_all(
        console.store,
        console.clock,
        [finding("leak", range(500, 540), people=range(9_000, 9_040), site="board")],
    )
    id_ = incident_id("leak")
    incident = console.store.get(Incident, id_)
    assert incident is not None
    console.store.put(
        [incident.model_copy(update={"severity": "high", "origin": "ours", "clock": "run"})]
    )
    at = console.clock.as_clock().now()
    notice = Notification(
        id=f"{id_}:desk:high", tenant="bank", incident=id_, at=at, due=at, channel="desk",
        what="high", why="new",
        severity="high", outcome="sent", sent_at=at,
    )  # fmt: skip
    console.store.put([notice])
    return f"/incidents/{id_}"


@pytest.mark.skipif(CHROMIUM is None, reason="apt install chromium")
@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("keys_alone", [False, True], ids=["mouse", "keyboard"])
def test_two_people_handle_a_leak_within_the_action_limit(
    tmp_path: Path, language: str, keys_alone: bool
) -> None:
    """A form is one action, as it is sent, and so is the message that is followed.

    One letter is all reports of its rule.
    """
    with desk(tmp_path / "data", incidents=5, nights=False) as console:
        path, since, presses = plant_leak(console), time.monotonic(), 0
        with log_in_page(console.url, console.name, console.password, language) as page:
            hand = Hand(page, keys_alone=keys_alone)
            page.goto(f"{console.url}{path}")
            hand.press("form.one button")
            # all but the final one, whose time has not come
            reports = page.locator(OUTSTANDING).count() - 1
            for first in ("pipl-57 first", "pboc-2025 first", "nfra-2024 first"):
                form = f"#clocks details:has(input[value='reported {first}'])"
                hand.open(f"{form} summary")
                hand.choose(f"{form} select", "portal")
                hand.fill(f"{form} input[name=reference]", "R-2026-1")
                for number in range(1, page.locator(f"{form} input[name=also]").count() + 1):
                    hand.check(f"{form} label:nth-of-type({number}) input[name=also]")
                hand.press(f"{form} button")
            calls = (
                hand.take("form[action$='/customers.csv'] button")
                .read_text(encoding="utf-8")
                .splitlines()
            )
            report = hand.take("form[action$='/report'] button").read_bytes()
            presses += hand.presses
            assert page.faults == []
        assert len(find_pending(console.store, [path.rpartition("/")[2]])) == reports
        with log_in_page(console.url, SECOND, console.password, language) as page:
            hand = Hand(page, keys_alone=keys_alone)
            page.goto(f"{console.url}{path}")
            hand.press("#second button[value=second_confirmed]")
            presses += hand.presses
            assert page.faults == []
        with log_in_page(console.url, console.name, console.password, language) as page:
            hand = Hand(page, keys_alone=keys_alone)
            page.goto(f"{console.url}{path}")
            hand.choose("#decisions select", "resolved")
            hand.press("#decisions button")
            hand.count("incident", since)
            presses += hand.presses
            assert page.faults == []
        decided = sorted(
            console.store.scroll(
                Decision, DocumentFilter({"incident": (path.rpartition("/")[2],)})
            ),
            key=lambda decision: decision.at,
        )
        name = console.name
    assert {decision.by for decision in decided} == {name, SECOND}
    assert {decision.confirmed_by for decision in decided if decision.ends} == {SECOND}
    statuses = [decision.status for decision in decided if decision.status != "note"]
    assert reports > 1
    assert (statuses[0], statuses[-1]) == ("acknowledged", "resolved")
    assert statuses.count("reported") == reports
    assert len(calls) == 41
    assert report.startswith(b"PK")
    assert 1 + presses <= MOST_ACTIONS


@pytest.mark.skipif(CHROMIUM is None, reason="apt install chromium")
def test_incident_tabs_work_by_keyboard_and_without_script(
    tmp_path: Path,
) -> None:
    with (
        desk(tmp_path / "data", incidents=2, nights=False) as console,
        sync_api.sync_playwright() as playwright,
    ):
        path = plant_leak(console)
        with playwright.chromium.launch(executable_path=CHROMIUM, args=SWITCHES) as chromium:
            page = chromium.new_page(locale="en-GB", java_script_enabled=False)
            page.goto(f"{console.url}/login")
            page.fill("input[name=name]", console.name)
            page.fill("input[name=password]", console.password)
            page.click("main button")
            page.wait_for_selector("h1")
            page.goto(f"{console.url}{path}")
            parts, shown = (
                ("clocks", "assessment", "customers", "seen", "history"),
                page.locator(".tab:visible"),
            )
            assert [section.get_attribute("id") for section in shown.all()] == ["clocks"], (
                "what is due is shown first"
            )
            page.focus("nav.parts a[href='#clocks']")
            for part in parts:
                page.keyboard.press("Enter")
                page.wait_for_url(f"**#{part}")
                assert [section.get_attribute("id") for section in shown.all()] == [part]
                page.focus(f"nav.parts a[href='#{part}']")
                page.keyboard.press("Tab")
            page.emulate_media(media="print")
            assert [section.get_attribute("id") for section in shown.all()] == [*parts], (
                "all of them are printed"
            )
            assert not page.locator("nav.parts").is_visible()
