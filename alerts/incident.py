"""The incident as a projection: given its sightings and exposures, every number and verdict of it follows.

Customers are counted over exposures, so overlapping slices and re-posts count nobody twice. What is counted in rows (shares,
checksum failures, chance) comes from the largest sighting alone: it is one document that a person can check, and adding
overlapping ones up would count its rows again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date

from alerts.fold import subjects_digest
from alerts.noise.traits import Traits
from alerts.records import Exposure, Incident, Sighting, Sketched, Why
from ullage.records import Finding
from ullage.settings import Tenant
from ullage.verdict import Facts, Reason, judge_exposure, judge_origin

SHOWN = 50
"""Titles and authors kept in an incident."""


@dataclass(slots=True)
class People:
    """What one pass over an incident's exposures counts."""

    customers: int = 0
    groups: Counter[frozenset[str]] = field(default_factory=Counter)
    kinds: set[str] = field(default_factory=set)
    matched_kinds: Counter[str] = field(default_factory=Counter)
    """Customers a kind in the one sighting that the origin is judged on."""

    @classmethod
    def count(cls, exposures: Iterable[Exposure], sighting: str) -> People:
        """Count `exposures`; `sighting` is the id of the one to judge the origin on."""
        people = cls()
        for exposure in exposures:
            people.customers += 1
            people.kinds.update(exposure.kinds)
            people.groups.update(frozenset(group) for group in exposure.groups)
            if sighting in exposure.sightings:
                people.matched_kinds.update(exposure.kinds)
        return people


def sighting_of(finding: Finding, incident: str, linked: tuple[str, ...], folded_at: object) -> Sighting:
    """The fact that `finding` was folded into `incident`."""
    capture, statistics = finding.capture, finding.statistics
    return Sighting.model_validate(
        {
            **capture.model_dump(include=_OF_CAPTURE),
            **statistics.model_dump(include=_OF_STATISTICS),
            "id": finding.id,
            "tenant": finding.tenant,
            "incident": incident,
            "folded_at": folded_at,
            "linked": linked,
            "capture": capture.id,
            "matched_at": finding.matched_at,
            "alarm": finding.alarm,
            "epoch": finding.epoch,
            "index_epoch": finding.index_epoch,
            "watchlist": finding.customers,
            "parts": finding.parts,
            "matches": finding.total_matches,
            "customers": finding.total_subjects,
            "subjects": subjects_digest(finding),
            "matched_rows": sum(group.matched for group in statistics.groups),
            "corroborated_rows": sum(group.corroborated for group in statistics.groups),
            "terms": {term.id: term.count for term in statistics.terms},
            "traits": Traits.of(finding) if finding.parts == 1 else None,
        }
    )


_OF_CAPTURE = set("site platform kind category post_id url title author channel thread published_at fetched_at truncated".split())
_OF_STATISTICS = set("rows candidates failures longest_run newest_date skeleton brands bytes logins own_cards".split())


def largest(sightings: Iterable[Sighting]) -> Sighting:
    """The sighting that the origin is judged on: most rows, then most customers; the id decides between equals."""
    return min(sightings, key=lambda s: (-s.rows, -s.customers, s.id))


@dataclass(frozen=True, slots=True)
class Setting:
    """What a projection needs besides the facts: the day, and the tenant's settings."""

    today: date
    tenant: Tenant


def facts_of(sightings: Sequence[Sighting], people: People, setting: Setting) -> Facts:
    """The counted facts of an incident, for the verdict."""
    base = largest(sightings)
    return Facts(
        today=setting.today,
        customers=people.customers,
        rows=base.rows,
        matched_rows=base.matched_rows,
        corroborated_rows=base.corroborated_rows,
        groups=dict(people.groups),
        watchlist=base.watchlist,
        circulation=setting.tenant.circulation,
        candidates=base.candidates,
        matched_kinds=dict(people.matched_kinds),
        failures=base.failures,
        longest_run=base.longest_run,
        newest_date=max((s.newest_date for s in sightings if s.newest_date), default=None),
        sites=len({s.site for s in sightings}),
        brand=any(s.brands for s in sightings),
        terms=_distinct(term for s in sightings for term in s.terms),
        alarm=any(s.alarm for s in sightings),
        logins=max((s.logins for s in sightings), default=0),
    )


def project(
    sightings: Sequence[Sighting],
    people: People,
    setting: Setting,
    sketch: tuple[tuple[str, ...], Sketched],
    linked: Iterable[str],
) -> Incident:
    """The incident that these facts make. `linked` are others that some finding fitted as well."""
    ordered = sorted(sightings, key=lambda s: (s.folded_at, s.id))
    first, facts = ordered[0], facts_of(ordered, people, setting)
    exposure, origin = judge_exposure(facts), judge_origin(facts)
    published = min((s.published_at for s in ordered if s.published_at), default=None)
    return Incident.model_validate(
        {
            "id": first.incident,
            "tenant": first.tenant,
            "opened_by": first.id,
            "opened_at": first.folded_at,
            "updated_at": ordered[-1].folded_at,
            "first_seen": min(s.fetched_at for s in ordered),
            "last_seen": max(s.fetched_at for s in ordered),
            "published_at": published,
            "publish_seconds": _delay(first),
            "severity": exposure.severity,
            "exposure": exposure.score,
            "reasons": _whys(exposure.reasons),
            "scenario": exposure.scenario,
            "scenario_title": exposure.title,
            "scenario_title_zh": exposure.title_zh,
            "unit": exposure.unit,
            "origin": origin.verdict,
            "origin_p": origin.p,
            "origin_reasons": _whys(origin.reasons),
            "customers": people.customers,
            "rows": facts.rows,
            "sightings": len(ordered),
            "kinds": _distinct(people.kinds),
            "sites": _distinct(s.site for s in ordered),
            "terms": facts.terms,
            "brands": _distinct(brand for s in ordered for brand in s.brands),
            "titles": _first(s.title for s in ordered),
            "authors": _first(s.author for s in ordered),
            "skeleton": largest(ordered).skeleton,
            "alarm": facts.alarm,
            "linked": _distinct(linked),
            "subjects": first.subjects,
            "sketch": sketch[0],
            "sketch_of": sketch[1],
        }
    )


def _delay(first: Sighting) -> float | None:
    """Publish to incident, of the post that opened it: older copies found later do not make the daemon slower."""
    return max(0.0, (first.folded_at - first.published_at).total_seconds()) if first.published_at else None


def _whys(reasons: Iterable[Reason]) -> tuple[Why, ...]:
    return tuple(Why(code=r.code, points=r.points, evidence=r.evidence) for r in reasons)


def _distinct(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(values)))


def _first(values: Iterable[str]) -> tuple[str, ...]:
    """The first distinct ones, in their order."""
    return tuple(dict.fromkeys(value for value in values if value))[:SHOWN]
