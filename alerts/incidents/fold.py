"""Which incident a finding belongs to: a pure function over facts.

A finding joins an incident when at least 0.6 of the smaller side is contained in the other (8 or more values compared), or when a
finding of that incident had the very same set of customers. Of several the oldest takes it and the others are linked; incidents
never merge by themselves. An exact re-post therefore shares its incident, and a finding that comes again goes where it went.

Candidates are found by claims, documents with a known id, because a search index shows a write too late: the finding
before this one may be a millisecond old.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

from alerts.incidents.sketch import merge, overlap
from alerts.records import Incident, Sketched, claim_id, incident_id
from ullage.records import Finding

CONTAINED = 0.6
COMPARED = 8


class Known(NamedTuple):
    """What fold needs to know of an incident. A frozen one takes nothing more: its numbers stand."""

    id: str
    tenant: str
    opened_at: datetime
    sketch: tuple[str, ...]
    sketch_of: Sketched
    frozen: bool = False
    fields: frozenset[str] = frozenset()

    @classmethod
    def of(cls, incident: Incident) -> Known:
        """From the stored incident."""
        own = (incident.id, incident.tenant, incident.opened_at, incident.sketch, incident.sketch_of)
        return cls(*own, incident.frozen_at is not None, frozenset(incident.fields))

    def grown(self, finding: Finding) -> Known:
        """With the finding's sketch merged in, if it is of the same kind."""
        if finding.statistics.sketch_of != self.sketch_of:
            return self
        return self._replace(sketch=merge(self.sketch, finding.statistics.sketch))


class Place(NamedTuple):
    """Where a finding goes: `incident`, whether it `opens` it, and which others it fits as well."""

    incident: str
    opens: bool
    linked: tuple[str, ...]


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


def place(finding: Finding, claims: Mapping[str, str], incidents: Mapping[str, Known]) -> Place:
    """Where `finding` goes. `claims` maps claim ids to incidents, `incidents` holds those that exist."""
    digest = subjects_digest(finding)
    same_people = claims.get(claim_id(finding.tenant, "subjects", digest)) if digest else None
    held = {claims[claim] for claim in claims_of(finding) if claim in claims}
    candidates = [incidents[id_] for id_ in held if id_ in incidents and incidents[id_].tenant == finding.tenant]
    fitting = sorted((k for k in candidates if k.id == same_people or _contains(k, finding)), key=lambda k: (k.opened_at, k.id))
    open_ones = [known for known in fitting if not known.frozen]
    chosen = open_ones[0].id if open_ones else incident_id(finding.id)
    return Place(chosen, not open_ones, _others(chosen, fitting))


def _contains(known: Known, finding: Finding) -> bool:
    if known.sketch_of != finding.statistics.sketch_of:
        return False
    found = overlap(known.sketch, finding.statistics.sketch)
    return found.compared >= COMPARED and found.share >= CONTAINED


def _others(chosen: str, fitting: Iterable[Known]) -> tuple[str, ...]:
    return tuple(sorted(known.id for known in fitting if known.id != chosen))
