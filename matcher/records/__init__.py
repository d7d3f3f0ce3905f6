"""Rows: what stands together in a dump, and which field each cell is.

A row is a line with a valid candidate, or a record that is written otherwise: a tuple of an SQL
statement, a JSON object, a block of `label: value` lines. Candidates find their row by columns, a
batch at a time and without a Python object. The text of a row is read only where a customer was
found, and in a few samples a layout for the statistics of a whole capture. Values stay here; what
leaves is labels, counts and the skeleton.
"""

from matcher.records.cells import SURNAMES
from matcher.records.layouts import Layouts
from matcher.records.reader import DocumentColumns, RowLayout
from matcher.records.rows import RowTable
from matcher.records.segment import rows_of

__all__ = ["SURNAMES", "DocumentColumns", "Layouts", "RowLayout", "RowTable", "rows_of"]
