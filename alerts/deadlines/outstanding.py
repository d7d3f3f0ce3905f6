"""Work out which reports are outstanding for an incident.

    running      the incident's clock runs, or a person confirmed it, and the moment that the stage counts from is known
    waiting      as above, and nobody was told of it yet, or that moment has not come (it is not confirmed, not resolved)
    conditional  the incident's clock is "if confirmed" and nobody has decided: due then, should it be confirmed
    met          a report is recorded; or a decision `reported` that names no regime, for all but the final ones
    waived       it was decided that the rule asks for nothing here (harm averted), and the facts of that waiver still hold

What ends a running duty takes two people (`alerts.deadlines.comparison`,
`alerts.cases.second_person`).

Which clock an incident starts, the row of the severity table says that applied (`Incident.clock`).
Who reports an incident that waits for a decision has decided.

A person can also decide that a rule applies which by its numbers does not: grades have limbs that
no count tells, such as important data or a loss. A false positive has no duties but those that were
met before.

An incident with parts owes what each of them owes, by the earliest clock of each regime and stage.
A report or a waiver counts for the incident that it was recorded on and for the parts that this one
had by then, so a report of a part meets that part's duty alone, and a split leaves both with their
own.
"""  # noqa: E501

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
    deadline,
    half_of,
    regimes_of,
    report_of,
    sent_at,
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
    """All aware, in UTC; None is what has not happened.

    `acknowledged` is the first decision by which a person showed that they know of it, `determined`
    the first that confirmed it.
    """

    first_seen: datetime
    alerted: datetime | None = None
    acknowledged: datetime | None = None
    determined: datetime | None = None
    resolved: datetime | None = None

    @classmethod
    def of(
        cls, incident: Incident, decisions: Iterable[Decision], sent: Iterable[Notification]
    ) -> Moments:
        """From what is stored of `incident`: its decisions, and the notifications that were sent
        of it.
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
        """When the tenant learned of it: by our alert, or by a person who acknowledged it before
        any was sent.
        """
        return min((m for m in (self.alerted, self.acknowledged) if m), default=None)

    def at(self, since: Since) -> datetime | None:
        """The moment of that name."""
        found: datetime | None = getattr(self, since)
        return found


State = Literal["running", "waiting", "conditional", "met", "waived"]
RULINGS = ("applies", "waived")
"""What a person can decide of a regime for an incident; it stands in the place of a report's
stage.
"""
RANKS: tuple[State, ...] = ("running", "waiting", "conditional", "met", "waived")
"""Of one duty of several parts the state of the whole, the first that any of them has."""


@dataclass(frozen=True, slots=True)
class Duty:
    """A report that is owed.

    `since` and `due` are None while waiting; `report` is the decision that met it.
    """

    regime: Regime
    stage: Stage
    state: State
    since: datetime | None = None
    due: datetime | None = None
    report: Decision | None = None
    ruling: Decision | None = None
    """What was decided last of its regime; a waiver whose facts no longer hold stands beside a
    state that is not `waived`.
    """
    unknown_years: tuple[int, ...] = ()

    def left(self, now: datetime) -> float | None:
        """Seconds until it is due, negative when it is late; None where nothing is owed yet or any
        more.

        None as well once a time has passed that may be none: of a rule whose text was not read, or
        one that waits for a person.
        """
        if self.due is None or self.state not in ("running", "conditional"):
            return None
        left = (self.due - now).total_seconds()
        return left if left >= 0 or (self.state == "running" and self.regime.verified) else None

    @property
    def is_waiver_over(self) -> bool:
        """Whether it was waived, and the incident has gone beyond the facts of that waiver."""
        return (
            self.state in ("running", "waiting", "conditional")
            and self.ruling is not None
            and self.ruling.stage == "waived"
        )

    @property
    def is_by_one_person(self) -> bool:
        """Whether one person decided that it does not run any more."""
        decided = (
            self.report if self.state == "met" else self.ruling if self.state == "waived" else None
        )
        return decided is not None and decided.is_by_one_person

    @property
    def late(self) -> bool:
        """Whether it was met after it was due; never by a rule whose text was not read."""
        return bool(
            self.regime.verified and self.report and self.due and sent_at(self.report) > self.due
        )


@dataclass(frozen=True, slots=True)
class IncidentDeadlines:
    """What is owed of one incident, and what was decided of it, newest last."""

    decisions: tuple[Decision, ...]
    duties: tuple[Duty, ...]
    decide: Decide | None
    """By when a person decides, where its clocks wait for that."""
    moments: Moments

    @property
    def running(self) -> tuple[Duty, ...]:
        """The duties whose clocks run."""
        return tuple(duty for duty in self.duties if duty.state == "running")

    @property
    def status(self) -> Status:
        """As people see it: it is not `reported` while another report is owed; who reports a
        part has confirmed the whole.
        """
        status = compute_status(self.decisions)
        return "confirmed" if status == "reported" and self.running else status


def status_with_report(status: Status) -> Literal["reported", "note"]:
    """The status of a decision that records a report: one that comes after the end changes
    nothing of the end.
    """
    return "note" if status in CLOSED else "reported"


@dataclass(slots=True)
class Duties:
    """Works duties out from the store, each time anew. `tenant` gives a tenant's settings."""

    store: IncidentStore
    tenant: Callable[[str], Tenant]
    clock: Clock
    calendar: Calendar = field(default_factory=load_china)
    _warned: set[int] = field(default_factory=set)

    def of(self, incident: Incident, decisions: Sequence[Decision]) -> tuple[Duty, ...]:
        """Return the duties of one incident; `decisions` are some that a search may not show
        yet.
        """
        return self.owed([incident], decisions)[incident.id].duties

    def owed(
        self,
        incidents: Sequence[Incident],
        made: Iterable[Decision] = (),
        known_at: datetime | None = None,
        *,
        changed: Iterable[Incident] = (),
    ) -> dict[str, IncidentDeadlines]:
        """Return what is owed of each of `incidents`, by id; `made` are decisions that a search may
        not show yet.

        With `known_at` it is what would be owed if somebody had acknowledged then what nobody has
        yet. `changed` are incidents as they will be, in the place of those that the store has.
        """
        ids = [id_ for incident in incidents for id_ in incident.family]
        decided: dict[str, dict[str, Decision]] = {}
        for one in (
            *(self.store.scroll(Decision, DocumentFilter({"incident": ids})) if ids else ()),
            *made,
        ):
            decided.setdefault(one.incident, {})[one.id] = one
        sent, found = self._sent(ids), dict[str, IncidentDeadlines]()
        parts = self._parts(incidents, changed)
        for incident in incidents:
            own = sorted(decided.get(incident.id, {}).values(), key=lambda one: (one.at, one.id))
            family = [
                *own,
                *(one for id_ in incident.parts for one in decided.get(id_, {}).values()),
            ]
            moments = Moments.of(
                incident, family, [one for id_ in incident.family for one in sent.get(id_, ())]
            )
            moments = replace(moments, acknowledged=moments.acknowledged or known_at)
            duties = [self.since(incident, own, moments, family)]
            for part in [parts[id_] for id_ in incident.parts if id_ in parts]:
                counting = _counting_for(part, incident, parts, family)
                since = _moments_of_part(Moments.of(part, counting, sent.get(part.id, ())), moments)
                duties.append(self.since(part, counting, since, family))
            decide = _decide(incident, own, moments.learned)
            found[incident.id] = IncidentDeadlines(tuple(own), _earliest(duties), decide, moments)
        return found

    def _parts(
        self, incidents: Sequence[Incident], changed: Iterable[Incident]
    ) -> dict[str, Incident]:
        """Return the parts of `incidents` by id, each as it is in `changed` or else in the
        store.
        """
        ids = {id_ for incident in incidents for id_ in incident.parts}
        stored = self.store.mget(Incident, ids) if ids else {}
        return {**stored, **{one.id: one for one in changed if one.id in ids}}

    def running(self, incidents: Sequence[Incident]) -> dict[str, tuple[Duty, ...]]:
        """By id the deadlines that run, of those of `incidents` that have any, as who closes or
        silences one is bound by them.

        Whoever does so knows of the incident: what only waited for somebody to know runs as well.
        """
        owed = self.owed(incidents, known_at=self.clock.now())
        return {id_: one.running for id_, one in owed.items() if one.running}

    def statuses(self, ids: Iterable[str] | None = None) -> dict[str, Status]:
        """The statuses (`IncidentDeadlines.status`) of what was decided on, of `ids` or of all;
        all others are open.
        """
        found = statuses(self.store, ids)
        reported = self.store.mget(
            Incident, [id_ for id_, status in found.items() if status == "reported"]
        )
        return found | {id_: owed.status for id_, owed in self.owed([*reported.values()]).items()}

    def time_left(self, incidents: Sequence[Incident], now: datetime) -> dict[str, timedelta]:
        """By id, of those that have a clock, how long there is from `now` until the next thing is
        due.

        One that nobody was told of yet counts as told now; what was decided of it does not count.
        """
        clocked = [
            incident for incident in incidents if incident.clock == "run" or incident.decide_minutes
        ]
        sent = self._sent([incident.id for incident in clocked])
        told = {one.id: Moments.of(one, (), sent.get(one.id, ())).alerted or now for one in clocked}
        return {one.id: self._next_due(one, told[one.id]) - now for one in clocked}

    def decides(
        self, incidents: Sequence[Incident], told: datetime | None = None
    ) -> dict[str, Decide]:
        """By id, by when a person decides of those of `incidents` whose clocks wait for that.

        `told` is when somebody is told of those that nobody was told of yet.
        """
        ids = [incident.id for incident in incidents if incident.decide_minutes]
        decided: dict[str, list[Decision]] = {id_: [] for id_ in ids}
        for decision in (
            self.store.scroll(Decision, DocumentFilter({"incident": ids})) if ids else ()
        ):
            decided[decision.incident].append(decision)
        sent, found = self._sent(ids), dict[str, Decide]()
        for incident in incidents:
            own = decided.get(incident.id, [])
            learned = Moments.of(incident, own, sent.get(incident.id, ())).learned or told
            if decide := _decide(incident, own, learned):
                found[incident.id] = decide
        return found

    def heard_by(self, incidents: Sequence[Incident]) -> dict[str, datetime]:
        """By id of incidents whose clock runs, when somebody is to have acknowledged each: by half
        of the time left.

        One that no channel took counts from when it was to be told.
        """
        where = DocumentFilter({"incident": [incident.id for incident in incidents]})
        said = _by_incident(self.store.scroll(Notification, where)) if incidents else {}
        return {
            incident.id: self._heard_by(incident, said.get(incident.id, ()))
            for incident in incidents
        }

    def _heard_by(self, incident: Incident, said: Sequence[Notification]) -> datetime:
        was_due = min(
            (one.due for one in said if one.why in ("new", "raised")), default=incident.opened_at
        )
        told = (
            Moments.of(incident, (), [one for one in said if one.outcome == "sent"]).alerted
            or was_due
        )
        return told + half_of(self._next_due(incident, told) - told)

    def _next_due(self, incident: Incident, told: datetime) -> datetime:
        """When the next thing is due of an incident of which somebody was `told`, and nobody has
        done anything yet.

        Where no rule has a time for it, a person looks at it as soon as at one that waits for a
        decision.
        """
        decided = told + timedelta(minutes=incident.decide_minutes or DECIDE_MINUTES)
        if incident.decide_minutes:
            return decided
        duties = self.since(incident, (), Moments(incident.first_seen, alerted=told))
        return min(
            (duty.due for duty in duties if duty.due and duty.left(told) is not None),
            default=decided,
        )

    def _sent(self, incidents: Sequence[str]) -> dict[str, list[Notification]]:
        """The notifications that were sent, by incident."""
        where = DocumentFilter({"incident": incidents, "outcome": ("sent",)})
        return _by_incident(self.store.scroll(Notification, where)) if incidents else {}

    def since(
        self,
        incident: Incident,
        own: Sequence[Decision],
        moments: Moments,
        family: Sequence[Decision] = (),
    ) -> tuple[Duty, ...]:
        """Return the duties of one incident without its parts', those of one regime together, in
        the order of the settings.

        `own` are the decisions that count for it, `family` those on all that it belongs together
        with: who confirms a part has confirmed the whole.
        """
        tenant, status, learned = self.tenant(incident.tenant), compute_status(own), moments.learned
        said = [one for one in own if one.regime or one.status == "reported"]  # of any regime
        zone, duties = ZoneInfo(tenant.zone), list[Duty]()
        for regime in regimes_of(incident.tenant, tenant):
            ruling = last_ruling(regime, said)
            state = _state(regime, incident, tenant, status, ruling, family or own)
            for stage in regime.stages:
                report = report_of(regime, stage, said)
                shown = "met" if report else state
                # no clock runs on what nobody was told of
                since = moments.at(stage.since) if learned else None
                # a clock waits while the moment that it counts from has not come
                if shown and since is None:
                    shown = "waiting" if shown == "running" else shown
                    duties.append(Duty(regime, stage, shown, report=report, ruling=ruling))
                elif shown and since is not None:
                    due = self._due(since, stage, zone)
                    duties.append(
                        Duty(regime, stage, shown, since, due.at, report, ruling, due.unknown_years)
                    )
        return tuple(duties)

    def _due(self, since: datetime, stage: Stage, zone: ZoneInfo) -> Deadline:
        """When a stage is due that counts from `since`."""
        due = deadline(since, stage.due, zone, self.calendar)
        for year in set(due.unknown_years) - self._warned:
            self._warned.add(year)
            log.get("alert").warning("calendar_unknown", year=year)
        return due


