"""Captures opened: containers unpacked, long texts cut into windows, each read as folded text. In memory only."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from matcher.text import Folded, decode_as, read_together, read_utf8
from matcher.text.decode import is_utf8_of
from matcher.text.windows import WINDOW, wide, windows
from matcher.unpack.kinds import is_container
from matcher.unpack.limits import Limits
from matcher.unpack.outcome import Member, Outcome
from matcher.unpack.unpacked import unpack
from ullage.records import Capture

HEAD = 4096


@dataclass(frozen=True, slots=True)
class Piece:
    """One window over a text of a capture, decoded and not yet read.

    `source` numbers the capture; `path` is the member inside a container (`!/b.csv`), "" for the capture itself. `offset`
    characters of the same text stand before this window, of which it takes `size` bytes; `goes_on` says whether it continues the
    piece before it. `streamed` pieces belong to a capture that may have several. `body` is the text's UTF-8, None where it
    came in another encoding.
    """

    source: int
    path: str
    text: str
    size: int
    markup: bool = False
    offset: int = 0
    goes_on: bool = False
    streamed: bool = False
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """A piece read: its folded text, before which `line` line ends of the same text stand."""

    piece: Piece
    text: Folded
    line: int = 0


def read(pieces: Sequence[Piece], line: int = 0) -> list[Part]:
    """`pieces` read together; `line` line ends stand before the first if it goes on."""
    texts = _texts(pieces)
    parts = []
    for number, piece in enumerate(pieces):
        line = line if piece.goes_on else 0
        parts.append(Part(piece, texts[number], line))
        line = line_behind(parts[-1])
    return parts


def _texts(pieces: Sequence[Piece]) -> dict[int, Folded]:
    """The folded text of each piece, by its number."""
    utf8 = {n: piece.body for n, piece in enumerate(pieces) if piece.body is not None and not piece.markup}
    texts = dict(zip(utf8, read_utf8([pieces[n].text for n in utf8], list(utf8.values())), strict=True))
    for markup in (True, False):
        numbers = [n for n, piece in enumerate(pieces) if piece.markup is markup and n not in utf8]
        texts.update(zip(numbers, read_together([pieces[n].text for n in numbers], markup=markup), strict=True))
    return texts


def line_behind(part: Part) -> int:
    """How many line ends of a text stand before what follows a part."""
    return part.line + part.text.text.count("\n") if part.piece.streamed else 0


def pieces_of_capture(
    source: int, capture: Capture, told: Callable[[Outcome], None], limits: Limits | None = None
) -> Iterator[Piece]:
    """The pieces of a capture; `told` hears what could not be read. A capture that holds nothing has one empty piece."""
    if len(capture.body) < WINDOW and not is_container(capture.body, capture.media_type):
        text, encoding = decode_as(capture.body, capture.charset)
        body = capture.body if is_utf8_of(capture.body, text, encoding) else None
        yield Piece(source, "", text, len(capture.body), _is_markup(capture.media_type), body=body)
        return
    with unpack(capture.body, "", limits, capture.media_type) as unpacked:
        for item in unpacked:
            if isinstance(item, Outcome):
                told(item)
            else:
                yield from pieces_of_member(source, item, capture.charset)


def pieces_of_member(source: int, member: Member, charset: str = "") -> Iterator[Piece]:
    """The pieces of one text out of a container, or of a long text by itself."""
    chunks = member.chunks()
    head = next(chunks, b"")
    markup, charset, offset = _is_markup(member.media_type), member.charset or charset, 0
    for window in windows(itertools.chain((head,), chunks), wide(head[:HEAD])):
        text, charset = decode_as(window, charset)
        body = window if is_utf8_of(window, text, charset) else None
        yield Piece(source, member.path, text, len(window), markup, offset, goes_on=offset > 0, streamed=True, body=body)
        offset += len(text)


def _is_markup(media_type: str) -> bool:
    return "html" in media_type or "xml" in media_type
