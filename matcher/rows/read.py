"""Rows with what is read of them only when somebody asks: many at once, since one by one each costs several times as much."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from matcher.rows.alike import Alike, alike
from matcher.rows.groups import Groups
from matcher.rows.layouts import Group, Layouts, judged, layouts_of
from matcher.rows.readers import Readers, SheetReader, Written
from matcher.rows.sheet import Sheet
from matcher.rows.spans import Numbers
from matcher.rows.table import LONGEST, Extents, Table
from matcher.rows.voters import sheets_of
from matcher.scan.batch import Batch
from matcher.scan.segment import Candidates


class Rows(Table):
    """Rows of a batch; the text of one, the columns of its document and the layouts are read when first asked for, and once."""

    def __init__(
        self,
        batch: Batch,
        candidates: Candidates,
        groups: Groups,
        extents: Extents,
        document: Numbers,
        carried: Mapping[int, Sheet],
    ) -> None:
        super().__init__(batch, candidates, groups, extents, document)
        self._carried, self._shared = carried, Readers(candidates.names)
        self._readers: dict[int, SheetReader] = {}
        self._by_now: dict[int, SheetReader] = {}
        """By what is known of a document's columns before its rows are read, and behind that."""
        self._layouts: dict[int, Layouts] = {}
        self._written: dict[int, Written] = {}

    def know(self, rows: Numbers) -> None:
        """Read `rows` and the layouts of their documents."""
        self._write(rows)
        self._lay_out(np.unique(self.document[rows]))

    def names(self, row: int) -> tuple[str, ...]:
        """Cells of a row that may be names, and names glued to its numbers; reads this row and a few of its document."""
        return self._reader(int(self.document[row])).names(self._text(row))

    def fields(self, row: int) -> frozenset[str]:
        """Labels of what stands in a row, from its own text and what the layouts of its document say of the columns."""
        document = int(self.document[row])
        self.layouts(document)
        text = self._text(row)
        return self._by_now[document].again(text, self._reader(document).describe(text)).fields

    def group(self, row: int) -> frozenset[str]:
        """The fields of the layout that a row belongs to: what `Statistics.groups` counts it under."""
        return self.layouts(int(self.document[row])).of(row).fields

    def layouts(self, document: int) -> Layouts:
        """The layouts of a document, from a few samples of each."""
        if document not in self._layouts:
            self._lay_out(np.array([document]))
        return self._layouts[document]

    def carried(self, document: int) -> Sheet:
        """What the rows of the same capture in a later batch need to know of its columns."""
        return self._reader(document).sheet.as_carried()

    def _text(self, row: int) -> Written:
        if row not in self._written:
            self._write(np.array([row]))
        return self._written[row]

    def _write(self, rows: Numbers) -> None:
        """Have the text of `rows`."""
        new = np.array(sorted({*rows.tolist()} - self._written.keys()), np.int64)
        columns = self.marked(new), self.style[new].tolist(), self.start[new].tolist()
        self._written |= zip(new.tolist(), map(Written, *columns), strict=True)
        for row in new[self.end[new] - self.start[new] > LONGEST].tolist():
            self._written[row] = self._written[row]._replace(more=self.labels(row))

    def _reader(self, document: int) -> SheetReader:
        """Reads the rows of a document by what is known before any is read."""
        if document not in self._readers:
            self._learn(np.array([document]))
        return self._readers[document]

    def _learn(self, documents: Numbers) -> None:
        """Have the readers of `documents`."""
        new = np.array([document for document in documents.tolist() if document not in self._readers], np.int64)
        sheets = sheets_of(self, new, self._carried)
        self._readers |= zip(new.tolist(), (SheetReader(sheet, self._shared) for sheet in sheets), strict=True)

    def _lay_out(self, documents: Numbers) -> None:
        """Have the layouts of `documents`, which ascend."""
        new = np.array([document for document in documents.tolist() if document not in self._layouts], np.int64)
        self._learn(new)
        first, count = self.extent_of(new)
        separators = [self._readers[document].sheet.columns.separator for document in new.tolist()]
        found = alike(self, first, count, separators)
        groups = self._groups_of(found, new.tolist())
        ends = np.cumsum(count)
        for document, begin, low, high in zip(new.tolist(), first.tolist(), (ends - count).tolist(), ends.tolist(), strict=True):
            self._layouts[document] = self._layouts_of(document, begin, found.group[low:high], next(groups))

    def _groups_of(self, found: Alike, documents: list[int]) -> Iterator[list[Group]]:
        """The groups of each of `documents`, with those of their rows read that are samples."""
        sampled, borders = found.samples()
        self._write(sampled)
        rows, begin, size = sampled.tolist(), borders.tolist(), found.size.tolist()
        leading = found.order[found.first].tolist()
        for document, low, high in zip(documents, found.borders[:-1].tolist(), found.borders[1:].tolist(), strict=True):
            read, written = self._readers[document].describe, self._written
            groups = []
            for number in range(low, high):
                own = rows[begin[number] : begin[number + 1]]
                labels = NONE if own else self.labels(leading[number])
                groups.append(Group(size[number], labels, own, [read(written[row]) for row in own]))
            yield groups

    def _layouts_of(self, document: int, first: int, group: Numbers, groups: list[Group]) -> Layouts:
        """The layouts of a document; rows that its columns, as they are known by now, make read otherwise are read once more."""
        by_now = judged(self._readers[document].sheet, groups, len(group))
        self._by_now[document] = reader = SheetReader(by_now, self._shared)
        for one in groups:
            one.read[:] = [reader.again(self._written[row], read) for row, read in zip(one.rows, one.read, strict=True)]
        return layouts_of(first, group, groups)


NONE = frozenset[str]()
