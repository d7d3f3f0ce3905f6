"""A watched folder: files are taken once, half-written ones wait, and what was refused is kept
apart.
"""

import json
import os
import time
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from crawlers.intake.cli import SETTLED_SECONDS, UNENDED_SECONDS, WatchedFolder, ingest
from tests.conftest import HeldClock
from tests.crawlers.conftest import Station
from ullage.errors import ConfigError
from ullage.settings import Context


class Folder:
    def __init__(self, path: Path, clock: HeldClock, **more: bool) -> None:
        self.path, self.clock = path, clock
        self.watched = WatchedFolder(path, clock.as_clock(), **more)
        self.taken: list[str] = []
        self.refuse: set[str] = set()

    def put(self, name: str, text: str = "{}\n", age: float = 0.0) -> Path:
        path = self.path / name
        path.write_text(text)
        os.utime(path, (self.clock.wall() - age,) * 2)
        return path

    def turn(self) -> list[str]:
        before = len(self.taken)
        self.watched.turn(lambda path: self.taken.append(path.name) or path.name in self.refuse)
        return self.taken[before:]

    def files(self) -> set[str]:
        return {str(path.relative_to(self.path)) for path in self.path.rglob("*") if path.is_file()}


@pytest.fixture
def folder(tmp_path: Path, clock: HeldClock) -> Folder:
    return Folder(tmp_path, clock)


def test_complete_file_is_imported_once_and_moved(folder: Folder) -> None:
    folder.put("a.jsonl")
    assert folder.turn() == []
    folder.clock.advance(SETTLED_SECONDS)
    assert folder.turn() == ["a.jsonl"]
    assert folder.turn() == []
    assert folder.files() == {"taken/a.jsonl"}


def test_file_finished_elsewhere_is_imported_at_once(folder: Folder) -> None:
    folder.put("a.jsonl", age=60)
    assert folder.turn() == ["a.jsonl"]


def test_growing_or_unterminated_file_waits(folder: Folder) -> None:
    for size in range(1, 4):
        folder.put("a.jsonl", "{}\n" * size)
        assert folder.turn() == []
        folder.clock.advance(SETTLED_SECONDS - 0.1)
    folder.put("a.jsonl", '{"site": "hal')
    assert folder.turn() == []
    folder.clock.advance(SETTLED_SECONDS)
    assert folder.turn() == []
    folder.clock.advance(UNENDED_SECONDS)
    assert folder.turn() == ["a.jsonl"]


def test_hidden_temporary_and_non_files_are_left_alone(folder: Folder, tmp_path: Path) -> None:
    for name in (".hidden", "a.part", "b.tmp"):
        folder.put(name, age=999)
    (tmp_path / "folder").mkdir()
    (tmp_path / "link.jsonl").symlink_to("/etc/hostname")
    assert folder.turn() == []


def test_rejected_file_is_kept_apart_and_no_name_is_overwritten(folder: Folder) -> None:
    folder.refuse = {"bad.jsonl"}
    for _ in range(2):
        folder.put("bad.jsonl", age=60)
        folder.put("good.jsonl", age=60)
        folder.turn()
    assert folder.files() == {
        "refused/bad.jsonl",
        "refused/bad.jsonl.1",
        "taken/good.jsonl",
        "taken/good.jsonl.1",
    }


def test_imported_file_may_be_removed_but_a_rejected_one_is_kept(
    tmp_path: Path, clock: HeldClock
) -> None:
    folder = Folder(tmp_path, clock, remove=True)
    folder.refuse = {"bad.jsonl"}
    folder.put("good.jsonl", age=60), folder.put("bad.jsonl", age=60)
    folder.turn()
    assert folder.files() == {"refused/bad.jsonl"}


def test_missing_folder_is_reported(tmp_path: Path, clock: HeldClock) -> None:
    with pytest.raises(ConfigError, match="is not a folder: create it, or name another"):
        Folder(tmp_path / "absent", clock)


def test_command_imports_files_until_it_is_stopped(station: Station, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    lines = [json.dumps({"site": "chat", "text": f"text {number}"}) for number in range(3)]
    (folder / "bad.jsonl").write_text("\n".join([*lines[:2], "13800138000", ""]))
    (folder / "good.jsonl").write_text(lines[2] + "\n")
    with station.start("ingest", "--watch", str(folder)) as process:
        while not {"good.jsonl", "bad.jsonl"} <= {path.name for path in folder.glob("*/*")}:
            time.sleep(0.1)
            assert process.poll() is None
        second = station.run("ingest", "--watch", str(folder), exits=2)
        process.terminate()
        _, output = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "is being watched by another process" in second
    assert "13800138000" not in output
    assert "line 3: must be a JSON object" in output
    assert sorted(path.parent.name for path in folder.glob("*/*.jsonl")) == ["refused", "taken"]
    assert sorted(captured.body.decode() for captured in station.captures()) == [
        "text 0",
        "text 1",
        "text 2",
    ]


@pytest.mark.parametrize(
    "words",
    ["", "- --watch x", "x --format icq --site s", "x --format qq", "- --format qq --site s"],
)
def test_invalid_combination_of_options_is_rejected(context: Context, words: str) -> None:
    app = typer.Typer()
    app.command()(ingest)
    result = CliRunner().invoke(app, words.split(), obj=context)
    assert isinstance(result.exception, ConfigError)
