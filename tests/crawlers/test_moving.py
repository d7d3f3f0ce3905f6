"""Sites that move to another crawl host: what was read is not read again, what is due is read
there.
"""

import json
import shutil
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from crawlers.frontier.database import FILE, Frontier
from crawlers.frontier.moving import export, take_in
from crawlers.sites.pages import PageAddress, PageContent
from tests.conftest import HeldClock
from tests.crawlers.conftest import Station
from tests.crawlers.support import KEY, Answers, item, post
from ullage import setup
from ullage.errors import ConfigError, CorruptError
from ullage.settings import Context

LIST = PageAddress("http://board.example/list", "list")


def fill(frontier: Frontier, site: str, count: int = 4) -> None:
    """Add a list half of whose items are read."""
    began = frontier.begin_visit(site, [LIST])
    frontier.finish(
        frontier.lease(site),
        PageContent(pages=tuple(item(n) for n in range(count))),
        began,
        7,
        b"known by",
    )
    for number in range(count // 2):
        frontier.finish(frontier.lease(site), PageContent((post(number),)), began)
    frontier.end_visit(site, 12345.0, succeeded=True)


@pytest.mark.parametrize("key", [KEY, bytes(32)], ids=["same key", "another key"])
def test_moved_site_continues_where_it_was(
    frontier: Frontier, tmp_path: Path, clock: HeldClock, key: bytes
) -> None:
    for site in ("one", "two"):
        fill(frontier, site)
    assert export(frontier, tmp_path / "moved.sqlite", ["one"]) == 5
    exported = Frontier(tmp_path, KEY, clock.as_clock(), file="moved.sqlite")
    second_frontier = Frontier(tmp_path / "other", key, clock.as_clock())
    assert take_in(second_frontier, exported) == 5
    assert dict(second_frontier.count_pages("one")) == dict(frontier.count_pages("one"))
    assert sum(second_frontier.count_pages("two").values()) == 0
    assert second_frontier.visits("one") == frontier.visits("one")
    assert second_frontier.history.load("one") == frontier.history.load("one")
    assert [second_frontier.lease("one").page for _ in range(2)] == [item(2), item(3)]
    second_frontier.recover("one")
    clock.advance(1)
    second_frontier.begin_visit("one", [LIST])
    head = second_frontier.lease("one")
    assert (head.page, head.validators, head.entries) == (LIST, b"known by", 4)
    assert len(second_frontier.unseen("one", [post(0)])) == (key != KEY), (
        "under another key posts are new once more"
    )
    for destination in (exported, second_frontier):
        destination.close()


def test_site_known_in_both_places_is_not_merged(
    frontier: Frontier, tmp_path: Path, clock: HeldClock
) -> None:
    fill(frontier, "one")
    export(frontier, tmp_path / "moved.sqlite", [])
    with pytest.raises(ConfigError, match="already exists"):
        export(frontier, tmp_path / "moved.sqlite", [])
    exported = Frontier(tmp_path, KEY, clock.as_clock(), file="moved.sqlite")
    with pytest.raises(ConfigError, match="site one already exists here"):
        take_in(frontier, exported)
    with pytest.raises(ConfigError, match="that file has no site absent"):
        take_in(frontier, exported, ["absent"])
    exported.close()


def test_sites_of_a_lost_host_move_to_one_with_another_key(
    station: Station, server: Answers, tmp_path: Path
) -> None:
    for number in range(6):
        server.says(f"/raw/paste{number}", f"text {number}", **{"Content-Type": "text/plain"})
    server.says("/archive", "".join(f'<a href="/paste{number}">x</a>' for number in range(6)))
    station.site("paste", f"{server.url}/archive", more="max_pages = 4")
    station.run("crawl", "--once")
    elsewhere = Station(tmp_path / "elsewhere")
    list(setup.initialise(Context(elsewhere.data)))
    backup = tmp_path / "kept"
    backup.mkdir(mode=0o700)
    for file in (*station.data.glob(f"{FILE}*"), station.data / "keys" / "frontier.key"):
        shutil.copy2(file, backup)
    output = elsewhere.run(
        "frontier", "import", str(backup / FILE), "--key", str(backup / "frontier.key")
    )
    assert "7 pages imported" in output
    elsewhere.site("paste", f"{server.url}/archive")
    elsewhere.run("crawl", "--once")
    assert sorted(path for path in server.requested_paths if path.startswith("/raw/")) == [
        f"/raw/paste{number}" for number in range(6)
    ]
    assert {capture.post_id for capture in (*station.captures(), *elsewhere.captures())} == {
        f"paste{n}" for n in range(6)
    }
    assert json.loads(elsewhere.run("sites", "--json"))["posts"] == 6
    output = elsewhere.run("frontier", "import", str(backup / FILE), exits=2)
    assert "frontier.key" in output


def test_wrong_key_for_the_file_is_rejected(
    frontier: Frontier, tmp_path: Path, clock: HeldClock
) -> None:
    fill(frontier, "one")
    export(frontier, tmp_path / "moved.sqlite", [])
    exported = Frontier(tmp_path, bytes(32), clock.as_clock(), file="moved.sqlite")
    second_frontier = Frontier(tmp_path / "other", KEY, clock.as_clock())
    with pytest.raises(CorruptError):
        take_in(second_frontier, exported)
    assert sum(second_frontier.count_pages("one").values()) == 0
    for destination in (exported, second_frontier):
        destination.close()


def test_surviving_host_continues_the_sites_of_a_killed_one(
    station: Station, server: Answers, tmp_path: Path
) -> None:
    """Both run as daemons; the second never stops."""
    count, stuck, release = 12, threading.Event(), threading.Event()
    for number in range(count):
        server.says(f"/raw/paste{number}", f"text {number}", **{"Content-Type": "text/plain"})
    server.says("/archive", "".join(f'<a href="/paste{number}">x</a>' for number in range(count)))
    server.says("/other", "")
    answer = server.pages["/raw/paste5"]

    def hang(_: BaseHTTPRequestHandler) -> None:
        server.pages["/raw/paste5"] = answer
        stuck.set()
        release.wait(120)

    server.pages["/raw/paste5"] = hang
    station.site("paste", f"{server.url}/archive")
    survivor = Station(tmp_path / "survivor")
    list(setup.initialise(Context(survivor.data)))
    survivor.site("own", f"{server.url}/other")
    with survivor.start("crawl", metrics_ports__crawl="0") as second:
        until_visited(second, "own")
        with station.start("crawl", metrics_ports__crawl="0") as first:
            assert stuck.wait(120)
            first.kill()
            first.wait(60)
        release.set()
        lost = time.monotonic()
        moved, key = tmp_path / "moved.sqlite", station.data / "keys" / "frontier.key"
        station.run("frontier", "export", str(moved), "paste")
        survivor.run("frontier", "import", str(moved), "--key", str(key))
        taken_over_at = time.monotonic()
        survivor.site("paste", f"{server.url}/archive")
        until_visited(second, "paste")
        message = (
            f"a lost host's site: moved after {taken_over_at - lost:.1f} s, read to its end after"
            f" {time.monotonic() - lost:.1f} s"
        )
        print(message)  # noqa: T201 - a measure, for whoever asks with -s
        assert second.poll() is None
    assert {capture.post_id for capture in (*station.captures(), *survivor.captures())} == {
        f"paste{n}" for n in range(count)
    }


def until_visited(process: subprocess.Popen[str], site: str) -> None:
    """Read the process's log until a visit to `site` has ended."""
    for line in process.stderr:
        logged = json.loads(line)
        if (logged["event"], logged.get("site")) == ("visited", site):
            return
    pytest.fail("the process ended before")
