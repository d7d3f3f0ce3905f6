"""Find the reporting deadlines that an act ends, by comparing what is owed before and after it.

No act is named here. Whatever is written, an act ends a deadline

- that runs before it, and after it runs nowhere, or is due later;
- that runs on, but on an incident that is closed or silenced by it, so that nobody works on it;
- that is recorded as met or waived by it, though it does not run yet: it would never begin.

Whoever acts knows of the incident, so a deadline that only waits for somebody to know of it runs
here. A deadline that begins only if somebody confirms the leak does not: one person may call such
an incident a false positive.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from alerts.deadlines.outstanding import Duties, Duty, IncidentDeadlines
from alerts.records import Decision, Incident
from alerts.store.queries import CLOSED

DONE = ("met", "waived")


@dataclass(frozen=True, slots=True)
class DutyChange:
    """What an act changes.

    `before` and `after` are the incidents as they are and as they will be, `decisions` those that
    it adds, and `silenced` the ids of incidents that it silences.
    """

    before: Sequence[Incident]
    after: Sequence[Incident]
    decisions: Sequence[Decision] = ()
    silenced: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class EndedDuty:
    """A duty that an act ends: its name as `REGIME STAGE`, and when it is due if it runs."""

    name: str
    due: datetime | None


def find_ended(duties: Duties, change: DutyChange) -> tuple[EndedDuty, ...]:
    """Return the reporting deadlines that the act `change` would end; nothing is written.

    Deadlines are compared before and after the act. First come those that run now, with their due
    time; then duties that the act records as met or waived without a running deadline, with `due`
    None. Each name (`REGIME STAGE`) appears one time. Incidents that are parts are judged with
    their heads. Raises ConfigError if a tenant names an unknown regime.
    """
    known_at = max([duties.clock.now(), *(item.at for item in change.decisions)])
    former = duties.find_deadlines(change.before, known_at=known_at)
    later = duties.find_deadlines(change.after, change.decisions, known_at, changed=change.after)
    ended: dict[str, EndedDuty] = {}
    for incident in change.before:
        if incident.part_of:
            continue  # the incident that it is part of answers for it
        heirs = [later[item.id] for item in _heirs(incident, change)]
        is_open = former[incident.id].status not in CLOSED
        visible = [item for item in _visible(change, later) if item in heirs]
        for duty in former[incident.id].running:
            if not _runs_in(heirs, duty) or (is_open and not _runs_in(visible, duty)):
                ended.setdefault(_name(duty), EndedDuty(_name(duty), duty.due))
    fulfilled = {
        _name(duty) for owed in former.values() for duty in owed.duties if duty.state in DONE
    }
    for duty in (duty for owed in later.values() for duty in owed.duties):
        if duty.state in DONE and _name(duty) not in fulfilled:
            ended.setdefault(_name(duty), EndedDuty(_name(duty), None))
    return tuple(ended.values())


def _heirs(incident: Incident, change: DutyChange) -> list[Incident]:
    """Return the incidents that are responsible after a change for the duties of `incident`."""
    before_ids = {heir.id for heir in change.before}
    return [
        heir
        for heir in change.after
        if not heir.part_of
        and (incident.id in heir.family or heir.id in incident.family or heir.id not in before_ids)
    ]


def _visible(change: DutyChange, later: dict[str, IncidentDeadlines]) -> list[IncidentDeadlines]:
    return [
        owed
        for id_, owed in later.items()
        if owed.status not in CLOSED and id_ not in change.silenced
    ]


def _runs_in(deadlines: Iterable[IncidentDeadlines], duty: Duty) -> bool:
    """Return whether a duty of the same name runs there and is due no later."""
    return any(
        _name(running_duty) == _name(duty)
        and running_duty.due is not None
        and duty.due is not None
        and running_duty.due <= duty.due
        for owed in deadlines
        for running_duty in owed.running
    )


def _name(duty: Duty) -> str:
    return f"{duty.regime.id} {duty.stage.id}"
