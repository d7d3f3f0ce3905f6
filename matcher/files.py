"""Local files as captures, for `scan` and `assess`: read, never copied, never kept."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from ullage.errors import ConfigError
from ullage.records import Capture

MARKUP = (".html", ".htm", ".xml", ".xhtml")


def capture_of(path: Path, body: bytes, now: datetime) -> Capture:
    """A capture of a file's bytes."""
    media = "text/html" if path.suffix.lower() in MARKUP else "text/plain"
    return Capture(id="local", site="local", post_id="", url="", fetched_at=now, media_type=media, kind="attachment", body=body)


def files_under(paths: list[Path]) -> Iterator[Path]:
    """The files that `paths` name, folders walked in order; `-` is standard input."""
    for path in paths:
        if str(path) == "-" or path.is_file():
            yield path
        elif path.is_dir():
            yield from sorted(p for p in path.rglob("*") if p.is_file() and not p.is_symlink())
        else:
            raise ConfigError(f"{path} is neither a file nor a folder")


def shown(path: Path) -> str:
    """The path as it may be printed: a name in no encoding has its odd bytes replaced."""
    return os.fsencode(path).decode("utf-8", "replace")


def body_of(path: Path) -> bytes:
    """The bytes of a file or of standard input."""
    try:
        return sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror})") from None
