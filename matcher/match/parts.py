"""Open captures: unpack containers, cut long texts into windows, and fold each text.

Everything is in memory only. A reader may fail without affecting the remaining ones
(`ullage.guard`): the result without it is published, and marked incomplete.

Unpacking and decoding report what they could not read. `report_unread` reports texts that were
decoded without a fault and still hold nothing to read: white space, one byte repeated, mark-up
around a picture, base64 or hex of binary data (a cipher's output, a picture), which the search
ignores. "None of your customers is in it" would be true of each, and would be misunderstood.
"""

from __future__ import annotations

import base64
import binascii
import itertools
import re
import unicodedata
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self
from urllib.parse import unquote, urlsplit

import numpy as np

from matcher.columns.batch import Batch
from matcher.detect.search import NOTHING_SEEN, Prescan, PrescanHits
from matcher.text import FoldedText, decode, decode_as, fold_all, unescape_all
from matcher.text.decode import WINDOW, cut_windows, detect_wide, is_opaque, utf8_of
from matcher.text.events import UndoEvents, find_dense, find_events
from matcher.text.splice import WIDE_COMMA, undo_lines
from matcher.unpack.formats import (
    AS_LETTER,
    DIGESTS,
    LETTERED,
    RUN,
    can_hold_file,
    has_line,
    is_html,
    is_taken,
)
from matcher.unpack.parent import ForkServer, is_container, unpack
from matcher.unpack.protocol import ABOUT, BYTES, Limits, Member, UnreadPart
from ullage.guard import STRICT, DetectorFault, FaultGuard
from ullage.records import Capture
from ullage.records.incomplete import FAULTS

HEAD = 4096
"""Bytes or characters of a text that show its form."""


