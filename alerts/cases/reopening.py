"""What alert does for the desk: it brings false positives back, and detaches sightings and merges
incidents where people ask.

A false positive comes back when its time is over, and before that when its incident is seen on
another site, with more customers or other kinds, or grows graver: `ullage` then appends a decision
that opens it again, with the reason. A sighting that is detached becomes an incident of its own,
with the exposures that are its own; what is posted again of the same people goes there from then
on. An incident that is merged into another becomes its part: it keeps its id, its posts and what
was decided of it, and the other is judged with all of it and takes what comes, until a person
splits them: what came meanwhile stays with it. All can be done again at no harm.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from alerts.cases.decisions import Decisions, describe
from alerts.cases.regrouping import Regrouping, move_exposure, move_sighting
from alerts.cases.second_person import SecondPersons
from alerts.deadlines.comparison import DutyChange, find_ended
from alerts.deadlines.schedule import Work
from alerts.grouping.placement import find_holdings
from alerts.grouping.sightings import without_sightings
from alerts.records import (
    SEVERITIES,
    Decision,
    Exposure,
    Incident,
    PendingDecision,
    Sighting,
    build_holding,
    claim_id,
    exposure_id,
    incident_id,
)
from alerts.store import DocumentFilter, IncidentStore, Merge, merge
from alerts.store.queries import last_decisions, without_answered
from ullage.audit import Trail
from ullage.clock import Clock
from ullage.verdict import VerdictRules

OURSELVES = "ullage"
LATELY = timedelta(days=2)
"""What people ask for is looked for as long: alert may have been down."""


@dataclass(frozen=True, slots=True)
class Returns:
    """`rules` are those in force, `tell` is told of incidents that are new."""

    work: Work
    trail: Trail
    rules: Callable[[], VerdictRules]
    tell: Callable[[Sequence[Incident]], None] = lambda _: None
    changed: Callable[[Collection[str]], None] = lambda _: None
    """Handed the ids of incidents that were written."""
    waits: Callable[[Sequence[tuple[Incident, PendingDecision]]], None] = lambda _: None
    """Handed what waits for a second person, each time."""
    believed: Clock | None = None
    """By which a false positive is over; that of the work where there is none.

    A clock that was set ends none.
    """

    @property
    def _store(self) -> IncidentStore:
        return self.work.store

    @property
    def _regrouping(self) -> Regrouping:
        return Regrouping(self.work.duties, self.rules)

    def filed(self, before: Mapping[str, Incident], incidents: Sequence[Incident]) -> None:
        """Incidents were written: their work items follow, and a false positive with news in it
        comes back.
        """
        made = [
            self._open(one, "grown")
            for one in self._excused([i for i in incidents if _is_news(before.get(i.id), i)])
        ]
        self.work.write(incidents, made)
        self.changed([incident.id for incident in incidents])

    def turn(self) -> None:
        """Bring back what is over, detach what is asked for, and renew the items of what was
        decided lately, or had none.
        """
        self.work.complete()
        now = self.work.duties.clock.now()
        believed = self.believed.now() if self.believed else now
        over = [one for one in self._excuses() if one.until is not None and one.until <= believed]
        for incident in self._store.mget(Incident, [one.incident for one in over]).values():
            if incident.part_of:
                continue  # another incident answers for it
            self.work.write([incident], [self._open(incident, "expired")])
        lately = list(self._store.scroll(Decision, DocumentFilter(since=now - LATELY)))
        in_order = sorted(lately, key=lambda one: (one.at, one.id))
        for one in in_order:
            if one.act == "detached":
                self._detach(one)
        self._complete([one for one in in_order if one.act == "second_confirmed"])
        regrouped = {
            (one.incident, one.about): one for one in in_order if one.act in ("merged", "split")
        }
        for one in regrouped.values():  # the last that was said of two incidents counts
            self._regroup(one)
        self.work.renew({one.incident for one in lately if one.at >= now - timedelta(minutes=5)})
        self._notify(
            without_answered(
                self._store, self._store.scroll(PendingDecision, DocumentFilter(since=now - LATELY))
            )
        )

    def _complete(self, answers: Sequence[Decision]) -> None:
        """Write what was confirmed and a crash left unwritten."""
        pending = (
            self._store.mget(PendingDecision, [one.about for one in answers]) if answers else {}
        )
        seconds = SecondPersons(Decisions(self.work.duties, self.trail))
        for answer in answers:
            if answer.about in pending:
                seconds.complete(pending[answer.about], answer)

    def _notify(self, waiting: Sequence[PendingDecision]) -> None:
        """Have people notified of what waits for a second person."""
        incidents = self._store.mget(Incident, {one.incident for one in waiting}) if waiting else {}
        if pairs := [
            (incidents[one.incident], one) for one in waiting if one.incident in incidents
        ]:
            self.waits(pairs)

    def _excuses(self) -> list[Decision]:
        """The excuses that stand now."""
        decided = {
            one.incident
            for one in self._store.scroll(Decision, DocumentFilter({"status": ("false_positive",)}))
        }
        return (
            [one for one in last_decisions(self._store, decided).values() if one.act == "excused"]
            if decided
            else []
        )

    def _excused(self, incidents: Sequence[Incident]) -> list[Incident]:
        """Those of them that are false positives for a time."""
        stands = (
            last_decisions(self._store, [incident.id for incident in incidents])
            if incidents
            else {}
        )
        return [
            one
            for one in incidents
            if not one.part_of and one.id in stands and stands[one.id].act == "excused"
        ]

    def _open(self, incident: Incident, why: str) -> Decision:
        """Open a false positive again, which can end nothing."""
        decisions = Decisions(self.work.duties, self.trail)
        made = decisions.draft_act(incident, "returned", by=OURSELVES, value=why)
        decisions.write([made])
        return made

    def _detach(self, asked: Decision) -> None:
        """Carry a detachment out, unless that was done or its sighting is gone; what a crash
        cuts short is done again.
        """
        new = incident_id(asked.about)
        if self._store.get(Incident, new) is not None:
            return
        source, sighting = (
            self._store.get(Incident, asked.incident),
            self._store.get(Sighting, asked.about),
        )
        if source is None or sighting is None or source.id == new:
            return
        if sighting.incident != new and not self._may(
            asked, [source], self._regrouping.preview_detachment(source, sighting)
        ):
            return
        written = merge(self._store, partial(self._detached, asked))
        self.work.write(written)
        self.tell([one for one in written if one.id == new])
        self.changed([incident.id for incident in written])

    def _may(self, asked: Decision, before: Sequence[Incident], after: Sequence[Incident]) -> bool:
        """Whether what was asked for ends no deadline but those of which a second person knew, or
        the tenant needs none.

        Where a deadline began after it was asked for, it waits for a second person.
        """
        ended = find_ended(self.work.duties, DutyChange(before, after))
        names = {duty.name for duty in ended}
        if names <= {*asked.ends} or not self.work.duties.tenant(asked.tenant).second_person:
            return True
        again = asked.model_copy(update={"id": f"{asked.id}:again"})
        if (
            self._store.get(PendingDecision, again.id) is None
            and self._store.get(Decision, again.id) is None
        ):
            whose = {
                "id": again.id,
                "incident": again.incident,
                "tenant": again.tenant,
                "by": again.by,
                "decisions": (again,),
            }
            Decisions(self.work.duties, self.trail).propose(
                whose, describe(again), ended, again.note
            )
        return False

    def _detached(self, asked: Decision, merging: Merge) -> list[Incident]:
        """Write what follows of it, and the new incident last, by which it is known to be done;
        gives both incidents.
        """
        new = incident_id(asked.about)
        sighting = merging.mget(Sighting, [asked.about]).get(asked.about)
        source = merging.mget(Incident, [asked.incident, new]).get(asked.incident)
        if sighting is None or source is None or source.id == new:
            return []
        if sighting.incident != new:
            self._move(asked, sighting, new, merging)
            merging.put([move_sighting(sighting, source.id, new)])
        self._store.refresh()
        own = self._regrouping.project_stored(
            new, (sighting.sketch, sighting.sketch_of), (source.id,)
        )
        sketch = (source.sketch, source.sketch_of)
        rest = self._regrouping.project_stored(
            source.id, sketch, (*source.linked, new), source.parts
        )
        merging.put([rest] if rest else [])
        merging.put([own] if own else [])
        return [incident for incident in (own, rest) if incident]

    def _regroup(self, asked: Decision) -> None:
        """Carry a merge or a split out, unless that was done, it has to be confirmed, or one of
        both is gone.
        """
        found, is_merge = (
            self._store.mget(Incident, [asked.incident, asked.about]),
            asked.act == "merged",
        )
        head, part = found.get(asked.incident), found.get(asked.about)
        if head is None or part is None or (part.part_of == head.id) == is_merge:
            return
        if head.part_of or (part.part_of and is_merge):
            return  # another incident answers for it
        after = self._regrouping.preview_regrouping(head, part, is_merge=is_merge, at=asked.at)
        if not self._may(asked, [head, part], after):
            return
        written = merge(self._store, partial(self._regrouped, asked))
        self.work.write(written)
        self.tell([one for one in written if not one.part_of])
        self.changed([one.id for one in written])

    def _regrouped(self, asked: Decision, merging: Merge) -> list[Incident]:
        """Write both incidents, of which one is the other's part now, or no longer."""
        found = merging.mget(Incident, [asked.incident, asked.about])
        self._store.refresh()
        head, part = found[asked.incident], found[asked.about]
        whole, part = self._regrouping.preview_regrouping(
            head, part, is_merge=asked.act == "merged", at=asked.at
        )
        merging.put([whole])
        merging.put([part])  # last: by it this is known to be done
        return [whole, part]

    def _move(self, asked: Decision, sighting: Sighting, new: str, merging: Merge) -> None:
        """The exposures of a sighting go to its new incident, and so does what is posted of the
        same people.
        """
        found = self._store.scroll(Exposure, DocumentFilter({"incident": (sighting.incident,)}))
        ids = {
            one.id: exposure_id(new, one.subject) for one in found if sighting.id in one.sightings
        }
        stored = merging.mget(Exposure, [*ids, *ids.values()]) if ids else {}
        whole = [one for id_, one in stored.items() if id_ in ids and sighting.id in one.sightings]
        merging.put(move_exposure(one, sighting, new) for one in whole)
        left = {one.id: without_sightings(one, {sighting.id}) for one in whole}
        if sighting.subjects:
            people = claim_id(sighting.tenant, "subjects", sighting.subjects)
            before = find_holdings(self._store, [people]).get(people)
            if before is None or before.incident != new:
                self._store.create(
                    [
                        build_holding(
                            sighting.tenant, new, [people], asked.at, [before] if before else []
                        )
                    ]
                )
        merging.put(one for one in left.values() if one)
        merging.delete(Exposure, [id_ for id_, one in left.items() if one is None])


def _is_news(before: Incident | None, now: Incident) -> bool:
    """Whether an incident has become more than it was when a person looked at it."""
    if before is None:
        return False
    is_graver = SEVERITIES.index(now.severity) > SEVERITIES.index(before.severity)
    pairs = ((now.sites, before.sites), (now.kinds, before.kinds), (now.parts, before.parts))
    is_wider = any(not {*new} <= {*old} for new, old in pairs)
    return is_graver or is_wider or now.customers > before.customers
