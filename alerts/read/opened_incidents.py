"""Which incident came of findings that somebody handed in: known once alert has folded them."""

from __future__ import annotations

import threading
from collections.abc import Collection

from alerts.records import Incident, Sighting, incident_id
from alerts.store import IncidentStore
from ullage.clock import Clock
from ullage.incidents import IncidentReference

SECONDS_BETWEEN_LOOKS = 0.2


def opened_by(store: IncidentStore, findings: Collection[str]) -> dict[str, IncidentReference]:
    """What became of those findings that were dealt with by now."""
    sightings = store.mget(Sighting, findings)
    stored = store.mget(Incident, {sighting.incident for sighting in sightings.values()})
    return {
        id_: IncidentReference(seen.incident, seen.incident == incident_id(id_), stored[seen.incident].severity)
        for id_, seen in sightings.items()
        if seen.incident in stored  # the incident is written last
    }


def wait_for(store: IncidentStore, clock: Clock, findings: Collection[str], seconds: float) -> dict[str, IncidentReference]:
    """What became of the findings by the time that all were folded, or that `seconds` have passed."""
    deadline, never = clock.monotonic() + seconds, threading.Event()
    found = opened_by(store, findings)
    while len(found) < len(findings) and clock.monotonic() < deadline:
        never.wait(SECONDS_BETWEEN_LOOKS)
        found = opened_by(store, findings)
    return found
