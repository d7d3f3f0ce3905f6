"""How far the product reaches: of thirty customers planted on a site of each program, how many
crawl and match find.

Real programs are started where they can be had, all others are pages in their shape
(`harness/reach`). Nothing is timed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from harness.reach.live import CHATS, PROGRAMS, Program, crawled, hold_chat
from harness.reach.measured import HEAD, Reach
from harness.reach.planted import CUSTOMERS
from harness.reach.shapes import SHAPES
from harness.reach.shapes import crawled as crawled_shapes
from tests.crawlers.conftest import Station
from ullage import setup
from ullage.errors import UnavailableError
from ullage.settings import Context


def reach(folder: Path) -> list[str]:
    """Print the table; names the programs of which something was missed."""
    print(HEAD)
    rows = []

    def station(name: str) -> Station:
        context = Context(folder / "reach" / name / "data")
        context.data.mkdir(parents=True)
        list(setup.initialise(context))
        return Station(context.data)

    def row(name: str, act: Callable[[Station, Path], Reach]) -> None:
        try:
            rows.append(act(station(name), folder / "reach" / name / "program"))
            print(rows[-1], flush=True)
        except UnavailableError as error:
            print(f"{name:<20} not measured: {error}", flush=True)

    for program in PROGRAMS:
        row(program.name, partial(_program, program))
    for chat in CHATS:
        row(chat, partial(_chat, chat))
    shapes = crawled_shapes(station("shapes"))
    for shape in SHAPES:
        rows.append(shapes.reach(shape))
        print(rows[-1], flush=True)
    return [one.program for one in rows if one.captured != one.planted or one.exposed != CUSTOMERS]


def _program(program: Program, own: Station, work: Path) -> Reach:
    return crawled(program, own, work).reach


def _chat(chat: str, own: Station, work: Path) -> Reach:
    return hold_chat(chat, own, work).reach
