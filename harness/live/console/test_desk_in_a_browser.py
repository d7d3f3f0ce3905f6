"""The desk in a real Chromium: hostile content does nothing, axe finds nothing, and keys lead
through the rows.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from alerts.records import Incident
from alerts.store import DocumentFilter
from harness.live.console.desk import CHROMIUM, HOSTILE, SWITCHES, Desk, desk

sync_api = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
AXE = "axe-core@4.14.1"
PAGES = [
    "/",
    "/handover",
    "/exposed",
    "/coverage",
    "/coverage?since=3d",
    "/sites",
    "/noise",
    "/channels",
    "/watchlists",
    "/audit?verify=1",
]
PAGES += ["/assess", "/accounts", "/password", "/nowhere", "/coverage?since=gestern"]
PARTS = ("", "#assessment", "#customers", "#seen", "#history")
LOOKS = [("en", "light", 1440), ("zh", "dark", 1440), ("zh", "light", 768), ("en", "dark", 390)]
pytestmark = [pytest.mark.live, pytest.mark.skipif(CHROMIUM is None, reason="Debian: chromium")]


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the script of axe-core, which only tests use."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("Debian: npm")
    folder: Path = tmp_path_factory.mktemp("axe")
    subprocess.run(
        [npm, "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", AXE],
        cwd=folder,
        check=True,
    )
    return (folder / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")


@pytest.fixture(scope="module", params=[40, 0], ids=["busy", "empty"])
def opened(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Desk]:
    with desk(
        tmp_path_factory.mktemp("desk") / "data",
        incidents=request.param,
        nights=bool(request.param),
    ) as console:
        yield console


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        yield browser
        browser.close()


class Reader:
    """Somebody who has logged in; `faults` is whatever the browser complained of."""

    def __init__(
        self,
        chromium: Any,
        desk: Desk,
        language: str = "en",
        scheme: str = "light",
        width: int = 1440,
        **more: Any,
    ) -> None:
        locale = "zh-CN" if language == "zh" else "en-GB"
        size = {"width": width, "height": 900}
        self.context = chromium.new_context(
            viewport=size, color_scheme=scheme, locale=locale, **more
        )
        self.page, self.desk, self.faults, self.actions = (
            self.context.new_page(),
            desk,
            list[str](),
            0,
        )
        self.page.on(
            "console",
            lambda said: (
                self.faults.append(said.text) if said.type in ("error", "warning") else None
            ),
        )
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("dialog", self._dismiss)
        self.page.goto(f"{desk.url}/login")
        self.page.fill("input[name=name]", desk.name)
        self.page.fill("input[name=password]", desk.password)
        self.page.click("main button")
        self.page.wait_for_load_state()

    def open(self, path: str) -> int:
        answer = self.page.goto(f"{self.desk.url}{path}")
        # a fragment of the same page is not asked for again
        return int(answer.status) if answer else 200

    def _dismiss(self, dialog: Any) -> None:
        self.faults.append(f"dialog {dialog.message}")
        dialog.dismiss()

    def click(self, selector: str) -> None:
        self.actions += 1
        self.page.click(selector)
        self.page.wait_for_load_state()


def is_answer(fault: str) -> bool:
    """Return whether a console message is what Chromium logs for each status of 400 and above."""
    return fault.startswith("Failed to load resource: the server responded with a status of 4")


@pytest.mark.parametrize(("language", "scheme", "width"), LOOKS, ids=str)
def test_no_page_overflows_or_has_an_accessibility_fault(
    chromium: Any, opened: Any, axe: str, language: str, scheme: str, width: int
) -> None:
    reader = Reader(chromium, opened, language, scheme, width, bypass_csp=True)
    faults = []
    first = reader.page.locator("td.what a").first
    parts = [f"{first.get_attribute('href')}{part}" for part in PARTS] if first.count() else []
    for path in [*PAGES, *parts]:
        reader.open(path)
        reader.page.evaluate(axe)
        result = reader.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        faults += [
            (
                path,
                violation["id"],
                violation["nodes"][0]["html"][:160],
                violation["nodes"][0]["failureSummary"][:160],
            )
            for violation in result["violations"]
        ]
        wider = reader.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        faults += [(path, "wider than the window by", str(wider), "")] if wider > 0 else []
        faults += [(path, "h1", "", "")] if reader.page.locator("h1").count() != 1 else []
    assert faults == []


@pytest.mark.parametrize("language", ["en", "zh"])
def test_hostile_content_never_violates_the_content_policy(
    chromium: Any, opened: Any, language: str
) -> None:
    reader = Reader(chromium, opened, language)
    linked = [
        one.get_attribute("href")
        for one in reader.page.locator("td.what a[href^='/incidents/']").all()[:12]
    ]
    for path in [*PAGES, "/coverage/sheet", *dict.fromkeys(linked)]:
        reader.open(path)
        assert (
            reader.page.evaluate(
                "document.querySelectorAll('script:not([src]), img[onerror], [onclick],"
                " iframe').length"
            )
            == 0
        ), path
        for link in reader.page.locator("a[href]").all():
            assert link.get_attribute("href").startswith(("/", "http://", "https://", "#")), path
    for number, typed in enumerate(HOSTILE if linked else ()):
        reader.open(linked[0])
        reader.page.select_option("#decisions select", "note")
        reader.page.fill("#decisions textarea", typed)
        reader.page.click("#decisions button")
        reader.page.wait_for_load_state()
        shown = reader.page.inner_text("#history")
        assert typed.replace("\u202e", "") in shown.replace("\u202e", "").replace("�", ""), (
            number,
            shown[:500],
        )
    for typed in HOSTILE:
        reader.open("/noise")
        reader.page.goto(
            f"{reader.desk.url}/?"
            + reader.page.evaluate("text => new URLSearchParams({q: text}).toString()", typed)
        )
        reader.page.goto(
            f"{reader.desk.url}/audit?"
            + reader.page.evaluate("text => new URLSearchParams({words: text}).toString()", typed)
        )
    assert [fault for fault in reader.faults if not is_answer(fault)] == []


def test_keys_move_through_rows_to_search_and_notes(chromium: Any, tmp_path: Path) -> None:
    with desk(tmp_path / "data", incidents=6) as console:
        reader = Reader(chromium, console)
        links = [
            link.get_attribute("href")
            for link in reader.page.locator("main tbody tr td.what > a:first-child").all()
        ]
        assert len(links) > 2
        for keys_pressed, row in (("j", 0), ("j", 1), ("k", 0)):
            reader.page.keyboard.press(keys_pressed)
            assert reader.page.evaluate("document.activeElement.getAttribute('href')") == links[row]
        keys, actions = reader.page.locator("#keys"), reader.page.locator("form.bulk")
        reader.page.keyboard.press("?")
        assert keys.is_visible()
        reader.page.keyboard.press("x")
        assert not actions.is_visible(), "while the keys are shown no other key acts"
        reader.page.keyboard.press("?")
        assert not keys.is_visible()
        reader.page.keyboard.press("x")
        assert actions.is_visible(), "what can be done with several appears once one is selected"
        assert reader.page.inner_text("#count") == "1"
        reader.page.keyboard.press("/")
        assert reader.page.evaluate("document.activeElement.name") == "q"
        reader.page.keyboard.type("j?a")
        assert reader.page.input_value("input[name=q]") == "j?a", "what is typed is no key"
        reader.open(links[0])
        reader.page.keyboard.press("c")
        assert reader.page.evaluate("document.activeElement.name") == "note"
        assert reader.faults == []


def test_a_acknowledges_the_row_in_focus_or_all_selected_rows(
    chromium: Any, tmp_path: Path
) -> None:
    with desk(tmp_path / "data", incidents=6) as console:
        reader = Reader(chromium, console)
        reader.page.keyboard.press("a")
        assert reader.page.locator("#done").count() == 0, "no row is in focus or selected"
        reader.page.keyboard.press("j")
        with reader.page.expect_navigation():
            reader.page.keyboard.press("a")
        assert reader.page.locator("#done li.ok").count() == 1
        reader.open("/")
        for box in reader.page.locator("td.pick input[name=id]").all()[1:4]:
            box.check()
        reader.page.select_option("form.bulk select[name=act]", "resolved")
        with reader.page.expect_navigation():
            reader.page.keyboard.press("a")
        assert reader.page.locator("#done li.ok").count() == 3
        assert "acknowledged" in reader.page.inner_text("#done")
        assert reader.faults == []


def test_keys_stay_switched_off_until_switched_on_again(chromium: Any, tmp_path: Path) -> None:
    with desk(tmp_path / "data", incidents=6) as console:
        reader = Reader(chromium, console)
        focus = "document.activeElement.getAttribute('href')"
        for is_used in (False, True):
            reader.page.click("footer a[href='#keys']")
            reader.page.locator("#keys-on").set_checked(is_used)
            reader.page.click("#keys a")
            reader.open("/")
            reader.page.keyboard.press("?")
            assert reader.page.locator("#keys").is_visible() == is_used
            reader.page.keyboard.press("?")
            reader.page.keyboard.press("j")
            assert bool(reader.page.evaluate(focus)) == is_used


@pytest.mark.parametrize("language", ["en", "zh"])
def test_printed_incident_of_20_customers_is_short_and_has_no_controls(
    chromium: Any, tmp_path: Path, language: str
) -> None:
    with desk(tmp_path / "data", incidents=40) as console:
        printed = next(
            incident
            for incident in console.store.scroll(Incident, DocumentFilter())
            if incident.customers == 20
        )
        reader = Reader(chromium, console, language)
        reader.open(f"/incidents/{printed.id}")
        reader.page.emulate_media(media="print")
        shown = "[...document.querySelectorAll('button, .button, input, select, textarea')]"
        assert reader.page.evaluate(f"{shown}.filter(control => control.checkVisibility())") == []
        assert len(re.findall(rb"/Type\s*/Page[^s]", reader.page.pdf(format="A4"))) <= 4


@pytest.mark.parametrize("language", ["en", "zh"])
def test_queue_cuts_nothing_and_breaks_no_site_name(
    chromium: Any, tmp_path: Path, language: str
) -> None:
    with desk(tmp_path / "data", incidents=40) as console:
        long_named = [
            incident.model_copy(update={"sites": ("night-market-forum.example", "board")})
            for incident in console.store.scroll(Incident, DocumentFilter())
        ]
        console.store.put(long_named)
        for width in (1440, 1100, 390):
            reader = Reader(chromium, console, language, width=width)
            for path in ("/", "/handover"):
                reader.open(path)
                cut = (
                    "[...document.querySelectorAll('.queue :is(th, td, small, a)')]"
                    ".filter(part => part.checkVisibility() && part.clientWidth)"
                    ".filter(part => part.scrollWidth > part.clientWidth + 1)"
                    ".map(part => part.textContent)"
                )
                assert reader.page.evaluate(cut) == []
                heights = "[...document.querySelectorAll('.whole')].map(site => site.offsetHeight)"
                assert max(reader.page.evaluate(heights)) < 30


def test_keys_are_explained_and_bulk_actions_work_without_a_script(
    chromium: Any, tmp_path: Path
) -> None:
    with desk(tmp_path / "data", incidents=6) as console:
        reader = Reader(chromium, console, java_script_enabled=False)
        reader.page.click("footer a[href='#keys']")
        assert reader.page.locator("#keys").is_visible()
        reader.page.click("#keys a")
        assert not reader.page.locator("#keys").is_visible()
        reader.page.locator("td.pick input[name=id]").first.check()
        reader.click("form.bulk button")
        assert "acknowledged" in reader.page.inner_text("#done")
