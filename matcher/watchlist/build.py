"""Build a signed watchlist from a list of customers, with the encrypted references by pseudonym.

Everything is processed in batches: cells → normal forms → keyed hashes → sorted runs on disk → the
file. Memory does not grow with the list, except by four bytes a customer. `enrolling` makes the
keys of a new tenant, who exists with a first list or not at all.
"""

from __future__ import annotations

import contextlib
import re
import secrets
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
import numpy.typing as npt

from matcher.columns.batch import Texts
from matcher.watchlist import file, subjects
from matcher.watchlist.cohorts import Coder, Codes, CohortTable, counts_of
from matcher.watchlist.file import VERSION, WORD_BITS, Array, marks
from matcher.watchlist.runs import RANGE_BITS, Runs, fresh
from matcher.watchlist.source import REFERENCE, ColumnBatch, Source
from matcher.watchlist.tagging import (
    CHOICES,
    CHOSEN_SHARE,
    SELF_TEST_HANDLE,
    WITNESS,
    HandleKey,
    TagKeys,
    amount_of,
    check_values_of,
    clean_references,
    date_of,
    list_forms,
    normalise_column,
    private_entries,
)
from ullage.errors import ConfigError
from ullage.files.atomic_write import sync_folder
from ullage.identifiers.phone import LONGEST_CODE, find_calling_code
from ullage.lookup import list_index as recorded
from ullage.lookup.values import PLAIN
from ullage.security.cmac import TAG_BYTES
from ullage.security.keys import KeyStore, list_generations, load_signing_key, make_tenant
from ullage.security.tags import Tags

KEPT_REJECTS = 1000
MAX_REJECTED_SHARE = 0.05
PLUS = ord("+")
FEWEST_CHOSEN = 10
"""Chosen rows without a readable pair from which the columns must be wrong."""
_LINE = re.compile(r"\s*+([^\s=:,;]+)(?:\s*[=:,;]\s*|\s+)(\d+)\s*")


class Reject(NamedTuple):
    """A cell that was left out: its place and the reason, never its value."""

    path: Path
    line: int
    column: str
    reason: str


@dataclass(slots=True)
class Report:
    """The result of reading a list.

    The first thousand rejects are kept; all are counted, by column and reason.
    """

    customers: int = 0
    identifiers: int = 0
    """Values that can be searched for; names only corroborate."""
    entries: int = 0
    chosen: int = 0
    """Rows of customers chosen for private attributes (`tagging.py`), with both cells filled."""
    witnesses: int = 0
    """Those of them whose pair is enrolled."""
    rejects: list[Reject] = field(default_factory=list)
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def rejected(self) -> int:
        """Return how many cells and rows were left out."""
        return self.reasons.total()

    def reject(self, batch: ColumnBatch, column: str, faults: Mapping[int, str]) -> None:
        """Record the faults of rows of a batch."""
        self.reasons.update((column, reason) for reason in faults.values())
        for row in sorted(faults)[: max(0, KEPT_REJECTS - len(self.rejects))]:
            self.rejects.append(Reject(batch.path, batch.lines[row], column, faults[row]))

    def refuse_a_poor_list(self, source: object) -> None:
        """Raise `ConfigError` if nothing in the list, or too small a share, is readable.

        Also if private attributes are wanted and none are found.
        """
        if self.chosen >= FEWEST_CHOSEN and not self.witnesses:
            raise ConfigError(
                f"{source}: among {self.chosen} rows --witness finds no amount and date:"
                " name the columns that contain them"
            )
        if not self.identifiers:
            raise ConfigError(
                f"{source}: contains no readable identifier: check the column mapping"
            )
        read = self.identifiers + self.rejected
        if self.rejected > read * MAX_REJECTED_SHARE:
            first = "; ".join(f"line {r.line}, {r.column}: {r.reason}" for r in self.rejects[:3])
            raise ConfigError(
                f"{source}: {self.rejected} of {read} values cannot be read ({first}): check the"
                " column mapping"
            )


