"""Open SQLite files that are durable, erasing and checked, and whose writers wait.

`open_database` opens or creates a file, `transaction` writes to it, and `sqlite_errors` converts
SQLite's errors: damage becomes CorruptError, which stops the process, a full disk or a lock becomes
UnavailableError, which is retried. `apsw` brings its own SQLite: distributions' 3.40 has the
WAL-reset corruption bug and no FTS5 `secure-delete`. WAL with `synchronous=FULL` survives a power
cut; `secure_delete` overwrites deleted data, so that erasure is real.

    x.sqlite            pages; the last 8 bytes of each are its checksum
    x.sqlite-wal, -shm  SQLite's write-ahead log
    x.sqlite.commits    "00000000000000000042 <crc32>": transactions that were reported as durable

Damaged content is never returned:
- SQLite's checksum VFS (https://sqlite.org/cksumvfs.html) keeps 8 bytes at the end of every page
  and verifies them whenever a page is read. It verifies nothing where those bytes are not reserved,
  so the file's version says that they must be (`CHECKED`), and a file without it is refused. It
  computes these bytes when it writes to the file itself; in a write-ahead log, which has checksums
  of its own, they are empty.
- A write-ahead log that is cut, damaged or gone ends early without an error: SQLite takes the rest
  for a write that a crash cut short. So each transaction increments a counter in the file, and
  then, without waiting for the disk, in `x.sqlite.commits` beside it. A file with a lower counter
  has lost transactions that were reported as durable.
- A file that is empty, or gone while its companions exist, is not treated as new: new files get
  their name only when they are complete.
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
from ullage.files.atomic_write import sync_folder, wait_for_lock

BUSY_MILLISECONDS = 30_000
LOG_MILLISECONDS = 250
"""How long emptying the log waits for readers of the log; all writers wait as long."""
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
"""SQLite reports these as disk errors, but they mean damaged pages."""
OF_AN_INDEX = ("fts5", "vtable constructor failed")
"""Errors of a damaged full-text index whose pages are intact; SQLite has no code for them."""
EXTENSION, VFS = "cksumvfs", "cksmvfs"
RESERVED = 8
"""Bytes of each page for its checksum; with any other number the VFS does nothing."""
CHECKED = 1 << 16
"""Added to the version of a file whose pages all have checksums.

A file without it is not ours.
"""
SCHEMAS = {"accounts": 1, "bus": 1, "collect": 1, "events": 1, "frontier": 1, "incidents": 1}
"""Version of the tables of each kind of database; raise it when they change.