@dataclass(frozen=True)
class Piece:
    """One window of a text in a capture, decoded: `body` is its UTF-8.

    `source` is the number of the capture. `path` is the member inside a container (`!/b.csv`), ""
    for the capture itself; `member` is its number there, from 1 in the order of unpacking, 0 for
    the capture itself; `container` is the kind of container. `offset` characters of the same text
    precede this window, which takes `size` bytes of it; `goes_on` is whether it continues the piece
    before it. `streamed` pieces belong to a capture that may have several. An `is_about` piece is a
    file's metadata. A piece that is not `lettered` has no long line of letters except digests.
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
        """The text of the piece, decoded but with escapes such as `&amp;` still in place."""
        return self.body.decode()


@dataclass(frozen=True, slots=True)
class TextPart:
    """A piece that was read, with its folded text.

    `line` line ends of the same text precede it; it also has their number after it.
    """

    piece: Piece
    text: FoldedText
    line: int = 0
    line_behind: int = 0


@dataclass(frozen=True, slots=True)
class PartBatch:
    """Parts in one buffer, with the hits of the prescan."""

    parts: list[TextPart]
    batch: Batch
    seen: PrescanHits


def read(
    pieces: Sequence[Piece], prescan: Prescan, line: int = 0, guard: FaultGuard = STRICT
) -> PartBatch:
    """Read `pieces` together.

    `line` line ends precede the first piece if it continues a text. Markup is unescaped and
    everything is folded; lines with an encoding are then decoded and replaced. If a lenient `guard`
    catches a reader's fault, the text stays as it was before that reader.
    """
    texts = guard.run(
        "folding",
        lambda: fold_all([b"" if piece.markup else piece.body for piece in pieces]),
        [FoldedText(piece.body, piece.body) for piece in pieces],
    )
    _unescape(texts, pieces, [n for n, piece in enumerate(pieces) if piece.markup], guard)
    is_done = np.array([piece.markup for piece in pieces], bool)
    dense = guard.run(
        "spellings",
        lambda: find_dense(texts, lambda head: prescan.find(head).undone) & ~is_done,
        is_done,
    )
    _unescape(texts, pieces, np.flatnonzero(dense & ~is_done).tolist(), guard)
    is_done |= dense
    batch, hits = _join_texts(texts, prescan, guard)
    with_comma = np.array([WIDE_COMMA.encode() in piece.body for piece in pieces], bool)

    def undone() -> dict[int, FoldedText]:
        if is_done.all():
            return {}
        if hits is NOTHING_SEEN:
            return undo_lines(texts, batch, UndoEvents(np.empty(0, np.int64), ~is_done), guard)
        return undo_lines(
            texts, batch, find_events(batch, texts, hits.undone, is_done, with_comma), guard
        )

    if changed := guard.run("spellings", undone, dict[int, FoldedText]()):
        for number, text in changed.items():
            texts[number] = text
        batch, hits = _join_texts(texts, prescan, guard)
    parts, counts = list[TextPart](), [0] * len(pieces)
    if any(piece.streamed for piece in pieces):
        counts = (batch.lines(batch.ends) - batch.lines(batch.starts)).tolist()
    for piece, text, count in zip(pieces, texts, counts, strict=True):
        line = line if piece.goes_on else 0
        parts.append(TextPart(piece, text, line, line + count))
        line += count
    return PartBatch(parts, batch, hits)


def _unescape(
    texts: list[FoldedText], pieces: Sequence[Piece], numbers: Sequence[int], guard: FaultGuard
) -> None:
    """Replace the texts of the pieces with these numbers by their unescaped and folded text.

    The pieces are all markup, or none is.
    """
    if not numbers:
        return
    is_markup = pieces[numbers[0]].markup

    def unescape() -> list[FoldedText]:
        plain = unescape_all([pieces[n].decoded for n in numbers], markup=is_markup, guard=guard)
        return fold_all([text.encode() for text in plain])

    folded = guard.run("markup" if is_markup else "spellings", unescape, None)
    if folded is None and is_markup:
        folded = guard.run("folding", lambda: fold_all([pieces[n].body for n in numbers]), None)
    for number, text in zip(numbers, folded or (), strict=folded is not None):
        texts[number] = text


def _join_texts(
    texts: Sequence[FoldedText], prescan: Prescan, guard: FaultGuard
) -> tuple[Batch, PrescanHits]:
    """Return `texts` in one buffer, with the hits of the prescan."""
    batch = Batch.join([text.utf8 for text in texts])
    return batch, guard.run("words", lambda: prescan.find(batch.data), NOTHING_SEEN)


def pieces_of_capture(
    source: int,
    capture: Capture,
    on_skipped: Callable[[UnreadPart], None],
    limits: Limits | None = None,
    server: ForkServer | None = None,
    *,
    guard: FaultGuard = STRICT,
) -> Generator[Piece]:
    """Yield the pieces of a capture; call `on_skipped` for each part that could not be read.

    An empty capture has one empty piece. `server` starts the children that unpack. If a lenient
    `guard` catches the fault of a member, the remaining members are read.
    """
    if len(capture.body) < WINDOW:
        lettered = has_line(capture.body)
        if not is_container(capture.body, capture.media_type, lettered=lettered):
            if is_opaque(capture.body) and is_opaque(decode(capture.body, capture.charset)):
                on_skipped(UnreadPart("", "unrecognised"))
            yield _piece(source, capture, lettered=lettered)
            return
    stated = (capture.title, unquote(urlsplit(capture.url).path).rpartition("/")[2])
    with unpack(capture.body, "", limits, capture.media_type, server, lambda: stated) as unpacked:
        for number, item in number_members(unpacked, ""):
            if isinstance(item, UnreadPart):
                on_skipped(item)
            else:
                with guard.step("unpack"):
                    yield from pieces_of_member(source, item, on_skipped, capture.charset, number)


def number_members(
    unpacked: Iterable[Member | UnreadPart], whole_path: str
) -> Iterator[tuple[int, Member | UnreadPart]]:
    """Yield members with their numbers (see `Piece`), and outcomes with 0.

    `whole_path` is the path of the capture or file that was unpacked.
    """
    count = 0
    for item in unpacked:
        is_member = isinstance(item, Member) and item.path != whole_path
        count += is_member
        yield (count if is_member else 0), item


def _piece(source: int, capture: Capture, *, lettered: bool) -> Piece:
    """Return the one piece of a short capture.

    `lettered` is that of its bytes as they were served.
    """
    text, encoding = decode_as(capture.body, capture.charset)
    markup = _is_markup(capture.media_type) or is_html(capture.body)
    body = utf8_of(capture.body, text, encoding)
    return Piece(
        source, "", body, len(capture.body), markup, lettered=lettered or body is not capture.body
    )


def pieces_of_member(
    source: int,
    member: Member,
    on_skipped: Callable[[UnreadPart], None],
    charset: str = "",
    number: int = 0,
) -> Iterator[Piece]:
    """Yield the pieces of one text, the `number`-th of a container or a long text alone.

    `on_skipped` is called, one time, if a piece is binary data; the pieces are yielded
    nevertheless.
    """
    chunks, is_known = member.chunks(), member.media_type == BYTES
    head = next(chunks, b"")
    markup = _is_markup(member.media_type) or (not is_known and is_html(head))
    charset, offset = member.charset or charset, 0
    for window in cut_windows(itertools.chain((head,), chunks), detect_wide(head[:HEAD])):
        text, charset = decode_as(window, charset)
        if not is_known and is_opaque(text):
            on_skipped(UnreadPart(member.path, "unrecognised"))
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


class FailedPart(UnreadPart):
    """A part of matching that failed on the text at `path`, while all others succeeded."""

    _fault: DetectorFault

    def __new__(cls, path: str, fault: DetectorFault) -> Self:  # noqa: D102
        part = super().__new__(cls, path, "fault")
        part._fault = fault
        return part

    def words(self) -> tuple[str, str]:
        """Return which part failed, and where in our code, in English and Chinese."""
        part, cause = self._fault
        return (
            f"{FAULTS[part]} ({cause}); the rest was searched",
            f"{super().words()[1]}（{part}: {cause}）",
        )


NAMES = "!/"
"""The end of the path of a container's list of names."""
OFFICE = frozenset(("docx", "xlsx", "pptx", "odf"))
ABOUT_OFFICE = re.compile(
    r"docProps/(?:core|app)\.xml|docMetadata/LabelInfo\.xml|customXml/itemProps\d*\.xml"
    r"|META-INF/manifest\.xml|(?:.*/)?meta\.xml|manifest\.rdf|mimetype",
    re.DOTALL,
)
"""Paths of the metadata in an office file."""
WORD = re.compile(r"\w")
IN_MARKUP = re.compile(r"(?:\A|>|<!\[CDATA\[|<!--)[^<>\w]*\w")
"""A letter or digit outside tags."""
IN_ATTRIBUTE = re.compile(
    r"""\s(?!xmlns[:=]|[\w.-]*:?schemaLocation)[\w:.-]+\s*=\s*(?:"[^"<]*\w|'[^'<]*\w)"""
)
"""A letter or digit in the value of an attribute that names no namespace."""
DECLARED = re.compile(r"<\?[^>]*+(>?)")
"""Declarations, which are neither mark-up nor text.

One that does not end matches too, so that no search begins anew within it, and is kept.
"""
SCHEMAS = re.compile(
    r"schemas\.microsoft\.com/"
    r"(?:office/2006/metadata/contentType|sharepoint/v3/contenttype/forms)\b"
)
"""Namespaces of custom XML about the columns and forms of a document library.

It is nobody's data.
"""
STYLED = re.compile(
    r"officeDocument/2006/bibliography\b|schemas\.microsoft\.com/office/2006/metadata/properties\b"
)
"""Namespaces that office programs put into blank documents too.

In them, only text outside tags is data.
"""
ODD, KEPT, GARBLED = frozenset(("Cc", "Co", "Cn", "Cs")), frozenset(map(chr, range(32))), 0.1
"""Categories of characters that no text has, exceptions to them, and their share in binary data."""
REPEATED = 16
"""Repetitions of one character from which a text holds nothing."""
LONG = 4096
"""Characters from which a block is reported in any text.

A key, a certificate or a signature is shorter.
"""
BLOCK = re.compile(rb"[A-Za-z0-9+/_-]{%d,}+(?:\r?\n[A-Za-z0-9+/_-]++(?![^=\s]))*+={0,2}" % RUN)
"""A long line of base64's alphabet and the lines of that alphabet that follow it.

Linear, since it begins where a line does.
"""
USUAL = bytes.maketrans(b"-_", b"+/")
"""From the alphabet for URLs to the usual one (RFC 4648)."""
HEX = re.compile(rb"[0-9A-Fa-f]+")
UUENCODED = re.compile(rb"^begin [0-7]{3,4} [^\r\n]+\r?\nM[ -`]{60}", re.MULTILINE)
"""The beginning of a file in uuencode, and its first line (POSIX)."""
ARMOUR = re.compile(rb"-----BEGIN [A-Z0-9 ]*(?:KEY|KEY BLOCK|SIGNATURE|CERTIFICATE)-----[^-]*\Z")
"""The text before a key, a certificate or a signature, which is nobody's data."""
BEFORE = 200
"""Bytes before a block that are read."""
PICTURE = re.compile(rb"data:(?:image|video|application)/[\w.+-]{1,64};base64,\s*\Z")


