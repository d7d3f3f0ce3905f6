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
from functools import cache, lru_cache
from itertools import accumulate, islice
from typing import NamedTuple

import numpy as np

from matcher.columns.batch import ranges
from matcher.columns.bitset import (
    CASE,
    DASH,
    LINE_END,
    Bytes,
    Classes,
    Flags,
    NeighbourRuns,
    Places,
    Ranks,
    behind,
    is_digit,
    where,
)
from matcher.text import deobfuscate
from matcher.text.cells import unfold
from matcher.text.decode import PLAINLY, common_share
from matcher.text.fold import FILL, FIRST_WIDE, GONE, Memo, fit, replace_all

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
FIRST_SECOND, KEPT = 0x40, 1 << 12
"""The lowest second byte of GB18030 that is no digit; answers on runs that are kept."""
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
    for place in base64_starts(Classes(np.frombuffer(text.encode("ascii", "replace"), np.uint8)))[0].tolist():
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


def base64_starts(classes: Classes) -> tuple[Places, Places]:
    """Return where runs of at least 24 letters of the alphabet begin and end that hold some as base64 has: i64[n], i64[n].

    Such letters are a capital, a small letter and one beyond F.

    They are of a text in UTF-8, or with one byte for every character.
    """
    data = classes.data
    runs = NeighbourRuns(classes.word | where(data, _is_sign_of_alphabet))
    if not runs.of(SHORTEST).any():
        return np.empty(0, np.int64), np.empty(0, np.int64)
    three = NeighbourRuns(where(data, lambda part: part == DASH)).of(3)
    start, end = NeighbourRuns(runs.of(1) & ~(three | behind(three, 1) | behind(three, 2))).runs(SHORTEST)
    before = Ranks(where(data, _is_beyond_f))
    telling = before.of(end) > before.of(start)
    start, size = start[telling], (end - start)[telling]
    if not len(start):
        return start, start
    text, first = data.take(ranges(start, size)), np.cumsum(size) - size  # few are left: digests are gone
    is_capital, is_small = text - np.uint8(65) <= 25, text - np.uint8(97) <= 25
    both = np.logical_or.reduceat(is_capital, first) & np.logical_or.reduceat(is_small, first)
    return start[both], (start + size)[both]


@cache
def _values() -> Bytes:
    """u8[256]: what each letter of either alphabet stands for."""
    table = np.zeros(256, np.uint8)
    letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    table[list(letters)] = np.arange(64)
    table[list(b"-_")] = 62, 63
    return table


@cache
def _controls() -> Flags:
    """bool[256]: which bytes no text has."""
    table = np.zeros(256, bool)
    table[[ord(char) for char in map(chr, range(128)) if CONTROL.match(char)]] = True
    return table


def find_text_runs(data: Bytes, start: Places, end: Places) -> Flags:
    """Return in which of the runs [start, end) of the alphabet a text in base64 may begin: bool[n].

    It begins a field: fields are parted by two hyphens, which may also be letters of the alphabet for URLs.
    """
    if not len(start):
        return np.zeros(0, bool)
    dash = data == DASH
    pair = np.flatnonzero(dash[:-1] & dash[1:]) + 2
    its = np.searchsorted(start, pair, "right") - 1
    inside = np.flatnonzero((its >= 0) & (pair + SHORTEST <= end.take(its)))
    run = np.concatenate((np.arange(len(start)), its[inside]))
    own = np.unique(run[_begin_text(data, np.concatenate((start, pair[inside])))])
    goes_on = (data.take(end[own]) == LINE_END) & np.isin(end[own] - start[own], WIDTHS)
    found = np.zeros(len(start), bool)
    found[own[goes_on]] = True
    for number in own[~goes_on].tolist():
        found[number] = _reads_alone(data[start[number] : end[number]].tobytes())
    return found


def _begin_text(data: Bytes, begin: Places) -> Flags:
    """Return where the 18 bytes that 24 letters stand for have no control character and none that goes on alone: bool[n]."""
    letters = _values().take(data.take(begin[:, None] + np.arange(SHORTEST))).reshape(-1, 4)
    octets = np.empty((len(letters), 3), np.uint8)
    octets[:, 0] = letters[:, 0] << 2 | letters[:, 1] >> 4
    octets[:, 1] = letters[:, 1] << 4 | letters[:, 2] >> 2
    octets[:, 2] = letters[:, 2] << 6 | letters[:, 3]
    octets = octets.reshape(-1, SHORTEST // 4 * 3)
    high, behind_it = octets >= FIRST_WIDE, octets[:, 2:]
    lone = high[:, 1:-1] & ~high[:, :-2] & ~high[:, 2:]
    lone &= ~is_digit(behind_it) & (behind_it < FIRST_SECOND)  # in GB18030 those may go on
    return np.asarray(~(_controls().take(octets).any(1) | lone.any(1)))


@lru_cache(maxsize=KEPT)
def _reads_alone(run: bytes) -> bool:
    """Return whether a run, or one of its fields, is text in base64 by itself."""
    block = run.decode()
    return any(_decoded(field) for field in (block, *block.split("--")) if len(field) >= SHORTEST)


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
