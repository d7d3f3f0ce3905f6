"""Files of a customer list: CSV with any delimiter, UTF-8 or GB18030 or UTF-16, gzipped or not; Parquet; standard input."""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import itertools
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from matcher.columns.text_column import Texts
from ullage.errors import ConfigError

DELIMITERS = ("|@|", "|!|", "----", "||", "\x01", ",", "\t", "|", ";", "^", "~")
SAMPLE = 64 * 1024
ROWS = 50_000
UNREADABLE = (csv.Error, UnicodeDecodeError, EOFError, zlib.error, gzip.BadGzipFile)
Wanted = Callable[[Path, Sequence[str]], list[int]]


class Table(NamedTuple):
    """Up to 50,000 rows of one file: the wanted columns by name, and the line that each row begins on."""

    lines: Sequence[int]
    names: list[str]
    columns: list[Texts]


def tables(path: Path, names: Sequence[str], delimiter: str, wanted: Wanted) -> Iterator[Table]:
    """The rows of a file. `names` stand for its header when it has none; `wanted` picks columns, given the header."""
    if path.suffix == ".parquet":
        yield from _parquet(path, wanted)
    else:
        yield from _csv(path, names, delimiter, wanted)


class _Rows:
    """Rows of a text; `line` is the line on which the row in hand, or the one that cannot be read, begins."""

    def __init__(self, text: IO[str], delimiter: str) -> None:
        self._text, self._delimiter, self.line = text, delimiter, 1

    def __iter__(self) -> Iterator[list[str]]:
        if len(self._delimiter) == 1:
            reader = csv.reader(self._text, delimiter=self._delimiter, strict=True)
            for row in reader:
                yield row
                self.line = reader.line_num + 1
        else:  # who separates by several characters does not quote
            for text in self._text:
                plain = text.rstrip("\r\n")
                yield plain.split(self._delimiter) if plain else []
                self.line += 1


def _csv(path: Path, names: Sequence[str], delimiter: str, wanted: Wanted) -> Iterator[Table]:
    with _open(path) as raw:
        line = _Rows(io.StringIO(), ",")
        try:
            sample = raw.peek(SAMPLE)[:SAMPLE]
            text = io.TextIOWrapper(raw, _encoding(sample), newline="")
            line = _Rows(text, delimiter or _delimiter(sample, len(names)))
            rows = iter(line)
            if not names:
                names = [name.strip().lstrip("\ufeff") for name in next(rows, ())]
            if not names:
                raise ConfigError(f"{path}: is empty: an empty watchlist would see nothing")
            columns = wanted(path, names)
            while batch := list(itertools.islice(_filled(path, line, rows, len(names)), ROWS)):
                cells = list(zip(*[row for _, row in batch], strict=True))
                texts = [Texts.of([cell.encode() for cell in cells[i]]) for i in columns]
                yield Table([first for first, _ in batch], [names[i] for i in columns], texts)
        except UNREADABLE as error:
            raise ConfigError(f"{path}: line {line.line}: {type(error).__name__}: cannot be read") from None


def _filled(path: Path, line: _Rows, rows: Iterator[list[str]], width: int) -> Iterator[tuple[int, list[str]]]:
    """Each row that is not blank, with its line; ConfigError for one with too few or too many columns."""
    for row in rows:
        if row:
            if len(row) != width:
                raise ConfigError(f"{path}: line {line.line}: {len(row)} columns instead of {width}")
            yield line.line, row


def _parquet(path: Path, wanted: Wanted) -> Iterator[Table]:
    try:
        from pyarrow import ArrowException, parquet  # noqa: PLC0415  an extra of its own
    except ModuleNotFoundError:
        raise ConfigError("Parquet needs pyarrow: install ullage[parquet]") from None
    try:
        file = parquet.ParquetFile(path, pre_buffer=False)  # else all of it comes to be in memory
        header = file.schema_arrow.names
        names = [header[i] for i in wanted(path, header)]
        first = 1
        for table in file.iter_batches(ROWS, columns=names):
            yield Table(range(first, first + table.num_rows), names, [_cells(table.column(name)) for name in names])
            first += table.num_rows
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror or type(error).__name__})") from None
    except ArrowException as error:
        raise ConfigError(f"{path} is no Parquet file that can be read ({type(error).__name__})") from None


def _cells(array: Any) -> Texts:
    """A Parquet column as texts, straight from its buffers where it holds strings or whole numbers; a gap is an empty cell."""
    from pyarrow import string, types  # noqa: PLC0415  an extra of its own

    if types.is_dictionary(array.type) or types.is_integer(array.type) or types.is_large_string(array.type):
        array = array.cast(string())
    if not types.is_string(array.type):
        return Texts.of([b"" if value is None else str(value).encode() for value in array.to_pylist()])
    _, offsets, data = array.buffers()
    places = np.frombuffer(offsets, np.int32)[array.offset : array.offset + len(array) + 1].astype(np.int64)
    lengths = np.diff(places)
    if array.null_count:
        lengths = np.where(array.is_valid().to_numpy(zero_copy_only=False), lengths, 0)
    piece = np.frombuffer(data, np.uint8)[places[0] : places[-1]] if data is not None else np.empty(0, np.uint8)
    return Texts.cut(piece, places[:-1] - places[0], lengths)


@contextlib.contextmanager
def _open(path: Path) -> Iterator[Any]:
    """The bytes of the list, unzipped, as a buffered reader; gzip files that were joined end to end are read to the last."""
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


def _delimiter(sample: bytes, columns: int) -> str:
    """The delimiter that the first line has most of; where the number of columns is known, one that gives as many, if any."""
    line = sample.split(b"\n", 1)[0].decode(_encoding(sample), "replace")
    fitting = [d for d in DELIMITERS if columns and line.count(d) == columns - 1]
    return max(fitting or DELIMITERS, key=lambda d: line.count(d) * len(d))
