"""`sites try` on real programs: the file that is written reads every post; a list that moved is
found.
"""

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy.local.posting import Spirit as Poster
from deploy.local.programs import ensure_environment, spirit
from harness.live.front import Front, fronts
from harness.reach.live import DEMO, PROGRAMS, Program
from harness.reach.shapes import said
from tests.crawlers.conftest import Station
from ullage.errors import UnavailableError

pytestmark = [pytest.mark.live, pytest.mark.timeout(600)]
GIVEN = ("--allow-private", "--legal-basis", "test", "--owner", "test")
SECONDS = 30
LISTED = [program for program in PROGRAMS if program.preset not in {"dpaste", "pinnwand"}]
"""Of the others nobody lists the pastes."""
THREADS = [
    (f"secret title {number}", [f"secret text {number} {reply}" for reply in range(3)])
    for number in range(8)
]


@pytest.fixture
def crawled(data: Path) -> Station:
    """Return a data folder of this test's own."""
    return Station(data)


def try_site(station: Station, url: str, *more: str) -> subprocess.CompletedProcess[str]:
    """Run `sites try` within the time that it promises."""
    words = [
        sys.executable,
        "-m",
        "ullage",
        "--data",
        str(station.data),
        "sites",
        "try",
        url,
        "--name",
        "tried",
        *GIVEN,
        *more,
    ]
    return subprocess.run(words, capture_output=True, text=True, timeout=SECONDS, check=False)


@pytest.mark.parametrize("program", LISTED, ids=lambda program: program.preset)
def test_file_written_by_try_reads_every_post_of_a_real_program(
    crawled: Station, tmp_path: Path, program: Program
) -> None:
    with contextlib.ExitStack() as stack:
        try:
            site = stack.enter_context(program.running(tmp_path / "program"))
        except UnavailableError as error:
            pytest.fail(str(error), pytrace=False) if os.environ.get("CI") else pytest.skip(
                str(error)
            )
        site.write(THREADS)
        result = try_site(crawled, site.start)
        assert result.returncode == 0, result.stdout + result.stderr
        assert re.search(rf"software +{program.preset}: \d marks? found", result.stdout)
        assert "secret" not in result.stdout + result.stderr
        file = (crawled.data / "sites.d" / "tried.toml").read_text()
        assert len(file.splitlines()) <= 8
        assert f'platform = "{program.preset}"' in file
        crawled.run("crawl", "tried", "--once")
        assert {text for _, texts in THREADS for text in texts} <= set(
            map(said, crawled.captures())
        )
        assert "No problem found" in crawled.run("sites", "try", "tried")


def test_try_asks_for_a_linking_page_if_a_program_lists_no_pastes(
    crawled: Station, tmp_path: Path
) -> None:
    program = next(program for program in PROGRAMS if program.preset == "dpaste")
    try:
        running = program.running(tmp_path / "program")
        with running as site:
            site.write(THREADS)
            (pastes,) = re.findall(r'"(.+)"', site.more[0])
            result = try_site(crawled, f"http://{pastes}/")
    except UnavailableError as error:
        pytest.fail(str(error), pytrace=False) if os.environ.get("CI") else pytest.skip(str(error))
    assert result.returncode == 1
    assert re.search(r"software +it looks like dpaste, which finds no list here", result.stdout)
    assert "of a page that links to its posts" in result.stdout
    assert not (crawled.data / "sites.d" / "tried.toml").exists()


Behind = tuple[Front, Callable[[str], None]]
REMADE = {
    b"topic__": b"thema-",
    b"comments_list__comment": b"beitrag",
    b"comment__": b"inhalt-",
    b"data-pk": b"data-no",
}
"""What a new theme of Spirit calls things."""


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Behind]:
    """Yield a Spirit with two boards behind a front, and what answers in it."""
    binaries = ensure_environment(DEMO / "sites-venv")
    with spirit(binaries, tmp_path / "spirit", ("General", "Loans")) as forum:
        poster = Poster(forum.url, forum.user, forum.password)
        for number, (title, texts) in enumerate(THREADS):
            topic = poster.topic(list(forum.categories.values())[number % 2], title, texts[0])
            for text in texts[1:]:
                poster.reply(topic, text)
        with fronts({"spirit": forum.url}) as doors:
            yield doors["spirit"], lambda text: poster.reply(topic, text)


def test_try_finds_the_replacement_of_a_missing_address(crawled: Station, board: Behind) -> None:
    (door, _) = board
    crawled.site("board", f"{door.url}/no/such/list/", platform="spirit")
    row = json.loads(crawled.run("sites", "try", "board", "--json", exits=1).splitlines()[0])
    assert row["reason"] == "gone"
    assert row["mends"][0]["lines"] == [
        f'- start = ["{door.url}/no/such/list/"]',
        f'+ start = ["{door.url}/"]',
    ]


def test_try_corrects_the_file_of_a_restyled_board(crawled: Station, board: Behind) -> None:
    door, reply = board
    crawled.site("board", f"{door.url}/", platform="spirit")
    crawled.run("crawl", "--once")
    assert {text for _, texts in THREADS for text in texts} <= set(map(said, crawled.captures()))
    door.remade = REMADE
    reply("a reply that nobody would see")
    assert "layout_changed" in crawled.run("crawl", "--once")
    mend = json.loads(crawled.run("sites", "try", "board", "--json", exits=1).splitlines()[0])[
        "mends"
    ][0]
    assert mend["why"].startswith(
        "its file reads nothing here; as board it reads 8 threads on its first list"
    )
    path = crawled.data / "sites.d" / "board.toml"
    out = {line[2:] for line in mend["lines"] if line[0] == "-"}
    remaining = [line for line in path.read_text().splitlines() if line not in out]
    path.write_text(
        "\n".join([*remaining, *(line[2:] for line in mend["lines"] if line[0] == "+")])
    )
    crawled.run("crawl", "--once")
    assert list(map(said, crawled.captures())) == ["a reply that nobody would see"]
    assert "No problem found" in crawled.run("sites", "try", "board")
