"""Compiled patterns on disk: loaded if nobody else could have written them, and compiled anew
otherwise.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import hyperscan
import numpy as np
import pytest

from matcher.columns import literals
from matcher.columns.literals import MANY, Literals

WORDS = [b"word%03d" % number for number in range(2 * MANY)]
DATA = np.frombuffer(b"a word007 and WORD063", np.uint8)
FOUND = ([7, 63], [9, 21])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "ullage" / "hyperscan"


@pytest.fixture
def compilations(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Return a list that gets an entry each time patterns are compiled."""
    times = list[int]()

    class Counted(hyperscan.Database):  # type: ignore[misc]
        def compile(self, *given: object, **named: object) -> None:
            times.append(1)
            super().compile(*given, **named)

    monkeypatch.setattr(hyperscan, "Database", Counted)
    yield times
    literals._database.cache_clear()


def find_uncached(words: list[bytes] = WORDS) -> tuple[list[int], list[int]]:
    """Return the matches of a process that has compiled nothing yet."""
    literals._database.cache_clear()
    number, end = Literals(words).find(DATA)
    return number.tolist(), end.tolist()


def test_patterns_are_compiled_once_for_all_processes(
    folder: Path, compilations: list[int]
) -> None:
    assert [find_uncached(), find_uncached(), find_uncached()] == [FOUND] * 3
    assert len(compilations) == 1
    [file] = folder.iterdir()
    assert (folder.stat().st_mode & 0o777, file.stat().st_mode & 0o777) == (0o700, 0o600)


def test_changed_patterns_flags_or_library_version_recompile(
    folder: Path, compilations: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    find_uncached()
    find_uncached(WORDS[1:])
    literals._database.cache_clear()
    Literals(WORDS, hyperscan.HS_FLAG_DOTALL)
    monkeypatch.setattr(hyperscan, "__version__", "0")
    find_uncached()
    assert len(compilations) == len(list(folder.iterdir())) == 4


@pytest.mark.parametrize("content", [b"", b"x", None])
def test_damaged_cache_file_is_rewritten(
    folder: Path, compilations: list[int], content: bytes | None
) -> None:
    find_uncached()
    [file] = folder.iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2] if content is None else content)
    assert find_uncached() == find_uncached() == FOUND
    assert len(compilations) == 2
    assert file.read_bytes() == whole


def test_cache_writable_by_others_is_not_loaded(folder: Path, compilations: list[int]) -> None:
    find_uncached()
    [file] = folder.iterdir()
    linked = folder.with_name("other")
    file.rename(linked)
    file.symlink_to(linked)
    find_uncached()
    file.unlink(missing_ok=True)
    linked.rename(file)
    file.chmod(0o620)
    find_uncached()
    folder.chmod(0o770)
    assert find_uncached() == FOUND
    assert len(compilations) == 4


@pytest.mark.parametrize("home", ["", "relative", "/dev/null"])
def test_missing_cache_folder_still_compiles_patterns(
    home: str, compilations: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def homeless(*_: object) -> Path:
        raise RuntimeError

    monkeypatch.setenv("XDG_CACHE_HOME", home)
    monkeypatch.setattr(Path, "home", homeless)
    assert find_uncached() == find_uncached() == FOUND
    assert len(compilations) == 2


def test_oldest_cache_files_are_removed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(literals, "KEPT", 2)
    for age in range(4):
        find_uncached([*WORDS, b"%d" % age])
        for file in folder.iterdir():
            os.utime(file, (0, file.stat().st_mtime - 1000))
    assert len(list(folder.iterdir())) == 2
    literals._database.cache_clear()
