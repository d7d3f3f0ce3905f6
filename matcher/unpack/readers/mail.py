"""Mail: headers, texts, and attachments, by the standard library's parser.

Also quoted-printable without a mail around it (RFC 2045): a part that was saved, or a vCard 2.1 of
an old phone. A text that holds it holds other things too, where `=13` is no control character but
the beginning of `key=13800138000`. So only what quoted-printable alone has is undone: several
octets beyond ASCII in a row, an equals sign, a blank, and lines that go on.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterable, Iterator
from email.feedparser import BufferedSubFile, BytesFeedParser, NeedMoreData  # type: ignore[attr-defined]  # stubs lack what is its own
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
"""Headers that are signatures and verdicts of machines: long, and of nobody."""
LONG_FIELD = re.compile(
    rb"^Content-(?:Type|Disposition):[^\n]*(?:\n[ \t][^\n]*)*", re.IGNORECASE | re.MULTILINE
)
LONGEST_FIELD, MOST_PARAMETERS = 2048, 32
"""Bytes of a field with parameters, and how many of them are read in a longer one: the library
copies the rest for each.
"""
MOST_LINES = 2000
"""Lines of one part's headers that are read as fields; a mail that went through many lists has
200.
"""
DEEPEST = 16
"""So deep may parts stand in one another; a newsletter with a picture in a forwarded mail with a
file is 6.
"""
ENCODED_WORD = re.compile(
    r"=\?([^?\s*]{1,40}+)(?:\*[^?\s]{1,40}+)?\?([bBqQ])\?([^?]*+)\?=(?:\s++(?==\?))?"
)
"""RFC 2047, section 2, with the language of RFC 2231; the white space between two of them is
none.
"""
GOES_ON = " \t"
"""With which a line begins that goes on a field (RFC 5322, section 2.2.3)."""
_FROM = rb"From \S+ (?=[^\n]*?\d\d:\d\d)[^\n]*+\n"
FROM_LINE = re.compile(rb"^" + _FROM, re.MULTILINE)
SUFFIX = {"text/plain": ".txt", "text/html": ".html", "message/rfc822": ".eml"}
CHARSETS = {"gb2312": "gb18030", "gbk": "gb18030"}


def message(walk: Walk, body: Body, path: str, depth: int) -> None:
    """One mail."""
    parser = Parser()
    for piece in slices(LONG_FIELD.sub(_tamed, body)):
        parser.feed(piece)
        if parser.begun > walk.budget.entries:  # of the first of which one too many is told
            break
    _message(walk, parser.close(), path, depth, len(body))
    if parser.surplus:
        surplus = "".join(f"{decoded(line)}\n" for line in parser.surplus)
        walk.text(f"{path}{SEPARATOR}more headers", [surplus.encode("utf-8", "replace")])


class Flat(Message):
    """A mail or part that holds no other: what it holds is read as a text."""

    def get_content_type(self) -> str:
        """Return what it is, whatever it says."""
        return "text/plain"


class Lines(BufferedSubFile):  # type: ignore[misc]
    """The library's, which looks at each line once for every part around it: of a body it gets
    all up to the next boundary.
    """

    is_body, _is_alone = False, False
    boundaries: tuple[str, ...] = ()
    """How lines begin that part the parts around."""

    def readline(self) -> str:
        """Return a line.

        Of a field that goes on all that follow, and in a body several of which only the first may
        be a boundary.
        """
        first: str = super().readline()
        waiting, boundaries = self._lines, self.boundaries
        if not first or first is NeedMoreData:
            self._is_alone = False
            return first
        held = [first]
        is_alone, self._is_alone = self._is_alone, first.startswith(boundaries)
        if not self.is_body:
            while first[0] in GOES_ON and waiting and waiting[0][0] in GOES_ON:
                held.append(waiting.popleft())
        elif not is_alone and not self._is_alone:
            while waiting and not waiting[0].startswith(boundaries):
                held.append(waiting.popleft())
        return "".join(held)


class Parser(BytesFeedParser):
    """The library's with the `Lines` above; what stands in more than DEEPEST parts is one text."""

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
        )  # whose parts end with a blank line
        self._input.boundaries = tuple(
            f"--{boundary}" for _, boundary in self._kinds if boundary is not None
        )


