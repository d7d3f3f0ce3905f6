"""Check what is recorded of a report to an authority: when it was sent, by which channel, and under which reference.

A report is a legal record: what was recorded is never changed. A correction is a second entry for the same report, with a note
that says what was wrong, and from then on it counts instead of the first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, tzinfo

from alerts.deadlines import Regime, Stage
from alerts.records import Decision
from alerts.records.document import QueryError
from ullage.clock import moment_in
from ullage.lookup.values import identifier_in
from ullage.phrase import Phrase, marked

MAX_REFERENCE = 64
CHANNELS: Mapping[str, tuple[str, str]] = {
    "portal": (marked("the authority's portal"), "监管报送系统"),
    "email": (marked("email"), "电子邮件"),
    "phone": (marked("telephone"), "电话"),
    "fax": (marked("fax"), "传真"),
    "letter": (marked("letter"), "书面函件"),
    "person": (marked("in person"), "当面"),
}
"""How a report may have been sent, in English and Chinese."""


def sent_at(report: Decision) -> datetime:
    """When a report was sent, as recorded; by default when it was recorded."""
    return report.sent_at or report.at


def checked_sent_at(typed: str, zone: tzinfo, now: datetime) -> datetime | None:
    """Read a time as people type it, in `zone` unless it names one; None if empty. QueryError if it is none, or after `now`."""
    if not typed.strip():
        return None
    aware = moment_in(typed.strip(), zone)
    if aware is None:
        raise QueryError("the time of the report is not valid: use 2026-11-25T14:30", "sent_at")
    if aware > now:
        raise QueryError("the time of the report is in the future: record a report when it is sent", "sent_at")
    return aware.astimezone(now.tzinfo)


def checked_channel(channel: str) -> str:
    """`channel` if it is one of `CHANNELS`, or empty; else QueryError."""
    if channel and channel not in CHANNELS:
        raise QueryError(Phrase("a report's channel must be one of %(known)s", known=", ".join(CHANNELS)), "channel")
    return channel


def checked_reference(reference: str) -> str:
    """The authority's reference, stripped; QueryError if it is too long or looks like an identifier of a person."""
    if len(reference) > MAX_REFERENCE or identifier_in(reference, numbers=False):
        raise QueryError(
            Phrase(
                "a reference must have at most %(most)s characters and must not be a phone number, ID or card", most=MAX_REFERENCE
            ),
            "reference",
        )
    return reference.strip()


def require_reason(former: Iterable[Decision], regime: str, stage: str, note: str) -> None:
    """QueryError if this report was recorded before and `note` does not say what is corrected."""
    if regime and not note.strip() and any((one.regime, one.stage) == (regime, stage) for one in former):
        raise QueryError("this report was recorded before: say in the note what you correct", "note")


def report_of(regime: Regime, stage: Stage, decisions: Iterable[Decision]) -> Decision | None:
    """The first report that meets `stage`: one of this stage or a later one, or one for every regime; each as last corrected."""
    recorded = {(one.incident, one.regime, one.stage): one for one in sorted(decisions, key=lambda one: (one.at, one.id))}
    order = [one.id for one in regime.stages]
    later = set(order[order.index(stage.id) :])
    meeting = [
        one
        for one in recorded.values()
        if (one.regime == regime.id and one.stage in later)
        or (one.status == "reported" and not one.regime and stage.id != "final")
    ]
    return min(meeting, key=lambda one: (sent_at(one), one.stage != stage.id, one.id), default=None)
