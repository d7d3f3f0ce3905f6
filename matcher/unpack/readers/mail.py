"""Read mails with the standard library's parser: headers, texts and attachments.

Quoted-printable outside a mail (RFC 2045) is read too: a part that was saved, or a vCard 2.1 of an
old phone. Such a text also holds other things, where `=13` is not a control character but the
beginning of `key=13800138000`. Only sequences that plain text does not have are decoded: several
octets beyond ASCII in a row, an equals sign, a blank, and soft line breaks.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterable, Iterator
from email.feedparser import (  # type: ignore[attr-defined]  # the stubs lack two of them
    BufferedSubFile,
    BytesFeedParser,
    NeedMoreData,
)
from email.message import Message
from functools import partial

from matcher.unpack import protocol
from matcher.unpack.formats import FileFormat
from matcher.unpack.protocol import SEPARATOR, Halt
from matcher.unpack.walk import Body, Walk, slices

NOISE = re.compile(
    r"(?:dkim|arc|x-google|x-ms-exchange|x-forefront|x-microsoft|authentication|domainkey)",
    re.IGNORECASE,
)
"""Headers with signatures and verdicts of machines: long, and about nobody."""
LONG_FIELD = re.compile(
    rb"^Content-(?:Type|Disposition):[^\n]*(?:\n[ \t][^\n]*)*", re.IGNORECASE | re.MULTILINE
)
LONGEST_FIELD, MOST_PARAMETERS = 2048, 32
"""Bytes of a field with parameters, and how many parameters of a longer field are read.

The library copies the remaining bytes for each parameter.
"""
MOST_LINES = 2000
"""Lines of one part's headers that are read as fields; mail from many lists has 200."""
DEEPEST = 16
"""Depth of nested parts; a newsletter with a picture in a forwarded mail with a file has 6."""
ENCODED_WORD = re.compile(
    r"=\?([^?\s*]{1,40}+)(?:\*[^?\s]{1,40}+)?\?([bBqQ])\?([^?]*+)\?=(?:\s++(?==\?))?"
)
"""An encoded word (RFC 2047, section 2), with the language of RFC 2231.

White space between two of them does not count.
"""
GOES_ON = " \t"
"""The first characters of a line that continues a field (RFC 5322, section 2.2.3)."""
_FROM = rb"From \S+ (?=[^\n]*?\d\d:\d\d)[^\n]*+\n"
FROM_LINE = re.compile(rb"^" + _FROM, re.MULTILINE)
FLOWED = re.compile(rb"(?<!\n--) \r?\n")
"""The end of a line that goes on in the next one (RFC 3676); `-- ` begins a signature."""
SUFFIX = {"text/plain": ".txt", "text/html": ".html", "message/rfc822": ".eml"}
CHARSETS = {"gb2312": "gb18030", "gbk": "gb18030"}


def message(walk: Walk, body: Body, path: str, depth: int) -> None:
    """Pass on the parts of one mail: its headers, its texts, and each attachment as an entry.

    Headers beyond what a mail may have are written as a text of their own.
    """
    parser = Parser()
    for piece in slices(LONG_FIELD.sub(_limit_parameters, body)):
        parser.feed(piece)
        if parser.begun > walk.budget.entries:  # one too many is enough to report it
            break
    _message(walk, parser.close(), path, depth, len(body))
    if parser.surplus:
        surplus = "".join(f"{decode_header(line)}\n" for line in parser.surplus)
        walk.text(f"{path}{SEPARATOR}more headers", [surplus.encode("utf-8", "replace")])


class Flat(Message):
    """A mail or part without nested parts: its content is read as text."""

    def get_content_type(self) -> str:
        """Return the type of a text, whatever the mail declares."""
        return "text/plain"


