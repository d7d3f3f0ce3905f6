"""Captures opened: containers unpacked, long texts cut into windows, each read as folded text. In memory only."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from matcher.text import Folded, decode_as, read_together
from matcher.text.windows import WINDOW, is_wide, windows
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
    piece before it. `streamed` pieces belong to a capture that may have several.
    """

    source: int
    path: str
    text: str
    size: int
    markup: bool = False
    offset: int = 0
    goes_on: bool = False
    streamed: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """A piece read: its folded text, before which `line` line ends of the same text stand."""

    piece: Piece
    text: Folded
    line: int = 0


def read(pieces: Sequence[Piece], line: int = 0) -> list[Part]:
    """`pieces` read together; `line` line ends stand before the first if it goes on."""
    texts: dict[int, Folded] = {}
    for markup in (True, False):
        numbers = [number for number, piece in enumerate(pieces) if piece.markup is markup]
        texts.update(zip(numbers, read_together([pieces[n].text for n in numbers], markup=markup), strict=True))
    parts = []
    for number, piece in enumerate(pieces):
        line = line if piece.goes_on else 0
        parts.append(Part(piece, texts[number], line))
        line = line_behind(parts[-1])
    return parts


def line_behind(part: Part) -> int:
    """How many line ends of a text stand before what follows a part."""
    return part.line + part.text.text.count("\n") if part.piece.streamed else 0


def pieces_of_capture(
    source: int, capture: Capture, told: Callable[[Outcome], None], limits: Limits | None = None
) -> Iterator[Piece]:
    """The pieces of a capture; `told` hears what could not be read. A capture that holds nothing has one empty piece."""
    if len(capture.body) < WINDOW and not is_container(capture.body, capture.media_type):
        text, _ = decode_as(capture.body, capture.charset)
        yield Piece(source, "", text, len(capture.body), _is_markup(capture.media_type))
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
    for window in windows(itertools.chain((head,), chunks), is_wide(head[:HEAD])):
        text, charset = decode_as(window, charset)
        yield Piece(source, member.path, text, len(window), markup, offset, goes_on=offset > 0, streamed=True)
        offset += len(text)


def _is_markup(media_type: str) -> bool:
    return "html" in media_type or "xml" in media_type