class Control:
    """The totals that a sender gives with a list, to be compared with the rows that were read.

    It has lines `NAME VALUE`, with `=`, `:`, `,` or a space between. A name is `rows`, a column
    (its filled cells), or `COLUMN.sum` (the sum of its cells that are whole numbers). A column may
    be named by its kind, and must be with `--long`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._expected: dict[str, int] = {}
        self._seen: Counter[str] = Counter()
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"--control: {path} cannot be read ({type(error).__name__}): name a text"
                " file of totals"
            ) from None
        for number, line in enumerate(lines, 1):
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            if not (total := _LINE.fullmatch(line)):
                raise ConfigError(
                    f"{path}: line {number}: must be a name and a whole number without separators,"
                    " such as `rows 1000`"
                )
            self._expected[total[1]] = int(total[2])
        if not self._expected:
            raise ConfigError(
                f"{path}: contains no totals: add at least a line such as `rows 1000`"
            )

    def add(self, batch: ColumnBatch) -> None:
        """Add the rows, values and sums of a batch to the totals, usable or not.

        Only totals that the control file names are counted.
        """
        self._seen["rows"] += len(batch.lines)
        columns = [*batch.columns, *(batch.witness or ())]
        for name, cells in ((REFERENCE, batch.references), *((c.name, c.cells) for c in columns)):
            kind = next((c.kind for c in columns if c.name == name), name)
            for called in {name, kind}:
                if called in self._expected:
                    self._seen[called] += sum(1 for text in cells.strings() if text.strip())
                if f"{called}.sum" in self._expected:
                    self._seen[f"{called}.sum"] += sum(
                        int(text) for text in cells.strings() if text.strip().isdecimal()
                    )

    def reconcile(self, source: object) -> None:
        """Raise ConfigError unless every total in the control file equals the total that was read.

        `source` names the list in the message.
        """
        wrong = [
            (name, total) for name, total in self._expected.items() if self._seen[name] != total
        ]
        if wrong:
            name, total = wrong[0]
            raise ConfigError(
                f"{source}: {self._path} says {name} {total}, but {self._seen[name]} were"
                f" read ({len(wrong)} of {len(self._expected)} totals differ): request the"
                " list again"
            )


def count_calling_codes(phones: Texts) -> Counter[str]:
    """Count the phones from abroad, in their normal form, by calling code.

    Chinese phones, and those with an unknown code, are not counted.
    """
    counts: Counter[str] = Counter()
    heads = phones.table[phones.table[:, 0] == PLUS, : 1 + LONGEST_CODE]
    digits, numbers = np.unique(heads, axis=0, return_counts=True)
    for head, number in zip(digits, numbers.tolist(), strict=True):
        if code := find_calling_code(head[1:].tobytes().decode("ascii")):
            counts[code] += number
    return counts


AT_ONCE = 1 << 20
"""Rows whose labels are written together."""
LIFE = timedelta(days=104)
"""A key generation of 90 days and a window of 14 days in which two are live."""


class Builder:
    """The builder of one tenant's watchlist for one key generation.

    `digests` is none, phone or all, or the kinds themselves. With `listed`, the customer registry
    (`ullage.lookup.list_index`) is built too.
    """

    def __init__(
        self,
        keys: KeyStore,
        tenant: str,
        epoch: int,
        digests: str | Collection[str] = "all",
        *,
        listed: bool = False,
    ) -> None:
        if isinstance(digests, str) and digests not in CHOICES:
            raise ConfigError(f"--digests {digests}: must be one of {', '.join(CHOICES)}")
        self._keys, self._tenant, self._epoch = keys, tenant, epoch
        self._tags, self._handle_key = (
            TagKeys(keys, tenant, "match", epoch),
            HandleKey(keys, tenant),
        )
        self._checks = check_values_of(keys, tenant)
        self._digested = CHOICES[digests] if isinstance(digests, str) else digests
        self.coder = Coder()
        self._rows = 0
        self._counts: Counter[tuple[str, str]] = Counter()
        self._codes: Counter[str] = Counter()
        self.report = Report()
        self._index = (
            TagKeys(keys, tenant, "index", list_generations(keys, tenant, "index")[-1])
            if listed
            else None
        )
        self._index_tags: list[tuple[Tags, Array]] = []
        """Of the last batch, the index tags by which a look-up asks for its values, and their
        rows.
        """

    def build(
        self, source: Source, target: Path, now: datetime, control: Control | None = None
    ) -> file.WatchlistHeader:
        """Write the customer list at `target` (.watchlist), and return its header.

        Beside it, `.subjects` is written and, if wanted, `.enrolled`. No file is put in place
        unless the whole list was read. Raises ConfigError if its totals differ from those of
        `control`, or if too many of its rows are unusable.
        """
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with contextlib.ExitStack() as stack:
            entries = stack.enter_context(contextlib.closing(Runs(target.parent)))
            customers = stack.enter_context(contextlib.closing(Runs(target.parent)))
            listed = stack.enter_context(contextlib.closing(Runs(target.parent)))
            codes = stack.enter_context(tempfile.TemporaryFile(dir=target.parent))
            way_back = stack.enter_context(
                subjects.SubjectWriter(target.with_suffix(".subjects"), self._keys, self._tenant)
            )
            for batch in source.batches():
                if control:
                    control.add(batch)
                first = self._rows
                codes.write(self._batch(batch, entries, customers, way_back).astype("<u4").data)
                for tags, rows in self.index_tags():
                    listed.add(tags, (first + rows).astype(np.uint32))
            source.progress.end("sorting and writing")
            if control:
                control.reconcile(source)
            self.report.refuse_a_poor_list(source)
            codes.write(self._add_self_test(entries, customers).astype("<u4").data)
            header = self._write(entries, customers, listed, codes, target, now)
            way_back.finish()
        return header

    def self_test(self) -> tuple[Tags, Tags]:
        """Return keyed hash and pseudonym, (1, 16) each, of the self-test entry.

        It must be found whenever the list is opened.
        """
        return self._tags.self_test(), np.frombuffer(SELF_TEST_HANDLE, np.uint8).reshape(
            1, TAG_BYTES
        )

    def _add_self_test(self, entries: Runs, customers: Runs) -> Codes:
        """Enrol the self-test entry behind all rows; return its combination of labels, none."""
        number = np.array([self._rows], np.uint32)
        self._rows += 1
        tag, handle = self.self_test()
        entries.add(tag, number)
        customers.add(handle, number)
        return np.zeros(1, np.uint32)

    def header(
        self, now: datetime, former: file.WatchlistHeader | None = None
    ) -> file.WatchlistHeader:
        """Return a header without the fields that follow from the arrays.

        The counts of `former` are included.
        """
        if former:
            self._counts.update(dict(zip(former.kinds, former.counts, strict=True)))
            self._codes.update(dict(former.codes))
        pairs = sorted(self._counts, key=lambda pair: (pair[0], pair[1] != "plain", pair[1]))
        return file.WatchlistHeader(
            version=VERSION,
            algorithm=file.ALGORITHM,
            tenant=self._tenant,
            epoch=self._epoch,
            created=now.isoformat(timespec="seconds"),
            expires=(now + LIFE).isoformat(timespec="seconds"),
            kinds=tuple(pairs),
            counts=tuple(self._counts[pair] for pair in pairs),
            digested=tuple(self._digested),
            key_check=self._tags.check_value(),
            checks=self._checks,
            self_test=SELF_TEST_HANDLE.hex(),
            codes=tuple(self._codes.most_common(file.MOST_CODES)),
            build=secrets.token_hex(16),
        )

    def _batch(
        self, batch: ColumnBatch, entries: Runs, customers: Runs, way_back: subjects.SubjectWriter
    ) -> Codes:
        """Enrol one batch of rows; return the combination of labels of each row.

        The combination is 0 if a row belongs to no customer or has no label. A customer is numbered
        by the row; equal pseudonyms become one when all are known.
        """
        numbers = np.arange(self._rows, self._rows + len(batch.lines), dtype=np.uint32)
        self._rows += len(numbers)
        used = np.zeros(len(numbers), bool)
        references, owned = self.read_references(batch)
        for tags, rows in self.tag_values(batch, owned):
            entries.add(tags, numbers[rows])
            used[rows] = True
        rows, references = np.flatnonzero(used), references.take(np.flatnonzero(used))
        handles = self.handles(references)
        customers.add(handles, numbers[rows])
        way_back.add(handles, references)
        for tags, places in self.witness_tags(batch, references, handles, rows):
            entries.add(tags, numbers[places])
        return (
            np.where(used, self.coder.codes(batch), 0)
            if batch.labels
            else np.zeros(len(numbers), np.uint32)
        )

    def read_references(self, batch: ColumnBatch) -> tuple[Texts, Array]:
        """Return the customer references of a batch, and which rows have a usable one: bool[rows].

        Unusable references are counted in the report.
        """
        references, faults = clean_references(batch.references)
        self.report.reject(batch, REFERENCE, faults)
        owned = np.ones(len(references), bool)
        owned[list(faults)] = False
        return references, owned

    def handles(self, references: Texts) -> Tags:
        """Return the pseudonyms (n, 16) of references."""
        return self._handle_key.tags(references)

    def tag_values(self, batch: ColumnBatch, owned: Array) -> Iterator[tuple[Tags, Array]]:
        """Yield (keyed hashes, rows) of every form of every value in the rows of customers.

        `owned` says of each row whether it has a customer. Faulty values are reported as rejected,
        and all values are counted; hashes for the registry are collected beside.
        """
        for column in batch.columns:
            rows, normals, faults = normalise_column(column.kind, column.cells)
            self.report.reject(
                batch, column.name, {row: why for row, why in faults.items() if owned[row]}
            )
            if not owned.all():
                of_customers = np.flatnonzero(owned[rows])
                rows, normals = rows[of_customers], normals.take(of_customers)
            self.report.identifiers += 0 if column.kind == "name" else len(rows)
            if column.kind == "phone":
                self._codes.update(count_calling_codes(normals))
            if self._index and column.kind != "name":
                for form, places, texts in list_forms(column.kind, normals, digested=False):
                    if form == PLAIN:
                        tags = self._index.tagger(column.kind, form).tag_rows(
                            texts.table, texts.lengths
                        )
                        self._index_tags.append((tags, rows[places]))
            for form, places, texts in list_forms(
                column.kind, normals, column.kind in self._digested
            ):
                self._counts[column.kind, form] += len(places)
                yield (
                    self._tags.tagger(column.kind, form).tag_rows(texts.table, texts.lengths),
                    rows[places],
                )

    def index_tags(self) -> list[tuple[Tags, Array]]:
        """Return (index hashes, rows) of the values in the last batch, without duplicates.

        Each value has the one form that a look-up uses.
        """
        last, self._index_tags = self._index_tags, []
        return last

    def witness_tags(
        self, batch: ColumnBatch, references: Texts, handles: Tags, rows: Array
    ) -> Iterator[tuple[Tags, Array]]:
        """Yield (keyed hashes, rows) of the private attributes of the chosen customers.

        `references` and `handles` are those of the customers in `rows` of the batch.
        """
        if batch.witness is None:
            return
        chosen = np.flatnonzero(self._handle_key.chosen(references, CHOSEN_SHARE))
        amounts, dates = (column.cells.take(rows[chosen]).strings() for column in batch.witness)
        pairs = []
        for place, amount, day in zip(chosen.tolist(), amounts, dates, strict=True):
            self.report.chosen += bool(amount.strip() and day.strip())
            cents, number = amount_of(amount), date_of(day)
            if cents is not None and number is not None:
                pairs.append((place, cents, number))
        if pairs:
            places = np.array([place for place, _, _ in pairs])
            self.report.witnesses += len(places)
            for form, texts in private_entries(
                handles[places], [cents for _, cents, _ in pairs], [day for *_, day in pairs]
            ):
                self._counts[WITNESS, form] += len(places)
                yield self._tags.tagger(WITNESS, form).tag(texts), rows[places]

    def _write(
        self,
        entries: Runs,
        customers: Runs,
        listed: Runs,
        codes: IO[bytes],
        target: Path,
        now: datetime,
    ) -> file.WatchlistHeader:
        """Write the file: sort the entries, number the customers, and drop repeated entries.

        Customers are numbered by their pseudonyms, which are keyed and therefore random.
        """
        with contextlib.ExitStack() as stack:
            names = (
                "high",
                "low",
                "subject",
                "bitmap",
                "directory",
                "handle",
                "cohort",
                "combination",
                "labels",
            )
            parts: dict[str, IO[bytes]] = {
                name: stack.enter_context(tempfile.TemporaryFile(dir=target.parent))
                for name in names
            }
            row_of, subjects = number_customers(customers, self._rows, parts["handle"])
            bits = file.sizes_for(entries.count)
            count = index_entries(entries, row_of, bits, parts)
            table = self._label(codes, row_of, subjects, parts) if self.coder.is_used else None
            for part in parts.values():
                part.seek(0)
            draft = add_label_sizes(
                replace(self.header(now), entries=count, subjects=subjects, bits=bits), table
            )
            self.report.customers, self.report.entries = draft.customers, draft.enrolled
            if self._index:
                handles = np.memmap(parts["handle"], np.uint8, "r", shape=(subjects, TAG_BYTES))
                parts["handle"].seek(0)
                head = recorded.header_for(self._keys, self._tenant, now, draft.expires)
                pairs = sort_pairs(listed, row_of, handles)
                recorded.write(
                    target.with_suffix(recorded.SUFFIX),
                    head,
                    pairs,
                    load_signing_key(self._keys, self._tenant),
                )
            return file.write(target, draft, parts, load_signing_key(self._keys, self._tenant))

    def _label(
        self, codes: IO[bytes], row_of: Array, size: int, parts: Mapping[str, IO[bytes]]
    ) -> CohortTable:
        """Write the combination of each of `size` customers, that of the last row with labels.

        Returns the table. `codes` has the combination of each row, `row_of` its customer. Labels
        that too few customers have are left out of the table.
        """
        kind = file.width_of(len(self.coder))
        if not size:
            return self.coder.table(np.zeros(len(self.coder), np.int64))
        parts["cohort"].truncate(size * np.dtype(kind).itemsize)
        cohort = np.memmap(parts["cohort"], kind, "r+", shape=(size,))
        codes.seek(0)
        for start in range(0, self._rows, AT_ONCE):
            row_codes = np.frombuffer(codes.read(4 * AT_ONCE), "<u4")
            filled = np.flatnonzero(row_codes)
            cohort[row_of[start : start + len(row_codes)][filled]] = row_codes[filled]
        table = self.coder.table(counts_of(cohort, len(self.coder)))
        cohort.flush()
        write_table(table, parts)
        return table


def add_label_sizes(
    header: file.WatchlistHeader, table: CohortTable | None
) -> file.WatchlistHeader:
    """Return the header with the sizes of the table of labels; unchanged without a table."""
    if table is None:
        return header
    size, dimensions = len(table.encode()), table.dimensions
    return replace(
        header, dimensions=dimensions, combinations=len(table.combination), label_bytes=size
    )


def write_table(table: CohortTable, parts: Mapping[str, IO[bytes]]) -> None:
    """Write the table of the combinations' numbers."""
    parts["combination"].write(table.combination.astype("<u2").tobytes())
    parts["labels"].write(table.encode())


