"""What happened to an incident, in one list: when it opened, who was told, and what people did."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from alerts.clocks.duties import RULINGS
from alerts.clocks.render import reported, ruled
from alerts.decisions.decide import TELLING
from alerts.desk.cases import REASONS, STATES, WORDS
from alerts.records import Decision, Incident, Notification
from alerts.store import DocumentFilter, IncidentStore
from ullage.phrase import Phrase

OURSELVES = "ullage"
RETURNED: Mapping[str, Phrase] = {
    "expired": Phrase("false positive period over: reopened"),
    "grown": Phrase("new findings: reopened"),
}
TOLD: Mapping[str, Phrase] = {
    "new": Phrase("notified on %(channel)s"),
    "raised": Phrase("notified on %(channel)s: severity raised"),
    "grown": Phrase("notified on %(channel)s: more customers"),
    "unacknowledged": Phrase("notified on %(channel)s again: unacknowledged"),
    "escalated": Phrase("escalated to %(channel)s"),
}


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One thing that happened; `note` is what a person wrote beside it."""

    at: datetime
    who: str
    what: Phrase
    note: str = ""
    until: datetime | None = None


def history(store: IncidentStore, incident: Incident, decisions: Sequence[Decision]) -> list[HistoryEntry]:
    """Everything, the newest first."""
    sent = store.scroll(Notification, DocumentFilter({"incident": incident.family, "outcome": ("sent", "failed")}))
    found = [*map(_decided, decisions), *_told(sent), HistoryEntry(incident.opened_at, OURSELVES, Phrase("opened"))]
    return sorted(found, key=lambda event: event.at, reverse=True)


def _told(sent: Iterable[Notification]) -> Iterable[HistoryEntry]:
    for one in sent:
        said = Phrase(TOLD[one.why].id, channel=one.channel)
        what = said if one.outcome == "sent" else Phrase("not delivered: %(what)s", what=said)
        yield HistoryEntry(one.sent_at or one.due, OURSELVES, what)


def _decided(one: Decision) -> HistoryEntry:
    return HistoryEntry(one.at, one.by, _said(one), one.note, one.until if one.act in ("due", "excused") else None)


def _said(one: Decision) -> Phrase:
    """A decision in words."""
    if one.act:
        return _acted(one)
    if one.stage in TELLING:
        approved = Phrase("customers may be notified"), Phrase("customers may no longer be notified")
        return approved[not TELLING[one.stage]]
    if one.stage in RULINGS:
        rule = ruled(one.regime)
        applies = Phrase("%(rule)s applies", rule=rule), Phrase("%(rule)s requires no report here", rule=rule)
        return applies[one.stage != "applies"]
    if one.regime:
        return Phrase("report sent: %(what)s", what=reported(f"{one.regime} {one.stage}"))
    return WORDS.get(one.status.replace("_", " "), Phrase("reopened"))


def _acted(one: Decision) -> Phrase:
    if one.act == "assigned":
        return Phrase("assigned to %(to)s", to=one.value or Phrase("nobody"))
    if one.act == "due":
        return Phrase("due date set") if one.until else Phrase("due date removed")
    if one.act == "takedown":
        return Phrase("takedown %(state)s", state=STATES[one.value])
    if one.act == "excused":
        return Phrase("false positive: %(why)s", why=REASONS.get(one.value, Phrase("another reason, see the note")))
    if one.act == "returned":
        return RETURNED.get(one.value, Phrase("reopened"))
    if one.act == "detached":
        return Phrase("sighting %(id)s split off", id=one.about)
    return (
        Phrase("linked with %(to)s", to=one.about)
        if one.act == "linked"
        else Phrase("no longer linked with %(to)s", to=one.about)
    )
