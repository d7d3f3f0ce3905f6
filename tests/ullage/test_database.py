"""Opening a state file: durable and private, never reset, and safe when many do it at once."""

import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import apsw
import pytest

from ullage.database import open_database, sqlite_errors, transaction
from ullage.errors import CorruptError, UnavailableError

SCHEMA = "create table words (word text not null) strict"


def words(path: Path) -> list[str]:
    return [word for (word,) in open_database(path, [SCHEMA]).execute("select word from words order by rowid")]


def test_a_new_file_is_private_durable_and_erasing(tmp_path: Path) -> None:
    database = open_database(tmp_path / "deep" / "x.sqlite", [SCHEMA])
    assert {name: database.pragma(name) for name in ("journal_mode", "synchronous", "secure_delete", "temp_store")} == {
        "journal_mode": "wal",
        "synchronous": 2,
        "secure_delete": 1,
        "temp_store": 2,
    }
    with transaction(database):
        database.execute("insert into words values ('a')")
    assert {p.name: oct(p.stat().st_mode & 0o777) for p in (tmp_path / "deep").iterdir()} == {
        "x.sqlite": "0o600",
        "x.sqlite-wal": "0o600",
        "x.sqlite-shm": "0o600",
    }
    assert words(tmp_path / "deep" / "x.sqlite") == ["a"]


def test_deleted_content_is_overwritten(tmp_path: Path) -> None:
    database = open_database(tmp_path / "x.sqlite", [SCHEMA])
    database.execute("insert into words values ('planted')")
    database.execute("delete from words")
    database.execute("pragma wal_checkpoint(truncate)")
    database.close()
    assert not any(b"planted" in p.read_bytes() for p in tmp_path.iterdir())


def test_a_file_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    open_database(tmp_path / "x.sqlite", [SCHEMA, *[""] * 6]).close()
    with pytest.raises(CorruptError, match=r"newer ullage \(schema 7\)"):
        open_database(tmp_path / "x.sqlite", [SCHEMA])


def test_an_older_file_has_the_steps_that_it_lacks_and_keeps_its_content(tmp_path: Path) -> None:
    open_database(tmp_path / "x.sqlite", [SCHEMA]).execute("insert into words values ('a')")
    steps = [SCHEMA, "alter table words add column length integer not null default 1", "update words set length = length + 1"]
    for _ in range(2):
        assert open_database(tmp_path / "x.sqlite", steps).execute("select word, length from words").fetchall() == [("a", 2)]


@pytest.mark.parametrize("content", [b"no database at all, only words " * 99, b"SQLite format 3\0" + bytes(4000)])
def test_what_is_no_database_is_refused_and_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.sqlite").write_bytes(content)
    with pytest.raises(CorruptError, match=r"x\.sqlite is"):
        open_database(tmp_path / "x.sqlite", [SCHEMA])
    assert (tmp_path / "x.sqlite").read_bytes() == content


def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "x.sqlite")
    other.execute("create table bookmarks (url text)")
    other.commit()
    other.close()
    with pytest.raises(CorruptError, match="no database of ours"):
        open_database(tmp_path / "x.sqlite", [SCHEMA])


def test_a_folder_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UnavailableError, match="cannot be made"):
        open_database(tmp_path / "file" / "x.sqlite", [SCHEMA])


OPEN = """
import sys, pathlib
from ullage.database import open_database, transaction
sys.stdin.readline()
database = open_database(pathlib.Path(sys.argv[1]), [sys.argv[2]])
with transaction(database):
    count = database.execute("select count(*) from words").get
    database.execute("insert into words values (?)", (str(count),))
"""


def test_processes_that_open_a_new_file_at_the_same_moment_all_succeed(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    others = [subprocess.Popen([sys.executable, "-c", OPEN, path, SCHEMA], stdin=subprocess.PIPE) for _ in range(5)]
    for other in others:
        other.communicate(b"go\n")
    assert [other.returncode for other in others] == [0] * 5
    assert words(path) == ["0", "1", "2", "3", "4"]


def test_threads_that_read_and_then_write_take_turns_and_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    open_database(path, [SCHEMA]).close()

    def count_up() -> None:
        database = open_database(path, [SCHEMA])
        for _ in range(25):
            with transaction(database):
                count = database.execute("select count(*) from words").get
                database.execute("insert into words values (?)", (str(count),))

    threads = [threading.Thread(target=count_up) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert words(path) == [str(n) for n in range(100)]


def test_a_failed_transaction_leaves_nothing_behind_and_the_connection_usable(tmp_path: Path) -> None:
    database = open_database(tmp_path / "x.sqlite", [SCHEMA])
    with pytest.raises(apsw.ConstraintError), transaction(database):
        database.execute("insert into words values ('a'), (null)")
    with pytest.raises(ZeroDivisionError), transaction(database):
        database.execute("insert into words values (?)", (str(1 // 0),))
    with transaction(database):
        database.execute("insert into words values ('b')")
    assert words(tmp_path / "x.sqlite") == ["b"]


@pytest.mark.parametrize(
    ("raised", "seen"),
    [
        (apsw.BusyError("x"), UnavailableError),
        (apsw.FullError("x"), UnavailableError),
        (apsw.IOError("x"), UnavailableError),
        (apsw.CorruptError("x"), CorruptError),
        (apsw.NotADBError("x"), CorruptError),
    ],
)
def test_what_may_pass_is_tried_again_and_damage_stops(raised: Exception, seen: type[Exception]) -> None:
    with pytest.raises(seen, match=r"^the frontier"), sqlite_errors("the frontier"):
        raise raised
