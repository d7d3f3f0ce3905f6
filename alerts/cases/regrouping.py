"""Work out what incidents become when people merge or split them, or detach a sighting; nothing is
written here.

Whoever asks for it sees by this whether a reporting deadline would end (`alerts.cases.actions`),
and alert, which carries it out, asks again (`alerts.cases.reopening`).
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
    """What incidents become, judged by the `rules` that are in force."""

    duties: Duties
    rules: Callable[[], VerdictRules]

    @property
    def _store(self) -> IncidentStore:
        return self.duties.store

    def regrouped(
        self, head: Incident, part: Incident, *, is_merge: bool, at: datetime
    ) -> tuple[Incident, Incident]:
        """Return both incidents as they are once `part` is a part of `head`, from `at` on, or no
        longer one.
        """
        parts = tuple(
            sorted({*head.parts} | {*part.family} if is_merge else {*head.parts} - {*part.family})
        )
        sketch = head.sketch
        # what both of them had goes with the part: what is left still tells a re-post
        if part.sketch_of == head.sketch_of:
            sketch = (
                known_values(sketch, part.sketch)
                if is_merge
                else tuple(v for v in sketch if v not in {*part.sketch})
            )
        whole = self.projected(
            head.id, (sketch, head.sketch_of), {*head.linked} - {*part.family}, parts
        )
        whole = whole or head.model_copy(update={"parts": parts})
        changed = (
            {"part_of": head.id, "part_since": at}
            if is_merge
            else {"part_of": "", "part_since": None}
        )
        return whole, part.model_copy(update=changed)

    def detached(self, source: Incident, sighting: Sighting) -> list[Incident]:
        """Return what is left of an incident without `sighting`, if anything is, and the new
        incident of that sighting.
        """
        new, where = incident_id(sighting.id), DocumentFilter({"incident": source.family})
        sightings, exposures = (
            list(self._store.scroll(Sighting, where)),
            list(self._store.scroll(Exposure, where)),
        )
        theirs = [
            moved_exposure(one, sighting, new) for one in exposures if sighting.id in one.sightings
        ]
        left = [
            one
            for one in (without_sightings(each, {sighting.id}) for each in exposures)
            if one is not None
        ]
        rest = [one for one in sightings if one.id != sighting.id]
        sketch, linked = (source.sketch, source.sketch_of), (*source.linked, new)
        moved = [moved_sighting(sighting, source.id, new)]
        own = self._of_facts(
            new, moved, theirs, (sighting.sketch, sighting.sketch_of), (source.id,)
        )
        return [
            one
            for one in (self._of_facts(source.id, rest, left, sketch, linked, source.parts), own)
            if one
        ]

    def projected(
        self, id_: str, sketch: Sketch, linked: Iterable[str], parts: Sequence[str] = ()
    ) -> Incident | None:
        """Return the incident as its facts in the store now stand; None where it has none left."""
        where = DocumentFilter({"incident": (id_, *parts)})
        sightings = list(self._store.scroll(Sighting, where))
        return self._of_facts(
            id_, sightings, self._store.scroll(Exposure, where), sketch, linked, parts
        )

    def _of_facts(
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


def moved_sighting(sighting: Sighting, source: str, new: str) -> Sighting:
    """Return a sighting as it is in the incident `new`, into which it was moved out of `source`."""
    moved = {
        "incident": new,
        "detached_from": source,
        "tied": False,
        "parts_tied": (),
        "linked": (source,),
    }
    return sighting.model_copy(update=moved)


def moved_exposure(exposure: Exposure, sighting: Sighting, new: str) -> Exposure:
    """Return what of an exposure is the sighting's; what several added to it cannot be told
    apart, and goes along.
    """
    own = {
        "id": exposure_id(new, exposure.subject),
        "incident": new,
        "sightings": (sighting.id,),
        "sites": (sighting.site,),
    }
    return exposure.model_copy(update=own)


def merged_into(decisions: Iterable[Decision]) -> tuple[str, ...]:
    """Return the incidents that people have merged into the one of whose `decisions` these are."""
    last = {
        one.about: one.act
        for one in sorted(decisions, key=lambda one: one.at)
        if one.act in ("merged", "split")
    }
    return tuple(other for other, act in last.items() if act == "merged")
