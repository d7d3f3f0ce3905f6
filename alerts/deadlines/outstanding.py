"""Find out which reports an incident still requires, and until when.

A *regime* is a rule that requires reports of a leak, in *stages* such as a first and a final one
(`alerts.deadlines`). A *duty* is one such report of one incident, with its deadline. `Duties`
computes them from the incident, the decisions on it and the notifications about it, each time anew.
A duty's state is one of

    running      the deadline runs: the severity says so or a person confirmed the leak, and the
                 moment from which the stage counts is known
    waiting      as above, but nobody was notified yet, or that moment has not come (the incident is
                 not confirmed or not resolved)
    conditional  the row of the severity table says "if confirmed" and nobody has decided; the
                 report is due then if the leak is confirmed
    met          a report is recorded, or a decision `reported` without a regime (which meets all
                 but final reports)
    waived       somebody decided that the rule requires nothing here (harm averted), and the facts
                 of that waiver still hold

Ending a running duty takes two people (`alerts.deadlines.comparison`,
`alerts.cases.second_person`).

The row of the severity table that applied says whether an incident starts deadlines
(`Incident.clock`). Reporting an incident that waits for a decision decides it. A person can also
decide that a rule applies which by its numbers does not: grades have criteria that no count shows,
such as important data or a loss. A false positive has only the duties that were met before.

An incident with parts has the duties of each part, by the earliest deadline of each regime and
stage. A report or a waiver counts for its incident and for the parts that the incident had at that
time. So a report of a part meets that part's duty alone, and after a split each side keeps its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from alerts.deadlines import (
    Deadline,
    Regime,
    Since,
    Stage,
    acknowledgement_period,
    compute_deadline,
    find_report,
    get_sent_at,
    get_tenant_regimes,
)
from alerts.records import SEVERITIES, Decision, Incident, Notification, Status
from alerts.records.decision import WaiverFacts
from alerts.store import DocumentFilter, IncidentStore
from alerts.store.queries import CLOSED, compute_status, statuses
from ullage import log
from ullage.calendar import Calendar, load_china
from ullage.clock import Clock
from ullage.display.decide import Decide
from ullage.settings import Tenant
from ullage.verdict.severity import DECIDE_MINUTES

EARLIEST = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Moments:
    """The moments from which deadlines count, aware and in UTC; None if one has not come.

    `alerted` is when the first notification was sent, `acknowledged` the first decision that shows
    that a person knows of the incident, `determined` the first that confirmed it, and `resolved`
    the last that resolved it.
    """

    first_seen: datetime
    alerted: datetime | None = None
    acknowledged: datetime | None = None
    determined: datetime | None = None
    resolved: datetime | None = None

    @classmethod
    def from_records(
        cls, incident: Incident, decisions: Iterable[Decision], sent: Iterable[Notification]
    ) -> Moments:
        """Return the moments of `incident`, from the decisions and notifications that count for it.

        `decisions` may be in any order. `sent` are notifications that were sent; those without
        `sent_at` are ignored. A decision acknowledges if its status is acknowledged, confirmed,
        reported or resolved, or if it has a regime.
        """
        decided = sorted(decisions, key=lambda d: (d.at, d.id))
        knowing = {"acknowledged", "confirmed", "reported", "resolved"}
        return cls(
            incident.first_seen,
            min((n.sent_at for n in sent if n.sent_at is not None), default=None),
            next((d.at for d in decided if d.status in knowing or d.regime), None),
            next((d.at for d in decided if d.status == "confirmed"), None),
            next((d.at for d in reversed(decided) if d.status == "resolved"), None),
        )

    @property
    def learned(self) -> datetime | None:
        """When the tenant learned of the incident; None if nobody knows of it yet.

        That is the first notification sent or, if earlier, the first acknowledgement.
        """
        return min((m for m in (self.alerted, self.acknowledged) if m), default=None)

    def get(self, since: Since) -> datetime | None:
        """Return the time of the event `since`, such as `confirmed`; None if it did not happen."""
        moment: datetime | None = getattr(self, since)
        return moment


State = Literal["running", "waiting", "conditional", "met", "waived"]
RULINGS = ("applies", "waived")
"""Decisions of a person on a regime; stored in the place of a report's stage."""
RANKS: tuple[State, ...] = ("running", "waiting", "conditional", "met", "waived")
"""Order of states: a duty of several parts has the first state that any part has."""


