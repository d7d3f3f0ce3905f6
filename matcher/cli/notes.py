"""Read the notes that lie beside an archive on disk, which may state its password."""

from __future__ import annotations

import contextlib
import itertools
import re
from pathlib import Path

from matcher.unpack.passwords import LABELS, MOST, NOTE_BYTES, decode_note

PASSWORD_FILE = re.compile(f"(?i:{LABELS})")
ALWAYS_ASKED, ZIP = (b"7z\xbc\xaf\x27\x1c", b"Rar!"), b"PK\3\4"
"""How archives begin: in the first two only their end says whether they are encrypted."""
NOTE_SUFFIXES = frozenset(("", ".txt", ".nfo", ".md", ".diz", ".url", ".html", ".htm", ".log"))
MOST_FILES = 2000


def read_notes_beside(path: Path) -> list[str]:
    """Return the notes in the folder of an archive that seems to be encrypted.

    They may hold its password, as may the folder's name, which is the last one. Files named so come
    first, and at most MOST are read; at most MOST_FILES (2,000) of the folder are looked at. [] for
    a file that does not seem to be an encrypted archive, or if something cannot be read.
    """
    with contextlib.suppress(OSError):
        with path.open("rb") as archive:
            head = archive.read(8)
        if not (head.startswith(ALWAYS_ASKED) or (head[:4] == ZIP and head[6:7] and head[6] & 1)):
            return []
        beside = itertools.islice(path.parent.iterdir(), MOST_FILES)
        files = [file for file in sorted(beside) if file != path and _is_note(file)]
        files.sort(key=lambda file: PASSWORD_FILE.search(file.name) is None)
        texts = [decode_note(file.read_bytes()) for file in files[:MOST]]
        return [text for text in (*texts, path.parent.name) if text]
    return []


def _is_note(file: Path) -> bool:
    """Return whether a file is short and has the name of a text, or none of another kind."""
    is_text = file.suffix.lower() in NOTE_SUFFIXES
    return is_text and file.is_file() and file.stat().st_size <= NOTE_BYTES
