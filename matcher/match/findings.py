"""Turn a reading into findings: one for each tenant concerned, in words of closed lists.

Fields that only the console may show (address, title, author, members' names) are sealed and
attached: see `ullage.custody`.
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
from matcher.match.statistics import count_matched_rows
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
    Capture,
    CaptureFacts,
    Cohort,
    Finding,
    Honeytoken,
    Statistics,
)
from ullage.security import keys
from ullage.security.sealing import Sealer
from ullage.settings import Context

MOST_COHORTS = 64
CLOCKS_APART = timedelta(days=1)
"""How far a site's clock or time zone may be ahead of ours."""


def find_all(matcher: Matcher, captures: Iterable[Capture], now: datetime) -> list[Finding]:
    """Return the findings of all captures, in order; a capture that concerns no tenant has none.

    For tests and tools: everything is read before the function returns.
    """
    return [
        finding
        for reading in matcher.read(captures)
        for finding in build_findings(matcher, reading, now)
    ]


def build_findings(matcher: Matcher, reading: CaptureReading, now: datetime) -> Iterator[Finding]:
    """Yield the findings of one capture, one or more parts per tenant that it concerns.

    If its post was deleted or edited, every other tenant, but not that of canaries, gets a finding
    that says so. Otherwise nothing is yielded for a capture that concerns no tenant. If a finding
    cannot be built, the reading's guard decides: it raises, or notes the fault and the finding is
    missing.
    """
    concerned = [lists for lists in matcher.lists if reading.concerns(lists.tenant)]
    if not concerned and not reading.withdraws:
        return
    capture = reading.capture
    yield from _report_withdrawal(matcher, reading, {lists.tenant for lists in concerned}, now)
    if not concerned:
        return
    whole = reading.guard.run("statistics", reading.statistics, Statistics(bytes=len(capture.body)))
    # before the id, which depends on faults in it
    prepared = [_prepare(matcher, reading, lists, whole) for lists in concerned]
    served = matcher.key.digest_served(capture.site, capture.post_id, capture.body)
    identity = served if reading.reasons else reading.identity()
    for lists, (facts, statistics, labels) in zip(concerned, prepared, strict=True):
        names = (
            matcher.key.identity(identity, lists.tenant),
            matcher.key.identity(served, lists.tenant),
        )
        with reading.guard.step("evidence"):
            yield from _build_parts(
                lists,
                reading,
                _TenantFacts(facts.model_copy(update={"id": identity}), statistics, labels),
                names,
                now,
            )


class _TenantFacts(NamedTuple):
    """The parts of a finding other than its matches."""

    capture: CaptureFacts
    statistics: Statistics
    labels: LabelCounts


def _prepare(
    matcher: Matcher, reading: CaptureReading, lists: TenantLists, whole: Statistics
) -> _TenantFacts:
    """Return facts, statistics and labels for a tenant; a part that fails is empty."""
    run, matches = (
        reading.guard.run,
        reading.find_best_matches(lists.tenant) or EpochMatches(lists.epochs[-1].number),
    )
    facts = run("redaction", lambda: _redact_facts(reading, matcher, lists), None)
    statistics = run("statistics", lambda: tenant_statistics(reading, whole, lists.tenant), whole)
    labels = run("evidence", lambda: count_labels(lists, matches), LabelCounts())
    return _TenantFacts(facts or _minimal_facts(reading.capture), statistics, labels)


