"""Real board and paste programs on loopback, crawled by preset: every post once, all pages, replies to old threads."""

import html
import json
import os
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from deploy.local import boards
from deploy.local.boards import Board
from deploy.local.programs import ensure_environment
from tests.crawlers.conftest import Station
from tests.crawlers.support import Answers, serving
from ullage.errors import UnavailableError

pytestmark = pytest.mark.live
DEMO = Path(__file__).parents[2] / ".demo"
REPLIES = 45  # several pages of a thread
TOPICS = 28  # two pages of a list
PRESETS = ("machina", "fossil", "nodebb")


def started(preset: str, work: Path) -> AbstractContextManager[Board]:
    if preset == "fossil":
        return boards.fossil(work)
    if preset == "nodebb":
        return boards.nodebb(boards.ensure_nodebb(DEMO / "nodebb"), work)
    return boards.machina(ensure_environment(DEMO / "boards-venv", boards.REQUIREMENTS), work)


@pytest.fixture(params=PRESETS)
def board(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, Board]]:
    """A program that runs; skipped, saying what to install, where it cannot be had. In CI that is a failure."""
    try:
        with started(request.param, tmp_path / "program") as made:
            yield request.param, made
    except UnavailableError as error:
        pytest.fail(str(error), pytrace=False) if os.environ.get("CI") else pytest.skip(str(error))


@pytest.fixture
def station(data: Path) -> Station:
    return Station(data)


def crawl(station: Station) -> dict[str, object]:
    """Visit the one site once; the log's line."""
    lines = map(json.loads, station.run("crawl", "--once", log_level="info").splitlines())
    (found,) = (line for line in lines if line["event"] == "visited")
    return found


def said(station: Station) -> list[str]:
    """The texts that came, without mark-up."""
    bodies = (capture.body.decode(capture.charset or "utf-8") for capture in station.captures())
    return sorted(html.unescape(re.sub(r"<[^>]*>", "", body)).strip() for body in bodies)


def test_every_post_comes_once_and_a_revisit_brings_what_is_new_alone(board: tuple[str, Board], station: Station) -> None:
    preset, program = board
    long = [f"reply {number} 第{number}楼 客户 13800138000" for number in range(REPLIES)]
    threads = [("客户名单 出售", long), *((f"topic {number}", [f"body {number}"]) for number in range(TOPICS))]
    program.write(threads)
    station.site("board", f"{program.url}/", preset, "concurrency = 4")

    first = crawl(station)
    captures = [text for _, bodies in threads for text in bodies]
    known = said(station)
    if preset == "nodebb":  # which greets whoever sets it up
        known = [text for text in known if not text.startswith("Welcome to your brand new NodeBB")]
    assert known == sorted(captures)
    assert first["status"] == "ok"

    again = crawl(station)
    assert again["captures"] == 0
    assert again["pages"] <= 4  # the heads of the lists

    program.write(
        [("客户名单 出售", ["one more 王小明"]), ("topic 0", ["a reply to an old thread"]), ("topic new", ["a new thread"])]
    )
    fresh = crawl(station)
    assert said(station) == ["a new thread", "a reply to an old thread", "one more 王小明"]
    assert fresh["pages"] <= 10


def test_of_a_paste_site_without_a_list_every_file_is_read_that_somebody_links_to(tmp_path: Path, station: Station) -> None:
    try:
        binaries = ensure_environment(DEMO / "boards-venv", boards.REQUIREMENTS)
    except UnavailableError as error:
        pytest.fail(str(error), pytrace=False) if os.environ.get("CI") else pytest.skip(str(error))
    with boards.pinnwand(binaries, tmp_path / "program") as (url, paste), serving() as answers:
        one = paste({"a.txt": "王小明----13800138000\n"})
        two = paste({"b.txt": "first\n", "c.txt": "x" * 200_000})
        paste({"d.txt": "nobody links here\n"})
        link(answers, one, two)
        station.site("pastes", f"{answers.url}/links", "pinnwand", f'hosts = ["{url.removeprefix("http://")}"]\nconcurrency = 4')
        assert crawl(station)["status"] == "ok"
        found = {capture.body.decode() for capture in station.captures()}
        assert found == {"王小明----13800138000\n", "first\n", "x" * 200_000}
        link(answers, one, two, paste({"e.txt": "new\n"}))
        assert crawl(station)["captures"] == 1
        assert [capture.body for capture in station.captures()] == [b"new\n"]


def link(answers: Answers, *urls: str) -> None:
    """What somebody's page says of pastes."""
    answers.says("/links", "".join(f'<li><a href="{url}">看这里</a></li>' for url in urls))
