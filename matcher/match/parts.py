"""Captures opened: containers unpacked, long texts cut into windows, each read as folded text. In memory only."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from matcher.columns.batch import Batch
from matcher.detect.prescan import Seen, Sieve
from matcher.match.steps import Steps, strictly
from matcher.text import Folded, decode, decode_as, fold_lightly, read_in_full, read_together
from matcher.text.codepoints import utf8_of
from matcher.text.decode import is_tried_as_utf8, is_utf8_of
from matcher.text.needs_unescape import doubted
from matcher.text.opaque import is_opaque
from matcher.text.windows import WINDOW, wide, windows
from matcher.unpack.kinds import is_container, is_html
from matcher.unpack.limits import Limits
from matcher.unpack.outcome import Member, Outcome
from matcher.unpack.parent import ForkServer, unpack
from matcher.unpack.protocol import ABOUT, BYTES
from ullage.records import Capture

HEAD = 4096


@dataclass(frozen=True)
class Piece:
    """One window over a text of a capture, not yet read.

    `source` numbers the capture; `path` is the member inside a container (`!/b.csv`), "" for the capture itself, and `member` its
    number there, counted from 1 in the order of unpacking, 0 for the capture itself, out of a `container` of that kind. `offset`
    characters of the same text stand before this window, of which it takes `size` bytes; `goes_on` says whether it continues the
    piece before it. `streamed` pieces belong to a capture that may have several. `body` is the text's UTF-8, None where it
    came in another encoding. `text` is None where nobody has decoded the body yet, since most likely it is UTF-8; `charset` is
    what was declared of it. One that `is_about` is what
    a file says of itself.
    """

    source: int
    path: str
    text: str | None
    size: int
    markup: bool = False
    offset: int = 0
    goes_on: bool = False
    streamed: bool = False
    body: bytes | None = None
    charset: str = ""
    member: int = 0
    container: str = ""
    is_about: bool = False

    @cached_property
    def decoded(self) -> str:
        """The text before anything in it is undone."""
        return decode(self.body or b"", self.charset) if self.text is None else self.text


@dataclass(frozen=True, slots=True)
class Part:
    """A piece read: its folded text, before which `line` line ends of the same text stand."""

    piece: Piece
    text: Folded
    line: int = 0


@dataclass(frozen=True, slots=True)
class Laid:
    """Parts in one buffer, and what the sieve saw there."""

    parts: list[Part]
    batch: Batch
    seen: Seen


def read(pieces: Sequence[Piece], sieve: Sieve, line: int = 0) -> Laid:
    """`pieces` read together; `line` line ends stand before the first if it goes on.

    What came as text without markup is folded lightly. Where the sieve sees that more is to be done, it is read once more.
    """
    texts = _lightly(pieces)
    light = [n for n, folded in enumerate(texts) if folded is not None]
    _in_full(texts, pieces, [n for n, folded in enumerate(texts) if folded is None])
    batch, seen = _laid(texts, sieve)
    doubts = doubted(batch.data, batch.starts, batch.ends, seen=len(seen.undone[0]) > 0)
    if again := [n for n in light if doubts[n]]:
        _in_full(texts, pieces, again)
        batch, seen = _laid(texts, sieve)
    parts = []
    for piece, text in zip(pieces, _whole(texts), strict=True):
        parts.append(Part(piece, text, line if piece.goes_on else 0))
        line = line_behind(parts[-1])
    return Laid(parts, batch, seen)


def _lightly(pieces: Sequence[Piece]) -> list[Folded | None]:
    """The folded text of each piece of which that is little work, whatever its encoding."""
    plain = [n for n, piece in enumerate(pieces) if not piece.markup]
    bodies = {n: body for n in plain if (body := pieces[n].body) is not None}
    texts = _put([None] * len(pieces), bodies)
    other = {n: utf8_of(pieces[n].decoded) for n in plain if texts[n] is None}
    return _put(texts, {n: body for n, body in other.items() if body is not None and body != bodies.get(n)})


def _put(texts: list[Folded | None], bodies: Mapping[int, bytes]) -> list[Folded | None]:
    """`texts` with those that `bodies` are the UTF-8 of, folded lightly."""
    folded = dict(zip(bodies, fold_lightly(list(bodies.values())), strict=True))
    return [folded.get(n, text) for n, text in enumerate(texts)]


def _in_full(texts: list[Folded | None], pieces: Sequence[Piece], numbers: Sequence[int]) -> None:
    """Put in the text of the pieces with these numbers, all that is hidden undone."""
    markup = [n for n in numbers if pieces[n].markup]
    other = [n for n in numbers if not pieces[n].markup]
    tagged, plain = ([pieces[n].decoded for n in own] for own in (markup, other))
    read = (*read_together(tagged, markup=True), *read_in_full(plain))
    for number, folded in zip((*markup, *other), read, strict=True):
        texts[number] = folded


def _laid(texts: Sequence[Folded | None], sieve: Sieve) -> tuple[Batch, Seen]:
    """`texts`, all of them read, in one buffer, and what is seen there."""
    batch = Batch.of([text.utf8 for text in _whole(texts)])
    return batch, sieve.find(batch.data)


def _whole(texts: Sequence[Folded | None]) -> list[Folded]:
    return [text for text in texts if text is not None]


def line_behind(part: Part) -> int:
    """How many line ends of a text stand before what follows a part."""
    return part.line + part.text.utf8.count(b"\n") if part.piece.streamed else 0


def pieces_of_capture(
    source: int,
    capture: Capture,
    told: Callable[[Outcome], None],
    limits: Limits | None = None,
    server: ForkServer | None = None,
    *,
    step: Steps = strictly,
) -> Generator[Piece]:
    """The pieces of a capture; `told` hears what could not be read. A capture that holds nothing has one empty piece.

    Children that unpack come from `server`. Each member is read in a `step` of its own, which may bear that it fails.
    """
    if len(capture.body) < WINDOW and not is_container(capture.body, capture.media_type):
        if is_opaque(capture.body) and is_opaque(decode(capture.body, capture.charset)):
            told(Outcome("", "unrecognised"))
        yield _piece(source, capture)
        return
    with unpack(capture.body, "", limits, capture.media_type, server) as unpacked:
        for number, item in numbered(unpacked, ""):
            if isinstance(item, Outcome):
                told(item)
            else:
                with step("unpack"):
                    yield from pieces_of_member(source, item, told, capture.charset, number)


def numbered(unpacked: Iterable[Member | Outcome], own: str) -> Iterator[tuple[int, Member | Outcome]]:
    """What comes out of a capture or a file whose path is `own`: members with their numbers (see `Piece`), outcomes with 0."""
    count = 0
    for item in unpacked:
        is_member = isinstance(item, Member) and item.path != own
        count += is_member
        yield (count if is_member else 0), item


def _piece(source: int, capture: Capture) -> Piece:
    """The one piece of a short capture."""
    text: str | None = None
    body: bytes | None = capture.body
    if not is_tried_as_utf8(capture.body, capture.charset):
        text, encoding = decode_as(capture.body, capture.charset)
        body = capture.body if is_utf8_of(capture.body, text, encoding) else None
    markup, charset = _is_markup(capture.media_type) or is_html(capture.body), capture.charset
    return Piece(source, "", text, len(capture.body), markup, body=body, charset=charset)


def pieces_of_member(
    source: int, member: Member, told: Callable[[Outcome], None], charset: str = "", number: int = 0
) -> Iterator[Piece]:
    """The pieces of one text out of a container, its `number`-th, or of a long text by itself; `told` hears if it is none."""
    chunks, is_known = member.chunks(), member.media_type == BYTES
    head = next(chunks, b"")
    markup = _is_markup(member.media_type) or (not is_known and is_html(head))
    charset, offset = member.charset or charset, 0
    for window in windows(itertools.chain((head,), chunks), wide(head[:HEAD])):
        text, charset = decode_as(window, charset)
        if not is_known and is_opaque(text):
            told(Outcome(member.path, "unrecognised"))
            is_known = True
        body = window if is_utf8_of(window, text, charset) else None
        size, goes_on = len(text), offset > 0
        kept = None if body is not None else text  # which takes two bytes a character, and few are ever asked for it
        del text
        yield Piece(
            source,
            member.path,
            kept,
            len(window),
            markup,
            offset,
            goes_on=goes_on,
            streamed=True,
            body=body,
            charset=charset,
            member=number,
            container=member.container,
            is_about=member.media_type == ABOUT,
        )
        offset += size


def _is_markup(media_type: str) -> bool:
    return "html" in media_type or "xml" in media_type