def last_ruling(regime: Regime, decisions: Iterable[Decision]) -> Decision | None:
    """Return what was decided last on whether a regime applies to this incident."""
    rulings = (one for one in decisions if one.regime == regime.id and one.stage in RULINGS)
    return max(rulings, key=lambda one: (one.at, one.id), default=None)


def waiver_facts(regime: Regime, incident: Incident, tenant: Tenant) -> WaiverFacts:
    """Return the facts that a waiver of `regime` rests on if it is decided now."""
    met = regime.applies_if.met(incident, tenant)
    return WaiverFacts(
        customers=incident.customers,
        kinds=incident.kinds,
        severity=incident.severity,
        conditions=met,
    )


def waiver_holds(ruling: Decision, regime: Regime, incident: Incident, tenant: Tenant) -> bool:
    """Return whether nothing has been added to the facts that a waiver rests on; one that names
    none holds of none.
    """
    facts, now = ruling.facts, waiver_facts(regime, incident, tenant)
    return (
        facts is not None
        and now.customers <= facts.customers
        and {*now.kinds} <= {*facts.kinds}
        and SEVERITIES.index(now.severity) <= SEVERITIES.index(facts.severity)
        and {*now.conditions} <= {*facts.conditions}
    )


def _counting_for(
    part: Incident, whole: Incident, parts: Mapping[str, Incident], decisions: Iterable[Decision]
) -> list[Decision]:
    """Return the decisions that count for `part`: its own, and those on what it belonged to,
    from when it did.
    """
    joined, one = {part.id: EARLIEST}, part
    while one.part_of and one.part_of not in joined:
        joined[one.part_of] = max(joined[one.id], one.part_since or EARLIEST)
        one = parts.get(one.part_of, whole)
    return [
        made for made in decisions if made.incident in joined and made.at >= joined[made.incident]
    ]


