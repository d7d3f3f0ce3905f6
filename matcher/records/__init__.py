"""Rows: the values that belong together in a dump, and the field of each cell.

A row is a line with a valid candidate, or a record in another form: a tuple of an SQL statement, a
JSON object, a block of `label: value` lines. Candidates are assigned to rows as columns, a batch at
a time and without Python objects. The text of a row is read only if it holds a customer, and in a
few samples per layout for the statistics of a whole capture. Values stay here; labels, counts and
the skeleton leave.
"""

from matcher.records.layouts import Layouts
from matcher.records.reader import DocumentColumns, RowLayout
from matcher.records.rows import RowTable
from matcher.records.segment import rows_of

__all__ = ["DocumentColumns", "Layouts", "RowLayout", "RowTable", "rows_of"]
