"""How incidents are shown: as JSON for programs, as text for people. The same for terminal and page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from alerts.query import Whole
from alerts.records import Incident, Status, Suppression
from ullage.records.incomplete import INCOMPLETE
from ullage.shown import safe


def link(url: str) -> str:
    """`url` if a browser may follow it (http or https with a host), else ""."""
    try:
        parts = urlsplit(url)
        return url if parts.scheme in ("http", "https") and parts.hostname and safe(url) == url else ""
    except ValueError:
        return ""


def duration(seconds: float | None) -> str:
    """Two digits' worth of a duration.

    >>> [duration(s) for s in (None, 0.4, 42, 95, 7300, 200000)]
    ['–', '0.4 s', '42 s', '2 min', '2.0 h', '2.3 d']
    """
    if seconds is None:
        return "–"
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 86400 else f"{seconds / 86400:.1f} d"


def brief(values: Sequence[str], shown: int) -> str:
    """The first few of `values`, and how many more there are."""
    more = f" +{len(values) - shown}" if len(values) > shown else ""
    return safe(", ".join(values[:shown])) + more


def incompleteness(incident: Incident) -> str:
    """What a person must know of an incident of which not all was searched or judged; "" for one of which all was."""
    reasons = "; ".join(INCOMPLETE.get(reason, reason) for reason in incident.incomplete)
    return f"incomplete: at least {incident.customers:,} customers ({reasons})" if reasons else ""


def summary(incident: Incident, status: Status, silence: Suppression | None = None) -> dict[str, Any]:
    """The incident as a JSON object of a list."""
    shown = incident.model_dump(mode="json", include=_SUMMARY)
    return {**shown, "status": status, "suppressed": _silence(silence)}


def _silence(silence: Suppression | None) -> dict[str, Any] | None:
    """Who silenced it, why and until when."""
    return silence.model_dump(mode="json", include={"id", "by", "reason", "at", "expires"}) if silence else None


def details(found: Whole, clocks: Sequence[dict[str, Any]] = (), silence: Suppression | None = None) -> dict[str, Any]:
    """The incident as a JSON object with everything that belongs to it; sketches and tags are for machines and left out."""
    return {
        **found.incident.model_dump(mode="json", exclude={"sketch", "sketch_of", "subjects"}),
        "status": found.status,
        "suppressed": _silence(silence),
        "clocks": list(clocks),
        "seen": [sighting.model_dump(mode="json", exclude={"subjects", "traits"}) for sighting in found.sightings],
        "exposures": [exposure.model_dump(mode="json", exclude={"index_tags"}) for exposure in found.exposures],
        "decisions": [decision.model_dump(mode="json", exclude={"id"}) for decision in found.decisions],
    }


_SUMMARY = set(
    "id tenant severity exposure scenario scenario_title scenario_title_zh origin origin_label sites customers rows sightings"
    " kinds titles publish_seconds published_at opened_at updated_at alarm linked incomplete".split()
)
