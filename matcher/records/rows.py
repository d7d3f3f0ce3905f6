"""The rows of a batch, read on demand and in bulk: one row alone costs several times as much."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from matcher.columns.batch import Batch, Texts, concatenate, ranges
from matcher.detect.candidates import Candidates
from matcher.records.cells import Cells, Contents, is_offer
from matcher.records.layouts import (
    Layouts,
    Samples,
    group_rows,
    infer_column_types,
    layouts_of,
    sheets_of,
)
from matcher.records.reader import (
    MAY_BEGIN,
    NAMED,
    DocumentColumns,
    HeaderColumns,
    Labels,
    Readers,
    RowLayout,
    ShapeDescription,
    ShapeReader,
    tuple_in,
)
from matcher.records.table import (
    LINE,
    LONGEST,
    OTHER_SEPARATORS,
    TUPLE,
    KeyGroups,
    MarkedText,
    Numbers,
    RowBatch,
    Spans,
    find_separators,
)

UNREAD = -1


@dataclass(frozen=True, slots=True)
class _KnownColumns:
    """The known columns of a document: its sheet, and the reader for it."""

    sheet: DocumentColumns
    reader: ShapeReader


class RowTable(RowBatch):
    """The rows of a batch.

    Cells of a row, columns of its document and layouts are read at first use, one time.
    """

    def __init__(
        self,
        batch: Batch,
        candidates: Candidates,
        groups: KeyGroups,
        rows: Spans,
        carried: Mapping[int, DocumentColumns],
        goes_on: Collection[int] = (),
    ) -> None:
        super().__init__(batch, candidates, groups, rows)
        self._carried, self._goes_on = carried, goes_on
        self._declared: dict[int, _KnownColumns] = {}
        self._inferred: dict[int, _KnownColumns] = {}
        """The columns by document: those that it declares, and with types inferred from rows."""
        self._layouts: dict[int, Layouts] = {}
        self._layout = np.full(len(rows), UNREAD)
        """The number of each row's layout in `_distinct_layouts`, after `lay_out`."""
        self._distinct_layouts: list[RowLayout] = []
        self._layout_numbers: dict[RowLayout, int] = {}
        self._cells: list[Cells] = []
        self._shape = np.full(len(rows), UNREAD)
        self._table = np.zeros(len(rows), np.int64)
        self._number = np.zeros(len(rows), np.int64)
        """For each row: its shape, its table in `_cells`, and its number in that table."""
        self._other = np.full(len(rows), UNREAD)
        """The number of the reader of each row that has a separator of its own."""
        self._own_labels: dict[int, Labels] = {}
        self._offers: dict[int, bool] = {}

    @cached_property
    def _contents(self) -> Contents:
        """Return the contents and shapes of cells; most batches need none."""
        return Contents(self.candidates.names)

    @cached_property
    def _readers(self) -> Readers:
        return Readers()

    def names(self, rows: Numbers) -> tuple[Numbers, Texts, list[tuple[int, str]]]:
        """Return the cells of `rows` that may be names, and names glued to their numbers.

        The result is the row (i64[n]) and the name of those in Han characters alone, which are
        most, and then (row, name) of the remaining ones.
        """
        self._cut(rows)
        number, descriptions = self._describe_rows(rows, self._declared)
        named = np.array([len(described.named) for described in descriptions], np.int64)
        columns = np.array(
            [column for described in descriptions for column in described.named], np.int64
        )
        named_rows = np.repeat(rows, named[number])
        column = columns[ranges((np.cumsum(named) - named)[number], named[number])]
        texts, sure, glued_names = [], [np.empty(0, np.int64)], []
        for table in np.unique(self._table[named_rows]).tolist():
            cells, in_table = self._cells[table], np.flatnonzero(self._table[named_rows] == table)
            cell = cells.borders[self._number[named_rows[in_table]]] + column[in_table]
            is_han = cells.is_han[cell]
            sure.append(named_rows[in_table[is_han]])
            texts.append(
                Texts.cut(
                    cells.data, cells.start[cell[is_han]], (cells.end - cells.start)[cell[is_han]]
                )
            )
            mixed = in_table[~is_han]
            which = np.searchsorted(rows, named_rows[mixed])
            places = (named_rows[mixed], cell[~is_han], column[mixed], number[which])
            for row, at, place, described in zip(
                *(values.tolist() for values in places), strict=True
            ):
                is_whole = descriptions[described].cells[place].mark == NAMED.mark
                glued_names += [(row, name) for name in cells.names(at, whole=is_whole)]
        return np.concatenate(sure), concatenate(texts), glued_names

    def fields(self, rows: Numbers) -> tuple[Numbers, list[frozenset[str]]]:
        """Return which field labels each of `rows` has, by its own text and its document's columns.

        The result is a number per row, i64[n], and the list of label sets that the numbers index.
        """
        self._cut(rows)
        self.lay_out(np.unique(self.document[rows]))
        number, descriptions = self._describe_rows(rows, self._inferred)
        return number, [described.fields for described in descriptions]

    def groups(self, rows: Numbers) -> tuple[Numbers, list[frozenset[str]]]:
        """Return the fields of the layout of each of `rows`.

        `Statistics.groups` counts the row under them. The result is a number per row, i64[n], and
        the field sets that the numbers are indices of.
        """
        self.lay_out(np.unique(self.document[rows]))
        number, which = np.unique(self._layout[rows], return_inverse=True)
        return which, [self._distinct_layouts[layout].fields for layout in number.tolist()]

    def layout(self, row: int) -> RowLayout:
        """Return the layout of a row."""
        self.lay_out(self.document[[row]])
        return self._distinct_layouts[int(self._layout[row])]

    def group(self, row: int) -> frozenset[str]:
        """Return the fields of a row's layout."""
        return self.layout(row).fields

    def columns(self, row: int) -> HeaderColumns:
        """Return the known columns of a row's document, before any row is read."""
        return self._get_columns(int(self.document[row])).sheet.columns

    def layouts(self, document: int) -> Layouts:
        """Return the layouts of a document, from a few samples of each."""
        if document not in self._layouts:
            self.lay_out(np.array([document]))
        return self._layouts[document]

    def to_carried(self, document: int) -> DocumentColumns:
        """Return the columns of a document, for its rest in later batches of the same capture."""
        return self._get_columns(document).sheet.as_carried()

    def _cut(self, rows: Numbers) -> None:
        """Cut those of `rows` that were not read yet into cells, and store them.

        Those with one separator together. A row that its document's separator does not fit may get
        another.
        """
        new = np.unique(rows[self._shape[rows] == UNREAD])
        if not len(new):
            return
        documents, number = np.unique(self.document[new], return_inverse=True)
        self._learn(documents)
        texts, style = self._tuples(new, self.to_marked_text(new))
        separators = [
            self._declared[document].sheet.columns.separator for document in documents.tolist()
        ]
        distinct = list(dict.fromkeys((*separators, *OTHER_SEPARATORS)))
        elected = np.array([distinct.index(separator) for separator in separators])[number]
        separator = find_separators(texts, style == LINE, elected, distinct)
        is_other = separator != elected
        self._other[new[is_other]] = [
            self._readers.get(HeaderColumns(distinct[sign])).number
            for sign in separator[is_other].tolist()
        ]
        key = np.where(style == LINE, separator << 8, 0) | style
        for code in np.unique(key).tolist():
            chosen, written = np.flatnonzero(key == code), code & 0xFF
            low, high = int(texts.start[chosen[0]]), int(texts.end[chosen[-1]])
            part = MarkedText(
                texts.data[low : high + 2], texts.start[chosen] - low, texts.end[chosen] - low
            )
            cells = self._contents.cut(
                part, HeaderColumns(distinct[code >> 8]).separator_in(written), written
            )
            self._table[new[chosen]], self._number[new[chosen]] = (
                len(self._cells),
                np.arange(len(chosen)),
            )
            self._cells.append(cells)
            self._shape[new[chosen]] = self._contents.shapes_of(cells, written)

    def _tuples(self, rows: Numbers, texts: MarkedText) -> tuple[MarkedText, Numbers]:
        """Return the text of `rows` and how each is written.

        Of a line or statement with a tuple, the text is the tuple alone.
        """
        style, start, end = self.style[rows].astype(np.int64), texts.start.copy(), texts.end.copy()
        first = texts.data[start]
        may_be = np.isin(style, (LINE, TUPLE))
        closing = np.flatnonzero(texts.data == ord(")"))
        bare = np.flatnonzero(may_be & (first == ord("(")))  # most tuples begin a line
        last = np.searchsorted(closing, end[bare]) - 1
        place = np.where(last >= 0, closing[last] if len(closing) else 0, 0)
        bare, place = bare[place > start[bare]], place[place > start[bare]]
        start[bare], end[bare], style[bare] = start[bare] + 1, place, TUPLE
        may_be &= np.isin(first, [ord(sign) for sign in MAY_BEGIN if sign != b"("])
        for number in np.flatnonzero(may_be).tolist():
            inner = tuple_in(texts.data[start[number] : end[number]].tobytes())
            if inner:
                start[number], end[number], style[number] = (
                    start[number] + inner.start,
                    start[number] + inner.end,
                    TUPLE,
                )
                self._own_labels[int(rows[number])] = inner.labels
        return MarkedText(texts.data, start, end), style

    def _describe_rows(
        self, rows: Numbers, known: Mapping[int, _KnownColumns]
    ) -> tuple[Numbers, list[ShapeDescription]]:
        """Describe `rows`, which have been cut, by the `known` columns of their documents.

        The result is a number per row, i64[n], and the descriptions that the numbers stand for:
        rows of one shape are described one time for all documents with equal columns.
        """
        shapes = self._contents.shapes
        documents, which = np.unique(self.document[rows], return_inverse=True)
        reader = np.array(
            [known[document].reader.number for document in documents.tolist()], np.int64
        )[which]
        reader = np.where(self._other[rows] == UNREAD, reader, self._other[rows])
        has_more = np.array([shape.style == TUPLE or shape.has_words for shape in shapes], bool)[
            self._shape[rows]
        ]
        has_more |= self.end[rows] - self.start[rows] > LONGEST
        key = reader * len(shapes) + self._shape[rows]
        key[has_more] = -1 - rows[has_more]
        _, first, number = np.unique(key, return_index=True, return_inverse=True)
        return number, [
            self._describe(row, known[int(self.document[row])]) for row in rows[first].tolist()
        ]

    def _describe(self, row: int, known: _KnownColumns) -> ShapeDescription:
        """Describe a row.

        Rows of one shape in one document have the same description, except tuples, offers and rows
        that are cut off.
        """
        shape, number = self._contents.shapes[self._shape[row]], int(self._other[row])
        reader = known.reader if number == UNREAD else self._readers.numbered[number]
        if shape.style == TUPLE:
            reader = reader.for_statement(
                self._own_labels.get(row) or known.sheet.labels_at(int(self.start[row]))
            )
        description = reader.read(shape, offer=shape.has_words and self._is_offer(row))
        return (
            description.with_fields(self.labels(row))
            if self.end[row] - self.start[row] > LONGEST
            else description
        )

    def _is_offer(self, row: int) -> bool:
        """Return whether a row that has been cut is a lender's offer."""
        if row not in self._offers:
            cells, number = self._cells_of(row)
            self._offers[row] = is_offer(cells.text(number))
        return self._offers[row]

    def _cells_of(self, row: int) -> tuple[Cells, int]:
        """Return the `Cells` of a row that has been cut, and the row's number in them."""
        return self._cells[self._table[row]], int(self._number[row])

    def _get_columns(self, document: int) -> _KnownColumns:
        """Return the known columns of a document, before any row is read."""
        if document not in self._declared:
            self._learn(np.array([document]))
        return self._declared[document]

    def _learn(self, documents: Numbers) -> None:
        """Read the columns of `documents`, and of the documents that they continue, and store them.

        Documents that are known already are not read again.
        """
        new_documents = {*documents.tolist()} - self._declared.keys()
        for document in sorted(new_documents, reverse=True):
            at = document
            while (
                at in self._goes_on and at - 1 not in self._declared and at - 1 not in new_documents
            ):
                at -= 1
                new_documents.add(at)
        new = np.array(sorted(new_documents), np.int64)
        before = {
            at - 1: self._declared[at - 1].sheet
            for at in new_documents
            if at in self._goes_on and at - 1 in self._declared
        }
        sheets = sheets_of(self, new, {**self._carried, **before}, self._goes_on)
        self._declared |= {
            document: self._with_reader(sheet)
            for document, sheet in zip(new.tolist(), sheets, strict=True)
        }

    def _with_reader(self, sheet: DocumentColumns) -> _KnownColumns:
        return _KnownColumns(sheet, self._readers.get(sheet.columns))

    def lay_out(self, documents: Numbers) -> None:
        """Compute and store the layouts of `documents`, which ascend, together.

        Documents that have theirs are passed over. One by one, each would take half a millisecond.
        """
        new = np.array(
            [document for document in documents.tolist() if document not in self._layouts], np.int64
        )
        if not len(new):
            return
        self._learn(new)
        first, count = self.extent_of(new)
        groups = group_rows(
            self,
            first,
            count,
            [self._declared[document].sheet.columns.separator for document in new.tolist()],
        )
        samples = groups.samples()
        self._cut(samples.rows)
        self._infer_columns(new, samples, count)
        number, described = self._describe_rows(samples.rows, self._inferred)
        read = [described[shape] for shape in number.tolist()]
        position, common, rows, numbers = 0, list[int](), list[int](), list[int]()
        for document, sample in zip(new.tolist(), samples.each(), strict=True):
            document_rows = read[position : position + len(sample.rows)]
            position += len(sample.rows)
            layouts = self._layouts[document] = layouts_of(sample, document_rows, self.labels)
            common += self._number_layouts(layouts.common)
            rows += layouts.by_row
            numbers += self._number_layouts(layouts.by_row.values())
        group = groups.group + np.repeat(np.array(samples.groups[:-1], np.int64), count)
        self._layout[ranges(first, count)] = np.array(common, np.int64)[group]
        self._layout[rows] = numbers

    def _number_layouts(self, layouts: Iterable[RowLayout]) -> list[int]:
        """Return the number of each layout, equal ones the same. New layouts are stored."""
        numbers = list[int]()
        for layout in layouts:
            number = self._layout_numbers.setdefault(layout, len(self._distinct_layouts))
            if number == len(self._distinct_layouts):
                self._distinct_layouts.append(layout)
            numbers.append(number)
        return numbers

    def _infer_columns(self, documents: Numbers, samples: Samples, count: Numbers) -> None:
        """Infer the columns of `documents`, of `count` rows each, from their `samples`."""
        number, described = self._describe_rows(samples.rows, self._declared)
        is_line = (self.style[samples.rows] == LINE) & (self._other[samples.rows] == UNREAD)
        columns = (samples.rows, number, is_line, samples.weights)
        read = list(zip(*(column.tolist() for column in columns), strict=True))
        borders = pairwise(samples.documents)
        for document, rows, (first, last) in zip(
            documents.tolist(), count.tolist(), borders, strict=True
        ):
            weights: dict[int, float] = {}
            for row, index, _, weight in read[first:last]:
                if self._other[row] == UNREAD:
                    weights[index] = weights.get(index, 0.0) + weight
            sheet = self._declared[document].sheet
            candidates = (
                (weight, *entry)
                for index, weight in weights.items()
                for entry in described[index].candidates
            )
            labels = (
                (weight, *entry)
                for index, weight in weights.items()
                for entry in described[index].label_votes
            )
            lines = [
                (described[index], row) for row, index, is_line, _ in read[first:last] if is_line
            ]
            self._inferred[document] = self._with_reader(
                infer_column_types(sheet, lines, self._values).with_inferred_types(
                    candidates, labels, rows
                )
            )

    def _values(self, row: int) -> LazyValues:
        """Return the cells of a row that has been cut."""
        return LazyValues(*self._cells_of(row))


class LazyValues:
    """The cells of a row, each read by `Cells.value` at first use."""

    def __init__(self, cells: Cells, row: int) -> None:
        self._cells, self._first = cells, int(cells.borders[row])
        self._count = int(cells.borders[row + 1]) - self._first

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, column: int) -> str:
        return self._cells.value(self._first + column)
