"""The stage on one screen: findings → (background, or) fold → facts → incidents, a batch at a time.

Writes go in an order that a crash may cut anywhere: first the sightings, which remember where each finding went; then claims
and exposures; last the incidents, which follow from them. The batch comes again, finds its sightings, and ends in the same facts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

from alerts.incidents import fold, projection, replaced, replay
from alerts.incidents.exposures import exposures_of, merged
from alerts.incidents.fold import Known, Place
from alerts.incidents.key_checks import admit
from alerts.metrics import AlertMetrics
from alerts.noise.background import Rules, fact_of, shipped
from alerts.records import SEVERITIES, Background, Claim, Exposure, Incident, Original, Sighting
from alerts.records.document import Document
from alerts.records.traits import Traits
from alerts.store import IncidentStore, Outcome, Where
from ullage.bus import Record
from ullage.clock import Clock
from ullage.errors import RecordError
from ullage.records import Finding
from ullage.settings import Tenant
from ullage.verdict import Rules as VerdictRules
from ullage.verdict import own_rules

KEPT_FROM = SEVERITIES.index("low")
"""Of what is less nobody needs to find the post again."""


@dataclass(frozen=True, slots=True)
class Alert:
    """Folds what it is handed, but for what is no leak. `tenant` gives a tenant's settings; what is in force is asked a batch."""

    store: IncidentStore
    clock: Clock
    tenant: Callable[[str], Tenant]
    metrics: AlertMetrics
    background: Callable[[], Rules] = shipped
    rules: Callable[[], VerdictRules] = own_rules
    """Of verdicts."""
    tell: Callable[[Sequence[Incident]], None] = lambda _: None
    """Told of each incident that was written, before the batch counts as done: what is to be said of it is durable too."""
    key_checks: dict[str, str] = field(default_factory=dict)
    """Of keys under which stored facts were made, as far as they came up."""
    writing: Callable[[], AbstractContextManager[None]] = nullcontext
    """The context in which facts are written."""

    def handle(self, records: Sequence[Record]) -> None:
        """Deal with a batch; everything is durable on return, and doing it again changes nothing."""
        decoded = [decode(record) for record in records]
        admit(self.store, decoded, self.clock.now(), self.key_checks)
        findings = replaced.current(decoded, self.store.mget(Claim, replaced.claims_of(decoded)))
        sightings = self.store.mget(Sighting, {id_ for f in findings for id_ in (f.id, f.served) if id_})
        incomplete = {finding.id for finding in findings if finding.incomplete} | sightings.keys()
        new = [f for f in findings if f.id not in sightings and not f.incomplete and f.served not in incomplete]
        traits = {f.id: Traits.of(f) for f in new if f.parts == 1}
        background = self._background(new, traits)
        leaks = [finding for finding in findings if finding.id not in background]
        batch = self._load(leaks, sightings)
        for finding in leaks:
            batch.take(finding, traits.get(finding.id), self.clock)
        if leaks:
            with self.writing():
                self._write(batch)
        self.metrics.handled(decoded, batch.opened)

    def _background(self, findings: Sequence[Finding], traits: Mapping[str, Traits]) -> set[str]:
        """Ids of the findings that are no leak. One that comes again is what it was, whatever the rules."""
        known, rules, decided = set(self.store.mget(Background, {f.id for f in findings})), self.background(), list[Background]()
        for finding in findings:
            seen = traits.get(finding.id)
            if seen is not None and finding.id not in known and (rule := rules.decide(seen)):
                decided.append(fact_of(finding, rule, rules.version, seen, self.clock.now()))
        if not decided:
            return known
        with self.writing():
            self._put_background(findings, decided)
        return known | {fact.id for fact in decided}

    def _put_background(self, findings: Sequence[Finding], decided: Sequence[Background]) -> None:
        """Write what was decided, and that the whole of those captures was."""
        self._put(decided)
        whole = {finding.id: replaced.claim_of(finding) for finding in findings}
        self.store.create([Claim(id=whole[d.id], tenant=d.tenant, incident="", at=d.at) for d in decided if whole[d.id]])

    def _load(self, findings: Sequence[Finding], sightings: dict[str, Sighting]) -> Batch:
        """Everything that the batch can touch, by id."""
        wanted = {claim for finding in findings for claim in fold.claims_of(finding)}
        claims = self.store.mget(Claim, wanted | replaced.claims_of(findings))
        holders = {c.incident for c in claims.values() if c.incident} | {
            i for s in sightings.values() for i in (s.incident, *s.linked)
        }
        stored = self.store.mget(Incident, holders)
        known = {id_: Known.of(found) for id_, found in stored.items()}
        seen = self._seen([f for f in findings if f.id not in sightings])
        return Batch(sightings, {id_: c.incident for id_, c in claims.items()}, known, stored, seen)

    def _seen(self, findings: Sequence[Finding]) -> dict[str, replay.Seen]:
        """Where the customers of new findings stood before, a tenant."""
        seen: dict[str, replay.Seen] = {}
        for finding in findings:
            seen.setdefault(finding.tenant, {}).update((subject, {}) for subject in replay.sample(finding))
        for tenant, subjects in seen.items():
            replay.remember(subjects, self.store.scroll(Exposure, Where({"tenant": (tenant,), "subject": tuple(subjects)})))
        return seen

    def _write(self, batch: Batch) -> None:
        self._put(batch.new_sightings)
        now = self.clock.now()
        claims = [Claim(id=id_, tenant=tenant, incident=i, at=now) for id_, (tenant, i) in batch.new_claims.items()]
        # A claim whose incident is gone or frozen is overwritten; one that nobody holds is created.
        self._put([claim for claim in claims if claim.id in batch.stale_claims])
        self.store.create([claim for claim in claims if claim.id not in batch.stale_claims])
        stored = self.store.mget(Exposure, batch.exposures)
        before = {id_: left for id_, old in stored.items() if (left := replaced.without(old, batch.replaced))}
        self._put([merged(before[id_], found) if id_ in before else found for id_, found in batch.exposures.items()])
        if batch.replaced:
            self.store.refresh()
            replaced.remove(self.store, [batch.sightings[id_] for id_ in batch.gone])
        self.store.refresh()
        rules = self.rules()
        incidents = [self._project(id_, batch, rules) for id_ in sorted(batch.touched())]
        grave = {one.id for one in incidents if SEVERITIES.index(one.severity) >= KEPT_FROM}
        self._put([original for original in batch.originals if original.incident in grave])
        self._put(incidents)
        self.tell(incidents)

    def _project(self, id_: str, batch: Batch, rules: VerdictRules) -> Incident:
        """The incident as its facts now stand; one that is frozen, or whose sightings have expired, keeps its numbers."""
        known, stored = batch.known[id_], batch.stored.get(id_)
        linking = [s.incident for s in self.store.scroll(Sighting, Where({"linked": (id_,)}))]
        is_frozen = stored is not None and stored.frozen_at is not None
        sightings = [] if is_frozen else replaced.standing(list(self.store.scroll(Sighting, Where({"incident": (id_,)}))))
        if stored is not None and not sightings:
            return stored.model_copy(update={"linked": tuple(sorted({*stored.linked, *linking}))})
        exposures = self.store.scroll(Exposure, Where({"incident": (id_,)}))
        people = projection.People.count(exposures, projection.largest(sightings).id)
        acknowledged = projection.acknowledged(self.store, sightings)
        setting = projection.Setting(self.clock.now().date(), self.tenant(known.tenant), rules, acknowledged)
        linked = {*linking, *(other for s in sightings for other in s.linked)} - {id_}
        return projection.project(sightings, people, setting, (known.sketch, known.sketch_of), linked)

    def _put(self, documents: Sequence[Document]) -> None:
        if Outcome.REJECTED in self.store.put(documents):
            raise RecordError("rejected")


