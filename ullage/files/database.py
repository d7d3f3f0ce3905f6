"""Opening an SQLite file the way this project needs it: durable, erasing, checked, waiting for
other writers.

`apsw` brings its own SQLite: distributions' 3.40 has the WAL-reset corruption bug and no FTS5
`secure-delete`. WAL with `synchronous=FULL` survives a power cut; `secure_delete` overwrites what
is deleted, so that erasure is real.

Damage is never taken for content:
- SQLite's checksum VFS (https://sqlite.org/cksumvfs.html) keeps 8 bytes at the end of every page
  and looks at them whenever a page is read. It looks at nothing where those bytes are not reserved,
  so the file's version says that they must be (`CHECKED`), and a file whose version does not is
  refused. It fills these bytes in as it writes to the file itself; in a write-ahead log, which has
  checksums of its own, they hold nothing.
- A write-ahead log that is cut, damaged or gone ends early without a word: SQLite takes what
  follows for a write that a crash cut short. So each transaction counts itself in the file, and
  then, without waiting for the disk, in `x.sqlite.commits` beside it. A file that has counted fewer
  than that has lost transactions which somebody was told were durable.
- A file that is empty, or gone while its neighbours are there, is no new one: new files get their
  name when they are whole.
"""

from __future__ import annotations

import contextlib
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import apsw
import apsw.sqlite_extra

from ullage import log
from ullage.errors import ConfigError, CorruptError, UnavailableError
from ullage.files.atomic_write import sync_folder, turn

BUSY_MILLISECONDS = 30_000
LOG_MILLISECONDS = 250
"""How long the log's emptying waits for whoever reads from it. Everybody who writes waits as
long.
"""
TRANSIENT = (
    apsw.BusyError,
    apsw.LockedError,
    apsw.IOError,
    apsw.FullError,
    apsw.ReadOnlyError,
    apsw.CantOpenError,
)
DAMAGE = (apsw.NotADBError, apsw.CorruptError, UnicodeDecodeError)
BAD_PAGES = {apsw.SQLITE_IOERR_DATA, apsw.SQLITE_IOERR_CORRUPTFS}
"""What SQLite calls errors of the disk, and are pages that do not hold what was written."""
OF_AN_INDEX = ("fts5", "vtable constructor failed")
"""In errors of a full-text index whose own pages are whole and say what cannot be: SQLite has no
code for them.
"""
EXTENSION, VFS = "cksumvfs", "cksmvfs"
RESERVED = 8
"""Bytes of each page for its checksum; with any other number the checksum VFS does nothing."""
CHECKED = 1 << 16
"""Is added to the version of a file: all of its pages have checksums.

A file without it is not ours.
"""
SCHEMAS = {"accounts": 1, "bus": 1, "collect": 1, "events": 1, "frontier": 1, "incidents": 1}
"""The version of the tables of each kind of database: raise it with them.

A file of another version is refused.
"""
COMMITS = "create table commits (n integer not null) strict; insert into commits values (0)"
COUNT = "update commits set n = n + 1 returning n"
FOLLOWERS = ("-wal", "-shm", "-journal")
"""What SQLite puts beside a file."""
COUNTED = ".commits"
CURE = (
    "restore it from a copy with all that stands beside it, or move these away ({name}*) to start"
    " empty"
)
FOREIGN = (
    "is no database of ours (its pages have no checksums)",
    "open it with what wrote it, or name another data folder",
)
OTHER = "use the ullage that wrote it, or move these away ({name}*) to start empty"
IS_IT_HERE = (
    "see what `ullage check` says of it; if it says ok, the backup's disk is at fault: use"
    " another one"
)
GO_ON = (
    "restore it from a copy with all that stands beside it, or remove {name}.commits to go on"
    " without them"
)


@contextlib.contextmanager
def sqlite_errors(path: Path) -> Iterator[None]:
    """Turn SQLite's errors about the file `path` into ours: damage stops, everything that may
    pass is tried again.
    """
    try:
        yield
    except DAMAGE as error:
        raise damaged(path) from error
    except apsw.SQLError as error:  # else a fault of ours: a statement that is none
        if any(words in str(error) for words in OF_AN_INDEX):
            raise damaged(path) from error
        raise
    except TRANSIENT as error:
        if getattr(error, "extendedresult", 0) in BAD_PAGES:
            raise damaged(path) from error
        raise UnavailableError(
            f"{path} cannot be read or written ({type(error).__name__})"
        ) from error
    except OSError as error:
        if isinstance(error, PermissionError):  # no wait mends that
            raise
        raise UnavailableError(f"{path} cannot be read or written ({error.strerror})") from error


def damaged(
    path: Path, how: str = "is damaged or no database of ours", cure: str = CURE
) -> CorruptError:
    """The error for a file of which something is wrong, with the cure."""
    return CorruptError(f"{path} {how}: {cure.format(name=path.name)}")


