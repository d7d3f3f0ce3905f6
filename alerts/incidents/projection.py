"""The incident as a projection: given its sightings and exposures, every number and verdict of it follows.

Customers are counted over exposures, so overlapping slices and re-posts count nobody twice. What is counted in rows (shares,
checksum failures, chance) comes from the largest sighting alone: it is one document that a person can check, and adding
overlapping ones up would count its rows again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from alerts.incidents.exposures import is_verified
from alerts.incidents.fold import Place, subjects_digest
from alerts.incidents.replay import Replay
from alerts.incidents.status import UNDECIDED, statuses
from alerts.records import TEXT_RULE, Exposure, Incident, Sighting, Sketched, Why
from alerts.records.traits import Traits
from alerts.store import IncidentStore
from alerts.store.older import reduced
from ullage.records import Bait, Claims, Finding
from ullage.settings import Tenant
from ullage.verdict import Crowd, Facts, Reason, Rules, judge
from ullage.vocabulary.fields import SENSITIVE, class_of, shows
from ullage.vocabulary.lexicon import is_wanted

SHOWN = 50
"""Titles and authors kept in an incident."""


@dataclass(slots=True)
class Counted:
    """Some of the customers, as they are counted."""

    customers: int = 0
    classes: Counter[str] = field(default_factory=Counter)
    groups: Counter[frozenset[str]] = field(default_factory=Counter)
    shown: Counter[frozenset[str]] = field(default_factory=Counter)

    def add(self, groups: Sequence[frozenset[str]], class_: str) -> None:
        """One more customer."""
        self.customers += 1
        self.classes[class_] += 1
        self.groups.update(groups)
        self.shown[frozenset().union(*map(shows, groups))] += 1

    def crowd(self) -> Crowd:
        """As a verdict takes it."""
        return Crowd(self.customers, dict(self.classes), dict(self.groups), dict(self.shown))


@dataclass(slots=True)
class People:
    """What one pass over an incident's exposures counts."""

    all: Counted = field(default_factory=Counted)
    verified: Counted = field(default_factory=Counted)
    agreeing: Counted = field(default_factory=Counted)
    sensitive: int = 0
    kinds: set[str] = field(default_factory=set)
    matched: int = 0
    matched_kinds: Counter[str] = field(default_factory=Counter)
    """Customers in the one sighting that the origin is judged on, and of them a kind."""

    @classmethod
    def count(cls, exposures: Iterable[Exposure], sighting: str) -> People:
        """Count `exposures`; `sighting` is the id of the one to judge the origin on."""
        people = cls()
        for exposure in exposures:
            groups = [frozenset(group) for group in exposure.groups]
            highest = min((class_of(group) for group in groups), default="C")
            people.all.add(groups, highest)
            if is_verified(exposure):
                people.verified.add(groups, highest)
            if exposure.corroborated:
                agreeing = [group for group in groups if len(group.intersection(exposure.own_fields)) > 1]
                people.agreeing.add(agreeing, min(map(class_of, agreeing), default="C"))
            people.sensitive += bool(SENSITIVE.intersection(exposure.fields))
            people.kinds.update(exposure.kinds)
            if sighting in exposure.sightings:
                people.matched += 1
                people.matched_kinds.update(exposure.kinds)
        return people


def sighting_of(finding: Finding, where: Place, replay: Replay, traits: Traits | None, folded_at: datetime) -> Sighting:
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
        rows=statistics.rows,
        matched_rows=sum(group.matched for group in statistics.groups),
        corroborated_rows=sum(group.corroborated for group in statistics.groups),
        groups=statistics.groups,
        candidates=statistics.candidates,
        failures=statistics.failures,
        longest_run=statistics.longest_run,
        newest_date=statistics.newest_date,
        skeleton=statistics.skeleton,
        terms={term.id: term.count for term in statistics.terms},
        written={term.id: term.shown for term in statistics.terms},
        brands=statistics.brands,
        bytes=statistics.bytes,
        unread=statistics.unread,
        logins=statistics.logins,
        staff_logins=statistics.staff_logins,
        stealer_rows=statistics.stealer_rows,
        own_cards=statistics.own_cards,
        known_cards=statistics.known_cards,
        own_card_rows=statistics.own_card_rows,
        rows_of_others=statistics.rows_of_others,
        replayed=replay.share,
        replay_of=replay.of,
        traits=traits,
        text_rule=TEXT_RULE,
    )


def largest(sightings: Iterable[Sighting]) -> Sighting:
    """The sighting that the origin is judged on: most rows, then most customers; the id decides between equals."""
    return min(sightings, key=lambda s: (-s.rows, -s.customers, s.id))


