"""Match captures: captures in, readings out, one for each; `findings` publishes the readings.

1. `parts` opens a capture: containers are unpacked, long texts cut into windows, each a piece.
2. `batches` folds pieces and searches them together, 4 MiB at a time, for candidates.
3. `lookup` computes the keyed hashes of candidates and looks them up in each tenant's watchlist.
   Each result is a row of the match table.
4. `corroborate` finds the row of text of each match, and the other fields of the same customer in
   it.
5. `counts` scores the matches, counts customers and finds the places to report; `statistics`
   counts the whole capture.
6. `capture_result` collects the results by capture, part by part.

Nothing here outlives a call: texts, candidates and names are dropped with the batch.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from matcher.columns.batch import Places
from matcher.lexicon import Lexicon, TextTerms
from matcher.match.batches import (
    BatchSearch,
    PieceTrace,
    Public,
    SearchResult,
    count_values,
    list_enrolled_codes,
    list_enrolled_forms,
)
from matcher.match.capture_key import CaptureKey
from matcher.match.capture_result import BudgetUse, CaptureBudget, CaptureReading
from matcher.match.corroborate import look_up
from matcher.match.counts import (
    NO_ROWS,
    EpochMatches,
    MatchedRows,
    RowKey,
    latest_adult_birthday,
    score,
    score_without_rows,
    to_match_list,
    to_match_list_without_rows,
)
from matcher.match.lookup import (
    ListedMatches,
    WeighedMatches,
    build_queries,
    find_customers,
    find_customers_without_rows,
    select_enrolled,
)
from matcher.match.parts import Piece, explain_encoded, pieces_of_capture
from matcher.match.statistics import StatisticsPart as Counted
from matcher.match.whose_rows import (
    NOTHING,
    OtherLists,
    OtherNames,
    RowComparison,
    compare_rows,
    select_own_cards,
)
from matcher.records.logins import LoginFinder
from matcher.text import fold
from matcher.unpack.parent import ForkServer
from matcher.unpack.protocol import UnreadPart
from matcher.watchlist.installation import Epoch, TenantLists
from ullage.records import Capture


class Own(NamedTuple):
    """What belongs to the tenants: domains by tenant, card ranges by tenant, and public numbers.

    `staff` are the hosts and mail domains of a tenant's staff, `names` its brands and domains,
    `others` the names of other platforms in its settings.
    """

    domains: Mapping[str, str] = {}
    bins: Mapping[str, Sequence[str]] = {}
    public: Public = Public()
    staff: Mapping[str, Sequence[str]] = {}
    names: Mapping[str, Sequence[str]] = {}
    others: Mapping[str, Sequence[str]] = {}


class Matcher:
    """The matcher of captures against every tenant's watchlist and the lexicon, a batch at a time.

    Without `detailed`, matches are only counted: a file of gigabytes has more matches than fit into
    memory.
    """

    def __init__(
        self,
        lists: Sequence[TenantLists],
        lexicon: Lexicon,
        key: CaptureKey,
        own: Own,
        *,
        detailed: bool = True,
    ) -> None:
        self.lists, self.key, self.lexicon, self._own, self._detailed = (
            lists,
            key,
            lexicon,
            own,
            detailed,
        )
        self.public = own.public
        self._forms, self._codes = list_enrolled_forms(lists), list_enrolled_codes(lists)
        self._others = OtherNames(own.others, own.names)
        self._other_lists = OtherLists(own.others, own.names)
        self._logins = (
            LoginFinder(own.domains, own.staff) if own.domains or any(own.staff.values()) else None
        )

    def read(
        self,
        captures: Iterable[Capture],
        budget: CaptureBudget | None = None,
        trace: PieceTrace | None = None,
    ) -> Iterator[CaptureReading]:
        """Yield the reading (all that was found) of each capture, in order.

        A reading comes after the batch with the capture's last part. Content beyond the `budget` is
        left out, and if a detector fails on a capture, its result is missing; the reading records
        these.
        """
        readings: list[CaptureReading] = []

        def pieces() -> Iterator[Piece]:
            # not for longer: what unpacks these captures never meets later ones
            with ForkServer() as server:
                for number, capture in enumerate(captures):
                    reading = CaptureReading(capture, self.key, self.lexicon.records, budget=budget)
                    reading.title_terms = reading.guard.run(
                        "lexicon", partial(self._read_title, capture), TextTerms()
                    )
                    readings.append(reading)
                    with reading.guard.step("unpack"):
                        yield from self._pieces(number, reading, server)

        return self.gather(pieces(), readings, trace)

    def _read_title(self, capture: Capture) -> TextTerms:
        """Return the lexicon's terms in a title."""
        return self.lexicon.read(fold(capture.title).text) if capture.title else TextTerms()

    def _pieces(self, number: int, reading: CaptureReading, server: ForkServer) -> Iterator[Piece]:
        """Yield the pieces of one capture within its budget.

        Ends at the first piece that the budget refuses. Parts that look encoded are recorded as
        unread, once each, and yielded.
        """
        limits = reading.spent.budget.to_limits() if reading.spent else None
        pieces = pieces_of_capture(
            number, reading.capture, reading.skip, limits, server, guard=reading.guard
        )
        named = set[str]()
        with contextlib.closing(pieces):
            for piece in pieces:
                if reading.refuses(piece):
                    return
                if piece.path not in named and (reason := explain_encoded(piece)):
                    named.add(piece.path)
                    reading.skip(UnreadPart(piece.path, reason))
                yield piece

    def gather(
        self,
        pieces: Iterable[Piece],
        readings: list[CaptureReading],
        trace: PieceTrace | None = None,
    ) -> Iterator[CaptureReading]:
        """Search `pieces`, add the results to `readings`, and yield each complete reading.

        The iterator `pieces` appends to `readings` as it is consumed; a yielded reading is removed.
        """
        finished = 0

        def evaluate(searched: SearchResult) -> list[Addition]:
            return self._evaluate(
                searched, [readings[part.piece.source - finished] for part in searched.parts]
            )

        search = BatchSearch(self.lexicon, self.public, trace, self._codes)
        for batch in search.evaluate_batches(pieces, evaluate):
            for fault in batch.faults:  # of a single piece
                readings[batch.pieces[0].source - finished].add_fault(fault)
            for addition in batch.result[1] if batch.result else ():
                addition.reading.guard.run(addition.part, addition.act, None)
            complete = batch.pieces[-1].source - finished
            del batch  # the next batch is read only when this one is gone
            yield from readings[:complete]
            del readings[:complete]
            finished += complete
        yield from readings

    def _evaluate(
        self, searched: SearchResult, readings: Sequence[CaptureReading]
    ) -> list[Addition]:
        """Return what a batch adds to the readings of its parts.

        Nothing is added before all of it is known. A step that fails adds nothing; the batch's
        guard raises its error or notes it.
        """
        adding = list[Addition]()
        searched, readings, valid = self._drop_over_budget(searched, readings, adding)
        guard, none = searched.guard, list[Addition]
        terms: Sequence[TextTerms] = [TextTerms()] * len(readings)
        terms = guard.run("lexicon", lambda: searched.terms, terms)
        for part, reading, part_terms, count in zip(
            searched.parts, readings, terms, valid, strict=True
        ):
            adding.append(Addition(reading, "search", partial(reading.add_valid, count)))
            if count or part.piece.path:
                see = partial(reading.device_logs.see, part.piece.path, part.text.utf8)
                adding.append(Addition(reading, "logins", see))
            adding.append(
                Addition(
                    reading,
                    "lexicon",
                    partial(reading.add_text, part.text, part_terms, streamed=part.piece.streamed),
                )
            )
        parts: list[tuple[str, Callable[[], list[Addition]]]] = [
            ("logins", lambda: self._find_logins(searched, readings))
        ]
        for lists in self.lists:
            parts += [
                ("look_up", partial(self._find, searched, readings, lists, epoch))
                for epoch in lists.epochs
            ]
            parts.append(("own_cards", partial(self._find_own_cards, searched, readings, lists)))
        parts.append(("unread_values", lambda: self._count_unread(searched, readings)))
        parts.append(("offers", lambda: self._find_offers(searched, readings, terms)))
        for name, act in parts:
            adding += guard.run(name, act, none())
        concerned = self._select_concerned(searched, readings, terms, adding)
        adding += guard.run(
            "statistics", lambda: self._count(searched, readings, concerned), none()
        )
        adding += guard.run(
            "other_names", lambda: self._count_others(searched, readings, concerned), none()
        )
        return adding

    def _drop_over_budget(
        self, searched: SearchResult, readings: Sequence[CaptureReading], adding: list[Addition]
    ) -> tuple[SearchResult, Sequence[CaptureReading], list[int]]:
        """Return the parts within their captures' budgets.

        With them come their readings and their numbers of valid candidates. A capture of a single
        piece is read completely.
        """
        valid, included, spent = _count_valid(searched), list[int](), dict[int, BudgetUse]()
        for number, (part, reading) in enumerate(zip(searched.parts, readings, strict=True)):
            if part.piece.streamed and reading.spent:
                use = spent.setdefault(id(reading), replace(reading.spent))
                if reason := use.find_exceeded(part.piece):
                    adding.append(
                        Addition(reading, "search", partial(reading.incomplete.add, reason))
                    )
                    continue
                lines = part.line_behind - part.line + 1
                use.add(part.piece, valid[number], lines)
                adding.append(
                    Addition(
                        reading,
                        "search",
                        partial(reading.spent.add, part.piece, valid[number], lines),
                    )
                )
            included.append(number)
        if len(included) == len(readings):
            return searched, readings, valid
        return (
            searched.search_parts(included),
            [readings[number] for number in included],
            [valid[number] for number in included],
        )

    def _select_concerned(
        self,
        searched: SearchResult,
        readings: Sequence[CaptureReading],
        terms: Sequence[TextTerms],
        adding: Sequence[Addition],
    ) -> Places:
        """Return the numbers of parts whose readings concern a tenant.

        Readings that may concern one after `adding` are included.
        """
        touched = {id(addition.reading) for addition in adding if addition.part in CONCERNING}
        return np.flatnonzero(
            [
                part.piece.streamed
                or id(reading) in touched
                or bool(part_terms.brands or reading.title_terms.brands)
                or any(reading.concerns(lists.tenant) for lists in self.lists)
                for part, reading, part_terms in zip(searched.parts, readings, terms, strict=True)
            ]
        )

    def _count(
        self, searched: SearchResult, readings: Sequence[CaptureReading], concerned: Places
    ) -> list[Addition]:
        """Count the `concerned` parts of a batch into the statistics of their readings."""
        if not len(concerned):
            return []
        about = frozenset(
            number for number, part in enumerate(searched.parts) if part.piece.is_about
        )
        counted = Counted(searched.batch, searched.segments, searched.rows, self.key, about)
        searched.rows.lay_out(concerned)
        return [
            Addition(readings[n], "statistics", partial(readings[n].tally, counted, n))
            for n in concerned.tolist()
        ]

    def _count_unread(
        self, searched: SearchResult, readings: Sequence[CaptureReading]
    ) -> list[Addition]:
        """Count the values that no list can be searched for."""
        numbers = [
            n
            for n, part in enumerate(searched.parts)
            if part.piece.streamed or n in searched.unread
        ]
        additions = [
            Addition(
                readings[number], "unread_values", partial(readings[number].values.add, *counts)
            )
            for number, counts in (count_values(searched, numbers) if numbers else {}).items()
        ]
        several = dict.fromkeys(readings[number] for number in numbers)
        return additions + [
            Addition(reading, "unread_values", partial(reading.report_values, self._forms))
            for reading in several
        ]

    def _find(
        self,
        searched: SearchResult,
        readings: Sequence[CaptureReading],
        lists: TenantLists,
        epoch: Epoch,
    ) -> list[Addition]:
        """Look up a batch in one key generation of one tenant's list.

        If the rows cannot be read, the customers are still found by their values.
        """
        if not searched.has_queries:
            return []
        looked = searched.guard.run(
            "evidence", partial(self._look_up_rows, searched, readings, lists, epoch), None
        )
        if looked is None:
            looked = self._look_up_values(searched, readings, lists, epoch)
        return (
            self._build_additions(searched, readings, lists, epoch, looked)
            if len(looked.found)
            else []
        )

    def _look_up_rows(
        self,
        searched: SearchResult,
        readings: Sequence[CaptureReading],
        lists: TenantLists,
        epoch: Epoch,
    ) -> _EpochResult:
        """Return the customers in a batch, and what their rows prove."""
        matches = look_up(epoch, searched)
        if not len(matches):
            return _EpochResult(score_without_rows(matches, self.key), NO_ROWS, None, NOTHING)
        numbers, first = np.unique(matches.document, return_index=True)
        adults = np.array(
            [
                latest_adult_birthday(readings[number].capture.fetched_at.date())
                for number in numbers.tolist()
            ],
            np.int64,
        )
        weighed, rows = score(
            searched, matches, self.key, np.repeat(adults, np.diff(first, append=len(matches)))
        )
        match_list = (
            to_match_list(lists, epoch, searched, weighed)
            if self._lists_matches(readings, numbers, lists, epoch)
            else None
        )
        return _EpochResult(weighed, rows, match_list, compare_rows(epoch, searched, matches))

    def _look_up_values(
        self,
        searched: SearchResult,
        readings: Sequence[CaptureReading],
        lists: TenantLists,
        epoch: Epoch,
    ) -> _EpochResult:
        """Return the customers in a batch, without their rows."""
        matches = score_without_rows(
            find_customers_without_rows(epoch, searched.batch, searched.asked), self.key
        )
        lists_some = self._lists_matches(readings, np.unique(matches.document), lists, epoch)
        return _EpochResult(
            matches,
            NO_ROWS,
            to_match_list_without_rows(lists, epoch, searched, matches) if lists_some else None,
            NOTHING,
        )

    def _lists_matches(
        self, readings: Sequence[CaptureReading], numbers: Places, lists: TenantLists, epoch: Epoch
    ) -> bool:
        """Return whether one of the readings with these numbers has room for another match.

        Listing a match costs more than counting it.
        """
        name = lists.tenant, epoch.number
        return self._detailed and any(
            readings[n].room is None
            or name not in readings[n].found
            or not readings[n].found[name].is_full
            for n in numbers.tolist()
        )

    def _build_additions(
        self,
        searched: SearchResult,
        readings: Sequence[CaptureReading],
        lists: TenantLists,
        epoch: Epoch,
        looked: _EpochResult,
    ) -> list[Addition]:
        """Return the matches as additions to the readings of their parts."""
        matches_found, rows, additions = looked.found, looked.rows, list[Addition]()
        forms = {
            matches_found.asked[number].form for number in np.unique(matches_found.query).tolist()
        }
        numbers, first = np.unique(matches_found.document, return_index=True)
        of_row = searched.rows.document[rows.rows] if len(rows.rows) else rows.rows
        borders = zip(
            pairwise([*first.tolist(), len(matches_found)]),
            pairwise(np.searchsorted(of_row, np.append(numbers, len(readings))).tolist()),
            strict=True,
        )
        for number, (match_range, row_range) in zip(numbers.tolist(), borders, strict=True):
            matches, counts = (
                matches_found.take(slice(*match_range)),
                rows.count_keys(slice(*row_range)),
            )
            match_list = looked.listed.take(slice(*match_range)) if looked.listed else None
            path = searched.parts[number].piece.path
            add = partial(
                self._add_matches,
                readings[number],
                (lists.tenant, epoch.number),
                path,
                forms,
                matches,
                counts,
                match_list,
            )
            additions.append(Addition(readings[number], "look_up", add))
        for number, subject, is_sure, agrees in zip(
            *(column.tolist() for column in looked.compared), strict=True
        ):
            add_witness = partial(
                _add_witness,
                readings[number],
                (lists.tenant, epoch.number),
                subject,
                is_sure,
                agrees,
            )
            additions.append(Addition(readings[number], "look_up", add_witness))
        return additions

    def _add_matches(
        self,
        reading: CaptureReading,
        name: tuple[str, int],
        path: str,
        forms: Collection[str],
        matches: WeighedMatches,
        rows: Counter[RowKey],
        listed: ListedMatches | None,
    ) -> None:
        """Add the matches of one part to its reading.

        `name` is the tenant and the key generation of the list.
        """
        reading.values.read |= {*forms}
        into = reading.found.setdefault(name, EpochMatches(name[1], reading.room))
        into.add(matches, rows)
        reading.device_logs.add(*name, path, rows.total())
        if self._detailed and not (listed and into.list_matches(listed)):
            reading.incomplete.add("matches")

    def _find_logins(
        self, searched: SearchResult, readings: Sequence[CaptureReading]
    ) -> list[Addition]:
        """Return the logins and cookies at tenants' own domains as additions to the readings.

        Returns [] if no tenant has such domains.
        """
        if not self._logins:
            return []
        hosts, additions = self._logins.sites.hosts(searched.batch), list[Addition]()
        lines = self._logins.find(hosts)
        columns = (lines.document, lines.tenant, lines.key, lines.staff)
        for number, tenant, key, is_staff in zip(*(c.tolist() for c in columns), strict=True):
            reading, name = readings[number], lines.tenants[tenant]
            additions.append(
                Addition(
                    reading, "logins", partial(reading.add_login, name, key, is_staff=is_staff)
                )
            )
        for cookie in self._logins.cookies.find(hosts):
            reading, name = readings[cookie.document], lines.tenants[cookie.tenant]
            additions.append(Addition(reading, "logins", partial(reading.add_cookie, name, cookie)))
        return additions

    def _count_others(
        self, searched: SearchResult, readings: Sequence[CaptureReading], concerned: Places
    ) -> list[Addition]:
        """Return, as additions, how many rows of the concerned parts name another platform.

        Counted are rows that name it themselves, and all rows of a list that says to be another
        platform's.
        """
        additions = list[Addition]()
        for tenant, rows in (
            self._others.find_rows(searched) if self._others and len(concerned) else ()
        ):
            counts = np.bincount(searched.rows.document[rows], minlength=len(readings))
            for number in concerned[counts[concerned] > 0].tolist():
                count = partial(
                    readings[number].rows_of_others.update, {tenant: int(counts[number])}
                )
                additions.append(Addition(readings[number], "other_names", count))
        tenants = [lists.tenant for lists in self.lists]
        for number in concerned.tolist():
            reading = readings[number]
            rows_of = {
                tenant: len(searched.rows.find_rows(number))
                for tenant in self._other_lists.find_tenants(
                    searched, number, reading.capture.title, tenants
                )
            }
            additions.append(
                Addition(
                    reading, "other_names", partial(reading.rows_of_other_lists.update, rows_of)
                )
            )
        return additions

    def _find_own_cards(
        self, searched: SearchResult, readings: Sequence[CaptureReading], lists: TenantLists
    ) -> list[Addition]:
        """Return the valid cards of the tenant's ranges as additions; cards are keyed numbers.

        Each says whether it is enrolled. Returns [] if the tenant has set no ranges.
        """
        additions, bins = list[Addition](), self._own.bins.get(lists.tenant, ())
        for segment in searched.segments if bins else ():
            if segment.kind == "card":
                mine = segment.select(
                    segment.valid & select_own_cards(segment.normal, segment.length, {"": bins})[""]
                )
                if not len(mine):
                    continue
                queries = list(build_queries([mine]))
                places = [
                    find_customers(epoch, select_enrolled(queries, epoch.list.kinds)).value
                    for epoch in lists.epochs
                ]
                is_known = np.isin(np.arange(len(mine)), np.concatenate(places))
                words, parts = self.key.tag_segment(mine), searched.batch.documents(mine.start)
                rows = searched.rows.holding(mine.start)
                for number in np.unique(parts).tolist():
                    in_part = parts == number
                    add = partial(
                        readings[number].own_cards[lists.tenant].add,
                        words[in_part],
                        is_known[in_part],
                        rows[in_part],
                    )
                    additions.append(Addition(readings[number], "own_cards", add))
        return additions

    def _find_offers(
        self, searched: SearchResult, readings: Sequence[CaptureReading], terms: Sequence[TextTerms]
    ) -> list[Addition]:
        """Return the tenants whose data a part offers for sale, as additions to the readings."""
        additions = list[Addition]()
        for number, (reading, part_terms) in enumerate(zip(readings, terms, strict=True)):
            title = reading.title_terms
            if part_terms.others or title.others:
                all_terms = part_terms.add_title(title)
                count_rows = partial(lambda number: len(searched.rows.find_rows(number)), number)
                rows = searched.guard.run("offers", count_rows, 0) if all_terms.brands else 0
                additions.append(
                    Addition(reading, "offers", partial(_add_offers, reading, all_terms, rows))
                )
        return additions