def _tamed(field: re.Match[bytes]) -> bytes:
    """Return a field with parameters.

    One beyond LONGEST_FIELD without what parts the last: the library's time is their square.
    """
    said = field[0]
    if len(said) <= LONGEST_FIELD:
        return said
    *first, rest = said.split(b";", MOST_PARAMETERS)
    return b";".join((*first, rest.replace(b";", b",")))


def mailbox(walk: Walk, body: Body, path: str, depth: int) -> None:
    """Many mails, each after a line that begins with `From `, as `1`, `2` and so on."""
    starts = [match.span() for match in FROM_LINE.finditer(body)]
    ends = [start for start, _ in starts[1:]] + [len(body)]
    for number, ((_, start), end) in enumerate(zip(starts, ends, strict=True), 1):
        walk.budget.entry()
        walk.budget.spend(end - start)
        place = f"{path}{SEPARATOR}{number}"
        walk.guarded(place, partial(message, walk, body[start:end], place, depth))


def _message(walk: Walk, parsed: Message, path: str, depth: int, size: int) -> None:
    """Headers, parts, mails in the mail, and the words that stand outside of all parts."""
    walk.text(
        f"{path}{SEPARATOR}headers", [headers(parsed).encode("utf-8", "replace")], protocol.ABOUT
    )
    outside, names = list[str](), list[str]()
    for number, part in enumerate(_leaves(parsed, outside), 1):
        media_type = part.get_content_type()
        name = decoded(part.get_filename() or "")
        names += [name] if name else []
        place = path + SEPARATOR + (name or f"part{number}{SUFFIX.get(media_type, '')}")
        if part.is_multipart():
            for inner in _inner(part):
                walk.guarded(place, partial(_nested, walk, inner, place, depth + 1, size))
            continue
        held = part.get_payload(decode=True)
        if isinstance(held, bytes) and held:
            media = media_type if media_type in protocol.TEXTS else ""
            charset = part.get_content_charset() or ""
            walk.entry(place, slices(held), lambda: size, depth, media_type=media, charset=charset)
    walk.names(path, names)
    if outside:
        walk.text(f"{path}{SEPARATOR}outside", ["\n".join(outside).encode("utf-8", "replace")])


def _nested(walk: Walk, parsed: Message, path: str, depth: int, size: int) -> None:
    walk.budget.entry()
    if depth > walk.budget.depth:
        raise Halt("too_deep")
    _message(walk, parsed, path, depth, size)


