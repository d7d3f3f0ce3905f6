"""The incident as a projection: given its sightings and exposures, every number and verdict of it
follows.

Customers are counted over exposures, so overlapping slices and re-posts count nobody twice. What is
counted in rows (shares, checksum failures, chance) comes from the largest sighting alone: it is one
document that a person can check, and adding overlapping ones up would count its rows again.
Different posts of one seller are judged as if they were one (`alerts.grouping.sightings`), and each
by itself as well: the worse stands.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import NamedTuple

from alerts.grouping.exposures import Replay, is_verified, one_each
from alerts.grouping.placement import Placement, subjects_digest
from alerts.grouping.sightings import different, judged_apart, size, together
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
from ullage.records import Bait, Claims, Finding
from ullage.records.counts import combine_copies
from ullage.settings import Tenant
from ullage.verdict import Crowd, Reason, StepConditions, VerdictFacts, VerdictRules, judge
from ullage.verdict import ExposureScore as ExposureVerdict
from ullage.verdict import Origin as OriginVerdict
from ullage.vocabulary.fields import SENSITIVE, class_of, shows
from ullage.vocabulary.lexicon import is_suspicion, is_wanted

SHOWN = 50
"""Titles and authors kept in an incident."""
NEVER = datetime.min.replace(tzinfo=UTC)
JOINED = "J2"
"""The code of the reason that says of how many posts it is joined."""


class RowEvidence(NamedTuple):
    """In which rows a customer stands: field sets, the highest class of them, and all that they
    show together.
    """

    groups: tuple[frozenset[str], ...]
    highest: str
    shown: frozenset[str]


@lru_cache(maxsize=4096)
def _stood(groups: tuple[tuple[str, ...], ...]) -> RowEvidence:
    """The rows of a customer read; those of one post's customers are mostly the same."""
    read = tuple(frozenset(group) for group in groups)
    return RowEvidence(
        read, min(map(class_of, read), default="C"), frozenset().union(*map(shows, read))
    )


@lru_cache(maxsize=4096)
def _agreeing(groups: tuple[tuple[str, ...], ...], own: tuple[str, ...]) -> RowEvidence:
    """Those of them in which two fields or more are the customer's own."""
    return _stood(tuple(group for group in groups if len({*group}.intersection(own)) > 1))


@dataclass(slots=True)
class CustomerCounts:
    """Some of the customers, as they are counted."""

    customers: int = 0
    classes: Counter[str] = field(default_factory=Counter)
    groups: Counter[frozenset[str]] = field(default_factory=Counter)
    shown: Counter[frozenset[str]] = field(default_factory=Counter)

    def add(self, stood: RowEvidence) -> None:
        """One more customer."""
        self.customers += 1
        self.classes[stood.highest] += 1
        for group in stood.groups:
            self.groups[group] += 1
        self.shown[stood.shown] += 1

    def crowd(self) -> Crowd:
        """As a verdict takes it."""
        return Crowd(self.customers, dict(self.classes), dict(self.groups), dict(self.shown))


@dataclass(slots=True)
class People:
    """What one pass over an incident's exposures counts."""

    all: CustomerCounts = field(default_factory=CustomerCounts)
    verified: CustomerCounts = field(default_factory=CustomerCounts)
    agreeing: CustomerCounts = field(default_factory=CustomerCounts)
    sensitive: int = 0
    kinds: set[str] = field(default_factory=set)
    matched: int = 0
    matched_kinds: Counter[str] = field(default_factory=Counter)
    """Customers in the one sighting that the origin is judged on, and of them a kind."""

    def add(self, exposure: Exposure, *, is_matched: bool) -> None:
        """One more customer; `is_matched` in what the origin is judged on."""
        stood = _stood(exposure.groups)
        self.all.add(stood)
        if is_verified(exposure):
            self.verified.add(stood)
        if exposure.corroborated:
            self.agreeing.add(_agreeing(exposure.groups, exposure.own_fields))
        self.sensitive += not SENSITIVE.isdisjoint(exposure.fields)
        self.kinds.update(exposure.kinds)
        if is_matched:
            self.matched += 1
            self.matched_kinds.update(exposure.kinds)


