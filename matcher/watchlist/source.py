"""Read customer lists as banks export them, whatever their shape, in batches of columns.

A list is one or many files: CSV with any delimiter, in UTF-8, GB18030 or UTF-16, gzipped or not;
Parquet; or standard input. It has a header, or `--columns` in its place, and one row a customer or
one row an identifier (`--long`). Faults name file, line and column, never the value.
"""

from __future__ import annotations

import contextlib
import csv
import difflib
import gzip
import io
import itertools
import re
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from matcher.columns.batch import Texts
from matcher.detect.labels import label_of
from matcher.text.fold import list_scripts
from ullage.display.progress import ReadProgress
from ullage.errors import ConfigError
from ullage.identifiers import kinds
from ullage.lookup.values import identifier_in
from ullage.vocabulary.fields import FieldLabel

REFERENCE = "customer_ref"
CANARY = "canary"
COHORT = re.compile(r"cohort[_:]([a-z0-9][a-z0-9_-]{0,19})")
"""A column of that name, or one that is mapped to it, holds labels."""
LEFT_OUT = "-"
"""The kind that `--map` gives a column that is not read."""
REFERENCES = tuple(
    "客户号 客户编号 客户号码 客户代码 客户id 用户编号 用户号 用户id 会员编号 会员号 编号".split()
)
"""Chinese names of the column of references; the first that a header has counts."""
NAMES = tuple("姓名 名字 客户姓名 客户名称 用户姓名 真实姓名 户名".split())
REFERENCES_SPELT = tuple(
    "cif customer_id customer_no cust_no cust_id client_id client_no user_id user_no"
    " member_no".split()
)
"""English names of that column, which count after the Chinese ones."""
AMBIGUOUS = frozenset(("账号", "联系方式"))
"""Headers that are only suggested.

They name a card or phone in a leak, but often something else in a bank's own list.
"""
SHORT_FORMS = {
    "acct": "account",
    "cust": "customer",
    "govt": "government",
    "mob": "mobile",
    "nm": "name",
    "no": "number",
    "num": "number",
    "tel": "telephone",
}
"""What banks' exports write for short in the names of columns."""
ID_WORDS = frozenset({"government id", "national id", "govt id", "identity number"})
"""Names of a column of identity documents, of which residents have resident IDs."""
ALIKE = 0.75
"""Similarity to a word, by `difflib`, that a column's name needs for a suggestion."""
NAME_PARTS = re.compile(r"[^\W_]+")
"""The words of a column's name, without signs such as `#`."""
MOST_DIGITS = 2
"""Digits of a column's name that may be shown."""
DELIMITERS = ("|@|", "|!|", "----", "||", "\x01", ",", "\t", "|", ";", "^", "~")
SAMPLE = 64 * 1024
ROWS = 50_000
UNREADABLE: Mapping[type[Exception], str] = {
    csv.Error: "not a row of CSV (quotes, a NUL, or a cell that is too long)",
    UnicodeDecodeError: "not text in UTF-8, UTF-16 or GB18030",
} | dict.fromkeys((EOFError, zlib.error, gzip.BadGzipFile), "the gzip data is damaged or truncated")
"""Errors that an unreadable list raises, and their meaning.

The exception itself may hold a value.
"""
Wanted = Callable[[Path, Sequence[str]], list[int]]


class SourceColumn(NamedTuple):
    """A column of one batch: its kind, its name in the file, and its cells."""

    kind: str
    name: str
    cells: Texts


class Witnessing(NamedTuple):
    """The columns of a loan's amount and date."""

    amount: SourceColumn
    date: SourceColumn