def _leaves(parsed: Message, outside: list[str]) -> Iterator[Message]:
    """Parts that hold something themselves, and mails within; words before and after the parts
    go to `outside`.
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
    """`Name: value` lines, encoded words decoded."""
    return "".join(
        f"{name}: {decoded(str(value))}\n"
        for name, value in parsed.items()
        if not NOISE.match(name)
    )


def decoded(value: str) -> str:
    """Return a header's value as a person reads it; words that cannot be decoded as they stand.

    Of words that follow one another the octets are joined before they are decoded: many programs
    part them within a character.

    >>> decoded("=?gb2312?B?1cXEsw==?= <a@example.com>")
    '张某 <a@example.com>'
    """
    unfolded = " ".join(value.splitlines())
    if "=?" not in unfolded:
        return unfolded
    pieces, held, end, charset = list[str](), list[bytes](), 0, ""
    for found in ENCODED_WORD.finditer(unfolded):
        if found.start() != end or found[1] != charset:
            pieces += [_text(held, charset), unfolded[end : found.start()]]
            held, charset = [], found[1]
        held.append(_octets(found))
        end = found.end()
    return "".join([*pieces, _text(held, charset), unfolded[end:]])


def _octets(word: re.Match[str]) -> bytes:
    """Return what an encoded word holds, or the word where that cannot be said."""
    try:
        if word[2] in "qQ":
            return binascii.a2b_qp(word[3], header=True)
        return binascii.a2b_base64(word[3] + "=" * (-len(word[3]) % 4))
    except ValueError:
        return word[0].encode("utf-8", "replace")


def _text(held: list[bytes], charset: str) -> str:
    octets, named = b"".join(held), charset.lower()
    try:
        return octets.decode(CHARSETS.get(named, named or "utf-8"), "replace")
    except (LookupError, ValueError):
        return octets.decode("latin-1")


MAIL_START = re.compile(
    rb"(?:Return-Path|Received|Delivered-To|From|To|Cc|Subject|Date|Sender|Reply-To|Message-ID|MIME-Version|Content-[a-z-]+"
    rb"|Authentication-Results|DKIM-[a-z-]+|List-[a-z-]+|ARC-[a-z-]+|X-[\w-]+):|From ",
    re.IGNORECASE,
)
"""The first line decides whether the rest is looked at: many texts begin with a word and a
colon.
"""
MAIL_SURE = re.compile(
    rb"^(?:MIME-Version|Message-ID|Received|Return-Path|Delivered-To|X-Mailer|DKIM-Signature|Content-Transfer-Encoding):",
    re.IGNORECASE | re.MULTILINE,
)
MAIL_FIELD = re.compile(
    rb"^(?:From|To|Subject|Date|Cc|Content-Type|Message-ID|Received|MIME-Version):",
    re.IGNORECASE | re.MULTILINE,
)
MBOX_START = re.compile(_FROM)


def is_mailbox(head: bytes, _name: str) -> bool:
    """Return whether a text is many mails."""
    return MBOX_START.match(head) is not None and MAIL_FIELD.search(head) is not None


def is_mail(head: bytes, name: str) -> bool:
    """Return whether a text is a mail: what proves it is a field that nobody writes by hand, or
    its name.
    """
    if not MAIL_START.match(head):
        return False
    block = re.split(rb"\r?\n\r?\n", head, maxsplit=1)[0]
    enough = 1 if name.lower().endswith((".eml", ".mht", ".mhtml")) else 2
    sure = enough == 1 or MAIL_SURE.search(block)
    return bool(sure and len(MAIL_FIELD.findall(block)) >= enough)


OCTETS = re.compile(rb"=[89A-Fa-f][0-9A-Fa-f](?:=[89A-Fa-f][0-9A-Fa-f]){2}")
"""Three in a row; the first stands by itself, since what begins with a plain character is found
forty times as fast.
"""
ENOUGH = 3
"""Characters of Chinese, or as much, in a head that is taken for quoted-printable."""
SOFT = re.compile(rb"=[ \t]*\r?\n")
UNDONE = re.compile(rb"(?:=[89A-Fa-f][0-9A-Fa-f]){2,}+|=3[Dd]|=20|=09|=0[Dd]=0[Aa]|=0[Aa]")
LONGEST = 1 << 16
"""Bytes of lines that go on that are waited for."""


def quoted(walk: Walk, chunks: Iterable[bytes], path: str, _depth: int) -> None:
    """The text, undone."""
    walk.text(path, _lines(chunks))


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the text in pieces that end where a line does; chunks without one are joined once,
    where it comes.
    """
    begun = list[bytes]()
    for chunk in chunks:
        begun.append(chunk)
        if b"\n" not in chunk:
            continue
        held = b"".join(begun)
        end = held.rfind(b"\n") + 1
        while (
            end
            and held[max(0, end - 4) : end].rstrip(b"\r\n \t").endswith(b"=")
            and len(held) < LONGEST
        ):
            end = held.rfind(b"\n", 0, end - 1) + 1
        if end:
            yield undone(held[:end])
        begun = [held[end:]]
    if held := b"".join(begun):
        yield undone(held)


def undone(text: bytes) -> bytes:
    r"""Return a text without quoted-printable.

    >>> undone(b"N:=E5=BC=A0=\r\n=E6=9F=90=3D13800138000").decode()
    'N:张某=13800138000'
    """
    return UNDONE.sub(lambda found: binascii.a2b_qp(found[0]), SOFT.sub(b"", text))


def is_quoted(head: bytes, _name: str) -> bool:
    """Return whether a text has several characters in quoted-printable."""
    return b"=" in head and len(OCTETS.findall(head)) >= ENOUGH


FORMATS = (
    FileFormat("mbox", mailbox, is_text=is_mailbox),
    FileFormat("mail", message, is_text=is_mail),
    FileFormat("quoted", quoted, is_text=is_quoted, containers=("other",), streams=True),
)
