"""Numbers as they are written, whatever kind they may be: in one piece, or in groups.

`DigitRuns` holds the runs of digits that stand alone, by length: a number inside a longer one is
another number. `find_grouped` finds those whose groups have lengths that a kind declares as a
`NumberShape` (138-0013-8000, 6200 0000 0000 0005, 110105 19491231 002X); one space, dash or dot
stands between two groups, the same between all, never two, since two hyphens end a field. What a
number is says `number_rules`.

`find_words` gives the runs of letters and digits that are not all digits, and `find_digests` says
which of them are digests: hexadecimal, of a dump that calls itself anonymous. 32 digits are MD5, 16
its middle, 40 SHA-1, 64, 96 and 128 SHA-2.

A number is a row of WIDTH bytes, ASCII. Two neighbouring characters are one index into a table,
which takes half the look-ups.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from matcher.columns.batch import Batch, Bytes, Flags, Places
from matcher.columns.bitset import (
    BITS,
    CASE,
    ONE,
    A,
    Classes,
    Words,
    ahead,
    behind,
    below,
    highest,
    is_digit,
    is_letter,
    is_separator,
    is_word,
    lowest,
    places,
    windows,
)
from matcher.detect.candidates import Segment, cut, every
from ullage.identifiers import glued_words
from ullage.lookup.values import FORM_OF_LENGTH

SHORTEST, LONGEST = 11, 19
WIDTH = 24
"""Bytes of a row, room for every kind."""
LEADING = 16
"""Digits that a word may begin with and still be found by them, not by its letters (`words`)."""
BEFORE_X = 17
"""Digits of a number that an X may end."""
X = ord("X")
FEWEST_BEFORE, FEWEST_BEHIND = 3, 4
"""Digits on either side of a first gap, in every shape."""
LOOK_BACK = 32
"""Places before a gap that are looked at with those behind it, in one window of 64."""
MOST_GROUPS = 5
LONGEST_GROUP, LONGEST_FIRST = 15, 11
LONGEST_WORD = 16
"""Bytes of which a word that stands glued to a number has fewer."""


class NumberColumns(NamedTuple):
    """Numbers that stand alone: where they begin and end, i64[n], and a row of bytes from the
    beginning on, u8[n, WIDTH].
    """

    start: Places
    end: Places
    text: Bytes

    def where(self, chosen: Flags) -> NumberColumns:
        """Those that are chosen; itself where all are."""
        if chosen.all():
            return self
        own = np.flatnonzero(chosen)
        return NumberColumns(self.start.take(own), self.end.take(own), self.text.take(own, axis=0))

    def segment(self, kind: str, length: int, valid: Flags | None = None) -> Segment:
        """They as candidates, all `length` long, valid unless told; what stands behind them in a
        row is wiped in place.
        """
        valid = np.ones(len(self.start), bool) if valid is None else valid
        lengths = np.full(len(self.start), length, np.int64)
        return Segment(kind, "plain", self.start, self.end, cut(self.text, length), lengths, valid)


class DigitRuns:
    """All numbers of a batch that are written in one piece, and to no letter or digit glued but a
    word that names a number.

    `of(length)` gives those of exactly so many digits, by place; `before_x` are the runs of 17 that
    an X ends; `long` is where runs of more than LONGEST begin, and how long they are, i64[n] each;
    `led` i64[n] is where runs of letters and digits begin whose first LEADING characters or more
    are digits, and not all.
    """

    def __init__(self, batch: Batch, classes: Classes) -> None:
        start, end = classes.digits.runs(SHORTEST)
        following, size = batch.data.take(end), end - start
        free, glued = ~is_word(batch.data.take(start - 1)), is_word(following)
        odd = np.flatnonzero(free & glued)
        self.led: Places = start.take(odd[size.take(odd) >= LEADING])
        free[~free] = behind_word(batch, start[~free])
        odd = np.flatnonzero(free & glued)
        glued[odd] = ~before_word(batch, end.take(odd))
        x = odd[((following.take(odd) | CASE) == (X | CASE)) & (size.take(odd) == BEFORE_X)]
        x = x[~is_word(batch.data.take(end.take(x) + 1))]
        self.before_x = _numbers(batch, start.take(x), end.take(x) + 1)
        alone = np.flatnonzero(free & ~glued)
        long = alone[size.take(alone) > LONGEST]
        self.long = start.take(long), size.take(long)
        kept = alone[size.take(alone) <= LONGEST]
        length = size.take(kept).astype(np.uint8)
        order = np.argsort(length, kind="stable")  # of bytes: counting, not comparing
        kept = kept.take(order)
        self._all = _numbers(batch, start.take(kept), end.take(kept))
        self._borders = np.searchsorted(
            length.take(order), np.arange(LONGEST + 2, dtype=np.uint8)
        ).tolist()

    def of(self, length: int) -> NumberColumns:
        """Those of `length` digits, at most LONGEST, as views."""
        own = slice(self._borders[length], self._borders[length + 1])
        return NumberColumns(self._all.start[own], self._all.end[own], self._all.text[own])


@cache
def _glued_words() -> tuple[Words, npt.NDArray[np.bytes_]]:
    """Digests of the words that may stand glued to a number, sorted, and these words, in lower
    case: [n] each.
    """
    words = np.array([word.encode() for word in glued_words()], f"S{LONGEST_WORD}")
    order = np.argsort(digests := _digests(words))
    return digests[order], words[order]


def _digests(words: npt.NDArray[np.bytes_]) -> Words:
    """A number for each word, u64[n]: to look up in a few hundred of them takes a tenth of what
    to compare the words takes.
    """
    low, high = np.ascontiguousarray(words).view("<u8").reshape(-1, 2).T
    made: Words = low ^ (high * np.uint64(0x9E3779B97F4A7C15))
    return made


def behind_word(batch: Batch, start: Places) -> Flags:
    """Before which of `start` one of the glued words stands, and nothing glued to that: bool[n]."""
    if not len(start):
        return np.empty(0, bool)
    text = batch.windows(start - LONGEST_WORD, LONGEST_WORD)
    other = ~is_letter(text)
    size = other[:, ::-1].argmax(1)
    found: Flags = other.any(1) & ~is_digit(batch.data.take(start - size - 1))
    text = batch.windows(start - size, LONGEST_WORD)
    return found & _is_glued_word(text, size)


def before_word(batch: Batch, end: Places) -> Flags:
    """Behind which of `end` one of the glued words stands, and nothing glued to that: bool[n]."""
    if not len(end):
        return np.empty(0, bool)
    text = batch.windows(end, LONGEST_WORD)
    other = ~is_letter(text)
    size = other.argmax(1)
    found: Flags = other.any(1) & ~is_digit(batch.data.take(end + size))
    return found & _is_glued_word(text, size)


def _is_glued_word(text: Bytes, size: Places) -> Flags:
    """Whether the first `size` letters of each row are one of the words."""
    text = np.where(np.arange(LONGEST_WORD) < size[:, None], text | np.uint8(CASE), np.uint8(0))
    words, (digests, known) = text.view(f"S{LONGEST_WORD}")[:, 0], _glued_words()
    at = np.minimum(np.searchsorted(digests, _digests(words)), len(known) - 1)
    found: Flags = known.take(at) == words
    return found


def _numbers(batch: Batch, start: Places, end: Places) -> NumberColumns:
    return NumberColumns(start, end, batch.windows(start, WIDTH))


def all_digits(text: Bytes, length: int) -> Flags:
    """Which rows of `text` u8[n, a multiple of 8] have digits in their first `length` columns:
    bool[n].
    """
    digits = is_digit(text[:, : -(-length // 8) * 8])
    digits[:, length:] = True
    return every(digits)


def pair(text: Bytes, column: int) -> npt.NDArray[np.uint16]:
    """The characters in `column`, an even one, and behind it as one number, to look up in a
    table of 65,536: u16[n].
    """
    pairs: npt.NDArray[np.uint16] = text.view("<u2")[:, column // 2]
    return pairs


def pair_table(pairs: Iterable[str]) -> Flags:
    """bool[65536]: which two characters are one of `pairs`."""
    table = np.zeros(1 << 16, bool)
    table[[int.from_bytes(two.encode(), "little") for two in pairs]] = True
    return table


def two(text: Bytes, column: int) -> Places:
    """The number that two digits from `column` on, an even one, spell: i64[n]; 255 where they
    are none.
    """
    return _twos().take(pair(text, column)).astype(np.int64)


@cache
def _twos() -> Bytes:
    table = np.full(1 << 16, 255, np.uint8)
    table[[int.from_bytes(f"{n:02}".encode(), "little") for n in range(100)]] = range(100)
    return table


@dataclass(frozen=True)
class NumberShape:
    """How numbers of one kind are grouped.

    `accepts` says which of the numbers that begin at given places, and whose groups have these
    lengths, may be one, by what they are written with and stand between: bool[n]. `prefix` is what
    the first digits say beside the number; `with_x` says that the last character is an X, and no
    digit.
    """

    kind: str
    groups: tuple[int, ...]
    accepts: Callable[[Batch, Classes, NumberShape, Places], Flags]
    prefix: bytes = b""
    with_x: bool = False

    @cached_property
    def length(self) -> int:
        """Bytes from the first digit to the last."""
        return sum(self.groups) + len(self.groups) - 1

    @cached_property
    def size(self) -> int:
        """Characters without prefix and separators."""
        return sum(self.groups) - len(self.prefix)

    @cached_property
    def code(self) -> int:
        """The lengths of its groups of digits as hexadecimal digits, 0x44443 for a card of 19;
        an X is no digit.
        """
        digits = (*self.groups[:-1], self.groups[-1] - self.with_x)
        return sum(group << 4 * (MOST_GROUPS - 1 - number) for number, group in enumerate(digits))

    def numbers(self, batch: Batch, start: Places) -> NumberColumns:
        """Those that begin at `start`, without prefix and separators."""
        written, text = batch.windows(start, WIDTH), np.zeros((len(start), WIDTH), np.uint8)
        to, place, skipped = 0, 0, len(self.prefix)
        for group in self.groups:
            size = group - skipped
            text[:, to : to + size] = written[:, place + skipped : place + group]
            to, place, skipped = to + size, place + group + 1, 0
        return NumberColumns(start, start + self.length, text)


class GroupedDigits(NamedTuple):
    """Digits in groups: where they begin, and the lengths of their groups as a code, i64[n]."""

    start: Places
    code: Places


def find_grouped(
    batch: Batch, classes: Classes, shapes: tuple[NumberShape, ...]
) -> list[tuple[NumberShape, NumberColumns]]:
    """Numbers that are written in groups, by their shape; of several shapes at one place that with
    most groups.

    Where a first gap may be is told from bits; from there the lengths of up to five groups are
    read, and make a number of five hexadecimal digits: a table says which shapes it and its
    beginnings are.
    """
    gap = _first_gaps(batch, classes)
    if not len(gap):
        return []
    by_code, table = _coded(shapes)
    start, code = _grouped(batch, classes, gap)
    found = []
    for groups in range(MOST_GROUPS, 1, -1):
        beyond = 4 * (MOST_GROUPS - groups)
        number = table.take(code >> beyond << beyond)
        taken = np.zeros(len(start), bool)
        for each in np.flatnonzero(np.bincount(number)).tolist():
            own = np.flatnonzero(number == each)
            for shape in by_code[each]:
                alone = own[_ends(batch, shape, start[own] + shape.length)]
                alone = alone[shape.accepts(batch, classes, shape, start[alone])]
                taken[alone] = True
                found.append((shape, shape.numbers(batch, start[alone])))
        start, code = start[~taken], code[~taken]
    return [(shape, numbers) for shape, numbers in found if len(numbers.start)]


def _ends(batch: Batch, shape: NumberShape, end: Places) -> Flags:
    """Whether no letter or digit is glued behind these numbers but a word that names a number:
    bool[n].
    """
    free = ~is_word(batch.data.take(end))
    if not shape.with_x:
        free[~free] = before_word(batch, end[~free])
    return free


@cache
def _coded(
    shapes: tuple[NumberShape, ...],
) -> tuple[tuple[tuple[NumberShape, ...], ...], npt.NDArray[np.uint8]]:
    """Shapes of one code each, the first of them none; and for each code, u8[16^5], the number
    of its shapes among these.
    """
    by_code: dict[int, list[NumberShape]] = {}
    for shape in shapes:
        by_code.setdefault(shape.code, []).append(shape)
    table = np.zeros(1 << 4 * MOST_GROUPS, np.uint8)
    table[list(by_code)] = range(1, len(by_code) + 1)
    return ((), *map(tuple, by_code.values())), table


def _first_gaps(batch: Batch, classes: Classes) -> Places:
    """Separators with digits enough on either side, and not too many: most commas of a dump
    stand beside a whole number.
    """
    digits = classes.digits
    few_before = ~behind(digits.of(LONGEST_FIRST + 1), LONGEST_FIRST + 1)
    few_behind = ~ahead(digits.of(LONGEST_GROUP + 1), 1)
    enough = behind(digits.of(FEWEST_BEFORE), FEWEST_BEFORE) & ahead(digits.of(FEWEST_BEHIND), 1)
    gap = places(enough & few_before & few_behind & ~classes.digit)
    return gap.take(np.flatnonzero(is_separator(batch.data.take(gap))))


def _grouped(batch: Batch, classes: Classes, gap: Places) -> GroupedDigits:
    """Digits in groups around each gap whose first is not too long and not glued to a letter;
    nothing in the middle of a card.
    """
    data = batch.data
    around = windows(classes.digit, gap - LOOK_BACK)
    first = LOOK_BACK - 1 - highest(~around & below(LOOK_BACK))
    # and what stands before
    fours = (around >> np.uint64(LOOK_BACK - 4 - 6)) & np.uint64(0b111111) == np.uint64(0b011110)
    inside = np.flatnonzero((first == 4) & fours)
    place = gap.take(inside) - 4
    # a trunk prefix, and 13 to 19
    phones = (data.take(place) == ord("0")) & (data.take(place + 1) == ord("1"))
    kept = first <= LONGEST_FIRST
    kept[inside[is_space_or_dash(data.take(place - 1)) & ~phones]] = False
    own = np.flatnonzero(kept)
    free = ~is_word(data.take(gap.take(own) - first.take(own) - 1))
    free[~free] = behind_word(batch, (gap - first).take(own[~free]))
    own = own.take(np.flatnonzero(free))
    gap, first = gap.take(own), first.take(own)
    code = first << 4 * (MOST_GROUPS - 1)
    rest, place, open_ = around.take(own) >> np.uint64(LOOK_BACK), gap, np.arange(len(gap))
    for group in range(1, MOST_GROUPS):  # `place` is a gap, the lowest bit of `rest` stands for it
        length = np.minimum(lowest(~(rest >> ONE)), LONGEST_GROUP)
        code[open_] |= length << 4 * (MOST_GROUPS - 1 - group)
        place, rest = place + 1 + length, rest >> (length + 1).astype(np.uint64)
        on = np.flatnonzero(
            (rest & np.uint64(2) > 0) & (data.take(place) == data.take(gap.take(open_)))
        )
        place, rest, open_ = place.take(on), rest.take(on), open_.take(on)
    return GroupedDigits(gap - first, code)


def is_space_or_dash(data: Bytes) -> Flags:
    """Whether these bytes are a space or a dash."""
    is_one: Flags = (data == ord(" ")) | (data == ord("-"))
    return is_one


SHORTEST_WORD = 16
DIGEST = "digest"
LAST_HEX = 5
"""The last letter, counted from the first."""


class WordRuns(NamedTuple):
    """Runs of at least SHORTEST_WORD letters and digits, not all digits: where they begin and how
    long they are, i64[n].

    Those of more than 128 characters have length 129.
    """

    start: Places
    length: Places

    def of(self, length: int) -> Places:
        """Where those of exactly `length` characters, at most 128, begin."""
        own: Places = self.start[self.length == length]
        return own


def find_words(classes: Classes, led: Places) -> WordRuns:
    """All words of a batch; `led` are those whose first 16 characters are digits, as `DigitRuns`
    knows them.
    """
    long = classes.words.of(SHORTEST_WORD)
    start = np.concatenate(
        (places(long & ~behind(long, 1) & ~classes.digits.of(SHORTEST_WORD)), led)
    )
    length = lowest(~windows(classes.word, start))
    for longest in (BITS, 2 * BITS):
        on = np.flatnonzero(length == longest)
        more = lowest(~windows(classes.word, start[on] + longest))
        length[on] += more if longest == BITS else np.minimum(more, 1)
    return WordRuns(start, length)


def find_digests(batch: Batch, words: WordRuns) -> list[Segment]:
    """WordRuns of exactly so many hexadecimal digits; since they are words, a letter is among
    them.
    """
    found = []
    for length, form in FORM_OF_LENGTH.items():
        start = words.of(length)
        if not len(start):
            continue
        text = batch.windows(start, length)
        text |= np.uint8(CASE)  # which every digit has
        hexadecimal = every(is_digit(text) | (text - np.uint8(A) <= LAST_HEX))
        filled, valid = np.full(len(start), length, np.int64), np.ones(len(start), bool)
        found.append(
            Segment(DIGEST, form, start, start + length, text, filled, valid).where(hexadecimal)
        )
    return [segment for segment in found if len(segment)]


class NumberRuns(NamedTuple):
    """What detectors of numbers start from: digits in one piece, digits in groups, and words of
    letters and digits.
    """

    digits: DigitRuns
    grouped: Sequence[tuple[NumberShape, NumberColumns]]
    words: WordRuns

    @classmethod
    def of(cls, batch: Batch, shapes: tuple[NumberShape, ...]) -> NumberRuns:
        """Find them in a batch."""
        digits = DigitRuns(batch, batch.classes)
        return cls(
            digits,
            find_grouped(batch, batch.classes, shapes),
            find_words(batch.classes, digits.led),
        )

    def of_kind(self, kind: str) -> Iterator[tuple[NumberShape, NumberColumns]]:
        """Yield the grouped numbers that are shaped as `kind`."""
        return ((shape, numbers) for shape, numbers in self.grouped if shape.kind == kind)