class ColumnBatch(NamedTuple):
    """Rows as columns, with the line on which each row begins.

    Two columns may hold one kind.
    """

    path: Path
    lines: Sequence[int]
    references: Texts
    columns: list[SourceColumn]
    labels: Sequence[SourceColumn] = ()
    """Columns of labels; their kind is the dimension, or `canary`."""
    witness: Witnessing | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """A list of customers in one or more files.

    `mapping` is from column to kind, or to `-` for a column that is left out. Columns that are
    named as a kind, or in Chinese as such columns are, are mapped automatically (`kind_named`).
    `columns` names the columns of files without a header. `long` names the columns of reference,
    kind and value if each row holds one identifier. `delimiter` is detected if empty. `witness`
    names the columns of a loan's amount and date (`tagging.py`), by their own names or those that
    `mapping` gives them; () without private attributes.
    """

    path: Path | Sequence[Path]
    mapping: Mapping[str, str]
    columns: Sequence[str] = ()
    long: Sequence[str] = ()
    delimiter: str = ""
    bare: bool = False
    witness: Sequence[str] = ()
    suggestions: dict[str, str] = field(default_factory=dict, compare=False)
    """Ignored columns, with the kind that their names suggest; known after reading."""
    unread: dict[str, None] = field(default_factory=dict, compare=False)
    """Ignored columns whose names suggest no kind, in order; known after reading."""
    progress: ReadProgress = field(default_factory=ReadProgress, compare=False)

    @property
    def paths(self) -> Sequence[Path]:
        """The files of the customer list, in the order in which they are read."""
        return [self.path] if isinstance(self.path, Path) else self.path

    def __str__(self) -> str:
        """Return the list's name in messages."""
        return (
            str(self.paths[0])
            if len(self.paths) == 1
            else f"{self.paths[0]} and {len(self.paths) - 1} more"
        )

    def batches(self) -> Iterator[ColumnBatch]:
        """Yield the rows of all files as columns, in batches of up to 50,000 rows.

        Raises ConfigError if a file cannot be read or its columns are unknown.
        """
        for path in self.paths:
            self.progress.begin()
            for table in tables(
                path, self.columns, self.delimiter, self._choose_columns, self.progress.read
            ):
                if self.long:
                    yield from self._by_kind(path, table)
                else:
                    yield self._wide(path, table)

    def require_header(self, path: Path, names: Sequence[str]) -> None:
        """Raise `ConfigError` if the first line seems to be a row.

        It then holds values, and no known name of a column.
        """
        if not self.columns and any(map(identifier_in, names)) and not any(map(kind_named, names)):
            raise ConfigError(
                f"{path}: line 1 has values instead of column names: name the columns,"
                " such as --columns customer_ref,name,phone"
            )

    def _choose_columns(self, path: Path, header: Sequence[str]) -> list[int]:
        """Return the numbers of the columns to read.

        The names of the others are stored in `suggestions` or `unread`. Raises `ConfigError` if a
        mapped column, the reference or every identifier is missing, or a column of --witness is
        missing or ambiguous.
        """
        if self.long:
            return [self._place(path, header, name) for name in self.long]
        if missing := [name for name in self.mapping if name not in header]:
            near = difflib.get_close_matches(missing[0], filter(is_showable, header), 1)
            meant = f" (did you mean {near[0]!r}?)" if near else ""
            place = "--columns has" if self.columns else "line 1 has"
            raise ConfigError(f"{path}: {place} no column {missing[0]!r}: correct --map{meant}")
        self.require_header(path, header)
        kinds_of_columns = self._list_kinds()
        named = [(i, self._kind(name)) for i, name in enumerate(header)]
        columns = [
            (i, kind)
            for i, kind in named
            if kind in kinds_of_columns or kind in self.witness or _dimension(kind)
        ]
        columns = self._with_one_reference(path, header, columns)
        called = [kind for _, kind in columns]
        for name in self.witness:
            if called.count(name) != 1:
                number = "no" if name not in called else "more than one"
                raise ConfigError(
                    f"{path}: line 1: {number} column is named {name}: correct --witness"
                )
        read = {i for i, _ in columns}
        unmapped = [
            name for i, name in enumerate(header) if i not in read and name not in self.mapping
        ]
        suggested = {name: kind for name in unmapped if (kind := suggestion(name))}
        if REFERENCE not in called:
            column = next((name for name, kind in suggested.items() if kind == REFERENCE), "COLUMN")
            raise ConfigError(
                f"{path}: line 1: no column {REFERENCE}: map one with --map {column}={REFERENCE}"
            )
        if not self.bare and not any(
            kind in kinds_of_columns - {REFERENCE, "name"} for kind in called
        ):
            pair = next(
                (f"{name}={kind}" for name, kind in suggested.items() if kind != REFERENCE),
                "COLUMN=phone",
            )
            raise ConfigError(f"{path}: line 1: no identifier column: map one with --map {pair}")
        self.suggestions.update(
            {name: kind for name, kind in suggested.items() if kind != REFERENCE}
        )
        self.unread.update(
            dict.fromkeys(name for name in unmapped if name not in suggested and name.strip())
        )
        return [i for i, _ in columns]

    def _with_one_reference(
        self, path: Path, header: Sequence[str], found: list[tuple[int, str]]
    ) -> list[tuple[int, str]]:
        """Return the columns with at most one column of references.

        A column that is named as the kind comes before those with Chinese names. Raises ConfigError
        if several are named as the kind.
        """
        columns = [i for i, kind in found if kind == REFERENCE]
        named = [
            i
            for i in columns
            if header[i].strip().lower() == REFERENCE or header[i] in self.mapping
        ]
        if len(named) > 1:
            raise ConfigError(
                f"{path}: line 1: more than one column is mapped to {REFERENCE}: leave out"
                " all but one with --map COLUMN=-"
            )
        words = [form for word in (*REFERENCES, *REFERENCES_SPELT) for form in list_scripts(word)]
        chosen = named or sorted(columns, key=lambda i: words.index(header[i].strip().lower()))[:1]
        return [(i, kind) for i, kind in found if kind != REFERENCE or i in chosen]

    def _list_kinds(self) -> set[str]:
        """Return the kinds of columns.

        Raises `ConfigError` if a column is mapped to anything else.
        """
        valid = {*kinds(), "name", REFERENCE}
        for kind in self.mapping.values():
            if kind not in (*valid, *self.witness, LEFT_OUT) and not _dimension(kind):
                meant = f" (did you mean {suggestion(kind)}?)" if suggestion(kind) else ""
                used = ", ".join(sorted(valid))
                raise ConfigError(
                    f"--map: {kind!r} is not a kind{meant}: use {used}, cohort:NAME, {CANARY}"
                    f" or {LEFT_OUT}"
                )
        return valid

    def _kind(self, name: str) -> str:
        return self.mapping.get(name) or (
            name if name in self.witness else kind_named(name) or name
        )

    @staticmethod
    def _place(path: Path, header: Sequence[str], name: str) -> int:
        if name not in header:
            raise ConfigError(f"{path}: line 1 has no column {name!r}: correct --long")
        return list(header).index(name)

    def _wide(self, path: Path, table: SourceTable) -> ColumnBatch:
        columns = [
            SourceColumn(self._kind(name), name, cells)
            for name, cells in zip(table.names, table.columns, strict=True)
        ]
        [references] = [column.cells for column in columns if column.kind == REFERENCE]
        labels = [
            SourceColumn(dimension, c.name, c.cells)
            for c in columns
            if (dimension := _dimension(c.kind))
        ]
        pair = {column.kind: column for column in columns if column.kind in self.witness}
        apart = (REFERENCE, *pair)
        identifiers = [
            column for column in columns if column.kind not in apart and not _dimension(column.kind)
        ]
        witness = Witnessing(*(pair[name] for name in self.witness)) if pair else None
        return ColumnBatch(path, table.lines, references, identifiers, labels, witness)

    def _by_kind(self, path: Path, table: SourceTable) -> Iterator[ColumnBatch]:
        """Yield one batch per kind that occurs in a list with one identifier a row.

        They come in order of the kinds' names. Raises `ConfigError` for an unknown kind, which
        names the first line that has it.
        """
        references, kind_cells, values = table.columns
        valid = self._list_kinds() - {REFERENCE}
        called = [text.strip() for text in kind_cells.strings()]
        for name in sorted(set(called)):
            rows = np.array([row for row, kind_name in enumerate(called) if kind_name == name])
            kind = self._kind(name)
            if kind not in valid:
                raise ConfigError(
                    f"{path}: line {table.lines[int(rows[0])]}: the kind must be one of"
                    f" {', '.join(sorted(valid))}: map the list's word for it with --map WORD=KIND"
                )
            lines = [table.lines[int(row)] for row in rows]
            yield ColumnBatch(
                path, lines, references.take(rows), [SourceColumn(kind, kind, values.take(rows))]
            )


