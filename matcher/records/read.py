"""Rows with what is read of them only when somebody asks: many at once, since one by one each costs several times as much."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from matcher.columns.batch import Batch
from matcher.columns.text_column import Texts, together
from matcher.detect.candidates import Candidates
from matcher.records.cells import Described
from matcher.records.glance import glance
from matcher.records.layouts import Layouts, Sample, alike, layouts_of, weights
from matcher.records.marked import Marked
from matcher.records.readers import Readers, SheetReader, Written
from matcher.records.schema import Columns, Sheet
from matcher.records.spans import LINE, Groups, Numbers
from matcher.records.table import LONGEST, Extents, Table
from matcher.records.unlabelled import told_together
from matcher.records.voters import sheets_of


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
        goes_on: Collection[int] = (),
    ) -> None:
        super().__init__(batch, candidates, groups, extents, document)
        self._carried, self._goes_on, self._shared = carried, goes_on, Readers(candidates.names)
        self._readers: dict[int, SheetReader] = {}
        self._by_now: dict[int, SheetReader] = {}
        """By what is known of a document's columns before its rows are read, and behind that."""
        self._layouts: dict[int, Layouts] = {}
        self._written: dict[int, Written] = {}
        self._names: list[tuple[Numbers, Texts]] = []

    def know(self, rows: Numbers) -> None:
        """Read `rows`."""
        self._write(rows)

    def names(self, row: int) -> tuple[str, ...]:
        """Cells of a row that may be names, and names glued to its numbers; reads this row and a few of its document."""
        return self._reader(int(self.document[row])).names(self._text(row))

    def fields(self, row: int) -> frozenset[str]:
        """Labels of what stands in a row, from its own text and what the layouts of its document say of the columns."""
        document = int(self.document[row])
        self.layouts(document)
        text, reader = self._text(row), self._reader(document)
        before = reader.describe(text)
        return self._by_now[document].again(text, before if text.codes else reader.worded(text, before)).fields

    def group(self, row: int) -> frozenset[str]:
        """The fields of the layout that a row belongs to: what `Statistics.groups` counts it under."""
        return self.layouts(int(self.document[row])).of(row).fields

    def columns(self, row: int) -> Columns:
        """What is known of a row's columns before any is read."""
        return self._reader(int(self.document[row])).sheet.columns

    def layouts(self, document: int) -> Layouts:
        """The layouts of a document, from a few samples of each."""
        if document not in self._layouts:
            self.lay_out(np.array([document]))
        return self._layouts[document]

    def carried(self, document: int) -> Sheet:
        """What the rows of the same capture in a later batch need to know of its columns."""
        return self._reader(document).sheet.as_carried()

    def names_at_a_glance(self, rows: Numbers) -> tuple[Numbers, Texts]:
        """Names that are told at a glance in those of `rows`, which are known, that hold no other: the row, and the name."""
        chosen = [(np.isin(found, rows), found, names) for found, names in self._names]
        found = np.concatenate([np.empty(0, np.int64), *(found[own] for own, found, _ in chosen)])
        return found, together([names.take(np.flatnonzero(own)) for own, _, names in chosen])

    def looked_at(self, rows: Numbers) -> list[int]:
        """Those of `rows`, which are known, that take a closer look."""
        return [row for row in rows.tolist() if not self._written[row].codes]

    def _text(self, row: int) -> Written:
        if row not in self._written:
            self._write(np.array([row]))
        return self._written[row]

    def _write(self, rows: Numbers) -> None:
        """Have the text of `rows`: those that one sign parts together, so that their cells can be told at a glance."""
        new = np.array(sorted({*rows.tolist()} - self._written.keys()), np.int64)
        documents, number = np.unique(self.document[new], return_inverse=True)
        self._learn(documents)
        separators = [self._readers[document].separator for document in documents.tolist()]
        known = list(dict.fromkeys((b"", *separators)))
        which = np.array([known.index(separator) for separator in separators], np.int64)[number]
        which[(self.style[new] != LINE) | (self.end[new] - self.start[new] > LONGEST)] = 0
        for separator, own in zip(known, (new[which == n] for n in range(len(known))), strict=True):
            found = self.marked(own)
            codes = self._glance(own, found, separator) if separator and len(own) else [b""] * len(own)
            columns = found.texts(), self.style[own].tolist(), self.start[own].tolist(), codes
            self._written |= zip(own.tolist(), map(Written, *columns), strict=True)
        for row in new[self.end[new] - self.start[new] > LONGEST].tolist():
            self._written[row] = self._written[row]._replace(more=self.labels(row))

    def _glance(self, rows: Numbers, texts: Marked, separator: bytes) -> list[bytes]:
        """The cells of each of `rows` at a glance, nothing where that is not enough; the names among them are kept."""
        seen = glance(texts, separator)
        row, start, end = seen.names()
        self._names.append((rows[row], Texts.cut(texts.data, start, end - start)))
        return seen.signatures()

    def _reader(self, document: int) -> SheetReader:
        """Reads the rows of a document by what is known before any is read."""
        if document not in self._readers:
            self._learn(np.array([document]))
        return self._readers[document]

    def _learn(self, documents: Numbers) -> None:
        """Have the readers of `documents`, and of those that they go on from."""
        wanted = {*documents.tolist()} - self._readers.keys()
        for document in sorted(wanted, reverse=True):
            at = document
            while at in self._goes_on and at - 1 not in self._readers and at - 1 not in wanted:
                at -= 1
                wanted.add(at)
        new = np.array(sorted(wanted), np.int64)
        before = {at - 1: self._readers[at - 1].sheet for at in wanted if at in self._goes_on and at - 1 in self._readers}
        sheets = sheets_of(self, new, {**self._carried, **before}, self._goes_on)
        self._readers |= zip(new.tolist(), (SheetReader(sheet, self._shared) for sheet in sheets), strict=True)

    def lay_out(self, documents: Numbers) -> None:
        """Have the layouts of `documents`, which ascend: together, since one by one each takes half a millisecond."""
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
        read = [reader.worded(text, reader.describe(text)) for text in texts]
        found = weights(sample, read)
        seen = ((weight, *one) for described, weight in found.items() for one in described.seen)
        said = ((weight, *one) for described, weight in found.items() for one in described.said)
        by_now = SheetReader(told_together(reader, texts, read).judged(seen, said, rows), self._shared)
        self._by_now[document] = by_now
        known = {described: by_now.known(described) for described in found}
        return [known[before] or by_now.worded(text, by_now.describe(text)) for text, before in zip(texts, read, strict=True)]
