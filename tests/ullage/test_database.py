"""Opening a state file: durable and private, never reset, and safe when many do it at once."""

import errno
import shutil
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from ullage.errors import CorruptError, UnavailableError
from ullage.files import database
from ullage.files.database import (
    all_or_nothing,
    back_up,
    check_database,
    empty_log,
    open_database,
    read_schema_version,
    sqlite_errors,
    transaction,
)

SCHEMA = "create table words (word text not null) strict"


def words(path: Path) -> list[str]:
    return [
        word
        for (word,) in open_database(path, SCHEMA).execute("select word from words order by rowid")
    ]


def test_new_file_is_private_durable_and_erases_deleted_content(tmp_path: Path) -> None:
    database = open_database(tmp_path / "deep" / "x.sqlite", SCHEMA)
    assert {
        name: database.pragma(name)
        for name in ("journal_mode", "synchronous", "secure_delete", "temp_store")
    } == {
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
        "x.sqlite.commits": "0o600",
    }
    assert words(tmp_path / "deep" / "x.sqlite") == ["a"]


def test_version_of_a_file_is_read_without_opening_it_for_use(tmp_path: Path) -> None:
    open_database(tmp_path / "ours.sqlite", SCHEMA, version=7).close()
    with closing(sqlite3.connect(tmp_path / "foreign.sqlite")) as foreign:
        foreign.execute("pragma user_version = 7")
    assert [read_schema_version(tmp_path / name) for name in ("ours.sqlite", "foreign.sqlite")] == [
        7,
        0,
    ]
    (tmp_path / "damaged.sqlite").write_bytes(b"?" * 4096)
    with pytest.raises(CorruptError, match=r"damaged\.sqlite"):
        read_schema_version(tmp_path / "damaged.sqlite")


def test_file_readable_by_others_is_made_private_when_opened(tmp_path: Path) -> None:
    open_database(tmp_path / "x.sqlite", SCHEMA).close()
    (tmp_path / "x.sqlite").chmod(0o644)
    open_database(tmp_path / "x.sqlite", SCHEMA).close()
    assert oct((tmp_path / "x.sqlite").stat().st_mode & 0o777) == "0o600"


def test_deleted_content_is_overwritten(tmp_path: Path) -> None:
    database = open_database(tmp_path / "x.sqlite", SCHEMA)
    database.execute("insert into words values ('planted')")
    database.execute("delete from words")
    database.execute("pragma wal_checkpoint(truncate)")
    database.close()
    assert not any(b"planted" in p.read_bytes() for p in tmp_path.iterdir())


@pytest.mark.parametrize(("found", "reads"), [(7, 2), (1, 2), (13, 1)])
def test_file_of_another_version_is_rejected_unchanged(
    tmp_path: Path, found: int, reads: int
) -> None:
    open_database(tmp_path / "x.sqlite", SCHEMA, found).close()
    before = (tmp_path / "x.sqlite").read_bytes()
    with pytest.raises(CorruptError) as refused:
        open_database(tmp_path / "x.sqlite", SCHEMA, reads)
    assert (
        str(refused.value)
        == f"{tmp_path}/x.sqlite has schema {found}, and this ullage reads {reads}: use the ullage"
        " that wrote it, or move these away (x.sqlite*) to start empty"
    )
    assert (tmp_path / "x.sqlite").read_bytes() == before