@dataclass(slots=True)
class Counts:
    """The people of an incident as they are judged: with its largest sighting, with all posts of
    its seller, each post's own.
    """

    largest: People
    joint: People
    posts: tuple[Sighting, ...]
    """Different posts of one seller, the largest first; () where there are no two."""
    apart: dict[str, People]

    @classmethod
    def of(cls, sightings: Sequence[Sighting], exposures: Iterable[Exposure]) -> Counts:
        """Counted in one pass over `exposures`, one each customer."""
        base, posts = largest(sightings).id, tuple(different(sightings))
        posts = posts if len(posts) > 1 else ()
        ids, found = (
            {post.id for post in posts},
            cls(People(), People(), posts, {post.id: People() for post in judged_apart(posts)}),
        )
        for exposure in exposures:
            found.largest.add(exposure, is_matched=base in exposure.sightings)
            if posts:
                found.joint.add(exposure, is_matched=not ids.isdisjoint(exposure.sightings))
            for id_ in found.apart.keys() & set(exposure.sightings) if posts else ():
                found.apart[id_].add(exposure, is_matched=True)
        return found


def sighting_of(
    finding: Finding, where: Placement, replay: Replay, traits: Traits | None, folded_at: datetime
) -> Sighting:
    """The fact that `finding` was folded into an incident, and how much of it was known before."""
    capture, statistics = finding.capture, finding.statistics
    return Sighting(
        id=finding.id,
        tenant=finding.tenant,
        incident=where.incident,
        folded_at=folded_at,
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
        canaries=finding.canaries,
        canaries_enrolled=finding.canaries_enrolled,
        cards_enrolled=finding.cards_enrolled,
        witnesses_comparable=finding.witnesses_comparable,
        witnesses_agreeing=finding.witnesses_agreeing,
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


def largest(sightings: Iterable[Sighting]) -> Sighting:
    """The sighting that the origin is judged on: most rows, then most customers; the id decides
    between equals.
    """
    return min(sightings, key=size)


@dataclass(frozen=True, slots=True)
class Setting:
    """What a projection needs besides the facts: the day, the tenant's settings, and the rules to
    judge by.

    `acknowledged` are those of the earlier incidents, from which its customers are known, that a
    person has acknowledged.
    """

    today: date
    tenant: Tenant
    rules: VerdictRules
    acknowledged: frozenset[str] = frozenset()
    on_fault: Callable[[DetectorFault], object] = lambda _: None
    """Called with each rule that fails; the incident then says that a person must judge it."""


def acknowledged(store: IncidentStore, sightings: Iterable[Sighting]) -> frozenset[str]:
    """Of the incidents from which these sightings' customers are known, those that a person has
    acknowledged.
    """
    before = {sighting.replay_of for sighting in sightings if sighting.replay_of}
    return (
        frozenset(id_ for id_, status in statuses(store, before).items() if status != UNDECIDED)
        if before
        else frozenset()
    )


def facts_of(
    sightings: Sequence[Sighting], people: People, setting: Setting, joint: Sighting | None = None
) -> VerdictFacts:
    """The counted facts of an incident, for the verdict; what is counted in rows is of `joint`,
    or of the largest sighting.
    """
    base = joint or largest(sightings)
    minors = (
        min(joint.minors, people.all.customers)
        if joint
        else max((s.minors for s in sightings), default=0)
    )
    return VerdictFacts(
        today=setting.today,
        people=people.all.crowd(),
        verified=people.verified.crowd(),
        matched_rows=base.matched_rows,
        corroborated_rows=base.corroborated_rows,
        watchlist=base.watchlist,
        cards_enrolled=base.cards_enrolled,
        witnesses_comparable=base.witnesses_comparable,
        witnesses_agreeing=base.witnesses_agreeing,
        cohorts=base.cohorts,
        cohort_labels=base.cohort_labels,
        canaries_enrolled=base.canaries_enrolled,
        replayed=base.replayed,
        replay_of=base.replay_of,
        agreeing=people.agreeing.crowd(),
        matched=people.matched,
        matched_kinds=dict(people.matched_kinds),
        canaries=_bait(sightings),
        circulation=setting.tenant.circulation,
        own_fields=frozenset(setting.tenant.own_fields),
        sites=len({s.site for s in sightings}),
        free=any(s.kind == "paste" for s in sightings),
        brand=any(s.brands for s in sightings),
        terms=_distinct(term for s in sightings for term in s.terms),
        written=_written(sightings),
        alarm=any(s.alarm for s in sightings),
        wanted=all(s.wanted for s in sightings if s.alarm),
        suspicion=any(s.suspicion for s in sightings),
        claimed=claimed(sightings).volume or 0,
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
    """The facts that an incident shows, and the worst that follows from any way of judging it."""

    facts: VerdictFacts
    exposure: ExposureVerdict
    origin: OriginVerdict
    posts: int
    """How many posts of one seller it is joined from, 0 for none."""
    is_apart: bool = False
    """One of the posts alone is worse than all together."""


def judged(sightings: Sequence[Sighting], counts: Counts, setting: Setting) -> ProjectedVerdict:
    """Judge the posts of one seller together, each apart, and whatever else is in the incident
    as ever: the worse stands.
    """
    guard = FaultGuard(setting.on_fault)
    if not counts.posts:
        facts = facts_of(sightings, counts.largest, setting)
        return ProjectedVerdict(
            facts,
            *judge(facts, setting.rules, guard, _step_conditions(sightings, counts, facts)),
            0,
        )
    facts = facts_of(sightings, counts.joint, setting, together(counts.posts))
    ways = [(facts, False)]
    if not all(sighting.tied for sighting in sightings):
        ways.append((facts_of(sightings, counts.largest, setting), False))
    ways += [
        (facts_of([post], counts.apart[post.id], setting), True)
        for post in judged_apart(counts.posts)
    ]
    found = [
        (*judge(way, setting.rules, guard, _step_conditions(sightings, counts, way)), is_apart)
        for way, is_apart in ways
    ]
    exposure, origin, is_apart = max(found, key=lambda one: _gravity(one[0]))
    posts = {(s.site, s.post_id or s.id) for s in sightings if s.tied}
    return ProjectedVerdict(facts, exposure, origin, len(posts), is_apart)


def _step_conditions(
    sightings: Iterable[Sighting], counts: Counts, way: VerdictFacts
) -> StepConditions:
    """Return what the next step goes by when the incident is judged by `way`: the same as
    `Incident.next_step` reads.
    """
    people = counts.largest
    unread = bool(way.unread) or any(sighting.incomplete for sighting in sightings)
    return StepConditions(
        people=people.all.customers > 0, alone=not people.agreeing.customers, unread=unread
    )


def _gravity(exposure: ExposureVerdict) -> tuple[int, int, int]:
    """Of two verdicts the one with the larger is worse; of equals the first that is looked at
    stands.
    """
    return SEVERITIES.index(exposure.severity), CLOCKS.index(exposure.clock), exposure.score


CLOCKS: tuple[ClockWord, ...] = ("none", "if confirmed", "run")


def _joined(verdict: ProjectedVerdict) -> Iterator[IncidentReason]:
    """That it is joined, and what was judged."""
    if verdict.posts:
        told, zh = (
            f"joined from {verdict.posts} posts of one seller, judged together",
            f"由同一卖家的{verdict.posts}条消息合并研判",
        )
        if verdict.is_apart:
            told, zh = (
                f"{told} and apart: one of them alone is worse",
                f"{zh}，其中一条单独研判更严重",
            )
        yield IncidentReason(code=JOINED, points=0, evidence=told, evidence_zh=zh)


def _written(sightings: Iterable[Sighting]) -> dict[str, str]:
    """Every term as it stands in the first sighting that has it."""
    found: dict[str, str] = {}
    for sighting in sightings:
        for term in sighting.terms:
            found.setdefault(term, sighting.written.get(term, term))
    return found


def _bait(sightings: Iterable[Sighting]) -> tuple[Bait, ...]:
    """Bait in any sighting: of each label the one that shows most."""
    found: dict[str, Bait] = {}
    for bait in sorted(
        (b for s in sightings for b in s.canaries), key=lambda b: (b.label, b.verified, b.customers)
    ):
        found[bait.label] = bait
    return tuple(found.values())


def project(
    sightings: Sequence[Sighting],
    exposures: Iterable[Exposure],
    setting: Setting,
    sketch: tuple[tuple[str, ...], Sketched],
    linked: Iterable[str],
    parts: Collection[str] = (),
) -> Incident:
    """The incident that these facts and those of its `parts` make.

    `linked` are others that some finding fitted as well.
    """
    family = set(parts)
    ordered = sorted(sightings, key=lambda s: (s.incident in family, s.folded_at, s.id))
    first, family = ordered[0], {*family, ordered[0].incident}
    ordered = [_of_others(sighting, family) for sighting in ordered]
    counts = Counts.of(ordered, one_each(exposures) if parts else exposures)
    verdict, people = judged(ordered, counts, setting), counts.largest
    facts, exposure, origin = verdict.facts, verdict.exposure, verdict.origin
    published = min((s.published_at for s in ordered if s.published_at), default=None)
    return Incident(
        id=first.incident,
        tenant=first.tenant,
        opened_by=first.id,
        opened_at=first.folded_at,
        updated_at=max(s.folded_at for s in ordered),
        first_seen=min(s.fetched_at for s in ordered),
        last_seen=max(s.fetched_at for s in ordered),
        published_at=published,
        publish_seconds=_delay(first),
        severity=exposure.severity,
        row=exposure.row,
        told=exposure.told,
        clock=exposure.clock,
        minutes=exposure.minutes,
        exposure=exposure.score,
        reasons=(*_joined(verdict), *_whys(exposure.reasons)),
        scenario=exposure.scenario,
        scenario_title=exposure.title,
        scenario_title_zh=exposure.title_zh,
        unit=exposure.unit,
        origin=origin.verdict,
        origin_label=origin.label,
        replay_of=facts.replay_of if origin.verdict == "recycled" else "",
        origin_p=origin.p,
        origin_reasons=_whys(origin.reasons),
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
        titles=_first(s.title for s in ordered),
        authors=_first(s.author for s in ordered),
        skeleton=largest(ordered).skeleton,
        alarm=facts.alarm,
        incomplete=_distinct(reason for s in ordered for reason in s.incomplete),
        linked=_distinct(linked),
        sections=_first(s.section for s in ordered),
        claims=claimed(ordered),
        newest_date=facts.newest_date,
        subjects=first.subjects,
        sketch=sketch[0],
        sketch_of=sketch[1],
        joined=verdict.posts,
        series=_series(ordered),
        parts=tuple(sorted(parts)),
        gone=sum(s.gone_at is not None for s in ordered),
        gone_at=max(s.gone_at or NEVER for s in ordered)
        if all(s.gone_at for s in ordered)
        else None,
        back=sum(s.back_at is not None for s in ordered),
        apart=_distinct(s.detached_from for s in ordered if s.detached_from),
    )


def _of_others(sighting: Sighting, family: Collection[str]) -> Sighting:
    """`sighting`, to which its own incident and its parts are no earlier ones."""
    return (
        sighting.model_copy(update={"replayed": 0.0, "replay_of": ""})
        if sighting.replay_of in family
        else sighting
    )


def _series(sightings: Sequence[Sighting]) -> tuple[str, ...]:
    """The seller whose incident it is: who has most of the posts that belong here as a seller's,
    of equals the first by token.
    """
    authors = Counter(
        sighting.author for sighting in sightings if sighting.tied and sighting.author
    )
    return (min(authors, key=lambda author: (-authors[author], author)),) if authors else ()


def claimed(sightings: Sequence[Sighting]) -> Claims:
    """What the posts claim together, the earliest first: of prices that is the one which counts."""
    told = [sighting.claims for sighting in sightings]
    priced = next((one for one in told if one.price is not None), Claims())
    return Claims(
        volume=max((one.volume for one in told if one.volume is not None), default=None),
        price=priced.price,
        currency=priced.currency,
        contacts=_distinct(kind for one in told for kind in one.contacts),
        files=_distinct(kind for one in told for kind in one.files),
        size=max((one.size for one in told if one.size is not None), default=None),
    )


def _delay(first: Sighting) -> float | None:
    """Publish to incident, of the post that opened it: older copies found later do not make the
    daemon slower.
    """
    return (
        max(0.0, (first.folded_at - first.published_at).total_seconds())
        if first.published_at
        else None
    )


def _whys(reasons: Iterable[Reason]) -> tuple[IncidentReason, ...]:
    return tuple(
        IncidentReason(code=r.code, points=r.points, evidence=r.evidence, evidence_zh=r.evidence_zh)
        for r in reasons
    )


def _distinct(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(values)))


def _first(values: Iterable[str]) -> tuple[str, ...]:
    """The first distinct ones, in their order."""
    return tuple(dict.fromkeys(value for value in values if value))[:SHOWN]
