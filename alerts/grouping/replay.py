"""Apply changed rules to stored facts, and report what would change.

An incident is judged as of the day on which it was last written, so that a difference comes from
the rules and not from its age. A frozen incident has no facts left to judge; it is only counted.
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
from ullage.files.rule_files import RuleKind, read_rules
from ullage.files.validation import read_toml
from ullage.settings import Tenant
from ullage.verdict import VERDICT
from ullage.verdict import VerdictRules as Verdict
from ullage.vocabulary.lexicon import SUFFIX, Vocabulary, is_offer, list_themes

AnyKind: TypeAlias = RuleKind[Verdict] | RuleKind[BenignRules] | RuleKind[Vocabulary]


def rule_kinds() -> dict[str, AnyKind]:
    """Return all kinds of rules, by name."""
    return {VERDICT.name: VERDICT, BACKGROUND.name: BACKGROUND, **list_themes()}


def get_kind(name: str) -> AnyKind:
    """Return the kind with that name; a ConfigError lists the valid names."""
    if name not in rule_kinds():
        raise ConfigError(f"unknown kind of rules: use one of {', '.join(rule_kinds())}")
    return rule_kinds()[name]


def detect_kind(path: Path) -> AnyKind:
    """Return the kind of the rules in a file: a lexicon, verdict rules, or rules for benign posts.

    A lexicon is recognised by its file name, the others by their tables. Raises ConfigError if the
    file is none of these, cannot be read, or is not valid TOML.
    """
    if path.suffix == SUFFIX:
        if path.stem not in list_themes():
            raise ConfigError(
                f"{path}: name a lexicon like the one that it replaces:"
                f" {', '.join(n + SUFFIX for n in list_themes())}"
            )
        return list_themes()[path.stem]
    try:
        tables = read_toml(read_rules(path))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML ({error})") from None
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
    """The parts of a verdict that people act on."""

    severity: str
    exposure: int
    scenario: str
    origin: str

    @classmethod
    def from_incident(cls, incident: Incident) -> ReplayedVerdict:
        """Return the verdict (severity, exposure score, scenario, leak source) of an incident."""
        return cls(incident.severity, incident.exposure, incident.scenario, incident.origin)


class Change(NamedTuple):
    """One incident whose verdict would change."""

    incident: str
    tenant: str
    before: ReplayedVerdict
    after: ReplayedVerdict


class RuleCount(NamedTuple):
    """How often one rule applies, and how right it is.

    `incidents` and `posts` are those that the rule takes part in; `confirmed` and `false_positives`
    are the incidents among them that people judged so.
    """

    rule: str
    title: str
    incidents: int
    posts: int
    """Only for rules of benign posts; the others judge incidents."""
    confirmed: int
    false_positives: int

    @property
    def precision(self) -> float | None:
        """The confirmed share of the incidents that people judged, from 0 to 1; None if none."""
        judged = self.confirmed + self.false_positives
        return self.confirmed / judged if judged else None


@dataclass(slots=True)
class RuleReplay:
    """The result of a replay: what would change, how much was judged, and where each rule applies.

    `frozen` incidents could not be judged.
    """

    kind: str
    titles: Mapping[str, str]
    judged: int = 0
    frozen: int = 0
    changes: list[Change] = field(default_factory=list)
    posts: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """Posts that change: site, old class, new class (the class of a benign post is its rule)."""
    incidents_of: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    posts_of: Counter[str] = field(default_factory=Counter)

    def count_by_severity(self) -> Counter[tuple[str, str]]:
        """Return how many incidents would move from one severity to another, by (before, after)."""
        return Counter(
            (c.before.severity, c.after.severity)
            for c in self.changes
            if c.before.severity != c.after.severity
        )

    def count_by_rule(self, judgements: Mapping[str, bool]) -> list[RuleCount]:
        """Return the counts of every rule, including rules that never applied.

        `judgements` says by incident id whether people judged it real; see `read_judgements`.
        """
        counts = []
        for rule in (*self.titles, *sorted(self.incidents_of.keys() - self.titles.keys())):
            judged = [
                judgements[incident]
                for incident in self.incidents_of.get(rule, ())
                if incident in judgements
            ]
            incidents, posts = len(self.incidents_of.get(rule, ())), self.posts_of[rule]
            counts.append(
                RuleCount(
                    rule,
                    self.titles.get(rule, "a bound"),
                    incidents,
                    posts,
                    judged.count(True),
                    judged.count(False),
                )
            )
        return counts

    def note(self, site: str, before: str, after: str) -> None:
        """Count a post that would be classified otherwise."""
        if before != after:
            self.posts[site, before, after] += 1


def replay(
    store: IncidentStore,
    rules: Verdict | BackgroundRules | Vocabulary,
    tenant_of: Callable[[str], Tenant],
    tenant: str = "",
) -> RuleReplay:
    """Return what would change if `rules` judged everything in the store; nothing is written.

    `rules` are verdict rules, rules for benign posts, or a lexicon. With a `tenant`, only its facts
    are judged. `tenant_of` returns the settings of a tenant.
    """
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
        {rule.id: rule.title for rule in rules.scenario}
        | ADDERS
        | {rule.code: rule.text for rule in rules.modifier}
    )
    result = RuleReplay("verdict", titles)
    for stored in store.scroll(Incident, where):
        projected = (
            _project_again(store, stored, rules, tenant_of(stored.tenant))
            if stored.frozen_at is None
            else None
        )
        if projected is None:
            result.frozen += 1
            continue
        result.judged += 1
        for code in {projected.scenario, *(why.code for why in projected.reasons)} - {"", "S"}:
            result.incidents_of[code].add(stored.id)
        before, after = (
            ReplayedVerdict.from_incident(stored),
            ReplayedVerdict.from_incident(projected),
        )
        if before != after:
            result.changes.append(Change(stored.id, stored.tenant, before, after))
    result.changes.sort(key=lambda c: (-abs(c.after.exposure - c.before.exposure), c.incident))
    return result


def _project_again(
    store: IncidentStore, stored: Incident, rules: Verdict, tenant: Tenant
) -> Incident | None:
    """Return the incident by these rules; None if its own sightings have expired.

    Writes nothing. Sightings of incidents that were merged into it do not suffice.
    """
    where = DocumentFilter({"incident": stored.family})
    sightings = list(store.scroll(Sighting, where))
    if not any(sighting.incident == stored.id for sighting in sightings):
        return None
    setting = projection.Setting(
        stored.updated_at.date(), tenant, rules, projection.find_acknowledged(store, sightings)
    )
    sketch, exposures = (stored.sketch, stored.sketch_of), store.scroll(Exposure, where)
    return projection.project(sightings, exposures, setting, sketch, stored.linked, stored.parts)


def _replay_background(
    store: IncidentStore, rules: BackgroundRules, where: DocumentFilter
) -> RuleReplay:
    """Classify every stored post again, and return what would change.

    These are the benign posts and those in incidents. Writes nothing. Posts in incidents without
    stored traits are counted, and not classified.
    """
    result = RuleReplay("background", {rule.id: rule.title for rule in rules.rule})
    for fact in store.scroll(Background, where):
        result.judged += 1
        rule = rules.decide(fact.traits)
        result.note(fact.site, fact.rule, rule.id if rule else FOLDED)
        result.posts_of.update([rule.id] if rule else [])
    for sighting in store.scroll(Sighting, where):
        result.judged += 1
        if sighting.traits and (rule := rules.decide(sighting.traits)):
            result.note(sighting.site, FOLDED, rule.id)
            result.posts_of[rule.id] += 1
            result.incidents_of[rule.id].add(sighting.incident)
    return result


def _replay_lexicon(store: IncidentStore, lexicon: Vocabulary, where: DocumentFilter) -> RuleReplay:
    """Check which posts that were raised by their terms alone would still be raised.

    Weights may differ and terms may be missing. A new term finds nothing: only the terms that were
    found in a text are stored.
    """
    result, term_weights = (
        RuleReplay("lexicon", {UNRAISED: "no longer raised"}),
        {row.term: (row.category, row.weight) for row in lexicon.rows},
    )
    for sighting in store.scroll(Sighting, where):
        if sighting.alarm and not sighting.logins:
            result.judged += 1
            weights = [term_weights[term] for term in sighting.terms if term in term_weights]
            context = sighting.traits.context if sighting.traits else {}
            if not is_offer(weights, context, sighting.rows, sighting.claims.volume or 0):
                result.note(sighting.site, FOLDED, UNRAISED)
                result.posts_of[UNRAISED] += 1
                result.incidents_of[UNRAISED].add(sighting.incident)
    return result


class _Judgement(Excerpt):
    """The fields of a decision that tell which one is the last of an incident."""

    incident: str
    at: datetime
    status: str


def read_judgements(store: IncidentStore) -> dict[str, bool]:
    """Return, by incident id, whether people judged the incident to be real.

    The last decision counts: True for confirmed or reported, False for false positive. An incident
    without any such decision is missing.
    """
    last = dict[str, _Judgement]()
    for decision in store.excerpts(
        Decision, DocumentFilter({"status": (*REAL, FALSE)}), _Judgement
    ):
        before = last.get(decision.incident)
        if before is None or (before.at, before.id) < (decision.at, decision.id):
            last[decision.incident] = decision
    return {incident: decision.status != FALSE for incident, decision in last.items()}
