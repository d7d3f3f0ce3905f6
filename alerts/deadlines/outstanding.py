"""Work out which reports are outstanding for an incident.

    running      the incident's clock runs, or a person confirmed it, and the moment that the stage counts from is known
    waiting      as above, and nobody was told of it yet, or that moment has not come (it is not confirmed, not resolved)
    conditional  the incident's clock is "if confirmed" and nobody has decided: due then, should it be confirmed
    met          a report is recorded; or a decision `reported` that names no regime, for all but the final ones
    waived       a lead and the DPO, two people, decided that the rule asks for nothing here (harm averted), and said why

Which clock an incident starts, the row of the severity table says that applied (`Incident.clock`). Who reports an incident that
waits for a decision has decided.

A person can also decide that a rule applies which by its numbers does not: grades have limbs that no count tells, such as
important data or a loss. A false positive has no duties but those that were met before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from alerts.deadlines import Deadline, Regime, Since, Stage, deadline, half_of, regimes_of, report_of, sent_at
from alerts.records import Decision, Incident, Notification, Status
from alerts.store import DocumentFilter, IncidentStore
from alerts.store.queries import CLOSED, status_of, statuses
from ullage import log
from ullage.calendar import Calendar, china
from ullage.clock import Clock
from ullage.display.decide import Decide
from ullage.settings import Tenant
from ullage.verdict.severity import DECIDE_MINUTES


@dataclass(frozen=True, slots=True)
class Moments:
    """All aware, in UTC; None is what has not happened.

    `acknowledged` is the first decision by which a person showed that they know of it, `determined` the first that confirmed it.
    """

    first_seen: datetime
    alerted: datetime | None = None
    acknowledged: datetime | None = None
    determined: datetime | None = None
    resolved: datetime | None = None

    @classmethod
    def of(cls, incident: Incident, decisions: Iterable[Decision], sent: Iterable[Notification]) -> Moments:
        """From what is stored of `incident`: its decisions, and the notifications that were sent of it."""
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
        """When the tenant learned of it: by our alert, or by a person who acknowledged it before any was sent."""
        return min((m for m in (self.alerted, self.acknowledged) if m), default=None)

    def at(self, since: Since) -> datetime | None:
        """The moment of that name."""
        found: datetime | None = getattr(self, since)
        return found


State = Literal["running", "waiting", "conditional", "met", "waived"]
RULINGS = ("applies", "waived")
"""What a person can decide of a regime for an incident; it stands in the place of a report's stage."""
HALVES = ("lead", "dpo")
"""Whose decisions a waiver takes, as a decision's `value` has them: two people's."""


@dataclass(frozen=True, slots=True)
class Duty:
    """A report that is owed. `since` and `due` are None while waiting; `report` is the decision that met it."""

    regime: Regime
    stage: Stage
    state: State
    since: datetime | None = None
    due: datetime | None = None
    report: Decision | None = None
    ruling: Decision | None = None
    half: Decision | None = None
    """Half of a waiver, while the other is not decided."""
    unknown_years: tuple[int, ...] = ()

    def left(self, now: datetime) -> float | None:
        """Seconds until it is due, negative when it is late; None where nothing is owed yet or any more.

        None as well once a time has passed that may be none: of a rule whose text was not read, or one that waits for a person.
        """
        if self.due is None or self.state not in ("running", "conditional"):
            return None
        left = (self.due - now).total_seconds()
        return left if left >= 0 or (self.state == "running" and self.regime.verified) else None

    @property
    def late(self) -> bool:
        """Whether it was met after it was due; never by a rule whose text was not read."""
        return bool(self.regime.verified and self.report and self.due and sent_at(self.report) > self.due)


@dataclass(frozen=True, slots=True)
class IncidentDeadlines:
    """What is owed of one incident, and what was decided of it, newest last."""

    decisions: tuple[Decision, ...]
    duties: tuple[Duty, ...]
    decide: Decide | None
    """By when a person decides, where its clocks wait for that."""

    @property
    def running(self) -> tuple[Duty, ...]:
        """The duties whose clocks run."""
        return tuple(duty for duty in self.duties if duty.state == "running")

    @property
    def status(self) -> Status:
        """As people see it: it is not `reported` while another report is owed; who reports a part has confirmed the whole."""
        status = status_of(self.decisions)
        return "confirmed" if status == "reported" and self.running else status


def status_with_report(status: Status) -> Literal["reported", "note"]:
    """The status of a decision that records a report: one that comes after the end changes nothing of the end."""
    return "note" if status in CLOSED else "reported"


