"""Export incidents as a STIX 2.1 bundle.

Each incident comes with its sighting, the observed URLs and the identity of the observer. Ids are
UUIDs of version 5 in our own namespace, as the specification prescribes for observables, so that a
later export contains new versions of the same objects. Everything is marked TLP:AMBER.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

import stix2

from alerts.cases.exports import NAMESPACE, ExportedIncident, ExportedSighting, SharedIncident
from alerts.cases.incident_view import summarize_claims

MEDIA = "application/stix+json;version=2.1"
ENDING = "json"
BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
"""When the identity of the monitor was made: the same in every export."""
MONITOR = f"identity--{uuid.uuid5(NAMESPACE, 'monitor')}"


def write(incidents: Iterable[ExportedIncident]) -> Iterator[str]:
    """Yield one string: a STIX bundle of all incidents as indented JSON.

    An object that several incidents share appears one time. Equal incidents give an equal bundle
    id.
    """
    shared_incidents = [export.to_shared() for export in incidents]
    objects: dict[str, Any] = {o.id: o for o in (stix2.TLP_AMBER, _monitor())}
    for shared in shared_incidents:
        objects |= {o.id: o for o in _objects(shared)}
    name = uuid.uuid5(
        NAMESPACE,
        "bundle:"
        + " ".join(
            f"{shared.incident.id}@{shared.modified.isoformat()}" for shared in shared_incidents
        ),
    )
    bundle = stix2.Bundle(*objects.values(), id=f"bundle--{name}")
    yield json.dumps(json.loads(bundle.serialize()), ensure_ascii=False, indent=1) + "\n"


def _monitor() -> stix2.Identity:
    return stix2.Identity(
        id=MONITOR,
        name="ullage leak monitor",
        identity_class="system",
        created=BEGINNING,
        modified=BEGINNING,
        object_marking_refs=[stix2.TLP_AMBER],
    )


def _common(shared: SharedIncident, kind: str, of: str = "") -> dict[str, Any]:
    """Return the properties that every object of an incident has.

    The versions of an object are ordered by the incident's time of change.
    """
    created = min(shared.incident.opened_at, shared.modified)
    return {
        "id": f"{kind}--{shared.uuid(f'stix-{kind}', of)}",
        "created": created,
        "modified": shared.modified,
        "created_by_ref": MONITOR,
        "object_marking_refs": [stix2.TLP_AMBER],
    }


def _objects(shared: SharedIncident) -> Iterator[Any]:
    incident = stix2.Incident(
        **_common(shared, "incident"),
        name=shared.headline,
        description=_description(shared),
        labels=_labels(shared),
        external_references=[{"source_name": "ullage", "external_id": shared.incident.id}],
    )
    yield incident
    observed = []
    for sighting in shared.sightings:
        if sighting.address:
            address = stix2.URL(value=sighting.address)
            observed.append(_build_observed_data(shared, sighting, address.id))
            yield address
            yield observed[-1]
    yield stix2.Sighting(
        **_common(shared, "sighting"),
        sighting_of_ref=incident.id,
        where_sighted_refs=[MONITOR],
        **({"observed_data_refs": [o.id for o in observed]} if observed else {}),
        count=shared.incident.sightings,
        first_seen=shared.incident.first_seen,
        last_seen=max(shared.incident.first_seen, shared.incident.last_seen),
    )


def _build_observed_data(
    shared: SharedIncident, sighting: ExportedSighting, address: str
) -> stix2.ObservedData:
    return stix2.ObservedData(
        **_common(shared, "observed-data", sighting.id),
        first_observed=sighting.at,
        last_observed=sighting.at,
        number_observed=1,
        object_refs=[address],
    )


def _labels(shared: SharedIncident) -> list[str]:
    return [f"status:{shared.status}", f"tenant:{shared.tenant}"]


def _description(shared: SharedIncident) -> str:
    incident = shared.incident
    gone = (
        f" Posts that were found gone: {incident.gone} of {incident.sightings}."
        if incident.gone
        else ""
    )
    return (
        f"{incident.scenario_title or 'No known scenario'}. {incident.counted} customers,"
        f" {incident.rows} rows in the largest copy, {incident.sightings} sightings on"
        f" {', '.join(shared.sites)}. Kinds: {', '.join(incident.kinds) or 'none'}. The"
        f" post claims: {summarize_claims(incident.claims) or 'nothing'}.{gone}"
    )
