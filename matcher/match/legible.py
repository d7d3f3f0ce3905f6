"""Whether a file that somebody sent held anything to read: white space, one byte over and over, or encoded bytes are nothing.

What unpacking or decoding cannot read it says itself. What is told here was decoded without a fault and says nothing all the
same: white space, mark-up around a picture, base64 or hex of what is no text (a cipher's output, a picture), which the search
passes by. "None of your customers is in it" would be true of each, and would be taken for more.
"""

from __future__ import annotations

import base64
import binascii
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence

from matcher.match.parts import Piece
from matcher.text.decode import decode, is_opaque
from matcher.unpack.envelopes import AS_LETTER, DIGESTS, LETTERED, RUN, has_line, is_taken, may_hold
from matcher.unpack.outcome import Outcome

NAMES = "!/"
"""How the path of a container's list of names ends."""
OFFICE = frozenset(("docx", "xlsx", "pptx", "odf"))
ABOUT = re.compile(
    r".*!/(?:docProps/(?:core|app)\.xml|docMetadata/LabelInfo\.xml|customXml/itemProps\d*\.xml"
    r"|META-INF/manifest\.xml|(?:.*/)?meta\.xml|manifest\.rdf|mimetype)",
    re.DOTALL,
)
"""Paths of what an office file tells of itself beside what is in it."""
WORD = re.compile(r"\w")
IN_MARKUP = re.compile(r"(?:\A|>|<!\[CDATA\[|<!--)[^<>\w]*\w")
"""A letter or digit outside of tags."""
IN_ATTRIBUTE = re.compile(r"""\s(?!xmlns[:=]|[\w.-]*:?schemaLocation)[\w:.-]+\s*=\s*(?:"[^"<]*\w|'[^'<]*\w)""")
"""A letter or digit in the value of an attribute that names no namespace."""
DECLARED = re.compile(r"<\?[^>]*>")
SCHEMAS = re.compile(r"schemas\.microsoft\.com/(?:office/2006/metadata/contentType|sharepoint/v3/contenttype/forms)\b")
"""Namespaces of custom XML that describes columns and forms of a library of documents, which are nobody's data."""
STYLED = re.compile(r"officeDocument/2006/bibliography\b|schemas\.microsoft\.com/office/2006/metadata/properties\b")
"""Namespaces of what office programs put into a blank document as well: there only words outside of tags are data."""
HEAD = 4096
ODD, KEPT, GARBLED = frozenset(("Cc", "Co", "Cn", "Cs")), frozenset(map(chr, range(32))), 0.1
"""Categories of characters that no text has, those of them that some do have, and their share from which it is none."""
REPEATED = 16
"""Characters from which one and the same over and over is no text."""
LONG = 4096
"""Characters from which a block is told in any text; a key, a certificate, a signature are shorter."""
BLOCK = re.compile(rb"[A-Za-z0-9+/_-]{%d,}+(?:\r?\n[A-Za-z0-9+/_-]++(?![^=\s]))*+={0,2}" % RUN)
"""A long line of the alphabet of base64 and the lines of nothing else that follow it; linear, as it begins where a line does."""
USUAL = bytes.maketrans(b"-_", b"+/")
"""From the alphabet for URLs to the usual one (RFC 4648)."""
HEX = re.compile(rb"[0-9A-Fa-f]+")
UUENCODED = re.compile(rb"^begin [0-7]{3,4} [^\r\n]+\r?\nM[ -`]{60}", re.MULTILINE)
"""What begins a file in uuencode, and its first line (POSIX)."""
ARMOUR = re.compile(rb"-----BEGIN [A-Z0-9 ]*(?:KEY|KEY BLOCK|SIGNATURE|CERTIFICATE)-----[^-]*\Z")
"""What stands before a block that is a key, a certificate or a signature, and nobody's data."""
BEFORE = 200
"""Bytes before a block that are looked at."""
PICTURE = re.compile(rb"data:(?:image|video|application)/[\w.+-]{1,64};base64,\s*\Z")


