"""Which channels are to hear of an incident, and when: pure, from routes and the log."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime, timedelta

from alerts.records import SEVERITIES, Incident, Notification, Severity
from alerts.store import IncidentStore
from ullage.settings import NotifySettings, RouteSettings

URGENT: tuple[Severity, ...] = ("high", "statutory")
"""Repeated and escalated while nobody has acknowledged them: below that people work a list."""
Muted = Callable[[Sequence[Incident]], Collection[str]]
"""Of some incidents the ids of those that nobody is told of, whatever the routes say: they are in the list all the same."""
ESCALATION, REPEAT = "escalation-", "repeat-"


def notification_id(incident: str, channel: str, what: str) -> str:
    """The id under which one message to one channel is remembered."""
    return f"{incident}:{channel}:{what}"


def channels_for(notify: NotifySettings, tenant: str) -> tuple[str, ...]:
    """Where an incident of `tenant` is told that must be told whatever the routes say; () where nobody can be.

    Those of the tenant's routes; failing these, every channel that says no more than the minimum.
    """
    ours = [name for route in notify.routes.values() if tenant in (route.tenants or (tenant,)) for name in route.channels]
    return tuple(dict.fromkeys(ours)) or tuple(name for name, channel in notify.channels.items() if channel.detail == "minimal")


def fits(route: RouteSettings, incident: Incident) -> bool:
    """Whether `incident` takes `route`."""
    return (
        SEVERITIES.index(incident.severity) >= SEVERITIES.index(route.severity)
        and incident.tenant in (route.tenants or (incident.tenant,))
        and incident.scenario in (route.scenarios or (incident.scenario,))
        and incident.origin in (route.origins or (incident.origin,))
    )


def wanted(notify: NotifySettings, incident: Incident, now: datetime) -> dict[str, Notification]:
    """By id, what every channel should have been told of `incident` as it stands, or hear later.

    One whose clock runs is told even where no route takes it: the time that a regulator gives must not pass unheard.
    """
    found: dict[str, Notification] = {}
    for route in notify.routes.values():
        if not fits(route, incident):
            continue
        told: list[tuple[str, str, str, datetime]] = [(channel, incident.severity, "new", now) for channel in route.channels]
        if incident.severity in URGENT:
            later, what = now + timedelta(minutes=route.escalate_minutes), f"{ESCALATION}{incident.severity}"
            told += [(channel, what, "escalated", later) for channel in route.escalate_to]
        for channel, what, why, due in told:
            made = _notification(incident, channel, what, why, now, due)
            if made.id not in found or due < found[made.id].due:
                found[made.id] = made
    if not found and incident.clock == "run":
        told_of = (
            _notification(incident, channel, incident.severity, "new", now, now)
            for channel in channels_for(notify, incident.tenant)
        )
        found = {made.id: made for made in told_of}
    return found


def _notification(incident: Incident, channel: str, what: str, why: str, now: datetime, due: datetime) -> Notification:
    published = None
    if incident.publish_seconds is not None and why == "new":
        published = incident.opened_at - timedelta(seconds=incident.publish_seconds)
    return Notification.model_validate(
        {
            "id": notification_id(incident.id, channel, what),
            "tenant": incident.tenant,
            "incident": incident.id,
            "at": now,
            "due": due,
            "channel": channel,
            "what": what,
            "why": why,
            "severity": incident.severity,
            "published_at": published,
        }
    )


def log_ids(made: Notification) -> dict[Severity, str]:
    """The ids under which the log would hold the same news of the same incident, by severity."""
    prefix = ESCALATION if made.what.startswith(ESCALATION) else ""
    return {severity: notification_id(made.incident, made.channel, prefix + severity) for severity in SEVERITIES}


def news(made: Notification, log: Collection[str]) -> Notification | None:
    """`made` unless the log has it or worse: a severity that fell is no news. One that rose is."""
    ids, at = log_ids(made), SEVERITIES.index(made.severity)
    if any(ids[severity] in log for severity in SEVERITIES[at:]):
        return None
    raised = made.why == "new" and any(ids[severity] in log for severity in SEVERITIES[:at])
    return made.model_copy(update={"why": "raised", "published_at": None}) if raised else made


def plan(
    store: IncidentStore, notify: NotifySettings, incidents: Sequence[Incident], now: datetime, muted: Muted
) -> list[Notification]:
    """Write to the log what is to be said of `incidents`; returns what is new. Doing it again changes nothing."""
    made: dict[str, Notification] = {}
    for incident in incidents:
        made |= wanted(notify, incident, now)
    silent = muted([incident for incident in incidents if any(one.incident == incident.id for one in made.values())])
    made = {id_: one for id_, one in made.items() if one.incident not in silent}
    if not made:
        return []
    log = store.mget(Notification, {id_ for one in made.values() for id_ in log_ids(one).values()})
    fresh = [one for one in (news(each, log) for each in made.values()) if one is not None]
    created = store.create(fresh) if fresh else []
    return [one for one, is_new in zip(fresh, created, strict=True) if is_new]


def repeat(notify: NotifySettings, told: Notification, incident: Incident, now: datetime) -> Notification | None:
    """What follows `told`, now sent, if nobody acknowledges the incident; None where no route repeats it."""
    if incident.severity not in URGENT or told.why == "escalated":
        return None
    hours = [
        r.repeat_hours for r in notify.routes.values() if r.repeat_hours and told.channel in r.channels and fits(r, incident)
    ]
    if not hours:
        return None
    number = int(told.what.removeprefix(REPEAT)) if told.what.startswith(REPEAT) else 0
    due = now + timedelta(hours=min(hours))
    return _notification(incident, told.channel, f"{REPEAT}{number + 1}", "unacknowledged", now, due)


def by_message(due: Sequence[Notification]) -> Iterator[tuple[str, list[Notification]]]:
    """What was once sent together, by message; "" for what was not, a tenant after the other."""
    groups: dict[tuple[str, str], list[Notification]] = {}
    for one in due:
        groups.setdefault((one.message, "" if one.message else one.tenant), []).append(one)
    for (id_, _), some in sorted(groups.items(), key=_composed_first):
        yield id_, some


def _composed_first(group: tuple[tuple[str, str], list[Notification]]) -> tuple[bool, datetime]:
    (id_, _), some = group
    return (not id_, min(one.due for one in some))