@dataclass(frozen=True, slots=True)
class Setting:
    """What a projection needs besides the facts: the day, the tenant's settings, and the rules to judge by.

    `acknowledged` are those of the earlier incidents, from which its customers are known, that a person has acknowledged.
    """

    today: date
    tenant: Tenant
    rules: Rules
    acknowledged: frozenset[str] = frozenset()


def acknowledged(store: IncidentStore, sightings: Iterable[Sighting]) -> frozenset[str]:
    """Of the incidents from which these sightings' customers are known, those that a person has acknowledged."""
    before = {sighting.replay_of for sighting in sightings if sighting.replay_of}
    return frozenset(id_ for id_, status in statuses(store, before).items() if status != UNDECIDED) if before else frozenset()


def facts_of(sightings: Sequence[Sighting], people: People, setting: Setting) -> Facts:
    """The counted facts of an incident, for the verdict."""
    base = largest(sightings)
    return Facts(
        today=setting.today,
        people=people.all.crowd(),
        verified=people.verified.crowd(),
        rows=base.rows,
        matched_rows=base.matched_rows,
        corroborated_rows=base.corroborated_rows,
        watchlist=base.watchlist,
        groups=base.groups,
        candidates=base.candidates,
        failures=base.failures,
        longest_run=base.longest_run,
        own_cards=base.own_cards,
        known_cards=base.known_cards,
        own_card_rows=base.own_card_rows,
        rows_of_others=base.rows_of_others,
        stealer_rows=base.stealer_rows,
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
        own_cohorts=frozenset(setting.tenant.own_cohorts),
        newest_date=max((s.newest_date for s in sightings if s.newest_date), default=None),
        sites=len({s.site for s in sightings}),
        free=any(s.kind == "paste" for s in sightings),
        brand=any(s.brands for s in sightings),
        terms=_distinct(term for s in sightings for term in s.terms),
        written=_written(sightings),
        alarm=any(s.alarm for s in sightings),
        wanted=all(s.wanted for s in sightings if s.alarm),
        logins=max((s.logins for s in sightings), default=0),
        staff_logins=max((s.staff_logins for s in sightings), default=0),
        claimed=claimed(sightings).volume or 0,
        incomplete=any(s.incomplete or s.truncated for s in sightings),
        replay_told=base.replay_of in setting.acknowledged,
        overlap=setting.tenant.overlap,
        market_share=setting.tenant.market_share,
        medium_clock=setting.tenant.medium_clock,
        unread=_unread(sightings),
        minors=max((s.minors for s in sightings), default=0),
    )


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
    for bait in sorted((b for s in sightings for b in s.canaries), key=lambda b: (b.label, b.verified, b.customers)):
        found[bait.label] = bait
    return tuple(found.values())


def _unread(sightings: Iterable[Sighting]) -> dict[str, int]:
    """What was not read, a reason: as much as in the sighting with most of it, since re-posts hold the same."""
    found = Counter[str]()
    for sighting in sightings:
        found |= Counter(sighting.unread)
    return dict(sorted(found.items()))


def project(
    sightings: Sequence[Sighting],
    people: People,
    setting: Setting,
    sketch: tuple[tuple[str, ...], Sketched],
    linked: Iterable[str],
) -> Incident:
    """The incident that these facts make. `linked` are others that some finding fitted as well."""
    ordered = sorted(map(reduced, sightings), key=lambda s: (s.folded_at, s.id))
    first, facts = ordered[0], facts_of(ordered, people, setting)
    exposure, origin = judge(facts, setting.rules)
    published = min((s.published_at for s in ordered if s.published_at), default=None)
    return Incident(
        id=first.incident,
        tenant=first.tenant,
        opened_by=first.id,
        opened_at=first.folded_at,
        updated_at=ordered[-1].folded_at,
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
        reasons=_whys(exposure.reasons),
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
        text_rule=TEXT_RULE,
        subjects=first.subjects,
        sketch=sketch[0],
        sketch_of=sketch[1],
    )


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
    """Publish to incident, of the post that opened it: older copies found later do not make the daemon slower."""
    return max(0.0, (first.folded_at - first.published_at).total_seconds()) if first.published_at else None


def _whys(reasons: Iterable[Reason]) -> tuple[Why, ...]:
    return tuple(Why(code=r.code, points=r.points, evidence=r.evidence, evidence_zh=r.evidence_zh) for r in reasons)


def _distinct(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(values)))


def _first(values: Iterable[str]) -> tuple[str, ...]:
    """The first distinct ones, in their order."""
    return tuple(dict.fromkeys(value for value in values if value))[:SHOWN]
