"""Real programs on loopback, each with what writes into it: the same is planted as in the
shapes, and the same row comes out.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from crawlers.fetching.rendering import get_version
from deploy.local import programs
from deploy.local.posting import Bepasty, Spirit
from deploy.local.server import HOST
from harness.live.chats import Poster, Talker, account, channel, collecting
from harness.reach.boards import boards as boards_of_pages
from harness.reach.by_script import ScriptBoard
from harness.reach.content import Content
from harness.reach.measured import CrawlFolder, Reach
from harness.reach.planted import Plan, Threads, plan
from harness.reach.shape import serve
from harness.reach.shapes import Visits, said
from harness.servers import boards, chats, pastes
from tests.crawlers.conftest import Station
from tests.crawlers.support import serving
from ullage.settings import CrawlSettings

DEMO = Path(__file__).parents[2] / ".demo"
LIVE = "live"
FIRST, UNCHANGED, LATER, DEEP = range(4)
"""The visits."""


@dataclass(frozen=True, slots=True)
class Site:
    """A running program: where a visit begins, how it is written into, and lines that its file
    needs beside the usual four.
    """

    version: str
    start: str
    write: Callable[[Threads], None]
    more: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Program:
    """A program that can be had; `running` raises UnavailableError, which says what to install,
    where it cannot.
    """

    name: str
    preset: str
    running: Callable[[Path], AbstractContextManager[Site]]
    how: str = LIVE


@dataclass(frozen=True, slots=True)
class ProgramResult:
    """What came of a program; `visits` are what the log says of each, none of a chat."""

    reach: Reach
    planned: Plan
    texts: list[str]
    """Of all captures, without mark-up."""
    exposed: set[str]
    visits: tuple[Visits, ...] = ()


def read_version(package: str, requirements: Path) -> str:
    """Return the installed version."""
    match = re.search(
        rf"^{re.escape(package)}==(\S+)", requirements.read_text(encoding="ascii"), re.MULTILINE
    )
    assert match, package
    return match[1]


@contextlib.contextmanager
def _machina(work: Path) -> Iterator[Site]:
    binaries = programs.ensure_environment(DEMO / "boards-venv", boards.REQUIREMENTS)
    with boards.machina(binaries, work) as board:
        yield Site(
            read_version("django-machina", boards.REQUIREMENTS), f"{board.url}/", board.write
        )


@contextlib.contextmanager
def _fossil(work: Path) -> Iterator[Site]:
    with boards.fossil(work) as board:
        version = re.search(r"version (\S+)", programs.run(["fossil", "version"], work))
        yield Site(version[1] if version else "", f"{board.url}/", board.write)


@contextlib.contextmanager
def _nodebb(work: Path) -> Iterator[Site]:
    with boards.nodebb(boards.ensure_nodebb(DEMO / "nodebb"), work) as board:
        yield Site(boards.NODEBB.rpartition("@")[2], f"{board.url}/", board.write)


@contextlib.contextmanager
def _spirit(work: Path) -> Iterator[Site]:
    with programs.spirit(programs.ensure_environment(DEMO / "sites-venv"), work) as forum:
        poster, topics = Spirit(forum.url, forum.user, forum.password), dict[str, int]()
        (category,) = forum.categories.values()

        def write(threads: Threads) -> None:
            for title, texts in threads:
                replies = list(texts)
                if title not in topics:
                    topics[title] = poster.topic(category, title, replies.pop(0))
                for text in replies:
                    poster.reply(topics[title], text)

        yield Site(read_version("django-spirit", programs.REQUIREMENTS), f"{forum.url}/", write)


@contextlib.contextmanager
def _bepasty(work: Path) -> Iterator[Site]:
    with programs.bepasty(programs.ensure_environment(DEMO / "sites-venv"), work) as url:

        def write(threads: Threads) -> None:
            for title, texts in threads:
                for text in texts:
                    Bepasty(url).paste(text, f"{title}.txt")

        yield Site(read_version("bepasty", programs.REQUIREMENTS), f"{url}/", write)


@contextlib.contextmanager
def _linked(
    version: str, running: AbstractContextManager[tuple[str, pastes.Paste]]
) -> Iterator[Site]:
    """Run a paste program that lists no pastes; somebody's page links to them."""
    with running as (url, paste), serving() as answers:
        links: list[str] = []

        def write(threads: Threads) -> None:
            for title, texts in threads:
                links.extend(
                    f'<li><a href="{paste({"a.txt": text})}">{title}</a></li>' for text in texts
                )
            answers.says(
                "/links", f"<ul>{''.join(links)}</ul>", Content_Type="text/html; charset=utf-8"
            )

        yield Site(
            version, f"{answers.url}/links", write, (f'hosts = ["{url.removeprefix("http://")}"]',)
        )


def _pinnwand(work: Path) -> AbstractContextManager[Site]:
    binaries = programs.ensure_environment(DEMO / "boards-venv", boards.REQUIREMENTS)
    return _linked(read_version("pinnwand", boards.REQUIREMENTS), pastes.pinnwand(binaries, work))


