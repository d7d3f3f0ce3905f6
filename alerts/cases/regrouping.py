"""Compute what incidents become when people merge or split them, or detach a sighting.

Nothing is written here. The result shows the person who asks whether a reporting deadline would end
(`alerts.cases.actions`); the alert service, which carries it out, checks that again
(`alerts.cases.reopening`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from alerts.deadlines.outstanding import Duties
from alerts.grouping import projection
from alerts.grouping.placement import merge as known_values
from alerts.grouping.sightings import without_replaced, without_sightings
from alerts.records import (
    Decision,
    Exposure,
    Incident,
    Sighting,
    Sketched,
    exposure_id,
    incident_id,
)
from alerts.store import DocumentFilter, IncidentStore
from ullage.verdict import VerdictRules

Sketch = tuple[tuple[str, ...], Sketched]


@dataclass(frozen=True, slots=True)
class Regrouping:
    """The computation of what a merge, a split or a detachment makes of incidents."""

    duties: Duties
    rules: Callable[[], VerdictRules]

    @property
    def _store(self) -> IncidentStore:
        return self.duties.store

    def preview_regrouping(
        self, head: Incident, part: Incident, *, is_merge: bool, at: datetime
    ) -> tuple[Incident, Incident]:
        """Return `head` and `part` as they will be after `part` is merged in or split off.

        It is merged into `head` if `is_merge` is true, at the time `at`; else it is split off.
        Nothing is stored.
        """
        parts = tuple(
            sorted({*head.parts} | {*part.family} if is_merge else {*head.parts} - {*part.family})
        )
        sketch = head.sketch
        # values of both leave with the part: the rest still identifies a re-post
        if part.sketch_of == head.sketch_of:
            sketch = (
                known_values(sketch, part.sketch)
                if is_merge
                else tuple(v for v in sketch if v not in {*part.sketch})
            )
        whole = self.project_stored(
            head.id, (sketch, head.sketch_of), {*head.linked} - {*part.family}, parts
        )
        whole = whole or head.model_copy(update={"parts": parts})
        changed = (
            {"part_of": head.id, "part_since": at}
            if is_merge
            else {"part_of": "", "part_since": None}
        )
        return whole, part.model_copy(update=changed)

    def preview_detachment(self, source: Incident, sighting: Sighting) -> list[Incident]:
        """Return the incidents that exist after `sighting` has become an incident of its own.

        The first is `source` without the sighting, unless nothing remains of it; the last is the
        new incident. Nothing is stored.
        """
        new, where = incident_id(sighting.id), DocumentFilter({"incident": source.family})
        sightings, exposures = (
            list(self._store.scroll(Sighting, where)),
            list(self._store.scroll(Exposure, where)),
        )
        moved_exposures = [
            move_exposure(item, sighting, new)
            for item in exposures
            if sighting.id in item.sightings
        ]
        remaining_exposures = [
            item
            for item in (without_sightings(each, {sighting.id}) for each in exposures)
            if item is not None
        ]
        remaining_sightings = [item for item in sightings if item.id != sighting.id]
        sketch, linked = (source.sketch, source.sketch_of), (*source.linked, new)
        moved = [move_sighting(sighting, source.id, new)]
        detached = self._project(
            new, moved, moved_exposures, (sighting.sketch, sighting.sketch_of), (source.id,)
        )
        return [
            item
            for item in (
                self._project(
                    source.id,
                    remaining_sightings,
                    remaining_exposures,
                    sketch,
                    linked,
                    source.parts,
                ),
                detached,
            )
            if item
        ]

    def project_stored(
        self, id_: str, sketch: Sketch, linked: Iterable[str], parts: Sequence[str] = ()
    ) -> Incident | None:
        """Return the incident that follows from the stored facts of `id_` and its `parts`.

        The facts are sightings and customers. None if no sighting of `id_` itself is stored. This
        call stores nothing.
        """
        where = DocumentFilter({"incident": (id_, *parts)})
        sightings = list(self._store.scroll(Sighting, where))
        return self._project(
            id_, sightings, self._store.scroll(Exposure, where), sketch, linked, parts
        )

    def _project(
        self,
        id_: str,
        sightings: Sequence[Sighting],
        exposures: Iterable[Exposure],
        sketch: Sketch,
        linked: Iterable[str],
        parts: Sequence[str] = (),
    ) -> Incident | None:
        sightings = without_replaced(sightings)
        if not any(sighting.incident == id_ for sighting in sightings):
            return None
        today, tenant = self.duties.clock.now().date(), self.duties.tenant(sightings[0].tenant)
        setting = projection.Setting(
            today, tenant, self.rules(), projection.find_acknowledged(self._store, sightings)
        )
        return projection.project(sightings, exposures, setting, sketch, set(linked), parts)


def move_sighting(sighting: Sighting, source: str, new: str) -> Sighting:
    """Return a copy of `sighting` that belongs to the incident `new`.

    The copy names the incident `source` as the one that it left, and is linked with it.
    """
    moved = {
        "incident": new,
        "detached_from": source,
        "tied": False,
        "parts_tied": (),
        "linked": (source,),
    }
    return sighting.model_copy(update=moved)


def move_exposure(exposure: Exposure, sighting: Sighting, new: str) -> Exposure:
    """Return the part of an exposure that belongs to a moved sighting.

    Fields that several sightings added cannot be told apart, and move along.
    """
    changes = {
        "id": exposure_id(new, exposure.subject),
        "incident": new,
        "sightings": (sighting.id,),
        "sites": (sighting.site,),
    }
    return exposure.model_copy(update=changes)


def find_merged(decisions: Iterable[Decision]) -> tuple[str, ...]:
    """Return the ids of incidents that people merged into this one and did not split off again.

    `decisions` are those on this incident.
    """
    last = {
        decision.about: decision.act
        for decision in sorted(decisions, key=lambda decision: decision.at)
        if decision.act in ("merged", "split")
    }
    return tuple(part for part, act in last.items() if act == "merged")