@dataclass(slots=True)
class Batch:
    """What is known of a batch's incidents, the findings before the one in hand included."""

    sightings: dict[str, Sighting]
    claims: dict[str, str]
    known: dict[str, Known]
    stored: dict[str, Incident]
    seen: dict[str, replay.Seen] = field(default_factory=dict)
    new_sightings: list[Sighting] = field(default_factory=list)
    new_claims: dict[str, tuple[str, str]] = field(default_factory=dict)
    stale_claims: set[str] = field(default_factory=set)
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
            where = Place(earlier.incident, False, earlier.linked) if earlier else fold.place(finding, self.claims, self.known)
            frozen = [self.known[id_] for id_ in where.linked if self.known[id_].frozen]
            known = replay.replay_of(finding, where.incident, self.seen.get(finding.tenant, {}), frozen)
            at = earlier.folded_at if earlier else clock.now()
            sighting = projection.sighting_of(finding, where, known, traits, at)
            self.new_sightings.append(sighting)
            self.sightings[finding.id] = sighting
        shown = exposures_of(finding, sighting.incident)
        replay.remember(self.seen.get(finding.tenant, {}), shown.values())
        for id_, found in shown.items():
            self.exposures[id_] = merged(self.exposures[id_], found) if id_ in self.exposures else found
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

    def _replaced_by(self, finding: Finding) -> Sighting | None:
        """The incomplete sighting whose place `finding` takes, and of which the batch now shows nothing."""
        earlier = self.sightings.get(finding.served) if not finding.incomplete else None
        holder = self.known.get(earlier.incident) if earlier else None
        if earlier is None or holder is None or holder.frozen:
            return None
        self.replaced.add(earlier.id)
        if finding.part == finding.parts:
            self.gone.add(earlier.id)
        left = {id_: replaced.without(found, {earlier.id}) for id_, found in self.exposures.items()}
        self.exposures = {id_: found for id_, found in left.items() if found}
        return earlier

    def _join(self, finding: Finding, sighting: Sighting) -> None:
        id_ = sighting.incident
        if id_ not in self.known:
            self.opened.append(sighting)
            statistics = finding.statistics
            self.known[id_] = Known(id_, finding.tenant, sighting.folded_at, (), statistics.sketch_of)
        self.known[id_] = self.known[id_].grown(finding)
        whole = (replaced.claim_of(finding),) if finding.served and not finding.incomplete else ()
        for claim in (*fold.claims_of(finding), *whole):
            holder = self.known.get(self.claims.get(claim, ""))
            if holder is None or holder.frozen:
                if claim in self.claims:
                    self.stale_claims.add(claim)
                self.claims[claim] = id_
                self.new_claims[claim] = (finding.tenant, id_)

    def touched(self) -> set[str]:
        """Incidents to write again: those that the batch's findings are in, and those linked to them."""
        return {i for s in self.sightings.values() for i in (s.incident, *s.linked) if i in self.known}


def decode(record: Record) -> Finding:
    """The finding in a record of the bus; RecordError when it is none."""
    schema = record.headers.get("schema", "")
    return Finding.decode(record.value, int(schema) if schema.isascii() and schema.isdigit() else -1)