def _dpaste(work: Path) -> AbstractContextManager[Site]:
    binaries = programs.ensure_environment(DEMO / "dpaste-venv", pastes.DPASTE_REQUIREMENTS)
    return _linked(
        read_version("dpaste", pastes.DPASTE_REQUIREMENTS), pastes.dpaste(binaries, work)
    )


@contextlib.contextmanager
def _by_script(_: Path) -> Iterator[Site]:
    asyncio.run(
        get_version(Path(CrawlSettings().browser))
    )  # says what to install where there is none
    board, content = (
        next(board for board in boards_of_pages() if board.preset == "phpbb"),
        Content(),
    )
    shape = ScriptBoard(replace(board, entries=20, posts=20))
    with serving() as answers:

        def write(threads: Threads) -> None:
            (content.reply if content.threads else content.write)(threads)
            serve(shape, content, answers)

        yield Site(shape.version, answers.url + shape.start, write, shape.more)


PROGRAMS = (
    Program("bepasty", "bepasty", _bepasty),
    Program("dpaste", "dpaste", _dpaste),
    Program("Fossil", "fossil", _fossil),
    Program("machina", "machina", _machina),
    Program("NodeBB", "nodebb", _nodebb),
    Program("pinnwand", "pinnwand", _pinnwand),
    Program("Spirit", "spirit", _spirit),
    Program("phpBB, by script", "phpbb", _by_script, "own pages in Chromium"),
)


def crawled(program: Program, station: Station, work: Path) -> ProgramResult:
    """Write, crawl in four visits, and match.

    Nothing real can be dated back: that round is written as it comes.
    """
    planned = plan()
    measured = CrawlFolder(station, planned.customers)
    with program.running(work) as site:
        site.write(planned.first)
        measured.site(program.preset, program.preset, site.start, *site.more)
        visits = [measured.crawl(), measured.crawl()]
        for threads in (planned.later, planned.back_dated):
            site.write(threads)
            visits.append(measured.crawl())
    exposed = measured.exposed()[program.preset]
    texts = [said(capture) for capture in measured.captures[program.preset]]
    reach = _row(program, site.version, measured.lines[program.preset], planned, texts, exposed)
    return ProgramResult(reach, planned, texts, exposed, tuple(visits))


def _row(
    of: Program | str, version: str, lines: int, planned: Plan, texts: list[str], exposed: set[str]
) -> Reach:
    name, how = (of, LIVE) if isinstance(of, str) else (of.name, of.how)
    return Reach(
        name, version, how, lines, planned.posts, len(planned.texts & set(texts)), len(exposed)
    )


CHATS = ("Synapse", "Prosody")
CHANNEL = "loans"


def hold_chat(chat: str, station: Station, work: Path) -> ProgramResult:
    """Post the same in a chat room, and match what the collector hands in.

    Half of it is posted before anybody listens.
    """
    planned = plan()
    measured = CrawlFolder(station, planned.customers)
    running = _in_matrix if chat == "Synapse" else _in_xmpp
    with running(station, work) as (service, version, say):
        measured.captures[CHANNEL] = []
        measured.lines[CHANNEL] = len(
            (station.data / "channels.d" / f"{CHANNEL}.toml")
            .read_text(encoding="utf-8")
            .splitlines()
        )
        *before, after = [
            [text for _, texts in threads for text in texts]
            for threads in (planned.first, planned.later, planned.back_dated)
        ]
        for texts in before:
            say(texts)
        with collecting(station, service):
            measured.wait(CHANNEL, {text for texts in before for text in texts})
            say(after)
            measured.wait(CHANNEL, planned.texts)
    exposed = measured.exposed()[CHANNEL]
    messages = [
        said(capture) for capture in measured.captures[CHANNEL] if capture.kind == "message"
    ]
    return ProgramResult(
        _row(chat, version, measured.lines[CHANNEL], planned, messages, exposed),
        planned,
        messages,
        exposed,
    )


Saying = tuple[str, str, Callable[[list[str]], None]]
"""The service, the version, and what says something."""


@contextlib.contextmanager
def _in_matrix(station: Station, work: Path) -> Iterator[Saying]:
    python = chats.ensure_synapse(DEMO / "synapse-venv")
    with chats.synapse(python, work) as server:
        seller, reader = (Poster(server, *server.user(name)) for name in ("seller", "reader"))
        account(station, server.url, reader.user, reader.token)
        room = seller.room(CHANNEL)
        channel(station, CHANNEL, "matrix", f"#{CHANNEL}:localhost")

        def say(texts: list[str]) -> None:
            for text in texts:
                seller.say(room, text)

        yield "matrix", read_version("matrix-synapse", chats.SYNAPSE), say


@contextlib.contextmanager
def _in_xmpp(station: Station, work: Path) -> Iterator[Saying]:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        with chats.prosody(Path(folder)) as server:
            seller = Talker(server, f"seller{secrets.token_hex(3)}")
            address, password = server.user("reader")
            account(station, address, password, f"{HOST}:{server.port}", "plain")
            room = f"{CHANNEL}@rooms.localhost"
            seller.open(room)
            channel(station, CHANNEL, "xmpp", room)
            version = re.search(
                r"Prosody (\S+)", programs.run(["prosodyctl", "about"], Path(folder))
            )
            yield "xmpp", version[1] if version else "", lambda texts: seller.say(room, texts)
