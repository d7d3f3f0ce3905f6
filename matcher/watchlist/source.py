"""Reading what banks export: CSV with any delimiter, UTF-8 or GB18030, gzipped or not; Parquet; standard input.

Yields rows a batch at a time. Faults name line and column, never the value.
"""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ullage.errors import ConfigError
from ullage.identifiers import kinds

REFERENCE = "customer_ref"
DELIMITERS = ",\t|;^"
SAMPLE = 64 * 1024
ROWS = 50_000
UNREADABLE = (csv.Error, UnicodeDecodeError, EOFError, zlib.error, gzip.BadGzipFile)


class Column(NamedTuple):
    """One column of a batch: what kind it holds, what the file calls it, and its cells."""

    kind: str
    name: str
    cells: list[str]


class Batch(NamedTuple):
    """Rows by column, with the line that each row begins on; two columns may hold one kind."""

    lines: Sequence[int]
    references: list[str]
    columns: list[Column]


@dataclass(frozen=True, slots=True)
class Source:
    """A list of customers. `mapping` is from column to kind; columns named as a kind map by themselves."""

    path: Path
    mapping: Mapping[str, str]

    def batches(self) -> Iterator[Batch]:
        """The rows, up to 50,000 a batch."""
        if self.path.suffix == ".parquet":
            yield from self._parquet()
        else:
            yield from self._csv()

    def _csv(self) -> Iterator[Batch]:
        with _open(self.path) as raw:
            line = 1
            try:
                sample = raw.peek(SAMPLE)[:SAMPLE]
                text = io.TextIOWrapper(raw, _encoding(sample), newline="")
                reader = csv.reader(text, delimiter=_delimiter(sample), strict=True)
                header = next(reader, None)
                if header is None:
                    raise ConfigError(f"{self.path}: is empty: an empty watchlist would see nothing")
                names = [name.strip().lstrip("\ufeff") for name in header]
                columns = self._columns(names)
                line = reader.line_num + 1
                batch: list[list[str]] = []
                lines: list[int] = []
                for row in reader:
                    if row:
                        if len(row) != len(names):
                            raise ConfigError(f"{self.path}: line {line}: {len(row)} columns instead of {len(names)}")
                        batch.append(row)
                        lines.append(line)
                    line = reader.line_num + 1
                    if len(batch) == ROWS:
                        yield _batch(lines, batch, columns, names)
                        batch, lines = [], []
                if batch:
                    yield _batch(lines, batch, columns, names)
            except UNREADABLE as error:
                raise ConfigError(f"{self.path}: line {line}: {type(error).__name__}: cannot be read") from None

    def _parquet(self) -> Iterator[Batch]:
        try:
            from pyarrow import ArrowException, parquet  # noqa: PLC0415  an extra of its own
        except ModuleNotFoundError:
            raise ConfigError("Parquet needs pyarrow: install ullage[parquet]") from None
        try:
            file = parquet.ParquetFile(self.path)
            names = file.schema_arrow.names
            columns = self._columns(names)
            first = 1
            for table in file.iter_batches(ROWS):
                rows = [["" if v is None else str(v) for v in table.column(i).to_pylist()] for i in columns]
                lines = range(first, first + table.num_rows)
                yield _assembled(lines, [Column(columns[i], names[i], cells) for i, cells in zip(columns, rows, strict=True)])
                first += table.num_rows
        except OSError as error:
            raise ConfigError(f"{self.path} cannot be read ({error.strerror or type(error).__name__})") from None
        except ArrowException as error:
            raise ConfigError(f"{self.path} is no Parquet file that can be read ({type(error).__name__})") from None

    def _columns(self, header: Sequence[str]) -> dict[int, str]:
        """Column numbers to kinds; ConfigError when the reference or every identifier is missing."""
        known = {*kinds(), "name", REFERENCE}
        if unknown := [kind for kind in self.mapping.values() if kind not in known]:
            raise ConfigError(f"--map: {unknown[0]!r} is no kind: use {', '.join(sorted(known))}")
        if missing := [name for name in self.mapping if name not in header]:
            raise ConfigError(f"{self.path}: line 1: there is no column {missing[0]!r} to map")
        columns = {i: self.mapping.get(name, name) for i, name in enumerate(header) if self.mapping.get(name, name) in known}
        if list(columns.values()).count(REFERENCE) > 1:
            raise ConfigError(f"{self.path}: line 1: more than one column is {REFERENCE}")
        if REFERENCE not in columns.values():
            raise ConfigError(f"{self.path}: line 1: no column {REFERENCE}: name it with --map COLUMN={REFERENCE}")
        if not set(columns.values()) - {REFERENCE, "name"}:
            raise ConfigError(f"{self.path}: line 1: no identifier column: name one with --map COLUMN=phone")
        return columns


def _batch(lines: list[int], rows: list[list[str]], columns: Mapping[int, str], names: Sequence[str]) -> Batch:
    return _assembled(lines, [Column(kind, names[i], [row[i] for row in rows]) for i, kind in columns.items()])


def _assembled(lines: Sequence[int], columns: list[Column]) -> Batch:
    references = next(column.cells for column in columns if column.kind == REFERENCE)
    return Batch(lines, references, [column for column in columns if column.kind != REFERENCE])


@contextlib.contextmanager
def _open(path: Path) -> Iterator[Any]:
    """The bytes of the list, unzipped, as a buffered reader."""
    file: Any
    with contextlib.ExitStack() as stack:
        try:
            if str(path) == "-":
                file = io.BufferedReader(sys.stdin.buffer, SAMPLE)
            else:
                file = stack.enter_context(path.open("rb", SAMPLE))
        except OSError as error:
            raise ConfigError(f"{path} cannot be read ({error.strerror})") from None
        if file.peek(2)[:2] == b"\x1f\x8b":
            unzipped = stack.enter_context(gzip.GzipFile(fileobj=file))
            file = stack.enter_context(io.BufferedReader(unzipped, SAMPLE))
        yield file


def _encoding(sample: bytes) -> str:
    if sample.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    for trim in range(4):  # the sample may end within a character
        try:
            sample[: len(sample) - trim].decode("utf-8")
        except UnicodeDecodeError:
            continue
        return "utf-8-sig"
    return "gb18030"


def _delimiter(sample: bytes) -> str:
    """The delimiter that the first line has most of."""
    line = sample.split(b"\n", 1)[0].decode(_encoding(sample), "replace")
    return max(DELIMITERS, key=line.count)
