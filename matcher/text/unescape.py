r"""Escapes, markup and base64 blocks, undone in place: `&#49;`, `%31`, `\u0031` and tags, without moving a single character.

A tag within a line is dropped, so that a number split by `<b>` is whole again; a tag that ends a block becomes a line break,
and one that begins a table's cell a tab.
Comments and attributes that may hold an identifier stay readable, on lines of their own: leaks hide in `value=`.
Each step is one linear pass: possessive quantifiers never look back. Escapes are undone twice, since pages escape what was
escaped before.

Base64 blocks are such as `MTM4MDAxMzgwMDAs5byg5p-Q` and whole pages in lines of 76 (RFC 4648, RFC 2045). A run of 24 characters
with capitals, small letters and letters beyond F may be one: prose and digests have none, and are past at memory's speed. What
decodes to no text, or to text without a digit or an at sign, stays.
"""

from __future__ import annotations

import binascii
import codecs
import html
import re
from collections.abc import Sequence
from functools import cache
from itertools import accumulate, islice
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from matcher.columns.batch import ranges, texts_holding
from matcher.columns.bitset import CASE, DASH, Bytes, Classes, Flags, NeighbourRuns, Places, Ranks, behind, where
from matcher.columns.literals import ONCE, TEXT, Literals, SearchPatterns
from matcher.text import deobfuscate
from matcher.text.cells import GATES, unfold
from matcher.text.chain_numbers import texts_with_numbers
from matcher.text.chains import ROOM
from matcher.text.decode import PLAINLY, common_share
from matcher.text.deobfuscate import CLOSING, OPENING
from matcher.text.fold import FILL, GONE, Memo, fit, replace_all

SHORTEST = 24
ENCODINGS = ("utf-8", "gb18030")
URL_SAFE = bytes.maketrans(b"-_", b"+/")
LINE = re.compile(r"(?:[A-Za-z0-9+/_]++|(?<!-)--?(?!-))++")
"""Three hyphens end a field, and so a block; two may be of the alphabet for URLs, or end a field too."""
PADDING = re.compile("={1,2}")
NEXT_LINE = re.compile(rf"\r?\n({LINE.pattern})")
WIDTHS = range(60, 77)
"""Characters of a line that goes on in the next one."""
TELLING_TEXT = re.compile(r"[0-9@]")
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
Span = tuple[int, int]
"""Characters [start, end) of a text."""


class Replacement(NamedTuple):
    """What the characters [start, end) of a text say."""

    start: int
    end: int
    plain: str


def reveal_base64(text: str) -> str:
    """`text` with its base64 blocks readable, exactly as long as before.

    Linear: whatever a block turns out to be, its lines are not read as parts of another, but for the last.
    """
    made, copied, seen = [], 0, 0
    for place in base64_starts(Classes(np.frombuffer(text.encode("ascii", "replace"), np.uint8))).tolist():
        if place < seen:
            continue
        found, seen = _read(text, place)
        for start, end, plain in found:
            made += [text[copied:start], fit(plain, end - start, GONE)]
            copied = end
    return "".join([*made, text[copied:]]) if made else text


def _read(text: str, start: int) -> tuple[list[Replacement], int]:
    """What can be read of the block at `start`, and where to go on."""
    first = LINE.match(text, start)
    if first is None:
        return [], start + 1
    lines, block = [first.span()], first.group()
    if len(block) in WIDTHS:
        _add_lines(text, lines)
    for count in (len(lines), len(lines) - 1):  # the next line may be no part of it
        if count and (plain := _decoded(block if count == 1 else "".join(text[slice(*line)] for line in lines[:count]))):
            end = lines[count - 1][1]
            padding = PADDING.match(text, end)
            return [Replacement(start, end := padding.end() if padding else end, plain)], end
    if len(lines) == 1 and "--" not in block:  # which is known to be none
        return [], first.end()
    return _in_part(text, lines)


def _add_lines(text: str, lines: list[Span]) -> None:
    """Add the lines that follow the first, of full width, up to one that is shorter."""
    width = lines[0][1] - lines[0][0]
    while following := NEXT_LINE.match(text, lines[-1][1]):
        start, end = following.span(1)
        if end - start > width:
            return
        lines.append((start, end))
        if end - start < width:
            return


