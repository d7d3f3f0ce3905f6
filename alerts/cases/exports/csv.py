"""Export incidents as CSV, one per line.

The file is safe to open in a spreadsheet, although strangers wrote the titles in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from alerts.cases.exports import ExportedIncident
from alerts.cases.incident_view import summarize_claims
from ullage.display import format_csv_line

MEDIA = "text/csv; charset=utf-8"
ENDING = "csv"
BOM = "\ufeff"
"""Comes before the header; without it Excel does not read the file as UTF-8."""
COLUMNS = (
    "incident tenant severity exposure origin scenario scenario_title scenario_title_zh status"
    " customers rows sightings kinds fields sites sections terms claims newest_date reasons titles"
    " addresses published_at first_seen last_seen opened_at modified_at gone gone_at"
).split()


def write(incidents: Iterable[ExportedIncident]) -> Iterator[str]:
    """Yield the lines of a CSV file: a header, which starts with a BOM, then one per incident."""
    yield BOM + format_csv_line(COLUMNS)
    for export in incidents:
        yield format_csv_line([_cells(export)[column] for column in COLUMNS])


def _cells(export: ExportedIncident) -> dict[str, str]:
    incident = export.incident
    return {
        "incident": incident.id,
        "tenant": incident.tenant,
        "severity": incident.severity,
        "exposure": str(incident.exposure),
        "origin": incident.origin,
        "scenario": incident.scenario,
        "scenario_title": incident.scenario_title,
        "scenario_title_zh": incident.scenario_title_zh,
        "status": export.status,
        "customers": str(incident.customers),
        "rows": str(incident.rows),
        "sightings": str(incident.sightings),
        "kinds": " ".join(incident.kinds),
        "fields": " ".join(incident.fields),
        "sites": " ".join(export.sites),
        "terms": " ".join(incident.written),
        "reasons": " ".join(f"{why.code}{why.points:+d}" for why in incident.reasons),
        "sections": " ".join(incident.sections),
        "claims": summarize_claims(incident.claims),
        "newest_date": str(incident.newest_date or ""),
        "titles": " | ".join(
            dict.fromkeys(sighting.title for sighting in export.sightings if sighting.title)
        ),
        "addresses": " ".join(
            dict.fromkeys(sighting.address for sighting in export.sightings if sighting.address)
        ),
        "published_at": _time(incident.published_at),
        "first_seen": _time(incident.first_seen),
        "last_seen": _time(incident.last_seen),
        "opened_at": _time(incident.opened_at),
        "modified_at": _time(export.modified),
        "gone": str(incident.gone),
        "gone_at": _time(incident.gone_at),
    }


def _time(when: datetime | None) -> str:
    return when.isoformat(timespec="seconds").replace("+00:00", "Z") if when else ""
