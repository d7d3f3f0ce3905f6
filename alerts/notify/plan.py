"""Decide which channels are notified of an incident, and when.

The functions depend only on their arguments: routes, the notification log and remaining time.
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
    """Return the log id of one message about an incident to a channel, `INCIDENT:CHANNEL:WHAT`."""
    return f"{incident}:{channel}:{what}"


def find_channels(notify: NotifySettings, tenant: str) -> tuple[str, ...]:
    """Return the channels that are notified of a tenant's incidents with a reporting deadline.

    They are those of all its routes, whatever severity the routes name, each one time. Without any
    route they are all channels with minimal detail; () if there are none.
    """
    return tuple(
        dict.fromkeys(name for route in _find_routes(notify, tenant) for name in route.channels)
    )


def _find_routes(notify: NotifySettings, tenant: str) -> list[RouteSettings]:
    """Return the routes of `tenant`.

    Without any, it is one route to every channel with minimal detail.
    """
    tenant_routes = [
        route for route in notify.routes.values() if tenant in (route.tenants or (tenant,))
    ]
    minimal = tuple(
        name for name, channel in notify.channels.items() if channel.detail == "minimal"
    )
    return tenant_routes or ([RouteSettings(channels=minimal)] if minimal else [])


def matches_route(route: RouteSettings, incident: Incident) -> bool:
    """Return whether `incident` is to be notified by `route`.

    It is if its severity is at least the route's, and if the route names its tenant, scenario and
    leak source. A route that names no tenant (or scenario, or source) accepts all.
    """
    return (
        SEVERITIES.index(incident.severity) >= SEVERITIES.index(route.severity)
        and incident.tenant in (route.tenants or (incident.tenant,))
        and incident.scenario in (route.scenarios or (incident.scenario,))
        and incident.origin in (route.origins or (incident.origin,))
    )


def find_routes(notify: NotifySettings, incident: Incident) -> list[RouteSettings]:
    """Return the routes that `incident` takes, in the order of the settings; [] for none.

    If none fits and a reporting deadline runs, it takes all routes of its tenant, or else one to
    all channels with minimal detail: nobody may miss a legal deadline.
    """
    fitting = [route for route in notify.routes.values() if matches_route(route, incident)]
    return fitting or (_find_routes(notify, incident.tenant) if incident.clock == "run" else [])


def needs_escalation(incident: Incident) -> bool:
    """Return whether notifications of this incident are repeated until somebody acknowledges it.

    True for severity `high` and `statutory`, if a reporting deadline runs, or if a person must
    decide within a time limit.
    """
    return incident.severity in URGENT or incident.clock == "run" or incident.decide_minutes > 0


def count_doublings(incident: Incident) -> int:
    """Return how often the customers of a joined incident have doubled: 1 from 20, 2 from 40.

    It is 0 for fewer, or if the incident is not joined. A joined incident may grow for weeks
    without becoming more severe.
    """
    return (incident.customers // GROWS_FROM).bit_length() if incident.joined else 0


def max_wait(route: RouteSettings, incident: Incident, left: timedelta | None) -> timedelta:
    """Return how long `incident` may stay unacknowledged before it is escalated.

    `left` is the time until its next deadline. If it is None, the route says how long. Otherwise it
    is half of that time and at least five minutes; for an urgent incident or one whose reporting
    deadline runs, it is at most what the route says.
    """
    allowed = timedelta(minutes=route.escalate_minutes)
    if left is None:
        return allowed
    is_paged = incident.severity in URGENT or incident.clock == "run"
    return min(allowed, acknowledgement_period(left)) if is_paged else acknowledgement_period(left)


def build_notifications(
    notify: NotifySettings, incident: Incident, now: datetime, left: timedelta | None
) -> dict[str, Notification]:
    """Return all notifications that `incident` calls for, now or later, by id; nothing is written.

    `left` is the time until its next deadline, None without one. With a deadline the incident is
    escalated to the route's own channels if the route names none for that. If several routes lead
    to one channel, the earliest time counts.
    """
    by_id: dict[str, Notification] = {}
    for route in find_routes(notify, incident):
        messages: list[tuple[str, str, str, datetime]] = [
            (channel, incident.severity, "new", now) for channel in route.channels
        ]
        if needs_escalation(incident):
            later, what = now + max_wait(route, incident, left), f"{ESCALATION}{incident.severity}"
            higher = route.escalate_to or (() if left is None else route.channels)
            messages += [(channel, what, "escalated", later) for channel in higher]
        steps = range(1, count_doublings(incident) + 1)
        messages += [
            (channel, f"{GROWN}{step}", "grown", now)
            for channel in route.channels
            for step in steps
        ]
        for channel, what, why, due in messages:
            notification = _notification(incident, channel, what, why, now, due)
            if notification.id not in by_id or due < by_id[notification.id].due:
                by_id[notification.id] = notification
    return by_id


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


def list_log_ids(notification: Notification) -> dict[Severity, str]:
    """Return the ids that this notification would have in the log, by severity of the incident.

    A later notification of the same news with another severity has another id; one about growth has
    the same id for every severity.
    """
    if notification.what.startswith(GROWN):
        return dict.fromkeys(SEVERITIES, notification.id)
    prefix = ESCALATION if notification.what.startswith(ESCALATION) else ""
    return {
        severity: notification_id(notification.incident, notification.channel, prefix + severity)
        for severity in SEVERITIES
    }


def drop_known(notification: Notification, log: Collection[str]) -> Notification | None:
    """Return the notification to send, or None if an equal or more severe one is in the log.

    `log` are the ids in the log. If the log has a new incident only with a lower severity, a copy
    whose `why` is `raised` is returned.
    """
    ids, at = list_log_ids(notification), SEVERITIES.index(notification.severity)
    if any(ids[severity] in log for severity in SEVERITIES[at:]):
        return None
    raised = notification.why == "new" and any(ids[severity] in log for severity in SEVERITIES[:at])
    return (
        notification.model_copy(update={"why": "raised", "published_at": None})
        if raised
        else notification
    )


def plan(
    store: IncidentStore,
    notify: NotifySettings,
    incidents: Sequence[Incident],
    now: datetime,
    muted: Muted,
    left: Left,
) -> list[Notification]:
    """Store the notifications that `incidents` call for, and return the new ones to be sent.

    Incidents that `muted` returns get none; one that is in the log already is not stored again.
    `left` returns the time until the next deadline by incident id. A notification of growth that
    says nothing new is stored as suppressed and not returned.
    """
    planned, remaining = dict[str, Notification](), left(incidents, now)
    for incident in incidents:
        planned |= build_notifications(notify, incident, now, remaining.get(incident.id))
    silent = muted(
        [
            incident
            for incident in incidents
            if any(notification.incident == incident.id for notification in planned.values())
        ]
    )
    planned = {
        id_: notification
        for id_, notification in planned.items()
        if notification.incident not in silent
    }
    if not planned:
        return []
    log = store.mget(
        Notification,
        {id_ for notification in planned.values() for id_ in list_log_ids(notification).values()},
    )
    fresh = _suppress_redundant_growth(
        [
            notification
            for notification in (drop_known(each, log) for each in planned.values())
            if notification is not None
        ]
    )
    created = store.create(fresh) if fresh else []
    return [
        notification
        for notification, is_new in zip(fresh, created, strict=True)
        if is_new and notification.outcome == "pending"
    ]


def plan_second_person(
    store: IncidentStore,
    notify: NotifySettings,
    waiting: Iterable[tuple[Incident, PendingDecision]],
    now: datetime,
) -> list[Notification]:
    """Store notifications of acts that wait for a second person, and return the new ones.

    The incident's channels are notified at once. If the act has a deadline, the channels for
    escalation (or else the same channels) follow after half of the remaining time, but at least
    five minutes after the act. A notification that is in the log is not stored again.
    """
    planned: dict[str, Notification] = {}
    for incident, pending in waiting:
        later = (
            pending.at + acknowledgement_period(pending.due - pending.at) if pending.due else None
        )
        for route in find_routes(notify, incident) or _find_routes(notify, incident.tenant):
            for channel in route.channels:
                notification = _notification(
                    incident, channel, name_second_person_news(pending), "second_person", now, now
                )
                planned[notification.id] = notification
            for channel in (route.escalate_to or route.channels) if later else ():
                what = f"{UNCONFIRMED}{name_second_person_news(pending)}"
                notification = _notification(
                    incident, channel, what, "unconfirmed", now, max(now, later or now)
                )
                planned[notification.id] = notification
    fresh = (
        [
            notification
            for id_, notification in planned.items()
            if id_ not in store.mget(Notification, planned)
        ]
        if planned
        else []
    )
    created = store.create(fresh) if fresh else []
    return [notification for notification, is_new in zip(fresh, created, strict=True) if is_new]


def name_second_person_news(pending: PendingDecision) -> str:
    """Return the log's name, `second-` and 16 hex digits, for the news that an act waits."""
    return f"{SECOND}{hashlib.sha256(pending.id.encode()).hexdigest()[:16]}"


