r"""Read rich text (RTF 1.9.1): the text as it is shown, and files embedded in hex.

A number may be split into several runs (`138{\b 0013}8000`), and a name may be written as bytes of
a code page (`\'d5\'c5`) or as `\u24352?`. Control words of layout are removed, so that text that
is shown together stays together.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from matcher.unpack.formats import FileFormat
from matcher.unpack.protocol import SEPARATOR
from matcher.unpack.walk import CHUNK, Body, Walk, slices

NUMBER = re.compile(rb"-?\d+")
SHOWN = {
    b"par": "\n", b"line": "\n", b"row": "\n", b"sect": "\n", b"page": "\n", b"nestrow": "\n",
    b"cell": "\t", b"nestcell": "\t", b"tab": "\t",
    b"emdash": "—", b"endash": "–", b"bullet": "•",
}  # fmt: skip
SIGNS = {b"~": " ", b"_": "-", b"\\": "\\", b"{": "{", b"}": "}", b"\n": "\n", b"\r": "\n"}
SILENT = frozenset(
    (
        b"fonttbl colortbl stylesheet listtable listoverridetable rsidtbl generator themedata"
        b" colorschememapping datastore latentstyles xmlnstbl mmathPr panose falt"
    ).split()
)
"""Destinations without personal text."""
WORDS = frozenset((b"fldinst", b"shptxt", b"nonshppict", b"shppict", b"object", b"result"))
"""Destinations that older readers skip and that hold text, or contain such."""
EMBEDDED = {b"pict": "picture", b"objdata": "object"}
"""Destinations that hold a file in hex."""
PAGES = {932: "cp932", 936: "gb18030", 949: "cp949", 950: "big5", 54936: "gb18030", 65001: "utf-8"}
"""Code pages by the number of `ansicpg`; any other is read as Western European."""
CHARSETS = {128: 932, 129: 949, 134: 936, 136: 950}
"""Code pages by the number of a font's `fcharset`."""


TOLD = b"|".join(
    sorted([*SHOWN, *SILENT, *WORDS, *EMBEDDED, b"u", b"bin", b"uc", b"ansicpg", b"f", b"fcharset"])
)
LAYOUT = rb"\\(?!(?:" + TOLD + rb")(?![a-zA-Z]))[a-zA-Z]{1,32}+(?:-?\d{1,10})?+ ?"
TOKEN = re.compile(
    rb"((?:\\'[0-9a-fA-F]{2})++)|((?:\\u-?\d{1,5} ?\?)++)"
    rb"|(?:" + LAYOUT + rb")++"
    rb"|\\([a-zA-Z]{1,32})(-?\d{1,10})? ?|\\(\\(?:\\\\)*+|[^a-zA-Z])|((?:\{\})++|(?:\{\\\*(?:"
    + LAYOUT
    + rb")?+)++|\{++|\}++)|([^\\{}\r\n]+)|[\r\n]+|\\"
)
"""A token of RTF.

It is one of: bytes in hex, characters by number with a `?` for old readers, words of layout, a
meaningful word with its number, a sign, braces, plain text. Line ends and words of layout carry no
meaning.
"""


HEXED, CHARACTERS, WORD, NUMBERED, SIGN, BRACE, PLAIN = range(1, 8)
"""Groups of TOKEN."""


class Group(NamedTuple):
    """The state between two braces.

    It has the destination of the text, its code page, and how many characters follow a `u` for old
    readers.
    """

    target: bytes = b""
    page: int = 0
    behind_unicode: int = 1