@dataclass(frozen=True, slots=True)
class Duty:
    """A report that a rule (`regime`) requires of an incident, as one of the rule's stages.

    `since` is when its time began and `due` when it ends; both are None while that moment has not
    come. `report` is the decision that met it.
    """

    regime: Regime
    stage: Stage
    state: State
    since: datetime | None = None
    due: datetime | None = None
    report: Decision | None = None
    ruling: Decision | None = None
    """The last decision on its regime.

    If it is a waiver whose facts no longer hold, the state is not `waived`.
    """
    unknown_years: tuple[int, ...] = ()

    def seconds_left(self, now: datetime) -> float | None:
        """Return the seconds until the report is due, negative if overdue; None if no time runs.

        A time runs in the states `running` and `conditional`. After it has passed, the result is
        None for an unverified rule and for the state `conditional`, because the duty may not exist.
        """
        if self.due is None or self.state not in ("running", "conditional"):
            return None
        seconds = (self.due - now).total_seconds()
        return (
            seconds if seconds >= 0 or (self.state == "running" and self.regime.verified) else None
        )

    @property
    def is_waiver_over(self) -> bool:
        """Whether the regime was waived, but the incident has gone beyond the facts of the waiver.

        False for a duty that is met.
        """
        return (
            self.state in ("running", "waiting", "conditional")
            and self.ruling is not None
            and self.ruling.stage == "waived"
        )

    @property
    def is_by_one_person(self) -> bool:
        """Whether one person alone ended the duty's deadline, by recording a report or a waiver."""
        decided = (
            self.report if self.state == "met" else self.ruling if self.state == "waived" else None
        )
        return decided is not None and decided.is_by_one_person

    @property
    def late(self) -> bool:
        """Whether the report was sent after it was due; always False under an unverified rule."""
        return bool(
            self.regime.verified
            and self.report
            and self.due
            and get_sent_at(self.report) > self.due
        )


@dataclass(frozen=True, slots=True)
class IncidentDeadlines:
    """The duties of one incident, parts included, and the decisions on the incident, newest last.

    Decisions on its parts are not in `decisions`.
    """

    decisions: tuple[Decision, ...]
    duties: tuple[Duty, ...]
    decide: Decide | None
    """By when a person must decide; None if no deadline waits for that."""
    moments: Moments

    @property
    def running(self) -> tuple[Duty, ...]:
        """The duties whose clocks run."""
        return tuple(duty for duty in self.duties if duty.state == "running")

    @property
    def status(self) -> Status:
        """The status to show: `confirmed`, not `reported`, while a report's deadline runs.

        The deadlines of parts count too.
        """
        status = compute_status(self.decisions)
        return "confirmed" if status == "reported" and self.running else status


def status_with_report(status: Status) -> Literal["reported", "note"]:
    """Return the status of a decision that records a report on an incident with this `status`.

    It is `note` for a closed incident, which so stays closed, and `reported` otherwise.
    """
    return "note" if status in CLOSED else "reported"