@contextlib.contextmanager
def transaction(connection: apsw.Connection, *, durable: bool = True) -> Iterator[None]:
    """All of a block or nothing, with the write lock from its first moment; counted, if it changed
    anything.

    Without `durable` the disk is not waited for: a power cut may undo the block, kill -9 does not.
    A later one that is durable makes it so as well. It is counted in the file alone, since whoever
    counts beside it says what cannot be lost.

    A block under `with connection:` that reads before it writes fails when another process writes
    in between; this waits for its turn. (`transaction_mode` of apsw would do so too, but waits with
    the interpreter's lock held.)
    """
    with contextlib.ExitStack() as after:
        if not durable:
            connection.execute("pragma synchronous=normal")
            after.callback(connection.execute, "pragma synchronous=full")
        with all_or_nothing(connection):
            before = connection.total_changes()
            yield
            count = connection.execute(COUNT).get if connection.total_changes() != before else None
    if durable and count is not None:
        _note(Path(connection.filename), count)


@contextlib.contextmanager
def all_or_nothing(connection: apsw.Connection, begin: str = "begin immediate") -> Iterator[None]:
    """As `with connection:`, which would hide the error of a disk behind its own where SQLite
    has rolled back already.
    """
    connection.execute(begin)
    try:
        yield
        connection.execute("commit")
    finally:
        # SQLite has rolled back by itself after some errors, such as a full disk
        if connection.in_transaction:
            connection.execute("rollback")


class PartList(Protocol):
    """The list of the parts that ought to exist; see `ullage.inventory`."""

    def refuse_lost(self, part: Path) -> None:
        """Raise ConfigError where a part is listed that is about to be created."""

    def enter(self, part: Path) -> None:
        """List a part that was just created."""