def _in_part(text: str, lines: Sequence[Span]) -> tuple[list[Replacement], int]:
    """What can be read of lines that are no text as a whole, some together and others each for itself, and where to go on."""
    widths = [end - start for start, end in lines]
    whole_bytes = widths[0] % 4 == 0 and len(lines) > 1
    together = _stretches([text[slice(*line)] for line in lines]) if whole_bytes else {}
    found, number = list[Replacement](), 0
    while number < len(lines):
        start, end = lines[number]
        if number and widths[number] < widths[0]:  # another block may begin here
            return found, start
        if number in together:
            behind, plain = together[number]
            found.append(Replacement(start, lines[behind - 1][1], plain))
            number = behind
        else:
            if together or not whole_bytes or text.find("--", start, end) >= 0:  # else it is known to be none
                found += _fields(text, start, end)
            number += 1
    return found, lines[-1][1]


def _stretches(lines: Sequence[str]) -> dict[int, tuple[int, str]]:
    """Lines of a block, each of whole bytes, that are text together: by the first the one behind the last, and the text."""
    bodies = [_bytes(line) for line in lines]
    for encoding in ENCODINGS:
        found, decoder = {}, codecs.getincrementaldecoder(encoding)()
        first, parts = 0, list[str]()
        for number, body in enumerate((*bodies, b"\0")):  # which is no text, and so ends the last
            part = _part(decoder, body)
            if part is None and parts:
                if _is_told(plain := "".join(parts), encoding):
                    found[first] = (number, plain)
                first, parts = number, []
                part = _part(decoder, body)
            if part is None:
                first = number + 1
            else:
                parts.append(part)
        if found:
            return found
    return {}


def _part(decoder: codecs.IncrementalDecoder, body: bytes) -> str | None:
    """What text goes on with; None, and it may begin anew, where `body` is none."""
    try:
        part = decoder.decode(body)
    except UnicodeDecodeError:
        part = None
    if part is None or CONTROL.search(part):
        decoder.reset()
        return None
    return part


def _fields(text: str, start: int, end: int) -> list[Replacement]:
    """Those of a line's fields, with two hyphens between, that are blocks."""
    found = []
    for field in text[start:end].split("--"):
        if len(field) >= SHORTEST and (plain := _decoded(field)):
            found.append(Replacement(start, start + len(field), plain))
        start += len(field) + 2
    return found


def _decoded(block: str) -> str:
    """The text that a block stands for, or ""."""
    body = _bytes(block)
    for encoding in ENCODINGS:
        try:
            plain = body.decode(encoding)
        except UnicodeDecodeError:
            continue
        return plain if _is_told(plain, encoding) and not CONTROL.search(plain) else ""
    return ""


def _bytes(block: str) -> bytes:
    """What a block stands for; a last character alone stands for none."""
    chars = block.encode("ascii").translate(URL_SAFE)
    chars = chars[:-1] if len(chars) % 4 == 1 else chars
    return binascii.a2b_base64(chars + b"=" * (-len(chars) % 4))


def _is_told(plain: str, encoding: str) -> bool:
    """Whether what reads as text by `encoding` is such, and may hold an identifier."""
    return TELLING_TEXT.search(plain) is not None and (encoding == "utf-8" or common_share(plain, encoding) >= PLAINLY)


def base64_starts(classes: Classes) -> Places:
    """Where runs of at least 24 characters of the alphabet begin that hold a capital, a small letter and one beyond F: i64[n].

    They are of a text in UTF-8, or with one byte for every character.
    """
    data = classes.data
    runs = NeighbourRuns(classes.word | where(data, _is_sign_of_alphabet))
    if not runs.of(SHORTEST).any():
        return np.empty(0, np.int64)
    three = NeighbourRuns(where(data, lambda part: part == DASH)).of(3)
    start, end = NeighbourRuns(runs.of(1) & ~(three | behind(three, 1) | behind(three, 2))).runs(SHORTEST)
    before = Ranks(where(data, _is_beyond_f))
    telling = before.of(end) > before.of(start)
    start, size = start[telling], (end - start)[telling]
    if not len(start):
        return start
    text, first = data.take(ranges(start, size)), np.cumsum(size) - size  # few are left: digests are gone
    is_capital, is_small = text - np.uint8(65) <= 25, text - np.uint8(97) <= 25
    both = np.logical_or.reduceat(is_capital, first) & np.logical_or.reduceat(is_small, first)
    return np.asarray(start[both])


def _is_sign_of_alphabet(data: Bytes) -> Flags:
    """`+/-_`."""
    return np.asarray(((data - np.uint8(43) <= 4) & (data & 0xFD != 44)) | (data == 95))  # not comma and dot


