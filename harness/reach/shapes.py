"""Every shape, and the whole way of one table: what is planted on all of them at once, crawled
in four visits, and matched.
"""

from __future__ import annotations

import contextlib
import html
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.reach.boards import boards
from harness.reach.content import Content, Post
from harness.reach.feeds import FEEDS
from harness.reach.measured import CrawlFolder, Reach
from harness.reach.pastes import PASTES
from harness.reach.planted import plan
from harness.reach.searches import SEARCHES
from harness.reach.shape import TOKEN, Shape, serve
from tests.crawlers.conftest import Station
from tests.crawlers.support import serving
from ullage.records import Capture

SHAPES: tuple[Shape, ...] = (*boards(), *FEEDS, *PASTES, *SEARCHES)
OWN = "own pages"
Visits = Mapping[str, Mapping[str, Any]]
"""By site what the log says of it, as JSON."""


def name_of(shape: Shape) -> str:
    """Return the name of the site in a shape."""
    return re.sub(r"[^a-z0-9]+", "-", shape.name.lower()).strip("-")


def said(capture: Capture) -> str:
    """Return the text of a capture without mark-up."""
    text = capture.body.decode(capture.charset or "utf-8")
    return html.unescape(re.sub(r"<[^>]*>", "", text)).replace("\N{NO-BREAK SPACE}", " ").strip()


@dataclass
class ShapeVisits:
    """All shapes after their visits: at first, unchanged, with replies to old threads, and with
    threads of an earlier date.
    """

    measured: CrawlFolder
    contents: dict[str, Content]
    first: Visits
    unchanged: Visits
    later: Visits
    deep: Visits
    exposed: dict[str, set[str]]

    def planted(self, shape: Shape) -> dict[str, Post]:
        """Return every post by its text."""
        return {post.text: post for post in self.contents[shape.name].posts()}

    def captures(self, shape: Shape) -> list[Capture]:
        """Return what was captured of a shape."""
        return self.measured.captures[name_of(shape)]

    def reach(self, shape: Shape) -> Reach:
        """Return the shape's row."""
        name, planted = name_of(shape), self.planted(shape)
        captured = len(
            {text for capture in self.captures(shape) if (text := said(capture)) in planted}
        )
        lines = self.measured.lines[name]
        return Reach(
            shape.name, shape.version, OWN, lines, len(planted), captured, len(self.exposed[name])
        )


def crawled(station: Station) -> ShapeVisits:
    """Write, crawl and match."""
    planned = plan()
    measured = CrawlFolder(station, planned.customers)
    contents = {shape.name: Content() for shape in SHAPES}
    with contextlib.ExitStack() as stack:
        servers = {shape.name: stack.enter_context(serving()) for shape in SHAPES}

        def visit() -> Visits:
            for shape in SHAPES:
                serve(shape, contents[shape.name], servers[shape.name])
            return measured.crawl()

        measured.session("forge", f"Authorization: {TOKEN}")
        for shape in SHAPES:
            contents[shape.name].write(planned.first)
            measured.site(
                name_of(shape), shape.preset, servers[shape.name].url + shape.start, *shape.more
            )
        first, unchanged = visit(), visit()
        for content in contents.values():
            content.reply(planned.later)
        later = visit()
        for content in contents.values():
            content.back_date(planned.back_dated)
        deep = visit()
    return ShapeVisits(measured, contents, first, unchanged, later, deep, measured.exposed())
