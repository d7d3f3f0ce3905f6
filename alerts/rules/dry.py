"""What background rules would have hidden in a time: stored posts decided again, rule by rule; nothing is written.

A post that was raised has an incident's number, and what people said of it is what the rule would have cost. Posts are
known as long as they are kept; of those from before traits were kept nothing can be said, and they are counted.
"""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from alerts.noise.background import Rule, Rules
from alerts.records import Background, Sighting
from alerts.records.document import Excerpt
from alerts.records.traits import Traits
from alerts.rules.kept import unless
from alerts.rules.precision import Tenants, marks, said
from alerts.store import IncidentStore, Where

SHOWN = 5
"""Incidents that are named, those first of which nothing would be left."""
MOST_DAYS, USUAL_DAYS = 365, 30


class _Aside(Excerpt):
    """Of a post that was set aside, what rules look at."""

    tenant: str
    traits: Traits


class _In(Excerpt):
    """Of a post, the incident that it is in."""

    incident: str


class _Raised(_In):
    """Of a post in an incident, what rules look at; None where that was not kept."""

    tenant: str
    traits: Traits | None = None


@dataclass(frozen=True, slots=True)
class Hidden:
    """What one rule takes: posts that were set aside, posts in incidents, and these incidents by what people said of them."""

    rule: str
    title: str
    title_zh: str
    aside: int
    """Posts that are in no incident: this rule would set them aside again."""
    raised: int
    """Posts in incidents that it would have hidden."""
    incidents: int
    whole: int
    """Incidents of which nothing would be left."""
    real: int
    false: int
    examples: tuple[str, ...]

    @property
    def precision(self) -> float | None:
        """The share of judged incidents that were no leak, of those it would have hidden posts of; None without a judgement."""
        return self.false / (self.real + self.false) if self.real + self.false else None


@dataclass(frozen=True, slots=True)
class DryRun:
    """Rule by rule, as the first that fits decides; `back` posts were set aside and would be raised."""

    since: datetime
    posts: int
    unknown: int
    back: int
    rules: tuple[Hidden, ...]


@dataclass(slots=True)
class OfTenant:
    """Posts of one tenant: how many, of how many nothing can be said, and those that rules take, by the rule's id."""

    posts: int = 0
    unknown: int = 0
    aside: Counter[str] = field(default_factory=Counter)
    """Of those that were set aside; under "" those that would be raised."""
    taken: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """Of those in incidents, by incident."""


@dataclass(frozen=True, slots=True)
class Decided:
    """Every post since a moment, decided by `rules`; `of` counts the posts of each incident of which one was taken."""

    since: datetime
    rules: Rules
    by_tenant: Mapping[str, OfTenant]
    of: Counter[str]

    def shown(self, marked: Mapping[str, bool], tenants: Tenants = None) -> DryRun:
        """Those of `tenants`, with what people said of incidents."""
        some = [one for tenant, one in self.by_tenant.items() if tenants is None or tenant in tenants]
        aside = sum((one.aside for one in some), Counter[str]())
        taken = {rule.id: sum((one.taken.get(rule.id, Counter()) for one in some), Counter[str]()) for rule in self.rules.rule}
        found = tuple(_hidden(rule, aside, taken[rule.id], self.of, marked) for rule in self.rules.rule)
        return DryRun(self.since, sum(one.posts for one in some), sum(one.unknown for one in some), aside[""], found)


def dry_run(store: IncidentStore, rules: Rules, since: datetime, tenant: str = "") -> DryRun:
    """Decide every post since `since` by `rules`, of one tenant or of all."""
    return decided(store, rules, since, tenant).shown(marks(said(store)))


def decided(
    store: IncidentStore, rules: Rules, since: datetime, tenant: str = "", ended: threading.Event | None = None
) -> Decided:
    """Read and decide; costs a pass over the posts since then, until that is `ended` for which they are read."""
    where = Where({"tenant": (tenant,)} if tenant else {})
    found, of = defaultdict[str, OfTenant](OfTenant), Counter[str]()
    for fact in unless(ended, store.excerpts(Background, replace(where, since=since), _Aside)):
        its = found[fact.tenant]
        its.posts += 1
        rule = rules.decide(fact.traits)
        its.aside[rule.id if rule else ""] += 1
    for sighting in unless(ended, store.excerpts(Sighting, replace(where, since=since), _Raised)):
        its = found[sighting.tenant]
        of[sighting.incident] += 1
        its.posts += 1
        its.unknown += sighting.traits is None
        if sighting.traits and (rule := rules.decide(sighting.traits)):
            its.taken[rule.id][sighting.incident] += 1
    hit = {incident for its in found.values() for incidents in its.taken.values() for incident in incidents}
    if hit:
        earlier = replace(where, equals={**where.equals, "incident": tuple(hit)}, before=since)
        of.update(sighting.incident for sighting in unless(ended, store.excerpts(Sighting, earlier, _In)))
    return Decided(since, rules, found, Counter({incident: of[incident] for incident in hit}))


def _hidden(rule: Rule, aside: Counter[str], taken: Counter[str], of: Counter[str], marked: Mapping[str, bool]) -> Hidden:
    whole = {incident for incident, count in taken.items() if count == of[incident]}
    named = sorted(taken, key=lambda one: (one not in whole, one))
    judged = [marked[one] for one in taken if one in marked]
    return Hidden(
        rule.id,
        rule.title,
        rule.title_zh,
        aside[rule.id],
        taken.total(),
        len(taken),
        len(whole),
        judged.count(True),
        judged.count(False),
        tuple(named[:SHOWN]),
    )


def dry_as_json(found: DryRun) -> dict[str, Any]:
    """The whole as a JSON object."""
    rules: Sequence[dict[str, Any]] = [
        {
            "rule": one.rule, "title": one.title, "title_zh": one.title_zh, "set_aside": one.aside, "raised": one.raised,
            "incidents": one.incidents, "whole": one.whole, "real": one.real, "false": one.false, "precision": one.precision,
            "examples": one.examples,
        }
        for one in found.rules
    ]  # fmt: skip
    told = {"since": found.since.isoformat(), "posts": found.posts, "unknown": found.unknown, "raised_again": found.back}
    return {**told, "rules": rules}
