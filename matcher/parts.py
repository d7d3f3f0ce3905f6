"""Captures opened: containers unpacked, long texts cut into windows, each read as folded text. In memory only."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from matcher.text import Folded, decode_as, fold, unescape
from matcher.text.windows import WINDOW, is_wide, windows
from matcher.unpack.kinds import is_container
from matcher.unpack.limits import Limits
from matcher.unpack.outcome import Member, Outcome
from matcher.unpack.unpacked import unpack
from ullage.records import Capture

HEAD = 4096


@dataclass(frozen=True, slots=True)
class Part:
    """One window over a text of a capture.

    `source` numbers the capture; `path` is the member inside a container (`!/b.csv`), "" for the capture itself. `offset`
    characters and `line` line ends of the same text stand before this window; `goes_on` says whether it continues the part
    before it. `streamed` parts belong to a capture that may have several.
    """

    source: int
    path: str
    text: Folded
    offset: int = 0
    line: int = 0
    goes_on: bool = False
    streamed: bool = False


def read_text(chunks: Iterable[bytes], charset: str, media_type: str) -> Iterator[tuple[Folded, int, int]]:
    """Windows of one text, each with the characters and the line ends before it."""
    pieces = iter(chunks)
    head = next(pieces, b"")
    markup = "html" in media_type or "xml" in media_type
    offset = line = 0
    for window in windows(itertools.chain((head,), pieces), is_wide(head[:HEAD])):
        text, charset = decode_as(window, charset)
        folded = fold(unescape(text, markup=markup))
        yield folded, offset, line
        offset += len(text)
        line += folded.text.count("\n")


def parts_of_capture(
    source: int, capture: Capture, told: Callable[[Outcome], None], limits: Limits | None = None
) -> Iterator[Part]:
    """The parts of a capture; `told` hears what could not be read. A capture that holds nothing has one empty part."""
    if len(capture.body) < WINDOW and not is_container(capture.body, capture.media_type):
        for text, _, _ in read_text((capture.body,), capture.charset, capture.media_type):
            yield Part(source, "", text)
        if not capture.body:
            yield Part(source, "", fold(""))
        return
    with unpack(capture.body, "", limits, capture.media_type) as unpacked:
        for item in unpacked:
            if isinstance(item, Outcome):
                told(item)
            else:
                yield from parts_of_member(source, item, capture.charset)


def parts_of_member(source: int, member: Member, charset: str = "") -> Iterator[Part]:
    """The parts of one text out of a container, or of a long text by itself."""
    for text, offset, line in read_text(member.chunks(), member.charset or charset, member.media_type):
        yield Part(source, member.path, text, offset, line, goes_on=offset > 0, streamed=True)