def open_database(
    path: Path, schema: str, version: int = 1, inventory: PartList | None = None
) -> apsw.Connection:
    """Open `path`, or create it with the tables that the SQL in `schema` makes, and enter it in
    `inventory`.

    Raises CorruptError when the file is damaged, is no database of ours, lacks what was committed,
    or has another `version` of the schema, ConfigError when the inventory lists it and it is gone;
    never resets it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise UnavailableError(f"{path.parent} cannot be made ({error.strerror})") from error
    _register()
    # One at a time: SQLite does not wait for whoever else is switching to WAL.
    with sqlite_errors(path), turn(path.parent), contextlib.ExitStack() as undo:
        if not path.exists():
            if inventory is not None:
                inventory.refuse_lost(path)
            _make(path, schema, version)
            if inventory is not None:
                inventory.enter(path)
        if not path.stat().st_size:
            raise damaged(path, "is empty")
        counted = _counted(path)  # before the file's own count is read: others may be writing
        connection = _connect(path)
        undo.callback(connection.close)
        _refuse(connection, path, version)
        connection.execute("pragma journal_mode=wal")
        _compare(connection, path, counted)
        undo.pop_all()
    return connection


def schema_of(path: Path) -> int:
    """Return the version of the tables in a database, 0 where it is none of ours."""
    _register()
    with sqlite_errors(path), contextlib.closing(_connect(path)) as connection:
        stored = int(connection.pragma("user_version"))
    return stored ^ CHECKED if stored & CHECKED else 0


def empty_log(connection: apsw.Connection) -> None:
    """Write the write-ahead log back and cut it off, for it still holds pages as they were before a
    deletion.

    A backup reads from the log for as long as it takes, and until then all writers would wait with
    this: it gives up after a moment. Who reads the longest, the backup, does it in the end.
    """
    connection.set_busy_timeout(LOG_MILLISECONDS)
    try:
        connection.execute("pragma wal_checkpoint(truncate)")
    finally:
        connection.set_busy_timeout(BUSY_MILLISECONDS)


def back_up(path: Path, target: Path) -> None:
    """Copy a database as it is at one moment, while others write to it, to a file that is not
    there; what is copied is checked.

    By SQLite's backup API, in one step: nobody waits for it, the write-ahead log grows meanwhile.
    """
    _register()
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    with sqlite_errors(path), contextlib.closing(_connect(path)) as source:
        with contextlib.closing(_connect(target)) as copy:
            # Pages from the log come without checksums. The VFS works them out as it writes, once
            # it has seen a first page that reserves their bytes: without this one whatever does not
            # fit into the cache would be written before it.
            copy.reserve_bytes(reserve=source.reserve_bytes())
            copy.pragma("user_version", 1)
            _copy_pages(source, copy)
        with contextlib.closing(_connect(target)) as copy:  # opened anew it looks at the checksums
            try:
                check_database(copy, target)
            except CorruptError:
                raise damaged(path, f"does not come out whole in {target}", IS_IT_HERE) from None
            if int(copy.pragma("user_version")) & CHECKED:
                _note(target, int(copy.execute("select n from commits").get))
        # the copy is whole; whoever writes next meets the disk
        with contextlib.suppress(*TRANSIENT):
            empty_log(source)
    sync_folder(target.parent)


def _copy_pages(source: apsw.Connection, copy: apsw.Connection) -> None:
    """All pages as they are now.

    UnavailableError, with both names, where a disk does not give or take them.
    """
    try:
        with copy.backup("main", source, "main") as work:
            work.step(-1)
    except (apsw.FullError, apsw.IOError) as error:
        if getattr(error, "extendedresult", 0) in BAD_PAGES:
            raise
        why = "its disk is full" if isinstance(error, apsw.FullError) else type(error).__name__
        raise UnavailableError(
            f"{source.filename} cannot be copied to {copy.filename} ({why})"
        ) from error


def check_database(connection: apsw.Connection, path: Path) -> None:
    """CorruptError unless every page is what was written and all tables and indexes agree; reads
    the whole file.
    """
    with sqlite_errors(path):
        if connection.pragma("integrity_check") != "ok":
            raise damaged(path)


def _register() -> None:
    """Have the checksum VFS at hand.

    SQLite makes it the default of the process, which is taken back.
    """
    if VFS in apsw.vfs_names():
        return
    default = apsw.vfs_names()[0]
    with contextlib.closing(apsw.Connection(":memory:")) as any_:
        try:
            apsw.sqlite_extra.load(any_, EXTENSION)
        except (apsw.sqlite_extra.NotAvailable, LookupError):
            raise ConfigError(
                "apsw has no checksum VFS (cksumvfs): install its wheel, not a build of your own"
            ) from None
    apsw.set_default_vfs(default)


def _connect(path: Path) -> apsw.Connection:
    connection = apsw.Connection(str(path), vfs=VFS)
    with contextlib.ExitStack() as undo:
        undo.callback(connection.close)
        path.chmod(0o600)
        connection.set_busy_timeout(BUSY_MILLISECONDS)
        connection.execute("pragma synchronous=full")
        connection.execute("pragma secure_delete=on")
        connection.execute("pragma temp_store=memory")
        undo.pop_all()
    return connection


def _make(path: Path, schema: str, version: int) -> None:
    """A new file, which gets its name when it is whole."""
    left = [path.with_name(path.name + ending) for ending in (*FOLLOWERS, COUNTED)]
    if any(one.exists() for one in left):
        raise damaged(path, "is gone")
    with _draft(path) as draft, contextlib.closing(_connect(draft)) as connection:
        connection.reserve_bytes(reserve=RESERVED)
        with all_or_nothing(connection):
            connection.execute(COMMITS)
            connection.execute(schema)
            connection.pragma("user_version", CHECKED | version)


@contextlib.contextmanager
def _draft(path: Path) -> Iterator[Path]:
    """An empty file to fill, which takes the place of `path`, durably, when the block ends well."""
    draft = path.with_name(f".{path.name}.partial")
    for ending in ("", *FOLLOWERS):
        draft.with_name(draft.name + ending).unlink(missing_ok=True)
    try:
        os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        yield draft
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    sync_folder(path.parent)


def _refuse(connection: apsw.Connection, path: Path, version: int) -> None:
    """CorruptError for a file of another program, of another version of the schema, or whose
    checksums are off.
    """
    stored = int(connection.pragma("user_version"))
    if not stored & CHECKED:
        raise damaged(path, *FOREIGN)
    if stored != CHECKED | version:
        raise damaged(
            path, f"has schema {stored ^ CHECKED}, and this ullage reads {version}", OTHER
        )
    if int(connection.pragma("checksum_verification")) != 1:
        raise damaged(path)


def _compare(connection: apsw.Connection, path: Path, counted: int) -> None:
    """CorruptError when the file lacks transactions that were counted beside it."""
    there = int(connection.execute("select n from commits").get)
    if there < counted:
        lost = counted - there
        raise damaged(
            path,
            f"lacks its last {lost} change{'s' * (lost != 1)} ({path.name}-wal was damaged or is"
            " gone)",
            GO_ON,
        )
    _note(path, there)


def _counted(path: Path) -> int:
    """How many transactions were told to be durable, at least; 0 where nobody knows."""
    file = path.with_name(path.name + COUNTED)
    try:
        number, _, check = file.read_bytes().strip().partition(b" ")
        if int(check, 16) == zlib.crc32(number):
            return int(number)
    except FileNotFoundError:
        return 0
    except ValueError:
        pass
    log.get("state").error("database_count_damaged", path=file.name)
    return 0


def _note(path: Path, count: int) -> None:
    """Count transactions beside the file, in place and without waiting for the disk.

    kill -9 does not undo it, and a power cut leaves a smaller number. A disk that does not take it
    leaves the number of before, which is still true.
    """
    number = b"%020d" % count
    line = b"%s %08x\n" % (number, zlib.crc32(number))
    with contextlib.suppress(OSError):
        handle = os.open(
            path.with_name(path.name + COUNTED), os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600
        )
        try:
            os.pwrite(handle, line, 0)
        finally:
            os.close(handle)