def watched(
    pieces: Iterable[Piece], path: str, outcomes: Sequence[Outcome], on_skipped: Callable[[Outcome], None]
) -> Iterator[Piece]:
    """`pieces` of the file at `path` as they come; `on_skipped` hears at the end of texts that are none and if there was no word.

    Nothing is told of what `outcomes` name by then.
    """
    none: dict[str, str] = {}
    is_blank, why = True, "empty"
    for piece in pieces:
        yield piece
        if piece.path.endswith(NAMES) or (piece.container in OFFICE and ABOUT.fullmatch(piece.path)):
            continue
        if is_blank:
            is_blank = not has_words(piece)
            why = "image" if is_blank and piece.markup and "data:image/" in piece.decoded else why
        if piece.path not in none and (reason := encoded(piece) or ("unrecognised" if is_garbled(piece) else "")):
            none[piece.path] = reason
    named = {outcome.path for outcome in outcomes}
    for place, reason in none.items():
        if place not in named:
            on_skipped(Outcome(place, reason))
    if is_blank and not outcomes:
        on_skipped(Outcome(path, why))


def has_words(piece: Piece) -> bool:
    """Whether there is a letter or digit in it, outside of tags."""
    text = piece.decoded
    head = text[:HEAD]
    if len(head) > REPEATED and head == head[0] * len(head):
        text = text.lstrip(head[0])
    if piece.container in OFFICE and piece.path.endswith(".xml"):
        return _has_data(DECLARED.sub("", text))
    return (IN_MARKUP if piece.markup else WORD).search(text) is not None


def _has_data(xml: str) -> bool:
    """Whether a part of an office file that is read tags and all, such as custom XML, holds more than its own tags."""
    root = xml[: xml.find(">", xml.find("<")) + 1]
    if SCHEMAS.search(root):
        return False
    return IN_MARKUP.search(xml) is not None or (not STYLED.search(root) and IN_ATTRIBUTE.search(xml) is not None)


def is_garbled(piece: Piece) -> bool:
    """Whether what it begins with was read by the one encoding that reads anything: no text has such characters."""
    head = piece.body[: 4 * HEAD].decode("utf-8", "ignore")[:HEAD]  # without the character that is cut
    if head.replace("\n", "").replace("\t", "").isprintable():  # as most are
        return False
    odd = (char for char in set(head) if unicodedata.category(char) in ODD and char not in KEPT)
    return sum(map(head.count, odd)) > GARBLED * len(head)


def encoded(piece: Piece) -> str:
    """Why a block of base64 or hex in it is not read, "" where there is none, or hardly any.

    A block counts that is long, or half of its text; what decodes to text is read.
    """
    body = piece.body
    if b"begin " in body and UUENCODED.search(body) and not may_hold(body):
        return "unrecognised"
    if not piece.lettered or not has_line(body):
        return ""
    as_one = body.translate(AS_LETTER)
    at = as_one.find(LETTERED)
    if at < 0:
        return ""
    enough = LONG if len(body) >= 8 * LONG else min(LONG, len(piece.decoded) // 2)  # four bytes make one character at most
    while at >= 0:  # to look where such a line is known to begin takes a tenth of a search by the expression
        block = BLOCK.match(body, at)
        assert block
        if len(block[0]) >= enough and _is_no_text(block[0]):
            before = body[max(0, at - BEFORE) : at]
            if not ARMOUR.search(before):
                return "image" if PICTURE.search(before) else "unrecognised"
        at = as_one.find(LETTERED, block.end())
    return ""


def _is_no_text(block: bytes) -> bool:
    """Whether what the block stands for is no text; a list of digests stands for itself."""
    lines = block.split()
    whole = b"".join(lines)
    if whole == whole[:1] * len(whole):  # a line that somebody drew
        return False
    if HEX.fullmatch(whole):
        return not {len(line) for line in lines} <= DIGESTS and _is_opaque(binascii.unhexlify(whole[: len(whole) // 2 * 2]))
    letters = whole.rstrip(b"=").translate(USUAL)
    try:
        return _is_opaque(base64.b64decode(letters[: len(letters) // 4 * 4]))
    except binascii.Error:
        return False


def _is_opaque(body: bytes) -> bool:
    return not is_taken(body) and is_opaque(body) and is_opaque(decode(body))
