"""Fold text: replace every form of a digit, letter or separator by the plain one, drop hidden ones.

Whoever leaks numbers writes ① or １ for 1 and puts invisible characters between digits. Detectors
search the *folded* text, where all that is ASCII; `FoldedText` keeps the way back to the decoded
text, because matches are shown there. A character becomes one character or none, so the way back is
one number per dropped character: how many kept ones stand before it.

    decoded    ①   ZWSP  ３   8         offsets 0 1 2 3
    folded     1          3   8         offsets 0   1 2
    drops      [1]                      span(1, 3) → (2, 4)

All texts of a batch are folded at once, as UTF-8 bytes laid end to end:

1. Every line end becomes one newline, every NUL a space. A text in ASCII is done.
2. Common Chinese characters (U+4000 to U+9FFF, which begin with the bytes E4 to E9) stay as they
   are. All others that are not ASCII are looked up in one table: each stays, or becomes one ASCII
   byte, or none.
3. In the lines in which Han digits may belong to a number, such numbers are read (`read_numbers`).

Han digits: 一二三 is a word and 壹 a name, so they become plain ones in a run of at least seven
digits alone, Han or plain, with at most one sign between two of them. Those before and after a
plain number that is whole without them stay (张三13800138000, 13800138000一手). Look-alikes of a
resident ID's X are read there too, and a full-width plus is one where a number begins (＋８６…);
elsewhere it parts columns, while a plain one may stand in an address. Few texts hold any such
number, and most prose holds single Han digits: `find_number_lines` says, from the bytes of many
texts, in which lines `read_numbers` must look.

Traditional forms of simplified words are by a table of single characters (`traditional.tsv`, which
names its source). Nothing here fails on any text; half a surrogate pair stays what it is.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from functools import cache, cached_property
from importlib import resources
from itertools import islice, pairwise, product
from typing import Any

import numpy as np
import numpy.typing as npt

from matcher.columns.bitset import (
    Bytes,
    Flags,
    NeighbourRuns,
    Places,
    Ranks,
    begins_character,
    find_places,
    is_digit,
    places,
    shift_back,
    shift_forward,
)
from ullage.regex import compile_later

WRITTEN = (
    *("零〇洞○◯", "一壹壱弌幺么〡", "二贰貳弍弐两兩〢", "三叁參叄弎〣", "四肆〤"),
    *("五伍〥", "六陆陸〦", "七柒漆拐〧", "八捌〨", "九玖勾〩"),
)
"""Each digit: common, financial and radio readings, Suzhou numerals."""
DIGITS = {han: digit for digit, forms in enumerate(WRITTEN) for han in forms}
PLAIN_DIGITS = str.maketrans({han: str(digit) for han, digit in DIGITS.items()})
SEPARATORS = " -."
BETWEEN_HAN = f"{SEPARATORS},/|:;_~*+#=·•・、。丨"
"""Signs of which one may stand between two Han digits of a number."""
SHORTEST_RUN = 7
WHOLE_NUMBER = 11
WIDE_PLUS = "＋"
X_ALIKE = "ХхΧχ×✕✖✗✘╳⨉⨯"
"""Cyrillic, Greek, multiplication and ballot signs that pass for an X."""
HAN = "".join(DIGITS)
DIGIT = f"[0-9{HAN}]"
RUN = compile_later(rf"({DIGIT}(?:[{re.escape(BETWEEN_HAN)}]?{DIGIT}){{{SHORTEST_RUN - 1},}}+)")
BEGINNING_PLUS = re.compile(rf"{WIDE_PLUS}(?<![0-9A-Za-z].)(?=[0-9])")
GROUPED = [
    f"[0-9]{{6}}{sign}[0-9]{{8}}{sign}[0-9]{{3}}{last}"
    for sign in map(re.escape, SEPARATORS)
    for last in ("", sign)
]
CHECK_CHARACTER = re.compile(
    f"[{X_ALIKE}](?:{'|'.join(f'(?<={before}.)' for before in ('[0-9]{17}', *GROUPED))})"
)
"""An X look-alike behind the seventeen digits of a resident ID, in one piece or grouped by one
separator throughout.
"""
WITHOUT_SIGNS = str.maketrans("", "", BETWEEN_HAN)
FIRST_WIDE = 0x80
"""The lowest byte that is not ASCII."""
HAN_SIZE, STEP, SAMPLE = 3, 16, 6
"""Bytes of a Han digit.

