"""Boards in the shape of programs that cannot be run here, read whole: every post once, replies to old threads, views ignored."""

import json

from crawlers.sites.presets import Presets
from tests.crawlers.conftest import Station
from tests.crawlers.shapes import SHAPES, Made
from tests.crawlers.support import Answers
from ullage.records import Capture

THREADS, LONG = 25, 23
NEW = ["a reply", "new", "the newest 王小明"]


def crawl(station: Station) -> tuple[dict[str, dict[str, int]], dict[str, list[Capture]]]:
    """Visit all sites once; the log's line of each, and its captures."""
    lines = map(json.loads, station.run("crawl", "--once", log_level="info").splitlines())
    found: dict[str, list[Capture]] = {shape.preset: [] for shape in SHAPES}
    for capture in station.captures():
        found[capture.site].append(capture)
    return {line["site"]: line for line in lines if line["event"] == "visited"}, found


def said(captures: list[Capture]) -> list[str]:
    return sorted(capture.body.decode(capture.charset) for capture in captures)


def test_boards_give_every_post_once_and_later_what_is_new_alone(station: Station, server: Answers) -> None:
    boards = {shape.preset: Made(shape) for shape in SHAPES}
    assert boards.keys() <= set(Presets().names())
    for preset, made in boards.items():
        made.write(1, *(f"第{number}楼 13800138000" for number in range(LONG)))
        for thread in range(2, THREADS + 1):
            made.write(thread, f"body {thread}")
        made.serve(server)
        station.site(preset, server.url + made.shape.listed(1), preset, "concurrency = 4\nrobots = false")
    visits, captures = crawl(station)
    for preset, made in boards.items():
        got, planted = captures[preset], sorted(text for texts in made.threads.values() for text in texts)
        assert said(got) == planted, preset
        assert len({capture.post_id for capture in got}) == len(planted) == LONG + THREADS - 1
        assert all(capture.author and capture.published_at and capture.title and capture.thread for capture in got), preset
        assert visits[preset]["status"] == "ok"

    visits, captures = crawl(station)
    assert {preset: (len(captures[preset]), visits[preset]["pages"]) for preset in boards} == dict.fromkeys(boards, (0, 1))

    for made in boards.values():
        made.write(1, "the newest 王小明")
        made.write(2, "a reply")
        made.write(99, "new")
        made.serve(server)
    visits, captures = crawl(station)
    assert {preset: said(captures[preset]) for preset in boards} == dict.fromkeys(boards, NEW)
    assert max(visits[preset]["pages"] for preset in boards) <= 6