@dataclass(slots=True)
class Duties:
    """Works duties out from the store, each time anew. `tenant` gives a tenant's settings."""

    store: IncidentStore
    tenant: Callable[[str], Tenant]
    clock: Clock
    calendar: Calendar = field(default_factory=china)
    _warned: set[int] = field(default_factory=set)

    def of(self, incident: Incident, decisions: Sequence[Decision]) -> tuple[Duty, ...]:
        """The duties of one incident, those of one regime together, in the order of its tenant's settings."""
        where = DocumentFilter({"incident": incident.parts})
        made = (*decisions, *self.store.scroll(Decision, where)) if incident.parts else decisions
        return self.since(incident, made, self.moments(incident, made))

    def owed(
        self, incidents: Sequence[Incident], made: Iterable[Decision] = (), known_at: datetime | None = None
    ) -> dict[str, IncidentDeadlines]:
        """What is owed of each of `incidents`, by id; `made` are decisions that a search may not show yet.

        With `known_at` it is what would be owed if somebody had acknowledged then what nobody has yet.
        """
        ids = [id_ for incident in incidents for id_ in incident.family]
        decided: dict[str, dict[str, Decision]] = {}
        for one in (*(self.store.scroll(Decision, DocumentFilter({"incident": ids})) if ids else ()), *made):
            decided.setdefault(one.incident, {})[one.id] = one
        sent, found = self._sent(ids), dict[str, IncidentDeadlines]()
        for incident in incidents:
            own = sorted(decided.get(incident.id, {}).values(), key=lambda one: (one.at, one.id))
            parts = [one for id_ in incident.parts for one in decided.get(id_, {}).values()]
            moments = Moments.of(incident, [*own, *parts], [one for id_ in incident.family for one in sent.get(id_, ())])
            moments = replace(moments, acknowledged=moments.acknowledged or known_at)
            decide = _decide(incident, own, moments.learned)
            found[incident.id] = IncidentDeadlines(tuple(own), self.since(incident, [*own, *parts], moments), decide)
        return found

    def running(self, incidents: Sequence[Incident]) -> dict[str, tuple[Duty, ...]]:
        """By id the deadlines that run, of those of `incidents` that have any, as who closes or silences one is bound by them.

        Whoever does so knows of the incident: what only waited for somebody to know runs as well.
        """
        owed = self.owed(incidents, known_at=self.clock.now())
        return {id_: one.running for id_, one in owed.items() if one.running}

    def statuses(self, ids: Iterable[str] | None = None) -> dict[str, Status]:
        """The statuses (`IncidentDeadlines.status`) of what was decided on, of `ids` or of all; all others are open."""
        found = statuses(self.store, ids)
        reported = self.store.mget(Incident, [id_ for id_, status in found.items() if status == "reported"])
        return found | {id_: owed.status for id_, owed in self.owed([*reported.values()]).items()}

    def moments(self, incident: Incident, decisions: Sequence[Decision]) -> Moments:
        """The moments that an incident's clocks count from: whoever was told of a part of it knew since then."""
        sent = self._sent(incident.family)
        return Moments.of(incident, decisions, [one for some in sent.values() for one in some])

    def time_left(self, incidents: Sequence[Incident], now: datetime) -> dict[str, timedelta]:
        """By id, of those that have a clock, how long there is from `now` until the next thing is due.

        One that nobody was told of yet counts as told now; what was decided of it does not count.
        """
        clocked = [incident for incident in incidents if incident.clock == "run" or incident.decide_minutes]
        sent = self._sent([incident.id for incident in clocked])
        told = {one.id: Moments.of(one, (), sent.get(one.id, ())).alerted or now for one in clocked}
        return {one.id: self._next_due(one, told[one.id]) - now for one in clocked}

    def decides(self, incidents: Sequence[Incident], told: datetime | None = None) -> dict[str, Decide]:
        """By id, by when a person decides of those of `incidents` whose clocks wait for that.

        `told` is when somebody is told of those that nobody was told of yet.
        """
        ids = [incident.id for incident in incidents if incident.decide_minutes]
        decided: dict[str, list[Decision]] = {id_: [] for id_ in ids}
        for decision in self.store.scroll(Decision, DocumentFilter({"incident": ids})) if ids else ():
            decided[decision.incident].append(decision)
        sent, found = self._sent(ids), dict[str, Decide]()
        for incident in incidents:
            own = decided.get(incident.id, [])
            learned = Moments.of(incident, own, sent.get(incident.id, ())).learned or told
            if decide := _decide(incident, own, learned):
                found[incident.id] = decide
        return found

    def heard_by(self, incidents: Sequence[Incident]) -> dict[str, datetime]:
        """By id of incidents whose clock runs, when somebody is to have acknowledged each: by half of the time left.

        One that no channel took counts from when it was to be told.
        """
        where = DocumentFilter({"incident": [incident.id for incident in incidents]})
        said = _by_incident(self.store.scroll(Notification, where)) if incidents else {}
        return {incident.id: self._heard_by(incident, said.get(incident.id, ())) for incident in incidents}

    def _heard_by(self, incident: Incident, said: Sequence[Notification]) -> datetime:
        was_due = min((one.due for one in said if one.why in ("new", "raised")), default=incident.opened_at)
        told = Moments.of(incident, (), [one for one in said if one.outcome == "sent"]).alerted or was_due
        return told + half_of(self._next_due(incident, told) - told)

    def _next_due(self, incident: Incident, told: datetime) -> datetime:
        """When the next thing is due of an incident of which somebody was `told`, and nobody has done anything yet.

        Where no rule has a time for it, a person looks at it as soon as at one that waits for a decision.
        """
        decided = told + timedelta(minutes=incident.decide_minutes or DECIDE_MINUTES)
        if incident.decide_minutes:
            return decided
        duties = self.since(incident, (), Moments(incident.first_seen, alerted=told))
        return min((duty.due for duty in duties if duty.due and duty.left(told) is not None), default=decided)

    def _sent(self, incidents: Sequence[str]) -> dict[str, list[Notification]]:
        """The notifications that were sent, by incident."""
        where = DocumentFilter({"incident": incidents, "outcome": ("sent",)})
        return _by_incident(self.store.scroll(Notification, where)) if incidents else {}

    def since(self, incident: Incident, decisions: Sequence[Decision], moments: Moments) -> tuple[Duty, ...]:
        """As `of`, where the moments are known."""
        own = [one for one in decisions if one.incident == incident.id]  # a part that is none leaves the whole what it is
        tenant, status, learned = self.tenant(incident.tenant), status_of(own), moments.learned
        said = [one for one in decisions if one.regime or one.status == "reported"]  # of any regime
        zone, duties = ZoneInfo(tenant.zone), list[Duty]()
        for regime in regimes_of(incident.tenant, tenant):
            ruling, half = ruled(regime, said)
            state = _state(regime, incident, tenant, status, ruling, decisions)
            for stage in regime.stages:
                report = report_of(regime, stage, said)
                shown = "met" if report else state
                since = moments.at(stage.since) if learned else None  # no clock runs on what nobody was told of
                if shown and since is None:  # a clock waits while the moment that it counts from has not come
                    shown = "waiting" if shown == "running" else shown
                    duties.append(Duty(regime, stage, shown, report=report, ruling=ruling, half=half))
                elif shown and since is not None:
                    due = self._due(since, stage, zone)
                    duties.append(Duty(regime, stage, shown, since, due.at, report, ruling, half, due.unknown_years))
        return tuple(duties)

    def _due(self, since: datetime, stage: Stage, zone: ZoneInfo) -> Deadline:
        """When a stage is due that counts from `since`."""
        due = deadline(since, stage.due, zone, self.calendar)
        for year in set(due.unknown_years) - self._warned:
            self._warned.add(year)
            log.get("alert").warning("calendar_unknown", year=year)
        return due


