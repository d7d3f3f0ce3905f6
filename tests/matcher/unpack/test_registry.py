"""A format is one module: what recognises it and what reads it stand there, and nothing lists it
elsewhere.
"""

from pathlib import Path

import pytest

from matcher.unpack import formats, protocol, readers

NEW = """
from matcher.unpack.formats import FileFormat
FORMATS = (FileFormat("new", lambda walk, body, path, depth: None, starts=(b"NEW\\\\0",)),)
"""


@pytest.fixture
def _afresh():
    caches = (formats.find_formats, formats.marks, protocol.containers)
    for cached in caches:
        cached.cache_clear()
    yield
    for cached in caches:
        cached.cache_clear()


@pytest.mark.usefixtures("_afresh")
def test_new_format_needs_only_a_reader_module(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "new_for_this_test.py").write_text(NEW.replace("\\\\", "\\"))
    monkeypatch.setattr(readers, "__path__", [*readers.__path__, str(tmp_path)])
    assert formats.sniff(b"NEW\0 and more") == "new"
    assert "new" in protocol.containers()


def test_no_two_formats_claim_the_same_bytes() -> None:
    registered = formats.find_formats().values()
    claimed = [mark for format_ in registered for mark in (*format_.starts, *format_.faint)] + [
        *formats.UNREAD,
        *formats.UNREAD_BESIDE_CONTROLS,
    ]
    assert len(claimed) == len(set(claimed))
