"""Which channels are to hear of an incident, and when: pure, from routes, the log and the time
that is left.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from alerts.deadlines import acknowledgement_period
from alerts.records import SEVERITIES, Incident, Notification, PendingDecision, Severity
from alerts.store import IncidentStore
from ullage.settings import NotifySettings, RouteSettings

URGENT: tuple[Severity, ...] = ("high", "statutory")
"""Of these the route says how long they may stay unacknowledged."""
Muted = Callable[[Sequence[Incident]], Collection[str]]
"""Of some incidents the ids of those that nobody is told of, whatever the routes say: they are
in the list all the same.
"""
Left = Callable[[Sequence[Incident], datetime], Mapping[str, timedelta]]
"""Of some incidents, by id, how long there is until the next thing is due of those that have a
clock.
"""
ESCALATION, REPEAT, GROWN = "escalation-", "repeat-", "grown-"
SECOND, UNCONFIRMED = "second-", "unconfirmed-"
"""Of an act that waits for a second person; the latter once half of the time left is over."""
GROWS_FROM = 20
"""Customers from which it is news that an incident which a seller goes on with has twice as
many.
"""


def notification_id(incident: str, channel: str, what: str) -> str:
    """The id under which one message to one channel is remembered."""
    return f"{incident}:{channel}:{what}"


def channels_for(notify: NotifySettings, tenant: str) -> tuple[str, ...]:
    """Where an incident of `tenant` is told that must be told whatever the routes say; () where
    nobody can be.
    """
    return tuple(
        dict.fromkeys(name for route in _routes_of(notify, tenant) for name in route.channels)
    )


def _routes_of(notify: NotifySettings, tenant: str) -> list[RouteSettings]:
    """The routes of `tenant`; failing these, one to every channel that says no more than the
    minimum.
    """
    ours = [route for route in notify.routes.values() if tenant in (route.tenants or (tenant,))]
    minimal = tuple(
        name for name, channel in notify.channels.items() if channel.detail == "minimal"
    )
    return ours or ([RouteSettings(channels=minimal)] if minimal else [])


def fits(route: RouteSettings, incident: Incident) -> bool:
    """Whether `incident` takes `route`."""
    return (
        SEVERITIES.index(incident.severity) >= SEVERITIES.index(route.severity)
        and incident.tenant in (route.tenants or (incident.tenant,))
        and incident.scenario in (route.scenarios or (incident.scenario,))
        and incident.origin in (route.origins or (incident.origin,))
    )


def routes_for(notify: NotifySettings, incident: Incident) -> list[RouteSettings]:
    """The routes that `incident` takes.

    One whose clock runs takes all of its tenant's where none fits: the time that a regulator gives
    must not pass unheard.
    """
    fitting = [route for route in notify.routes.values() if fits(route, incident)]
    return fitting or (_routes_of(notify, incident.tenant) if incident.clock == "run" else [])


def presses(incident: Incident) -> bool:
    """Whether it is repeated and escalated while nobody has acknowledged it: below that people
    work a list.
    """
    return incident.severity in URGENT or incident.clock == "run" or incident.decide_minutes > 0


def growth(incident: Incident) -> int:
    """How often the customers of what is joined have doubled: 1 from twenty, 2 from forty; 0 for
    less, or if it is not joined.

    What is joined may go on for weeks after somebody was told of it, and grow without being graver.
    """
    return (incident.customers // GROWS_FROM).bit_length() if incident.joined else 0


def patience(route: RouteSettings, incident: Incident, left: timedelta | None) -> timedelta:
    """How long `incident` may stay unacknowledged: half of the time left, of what pages no
    longer than the route says.
    """
    allowed = timedelta(minutes=route.escalate_minutes)
    if left is None:
        return allowed
    is_paged = incident.severity in URGENT or incident.clock == "run"
    return min(allowed, acknowledgement_period(left)) if is_paged else acknowledgement_period(left)


def wanted(
    notify: NotifySettings, incident: Incident, now: datetime, left: timedelta | None
) -> dict[str, Notification]:
    """By id, what every channel should have been told of `incident` as it stands, or hear later.

    `left` is the time until the next thing is due of it, if it has a clock. Such a one is told
    again even where a route escalates to nobody: then to those who did not acknowledge it.
    """
    found: dict[str, Notification] = {}
    for route in routes_for(notify, incident):
        told: list[tuple[str, str, str, datetime]] = [
            (channel, incident.severity, "new", now) for channel in route.channels
        ]
        if presses(incident):
            later, what = now + patience(route, incident, left), f"{ESCALATION}{incident.severity}"
            higher = route.escalate_to or (() if left is None else route.channels)
            told += [(channel, what, "escalated", later) for channel in higher]
        steps = range(1, growth(incident) + 1)
        told += [
            (channel, f"{GROWN}{step}", "grown", now)
            for channel in route.channels
            for step in steps
        ]
        for channel, what, why, due in told:
            made = _notification(incident, channel, what, why, now, due)
            if made.id not in found or due < found[made.id].due:
                found[made.id] = made
    return found


def _notification(
    incident: Incident, channel: str, what: str, why: str, now: datetime, due: datetime
) -> Notification:
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
    """The ids under which the log would hold the same news of the same incident, by severity;
    how it grew is of no severity.
    """
    if made.what.startswith(GROWN):
        return dict.fromkeys(SEVERITIES, made.id)
    prefix = ESCALATION if made.what.startswith(ESCALATION) else ""
    return {
        severity: notification_id(made.incident, made.channel, prefix + severity)
        for severity in SEVERITIES
    }


def news(made: Notification, log: Collection[str]) -> Notification | None:
    """`made` unless the log has it or worse: a severity that fell is no news. One that rose is."""
    ids, at = log_ids(made), SEVERITIES.index(made.severity)
    if any(ids[severity] in log for severity in SEVERITIES[at:]):
        return None
    raised = made.why == "new" and any(ids[severity] in log for severity in SEVERITIES[:at])
    return made.model_copy(update={"why": "raised", "published_at": None}) if raised else made


def plan(
    store: IncidentStore,
    notify: NotifySettings,
    incidents: Sequence[Incident],
    now: datetime,
    muted: Muted,
    left: Left,
) -> list[Notification]:
    """Write to the log what is to be said of `incidents`; returns what is new.

    Doing it again changes nothing.
    """
    made, remaining = dict[str, Notification](), left(incidents, now)
    for incident in incidents:
        made |= wanted(notify, incident, now, remaining.get(incident.id))
    silent = muted(
        [
            incident
            for incident in incidents
            if any(one.incident == incident.id for one in made.values())
        ]
    )
    made = {id_: one for id_, one in made.items() if one.incident not in silent}
    if not made:
        return []
    log = store.mget(Notification, {id_ for one in made.values() for id_ in log_ids(one).values()})
    fresh = _worth([one for one in (news(each, log) for each in made.values()) if one is not None])
    created = store.create(fresh) if fresh else []
    return [
        one
        for one, is_new in zip(fresh, created, strict=True)
        if is_new and one.outcome == "pending"
    ]


def plan_second_person(
    store: IncidentStore,
    notify: NotifySettings,
    waiting: Iterable[tuple[Incident, PendingDecision]],
    now: datetime,
) -> list[Notification]:
    """Write to the log that acts wait for a second person; return what is new.

    Whoever is notified of the incident hears of it at once, and whoever it escalates to at half of
    the time left.
    """
    made: dict[str, Notification] = {}
    for incident, pending in waiting:
        later = (
            pending.at + acknowledgement_period(pending.due - pending.at) if pending.due else None
        )
        for route in routes_for(notify, incident) or _routes_of(notify, incident.tenant):
            for channel in route.channels:
                one = _notification(
                    incident, channel, second_person_news(pending), "second_person", now, now
                )
                made[one.id] = one
            for channel in (route.escalate_to or route.channels) if later else ():
                what = f"{UNCONFIRMED}{second_person_news(pending)}"
                one = _notification(
                    incident, channel, what, "unconfirmed", now, max(now, later or now)
                )
                made[one.id] = one
    fresh = (
        [one for id_, one in made.items() if id_ not in store.mget(Notification, made)]
        if made
        else []
    )
    created = store.create(fresh) if fresh else []
    return [one for one, is_new in zip(fresh, created, strict=True) if is_new]


def second_person_news(pending: PendingDecision) -> str:
    """Return what the log calls the news that an act waits."""
    return f"{SECOND}{hashlib.sha256(pending.id.encode()).hexdigest()[:16]}"


def _worth(fresh: Sequence[Notification]) -> list[Notification]:
    """`fresh` with those steps of growth marked as told that the channel hears of with something
    else, or with a later step.
    """
    told = {(one.incident, one.channel) for one in fresh if one.why in ("new", "raised")}
    last: dict[tuple[str, str], int] = {}
    for one in fresh:
        if one.why == "grown":
            last[one.incident, one.channel] = max(
                _step(one), last.get((one.incident, one.channel), 0)
            )

    def is_told(one: Notification) -> bool:
        where = one.incident, one.channel
        return one.why == "grown" and (where in told or _step(one) < last[where])

    return [
        one.model_copy(update={"outcome": "suppressed"}) if is_told(one) else one for one in fresh
    ]


def _step(grown: Notification) -> int:
    return int(grown.what.removeprefix(GROWN))


def repeat(
    notify: NotifySettings, told: Notification, incident: Incident, now: datetime
) -> Notification | None:
    """What follows `told`, now sent, if nobody acknowledges the incident; None where no route
    repeats it.
    """
    if not presses(incident) or told.why in ("escalated", "second_person", "unconfirmed"):
        return None
    routes = routes_for(notify, incident)
    hours = [
        route.repeat_hours
        for route in routes
        if route.repeat_hours and told.channel in route.channels
    ]
    if not hours:
        return None
    number = int(told.what.removeprefix(REPEAT)) if told.what.startswith(REPEAT) else 0
    due = now + timedelta(hours=min(hours))
    return _notification(
        incident, told.channel, f"{REPEAT}{number + 1}", "unacknowledged", now, due
    )


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