class Lines(BufferedSubFile):  # type: ignore[misc]
    """The library's buffer of lines, which checks each line against every surrounding part.

    Of a body, it returns all lines up to the next boundary together.
    """

    is_body, _is_alone = False, False
    boundaries: tuple[str, ...] = ()
    """How the boundary lines of the surrounding parts begin."""

    def readline(self) -> str:
        """Return a line.

        Returns a field with all its continuation lines, and several lines of a body together, of
        which only the first may be a boundary.
        """
        first: str = super().readline()
        waiting, boundaries = self._lines, self.boundaries
        if not first or first is NeedMoreData:
            self._is_alone = False
            return first
        lines = [first]
        is_alone, self._is_alone = self._is_alone, first.startswith(boundaries)
        if not self.is_body:
            while first[0] in GOES_ON and waiting and waiting[0][0] in GOES_ON:
                lines.append(waiting.popleft())
        elif not is_alone and not self._is_alone:
            while waiting and not waiting[0].startswith(boundaries):
                lines.append(waiting.popleft())
        return "".join(lines)


class Parser(BytesFeedParser):
    """The library's parser with these `Lines`; parts nested below DEEPEST are one text."""

    def __init__(self) -> None:
        super().__init__()
        self._input, self._msgstack = Lines(), list[Message]()
        self._kinds = list[tuple[str, str | None]]()
        """Type and boundary of each part around."""
        self.begun = 0
        """Mails and parts so far."""
        self.surplus = list[str]()
        """Lines of headers beyond MOST_LINES: the library needs 4 µs for each field, so they are
        read as a text.
        """

    def _new_message(self) -> None:
        self._input.is_body, self.begun = False, self.begun + 1
        self._factory = Flat if len(self._msgstack) >= DEEPEST else Message
        super()._new_message()  # type: ignore[misc]

    def _parse_headers(self, lines: list[str]) -> None:
        end = next(
            (n for n in range(MOST_LINES, len(lines)) if lines[n][0] not in GOES_ON), len(lines)
        )
        self.surplus += lines[end:]
        super()._parse_headers(lines[:end])  # type: ignore[misc]
        del self._kinds[len(self._msgstack) - 1 :]
        part = self._msgstack[-1]
        self._kinds.append((part.get_content_type(), part.get_boundary()))
        self._input.is_body = all(
            kind != "message/delivery-status" for kind, _ in self._kinds
        )  # its parts end with a blank line
        self._input.boundaries = tuple(
            f"--{boundary}" for _, boundary in self._kinds if boundary is not None
        )


def _limit_parameters(field: re.Match[bytes]) -> bytes:
    """Return a field; of one longer than LONGEST_FIELD, only the first parameters stay apart.

    The library's time is the square of their number.
    """
    text = field[0]
    if len(text) <= LONGEST_FIELD:
        return text
    *first, surplus = text.split(b";", MOST_PARAMETERS)
    return b";".join((*first, surplus.replace(b";", b",")))


def mailbox(walk: Walk, body: Body, path: str, depth: int) -> None:
    """Read a mailbox; each mail follows a line `From `, and they are named `1`, `2` and so on."""
    starts = [match.span() for match in FROM_LINE.finditer(body)]
    ends = [start for start, _ in starts[1:]] + [len(body)]
    for number, ((_, start), end) in enumerate(zip(starts, ends, strict=True), 1):
        walk.budget.entry()
        walk.budget.spend(end - start)
        place = f"{path}{SEPARATOR}{number}"
        walk.run_guarded(place, partial(message, walk, body[start:end], place, depth))