def _moments_of_part(own: Moments, whole: Moments) -> Moments:
    """Return the moments of a part; whoever knows of the whole, or decided on it, did so of the
    part.
    """
    names = ("alerted", "acknowledged", "determined", "resolved")
    return replace(own, **{name: getattr(own, name) or getattr(whole, name) for name in names})


def _earliest(duties: Sequence[Sequence[Duty]]) -> tuple[Duty, ...]:
    """Return one duty of each regime and stage: of those that still ask for most the one that is
    due first.
    """
    by_name: dict[tuple[str, str], list[Duty]] = {}
    for duty in (one for some in duties for one in some):
        by_name.setdefault((duty.regime.id, duty.stage.id), []).append(duty)
    return tuple(min(some, key=_urgency) for some in by_name.values())


def _urgency(duty: Duty) -> tuple[int, float]:
    """Order duties of one name: of running ones the first to be due, of met ones the last that
    was met.
    """
    if duty.state == "met" and duty.report:
        return RANKS.index("met"), -sent_at(duty.report).timestamp()
    return RANKS.index(duty.state), duty.due.timestamp() if duty.due else 0.0


def _by_incident(notifications: Iterable[Notification]) -> dict[str, list[Notification]]:
    found: dict[str, list[Notification]] = {}
    for one in notifications:
        found.setdefault(one.incident, []).append(one)
    return found


