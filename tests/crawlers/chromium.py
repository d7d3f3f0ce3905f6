"""What tests with a real browser need: Debian's chromium and bubblewrap, and boards whose pages
scripts fill.
"""

import asyncio
import json
import os
from pathlib import Path

import pytest

from crawlers.fetching.rendering import BrowserError, get_version
from tests.crawlers.support import Answers
from ullage.settings import CrawlSettings

PROGRAM = Path(CrawlSettings().browser)
SHELL = (
    '<html><head><script src="/app.js"></script><link rel="stylesheet" href="/app.css"></head>'
    '<body><div id="app"></div><img src="/logo.png"></body></html>'
)
"""The page of every address."""
APP = """
const thread = location.pathname.match(/^.t.([0-9]+)$/);
addEventListener("DOMContentLoaded", async () => {
  const told = await (await fetch(thread ? "/api/t/" + thread[1] : "/api/list")).json();
  const post = p =>
    `<article id="${p.id}"><b>${p.by}</b><div class="body">${p.text}</div></article>`;
  const row = t => `<li><a href="/t/${t.id}">${t.title}</a> ${t.posts}</li>`;
  setTimeout(() => {
    document.getElementById("app").innerHTML = told.map(thread ? post : row).join("");
  }, 1000);
});
"""
OPTIONS = """script = true
[options]
rows = "li"
links = "li a"
pattern = "/t/(?P<id>[0-9]+)$"
post = "article"
id = "::attr(id)"
body = ".body"
author = "b"
"""


def require_browser() -> None:
    """Skip the test where there is no browser, saying what to install.

    In CI (`CI` is set) a missing browser is a failure.
    """
    try:
        asyncio.run(get_version(PROGRAM))
    except BrowserError as error:
        pytest.fail(str(error), pytrace=False) if os.environ.get("CI") else pytest.skip(str(error))


ROUTED = APP.replace("location.pathname.match(/^", "location.hash.match(/^#").replace(
    'href="/t/', 'href="#/t/'
)
"""The same of one page for all, whose script tells list and threads by the part of the address
behind `#`.
"""


def board(server: Answers, threads: dict[int, list[str]], app: str = APP) -> None:
    """Put a board on `server`: a list and threads, each an empty page, a script, and JSON that
    it asks for.
    """
    server.says("/", SHELL)
    server.says("/app.js", app, Content_Type="text/javascript")
    listed = [
        {"id": number, "title": f"title {number}", "posts": len(texts)}
        for number, texts in threads.items()
    ]
    server.says("/api/list", json.dumps(listed), Content_Type="application/json")
    for number, texts in threads.items():
        posts = [
            {"id": 100 * number + place, "by": "li", "text": text}
            for place, text in enumerate(texts)
        ]
        server.says(f"/t/{number}", SHELL)
        server.says(f"/api/t/{number}", json.dumps(posts), Content_Type="application/json")
