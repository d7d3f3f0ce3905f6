"""Pictures of every page in every state, for a person to look at: `make pictures` writes them and a
contact sheet a page.

Wide, as a tablet and as a phone; light and dark; Chinese and English; busy, empty, refused, and
with 20,000 incidents.
"""

import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from alerts.records import Incident
from alerts.store import DocumentFilter
from harness.live.console.desk import CHROMIUM, SWITCHES, Desk, desk, more

MANY = 20_000
LOOKS = [
    (width, scheme, language)
    for width in (1440, 768, 390)
    for scheme in ("light", "dark")
    for language in ("zh", "en")
]
TALL = 2_400
"""Pixels of a page that a picture shows."""
SCALE = 0.4
"""Of pictures on a contact sheet."""
PAGES = (
    "/", "/handover", "/exposed", "/coverage", "/sites", "/noise", "/channels", "/watchlists",
    "/accounts", "/audit?verify=1",
    "/assess", "/password",
)  # fmt: skip
QUEUE = ("/", "/?tab=all&flat=1", "/?q=四件套", "/handover")
REFUSED = ("/?q=13800138000", "/coverage?since=gestern", "/handover?since=gestern", "/nowhere")


class Shot(NamedTuple):
    """A page in a state, as one somebody sees it."""

    state: str
    path: str
    width: int
    scheme: str
    language: str

    @property
    def page(self) -> str:
        return f"{self.state}-{re.sub(r'[^a-z0-9]+', '-', self.path.lower()).strip('-') or 'queue'}"

    @property
    def file(self) -> str:
        return f"{self.page}-{self.width}-{self.scheme}-{self.language}.png"


def shots(state: str, paths: tuple[str, ...]) -> list[Shot]:
    return [Shot(state, path, *look) for path in paths for look in LOOKS]


def take(browser: Any, made: Desk, wanted: list[Shot], folder: Path) -> None:
    """Look at each as a reader who has logged in."""
    for look in dict.fromkeys(shot[2:] for shot in wanted):
        width, scheme, language = look
        locale = "zh-CN" if language == "zh" else "en-GB"
        with browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, locale=locale
        ) as reader:
            page = reader.new_page()
            page.goto(f"{made.url}/login")
            page.screenshot(path=folder / Shot("first", "/login", *look).file)
            page.fill("input[name=name]", made.name)
            page.fill("input[name=password]", made.password)
            page.click("main button")
            page.wait_for_load_state()
            for shot in wanted:
                if shot[2:] == look:
                    page.goto(f"{made.url}{shot.path}")
                    height = min(page.evaluate("document.documentElement.scrollHeight"), TALL)
                    page.screenshot(
                        path=folder / shot.file,
                        full_page=True,
                        clip={"x": 0, "y": 0, "width": width, "height": height},
                    )


def states(folder: Path) -> Iterator[tuple[Desk, list[Shot]]]:
    """Yield each state of the console with what is shown in it."""
    with desk(folder / "empty", incidents=0, nights=False) as console:
        yield console, shots("empty", PAGES)
    with desk(folder / "busy", incidents=40) as console:
        worst = max(
            console.store.scroll(Incident, DocumentFilter()),
            key=lambda one: (one.exposure, one.customers, one.id),
        )
        yield (
            console,
            shots("busy", (*PAGES, f"/incidents/{worst.id}", "/coverage?since=3d"))
            + shots("refused", REFUSED),
        )
        more(console, MANY)
        yield console, shots("many", QUEUE)


def sheet(browser: Any, some: list[Shot], folder: Path, name: str) -> None:
    """Draw the top of one page in all looks, side by side and at the same scale."""
    figures = "".join(
        f"<figure><div><img src='{shot.file}'"
        f" width={shot.width * SCALE:.0f}></div><figcaption>{shot.file}</figcaption></figure>"
        for shot in some
    )
    style = "body{display:flex;flex-wrap:wrap;gap:8px;font:11px sans-serif}figure{margin:0}"
    style += "div{height:480px;overflow:hidden}"
    (folder / f"{name}.html").write_text(
        f"<meta charset=utf-8><style>{style}</style>{figures}", encoding="utf-8"
    )
    with browser.new_page(viewport={"width": 2_000, "height": 900}) as page:
        page.goto((folder / f"{name}.html").as_uri())
        page.screenshot(path=folder / f"sheet-{name}.png", full_page=True)


def main() -> None:
    """`python -m harness.live.console.pictures FOLDER [STATE …]`."""
    from playwright.sync_api import sync_playwright

    folder, only = Path(sys.argv[1]), sys.argv[2:]
    folder.mkdir(parents=True, exist_ok=True)
    pages = dict[str, list[Shot]]()
    with tempfile.TemporaryDirectory() as data, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        for console, pages_ in states(Path(data)):
            chosen = [shot for shot in pages_ if not only or shot.state in only]
            take(browser, console, chosen, folder)
            for shot in chosen:
                pages.setdefault(shot.page, []).append(shot)
        for name, shots in pages.items():
            sheet(browser, shots, folder, name)
        browser.close()
    sys.stdout.write(
        f"{sum(map(len, pages.values()))} pictures, a sheet of each page: {folder}/sheet-*.png\n"
    )


if __name__ == "__main__":
    main()