Of a run, which has 21 bytes or more, at least SAMPLE stand behind its first multiple of STEP.
"""
Codes = npt.NDArray[Any]


class Memo(dict[str, str]):
    """Results of `make` by argument, each computed one time.

    Tags, escapes and characters repeat, and a call costs more than a look-up.
    """

    def __init__(self, make: Callable[[str], str]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, stretch: str) -> str:
        self[stretch] = replacement = self._make(stretch)
        return replacement


def replace_all(pattern: re.Pattern[str], make: Callable[[str], str], text: str) -> str:
    """Return `text` with each match of `pattern` replaced by `make` of the matched text.

    `pattern` must have a single group, around the whole pattern; that is not checked. `make` is
    called one time for each distinct match, so it must depend on its argument alone. To split and
    join costs a third of `re.sub`, which calls Python for each match.
    """
    parts = pattern.split(text)
    parts[1::2] = map(Memo(make).__getitem__, parts[1::2])
    return "".join(parts)


def read_numbers(text: str) -> str:
    """Return folded `text` with plain digits and X for Han digits and look-alikes in numbers.

    Other Han digits stay. The result has the same length.
    """
    text = BEGINNING_PLUS.sub("+", replace_all(RUN, _read_run, text))
    return CHECK_CHARACTER.sub("X", text)


def _read_run(text: str) -> str:
    """Return a long run with plain digits.

    It stays as it is where the plain ones are a number without the Han digits around them.
    """
    if text.isascii():  # as most are in a line that has one of the others
        return text
    core = text.strip(HAN + BETWEEN_HAN)
    if len(core) >= SHORTEST_RUN and core.isascii():  # the plain ones stand together
        inner = _count_digits(core)
        if inner >= SHORTEST_RUN and not inner < WHOLE_NUMBER <= _count_digits(text):
            return text
    return text.translate(PLAIN_DIGITS)


def _count_digits(run: str) -> int:
    """Count the digits of a run: whatever is no separator."""
    return len(run.translate(WITHOUT_SIGNS))


def find_number_lines(data: Bytes) -> Places:
    """Return places in lines that `read_numbers` may change, at least one per such line: i64[n].

    They are unordered, and a line may have none that really changes. `data` is UTF-8: folded texts
    with a NUL between two, and eight behind the last.
    """
    return np.concatenate((_find_beside_digits(data), _find_han_runs(data)))


def _find_beside_digits(data: Bytes) -> Places:
    """Return where a Han digit, X look-alike or full-width plus stands beside a plain digit.

    At most one sign may stand between them.
    """
    digit, wide = (
        find_places(data, is_digit),
        find_places(data, lambda window: window >= FIRST_WIDE),
    )
    after = places(~wide & shift_back(wide, 1) & (digit | shift_forward(digit, 1))) + 1
    before = places(~wide & shift_forward(wide, 1) & (digit | shift_back(digit, 1))) - HAN_SIZE
    place = np.concatenate((after, *_skip_signs(data, after, before), before))
    return np.asarray(place[_mark_readable().take(decode_characters(data, place), mode="clip")])


def _skip_signs(data: Bytes, after: Places, before: Places) -> Iterator[Places]:
    """Yield where the next characters begin beyond the wide signs at `after` and `before`."""
    begins, size = _find_signs(data, after)
    yield begins + size
    # of fewer bytes than a Han digit, a sign before begins later
    for shorter in range(HAN_SIZE - 1):
        begins, size = _find_signs(data, before + shorter)
        yield begins[size == HAN_SIZE - shorter] - HAN_SIZE


def _find_signs(data: Bytes, place: Places) -> tuple[Places, Places]:
    """Return the places at which a sign of several bytes begins, and the size of each sign.

    Most places begin with another byte, so the first byte is tested first.
    """
    begins = place[_sign_leads().take(data.take(place))]
    size = _sign_sizes().take(decode_characters(data, begins), mode="clip")
    return begins[size > 0], size[size > 0]


@cache
def _sign_leads() -> Flags:
    """Return which bytes such a sign begins with: bool[256]."""
    leads = np.zeros(1 << 8, bool)
    leads[[sign.encode()[0] for sign in BETWEEN_HAN if not sign.isascii()]] = True
    return leads


@cache
def _sign_sizes() -> Places:
    """Return the bytes in UTF-8 of each wide sign of `BETWEEN_HAN`, by code point: i64[65536].

    Everything else has 0.
    """
    sizes = np.zeros(1 << 16, np.int64)
    for sign in BETWEEN_HAN:
        if not sign.isascii():
            sizes[ord(sign)] = len(sign.encode())
    return sizes


def _find_han_runs(data: Bytes) -> Places:
    """Return places in what may be a run of at least seven Han digits.

    Prose is full of single ones, so every sixteenth byte is sampled; where a run may be, all bytes
    around are asked. Where many may be, every byte is.
    """
    pairs, is_pair = np.ndarray((len(data) - 1,), "<u2", data.data, 0, (1,)), _mark_pairs()
    place = np.flatnonzero(is_pair.take(pairs[::STEP])) * STEP
    for distance in range(2, SAMPLE, 2):
        if not len(place):
            return place
        place = place[is_pair[pairs[place + distance]]]
    if 4 * STEP * len(place) > len(data):  # a text of such runs
        long = NeighbourRuns(find_places(pairs, is_pair.take)).find_starts(
            SHORTEST_RUN * HAN_SIZE - 1
        )
        return places(long & ~shift_forward(long, 1))
    size = np.ones(len(place), np.int64)
    for way in (1, -1):
        going, distance = np.arange(len(place)), 0
        while len(going) and distance < SHORTEST_RUN * HAN_SIZE:
            distance += 1
            going = going[is_pair[pairs[place[going] + way * distance]]]
            size[going] += 1
    return place[size >= SHORTEST_RUN * HAN_SIZE - 1]


@cache
def _mark_readable() -> Flags:
    """Mark the code points of Han digits, X look-alikes and the full-width plus: bool[65536]."""
    table = np.zeros(1 << 16, bool)
    table[[ord(char) for char in (*DIGITS, *X_ALIKE, WIDE_PLUS)]] = True
    return table


@cache
def _mark_pairs() -> Flags:
    """Mark the pairs of bytes that may stand in a run of Han digits: bool[65536].

    A pair is a little-endian number.
    """
    digits, signs = ([char.encode() for char in chars] for chars in (DIGITS, BETWEEN_HAN))
    inside = (pair for char in (*digits, *signs) for pair in pairwise(char))
    behind_digits = product(
        {digit[-1] for digit in digits}, {char[0] for char in (*digits, *signs)}
    )
    behind_signs = product({sign[-1] for sign in signs}, {digit[0] for digit in digits})
    table = np.zeros(1 << 16, bool)
    table[[int.from_bytes(pair, "little") for pair in (*inside, *behind_digits, *behind_signs)]] = (
        True
    )
    return table


def decode_characters(data: Bytes, place: Places) -> Codes:
    """Return the code points of the characters that begin at `place` in UTF-8: u32[n].

    None of them may be ASCII; where no character begins, the result is any number.
    """
    word: Codes = np.ndarray((len(data) - 3,), "<u4", data.data, 0, (1,))[place]
    code = ((word & 0x0F) << 12) | ((word & 0x3F00) >> 2) | ((word >> 16) & 0x3F)
    for rare, meant in (
        (word & 0xFF < 0xE0, _decode_two_bytes),
        (word & 0xFF >= 0xF0, _decode_four_bytes),
    ):
        if (at := np.flatnonzero(rare)).size:
            code[at] = meant(word[at])
    return code


def _decode_two_bytes(word: Codes) -> Codes:
    return ((word & 0x1F) << 6) | ((word >> 8) & 0x3F)


def _decode_four_bytes(word: Codes) -> Codes:
    return (
        ((word & 0x07) << 18)
        | ((word & 0x3F00) << 4)
        | ((word >> 10) & 0xFC0)
        | (word >> 24 & 0x3F)
    )


MOST = 8
"""Forms made of one word: characters with two traditional ones are rare, so this cuts nothing
that is in use.
"""


@cache
def _load_traditional() -> dict[str, str]:
    """Return, by simplified character, the traditional characters that it stands for."""
    lines = (
        (resources.files(__package__) / "traditional.tsv").read_text(encoding="utf-8").splitlines()
    )
    return dict(line.split("\t") for line in lines if line and not line.startswith("#"))


def list_scripts(word: str) -> tuple[str, ...]:
    """Return a Chinese word in the given characters, then in traditional ones if they differ.

    A word may have several traditional forms; at most `MOST` are returned besides it.

    >>> list_scripts('征信'), list_scripts('台')
    (('征信', '徵信'), ('台', '臺'))
    """
    table = _load_traditional()
    if not any(char in table for char in word):
        return (word,)
    traditional = map("".join, product(*(table.get(char, char) for char in word)))
    return tuple(dict.fromkeys((word, *islice(traditional, MOST))))


FILL = "\N{WORD JOINER}"
"""Takes up the room that an escape leaves; folding drops it, and a stretch that ends in an
escape ends behind it.
"""
GONE = "\N{FUNCTION APPLICATION}"
"""Takes up the room of a tag or of a base64 block; folding drops it."""
DROPPED = re.compile(
    "[\u00ad\u034f\u0334-\u0338\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    "\u202a-\u202e\u2060-\u206f\u20d0-\u20f0\u2800"
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e0fff]"
)
"""Zero-width, bidi, soft hyphen, variation selectors, Hangul fillers, keycap and other overlays,
braille blank.
"""
HYPHENS = "‐‑‒–—―−⁃﹘﹣－ー─━"
SPACES = (
    "\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f"
    "\u3000"
)
RANGES = ((0x80, 0x4000), (0xA000, 0x20000), (0xE0000, 0xE1000))
"""Where forms of plain characters lie, and what is dropped: the first two planes of Unicode, and
tags.
"""
STRETCH = 64
"""Characters that are looked at together to build the table."""
CODE_POINTS = 0x110000
STAYS, REMOVED = 0, 0xFF
"""In the table of characters; neither is the plain form of any. No byte of UTF-8 is 0xFF."""
LEAD, FIRST_COMMON, COMMON_LEADS = 0xC0, 0xE4, 5
"""The lowest first byte of a character of several; that of a common Chinese one, and the
highest, counted from it.
"""
THREE_BYTES, FOUR_BYTES = 0xE0, 0xF0
"""First bytes from which a character has three, and four."""
SHORT = 1024
"""Bytes up to which a text is folded by itself; measured, it pays up to four times as many."""
LINE_END = 10
"""Bytes up to this one end a line, or are of no number anyway."""
BETWEEN, PADDING = b"\0", b"\0" * 8
"""Between texts, which hold none, and behind the last, so that a character may be read with the
bytes behind it.
"""


def to_plain_character(char: str) -> str:
    """Return the plain form of `char`: "" for one that is dropped, `char` itself for most others.

    NFKC misses Arabic-Indic, negative circled and dingbat digits, so `unicodedata.digit` comes
    first; of hyphens it knows two.

    >>> to_plain_character('❸'), to_plain_character('＠'), to_plain_character('億')
    ('3', '@', '億')
    """
    if DROPPED.match(char):
        return ""
    if char == WIDE_PLUS:
        return char  # a separator of columns, or read with its number
    if char in HYPHENS or char in SPACES:
        return "-" if char in HYPHENS else " "
    digit = unicodedata.digit(char, None)
    if digit is not None:
        return str(digit)
    normal = unicodedata.normalize("NFKC", char)
    return normal if len(normal) == 1 and normal.isascii() else char


@cache
def _build_table() -> Bytes:
    """Build the table of plain forms by code point: STAYS, REMOVED or an ASCII character.

    It takes some 10 ms, once.
    """
    table = np.full(CODE_POINTS, STAYS, np.uint8)
    codes = np.concatenate([np.arange(first, last, dtype="<u4") for first, last in RANGES])
    characters = codes.tobytes().decode("utf-32-le", "surrogatepass")
    odd = [*HYPHENS, *SPACES, *DROPPED.findall(characters)]
    for begin in range(0, len(characters), STRETCH):
        stretch = characters[begin : begin + STRETCH]
        # most scripts have no other forms
        if not unicodedata.is_normalized("NFKC", stretch) or any(map(str.isdigit, stretch)):
            odd += [
                char
                for char in stretch
                if char.isdigit() or not unicodedata.is_normalized("NFKC", char)
            ]
    for char in odd:
        plain = to_plain_character(char)
        if plain != char:
            table[ord(char)] = ord(plain) if plain else REMOVED
    return table


class FoldedText:
    """A folded text as UTF-8, `utf8`, and the decoded text that it comes from, as UTF-8 in `body`.

    Offsets are in characters. Every other form is computed at its first use. Half a surrogate pair
    stays what it is.
    """

    def __init__(self, utf8: bytes, body: bytes) -> None:
        self.utf8, self.body = utf8, body

    @cached_property
    def text(self) -> str:
        """The folded text."""
        return self.utf8.decode("utf-8", "surrogatepass")

    @cached_property
    def original(self) -> str:
        """The decoded text before folding."""
        return self.body.decode("utf-8", "surrogatepass")

    @property
    def is_unchanged(self) -> bool:
        """Whether folding changed nothing in the text."""
        return self.utf8 == self.body

    @cached_property
    def drops(self) -> Places:
        """Return how many remaining characters precede each removed one: i64[n].

        The removed ones are in ascending order; empty if nothing was removed.
        """
        if len(self.text) == len(self.original):
            return np.empty(0, np.int64)
        codes = np.frombuffer(self.original.encode("utf-32-le", "surrogatepass"), np.uint32)
        dropped = _build_table().take(codes) == REMOVED
        dropped[:-1] |= (codes[:-1] == ord("\r")) & (codes[1:] == ord("\n"))
        places = np.flatnonzero(dropped)
        return places - np.arange(len(places))

    @cached_property
    def _unfilled(self) -> Places:
        """Offsets in the decoded text of what is not FILL, and that of its end."""
        codes = np.frombuffer(self.original.encode("utf-32-le", "surrogatepass"), np.uint32)
        return np.append(np.flatnonzero(codes != ord(FILL)), len(codes))

    def _origins(self, place: Places) -> Places:
        """Offsets in the decoded text of characters of the folded one."""
        return place + np.searchsorted(self.drops, place, "right") if len(self.drops) else place

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Return the offsets in the decoded text of the folded characters [start, end).

        An empty stretch gives an empty one.
        """
        first, last = self.spans(np.array((start,), np.int64), np.array((end,), np.int64))
        return int(first[0]), int(last[0])

    def spans(self, start: Places, end: Places) -> tuple[Places, Places]:
        """Return the offsets in the decoded text of many folded stretches: i64[n], i64[n]."""
        first, last = self._origins(start), self._origins(np.maximum(end - 1, start)) + 1
        if len(self.drops):  # the room of the escape that its last character was
            last = self._unfilled.take(np.searchsorted(self._unfilled, last), mode="clip")
        return first, np.where(end > start, last, first)

    def to_characters(self, places: Sequence[int] | Places) -> Places:
        """Return the character offsets in `text` of byte offsets in `utf8`: i64[n].

        Offsets are 0 to the length of `utf8`; one within a character gives the offset of the next.
        """
        at = np.asarray(places, np.int64)
        return at if self.utf8.isascii() else self._characters.count_below(at)

    @cached_property
    def _characters(self) -> Ranks:
        """Where characters begin."""
        return Ranks(find_places(np.frombuffer(self.utf8, np.uint8), begins_character))