def report_unread(
    pieces: Iterable[Piece],
    path: str,
    outcomes: Sequence[UnreadPart],
    on_skipped: Callable[[UnreadPart], None],
) -> Iterator[Piece]:
    """Yield `pieces` of the file at `path`, and report parts that contain nothing readable.

    After the last piece, `on_skipped` is called for each part that is encoded or garbled and that
    `outcomes` do not name. If `outcomes` are empty and no piece has a word, it is called for the
    file too. Lists of member names, and the parts of an office document that describe it, are not
    judged.
    """
    none: dict[str, str] = {}
    is_blank, why = True, "empty"
    for piece in pieces:
        yield piece
        if piece.path.endswith(NAMES) or (
            piece.container in OFFICE and _is_about_office(piece.path)
        ):
            continue
        if is_blank:
            is_blank = not has_words(piece)
            why = "image" if is_blank and piece.markup and "data:image/" in piece.decoded else why
        if piece.path not in none and (
            reason := explain_encoded(piece) or ("unrecognised" if is_garbled(piece) else "")
        ):
            none[piece.path] = reason
    named = {outcome.path for outcome in outcomes}
    for place, reason in none.items():
        if place not in named:
            on_skipped(UnreadPart(place, reason))
    if is_blank and not outcomes:
        on_skipped(UnreadPart(path, why))