def number_customers(customers: Runs, rows: int, handles: IO[bytes]) -> tuple[Array, int]:
    """Write the distinct pseudonyms to `handles`, sorted, and number the customers from 0 on.

    Returns the customer's number for each of `rows` rows, u32[rows], and the number of customers.
    """
    place_of, count = np.zeros(rows, np.uint32), 0
    for records in customers.ranges():
        new = fresh(records.high, records.low)
        place_of[records.number] = count + np.cumsum(new) - 1
        handles.write(file.join_halves(records.high[new], records.low[new]).data)
        count += int(new.sum())
    return place_of, count


def sort_pairs(listed: Runs, row_of: Array, handles: Tags) -> Iterator[Tags]:
    """Yield index hashes with their customers' pseudonyms, (n, 32), sorted and distinct."""
    for _, _, high, low, subject in listed.ranges(row_of):
        new = fresh(high, low, subject)
        yield np.concatenate(
            (file.join_halves(high[new], low[new]), handles.take(subject[new], axis=0)), axis=1
        )


def index_entries(
    entries: Runs, row_of: Array, bits: tuple[int, int], parts: Mapping[str, IO[bytes]]
) -> int:
    """Write the entries with their directory and bitmap; return their number.

    Entries are sorted by keyed hash and customer, and distinct. `row_of` (u32) maps the numbers of
    the records to rows of pseudonyms; `bits` are the logarithms of the directory's and the bitmap's
    size.
    """
    count = 0
    for first, beyond, high, low, subject in entries.ranges(row_of):
        new = fresh(high, low, subject)
        columns = (high, low, subject) if new.all() else (high[new], low[new], subject[new])
        for name, column in zip(("high", "low", "subject"), columns, strict=True):
            parts[name].write(column.data)
        buckets = _index_in_range(columns[0], bits[0], first)
        sizes = np.bincount(buckets, minlength=(beyond - first) << (bits[0] - RANGE_BITS))
        parts["directory"].write((count + np.cumsum(sizes) - sizes).astype("<u4").data)
        parts["bitmap"].write(_bitmap(columns[0], bits[1], first, beyond).data)
        count += len(columns[0])
    parts["directory"].write(np.array([count], "<u4").data)
    return count


