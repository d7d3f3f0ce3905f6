"""Export incidents as MISP events, with one `paste` object per sighting.

Their distribution is "your organisation only", until a person chooses another.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from pymisp import MISPEvent, MISPObject

from alerts.cases.exports import ExportedIncident, ExportedSighting, SharedIncident
from alerts.records import Status

MEDIA = "application/json"
ENDING = "json"
UNDEFINED = 4
OWN_ORGANISATION = 0
ANALYSIS: dict[Status, int] = {
    "open": 0,
    "acknowledged": 1,
    "confirmed": 1,
    "reported": 1,
    "resolved": 2,
    "false_positive": 2,
}


def write(incidents: Iterable[ExportedIncident]) -> Iterator[str]:
    """Yield the pieces of one JSON text that has a MISP event for each incident.

    The layout is that of MISP's own export.
    """
    yield '{"response": ['
    for number, export in enumerate(incidents):
        yield (",\n" if number else "\n") + json.dumps(
            {"Event": _event(export.to_shared())}, ensure_ascii=False
        )
    yield "\n]}\n"


def _event(shared: SharedIncident) -> dict[str, Any]:
    incident = shared.incident
    event = MISPEvent()
    event.from_dict(
        uuid=str(shared.uuid("misp-event")),
        info=shared.headline,
        date=incident.first_seen.date(),
        distribution=OWN_ORGANISATION,
        threat_level_id=UNDEFINED,
        analysis=ANALYSIS[shared.status],
        published=False,
    )
    tags = {"status": shared.status, "tenant": shared.tenant}
    for tag in ("tlp:amber", *(f'ullage:{name}="{value}"' for name, value in tags.items())):
        event.add_tag(tag)
    _attribute(
        event,
        shared,
        "kinds",
        f"kinds: {' '.join(incident.kinds) or 'none'}; fields:"
        f" {' '.join(incident.fields) or 'none'}",
    )
    for sighting in shared.sightings:
        event.add_object(_paste(shared, sighting))
    document: dict[str, Any] = json.loads(event.to_json())
    # pymisp leaves this out of an event that was edited
    return {**document, "timestamp": str(int(shared.modified.timestamp()))}


def _attribute(event: MISPEvent, shared: SharedIncident, name: str, text: str) -> None:
    event.add_attribute(
        "comment",
        text,
        category="Other",
        uuid=str(shared.uuid(f"misp-{name}")),
        timestamp=int(shared.modified.timestamp()),
        disable_correlation=True,
    )


def _comment(sighting: ExportedSighting) -> str:
    return f"sighting {sighting.id}" + (
        f"; its post is gone since {sighting.gone:%Y-%m-%dT%H:%MZ}" if sighting.gone else ""
    )


def _paste(shared: SharedIncident, sighting: ExportedSighting) -> MISPObject:
    """Return a sighting as an object of MISP's `paste` template.

    The post's text and its author are left out.
    """
    paste = MISPObject("paste", strict=True)
    paste.from_dict(
        uuid=str(shared.uuid("misp-paste", sighting.id)),
        timestamp=int(sighting.at.timestamp()),
        comment=_comment(sighting),
    )
    facts: dict[str, Any] = {
        "origin": sighting.site,
        "url": sighting.address,
        "title": sighting.title,
        "first-seen": sighting.published or sighting.at,
    }
    for relation, value in facts.items():
        if value:
            paste.add_attribute(
                relation,
                value,
                uuid=str(shared.uuid(f"misp-{relation}", sighting.id)),
                timestamp=int(sighting.at.timestamp()),
                disable_correlation=relation != "url",
            )
    return paste
