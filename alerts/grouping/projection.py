"""Compute an incident from its facts: its sightings and exposures.

An incident is a *projection*: every number and verdict in it follows from the stored facts, so it
can be computed again at any time. Customers are counted over exposures, so overlapping excerpts and
re-posts count nobody twice. What is counted in rows (shares, checksum failures, chance) comes from
the largest sighting alone: it is one document that a person can check, and a sum over overlapping
documents would count rows twice. Different posts of one seller are judged as if they were one
(`alerts.grouping.sightings`), and each alone as well: the worse verdict counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import lru_cache
from typing import NamedTuple

from alerts.grouping.exposures import Replay, is_verified, merge_by_customer
from alerts.grouping.placement import Placement, subjects_digest
from alerts.grouping.sightings import (
    combine,
    select_distinct_posts,
    select_posts_to_judge_alone,
    size_order,
)
from alerts.records import (
    SEVERITIES,
    ClockWord,
    Exposure,
    Incident,
    IncidentReason,
    Sighting,
    Sketched,
)
from alerts.records.sighting import Traits
from alerts.store import IncidentStore
from alerts.store.queries import UNDECIDED, statuses
from ullage.guard import DetectorFault, FaultGuard
from ullage.records import Claims, Finding, Honeytoken
from ullage.records.counts import combine_copies
from ullage.settings import Tenant
from ullage.verdict import Crowd, Reason, StepConditions, VerdictFacts, VerdictRules, judge
from ullage.verdict import ExposureScore as ExposureVerdict
from ullage.verdict import Origin as OriginVerdict
from ullage.vocabulary.fields import SENSITIVE, classify, shows
from ullage.vocabulary.lexicon import is_suspicion, is_wanted

SHOWN = 50
"""Titles and authors kept in an incident."""
JOINED = "J2"
"""Code of the reason that says how many posts were joined."""


class RowEvidence(NamedTuple):
    """The rows that show a customer.

    `groups` are the field sets of the rows, `highest` is the highest class of any of them, `shown`
    is everything that they show together.
    """

    groups: tuple[frozenset[str], ...]
    highest: str
    shown: frozenset[str]


@lru_cache(maxsize=4096)
def _read_rows(groups: tuple[tuple[str, ...], ...]) -> RowEvidence:
    """Return the evidence of a customer's rows. Cached: a post's customers are mostly alike."""
    field_sets = tuple(frozenset(group) for group in groups)
    return RowEvidence(
        field_sets,
        min(map(classify, field_sets), default="C"),
        frozenset().union(*map(shows, field_sets)),
    )


@lru_cache(maxsize=4096)
def _read_agreeing_rows(groups: tuple[tuple[str, ...], ...], own: tuple[str, ...]) -> RowEvidence:
    """Return the evidence of the rows in which two or more fields are the customer's own."""
    return _read_rows(tuple(group for group in groups if len({*group}.intersection(own)) > 1))


@dataclass(slots=True)
class CustomerCounts:
    """Counts of a set of customers."""

    customers: int = 0
    classes: Counter[str] = field(default_factory=Counter)
    groups: Counter[frozenset[str]] = field(default_factory=Counter)
    shown: Counter[frozenset[str]] = field(default_factory=Counter)

    def add(self, evidence: RowEvidence) -> None:
        """Count one more customer, with the fields that `evidence` shows in the customer's rows."""
        self.customers += 1
        self.classes[evidence.highest] += 1
        for group in evidence.groups:
            self.groups[group] += 1
        self.shown[evidence.shown] += 1

    def to_crowd(self) -> Crowd:
        """Convert the counts to the form that a verdict takes."""
        return Crowd(self.customers, dict(self.classes), dict(self.groups), dict(self.shown))


@dataclass(slots=True)
class People:
    """The customer counts from one pass over an incident's exposures."""

    all: CustomerCounts = field(default_factory=CustomerCounts)
    verified: CustomerCounts = field(default_factory=CustomerCounts)
    agreeing: CustomerCounts = field(default_factory=CustomerCounts)
    sensitive: int = 0
    kinds: set[str] = field(default_factory=set)
    matched: int = 0
    matched_kinds: Counter[str] = field(default_factory=Counter)
    """Customers in the sighting on which the origin is judged, per identifier kind."""

    def add(self, exposure: Exposure, *, is_matched: bool) -> None:
        """Count one more customer, given the customer's exposure.

        `is_matched` says whether the customer is in the sightings on which the leak source is
        judged.
        """
        evidence = _read_rows(exposure.groups)
        self.all.add(evidence)
        if is_verified(exposure):
            self.verified.add(evidence)
        if exposure.corroborated:
            self.agreeing.add(_read_agreeing_rows(exposure.groups, exposure.own_fields))
        self.sensitive += not SENSITIVE.isdisjoint(exposure.fields)
        self.kinds.update(exposure.kinds)
        if is_matched:
            self.matched += 1
            self.matched_kinds.update(exposure.kinds)