def _report_withdrawal(
    matcher: Matcher, reading: CaptureReading, concerned: Collection[str], now: datetime
) -> Iterator[Finding]:
    """Yield a finding that a post was deleted or edited, for each tenant that it does not concern.

    It may have concerned them before, which match does not know. The tenant of canaries gets none,
    and nothing is yielded for a post that was not withdrawn.
    """
    capture, key = reading.capture, matcher.key
    if not reading.withdraws:
        return
    served = key.digest_served(capture.site, capture.post_id, capture.body)
    identity = {
        "id": served,
        "site": redact.redact_site(capture.site),
        "post": _post_token(reading, key),
    }
    facts = _minimal_facts(capture).model_copy(
        update={**identity, "edited": capture.edited, "deleted": capture.deleted}
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


def _post_token(reading: CaptureReading, key: CaptureKey) -> str:
    """Return the token of the post's lasting name."""
    return redact.id_token(
        "lasting", reading.capture.post_name, redact.redact_site(reading.capture.site), key
    )


def _posting_time(capture: Capture) -> datetime | None:
    """Return when the capture was posted; None if that is in the future.

    A number in the place of a time may be a person's phone number.
    """
    at = capture.published_at
    return at if at is None or at <= capture.fetched_at + CLOCKS_APART else None


def _minimal_facts(capture: Capture) -> CaptureFacts:
    """Return the facts of a capture that cannot contain a leaked value."""
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
        published_at=_posting_time(capture),
        fetched_at=capture.fetched_at,
        truncated=capture.truncated,
    )


def _redact_facts(reading: CaptureReading, matcher: Matcher, lists: TenantLists) -> CaptureFacts:
    """Return where a capture came from, redacted for the tenant of `lists`."""
    capture, key = reading.capture, matcher.key
    site = redact.redact_site(capture.site)
    places = (site, redact.section_host(capture.section))

    def words(text: str) -> str:
        return redact.redact_text(text, matcher.lexicon, lists.tenant, places)

    return CaptureFacts(
        id="",
        site=site,
        platform=redact.redact_platform(capture.platform),
        post_id=redact.id_token("post", capture.post_id, site, key),
        post=_post_token(reading, key),
        kind=capture.kind,
        category=capture.category,
        url=redact.redact_url(capture.url, capture.section),
        title=words(capture.title),
        author=redact.author_token(capture.author, key),
        author_tag=values.tag(lists.index.tagger(values.KIND, values.FORM), capture.author),
        channel=redact.channel_token(capture.channel, site, key, words(capture.channel)),
        channel_tag=tag_place(lists, "channel", capture.site, capture.channel),
        thread=redact.id_token("thread", capture.thread, site, key),
        thread_tag=tag_place(
            lists, "thread", capture.site, capture.channel if capture.thread else "", capture.thread
        ),
        edited=capture.edited,
        deleted=capture.deleted,
        claims=reading.claims,
        published_at=_posting_time(capture),
        fetched_at=capture.fetched_at,
        truncated=capture.truncated,
    )


def tag_place(lists: TenantLists, kind: str, site: str, *names: str) -> str:
    """Return the tag of a channel, or of a thread in one, under the tenant's index key.

    "" if the last name is empty.
    """
    named = "\x1f".join((site, *names)).encode("utf-8", "surrogatepass")
    return lists.index.tagger(kind, values.FORM).tag_one(named).hex() if names[-1] else ""


def tenant_statistics(reading: CaptureReading, whole: Statistics, tenant: str) -> Statistics:
    """Return the statistics of a capture, completed by the numbers of one tenant.

    These are brands, logins, cards, rows with its customers, and rows that name another platform.
    `whole` are those of the whole capture.
    """
    matches, cards = reading.find_best_matches(tenant), reading.own_cards[tenant]
    # A column or a heading is weaker than a name in each row: it makes no list another's of which
    # half agrees with our records.
    is_ours = matches is not None and 2 * matches.corroborated >= whole.rows
    foreign_rows = 0 if is_ours else min(reading.rows_of_other_lists[tenant], whole.rows)
    return whole.model_copy(
        update={
            "brands": reading.terms.brands.get(tenant, ()),
            "groups": count_matched_rows(
                whole.groups, matches.list_row_groups() if matches else ()
            ),
            "logins": len(reading.logins[tenant]),
            "staff_logins": len(reading.staff_logins[tenant]),
            **reading.count_cookies(tenant),
            "device_rows": reading.device_logs.rows(tenant, matches.epoch) if matches else 0,
            "own_cards": cards.others,
            "known_cards": cards.known,
            "own_card_rows": cards.rows,
            "rows_of_others": max(reading.rows_of_others[tenant], foreign_rows),
        }
    )


class LabelCounts(NamedTuple):
    """Counts by label in a finding, with the names of the fields of `Finding`."""

    cohorts: tuple[Cohort, ...] = ()
    cohort_labels: int = 0
    honeytokens: tuple[Honeytoken, ...] = ()
    honeytokens_enrolled: int = 0


