"""Replay changed rules over stored facts, and report what would change.

An incident is judged as of the day on which it was last written, so that a difference comes from
the rules and not from its age. A frozen incident has no facts left to judge; it is counted.
"""

from __future__ import annotations

import tomllib
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, TypeAlias

from alerts.grouping import projection
from alerts.grouping.benign import BACKGROUND, BenignRules
from alerts.grouping.benign import BenignRules as BackgroundRules
from alerts.records import Background, Decision, Exposure, Incident, Sighting
from alerts.records.document import Excerpt
from alerts.store import DocumentFilter, IncidentStore
from ullage.errors import ConfigError
from ullage.files.rule_files import RuleKind, text_of
from ullage.files.validation import read_toml
from ullage.settings import Tenant
from ullage.verdict import VERDICT
from ullage.verdict import VerdictRules as Verdict
from ullage.vocabulary.lexicon import SUFFIX, Vocabulary, is_offer, themes

AnyKind: TypeAlias = RuleKind[Verdict] | RuleKind[BenignRules] | RuleKind[Vocabulary]


def kinds() -> dict[str, AnyKind]:
    """All of them, by name."""
    return {VERDICT.name: VERDICT, BACKGROUND.name: BACKGROUND, **themes()}


def kind_named(name: str) -> AnyKind:
    """The kind of that name; ConfigError lists them."""
    if name not in kinds():
        raise ConfigError(f"there are no rules of that kind: use {', '.join(kinds())}")
    return kinds()[name]


def kind_of(path: Path) -> AnyKind:
    """Of which kind the rules in a file are: a lexicon by its name, others by their tables.

    ConfigError when it is none.
    """
    if path.suffix == SUFFIX:
        if path.stem not in themes():
            raise ConfigError(
                f"{path}: name a lexicon as the one in its place:"
                f" {', '.join(n + SUFFIX for n in themes())}"
            )
        return themes()[path.stem]
    try:
        tables = read_toml(text_of(path))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is no TOML ({error})") from None
    for table, kind in (("scenario", VERDICT), ("rule", BACKGROUND)):
        if table in tables:
            return kind
    raise ConfigError(
        f"{path} has neither scenarios nor benign-post rules: `ullage rules show` prints an example"
    )


FOLDED, UNRAISED = "incident", "unraised"
REAL, FALSE = ("confirmed", "reported"), "false_positive"
ADDERS = {
    "V": "Volume, in units of the criminal interpretation",
    "T": "Freshness: the newest date in it",
    "R": "Spread over sites",
    "R1": "Seen where a copy costs nothing",
    "C1": "Two fields of one customer in a row",
    "C2": "A honeytoken was found",
    "C3": "The brand is named",
    "J1": "The brand's data are offered, nobody matched",
}


class ReplayedVerdict(NamedTuple):
    """What a verdict says, as far as people act on it."""

    severity: str
    exposure: int
    scenario: str
    origin: str

    @classmethod
    def of(cls, incident: Incident) -> ReplayedVerdict:
        """From an incident, stored or projected."""
        return cls(incident.severity, incident.exposure, incident.scenario, incident.origin)


class Change(NamedTuple):
    """One incident that would be judged otherwise."""

    incident: str
    tenant: str
    before: ReplayedVerdict
    after: ReplayedVerdict


class RuleCount(NamedTuple):
    """One rule: how many incidents and posts it takes part in, and how many of the incidents
    people confirmed or called false.
    """

    rule: str
    title: str
    incidents: int
    posts: int
    """Of a background rule; others judge incidents."""
    confirmed: int
    false_positives: int

    @property
    def precision(self) -> float | None:
        """The share of the judged incidents that were confirmed; None where nobody judged one."""
        judged = self.confirmed + self.false_positives
        return self.confirmed / judged if judged else None


@dataclass(slots=True)
class RuleReplay:
    """What would change, how much was judged or cannot be, and the incidents and posts that each
    rule takes part in.
    """

    kind: str
    titles: Mapping[str, str]
    judged: int = 0
    frozen: int = 0
    changes: list[Change] = field(default_factory=list)
    posts: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """Posts that change by (site, what they are, what they would be); a rule's id for
    background.
    """
    incidents_of: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    posts_of: Counter[str] = field(default_factory=Counter)

    def by_severity(self) -> Counter[tuple[str, str]]:
        """How many incidents would go from one severity to another."""
        return Counter(
            (c.before.severity, c.after.severity)
            for c in self.changes
            if c.before.severity != c.after.severity
        )

    def counts(self, judgements: Mapping[str, bool]) -> list[RuleCount]:
        """Every rule, those that took part in nothing too; `judgements` as of the function of
        that name.
        """
        found = []
        for rule in (*self.titles, *sorted(self.incidents_of.keys() - self.titles.keys())):
            judged = [
                judgements[one] for one in self.incidents_of.get(rule, ()) if one in judgements
            ]
            incidents, posts = len(self.incidents_of.get(rule, ())), self.posts_of[rule]
            found.append(
                RuleCount(
                    rule,
                    self.titles.get(rule, "a bound"),
                    incidents,
                    posts,
                    judged.count(True),
                    judged.count(False),
                )
            )
        return found

    def note(self, site: str, before: str, after: str) -> None:
        """Count a post that would be something else."""
        if before != after:
            self.posts[site, before, after] += 1