def ruled(regime: Regime, decisions: Iterable[Decision]) -> tuple[Decision | None, Decision | None]:
    """What was decided last of a regime for this incident, and half of a waiver that was decided since."""
    rulings = [d for d in decisions if d.regime == regime.id and d.stage in RULINGS]
    stands, half = None, None
    for one in sorted(rulings, key=lambda d: (d.at, d.id)):
        if one.stage != "waived" or (half and half.value != one.value and half.by != one.by):
            stands, half = one, None
        else:
            half = one
    return stands, half


def _by_incident(notifications: Iterable[Notification]) -> dict[str, list[Notification]]:
    found: dict[str, list[Notification]] = {}
    for one in notifications:
        found.setdefault(one.incident, []).append(one)
    return found


def _state(
    regime: Regime, incident: Incident, tenant: Tenant, status: Status, ruling: Decision | None, decisions: Sequence[Decision]
) -> State | None:
    """Whether a regime's clocks run for an incident; None where it asks for nothing."""
    if status == "false_positive":
        return None
    if ruling is not None:
        return "running" if ruling.stage == "applies" else "waived"
    if not regime.applies_if.hold(incident, tenant):
        return None
    made = {decision.status for decision in decisions}
    if incident.clock == "run" or "confirmed" in made or (incident.clock == "if confirmed" and "reported" in made):
        return "running"
    return "conditional" if _waits(incident, decisions) else None


def _waits(incident: Incident, decisions: Sequence[Decision]) -> bool:
    """Whether its clocks wait for a person who decides."""
    is_decided = any(decision.status in ("confirmed", "reported") for decision in decisions)
    return incident.clock == "if confirmed" and not is_decided and status_of(decisions) in ("open", "acknowledged")


def _decide(incident: Incident, decisions: Sequence[Decision], learned: datetime | None) -> Decide | None:
    """By when a person decides, counted from when somebody learned of it; None where no clock waits for that."""
    if not incident.decide_minutes or not _waits(incident, decisions):
        return None
    return Decide(incident.decide_minutes, learned + timedelta(minutes=incident.decide_minutes) if learned else None)
