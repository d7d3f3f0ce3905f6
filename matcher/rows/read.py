"""Rows with what is read of them only when somebody asks."""

from __future__ import annotations

from collections.abc import Mapping

from matcher.rows.cells import Described
from matcher.rows.groups import Groups
from matcher.rows.layouts import Layouts, layouts_of, sheet_of
from matcher.rows.sheet import Sheet
from matcher.rows.spans import Numbers
from matcher.rows.table import Extents, Table
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
        self._carried = carried
        self._sheets: dict[int, Sheet] = {}
        self._layouts: dict[int, Layouts] = {}
        self._read: dict[int, Described] = {}

    def names(self, row: int) -> tuple[str, ...]:
        """Cells of a row that may be names, and names glued to its numbers; reads this row and a few of its document."""
        return self._described(row).names

    def fields(self, row: int) -> frozenset[str]:
        """Labels of what stands in a row, from its own text and what the layouts of its document say of the columns."""
        sheet = self.layouts(int(self.document[row])).sheet
        described = self._described(row)
        return (self.describe(row, sheet) if described.is_changed_by(sheet.columns) else described).fields

    def group(self, row: int) -> frozenset[str]:
        """The fields of the layout that a row belongs to: what `Statistics.groups` counts it under."""
        document = int(self.document[row])
        found = self.layouts(document)
        layout = found.layouts[found.number[row - found.first]]
        return layout.fields

    def layouts(self, document: int) -> Layouts:
        """The layouts of a document, from a few samples of each."""
        if document not in self._layouts:
            self._layouts[document] = layouts_of(self, document, self._sheet(document))
        return self._layouts[document]

    def carried(self, document: int) -> Sheet:
        """What the rows of the same capture in a later batch need to know of its columns."""
        return self._sheet(document).as_carried()

    def _described(self, row: int) -> Described:
        if row not in self._read:
            self._read[row] = self.describe(row, self._sheet(int(self.document[row])))
        return self._read[row]

    def _sheet(self, document: int) -> Sheet:
        if document not in self._sheets:
            self._sheets[document] = sheet_of(self, document, self._carried.get(document))
        return self._sheets[document]