@dataclass(slots=True)
class Duties:
    """Computes the duties of incidents from the store, at every call.

    `tenant` returns a tenant's settings.
    """

    store: IncidentStore
    tenant: Callable[[str], Tenant]
    clock: Clock
    calendar: Calendar = field(default_factory=load_china)
    _warned: set[int] = field(default_factory=set)

    def zone(self, tenant: str) -> ZoneInfo:
        """Return the time zone of a tenant."""
        return ZoneInfo(self.tenant(tenant).zone)

    def find_duties(self, incident: Incident, decisions: Sequence[Decision]) -> tuple[Duty, ...]:
        """Return the duties of one incident and its parts, one per regime and stage.

        `decisions` count in addition to those in the store, because a search may not show them yet.
        Raises ConfigError if the tenant names an unknown regime.
        """
        return self.find_deadlines([incident], decisions)[incident.id].duties

    def find_deadlines(
        self,
        incidents: Sequence[Incident],
        made: Iterable[Decision] = (),
        known_at: datetime | None = None,
        *,
        changed: Iterable[Incident] = (),
    ) -> dict[str, IncidentDeadlines]:
        """Return the deadlines of each of `incidents`, by id, computed from what the store has.

        Decisions, sent notifications and parts are read from the store. `made` are further
        decisions, which a search may not show yet. With `known_at`, an incident that nobody
        acknowledged counts as acknowledged at that moment. Incidents in `changed` are used instead
        of stored parts with the same id; parts that are in neither are ignored. Raises ConfigError
        if a tenant names an unknown regime.
        """
        ids = [id_ for incident in incidents for id_ in incident.family]
        decided: dict[str, dict[str, Decision]] = {}
        for decision in (
            *(self.store.scroll(Decision, DocumentFilter({"incident": ids})) if ids else ()),
            *made,
        ):
            decided.setdefault(decision.incident, {})[decision.id] = decision
        sent, deadlines = self._read_sent(ids), dict[str, IncidentDeadlines]()
        parts = self._load_parts(incidents, changed)
        for incident in incidents:
            own_decisions = sorted(
                decided.get(incident.id, {}).values(),
                key=lambda decision: (decision.at, decision.id),
            )
            family = [
                *own_decisions,
                *(decision for id_ in incident.parts for decision in decided.get(id_, {}).values()),
            ]
            moments = Moments.from_records(
                incident,
                family,
                [decision for id_ in incident.family for decision in sent.get(id_, ())],
            )
            moments = replace(moments, acknowledged=moments.acknowledged or known_at)
            duties = [self.compute_duties(incident, own_decisions, moments, family)]
            for part in [parts[id_] for id_ in incident.parts if id_ in parts]:
                counting = _decisions_for_part(part, incident, parts, family)
                since = _moments_of_part(
                    Moments.from_records(part, counting, sent.get(part.id, ())), moments
                )
                duties.append(self.compute_duties(part, counting, since, family))
            decide = _decision_deadline(incident, own_decisions, moments.learned)
            deadlines[incident.id] = IncidentDeadlines(
                tuple(own_decisions), _select_most_urgent(duties), decide, moments
            )
        return deadlines

    def _load_parts(
        self, incidents: Sequence[Incident], changed: Iterable[Incident]
    ) -> dict[str, Incident]:
        """Return the parts of `incidents` by id, from `changed` or else from the store."""
        ids = {id_ for incident in incidents for id_ in incident.parts}
        stored = self.store.mget(Incident, ids) if ids else {}
        return {
            **stored,
            **{item.id: item for item in changed if item.id in ids},
        }

    def running(self, incidents: Sequence[Incident]) -> dict[str, tuple[Duty, ...]]:
        """Return the duties of `incidents` whose deadline runs, by incident id.

        Incidents without any are left out. An incident that nobody acknowledged counts as
        acknowledged now, because whoever closes or silences it knows of it.
        """
        deadlines = self.find_deadlines(incidents, known_at=self.clock.now())
        return {
            id_: incident_deadlines.running
            for id_, incident_deadlines in deadlines.items()
            if incident_deadlines.running
        }

    def statuses(self, ids: Iterable[str] | None = None) -> dict[str, Status]:
        """Return the status of each incident that a person has decided on, by id.

        Incidents without such a decision are left out: they are open. `ids` limits the search; None
        means all incidents. A reported incident for which a further deadline runs is `confirmed`.
        """
        by_id = statuses(self.store, ids)
        reported = self.store.mget(
            Incident, [id_ for id_, status in by_id.items() if status == "reported"]
        )
        return by_id | {
            id_: owed.status for id_, owed in self.find_deadlines([*reported.values()]).items()
        }

    def time_left(self, incidents: Sequence[Incident], now: datetime) -> dict[str, timedelta]:
        """Return the time from `now` until the next thing is due, by incident id.

        It is negative if that is late. Incidents that neither start deadlines (`clock` is `run`)
        nor wait for a decision in time are left out. A time that counts from the notification
        counts from `now` where nobody was notified. Decisions and parts are ignored. Where no
        report has a time, the standard time for a decision applies.
        """
        clocked = [
            incident for incident in incidents if incident.clock == "run" or incident.decide_minutes
        ]
        sent = self._read_sent([incident.id for incident in clocked])
        alerted = {
            item.id: Moments.from_records(item, (), sent.get(item.id, ())).alerted or now
            for item in clocked
        }
        return {item.id: self._next_due(item, alerted[item.id]) - now for item in clocked}

    def find_decision_deadlines(
        self, incidents: Sequence[Incident], notified: datetime | None = None
    ) -> dict[str, Decide]:
        """Return by when a person must decide on each incident that waits for a decision, by id.

        The time counts from the first notification or acknowledgement, or else from `notified`; if
        that is None too, the result's `by` is None. Incidents that do not wait for a decision are
        left out.
        """
        ids = [incident.id for incident in incidents if incident.decide_minutes]
        decided: dict[str, list[Decision]] = {id_: [] for id_ in ids}
        for decision in (
            self.store.scroll(Decision, DocumentFilter({"incident": ids})) if ids else ()
        ):
            decided[decision.incident].append(decision)
        sent, deadlines = self._read_sent(ids), dict[str, Decide]()
        for incident in incidents:
            own_decisions = decided.get(incident.id, [])
            learned = (
                Moments.from_records(incident, own_decisions, sent.get(incident.id, ())).learned
                or notified
            )
            if decide := _decision_deadline(incident, own_decisions, learned):
                deadlines[incident.id] = decide
        return deadlines

    def find_acknowledgement_deadlines(self, incidents: Sequence[Incident]) -> dict[str, datetime]:
        """Return by when each of `incidents` should be acknowledged, by id.

        That is after half of the time from the notification until the next thing is due, but at
        least five minutes after the notification. If no channel accepted a notification, the time
        counts from when it was due, or else from the opening. Decisions are not read: pass only
        unacknowledged incidents.
        """
        where = DocumentFilter({"incident": [incident.id for incident in incidents]})
        notifications = (
            _group_by_incident(self.store.scroll(Notification, where)) if incidents else {}
        )
        return {
            incident.id: self._acknowledgement_deadline(
                incident, notifications.get(incident.id, ())
            )
            for incident in incidents
        }

    def _acknowledgement_deadline(
        self, incident: Incident, notifications: Sequence[Notification]
    ) -> datetime:
        was_due = min(
            (
                notification.due
                for notification in notifications
                if notification.why in ("new", "raised")
            ),
            default=incident.opened_at,
        )
        notified = (
            Moments.from_records(
                incident,
                (),
                [notification for notification in notifications if notification.outcome == "sent"],
            ).alerted
            or was_due
        )
        return notified + acknowledgement_period(self._next_due(incident, notified) - notified)

    def _next_due(self, incident: Incident, notified: datetime) -> datetime:
        """Return when the next thing is due of an incident if nobody acts after the notification.

        If no rule sets a time, it is the same as for an incident that waits for a decision.
        """
        decision_due = notified + timedelta(minutes=incident.decide_minutes or DECIDE_MINUTES)
        if incident.decide_minutes:
            return decision_due
        duties = self.compute_duties(incident, (), Moments(incident.first_seen, alerted=notified))
        return min(
            (duty.due for duty in duties if duty.due and duty.seconds_left(notified) is not None),
            default=decision_due,
        )

    def _read_sent(self, incidents: Sequence[str]) -> dict[str, list[Notification]]:
        """Return the notifications that were sent, by incident."""
        where = DocumentFilter({"incident": incidents, "outcome": ("sent",)})
        return _group_by_incident(self.store.scroll(Notification, where)) if incidents else {}

    def compute_duties(
        self,
        incident: Incident,
        own_decisions: Sequence[Decision],
        moments: Moments,
        family: Sequence[Decision] = (),
    ) -> tuple[Duty, ...]:
        """Return the duties of one incident without its parts, in the order of the settings.

        `own_decisions` are those that count for it. `family` are those on all incidents that are
        judged together with it, so that confirming a part confirms the whole; () means
        `own_decisions`. A regime that requires nothing and has no report yields no duty. `since`
        and `due` are None while the stage's moment has not come or nobody knows of the incident.
        Logs a warning once per year that the calendar does not cover. Raises ConfigError if the
        tenant names an unknown regime.
        """
        tenant, status, learned = (
            self.tenant(incident.tenant),
            compute_status(own_decisions),
            moments.learned,
        )
        relevant = [
            decision
            for decision in own_decisions
            if decision.regime or decision.status == "reported"
        ]  # of any regime
        zone, duties = ZoneInfo(tenant.zone), list[Duty]()
        for regime in get_tenant_regimes(incident.tenant, tenant):
            ruling = last_ruling(regime, relevant)
            state = _state(regime, incident, tenant, status, ruling, family or own_decisions)
            for stage in regime.stages:
                report = find_report(regime, stage, relevant)
                stage_state = "met" if report else state
                # no deadline runs while nobody was notified
                since = moments.get(stage.since) if learned else None
                # a clock waits while the moment that it counts from has not come
                if stage_state and since is None:
                    stage_state = "waiting" if stage_state == "running" else stage_state
                    duties.append(Duty(regime, stage, stage_state, report=report, ruling=ruling))
                elif stage_state and since is not None:
                    due = self._due(since, stage, zone)
                    duties.append(
                        Duty(
                            regime,
                            stage,
                            stage_state,
                            since,
                            due.at,
                            report,
                            ruling,
                            due.unknown_years,
                        )
                    )
        return tuple(duties)

    def _due(self, since: datetime, stage: Stage, zone: ZoneInfo) -> Deadline:
        """Return when a stage is due that counts from `since`."""
        due = compute_deadline(since, stage.due, zone, self.calendar)
        for year in set(due.unknown_years) - self._warned:
            self._warned.add(year)
            log.get("alert").warning("calendar_unknown", year=year)
        return due


