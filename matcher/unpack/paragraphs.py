"""Documents and slides: words by paragraph, as UTF-8 lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from matcher.unpack.markup import Attributes, parsed

WORDS = frozenset(("t", "delText", "instrText"))
"""Deleted words of tracked changes, and field codes (links), are words too."""
BREAKS = {"br": "\n", "cr": "\n", "tab": "\t", "noBreakHyphen": "-"}
ENDS = {"p": "\n", "tc": "\t", "tr": "\n"}


class Paragraphs:
    """Takes tags and gives words. WordprocessingML and DrawingML (ECMA-376 part 1, sections 17 and 21) name them alike."""

    def __init__(self) -> None:
        self.parts, self._words, self._cells = list[str](), 0, 0

    def start(self, name: str, _: Attributes) -> None:
        """Words or a cell begin, or a line breaks."""
        self._words += name in WORDS
        self._cells += name == "tc"
        if name in BREAKS:
            self.parts.append(BREAKS[name])

    def end(self, name: str) -> None:
        """A paragraph in a cell ends in a blank, so that a row of cells stays one line."""
        self._words -= name in WORDS
        self._cells -= name == "tc"
        if name in ENDS:
            self.parts.append(" " if name == "p" and self._cells else ENDS[name])

    def text(self, said: str) -> None:
        """Only what stands in the tags of words is words."""
        if self._words:
            self.parts.append(said)


def paragraphs(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The words of a part of a document."""
    found = Paragraphs()
    for _ in parsed(chunks, found.start, found.end, found.text):
        if found.parts:
            yield "".join(found.parts).encode("utf-8", "replace")
            found.parts.clear()