@dataclass(slots=True)
class Counts:
    """The customers of an incident, counted in the ways in which it is judged.

    `largest` is for the largest sighting, `joint` for all posts of its seller together, `apart` for
    single posts by id.
    """

    largest: People
    joint: People
    posts: tuple[Sighting, ...]
    """Different posts of one seller, the largest first; () if there are fewer than two."""
    apart: dict[str, People]

    @classmethod
    def from_facts(cls, sightings: Sequence[Sighting], exposures: Iterable[Exposure]) -> Counts:
        """Return the customer counts of an incident, from a single pass over `exposures`.

        There must be one exposure per customer, and at least one sighting. If `sightings` has
        several posts of one seller, they are counted together and each worst-case post alone.
        """
        largest_id, posts = find_largest(sightings).id, tuple(select_distinct_posts(sightings))
        posts = posts if len(posts) > 1 else ()
        ids, counts = (
            {post.id for post in posts},
            cls(
                People(),
                People(),
                posts,
                {post.id: People() for post in select_posts_to_judge_alone(posts)},
            ),
        )
        for exposure in exposures:
            counts.largest.add(exposure, is_matched=largest_id in exposure.sightings)
            if posts:
                counts.joint.add(exposure, is_matched=not ids.isdisjoint(exposure.sightings))
            for id_ in counts.apart.keys() & set(exposure.sightings) if posts else ():
                counts.apart[id_].add(exposure, is_matched=True)
        return counts


def build_sighting(
    finding: Finding, where: Placement, replay: Replay, traits: Traits | None, grouped_at: datetime
) -> Sighting:
    """Return the sighting that records where `finding` was grouped and how much was known."""
    capture, statistics = finding.capture, finding.statistics
    return Sighting(
        id=finding.id,
        tenant=finding.tenant,
        incident=where.incident,
        grouped_at=grouped_at,
        linked=where.linked,
        site=capture.site,
        platform=capture.platform,
        kind=capture.kind,
        category=capture.category,
        post_id=capture.post_id,
        capture=capture.id,
        url=capture.url,
        title=capture.title,
        author=capture.author,
        author_tag=capture.author_tag,
        channel=capture.channel,
        thread=capture.thread,
        claims=capture.claims,
        published_at=capture.published_at,
        fetched_at=capture.fetched_at,
        truncated=capture.truncated,
        matched_at=finding.matched_at,
        alarm=finding.alarm,
        wanted=is_wanted(statistics.context, statistics.rows),
        incomplete=finding.incomplete,
        served=finding.served,
        epoch=finding.epoch,
        index_epoch=finding.index_epoch,
        watchlist=finding.customers,
        parts=finding.parts,
        matches=finding.total_matches,
        customers=finding.total_subjects,
        subjects=subjects_digest(finding),
        minors=finding.minors,
        cohorts=finding.cohorts,
        cohort_labels=finding.cohort_labels,
        honeytokens=finding.honeytokens,
        honeytokens_enrolled=finding.honeytokens_enrolled,
        cards_enrolled=finding.cards_enrolled,
        private_attributes_comparable=finding.private_attributes_comparable,
        private_attributes_agreeing=finding.private_attributes_agreeing,
        matched_rows=sum(group.matched for group in statistics.groups),
        corroborated_rows=sum(group.corroborated for group in statistics.groups),
        terms={term.id: term.count for term in statistics.terms},
        written={term.id: term.shown for term in statistics.terms},
        suspicion=is_suspicion(statistics.context, statistics.rows),
        replayed=replay.share,
        replay_of=replay.of,
        traits=traits,
        parts_tied=where.parts,
        tied=where.tied,
        sketch=statistics.sketch if where.tied else (),
        sketch_of=statistics.sketch_of,
        skeleton=statistics.skeleton,
        brands=statistics.brands,
        bytes=statistics.bytes,
        **statistics.get_counts(),
    )