class RtfReader:
    """Handler of tokens that collects the text."""

    def __init__(self) -> None:
        self.parts, self.embedded = list[str](), list[tuple[str, bytearray]]()
        self._group, self._around = Group(), list[Group]()
        self._bytes, self._page, self._skip, self._surrogate = bytearray(), 1252, 0, 0
        self._fonts, self._font = dict[int, int](), 0

    def take(self, token: re.Match[bytes]) -> int:
        """Handle one token; return how many bytes of binary data to skip behind it."""
        kind = token.lastindex
        if kind is None:  # layout
            return 0
        text = token[kind]
        if kind == PLAIN:
            self._plain(text)
        elif kind == BRACE:
            self.flush()
            self._brace(text)
        elif kind == HEXED:
            self._plain(bytes.fromhex(text.translate(None, b"\\'").decode()))
        elif kind == SIGN:
            if text == b"*":
                self._group = (
                    self._group if self._group.target else self._group._replace(target=text)
                )
            elif text[:1] in SIGNS:
                # there may be many backslashes
                self._show(SIGNS[text[:1]] * ((len(text) + 1) // 2))
        elif kind == CHARACTERS:
            self._characters(text)
        else:
            return self._word(token[WORD], int(token[NUMBERED] or 0), is_numbered=kind == NUMBERED)
        return 0

    def flush(self) -> None:
        """Decode the collected bytes of a code page."""
        if self._bytes:
            page = self._group.page or self._page
            self.parts.append(self._bytes.decode(PAGES.get(page, "cp1252"), "replace"))
            self._bytes.clear()

    def _brace(self, brace: bytes) -> None:
        if brace[:2] == b"{}":  # groups that hold nothing
            pass
        elif brace[:3] == b"{\\*":  # nested groups that older readers skip
            self._around.append(self._group)
            self._group = self._group._replace(target=self._group.target or b"*")
            self._around += [self._group] * (brace.count(b"{") - 1)
        elif brace[:1] == b"{":
            self._around += [self._group] * len(brace)
        elif self._around:
            self._group = self._around[-len(brace) :][0]
            del self._around[-len(brace) :]
        self._skip = 0

    def _plain(self, text: bytes) -> None:
        if self._skip:
            dropped = min(self._skip, len(text))
            self._skip, text = self._skip - dropped, text[dropped:]
        if self._group.target in EMBEDDED:
            self.embedded[-1][1].extend(text)
        elif not self._group.target:
            self._bytes += text

    def _word(self, word: bytes, number: int, *, is_numbered: bool) -> int:
        group = self._group
        if word == b"u" and is_numbered:
            self._unicode(number % 0x10000)
        elif word in SHOWN:
            self._show(SHOWN[word])
        elif word == b"bin":
            return max(0, number)
        elif word == b"uc":
            self._group = group._replace(behind_unicode=max(0, number))
        elif word == b"ansicpg":
            self._page = number
        elif word == b"f" and is_numbered:
            self._in_font(number)
        elif word == b"fcharset" and group.target == b"fonttbl":
            self._fonts[self._font] = CHARSETS.get(number, 0)
        else:
            self._into(word)
        return 0

    def _into(self, word: bytes) -> None:
        """Enter a destination, unless the word is one of layout.

        Embedded objects are collected in `embedded`; text of silent destinations is dropped.
        """
        if word in EMBEDDED:
            self.embedded.append((EMBEDDED[word], bytearray()))
            self._group = self._group._replace(target=word)
        elif word in SILENT:
            self._group = self._group._replace(target=word)
        elif word in WORDS and self._group.target == b"*":
            self._group = self._group._replace(target=b"")

    def _in_font(self, number: int) -> None:
        """Begin a font, and switch to its code page."""
        if self._group.target == b"fonttbl":
            self._font = number
            return
        page = self._fonts.get(number, 0)
        if page != self._group.page:
            self.flush()
            self._group = self._group._replace(page=page)

    def _show(self, text: str) -> None:
        if not self._group.target:
            self.flush()
            self.parts.append(text)

    def _characters(self, text: bytes) -> None:
        """Add characters that are written by number. Each has a `?` behind it, which is dropped."""
        codes = [int(number) % 0x10000 for number in NUMBER.findall(text)]
        if self._group.behind_unicode == 1 and not any(0xD800 <= code < 0xE000 for code in codes):
            self._skip = self._surrogate = 0
            self._show("".join(map(chr, codes)))
            return
        for code in codes:
            self._unicode(code)
            self._plain(b"?")

    def _unicode(self, code: int) -> None:
        """Add a character by its number; one beyond 16 bits is written in two halves.

        A second half without a first becomes U+FFFD.
        """
        self._skip = self._group.behind_unicode
        if 0xD800 <= code < 0xDC00:
            self._surrogate = code
            return
        if 0xDC00 <= code < 0xE000:
            code = (
                0x10000 + ((self._surrogate - 0xD800) << 10) + code - 0xDC00
                if self._surrogate
                else 0xFFFD
            )
        self._surrogate = 0
        self._show(chr(code))


def rtf(walk: Walk, body: Body, path: str, depth: int) -> None:
    """Write the text as one member, and read each embedded picture or object as an entry.

    Equal ones are read one time, empty ones not at all.
    """
    reader = RtfReader()
    walk.text(
        f"{path}{SEPARATOR}text", walk.budget.measure(_words(reader, body), lambda: len(body))
    )
    each = dict.fromkeys(
        (what, bytes(hexed).translate(None, b" \t\r\n")) for what, hexed in reader.embedded
    )
    for number, (what, digits) in enumerate(each, 1):
        embedded = bytes.fromhex(digits[: len(digits) // 2 * 2].decode("ascii"))
        if embedded:
            walk.entry(
                f"{path}{SEPARATOR}{what} {number}", slices(embedded), lambda: len(body), depth
            )


def _words(reader: RtfReader, body: Body) -> Iterator[bytes]:
    at, size = 0, len(body)
    while at < size:
        for token in TOKEN.finditer(body, at):
            binary = reader.take(token)
            if len(reader.parts) > CHUNK:
                yield "".join(reader.parts).encode("utf-8", "replace")
                reader.parts.clear()
            if binary:
                at = token.end() + binary
                break
        else:
            break
    reader.flush()
    yield "".join(reader.parts).encode("utf-8", "replace")


FORMATS = (FileFormat("rtf", rtf, starts=(b"{\\rtf",)),)