def last_ruling(regime: Regime, decisions: Iterable[Decision]) -> Decision | None:
    """Return the latest decision that `regime` applies or is waived; None if there is none.

    `decisions` are those on one incident, in any order.
    """
    rulings = (
        decision
        for decision in decisions
        if decision.regime == regime.id and decision.stage in RULINGS
    )
    return max(rulings, key=lambda decision: (decision.at, decision.id), default=None)


def waiver_facts(regime: Regime, incident: Incident, tenant: Tenant) -> WaiverFacts:
    """Return the facts that a waiver of `regime` would rest on if it were decided now."""
    conditions = regime.applies_if.find_met(incident, tenant)
    return WaiverFacts(
        customers=incident.customers,
        kinds=incident.kinds,
        severity=incident.severity,
        conditions=conditions,
    )


def waiver_holds(ruling: Decision, regime: Regime, incident: Incident, tenant: Tenant) -> bool:
    """Return whether `incident` stays within the facts that the waiver `ruling` rests on.

    It does not if it has more customers, further kinds, a higher severity or further conditions
    met. A waiver without recorded facts never holds.
    """
    facts, now = ruling.facts, waiver_facts(regime, incident, tenant)
    return (
        facts is not None
        and now.customers <= facts.customers
        and {*now.kinds} <= {*facts.kinds}
        and SEVERITIES.index(now.severity) <= SEVERITIES.index(facts.severity)
        and {*now.conditions} <= {*facts.conditions}
    )


