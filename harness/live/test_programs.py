"""Real programs on loopback, from crawl to match: every post once, all pages, replies to old
threads, every customer in them.
"""

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from deploy.local.programs import ensure_environment
from harness.reach.live import (
    CHATS,
    DEEP,
    DEMO,
    FIRST,
    LATER,
    PROGRAMS,
    UNCHANGED,
    Program,
    ProgramResult,
    crawled,
    hold_chat,
)
from harness.servers import boards, pastes
from tests.crawlers.conftest import Station
from tests.crawlers.support import Answers, serving
from ullage.errors import UnavailableError

pytestmark = [pytest.mark.live, pytest.mark.timeout(600)]
GREETING = "Welcome to your brand new NodeBB"
"""What NodeBB says to whoever sets it up."""
LINES = {
    "bepasty": 4,
    "dpaste": 5,
    "Fossil": 4,
    "machina": 4,
    "NodeBB": 4,
    "pinnwand": 5,
    "Spirit": 4,
    "phpBB, by script": 5,
    "Synapse": 7,
    "Prosody": 7,
}


@pytest.fixture
def station(data: Path) -> Station:
    return Station(data)


def missing(error: UnavailableError) -> NoReturn:
    """Skip, saying what to install. In CI that is a failure."""
    if os.environ.get("CI"):
        pytest.fail(str(error), pytrace=False)
    pytest.skip(str(error))


def had(act: Callable[[], ProgramResult]) -> ProgramResult:
    """Return the result of a program, or skip the test where it is not available."""
    try:
        return act()
    except UnavailableError as error:
        missing(error)


def all_is_reached(seen: ProgramResult) -> None:
    texts = Counter(text for text in seen.texts if not text.startswith(GREETING))
    assert texts == Counter(seen.planned.texts)
    assert seen.exposed == {person.reference for person in seen.planned.customers}
    assert (seen.reach.captured, seen.reach.lines) == (
        seen.reach.planted,
        LINES[seen.reach.program],
    )
    assert seen.reach.version


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.preset)
def test_every_post_is_reached_and_a_revisit_reads_only_new_ones(
    program: Program, station: Station, tmp_path: Path
) -> None:
    result = had(lambda: crawled(program, station, tmp_path / "program"))
    all_is_reached(result)
    visits = [visit[program.preset] for visit in result.visits]
    assert {visit["status"] for visit in visits} == {"ok"}
    greeted = len(result.texts) - len(result.planned.texts)
    assert (
        visits[FIRST]["captures"] == sum(len(texts) for _, texts in result.planned.first) + greeted
    )
    assert visits[UNCHANGED]["captures"] == 0
    assert visits[UNCHANGED]["pages"] <= 4  # the heads of the lists
    assert visits[LATER]["captures"] == sum(len(texts) for _, texts in result.planned.later)
    # its paste's page, which names the files, and the file
    each = 2 if program.preset == "pinnwand" else 1
    assert visits[LATER]["pages"] <= 3 + each * visits[LATER]["captures"]
    assert visits[DEEP]["captures"] == sum(len(texts) for _, texts in result.planned.back_dated)


@pytest.mark.parametrize("chat", CHATS)
def test_every_message_and_customer_of_a_chat_is_reached(
    chat: str, station: Station, tmp_path: Path
) -> None:
    all_is_reached(had(lambda: hold_chat(chat, station, tmp_path / "program")))


def test_files_of_a_paste_are_read_once_and_unlinked_pastes_never(
    tmp_path: Path, station: Station
) -> None:
    try:
        binaries = ensure_environment(DEMO / "boards-venv", boards.REQUIREMENTS)
    except UnavailableError as error:
        missing(error)
    with pastes.pinnwand(binaries, tmp_path / "program") as (url, paste), serving() as answers:
        single = paste({"a.txt": "王小明----13800138000\n"})
        two = paste({"b.txt": "first\n", "c.txt": "x" * 200_000})
        paste({"d.txt": "nobody links here\n"})
        link(answers, single, two)
        station.site(
            "pastes",
            f"{answers.url}/links",
            "pinnwand",
            f'hosts = ["{url.removeprefix("http://")}"]\nconcurrency = 4',
        )
        station.run("crawl", "--once")
        texts = {capture.body.decode() for capture in station.captures()}
        assert texts == {"王小明----13800138000\n", "first\n", "x" * 200_000}
        link(answers, single, two, paste({"e.txt": "new\n"}))
        station.run("crawl", "--once")
        assert [capture.body for capture in station.captures()] == [b"new\n"]


def link(answers: Answers, *urls: str) -> None:
    """Serve somebody's page that links to pastes."""
    answers.says("/links", "".join(f'<li><a href="{url}">看这里</a></li>' for url in urls))
