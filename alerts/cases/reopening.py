"""Reopen false positives, and carry out detachments, merges and splits.

All this runs in the alert service. A false positive reopens when its period ends, or earlier if its
incident appears on another site, gains customers or kinds of data, or becomes more severe. `ullage`
then appends a decision that reopens it, with the reason. A detached sighting becomes an incident of
its own with its exposures, and later posts about the same people join it. A merged incident becomes
a part of the other one. It keeps its id, posts and decisions; the other is judged with everything
in both, and takes all new posts. After a split, posts that came meanwhile stay with the other.
Every step can be repeated without harm.
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
"""For how long requests are looked for, because the service may have been down."""


@dataclass(frozen=True, slots=True)
class Returns:
    """The actions of the alert service that follow from decisions.

    `rules` returns the current rules; `tell` is called with new incidents.
    """

    work: Work
    trail: Trail
    rules: Callable[[], VerdictRules]
    tell: Callable[[Sequence[Incident]], None] = lambda _: None
    changed: Callable[[Collection[str]], None] = lambda _: None
    """Called with the ids of incidents that were written."""
    waits: Callable[[Sequence[tuple[Incident, PendingDecision]]], None] = lambda _: None
    """Called each time with everything that waits for a second person."""
    believed: Clock | None = None
    """The clock that ends the period of a false positive; by default that of `work`.

    If somebody has set the clock, it must not end one.
    """

    @property
    def _store(self) -> IncidentStore:
        return self.work.store

    @property
    def _regrouping(self) -> Regrouping:
        return Regrouping(self.work.duties, self.rules)

    def handle_written_incidents(
        self, before: Mapping[str, Incident], incidents: Sequence[Incident]
    ) -> None:
        """Update work items after incidents were written, and reopen false positives with news."""
        reopenings = [
            self._reopen(incident, "grown")
            for incident in self._select_false_positives(
                [i for i in incidents if _is_news(before.get(i.id), i)]
            )
        ]
        self.work.write(incidents, reopenings)
        self.changed([incident.id for incident in incidents])

    def turn(self) -> None:
        """Carry out everything that is due; alert calls this regularly.

        Reopens false positives whose period is over, carries out requests to detach, merge or
        split, completes acts that a second person confirmed, renews the work items of incidents
        with recent decisions, and notifies about acts that wait for a second person.
        """
        self.work.complete()
        now = self.work.duties.clock.now()
        believed = self.believed.now() if self.believed else now
        over = [
            decision
            for decision in self._find_false_positives()
            if decision.until is not None and decision.until <= believed
        ]
        for incident in self._store.mget(
            Incident, [decision.incident for decision in over]
        ).values():
            if incident.part_of:
                continue  # another incident answers for it
            self.work.write([incident], [self._reopen(incident, "expired")])
        recent = list(self._store.scroll(Decision, DocumentFilter(since=now - LATELY)))
        in_order = sorted(recent, key=lambda decision: (decision.at, decision.id))
        for decision in in_order:
            if decision.act == "detached":
                self._detach(decision)
        self._complete([decision for decision in in_order if decision.act == "second_confirmed"])
        regrouped = {
            (decision.incident, decision.about): decision
            for decision in in_order
            if decision.act in ("merged", "split")
        }
        for decision in regrouped.values():  # the last request about two incidents counts
            self._regroup(decision)
        self.work.renew(
            {decision.incident for decision in recent if decision.at >= now - timedelta(minutes=5)}
        )
        self._notify(
            without_answered(
                self._store, self._store.scroll(PendingDecision, DocumentFilter(since=now - LATELY))
            )
        )

    def _complete(self, answers: Sequence[Decision]) -> None:
        """Write confirmed decisions that a crash left unwritten."""
        pending = (
            self._store.mget(PendingDecision, [answer.about for answer in answers])
            if answers
            else {}
        )
        seconds = SecondPersons(Decisions(self.work.duties, self.trail))
        for answer in answers:
            if answer.about in pending:
                seconds.complete(pending[answer.about], answer)

    def _notify(self, waiting: Sequence[PendingDecision]) -> None:
        """Have people notified of acts that wait for a second person."""
        incidents = (
            self._store.mget(Incident, {pending.incident for pending in waiting}) if waiting else {}
        )
        if pairs := [
            (incidents[pending.incident], pending)
            for pending in waiting
            if pending.incident in incidents
        ]:
            self.waits(pairs)

    def _find_false_positives(self) -> list[Decision]:
        """Return the decisions that currently mark incidents as false positives."""
        decided = {
            decision.incident
            for decision in self._store.scroll(
                Decision, DocumentFilter({"status": ("false_positive",)})
            )
        }
        return (
            [
                decision
                for decision in last_decisions(self._store, decided).values()
                if decision.act == "excused"
            ]
            if decided
            else []
        )

    def _select_false_positives(self, incidents: Sequence[Incident]) -> list[Incident]:
        """Return the ones of `incidents` that are currently marked as false positives."""
        last = (
            last_decisions(self._store, [incident.id for incident in incidents])
            if incidents
            else {}
        )
        return [
            incident
            for incident in incidents
            if not incident.part_of and incident.id in last and last[incident.id].act == "excused"
        ]

    def _reopen(self, incident: Incident, why: str) -> Decision:
        """Reopen a false positive; that cannot end a deadline."""
        decisions = Decisions(self.work.duties, self.trail)
        reopening = decisions.draft_act(incident, "returned", by=OURSELVES, value=why)
        decisions.write([reopening])
        return reopening

    def _detach(self, request: Decision) -> None:
        """Carry out a detachment, unless it is done already or its sighting no longer exists.

        A detachment that a crash interrupted is completed.
        """
        new = incident_id(request.about)
        if self._store.get(Incident, new) is not None:
            return
        source, sighting = (
            self._store.get(Incident, request.incident),
            self._store.get(Sighting, request.about),
        )
        if source is None or sighting is None or source.id == new:
            return
        if sighting.incident != new and not self._can_carry_out(
            request, [source], self._regrouping.preview_detachment(source, sighting)
        ):
            return
        written = merge(self._store, partial(self._write_detachment, request))
        self.work.write(written)
        self.tell([incident for incident in written if incident.id == new])
        self.changed([incident.id for incident in written])

    def _can_carry_out(
        self, request: Decision, before: Sequence[Incident], after: Sequence[Incident]
    ) -> bool:
        """Return whether a requested act may be carried out now.

        It may if it ends only deadlines that a second person confirmed, or if the tenant needs no
        second person. If a deadline has started since the request, the act is proposed again and
        waits for a second person.
        """
        ended = find_ended(self.work.duties, DutyChange(before, after))
        names = {duty.name for duty in ended}
        if names <= {*request.ends} or not self.work.duties.tenant(request.tenant).second_person:
            return True
        again = request.model_copy(update={"id": f"{request.id}:again"})
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

    def _write_detachment(self, request: Decision, merging: Merge) -> list[Incident]:
        """Write the results of a detachment, and return both incidents.

        The new incident is written last, because its existence marks the detachment as done.
        """
        new = incident_id(request.about)
        sighting = merging.mget(Sighting, [request.about]).get(request.about)
        source = merging.mget(Incident, [request.incident, new]).get(request.incident)
        if sighting is None or source is None or source.id == new:
            return []
        if sighting.incident != new:
            self._move_exposures(request, sighting, new, merging)
            merging.put([move_sighting(sighting, source.id, new)])
        self._store.refresh()
        detached = self._regrouping.project_stored(
            new, (sighting.sketch, sighting.sketch_of), (source.id,)
        )
        sketch = (source.sketch, source.sketch_of)
        remaining = self._regrouping.project_stored(
            source.id, sketch, (*source.linked, new), source.parts
        )
        merging.put([remaining] if remaining else [])
        merging.put([detached] if detached else [])
        return [incident for incident in (detached, remaining) if incident]

    def _regroup(self, request: Decision) -> None:
        """Carry out a merge or a split.

        Nothing is done if it is done already, an incident is gone or part of another, or it would
        end a deadline and is not confirmed. Otherwise both are written, their lists brought up to
        date, and changes reported.
        """
        incidents, is_merge = (
            self._store.mget(Incident, [request.incident, request.about]),
            request.act == "merged",
        )
        head, part = incidents.get(request.incident), incidents.get(request.about)
        if head is None or part is None or (part.part_of == head.id) == is_merge:
            return
        if head.part_of or (part.part_of and is_merge):
            return  # another incident answers for it
        after = self._regrouping.preview_regrouping(head, part, is_merge=is_merge, at=request.at)
        if not self._can_carry_out(request, [head, part], after):
            return
        written = merge(self._store, partial(self._write_regrouping, request))
        self.work.write(written)
        self.tell([incident for incident in written if not incident.part_of])
        self.changed([incident.id for incident in written])

    def _write_regrouping(self, request: Decision, merging: Merge) -> list[Incident]:
        """Write and return both incidents after a merge or a split."""
        incidents = merging.mget(Incident, [request.incident, request.about])
        self._store.refresh()
        head, part = incidents[request.incident], incidents[request.about]
        whole, part = self._regrouping.preview_regrouping(
            head, part, is_merge=request.act == "merged", at=request.at
        )
        merging.put([whole])
        merging.put([part])  # last, because it marks the act as done
        return [whole, part]

    def _move_exposures(
        self, request: Decision, sighting: Sighting, new: str, merging: Merge
    ) -> None:
        """Move the exposures of a sighting to its new incident.

        Later posts about the same people go to the new incident too.
        """
        exposures = self._store.scroll(Exposure, DocumentFilter({"incident": (sighting.incident,)}))
        ids = {
            exposure.id: exposure_id(new, exposure.subject)
            for exposure in exposures
            if sighting.id in exposure.sightings
        }
        stored = merging.mget(Exposure, [*ids, *ids.values()]) if ids else {}
        affected = [
            exposure
            for id_, exposure in stored.items()
            if id_ in ids and sighting.id in exposure.sightings
        ]
        merging.put(move_exposure(exposure, sighting, new) for exposure in affected)
        remaining = {
            exposure.id: without_sightings(exposure, {sighting.id}) for exposure in affected
        }
        if sighting.subjects:
            people = claim_id(sighting.tenant, "subjects", sighting.subjects)
            before = find_holdings(self._store, [people]).get(people)
            if before is None or before.incident != new:
                self._store.create(
                    [
                        build_holding(
                            sighting.tenant, new, [people], request.at, [before] if before else []
                        )
                    ]
                )
        merging.put(exposure for exposure in remaining.values() if exposure)
        merging.delete(Exposure, [id_ for id_, exposure in remaining.items() if exposure is None])


def _is_news(before: Incident | None, now: Incident) -> bool:
    """Return whether an incident has grown or become more severe since `before`."""
    if before is None:
        return False
    is_graver = SEVERITIES.index(now.severity) > SEVERITIES.index(before.severity)
    pairs = ((now.sites, before.sites), (now.kinds, before.kinds), (now.parts, before.parts))
    is_wider = any(not {*new} <= {*old} for new, old in pairs)
    return is_graver or is_wider or now.customers > before.customers