def _decisions_for_part(
    part: Incident, whole: Incident, parts: Mapping[str, Incident], decisions: Iterable[Decision]
) -> list[Decision]:
    """Return the decisions on `part`, and those on its heads since it joined them.

    `whole` is the incident at the top, `parts` its parts by id, and `decisions` those on all of
    them.
    """
    joined, ancestor = {part.id: EARLIEST}, part
    while ancestor.part_of and ancestor.part_of not in joined:
        joined[ancestor.part_of] = max(joined[ancestor.id], ancestor.part_since or EARLIEST)
        ancestor = parts.get(ancestor.part_of, whole)
    return [
        decision
        for decision in decisions
        if decision.incident in joined and decision.at >= joined[decision.incident]
    ]


def _moments_of_part(moments: Moments, whole: Moments) -> Moments:
    """Return the moments of a part, completed by those of the whole where the part has none.

    Whoever knows of the whole, or decided on it, did so for the part.
    """
    names = ("alerted", "acknowledged", "determined", "resolved")
    return replace(
        moments, **{name: getattr(moments, name) or getattr(whole, name) for name in names}
    )


def _select_most_urgent(duties: Sequence[Sequence[Duty]]) -> tuple[Duty, ...]:
    """Return the most urgent duty of each regime and stage."""
    by_name: dict[tuple[str, str], list[Duty]] = {}
    for duty in (duty for same_name in duties for duty in same_name):
        by_name.setdefault((duty.regime.id, duty.stage.id), []).append(duty)
    return tuple(min(same_name, key=_urgency) for same_name in by_name.values())


