r"""Escapes and markup, replaced in place: `&#49;`, `%31`, `\u0031`, base64 and tags, without moving a single character.

A tag within a line is dropped, so that a number split by `<b>` is whole again; a tag that ends a block becomes a line break,
and one that begins a table's cell a tab.
Comments and attributes that may hold an identifier stay readable, on lines of their own: leaks hide in `value=`.
Each step is one linear pass: possessive quantifiers never look back. Escapes are undone twice, since pages escape what was
escaped before.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Sequence
from functools import cache
from itertools import accumulate, islice

import numpy as np
import numpy.typing as npt

from matcher.columns.batch import Bytes, Places, texts_holding
from matcher.columns.literals import ONCE, TEXT, Literals, Patterns
from matcher.text import base64, deobfuscate
from matcher.text.deobfuscate import CLOSING, OPENING
from matcher.text.fold import FILL, GONE, fit

BLOCK = frozenset(
    ("p", "div", "br", "li", "ul", "ol", "tr", "table", "pre", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "hr", "row")
)
AFTER_OCTETS = tuple(FILL * max(0, 3 * octets - 1) for octets in range(5))
"""The room behind a character of so many octets."""
CELL = frozenset(("td", "th", "cell"))
TAG = re.compile(
    r"<(?:!--(?:(?P<comment>[^<>]*?)-->)?"
    r"|(?P<end>/?)(?P<name>[A-Za-z][A-Za-z0-9:-]*+)(?P<values>(?:[^<>\"']|\"[^\"<]*+\"|'[^'<]*+')*+)/?>)|-->"
)
IDLE = re.compile(r"[^@&%\\0-9]*+")
"""A comment that can hold no identifier: it splits a number as a tag does."""
CELL_GAP = re.compile(r">\s++(?=<(?:t[dh]|cell|/?tr|/?row)\b)", re.IGNORECASE)
"""Between cells and rows, with the end of the tag before: between cells no line ends, and between rows none but their own."""
TELLING = re.compile(r"[@&%\\]|(?:\d\D{0,2}){7}")
"""What an attribute has that may hold an identifier: an address, an escape, or seven digits close together (a colour has six)."""
ENTITY = re.compile(rf"&{FILL}*+(?:#\d{{1,7}}|#[xX][0-9a-fA-F]{{1,6}}|[A-Za-z][A-Za-z0-9]{{1,24}});")
JSON_ESCAPE = re.compile(rf"\\(?<!\\\\)\\*+{FILL}*+u[0-9a-fA-F]{{4}}")
OCTETS = re.compile(rf"%{FILL}*+[0-9a-fA-F]{{2}}(?:%{FILL}*+[0-9a-fA-F]{{2}})*+")
OCTET = re.compile(rf"%{FILL}*+[0-9a-fA-F]{{2}}")


BETWEEN = "\x1c"
"""FILE SEPARATOR, between texts that are unescaped in one go: no escape, block, number or address goes across it."""
LONG, HEAD = 1 << 16, 1 << 12
"""Bytes of a text whose beginning is looked at first, and of that beginning."""
ESCAPES = ("&#", "&[a-z][a-z0-9]{1,24};", "%[0-9a-f]{2}", r"\\u[0-9a-f]{4}")
AT = r" at [a-z0-9\-]+(?:[.．]| dot )[a-z0-9\-]"
"""The word before a domain."""


class Memo(dict[str, str]):
    """What a stretch becomes, made once: tags, escapes and characters repeat, and a call costs more than a look-up."""

    def __init__(self, make: Callable[[str], str]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, stretch: str) -> str:
        self[stretch] = made = self._make(stretch)
        return made

    def of(self, match: re.Match[str]) -> str:
        """What replaces a match."""
        return self[match[0]]


def unescape(text: str, *, markup: bool) -> str:
    """`text` with escapes, spelt signs and base64 blocks undone, as long as before; with `markup`, tags are taken out as well."""
    return unescape_all([text], markup=markup)[0]


def unescape_all(texts: Sequence[str], *, markup: bool) -> list[str]:
    """Each of `texts` unescaped as it would be alone, in one go: on a short text the calls cost more than their work."""
    text = _escapes(BETWEEN.join(map(untag, texts) if markup else texts))
    for _ in range(2):
        revealed = base64.reveal(text)
        if revealed is text:
            break
        text = _escapes(revealed)
    text = deobfuscate.reveal_numbers(deobfuscate.reveal_addresses(text))
    ends = accumulate(len(text) + len(BETWEEN) for text in texts)
    return [text[end - len(own) - len(BETWEEN) : end - len(BETWEEN)] for own, end in zip(texts, ends, strict=True)]


def needs_unescape(data: Bytes, first: Places, last: Places, *, seen: bool) -> npt.NDArray[np.bool_]:
    """Which of the folded texts [first, last) of `data`, UTF-8, are to be unescaped: bool[texts].

    `seen` says whether any of `patterns` was seen in `data`. Each asks for more than is undone, and folding hides none, since
    ASCII stays. Only base64 blocks are looked for by the exact test, since digests and web addresses are as long.
    """
    held = texts_holding(base64.starts(data), first)
    if seen:
        own = list(zip((first - 1).tolist(), (last + 1).tolist(), strict=True))  # each between line ends
        held |= texts_holding(_to_undo().find(data, own)[1] - 1, first)
    return held


def begins_escaped(text: bytes) -> bool:
    """Whether a long folded text, UTF-8, is told by its first bytes to be unescaped: then the prescan need not see it twice."""
    return len(text) >= LONG and len(_to_undo().find(np.frombuffer(text[:HEAD], np.uint8))[0]) > 0


@cache
def patterns() -> Patterns:
    """What a text has, once it is folded, in which something but a base64 block may be undone.

    An opening bracket and the word behind it are one pattern each: what begins with plain characters is found at twice the speed.
    """
    words = [
        re.escape(f"{opening}{space}{word}") for opening in OPENING for space in ("", " ") for word in ("at", "dot", "@", "＠")
    ]
    bracketed = [f"{word} ?[{re.escape(CLOSING)}]" for word in words]
    own = tuple(pattern.encode() for pattern in (*bracketed, AT, *ESCAPES))
    return Patterns((*own, *deobfuscate.patterns().wanted), TEXT | ONCE)


@cache
def _to_undo() -> Literals:
    return Literals.of(patterns())


def untag(text: str) -> str:
    """`text` with its tags taken out, as long as before."""
    if "<" not in text:
        return text
    return TAG.sub(Memo(_tag).of, CELL_GAP.sub(lambda gap: fit(">", len(gap[0]), GONE), text))


def _escapes(text: str) -> str:
    for _ in range(2):
        if "&" in text:
            text = ENTITY.sub(Memo(_entity).of, text)
        if "\\" in text:
            text = JSON_ESCAPE.sub(Memo(_json_escape).of, text)
        if "%" in text:
            text = OCTETS.sub(Memo(_octets).of, text)
    return text


def _tag(whole: str) -> str:
    match = TAG.fullmatch(whole)
    if match is None or not match["name"]:
        return _comment(whole, match["comment"] if match else None)
    name, values = match["name"].lower(), match["values"]
    if "=" in values and TELLING.search(values):
        before, inner = match.start("values"), re.sub(r"[\"']", "\n", values)
        return fit("\n", before, GONE) + inner + "\n" * (len(whole) - before - len(inner))
    if name in CELL:
        return fit("" if match["end"] else "\t", len(whole), GONE)
    return fit("\n" if name in BLOCK else "", len(whole), GONE)


def _comment(whole: str, inner: str | None) -> str:
    """A comment readable on lines of its own; nothing where it is idle. `inner` is None for a mark without the other."""
    if inner is None:
        return fit("\n", len(whole), GONE)
    if IDLE.fullmatch(inner):
        return fit("", len(whole), GONE)
    return fit("\n", 4, GONE) + inner + fit("\n", 3, GONE)


def _entity(whole: str) -> str:
    escape = whole.replace(FILL, "")
    plain = html.unescape(escape)
    return fit(plain, len(whole)) if plain != escape and len(plain) <= len(whole) else whole


def _json_escape(whole: str) -> str:
    code = int(whole[-4:], 16)
    return whole if 0xD800 <= code <= 0xDFFF else fit(chr(code), len(whole))


def _octets(whole: str) -> str:
    """Each character in the place of its own octets; what is no UTF-8 is GB18030, failing that Latin-1: digits are the same."""
    raw = bytes.fromhex(whole.replace("%", "").replace(FILL, ""))
    encoding = next(e for e in ("utf-8", "gb18030", "latin-1") if _holds(raw, e))
    if FILL not in whole:
        with_room = Memo(lambda char: char + AFTER_OCTETS[len(char.encode(encoding))])
        return "".join(map(with_room.__getitem__, raw.decode(encoding)))
    rooms = (len(octet.group()) for octet in OCTET.finditer(whole))
    return "".join(fit(char, sum(islice(rooms, len(char.encode(encoding))))) for char in raw.decode(encoding))


def _holds(raw: bytes, encoding: str) -> bool:
    try:
        return raw.decode(encoding).encode(encoding) == raw
    except UnicodeDecodeError:
        return False
