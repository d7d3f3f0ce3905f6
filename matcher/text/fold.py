"""Folding: every way of writing a digit, letter or separator becomes the plain one, and what cannot be seen is dropped.

A table look-up a character on the text's code points, in numpy: one character becomes one character, or none. So the way back
is a count of dropped characters, and not a map a character. (`str.translate` does the same at a tenth of the speed.)
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt

from matcher.columns.bitset import Ranks, empty
from matcher.text.codepoints import FILL, codes_of, text_of
from matcher.text.han_digits import read_numbers
from matcher.text.plain import DROPPED, look_up

CRLF = re.compile("\r\n")
"""One line end, not two: its first half is dropped."""
NONE = np.empty(0, np.int64)


class Folded:
    """Folded `text` and the way back, by what was dropped.

    `utf8` is the folded text as UTF-8, half surrogate pairs as they are: what is searched. Of a text that is made `of_utf8` no
    other form is made before it is asked for, and most are never asked.
    """

    def __init__(self, text: str, original: str, drops: npt.NDArray[np.int64]) -> None:
        self.text, self.original, self.drops, self.body, self.dropping = text, original, drops, b"", False

    @classmethod
    def of_utf8(cls, utf8: bytes, body: bytes, *, dropping: bool = False) -> Folded:
        """A text whose original's UTF-8 is `body`; `dropping` says whether more was dropped than first halves of line ends."""
        made = cls.__new__(cls)
        made.utf8, made.body, made.dropping = utf8, body, dropping
        return made

    @cached_property
    def drops(self) -> npt.NDArray[np.int64]:
        """For each dropped character, how many kept ones stand before it."""
        if self.dropping:
            return fold(self.original).drops
        return _line_ends(self.original) if b"\r" in self.body else NONE

    @cached_property
    def text(self) -> str:
        """The folded text."""
        return self.utf8.decode()

    @cached_property
    def original(self) -> str:
        """The decoded text before folding."""
        return self.body.decode()

    @property
    def as_it_came(self) -> bool:
        """Whether folding left the text as it was, told at once: a text that is read in full is not looked at."""
        return self.utf8 == self.body

    def origin(self, place: int) -> int:
        """Offset in the decoded text of the character at `place` in the folded one."""
        return place + int(np.searchsorted(self.drops, place, "right")) if len(self.drops) else place

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Offsets in the decoded text of the folded stretch [start, end)."""
        if end <= start:
            return self.origin(start), self.origin(start)
        last = self.origin(end - 1) + 1
        while last < len(self.original) and self.original[last] == FILL:  # the room of the escape that its last character was
            last += 1
        return self.origin(start), last

    @cached_property
    def utf8(self) -> bytes:
        """The folded text as UTF-8."""
        return self.text.encode("utf-8", "surrogatepass")

    def chars(self, places: Sequence[int] | npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Character offsets in `text` of byte offsets in `utf8`, 0 to its length; within a character, that of the next one."""
        at = np.asarray(places, np.int64)
        if self.utf8.isascii():
            return at
        return self._characters.of(at)

    @cached_property
    def _characters(self) -> Ranks:
        """Which bytes are the first of a character."""
        first = (np.frombuffer(self.utf8, np.int8) >= -64).astype(np.uint8)  # all but 10xxxxxx
        packed = np.packbits(first, bitorder="little")
        words = empty(len(first))
        words.view(np.uint8)[: len(packed)] = packed
        return Ranks(words)


def _line_ends(text: str) -> npt.NDArray[np.int64]:
    """For each line end of two characters, how many characters stand before it once the first of each is dropped."""
    places = np.fromiter((m.start() for m in CRLF.finditer(text)), np.int64)
    return places - np.arange(len(places))


def fold(text: str) -> Folded:
    """Fold `text`; linear, and free for plain ASCII."""
    if text.isascii():
        if "\r" not in text and "\0" not in text:
            return Folded(text, text, NONE)
        plain = text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", " ")
        return Folded(plain, text, _line_ends(text))
    codes = codes_of(text.replace("\r\n", f"{FILL}\n") if "\r" in text else text)
    codes, classes = look_up(codes)
    gone = codes == DROPPED
    places = np.flatnonzero(gone)
    if len(places):
        codes, classes = codes[~gone], classes[~gone]
    return Folded(text_of(read_numbers(codes, classes)), text, places - np.arange(len(places)))
