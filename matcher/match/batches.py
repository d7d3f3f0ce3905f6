"""Search parts together, a mebibyte or more at a time.

A numpy call costs about the same for one document as for a hundred.

A single hash in a page means nothing, while a column of them may be a hundred thousand customers.
Digests are therefore reported by their share of a capture's lines. Since ordinary texts have
digests too, they are not reported if more values are in clear.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Generic, NamedTuple, Protocol, TypeVar

import numpy as np

from matcher.detect.candidates import NATIONAL, Candidates, Segment
from matcher.detect.numbers import DIGEST
from matcher.detect.search import search
from matcher.detect.unread import SPELT, unread_values
from matcher.lexicon import Lexicon, TextTerms
from matcher.match.lookup import ListQuery, build_mailbox_queries, build_queries
from matcher.match.parts import PartBatch, Piece, read
from matcher.records import DocumentColumns, RowTable, rows_of
from matcher.records.cookies import COOKIES, count_siteless_cookies
from matcher.unpack.protocol import UnreadValueCount
from matcher.watchlist.installation import TenantLists
from ullage.guard import STRICT, UNTRACED, DetectorFault, FaultGuard, SearchTrace
from ullage.identifiers.masked_value import FORM as MASKED
from ullage.lookup.values import readings
from ullage.security.masking import Secret

T = TypeVar("T")
BATCH = 4 * 1024 * 1024
"""Bytes at which a batch is full: a tenth faster than at 2 MiB, twice as fast as at 256 KiB; at
8 MiB memory runs short.
"""


@dataclass(frozen=True, slots=True)
class Public:
    """Public identifiers by kind, in normal form: a tenant's service numbers and addresses.

    They are nobody's leak, and are removed before rows, statistics and look-ups see them, so that
    none counts as a second person beside a customer. Hotlines such as 400…, 800… and 95… need no
    entry: they are no mobile numbers, and no kind matches them.
    """

    values: Mapping[str, frozenset[bytes]] = field(default_factory=dict)

    @classmethod
    def from_written(cls, written: Iterable[str]) -> Public:
        """Build the set of public values from numbers and addresses in any notation.

        A value that can be of several kinds, such as phone and card, is added as each. A value that
        is of no kind is ignored.
        """
        values_of: dict[str, set[bytes]] = defaultdict(set)
        for value in written:
            for kind, normal in readings(Secret(value)):
                values_of[kind].add(normal.reveal().encode())
        return cls({kind: frozenset(values) for kind, values in values_of.items()})

    def exclude_from(self, segments: Sequence[Segment]) -> Sequence[Segment]:
        """Return `segments` without public identifiers."""
        return [
            self._without(s) if s.kind in self.values and s.form == "plain" else s for s in segments
        ]

    def _without(self, segment: Segment) -> Segment:
        is_private = np.ones(len(segment), bool)
        for value in self.values[segment.kind]:
            if len(value) <= segment.normal.shape[1]:
                same = (segment.normal[:, : len(value)] == np.frombuffer(value, np.uint8)).all(
                    axis=1
                )
                is_private &= ~(same & (segment.length == len(value)))
        return segment if is_private.all() else segment.select(is_private)


class SearchResult:
    """A batch of parts with the results of its search.

    Rows and terms are computed on demand: most parts match no customer. A detector whose fault a
    lenient `guard` caught has no results.
    """

    def __init__(
        self,
        laid: PartBatch,
        lexicon: Lexicon,
        sheets: dict[int, DocumentColumns],
        public: Public,
        guard: FaultGuard = STRICT,
        codes: tuple[str, ...] = (),
    ) -> None:
        self.parts, self.batch, self.guard, self._seen = laid.parts, laid.batch, guard, laid.seen
        settled = search(laid.batch, laid.seen, guard, codes)
        self.segments, self.unlikely = (
            public.exclude_from(settled.segments),
            public.exclude_from(settled.beaten),
        )
        self._lexicon, self._sheets, self._public, self._codes = lexicon, sheets, public, codes

    def search_parts(self, numbers: Sequence[int]) -> SearchResult:
        """Search some of the parts again without the remaining ones.

        The first part must be among them if it continues an earlier one.
        """
        line = self.parts[numbers[0]].line
        laid = read(
            [self.parts[number].piece for number in numbers],
            self._lexicon.prescan,
            line,
            self.guard,
        )
        return SearchResult(
            laid, self._lexicon, self._sheets, self._public, self.guard, self._codes
        )

    @cached_property
    def asked(self) -> Sequence[ListQuery]:
        """Return the queries for all strong, unmasked values, laid out once for every list."""
        strong = [s for s in self.segments if not (s.weak or s.form == MASKED)]
        return [
            *build_queries([*strong, *self.unlikely]),
            *build_mailbox_queries(self.batch, strong),
        ]

    @property
    def has_queries(self) -> bool:
        """Return whether any list is queried for a value, a mask or a number as dialled."""
        return bool(self.asked) or any(
            segment.form in (MASKED, NATIONAL) for segment in self.segments
        )

    @cached_property
    def unread(self) -> Mapping[int, Counter[str]]:
        """Return how many values cannot be looked up in any list, by part number and form.

        A part may be missing if it has none. Computed at the first use.
        """
        counts = unread_values(self.batch, self.segments, self._seen.unread)
        for number, part in enumerate(self.parts if len(self._seen.cookies[0]) else ()):
            if count := count_siteless_cookies(part.text.utf8):
                counts.setdefault(number, Counter())[COOKIES] += count
        return counts

    @cached_property
    def candidates(self) -> Candidates:
        """Return all strong candidates in order of place."""
        return Candidates.merge(self.segments)

    @cached_property
    def rows(self) -> RowTable:
        """Return the table rows of all parts.

        A part that continues the text of the part before knows that part's columns.
        """
        goes_on = {
            number for number, part in enumerate(self.parts) if number and part.piece.goes_on
        }
        return rows_of(self.batch, self.candidates, self._sheets, goes_on)

    @cached_property
    def terms(self) -> Sequence[TextTerms]:
        """Return the lexicon's terms of each part."""
        return self._lexicon.read_batch(self.batch, self._seen)