def _urgency(duty: Duty) -> tuple[int, float]:
    """Return a sort key of duties with the same name, most urgent first.

    Among running duties the first to be due comes first, among met ones the last that was met.
    """
    if duty.state == "met" and duty.report:
        return RANKS.index("met"), -get_sent_at(duty.report).timestamp()
    return RANKS.index(duty.state), duty.due.timestamp() if duty.due else 0.0


def _group_by_incident(notifications: Iterable[Notification]) -> dict[str, list[Notification]]:
    by_incident: dict[str, list[Notification]] = {}
    for notification in notifications:
        by_incident.setdefault(notification.incident, []).append(notification)
    return by_incident


def _state(
    regime: Regime,
    incident: Incident,
    tenant: Tenant,
    status: Status,
    ruling: Decision | None,
    decisions: Sequence[Decision],
) -> State | None:
    """Return the state of a regime's duties for an incident; None if it requires nothing.

    Reports and moments are not considered. `ruling` is the last decision on whether the regime
    applies, and `decisions` are those by which the incident may be confirmed.
    """
    if status == "false_positive":
        return None
    if ruling is not None and ruling.stage == "applies":
        return "running"
    if ruling is not None and waiver_holds(ruling, regime, incident, tenant):
        return "waived"
    if not regime.applies_if.hold(incident, tenant):
        return None
    decided = {decision.status for decision in decisions}
    if (
        incident.clock == "run"
        or "confirmed" in decided
        or (incident.clock == "if confirmed" and "reported" in decided)
    ):
        return "running"
    return "conditional" if _waits(incident, decisions) else None


def _waits(incident: Incident, decisions: Sequence[Decision]) -> bool:
    """Return whether an incident's deadlines wait for a person's decision.

    They do if its severity row says "if confirmed" and nobody confirmed, reported or closed it.
    """
    is_decided = any(decision.status in ("confirmed", "reported") for decision in decisions)
    return (
        incident.clock == "if confirmed"
        and not is_decided
        and compute_status(decisions) in ("open", "acknowledged")
    )


def _decision_deadline(
    incident: Incident, decisions: Sequence[Decision], learned: datetime | None
) -> Decide | None:
    """Return by when a person must decide, counted from when somebody learned of the incident.

    None if no deadline waits for that.
    """
    if not incident.decide_minutes or not _waits(incident, decisions):
        return None
    return Decide(
        incident.decide_minutes,
        learned + timedelta(minutes=incident.decide_minutes) if learned else None,
    )