def _is_beyond_f(data: Bytes) -> Flags:
    """Letters that no hexadecimal number has: a digest's have none, and in base64 each third digit of a number is M, N or O."""
    return (data | CASE) - np.uint8(103) <= 19


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
ANY_TAG = re.compile(f"({re.sub(r'[?]P<[a-z]+>', '?:', TAG.pattern)})")
IDLE = re.compile(r"[^@&%\\0-9]*+")
"""A comment that can hold no identifier: it splits a number as a tag does."""
CELL_GAP = re.compile(r">\s++(?=<(?:t[dh]|cell|/?tr|/?row)\b)", re.IGNORECASE)
"""Between cells and rows, with the end of the tag before: between cells no line ends, and between rows none but their own."""
TELLING = re.compile(r"[@&%\\]|(?:\d\D{0,2}){7}")
"""What an attribute has that may hold an identifier: an address, an escape, or seven digits close together (a colour has six)."""
ENTITY = re.compile(rf"(&{FILL}*+(?:#\d{{1,7}}|#[xX][0-9a-fA-F]{{1,6}}|[A-Za-z][A-Za-z0-9]{{1,24}});)")
"""It and others have one group around all, by which `_replace` splits."""
OCTETS = re.compile(rf"(%{FILL}*+[0-9a-fA-F]{{2}}(?:%{FILL}*+[0-9a-fA-F]{{2}})*+)")
OCTET = re.compile(rf"%{FILL}*+[0-9a-fA-F]{{2}}")
HEXED = r"(?:(?:3[0-9]){11}|(?:[2-7][0-9a-fA-F]){1,40}40(?:[2-7][0-9a-fA-F]){1,40}2[eE])"
"""A number or an address that is all in hex behind one `\\x`, as PostgreSQL writes bytes: `text.cells` reads it."""
ESCAPED_OCTET, OCTAL = rf"x(?!{HEXED})[0-9a-fA-F]{{2}}", r"[01][0-7]{2}(?![0-9])"
BACKSLASHED = re.compile(
    rf"(\\(?<!\\\\)(?:\\*+{FILL}*+u[0-9a-fA-F]{{4}}|u\{{[0-9a-fA-F]{{1,6}}\}}|[nrt](?=\+?[0-9])"
    rf"|{ESCAPED_OCTET}(?:\\{ESCAPED_OCTET})*|{OCTAL}(?:\\{OCTAL})*))"
)
"""Escapes of JSON, code points, line ends that stand before a number, and octets to the base of sixteen and eight."""


BETWEEN = "\x1c"
"""FILE SEPARATOR, between texts that are unescaped in one go: no escape, block, number or address goes across it."""
LONG, LONGER, HEAD = 1 << 16, 1 << 19, 1 << 12
"""Bytes of a text whose beginning is looked at first, and there for chains of digits as well, and of that beginning."""
ESCAPES = (
    "&#",
    "&[a-z][a-z0-9]{1,24};",
    "%[0-9a-f]{2}",
    r"\\u[0-9a-f]{4}",
    r"\\x[0-9a-f]{2}",
    r"\\u\{",
    r"\\[01][0-7]{2}",
    r"\\[nrt]\+?[0-9]",
)
AT = r" at [a-z0-9\-]+(?:[.．]| dot )[a-z0-9\-]"
"""The word before a domain."""


def unescape(text: str, *, markup: bool) -> str:
    """`text` with escapes, spelt signs and base64 blocks undone, as long as before; with `markup`, tags are taken out as well."""
    return unescape_all([text], markup=markup)[0]


def unescape_all(texts: Sequence[str], *, markup: bool) -> list[str]:
    """Each of `texts` unescaped as it would be alone, in one go: on a short text the calls cost more than their work."""
    text = _escapes(BETWEEN.join(map(unfold, map(untag, texts) if markup else texts)))
    for _ in range(2):
        revealed = reveal_base64(text)
        if revealed is text:
            break
        text = _escapes(revealed)
    text = deobfuscate.reveal_numbers(deobfuscate.reveal_addresses(text))
    ends = accumulate(len(text) + len(BETWEEN) for text in texts)
    return [text[end - len(own) - len(BETWEEN) : end - len(BETWEEN)] for own, end in zip(texts, ends, strict=True)]


