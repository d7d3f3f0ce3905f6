"""Group the findings of a batch into incidents: read, decide, write.

Writes are ordered so that a crash may happen anywhere: first the sightings, which remember where
each finding went and which incidents it tied; then exposures and holdings; last the incidents,
which follow from them. After a crash the batch arrives again, finds its sightings, and ends in the
same facts. The same happens if another process wrote between reading and writing: a document is
overwritten only in the state in which the batch read it (`alerts.store`); otherwise the batch is
processed again from the start.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from alerts.grouping import exposures, placement, projection
from alerts.grouping.benign import BenignRules, build_benign_record, load_shipped_rules
from alerts.grouping.exposures import build_exposures, merge_exposures
from alerts.grouping.placement import KnownIncident, Placement, find_holdings
from alerts.grouping.sightings import (
    FactsOf,
    NewFacts,
    Presences,
    drop_superseded,
    get_served_claim,
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
    build_holding,
    incident_id,
)
from alerts.records.document import Document
from alerts.records.sighting import Traits
from alerts.store import DocumentFilter, IncidentStore, Merge, WriteResult, merge
from alerts.store.queries import (
    CLOSED,
    check_keys,
    find_erased_meanwhile,
    last_decisions,
    without_erased,
)
from ullage import log
from ullage.bus import Record
from ullage.clock import Clock
from ullage.errors import RecordError
from ullage.guard import DetectorFault
from ullage.records import FINDING_SCHEMA, Finding
from ullage.settings import Tenant
from ullage.verdict import VerdictRules, load_verdict_rules

KEPT_FROM = SEVERITIES.index("low")
"""Originals are stored from this severity on; nobody needs to find lesser posts again."""
YOUNG = 20_000
"""Garbage collection threshold of the stage.

A batch allocates several times as many objects, and hardly any of them are in cycles.
"""
SEARCHED = (Sighting, Exposure, Notification)
"""Classes to refresh after a batch's facts are written, because they are searched next."""


class BatchMetrics(Protocol):
    """Counts what the stage does."""

    def count_batch(self, findings: Sequence[Finding], opened: Sequence[Sighting]) -> None:
        """Count the `findings` of a batch, and the sightings that opened incidents."""

    def count_failed_rule(self, fault: DetectorFault) -> None:
        """Count and report a rule of the verdict that failed."""


