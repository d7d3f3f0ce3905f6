"""A board of HTML pages as a site that a script fills: each page is an empty one, whose script
asks for the rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from harness.reach.content import Content
from harness.reach.shape import Made, Redirect, Shape

EMPTY = (
    '<html><head><script src="/fill.js"></script></head><body><div id="app">…</div></body></html>'
)
FILL = """
addEventListener("DOMContentLoaded", async () => {
  const told = await (await fetch("/filled" + location.pathname + location.search)).json();
  document.documentElement.innerHTML = told.page;
});
"""


@dataclass(frozen=True)
class ScriptBoard:
    """`board`, of which nothing is to be seen without a script."""

    board: Shape
    precision: timedelta = timedelta()
    charset: str = "utf-8"
    paged: bool = True
    more: tuple[str, ...] = ("script = true",)

    @property
    def name(self) -> str:
        """The board's, with how it is shown."""
        return f"{self.board.name}, by script"

    @property
    def preset(self) -> str:
        """The board's."""
        return self.board.preset

    @property
    def version(self) -> str:
        """The board's."""
        return self.board.version

    @property
    def start(self) -> str:
        """The board's."""
        return self.board.start

    def pages(self, content: Content, url: str) -> Iterator[tuple[str, Made]]:
        """Yield for each page of the board an empty one, and what fills it."""
        yield "/fill.js", lambda: FILL
        for path, render in self.board.pages(content, url):
            if isinstance(render(), Redirect):
                yield path, render
            else:
                yield path, lambda: EMPTY
                yield f"/filled{path}", partial(_filling, render)


def _filling(made: Made) -> dict[str, Any]:
    return {"page": made()}