def _message(walk: Walk, parsed: Message, path: str, depth: int, size: int) -> None:
    """Read headers, parts, nested mails, and the text outside all parts.

    Names of attachments are passed on too. `size` is what the mail costs of the budget.
    """
    walk.text(
        f"{path}{SEPARATOR}headers", [headers(parsed).encode("utf-8", "replace")], protocol.ABOUT
    )
    outside, names = list[str](), list[str]()
    for number, part in enumerate(_leaves(parsed, outside), 1):
        media_type = part.get_content_type()
        name = decode_header(part.get_filename() or "")
        names += [name] if name else []
        place = path + SEPARATOR + (name or f"part{number}{SUFFIX.get(media_type, '')}")
        if part.is_multipart():
            for inner in _inner(part):
                walk.run_guarded(place, partial(_read_nested, walk, inner, place, depth + 1, size))
            continue
        payload = part.get_payload(decode=True)
        if isinstance(payload, bytes) and payload:
            if str(part.get_param("format", "")).lower() == "flowed":
                is_glued = str(part.get_param("delsp", "")).lower() == "yes"
                payload = FLOWED.sub(b"" if is_glued else b" ", payload)
            media = media_type if media_type in protocol.TEXTS else ""
            charset = part.get_content_charset() or ""
            walk.entry(
                place, slices(payload), lambda: size, depth, media_type=media, charset=charset
            )
    walk.names(path, names)
    if outside:
        walk.text(f"{path}{SEPARATOR}outside", ["\n".join(outside).encode("utf-8", "replace")])


def _read_nested(walk: Walk, parsed: Message, path: str, depth: int, size: int) -> None:
    walk.budget.entry()
    if depth > walk.budget.depth:
        raise Halt("too_deep")
    _message(walk, parsed, path, depth, size)


def _leaves(parsed: Message, outside: list[str]) -> Iterator[Message]:
    """Yield the parts with content of their own, and nested mails.

    Text before and behind the parts is added to `outside`.
    """
    waiting = [parsed]
    while waiting:
        part = waiting.pop()
        if not part.is_multipart() or part.get_content_maintype() == "message":
            yield part
            continue
        outside += [words for words in (part.preamble, part.epilogue) if words and words.strip()]
        waiting += reversed(_inner(part))


def _inner(part: Message) -> list[Message]:
    payload = part.get_payload()
    return (
        [inner for inner in payload if isinstance(inner, Message)]
        if isinstance(payload, list)
        else []
    )


def headers(parsed: Message) -> str:
    """Return the headers of a mail as lines `Name: value`, decoded; technical ones are left out."""
    return "".join(
        f"{name}: {decode_header(str(value))}\n"
        for name, value in parsed.items()
        if not NOISE.match(name)
    )


def decode_header(value: str) -> str:
    """Return the value of a header as a person reads it.

    Encoded words are decoded; those that cannot be stay as they are. The octets of consecutive
    words are joined first, because many programs split them within a character.

    >>> decode_header("=?gb2312?B?1cXEsw==?= <a@example.com>")
    '张某 <a@example.com>'
    """
    unfolded = " ".join(value.splitlines())
    if "=?" not in unfolded:
        return unfolded
    pieces, octets, end, charset = list[str](), list[bytes](), 0, ""
    for word in ENCODED_WORD.finditer(unfolded):
        if word.start() != end or word[1] != charset:
            pieces += [_text(octets, charset), unfolded[end : word.start()]]
            octets, charset = [], word[1]
        octets.append(_octets(word))
        end = word.end()
    return "".join([*pieces, _text(octets, charset), unfolded[end:]])


def _octets(word: re.Match[str]) -> bytes:
    """Return the octets of an encoded word, or the word itself if it cannot be decoded."""
    try:
        if word[2] in "qQ":
            return binascii.a2b_qp(word[3], header=True)
        return binascii.a2b_base64(word[3] + "=" * (-len(word[3]) % 4))
    except ValueError:
        return word[0].encode("utf-8", "replace")


def _text(parts: list[bytes], charset: str) -> str:
    octets, named = b"".join(parts), charset.lower()
    try:
        return octets.decode(CHARSETS.get(named, named or "utf-8"), "replace")
    except (LookupError, ValueError):
        return octets.decode("latin-1")


