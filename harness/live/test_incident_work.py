"""A planted leak is worked to its end in a real browser: how many actions and seconds that takes. Logging in is the shift's."""

import sys
import time
from pathlib import Path
from typing import Any

import pytest

from alerts.records import Decision, Incident, Notification, incident_id
from alerts.store import DocumentFilter
from harness.live.desk import Desk, desk
from tests.alerts.builders import finding, fold_all

sync_api = pytest.importorskip("playwright.sync_api", reason="pip install playwright; its browser is Debian's chromium")
pytestmark = pytest.mark.live
CHROMIUM = Path("/usr/bin/chromium")
QUIET = (
    "--no-sandbox --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync".split()
)
MOST_ACTIONS = 8


def planted(made: Desk) -> str:
    """A leak of ours whose clock runs, and that somebody was told of it; returns the path that the message names."""
    fold_all(made.store, made.clock, [finding("leak", range(500, 540), people=range(9_000, 9_040), site="board")])
    id_ = incident_id("leak")
    found = made.store.get(Incident, id_)
    assert found is not None
    made.store.put([found.model_copy(update={"severity": "high", "origin": "ours", "clock": "run"})])
    at = made.clock.as_clock().now()
    told = Notification(
        id=f"{id_}:desk:high", tenant="bank", incident=id_, at=at, due=at, channel="desk", what="high", why="new",
        severity="high", outcome="sent", sent_at=at,
    )  # fmt: skip
    made.store.put([told])
    return f"/incidents/{id_}"


@pytest.mark.skipif(not CHROMIUM.exists(), reason="apt install chromium")
def test_a_leak_is_worked_from_its_notification_to_its_end(tmp_path: Path) -> Any:
    with desk(tmp_path / "data", incidents=5, nights=False) as made, sync_api.sync_playwright() as playwright:
        path = planted(made)
        with playwright.chromium.launch(executable_path=str(CHROMIUM), args=QUIET) as chromium:
            page = chromium.new_page(locale="en-GB")
            faults = list[str]()
            page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
            page.goto(f"{made.url}/login")
            page.fill("input[name=name]", made.name)
            page.fill("input[name=password]", made.password)
            page.click("main button")
            page.wait_for_selector("h1")
            start, actions = time.monotonic(), 0

            def act(button: str) -> None:
                nonlocal actions
                page.get_by_role("button", name=button, exact=True).click()
                page.wait_for_load_state()
                actions += 1

            def take(button: str) -> Path:
                nonlocal actions
                with page.expect_download() as coming:
                    page.get_by_role("button", name=button, exact=True).click()
                actions += 1
                return Path(coming.value.path())

            page.goto(f"{made.url}{path}")
            actions += 1
            act("Acknowledge")
            act("Assign")
            page.select_option("#decisions select", "note")
            page.fill("#decisions textarea", "asked the site to take it down")
            act("Record")
            calls = take("Call list (pseudonyms)").read_text(encoding="utf-8").splitlines()
            report = take("Report draft").read_bytes()
            page.click("nav.parts a[href='#clocks']")
            actions += 1
            sent, reports = page.locator("details", has_text="Record this report as sent"), 0
            while sent.count():  # as many as the law asks for: no deadline may run when it is closed
                sent.first.locator("summary").click()
                sent.first.locator("select").select_option("portal")
                with page.expect_navigation():  # else the next form is opened on the page that goes
                    sent.first.get_by_role("button").click()
                reports += 1
            page.select_option("#decisions select", "resolved")
            act("Record")
            seconds = time.monotonic() - start
            assert faults == []
        decided = sorted(
            made.store.scroll(Decision, DocumentFilter({"incident": (path.rpartition("/")[2],)})), key=lambda one: one.at
        )
        name = made.name
    sys.stdout.write(f"{actions} actions and {reports} reports, {seconds:.1f} s\n")
    assert {one.by for one in decided} == {name}
    statuses = [one.status for one in decided if one.status != "note"]
    assert reports
    assert (statuses[0], statuses[-1]) == ("acknowledged", "resolved")
    assert statuses.count("reported") == reports
    assert len(calls) == 41
    assert report.startswith(b"PK")
    assert actions <= MOST_ACTIONS


@pytest.mark.skipif(not CHROMIUM.exists(), reason="apt install chromium")
def test_the_parts_of_an_incident_are_reached_by_keyboard_and_without_script(tmp_path: Path) -> None:
    with desk(tmp_path / "data", incidents=2, nights=False) as made, sync_api.sync_playwright() as playwright:
        path = planted(made)
        with playwright.chromium.launch(executable_path=str(CHROMIUM), args=QUIET) as chromium:
            page = chromium.new_page(locale="en-GB", java_script_enabled=False)
            page.goto(f"{made.url}/login")
            page.fill("input[name=name]", made.name)
            page.fill("input[name=password]", made.password)
            page.click("main button")
            page.wait_for_selector("h1")
            page.goto(f"{made.url}{path}")
            parts, shown = ("clocks", "assessment", "customers", "seen", "history"), page.locator(".tab:visible")
            assert [one.get_attribute("id") for one in shown.all()] == ["clocks"], "what is due is shown first"
            page.focus("nav.parts a[href='#clocks']")
            for part in parts:
                page.keyboard.press("Enter")
                page.wait_for_url(f"**#{part}")
                assert [one.get_attribute("id") for one in shown.all()] == [part]
                page.focus(f"nav.parts a[href='#{part}']")
                page.keyboard.press("Tab")
            page.emulate_media(media="print")
            assert [one.get_attribute("id") for one in shown.all()] == [*parts], "all of them are printed"
            assert not page.locator("nav.parts").is_visible()
