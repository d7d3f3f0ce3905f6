"""The stage on one screen: findings → (background, or) fold → facts → incidents, a batch at a time.

Writes go in an order that a crash may cut anywhere: first the sightings, which remember where each
finding went and which incidents it tied; then exposures and holdings; last the incidents, which
follow from them. The batch comes again, finds its sightings, and ends in the same facts. So it does
where another process wrote between reading and writing: what a batch read is written over that
alone (`alerts.store`), and else the batch is done again from reading.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from alerts.grouping import exposures, placement, projection
from alerts.grouping.benign import BenignRules, fact_of, shipped
from alerts.grouping.exposures import exposures_of, merged
from alerts.grouping.placement import KnownIncident, Placement, held
from alerts.grouping.sightings import (
    FactsOf,
    NewFacts,
    Presences,
    claim_of,
    current,
    read_facts,
    remove_replaced,
    without_replaced,
    without_sightings,
)
from alerts.records import (
    SEVERITIES,
    Background,
    Exposure,
    Holding,
    Incident,
    Notification,
    Original,
    Sighting,
    holding_of,
    incident_id,
)
from alerts.records.document import Document
from alerts.records.sighting import Traits
from alerts.store import DocumentFilter, IncidentStore, Merge, WriteResult, merge
from alerts.store.queries import CLOSED, admit, erased_meanwhile, last_decisions, without_erased
from ullage import log
from ullage.bus import Record
from ullage.clock import Clock
from ullage.errors import RecordError
from ullage.guard import DetectorFault
from ullage.records import FINDING_SCHEMA, Finding
from ullage.settings import Tenant
from ullage.verdict import VerdictRules, own_rules

KEPT_FROM = SEVERITIES.index("low")
"""Of what is less nobody needs to find the post again."""
YOUNG = 20_000
"""Objects that folding makes before the new ones are looked through for garbage: a batch makes
several times as many, and hardly any that only a collection frees.
"""
SEARCHED = (Sighting, Exposure, Notification)
"""What is searched once a batch's facts are written, and so is to be seen; what people say is
seen at once.
"""


class BatchMetrics(Protocol):
    """Counts what the stage does."""

    def handled(self, findings: Sequence[Finding], opened: Sequence[Sighting]) -> None:
        """Count the `findings` of a batch, and the sightings that `opened` incidents."""

    def rule_failed(self, fault: DetectorFault) -> None:
        """Count and report a rule of the verdict that failed."""


@dataclass(frozen=True, slots=True)
class Alert:
    """Folds what it is handed, but for what is no leak.

    `tenant` gives a tenant's settings; what is in force is asked a batch.
    """

    store: IncidentStore
    clock: Clock
    tenant: Callable[[str], Tenant]
    metrics: BatchMetrics
    background: Callable[[], BenignRules] = shipped
    rules: Callable[[], VerdictRules] = own_rules
    """Of verdicts."""
    tell: Callable[[Sequence[Incident]], None] = lambda _: None
    """Told of each incident that was written, before the batch counts as done: what is to be
    said of it is durable too.
    """
    filed: Callable[[Mapping[str, Incident], Sequence[Incident]], None] = lambda *_: None
    """Handed the incidents as they were and as they were written, before anybody is told of
    them.
    """
    key_checks: dict[str, str] = field(default_factory=dict)
    """Of keys under which stored facts were made, as far as they came up."""
    writing: Callable[[], AbstractContextManager[None]] = nullcontext
    """The context in which facts are written."""

    def handle(self, records: Sequence[Record]) -> None:
        """Deal with a batch; everything is durable on return, and doing it again changes
        nothing.
        """
        decoded = without_erased(self.store, [decode(record) for record in records])
        admit(self.store, decoded, self.clock.now(), self.key_checks)
        opened = merge(self.store, partial(self._fold, decoded, {}))
        self.metrics.handled([finding for finding in decoded if not finding.withdrawn], opened)

    def _fold(
        self, decoded: Sequence[Finding], opened: dict[str, Sighting], merging: Merge
    ) -> list[Sighting]:
        """Fold them once; gives the first sightings of new incidents, with those that are
        `opened` by an earlier try.
        """
        told = [finding for finding in decoded if not finding.withdrawn]
        before = self._held(told)
        findings = current(told, before)
        sightings = merging.mget(
            Sighting, {id_ for f in findings for id_ in (f.id, f.served) if id_}
        )
        incomplete = {finding.id for finding in findings if finding.incomplete} | sightings.keys()
        new = [
            f
            for f in findings
            if f.id not in sightings and not f.incomplete and f.served not in incomplete
        ]
        traits = {f.id: Traits.of(f) for f in new if f.parts == 1}
        background = self._background(new, traits, before)
        leaks = [finding for finding in findings if finding.id not in background]
        aside = self._beside(leaks)
        leaks += aside
        presences = Presences.of(
            merging, [*leaks, *(finding for finding in decoded if finding.withdrawn)]
        )
        sightings |= merging.mget(Sighting, {f.id for f in aside}) if aside else {}
        batch = self._load(merging, leaks, before | self._held(aside), sightings, presences)
        for finding in leaks:
            batch.take(
                finding,
                traits.get(finding.id) or (Traits.of(finding) if finding.parts == 1 else None),
                self.clock,
            )
        opened |= {sighting.id: sighting for sighting in batch.opened}
        if leaks or presences.now:
            with self.writing():
                self._write(merging, batch)
                self.store.delete(Exposure, erased_meanwhile(self.store, batch.exposures.values()))
                if aside:
                    self.store.delete(Background, [finding.id for finding in aside])
        return [*opened.values()]

    def _ties(self, finding: Finding) -> placement.Ties:
        return placement.ties_of(finding)

    def _held(self, findings: Collection[Finding]) -> dict[str, Holding]:
        """Of all that these findings look for what incidents hold."""
        claims = (
            claim
            for f in findings
            for claim in (*placement.claims_of(f), *self._ties(f).all, claim_of(f))
            if claim
        )
        return held(self.store, {*claims})

    def _background(
        self, findings: Sequence[Finding], traits: Mapping[str, Traits], before: Collection[str]
    ) -> set[str]:
        """Ids of the findings that are no leak.

        One that comes again is what it was, whatever the rules.
        """
        known, rules, decided = (
            set(self.store.mget(Background, {f.id for f in findings})),
            self.background(),
            dict[str, Background](),
        )
        for finding in findings:
            seen = traits.get(finding.id)
            if seen is not None and finding.id not in known and (rule := rules.decide(seen)):
                decided[finding.id] = fact_of(
                    finding, rule, rules.version, seen, self.clock.now(), self._ties(finding).own
                )
        for id_ in self._sold(findings, decided.keys() | known, decided, before):
            del decided[id_]
        if not decided:
            return known
        with self.writing():
            self._put_background(findings, [*decided.values()])
        return known | decided.keys()

    def _sold(
        self,
        findings: Sequence[Finding],
        apart: Collection[str],
        decided: Collection[str],
        before: Collection[str],
    ) -> set[str]:
        """Of those `decided` the ids of what an author posted who sells beside it or did
        `before`: that is no background.
        """
        tied = {finding.id: self._ties(finding) for finding in findings}
        sold = {*before} | {tie for id_, one in tied.items() if id_ not in apart for tie in one.own}
        found = set[str]()
        while more := {
            id_ for id_ in decided if id_ not in found and not sold.isdisjoint(tied[id_].all)
        }:
            found |= more
            sold |= {tie for id_ in more for tie in tied[id_].own}
        return found

    def _beside(self, leaks: Sequence[Finding]) -> list[Finding]:
        """What was background until its author turned out to sell beside it: those findings, to
        be folded after all.
        """
        found, asked = (
            dict[str, Finding](),
            {tie for finding in leaks for tie in self._ties(finding).all},
        )
        if asked:
            self.store.refresh(Background)
        while asked:
            new = [
                one for fact in self._tied(asked) if fact.id not in found and (one := _kept(fact))
            ]
            found |= {finding.id: finding for finding in new}
            asked = {tie for finding in new for tie in self._ties(finding).all}
        return [*found.values()]

    def _tied(self, asked: Collection[str]) -> list[Background]:
        """Background facts whose posts left one of these ties."""
        return sorted(
            self.store.scroll(Background, DocumentFilter({"ties": tuple(asked)})),
            key=lambda fact: (fact.at, fact.id),
        )

    def _put_background(self, findings: Sequence[Finding], decided: Sequence[Background]) -> None:
        """Write what was decided, and that the whole of those captures was."""
        self._put(decided)
        self.store.delete(Background, erased_meanwhile(self.store, decided))
        whole = {finding.id: claim_of(finding) for finding in findings}
        self.store.create(
            [holding_of(d.tenant, "", (whole[d.id],), d.at) for d in decided if whole[d.id]]
        )

    def _load(
        self,
        merging: Merge,
        findings: Sequence[Finding],
        before: Mapping[str, Holding],
        sightings: dict[str, Sighting],
        presences: Presences,
    ) -> FindingBatch:
        """Everything that the batch can touch, by id; `before` is what holds the values that it
        looks for.
        """
        tied = {finding.id: self._ties(finding) for finding in findings}
        holders = {one.incident for one in before.values() if one.incident} | {
            i for s in sightings.values() for i in (s.incident, *s.linked, *s.parts_tied)
        }
        holders |= {sighting.incident for sighting in presences.sightings.values()}
        holders |= {incident_id(finding.id) for finding in findings}
        stored = self._with_heads(merging, holders)
        known = {id_: KnownIncident.of(found) for id_, found in stored.items()}
        if any(one.own for one in tied.values()):
            for id_, decision in last_decisions(self.store, known).items():
                known[id_] = known[id_]._replace(
                    closed_at=decision.at if decision.status in CLOSED else None
                )
        seen = self._seen([f for f in findings if f.id not in sightings])
        return FindingBatch(sightings, {**before}, known, stored, tied, presences, seen)

    @staticmethod
    def _with_heads(merging: Merge, ids: Collection[str]) -> dict[str, Incident]:
        """The stored incidents of these ids, and those whose parts they are."""
        found, wanted = dict[str, Incident](), set(ids)
        while wanted:
            found |= merging.mget(Incident, wanted)
            wanted = {one.part_of for one in found.values() if one.part_of} - found.keys()
        return found

    def _seen(self, findings: Sequence[Finding]) -> dict[str, exposures.Seen]:
        """Where the customers of new findings stood before, a tenant."""
        seen: dict[str, exposures.Seen] = {}
        for finding in findings:
            seen.setdefault(finding.tenant, {}).update(
                (subject, {}) for subject in exposures.sample(finding)
            )
        asked = [subject for subjects in seen.values() for subject in subjects]
        for one in (
            self.store.scroll(Exposure, DocumentFilter({"tenant": (*seen,), "subject": asked}))
            if asked
            else ()
        ):
            exposures.remember(seen[one.tenant], (one,))
        return seen

    def _write(self, merging: Merge, batch: FindingBatch) -> None:
        moved = batch.presences.moved(batch.sightings.values())
        merging.put(({s.id: s for s in batch.new_sightings} | {s.id: s for s in moved}).values())
        merging.put(batch.presences.changed)
        touched = batch.touched()
        if not touched:
            return
        came = batch.came()
        stored = merging.mget(
            Exposure,
            [id_ for id_, one in batch.exposures.items() if one.incident not in came.customers],
        )
        before = {
            id_: left
            for id_, old in stored.items()
            if (left := without_sightings(old, batch.replaced))
        }
        shown = [
            merged(before[id_], found) if id_ in before else found
            for id_, found in batch.exposures.items()
        ]
        merging.put([*shown, *batch.holdings])
        if batch.replaced:
            self.store.refresh(*SEARCHED)
            remove_replaced(self.store, [batch.sightings[id_] for id_ in batch.gone])
        self.store.refresh(*SEARCHED)
        rules = self.rules()
        families = {id_: (id_, *sorted(batch.known[id_].parts)) for id_ in sorted(touched)}
        facts = read_facts(self.store, families, batch.customers(families), came)
        incidents = [self._project(id_, of_it, batch, rules) for id_, of_it in facts]
        grave = {
            id_
            for one in incidents
            if SEVERITIES.index(one.severity) >= KEPT_FROM
            for id_ in one.family
        }
        self._put([original for original in batch.originals if original.incident in grave])
        merging.put(incidents)
        self.filed(batch.stored, incidents)
        self.tell([incident for incident in incidents if not incident.part_of])

    def _project(
        self, id_: str, facts: FactsOf, batch: FindingBatch, rules: VerdictRules
    ) -> Incident:
        """The incident as its facts now stand; one that is frozen, or whose sightings have
        expired, keeps its numbers.
        """
        known, stored = batch.known[id_], batch.stored.get(id_)
        family = {id_, *known.parts}
        is_frozen = stored is not None and stored.frozen_at is not None
        sightings = [] if is_frozen else without_replaced(facts.sightings)
        linked = {*facts.linking, *(other for s in sightings for other in s.linked)} - family
        if stored is not None and not any(sighting.incident == id_ for sighting in sightings):
            linked |= {*stored.linked} - family
            changed = {
                "linked": tuple(sorted(linked)),
                **self._part(known, stored),
                "parts": tuple(sorted(known.parts)),
            }
            return stored.model_copy(update=changed)
        acknowledged = projection.acknowledged(self.store, sightings)
        today, tenant = self.clock.now().date(), self.tenant(known.tenant)
        setting = projection.Setting(today, tenant, rules, acknowledged, self.metrics.rule_failed)
        sketch = known.sketch, known.sketch_of
        made = projection.project(sightings, facts.exposures, setting, sketch, linked, known.parts)
        return made.model_copy(update=self._part(known, stored)) if known.part_of else made

    def _part(self, known: KnownIncident, stored: Incident | None) -> dict[str, object]:
        """Return of which incident it is a part, and since when."""
        is_same = stored is not None and stored.part_of == known.part_of
        since = stored.part_since if stored and is_same else self.clock.now()
        return {"part_of": known.part_of, "part_since": since if known.part_of else None}

    def _put(self, documents: Sequence[Document]) -> None:
        if WriteResult.REJECTED in self.store.put(documents):
            raise RecordError("rejected")


@dataclass(slots=True)
class FindingBatch:
    """What is known of a batch's incidents, the findings before the one in hand included."""

    sightings: dict[str, Sighting]
    held: dict[str, Holding]
    """By value what holds it, of all that its findings look for."""
    known: dict[str, KnownIncident]
    stored: dict[str, Incident]
    tied: dict[str, placement.Ties]
    """The ties of each of its findings."""
    presences: Presences = field(default_factory=Presences)
    """Of its posts, whether they are there."""
    seen: dict[str, exposures.Seen] = field(default_factory=dict)
    new_sightings: list[Sighting] = field(default_factory=list)
    holdings: list[Holding] = field(default_factory=list)
    """Of what was held by nobody, or by an incident that is gone or frozen, or that a tie does
    not hold to.
    """
    opened: list[Sighting] = field(default_factory=list)
    exposures: dict[str, Exposure] = field(default_factory=dict)
    """What the batch itself shows, by id."""
    replaced: set[str] = field(default_factory=set)
    """Ids of incomplete sightings that gave way to a whole one."""
    gone: set[str] = field(default_factory=set)
    """Those of them of which nothing is to be left: the whole one is there with its last part."""
    originals: list[Original] = field(default_factory=list)
    """What is sealed of the batch's findings."""

    def take(self, finding: Finding, traits: Traits | None, clock: Clock) -> None:
        """Place one finding; one that has a sighting goes where it went before."""
        sighting, earlier = self.sightings.get(finding.id), self._replaced_by(finding)
        if sighting is None:
            where = (
                self._place_of(earlier)
                if earlier
                else placement.place(finding, self.held, self.known, self.tied[finding.id])
            )
            frozen = [self.known[id_] for id_ in where.linked if self.known[id_].frozen]
            known = exposures.replay_of(
                finding, self._family(where), self.seen.get(finding.tenant, {}), frozen
            )
            at = earlier.folded_at if earlier else clock.now()
            sighting = projection.sighting_of(finding, where, known, traits, at)
            self.new_sightings.append(sighting)
            self.sightings[finding.id] = sighting
        shown = exposures_of(finding, sighting.incident)
        exposures.remember(self.seen.get(finding.tenant, {}), shown.values())
        for id_, found in shown.items():
            self.exposures[id_] = (
                merged(self.exposures[id_], found) if id_ in self.exposures else found
            )
        if finding.original:
            self.originals.append(
                Original(
                    id=finding.id,
                    tenant=finding.tenant,
                    incident=sighting.incident,
                    at=sighting.folded_at,
                    sealed=finding.original,
                    key_id=finding.original_key,
                )
            )
        self._join(finding, sighting)

    @staticmethod
    def _place_of(earlier: Sighting) -> Placement:
        """The place of a sighting that gives way to a whole one."""
        return Placement(earlier.incident, False, earlier.linked, earlier.parts_tied, earlier.tied)

    def _family(self, where: Placement) -> set[str]:
        """The incidents with which it is judged at this place."""
        heads = {placement.head_of(id_, self.known) for id_ in (where.incident, *where.parts)}
        return {
            where.incident,
            *heads,
            *(part for head in heads & self.known.keys() for part in self.known[head].parts),
        }

    def _replaced_by(self, finding: Finding) -> Sighting | None:
        """The incomplete sighting whose place `finding` takes, and of which the batch now shows
        nothing.
        """
        earlier = self.sightings.get(finding.served) if not finding.incomplete else None
        holder = self.known.get(earlier.incident) if earlier else None
        if earlier is None or holder is None or holder.frozen:
            return None
        self.replaced.add(earlier.id)
        if finding.part == finding.parts:
            self.gone.add(earlier.id)
        left = {
            id_: without_sightings(found, {earlier.id}) for id_, found in self.exposures.items()
        }
        self.exposures = {id_: found for id_, found in left.items() if found}
        return earlier

    def _join(self, finding: Finding, sighting: Sighting) -> None:
        id_ = sighting.incident
        if id_ not in self.known:
            self.opened.append(sighting)
            statistics = finding.statistics
            self.known[id_] = KnownIncident(
                id_, finding.tenant, sighting.folded_at, (), statistics.sketch_of
            )
        for grown in {id_, placement.head_of(id_, self.known)}:
            self.known[grown] = self.known[grown].grown(finding)
        for part in sighting.parts_tied:
            self._tie(placement.head_of(id_, self.known), placement.head_of(part, self.known))
        whole = (claim_of(finding),) if finding.served and not finding.incomplete else ()
        tied = self.tied[finding.id].own if sighting.tied else ()
        had = list[str]()
        for claim in (*placement.claims_of(finding), *tied, *whole):
            holder = self.known.get(self.held[claim].incident) if claim in self.held else None
            if (
                holder is None
                or holder.frozen
                or (claim in tied and not self._head(holder.id).holds(finding))
            ):
                had.append(claim)
        if had:
            before = {self.held[claim].id: self.held[claim] for claim in had if claim in self.held}
            made = holding_of(finding.tenant, id_, had, sighting.folded_at, before.values())
            self.holdings.append(made)
            self.held.update(dict.fromkeys(had, made))

    def _head(self, id_: str) -> KnownIncident:
        return self.known[placement.head_of(id_, self.known)]

    def _tie(self, head: str, part: str) -> None:
        """Make one head another's part; doing it again changes nothing."""
        if head != part and {head, part} <= self.known.keys():
            self.known[head] = self.known[head].with_part(self.known[part])
            self.known[part] = self.known[part]._replace(part_of=head)

    def customers(self, families: Mapping[str, Collection[str]]) -> dict[str, int]:
        """At most how many customers each of these incidents has, its parts' included."""
        came = Counter(exposure.incident for exposure in self.exposures.values())
        stored = {id_: incident.customers for id_, incident in self.stored.items()}
        return {
            id_: sum(came[one] + stored.get(one, 0) for one in family)
            for id_, family in families.items()
        }

    def came(self) -> NewFacts:
        """The batch's new posts, and the customers of the incidents that they opened.

        A sighting is written before any customer of it, so the store has none of an incident all of
        whose sightings are new: they are written as new, and where one is there after all, the
        batch is done again and finds the sightings.
        """
        posts = {sighting.id for sighting in self.new_sightings}
        known = {
            sighting.incident for sighting in self.sightings.values() if sighting.id not in posts
        }
        customers = {
            id_: list[Exposure]()
            for sighting in self.opened
            if (id_ := sighting.incident) not in known
        }
        for exposure in self.exposures.values():
            if exposure.incident in customers:
                customers[exposure.incident].append(exposure)
        return NewFacts(posts, customers)

    def touched(self) -> set[str]:
        """Incidents to write again: those that the batch's findings are in, those tied or linked to
        them, and all their heads.

        So are those of the other sightings of their posts, which may be gone or back.
        """
        near = {i for s in self.sightings.values() for i in (s.incident, *s.linked, *s.parts_tied)}
        near |= {sighting.incident for sighting in self.presences.sightings.values()}
        return {
            i
            for id_ in near
            if id_ in self.known
            for i in (id_, placement.head_of(id_, self.known))
        }


def _kept(fact: Background) -> Finding | None:
    """The finding that a background fact keeps; None where it is damaged, which must not cost
    the posts beside it.
    """
    try:
        return Finding.decode(fact.finding.encode(), FINDING_SCHEMA)
    except RecordError:
        log.get("alert").error("background_unreadable", tenant=fact.tenant)
        return None


def decode(record: Record) -> Finding:
    """The finding in a record of the bus; RecordError when it is none."""
    schema = record.headers.get("schema", "")
    return Finding.decode(
        record.value, int(schema) if schema.isascii() and schema.isdigit() else -1
    )
