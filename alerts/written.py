"""Where a report or an export goes: standard output, or a file that only its owner can read, whole or not at all."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def write_out(content: bytes, file: Path | None) -> None:
    """Write to `file`, or to standard output for None."""
    if file is None:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    draft = file.with_name(f".{file.name}.{os.getpid()}.partial")
    try:
        with os.fdopen(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as fresh:
            fresh.write(content)
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)
