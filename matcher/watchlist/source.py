"""Reading what banks export: CSV with any delimiter, UTF-8 or GB18030, gzipped or not; Parquet; standard input.

Yields rows a batch at a time. Faults name line and column, never the value.
"""

from __future__ import annotations

import csv
import gzip
import io
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ullage.errors import ConfigError
from ullage.identifiers import kinds

REFERENCE = "customer_ref"
DELIMITERS = ",\t|;^"
SAMPLE = 64 * 1024
ROWS = 50_000
Batch = dict[str, list[str]]
"""Columns by kind (and `customer_ref`), all of one length."""


@dataclass(frozen=True, slots=True)
class Source:
    """A list of customers. `mapping` is from column to kind; columns named as a kind map by themselves."""

    path: Path
    mapping: Mapping[str, str]

    def batches(self) -> Iterator[tuple[int, Batch]]:
        """(line of the first row, columns), up to 50,000 rows a batch."""
        if self.path.suffix == ".parquet":
            yield from self._parquet()
        else:
            yield from self._csv()

    def _csv(self) -> Iterator[tuple[int, Batch]]:
        with _open(self.path) as raw:
            sample = raw.peek(SAMPLE)[:SAMPLE]  # type: ignore[attr-defined]
            reader = csv.reader(io.TextIOWrapper(raw, _encoding(sample), newline=""), delimiter=_delimiter(sample), strict=True)
            header = next(reader, None)
            if header is None:
                raise ConfigError(f"{self.path}: is empty: an empty watchlist would see nothing")
            columns = self._columns([name.strip().lstrip("\ufeff") for name in header])
            try:
                yield from self._rows(reader, columns, len(header))
            except (csv.Error, UnicodeDecodeError) as error:
                raise ConfigError(f"{self.path}: line {reader.line_num + 1}: {type(error).__name__}: cannot be read") from None

    def _rows(self, reader: Iterator[list[str]], columns: dict[int, str], width: int) -> Iterator[tuple[int, Batch]]:
        batch: list[list[str]] = []
        first = line = 2
        for row in reader:
            if row:
                if len(row) != width:
                    raise ConfigError(f"{self.path}: line {line}: {len(row)} columns instead of {width}")
                batch.append(row)
            line += 1
            if len(batch) == ROWS:
                yield first, {name: [r[i] for r in batch] for i, name in columns.items()}
                batch, first = [], line
        if batch:
            yield first, {name: [r[i] for r in batch] for i, name in columns.items()}

    def _parquet(self) -> Iterator[tuple[int, Batch]]:
        try:
            from pyarrow import parquet  # noqa: PLC0415  an extra of its own
        except ModuleNotFoundError:
            raise ConfigError("Parquet needs pyarrow: install ullage[parquet]") from None
        file = parquet.ParquetFile(self.path)
        columns = self._columns(file.schema_arrow.names)
        first = 1
        for table in file.iter_batches(ROWS, columns=[file.schema_arrow.names[i] for i in columns]):
            values = [["" if v is None else str(v) for v in column.to_pylist()] for column in table.columns]
            yield first, dict(zip(columns.values(), values, strict=True))
            first += table.num_rows

    def _columns(self, header: Sequence[str]) -> dict[int, str]:
        """Column numbers to kinds; ConfigError when the reference or every identifier is missing."""
        known = {*kinds(), "name", REFERENCE}
        if unknown := [kind for kind in self.mapping.values() if kind not in known]:
            raise ConfigError(f"--map: {unknown[0]!r} is no kind: use {', '.join(sorted(known))}")
        if missing := [name for name in self.mapping if name not in header]:
            raise ConfigError(f"{self.path}: line 1: there is no column {missing[0]!r} to map")
        columns = {i: self.mapping.get(name, name) for i, name in enumerate(header) if self.mapping.get(name, name) in known}
        if REFERENCE not in columns.values():
            raise ConfigError(f"{self.path}: line 1: no column {REFERENCE}: name it with --map COLUMN={REFERENCE}")
        if not set(columns.values()) - {REFERENCE, "name"}:
            raise ConfigError(f"{self.path}: line 1: no identifier column: name one with --map COLUMN=phone")
        return columns


def _open(path: Path) -> IO[bytes]:
    try:
        raw: IO[bytes] = sys.stdin.buffer if str(path) == "-" else path.open("rb")
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror})") from None
    start = raw.peek(2)[:2]  # type: ignore[attr-defined]
    return io.BufferedReader(gzip.GzipFile(fileobj=raw), SAMPLE) if start == b"\x1f\x8b" else raw


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