class EvaluatedBatch(NamedTuple, Generic[T]):
    """The evaluation of some pieces.

    `result` is None if even the search failed; `faults` are the parts that failed.
    """

    pieces: Sequence[Piece]
    result: tuple[SearchResult, T] | None
    faults: Sequence[DetectorFault] = ()


@dataclass(frozen=True, slots=True)
class BatchSearch:
    """A search of pieces together, for everything but `public` identifiers.

    `codes` are the calling codes of which a list has customers (`list_enrolled_codes`). A fault
    costs only the result of the part that fails, for one document.
    """

    lexicon: Lexicon
    public: Public = field(default_factory=Public)
    trace: PieceTrace | None = None
    codes: tuple[str, ...] = ()

    def evaluate_batches(
        self, pieces: Iterable[Piece], evaluate: Callable[[SearchResult], T], size: int = 0
    ) -> Iterator[EvaluatedBatch[T]]:
        """Search `pieces` in batches of about `size` bytes (0: `BATCH`), and yield each evaluated.

        `evaluate` must have no side effects: if it or the search fails, it is called again for each
        piece of the batch alone. A fault of a single piece is not raised but yielded. The columns
        of a long text are carried from batch to batch. A batch is released before the next is read;
        a caller that keeps batches needs much more memory.
        """
        before: SearchResult | None = None
        first = 0
        for group in _group_pieces(pieces, size or BATCH):
            batch = None
            if len(group) > 1 and not (
                self.trace is not None and self.trace.is_suspect(first, len(group))
            ):
                carried, before = _TextState.continue_from(before, group[0], STRICT), None
                batch = self._evaluate_together(
                    group, carried, self._trace(first, len(group)), evaluate
                )
            if batch is not None and batch.result:
                before = batch.result[0]
                yield batch
            else:
                for number, piece in enumerate(group):
                    faults = list[DetectorFault]()
                    carried, before = (
                        _TextState.continue_from(before, piece, FaultGuard(faults.append)),
                        None,
                    )
                    batch = None
                    batch = self._evaluate_alone(
                        piece, carried, faults, self._trace(first + number, 1), evaluate
                    )
                    before = batch.result[0] if batch.result else None
                    yield batch
            del batch
            first += len(group)
            if self.trace is not None:
                self.trace.rest()

    def _trace(self, first: int, count: int) -> SearchTrace:
        return self.trace.of(first, count) if self.trace is not None else UNTRACED

    def _evaluate_together(
        self,
        group: Sequence[Piece],
        carried: _TextState,
        trace: SearchTrace,
        evaluate: Callable[[SearchResult], T],
    ) -> EvaluatedBatch[T]:
        """Search pieces together.

        If a part fails, there is no result: each piece is then searched alone, to find the part.
        """
        act = partial(self._evaluate, group, carried, FaultGuard(trace=trace), evaluate)
        return EvaluatedBatch(group, FaultGuard(lambda _fault: None).run("search", act, None))

    def _evaluate_alone(
        self,
        piece: Piece,
        carried: _TextState,
        faults: list[DetectorFault],
        trace: SearchTrace,
        evaluate: Callable[[SearchResult], T],
    ) -> EvaluatedBatch[T]:
        """Search one piece, without the parts that fail, which are added to `faults`."""
        guard = FaultGuard(faults.append, trace)
        act = partial(self._evaluate, [piece], carried, guard, evaluate)
        return EvaluatedBatch([piece], guard.run("search", act, None), faults)

    def _evaluate(
        self,
        group: Sequence[Piece],
        carried: _TextState,
        guard: FaultGuard,
        evaluate: Callable[[SearchResult], T],
    ) -> tuple[SearchResult, T]:
        laid = read(group, self.lexicon.prescan, carried.line, guard)
        searched = SearchResult(laid, self.lexicon, carried.sheets, self.public, guard, self.codes)
        return searched, evaluate(searched)