@dataclass(frozen=True, slots=True)
class Alert:
    """Groups findings into incidents, except benign ones.

    `tenant` returns a tenant's settings; it is called for each batch.
    """

    store: IncidentStore
    clock: Clock
    tenant: Callable[[str], Tenant]
    metrics: BatchMetrics
    background: Callable[[], BenignRules] = load_shipped_rules
    rules: Callable[[], VerdictRules] = load_verdict_rules
    """Returns the rules of verdicts."""
    tell: Callable[[Sequence[Incident]], None] = lambda _: None
    """Called with the written incidents, before the batch counts as done.

    So their notifications are durable too.
    """
    filed: Callable[[Mapping[str, Incident], Sequence[Incident]], None] = lambda *_: None
    """Called with the incidents as they were and as they are, before anybody is notified."""
    key_checks: dict[str, str] = field(default_factory=dict)
    """Check values of the keys of stored facts, as far as they were needed."""
    writing: Callable[[], AbstractContextManager[None]] = nullcontext
    """The context in which facts are written."""

    def handle(self, records: Sequence[Record]) -> None:
        """Group a batch of findings into incidents, and store and count the result.

        Everything is durable on return; repeating the call changes nothing in the store. Matches of
        erased customers are left out. Raises RecordError for a record that cannot be decoded, or
        that was made under another key than the stored findings; the whole batch is then not
        processed.
        """
        decoded = without_erased(self.store, [decode(record) for record in records])
        check_keys(self.store, decoded, self.clock.now(), self.key_checks)
        opened = merge(self.store, partial(self._fold, decoded, {}))
        self.metrics.count_batch([finding for finding in decoded if not finding.withdrawn], opened)

    def _fold(
        self, decoded: Sequence[Finding], opened: dict[str, Sighting], merging: Merge
    ) -> list[Sighting]:
        """Group the findings, one attempt.

        Return the first sightings of new incidents, including those `opened` by earlier attempts.
        """
        present = [finding for finding in decoded if not finding.withdrawn]
        holdings = self._find_holdings(present)
        findings = drop_superseded(present, holdings)
        sightings = merging.mget(
            Sighting, {id_ for f in findings for id_ in (f.id, f.served) if id_}
        )
        incomplete = {finding.id for finding in findings if finding.incomplete} | sightings.keys()
        new = [
            f
            for f in findings
            if f.id not in sightings and not f.incomplete and f.served not in incomplete
        ]
        traits = {f.id: Traits.from_finding(f) for f in new if f.parts == 1}
        background = self._background(new, traits, holdings)
        leaks = [finding for finding in findings if finding.id not in background]
        former_background = self._find_former_background(leaks)
        leaks += former_background
        presences = Presences.load(
            merging, [*leaks, *(finding for finding in decoded if finding.withdrawn)]
        )
        sightings |= (
            merging.mget(Sighting, {f.id for f in former_background}) if former_background else {}
        )
        batch = self._load(
            merging, leaks, holdings | self._find_holdings(former_background), sightings, presences
        )
        for finding in leaks:
            batch.take(
                finding,
                traits.get(finding.id)
                or (Traits.from_finding(finding) if finding.parts == 1 else None),
                self.clock,
            )
        opened |= {sighting.id: sighting for sighting in batch.opened}
        if leaks or presences.now:
            with self.writing():
                self._write(merging, batch)
                self.store.delete(
                    Exposure, find_erased_meanwhile(self.store, batch.exposures.values())
                )
                if former_background:
                    self.store.delete(Background, [finding.id for finding in former_background])
        return [*opened.values()]

    def _ties(self, finding: Finding) -> placement.Ties:
        return placement.build_ties(finding)

    def _find_holdings(self, findings: Collection[Finding]) -> dict[str, Holding]:
        """Return the holdings of all values that these findings look up."""
        claims = (
            claim
            for f in findings
            for claim in (
                *placement.list_content_claims(f),
                *self._ties(f).all,
                get_served_claim(f),
            )
            if claim
        )
        return find_holdings(self.store, {*claims})

    def _background(
        self, findings: Sequence[Finding], traits: Mapping[str, Traits], before: Collection[str]
    ) -> set[str]:
        """Return the ids of the benign findings, and store those that are new.

        A finding that arrives again stays what it was, whatever the rules are now.
        """
        known_ids, rules, decided = (
            set(self.store.mget(Background, {f.id for f in findings})),
            self.background(),
            dict[str, Background](),
        )
        for finding in findings:
            finding_traits = traits.get(finding.id)
            if (
                finding_traits is not None
                and finding.id not in known_ids
                and (rule := rules.decide(finding_traits))
            ):
                decided[finding.id] = build_benign_record(
                    finding,
                    rule,
                    rules.version,
                    finding_traits,
                    self.clock.now(),
                    self._ties(finding).own,
                )
        for id_ in self._find_sellers_posts(findings, decided.keys() | known_ids, decided, before):
            del decided[id_]
        if not decided:
            return known_ids
        with self.writing():
            self._put_background(findings, [*decided.values()])
        return known_ids | decided.keys()

    def _find_sellers_posts(
        self,
        findings: Sequence[Finding],
        apart: Collection[str],
        decided: Collection[str],
        before: Collection[str],
    ) -> set[str]:
        """Return the ids in `decided` of posts whose author also sells data, now or before.

        Such a post is not benign. `apart` are ids that make nobody a seller; `before` are the
        values of known sellers. A post found so makes its own values known too.
        """
        tied = {finding.id: self._ties(finding) for finding in findings}
        seller_ties = {*before} | {
            tie for id_, ties in tied.items() if id_ not in apart for tie in ties.own
        }
        seller_posts = set[str]()
        while new_posts := {
            id_
            for id_ in decided
            if id_ not in seller_posts and not seller_ties.isdisjoint(tied[id_].all)
        }:
            seller_posts |= new_posts
            seller_ties |= {tie for id_ in new_posts for tie in tied[id_].own}
        return seller_posts

    def _find_former_background(self, leaks: Sequence[Finding]) -> list[Finding]:
        """Return findings stored as benign whose author turned out to sell, to be grouped now.

        Followed through all further values of those found. Refreshes the store's search. A stored
        finding that cannot be decoded is left out.
        """
        by_id, ties = (
            dict[str, Finding](),
            {tie for finding in leaks for tie in self._ties(finding).all},
        )
        if ties:
            self.store.refresh(Background)
        while ties:
            new = [
                finding
                for fact in self._find_tied_background(ties)
                if fact.id not in by_id and (finding := _decode_kept_finding(fact))
            ]
            by_id |= {finding.id: finding for finding in new}
            ties = {tie for finding in new for tie in self._ties(finding).all}
        return [*by_id.values()]

    def _find_tied_background(self, ties: Collection[str]) -> list[Background]:
        """Return the benign records whose posts left one of these ties."""
        return sorted(
            self.store.scroll(Background, DocumentFilter({"ties": tuple(ties)})),
            key=lambda fact: (fact.at, fact.id),
        )

    def _put_background(self, findings: Sequence[Finding], decided: Sequence[Background]) -> None:
        """Store the benign records, and that their captures were read completely."""
        self._put(decided)
        self.store.delete(Background, find_erased_meanwhile(self.store, decided))
        claims = {finding.id: get_served_claim(finding) for finding in findings}
        self.store.create(
            [build_holding(d.tenant, "", (claims[d.id],), d.at) for d in decided if claims[d.id]]
        )

    def _load(
        self,
        merging: Merge,
        findings: Sequence[Finding],
        before: Mapping[str, Holding],
        sightings: dict[str, Sighting],
        presences: Presences,
    ) -> FindingBatch:
        """Return everything that the batch can touch, by id.

        `before` are the holdings of the values that it looks up. Whether an incident was closed is
        read only if a post of the batch has an author's value.
        """
        tied = {finding.id: self._ties(finding) for finding in findings}
        holders = {h.incident for h in before.values() if h.incident} | {
            i for s in sightings.values() for i in (s.incident, *s.linked, *s.parts_tied)
        }
        holders |= {sighting.incident for sighting in presences.sightings.values()}
        holders |= {incident_id(finding.id) for finding in findings}
        stored = self._with_heads(merging, holders)
        incidents = {id_: KnownIncident.from_incident(incident) for id_, incident in stored.items()}
        if any(ties.own for ties in tied.values()):
            for id_, decision in last_decisions(self.store, incidents).items():
                incidents[id_] = incidents[id_]._replace(
                    closed_at=decision.at if decision.status in CLOSED else None
                )
        earlier = self._find_earlier_exposures([f for f in findings if f.id not in sightings])
        return FindingBatch(sightings, {**before}, incidents, stored, tied, presences, earlier)

    @staticmethod
    def _with_heads(merging: Merge, ids: Collection[str]) -> dict[str, Incident]:
        """Return the stored incidents with these ids, and their heads."""
        incidents, missing = dict[str, Incident](), set(ids)
        while missing:
            incidents |= merging.mget(Incident, missing)
            missing = {
                incident.part_of for incident in incidents.values() if incident.part_of
            } - incidents.keys()
        return incidents

    def _find_earlier_exposures(self, findings: Sequence[Finding]) -> dict[str, exposures.Seen]:
        """Return for each tenant where the customers of new findings appeared before.

        Of a finding only a sample of its customers is looked up; a customer without an earlier
        exposure has {}.
        """
        earlier: dict[str, exposures.Seen] = {}
        for finding in findings:
            earlier.setdefault(finding.tenant, {}).update(
                (subject, {}) for subject in exposures.sample_customers(finding)
            )
        subjects_to_read = [subject for subjects in earlier.values() for subject in subjects]
        for exposure in (
            self.store.scroll(
                Exposure, DocumentFilter({"tenant": (*earlier,), "subject": subjects_to_read})
            )
            if subjects_to_read
            else ()
        ):
            exposures.remember(earlier[exposure.tenant], (exposure,))
        return earlier

    def _write(self, merging: Merge, batch: FindingBatch) -> None:
        moved = batch.presences.update_sightings(batch.sightings.values())
        merging.put(({s.id: s for s in batch.new_sightings} | {s.id: s for s in moved}).values())
        merging.put(batch.presences.changed)
        touched = batch.find_touched()
        if not touched:
            return
        new_facts = batch.new_facts()
        stored = merging.mget(
            Exposure,
            [
                id_
                for id_, exposure in batch.exposures.items()
                if exposure.incident not in new_facts.customers
            ],
        )
        before = {
            id_: remaining
            for id_, old in stored.items()
            if (remaining := without_sightings(old, batch.replaced))
        }
        updated = [
            merge_exposures(before[id_], exposure) if id_ in before else exposure
            for id_, exposure in batch.exposures.items()
        ]
        merging.put([*updated, *batch.holdings])
        if batch.replaced:
            self.store.refresh(*SEARCHED)
            remove_replaced(self.store, [batch.sightings[id_] for id_ in batch.gone])
        self.store.refresh(*SEARCHED)
        rules = self.rules()
        families = {id_: (id_, *sorted(batch.incidents[id_].parts)) for id_ in sorted(touched)}
        facts = read_facts(self.store, families, batch.count_customers(families), new_facts)
        incidents = [
            self._project(id_, incident_facts, batch, rules) for id_, incident_facts in facts
        ]
        severe = {
            id_
            for incident in incidents
            if SEVERITIES.index(incident.severity) >= KEPT_FROM
            for id_ in incident.family
        }
        self._put([original for original in batch.originals if original.incident in severe])
        merging.put(incidents)
        self.filed(batch.stored, incidents)
        self.tell([incident for incident in incidents if not incident.part_of])

    def _project(
        self, id_: str, facts: FactsOf, batch: FindingBatch, rules: VerdictRules
    ) -> Incident:
        """Return the incident as its facts now stand.

        An incident that is frozen, or whose sightings have expired, keeps its numbers.
        """
        incident, stored = batch.incidents[id_], batch.stored.get(id_)
        family = {id_, *incident.parts}
        is_frozen = stored is not None and stored.frozen_at is not None
        sightings = [] if is_frozen else without_replaced(facts.sightings)
        linked = {
            *facts.linking,
            *(linked_id for s in sightings for linked_id in s.linked),
        } - family
        if stored is not None and not any(sighting.incident == id_ for sighting in sightings):
            linked |= {*stored.linked} - family
            changed = {
                "linked": tuple(sorted(linked)),
                **self._part_fields(incident, stored),
                "parts": tuple(sorted(incident.parts)),
            }
            return stored.model_copy(update=changed)
        acknowledged = projection.find_acknowledged(self.store, sightings)
        today, tenant = self.clock.now().date(), self.tenant(incident.tenant)
        setting = projection.Setting(
            today, tenant, rules, acknowledged, self.metrics.count_failed_rule
        )
        sketch = incident.sketch, incident.sketch_of
        projected = projection.project(
            sightings, facts.exposures, setting, sketch, linked, incident.parts
        )
        return (
            projected.model_copy(update=self._part_fields(incident, stored))
            if incident.part_of
            else projected
        )

    def _part_fields(self, known: KnownIncident, stored: Incident | None) -> dict[str, object]:
        """Return the fields that say which incident it is a part of, and since when."""
        is_same = stored is not None and stored.part_of == known.part_of
        since = stored.part_since if stored and is_same else self.clock.now()
        return {"part_of": known.part_of, "part_since": since if known.part_of else None}

    def _put(self, documents: Sequence[Document]) -> None:
        if WriteResult.REJECTED in self.store.put(documents):
            raise RecordError("rejected")


