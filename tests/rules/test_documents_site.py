"""The documents become a site: built strictly, with every page, and nothing in it that is
fetched from elsewhere.
"""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from deploy.documents.generated import DOCS, PAGES, PART, renewed

ROOT = Path(__file__).parents[2]
LOADED = {("script", "src"), ("link", "href"), ("img", "src"), ("iframe", "src"), ("source", "src")}
ELSEWHERE = re.compile(r"^(?:\w+:)?//")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    words = [
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        "--strict",
        "--quiet",
        "--site-dir",
        str(folder),
    ]
    process = subprocess.run(
        words,
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    return folder


class Addresses(HTMLParser):
    """What a page loads by itself, and where its links lead."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.linked: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if (tag, name) in LOADED and value:
                self.loaded.append(value)
            elif (tag, name) == ("a", "href") and value:
                self.linked.append(value)


def addresses(page: Path) -> Addresses:
    parser = Addresses()
    parser.feed(page.read_text(encoding="utf-8"))
    return parser


def test_every_document_is_a_page_in_the_navigation(site: Path) -> None:
    pages = {path.relative_to(DOCS).with_suffix(".html").as_posix() for path in DOCS.rglob("*.md")}
    pages |= {
        "readme.html",
        "readme-zh.html",
        "security.html",
        "contributing.html",
        "changelog.html",
    }
    assert sorted(page for page in pages if not (site / page).exists()) == []
    assert pages - {"index.html"} <= {
        link.partition("#")[0].removeprefix("./") for link in addresses(site / "index.html").linked
    }


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    loaded = {
        (page.name, address) for page in site.rglob("*.html") for address in addresses(page).loaded
    }
    assert loaded
    assert [(page, address) for page, address in sorted(loaded) if ELSEWHERE.match(address)] == []
    styles = [path.read_text(encoding="utf-8") for path in site.rglob("*.css")]
    assert styles
    assert [
        address
        for style in styles
        for address in re.findall(r"""(?:url\(|@import)\s*["']?((?:https?:)?//[^"')]+)""", style)
    ] == []


def test_every_internal_link_leads_to_a_file(site: Path) -> None:
    broken = []
    for page in site.rglob("*.html"):
        if page.name == "404.html":  # its addresses begin at the root of a web server
            continue
        links = addresses(page)
        for link in (*links.linked, *links.loaded):
            to = link.partition("#")[0].partition("?")[0]
            if to and not re.match(r"[a-z]+:", to) and not (page.parent / to).exists():
                broken.append((page.name, link))
    assert broken == []


@pytest.mark.parametrize("name", PAGES)
def test_generated_parts_are_current(name: str) -> None:
    text = (DOCS / name).read_text(encoding="utf-8")
    assert {part[2] for part in PART.finditer(text)} == set(PAGES[name])
    assert renewed(name, text) == text, (
        f"docs/{name} is older than the code: run .venv/bin/python -m deploy.documents"
    )


def test_every_setting_has_a_description() -> None:
    text = (DOCS / "configuration.md").read_text(encoding="utf-8")
    assert len(re.findall(r"^- `\w+`(?: \(.+\))?: .+$", text, re.MULTILINE)) > 100
    assert re.findall(r"^- `\w+`(?: \(.+\))?: *$", text, re.MULTILINE) == []