MAIL_START = re.compile(
    rb"(?:Return-Path|Received|Delivered-To|From|To|Cc|Subject|Date|Sender|Reply-To"
    rb"|Message-ID|MIME-Version|Content-[a-z-]+|Authentication-Results"
    rb"|DKIM-[a-z-]+|List-[a-z-]+|ARC-[a-z-]+|X-[\w-]+):|From ",
    re.IGNORECASE,
)
"""The first line of a mail, which decides whether the rest is examined.

Many texts begin with a word and a colon.
"""
MAIL_SURE = re.compile(
    rb"^(?:MIME-Version|Message-ID|Received|Return-Path|Delivered-To|X-Mailer"
    rb"|DKIM-Signature|Content-Transfer-Encoding):",
    re.IGNORECASE | re.MULTILINE,
)
MAIL_FIELD = re.compile(
    rb"^(?:From|To|Subject|Date|Cc|Content-Type|Message-ID|Received|MIME-Version):",
    re.IGNORECASE | re.MULTILINE,
)
MBOX_START = re.compile(_FROM)


def is_mailbox(head: bytes, _name: str) -> bool:
    """Return whether a text is a mailbox."""
    return MBOX_START.match(head) is not None and MAIL_FIELD.search(head) is not None


def is_mail(head: bytes, name: str) -> bool:
    """Return whether a text is a mail, by the fields at its beginning.

    Two are needed, one of which no person types; for a file with a mail's suffix one is enough.
    """
    if not MAIL_START.match(head):
        return False
    block = re.split(rb"\r?\n\r?\n", head, maxsplit=1)[0]
    enough = 1 if name.lower().endswith((".eml", ".mht", ".mhtml")) else 2
    sure = enough == 1 or MAIL_SURE.search(block)
    return bool(sure and len(MAIL_FIELD.findall(block)) >= enough)


OCTETS = re.compile(rb"=[89A-Fa-f][0-9A-Fa-f](?:=[89A-Fa-f][0-9A-Fa-f]){2}")
"""Three encoded octets in a row.

The first is written separately, since an expression that begins with a plain character is found
forty times as fast.
"""
ENOUGH = 3
"""Chinese characters, or as much, that make a head quoted-printable."""
SOFT = re.compile(rb"=[ \t]*\r?\n")
UNDONE = re.compile(rb"(?:=[89A-Fa-f][0-9A-Fa-f]){2,}+|=3[Dd]|=20|=09|=0[Dd]=0[Aa]|=0[Aa]")
LONGEST = 1 << 16
"""Bytes of continued lines that are joined."""


def read_quoted(walk: Walk, chunks: Iterable[bytes], path: str, _depth: int) -> None:
    """Read a text in quoted-printable."""
    walk.text(path, _lines(chunks))


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the text in pieces that end at a line end.

    Chunks without a line end are joined one time, when it arrives.
    """
    pending = list[bytes]()
    for chunk in chunks:
        pending.append(chunk)
        if b"\n" not in chunk:
            continue
        joined = b"".join(pending)
        end = joined.rfind(b"\n") + 1
        while (
            end
            and joined[max(0, end - 4) : end].rstrip(b"\r\n \t").endswith(b"=")
            and len(joined) < LONGEST
        ):
            end = joined.rfind(b"\n", 0, end - 1) + 1
        if end:
            yield decode_quoted(joined[:end])
        pending = [joined[end:]]
    if joined := b"".join(pending):
        yield decode_quoted(joined)


def decode_quoted(text: bytes) -> bytes:
    r"""Decode the quoted-printable in a text.

    >>> decode_quoted(b"N:=E5=BC=A0=\r\n=E6=9F=90=3D13800138000").decode()
    'N:张某=13800138000'
    """
    return UNDONE.sub(lambda match: binascii.a2b_qp(match[0]), SOFT.sub(b"", text))


def is_quoted(head: bytes, _name: str) -> bool:
    """Return whether a text has several characters in quoted-printable."""
    return b"=" in head and len(OCTETS.findall(head)) >= ENOUGH


FORMATS = (
    FileFormat("mbox", mailbox, is_text=is_mailbox),
    FileFormat("mail", message, is_text=is_mail),
    FileFormat("quoted", read_quoted, is_text=is_quoted, containers=("other",), streams=True),
)
