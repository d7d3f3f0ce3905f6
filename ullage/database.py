"""Opening an SQLite file the way this project needs it: durable, erasing, waiting for other writers.

`apsw` brings its own SQLite: distributions' 3.40 has the WAL-reset corruption bug and no FTS5 `secure-delete`. WAL with
`synchronous=FULL` survives a power cut; `secure_delete` overwrites what is deleted, so that erasure is real.
"""

from __future__ import annotations

from pathlib import Path

import apsw

from ullage.errors import CorruptError, UnavailableError

BUSY_MILLISECONDS = 30_000


def open_database(path: Path, schema: str, version: int) -> apsw.Connection:
    """Open or create `path` with `schema`.

    Raises CorruptError when the file is damaged, is no database, or was written by a newer version; never resets it.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        connection = apsw.Connection(str(path))
        path.chmod(0o600)
        connection.set_busy_timeout(BUSY_MILLISECONDS)
        connection.execute("pragma journal_mode=wal")
        connection.execute("pragma synchronous=full")
        connection.execute("pragma secure_delete=on")
        connection.execute("pragma temp_store=memory")
        with connection:
            found = int(connection.pragma("user_version"))
            if found > version:
                raise CorruptError(f"{path} was written by a newer ullage (schema {found}): use that version")
            if found < version:
                connection.execute(schema)
                connection.pragma("user_version", version)
    except (apsw.NotADBError, apsw.CorruptError) as error:
        raise CorruptError(f"{path} is damaged or no database of ours: restore it, or move it away to start empty") from error
    except apsw.BusyError as error:
        raise UnavailableError(f"{path} is busy") from error
    except (apsw.CantOpenError, apsw.ReadOnlyError, apsw.IOError, apsw.FullError) as error:
        raise UnavailableError(f"{path} cannot be opened or written ({type(error).__name__})") from error
    return connection
