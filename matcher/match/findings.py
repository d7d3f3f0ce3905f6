"""From a reading to findings: what is published of a capture, in words of closed lists, one for each tenant that it concerns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import islice

from matcher.match import redact
from matcher.match.capture_result import Reading
from matcher.match.cohort_counts import Labelled, labelled
from matcher.match.counts import Found
from matcher.match.pipeline import Matcher
from matcher.match.statistics import matched_groups
from matcher.watchlist.installed import TenantLists
from ullage.lookup import sellers
from ullage.records import ELSEWHERE, MAX_MATCHES, Capture, CaptureFacts, Finding, Statistics

CLOCKS_APART = timedelta(days=1)
"""A site's clock, or its time zone, may be ahead of ours by so much."""


def findings(matcher: Matcher, captures: Iterable[Capture], now: datetime) -> list[Finding]:
    """Findings of a batch of captures."""
    return [finding for reading in matcher.read(captures) for finding in findings_of(matcher, reading, now)]


def findings_of(matcher: Matcher, reading: Reading, now: datetime) -> Iterator[Finding]:
    """Findings of one capture, continuation records and all; none where it concerns nobody."""
    concerned = [lists for lists in matcher.lists if reading.concerns(lists.tenant)]
    if not concerned:
        return
    capture, whole = reading.capture, Statistics(bytes=len(reading.capture.body))
    with reading.step("statistics"):
        whole = reading.statistics()
    facts = {lists.tenant: _bare_facts(capture) for lists in concerned}
    for lists in concerned:
        with reading.step("redaction"):
            facts[lists.tenant] = _facts(reading, matcher, lists)
    served = matcher.key.served(capture.site, capture.post_id, capture.body)
    identity = served if reading.reasons else reading.identity()
    for lists in concerned:
        names = matcher.key.identity(identity, lists.tenant), matcher.key.identity(served, lists.tenant)
        with reading.step("evidence"):
            yield from _finding(lists, reading, whole, facts[lists.tenant].model_copy(update={"id": identity}), names, now)


def _published(capture: Capture) -> datetime | None:
    """When it was posted, None where that is yet to come: a number in the place of a time is somebody's, such as a phone."""
    at = capture.published_at
    return at if at is None or at <= capture.fetched_at + CLOCKS_APART else None


def _bare_facts(capture: Capture) -> CaptureFacts:
    """Where a capture came from, as far as that cannot be a value."""
    return CaptureFacts(
        id="",
        site=ELSEWHERE,
        platform="",
        post_id="",
        kind=capture.kind,
        category=capture.category,
        url="",
        title="",
        author="",
        channel="",
        thread="",
        published_at=_published(capture),
        fetched_at=capture.fetched_at,
        truncated=capture.truncated,
    )


def _facts(reading: Reading, matcher: Matcher, lists: TenantLists) -> CaptureFacts:
    """Where a capture came from, as a tenant may be told: nothing in it is a text of somebody else's."""
    capture, key = reading.capture, matcher.key
    site = redact.site(capture.site)
    places = (site, redact.host(capture.section))

    def words(text: str) -> str:
        return redact.words(text, matcher.lexicon, lists.tenant, places)

    return CaptureFacts(
        id="",
        site=site,
        platform=redact.platform(capture.platform),
        post_id=redact.identifier("post", capture.post_id, site, key),
        kind=capture.kind,
        category=capture.category,
        url=redact.url(capture.url, capture.section),
        title=words(capture.title),
        author=redact.author(capture.author, key),
        author_tag=sellers.tag(lists.index.tagger(sellers.KIND, sellers.FORM), capture.author),
        channel=redact.channel(capture.channel, site, key, words(capture.channel)),
        thread=redact.identifier("thread", capture.thread, site, key),
        claims=reading.claims,
        published_at=_published(capture),
        fetched_at=capture.fetched_at,
        truncated=capture.truncated,
    )


def statistics_for(reading: Reading, whole: Statistics, tenant: str) -> Statistics:
    """`whole` with what is this tenant's own: its brands, logins, cards, and how many rows of each group are its customers'.

    And how many rows name another platform.
    """
    found, cards = reading.best(tenant), reading.own_cards[tenant]
    return whole.model_copy(
        update={
            "brands": reading.terms.brands.get(tenant, ()),
            "groups": matched_groups(whole.groups, found.matched() if found else ()),
            "logins": len(reading.logins[tenant]),
            "staff_logins": len(reading.staff_logins[tenant]),
            "own_cards": cards.others,
            "known_cards": cards.known,
            "own_card_rows": cards.rows,
            "rows_of_others": reading.rows_of_others[tenant],
        }
    )


def _finding(
    lists: TenantLists, reading: Reading, whole: Statistics, facts: CaptureFacts, names: tuple[str, str], now: datetime
) -> Iterator[Finding]:
    """One finding, in parts of at most 2,000 matches."""
    found, own, labels = reading.best(lists.tenant) or Found(lists.epochs[-1].number), whole, Labelled()
    with reading.step("statistics"):
        own = statistics_for(reading, whole, lists.tenant)
    with reading.step("evidence"):
        labels = labelled(lists, found)
    matches, listed = found.matches(), sum(map(len, found.details))
    parts = max(1, -(-listed // MAX_MATCHES))
    for part in range(1, parts + 1):
        yield Finding(
            id=names[0],
            served=names[1],
            tenant=lists.tenant,
            part=part,
            parts=parts,
            matched_at=now,
            epoch=found.epoch,
            index_epoch=lists.index_epoch,
            key_checks=dict((lists.index.noted, reading.key.noted)),
            customers=lists.customers,
            alarm=lists.tenant in reading.offered,
            incomplete=reading.reasons,
            total_matches=found.count,
            total_subjects=len(found.subjects),
            verified=len(found.verified),
            minors=len(found.minors),
            cards_enrolled=lists.cards,
            witnesses_comparable=found.witnesses.comparable,
            witnesses_agreeing=found.witnesses.agreeing,
            **labels._asdict(),
            capture=facts,
            statistics=own,
            matches=tuple(islice(matches, MAX_MATCHES)),
        )
