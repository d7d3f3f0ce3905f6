"""Documents and slides: words by paragraph, as UTF-8 lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from matcher.unpack.markup import Attributes, parsed


class Paragraphs:
    """Takes tags and gives words. WordprocessingML and DrawingML (ECMA-376 part 1, sections 17 and 21) name them alike."""

    WORDS = frozenset(("t", "delText", "instrText", "text"))
    """Deleted words of tracked changes, field codes (links) and comments are words too."""
    BREAKS: Mapping[str, str] = {"br": "\n", "cr": "\n", "tab": "\t", "noBreakHyphen": "-"}
    ENDS: Mapping[str, str] = {"p": "\n", "tc": "\t", "tr": "\n", "comment": "\n", "text": "\n"}
    CELL, TWICE = "tc", "Fallback"
    """A cell of a table; what is said again for older programs, and so left out."""

    def __init__(self) -> None:
        self.parts, self._words, self._cells, self._twice = list[str](), 0, 0, 0

    def start(self, name: str, _: Attributes) -> None:
        """Words or a cell begin, or a line breaks."""
        self._words += name in self.WORDS
        self._cells += name == self.CELL
        self._twice += name == self.TWICE
        if name in self.BREAKS:
            self.parts.append(self.BREAKS[name])

    def end(self, name: str) -> None:
        """A paragraph in a cell ends in a blank, so that a row of cells stays one line."""
        self._words -= name in self.WORDS
        self._cells -= name == self.CELL
        self._twice -= name == self.TWICE
        if name in self.ENDS:
            self.parts.append(" " if name == "p" and self._cells else self.ENDS[name])

    def text(self, said: str) -> None:
        """Only what stands in the tags of words is words."""
        if self._words and not self._twice:
            self.parts.append(said)


class OpenParagraphs(Paragraphs):
    """The same of OpenDocument (ISO/IEC 26300, sections 5 and 9), sheets included."""

    WORDS = frozenset(("p", "h"))
    BREAKS: Mapping[str, str] = {"s": " ", "tab": "\t", "line-break": "\n"}
    ENDS: Mapping[str, str] = {"p": "\n", "h": "\n", "table-cell": "\t", "table-row": "\n"}
    CELL, TWICE = "table-cell", ""


def paragraphs(chunks: Iterable[bytes], *, is_open: bool = False) -> Iterator[bytes]:
    """The words of a part of a document, of Office or of OpenDocument."""
    found = OpenParagraphs() if is_open else Paragraphs()
    for _ in parsed(chunks, found.start, found.end, found.text):
        if found.parts:
            yield "".join(found.parts).encode("utf-8", "replace")
            found.parts.clear()
