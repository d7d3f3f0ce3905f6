"""The stage on one screen: a batch of captures in, findings out.

    read ─▶ find candidates ─▶ rows ─▶ ask (tags, watchlist) ─▶ matches ─▶ finding

Nothing here outlives a call: texts, candidates and names are dropped with the batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from matcher import evidence, redact
from matcher.lexicon import Lexicon, Terms
from matcher.rows import Lines, Row, rows_of
from matcher.scan import Question, find, questions
from matcher.statistics import CaptureKey, statistics
from matcher.text import Folded, read
from matcher.watchlist.installed import TenantLists
from ullage.identifiers import Candidate
from ullage.records import MAX_MATCHES, Capture, CaptureFacts, Finding, Match, Statistics


@dataclass(frozen=True, slots=True)
class Document:
    """A capture opened: its text and what stands in it. In memory only."""

    capture: Capture
    text: Folded
    candidates: Sequence[Candidate]
    asked: Sequence[Question]
    rows: Sequence[Row]
    terms: Terms


@dataclass(frozen=True, slots=True)
class Result:
    """Matches of one document for one tenant, with the epoch that gave them."""

    document: Document
    lists: TenantLists
    epoch: int
    matches: tuple[Match, ...]


class Matcher:
    """Matches batches of captures against every tenant's watchlist and the lexicon."""

    def __init__(self, lists: Sequence[TenantLists], lexicon: Lexicon, key: CaptureKey) -> None:
        self.lists, self._lexicon, self._key = lists, lexicon, key

    def open(self, capture: Capture) -> Document:
        """Read a capture and find what stands in it."""
        text = read(capture.body, capture.charset, capture.media_type)
        candidates = find(text.text)
        rows = rows_of(candidates, Lines(text.text))
        terms = self._lexicon.read(f"{capture.title}\n{text.text}")
        return Document(capture, text, candidates, tuple(questions(candidates)), rows, terms)

    def match(self, documents: Sequence[Document]) -> Iterator[Result]:
        """Results with a match, or with that tenant's alarm; all documents' tags are computed and looked up as one batch."""
        asked = [question for document in documents for question in document.asked]
        for lists in self.lists:
            by_document: dict[int, dict[int, list[Match]]] = {}
            for epoch in lists.epochs:
                found = evidence.look_up(epoch, asked)
                for number, own in _by_document(documents, found).items():
                    d = documents[number]
                    made = evidence.matches(lists, epoch, d.text, d.candidates, d.rows, d.asked, own)
                    by_document.setdefault(number, {})[epoch.number] = made
            for number, document in enumerate(documents):
                by_epoch = by_document.get(number)
                if by_epoch:
                    best = max(by_epoch, key=lambda e: (len(by_epoch[e]), e))
                    yield Result(document, lists, best, tuple(by_epoch[best]))
                elif document.terms.offers(lists.tenant, len(document.rows)):
                    yield Result(document, lists, lists.epochs[-1].number, ())

    def findings(self, captures: Sequence[Capture], now: datetime) -> list[Finding]:
        """Findings of a batch, continuation records and all."""
        return self.findings_in([self.open(capture) for capture in captures], now)

    def findings_in(self, documents: Sequence[Document], now: datetime) -> list[Finding]:
        """Findings of documents that are open already."""
        facts: dict[int, tuple[Statistics, CaptureFacts, str]] = {}
        made: list[Finding] = []
        for result in self.match(documents):
            place = id(result.document)
            if place not in facts:
                facts[place] = self._facts(result.document)
            made += self._finding(result, *facts[place], now)
        return made

    def statistics(self, document: Document) -> Statistics:
        """Whole-capture statistics, the same for every tenant."""
        today = document.capture.fetched_at.date()
        return statistics(document.text.text, document.candidates, document.rows, document.terms, self._key, today)

    def identity(self, document: Document) -> str:
        """Keyed digest of what makes two captures the same: site, the platform's own id, extracted text."""
        return self._key.identity(document.capture.site, document.capture.post_id, document.text.text)

    def _facts(self, document: Document) -> tuple[Statistics, CaptureFacts, str]:
        """Statistics, redacted capture facts, and the capture's identity."""
        capture = document.capture
        identity = self.identity(document)

        def enrolled(names: list[str]) -> list[bool]:
            return evidence.is_enrolled_name(self.lists, names)

        redacted = CaptureFacts(
            id=identity,
            site=capture.site,
            platform=capture.platform,
            post_id=redact.identifier(capture.post_id),
            kind=capture.kind,
            category=capture.category,
            url=redact.url(capture.url, capture.post_id),
            title=redact.title(capture.title, enrolled),
            author=redact.author(capture.author, self._key.author, enrolled),
            channel=redact.identifier(capture.channel),
            thread=redact.identifier(capture.thread),
            published_at=capture.published_at,
            fetched_at=capture.fetched_at,
            truncated=capture.truncated,
        )
        return self.statistics(document), redacted, identity

    def _finding(self, result: Result, whole: Statistics, facts: CaptureFacts, identity: str, now: datetime) -> Iterator[Finding]:
        """One finding, in parts of at most 2,000 matches."""
        tenant = result.lists.tenant
        brands = result.document.terms.brands.get(tenant, ())
        chunks = [result.matches[i : i + MAX_MATCHES] for i in range(0, len(result.matches), MAX_MATCHES)] or [()]
        for part, chunk in enumerate(chunks, 1):
            yield Finding(
                id=self._key.identity(identity, tenant),
                tenant=tenant,
                part=part,
                parts=len(chunks),
                matched_at=now,
                epoch=result.epoch,
                index_epoch=result.lists.index_epoch,
                customers=result.lists.customers,
                alarm=not result.matches,
                total_matches=len(result.matches),
                total_subjects=len({m.subject for m in result.matches}),
                capture=facts,
                statistics=whole.model_copy(
                    update={"brands": brands, "groups": matched_groups(whole, result.matches, result.document.rows)}
                ),
                matches=chunk,
            )


def _by_document(documents: Sequence[Document], found: Sequence[evidence.Found]) -> dict[int, list[evidence.Found]]:
    """Hits by document, their question numbers made the document's own."""
    starts, at = [], 0
    for document in documents:
        starts.append(at)
        at += len(document.asked)
    own: dict[int, list[evidence.Found]] = {}
    number = 0
    for hit in sorted(found, key=lambda h: h.question):
        while number + 1 < len(starts) and starts[number + 1] <= hit.question:
            number += 1
        own.setdefault(number, []).append(evidence.Found(hit.question - starts[number], hit.subject))
    return own


def matched_groups(whole: Statistics, matches: Sequence[Match], rows: Sequence[Row]) -> tuple[object, ...]:
    """The row groups, with how many rows of each are customers' and corroborated for this tenant."""
    fields_of = {row.first: tuple(sorted(map(str, row.fields))) for row in rows}
    matched: dict[tuple[str, ...], set[int]] = {}
    together: dict[tuple[str, ...], set[int]] = {}
    for match in matches:
        group = fields_of.get(match.row, ())
        matched.setdefault(group, set()).add(match.row)
        if len(match.own_fields) >= 2:
            together.setdefault(group, set()).add(match.row)
    return tuple(
        g.model_copy(update={"matched": len(matched.get(g.fields, ())), "corroborated": len(together.get(g.fields, ()))})
        for g in whole.groups
    )