def _bitmap(high: Array, bits: int, first: int, beyond: int) -> Array:
    """Return the words of the bitmap for ranges [first, beyond) of sorted hashes: u64[n]."""
    words = np.zeros((beyond - first) << (bits - WORD_BITS - RANGE_BITS), "<u8")
    if len(high):
        word = _index_in_range(high, bits - WORD_BITS, first)
        begins = np.flatnonzero(np.diff(word, prepend=-1))
        words[word[begins]] = np.bitwise_or.reduceat(marks(high, bits), begins)
    return words


def _index_in_range(high: Array, bits: int, first: int) -> npt.NDArray[np.int64]:
    """Return the top `bits` of each hash, counted from the start of range `first`."""
    return (high >> np.uint64(64 - bits)).astype(np.int64) - (first << (bits - RANGE_BITS))


@contextlib.contextmanager
def enrolling(
    keys: KeyStore, tenant: str, made: Sequence[Path] = ()
) -> Iterator[tuple[KeyStore, Callable[[], None]]]:
    """Yield the keys of `tenant` to build a list with, and a function that puts them in place.

    Call the function when the list is built, before it is installed. If anything fails, before or
    after, nothing of a new tenant remains, nor any of `made`, the paths that are created for the
    tenant after its keys; of an existing tenant, only keys that were missing are removed again. A
    process that is killed leaves a folder `.new-…` of the keys.
    """
    home = keys.root / tenant
    with _make_keys(keys, tenant) if home.is_dir() else _new(keys, tenant, made) as drafted:
        yield drafted


