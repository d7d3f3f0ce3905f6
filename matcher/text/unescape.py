r"""Escapes and markup, replaced in place: `&#49;`, `%31`, `\u0031` and tags, without moving a single character.

A tag within a line is dropped, so that a number split by `<b>` is whole again; a tag that ends a block becomes a line break.
Comments and attribute values stay readable, on lines of their own: leaks hide in `value=` and in comments.
Each step is one linear pass. Escapes are undone twice, since pages escape what was escaped before.
"""

from __future__ import annotations

import html
import re

FILL = "\N{WORD JOINER}"
"""Takes up the room that an escape leaves; folding drops it."""

BLOCK = frozenset(
    ("p", "div", "br", "li", "ul", "ol", "tr", "td", "th", "table", "pre", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "hr")
)
CELL = frozenset(("td", "th"))
TAG = re.compile(r"<(?:!--|(/?)([A-Za-z][A-Za-z0-9:-]*)((?:[^<>\"']|\"[^\"<]*\"|'[^'<]*')*)/?>)|-->")
ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,24});")
JSON_ESCAPE = re.compile(r"\\u[0-9a-fA-F]{4}")
PERCENT = re.compile(r"(?:%[0-9a-fA-F]{2})+")


def unescape(text: str, *, markup: bool) -> str:
    """`text` with escapes undone, exactly as long as before; with `markup`, tags are taken out as well."""
    if markup and "<" in text:
        text = TAG.sub(_tag, text)
    for _ in range(2):
        if "&" in text:
            text = ENTITY.sub(_entity, text)
        if "\\u" in text:
            text = JSON_ESCAPE.sub(_json_escape, text)
        if "%" in text:
            text = PERCENT.sub(_percent, text)
    return text


def _fit(plain: str, room: int) -> str:
    """`plain` and filling, `room` characters in all; what would not fit stays as it was (None is never returned)."""
    return plain + FILL * (room - len(plain))


def _tag(match: re.Match[str]) -> str:
    whole = match.group()
    name = (match.group(2) or "").lower()
    if not name:
        return "\n" + FILL * (len(whole) - 1)
    if name in CELL and not match.group(1):
        return _fit("\t", len(whole))
    values = match.group(3) or ""
    if "=" in values and any(sign in values for sign in "\"'"):
        at = match.start(3) - match.start()
        inner = re.sub(r"[\"']", "\n", values)
        return "\n" + FILL * (at - 1) + inner + "\n" * (len(whole) - at - len(inner))
    return _fit("\n", len(whole)) if name in BLOCK else FILL * len(whole)


def _entity(match: re.Match[str]) -> str:
    whole = match.group()
    plain = html.unescape(whole)
    return _fit(plain, len(whole)) if plain != whole and len(plain) <= len(whole) else whole


def _json_escape(match: re.Match[str]) -> str:
    code = int("0x" + match.group()[2:], 0)
    return match.group() if 0xD800 <= code <= 0xDFFF else _fit(chr(code), 6)


def _percent(match: re.Match[str]) -> str:
    whole = match.group()
    try:
        plain = bytes.fromhex(whole.replace("%", "")).decode()
    except UnicodeDecodeError:
        return whole
    return _fit(plain, len(whole))