@pytest.mark.parametrize(
    "content", [b"no database at all, only words " * 99, b"SQLite format 3\0" + bytes(4000)]
)
def test_file_that_is_not_a_database_is_rejected_unchanged(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.sqlite").write_bytes(content)
    with pytest.raises(CorruptError, match=r"x\.sqlite is"):
        open_database(tmp_path / "x.sqlite", SCHEMA)
    assert (tmp_path / "x.sqlite").read_bytes() == content


def test_database_of_another_program_is_rejected(tmp_path: Path) -> None:
    foreign = sqlite3.connect(tmp_path / "x.sqlite")
    foreign.execute("create table bookmarks (url text)")
    foreign.commit()
    foreign.close()
    with pytest.raises(CorruptError, match="not a database of ullage"):
        open_database(tmp_path / "x.sqlite", SCHEMA)


def test_inconsistent_text_index_counts_as_damage(tmp_path: Path) -> None:
    """Its pages are whole; SQLite has no code for that."""
    path = tmp_path / "x.sqlite"
    with closing(open_database(path, "create virtual table texts using fts5(text)")) as texts:
        texts.execute("update texts_config set v = 0 where k = 'version'")
    with closing(open_database(path, "")) as opened:
        with pytest.raises(CorruptError, match=r"x\.sqlite is damaged"):
            check_database(opened, path)
        with pytest.raises(CorruptError, match=r"x\.sqlite is damaged"), sqlite_errors(path):
            opened.execute("select * from texts where texts match 'a'")


def test_invalid_statement_is_not_damage(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    with (
        closing(open_database(path, SCHEMA)) as opened,
        pytest.raises(apsw.SQLError),
        sqlite_errors(path),
    ):
        opened.execute("select * from nowhere")


def test_folder_that_cannot_be_created_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UnavailableError, match="cannot be created"):
        open_database(tmp_path / "file" / "x.sqlite", SCHEMA)


def test_full_disk_leaves_no_partial_file_and_is_retried(tmp_path: Path, monkeypatch) -> None:
    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("ullage.files.database.os.fsync", full)
        with pytest.raises(
            UnavailableError, match=r"x\.sqlite cannot be read or written \(No space left"
        ):
            open_database(tmp_path / "x.sqlite", SCHEMA)
    assert list(tmp_path.iterdir()) == []
    assert words(tmp_path / "x.sqlite") == []


OPEN = """
import sys, pathlib
from ullage.files.database import open_database, transaction
sys.stdin.readline()
database = open_database(pathlib.Path(sys.argv[1]), sys.argv[2])
with transaction(database):
    count = database.execute("select count(*) from words").get
    database.execute("insert into words values (?)", (str(count),))
"""


def test_concurrent_opening_of_a_new_file_succeeds(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    processes = [
        subprocess.Popen([sys.executable, "-c", OPEN, path, SCHEMA], stdin=subprocess.PIPE)
        for _ in range(5)
    ]
    for process in processes:
        process.communicate(b"go\n")
    assert [process.returncode for process in processes] == [0] * 5
    assert words(path) == ["0", "1", "2", "3", "4"]


def test_threads_that_read_then_write_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    open_database(path, SCHEMA).close()

    def count_up() -> None:
        database = open_database(path, SCHEMA)
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


def test_failed_transaction_changes_nothing_and_keeps_the_connection(
    tmp_path: Path,
) -> None:
    database = open_database(tmp_path / "x.sqlite", SCHEMA)
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
def test_transient_errors_are_retried_and_damage_stops(
    raised: Exception, seen: type[Exception]
) -> None:
    with (
        pytest.raises(seen, match=r"^data/x\.sqlite (is|cannot)"),
        sqlite_errors(Path("data/x.sqlite")),
    ):
        raise raised


def fill(path: Path, rows: int = 400) -> list[str]:
    """Write a closed file of some twenty pages and return its values."""
    database = open_database(path, SCHEMA)
    with transaction(database):
        database.executemany(
            "insert into words values (?)", ((f"{n:05d}" * 40,) for n in range(rows))
        )
    database.close()
    return [f"{n:05d}" * 40 for n in range(rows)]


@pytest.mark.parametrize("place", [p * 4096 + 17 * p % 4096 for p in range(1, 20)])
def test_flipped_bit_is_never_read_as_content(tmp_path: Path, place: int) -> None:
    """Without checksums most of these read back changed."""
    path = tmp_path / "x.sqlite"
    fill(path)
    content = bytearray(path.read_bytes())
    content[place] ^= 4
    path.write_bytes(content)
    with (
        pytest.raises(CorruptError, match=r"x\.sqlite is damaged.*restore it.*x\.sqlite\*"),
        sqlite_errors(path),
    ):
        words(path)


def test_flipped_bit_in_the_header_disables_no_checksum(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    fill(path, 20)
    whole = path.read_bytes()
    for place in range(100):
        path.write_bytes(
            whole[:place] + bytes([whole[place] ^ 1 << place % 8]) + whole[place + 1 :]
        )
        with pytest.raises(CorruptError, match=r"x\.sqlite"):
            words(path)


def test_empty_file_is_not_a_new_one(tmp_path: Path) -> None:
    (tmp_path / "x.sqlite").touch()
    with pytest.raises(CorruptError, match=r"x\.sqlite is empty: restore it"):
        open_database(tmp_path / "x.sqlite", SCHEMA)


def test_missing_file_is_not_recreated(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    fill(path)
    path.unlink()
    with pytest.raises(
        CorruptError, match=r"x\.sqlite is gone: restore it.*\(x\.sqlite\*\) to start empty"
    ):
        open_database(path, SCHEMA)
    (tmp_path / "x.sqlite.commits").unlink()
    assert words(path) == []


@pytest.fixture
def file_after_kill(tmp_path: Path) -> Path:
    """Return a file as a killed process leaves it: five transactions are in its log only."""
    live = tmp_path / "live"
    database = open_database(live / "x.sqlite", SCHEMA)
    for n in range(5):
        with transaction(database):
            database.execute("insert into words values (?)", (str(n),))
    shutil.copytree(live, tmp_path / "killed")
    database.close()
    return tmp_path / "killed" / "x.sqlite"


def test_commits_of_a_killed_process_are_kept(file_after_kill: Path) -> None:
    assert words(file_after_kill) == list("01234")


def test_missing_write_ahead_log_is_reported(file_after_kill: Path) -> None:
    file_after_kill.with_name("x.sqlite-wal").unlink()
    with pytest.raises(
        CorruptError,
        match=r"x\.sqlite lacks its last 5 changes .*, or remove x\.sqlite\.commits to go on",
    ) as raised:
        words(file_after_kill)
    assert "x.sqlite-wal was damaged or is gone" in str(raised.value)
    file_after_kill.with_name("x.sqlite.commits").unlink()
    assert words(file_after_kill) == []


@pytest.mark.parametrize("part", range(1, 40))
def test_truncated_or_damaged_log_is_reported(file_after_kill: Path, part: int) -> None:
    wal = file_after_kill.with_name("x.sqlite-wal")
    content = wal.read_bytes()
    place = len(content) * part // 40
    cut, flipped = (
        content[:place],
        content[:place] + bytes([content[place] ^ 8]) + content[place + 1 :],
    )
    wal.write_bytes(cut if part % 2 else flipped)
    with pytest.raises(CorruptError, match=r"lacks its last [1-5] change"):
        words(file_after_kill)


def test_incomplete_transaction_is_not_a_loss(file_after_kill: Path) -> None:
    """A transaction whose end is missing was never told to be durable."""
    wal = file_after_kill.with_name("x.sqlite-wal")
    wal.write_bytes(wal.read_bytes() + wal.read_bytes()[-4120:-1])
    assert words(file_after_kill) == list("01234")


def test_damaged_counter_hides_nothing_and_is_logged(file_after_kill: Path, capsys) -> None:
    count = file_after_kill.with_name("x.sqlite.commits")
    count.write_bytes(count.read_bytes().replace(b"5", b"9", 1))
    assert words(file_after_kill) == list("01234")
    assert "database_count_damaged" in capsys.readouterr().out
    assert count.read_bytes().startswith(b"%020d " % 5)


def test_transaction_that_changes_nothing_is_not_counted(tmp_path: Path) -> None:
    database = open_database(tmp_path / "x.sqlite", SCHEMA)
    for _ in range(3):
        with transaction(database):
            database.execute("delete from words")
    assert (tmp_path / "x.sqlite.commits").read_bytes().startswith(b"%020d " % 0)


def open_unchecked(path: Path) -> apsw.Connection:
    """Open a file without checksums whose last writes are in the log."""
    database = apsw.Connection(str(path))
    database.pragma("journal_mode", "wal")
    database.execute(f"{SCHEMA}; pragma user_version=1")
    for n in range(400):
        database.execute("insert into words values (?)", (f"{n:05d}" * 40,))
    return database


@pytest.mark.parametrize("is_open", [True, False])
def test_file_without_checksums_is_rejected_unchanged(tmp_path: Path, is_open: bool) -> None:
    """It may be whole: nobody is told to begin anew."""
    path = tmp_path / "x.sqlite"
    before = open_unchecked(path)
    if not is_open:
        before.close()
    content = {
        file.name: file.read_bytes()
        for file in tmp_path.iterdir()
        if not file.name.endswith("-shm")
    }
    with pytest.raises(
        CorruptError,
        match=r"is not a database of ullage \(its pages have no checksums\): open it with the"
        r" program that wrote it, or name another data folder",
    ) as raised:
        open_database(path, SCHEMA)
    assert "empty" not in str(raised.value)
    before.close()
    if not is_open:
        assert {
            file.name: file.read_bytes() for file in tmp_path.iterdir() if file.suffix == ".sqlite"
        } == content


def test_check_reads_the_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    fill(path)
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)
    with (
        closing(open_database(path, SCHEMA)) as database,
        pytest.raises(CorruptError, match=r"x\.sqlite is damaged"),
    ):
        check_database(database, path)


def test_copy_of_pages_only_in_the_log_has_checksums(tmp_path: Path) -> None:
    """More than SQLite's cache holds: what does not fit is written before the first page is."""
    path, copy = tmp_path / "x.sqlite", tmp_path / "copy.sqlite"
    with closing(open_database(path, SCHEMA)) as opened:
        opened.pragma("wal_autocheckpoint", 0)
        with transaction(opened):
            opened.executemany(
                "insert into words values (?)", ((f"{n:05d}" * 800,) for n in range(2000))
            )
        back_up(path, copy)
        assert words(copy) == words(path)
    with copy.open("r+b") as file:
        file.seek(4096 * 1000 + 99)
        file.write(b"!")
    with (
        closing(open_database(copy, SCHEMA)) as opened,
        pytest.raises(CorruptError, match=r"copy\.sqlite is damaged"),
    ):
        check_database(opened, copy)


def test_content_deleted_during_a_backup_is_overwritten_at_its_end(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    with closing(open_database(path, SCHEMA)) as opened:
        opened.execute("insert into words values ('planted')")
        with closing(apsw.Connection(str(path))) as reader, all_or_nothing(reader, "begin"):
            assert reader.execute("select word from words").get == "planted"
            opened.execute("delete from words")
            empty_log(opened)
            assert any(b"planted" in file.read_bytes() for file in tmp_path.iterdir())
        back_up(path, tmp_path / "copy.sqlite")
        assert not any(b"planted" in file.read_bytes() for file in tmp_path.iterdir())


def test_copying_a_damaged_file_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    fill(path)
    content = bytearray(path.read_bytes())
    content[4096 * 7 + 9] ^= 1
    path.write_bytes(content)
    with pytest.raises(CorruptError, match=r"/x\.sqlite is damaged"):
        back_up(path, tmp_path / "copy.sqlite")


def test_incomplete_copy_is_detected(tmp_path: Path, monkeypatch) -> None:
    path, copy = tmp_path / "x.sqlite", tmp_path / "copy.sqlite"
    fill(path)
    copied = database._copy_pages

    def lose_page(source: apsw.Connection, target: apsw.Connection) -> None:
        copied(source, target)
        with copy.open("r+b") as file:
            file.seek(4096 * 7)
            file.write(bytes(4096))

    monkeypatch.setattr(database, "_copy_pages", lose_page)
    with pytest.raises(
        CorruptError,
        match=r"/x\.sqlite cannot be copied completely to .*copy\.sqlite: see what `ullage check`"
        r" says",
    ):
        back_up(path, copy)
