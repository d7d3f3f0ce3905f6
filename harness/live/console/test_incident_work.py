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
from harness.live.console.hand import Hand, logged_in  # noqa: E402 - it needs playwright

pytestmark = pytest.mark.live
MOST_ACTIONS = 9
OUTSTANDING = "#clocks details:has(input[value^='reported ']):not(:has(input[name=note][required]))"
"""The form of a report that was not recorded yet; a correction needs a note."""


def planted(made: Desk) -> str:
    """A leak of ours whose clock runs, and that somebody was told of it; returns the path that
    the message names.
    """
    fold_all(
        made.store,
        made.clock,
        [finding("leak", range(500, 540), people=range(9_000, 9_040), site="board")],
    )
    id_ = incident_id("leak")
    found = made.store.get(Incident, id_)
    assert found is not None
    made.store.put(
        [found.model_copy(update={"severity": "high", "origin": "ours", "clock": "run"})]
    )
    at = made.clock.as_clock().now()
    told = Notification(
        id=f"{id_}:desk:high", tenant="bank", incident=id_, at=at, due=at, channel="desk",
        what="high", why="new",
        severity="high", outcome="sent", sent_at=at,
    )  # fmt: skip
    made.store.put([told])
    return f"/incidents/{id_}"


@pytest.mark.skipif(CHROMIUM is None, reason="apt install chromium")
@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("keys_alone", [False, True], ids=["mouse", "keyboard"])
def test_two_people_work_a_leak_from_its_notification_to_its_end(
    tmp_path: Path, language: str, keys_alone: bool
) -> None:
    """A form is one action, as it is sent, and so is the message that is followed.

    One letter is all reports of its rule.
    """
    with desk(tmp_path / "data", incidents=5, nights=False) as made:
        path, since, presses = planted(made), time.monotonic(), 0
        with logged_in(made.url, made.name, made.password, language) as page:
            hand = Hand(page, keys_alone=keys_alone)
            page.goto(f"{made.url}{path}")
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
        assert len(find_pending(made.store, [path.rpartition("/")[2]])) == reports
        with logged_in(made.url, SECOND, made.password, language) as page:
            hand = Hand(page, keys_alone=keys_alone)
            page.goto(f"{made.url}{path}")
            hand.press("#second button[value=second_confirmed]")
            presses += hand.presses
            assert page.faults == []
        with logged_in(made.url, made.name, made.password, language) as page:
            hand = Hand(page, keys_alone=keys_alone)
            page.goto(f"{made.url}{path}")
            hand.choose("#decisions select", "resolved")
            hand.press("#decisions button")
            hand.count("incident", since)
            presses += hand.presses
            assert page.faults == []
        decided = sorted(
            made.store.scroll(Decision, DocumentFilter({"incident": (path.rpartition("/")[2],)})),
            key=lambda one: one.at,
        )
        name = made.name
    assert {one.by for one in decided} == {name, SECOND}
    assert {one.confirmed_by for one in decided if one.ends} == {SECOND}
    statuses = [one.status for one in decided if one.status != "note"]
    assert reports > 1
    assert (statuses[0], statuses[-1]) == ("acknowledged", "resolved")
    assert statuses.count("reported") == reports
    assert len(calls) == 41
    assert report.startswith(b"PK")
    assert 1 + presses <= MOST_ACTIONS


@pytest.mark.skipif(CHROMIUM is None, reason="apt install chromium")
def test_the_parts_of_an_incident_are_reached_by_keyboard_and_without_script(
    tmp_path: Path,
) -> None:
    with (
        desk(tmp_path / "data", incidents=2, nights=False) as made,
        sync_api.sync_playwright() as playwright,
    ):
        path = planted(made)
        with playwright.chromium.launch(executable_path=CHROMIUM, args=SWITCHES) as chromium:
            page = chromium.new_page(locale="en-GB", java_script_enabled=False)
            page.goto(f"{made.url}/login")
            page.fill("input[name=name]", made.name)
            page.fill("input[name=password]", made.password)
            page.click("main button")
            page.wait_for_selector("h1")
            page.goto(f"{made.url}{path}")
            parts, shown = (
                ("clocks", "assessment", "customers", "seen", "history"),
                page.locator(".tab:visible"),
            )
            assert [one.get_attribute("id") for one in shown.all()] == ["clocks"], (
                "what is due is shown first"
            )
            page.focus("nav.parts a[href='#clocks']")
            for part in parts:
                page.keyboard.press("Enter")
                page.wait_for_url(f"**#{part}")
                assert [one.get_attribute("id") for one in shown.all()] == [part]
                page.focus(f"nav.parts a[href='#{part}']")
                page.keyboard.press("Tab")
            page.emulate_media(media="print")
            assert [one.get_attribute("id") for one in shown.all()] == [*parts], (
                "all of them are printed"
            )
            assert not page.locator("nav.parts").is_visible()