def fold(text: str) -> FoldedText:
    """Return `text` folded, in linear time.

    A short text, such as a title, is folded character by character: calls of numpy would cost more.
    """
    body = text.encode("utf-8", "surrogatepass")
    if len(body) > SHORT or body.isascii():
        return fold_all([body])[0]
    plain = read_numbers(
        with_plain_lines(body).decode("utf-8", "surrogatepass").translate(_plain_forms())
    )
    return FoldedText(plain.encode("utf-8", "surrogatepass"), body)


class _PlainForms(dict[int, str]):
    """What characters become, by code point, as they are asked for."""

    def __missing__(self, code: int) -> str:
        self[code] = plain = (
            to_plain_character(chr(code))
            if any(first <= code < last for first, last in RANGES)
            else chr(code)
        )
        return plain


@cache
def _plain_forms() -> _PlainForms:
    return _PlainForms()


def fold_all(bodies: Sequence[bytes]) -> list[FoldedText]:
    """Return each of `bodies`, which are UTF-8, as folded text, in order.

    Folding makes digits, letters and signs plain, and removes invisible characters.
    """
    texts = [with_plain_lines(body) for body in bodies]
    if wide := [number for number, text in enumerate(texts) if not text.isascii()]:
        for number, folded in zip(
            wide, _plain_characters([texts[number] for number in wide]), strict=True
        ):
            texts[number] = folded
    return [
        FoldedText(body if text == body else text, body)
        for text, body in zip(texts, bodies, strict=True)
    ]


