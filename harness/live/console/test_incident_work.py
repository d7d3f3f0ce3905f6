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
MOST_PRESSES = 7
MOST_ACTIONS = 11
"""Three of them are the references of three authorities, two take the call list and the draft."""
TICKED = "#clocks input[name=report]:checked"


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
    """Each press, choice and field filled in is an action, and so is the message that is followed.

    One form records the reports of all rules, each under its authority's reference.
    """
    with desk(tmp_path / "data", incidents=5, nights=False) as console:
        path, since = plant_leak(console), time.monotonic()
        actions = presses = 1  # the message is followed
        with log_in_page(console.url, console.name, console.password, language) as page:
            hand = Hand(page, keys_alone=keys_alone)
            page.goto(f"{console.url}{path}")
            hand.press("form.one button")
            # all but the final one, whose time has not come
            reports = page.locator(TICKED).count()
            hand.choose("#clocks form.row select", "portal")
            for number in range(page.locator("#clocks input[name^='reference ']").count()):
                rule = page.locator("#clocks input[name^='reference ']").nth(number)
                hand.fill(f"#clocks input[name='{rule.get_attribute('name')}']", "R-2026-1")
            hand.press("#clocks form.row button")
            calls = (
                hand.take("form[action$='/customers.csv'] button")
                .read_text(encoding="utf-8")
                .splitlines()
            )
            report = hand.take("form[action$='/report'] button").read_bytes()
            actions, presses = actions + hand.actions, presses + hand.presses
            assert page.faults == []
        assert len(find_pending(console.store, [path.rpartition("/")[2]])) == reports
        with log_in_page(console.url, SECOND, console.password, language) as page:
            hand = Hand(page, keys_alone=keys_alone)
            page.goto(f"{console.url}{path}")
            hand.press("#second button[value=second_confirmed]")
            actions, presses = actions + hand.actions, presses + hand.presses
            assert page.faults == []
        with log_in_page(console.url, console.name, console.password, language) as page:
            hand = Hand(page, keys_alone=keys_alone)
            page.goto(f"{console.url}{path}")
            hand.press("form.one button")
            hand.count("incident", since)
            actions, presses = actions + hand.actions, presses + hand.presses
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
    assert presses <= MOST_PRESSES, "a form is one, as it is sent"
    assert actions <= MOST_ACTIONS, "each press, choice and field filled in"


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
