"""From a reading to findings: what is published of a capture, in words of closed lists, one for
each tenant that it concerns.

What may only be read at the desk (address, title, author, members' names) goes along sealed: see
`ullage.custody`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import NamedTuple

import numpy as np

from matcher.match import redact
from matcher.match.capture_key import CaptureKey
from matcher.match.capture_result import CaptureReading
from matcher.match.counts import EpochMatches
from matcher.match.pipeline import Matcher
from matcher.match.statistics import matched_groups
from matcher.watchlist.cohorts import FEW
from matcher.watchlist.installation import TenantLists
from matcher.watchlist.source import CANARY
from ullage import custody
from ullage.custody import MAX_MEMBERS, MAX_NAME, MAX_TEXT, MAX_URL, SealedPost
from ullage.lookup import values
from ullage.monitoring.canary import TENANT as CANARY_TENANT
from ullage.records import (
    ELSEWHERE,
    MAX_MATCHES,
    Bait,
    Capture,
    CaptureFacts,
    Cohort,
    Finding,
    Statistics,
)
from ullage.security import keys
from ullage.security.sealing import Sealer
from ullage.settings import Context

MOST_COHORTS = 64
CLOCKS_APART = timedelta(days=1)
"""A site's clock, or its time zone, may be ahead of ours by so much."""


def findings(matcher: Matcher, captures: Iterable[Capture], now: datetime) -> list[Finding]:
    """Findings of a batch of captures."""
    return [
        finding
        for reading in matcher.read(captures)
        for finding in findings_of(matcher, reading, now)
    ]


def findings_of(matcher: Matcher, reading: CaptureReading, now: datetime) -> Iterator[Finding]:
    """Findings of one capture, continuation records and all; none where it concerns nobody."""
    concerned = [lists for lists in matcher.lists if reading.concerns(lists.tenant)]
    if not concerned and not reading.withdraws:
        return
    capture = reading.capture
    yield from _withdrawn(matcher, reading, {lists.tenant for lists in concerned}, now)
    if not concerned:
        return
    whole = reading.guard.run("statistics", reading.statistics, Statistics(bytes=len(capture.body)))
    # before the id, which depends on faults in it
    prepared = [_prepare(matcher, reading, lists, whole) for lists in concerned]
    served = matcher.key.served(capture.site, capture.post_id, capture.body)
    identity = served if reading.reasons else reading.identity()
    for lists, (facts, own, labels) in zip(concerned, prepared, strict=True):
        names = (
            matcher.key.identity(identity, lists.tenant),
            matcher.key.identity(served, lists.tenant),
        )
        with reading.guard.step("evidence"):
            yield from _finding(
                lists,
                reading,
                _TenantFacts(facts.model_copy(update={"id": identity}), own, labels),
                names,
                now,
            )


class _TenantFacts(NamedTuple):
    """What a finding says beside its matches."""

    capture: CaptureFacts
    statistics: Statistics
    labels: LabelCounts


def _prepare(
    matcher: Matcher, reading: CaptureReading, lists: TenantLists, whole: Statistics
) -> _TenantFacts:
    """Return what is told to a tenant of a capture; a part that fails leaves its own out."""
    run, found = (
        reading.guard.run,
        reading.best(lists.tenant) or EpochMatches(lists.epochs[-1].number),
    )
    facts = run("redaction", lambda: _facts(reading, matcher, lists), None)
    own = run("statistics", lambda: statistics_for(reading, whole, lists.tenant), whole)
    labels = run("evidence", lambda: labelled(lists, found), LabelCounts())
    return _TenantFacts(facts or _bare_facts(reading.capture), own, labels)


def _withdrawn(
    matcher: Matcher, reading: CaptureReading, concerned: Collection[str], now: datetime
) -> Iterator[Finding]:
    """That a post was taken away or says something else, for each tenant of whom nothing is in
    it: nobody knows who was.
    """
    capture, key = reading.capture, matcher.key
    if not reading.withdraws:
        return
    served = key.served(capture.site, capture.post_id, capture.body)
    known = {"id": served, "site": redact.site(capture.site), "post": _post(reading, key)}
    facts = _bare_facts(capture).model_copy(
        update={**known, "edited": capture.edited, "deleted": capture.deleted}
    )
    for lists in matcher.lists:
        if lists.tenant not in concerned and lists.tenant != CANARY_TENANT:
            id_ = key.identity(served, lists.tenant)
            yield Finding(
                id=id_,
                served=id_,
                tenant=lists.tenant,
                part=1,
                parts=1,
                matched_at=now,
                epoch=lists.epochs[-1].number,
                index_epoch=lists.index_epoch,
                customers=lists.customers,
                key_checks=dict((lists.index.noted, key.noted)),
                withdrawn=True,
                total_matches=0,
                total_subjects=0,
                capture=facts,
                statistics=Statistics(),
                matches=(),
            )


def _post(reading: CaptureReading, key: CaptureKey) -> str:
    """The token of what lasts of a post."""
    return redact.identifier(
        "lasting", reading.capture.post_name, redact.site(reading.capture.site), key
    )


def _published(capture: Capture) -> datetime | None:
    """When it was posted, None where that is yet to come: a number in the place of a time is
    somebody's, such as a phone.
    """
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