def with_plain_lines(body: bytes) -> bytes:
    """Return `body` (UTF-8) with a newline for each line end of any kind, and a space for a NUL."""
    if CIRCLED in body:
        body = AS_AT.sub(b"\xef\xbc\xa0", body)
    if b"\r" in body:
        body = body.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return body.replace(b"\0", b" ")


def _plain_characters(texts: list[bytes]) -> list[bytes]:
    """Return each of `texts` with every form of a plain character replaced.

    Numbers in Han digits are read as well. None of the texts is ASCII alone.
    """
    data = np.frombuffer(BETWEEN.join((*texts, PADDING)), np.uint8)
    place = _find_special(data)
    replacements = _build_table().take(decode_characters(data, place))
    changes = np.flatnonzero(replacements != STAYS)
    if len(changes):
        place = place[changes]
        first, changed = data[place], data.copy()
        changed[place] = replacements[changes]
        changed[place + 1] = REMOVED
        changed[place[first >= THREE_BYTES] + 2] = REMOVED
        changed[place[first >= FOUR_BYTES] + 3] = REMOVED
        data = changed[changed != REMOVED]
    near = find_number_lines(data)
    if not len(changes) and not len(near):
        return texts
    whole = _read_number_lines(data, near) if len(near) else data.tobytes()
    return whole[: -len(PADDING) - 1].split(BETWEEN)


