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
    """Yield the pieces of one JSON document of events, in the layout of MISP's own export."""
    yield '{"response": ['
    for number, one in enumerate(incidents):
        yield (",\n" if number else "\n") + json.dumps(
            {"Event": _event(one.shared())}, ensure_ascii=False
        )
    yield "\n]}\n"


def _event(one: SharedIncident) -> dict[str, Any]:
    incident = one.incident
    event = MISPEvent()
    event.from_dict(
        uuid=str(one.uuid("misp-event")),
        info=one.headline,
        date=incident.first_seen.date(),
        distribution=OWN_ORGANISATION,
        threat_level_id=UNDEFINED,
        analysis=ANALYSIS[one.status],
        published=False,
    )
    tags = {"status": one.status, "tenant": one.tenant}
    for tag in ("tlp:amber", *(f'ullage:{name}="{value}"' for name, value in tags.items())):
        event.add_tag(tag)
    _attribute(
        event,
        one,
        "kinds",
        f"kinds: {' '.join(incident.kinds) or 'none'}; fields:"
        f" {' '.join(incident.fields) or 'none'}",
    )
    for seen in one.seen:
        event.add_object(_paste(one, seen))
    found: dict[str, Any] = json.loads(event.to_json())
    # pymisp leaves this out of an event that was edited
    return {**found, "timestamp": str(int(one.modified.timestamp()))}


def _attribute(event: MISPEvent, one: SharedIncident, name: str, text: str) -> None:
    event.add_attribute(
        "comment",
        text,
        category="Other",
        uuid=str(one.uuid(f"misp-{name}")),
        timestamp=int(one.modified.timestamp()),
        disable_correlation=True,
    )


def _comment(seen: ExportedSighting) -> str:
    return f"sighting {seen.id}" + (
        f"; its post is gone since {seen.gone:%Y-%m-%dT%H:%MZ}" if seen.gone else ""
    )


def _paste(one: SharedIncident, seen: ExportedSighting) -> MISPObject:
    """Return a sighting as an object of MISP's `paste` template.

    The post's text and its author are left out.
    """
    paste = MISPObject("paste", strict=True)
    paste.from_dict(
        uuid=str(one.uuid("misp-paste", seen.id)),
        timestamp=int(seen.at.timestamp()),
        comment=_comment(seen),
    )
    facts: dict[str, Any] = {
        "origin": seen.site,
        "url": seen.address,
        "title": seen.title,
        "first-seen": seen.published or seen.at,
    }
    for relation, value in facts.items():
        if value:
            paste.add_attribute(
                relation,
                value,
                uuid=str(one.uuid(f"misp-{relation}", seen.id)),
                timestamp=int(seen.at.timestamp()),
                disable_correlation=relation != "url",
            )
    return paste