@dataclass(slots=True)
class FindingBatch:
    """The state of a batch's incidents, including the findings processed so far."""

    sightings: dict[str, Sighting]
    holders: dict[str, Holding]
    """The holding of each value that its findings look up."""
    incidents: dict[str, KnownIncident]
    stored: dict[str, Incident]
    tied: dict[str, placement.Ties]
    """The ties of each of its findings."""
    presences: Presences = field(default_factory=Presences)
    """Whether its posts still exist."""
    earlier: dict[str, exposures.Seen] = field(default_factory=dict)
    new_sightings: list[Sighting] = field(default_factory=list)
    holdings: list[Holding] = field(default_factory=list)
    """New holdings, of values that were free or whose incident is gone, frozen or closed."""
    opened: list[Sighting] = field(default_factory=list)
    exposures: dict[str, Exposure] = field(default_factory=dict)
    """The batch's own exposures, by id."""
    replaced: set[str] = field(default_factory=set)
    """Ids of incomplete sightings that a complete one replaces."""
    gone: set[str] = field(default_factory=set)
    """Those of them to delete, because the complete one has arrived with its last part."""
    originals: list[Original] = field(default_factory=list)
    """The encrypted originals of the batch's findings."""

    def take(self, finding: Finding, traits: Traits | None, clock: Clock) -> None:
        """Place one finding in an incident, and add its sighting and exposures to the batch.

        A finding that already has a sighting stays in that incident. Nothing is stored yet.
        """
        sighting, earlier = self.sightings.get(finding.id), self._take_over(finding)
        if sighting is None:
            target = (
                self._place_of(earlier)
                if earlier
                else placement.place(finding, self.holders, self.incidents, self.tied[finding.id])
            )
            frozen = [self.incidents[id_] for id_ in target.linked if self.incidents[id_].frozen]
            replay = exposures.measure_replay(
                finding, self._family(target), self.earlier.get(finding.tenant, {}), frozen
            )
            at = earlier.grouped_at if earlier else clock.now()
            sighting = projection.build_sighting(finding, target, replay, traits, at)
            self.new_sightings.append(sighting)
            self.sightings[finding.id] = sighting
        finding_exposures = build_exposures(finding, sighting.incident)
        exposures.remember(self.earlier.get(finding.tenant, {}), finding_exposures.values())
        for id_, exposure in finding_exposures.items():
            self.exposures[id_] = (
                merge_exposures(self.exposures[id_], exposure)
                if id_ in self.exposures
                else exposure
            )
        if finding.original:
            self.originals.append(
                Original(
                    id=finding.id,
                    tenant=finding.tenant,
                    incident=sighting.incident,
                    at=sighting.grouped_at,
                    sealed=finding.original,
                    key_id=finding.original_key,
                )
            )
        self._join(finding, sighting)

    @staticmethod
    def _place_of(earlier: Sighting) -> Placement:
        """Return the place of an incomplete sighting, for the complete one that replaces it."""
        return Placement(earlier.incident, False, earlier.linked, earlier.parts_tied, earlier.tied)

    def _family(self, target: Placement) -> set[str]:
        """Return the incidents that a finding at this place is judged together with."""
        heads = {
            placement.find_head(id_, self.incidents) for id_ in (target.incident, *target.parts)
        }
        return {
            target.incident,
            *heads,
            *(
                part
                for head in heads & self.incidents.keys()
                for part in self.incidents[head].parts
            ),
        }

    def _take_over(self, finding: Finding) -> Sighting | None:
        """Return the incomplete sighting that `finding` replaces, None if there is none.

        Its exposures are removed from the batch.
        """
        earlier = self.sightings.get(finding.served) if not finding.incomplete else None
        holder = self.incidents.get(earlier.incident) if earlier else None
        if earlier is None or holder is None or holder.frozen:
            return None
        self.replaced.add(earlier.id)
        if finding.part == finding.parts:
            self.gone.add(earlier.id)
        remaining = {
            id_: without_sightings(exposure, {earlier.id})
            for id_, exposure in self.exposures.items()
        }
        self.exposures = {id_: exposure for id_, exposure in remaining.items() if exposure}
        return earlier

    def _join(self, finding: Finding, sighting: Sighting) -> None:
        id_ = sighting.incident
        if id_ not in self.incidents:
            self.opened.append(sighting)
            statistics = finding.statistics
            self.incidents[id_] = KnownIncident(
                id_, finding.tenant, sighting.grouped_at, (), statistics.sketch_of
            )
        for id_to_grow in {id_, placement.find_head(id_, self.incidents)}:
            self.incidents[id_to_grow] = self.incidents[id_to_grow].with_finding(finding)
        for part in sighting.parts_tied:
            self._tie(
                placement.find_head(id_, self.incidents), placement.find_head(part, self.incidents)
            )
        served = (get_served_claim(finding),) if finding.served and not finding.incomplete else ()
        tied = self.tied[finding.id].own if sighting.tied else ()
        new_claims = list[str]()
        for claim in (*placement.list_content_claims(finding), *tied, *served):
            holder = (
                self.incidents.get(self.holders[claim].incident) if claim in self.holders else None
            )
            if (
                holder is None
                or holder.frozen
                or (claim in tied and not self._head(holder.id).accepts_tie(finding))
            ):
                new_claims.append(claim)
        if new_claims:
            before = {
                self.holders[claim].id: self.holders[claim]
                for claim in new_claims
                if claim in self.holders
            }
            holding = build_holding(
                finding.tenant, id_, new_claims, sighting.grouped_at, before.values()
            )
            self.holdings.append(holding)
            self.holders.update(dict.fromkeys(new_claims, holding))

    def _head(self, id_: str) -> KnownIncident:
        return self.incidents[placement.find_head(id_, self.incidents)]

    def _tie(self, head: str, part: str) -> None:
        """Make one head a part of another; repeating it changes nothing."""
        if head != part and {head, part} <= self.incidents.keys():
            self.incidents[head] = self.incidents[head].with_part(self.incidents[part])
            self.incidents[part] = self.incidents[part]._replace(part_of=head)

    def count_customers(self, families: Mapping[str, Collection[str]]) -> dict[str, int]:
        """Return, by incident id, an upper limit of the number of customers, including parts.

        A customer who is in several incidents of a family is counted several times.
        """
        new_customers = Counter(exposure.incident for exposure in self.exposures.values())
        stored = {id_: incident.customers for id_, incident in self.stored.items()}
        return {
            id_: sum(new_customers[member] + stored.get(member, 0) for member in family)
            for id_, family in families.items()
        }

    def new_facts(self) -> NewFacts:
        """Return the ids of the batch's new posts, and the customers of incidents that it opened.

        A sighting is stored before any of its customers, so the store has no customers of an
        incident whose sightings are all new. If it has some after all, the batch is processed
        again.
        """
        posts = {sighting.id for sighting in self.new_sightings}
        known_incidents = {
            sighting.incident for sighting in self.sightings.values() if sighting.id not in posts
        }
        customers = {
            id_: list[Exposure]()
            for sighting in self.opened
            if (id_ := sighting.incident) not in known_incidents
        }
        for exposure in self.exposures.values():
            if exposure.incident in customers:
                customers[exposure.incident].append(exposure)
        return NewFacts(posts, customers)

    def find_touched(self) -> set[str]:
        """Return the ids of all incidents that this batch changes and that must be stored again.

        These are the incidents of its findings, those tied or linked to them, those of other
        sightings of the same posts, which may be gone or back, and the incidents that they are part
        of.
        """
        affected = {
            i for s in self.sightings.values() for i in (s.incident, *s.linked, *s.parts_tied)
        }
        affected |= {sighting.incident for sighting in self.presences.sightings.values()}
        return {
            i
            for id_ in affected
            if id_ in self.incidents
            for i in (id_, placement.find_head(id_, self.incidents))
        }


def _decode_kept_finding(fact: Background) -> Finding | None:
    """Return the finding stored in a benign record; None, with a log entry, if it is damaged."""
    try:
        return Finding.decode(fact.finding.encode(), FINDING_SCHEMA)
    except RecordError:
        log.get("alert").error("background_unreadable", tenant=fact.tenant)
        return None


def decode(record: Record) -> Finding:
    """Return the finding in a record of the bus.

    Raises RecordError: `schema` for another version, `malformed` for an invalid record.
    """
    schema = record.headers.get("schema", "")
    return Finding.decode(
        record.value, int(schema) if schema.isascii() and schema.isdigit() else -1
    )