def replay(
    store: IncidentStore,
    rules: Verdict | BackgroundRules | Vocabulary,
    tenant_of: Callable[[str], Tenant],
    tenant: str = "",
) -> RuleReplay:
    """Judge everything that is stored, of one tenant or of all, by `rules`."""
    where = DocumentFilter({"tenant": (tenant,)} if tenant else {})
    if isinstance(rules, Vocabulary):
        return _replay_lexicon(store, rules, where)
    if isinstance(rules, BackgroundRules):
        return _replay_background(store, rules, where)
    return _replay_verdict(store, rules, tenant_of, where)


def _replay_verdict(
    store: IncidentStore, rules: Verdict, tenant_of: Callable[[str], Tenant], where: DocumentFilter
) -> RuleReplay:
    titles = (
        {one.id: one.title for one in rules.scenario}
        | ADDERS
        | {one.code: one.text for one in rules.modifier}
    )
    made = RuleReplay("verdict", titles)
    for stored in store.scroll(Incident, where):
        projected = (
            _projected(store, stored, rules, tenant_of(stored.tenant))
            if stored.frozen_at is None
            else None
        )
        if projected is None:
            made.frozen += 1
            continue
        made.judged += 1
        for code in {projected.scenario, *(why.code for why in projected.reasons)} - {"", "S"}:
            made.incidents_of[code].add(stored.id)
        before, after = ReplayedVerdict.of(stored), ReplayedVerdict.of(projected)
        if before != after:
            made.changes.append(Change(stored.id, stored.tenant, before, after))
    made.changes.sort(key=lambda c: (-abs(c.after.exposure - c.before.exposure), c.incident))
    return made


def _projected(
    store: IncidentStore, stored: Incident, rules: Verdict, tenant: Tenant
) -> Incident | None:
    """The incident by these rules; None where its sightings have expired."""
    where = DocumentFilter({"incident": stored.family})
    sightings = list(store.scroll(Sighting, where))
    if not any(sighting.incident == stored.id for sighting in sightings):
        return None
    setting = projection.Setting(
        stored.updated_at.date(), tenant, rules, projection.acknowledged(store, sightings)
    )
    sketch, exposures = (stored.sketch, stored.sketch_of), store.scroll(Exposure, where)
    return projection.project(sightings, exposures, setting, sketch, stored.linked, stored.parts)


def _replay_background(
    store: IncidentStore, rules: BackgroundRules, where: DocumentFilter
) -> RuleReplay:
    """Decide every stored post again: those that are background, and those that are in
    incidents.
    """
    made = RuleReplay("background", {rule.id: rule.title for rule in rules.rule})
    for fact in store.scroll(Background, where):
        made.judged += 1
        rule = rules.decide(fact.traits)
        made.note(fact.site, fact.rule, rule.id if rule else FOLDED)
        made.posts_of.update([rule.id] if rule else [])
    for sighting in store.scroll(Sighting, where):
        made.judged += 1
        if sighting.traits and (rule := rules.decide(sighting.traits)):
            made.note(sighting.site, FOLDED, rule.id)
            made.posts_of[rule.id] += 1
            made.incidents_of[rule.id].add(sighting.incident)
    return made


def _replay_lexicon(store: IncidentStore, lexicon: Vocabulary, where: DocumentFilter) -> RuleReplay:
    """Ask of every post that was raised by its terms alone whether it would be, with other weights
    or without a term.

    A term that is new there finds nothing: of a text only the terms that were found are kept.
    """
    made, known = (
        RuleReplay("lexicon", {UNRAISED: "no longer raised"}),
        {row.term: (row.category, row.weight) for row in lexicon.rows},
    )
    for sighting in store.scroll(Sighting, where):
        if sighting.alarm and not sighting.logins:
            made.judged += 1
            weights = [known[term] for term in sighting.terms if term in known]
            context = sighting.traits.context if sighting.traits else {}
            if not is_offer(weights, context, sighting.rows, sighting.claims.volume or 0):
                made.note(sighting.site, FOLDED, UNRAISED)
                made.posts_of[UNRAISED] += 1
                made.incidents_of[UNRAISED].add(sighting.incident)
    return made


class _Judgement(Excerpt):
    """Of a decision, what tells the last one of an incident."""

    incident: str
    at: datetime
    status: str


def judgements(store: IncidentStore) -> dict[str, bool]:
    """Whether each incident that somebody confirmed, reported or called a false positive was real,
    by the last such decision.

    An incident that was resolved or only acknowledged has none.
    """
    last = dict[str, _Judgement]()
    for decision in store.excerpts(
        Decision, DocumentFilter({"status": (*REAL, FALSE)}), _Judgement
    ):
        before = last.get(decision.incident)
        if before is None or (before.at, before.id) < (decision.at, decision.id):
            last[decision.incident] = decision
    return {incident: decision.status != FALSE for incident, decision in last.items()}
