"""Find what was done on an incident since a page showed it, and what is still being done.

An act is a decision, or a decision that waits for a second person. Merges, splits and detachments
are requests, which the alert service carries out within a minute.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from alerts.records import Decision, Incident, PendingDecision, Sighting
from alerts.store import DocumentFilter, IncidentStore

CaseAct = Decision | PendingDecision


def list_acts(store: IncidentStore, id_: str) -> list[CaseAct]:
    """Return the acts on an incident, oldest first."""
    of_it = DocumentFilter({"incident": (id_,)})
    acts: list[CaseAct] = [*store.scroll(Decision, of_it), *store.scroll(PendingDecision, of_it)]
    return sorted(acts, key=lambda act: (act.at, act.id))


def find_later(acts: Sequence[CaseAct], seen: str) -> Sequence[CaseAct]:
    """Return the acts after the one with the id `seen`; all if there is none with that id."""
    places = [place for place, act in enumerate(acts) if act.id == seen]
    return acts[places[-1] + 1 :] if places else acts


def find_unfinished(
    store: IncidentStore, incident: Incident, acts: Iterable[CaseAct]
) -> list[Decision]:
    """Return the latest requests to regroup an incident that were not carried out yet."""
    latest = {
        act.about: act
        for act in acts
        if isinstance(act, Decision) and act.act in ("merged", "split", "detached")
    }
    return [act for act in latest.values() if not _is_carried_out(store, incident, act)]


def _is_carried_out(store: IncidentStore, incident: Incident, act: Decision) -> bool:
    """Return whether a request to regroup took effect, or has become pointless.

    It has if what it is about no longer exists, or if another merge has overtaken it.
    """
    if act.act == "detached":
        sighting = store.get(Sighting, act.about)
        return sighting is None or sighting.incident not in incident.family
    if (act.about in incident.parts) == (act.act == "merged"):
        return True
    counterpart = store.get(Incident, act.about)
    # alert leaves a request alone that another merge has overtaken
    overtaken = counterpart is not None and counterpart.part_of not in ("", incident.id)
    return counterpart is None or bool(incident.part_of) or overtaken