def _suppress_redundant_growth(fresh: Sequence[Notification]) -> list[Notification]:
    """Return the notifications, with the outcome `suppressed` for growth that says nothing new.

    That is growth on a channel that is notified of the incident anyway, or of a later step.
    """
    notified = {
        (notification.incident, notification.channel)
        for notification in fresh
        if notification.why in ("new", "raised")
    }
    last: dict[tuple[str, str], int] = {}
    for notification in fresh:
        if notification.why == "grown":
            last[notification.incident, notification.channel] = max(
                _step(notification), last.get((notification.incident, notification.channel), 0)
            )

    def is_redundant(notification: Notification) -> bool:
        where = notification.incident, notification.channel
        return notification.why == "grown" and (
            where in notified or _step(notification) < last[where]
        )

    return [
        notification.model_copy(update={"outcome": "suppressed"})
        if is_redundant(notification)
        else notification
        for notification in fresh
    ]


def _step(grown: Notification) -> int:
    return int(grown.what.removeprefix(GROWN))


def plan_repeat(
    notify: NotifySettings, sent: Notification, incident: Incident, now: datetime
) -> Notification | None:
    """Return the reminder to send if nobody acknowledges after the notification `sent`.

    Nothing is written. It is due after the shortest `repeat_hours` of the routes to that channel.
    None if no route repeats it, the incident is not urgent, or `sent` is an escalation or about a
    second person.
    """
    if not needs_escalation(incident) or sent.why in ("escalated", "second_person", "unconfirmed"):
        return None
    routes = find_routes(notify, incident)
    hours = [
        route.repeat_hours
        for route in routes
        if route.repeat_hours and sent.channel in route.channels
    ]
    if not hours:
        return None
    number = int(sent.what.removeprefix(REPEAT)) if sent.what.startswith(REPEAT) else 0
    due = now + timedelta(hours=min(hours))
    return _notification(
        incident, sent.channel, f"{REPEAT}{number + 1}", "unacknowledged", now, due
    )


def group_by_message(due: Sequence[Notification]) -> Iterator[tuple[str, list[Notification]]]:
    """Yield due notifications in groups, one group per message to send, with the message's id.

    First come groups that were tried before, then new ones, grouped by tenant, with "" for the id.
    Each kind is sorted by the earliest due time in the group.
    """
    groups: dict[tuple[str, str], list[Notification]] = {}
    for notification in due:
        groups.setdefault(
            (notification.message, "" if notification.message else notification.tenant), []
        ).append(notification)
    for (id_, _), group in sorted(groups.items(), key=_sort_key):
        yield id_, group


def _sort_key(group: tuple[tuple[str, str], list[Notification]]) -> tuple[bool, datetime]:
    (id_, _), group_items = group
    return (not id_, min(notification.due for notification in group_items))