class PieceTrace(Protocol):
    """A record of the pieces and the parts in which an earlier process died.

    Pieces are counted from 0 over a whole run.
    """

    def is_suspect(self, first: int, count: int) -> bool:
        """Return whether a process died while it searched one of these pieces.

        They are the `count` pieces from the number `first` on; if True, each must be searched
        alone.
        """

    def of(self, first: int, count: int) -> SearchTrace:
        """Return the trace to use while these pieces are searched.

        They are the `count` pieces from the number `first` on.
        """

    def rest(self) -> None:
        """Record that the search of pieces is over, and that the next ones are read."""


class _TextState(NamedTuple):
    """The state that a text carries from one batch into the next.

    It is the number of line ends so far, and the columns.
    """

    line: int
    sheets: dict[int, DocumentColumns]

    @classmethod
    def continue_from(
        cls, before: SearchResult | None, piece: Piece, guard: FaultGuard
    ) -> _TextState:
        """Return the state that `piece` carries over from the batch before.

        It is empty if there is no such batch, or if the piece begins a text.
        """
        if before is None or not piece.goes_on:
            return cls(0, {})
        last = len(before.parts) - 1
        sheets = guard.run(
            "evidence", lambda: {0: before.rows.to_carried(last)}, dict[int, DocumentColumns]()
        )
        return cls(before.parts[-1].line_behind, sheets)


def batches(
    pieces: Iterable[Piece],
    lexicon: Lexicon,
    public: Public | None = None,
    codes: tuple[str, ...] = (),
) -> Iterator[SearchResult]:
    """Yield `pieces` in batches, searched for everything but `public` identifiers.

    `codes` are as in `BatchSearch`. Raises `RuntimeError` if a part fails.
    """
    search_ = BatchSearch(lexicon, public or Public(), codes=codes)
    for batch in search_.evaluate_batches(pieces, lambda _searched: None):
        if batch.result is None or batch.faults:
            raise RuntimeError(", ".join(f"{part}: {cause}" for part, cause in batch.faults))
        yield batch.result[0]


def _group_pieces(pieces: Iterable[Piece], enough: int) -> Iterator[list[Piece]]:
    """Yield groups of pieces, in order, each as soon as it has `enough` bytes.

    The last may have fewer; no pieces give no group.
    """
    group: list[Piece] = []
    size = 0
    for piece in pieces:
        group.append(piece)
        size += piece.size
        if size >= enough:
            yield group
            group, size = [], 0
    if group:
        yield group


class Threshold(NamedTuple):
    """How many values of one form, that no list can be searched for, are worth reporting.

    At least `fewest` that are one in `lines` lines, or `alone` that are half of the lines, or
    `many` anywhere.
    """

    fewest: int
    lines: int
    many: int | None = None
    alone: int = 1
    """Values needed if they are in half of the lines."""

    def is_met(self, count: int, lines: int) -> bool:
        """Return whether `count` values in a text of `lines` lines are to be reported."""
        enough = count >= self.fewest and count * self.lines >= lines
        return (
            enough
            or (count >= self.alone and count * 2 >= lines)
            or (self.many is not None and count >= self.many)
        )


