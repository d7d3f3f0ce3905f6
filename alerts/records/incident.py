"""An incident, the customers in it, its work item, and the records of its deadlines."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Literal

from pydantic import Field

from alerts.records.document import SEVERITIES, Document, Frozen, Sketched, Status
from ullage.records import Claims
from ullage.records.base import MaybeMoment
from ullage.verdict.next_step import NextStep, StepConditions, next_step
from ullage.verdict.rules import ClockWord, Origin, Severity, Told
from ullage.verdict.severity import decide_minutes

PART = "part"
UNREAD = "N"
"""The code of the reason that says what was not read."""


class IncidentReason(Frozen):
    """One line of an explanation, as `ullage.verdict.Reason`."""

    code: str
    points: int
    evidence: str
    evidence_zh: str
    """The same in Chinese."""


class Incident(Document):
    """What people work on.

    Everything but `sketch` and `frozen_at` follows from its sightings and exposures.
    """

    columns = ("tenant", "severity", "origin", "scenario")
    sets = ("kinds", "sites", "terms", "brands", "series", "folded")
    time = "opened_at"
    searchable = True
    brief = ("publish_seconds", "incomplete")

    tenant: str
    opened_by: str
    opened_at: datetime
    updated_at: datetime
    first_seen: datetime
    last_seen: datetime
    published_at: MaybeMoment
    publish_seconds: float | None
    """From the publication of the post that opened it to this incident."""
    severity: Severity
    row: int
    """Of the severity table, the row that applied."""
    told: Told
    clock: ClockWord
    minutes: int
    """Who is told, which clock starts, and within how long a person decides where that is "if
    confirmed", by that row.
    """
    exposure: int
    reasons: tuple[IncidentReason, ...]
    scenario: str
    scenario_title: str
    scenario_title_zh: str
    unit: float
    origin: Origin
    origin_label: str = ""
    """Of origin `partner`: which one, as the canaries are labelled."""
    replay_of: str = ""
    """Of origin `recycled`: the incident whose customers these are."""
    origin_p: float
    origin_reasons: tuple[IncidentReason, ...]
    customers: int
    """Distinct customers in it, exactly."""
    verified: int = 0
    """Those of them whom chance cannot have matched."""
    agreeing: int = 0
    """Those of them who agree in two or more fields of a row."""
    people_by_class: dict[str, int] = Field(default_factory=dict)
    """Customers by the highest class of their fields, A, B or C (法释〔2017〕10 art. 5)."""
    sensitive: int = 0
    """Customers with a field that PIPL 28 calls sensitive."""
    minors: int = 0
    """Customers under 14, as far as a resident ID tells."""
    fields: tuple[str, ...] = ()
    rows: int
    sightings: int
    kinds: tuple[str, ...]
    sites: tuple[str, ...]
    terms: tuple[str, ...]
    """By what the lexicon calls them."""
    written: tuple[str, ...] = ()
    """The same as they stand in its posts."""
    brands: tuple[str, ...]
    titles: tuple[str, ...]
    authors: tuple[str, ...]
    skeleton: str
    alarm: bool
    incomplete: tuple[str, ...] = ()
    """Why of some capture in it less than the whole was searched or judged: then `customers`
    says "at least".
    """
    linked: tuple[str, ...]
    subjects: str
    sketch: tuple[str, ...]
    sketch_of: Sketched
    sections: tuple[str, ...] = ()
    """Configured lists under which it was posted."""
    claims: Claims = Claims()
    """What its posts say of what they offer: the largest volume and size, the first price, every
    kind of contact and file.
    """
    newest_date: date | None = None
    """The newest date in any copy."""
    joined: int = 0
    """How many posts of one seller it is joined from; 0 where it is of one alone, or of copies."""
    series: tuple[str, ...] = ()
    """The token of the seller whose it is, by which a seller's incidents are linked; () where it
    is nobody's in particular.
    """
    part_of: str = ""
    """The incident that answers for this one, because a post that came later ties both; "" for
    one that answers for itself.
    """
    part_since: MaybeMoment = None
    """Since when it is such a part; what was decided on the other before does not count for it."""
    parts: tuple[str, ...] = ()
    """Incidents that this one answers for: it is judged, and counts, with all that is in them."""
    apart: tuple[str, ...] = ()
    """Incidents out of which a person took what is in this one: what is the same as this goes
    there no more.
    """
    gone: int = 0
    """So many of its sightings are of posts that are gone."""
    gone_at: datetime | None = None
    """Since when all of them are; None while one is there, as far as anybody looked."""
    back: int = 0
    """So many are of posts that were gone and are there again."""
    frozen_at: datetime | None = None
    """When its first facts expired: from then on the numbers stand and nothing joins it."""

    @property
    def folded(self) -> tuple[str, ...]:
        """By what parts are found: all of them, and those of one incident."""
        return (PART, self.part_of) if self.part_of else ()

    @property
    def family(self) -> tuple[str, ...]:
        """Ids of the incidents whose facts are its own: it and its parts."""
        return (self.id, *self.parts)

    @property
    def whose(self) -> str:
        """The origin as a person reads it: `ours`, `partner:LABEL`."""
        return f"{self.origin}:{self.origin_label}" if self.origin_label else self.origin

    @property
    def decide_minutes(self) -> int:
        """Within which a person decides, from when somebody was told, where its clock waits for
        that; else 0.
        """
        return decide_minutes(self.severity, self.clock, self.minutes)

    @property
    def next_step(self) -> NextStep:
        """What to do next of it."""
        unread = bool(self.incomplete) or any(why.code == UNREAD for why in self.reasons)
        conditions = StepConditions(
            people=self.customers > 0, alone=not self.agreeing, unread=unread
        )
        return next_step(self.origin, self.severity, self.scenario, conditions)

    @property
    def counted(self) -> str:
        """The customers as a person reads them: `1,234`, or `≥ 1,234` where not all was
        searched.
        """
        return f"≥ {self.customers:,}" if self.incomplete else f"{self.customers:,}"

    def words(self) -> Iterable[str]:
        """Return words of titles, tokens of authors, places and terms."""
        return (
            self.id,
            *self.titles,
            *self.authors,
            *self.sites,
            *self.sections,
            *self.terms,
            *self.written,
            *self.brands,
            self.scenario_title,
            self.scenario_title_zh,
        )


def incident_id(finding: str) -> str:
    """Return the id of the incident that `finding` opens: the same at every replay.

    A finding's id is already a keyed digest.
    """
    digest = hashlib.sha256(b"ullage incident\x1f" + finding.encode()).digest()
    return "INC-" + base64.b32encode(digest).decode()[:10]


TASK = "task"
NEVER = 2**52
"""Stands for no time at all where times are ordered; exact in any JSON."""
TIER = 10**11
"""More than any second of our time."""


class WorkItem(Document):
    """The line of an incident in the queue.

    It follows entirely from the incident, its decisions and its notifications
    (`alerts.deadlines.schedule`). Its id is the incident's. `part` means that another incident
    stands
    for it, `closed` that it is closed and no deadline runs.
    """

    columns = ("tenant", "stage", "status", "severity", "origin", "scenario", "assignee")
    sets = ("sites", "kinds", "series")
    orders = ("burns", "due", "grave", "exposure", "customers")
    time = "opened_at"
    broad = ("tenant", "stage", "status", "severity", "origin", "scenario", "assignee")
    tallied = (("stage", "severity", "tenant"), ("stage", "assignee", "tenant"))
    narrow = ("stage", "burns")
    searchable = True

    tenant: str
    opened_at: datetime
    stage: Literal["open", "closed", "part"]
    status: Status
    severity: Severity
    origin: Origin
    scenario: str
    sites: tuple[str, ...]
    kinds: tuple[str, ...]
    series: tuple[str, ...]
    exposure: int
    customers: int
    texts: tuple[str, ...] = ()
    """What free text finds."""
    assignee: str = ""
    due_at: datetime | None = None
    """When the next thing is due of it; None where nothing is."""
    due_for: str = ""
    """What that is: `task` (set by a person), `decide`, or a regime and its stage."""
    is_sure: bool = False
    """It is late once that has passed: nothing about it is unread or waits for a decision."""
    running: tuple[str, ...] = ()
    """Regime and stage of each clock that runs."""

    @property
    def due(self) -> int:
        """The second at which it is due; without one, far away."""
        return round(self.due_at.timestamp()) if self.due_at else NEVER

    @property
    def grave(self) -> int:
        """How severe it is, as a number."""
        return SEVERITIES.index(self.severity)

    @property
    def burns(self) -> int:
        """By this the most urgent stands first: what is due, soonest first; then by severity,
        and of equals the oldest.
        """
        if self.stage != "open":
            return 9 * TIER - round(self.opened_at.timestamp())
        if self.due_at:
            return self.due
        return (len(SEVERITIES) - self.grave) * TIER + round(self.opened_at.timestamp())

    def words(self) -> Iterable[str]:
        """Return the texts of the incident."""
        return self.texts

    def left(self, now: datetime) -> timedelta | None:
        """Time until it is due, negative when that has passed."""
        return self.due_at - now if self.due_at else None


HEARD = "heard"
"""Stands for a stage: by its `due` somebody is to have acknowledged the incident.