def _facts(reading: CaptureReading, matcher: Matcher, lists: TenantLists) -> CaptureFacts:
    """Where a capture came from, as a tenant may be told: nothing in it is a text of somebody
    else's.
    """
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
        post=_post(reading, key),
        kind=capture.kind,
        category=capture.category,
        url=redact.url(capture.url, capture.section),
        title=words(capture.title),
        author=redact.author(capture.author, key),
        author_tag=values.tag(lists.index.tagger(values.KIND, values.FORM), capture.author),
        channel=redact.channel(capture.channel, site, key, words(capture.channel)),
        channel_tag=places_tag(lists, "channel", capture.site, capture.channel),
        thread=redact.identifier("thread", capture.thread, site, key),
        thread_tag=places_tag(
            lists, "thread", capture.site, capture.channel if capture.thread else "", capture.thread
        ),
        edited=capture.edited,
        deleted=capture.deleted,
        claims=reading.claims,
        published_at=_published(capture),
        fetched_at=capture.fetched_at,
        truncated=capture.truncated,
    )


def places_tag(lists: TenantLists, kind: str, site: str, *names: str) -> str:
    """The tag of a channel, or of a thread in one, under the tenant's index key; "" where the
    last name is empty.
    """
    named = "\x1f".join((site, *names)).encode("utf-8", "surrogatepass")
    return lists.index.tagger(kind, values.FORM).one(named).hex() if names[-1] else ""


def statistics_for(reading: CaptureReading, whole: Statistics, tenant: str) -> Statistics:
    """`whole` with what is this tenant's own: its brands, logins, cards, and how many rows of each
    group are its customers'.

    And how many rows name another platform.
    """
    found, cards = reading.best(tenant), reading.own_cards[tenant]
    # A column or a heading is weaker than a name in each row: it makes no list another's of which
    # half agrees with our records.
    is_ours = found is not None and 2 * found.corroborated >= whole.rows
    others = 0 if is_ours else min(reading.rows_of_other_lists[tenant], whole.rows)
    return whole.model_copy(
        update={
            "brands": reading.terms.brands.get(tenant, ()),
            "groups": matched_groups(whole.groups, found.matched() if found else ()),
            "logins": len(reading.logins[tenant]),
            "staff_logins": len(reading.staff_logins[tenant]),
            **reading.cookie_counts(tenant),
            "device_rows": reading.device_logs.rows(tenant, found.epoch) if found else 0,
            "own_cards": cards.others,
            "known_cards": cards.known,
            "own_card_rows": cards.rows,
            "rows_of_others": max(reading.rows_of_others[tenant], others),
        }
    )


class LabelCounts(NamedTuple):
    """What a finding tells of labels; as the fields of `Finding`."""

    cohorts: tuple[Cohort, ...] = ()
    cohort_labels: int = 0
    canaries: tuple[Bait, ...] = ()
    canaries_enrolled: int = 0


def labelled(lists: TenantLists, found: EpochMatches) -> LabelCounts:
    """The labels of the customers in `found`.

    Cohorts of fewer than 20 of them are not told, bait is.
    """
    listed = next((epoch.list for epoch in lists.epochs if epoch.number == found.epoch), None)
    enrolled = listed.enrolled_labels() if listed else {}
    if listed is None or not enrolled:
        return LabelCounts()
    matched, sure = listed.labels(found.subjects.subjects), listed.labels(found.verified)
    cohorts = [
        Cohort(
            dimension=dimension, label=label, matched=number, enrolled=enrolled[dimension, label]
        )
        for (dimension, label), number in matched.items()
        if dimension != CANARY and number >= FEW
    ]
    cohorts.sort(key=lambda c: (-c.matched / c.enrolled, c.dimension, c.label))
    canaries = [
        Bait(label=label, customers=number, verified=sure.get((dimension, label), 0))
        for (dimension, label), number in sorted(matched.items())
        if dimension == CANARY
    ]
    bait = [number for (dimension, _), number in enrolled.items() if dimension == CANARY]
    return LabelCounts(
        tuple(cohorts[:MOST_COHORTS]), len(enrolled) - len(bait), tuple(canaries), sum(bait)
    )


def _finding(
    lists: TenantLists,
    reading: CaptureReading,
    facts: _TenantFacts,
    names: tuple[str, str],
    now: datetime,
) -> Iterator[Finding]:
    """Yield one finding, in parts of at most 2,000 matches."""
    found = reading.best(lists.tenant) or EpochMatches(lists.epochs[-1].number)
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
            **facts.labels._asdict(),
            capture=facts.capture,
            statistics=facts.statistics,
            matches=tuple(islice(matches, MAX_MATCHES)),
        )


def desks(context: Context, tenants: Iterable[str]) -> dict[str, Sealer]:
    """What seals to each tenant's desk; without those that have no key here, and none where
    originals are not kept.
    """
    if not context.settings.originals.days:
        return {}
    return {
        tenant: sealer for tenant in tenants if (sealer := keys.desk_sealer(context.keys, tenant))
    }


def with_original(finding: Finding, reading: CaptureReading, sealer: Sealer | None) -> Finding:
    """`finding` with address, title, author and members' names of its capture, sealed; of
    several parts the first has them.
    """
    if sealer is None or finding.part != 1:
        return finding
    sealed = custody.seal(_original(reading, finding.tenant), sealer, finding.tenant, finding.id)
    return finding.model_copy(update={"original": sealed, "original_key": sealer.key_id})


def _original(reading: CaptureReading, tenant: str) -> SealedPost:
    capture, found = reading.capture, reading.best(tenant)
    documents = [
        held.members[number]
        for held in (found.details if found else ())
        for number in np.unique(held.document).tolist()
    ]
    names = {number: path for path, number, _ in documents if number}
    return SealedPost(
        url=capture.url[:MAX_URL],
        title=capture.title[:MAX_TEXT],
        author=capture.author[:MAX_TEXT],
        channel=capture.channel[:MAX_TEXT],
        source=capture.source[:MAX_TEXT],
        members={
            number: path[:MAX_NAME] for number, path in islice(sorted(names.items()), MAX_MEMBERS)
        },
    )
