"""The stage on one screen: captures in, readings out; `findings` turns those into what is published.

    captures ─▶ parts ─▶ batches (candidates) ─▶ ask (tags, watchlists) ─▶ evidence ─▶ readings ─▶ findings

Nothing here outlives a call: texts, candidates and names are dropped with the batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from matcher.batches import Searched, batches
from matcher.evidence import look_up
from matcher.found import Found, adult_until, weigh
from matcher.lexicon import Lexicon, Terms
from matcher.logins import LoginFinder
from matcher.matches import matches
from matcher.own_cards import own_cards
from matcher.parts import Piece, pieces_of_capture
from matcher.public import Public
from matcher.questions import ask, enrolled, questions
from matcher.readings import Reading
from matcher.statistics import CaptureKey
from matcher.statistics import Part as Counted
from matcher.text import fold
from matcher.unpack.spawn import ForkServer
from matcher.watchlist.installed import Epoch, TenantLists
from ullage.records import Capture


class Own(NamedTuple):
    """What belongs to the tenants themselves: domains, each with its tenant, tenants with their card ranges, public numbers."""

    domains: Mapping[str, str] = {}
    bins: Mapping[str, Sequence[str]] = {}
    public: Public = Public()


class Matcher:
    """Matches captures against every tenant's watchlist and the lexicon, a batch at a time.

    Without `detailed` what was found is counted only: a file of gigabytes has more matches than fit in memory.
    """

    def __init__(
        self, lists: Sequence[TenantLists], lexicon: Lexicon, key: CaptureKey, own: Own, *, detailed: bool = True
    ) -> None:
        self.lists, self.key, self.lexicon, self._own, self._detailed = lists, key, lexicon, own, detailed
        self.public = own.public
        self._logins = LoginFinder(own.domains) if own.domains else None

    def read(self, captures: Iterable[Capture]) -> Iterator[Reading]:
        """What was found in each capture, in order; each comes when the batch with its last part is done."""
        readings: list[Reading] = []

        def pieces() -> Iterator[Piece]:
            with ForkServer() as server:  # not for longer: what unpacks these captures never meets later ones
                for number, capture in enumerate(captures):
                    said = self.lexicon.read(fold(capture.title).text) if capture.title else Terms()
                    readings.append(Reading(capture, self.key, self.lexicon.records, said))
                    yield from pieces_of_capture(number, capture, readings[-1].told, server=server, wanted=said != Terms())

        return self.gather(pieces(), readings)

    def gather(self, pieces: Iterable[Piece], readings: list[Reading]) -> Iterator[Reading]:
        """Fill `readings`, which `pieces` append as they go; one that is complete is handed out and dropped from the list."""
        given = 0
        for searched in batches(pieces, self.lexicon, self.public):
            self._take(searched, [readings[part.piece.source - given] for part in searched.parts])
            done = searched.parts[-1].piece.source - given
            del searched  # the next batch is read only when this one is gone
            yield from readings[:done]
            del readings[:done]
            given += done
        yield from readings

    def _take(self, searched: Searched, readings: Sequence[Reading]) -> None:
        """Add what a batch holds to the readings of its parts."""
        for part, reading, terms in zip(searched.parts, readings, searched.terms, strict=True):
            reading.go_on(part.text, terms, streamed=part.piece.streamed)
        _count_valid(searched, readings)
        self._find_logins(searched, readings)
        for lists in self.lists:
            for epoch in lists.epochs:
                self._find(searched, readings, lists, epoch)
            self._find_own_cards(searched, readings, lists)
        self._find_offers(searched, readings)
        concerned = [part.piece.streamed or self._is_concern(r) for part, r in zip(searched.parts, readings, strict=True)]
        if any(concerned):
            counted, numbers = Counted(searched.batch, searched.segments, searched.rows, self.key), np.flatnonzero(concerned)
            searched.rows.lay_out(numbers)
            for number in numbers.tolist():
                readings[number].tally(counted, number)

    def _is_concern(self, reading: Reading) -> bool:
        """Whether there is something to report of a capture by now."""
        return any(reading.concerns(lists.tenant) for lists in self.lists)

    def _find(self, searched: Searched, readings: Sequence[Reading], lists: TenantLists, epoch: Epoch) -> None:
        """Ask one epoch of one tenant's list."""
        found = look_up(epoch, searched)
        if not len(found):
            return
        parts = searched.batch.documents(found.start)
        numbers, first = np.unique(parts, return_index=True)
        adults = np.array([adult_until(readings[number].capture.fetched_at.date()) for number in numbers.tolist()])
        weighed = weigh(searched, found, self.key, np.repeat(adults, np.diff(first, append=len(found))))
        detailed = matches(lists, epoch, searched, found) if self._detailed else None
        rows = np.searchsorted(searched.rows.document[weighed.rows], np.append(numbers, len(readings)))
        borders = zip(pairwise([*first.tolist(), len(found)]), pairwise(rows.tolist()), strict=True)
        for number, (own, held) in zip(numbers.tolist(), borders, strict=True):
            into = readings[number].found.setdefault((lists.tenant, epoch.number), Found(epoch.number))
            into.add(weighed, slice(*own), slice(*held))
            if detailed:
                into.details.append(detailed.take(slice(*own)))

    def _find_logins(self, searched: Searched, readings: Sequence[Reading]) -> None:
        """Count logins at tenants' own domains."""
        if self._logins:
            lines = self._logins.find(searched.batch)
            for number, tenant, key in zip(*(c.tolist() for c in (lines.document, lines.tenant, lines.key)), strict=True):
                readings[number].logins[lines.tenants[tenant]].add(key)

    def _find_own_cards(self, searched: Searched, readings: Sequence[Reading], lists: TenantLists) -> None:
        """Keep valid cards of the tenant's ranges that are not enrolled, as keyed numbers."""
        bins = self._own.bins.get(lists.tenant, ())
        for segment in searched.segments if bins else ():
            if segment.kind == "card":
                mine = segment.where(segment.valid & own_cards(segment.normal, segment.length, {"": bins})[""])
                asked = list(questions([mine]))
                known = [ask(epoch, enrolled(asked, epoch.list.kinds)).place for epoch in lists.epochs]
                others = mine.where(~np.isin(np.arange(len(mine)), np.concatenate(known)))
                words, parts = self.key.words(others), searched.batch.documents(others.start)
                for number in np.unique(parts).tolist():
                    readings[number].own_cards[lists.tenant].append(words[parts == number])

    def _find_offers(self, searched: Searched, readings: Sequence[Reading]) -> None:
        """Tenants whose data a part offers for sale."""
        for number, (reading, terms) in enumerate(zip(readings, searched.terms, strict=True)):
            title = reading.title_terms
            if terms.others or title.others:
                rows = len(searched.rows.of_document(number))
                both = terms.under(title)
                reading.offered.update(tenant for tenant in both.brands if both.offers(tenant, rows))


def _count_valid(searched: Searched, readings: Sequence[Reading]) -> None:
    """Count the valid candidates of each part."""
    for segment in searched.segments:
        if not segment.weak:
            counts = np.bincount(searched.batch.documents(segment.start[segment.valid]), minlength=len(readings))
            for number in np.flatnonzero(counts).tolist():
                readings[number].valid += int(counts[number])