def find_largest(sightings: Iterable[Sighting]) -> Sighting:
    """Return the sighting on which the leak source is judged: the one with most rows.

    Of equal ones, that with most customers counts, then the id decides. Raises ValueError if there
    are no sightings.
    """
    return min(sightings, key=size_order)


@dataclass(frozen=True, slots=True)
class Setting:
    """What a projection needs besides the facts: the date, the tenant's settings and the rules.

    `acknowledged` are the acknowledged incidents among the earlier ones that had the same
    customers.
    """

    today: date
    tenant: Tenant
    rules: VerdictRules
    acknowledged: frozenset[str] = frozenset()
    on_fault: Callable[[DetectorFault], object] = lambda _: None
    """Called with each rule that fails; the incident then says that a person must judge it."""


def find_acknowledged(store: IncidentStore, sightings: Iterable[Sighting]) -> frozenset[str]:
    """Return the ids of earlier incidents, repeated by these sightings, that people have handled.

    An earlier incident is named in a sighting's `replay_of`; it is handled if its status is no
    longer open.
    """
    earlier = {sighting.replay_of for sighting in sightings if sighting.replay_of}
    return (
        frozenset(id_ for id_, status in statuses(store, earlier).items() if status != UNDECIDED)
        if earlier
        else frozenset()
    )


def build_facts(
    sightings: Sequence[Sighting], people: People, setting: Setting, joint: Sighting | None = None
) -> VerdictFacts:
    """Return the numbers and facts of an incident from which its verdict is computed.

    Numbers of rows are those of `joint`, which stands for all posts of one seller, or else of the
    largest sighting.
    """
    base = joint or find_largest(sightings)
    minors = (
        min(joint.minors, people.all.customers)
        if joint
        else max((s.minors for s in sightings), default=0)
    )
    return VerdictFacts(
        today=setting.today,
        people=people.all.to_crowd(),
        verified=people.verified.to_crowd(),
        matched_rows=base.matched_rows,
        corroborated_rows=base.corroborated_rows,
        watchlist=base.watchlist,
        cards_enrolled=base.cards_enrolled,
        private_attributes_comparable=base.private_attributes_comparable,
        private_attributes_agreeing=base.private_attributes_agreeing,
        cohorts=base.cohorts,
        cohort_labels=base.cohort_labels,
        honeytokens_enrolled=base.honeytokens_enrolled,
        replayed=base.replayed,
        replay_of=base.replay_of,
        agreeing=people.agreeing.to_crowd(),
        matched=people.matched,
        matched_kinds=dict(people.matched_kinds),
        honeytokens=_select_honeytokens(sightings),
        circulation=setting.tenant.circulation,
        own_fields=frozenset(setting.tenant.own_fields),
        sites=len({s.site for s in sightings}),
        free=any(s.kind == "paste" for s in sightings),
        brand=any(s.brands for s in sightings),
        terms=_distinct(term for s in sightings for term in s.terms),
        written=_collect_wordings(sightings),
        alarm=any(s.alarm for s in sightings),
        wanted=all(s.wanted for s in sightings if s.alarm),
        suspicion=any(s.suspicion for s in sightings),
        claimed=combine_claims(sightings).volume or 0,
        incomplete=any(s.incomplete or s.truncated for s in sightings),
        replay_told=base.replay_of in setting.acknowledged,
        overlap=setting.tenant.overlap,
        market_share=setting.tenant.market_share,
        medium_deadline=setting.tenant.medium_deadline,
        minors=minors,
        **combine_copies(sightings, base, joint),
    )


@dataclass(frozen=True, slots=True)
class ProjectedVerdict:
    """The facts of an incident, and the worst verdict of all ways of judging it."""

    facts: VerdictFacts
    exposure: ExposureVerdict
    origin: OriginVerdict
    posts: int
    """How many posts of one seller were joined; 0 if none were."""
    is_apart: bool = False
    """Whether one post alone is worse than all together."""


