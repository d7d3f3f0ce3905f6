"""The whole stage against the real programs: what was posted through their forms comes out of
the bus, once, as posted.
"""

import html
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deploy.local.posting import Bepasty, Spirit
from deploy.local.programs import bepasty, ensure_environment, spirit
from tests.crawlers.conftest import Station
from ullage.records import Capture

pytestmark = pytest.mark.flow
REPLIES = 45  # three pages of Spirit
TOPICS = 24  # two pages of a list


@dataclass
class World:
    """The two programs, and how to post into them."""

    pastes: str
    board: str
    category: int
    paste: Bepasty
    forum: Spirit


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    binaries = ensure_environment(Path(__file__).parents[2] / ".demo" / "sites-venv")
    work = tmp_path_factory.mktemp("sites")
    with (
        bepasty(binaries, work / "bepasty") as pastes,
        spirit(binaries, work / "spirit", ("General", "中文版块")) as forum,
    ):
        posting = Spirit(forum.url, forum.user, forum.password)
        yield World(pastes, forum.url, forum.categories["中文版块"], Bepasty(pastes), posting)


def crawl(station: Station) -> dict[str, dict[str, object]]:
    """Visit both sites once; the log's line of each."""
    lines = map(json.loads, station.run("crawl", "--once", log_level="info").splitlines())
    return {line["site"]: line for line in lines if line["event"] == "visited"}


def text(capture: Capture) -> str:
    """Return a forum post's text, without the markup that the program put around it."""
    return html.unescape(
        capture.body.decode(capture.charset or "utf-8").removeprefix("<p>").removesuffix("</p>")
    )


def test_every_post_is_captured_once_and_a_recrawl_reads_only_new_ones(
    world: World, station: Station
) -> None:
    gbk = "王小明----13800138000\n".encode("gb18030")
    pasted = {
        world.paste.paste("short 文本\n第二行", "short.txt"): "short 文本\n第二行".encode(),
        world.paste.paste(gbk, "names.csv", "text/csv"): gbk,
        world.paste.paste("x" * 200_000, "long.txt"): b"x" * 200_000,
    }
    topic = world.forum.topic(world.category, "客户名单 出售", "first 客户 <b>")
    expected = {"first 客户 <b>"}
    for number in range(REPLIES):
        world.forum.reply(topic, f"reply {number} 第{number}楼 13800138000")
        expected.add(f"reply {number} 第{number}楼 13800138000")
    for number in range(TOPICS):
        world.forum.topic(world.category, f"topic {number}", f"body {number}")
        expected.add(f"body {number}")
    station.site("pastes", world.pastes, "bepasty", "concurrency = 8")
    station.site("board", f"{world.board}/", "spirit", 'concurrency = 8\ncategory = "forum"')

    visits = crawl(station)
    assert (visits["pastes"]["captures"], visits["board"]["captures"]) == (
        len(pasted),
        len(expected),
    )
    captures = station.captures()
    pastes = {capture.post_id: capture for capture in captures if capture.site == "pastes"}
    posts = [capture for capture in captures if capture.site == "board"]
    assert {number: capture.body for number, capture in pastes.items()} == pasted
    assert {capture.title for capture in pastes.values()} == {"short.txt", "names.csv", "long.txt"}
    assert {text(capture) for capture in posts} == expected
    assert len({capture.post_id for capture in posts}) == len(posts) == len(expected)
    now = datetime.now(UTC)
    for capture in captures:
        assert now - timedelta(minutes=10) < capture.published_at <= now
    replies = [capture for capture in posts if capture.thread == str(topic)]
    assert len(replies) == REPLIES + 1
    assert {(capture.author, capture.title, capture.channel) for capture in replies} == {
        ("admin", "客户名单 出售", "中文版块")
    }

    again = crawl(station)
    assert (again["pastes"]["captures"], again["board"]["captures"]) == (0, 0)

    world.forum.reply(topic, "the newest reply")
    newest = world.paste.paste("the newest paste", "new.txt")
    crawl(station)
    fresh = station.captures()
    assert sorted(text(capture) for capture in fresh) == ["the newest paste", "the newest reply"]
    assert {capture.post_id for capture in fresh if capture.site == "pastes"} == {newest}


def test_both_bepasty_lists_give_the_same_captures(world: World, station: Station) -> None:
    world.paste.paste("listed twice", "both.txt")
    station.site("json", f"{world.pastes}/", "bepasty")
    station.site("html", f"{world.pastes}/+list", "bepasty")
    crawl(station)
    shown: dict[str, set[tuple[object, ...]]] = {"json": set(), "html": set()}
    for capture in station.captures():
        shown[capture.site].add(
            (capture.post_id, capture.url, capture.title, capture.body, capture.published_at)
        )
    assert shown["json"] == shown["html"] != set()
