"""What a file of rules would change: stored facts judged again, nothing written.

An incident is judged on the day on which it was last written, so that what differs comes from the rules and not from its age. One
that is frozen has no facts left to judge; it is counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from alerts.incidents import projection
from alerts.noise.background import Rules as BackgroundRules
from alerts.records import Background, Exposure, Incident, Sighting
from alerts.store import IncidentStore, Where
from ullage.settings import Tenant
from ullage.verdict import Rules as Verdict
from ullage.vocabulary.lexicon import Row, is_offer

FOLDED, UNRAISED = "incident", "unraised"


class Judged(NamedTuple):
    """What a verdict says, as far as people act on it."""

    severity: str
    exposure: int
    scenario: str
    origin: str

    @classmethod
    def of(cls, incident: Incident) -> Judged:
        """From an incident, stored or projected."""
        return cls(incident.severity, incident.exposure, incident.scenario, incident.origin)


class Change(NamedTuple):
    """One incident that would be judged otherwise."""

    incident: str
    tenant: str
    before: Judged
    after: Judged


@dataclass(slots=True)
class Trial:
    """The outcome: what would change, and how many things were judged, stay as they are, or cannot be judged."""

    judged: int = 0
    frozen: int = 0
    changes: list[Change] = field(default_factory=list)
    posts: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """Posts by (site, what they are, what they would be); a rule's id for background."""

    def by_severity(self) -> Counter[tuple[str, str]]:
        """How many incidents would go from one severity to another."""
        return Counter((c.before.severity, c.after.severity) for c in self.changes if c.before.severity != c.after.severity)


def try_verdict(store: IncidentStore, rules: Verdict, tenant_of: Callable[[str], Tenant], tenant: str = "") -> Trial:
    """Judge every stored incident by `rules`."""
    trial = Trial()
    for stored in store.scroll(Incident, Where({"tenant": (tenant,)} if tenant else {})):
        projected = _projected(store, stored, rules, tenant_of(stored.tenant)) if stored.frozen_at is None else None
        if projected is None:
            trial.frozen += 1
            continue
        trial.judged += 1
        before, after = Judged.of(stored), Judged.of(projected)
        if before != after:
            trial.changes.append(Change(stored.id, stored.tenant, before, after))
    trial.changes.sort(key=lambda c: (-abs(c.after.exposure - c.before.exposure), c.incident))
    return trial


def _projected(store: IncidentStore, stored: Incident, rules: Verdict, tenant: Tenant) -> Incident | None:
    """The incident by these rules; None where its sightings have expired."""
    where = Where({"incident": stored.family})
    sightings = list(store.scroll(Sighting, where))
    if not any(sighting.incident == stored.id for sighting in sightings):
        return None
    setting = projection.Setting(stored.updated_at.date(), tenant, rules, projection.acknowledged(store, sightings))
    sketch, exposures = (stored.sketch, stored.sketch_of), store.scroll(Exposure, where)
    return projection.project(sightings, exposures, setting, sketch, stored.linked, stored.parts)


def try_background(store: IncidentStore, rules: BackgroundRules, tenant: str = "") -> Trial:
    """Decide every stored post again: those that are background, and those that are in incidents."""
    trial, where = Trial(), Where({"tenant": (tenant,)} if tenant else {})
    for fact in store.scroll(Background, where):
        trial.judged += 1
        rule = rules.decide(fact.traits)
        _note(trial, fact.site, fact.rule, rule.id if rule else FOLDED)
    for sighting in store.scroll(Sighting, where):
        trial.judged += 1
        rule = rules.decide(sighting.traits) if sighting.traits else None
        if rule:
            _note(trial, sighting.site, FOLDED, rule.id)
    return trial


def try_lexicon(store: IncidentStore, rows: Iterable[Row], tenant: str = "") -> Trial:
    """Ask of every post that was raised by its terms alone whether it would be by `rows`, with other weights or without a term.

    A term that is new there finds nothing: of a text only the terms that were found are kept.
    """
    trial, known = Trial(), {row.term: (row.category, row.weight) for row in rows}
    for sighting in store.scroll(Sighting, Where({"tenant": (tenant,)} if tenant else {})):
        if sighting.alarm and not sighting.logins:
            trial.judged += 1
            weights = [known[term] for term in sighting.terms if term in known]
            if not is_offer(weights, sighting.traits.context if sighting.traits else {}, sighting.rows):
                _note(trial, sighting.site, FOLDED, UNRAISED)
    return trial


def _note(trial: Trial, site: str, before: str, after: str) -> None:
    if before != after:
        trial.posts[site, before, after] += 1