def judge_incident(
    sightings: Sequence[Sighting], counts: Counts, setting: Setting
) -> ProjectedVerdict:
    """Return the worst verdict on an incident: severity, scenario and leak source.

    Posts of one seller are judged together, and some of them alone; so are the sightings without
    them if any is not of that seller. A rule that fails is reported to `setting.on_fault` and
    skipped.
    """
    guard = FaultGuard(setting.on_fault)
    if not counts.posts:
        facts = build_facts(sightings, counts.largest, setting)
        return ProjectedVerdict(
            facts,
            *judge(facts, setting.rules, guard, _step_conditions(sightings, counts, facts)),
            0,
        )
    facts = build_facts(sightings, counts.joint, setting, combine(counts.posts))
    ways = [(facts, False)]
    if not all(sighting.tied for sighting in sightings):
        ways.append((build_facts(sightings, counts.largest, setting), False))
    ways += [
        (build_facts([post], counts.apart[post.id], setting), True)
        for post in select_posts_to_judge_alone(counts.posts)
    ]
    verdicts = [
        (*judge(way, setting.rules, guard, _step_conditions(sightings, counts, way)), is_apart)
        for way, is_apart in ways
    ]
    exposure, origin, is_apart = max(verdicts, key=lambda verdict: _gravity(verdict[0]))
    posts = {(s.site, s.post_id or s.id) for s in sightings if s.tied}
    return ProjectedVerdict(facts, exposure, origin, len(posts), is_apart)


def _step_conditions(
    sightings: Iterable[Sighting], counts: Counts, way: VerdictFacts
) -> StepConditions:
    """Return the conditions that decide the next step if the incident is judged by `way`.

    They are the same as those of `Incident.next_step`.
    """
    people = counts.largest
    unread = bool(way.unread) or any(sighting.incomplete for sighting in sightings)
    return StepConditions(
        people=people.all.customers > 0, alone=not people.agreeing.customers, unread=unread
    )


def _gravity(exposure: ExposureVerdict) -> tuple[int, int, int]:
    """Return a sort key of a verdict: the larger, the worse."""
    return SEVERITIES.index(exposure.severity), CLOCKS.index(exposure.clock), exposure.score


CLOCKS: tuple[ClockWord, ...] = ("none", "if confirmed", "run")


def _explain_joining(verdict: ProjectedVerdict) -> Iterator[IncidentReason]:
    """Yield the reason that says how many posts were joined, if any were."""
    if verdict.posts:
        english, chinese = (
            f"joined from {verdict.posts} posts of one seller, judged together",
            f"由同一卖家的{verdict.posts}条消息合并研判",
        )
        if verdict.is_apart:
            english, chinese = (
                f"{english} and apart: one of them alone is worse",
                f"{chinese}，其中一条单独研判更严重",
            )
        yield IncidentReason(code=JOINED, points=0, evidence=english, evidence_zh=chinese)


def _collect_wordings(sightings: Iterable[Sighting]) -> dict[str, str]:
    """Return each term as the first sighting with it wrote it."""
    wordings: dict[str, str] = {}
    for sighting in sightings:
        for term in sighting.terms:
            wordings.setdefault(term, sighting.written.get(term, term))
    return wordings


def _select_honeytokens(sightings: Iterable[Sighting]) -> tuple[Honeytoken, ...]:
    """Return one honeytoken per label, the one with the strongest evidence."""
    by_label: dict[str, Honeytoken] = {}
    for bait in sorted(
        (b for s in sightings for b in s.honeytokens),
        key=lambda b: (b.label, b.verified, b.customers),
    ):
        by_label[bait.label] = bait
    return tuple(by_label.values())


