"""Lay out rows in columns for a terminal of any width, and as tab-separated lines for programs.

A `Listing` never shortens a value: where its columns do not fit side by side, the last ones are
written below each row with their names, and where even the columns that must stay whole do not
fit, each row becomes a block of `name value` lines. Times, numbers and headings never break.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from ullage.display import safe

GAP = 2
"""Spaces between columns."""
LONGEST_WORD = 24
"""Columns whose text wraps are at least as wide as their longest word up to this length."""
INDENT = "    "
Cell = str | Text


@dataclass(slots=True)
class Listing:
    """Rows under headings.

    Cells wrap if necessary; cells of `right` columns are right-aligned, and those of `whole` and
    `right` columns never wrap. Text from outside is escaped when a row is added.
    """

    columns: Sequence[str]
    right: Collection[str] = ()
    whole: Collection[str] = ()
    rows: list[tuple[tuple[Text, ...], str]] = field(default_factory=list)

    def add_row(self, *cells: Cell, style: str = "") -> None:
        """Add a row with one cell per column; `style` applies to all of it.

        Raises ValueError for another number of cells.
        """
        if len(cells) != len(self.columns):
            raise ValueError(f"{len(cells)} cells for {len(self.columns)} columns")
        texts = (cell if isinstance(cell, Text) else Text(safe(cell)) for cell in cells)
        self.rows.append((tuple(texts), style))

    def to_lines(self) -> Iterator[str]:
        """Yield the headings and each row as tab-separated values, one line each."""
        yield "\t".join(self.columns)
        for cells, _ in self.rows:
            yield "\t".join(safe(cell.plain) for cell in cells)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the lines for a terminal of the width in `options`.

        Columns that do not fit stand below their row, with their names; if even the whole columns
        do not fit, each row is a block of lines.
        """
        least = [self._least(index) for index in range(len(self.columns))]
        beside = self._choose(least, options.max_width)
        if not beside:
            yield from self._blocks(console, options.max_width)
            return
        widths = self._widen(beside, least, options.max_width)
        yield self._join(beside, [[Text(self.columns[i], "bold")] for i in beside], widths)
        yield Text("─" * (sum(widths) + GAP * (len(beside) - 1)), "dim")
        for cells, style in self.rows:
            wrapped = [
                [*cells[index].wrap(console, width, overflow="fold")]
                for index, width in zip(beside, widths, strict=True)
            ]
            yield self._join(beside, wrapped, widths, style)
            below = self._name_cells(cells, beside)
            for line in below.wrap(console, options.max_width - len(INDENT), overflow="fold"):
                line.rstrip()
                if line.plain:
                    yield Text.assemble(INDENT, line, style=style)

    def _choose(self, least: Sequence[int], width: int) -> list[int]:
        """Return the numbers of the columns that fit side by side.

        The last ones that may wrap are left out until they fit. Returns [] if even the whole
        columns do not fit. `least` is the least width of each column.
        """
        beside = list(range(len(least)))
        while sum(least[i] for i in beside) + GAP * (len(beside) - 1) > width:
            wrapping = [i for i in beside if not self._is_whole(i)]
            if not wrapping:
                return []
            beside.remove(wrapping[-1])
        return beside

    def _is_whole(self, index: int) -> bool:
        return self.columns[index] in self.whole or self.columns[index] in self.right

    def _least(self, index: int) -> int:
        """Return the least width of a column: its whole cells, or its longest word."""
        texts = [cells[index].plain for cells, _ in self.rows]
        if self._is_whole(index):
            return max(map(cell_len, [self.columns[index], *texts]))
        words = (min(cell_len(word), LONGEST_WORD) for text in texts for word in text.split())
        return max([cell_len(self.columns[index]), *words])

    def _widen(self, beside: Sequence[int], least: Sequence[int], width: int) -> list[int]:
        """Give the spare width to the columns whose cells would wrap, the narrowest first."""
        widths = [least[index] for index in beside]
        most = [
            max([least[index], *(cell_len(cells[index].plain) for cells, _ in self.rows)])
            for index in beside
        ]
        spare = width - sum(widths) - GAP * (len(widths) - 1)
        while spare > 0 and (short := [i for i, w in enumerate(widths) if w < most[i]]):
            narrowest = min(short, key=widths.__getitem__)
            widths[narrowest] += 1
            spare -= 1
        return widths

    def _join(
        self,
        beside: Sequence[int],
        cells: Sequence[Sequence[Text]],
        widths: Sequence[int],
        style: str = "",
    ) -> Text:
        """Return the lines of one row, with its wrapped cells side by side."""
        lines = []
        for number in range(max(map(len, cells), default=0)):
            line = Text(style=style)
            for index, texts, width in zip(beside, cells, widths, strict=True):
                part = texts[number].copy() if number < len(texts) else Text()
                part.rstrip()
                pad = " " * (width - part.cell_len)
                is_right = self.columns[index] in self.right
                line.append_text(Text.assemble(*((pad, part) if is_right else (part, pad))))
                line.append(" " * GAP if index != beside[-1] else "")
            line.rstrip()
            lines.append(line)
        return Text("\n").join(lines)

    def _name_cells(self, cells: Sequence[Text], beside: Collection[int]) -> Text:
        """Return the cells of all other columns in one line, each after the name of its column."""
        named = [
            Text.assemble((f"{name} ", "dim"), cells[index])
            for index, name in enumerate(self.columns)
            if index not in beside and cells[index].plain
        ]
        return Text("  ").join(named)

    def _blocks(self, console: Console, width: int) -> Iterator[Text]:
        """Yield each row as a block with a line per column, for a very narrow terminal."""
        margin = max(map(cell_len, self.columns), default=0) + GAP
        room = max(width - margin, 1)
        for cells, style in self.rows:
            for name, cell in zip(self.columns, cells, strict=True):
                wrapped = cell.wrap(console, room, overflow="fold") or [Text()]
                for number, line in enumerate(wrapped):
                    line.rstrip()
                    head = (name if number == 0 else "").ljust(margin)
                    yield Text.assemble((head, "bold"), line, style=style)
            yield Text()