@cache
def _words() -> dict[str, str]:
    """Return the kinds by column name, in lower case.

    The names are those of the kinds, and the Chinese words for them in both scripts.
    """
    han = {
        word: kind.name for kind in kinds().values() for word in kind.headers if not word.isascii()
    }
    han |= dict.fromkeys(NAMES, "name") | dict.fromkeys((*REFERENCES, *REFERENCES_SPELT), REFERENCE)
    by_name = {form: kind for word, kind in han.items() for form in list_scripts(word)}
    return by_name | {name: name for name in (*kinds(), "name", REFERENCE)}


def kind_named(name: str) -> str:
    """Return the kind of value that a column of this name has without `--map`; "" if unclear.

    >>> [kind_named(name) for name in ("手机号码", "客户号", "QQ", "mobile", "cohort_branch")]
    ['phone', 'customer_ref', 'qq', '', 'cohort_branch']
    """
    word = name.strip().lower()
    if word in AMBIGUOUS:
        return ""
    return _words().get(word, "") or (word if _dimension(word) else "")


def suggestion(name: str) -> str:
    """Return the kind that a column of this name may have, to suggest in a message.

    "" if no kind is similar, or if the name may itself be a customer's value.

    >>> [suggestion(name) for name in ("mobile", "手机号2", "taiwan_permit", "custmer_ref")]
    ['phone', 'phone', 'taiwan_travel_permit', 'customer_ref']
    >>> [suggestion(name) for name in ("CIF", "Cust Nm", "Mob No.", "Govt ID #", "PAN")]
    ['customer_ref', 'name', 'phone', 'resident_id', 'card']
    >>> suggestion("remark"), suggestion("13800138000")
    ('', '')
    """
    word = name.strip().lower()
    if not is_showable(word):
        return ""
    spelt_out = _spell_out(word)
    return _suggest(word) or ("resident_id" if spelt_out in ID_WORDS else _suggest(spelt_out))


