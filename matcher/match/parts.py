"""Captures opened: containers unpacked, long texts cut into windows, each read as folded text. In memory only."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from matcher.columns.batch import Batch
from matcher.detect.search import Prescan, Seen
from matcher.match.steps import Steps, strictly
from matcher.text import Folded, decode, decode_as, fold_all, unescape_all
from matcher.text.decode import WINDOW, is_opaque, utf8_of, wide, windows
from matcher.text.unescape import begins_escaped, needs_unescape
from matcher.unpack.envelopes import has_line
from matcher.unpack.kinds import is_html
from matcher.unpack.limits import Limits
from matcher.unpack.outcome import Member, Outcome
from matcher.unpack.parent import ForkServer, is_container, unpack
from matcher.unpack.protocol import ABOUT, BYTES
from ullage.records import Capture

HEAD = 4096


@dataclass(frozen=True)
class Piece:
    """One window over a text of a capture, decoded: `body` is its UTF-8.

    `source` numbers the capture; `path` is the member inside a container (`!/b.csv`), "" for the capture itself, and `member` its
    number there, counted from 1 in the order of unpacking, 0 for the capture itself, out of a `container` of that kind. `offset`
    characters of the same text stand before this window, of which it takes `size` bytes; `goes_on` says whether it continues the
    piece before it. `streamed` pieces belong to a capture that may have several. One that `is_about` is what
    a file says of itself. One that is not `lettered` is known to have no long line of letters but digests.
    """

    source: int
    path: str
    body: bytes
    size: int
    markup: bool = False
    offset: int = 0
    goes_on: bool = False
    streamed: bool = False
    member: int = 0
    container: str = ""
    is_about: bool = False
    lettered: bool = True

    @cached_property
    def decoded(self) -> str:
        """The text before anything in it is undone."""
        return self.body.decode()


@dataclass(frozen=True, slots=True)
class Part:
    """A piece read: its folded text, before which `line` line ends of the same text stand, and how many when it is over."""

    piece: Piece
    text: Folded
    line: int = 0
    line_behind: int = 0


@dataclass(frozen=True, slots=True)
class Laid:
    """Parts in one buffer, and what the prescan saw there."""

    parts: list[Part]
    batch: Batch
    seen: Seen


def read(pieces: Sequence[Piece], prescan: Prescan, line: int = 0) -> Laid:
    """`pieces` read together; `line` line ends stand before the first if it goes on.

    Markup is unescaped, all else is folded as it is; where the prescan then sees what may be undone, that is unescaped as well.
    """
    texts = fold_all([b"" if piece.markup else piece.body for piece in pieces])
    _unescape(texts, pieces, [n for n, piece in enumerate(pieces) if piece.markup])
    early = [n for n, piece in enumerate(pieces) if not piece.markup and begins_escaped(texts[n].utf8)]
    _unescape(texts, pieces, early)
    batch, seen = _laid(texts, prescan)
    needed = needs_unescape(batch.data, batch.starts, batch.ends, seen=len(seen.undone[0]) > 0)
    done = {*early}
    if again := [n for n, piece in enumerate(pieces) if needed[n] and not piece.markup and n not in done]:
        _unescape(texts, pieces, again)
        batch, seen = _laid(texts, prescan)
    parts, counts = list[Part](), [0] * len(pieces)
    if any(piece.streamed for piece in pieces):
        counts = (batch.lines(batch.ends) - batch.lines(batch.starts)).tolist()
    for piece, text, count in zip(pieces, texts, counts, strict=True):
        line = line if piece.goes_on else 0
        parts.append(Part(piece, text, line, line + count))
        line += count
    return Laid(parts, batch, seen)


def _unescape(texts: list[Folded], pieces: Sequence[Piece], numbers: Sequence[int]) -> None:
    """Put in the text of the pieces with these numbers, all of them markup or none, unescaped and folded."""
    if numbers:
        plain = unescape_all([pieces[n].decoded for n in numbers], markup=pieces[numbers[0]].markup)
        for number, folded in zip(numbers, fold_all([text.encode() for text in plain]), strict=True):
            texts[number] = folded


def _laid(texts: Sequence[Folded], prescan: Prescan) -> tuple[Batch, Seen]:
    """`texts` in one buffer, and what is seen there."""
    batch = Batch.of([text.utf8 for text in texts])
    return batch, prescan.find(batch.data)


def pieces_of_capture(
    source: int,
    capture: Capture,
    on_skipped: Callable[[Outcome], None],
    limits: Limits | None = None,
    server: ForkServer | None = None,
    *,
    step: Steps = strictly,
) -> Generator[Piece]:
    """The pieces of a capture; `on_skipped` hears what could not be read. A capture that holds nothing has one empty piece.

    Children that unpack come from `server`. Each member is read in a `step` of its own, which may bear that it fails.
    """
    if len(capture.body) < WINDOW:
        lettered = has_line(capture.body)
        if not is_container(capture.body, capture.media_type, lettered=lettered):
            if is_opaque(capture.body) and is_opaque(decode(capture.body, capture.charset)):
                on_skipped(Outcome("", "unrecognised"))
            yield _piece(source, capture, lettered=lettered)
            return
    with unpack(capture.body, "", limits, capture.media_type, server) as unpacked:
        for number, item in numbered(unpacked, ""):
            if isinstance(item, Outcome):
                on_skipped(item)
            else:
                with step("unpack"):
                    yield from pieces_of_member(source, item, on_skipped, capture.charset, number)


def numbered(unpacked: Iterable[Member | Outcome], own: str) -> Iterator[tuple[int, Member | Outcome]]:
    """What comes out of a capture or a file whose path is `own`: members with their numbers (see `Piece`), outcomes with 0."""
    count = 0
    for item in unpacked:
        is_member = isinstance(item, Member) and item.path != own
        count += is_member
        yield (count if is_member else 0), item


def _piece(source: int, capture: Capture, *, lettered: bool) -> Piece:
    """The one piece of a short capture, whose bytes as they came are `lettered` or not."""
    text, encoding = decode_as(capture.body, capture.charset)
    markup = _is_markup(capture.media_type) or is_html(capture.body)
    body = utf8_of(capture.body, text, encoding)
    return Piece(source, "", body, len(capture.body), markup, lettered=lettered or body is not capture.body)


def pieces_of_member(
    source: int, member: Member, on_skipped: Callable[[Outcome], None], charset: str = "", number: int = 0
) -> Iterator[Piece]:
    """The pieces of one text out of a container, its `number`-th, or of a long text by itself.

    `on_skipped` hears if it is no text.
    """
    chunks, is_known = member.chunks(), member.media_type == BYTES
    head = next(chunks, b"")
    markup = _is_markup(member.media_type) or (not is_known and is_html(head))
    charset, offset = member.charset or charset, 0
    for window in windows(itertools.chain((head,), chunks), wide(head[:HEAD])):
        text, charset = decode_as(window, charset)
        if not is_known and is_opaque(text):
            on_skipped(Outcome(member.path, "unrecognised"))
            is_known = True
        body, size, goes_on = utf8_of(window, text, charset), len(text), offset > 0
        del text  # which takes two bytes a character, and few are ever asked for it
        yield Piece(
            source,
            member.path,
            body,
            len(window),
            markup,
            offset,
            goes_on=goes_on,
            streamed=True,
            member=number,
            container=member.container,
            is_about=member.media_type == ABOUT,
            lettered=member.is_lettered or body is not window,
        )
        offset += size


def _is_markup(media_type: str) -> bool:
    return "html" in media_type or "xml" in media_type