def _state(
    regime: Regime,
    incident: Incident,
    tenant: Tenant,
    status: Status,
    ruling: Decision | None,
    decisions: Sequence[Decision],
) -> State | None:
    """Whether a regime's clocks run for an incident; None where it asks for nothing."""
    if status == "false_positive":
        return None
    if ruling is not None and ruling.stage == "applies":
        return "running"
    if ruling is not None and waiver_holds(ruling, regime, incident, tenant):
        return "waived"
    if not regime.applies_if.hold(incident, tenant):
        return None
    made = {decision.status for decision in decisions}
    if (
        incident.clock == "run"
        or "confirmed" in made
        or (incident.clock == "if confirmed" and "reported" in made)
    ):
        return "running"
    return "conditional" if _waits(incident, decisions) else None


def _waits(incident: Incident, decisions: Sequence[Decision]) -> bool:
    """Whether its clocks wait for a person who decides."""
    is_decided = any(decision.status in ("confirmed", "reported") for decision in decisions)
    return (
        incident.clock == "if confirmed"
        and not is_decided
        and compute_status(decisions) in ("open", "acknowledged")
    )


def _decide(
    incident: Incident, decisions: Sequence[Decision], learned: datetime | None
) -> Decide | None:
    """By when a person decides, counted from when somebody learned of it; None where no clock
    waits for that.
    """
    if not incident.decide_minutes or not _waits(incident, decisions):
        return None
    return Decide(
        incident.decide_minutes,
        learned + timedelta(minutes=incident.decide_minutes) if learned else None,
    )
