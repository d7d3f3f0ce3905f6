"""Databases that versions before 0.1.0 wrote, as this one reads them: with checksums in their pages, and counted."""

from contextlib import closing
from pathlib import Path

import apsw

from ullage.files.database import CHECKED, COMMITS, RESERVED, VFS, _register, check_database


def add_checksums(path: Path) -> None:
    """Give a small file checksums, where it has none."""
    _register()
    with closing(apsw.Connection(str(path), vfs=VFS)) as file:
        version = int(file.pragma("user_version"))
        if not version & CHECKED:
            file.pragma("journal_mode", "delete")
            file.reserve_bytes(reserve=RESERVED)
            file.execute("vacuum")
            file.execute(COMMITS)
            file.pragma("user_version", CHECKED | version)
    with closing(apsw.Connection(str(path), vfs=VFS)) as file:
        check_database(file, path)
        assert file.pragma("checksum_verification") == "1"
