"""A hand at the desk in a real Chromium: it does what a person does, by mouse or by keyboard
alone, and counts it.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright import sync_api

from harness.live.console.desk import CHROMIUM, SWITCHES

LOCALES = {"en": "en-GB", "zh": "zh-CN"}
MOST_TABS = 250


class Hand:
    """An action is a control that is pressed, chosen or filled in; the Tab key, which takes the
    place of aiming, is none.

    `presses` are the actions without what is chosen and filled in, so a form counts once, as it is
    sent.
    """

    def __init__(self, page: Any, *, keys_alone: bool) -> None:
        self.page, self.keys_alone, self.actions, self.presses = page, keys_alone, 0, 0

    def press(self, selector: str, *, leaves: bool = True) -> None:
        """Press a button or follow a link, which `leaves` the page or acts on it."""
        if not leaves:
            self._press(selector)
            return
        with self.page.expect_navigation():  # else the next thing is done on the page that goes
            self._press(selector)

    def take(self, selector: str) -> Path:
        """Press what downloads a file; where that is."""
        with self.page.expect_download() as coming:
            self._press(selector)
        return Path(coming.value.path())

    def fill(self, selector: str, text: str) -> None:
        """Fill in a field."""
        if self._by_keyboard(selector):
            self.page.keyboard.type(text)
        else:
            self.page.fill(selector, text)

    def choose(self, selector: str, value: str) -> None:
        """Choose an option by its value."""
        if not self._by_keyboard(selector):
            self.page.select_option(selector, value)
            return
        options = self.page.eval_on_selector(
            selector, "field => [...field.options].map(one => one.value)"
        )
        now = options.index(self.page.input_value(selector))
        steps = options.index(value) - now
        for _ in range(abs(steps)):
            self.page.keyboard.press("ArrowDown" if steps > 0 else "ArrowUp")
        assert self.page.input_value(selector) == value

    def check(self, selector: str) -> None:
        """Tick a box."""
        if self._by_keyboard(selector):
            self.page.keyboard.press("Space")
            assert self.page.is_checked(selector)
        else:
            self.page.check(selector)

    def open(self, selector: str) -> None:
        """Open a form that is folded away: a part of filling it in."""
        self._press(selector)
        self.presses -= 1

    def give(self, selector: str, file: Path) -> None:
        """Choose a file in the window that opens for it."""
        with self.page.expect_file_chooser() as window:
            self._press(selector)
        window.value.set_files(file)

    def _press(self, selector: str) -> None:
        self.presses += 1
        if self._by_keyboard(selector):
            self.page.keyboard.press("Enter")
        else:
            self.page.click(selector)

    def count(self, job: str, since: float) -> float:
        """Say how many actions and seconds a job took; returns the seconds."""
        seconds = time.monotonic() - since
        how = "keyboard" if self.keys_alone else "mouse"
        sys.stderr.write(
            f"{job}, {how}: {self.actions} actions, {self.presses} of them presses,"
            f" {seconds:.1f} s\n"
        )
        return seconds

    def _by_keyboard(self, selector: str) -> bool:
        """Count an action; whether it is done by keyboard, for which the control is in focus
        then.
        """
        self.actions += 1
        if self.keys_alone:
            self._reach(selector)
        return self.keys_alone

    def _reach(self, selector: str) -> None:
        """Press Tab until the field is in focus; it must be seen there."""
        reached = "wanted => document.activeElement === document.querySelector(wanted)"
        for _ in range(MOST_TABS):
            if self.page.evaluate(reached, selector):
                assert self.page.locator(selector).first.is_visible(), (
                    f"{selector} is in focus where nobody sees it"
                )
                return
            self.page.keyboard.press("Tab")
        raise AssertionError(f"{selector} is not reached by keyboard")


@contextmanager
def log_in_page(
    url: str, name: str, password: str, language: str = "en", **more: Any
) -> Iterator[Any]:
    """Return the start page of somebody who has logged in.

    `page.faults` collects what the browser complains about.
    """
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        try:
            yield log_in_beside(browser, url, name, password, language, **more)
        finally:
            browser.close()


def log_in_beside(
    browser: Any, url: str, name: str, password: str, language: str = "en", **more: Any
) -> Any:
    """Return the start page of one more person, with cookies of their own, in a running browser."""
    page: Any = browser.new_page(
        locale=LOCALES[language], viewport={"width": 1440, "height": 900}, **more
    )
    page.faults = []
    page.on(
        "console",
        lambda said: page.faults.append(said.text) if said.type in ("error", "warning") else None,
    )
    page.on("pageerror", lambda error: page.faults.append(str(error)))
    page.goto(f"{url}/login")
    page.fill("input[name=name]", name)
    page.fill("input[name=password]", password)
    with page.expect_navigation():
        page.click("main button")
    page.wait_for_selector("h1")
    return page
