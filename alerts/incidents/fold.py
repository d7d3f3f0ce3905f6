"""Which incident a finding belongs to: a pure function over facts.

A finding goes first to the incident that a tie names: what the same seller says in the same talk, thread or template
(`alerts.incidents.ties`). Else it joins an incident when at least 0.6 of the smaller side is contained in the other (8 or more
values compared), or when a finding of that incident had the very same set of customers. Of several the oldest takes it and the
others are linked. An exact re-post therefore shares its incident, and a finding that comes again goes where it went.

Incidents never merge. Where a late post ties several, the oldest becomes their head: from then on it is judged with all that is
in the others, its parts, and takes what comes. A part keeps its id, its posts and what was decided of it, and says whose part it
is. What a head and its parts hold together is what the ties connect, in whatever order it came.

Candidates are found by what incidents hold (`alerts.incidents.known_incidents`): sketch values, sets of customers and ties, each
held by the incident that had it first. It is looked up after a refresh, for the finding before this one may be a millisecond old.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

from alerts.incidents import ties
from alerts.incidents.sketch import merge, overlap
from alerts.records import Holding, Incident, Sketched, claim_id, incident_id
from ullage.records import Finding

CONTAINED = 0.6
COMPARED = 8


class KnownIncident(NamedTuple):
    """What fold needs to know of an incident. A frozen one takes nothing more: its numbers stand."""

    id: str
    tenant: str
    opened_at: datetime
    sketch: tuple[str, ...]
    sketch_of: Sketched
    frozen: bool = False
    fields: frozenset[str] = frozenset()
    authors: frozenset[str] = frozenset()
    part_of: str = ""
    parts: frozenset[str] = frozenset()
    closed_at: datetime | None = None
    """When a person closed it: what is posted later is news, even of the same seller."""
    apart: frozenset[str] = frozenset()
    """Incidents out of which a person took what is in this one."""

    @classmethod
    def of(cls, incident: Incident) -> KnownIncident:
        """From the stored incident."""
        own = (incident.id, incident.tenant, incident.opened_at, incident.sketch, incident.sketch_of)
        whose = (frozenset(incident.authors), incident.part_of, frozenset(incident.parts))
        is_frozen = incident.frozen_at is not None
        return cls(*own, is_frozen, frozenset(incident.fields), *whose, apart=frozenset(incident.apart))

    def grown(self, finding: Finding) -> KnownIncident:
        """With the finding's author, and its sketch merged in if it is of the same kind."""
        known = self._replace(authors=self.authors | {finding.capture.author})
        if finding.statistics.sketch_of != self.sketch_of:
            return known
        return known._replace(sketch=merge(self.sketch, finding.statistics.sketch))

    def holds(self, finding: Finding) -> bool:
        """Whether a tie to it holds: not to what is frozen, nor to what was closed before that was posted."""
        return not self.frozen and (self.closed_at is None or ties.time_of(finding) <= self.closed_at)

    def with_part(self, part: KnownIncident) -> KnownIncident:
        """With another incident as its part."""
        same = part.sketch_of == self.sketch_of
        sketch = merge(self.sketch, part.sketch) if same else self.sketch
        return self._replace(sketch=sketch, authors=self.authors | part.authors, parts=self.parts | {part.id} | part.parts)


class Placement(NamedTuple):
    """Where a finding goes: `incident`, whether it `opens` it, and which others it fits as well.

    `parts` are heads that it ties to `incident`, whose parts they become. It is `tied` unless it is here for what it holds alone.
    """

    incident: str
    opens: bool
    linked: tuple[str, ...]
    parts: tuple[str, ...] = ()
    tied: bool = False


def head_of(id_: str, incidents: Mapping[str, KnownIncident]) -> str:
    """The incident whose part `id_` is, itself where it is none."""
    while (known := incidents.get(id_)) is not None and known.part_of in incidents:
        id_ = known.part_of
    return id_


def subjects_digest(finding: Finding) -> str:
    """Digest of the set of handles (keyed tags themselves); "" where the record at hand cannot show the whole set."""
    if finding.parts != 1 or not finding.matches:
        return ""
    handles = sorted({match.subject for match in finding.matches})
    return hashlib.sha256("\x1f".join(handles).encode()).hexdigest()[:32]


def claims_of(finding: Finding) -> tuple[str, ...]:
    """Ids of the claims that tie this finding to its incident."""
    of = finding.statistics.sketch_of
    values = [claim_id(finding.tenant, of, value) for value in finding.statistics.sketch]
    digest = subjects_digest(finding)
    return (*values, claim_id(finding.tenant, "subjects", digest)) if digest else tuple(values)


def place(
    finding: Finding, holders: Mapping[str, Holding], incidents: Mapping[str, KnownIncident], tied_by: ties.Ties = ties.NONE
) -> Placement:
    """Where `finding` goes. `holders` are what holds its claims, `incidents` those that exist."""
    digest = subjects_digest(finding)

    def heads(ids: Iterable[str]) -> list[KnownIncident]:
        """Those who answer for the holders of these claims, the oldest first."""
        held = {head_of(holders[id_].incident, incidents) for id_ in ids if id_ in holders}
        known = (incidents[id_] for id_ in held if id_ in incidents and incidents[id_].tenant == finding.tenant)
        return sorted(known, key=lambda one: (one.opened_at, one.id))

    alike = heads([claim_id(finding.tenant, "subjects", digest)] if digest else [])
    same_people, apart = {one.id for one in alike}, {id_ for one in alike for id_ in one.apart}
    fitting = [one for one in heads(claims_of(finding)) if one.id in same_people or _contains(one, finding)]
    fitting = [one for one in fitting if one.id not in apart]
    tying = heads(tied_by.all)
    tied, fitting_open = [one for one in tying if one.holds(finding)], [one for one in fitting if not one.frozen]
    known = next(iter((*tied, *fitting_open)), None)
    chosen, parts = known.id if known else incident_id(finding.id), tuple(one.id for one in tied[1:])
    # What another seller's incident takes for what it holds says nothing of whom else this seller sells.
    leaves_ties = bool(tied_by.own) and (known is None or bool(tied) or finding.capture.author in known.authors)
    linked = _others((chosen, *parts), (*fitting, *tying))
    return Placement(chosen, known is None, linked, parts, leaves_ties)


def _contains(known: KnownIncident, finding: Finding) -> bool:
    if known.sketch_of != finding.statistics.sketch_of:
        return False
    found = overlap(known.sketch, finding.statistics.sketch)
    return found.compared >= COMPARED and found.share >= CONTAINED


def _others(chosen: Collection[str], fitting: Iterable[KnownIncident]) -> tuple[str, ...]:
    return tuple(sorted({known.id for known in fitting if known.id not in chosen}))