def project(
    sightings: Sequence[Sighting],
    exposures: Iterable[Exposure],
    setting: Setting,
    sketch: tuple[tuple[str, ...], Sketched],
    linked: Iterable[str],
    parts: Collection[str] = (),
) -> Incident:
    """Return the incident, computed from its stored facts; nothing is stored.

    `sightings` (at least one) and `exposures` are those of the incident and of its `parts`;
    `sketch` are the sampled values and their kind; `linked` are ids of other incidents that a
    finding fits.
    """
    family = set(parts)
    ordered = sorted(sightings, key=lambda s: (s.incident in family, s.grouped_at, s.id))
    first, family = ordered[0], {*family, ordered[0].incident}
    ordered = [_drop_own_replay(sighting, family) for sighting in ordered]
    counts = Counts.from_facts(ordered, merge_by_customer(exposures) if parts else exposures)
    verdict, people = judge_incident(ordered, counts, setting), counts.largest
    facts, exposure, origin = verdict.facts, verdict.exposure, verdict.origin
    published = min((s.published_at for s in ordered if s.published_at), default=None)
    return Incident(
        id=first.incident,
        tenant=first.tenant,
        opened_by=first.id,
        opened_at=first.grouped_at,
        updated_at=max(s.grouped_at for s in ordered),
        first_seen=min(s.fetched_at for s in ordered),
        last_seen=max(s.fetched_at for s in ordered),
        published_at=published,
        publish_seconds=_publish_seconds(first),
        severity=exposure.severity,
        row=exposure.row,
        notify=exposure.notify,
        clock=exposure.clock,
        minutes=exposure.minutes,
        exposure=exposure.score,
        reasons=(*_explain_joining(verdict), *_convert_reasons(exposure.reasons)),
        scenario=exposure.scenario,
        scenario_title=exposure.title,
        scenario_title_zh=exposure.title_zh,
        unit=exposure.unit,
        origin=origin.verdict,
        origin_label=origin.label,
        replay_of=facts.replay_of if origin.verdict == "recycled" else "",
        origin_p=origin.p,
        origin_reasons=_convert_reasons(origin.reasons),
        customers=people.all.customers,
        verified=people.verified.customers,
        agreeing=people.agreeing.customers,
        people_by_class=dict(people.all.classes),
        sensitive=people.sensitive,
        minors=facts.minors,
        fields=_distinct(facts.people.fields),
        rows=facts.rows,
        sightings=len(ordered),
        kinds=_distinct(people.kinds),
        sites=_distinct(s.site for s in ordered),
        terms=facts.terms,
        written=_distinct(facts.written.values()),
        brands=_distinct(brand for s in ordered for brand in s.brands),
        titles=_first_distinct(s.title for s in ordered),
        authors=_first_distinct(s.author for s in ordered),
        skeleton=find_largest(ordered).skeleton,
        alarm=facts.alarm,
        incomplete=_distinct(reason for s in ordered for reason in s.incomplete),
        linked=_distinct(linked),
        sections=_first_distinct(s.section for s in ordered),
        claims=combine_claims(ordered),
        newest_date=facts.newest_date,
        subjects=first.subjects,
        sketch=sketch[0],
        sketch_of=sketch[1],
        joined=verdict.posts,
        series=_find_seller(ordered),
        parts=tuple(sorted(parts)),
        gone=sum(s.gone_at is not None for s in ordered),
        gone_at=_find_last_removal(ordered),
        back=sum(s.back_at is not None for s in ordered),
        apart=_distinct(s.detached_from for s in ordered if s.detached_from),
    )


def _find_last_removal(sightings: Sequence[Sighting]) -> datetime | None:
    """Return when the last of the posts was gone, None while one is not."""
    gone = [sighting.gone_at for sighting in sightings if sighting.gone_at]
    return max(gone) if len(gone) == len(sightings) else None


def _drop_own_replay(sighting: Sighting, family: Collection[str]) -> Sighting:
    """Return `sighting` as not known before, if it was known only from this incident."""
    return (
        sighting.model_copy(update={"replayed": 0.0, "replay_of": ""})
        if sighting.replay_of in family
        else sighting
    )


def _find_seller(sightings: Sequence[Sighting]) -> tuple[str, ...]:
    """Return the token of the incident's seller, () if it has none.

    The seller has most of the tied posts; of equals, the first by token.
    """
    authors = Counter(
        sighting.author for sighting in sightings if sighting.tied and sighting.author
    )
    return (min(authors, key=lambda author: (-authors[author], author)),) if authors else ()


def combine_claims(sightings: Sequence[Sighting]) -> Claims:
    """Return the claims of all posts together; the earliest price counts."""
    claims = [sighting.claims for sighting in sightings]
    priced = next((claim for claim in claims if claim.price is not None), Claims())
    return Claims(
        volume=max((claim.volume for claim in claims if claim.volume is not None), default=None),
        price=priced.price,
        currency=priced.currency,
        contacts=_distinct(kind for claim in claims for kind in claim.contacts),
        files=_distinct(kind for claim in claims for kind in claim.files),
        size=max((claim.size for claim in claims if claim.size is not None), default=None),
    )


def _publish_seconds(first: Sighting) -> float | None:
    """Return the seconds from the publication of the first post to the incident, None if unknown.

    Only the post that opened it counts: older copies found later do not make the service slower.
    """
    return (
        max(0.0, (first.grouped_at - first.published_at).total_seconds())
        if first.published_at
        else None
    )


def _convert_reasons(reasons: Iterable[Reason]) -> tuple[IncidentReason, ...]:
    return tuple(
        IncidentReason(code=r.code, points=r.points, evidence=r.evidence, evidence_zh=r.evidence_zh)
        for r in reasons
    )


def _distinct(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(values)))


def _first_distinct(values: Iterable[str]) -> tuple[str, ...]:
    """Return the first `SHOWN` distinct values, in order."""
    return tuple(dict.fromkeys(value for value in values if value))[:SHOWN]
