"""`sites try` and `sites doctor` on real programs: the file that is written reads every post; a list that moved is found."""

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.posting import Bepasty
from deploy.local.posting import Spirit as Poster
from deploy.local.programs import bepasty, ensure_environment, spirit
from tests.crawlers.conftest import Station
from tests.live.front import fronts
from tests.live.test_programs import PRESETS, started
from ullage.errors import UnavailableError

pytestmark = [pytest.mark.live, pytest.mark.timeout(600)]
GIVEN = ("--allow-private", "--legal-basis", "test", "--owner", "test")
SECONDS = 30


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A Spirit with two boards and a bepasty, with posts."""
    binaries, work = ensure_environment(Path(__file__).parents[2] / ".demo" / "sites-venv"), tmp_path_factory.mktemp("sites")
    with contextlib.ExitStack() as stack:
        forum = stack.enter_context(spirit(binaries, work / "spirit", ("General", "Loans")))
        pastes = stack.enter_context(bepasty(binaries, work / "bepasty"))
        poster = Poster(forum.url, forum.user, forum.password)
        for number in range(6):
            poster.topic(list(forum.categories.values())[number % 2], f"secret title {number}", f"secret text {number}")
            Bepasty(pastes).paste(f"secret paste {number}".encode(), f"secret-{number}.txt")
        doors = stack.enter_context(fronts({"spirit": forum.url, "bepasty": pastes}))
        yield {name: door.url for name, door in doors.items()}


@pytest.fixture
def crawled(data: Path) -> Station:
    """A data folder of its own for each test."""
    return Station(data)


@pytest.mark.parametrize(("name", "pages"), [("spirit", 6), ("bepasty", 6)])
def test_what_try_writes_reads_every_post_of_a_real_program(
    crawled: Station, programs: dict[str, str], name: str, pages: int
) -> None:
    words = [sys.executable, "-m", "ullage", "--data", str(crawled.data), "sites", "try", f"{programs[name]}/", "--name", name]
    done = subprocess.run([*words, *GIVEN], capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    assert f"{name}: 2 marks of it" in done.stdout
    assert "secret" not in done.stdout + done.stderr
    file = (crawled.data / "sites.d" / f"{name}.toml").read_text()
    assert len(file.splitlines()) <= 8
    assert f'platform = "{name}"' in file
    assert f'"captures": {pages}' in crawled.run("crawl", name, "--once")
    assert "Nothing speaks against it" in crawled.run("sites", "doctor", name)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_board_is_told_read_and_written_down_from_its_front_page(crawled: Station, tmp_path: Path, preset: str) -> None:
    threads = [(f"secret title {number}", [f"secret text {number} {reply}" for reply in range(3)]) for number in range(8)]
    try:
        program = started(preset, tmp_path / "program")
    except UnavailableError as error:
        pytest.fail(str(error), pytrace=False) if os.environ.get("CI") else pytest.skip(str(error))
    with program as board:
        board.write(threads)
        words = [sys.executable, "-m", "ullage", "--data", str(crawled.data), "sites", "try", f"{board.url}/", "--name", "board"]
        done = subprocess.run([*words, *GIVEN], capture_output=True, text=True, timeout=SECONDS, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert re.search(rf"software +{preset}: \d marks? of it", done.stdout)
        assert "secret" not in done.stdout + done.stderr
        crawled.run("crawl", "board", "--once")
        said = b"".join(capture.body for capture in crawled.captures())
        assert all(text.encode() in said for _, texts in threads for text in texts)


def test_doctor_finds_what_an_address_that_is_gone_became(crawled: Station, programs: dict[str, str]) -> None:
    crawled.site("board", f"{programs['spirit']}/no/such/list/", platform="spirit")
    said = json.loads(crawled.run("sites", "doctor", "board", "--json", exits=1).splitlines()[0])
    assert said["reason"] == "gone"
    assert said["mends"][0]["lines"] == [
        f'- start = ["{programs["spirit"]}/no/such/list/"]',
        f'+ start = ["{programs["spirit"]}/"]',
    ]