def count_labels(lists: TenantLists, matches: EpochMatches) -> LabelCounts:
    """Return the label counts of the matched customers.

    Cohorts with fewer than 20 matched customers are omitted; honeytokens are not. Of the other
    cohorts, the MOST_COHORTS (64) with the largest matched share are kept. The result is empty if
    the list has no labels, or none of this key generation is loaded.
    """
    listed = next((epoch.list for epoch in lists.epochs if epoch.number == matches.epoch), None)
    enrolled = listed.count_labels() if listed else {}
    if listed is None or not enrolled:
        return LabelCounts()
    matched, sure = listed.labels(matches.subjects.subjects), listed.labels(matches.verified)
    cohorts = [
        Cohort(
            dimension=dimension, label=label, matched=number, enrolled=enrolled[dimension, label]
        )
        for (dimension, label), number in matched.items()
        if dimension != CANARY and number >= FEW
    ]
    cohorts.sort(key=lambda c: (-c.matched / c.enrolled, c.dimension, c.label))
    honeytokens = [
        Honeytoken(label=label, customers=number, verified=sure.get((dimension, label), 0))
        for (dimension, label), number in sorted(matched.items())
        if dimension == CANARY
    ]
    bait = [number for (dimension, _), number in enrolled.items() if dimension == CANARY]
    return LabelCounts(
        tuple(cohorts[:MOST_COHORTS]), len(enrolled) - len(bait), tuple(honeytokens), sum(bait)
    )


def _build_parts(
    lists: TenantLists,
    reading: CaptureReading,
    facts: _TenantFacts,
    names: tuple[str, str],
    now: datetime,
) -> Iterator[Finding]:
    """Yield one finding, in parts of at most 2,000 matches."""
    result = reading.find_best_matches(lists.tenant) or EpochMatches(lists.epochs[-1].number)
    matches, listed = result.iterate_matches(), sum(map(len, result.details))
    parts = max(1, -(-listed // MAX_MATCHES))
    for part in range(1, parts + 1):
        yield Finding(
            id=names[0],
            served=names[1],
            tenant=lists.tenant,
            part=part,
            parts=parts,
            matched_at=now,
            epoch=result.epoch,
            index_epoch=lists.index_epoch,
            key_checks=dict((lists.index.noted, reading.key.noted)),
            customers=lists.customers,
            alarm=lists.tenant in reading.offered,
            incomplete=reading.reasons,
            total_matches=result.count,
            total_subjects=len(result.subjects),
            verified=len(result.verified),
            minors=len(result.minors),
            cards_enrolled=lists.cards,
            private_attributes_comparable=result.witnesses.comparable,
            private_attributes_agreeing=result.witnesses.agreeing,
            **facts.labels._asdict(),
            capture=facts.capture,
            statistics=facts.statistics,
            matches=tuple(islice(matches, MAX_MATCHES)),
        )


def desk_sealers(context: Context, tenants: Iterable[str]) -> dict[str, Sealer]:
    """Return the sealer for each tenant's console.

    A tenant without a key on this host has none; there are none at all if originals are not kept.
    """
    if not context.settings.originals.days:
        return {}
    return {
        tenant: sealer
        for tenant in tenants
        if (sealer := keys.load_console_sealer(context.keys, tenant))
    }


def attach_original(finding: Finding, reading: CaptureReading, sealer: Sealer | None) -> Finding:
    """Return `finding` with the sealed address, title, author and member names of its capture.

    Only the first part of a finding has them; other parts, and all if `sealer` is None, are
    returned unchanged.
    """
    if sealer is None or finding.part != 1:
        return finding
    sealed = custody.seal(
        _original_post(reading, finding.tenant), sealer, finding.tenant, finding.id
    )
    return finding.model_copy(update={"original": sealed, "original_key": sealer.key_id})


def _original_post(reading: CaptureReading, tenant: str) -> SealedPost:
    capture, matches = reading.capture, reading.find_best_matches(tenant)
    documents = [
        details.members[number]
        for details in (matches.details if matches else ())
        for number in np.unique(details.document).tolist()
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