class Addition(NamedTuple):
    """Something that a part of matching adds to a reading, by calling `act` one time."""

    reading: CaptureReading
    part: str
    act: Callable[[], object]


CONCERNING = frozenset(("logins", "look_up", "offers"))
"""Parts whose additions may be the reason for reporting a reading."""


class _EpochResult(NamedTuple):
    """The result of one key generation of one tenant's list for a batch.

    `listed` is None if no reading lists matches.
    """

    found: WeighedMatches
    rows: MatchedRows
    listed: ListedMatches | None
    compared: RowComparison


def _count_valid(searched: SearchResult) -> list[int]:
    """Return the number of valid candidates of each part."""
    counts = np.zeros(len(searched.parts), np.int64)
    for segment in searched.segments:
        if not segment.weak:
            counts += np.bincount(
                searched.batch.documents(segment.start[segment.valid]), minlength=len(counts)
            )
    return counts.tolist()


def _add_witness(
    reading: CaptureReading, name: tuple[str, int], subject: int, is_sure: bool, agrees: bool
) -> None:
    reading.found[name].witnesses.add(subject, is_sure=is_sure, agrees=agrees)


def _add_offers(reading: CaptureReading, terms: TextTerms, rows: int) -> None:
    """Add the tenants whose data is offered.

    Call it when the part's excerpts have been added, since they show how much is claimed.
    """
    claimed = reading.claimed if terms.brands and terms.is_traded else 0
    reading.offered.update(tenant for tenant in terms.brands if terms.offers(tenant, rows, claimed))