THRESHOLDS = {
    "masked": Threshold(3, 100, 100),
    "spelt": Threshold(2, 20, alone=2),
    "digests": Threshold(3, 10, alone=3),
    "salted": Threshold(3, 10, alone=3),
    "cookies": Threshold(2, 10),
}
NAMES = {
    "md5": "MD5",
    "sha1": "SHA-1",
    "sha256": "SHA-256",
    "sha384": "SHA-384",
    "sha512": "SHA-512",
}
"""Forms of digests, as a person calls them."""


@dataclass(slots=True)
class UnreadValues:
    """Values of one capture that no list can be searched for.

    `path` is the text with the first of them; `read` are the forms of digests that matched a
    customer.
    """

    counts: Counter[str] = field(default_factory=Counter)
    lines: int = 0
    readable: int = 0
    read: set[str] = field(default_factory=set)
    path: str = ""

    def add(self, path: str, counts: Mapping[str, int], readable: int, lines: int) -> None:
        """Add the unread values of the next part, by form in `counts`, under the part's `path`.

        `readable` is the number of its values in clear, `lines` that of its lines. The path that is
        kept is that of the first part with unread values.
        """
        self.path = self.path if self.counts else path
        self.counts.update(counts)
        self.readable += readable
        self.lines += lines

    def list_reportable(self, enrolled: Collection[str]) -> list[UnreadValueCount]:
        """Return the numbers of unread values that are high enough to report, with the reason.

        `enrolled` are the digest forms that the customer lists contain: with one of these the
        digests are probably salted. Digests count only if they are more than the values in clear,
        and their form matched no customer. THRESHOLDS says which numbers are high.
        """
        forms = {
            form: self.counts[form]
            for form in NAMES
            if self.counts[form] > 0 and form not in self.read
        }
        candidates = [
            UnreadValueCount(self.path, reason, self.counts[form])
            for reason, form in (("masked", MASKED), ("spelt", SPELT), ("cookies", COOKIES))
        ]
        for reason, is_in in (("digests", False), ("salted", True)):
            digest_counts = {
                form: count for form, count in forms.items() if (form in enrolled) == is_in
            }
            count = sum(digest_counts.values())
            if count > self.readable:
                candidates.append(
                    UnreadValueCount(
                        self.path,
                        reason,
                        count,
                        NAMES[max(digest_counts, key=lambda form: digest_counts[form])],
                    )
                )
        return [
            value_count
            for value_count in candidates
            if value_count.number
            and THRESHOLDS[value_count.reason].is_met(value_count.number, self.lines)
        ]


class ValueCounts(NamedTuple):
    """Counts of one part, as `UnreadValues.add` takes them.

    They are values that no list can be searched for, by form; values in clear; and lines.
    """

    path: str
    counts: Counter[str]
    readable: int
    lines: int


def count_values(searched: SearchResult, numbers: Iterable[int]) -> dict[int, ValueCounts]:
    """Count the values of some parts that no list can be queried for, by number of part.

    Counted with them are the valid values in clear and the lines of the part. A part without any is
    in the result too.
    """
    clear = np.zeros(len(searched.parts), np.int64)
    for segment in searched.segments:
        if not segment.weak and segment.kind != DIGEST:
            clear += np.bincount(
                searched.batch.documents(segment.start[segment.valid]), minlength=len(clear)
            )
    value_counts = dict[int, ValueCounts]()
    for number in numbers:
        part, counts = searched.parts[number], searched.unread.get(number, Counter())
        value_counts[number] = ValueCounts(
            part.piece.path, counts, int(clear[number]), part.text.utf8.count(b"\n") + 1
        )
    return value_counts


def list_enrolled_codes(lists: Sequence[TenantLists]) -> tuple[str, ...]:
    """Return the calling codes of which any of the lists has customers, the most frequent first.

    Most numbers are then read with the first code.
    """
    counts: Counter[str] = Counter()
    for tenant_lists in lists:
        for epoch in tenant_lists.epochs:
            counts.update(epoch.list.count_phones_abroad())
    return tuple(code for code, _ in counts.most_common())


def list_enrolled_forms(lists: Sequence[TenantLists]) -> frozenset[str]:
    """Return the forms in which values are enrolled in any of the lists."""
    return frozenset(
        form
        for tenant_lists in lists
        for epoch in tenant_lists.epochs
        for _, form in epoch.list.kinds
    )