CIRCLED = "ⓐ".encode()
AS_AT = re.compile(
    rb"\xe2\x93\x90(?:(?<=[0-9A-Za-z_]...)|(?<=[0-9A-Za-z_] ...))(?= ?[0-9A-Za-z])", re.DOTALL
)
"""A circled a between plain letters, which is no letter among others: some write it for an at
sign.
"""
MANY = 4
"""So small a part of all are lines that are better read by themselves."""


def _read_number_lines(data: Bytes, near: Places) -> bytes:
    """Return `data` with numbers in Han digits read in the lines of the places `near`.

    No number goes across lines. If these lines are a large part of the text, all of it is read.
    """
    ends = places(find_places(data, lambda part: part <= LINE_END))
    line = np.unique(np.searchsorted(ends, near))
    starts, ends = np.append(0, ends + 1)[line], ends[line]
    whole, copied, parts = data.tobytes(), 0, list[bytes]()
    if int((ends - starts).sum()) > len(data) // MANY:
        return read_numbers(whole.decode("utf-8", "surrogatepass")).encode("utf-8", "surrogatepass")
    lines = [whole[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
    read = (
        read_numbers(b"\n".join(lines).decode("utf-8", "surrogatepass"))
        .encode("utf-8", "surrogatepass")
        .split(b"\n")
    )
    for start, end, plain in zip(starts.tolist(), ends.tolist(), read, strict=True):
        parts += [whole[copied:start], plain]
        copied = end
    return b"".join([*parts, whole[copied:]])


def _find_special(data: Bytes) -> Places:
    """Return where a character begins that is neither ASCII nor a common Chinese one: i64[n]."""
    return places(
        find_places(
            data, lambda part: (part >= LEAD) > (part - np.uint8(FIRST_COMMON) <= COMMON_LEADS)
        )
    )


def fit(plain: str, room: int, filling: str = FILL) -> str:
    """Return `plain`, filled up with `filling` to a length of `room` characters.

    If `plain` is longer, it is returned as it is.
    """
    return plain + filling * (room - len(plain))