A file of another version is refused.
"""
COMMITS = "create table commits (n integer not null) strict; insert into commits values (0)"
COUNT = "update commits set n = n + 1 returning n"
FOLLOWERS = ("-wal", "-shm", "-journal")
"""Files that SQLite puts beside a database."""
COUNTED = ".commits"
CURE = (
    "restore it from a copy with all files beside it, or move these away ({name}*) to start empty"
)
FOREIGN = (
    "is not a database of ullage (its pages have no checksums)",
    "open it with the program that wrote it, or name another data folder",
)
OTHER = "use the ullage that wrote it, or move these away ({name}*) to start empty"
IS_IT_HERE = (
    "see what `ullage check` says of it; if it says ok, the backup's disk is at fault: use"
    " another one"
)
CHECK_DISK = "check the disk and its room"
GO_ON = (
    "restore it from a copy with all files beside it, or remove {name}.commits to go on"
    " without them"
)


@contextlib.contextmanager
def sqlite_errors(path: Path) -> Iterator[None]:
    """Return a context that converts SQLite's errors about the file `path` into ours.

    Damage becomes CorruptError; other SQLite errors that may pass, and OSError, become
    UnavailableError. An invalid statement and PermissionError are raised as they are.
    """
    try:
        yield
    except DAMAGE as error:
        raise damage_error(path) from error
    except apsw.SQLError as error:  # otherwise our own fault: an invalid statement
        if any(words in str(error) for words in OF_AN_INDEX):
            raise damage_error(path) from error
        raise
    except TRANSIENT as error:
        if getattr(error, "extendedresult", 0) in BAD_PAGES:
            raise damage_error(path) from error
        raise UnavailableError(
            f"{path} cannot be read or written ({type(error).__name__}): {CHECK_DISK}"
        ) from error
    except OSError as error:
        if isinstance(error, PermissionError):  # no wait mends that
            raise
        raise UnavailableError(
            f"{path} cannot be read or written ({error.strerror}): {CHECK_DISK}"
        ) from error


def damage_error(
    path: Path, how: str = "is damaged or not a database of ullage", cure: str = CURE
) -> CorruptError:
    """Return, not raise, the CorruptError for a faulty file; it says how to mend it."""
    return CorruptError(f"{path} {how}: {cure.format(name=path.name)}")


@contextlib.contextmanager
def transaction(connection: apsw.Connection, *, durable: bool = True) -> Iterator[None]:
    """Run a block as one transaction that has the write lock from the start.

    It is counted if it wrote anything. Without `durable` the call does not wait for the disk: a
    power cut may undo the block, kill -9 does not, and a later durable transaction makes it durable
    too. It is then counted only in the file, since the counter beside it states what cannot be
    lost.

    A block under `with connection:` that reads before it writes fails when another process writes
    in between; this waits instead. (apsw's `transaction_mode` would do so too, but waits while it
    holds the interpreter's lock.)
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
        _write_count(Path(connection.filename), count)


@contextlib.contextmanager
def all_or_nothing(connection: apsw.Connection, begin: str = "begin immediate") -> Iterator[None]:
    """Run a block as one transaction, which is undone if the block raises.

    Unlike `with connection:`, keeps the error of a disk visible where SQLite has already rolled
    back.
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
    """The list of the parts that should exist; see `ullage.inventory`."""

    def refuse_lost(self, part: Path) -> None:
        """Raise ConfigError if a part that is about to be created is already listed."""

    def enter(self, part: Path) -> None:
        """List a part that was just created."""


def open_database(
    path: Path, schema: str, version: int = 1, inventory: PartList | None = None
) -> apsw.Connection:
    """Open `path`, or create it with the SQL in `schema` and enter it in `inventory`.

    Raises CorruptError if the file is damaged, is no database of ours, lacks committed transactions
    or has another `version` of the schema, ConfigError if the inventory lists it and it is gone,
    and UnavailableError if the disk fails. An existing file is never reset.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise UnavailableError(
            f"{path.parent} cannot be created ({error.strerror}): {CHECK_DISK}"
        ) from error
    _register_checksum_vfs()
    # One at a time: SQLite does not wait for whoever else is switching to WAL.
    with sqlite_errors(path), wait_for_lock(path.parent), contextlib.ExitStack() as undo:
        if not path.exists():
            if inventory is not None:
                inventory.refuse_lost(path)
            _create(path, schema, version)
            if inventory is not None:
                inventory.enter(path)
        if not path.stat().st_size:
            raise damage_error(path, "is empty")
        counted = _read_count(path)  # before the file's own count is read: others may be writing
        connection = _connect(path)
        undo.callback(connection.close)
        _check_version(connection, path, version)
        connection.execute("pragma journal_mode=wal")
        _check_commits(connection, path, counted)
        undo.pop_all()
    return connection


def read_schema_version(path: Path) -> int:
    """Return the version of the tables in the database `path`; 0 if ullage did not write it.

    Sets the file's mode to 0600. Raises CorruptError if it is damaged, UnavailableError if it
    cannot be read.
    """
    _register_checksum_vfs()
    with sqlite_errors(path), contextlib.closing(_connect(path)) as connection:
        stored = int(connection.pragma("user_version"))
    return stored ^ CHECKED if stored & CHECKED else 0


def empty_log(connection: apsw.Connection) -> None:
    """Write the write-ahead log back into the database and truncate it, if no reader uses it.

    The log still holds pages from before a deletion. While a backup reads from the log, all writers
    would wait for this call, so it gives up after LOG_MILLISECONDS. The backup itself empties the
    log at its end.
    """
    connection.set_busy_timeout(LOG_MILLISECONDS)
    try:
        connection.execute("pragma wal_checkpoint(truncate)")
    finally:
        connection.set_busy_timeout(BUSY_MILLISECONDS)


def back_up(path: Path, target: Path) -> None:
    """Copy a database, as it is at one moment, to a new file `target`, and verify the copy.

    By SQLite's backup API in one step: nobody waits for it, the write-ahead log grows meanwhile.
    Raises FileExistsError if `target` exists, CorruptError if the database is damaged or the copy
    is not whole, UnavailableError if a disk fails. After an error an incomplete `target` may
    remain.
    """
    _register_checksum_vfs()
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
                raise damage_error(
                    path, f"cannot be copied completely to {target}", IS_IT_HERE
                ) from None
            if int(copy.pragma("user_version")) & CHECKED:
                _write_count(target, int(copy.execute("select n from commits").get))
        # the copy is complete; the next writer meets the fault of the disk
        with contextlib.suppress(*TRANSIENT):
            empty_log(source)
    sync_folder(target.parent)


def _copy_pages(source: apsw.Connection, copy: apsw.Connection) -> None:
    """Copy all pages as they are now.

    Raises UnavailableError with both names if a disk fails or is full. An error of damaged pages is
    raised as apsw's.
    """
    try:
        with copy.backup("main", source, "main") as work:
            work.step(-1)
    except (apsw.FullError, apsw.IOError) as error:
        if getattr(error, "extendedresult", 0) in BAD_PAGES:
            raise
        why = "its disk is full" if isinstance(error, apsw.FullError) else type(error).__name__
        raise UnavailableError(
            f"{source.filename} cannot be copied to {copy.filename} ({why}): {CHECK_DISK}"
        ) from error


def check_database(connection: apsw.Connection, path: Path) -> None:
    """Raise CorruptError unless all pages, tables and indexes are intact; reads the whole file."""
    with sqlite_errors(path):
        if connection.pragma("integrity_check") != "ok":
            raise damage_error(path)


def _register_checksum_vfs() -> None:
    """Register the checksum VFS.

    SQLite also makes it the process's default, which is undone. Raises ConfigError if apsw has
    none.
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


def _create(path: Path, schema: str, version: int) -> None:
    """Create a new file with the schema, which gets its name when it is complete.

    Raises CorruptError if a companion (log or count) exists without it: the database is gone then.
    """
    companions = [path.with_name(path.name + ending) for ending in (*FOLLOWERS, COUNTED)]
    if any(file.exists() for file in companions):
        raise damage_error(path, "is gone")
    with _draft(path) as draft, contextlib.closing(_connect(draft)) as connection:
        connection.reserve_bytes(reserve=RESERVED)
        with all_or_nothing(connection):
            connection.execute(COMMITS)
            connection.execute(schema)
            connection.pragma("user_version", CHECKED | version)


@contextlib.contextmanager
def _draft(path: Path) -> Iterator[Path]:
    """Yield an empty file that replaces `path`, durably, if the block succeeds.

    If it fails, the draft is deleted and `path` stays. Remains of an earlier draft are deleted
    first.
    """
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


def _check_version(connection: apsw.Connection, path: Path, version: int) -> None:
    """Raise CorruptError for a foreign file, another schema version, or disabled checksums.

    A file that is no SQLite database at all raises apsw's error, which `sqlite_errors` converts.
    """
    stored = int(connection.pragma("user_version"))
    if not stored & CHECKED:
        raise damage_error(path, *FOREIGN)
    if stored != CHECKED | version:
        raise damage_error(
            path, f"has schema {stored ^ CHECKED}, and this ullage reads {version}", OTHER
        )
    if int(connection.pragma("checksum_verification")) != 1:
        raise damage_error(path)


def _check_commits(connection: apsw.Connection, path: Path, counted: int) -> None:
    """Raise CorruptError if the file lacks transactions that were counted beside it."""
    stored = int(connection.execute("select n from commits").get)
    if stored < counted:
        lost = counted - stored
        raise damage_error(
            path,
            f"lacks its last {lost} change{'s' * (lost != 1)} ({path.name}-wal was damaged or is"
            " gone)",
            GO_ON,
        )
    _write_count(path, stored)


def _read_count(path: Path) -> int:
    """Return the least number of durable transactions.

    Returns 0 if there is no file, or if it is damaged, which is logged.
    """
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


def _write_count(path: Path, count: int) -> None:
    """Write the number of transactions beside the file, in place, without waiting for the disk.

    kill -9 does not undo it, and a power cut leaves a smaller number. If the disk fails, the
    previous number stays, which is still true.
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