def _spell_out(word: str) -> str:
    """Return the name of a column with its short forms written out.

    >>> _spell_out("cust nm"), _spell_out("govt_id #")
    ('customer name', 'government id')
    """
    return " ".join(SHORT_FORMS.get(part, part) for part in NAME_PARTS.findall(word))


def _suggest(word: str) -> str:
    """Return the kind that a name in lower case suggests, by its words or one spelt alike.

    Returns "" if it suggests none.
    """
    headers = {header: kind.name for kind in reversed(kinds().values()) for header in kind.headers}
    if word in headers:  # several kinds may share a field
        return headers[word]
    label = label_of(word)
    by_label = next(
        (kind.name for kind in kinds().values() if kind.field == label),
        "name" if label == FieldLabel.NAME else "",
    )
    spelt = {
        header: kind for header, kind in headers.items() if len(header) > MOST_DIGITS
    } | _words()
    close = difflib.get_close_matches(word, [*spelt, *REFERENCES_SPELT], 1, ALIKE)
    return by_label or (
        REFERENCE if close and close[0] in REFERENCES_SPELT else spelt[close[0]] if close else ""
    )


def is_showable(name: str) -> bool:
    """Return whether a column's name is safe to show.

    In a file without a header, a value is in its place.
    """
    return sum(letter.isdigit() for letter in name) <= MOST_DIGITS and not identifier_in(name)


def _dimension(kind: str) -> str:
    """Return the dimension whose labels such a column holds; "" for other columns."""
    match = COHORT.fullmatch(kind)
    return match[1] if match else kind if kind == CANARY else ""


class SourceTable(NamedTuple):
    """Up to 50,000 rows of one file.

    It has the wanted columns by name, and the line on which each row begins.
    """

    lines: Sequence[int]
    names: list[str]
    columns: list[Texts]


def tables(
    path: Path,
    names: Sequence[str],
    delimiter: str,
    wanted: Wanted,
    heard: Callable[[int], object] = bool,
) -> Iterator[SourceTable]:
    """Yield the rows of a file.

    `names` replace its header if it has none; `wanted` selects columns, given the header. `heard`
    is called with the number of bytes after each read.
    """
    if path.suffix == ".parquet":
        yield from _parquet(path, wanted, heard)
    else:
        yield from _csv(path, names, delimiter, wanted, heard)


class _Rows:
    """The rows of a text.

    `line` is the line on which the current row begins, or the one that is unreadable.
    """

    def __init__(self, text: IO[str], delimiter: str) -> None:
        self._text, self._delimiter, self.line = text, delimiter, 1

    def __iter__(self) -> Iterator[list[str]]:
        if len(self._delimiter) == 1:
            reader = csv.reader(self._text, delimiter=self._delimiter, strict=True)
            for row in reader:
                yield row
                self.line = reader.line_num + 1
        else:  # lists with longer delimiters have no quotes
            for text in self._text:
                plain = text.rstrip("\r\n")
                yield plain.split(self._delimiter) if plain else []
                self.line += 1


def _csv(
    path: Path, names: Sequence[str], delimiter: str, wanted: Wanted, heard: Callable[[int], object]
) -> Iterator[SourceTable]:
    with _open(path, heard) as raw:
        line = _Rows(io.StringIO(), ",")
        try:
            sample = raw.peek(SAMPLE)[:SAMPLE]
            text = io.TextIOWrapper(raw, _encoding(sample), newline="")
            line = _Rows(text, delimiter or _delimiter(sample, len(names)))
            rows = iter(line)
            if not names:
                names = [name.strip().lstrip("\ufeff") for name in next(rows, ())]
            if not names:
                raise ConfigError(f"{path}: is empty: name a list with customers")
            columns = wanted(path, names)
            while batch := list(itertools.islice(_skip_blank(path, line, rows, len(names)), ROWS)):
                cells = list(zip(*[row for _, row in batch], strict=True))
                texts = [Texts.pack([cell.encode() for cell in cells[i]]) for i in columns]
                yield SourceTable([first for first, _ in batch], [names[i] for i in columns], texts)
        except tuple(UNREADABLE) as error:
            raise ConfigError(
                f"{path}: line {line.line} cannot be read: {UNREADABLE[type(error)]}"
            ) from None


