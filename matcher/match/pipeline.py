"""Matching on one screen: captures in, readings out, one for each; `findings` turns those into what is published.

1. `parts` opens a capture: containers are unpacked, long texts cut into windows, each a piece.
2. `batches` folds pieces and searches them together, 4 MiB at a time, for candidates.
3. `lookup` tags candidates and looks them up in each tenant's watchlist. What it knows is a row of the match table.
4. `corroborate` finds the rows of the text in which those stand, and what else of the same customer stands there.
5. `counts` weighs that, counts customers and finds the places that are told; `statistics` counts the whole capture.
6. `capture_result` gathers all of it by capture, while its parts go by.

Nothing here outlives a call: texts, candidates and names are dropped with the batch.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from matcher.columns.batch import Places
from matcher.lexicon import Lexicon, TextTerms
from matcher.match.batches import Public, SearchResult, batches, count_values, forms_of
from matcher.match.capture_key import CaptureKey
from matcher.match.capture_result import CaptureBudget, CaptureReading
from matcher.match.corroborate import look_up
from matcher.match.counts import NO_ROWS, EpochMatches, MatchedRows, adult_until, listed, listed_barely, weigh, weigh_barely
from matcher.match.lookup import Matches, ask, ask_barely, enrolled, questions
from matcher.match.parts import Piece, Steps, encoded, pieces_of_capture, strictly
from matcher.match.statistics import StatisticsPart as Counted
from matcher.match.whose_rows import NOTHING, OtherLists, OtherNames, RowComparison, compared, own_cards
from matcher.records.logins import LoginFinder
from matcher.text import fold
from matcher.unpack.parent import ForkServer
from matcher.unpack.protocol import UnreadPart
from matcher.watchlist.installation import Epoch, TenantLists
from ullage.records import Capture


class Own(NamedTuple):
    """What belongs to the tenants themselves: domains, each with its tenant, tenants with their card ranges, public numbers.

    `staff` are the hosts and mail domains of a tenant's own people, `names` its brands and domains, `others` are names of other
    platforms, as its settings give them.
    """

    domains: Mapping[str, str] = {}
    bins: Mapping[str, Sequence[str]] = {}
    public: Public = Public()
    staff: Mapping[str, Sequence[str]] = {}
    names: Mapping[str, Sequence[str]] = {}
    others: Mapping[str, Sequence[str]] = {}


class Matcher:
    """Matches captures against every tenant's watchlist and the lexicon, a batch at a time.

    Without `detailed` what was found is counted only: a file of gigabytes has more matches than fit in memory.
    """

    def __init__(
        self, lists: Sequence[TenantLists], lexicon: Lexicon, key: CaptureKey, own: Own, *, detailed: bool = True
    ) -> None:
        self.lists, self.key, self.lexicon, self._own, self._detailed = lists, key, lexicon, own, detailed
        self.public = own.public
        self._forms = forms_of(lists)
        self._others = OtherNames(own.others, own.names)
        self._other_lists = OtherLists(own.others, own.names)
        self._logins = LoginFinder(own.domains, own.staff) if own.domains or any(own.staff.values()) else None

    def read(self, captures: Iterable[Capture], budget: CaptureBudget | None = None) -> Iterator[CaptureReading]:
        """What was found in each capture, in order; each comes when the batch with its last part is done.

        Of one that exceeds the `budget` the rest is left out.
        """
        readings: list[CaptureReading] = []

        def pieces() -> Iterator[Piece]:
            with ForkServer() as server:  # not for longer: what unpacks these captures never meets later ones
                for number, capture in enumerate(captures):
                    readings.append(CaptureReading(capture, self.key, self.lexicon.records, self._said(capture), budget))
                    yield from self._pieces(number, readings[-1], server)

        return self.gather(pieces(), readings)

    def salvage(self, capture: Capture, budget: CaptureBudget | None = None) -> CaptureReading:
        """What can be found in a capture at which a step of matching fails: all that does not follow from that step.

        It is searched a piece at a time, so that a fault in one part costs no other.
        """
        reading = CaptureReading(capture, self.key, self.lexicon.records, None, budget, careful=True)
        with reading.step("lexicon"):
            reading.title_terms = self._said(capture)

        def pieces() -> Iterator[Piece]:
            with ForkServer() as server, reading.step("unpack"):
                yield from self._pieces(0, reading, server)

        list(self.gather(pieces(), [reading], reading.step, 1))
        return reading

    def _said(self, capture: Capture) -> TextTerms:
        """What the lexicon says of a title."""
        return self.lexicon.read(fold(capture.title).text) if capture.title else TextTerms()

    def _pieces(self, number: int, reading: CaptureReading, server: ForkServer) -> Iterator[Piece]:
        """The pieces of one capture, as far as its budget goes."""
        limits = reading.spent.budget.limits() if reading.spent else None
        pieces = pieces_of_capture(number, reading.capture, reading.skip, limits, server, step=reading.step)
        named = set[str]()
        with contextlib.closing(pieces):
            for piece in pieces:
                if reading.refuses(piece):
                    return
                if piece.path not in named and (reason := encoded(piece)):
                    named.add(piece.path)
                    reading.skip(UnreadPart(piece.path, reason))
                yield piece

    def gather(
        self, pieces: Iterable[Piece], readings: list[CaptureReading], step: Steps = strictly, size: int = 0
    ) -> Iterator[CaptureReading]:
        """Fill `readings`, which `pieces` append as they go; one that is complete is handed out and dropped from the list.

        Where steps may fail, `pieces` are of one reading, and `size` is so small that each is searched alone.
        """
        given = 0
        for searched in batches(pieces, self.lexicon, self.public, step, size):
            done = searched.parts[-1].piece.source - given
            with step("search"):
                self._take(searched, [readings[part.piece.source - given] for part in searched.parts], step)
            del searched  # the next batch is read only when this one is gone
            yield from readings[:done]
            del readings[:done]
            given += done
        yield from readings

    def _take(self, searched: SearchResult, readings: Sequence[CaptureReading], step: Steps) -> None:
        """Add what a batch holds to the readings of its parts."""
        valid = _valid(searched)
        kept = _afforded(searched, readings, valid)
        if len(kept) < len(readings):
            searched, readings, valid = searched.only(kept), [readings[n] for n in kept], [valid[n] for n in kept]
        terms: Sequence[TextTerms] = [TextTerms()] * len(readings)
        with step("lexicon"):
            terms = searched.terms
        for part, reading, own, count in zip(searched.parts, readings, terms, valid, strict=True):
            reading.valid += count
            if count or part.piece.path:
                reading.device_logs.see(part.piece.path, part.text.utf8)
            with step("lexicon"):
                reading.go_on(part.text, own, streamed=part.piece.streamed)
        with step("lexicon"):
            self._find_logins(searched, readings)
        for lists in self.lists:
            for epoch in lists.epochs:
                self._find(searched, readings, lists, epoch, step)
            with step("evidence"):
                self._find_own_cards(searched, readings, lists)
        with step("statistics"):
            self._count_unread(searched, readings)
        self._find_offers(searched, readings, terms, step)
        with step("statistics"):
            self._count(searched, readings)

    def _count(self, searched: SearchResult, readings: Sequence[CaptureReading]) -> None:
        """Count a batch into the statistics of the readings that concern somebody, or may yet."""
        concerned = [
            part.piece.streamed or any(reading.concerns(lists.tenant) for lists in self.lists)
            for part, reading in zip(searched.parts, readings, strict=True)
        ]
        if any(concerned):
            about = frozenset(number for number, part in enumerate(searched.parts) if part.piece.is_about)
            counted = Counted(searched.batch, searched.segments, searched.rows, self.key, about)
            numbers = np.flatnonzero(concerned)
            searched.rows.lay_out(numbers)
            for number in numbers.tolist():
                readings[number].tally(counted, number)
            self._count_others(searched, readings, numbers)

    def _count_unread(self, searched: SearchResult, readings: Sequence[CaptureReading]) -> None:
        """Count the values that no list can be asked for."""
        counted = {n for n, part in enumerate(searched.parts) if part.piece.streamed or n in searched.unread}
        if counted:
            count_values(searched, lambda number: readings[number].values if number in counted else None)
        for reading in dict.fromkeys(readings[number] for number in counted):
            reading.tell_values(self._forms)

    def _find(
        self, searched: SearchResult, readings: Sequence[CaptureReading], lists: TenantLists, epoch: Epoch, step: Steps
    ) -> None:
        """Ask one epoch of one tenant's list; where what stands beside customers cannot be told, who they are is."""
        looked: _EpochResult | None = None
        with step("evidence"):
            looked = self._look(searched, readings, lists, epoch)
        if looked is None:
            with step("evidence"):
                looked = self._look_barely(searched, readings, lists, epoch)
        if looked is None or not len(looked.found):
            return
        with step("evidence"):
            self._add(searched, readings, lists, epoch, looked)

    def _look(self, searched: SearchResult, readings: Sequence[CaptureReading], lists: TenantLists, epoch: Epoch) -> _EpochResult:
        """Who was found, and what the rows say of them."""
        found = look_up(epoch, searched)
        if not len(found):
            return _EpochResult(found, NO_ROWS, None, NOTHING)
        found["document"] = searched.batch.documents(found["start"])
        numbers, first = np.unique(found["document"], return_index=True)
        adults = np.array([adult_until(readings[number].capture.fetched_at.date()) for number in numbers.tolist()], np.int64)
        rows = weigh(searched, found, self.key, np.repeat(adults, np.diff(first, append=len(found))))
        own = listed(lists, epoch, searched, found) if self._lists_matches(readings, numbers, lists, epoch) else None
        return _EpochResult(found, rows, own, compared(epoch, searched, found))

    def _look_barely(
        self, searched: SearchResult, readings: Sequence[CaptureReading], lists: TenantLists, epoch: Epoch
    ) -> _EpochResult:
        """Who was found."""
        found = ask_barely(epoch, searched.asked)
        found["document"] = searched.batch.documents(found["start"])
        weigh_barely(found, self.key)
        lists_some = self._lists_matches(readings, np.unique(found["document"]), lists, epoch)
        return _EpochResult(found, NO_ROWS, listed_barely(lists, epoch, searched, found) if lists_some else None, NOTHING)

    def _lists_matches(self, readings: Sequence[CaptureReading], numbers: Places, lists: TenantLists, epoch: Epoch) -> bool:
        """Whether one of the readings with these numbers has room for another match: to list one costs more than to count it."""
        name = lists.tenant, epoch.number
        return self._detailed and any(
            readings[n].room is None or name not in readings[n].found or not readings[n].found[name].is_full
            for n in numbers.tolist()
        )

    def _add(
        self, searched: SearchResult, readings: Sequence[CaptureReading], lists: TenantLists, epoch: Epoch, looked: _EpochResult
    ) -> None:
        """Add what was found to the readings of its parts."""
        found, rows = looked.found, looked.rows
        forms = {found.kinds[number][1] for number in np.unique(found["question"]).tolist()}
        numbers, first = np.unique(found["document"], return_index=True)
        of_row = searched.rows.document[rows.rows] if len(rows.rows) else rows.rows
        borders = zip(
            pairwise([*first.tolist(), len(found)]),
            pairwise(np.searchsorted(of_row, np.append(numbers, len(readings))).tolist()),
            strict=True,
        )
        for number, (own, held) in zip(numbers.tolist(), borders, strict=True):
            reading = readings[number]
            reading.values.read |= forms
            into = reading.found.setdefault((lists.tenant, epoch.number), EpochMatches(epoch.number, reading.room))
            counts = rows.counts(slice(*held))
            into.add(found.take(slice(*own)), counts)
            path = searched.parts[number].piece.path
            reading.device_logs.add(lists.tenant, epoch.number, path, counts.total())
            if self._detailed and not (looked.listed and into.list_matches(looked.listed.take(slice(*own)))):
                reading.incomplete.add("matches")
        for number, subject, is_sure, agrees in zip(*(column.tolist() for column in looked.compared), strict=True):
            readings[number].found[lists.tenant, epoch.number].witnesses.add(subject, is_sure=is_sure, agrees=agrees)

    def _find_logins(self, searched: SearchResult, readings: Sequence[CaptureReading]) -> None:
        """Count logins at tenants' own domains, and cookies of them."""
        if self._logins:
            hosts = self._logins.sites.hosts(searched.batch)
            lines = self._logins.find(hosts)
            columns = (lines.document, lines.tenant, lines.key, lines.staff)
            for number, tenant, key, is_staff in zip(*(c.tolist() for c in columns), strict=True):
                readings[number].logins[lines.tenants[tenant]].add(key)
                if is_staff:
                    readings[number].staff_logins[lines.tenants[tenant]].add(key)
            for cookie in self._logins.cookies.find(hosts):
                readings[cookie.document].cookies[lines.tenants[cookie.tenant]][cookie.key] = cookie

    def _count_others(self, searched: SearchResult, readings: Sequence[CaptureReading], concerned: Places) -> None:
        """Count rows that name another platform."""
        for tenant, rows in self._others.rows(searched) if self._others else ():
            counts = np.bincount(searched.rows.document[rows], minlength=len(readings))
            for number in concerned[counts[concerned] > 0].tolist():
                readings[number].rows_of_others[tenant] += int(counts[number])
        tenants = [lists.tenant for lists in self.lists]
        for number in concerned.tolist():
            reading = readings[number]
            for tenant in self._other_lists.tenants(searched, number, reading.capture.title, tenants):
                reading.rows_of_other_lists[tenant] += len(searched.rows.of_document(number))

    def _find_own_cards(self, searched: SearchResult, readings: Sequence[CaptureReading], lists: TenantLists) -> None:
        """Keep valid cards of the tenant's ranges, enrolled or not, as keyed numbers."""
        bins = self._own.bins.get(lists.tenant, ())
        for segment in searched.segments if bins else ():
            if segment.kind == "card":
                mine = segment.where(segment.valid & own_cards(segment.normal, segment.length, {"": bins})[""])
                if not len(mine):
                    continue
                asked = list(questions([mine]))
                places = [ask(epoch, enrolled(asked, epoch.list.kinds))["place"] for epoch in lists.epochs]
                known = np.isin(np.arange(len(mine)), np.concatenate(places))
                words, parts = self.key.words(mine), searched.batch.documents(mine.start)
                rows = searched.rows.holding(mine.start)
                for number in np.unique(parts).tolist():
                    own = parts == number
                    readings[number].own_cards[lists.tenant].add(words[own], known[own], rows[own])

    def _find_offers(
        self, searched: SearchResult, readings: Sequence[CaptureReading], terms: Sequence[TextTerms], step: Steps
    ) -> None:
        """Tenants whose data a part offers for sale."""
        for number, (reading, own) in enumerate(zip(readings, terms, strict=True)):
            title = reading.title_terms
            if own.others or title.others:
                rows = 0
                with step("evidence"):
                    rows = len(searched.rows.of_document(number))
                both = own.under(title)
                claimed = reading.claimed if both.brands and both.is_traded else 0
                reading.offered.update(tenant for tenant in both.brands if both.offers(tenant, rows, claimed))


class _EpochResult(NamedTuple):
    """What one epoch of one tenant's list gave in a batch; `listed` is None where no reading lists matches."""

    found: Matches
    rows: MatchedRows
    listed: Matches | None
    compared: RowComparison


def _valid(searched: SearchResult) -> list[int]:
    """The number of valid candidates of each part."""
    counts = np.zeros(len(searched.parts), np.int64)
    for segment in searched.segments:
        if not segment.weak:
            counts += np.bincount(searched.batch.documents(segment.start[segment.valid]), minlength=len(counts))
    return counts.tolist()


def _afforded(searched: SearchResult, readings: Sequence[CaptureReading], valid: Sequence[int]) -> list[int]:
    """Numbers of the parts that their captures' budgets pay for. A capture of a single piece is read whole."""
    kept = []
    for number, (part, reading) in enumerate(zip(searched.parts, readings, strict=True)):
        if part.piece.streamed and reading.spent:
            if reading.refuses(part.piece):
                continue
            reading.spent.add(part.piece, valid[number], part.line_behind - part.line + 1)
        kept.append(number)
    return kept
