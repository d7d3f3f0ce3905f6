r"""Escapes and markup, replaced in place: `&#49;`, `%31`, `\u0031` and tags, without moving a single character.

A tag within a line is dropped, so that a number split by `<b>` is whole again; a tag that ends a block becomes a line break,
and one that begins a table's cell a tab.
Comments stay readable, and so do attributes that may hold an identifier, on lines of their own: leaks hide in `value=`.
Each step is one linear pass: possessive quantifiers never look back. Escapes are undone twice, since pages escape what was
escaped before.
"""

from __future__ import annotations

import html
import re
from itertools import islice

FILL = "\N{WORD JOINER}"
"""Takes up the room that an escape leaves; folding drops it, and a stretch that ends in an escape ends behind it."""
GONE = "\N{FUNCTION APPLICATION}"
"""Takes up the room of a tag; folding drops it."""

BLOCK = frozenset(
    ("p", "div", "br", "li", "ul", "ol", "tr", "table", "pre", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "hr")
)
CELL = frozenset(("td", "th"))
TAG = re.compile(r"<(?:!--|(/?)([A-Za-z][A-Za-z0-9:-]*+)((?:[^<>\"']|\"[^\"<]*+\"|'[^'<]*+')*+)/?>)|-->")
CELL_GAP = re.compile(r"(?<=>)\s++(?=<t[dh]\b)", re.IGNORECASE)
"""Between two cells of a row: no line ends there."""
TELLING = re.compile(r"[@&%\\]|(?:\d\D{0,2}){7}")
"""What an attribute has that may hold an identifier: an address, an escape, or seven digits close together (a colour has six)."""
ENTITY = re.compile(rf"&{FILL}*+(#\d{{1,7}}|#[xX][0-9a-fA-F]{{1,6}}|[A-Za-z][A-Za-z0-9]{{1,24}});")
JSON_ESCAPE = re.compile(rf"(?<!\\)\\++{FILL}*+u([0-9a-fA-F]{{4}})")
PERCENT = re.compile(rf"(?:%{FILL}*+[0-9a-fA-F]{{2}})+")
OCTET = re.compile(rf"%{FILL}*+([0-9a-fA-F]{{2}})")


def unescape(text: str, *, markup: bool) -> str:
    """`text` with escapes undone, exactly as long as before; with `markup`, tags are taken out as well."""
    if markup and "<" in text:
        text = TAG.sub(_tag, CELL_GAP.sub(lambda gap: GONE * len(gap.group()), text))
    for _ in range(2):
        if "&" in text:
            text = ENTITY.sub(_entity, text)
        if "\\" in text:
            text = JSON_ESCAPE.sub(_json_escape, text)
        if "%" in text:
            text = PERCENT.sub(_percent, text)
    return text


def _fit(plain: str, room: int, filling: str = FILL) -> str:
    """`plain` and filling, `room` characters in all."""
    return plain + filling * (room - len(plain))


def _tag(match: re.Match[str]) -> str:
    whole = match.group()
    name = (match.group(2) or "").lower()
    if not name:
        return _fit("\n", len(whole), GONE)
    values = match.group(3) or ""
    if "=" in values and TELLING.search(values):
        before, inner = match.start(3) - match.start(), re.sub(r"[\"']", "\n", values)
        return _fit("\n", before, GONE) + inner + "\n" * (len(whole) - before - len(inner))
    if name in CELL:
        return _fit("" if match.group(1) else "\t", len(whole), GONE)
    return _fit("\n" if name in BLOCK else "", len(whole), GONE)


def _entity(match: re.Match[str]) -> str:
    whole, escape = match.group(), f"&{match.group(1)};"
    plain = html.unescape(escape)
    return _fit(plain, len(whole)) if plain != escape and len(plain) <= len(whole) else whole


def _json_escape(match: re.Match[str]) -> str:
    code = int(match.group(1), 16)
    return match.group() if 0xD800 <= code <= 0xDFFF else _fit(chr(code), len(match.group()))


def _percent(match: re.Match[str]) -> str:
    """Each character in the place of its own octets; what is no UTF-8 is GB18030, failing that Latin-1: digits are the same."""
    octets = [(m.group(1), len(m.group())) for m in OCTET.finditer(match.group())]
    raw = bytes.fromhex("".join(octet for octet, _ in octets))
    encoding = next(e for e in ("utf-8", "gb18030", "latin-1") if _holds(raw, e))
    rooms = (length for _, length in octets)
    return "".join(_fit(char, sum(islice(rooms, len(char.encode(encoding))))) for char in raw.decode(encoding))


def _holds(raw: bytes, encoding: str) -> bool:
    try:
        return raw.decode(encoding).encode(encoding) == raw
    except UnicodeDecodeError:
        return False
