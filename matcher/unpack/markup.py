"""XML as it comes, by expat. A document type is refused: office files have none, and entities are what XML bombs are made of."""

from __future__ import annotations

import pyexpat
import re
from collections.abc import Callable, Iterable, Iterator

Attributes = dict[str, str]


def parsed(
    chunks: Iterable[bytes],
    start: Callable[[str, Attributes], None],
    end: Callable[[str], None],
    text: Callable[[str], None],
) -> Iterator[None]:
    """Call back for each tag and stretch of text; yields after each chunk.

    Where the outermost tag has a namespace's prefix, all names come without theirs. Where it has none, its kin have none either,
    and names come as they are: most sheets, for which a second call a tag would be half of the time.
    """
    parser = pyexpat.ParserCreate()
    parser.buffer_text = True

    def first(name: str, attributes: Attributes) -> None:
        if ":" in name:
            parser.StartElementHandler = lambda name, attributes: start(name.rpartition(":")[2], attributes)
            parser.EndElementHandler = lambda name: end(name.rpartition(":")[2])
        else:
            parser.StartElementHandler, parser.EndElementHandler = start, end
        parser.StartElementHandler(name, attributes)

    parser.StartElementHandler = first
    parser.CharacterDataHandler = text
    parser.StartDoctypeDeclHandler = _refuse
    for chunk in chunks:
        parser.Parse(chunk, False)
        yield
    parser.Parse(b"", True)
    yield


def _refuse(*_: object) -> None:
    raise ValueError("document type in an office file")


def attribute(attributes: Attributes, name: str) -> str:
    """An attribute by its name without the namespace's prefix."""
    if name in attributes:
        return attributes[name]
    return next((value for key, value in attributes.items() if key.rpartition(":")[2] == name), "")


TOKEN = re.compile(rb"<[^<>]*>|(?:<(?![^<>]*>)|[^<])+")
"""A tag, or what stands between two; linear, as either ends before the next sign of a tag."""
NAME = re.compile(rb"</?([^\s/>]+)")
HELD = 1 << 16
"""Bytes of a tag or a text that are waited for."""
WIDE = (b"\xff\xfe", b"\xfe\xff", b"<\0", b"\0<")
"""How XML in UTF-16 begins."""


def one_a_line(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """XML tags and all, with a line for each of several like elements that hold values: rows are told by their lines.

    Blanks between tags go, so that what a program set out over many lines is one record again. Other text stays as it is.
    """
    lines, held, is_wide = _Lines(), b"", None
    for chunk in chunks:
        is_wide = chunk.startswith(WIDE) if is_wide is None else is_wide
        if is_wide:
            yield chunk
            continue
        held += chunk
        end = held.rfind(b">") + 1 or (len(held) if len(held) > HELD else 0)
        if end:
            yield b"".join(map(lines.take, TOKEN.findall(held[:end])))
            held = held[end:]
    yield b"".join(map(lines.take, TOKEN.findall(held)))


class _Lines:
    """Breaks the line before an element like the one that just ended, if that held elements or several attributes."""

    def __init__(self) -> None:
        self._ended, self._is_full, self._attributes, self._in_text = b"", False, 0, False

    def take(self, token: bytes) -> bytes:
        """A token as it is to be written."""
        if not token.endswith(b">") or token.startswith((b"<!", b"<?")) or not (named := NAME.match(token)):
            if token.isspace() and not self._in_text:
                return b""
            self._ended, self._in_text = b"", True
            return token
        self._in_text = False
        if token.startswith(b"</"):
            self._is_full = bool(self._ended) or self._attributes > 1
            self._ended, self._attributes = named[1], 0
            return token
        is_next = self._is_full and named[1] == self._ended
        self._attributes, self._ended = token.count(b"="), b""
        if token.endswith(b"/>"):
            self._is_full, self._ended, self._attributes = self._attributes > 1, named[1], 0
        return b"\n" + token if is_next else token