def _is_about_office(path: str) -> bool:
    _, parted, within = path.rpartition("!/")
    return bool(parted) and ABOUT_OFFICE.fullmatch(within) is not None


def has_words(piece: Piece) -> bool:
    """Return whether a piece has a letter or digit; in mark-up, only text outside tags counts."""
    text = piece.decoded
    head = text[:HEAD]
    if len(head) > REPEATED and head == head[0] * len(head):
        text = text.lstrip(head[0])
    if piece.container in OFFICE and piece.path.endswith(".xml"):
        return _has_data(DECLARED.sub(lambda found: "" if found[1] else found[0], text))
    return (IN_MARKUP if piece.markup else WORD).search(text) is not None


def _has_data(xml: str) -> bool:
    """Return whether a part of an office file holds more than its own tags.

    The part is read with its tags, as custom XML is.
    """
    root = xml[: xml.find(">", xml.find("<")) + 1]
    if SCHEMAS.search(root):
        return False
    return IN_MARKUP.search(xml) is not None or (
        not STYLED.search(root) and IN_ATTRIBUTE.search(xml) is not None
    )


def is_garbled(piece: Piece) -> bool:
    """Return whether over a tenth of a piece's first 4,096 characters are such as no text has.

    It was then decoded with the one encoding that accepts anything.
    """
    # without the character that is cut off
    head = piece.body[: 4 * HEAD].decode("utf-8", "ignore")[:HEAD]
    if head.replace("\n", "").replace("\t", "").isprintable():  # as most texts are
        return False
    odd = (char for char in set(head) if unicodedata.category(char) in ODD and char not in KEPT)
    return sum(map(head.count, odd)) > GARBLED * len(head)


def explain_encoded(piece: Piece) -> str:
    """Return why an encoded block in a piece cannot be read; "" if there is none.

    The word is `image` for a picture, video or application in a data address, else `unrecognised`.
    A block of base64 or hex counts if it is long, or half of the text. One that decodes to text is
    read and does not count; nor does a key, signature or certificate.
    """
    body = piece.body
    if b"begin " in body and UUENCODED.search(body) and not can_hold_file(body):
        return "unrecognised"
    if not piece.lettered or not has_line(body):
        return ""
    as_one = body.translate(AS_LETTER)
    at = as_one.find(LETTERED)
    if at < 0:
        return ""
    # four bytes make one character at most
    enough = LONG if len(body) >= 8 * LONG else min(LONG, len(piece.decoded) // 2)
    # to look where such a line is known to begin takes a tenth of a search by the expression
    while at >= 0:
        block = BLOCK.match(body, at)
        assert block
        if len(block[0]) >= enough and _is_no_text(block[0]):
            before = body[max(0, at - BEFORE) : at]
            if not ARMOUR.search(before):
                return "image" if PICTURE.search(before) else "unrecognised"
        at = as_one.find(LETTERED, block.end())
    return ""


def _is_no_text(block: bytes) -> bool:
    """Return whether a block of hex or base64 decodes to binary data.

    A drawn line, a list of digests, and base64 that is cut off do not count.
    """
    lines = block.split()
    whole = b"".join(lines)
    if whole == whole[:1] * len(whole):  # a drawn line
        return False
    if HEX.fullmatch(whole):
        return not {len(line) for line in lines} <= DIGESTS and _is_opaque(
            binascii.unhexlify(whole[: len(whole) // 2 * 2])
        )
    letters = whole.rstrip(b"=").translate(USUAL)
    try:
        return _is_opaque(base64.b64decode(letters[: len(letters) // 4 * 4]))
    except binascii.Error:
        return False


def _is_opaque(body: bytes) -> bool:
    return not is_taken(body) and is_opaque(body) and is_opaque(decode(body))
