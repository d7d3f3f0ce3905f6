"""Rows with what is read of them only when somebody asks: many at once, since one by one each costs several times as much."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from matcher.rows.alike import Sample, alike
from matcher.rows.cells import Described
from matcher.rows.groups import Groups
from matcher.rows.layouts import Layouts, layouts_of, weights
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
        found = alike(self, first, count, [self._readers[document].sheet.columns.separator for document in new.tolist()])
        samples = found.samples()
        self._write(samples.rows)
        ends = np.cumsum(count)
        columns = (new.tolist(), samples.each(), first.tolist(), (ends - count).tolist(), ends.tolist())
        for document, sample, begin, low, high in zip(*columns, strict=True):
            read = self._read(document, sample, high - low)
            self._layouts[document] = layouts_of(begin, found.group[low:high], sample, read, self.labels)

    def _read(self, document: int, sample: Sample, rows: int) -> list[Described]:
        """What the rows of a sample of a document, which has so many `rows`, hold by all that is known of its columns then."""
        reader, texts = self._readers[document], [self._written[row] for row in sample.rows]
        read = [reader.describe(text) for text in texts]
        found = weights(sample, read)
        seen = ((weight, *one) for described, weight in found.items() for one in described.seen)
        by_now = SheetReader(reader.sheet.judged(seen, rows), self._shared)
        self._by_now[document] = by_now
        known = {described: by_now.known(described) for described in found}
        return [known[before] or by_now.describe(text) for text, before in zip(texts, read, strict=True)]
