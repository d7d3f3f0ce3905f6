"""Opening an SQLite file the way this project needs it: durable, erasing, waiting for other writers.

`apsw` brings its own SQLite: distributions' 3.40 has the WAL-reset corruption bug and no FTS5 `secure-delete`. WAL with
`synchronous=FULL` survives a power cut; `secure_delete` overwrites what is deleted, so that erasure is real.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import apsw

from ullage.errors import CorruptError, UnavailableError
from ullage.lock import turn

BUSY_MILLISECONDS = 30_000
TRANSIENT = (apsw.BusyError, apsw.LockedError, apsw.IOError, apsw.FullError, apsw.ReadOnlyError, apsw.CantOpenError)
DAMAGE = (apsw.NotADBError, apsw.CorruptError, UnicodeDecodeError)


@contextlib.contextmanager
def sqlite_errors(what: str) -> Iterator[None]:
    """Turn SQLite's errors about `what` into ours: damage stops, everything that may pass is tried again."""
    try:
        yield
    except DAMAGE as error:
        raise CorruptError(f"{what} is damaged or no database of ours: restore it, or move it away to start empty") from error
    except TRANSIENT as error:
        raise UnavailableError(f"{what} cannot be read or written ({type(error).__name__})") from error


@contextlib.contextmanager
def transaction(connection: apsw.Connection) -> Iterator[None]:
    """All of a block or nothing, with the write lock from its first moment.

    A block under `with connection:` that reads before it writes fails when another process writes in between; this waits
    for its turn. (`transaction_mode` of apsw would do so too, but waits with the interpreter's lock held.)
    """
    connection.execute("begin immediate")
    with contextlib.ExitStack() as undo:
        undo.callback(_roll_back, connection)
        yield
        connection.execute("commit")
        undo.pop_all()


def _roll_back(connection: apsw.Connection) -> None:
    if connection.in_transaction:  # SQLite has rolled back by itself after some errors, such as a full disk
        connection.execute("rollback")


def open_database(path: Path, steps: Sequence[str]) -> apsw.Connection:
    """Open or create `path`, whose schema is what `steps` make of an empty file, one after the other.

    The file's version is the number of steps that it has had; an older file is brought up by those that are left. Raises
    CorruptError when the file is damaged, is no database of ours, or was written by a newer version; never resets it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise UnavailableError(f"{path.parent} cannot be made ({error.strerror})") from error
    with sqlite_errors(str(path)), turn(path.parent):  # SQLite does not wait for whoever else is switching to WAL
        connection = apsw.Connection(str(path))
        path.chmod(0o600)
        connection.set_busy_timeout(BUSY_MILLISECONDS)
        connection.execute("pragma journal_mode=wal")
        connection.execute("pragma synchronous=full")
        connection.execute("pragma secure_delete=on")
        connection.execute("pragma temp_store=memory")
        _bring_up(connection, path, steps)
    return connection


def _bring_up(connection: apsw.Connection, path: Path, steps: Sequence[str]) -> None:
    found = int(connection.pragma("user_version"))
    if found == len(steps):
        return
    if found > len(steps) or found < 0:
        raise CorruptError(f"{path} was written by a newer ullage (schema {found}): use that version")
    with transaction(connection):
        if found == 0 and connection.execute("select count(*) from sqlite_schema").get:
            raise CorruptError(f"{path} is no database of ours: move it away to start empty")
        for step in steps[found:]:
            connection.execute(step)
        connection.pragma("user_version", len(steps))
