r"""Undo escapes and markup in place: `&#49;`, `%31`, `\u0031` and tags, without moving a single
character.

A tag within a line is dropped, so that a number split by `<b>` is whole again; a tag that ends a
block becomes a line break, and one that begins a table's cell a tab. Comments and attributes that
may hold an identifier stay readable, on lines of their own: leaks hide in `value=`. Each step is
one linear pass: possessive quantifiers never look back.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator
from functools import partial
from html.entities import html5
from itertools import islice

from matcher.columns.literals import spell_out
from matcher.text.fold import FILL, GONE, Memo, fit, replace_all
from matcher.text.spellings import Spelling

CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
BLOCK = frozenset(
    (
        "p",
        "div",
        "br",
        "li",
        "ul",
        "ol",
        "tr",
        "table",
        "pre",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "blockquote",
        "hr",
        "row",
    )
)
CELL = frozenset(("td", "th", "cell"))
TAG = re.compile(
    r"<(?:!--(?:(?P<comment>[^<>]*?)-->)?"
    r"|(?P<end>/?)(?P<name>[A-Za-z][A-Za-z0-9:-]*+)"
    r"(?P<values>(?:[^<>\"']|\"[^\"<]*+\"|'[^'<]*+')*+)/?>)|-->"
)
ANY_TAG = re.compile(f"({re.sub(r'[?]P<[a-z]+>', '?:', TAG.pattern)})")
IDLE = re.compile(r"[^@&%\\0-9]*+")
"""A comment that can hold no identifier: it splits a number as a tag does."""
CELL_GAP = re.compile(r">\s++(?=<(?:t[dh]|cell|/?tr|/?row)\b)", re.IGNORECASE)
"""Between cells and rows, with the end of the tag before: between cells no line ends, and
between rows none but their own.
"""
TELLING = re.compile(r"[@&%\\]|(?:\d\D{0,2}){7}|data-cfemail|email-protection#")
"""What an attribute has that may hold an identifier: an address, an escape, or seven digits
close together (a colour has six), or an address that Cloudflare hides.
"""
UNSEEN = re.compile(
    r"(?<=[0-9])(?:<!--[^<>]{0,12}-->"
    r"|<(?P<name>span|i|b|em|font|u|s|strong|small)\s(?=[^<>]{0,200}(?:display\s{0,2}:\s{0,2}none"
    r"|visibility\s{0,2}:\s{0,2}hidden|font-size\s{0,2}:\s{0,2}0(?![.1-9])|(?<![\w\-])hidden\b))"
    r"[^<>]{0,200}>[^<>]{0,6}</(?P=name)>)(?=[0-9<])",
    re.IGNORECASE,
)
"""Between the digits of a number, what a page does not show: a comment, or an element with other
signs in it. Neither is long enough for a value of its own.
"""
ENTITY = re.compile(
    rf"(&{FILL}*+(?:#\d{{1,7}}|#[xX][0-9a-fA-F]{{1,6}}|[A-Za-z][A-Za-z0-9]{{1,24}});)"
)
"""It and others have one group around all, by which `replace_all` splits."""
OCTETS = re.compile(rf"(%{FILL}*+[0-9a-fA-F]{{2}}(?:%{FILL}*+[0-9a-fA-F]{{2}})*+)")
OCTET = re.compile(rf"%{FILL}*+[0-9a-fA-F]{{2}}")
ROOM_BEHIND = tuple(FILL * max(0, 3 * octets - 1) for octets in range(5))
"""The room behind a character of so many octets."""
HEXED = r"(?:(?:3[0-9]){11}|(?:[2-7][0-9a-fA-F]){1,40}40(?:[2-7][0-9a-fA-F]){1,40}2[eE])"
"""A number or an address that is all in hex behind one `\\x`, as PostgreSQL writes bytes:
`spellings.encodings` reads it.
"""
ESCAPED_OCTET, OCTAL = rf"x(?!{HEXED})[0-9a-fA-F]{{2}}", r"[01][0-7]{2}(?![0-9])"
BACKSLASHED = re.compile(
    rf"(\\(?<!\\\\)(?:\\*+{FILL}*+u[0-9a-fA-F]{{4}}|u\{{[0-9a-fA-F]{{1,6}}\}}|[nrt](?=\+?[0-9])"
    rf"|{ESCAPED_OCTET}(?:\\{ESCAPED_OCTET})*|{OCTAL}(?:\\{OCTAL})*))"
)
"""Escapes of JSON, code points, line ends that stand before a number, and octets to the base of
sixteen and eight.
"""
HEX = "0123456789abcdef"
SURROGATES = range(0xD800, 0xE000)
PHONE = "13800138000"


def rows() -> Iterator[Spelling]:
    """Yield the kinds of escapes, such as `&#49;` and `%31`, in the order in which they are undone.

    Each is undone twice, because pages escape text that was escaped before.
    """
    names = {name.lower() for name in html5}
    yield Spelling(
        "character entity",
        "stretch",
        examples=(
            ("&#49;&#51;&#56;&#48;&#48;&#49;&#51;&#56;&#48;&#48;&#48;", PHONE),
            ("li.wei8&commat;example&period;com", "li.wei8@example.com"),
        ),
        near_misses=("138&nbsp;&hellip;&nbsp;001&bogus;38000", "&#1114112;3800138000"),
        gate=(
            *spell_out(("&#",), "0123456789x"),
            *sorted(
                f"&{name}" if name.endswith(";") else f"&{name}[a-z0-9]{{1,24}};" for name in names
            ),
        ),
        rewrite=partial(_replace, "&", ENTITY, _read_entity),
        nests=True,
    )
    yield Spelling(
        "backslash escape",
        "stretch",
        examples=(
            (r"\u0031\u0033\u0038\u0030\u0030138000", PHONE),
            (r"tel=\x31\x33\x38\x30\x30138000", PHONE),
        ),
        near_misses=(r"\u001b[38;0;0m0138000", r"C:\users\13800\138000"),
        gate=(
            *spell_out((r"\\u",), HEX, ("[0-9a-f]{3}",)),
            *spell_out((r"\\x",), HEX, ("[0-9a-f]",)),
            r"\\u\{",
            *spell_out(("\\\\",), "01", "01234567", ("[0-7]",)),
            *spell_out(("\\\\",), "nrt", (*"0123456789", r"\+[0-9]")),
        ),
        rewrite=partial(_replace, "\\", BACKSLASHED, _read_backslashed),
        nests=True,
    )
    yield Spelling(
        "octets behind per cent signs",
        "stretch",
        examples=(
            ("%31%33%38%30%30%31%33%38%30%30%30", PHONE),
            ("q=li.wei8%2540example.com", "li.wei8@example.com"),
        ),
        near_misses=("?id%3D7&n=1380%2C0138", "1380013%800%"),
        gate=tuple(spell_out("%", HEX, HEX)),
        rewrite=partial(_replace, "%", OCTETS, _read_octets),
        nests=True,
    )


def _replace(sign: str, pattern: re.Pattern[str], read: Callable[[str], str], text: str) -> str:
    """Return `text` with each match read, all of which begin with `sign`."""
    return replace_all(pattern, read, text) if sign in text else text


def untag(text: str) -> str:
    """Return `text` without mark-up tags, filled up to its former length."""
    if "<" not in text:
        return text
    text = UNSEEN.sub(lambda unseen: fit("", len(unseen[0]), GONE), text)
    return replace_all(
        ANY_TAG, _read_tag, CELL_GAP.sub(lambda gap: fit(">", len(gap[0]), GONE), text)
    )


def _read_tag(whole: str) -> str:
    match = TAG.fullmatch(whole)
    if match is None or not match["name"]:
        return _read_comment(whole, match["comment"] if match else None)
    name, values = match["name"].lower(), match["values"]
    if "=" in values and TELLING.search(values):
        before, inner = match.start("values"), re.sub(r"[\"']", "\n", values)
        return fit("\n", before, GONE) + inner + "\n" * (len(whole) - before - len(inner))
    if name in CELL:
        return fit("" if match["end"] else "\t", len(whole), GONE)
    return fit("\n" if name in BLOCK else "", len(whole), GONE)


def _read_comment(whole: str, inner: str | None) -> str:
    """Return a comment on lines of its own; nothing where it is idle.

    `inner` is None for a mark without the other.
    """
    if inner is None:
        return fit("\n", len(whole), GONE)
    if IDLE.fullmatch(inner):
        return fit("", len(whole), GONE)
    return fit("\n", 4, GONE) + inner + fit("\n", 3, GONE)


def _read_entity(whole: str) -> str:
    escape = whole.replace(FILL, "")
    plain = html.unescape(escape)
    return fit(plain, len(whole)) if plain != escape and len(plain) <= len(whole) else whole


def _read_backslashed(whole: str) -> str:
    """Return what an escape stands for, by the sign behind its backslash.

    The result is as long as the escape, which is returned unchanged if it is no character.
    """
    sign = whole[1]
    if sign in "nrt":
        return ("\t" if sign == "t" else "\n") + FILL
    if sign == "x":
        return _place_octets(whole, bytes.fromhex(whole.replace("\\x", "")))
    if sign in "01":
        return _place_octets(whole, bytes([int(code, 8) for code in whole.split("\\")[1:]]))
    code = int(whole[3:-1] if whole[-1] == "}" else whole[-4:], 16)
    return fit(chr(code), len(whole)) if code <= 0x10FFFF and code not in SURROGATES else whole


def _place_octets(whole: str, raw: bytes) -> str:
    """Return octets of four characters each, decoded as UTF-8 or else Latin-1.

    A text in ASCII has each character in the place of its own octet.
    """
    plain = raw.decode("utf-8" if _decodes(raw, "utf-8") else "latin-1")
    if CONTROL.search(plain):
        return whole
    return (FILL * 3).join([*plain, ""]) if plain.isascii() else fit(plain, len(whole))


def _read_octets(whole: str) -> str:
    """Return each character in the place of its octets.

    What is not UTF-8 is read as GB18030, or else as Latin-1: digits are the same in all three.
    """
    raw = bytes.fromhex(whole.replace("%", "").replace(FILL, ""))
    encoding = next(e for e in ("utf-8", "gb18030", "latin-1") if _decodes(raw, e))
    if FILL not in whole:
        with_room = Memo(lambda char: char + ROOM_BEHIND[len(char.encode(encoding))])
        return "".join(map(with_room.__getitem__, raw.decode(encoding)))
    rooms = (len(octet.group()) for octet in OCTET.finditer(whole))
    return "".join(
        fit(char, sum(islice(rooms, len(char.encode(encoding))))) for char in raw.decode(encoding)
    )


def _decodes(raw: bytes, encoding: str) -> bool:
    try:
        return raw.decode(encoding).encode(encoding) == raw
    except UnicodeDecodeError:
        return False