@contextlib.contextmanager
def _make_keys(keys: KeyStore, tenant: str) -> Iterator[tuple[KeyStore, Callable[[], None]]]:
    """Make the keys of a new tenant, and yield them; delete them again if the block fails.

    Keys that were there before stay.
    """
    home = keys.root / tenant
    before = set(home.iterdir())
    with contextlib.ExitStack() as undo:
        undo.callback(lambda: _remove(keys, set(home.iterdir()) - before))
        make_tenant(keys, tenant)
        yield keys, lambda: None
        undo.pop_all()


@contextlib.contextmanager
def _new(
    keys: KeyStore, tenant: str, made: Sequence[Path]
) -> Iterator[tuple[KeyStore, Callable[[], None]]]:
    home, fresh = keys.root / tenant, [path for path in made if not path.exists()]
    keys.root.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (
        tempfile.TemporaryDirectory(dir=keys.root, prefix=".new-") as folder,
        contextlib.ExitStack() as undo,
    ):
        drafted = replace(keys, root=Path(folder), is_draft=True)
        make_tenant(drafted, tenant)

        def place() -> None:
            try:
                (drafted.root / tenant).rename(home)
            except OSError:
                raise ConfigError(
                    f"{home} was created by another command meanwhile: run this one again"
                ) from None
            undo.callback(_remove, keys, [home, *fresh])
            sync_folder(keys.root)
            keys.enter([f"{tenant}/{path.name}" for path in sorted(home.iterdir())])

        yield drafted, place
        undo.pop_all()


def _remove(keys: KeyStore, paths: Iterable[Path]) -> None:
    for path in paths:
        keys.inventory.strike(path, *path.rglob("*"))
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