def _skip_blank(
    path: Path, line: _Rows, rows: Iterator[list[str]], width: int
) -> Iterator[tuple[int, list[str]]]:
    """Yield each row that is not blank, with its line.

    Raises `ConfigError` for a row with too few or too many columns.
    """
    for row in rows:
        if row:
            if len(row) != width:
                raise ConfigError(
                    f"{path}: line {line.line}: {len(row)} columns instead of {width}:"
                    " correct the line, or give --delimiter"
                )
            yield line.line, row


def _parquet(path: Path, wanted: Wanted, heard: Callable[[int], object]) -> Iterator[SourceTable]:
    try:
        from pyarrow import ArrowException, parquet  # noqa: PLC0415  an extra of its own
    except ModuleNotFoundError:
        raise ConfigError("Parquet needs pyarrow: install ullage[parquet]") from None
    try:
        file = parquet.ParquetFile(path, pre_buffer=False)  # else the whole file would be in memory
        header = file.schema_arrow.names
        names = [header[i] for i in wanted(path, header)]
        first, a_row = 1, path.stat().st_size / max(1, file.metadata.num_rows)
        for table in file.iter_batches(ROWS, columns=names):
            yield SourceTable(
                range(first, first + table.num_rows),
                names,
                [_cells(table.column(name)) for name in names],
            )
            first += table.num_rows
            heard(int(table.num_rows * a_row))
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read ({error.strerror or type(error).__name__}):"
            " check path and permissions"
        ) from None
    except ArrowException as error:
        raise ConfigError(
            f"{path} is not a readable Parquet file ({type(error).__name__}): export it again"
        ) from None


def _cells(array: Any) -> Texts:
    """Return a Parquet column as texts, directly from its buffers if possible.

    A gap becomes an empty cell.
    """
    from pyarrow import string, types  # noqa: PLC0415  an extra of its own

    if (
        types.is_dictionary(array.type)
        or types.is_integer(array.type)
        or types.is_large_string(array.type)
    ):
        array = array.cast(string())
    if not types.is_string(array.type):
        return Texts.pack(
            [b"" if value is None else str(value).encode() for value in array.to_pylist()]
        )
    _, offsets, data = array.buffers()
    places = np.frombuffer(offsets, np.int32)[array.offset : array.offset + len(array) + 1].astype(
        np.int64
    )
    lengths = np.diff(places)
    if array.null_count:
        lengths = np.where(array.is_valid().to_numpy(zero_copy_only=False), lengths, 0)
    piece = (
        np.frombuffer(data, np.uint8)[places[0] : places[-1]]
        if data is not None
        else np.empty(0, np.uint8)
    )
    return Texts.cut(piece, places[:-1] - places[0], lengths)


class _CountingFile(io.RawIOBase):
    """The bytes of a file; `heard` is called with the number of bytes read."""

    def __init__(self, file: Any, heard: Callable[[int], object]) -> None:
        self._file, self._heard = file, heard

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read some bytes; return 0 at the end."""
        size = int(self._file.readinto(buffer))
        self._heard(size)
        return size


@contextlib.contextmanager
def _open(path: Path, heard: Callable[[int], object]) -> Iterator[Any]:
    """Open the list, decompressed if necessary, as a buffered reader.

    Gzip files that were joined end to end are read to the last. Raises ConfigError if it cannot be
    read.
    """
    file: Any
    with contextlib.ExitStack() as stack:
        try:
            raw = sys.stdin.buffer if str(path) == "-" else stack.enter_context(path.open("rb", 0))
            file = stack.enter_context(io.BufferedReader(_CountingFile(raw, heard), SAMPLE))
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
    """Return the delimiter that is most frequent in the first line.

    If the number of columns is known, a delimiter that yields it comes first.
    """
    line = sample.split(b"\n", 1)[0].decode(_encoding(sample), "replace")
    fitting = [d for d in DELIMITERS if columns and line.count(d) == columns - 1]
    return max(fitting or DELIMITERS, key=lambda d: line.count(d) * len(d))
