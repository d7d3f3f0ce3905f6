"""Export incidents for a SIEM, as Elastic Common Schema 9: one JSON object per line.

`threat.enrichments.matched.atomic` would be the matched value; it is left out, both in clear and
as a keyed hash. Facts for which ECS has no field are below `ullage`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from alerts.cases.exports import ExportedIncident, ExportedSighting
from alerts.records import SEVERITIES
from ullage import __version__

MEDIA = "application/x-ndjson"
ENDING = "jsonl"
ECS_VERSION = "9.0.0"
"""The oldest version that has every field written here."""
STEP = 20
"""Points per severity on the scale of `event.severity`: noise 0 to statutory 100."""


def write(incidents: Iterable[ExportedIncident]) -> Iterator[str]:
    """Yield one line of JSON per incident, each ending in a newline, with the fields of ECS."""
    for export in incidents:
        yield json.dumps(_event(export), ensure_ascii=False, separators=(",", ":")) + "\n"


def _event(export: ExportedIncident) -> dict[str, Any]:
    incident = export.incident
    return {
        "@timestamp": _time(export.modified),
        "ecs": {"version": ECS_VERSION},
        "message": export.headline,
        "event": {
            "id": incident.id,
            "kind": "alert",
            "category": ["threat"],
            "type": ["indicator"],
            "module": "ullage",
            "dataset": "ullage.incidents",
            "severity": SEVERITIES.index(incident.severity) * STEP,
            "risk_score": float(incident.exposure),
            "created": _time(incident.opened_at),
            "start": _time(incident.first_seen),
            "end": _time(incident.last_seen),
        },
        "organization": {"id": incident.tenant},
        "observer": {
            "vendor": "ullage",
            "product": "ullage",
            "type": "leak-monitor",
            "version": __version__,
        },
        **({"rule": _rule(export)} if incident.scenario else {}),
        "threat": {
            "indicator": {
                "type": "url",
                "provider": "ullage",
                "first_seen": _time(incident.first_seen),
                "last_seen": _time(incident.last_seen),
                "sightings": incident.sightings,
                "marking": {"tlp": "AMBER"},
            },
            "enrichments": [_enrichment(sighting) for sighting in export.sightings],
        },
        "ullage": _ours(export),
    }


def _rule(export: ExportedIncident) -> dict[str, str]:
    return {
        "id": export.incident.scenario,
        "name": export.incident.scenario_title,
        "category": "fraud-scenario",
        "ruleset": "ullage",
    }


def _enrichment(sighting: ExportedSighting) -> dict[str, Any]:
    address = {"url": {"full": sighting.address}} if sighting.address else {}
    return {
        "indicator": {
            "type": "url",
            "provider": sighting.site,
            "first_seen": _time(sighting.published or sighting.at),
            **address,
        },
        "matched": {
            "id": sighting.id,
            "occurred": _time(sighting.at),
            "type": "indicator_match_rule",
        },
    }


def _ours(export: ExportedIncident) -> dict[str, Any]:
    members = export.incident.model_dump(mode="json", include=_OWN)
    return {
        **members,
        "sites": export.sites,
        "status": export.status,
        "gone": {
            sighting.id: _time(sighting.gone) for sighting in export.sightings if sighting.gone
        },
        "titles": list(
            dict.fromkeys(sighting.title for sighting in export.sightings if sighting.title)
        ),
    }


_OWN = set(
    "severity origin origin_p reasons origin_reasons scenario_title_zh unit customers rows kinds"
    " fields terms brands alarm claims sections newest_date".split()
)


def _time(when: datetime) -> str:
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")