def needs_unescape(
    classes: Classes, first: Places, last: Places, known: Flags, wide: Flags, *, seen: bool
) -> npt.NDArray[np.bool_]:
    """Which of the folded texts [first, last) of a buffer, UTF-8, are to be unescaped: bool[texts]; of those `known` it is so.

    `wide` says which had a full-width comma before they were folded, `seen` whether any of `patterns` was seen there. Each
    asks for more than is undone, and folding hides none, since ASCII stays. Base64 blocks, since digests and web addresses are as
    long, and numbers in pieces are looked for by tests of their own, as is what has one among `deobfuscate.rules`.
    """
    held = known.copy()
    if seen and not held.all():
        own = list(zip((first[~held] - 1).tolist(), (last[~held] + 1).tolist(), strict=True))  # each between line ends
        held |= texts_holding(_to_undo().find(classes.data, own)[1] - 1, first)
    if not held.all():
        held |= texts_holding(base64_starts(classes), first)
    for _, place in deobfuscate.seen_in_columns(classes) if not held.all() else ():
        held |= texts_holding(place, first)
    return held if held.all() else texts_with_numbers(classes, first, held, wide)


def begins_escaped(text: bytes) -> bool:
    """Whether a long folded text, UTF-8, is told by its first bytes to be unescaped: then the prescan need not see it twice."""
    if len(text) < LONG:
        return False
    if len(_to_undo().find(np.frombuffer(text[:HEAD], np.uint8))[0]):
        return True
    head = np.frombuffer(b"".join((ROOM, text[:HEAD], ROOM)), np.uint8)
    none = np.zeros(1, bool)
    return len(text) >= LONGER and bool(texts_with_numbers(Classes(head), np.array([len(ROOM)]), none, none)[0])


@cache
def patterns() -> SearchPatterns:
    """What a text has, once it is folded, in which something but a base64 block may be undone.

    An opening bracket and the word behind it are one pattern each: what begins with plain characters is found at twice the speed.
    """
    words = [
        re.escape(f"{opening}{space}{word}") for opening in OPENING for space in ("", " ") for word in ("at", "dot", "@", "＠")
    ]
    bracketed = [f"{word} ?[{re.escape(CLOSING)}]" for word in words]
    own = tuple(pattern.encode() for pattern in (*bracketed, AT, *ESCAPES))
    own += tuple(gate.encode() for gate in GATES)
    gates, flags = deobfuscate.gates()
    return SearchPatterns((*own, *gates), tuple(flag | ONCE for flag in (*[TEXT] * len(own), *flags)))


@cache
def _to_undo() -> Literals:
    return Literals(*patterns())


def untag(text: str) -> str:
    """`text` with its tags taken out, as long as before."""
    if "<" not in text:
        return text
    return replace_all(ANY_TAG, _tag, CELL_GAP.sub(lambda gap: fit(">", len(gap[0]), GONE), text))


def _escapes(text: str) -> str:
    for _ in range(2):
        if "&" in text:
            text = replace_all(ENTITY, _entity, text)
        if "\\" in text:
            text = replace_all(BACKSLASHED, _backslashed, text)
        if "%" in text:
            text = replace_all(OCTETS, _octets, text)
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


def _code_point(whole: str) -> str:
    code = int(whole[3:-1], 16)
    return fit(chr(code), len(whole)) if code <= 0x10FFFF and not 0xD800 <= code <= 0xDFFF else whole


def _escaped_octets(whole: str) -> str:
    return _in_place(whole, bytes.fromhex(whole.replace("\\x", "")))


def _octal(whole: str) -> str:
    return _in_place(whole, bytes([int(code, 8) for code in whole.split("\\")[1:]]))


def _in_place(whole: str, raw: bytes) -> str:
    """What octets of four characters each stand for, as UTF-8 or else Latin-1; what is ASCII in the place of its own."""
    plain = raw.decode("utf-8" if _holds(raw, "utf-8") else "latin-1")
    if CONTROL.search(plain):
        return whole
    return (FILL * 3).join([*plain, ""]) if plain.isascii() else fit(plain, len(whole))


def _written_end(whole: str) -> str:
    return ("\t" if whole == r"\t" else "\n") + FILL


def _backslashed(whole: str) -> str:
    """What an escape stands for, by the sign behind its backslash."""
    if whole[1] in "nrt":
        return _written_end(whole)
    if whole[1] == "x":
        return _escaped_octets(whole)
    if whole[1] in "01":
        return _octal(whole)
    return _code_point(whole) if whole[-1] == "}" else _json_escape(whole)


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