No rule asks for that.
"""


def clock_of(tenant: str, which: str) -> str:
    """Return the key of one deadline of a tenant: that of a regime, or `HEARD`."""
    return f"{tenant} {which}"


class DutyRecord(Document):
    """The state of one stage of one regime for one incident.

    It follows entirely from other records (`alerts.deadlines.schedule`). `since` and `due` are None
    while no due date is known; `verified` says whether somebody read the rule's own text.
    """

    columns = ("tenant", "incident", "runs", "counts")
    broad = ("tenant",)

    tenant: str
    incident: str
    regime: str
    """"" of `HEARD`."""
    stage: str
    state: Literal["running", "waiting", "conditional", "met", "waived"]
    opened_at: datetime
    """When the incident was."""
    since: datetime | None = None
    due: datetime | None = None
    verified: bool = False
    met_at: datetime | None = None
    late: bool = False
    """Met after it was due."""

    @property
    def at(self) -> datetime:
        """When it is due, else when the incident was opened."""
        return self.due or self.opened_at

    @property
    def runs(self) -> str:
        """Of what runs, whose and which clock: what is due next of one is found at once; "" of
        all else.
        """
        return clock_of(self.tenant, self.regime or self.stage) if self.state == "running" else ""

    @property
    def counts(self) -> Literal["", "kept", "late", "missed"]:
        """As what it counts once it is due; "" of what was not asked for, and of a rule whose
        text was not read.
        """
        if self.due is None or not self.verified:
            return ""
        if self.state == "met":
            return "late" if self.late else "kept"
        return "missed" if self.state == "running" else ""


class DutiesKnown(Document):
    """The mark until when all notifications and decisions are in the duty records; there is one."""

    at: datetime
